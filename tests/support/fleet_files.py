"""A log of fleets as files: two people's files in turns, with everything that may become of a bot in them.

Place in the flow: tests → **fleet files** → `TickDriver`. What the dry run would say is asked of the state itself.
"""

from typing import Any

from autonomy.apply_plan import ApplyPlan, apply_plan
from autonomy.chain import GENESIS_HASH
from autonomy.events import ApplyFleet, ApproveChallenger, RejectChallenger
from autonomy.values import JobType
from planner.decide.applying import standing
from planner.decide.view import build_view, offered_strategies
from planner.fold.state import State
from planner.tick import Try
from support.builders import a_bot_document, metrics
from support.changes import replace
from support.lives import a_fleet, a_search, bot_of, job_of, order_of, research, step
from support.ticks import MINUTE_MS, TickDriver


def an_apply(*documents: dict[str, Any], fleet: str, retire: tuple[str, ...] = (), plan_hash: str = GENESIS_HASH) -> ApplyFleet:
    """The command, as an operator says it."""
    return ApplyFleet.model_validate({
        "command_id": "00000000-0000-0000-0000-000000000001", "actor": "ada", "role": "operator", "bots": documents, "fleet": fleet,
        "retire": retire, "plan_hash": plan_hash,
    })  # fmt: skip


def plan_of(state: State, *documents: dict[str, Any], fleet: str = "stocks", retire: tuple[str, ...] = ()) -> ApplyPlan:
    """What the dry run would say."""
    held = {bot.id: standing(bot) for bot in state.bots.rows.values()}
    wanted = an_apply(*documents, fleet=fleet, retire=retire)
    return apply_plan(wanted, held, state.retired.rows, offered_strategies(state), len(state.bots.rows))


def apply(driver: TickDriver, *documents: dict[str, Any], fleet: str = "stocks", retire: tuple[str, ...] = ()) -> Try:
    """Apply documents by the plan of now, in a tick of its own."""
    plan = plan_of(driver.state, *documents, fleet=fleet, retire=retire)
    driver.command(ApplyFleet, bots=documents, fleet=fleet, retire=retire, plan_hash=plan.hash)
    return driver.tick(after_ms=1000)


def weakened(driver: TickDriver, bot_id: str, **document: Any) -> None:
    """A bot of a file whose evidence calls for a search."""
    apply(driver, a_bot_document(bot_id, **document))
    research(driver, bot_id, metrics=metrics(sharpe=0.1), net_t=0.2)


def searched(driver: TickDriver, bot_id: str) -> Try:
    """The tick in which a search's winner is judged; its fingerprint is that of the very bot with those parameters."""
    driver.claim(job_of(driver, bot_id, JobType.EVOLVE))
    step(driver)
    live = job_of(driver, bot_id, JobType.EVOLVE)
    found = a_search(live, order_of(driver, live))
    assert found.challenger is not None
    bot = replace(bot_of(driver, bot_id), parameters=tuple(sorted(found.challenger.parameters.items())))
    fingerprint = build_view(driver.state, driver.now_ms).fingerprint(bot)
    driver.finish(live, evolution=found.model_copy(update={"challenger": found.challenger.model_copy(update={"fingerprint": fingerprint})}))
    judged: Try = step(driver)
    return judged


def two_fleets() -> TickDriver:
    """A recorded log: new, changed, amended, unchanged, retired and refused bots of two fleets, proposals of searches, and work between."""
    driver = a_fleet(searches=True)
    for bot_id, symbol, word in (("aapl-sma", "AAPL", ApproveChallenger), ("ibm-a", "IBM", RejectChallenger)):
        weakened(driver, bot_id, symbol=symbol)
        searched(driver, bot_id)
        proposal = bot_of(driver, bot_id).proposal
        assert proposal is not None
        driver.command(word, bot_id=bot_id, job_id=proposal.job_id)
        step(driver)
    driver.register("nobodys", "taken-over")
    for number in range(3):
        stocks = [a_bot_document(f"stock-{one}", symbol=("AAPL", "IBM")[(one + number) % 2 if one == 0 else 0]) for one in range(2)]
        apply(driver, *stocks, a_bot_document("taken-over", name=f"Turn {number}", evolve=("never", "apply")[number % 2]))
        apply(driver, a_bot_document(f"coin-{number}"), a_bot_document("stock-1"), fleet="crypto",
              retire=(f"coin-{number - 1}", "nobodys"))  # fmt: skip
        for live in driver.live():
            if live.job.claim_id is None and live.job.job_type is not JobType.EVOLVE:
                driver.claim(live)
        driver.tick(after_ms=MINUTE_MS)
        for live in driver.live():
            if live.job.claim_id is not None:
                driver.succeed(live)
        driver.beat()
        driver.tick(after_ms=MINUTE_MS)
    driver.command(ApplyFleet, bots=(a_bot_document("stock-0", symbol="MSFT"),), fleet="stocks", plan_hash=GENESIS_HASH)
    driver.tick(after_ms=MINUTE_MS)
    return driver
