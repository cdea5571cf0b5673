"""Test data that says only what a test is about: `a_*` builds the rest.

Everything is derived from names, so the same test has the same ids, days and hashes on any machine.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from autonomy import lifecycle
from autonomy.bar_outcomes import BarOutcome
from autonomy.bar_times import pack_times
from autonomy.events import (
    BacktestMetrics,
    CapabilitiesAnnounced,
    Command,
    EquityCurve,
    HeldJob,
    JobEnqueued,
    ResearchSummary,
    RunnerHeartbeat,
    SymbolBars,
    TimingFound,
)
from autonomy.identities import PLANNER
from autonomy.market_clock import ms_of_day
from autonomy.policy import Policy, read_policy
from autonomy.reasons import Ended
from autonomy.values import Cause, JobClass, JobStatus, JobType, Origin, Stage, derived_id, instant_of_ms, ms_of, partition_of
from autonomy.work import class_of
from planner.decide.plan import Plan, decide
from planner.decide.view import View, build_view
from planner.fold.entities import Bot, ClassRecord, Figures, LiveJob
from planner.fold.slices import fold_capabilities
from planner.fold.state import State
from support.changes import replace
from support.days import utc, utc_ms
from support.offers import OFFERS, checked, offer

NOON_MS = 1_795_348_800_000
"""Wall time at which the replay of most tests begins, milliseconds."""
SECOND_MS = 1_000
HOUR_MS = 3_600_000
OPERATOR = "ada"
FIRST_DAYS = {
    "AAPL": date(2000, 3, 1),
    "GOOG": date(2004, 8, 19),
    "IBM": date(2000, 3, 1),
    "MSFT": date(2000, 3, 1),
    "FB": date(2012, 5, 18),
}
LAST_DAY = date(2013, 3, 1)
LAST_SHOWN = utc(2010, 1, 4)


def an_id(name: str) -> str:
    """An id in its wire form."""
    return derived_id("test", name)


def a_digest(name: str) -> str:
    """A SHA-256 in its wire form."""
    return hashlib.sha256(name.encode()).hexdigest()


HURRICANE = {date(2012, 10, 29), date(2012, 10, 30)}


def _is_trading_day(day: date) -> bool:
    """Weekdays but the exchange's regular holidays and one hurricane: close enough to its calendar."""
    if day.weekday() >= 5 or (day.month, day.day) in {(1, 1), (7, 4), (12, 25)} or day in HURRICANE:
        return False
    week = (day.day - 1) // 7 + 1
    third_monday = day.weekday() == 0 and day.month in {1, 2} and week == 3
    labour_or_memorial = day.weekday() == 0 and ((day.month == 9 and week == 1) or (day.month == 5 and day.day > 24))
    return not (third_monday or labour_or_memorial or (day.month == 11 and day.weekday() == 3 and week == 4))


@lru_cache(maxsize=64)
def bar_starts(first: date, last: date = LAST_DAY) -> tuple[int, ...]:
    """Starts of daily bars, ms, rising."""
    span = (last - first).days + 1
    return tuple(ms_of_day(day) for day in (first + timedelta(days=n) for n in range(span)) if _is_trading_day(day))


@lru_cache(maxsize=64)
def a_symbol(symbol: str, content: str = "") -> SymbolBars:
    """A symbol's bars as announced; `content` tells apart two sets of data."""
    starts = bar_starts(FIRST_DAYS[symbol])
    return SymbolBars(
        symbol=symbol, timeframe="1d", first=instant_of_ms(starts[0]),
        last=instant_of_ms(starts[-1]), bars=len(starts), times=pack_times(starts, "1d"), bars_per_year=252, live=False,
        sha256=a_digest(content or symbol), source_id="us-stocks-2013", synthetic=False,
    )  # fmt: skip


def capabilities(
    process: str = "runner-1",
    *,
    symbols: tuple[str, ...] = tuple(FIRST_DAYS),
    strategies: tuple[str, ...] | None = None,
    content: str = "",
    code: str = "v1",
    engine: str = "engine-1",
    slots: int = 2,
    evolve_slots: int = 0,
    runner_slots: int = 0,
    job_types: tuple[JobType, ...] = (JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH),
) -> CapabilitiesAnnounced:
    """What a runner process announces: by default the whole catalogue and all symbols."""
    names = strategies if strategies is not None else tuple(OFFERS)
    return CapabilitiesAnnounced(
        process_id=an_id(process), engine_version=engine, job_types=job_types,
        strategies=tuple(offer(name, a_digest(name + code)) for name in names),
        symbols=tuple(a_symbol(symbol, content and content + symbol) for symbol in symbols), research_slots=slots,
        evolve_slots=evolve_slots, runner_slots=runner_slots,
    )  # fmt: skip


def a_policy(**sections: Any) -> Policy:
    """The default policy with parts replaced: `a_policy(research={"concurrency": 1})`."""
    return read_policy(sections)


def a_bot(bot_id: str = "aapl-sma", *, waiting_since: int = NOON_MS, **changes: Any) -> Bot:
    """A registered LAB bot without evidence."""
    strategy = changes.pop("strategy", "sma-cross")
    parameters = checked(strategy, changes.pop("parameters", {}))
    plain = Bot(
        id=bot_id, name=bot_id, strategy=strategy, parameters=tuple(sorted(parameters.items())), symbol="AAPL",
        timeframe="1d", stage=Stage.LAB, stage_version=1, origin=Origin.NEW, verified=True, pinned=False, version=1,
        eligible_ms=waiting_since, phase=0,
    )  # fmt: skip
    return replace(plain, **changes)


def a_bot_document(bot_id: str = "aapl-sma", **changes: Any) -> dict[str, Any]:
    """A bot as an operator writes it."""
    return {"id": bot_id, "strategy": "sma-cross", "symbol": "AAPL", **changes}


def a_state(
    *bots: Bot, policy: Policy | None = None, runners: tuple[CapabilitiesAnnounced, ...] | None = None, epoch_ms: int = NOON_MS
) -> State:
    """A state with these bots, and one live runner that offers everything unless said otherwise."""
    state = State()
    known = policy or a_policy()
    state.single = replace(
        state.single, policy=known, policy_hash=known.hash(), policy_by="ada" if policy else PLANNER, market_epoch_ms=epoch_ms
    )
    for said in (capabilities(),) if runners is None else runners:
        fold_capabilities(state, said, set())
    for bot in bots:
        state.bots.put(bot.id, bot)
    return state


def a_command(kind: type[Command], name: str = "command-1", **fields: Any) -> Command:
    """A command of an operator; `name` makes its id."""
    said: dict[str, Any] = {"actor": OPERATOR, "role": "operator", "reason": "a test", **fields}
    return kind(command_id=an_id(name), **said)


def an_order(bot_id: str = "aapl-sma", *, tick: int = 1, seq: int = 1, **changes: Any) -> JobEnqueued:
    """A job of an accepted tick."""
    job_type = changes.get("job_type", JobType.BACKTEST_BASELINE)
    policy = a_policy()
    plain: dict[str, Any] = {
        "job_id": an_id(f"job/{bot_id}/{tick}/{seq}"), "bot_id": bot_id, "job_type": job_type,
        "job_class": class_of(job_type), "tick": tick, "partition": partition_of(bot_id, 12), "strategy": "sma-cross",
        "parameters": {"fast": 20, "slow": 50, "direction": "long"}, "symbol": "AAPL", "timeframe": "1d",
        "bars_until": utc(2010, 1, 4), "bars_per_year": 252, "min_bars": 250, "costs": policy.research.costs,
        "initial_cash_usd": "100000.00", "suite": policy.research.suite, "fingerprint": a_digest("fingerprint"),
        "timeout_s": 600, "lease_s": 15.0, "failures_limit": 3,
    }  # fmt: skip
    return JobEnqueued(**{**plain, **changes})


def a_live_job(
    state: State, bot_id: str, name: str = "job-1", *, status: JobStatus = JobStatus.QUEUED, cancel: Cause | None = None,
    job_type: JobType = JobType.BACKTEST_BASELINE, attempt: int = 1, failures: int = 0, silent_ms: int = 0,
) -> LiveJob:  # fmt: skip
    """Give a bot of a state a live job."""
    running = status is JobStatus.RUNNING
    job = lifecycle.Job(
        job_id=an_id(name), bot_id=bot_id, job_type=job_type, job_class=class_of(job_type), tick=1, seq=1,
        partition=partition_of(bot_id, 12), status=status, attempt=attempt, failures=failures,
        claim_id=an_id(f"claim/{name}") if running else None, process_id=an_id("runner-1") if running else None,
    )  # fmt: skip
    live = LiveJob(
        job, a_digest("fingerprint"), a_digest("AAPL"), utc_ms(2010, 1, 4), NOON_MS, failures_limit=3,
        silent_ms=silent_ms, cancel=cancel,
    )  # fmt: skip
    state.jobs.put(job.job_id, live)
    bot = state.bots.rows[bot_id]
    record = replace(bot.record_of(job.job_class), job_id=job.job_id)
    held = replace(bot, research=record) if job.job_class is JobClass.RESEARCH else replace(bot, runner=record)
    state.bots.put(bot_id, held)
    return live


def figures(**changes: Any) -> Figures:
    """What the gates read of a backtest that passes every promotion gate of the default policy."""
    plain: dict[str, Any] = {
        "sharpe": 1.4, "trades": 80, "max_drawdown": 0.15, "exposure": 0.5, "bars_per_trade": 20.0, "timing_z": 5.0,
        "timing_p": 0.001, "markets": 1000, "net_t": 4.0, "look_ahead_ok": True, "synthetic": False, "costs_bps": 15.0,
    }  # fmt: skip
    return Figures(**{**plain, **changes})


def ended(how: str, at_ms: int = NOON_MS, crashes: int = 0) -> ClassRecord:
    """A class whose last job ended."""
    return ClassRecord(ended_ms=at_ms, ended=Ended(how), crashes=crashes)


def a_beat(
    process: str = "runner-1", *held: HeldJob, slots: int = 2, sequence: int = 1, stopping: bool = False, **more: Any
) -> RunnerHeartbeat:
    """A sign of life."""
    return RunnerHeartbeat(process_id=an_id(process), sequence=sequence, jobs=held, research_slots=slots, stopping=stopping, **more)


def metrics(**changes: Any) -> BacktestMetrics:
    """Plausible results of a backtest."""
    plain: dict[str, Any] = {
        "sharpe": 0.8, "sortino": 1.1, "cagr": 0.07, "max_drawdown": 0.21, "exposure": 0.6, "turnover_per_year": 9.0,
        "trades": 41, "win_rate": 0.5, "profit_factor": 1.4, "bars_per_trade": 30.0, "costs_usd": "412.17",
        "final_equity_usd": "163000.00",
    }  # fmt: skip
    return BacktestMetrics(**{**plain, **changes})


def a_summary(fingerprint: str, *, bars: int = 2500, last_bar: datetime = LAST_SHOWN, **changes: Any) -> ResearchSummary:
    """What a finished baseline found."""
    plain: dict[str, Any] = {
        "fingerprint": fingerprint, "data_sha256": a_digest("bars"), "source_id": "us-stocks-2013", "synthetic": False,
        "bars": bars, "first_bar": utc(2000, 3, 1), "last_bar": last_bar, "metrics": metrics(), "in_sample": metrics(),
        "out_of_sample": metrics(sharpe=None), "buy_and_hold": metrics(trades=1), "look_ahead_ok": True,
        "look_ahead_cuts": 60, "psr": 0.9, "dsr": 0.4, "trials": 25, "stress_worst_sharpe": 0.3,
        "neighbourhood_median_sharpe": 0.6, "timing": TimingFound(z=0.4, p_value=0.3, markets=100, seed=7), "net_t": 0.5,
        "curve": EquityCurve.of(utc_ms(2000, 3, 1), [(utc_ms(2000, 3, 1), 1.0, 1.0), (ms_of(last_bar), 1.63, 1.2)]), "artifact": None, "elapsed_s": 3.25,
        "outcomes": {BarOutcome.NO_SIGNAL: bars},
    }  # fmt: skip
    return ResearchSummary(**{**plain, **changes})


def plan_at(state: State, now_ms: int = NOON_MS) -> tuple[Plan, View]:
    """Decide once."""
    view = build_view(state, now_ms)
    return decide(state, view), view


def by_bot(plan: Plan) -> Mapping[str, Any]:
    """Decisions by bot id."""
    return {decision.bot_id: decision for decision in plan.decisions}
