"""How things end: live jobs of a bot, and its paper session with the position in it.

Place in the flow: said by commands and life, in the very tick that ends them. Pure. A session is closed in the ledger at the last bar
that the tick knew, priced by the runner's own engine, so a runner that is dead or slow leaves no position behind; what it says of
later bars is void.

Source: R-A3.6, R-C2.1.
"""

from collections.abc import Callable

from autonomy.events import CancelRequested, SessionClosed, TickRecord
from autonomy.values import Cause, instant_of_ms
from planner.fold.entities import Bot, ClassRecord
from planner.fold.state import State

Say = Callable[[TickRecord], None]


def cancel_jobs(state: State, bot: Bot, cause: Cause, actor: str, say: Say) -> int:
    """Decide the end of all live jobs of a bot; returns how many."""
    return sum(cancel_job(state, bot, record, cause, actor, say) for record in (bot.research, bot.runner))


def cancel_job(state: State, bot: Bot, record: ClassRecord, cause: Cause, actor: str, say: Say) -> bool:
    """Decide the end of the live job of one class, unless that is decided already; returns whether there was one."""
    live = None if record.job_id is None else state.jobs.get(record.job_id)
    if live is None or live.cancel is not None:
        return False
    say(CancelRequested(job_id=live.job.job_id, bot_id=bot.id, cause=cause, actor=actor))
    return True


def close_session(bot: Bot, cause: Cause, actor: str, say: Say) -> bool:
    """Close the bot's paper session, its position flattened at the last marked close; returns whether there was one."""
    paper = bot.paper
    if paper is None:
        return False
    flat = paper.flat
    say(SessionClosed(
        session_id=paper.session_id, bot_id=bot.id, cause=cause, actor=actor,
        last_bar=None if paper.last_ms is None else instant_of_ms(paper.last_ms), bar=paper.bar, units=flat.units,
        price_usd=flat.price_usd, fee_usd=flat.fee_usd, equity_usd=flat.equity_usd, pnl_usd=flat.pnl_usd,
    ))  # fmt: skip
    return True
