"""Paper sessions for tests: orders, made-up bars, and a planner's part played by hand on a real log."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from autonomy import clock, lifecycle
from autonomy.chain import GENESIS, AcceptedTick, Chain, write_records
from autonomy.envelope import Undecodable, decode, encode
from autonomy.events import (
    Event,
    Head,
    JobCancelled,
    JobEnqueued,
    JobRequeued,
    MarketTime,
    PaperOrder,
    RunnerMarked,
    RunnerPulse,
    RunnerTraded,
)
from autonomy.kafka import Outgoing, append_batch, build_producer
from autonomy.lifecycle import Job, JobFold, JobStep
from autonomy.log_reader import LogReader
from autonomy.market_clock import day_of_weekday_index, weekday_index
from autonomy.timeframes import DAY_MS, MS
from autonomy.topics import JOBS, PULSE, RUNNERS, RUNS, TOPICS
from autonomy.values import Cause, JobType, instant_of_ms, ms_of, partition_of
from job_runner.claims.queue import Claim
from job_runner.engine.account import Costs
from job_runner.engine.bar_by_bar import BarByBar
from job_runner.engine.compiled import FloatArray, IntArray
from job_runner.market.sources import END_OF_TIME_MS, Bars, EmbeddedMarketData, MarketData
from job_runner.research.orders import order_of
from support.builders import an_id, an_order
from support.days import utc
from support.strategies import fingerprint_of_order, program
from support.ticks import a_seal

PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}
QUICK = {"fast": 2, "slow": 6, "direction": "long-short"}


FROM_BAR = utc(2010, 1, 4)


def a_paper_order(
    bot_id: str = "aapl-sma", *, market: MarketData | None = None, seconds_per_bar: float = 0.05, epoch_ms: int = 0, session_s: int = 3600,
    start: str = "2010-01-04", from_bar: datetime = FROM_BAR, session: str = "", end: str = "2013-03-01", **changes: Any,
) -> JobEnqueued:  # fmt: skip
    """A RUNNER_START job on the embedded bars; it trades often."""
    paper = PaperOrder(
        session_id=an_id(session or f"session/{bot_id}"), from_bar=from_bar,
        market=MarketTime(
            mode="REPLAY", start=start, end=end, seconds_per_bar=seconds_per_bar, epoch=instant_of_ms(epoch_ms or clock.now_ms())
        ),
        session_s=session_s, stop="FLATTEN",
    )  # fmt: skip
    made = an_order(
        bot_id, **{"job_type": JobType.RUNNER_START, "parameters": QUICK, "paper": paper, "partition": partition_of(bot_id, 12), **changes}
    )  # fmt: skip
    source_id = (market or EmbeddedMarketData()).bars(made.symbol, made.timeframe, END_OF_TIME_MS).source_id
    return made.model_copy(update={"fingerprint": fingerprint_of_order(order_of(made), source_id)})


@dataclass(frozen=True)
class RowsMarket:
    """Given bars, one a weekday, as a source of market data."""

    rows: FloatArray
    first_day: int = 10_960
    timeframe: str = "1d"
    """Of daily bars one a weekday, else one after the other."""
    ahead: int = 0
    """Bars that it hands out beyond the instant it was asked for: a broken source."""

    def markets(self) -> tuple[tuple[str, str], ...]:
        return (("AAPL", self.timeframe),)

    def starts(self) -> IntArray:
        if self.timeframe != "1d":
            return self.first_day * DAY_MS + np.arange(len(self.rows), dtype=np.int64) * MS[self.timeframe]
        start = weekday_index(self.first_day)
        return np.array([day_of_weekday_index(start + number) for number in range(len(self.rows))], dtype=np.int64) * DAY_MS

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        time = self.starts()
        count = min(len(time), int(np.searchsorted(time, until, side="right")) + self.ahead)
        opened, high, low, close, volume = [np.ascontiguousarray(self.rows[:count, column]) for column in range(5)]
        return Bars(symbol, timeframe, time[:count], opened, high, low, close, volume, "rows", synthetic=False)


def a_claim(order: JobEnqueued, name: str = "claim", attempt: int = 1) -> Claim:
    """A claim of the order's job."""
    return Claim(order, attempt, an_id(name), 0.0)


def expected(order: JobEnqueued, until: RunnerMarked, market: MarketData | None = None) -> BarByBar:
    """The engine after the bars up to a mark's, by itself and in one go."""
    assert order.paper is not None
    bars = (market or EmbeddedMarketData()).bars(order.symbol, "1d", ms_of(until.bar_start))
    engine = BarByBar(program(order.strategy, order.parameters), Costs(order.costs.fee_bps, order.costs.slippage_bps), 100_000.0)
    warm = int(np.searchsorted(bars.time, ms_of(order.paper.from_bar), side="right"))
    engine.observe_all(bars.rows()[:warm])
    for row in bars.rows()[warm:].tolist():
        engine.on_bar(*row)
    return engine


@dataclass
class HandPlanner:
    """The planner's part in a paper job's life, played by a test: seals ticks, requeues silent claims, cancels."""

    bootstrap: str
    chain: Chain = field(default_factory=Chain)
    horizon: Head = GENESIS
    lease_s: float = 3.0

    def say(self, *orders: JobEnqueued) -> list[JobEnqueued]:
        """Seal one tick that enqueues these jobs."""
        return asyncio.run(self._enqueue(list(orders)))

    async def _enqueue(self, orders: list[JobEnqueued]) -> list[JobEnqueued]:
        tick, now_ms = self.chain.head.tick + 1, clock.now_ms()
        named = [order.model_copy(update={"tick": tick, "lease_s": self.lease_s}) for order in orders]
        try_name = f"hand/{tick}"
        records = write_records(named, [order.bot_id for order in named], tick, an_id(try_name), now_ms)
        async with await LogReader.open(self.bootstrap, {topic: [0] * PARTITIONS[topic] for topic in (JOBS, RUNNERS)}) as reader:
            ends = await reader.ends([JOBS, RUNNERS])
        seal = a_seal(self.chain.head, records, try_name, now_ms=now_ms, cut=ends, horizon=self.horizon)
        producer = await build_producer(self.bootstrap)
        try:
            whole = [*records, seal]
            last = await append_batch(
                producer, RUNS, 0, [Outgoing(record.key, record.value, record.headers()) for record in whole]
            )  # fmt: skip
        finally:
            await producer.stop()
        for offset, record in enumerate(whole, start=last - len(whole) + 1):
            self.chain.feed(replace(record, offset=offset, timestamp_ms=now_ms))
        assert self.chain.head.tick == tick, self.chain.last_refusal
        return named

    def step(self, event: JobRequeued | JobCancelled, order: JobEnqueued) -> None:
        """Append a job event of the planner."""
        asyncio.run(self._append(JOBS, order.partition, event, order.bot_id))

    async def _append(self, topic: str, partition: int, event: Event, key: str) -> None:
        producer = await build_producer(self.bootstrap)
        try:
            value = encode(event, source="autonomy/test", subject=key, time=clock.now(), event_id=clock.drawn_id())
            await append_batch(producer, topic, partition, [Outgoing(key.encode(), value)])
        finally:
            await producer.stop()

    def cancel(self, order: JobEnqueued) -> None:
        """Cancel a live job."""
        event = JobCancelled(
            job_id=order.job_id, bot_id=order.bot_id, tick=order.tick, attempt=1, cause=Cause.CANCELLED_BY_OPERATOR
        )  # fmt: skip
        self.step(event, order)

    def requeue(self, order: JobEnqueued, attempt: int) -> None:
        """Say that the lease of an attempt ran out."""
        event = JobRequeued(
            job_id=order.job_id, bot_id=order.bot_id, tick=order.tick, attempt=attempt, cause=Cause.LEASE_EXPIRED
        )  # fmt: skip
        self.step(event, order)

    def log(self) -> "PaperLog":
        """Everything that was said so far."""
        return asyncio.run(read_paper_log(self.bootstrap))


@dataclass
class PaperLog:
    """What stands in the log about paper sessions, in order per partition."""

    jobs: dict[str, Job] = field(default_factory=dict)
    steps: list[JobStep] = field(default_factory=list)
    winners: dict[tuple[str, int], str] = field(default_factory=dict)
    said: list[RunnerTraded | RunnerMarked] = field(default_factory=list)
    beats: list[RunnerPulse] = field(default_factory=list)

    def marks(self, order: JobEnqueued) -> list[RunnerMarked]:
        """The marks of a session that count: each bar's first, in order; every later one must say the same."""
        assert order.paper is not None
        found: dict[int, RunnerMarked] = {}
        for mark in self.all_marks(order):
            first = found.setdefault(mark.bar, mark)
            named = {"attempt", "claim_id", "process_id", "job_id", "tick"}
            assert first.model_dump(exclude=named) == mark.model_dump(exclude=named), f"bar {mark.bar} said in two ways"
        assert list(found) == sorted(found), "a bar was marked before the bar that it follows"
        return list(found.values())

    def all_marks(self, order: JobEnqueued) -> list[RunnerMarked]:
        """As they stand in the log, repeated ones too."""
        assert order.paper is not None
        return [said for said in self.said if isinstance(said, RunnerMarked) and said.session_id == order.paper.session_id]

    def check(self, order: JobEnqueued, market: MarketData | None = None) -> list[RunnerMarked]:
        """No bar is skipped, none is said in two ways, and the whole equals the engine's own run to the last bit."""
        marks = self.marks(order)
        assert marks, "nothing was traded"
        bars = [mark.bar for mark in marks]
        assert bars == list(range(bars[0], bars[0] + len(bars))), bars
        engine = expected(order, marks[-1], market)
        last = marks[-1]
        assert (last.equity_usd, last.trades, last.traded_bars) == (engine.equity_usd, int(engine.tally.trades), int(engine.tally.bars))
        assert last.snapshot.account == tuple(engine.account)
        assert last.snapshot.tally == tuple(engine.tally)
        assert last.snapshot.state == engine.snapshot.state
        closed = {
            said.order_id
            for said in self.said
            if isinstance(said, RunnerTraded) and said.kind == "EXIT" and said.session_id == last.session_id
        }
        assert len(closed) == last.trades
        return marks


async def read_paper_log(bootstrap: str) -> PaperLog:
    """Read runs, jobs, runners and pulses whole, and fold the jobs."""
    found, fold, chain = PaperLog(), JobFold(), Chain()
    starts = {topic: [0] * PARTITIONS[topic] for topic in (RUNS, JOBS, RUNNERS, PULSE)}
    async with await LogReader.open(bootstrap, starts) as reader:
        async for record in reader.to_the_end(starts):
            if record.topic == RUNS:
                done = chain.read(record)
                for seq, event in enumerate(done.events() if isinstance(done, AcceptedTick) else (), start=1):
                    if isinstance(event, JobEnqueued):
                        fold.enqueue(lifecycle.enqueued(event, seq))
                fold.head_tick = chain.head.tick
                continue
            received = decode(record.value, record.topic)
            assert not isinstance(received, Undecodable), received
            if record.topic == JOBS:
                found.steps.append(received.event)  # type: ignore[arg-type]
            elif isinstance(received.event, RunnerTraded | RunnerMarked):
                found.said.append(received.event)
            elif isinstance(received.event, RunnerPulse):
                found.beats.append(received.event)

    def changed(_: Job, after: Job, step: JobStep) -> None:
        if after.claim_id is not None:
            found.winners.setdefault((after.job_id, after.attempt), after.claim_id)

    for step in found.steps:
        fold.step(step, changed)
    found.jobs = fold.jobs
    return found
