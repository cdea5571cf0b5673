"""Made-up fleets for the benchmarks: many bots in every situation, derived from numbers, so each run has the same."""

import hashlib
from datetime import date, timedelta
from typing import Final

from msgspec.structs import replace

from autonomy.bar_times import pack_times
from autonomy.events import CapabilitiesAnnounced, SymbolBars
from autonomy.lifecycle import Job
from autonomy.market_clock import ms_of_day
from autonomy.policy import Policy, read_policy
from autonomy.reasons import Ended
from autonomy.values import JobClass, JobStatus, JobType, Origin, Stage, derived_id, instant_of_ms, partition_of
from job_runner.strategies.coded import installed
from planner.decide.view import View, build_view
from planner.fold.entities import Bot, ClassRecord, Evidence, Figures, LiveJob
from planner.fold.slices import fold_capabilities
from planner.fold.state import State

NOON_MS: Final = 1_795_348_800_000
BAR_MS: Final = 15_000
BARS_GONE: Final = 100
FIRST: Final = date(2000, 3, 1)
LAST: Final = date(2013, 3, 1)
SYMBOLS: Final = ("AAPL", "GOOG", "IBM", "MSFT")
SHORT: Final = "FB"
STRATEGIES: Final = tuple(installed().strategies)
DEFAULTS: Final = {name: tuple(sorted(coded.check({}).items())) for name, coded in installed().strategies.items()}


def digest(name: str) -> str:
    """A SHA-256 in its wire form."""
    return hashlib.sha256(name.encode()).hexdigest()


def an_id(name: str) -> str:
    """An id in its wire form."""
    return derived_id("bench", name)


def bot_id(number: int) -> str:
    """The id of a made-up bot."""
    return f"bot-{number:06d}"


def bench_policy(**research: object) -> Policy:
    """The default policy with N and the spacing of early ticks lifted.

    A no-op result is no evidence, so its bot would be due again at once: it rests for a year instead.
    """
    lifted = {"concurrency": 100_000, "queue_ahead": 0, "max_enqueues_per_hour": 10_000_000, "queued_per_slot": 100_000}
    rest = {"after_success_s": 31_536_000}
    return read_policy(
        {"name": "bench", "early_tick_spacing_s": 0.0, "rules_approvers": 1, "research": lifted | research, "cooldowns": rest}
    )


def _symbol(name: str, first: date) -> SymbolBars:
    starts = tuple(
        ms_of_day(day) for day in (first + timedelta(days=n) for n in range((LAST - first).days + 1)) if day.weekday() < 5
    )  # fmt: skip
    return SymbolBars(
        symbol=name, timeframe="1d", first=instant_of_ms(starts[0]), last=instant_of_ms(starts[-1]), bars=len(starts),
        times=pack_times(starts, "1d"), bars_per_year=252, live=False, sha256=digest(name),
        source_id="bench", synthetic=True,
    )  # fmt: skip


def capabilities(process_id: str, slots: int = 2) -> CapabilitiesAnnounced:
    """What a made-up runner process announces: the whole catalogue, four long symbols and a short one."""
    return CapabilitiesAnnounced(
        process_id=process_id, engine_version="bench",
        job_types=(JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH),
        strategies=tuple(coded.offer.model_copy(update={"code_hash": digest(name)}) for name, coded in installed().strategies.items()),
        symbols=(*(_symbol(name, FIRST) for name in SYMBOLS), _symbol(SHORT, date(2012, 5, 18))), research_slots=slots,
    )  # fmt: skip


def a_bot(number: int, **changes: object) -> Bot:
    """A registered LAB bot without evidence."""
    strategy = STRATEGIES[number % len(STRATEGIES)]
    name = bot_id(number)
    plain = Bot(
        id=name, name=name, strategy=strategy, parameters=DEFAULTS[strategy], symbol=SYMBOLS[number % len(SYMBOLS)], timeframe="1d",
        stage=Stage.LAB, stage_version=1, origin=Origin.NEW, verified=True, pinned=False, version=1,
        eligible_ms=NOON_MS - 60_000 - number, phase=number * 7919,
    )  # fmt: skip
    return replace(plain, **changes)


def mixed_state(count: int, policy: Policy | None = None) -> State:
    """A fleet in which every situation occurs: fresh, due, blocked, resting, busy, held, imported.

    Of 20 bots: 11 have fresh evidence, 4 wait for a slot, 2 are blocked (too few bars; an unverified import), 1 rests after
    a crash, 1 has a live job, 1 is on hold.
    """
    state = State()
    rules = policy or read_policy({})
    state.single = replace(state.single, policy=rules, market_epoch_ms=NOON_MS - BARS_GONE * BAR_MS)
    fold_capabilities(state, capabilities(an_id("runner")), set())
    view = build_view(state, NOON_MS)
    for number in range(count):
        bot = _in_situation(number, state, view)
        state.bots.put(bot.id, bot)
    return state


def _in_situation(number: int, state: State, view: View) -> Bot:
    bot = a_bot(number)
    match number % 20:
        case 0 | 1 | 2 | 3:
            return bot
        case 4:
            return replace(bot, symbol=SHORT)
        case 5:
            return replace(bot, stage=Stage.PAPER, verified=False, origin=Origin.IMPORTED)
        case 6:
            return replace(bot, research=ClassRecord(ended_ms=NOON_MS - 1_000, ended=Ended.CRASH, crashes=1))
        case 7:
            job = Job(
                an_id(f"job/{number}"), bot.id, JobType.BACKTEST_BASELINE, JobClass.RESEARCH, 1, number,
                partition_of(bot.id, 12), JobStatus.RUNNING, claim_id=an_id(f"claim/{number}"), process_id=an_id("runner"),
            )  # fmt: skip
            live = LiveJob(job, digest("fingerprint"), digest(bot.symbol), view.market_ms, NOON_MS, failures_limit=3)
            state.jobs.put(job.job_id, live)
            return replace(bot, research=ClassRecord(job_id=job.job_id))
        case 8:
            return replace(bot, hold="held by ada")
        case _:
            return fresh(bot, view)


FIGURES = Figures(
    sharpe=0.6, trades=60, max_drawdown=0.3, exposure=0.5, bars_per_trade=20.0, timing_z=0.7, timing_p=0.3, markets=100, net_t=0.9,
    look_ahead_ok=True, synthetic=False, costs_bps=15.0,
)  # fmt: skip
"""A plain bot: too good to be searched for something better, not good enough to be promoted."""


def fresh(bot: Bot, view: View) -> Bot:
    """The bot with evidence on the bars of the day before."""
    bars = view.data[bot.symbol, bot.timeframe].bars
    until = view.data[bot.symbol, bot.timeframe].times.at(bars - 1)
    evidence = Evidence(an_id(f"job/{bot.id}"), view.fingerprint(bot), digest(bot.symbol), until, bars, NOON_MS - 600_000, FIGURES)
    return replace(bot, evidence=evidence, research=ClassRecord(ended_ms=NOON_MS - 600_000, ended=Ended.SUCCEEDED))
