"""Lives of bots beyond LAB: evidence that passes every gate, paper sessions bar by bar, searches, and the words that move stages.

The planner is the real one over a log in memory; what runners would say is said here.
"""

from datetime import timedelta
from typing import Any

from autonomy.bar_outcomes import BarOutcome
from autonomy.events import (
    ApprovePromotion,
    AttemptRefused,
    ChangeBot,
    CommandRejected,
    Contender,
    EvolutionSummary,
    FlatValue,
    HoldBot,
    JobEnqueued,
    PaperSnapshot,
    PauseLoop,
    PinBot,
    RejectPromotion,
    ReleaseHold,
    ResumeLoop,
    RetireBot,
    RevertToLab,
    RunnerMarked,
    SetPolicy,
    SetPromotionMode,
    TimingFound,
    UnpinBot,
    WindowMetrics,
)
from autonomy.gates import PromotionGate, Verdict
from autonomy.revert_plan import revert_plan
from autonomy.values import JobStatus, JobType, Stage, instant_of_ms
from planner.decide import promotion_gates
from planner.decide.stages import standing
from planner.decide.view import build_view
from planner.fold.entities import Bot, LiveJob
from planner.tick import Try
from support.builders import FIRST_DAYS, a_digest, a_policy, an_id, bar_starts, metrics
from support.ticks import TickDriver, events_of, jobs_of

ALL_TYPES = tuple(JobType)
STRONG: dict[str, Any] = {
    "metrics": metrics(sharpe=1.4, trades=80, max_drawdown=0.15, exposure=0.5, bars_per_trade=20.0),
    "in_sample": metrics(sharpe=1.5), "out_of_sample": metrics(sharpe=1.1), "timing": TimingFound(z=5.0, p_value=0.001, markets=1000, seed=7), "net_t": 4.0,
}  # fmt: skip
"""A result that passes every gate out of LAB under the default policy."""


def a_document(*, searches: bool = False, **sections: Any) -> dict[str, Any]:
    """The default policy as an operator writes it, LAB bots without searches unless wanted; `lab_gates` replaces LAB's thresholds."""
    document = a_policy().model_dump(mode="json") | {"rules_approvers": 1}
    document["evolution"]["winners"] = "APPLY"
    lab = document["stages"]["LAB"]
    lab["gates"].update(sections.pop("lab_gates", {}))
    document["research"]["concurrency"] = 50  # the other bots' baselines are never claimed here: nobody has to wait for them
    if not searches:
        lab["wants"] = [JobType.BACKTEST_BASELINE.value, JobType.BACKTEST_REFRESH.value]
    for name, section in sections.items():
        document[name].update(section)
    return document


def a_fleet(*bot_ids: str, searches: bool = False, **changes: Any) -> TickDriver:
    """A planner with these LAB bots and a runner that offers everything."""
    driver = TickDriver()
    driver.runner(job_types=ALL_TYPES, evolve_slots=2, runner_slots=50, slots=8)
    driver.command(SetPolicy, "policy", document=a_document(searches=searches), role="approver")
    if bot_ids:
        driver.register(*bot_ids, **changes)
    driver.tick()
    return driver


def said(attempt: Try, kind: type[Any]) -> list[Any]:
    """What a tick said of one kind."""
    return [event for event in events_of(attempt) if isinstance(event, kind)]


def refused(attempt: Try) -> str:
    """The code of the one command that a tick refused."""
    (answer,) = said(attempt, CommandRejected)
    return str(answer.code)


def verdict_of(driver: TickDriver, bot_id: str, code: PromotionGate) -> Verdict:
    """A promotion gate's verdict about a bot, now."""
    view = build_view(driver.state, driver.now_ms)
    return next(gate.verdict for gate in promotion_gates.tree(bot_of(driver, bot_id), view) if gate.code is code)


def bot_of(driver: TickDriver, bot_id: str) -> Bot:
    """The bot as the planner knows it."""
    return driver.state.bots.rows[bot_id]


def job_of(driver: TickDriver, bot_id: str, job_type: JobType | None = None) -> LiveJob:
    """The bot's live job, of a type if named."""
    found = [live for live in driver.live() if live.job.bot_id == bot_id and job_type in (None, live.job.job_type)]
    assert len(found) == 1, (bot_id, job_type, [live.job for live in driver.live()])
    return found[0]


def step(driver: TickDriver, *, after_ms: int = 5_000) -> Any:
    """A beat of the runner, a tick, and what the planner repairs after it."""
    driver.beat(evolve_slots=2, runner_slots=50, slots=8)
    attempt = driver.tick(after_ms=after_ms)
    driver.repair()
    return attempt


def research(driver: TickDriver, bot_id: str, **result: Any) -> Any:
    """Let the bot's live backtest be claimed and succeed; returns the tick that folds the result."""
    live = next(live for live in driver.live() if live.job.bot_id == bot_id and live.job.job_type is not JobType.RUNNER_START)
    if live.job.status is JobStatus.QUEUED:
        driver.claim(live)
        step(driver)
        live = driver.state.jobs.rows[live.job.job_id]
    driver.succeed(live, **{**STRONG, **result})
    return step(driver)


def until_live(driver: TickDriver, bot_id: str, job_type: JobType, *, after_ms: int = 15_000, marks: int = 0) -> LiveJob:
    """Let ticks pass until the bot has a live job of the type, its runner taking `marks` bars before each; searches lose, backtests succeed."""
    for _ in range(80):
        for live in driver.live():
            if live.job.bot_id != bot_id:
                continue
            if live.job.job_type is job_type:
                return live
            if live.job.job_type is JobType.RUNNER_START:
                continue
            if live.job.status is JobStatus.QUEUED:
                driver.claim(live)
            elif live.job.job_type is JobType.EVOLVE:
                driver.finish(live, evolution=a_search(live, order_of(driver, live), challenger=None))
            else:
                driver.succeed(live, **STRONG)
        if marks:
            mark(driver, bot_id, marks)
        step(driver, after_ms=after_ms)
    raise AssertionError(f"{bot_id} never had a live {job_type}")


def order_of(driver: TickDriver, live: LiveJob) -> JobEnqueued:
    """The order of a live job."""
    return next(order for attempt in driver.tries for order in jobs_of(attempt) if order.job_id == live.job.job_id)


def recommended(bot_id: str = "aapl-sma", *, searches: bool = False) -> TickDriver:
    """A fleet of ten with one bot that passes every gate out of LAB, recommended for PAPER."""
    driver = a_fleet(bot_id, *(f"other-{n}" for n in range(9)), searches=searches)
    research(driver, bot_id)
    assert bot_of(driver, bot_id).recommendation is not None
    return driver


def approve(driver: TickDriver, bot_id: str, actor: str = "ada", role: str = "approver", **changes: Any) -> Any:
    """Approve the open recommendation of a bot; returns the tick."""
    known = bot_of(driver, bot_id).recommendation
    said = {"recommendation_id": known.id if known else an_id("none"), **changes}
    driver.command(ApprovePromotion, bot_id=bot_id, actor=actor, role=role, **said)
    return step(driver)


def reject(driver: TickDriver, bot_id: str) -> Any:
    """Reject the open recommendation of a bot; returns the tick."""
    known = bot_of(driver, bot_id).recommendation
    assert known is not None
    driver.command(RejectPromotion, bot_id=bot_id, recommendation_id=known.id, reason="not yet")
    return step(driver)


def on_paper(bot_id: str = "aapl-sma") -> TickDriver:
    """A fleet with one bot promoted to PAPER, its runner claimed."""
    driver = recommended(bot_id)
    approve(driver, bot_id, role="operator")
    live = job_of(driver, bot_id, JobType.RUNNER_START)
    driver.claim(live)
    step(driver)
    return driver


def up_to_shadow(bot_id: str = "aapl-sma") -> TickDriver:
    """A fleet with one bot that traded in PAPER, agreed with the engine, and was promoted to SHADOW."""
    driver = on_paper(bot_id)
    mark(driver, bot_id, 30)
    step(driver, after_ms=450_000)
    renew(driver, bot_id)
    approve(driver, bot_id)
    assert bot_of(driver, bot_id).stage is Stage.SHADOW
    return driver


def renew(driver: TickDriver, bot_id: str, **engine: Any) -> Any:
    """Let the refresh of the running bot succeed, its window as the engine finds it."""
    live = until_live(driver, bot_id, JobType.BACKTEST_REFRESH, marks=1)
    return research(driver, bot_id, window=engine_window(driver, live, **engine))


def a_whole_life(bot_id: str = "aapl-sma") -> TickDriver:
    """Everything that can become of a bot, once: up to CANARY by two approvers, drift, revert, a search, quarantine, retirement.

    Beside it the rules change by two voices, and a runner is forgotten and asked to announce again.
    """
    driver = up_to_shadow(bot_id)
    mark(driver, bot_id, 30)
    step(driver, after_ms=450_000)
    renew(driver, bot_id)
    approve(driver, bot_id, actor="ada")
    approve(driver, bot_id, actor="ben")
    assert bot_of(driver, bot_id).stage is Stage.CANARY
    mark(driver, bot_id, 30)
    step(driver, after_ms=450_000)
    renew(driver, bot_id, trades=8, pnl_usd=300.0)  # the engine found something else
    driver.command(PinBot, bot_id="other-0", reason="kept for comparison")
    driver.command(UnpinBot, "unpin", bot_id="other-0", reason="compared")
    revert(driver, bot_ids=(bot_id,))
    assert bot_of(driver, bot_id).stage is Stage.LAB
    research(driver, bot_id)
    reject(driver, bot_id)
    driver.command(SetPolicy, document=a_document(searches=True, leases={"failures_limit": 1}), role="approver")
    live = until_live(driver, bot_id, JobType.EVOLVE)
    driver.claim(live)
    step(driver)
    live = driver.state.jobs.rows[live.job.job_id]
    driver.finish(live, evolution=a_search(live, order_of(driver, live)))
    step(driver)
    driver.command(SetPolicy, document=a_document(searches=True, leases={"failures_limit": 1}) | {"rules_approvers": 2}, role="approver")
    step(driver)
    for actor in ("ada", "ben"):
        driver.command(SetPromotionMode, mode="AUTO", role="approver", actor=actor)
        step(driver)
    driver.command(ChangeBot, bot_id=bot_id, symbol="IBM")
    driver.command(HoldBot, bot_id="other-1")
    driver.command(RetireBot, bot_id="other-2")
    driver.command(PauseLoop)
    driver.say(AttemptRefused(
        attempt_id=an_id("a stranger's"), command="pause-loop", actor="vera", role="viewer", code="FORBIDDEN", field="role", limit="operator",
    ))  # fmt: skip
    step(driver)
    driver.command(ResumeLoop)
    driver.command(ReleaseHold, bot_id="other-1")
    step(driver)
    driver.claim(next(live for live in driver.live(JobStatus.QUEUED) if live.failures_limit == 1))
    step(driver)
    for _ in range(6):  # nobody beats for longer than a lease, and the order allows no failure
        driver.tick(after_ms=60_000)
        driver.repair()
    driver.beat(announcement=a_digest("an announcement"))
    driver.tick(after_ms=5_000)
    return driver


def mark(driver: TickDriver, bot_id: str, bars: int = 1, *, units: float = 1.0, **changes: Any) -> None:
    """Let the bot's runner take its next bars."""
    live = job_of(driver, bot_id, JobType.RUNNER_START)
    bot = bot_of(driver, bot_id)
    assert bot.paper is not None
    starts = [start for start in bar_starts(FIRST_DAYS[bot.symbol]) if start > (bot.paper.last_ms or bot.paper.from_ms)]
    for number, start in enumerate(starts[:bars], start=1):
        bar = (bot.paper.bar if bot.paper.bar is not None else 2_000) + number
        plain: dict[str, Any] = {
            "session_id": bot.paper.session_id, "bot_id": bot_id, "job_id": live.job.job_id, "tick": live.job.tick,
            "attempt": live.job.attempt, "claim_id": live.job.claim_id, "process_id": live.job.process_id, "bar_start": instant_of_ms(start),
            "bar": bar, "close_usd": 100.0, "equity_usd": 100_100.0, "cash_usd": 50_000.0, "units": units,
            "trades": 12, "traded_bars": bot.paper.traded_bars + number, "pnl_usd": 100.0, "max_drawdown": 0.02, "sharpe": 0.9,
            "replay": True, "outcome": BarOutcome.HELD, "wanted": 1.0, "late_bars": 0,
            "flat": FlatValue(units=units, price_usd=99.9, fee_usd=0.1, equity_usd=100_090.0, pnl_usd=90.0 if units else None),
        }  # fmt: skip
        said = plain | changes
        snapshot = PaperSnapshot(
            state=(0.5, 1.5),
            account=(1.0,),
            tally=(2.0,),
            trade=(3.0,),
            target=1,
            bars_seen=bar + 1,
            outcomes=(0, 0, 0, said["traded_bars"]),
        )
        driver.say(RunnerMarked(**{"snapshot": snapshot, **said}))


def engine_window(driver: TickDriver, live: LiveJob, **changes: Any) -> WindowMetrics:
    """What the engine finds over the window of a refresh: by default the very same as the session."""
    order = order_of(driver, live)
    assert order.window is not None
    assert live.measure is not None
    plain: dict[str, Any] = {
        "from_bar": order.window.from_bar, "until_bar": order.window.until_bar, "bars": live.measure.bars,
        "trades": live.measure.trades, "pnl_usd": live.measure.pnl_usd, "sharpe": live.measure.sharpe,
        "max_drawdown": live.measure.max_drawdown,
    }  # fmt: skip
    return WindowMetrics(**{**plain, **changes})


def revert(driver: TickDriver, name: str = "", **filters: Any) -> Any:
    """Dry run, command, tick."""
    plan = plan_of(driver, **filters)
    said = {"plan_hash": plan.hash, "expected_count": len(plan.moved), **filters}
    driver.command(RevertToLab, name or f"revert-{driver.sequence}", **said)
    return step(driver)


def plan_of(driver: TickDriver, **filters: Any) -> Any:
    """The dry run of a revert."""
    probe = RevertToLab(
        command_id=an_id("dry run"), actor="ada", role="operator", plan_hash=a_digest("unknown"), expected_count=0, **filters
    )
    return revert_plan(probe, (standing(bot) for bot in driver.state.bots.rows.values()))


def a_search(live: LiveJob, order: JobEnqueued, **changes: Any) -> EvolutionSummary:
    """What a search found: a challenger that wins under the default policy."""
    contender: dict[str, Any] = {
        "parameters": dict(order.parameters), "fingerprint": live.fingerprint, "folds_sharpe": 0.2, "holdout_sharpe": 0.1,
        "holdout_psr": 0.5, "holdout_trades": 19, "holdout_max_drawdown": 0.2,
    }  # fmt: skip
    better = {
        **contender, "parameters": {**order.parameters, "fast": 10}, "fingerprint": a_digest("challenger"), "folds_sharpe": 1.1,
        "holdout_sharpe": 1.0, "holdout_psr": 0.97,
    }  # fmt: skip
    plan = order.evolution
    assert plan is not None
    plain: dict[str, Any] = {
        "fingerprint": live.fingerprint, "data_sha256": a_digest("bars"), "source_id": "us-stocks-2013", "synthetic": False,
        "bars": 2_480, "first_bar": order.bars_until - timedelta(days=3_500), "last_bar": order.bars_until,
        "holdout_from": order.bars_until - timedelta(days=900), "holdout_bars": 620, "paired_t": 2.5, "seed": plan.seed, "generations": plan.generations,
        "evaluations": 192, "stop_reason": "GENERATIONS_DONE", "champion": Contender(**contender),
        "challenger": Contender(**better), "dsr": 0.9, "pbo": 0.2, "trials_sha256": a_digest("trials"), "elapsed_s": 1.0,
    }  # fmt: skip
    return EvolutionSummary(**{**plain, **changes})
