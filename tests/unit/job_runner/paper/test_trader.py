"""The loop that trades: when it takes a bar, what it says, and when it must not.

Source: R-A3.7, S9, S10.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError
from typing_extensions import override

from autonomy.chain import GENESIS, Chain, write_records
from autonomy.envelope import Received, decode
from autonomy.errors import BadInput, Retryable
from autonomy.events import JobCancelled, JobEnqueued, JobFailed, JobRequeued, JobStarted, JobSucceeded, RunnerMarked, RunnerTraded
from autonomy.kafka import Outgoing
from autonomy.topics import RUNNERS
from autonomy.values import CRASHES, FINAL_FAILURES, Cause, JobType, partition_of
from autonomy.work import Work
from job_runner.claims.barrier import Barrier
from job_runner.claims.outbox import Outbox
from job_runner.claims.outcome import Outcome
from job_runner.claims.queue import Claim, Queue, Rules
from job_runner.market.sources import END_OF_TIME_MS, Bars, DataMissing, MarketData, NotOffered
from job_runner.paper.feed import BarFeed, ReplayFeed
from job_runner.paper.session import Marks, PaperSession, TimedBar
from job_runner.paper.trader import PaperTrader
from job_runner.research.report import StrategyError
from support.builders import NOON_MS, an_id
from support.days import utc
from support.paper import RowsMarket, a_paper_order
from support.research import some_rows
from support.ticks import a_seal, feed_all, stored

LEASE_S = 10.0
ME = an_id("runner-1")


@dataclass
class Log:
    """What a broker and a reader would be: acks as the test lets them, ends as the test says."""

    said: list[list[Outgoing]] = field(default_factory=list)
    answers: Callable[[int], Any] = lambda _: True
    gates: "dict[int, asyncio.Future[bool]]" = field(default_factory=dict)
    asked: int = 0
    folded: bool = True

    async def say(self, topic: str, partition: int, records: list[Outgoing]) -> bool:
        assert (topic, partition) == (RUNNERS, partition_of("aapl-sma", 12))
        number = len(self.said)
        self.said.append(records)
        if number in self.gates:
            return await self.gates[number]
        return bool(self.answers(number))

    async def ends(self, topics: Any) -> dict[str, tuple[int, ...]]:
        self.asked += 1
        return {}

    def reached(self, cut: object) -> bool:
        return self.folded

    def events(self) -> list[RunnerTraded | RunnerMarked]:
        found = [decode(record.value, RUNNERS) for records in self.said for record in records]
        assert all(isinstance(received, Received) for received in found)
        return [received.event for received in found]  # type: ignore[union-attr, misc]

    def marks(self) -> list[RunnerMarked]:
        return [event for event in self.events() if isinstance(event, RunnerMarked)]


@dataclass
class Bench:
    """A trader with one started claim, and clocks that the test moves."""

    order: JobEnqueued
    trader: PaperTrader
    log: Log
    queue: Queue
    claim: Claim
    mono: list[float]
    wall: list[int]
    task: "asyncio.Task[Outcome | None] | None" = None

    async def fold(self) -> None:
        """The loop that reads, beside the trader."""
        while True:
            self.trader.barrier.folded()
            await asyncio.sleep(0)

    def start(self) -> None:
        self.reading = asyncio.create_task(self.fold())
        self.task = asyncio.create_task(self.trader.run(self.claim))

    def running(self) -> "asyncio.Task[Outcome | None]":
        """Start; for a test that waits for the end."""
        self.start()
        assert self.task is not None
        return self.task

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not what():
                await asyncio.sleep(0)

    def turned_since(self, mono_ms: float) -> bool:
        return (self.claim.turned_mono_ms or 0.0) >= mono_ms

    async def turns(self, count: int = 5) -> None:
        """Let the task turn; the clock that stamps turns moves with it, by next to nothing."""
        for _ in range(count):
            self.mono[0] += 0.001
            before = self.mono[0]
            await self.until(partial(self.turned_since, before))

    def close(self) -> None:
        self.reading.cancel()
        if self.task is not None:
            self.task.cancel()

    def requeue(self) -> None:
        order = self.order
        self.queue.step(
            JobRequeued(job_id=order.job_id, bot_id=order.bot_id, tick=1, attempt=1, cause=Cause.LEASE_EXPIRED), self.mono[0]
        )  # fmt: skip


def a_bench(*, released: int = 20, market: RowsMarket | None = None, **changes: Any) -> Bench:
    """Bars on a replay clock that stands still at `released` bars."""
    source = market or RowsMarket(some_rows(60))
    order = a_paper_order(
        market=source, epoch_ms=NOON_MS, seconds_per_bar=10.0, start="2000-01-04", from_bar=utc(1999, 1, 1), session_s=changes.pop("session_s", 3600),
        tick=1, lease_s=LEASE_S, **changes,
    )  # fmt: skip
    records = write_records([order], [order.bot_id], 1, an_id("t1"), NOON_MS)
    chain = Chain()
    (tick,) = feed_all(chain, stored([*records, a_seal(GENESIS, records, "t1")]))
    queue = Queue(Rules(ME, {Work.RUNNER: 1}, 5_000.0, 100.0, frozenset({JobType.RUNNER_START})))
    queue.apply(tick, 0.0)
    claim = queue.claimed(order, an_id("claim"), 0.0)
    queue.step(
        JobStarted(job_id=order.job_id, bot_id=order.bot_id, tick=1, attempt=1, claim_id=claim.claim_id, process_id=ME), 0.0
    )  # fmt: skip
    assert queue.settle(0.0) == [claim]
    log, mono, wall = Log(), [0.0], [NOON_MS + (released - 1) * 10_000]
    barrier = Barrier(log, (RUNNERS,))
    trader = PaperTrader(
        ME, source, queue, cast("Outbox", log), barrier, Marks(), 0.02, now_ms=lambda: wall[0], mono_ms=lambda: mono[0]
    )  # fmt: skip
    return Bench(order, trader, log, queue, claim, mono, wall)


async def test_every_released_bar_is_said_once_and_nothing_beyond() -> None:
    bench = a_bench(released=20)
    bench.start()
    await bench.until(lambda: len(bench.log.marks()) == 20)
    await bench.turns()
    assert [mark.bar for mark in bench.log.marks()] == list(range(20))
    assert all(b"runner-marked" in batch[-1].value for batch in bench.log.said)
    assert {mark.replay for mark in bench.log.marks()} == {True}
    bench.wall[0] += 30_000
    await bench.until(lambda: len(bench.log.marks()) == 23)
    bench.close()


async def test_no_bar_is_taken_before_the_one_before_is_acknowledged() -> None:
    bench = a_bench()
    bench.log.gates[3] = gate = asyncio.get_running_loop().create_future()
    bench.start()
    await bench.until(lambda: len(bench.log.said) == 4)
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(bench.log.said) == 4
    gate.set_result(True)
    await bench.until(lambda: len(bench.log.said) == 20)
    bench.close()


async def test_unacknowledged_bar_is_said_again_in_the_same_bytes() -> None:
    bench = a_bench()
    bench.log.answers = lambda number: number not in {5, 6}
    bench.start()
    await bench.until(lambda: len(bench.log.said) == 22)
    assert bench.log.said[5] == bench.log.said[6] == bench.log.said[7]
    assert [mark.bar for mark in bench.log.marks()] == [*range(5), 5, 5, 5, *range(6, 20)]
    bench.close()


async def test_unacknowledged_bar_that_is_read_is_not_said_again() -> None:
    bench = a_bench()

    def answer(number: int) -> bool:
        if number == 5:
            bench.trader.marks.take(bench.log.marks()[-1])
        return number != 5

    bench.log.answers = answer
    bench.start()
    await bench.until(lambda: len(bench.log.marks()) == 20)
    assert [mark.bar for mark in bench.log.marks()] == list(range(20))
    bench.close()


async def test_session_begins_only_when_the_log_is_read_to_the_ends_taken_after_the_win() -> None:
    bench = a_bench()
    bench.log.folded = False
    bench.start()
    await bench.turns()
    assert (bench.log.asked, bench.log.said) == (1, [])
    # What another process had marked meanwhile is read before the barrier opens.
    other = PaperSession.resumed(bench.order, None)
    said = None
    for number in range(8):
        said = other.take(TimedBar.at(bench.trader.market.bars("AAPL", "1d", END_OF_TIME_MS), number), bench.claim, ME)
    assert said is not None
    bench.trader.marks.take(cast("RunnerMarked", said[-1]))
    bench.log.folded = True
    await bench.until(lambda: bench.log.marks() and bench.log.marks()[-1].bar == 19)
    assert [mark.bar for mark in bench.log.marks()] == list(range(8, 20))
    bench.close()


async def test_silence_of_half_a_lease_stops_bars_until_a_beat_and_a_read() -> None:
    bench = a_bench(released=10)
    bench.start()
    await bench.until(lambda: len(bench.log.said) == 10)
    bench.mono[0] = LEASE_S * 500
    bench.wall[0] += 100_000
    await bench.turns(20)
    assert len(bench.log.said) == 10
    assert bench.claim.phase.startswith("paused")
    bench.log.folded = False
    bench.claim.confirm(bench.mono[0])
    await bench.turns(20)
    assert len(bench.log.said) == 10, "a beat alone is no reason to go on"
    bench.log.folded = True
    await bench.until(lambda: len(bench.log.said) == 20)
    assert bench.log.asked == 2
    bench.close()


async def test_no_silence_no_pause() -> None:
    """Negative control of the one above: the same bars, with a beat in time."""
    bench = a_bench(released=10)
    bench.start()
    await bench.until(lambda: len(bench.log.said) == 10)
    bench.claim.confirm(LEASE_S * 400)
    bench.mono[0] = LEASE_S * 500
    bench.wall[0] += 100_000
    await bench.until(lambda: len(bench.log.said) == 20)
    assert bench.log.asked == 1
    bench.close()


async def test_frozen_process_whose_beat_is_acknowledged_first_says_nothing_when_it_lost() -> None:
    """It wakes, beats, is acknowledged; only the log shows that the lease ran out meanwhile."""
    bench = a_bench(released=10)
    task = bench.running()
    await bench.until(lambda: len(bench.log.said) == 10)
    bench.log.folded = False
    bench.mono[0] = 60_000.0
    bench.wall[0] += 100_000
    bench.claim.confirm(bench.mono[0])
    await bench.turns(20)
    bench.requeue()
    bench.log.folded = True
    outcome = await asyncio.wait_for(task, 5)
    assert outcome == Outcome(None, "overtaken")
    assert len(bench.log.said) == 10
    bench.close()


async def test_bar_whose_ack_was_lost_in_the_silence_is_said_again_only_under_a_claim_that_wins() -> None:
    bench = a_bench()
    bench.log.gates[3] = gate = asyncio.get_running_loop().create_future()
    task = bench.running()
    await bench.until(lambda: len(bench.log.said) == 4)
    bench.mono[0] = 60_000.0
    gate.set_result(False)
    await bench.turns(5)
    bench.requeue()
    bench.claim.confirm(bench.mono[0])
    assert await asyncio.wait_for(task, 5) == Outcome(None, "overtaken")
    assert len(bench.log.said) == 4
    bench.close()


async def test_cancelled_task_says_nothing_more() -> None:
    bench = a_bench()
    bench.log.gates[3] = asyncio.get_running_loop().create_future()
    task = bench.running()
    await bench.until(lambda: len(bench.log.said) == 4)
    order = bench.order
    bench.queue.step(
        JobCancelled(job_id=order.job_id, bot_id=order.bot_id, tick=1, attempt=1, cause=Cause.CANCELLED_BY_OPERATOR), 0.0
    )  # fmt: skip
    assert bench.queue.overtaken() == [bench.claim]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(bench.log.said) == 4
    bench.close()


async def test_loser_stops_by_itself_before_the_next_bar() -> None:
    bench = a_bench(released=10)
    task = bench.running()
    await bench.until(lambda: len(bench.log.said) == 10)
    bench.requeue()
    bench.wall[0] += 100_000
    assert await asyncio.wait_for(task, 5) == Outcome(None, "overtaken")
    assert len(bench.log.said) == 10
    bench.close()


async def test_stopping_process_finishes_the_bar_in_flight_and_gives_the_claim_back() -> None:
    bench = a_bench()
    bench.log.gates[3] = gate = asyncio.get_running_loop().create_future()
    task = bench.running()
    await bench.until(lambda: len(bench.log.said) == 4)
    bench.trader.stopping = True
    gate.set_result(True)
    assert await asyncio.wait_for(task, 5) is None
    assert len(bench.log.said) == 4
    bench.close()


async def test_session_time_ends_the_job_with_its_summary() -> None:
    bench = a_bench(session_s=100)
    bench.wall[0] = NOON_MS + 99_000
    task = bench.running()
    await bench.until(lambda: len(bench.log.said) == 10)
    await bench.turns()
    assert bench.claim.progress == pytest.approx(0.99)
    bench.wall[0] = NOON_MS + 100_000
    outcome = await asyncio.wait_for(task, 5)
    assert outcome is not None
    assert outcome.make is not None
    result = outcome.make(bench.claim, ME)
    assert isinstance(result, JobSucceeded)
    assert result.paper is not None
    last = bench.log.marks()[-1]
    assert (result.paper.last_bar, result.paper.traded_bars, result.paper.trades) == (last.bar_start, last.traded_bars, last.trades)
    assert result.paper.equity_usd == last.equity_usd
    bench.close()


async def test_hung_task_stops_turning() -> None:
    """What the beat goes by. Negative control: the same session with a source that answers keeps turning."""
    release = asyncio.Event()

    class Hanging(RowsMarket):
        hang = False

        @override
        def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
            if Hanging.hang:
                asyncio.run_coroutine_threadsafe(release.wait(), loop).result(30)
            return super().bars(symbol, timeframe, until)

    loop = asyncio.get_running_loop()
    bench = a_bench(released=10, market=Hanging(some_rows(60)))
    bench.start()
    await bench.until(lambda: len(bench.log.said) == 10)
    await bench.turns()
    Hanging.hang = True
    bench.wall[0] += 10_000
    await asyncio.sleep(0.1)
    stopped = bench.claim.turned_mono_ms
    bench.mono[0] += 1.0
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert bench.claim.turned_mono_ms == stopped
    assert not bench.claim.works_since(bench.mono[0])
    release.set()
    await bench.turns()
    assert bench.claim.works_since(bench.mono[0])
    bench.close()


@pytest.mark.parametrize(
    ("change", "cause", "word"),
    [
        ({"fingerprint": "0" * 64}, Cause.BAD_INPUT, "fingerprint"),
        ({"paper": None}, Cause.BAD_INPUT, "paper"),
        ({"strategy": "nothing"}, Cause.BAD_INPUT, "strategy"),
    ],
)
async def test_order_that_cannot_be_traded_fails_with_its_cause(change: dict[str, Any], cause: Cause, word: str) -> None:
    bench = a_bench()
    bench.claim.order = bench.order.model_copy(update=change)
    outcome = await asyncio.wait_for(bench.running(), 5)
    assert outcome is not None
    assert outcome.make is not None
    result = outcome.make(bench.claim, ME)
    assert isinstance(result, JobFailed)
    assert (result.cause, result.field or "") == (cause, word)
    assert bench.log.said == []
    bench.close()


async def test_fault_in_one_session_fails_that_job_only() -> None:
    bench = a_bench()

    def broken(*_: Any) -> Any:
        raise RuntimeError("a fault")

    bench.trader = replace(bench.trader, feed_of=broken)
    outcome = await asyncio.wait_for(bench.running(), 5)
    assert outcome is not None
    assert outcome.label == Cause.STRATEGY_ERROR
    bench.close()


class BaseError(Exception):
    """As ccxt names the root of its errors."""


class NetworkError(BaseError):
    """As ccxt names what may pass."""


class RateLimitExceeded(NetworkError):
    """One of them."""


def caused(fault: Exception, by: Exception) -> Exception:
    fault.__cause__ = by
    return fault


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (ConnectionResetError("the exchange hung up"), Cause.RUNNER_LOST),
        (OSError(28, "No space left on device"), Cause.RUNNER_LOST),
        (TimeoutError(), Cause.RUNNER_LOST),
        (RateLimitExceeded("slower"), Cause.RUNNER_LOST),
        (KafkaConnectionError("gone"), Cause.RUNNER_LOST),
        (Retryable("later"), Cause.RUNNER_LOST),
        (caused(RuntimeError("bars"), OSError("disk")), Cause.RUNNER_LOST),
        # Negative controls: the same code on the same bars fails again, and must not be tried for ever.
        (BaseError("the exchange refuses"), Cause.STRATEGY_ERROR),
        (ZeroDivisionError("a step"), Cause.STRATEGY_ERROR),
        (StrategyError("NaN"), Cause.STRATEGY_ERROR),
        (caused(StrategyError("NaN"), OSError("disk")), Cause.STRATEGY_ERROR),
    ],
    ids=lambda value: f"{value!r} by {value.__cause__!r}" if isinstance(value, Exception) else str(value),
)
async def test_what_network_or_machine_did_is_a_crash_and_what_the_strategy_did_is_final(fault: Exception, cause: Cause) -> None:
    """A crash has a cooldown and another attempt; a final failure blocks the bot until its input changes."""

    bench = a_bench(released=10)

    class Failing(ReplayFeed):
        @override
        async def next_after(self, start_ms: int | None, wait_s: float) -> TimedBar | None:
            if len(bench.log.said) == 10:
                raise fault
            return await super().next_after(start_ms, wait_s)

    def failing(order: JobEnqueued, market: MarketData, now_ms: Callable[[], int]) -> BarFeed:
        assert order.paper is not None
        return Failing(market, order.symbol, order.timeframe, order.paper.market, now_ms)

    bench.trader = replace(bench.trader, feed_of=failing)
    task = bench.running()
    await bench.until(lambda: len(bench.log.said) == 10)
    outcome = await asyncio.wait_for(task, 5)
    assert outcome is not None
    assert outcome.label == cause
    assert (cause in CRASHES, cause in FINAL_FAILURES) == (cause is Cause.RUNNER_LOST, cause is Cause.STRATEGY_ERROR)
    bench.close()


class Fickle(RowsMarket):
    """A source that raises what it is given, as long as it is given something."""

    fault: Exception | None = None

    @override
    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        if Fickle.fault is not None:
            raise Fickle.fault
        return super().bars(symbol, timeframe, until)


FAULTS: list[Exception] = [
    BadInput("AAPL/1d.csv row 11", "6 cells", 3), DataMissing("symbol", "one of IBM"), OSError(13, "Permission denied"),
    RateLimitExceeded("slower"), BaseError("no such pair"), ZeroDivisionError("a reader's own"),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_a_source_that_cannot_be_read_stops_no_session(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what it waits for, keeps turning, and takes the very bars as soon as they can be read."""
    bench = a_bench(released=10, market=Fickle(some_rows(60)))
    task = bench.running()
    await bench.until(lambda: len(bench.log.said) == 10)
    monkeypatch.setattr(Fickle, "fault", fault)
    bench.wall[0] += 20_000
    await bench.until(lambda: "cannot be read" in bench.claim.phase)
    assert str(fault) in bench.claim.phase
    await bench.turns()
    assert not task.done()
    assert len(bench.log.marks()) == 10
    monkeypatch.setattr(Fickle, "fault", None)
    bench.wall[0] += 10_000
    await bench.until(lambda: len(bench.log.marks()) == 13)
    await bench.until(lambda: bench.claim.phase == "trading")
    assert [mark.bar for mark in bench.log.marks()] == list(range(13))
    bench.close()


async def test_a_session_begins_as_soon_as_there_are_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench(released=10, market=Fickle(some_rows(60)))
    monkeypatch.setattr(Fickle, "fault", NotOffered("symbol", "one of IBM", "AAPL"))
    task = bench.running()
    await bench.until(lambda: bench.claim.phase.startswith("waiting for bars: symbol"))
    await bench.turns()
    assert not task.done()
    monkeypatch.setattr(Fickle, "fault", None)
    bench.wall[0] += 1_000
    await bench.until(lambda: len(bench.log.marks()) == 10)
    bench.close()


async def test_a_session_that_never_had_bars_ends_with_its_time_and_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench(released=10, market=Fickle(some_rows(60)), session_s=30)
    monkeypatch.setattr(Fickle, "fault", OSError(5, "Input/output error"))
    task = bench.running()
    await bench.until(lambda: bench.claim.phase.startswith("waiting for bars: OSError"))
    bench.wall[0] += 60_000
    outcome = await asyncio.wait_for(task, 5)
    assert outcome is not None
    assert outcome.make is not None
    result = outcome.make(bench.claim, ME)
    assert isinstance(result, JobFailed)
    assert (result.cause, result.may_pass) == (Cause.DATA_MISSING, True)
    assert "Input/output error" in result.detail
    bench.close()


async def test_a_session_that_waits_for_bars_gives_its_claim_back_when_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench(released=10, market=Fickle(some_rows(60)))
    monkeypatch.setattr(Fickle, "fault", OSError(5, "Input/output error"))
    task = bench.running()
    await bench.until(lambda: bench.claim.phase.startswith("waiting for bars"))
    bench.trader.stopping = True
    assert await asyncio.wait_for(task, 5) is None
    bench.close()


def test_orders_of_the_tests_are_on_the_market_clock() -> None:
    order = a_bench().order
    assert order.paper is not None
    assert order.paper.market.start == date(2000, 1, 4)
