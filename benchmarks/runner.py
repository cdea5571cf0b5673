"""Paper sessions: bars per second of the session alone, and of a runner process on a broker that says and has acknowledged each bar.

The bars are all released already, as after an outage: the rate is how fast a session catches up. Every bar is one append, and the
next one waits for its ack, so the broker's round trip is the limit of one session; many sessions share appends.
"""

import asyncio
import statistics
import time

from autonomy import clock
from autonomy.chain import GENESIS, root_of, write_records, write_seal
from autonomy.envelope import encode
from autonomy.events import Costs, JobEnqueued, MarketTime, PaperOrder, PlannerRun, SuiteSizes
from autonomy.kafka import Outgoing, append_batch, build_producer, ensure_topics
from autonomy.log_reader import LogReader
from autonomy.policy import DEFAULT
from autonomy.topics import DEFAULT_PARTITIONS, RUNNERS, RUNS, Topic
from autonomy.values import JobType, TickCause, derived_id, instant_of_ms, partition_of
from autonomy.work import class_of
from benchmarks.limits import bar_calls, raw_append
from benchmarks.measure import Context, Measure, absolute, at_least, at_most, reference
from benchmarks.servers import Platform, platform
from job_runner.claims.queue import Claim
from job_runner.engine.account import Costs as EngineCosts
from job_runner.engine.programs import Axis
from job_runner.engine.running import begin
from job_runner.market.sources import EmbeddedMarketData
from job_runner.paper.session import PaperSession, TimedBar
from job_runner.research.backtest import fingerprint_in
from job_runner.research.orders import order_of
from job_runner.strategies.coded import by_name
from job_runner.strategies.warming import warm_installed

SYMBOL = "AAPL"
PARAMETERS = {"fast": 20, "slow": 50, "direction": "long"}
ROUNDS = 15
SESSIONS = 50
SESSION_BARS = 3_000
FIGURE_US = 1.0
LEAST_MANY = 300
"""A replay at one bar per 15 s needs 3.3 bars/s for this many sessions; the rest is for catching up."""
WAIT_S = 120


def an_id(name: str) -> str:
    """An id in its wire form."""
    return derived_id("bench", name)


def an_order(bot_id: str, bars: int) -> JobEnqueued:
    """A session over the last so many of the embedded bars, all of them released long ago."""
    market = EmbeddedMarketData()
    found = market.bars(SYMBOL, "1d", 2**60)
    ends = [instant_of_ms(int(start)) for start in found.time[[-bars - 1, -1]]]
    time_of = MarketTime(mode="REPLAY", start=ends[0].date(), end=ends[1].date(), seconds_per_bar=0.001, epoch=instant_of_ms(0))
    paper = PaperOrder(session_id=an_id(f"session/{bot_id}"), from_bar=ends[0], market=time_of, session_s=86_400, stop="FLATTEN")
    order = JobEnqueued(
        job_id=an_id(f"job/{bot_id}"), bot_id=bot_id, job_type=JobType.RUNNER_START, job_class=class_of(JobType.RUNNER_START), tick=1,
        partition=partition_of(bot_id, DEFAULT_PARTITIONS), strategy="sma-cross", parameters=PARAMETERS, symbol=SYMBOL, timeframe="1d",
        bars_until=ends[1], bars_per_year=252, min_bars=250,
        costs=Costs(fee_bps=10.0, slippage_bps=5.0), initial_cash_usd="100000.00", suite=SuiteSizes(),
        fingerprint="0" * 64, timeout_s=600, lease_s=15.0, failures_limit=3, paper=paper,
    )  # fmt: skip
    return order.model_copy(update={"fingerprint": fingerprint_in(order_of(order), found.source_id, by_name(order.strategy))})


async def seal(bootstrap: str, orders: list[JobEnqueued]) -> None:
    """The first tick of a chain, with these jobs."""
    now_ms, try_id = clock.now_ms(), an_id("try")
    records = write_records(orders, [order.bot_id for order in orders], 1, try_id, now_ms)
    digest = "0" * 64
    run = PlannerRun(
        run_id=an_id("run"), tick=1, prev_hash=GENESIS.hash, try_id=try_id, process_id=an_id("planner"), count=len(records),
        root=root_of(records), cut={}, inputs=0, input_root=digest, cause=TickCause.SCHEDULED, due_at=instant_of_ms(now_ms),
        now=instant_of_ms(now_ms), elapsed_ms=0, market_now=instant_of_ms(0), state_hash=digest, horizon=GENESIS,
        policy_hash=DEFAULT.hash(), decider="bench", registered=0, evaluated=0, jobs_enqueued=len(records), blocked=0,
        reason_counts={}, blocker_counts={}, zero_jobs=None, live_jobs=0, loop_enabled=True, errors=(), digest=digest, hash="",
    )  # fmt: skip
    _, last = write_seal(run, now_ms)
    producer = await build_producer(bootstrap)
    await append_batch(producer, RUNS, 0, [Outgoing(record.key, record.value, record.headers()) for record in (*records, last)])
    await producer.stop()


async def marks(bootstrap: str, wanted: int, servers: Platform) -> tuple[float, int]:
    """Marks per second from the first to the last of so many, by the broker's own clock, and the size of one."""
    spans: list[int] = []
    size = 0
    async with await LogReader.open(bootstrap, {RUNNERS: [0] * DEFAULT_PARTITIONS}) as reader:
        deadline = time.monotonic() + WAIT_S
        while len(spans) < wanted:
            servers.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(spans)} of {wanted} marks within {WAIT_S} s")
            for record in await reader.poll(100):
                if b'"runner-marked.v1"' in (record.value or b"")[:400]:
                    spans.append(record.timestamp)
                    size = len(record.value or b"")
    return len(spans) / ((max(spans) - min(spans)) / 1000), size


def through_a_broker(ctx: Context, sessions: int, bars: int) -> tuple[float, float]:
    """Bars per second of a runner process with so many sessions; of aiokafka alone, as many writers, the same bytes."""

    async def begin() -> None:
        await ensure_topics(servers.bootstrap, [Topic(raw_append.TOPIC, DEFAULT_PARTITIONS, "the limit's records")])
        await seal(servers.bootstrap, [an_order(f"bot-{number:03}", bars) for number in range(sessions)])

    with platform(ctx.folder / f"runner-{sessions}", database=False) as servers:
        asyncio.run(begin())
        servers.service(
            "runner", "-m", "job_runner", RUNNER_RESEARCH_SLOTS="1", RUNNER_EVOLVE_SLOTS="0", RUNNER_PAPER_SLOTS=str(sessions)
        )  # fmt: skip
        rate, size = asyncio.run(marks(servers.bootstrap, sessions * bars, servers))
        return rate, asyncio.run(raw_append.rate(servers.bootstrap, size, max(20, bars // 4), sessions))


def stepping(rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Microseconds per bar: of the engine bar by bar, of the session with its records made and encoded, of the bare calls; in turns."""
    warm_installed()
    order = an_order("bench", SESSION_BARS)
    found = EmbeddedMarketData().bars(SYMBOL, "1d", 2**60)
    first = len(found) - SESSION_BARS
    bars = [TimedBar.at(found, number) for number in range(first, len(found))]
    rows = [bar.prices_and_volume for bar in bars]
    limit = bar_calls.ready([(bar.open, bar.close) for bar in bars])
    sma = by_name("sma-cross").program(PARAMETERS, Axis(SYMBOL, "1d", found.time))
    costs, claim = EngineCosts(10.0, 5.0), Claim(order, 1, an_id("claim"), 0.0)
    engine_us, session_us, bare_us = [], [], []
    per_bar = 1e6 / len(bars)
    for _ in range(rounds):
        bare_us.append(limit() * per_bar)
        engine = begin(sma, costs, 100_000.0)
        started = time.perf_counter()
        for row in rows:
            engine.on_bar(*row)
        engine_us.append((time.perf_counter() - started) * per_bar)
        session = PaperSession.resumed(order, None)
        session.warm_up(found)
        started = time.perf_counter()
        for bar in bars:
            for said in session.take(bar, claim, an_id("runner")):
                encode(said, source="autonomy/bench", subject=said.bot_id, time=clock.now(), event_id=said.session_id)
        session_us.append((time.perf_counter() - started) * per_bar)
    return engine_us, session_us, bare_us


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    engine, session, bare = stepping(max(3, ctx.rounds(ROUNDS)))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(engine, bare, strict=True))
    one, raw_one = through_a_broker(ctx, 1, ctx.size(2_000))
    many, raw_many = through_a_broker(ctx, SESSIONS, ctx.size(400))
    limit = statistics.median(bare)
    ctx.note(f"runner: {SESSIONS} sessions have {many / raw_many:.2f} of aiokafka with as many writers, {raw_many:,.0f}/s")
    return [
        at_most("engine bar by bar, from Python", statistics.median(engine), "µs/bar", ("bare step and fill calls", limit), 5, ratio),
        absolute("  session with its records, encoded", 1e6 / statistics.median(session), "bars/s", least=2_000),
        at_least("one session through a broker, each bar acknowledged", one, "bars/s", ("aiokafka, same bytes, read back", raw_one), 0.3),
        absolute(f"{SESSIONS} sessions in one process", many, "bars/s", least=LEAST_MANY),
        reference("bare step and fill calls", limit, "µs/bar", FIGURE_US, rate=False),
    ]
