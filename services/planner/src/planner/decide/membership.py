"""Who is in the fleet, and as what: the facts that register, change and retire a bot.

Place in the flow: commands that were checked → **membership** → facts of the tick. Pure.
"""

from collections.abc import Mapping

from autonomy.events import BotChanged, BotRegistered, BotRetired, Command, StageChanged
from autonomy.fleet import BotSpec
from autonomy.strategies import Value
from autonomy.timeframes import Timeframe
from autonomy.values import Cause, Evolve, MoveReason, Stage, derived_id
from planner.decide import graduation
from planner.decide.endings import Say, cancel_jobs, close_session
from planner.fold.entities import Bot
from planner.fold.state import State


def enter(spec: BotSpec, parameters: Mapping[str, Value], command: Command, say: Say, *, fleet: str = "", evolve: Evolve = "") -> None:
    """Take a checked bot in, with its parameters as they stand from now on."""
    origin = spec.true_origin
    say(BotRegistered(
        bot_id=spec.id, name=spec.name or spec.id, strategy=spec.strategy, parameters=dict(parameters),
        symbol=spec.symbol, timeframe=spec.timeframe, stage=spec.stage, origin=origin, pinned=spec.pinned,
        pin_reason=spec.pin_reason, actor=command.actor, fleet=fleet, evolve=evolve,
    ))  # fmt: skip
    code = MoveReason.REGISTERED if origin.value == "NEW" or spec.stage is Stage.LAB else MoveReason.IMPORTED_UNVERIFIED
    say(StageChanged(
        event_id=derived_id("stage", command.command_id, spec.id), bot_id=spec.id, from_stage=None,
        to_stage=spec.stage, reason_code=code.value, actor=command.actor,
    ))  # fmt: skip


def change(
    state: State, bot: Bot, what: BotSpec | Bot, parameters: Mapping[str, Value], actor: str, say: Say, by: str | None = None
) -> None:
    """Make a LAB bot another one; what it has under way ends, its evidence is void.

    Args:
        state: that the bot is in.
        bot: which.
        what: has the strategy, the symbol and the timeframe that it gets; itself where they stay.
        parameters: checked.
        actor: who says so.
        say: takes the facts.
        by: the search whose winner it becomes.
    """
    cancel_jobs(state, bot, Cause.CANCELLED_BY_CHANGE, actor, say)
    close_session(bot, Cause.CANCELLED_BY_CHANGE, actor, say)
    graduation.withdraw(bot, "BOT_CHANGED", actor, say)
    say(BotChanged(
        bot_id=bot.id, version=bot.version + 1, strategy=what.strategy, parameters=dict(parameters), symbol=what.symbol,
        timeframe=Timeframe(what.timeframe), actor=actor, evolved_by=by,
    ))  # fmt: skip


def retire(state: State, bot: Bot, actor: str, say: Say) -> None:
    """Take a bot out for good; what it has under way ends."""
    cancel_jobs(state, bot, Cause.CANCELLED_BY_RETIREMENT, actor, say)
    close_session(bot, Cause.CANCELLED_BY_RETIREMENT, actor, say)
    graduation.withdraw(bot, "RETIRED", actor, say)
    say(BotRetired(bot_id=bot.id, actor=actor))
