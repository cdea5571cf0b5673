"""The loop of a runner process: what its beats list, what they confirm, and how its sessions begin and end.

Source: S9, S10, R-A3.7.
"""

import asyncio
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from typing_extensions import override

from autonomy import clock
from autonomy.chain import GENESIS, Chain, write_records
from autonomy.envelope import Received, decode, encode
from autonomy.errors import BadInput
from autonomy.events import (
    CapabilitiesAnnounced,
    Event,
    JobCancelled,
    JobEnqueued,
    JobReleased,
    JobRequeued,
    JobStarted,
    RunnerHeartbeat,
    RunnerMarked,
    RunnerPulse,
)
from autonomy.kafka import Outgoing
from autonomy.log_reader import LogReader
from autonomy.topics import JOBS, RUNNERS, RUNS
from autonomy.values import Cause, JobType
from autonomy.work import Work
from job_runner import app
from job_runner.app import Runner, run_runner
from job_runner.claims.barrier import Barrier
from job_runner.claims.offer import Offer
from job_runner.claims.outbox import Outbox
from job_runner.claims.queue import Claim, Queue, Rules, slots_of
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.editions import Editions
from job_runner.paper.session import Marks
from job_runner.paper.trader import PaperTrader
from job_runner.settings import RunnerSettings
from support.builders import NOON_MS, a_symbol, an_id
from support.days import utc
from support.paper import RowsMarket, a_paper_order
from support.research import NoWorker, some_rows
from support.ticks import a_seal, stored

ME = an_id("runner-1")


@dataclass
class Stored:
    """A record as it was read."""

    topic: str
    value: bytes
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0
    offset: int = 0
    timestamp: int = 0


@dataclass
class Log:
    """A log in memory: appended is read by the next poll; acks as the test lets them."""

    coming: list[Stored] = field(default_factory=list)
    said: list[Event] = field(default_factory=list)
    acknowledges: bool = True
    fault: str = ""
    positions: dict[str, int] = field(default_factory=dict)

    async def poll(self, timeout_ms: int = 0) -> list[Stored]:
        await asyncio.sleep(0)
        found, self.coming = self.coming, []
        return found

    async def ends(self, topics: Any) -> dict[str, tuple[int, ...]]:
        return {}

    def reached(self, cut: object) -> bool:
        return not self.coming

    async def say(self, topic: str, partition: int, records: list[Outgoing]) -> bool:
        await asyncio.sleep(0)
        if self.acknowledges:
            for record in records:
                received = decode(record.value, topic)
                assert isinstance(received, Received), received
                self.said.append(received.event)
                self.coming.append(Stored(topic, record.value))
        return self.acknowledges

    def put(self, event: Event, topic: str = JOBS) -> None:
        """Somebody else's word."""
        value = encode(event, source="test", subject="x", time=clock.now(), event_id=clock.drawn_id())
        self.coming.append(Stored(topic, value))

    async def close(self) -> None:
        """Nothing is open."""

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.said if isinstance(event, kind)]


def a_runner(*orders: JobEnqueued, beat_s: float = 0.1) -> tuple[Runner, Log]:
    """A process that trades on made-up bars, with these jobs sealed in the log."""
    log, market = Log(), RowsMarket(some_rows(400))
    settings = RunnerSettings(beat_s=beat_s, drain_s=5.0)
    types = NoWorker.job_types | {JobType.RUNNER_START}
    rules = Rules(ME, slots_of(settings.slots, types), 5_000.0, beat_s * 1000, types)
    queue, outbox, marks = Queue(rules), cast("Outbox", log), Marks()
    barrier = Barrier(log, (RUNS, JOBS, RUNNERS))
    trader = PaperTrader(ME, market, queue, outbox, barrier, marks, beat_s)
    runner = Runner(
        ME, settings, cast("LogReader", log), cast("AIOKafkaProducer", None), Chain(), queue, NoWorker(), outbox, barrier, marks, trader
    )  # fmt: skip
    records = write_records(list(orders), [order.bot_id for order in orders], 1, an_id("t1"), clock.now_ms())
    for record in stored([*records, a_seal(GENESIS, records, "t1", now_ms=clock.now_ms())]):
        log.coming.append(Stored(RUNS, record.value, record.key, tuple(record.headers()), offset=record.offset))
    return runner, log


def an_order(bot_id: str = "aapl-sma", seq: int = 1) -> JobEnqueued:
    return a_paper_order(
        bot_id, market=RowsMarket(some_rows(400)), seq=seq, start="2000-01-04", from_bar=utc(1999, 1, 1), seconds_per_bar=0.01
    )


async def turns(runner: Runner, until: Any) -> None:
    """Let the process's loop run until something is so."""
    async with asyncio.timeout(15):
        while not until():
            await runner.turn()
            await runner.claim()


async def until_marks(runner: Runner, log: Log, count: int) -> None:
    await turns(runner, lambda: len(log.of(RunnerMarked)) >= count)


async def hang(runner: Runner, claim: Claim) -> None:
    """Put a task that never turns in the place of the one that trades."""
    task = runner.tasks[claim.claim_id]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    runner.queue.claims[claim.claim_id] = claim
    runner.tasks[claim.claim_id] = asyncio.create_task(asyncio.sleep(60))


def close(runner: Runner) -> None:
    for task in runner.tasks.values():
        task.cancel()


async def test_beat_lists_a_trading_session_and_confirms_it_when_acknowledged() -> None:
    runner, log = a_runner(an_order())
    await until_marks(runner, log, 5)
    (claim,) = runner.queue.held()
    await turns(runner, lambda: claim.confirmed_mono_ms > claim.made_mono_ms)
    # On a busy machine the session may miss the turn before a beat, which then lists nothing.
    listed = [[held.claim_id for held in beat.jobs] for beat in log.of(RunnerPulse) if beat.jobs]
    assert listed
    assert all(claims == [claim.claim_id] for claims in listed)
    confirmed = claim.confirmed_mono_ms
    log.acknowledges = False
    await runner.beat(clock.monotonic_ms())
    assert claim.confirmed_mono_ms == confirmed, "an unacknowledged beat confirms nothing"
    close(runner)


async def test_beat_leaves_out_a_session_that_has_not_turned_since_the_last_one() -> None:
    """Negative control: its neighbour, which turns, is listed in the very same beats."""
    runner, log = a_runner(an_order("hangs"), an_order("turns", seq=2))
    await until_marks(runner, log, 10)
    hung = next(claim for claim in runner.queue.held() if claim.order.bot_id == "hangs")
    other = next(claim for claim in runner.queue.held() if claim.order.bot_id == "turns")
    await hang(runner, hung)
    since = clock.monotonic_ms()
    hung.turned_mono_ms = since
    await turns(runner, lambda: runner.beat_mono_ms > since + 250)
    first = runner.beat_sequence

    def later() -> list[list[str]]:
        return [[held.job_id for held in beat.jobs] for beat in log.of(RunnerPulse) if beat.sequence >= first]

    # On a busy machine the neighbour too may miss the turn before a beat; the one that hangs is in none.
    await turns(runner, lambda: later().count([other.order.job_id]) >= 2)
    assert not any(hung.order.job_id in listed for listed in later())
    assert hung.confirmed_mono_ms < other.confirmed_mono_ms
    hung.turned_mono_ms = other.turned_mono_ms = clock.monotonic_ms()
    await runner.beat(clock.monotonic_ms())
    assert {held.job_id for held in log.of(RunnerPulse)[-1].jobs} == {hung.order.job_id, other.order.job_id}
    close(runner)


async def test_cancelled_job_ends_its_session_at_once_and_leaves_the_other() -> None:
    runner, log = a_runner(an_order("gone"), an_order("stays", seq=2))
    await until_marks(runner, log, 10)
    gone = next(claim for claim in runner.queue.held() if claim.order.bot_id == "gone").order
    log.put(JobCancelled(job_id=gone.job_id, bot_id="gone", tick=1, attempt=1, cause=Cause.CANCELLED_BY_OPERATOR))
    await turns(runner, lambda: len(runner.queue.held()) == 1)
    said = [mark for mark in log.of(RunnerMarked) if mark.bot_id == "gone"]
    await until_marks(runner, log, len(log.of(RunnerMarked)) + 20)
    assert [mark for mark in log.of(RunnerMarked) if mark.bot_id == "gone"] == said
    assert len(runner.tasks) == 1
    close(runner)


async def test_job_requeued_behind_its_back_is_dropped_and_may_be_claimed_again_with_its_bars_kept() -> None:
    runner, log = a_runner(an_order())
    await until_marks(runner, log, 10)
    (before,) = runner.queue.held()
    order = before.order
    log.put(JobRequeued(job_id=order.job_id, bot_id=order.bot_id, tick=1, attempt=1, cause=Cause.LEASE_EXPIRED))
    await turns(runner, lambda: any(claim.attempt == 2 for claim in runner.queue.held()))
    first = len(log.of(RunnerMarked))
    await until_marks(runner, log, first + 20)
    bars = [mark.bar for mark in log.of(RunnerMarked)]
    assert bars == list(range(len(bars))), "a bar was skipped or taken twice"
    assert {step.attempt for step in log.of(JobStarted)} == {1, 2}
    close(runner)


async def test_process_whose_session_hung_lets_others_claim_first() -> None:
    runner, log = a_runner(an_order())
    await until_marks(runner, log, 5)
    (hung,) = runner.queue.held()
    order = hung.order
    await hang(runner, hung)
    hung.turned_mono_ms = clock.monotonic_ms() - order.lease_s * 1000
    log.put(JobRequeued(job_id=order.job_id, bot_id=order.bot_id, tick=1, attempt=1, cause=Cause.LEASE_EXPIRED))
    await turns(runner, lambda: hung.claim_id not in runner.tasks)
    runner.queue.done(hung)
    attempt, since = runner.queue.since[order.job_id]
    assert attempt == 2
    assert since > clock.monotonic_ms() + order.lease_s * 900
    assert runner.queue.claimable(clock.monotonic_ms()) == []
    close(runner)


async def test_draining_process_gives_its_sessions_back_and_says_goodbye() -> None:
    runner, log = a_runner(an_order("one"), an_order("two", seq=2))
    await until_marks(runner, log, 10)
    runner.stopping = True
    await asyncio.wait_for(runner.drain(), 10)
    released = log.of(JobReleased)
    assert sorted(step.bot_id for step in released) == ["one", "two"]
    assert {step.cause for step in released} == {Cause.RUNNER_DRAINED}
    last: RunnerHeartbeat = log.of(RunnerHeartbeat)[-1]
    assert (last.stopping, last.jobs) == (True, ()), "said on the audited log: what pulses say expires"
    place = log.said.index(released[0])
    assert not [event for event in log.said[place:] if isinstance(event, RunnerMarked) and event.bot_id == released[0].bot_id]


async def test_beats_and_announcement_say_the_slots_of_each_group_and_every_job_type() -> None:
    runner, log = a_runner()
    await runner.offer.announce()
    await runner.beat(clock.monotonic_ms())
    (offer,), (pulse,), (beat,) = log.of(CapabilitiesAnnounced), log.of(RunnerPulse), log.of(RunnerHeartbeat)
    assert offer.job_types == (JobType.BACKTEST_BASELINE, JobType.RUNNER_START)
    for said in (offer, pulse, beat):
        assert (said.research_slots, said.evolve_slots, said.runner_slots) == (2, 0, 50)


def a_folder_runner(folder: Path) -> tuple[Runner, Log, Editions]:
    """A process whose research offers a folder of bars."""
    runner, log = a_runner(beat_s=0.05)
    editions = Editions(FolderMarketData(folder))

    class OfTheFolder(NoWorker):
        @override
        def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
            offered = {"symbols": editions.offered.said, "faults": editions.offered.faults}
            return super().capabilities(process_id, slots).model_copy(update=offered)

    runner.worker = OfTheFolder()
    runner.offer = Offer(runner.capabilities, runner.tell_runners, (editions,), every_s=0.01)
    return runner, log, editions


def put(folder: Path, symbol: str, bars: int, *more: str) -> None:
    path = folder / symbol / "1d.csv"
    path.parent.mkdir(exist_ok=True)
    rows = [f"2010-01-{number + 4:02d},10,12,9,11,{100 + number}" for number in range(bars)]
    path.write_text("\n".join(["date,open,high,low,close,volume", *rows, *more]) + "\n")


async def test_what_a_process_offers_follows_its_source_while_it_runs(tmp_path: Path) -> None:
    put(tmp_path, "ABC", 2)
    runner, log, _ = a_folder_runner(tmp_path)
    running = asyncio.create_task(runner.run())

    async def until_offered(bars: dict[str, int], faults: dict[str, bool]) -> None:
        async with asyncio.timeout(20):
            while not running.done():
                said = log.of(CapabilitiesAnnounced)
                if said and ({each.symbol: each.bars for each in said[-1].symbols}, {f.name: f.in_use for f in said[-1].faults}) == (
                    bars,
                    faults,
                ):
                    return
                await asyncio.sleep(0.01)
            running.result()

    await until_offered({"ABC": 2}, {})
    put(tmp_path, "ABC", 3)
    await until_offered({"ABC": 3}, {})
    put(tmp_path, "NEW", 1)
    await until_offered({"ABC": 3, "NEW": 1}, {})
    put(tmp_path, "ABC", 3, "half a li")
    await until_offered({"ABC": 3, "NEW": 1}, {"ABC 1d": True})
    put(tmp_path, "ABC", 3)
    await until_offered({"ABC": 3, "NEW": 1}, {})
    before, beats = len(log.of(CapabilitiesAnnounced)), len(log.of(RunnerPulse))
    async with asyncio.timeout(20):
        while len(log.of(RunnerPulse)) < beats + 20:
            await asyncio.sleep(0.01)
    assert len(log.of(CapabilitiesAnnounced)) == before == 5, "what did not change is not said again"
    runner.stopping = True
    await asyncio.wait_for(running, 10)


async def test_an_announcement_is_said_until_it_is_acknowledged(tmp_path: Path) -> None:
    put(tmp_path, "ABC", 2)
    runner, log, _ = a_folder_runner(tmp_path)
    log.acknowledges = False
    running = asyncio.create_task(runner.run())
    await asyncio.sleep(0.1)
    assert log.said == []
    log.acknowledges = True
    async with asyncio.timeout(10):
        while not log.of(CapabilitiesAnnounced):
            await asyncio.sleep(0.01)
    runner.stopping = True
    await asyncio.wait_for(running, 10)


async def test_a_source_that_hangs_holds_up_no_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does an offer that no record can hold end the process that holds the one before."""
    put(tmp_path, "ABC", 2)
    runner, log, editions = a_folder_runner(tmp_path)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(10):
        while not log.of(CapabilitiesAnnounced):
            await asyncio.sleep(0.01)
    hanging, release = threading.Event(), threading.Event()

    def hang() -> bool:
        hanging.set()
        return not release.wait(30)

    monkeypatch.setattr(editions, "look", hang)
    async with asyncio.timeout(10):
        while not hanging.is_set():
            await asyncio.sleep(0.01)
    beats = len(log.of(RunnerPulse))
    async with asyncio.timeout(10):
        while len(log.of(RunnerPulse)) < beats + 5:
            await asyncio.sleep(0.01)
    many = TooManySymbols()
    runner.worker.capabilities = many.capabilities  # type: ignore[method-assign]
    release.set()
    beats = len(log.of(RunnerPulse))
    async with asyncio.timeout(20):
        while len(log.of(RunnerPulse)) < beats + 10:
            assert not running.done()
            await asyncio.sleep(0.01)
    assert len(log.of(CapabilitiesAnnounced)) == 1
    runner.stopping = True
    await asyncio.wait_for(running, 10)


def test_slots_are_only_those_of_what_the_process_can_do() -> None:
    settings = RunnerSettings(research_slots=3, evolve_slots=2, runner_slots=7)
    assert slots_of(settings.slots, frozenset(JobType)) == {Work.BACKTEST: 3, Work.EVOLVE: 2, Work.RUNNER: 7}
    assert slots_of(settings.slots, frozenset({JobType.EVOLVE})) == {Work.EVOLVE: 2}
    assert slots_of(replace_slots(settings, 0).slots, frozenset(JobType)) == {Work.BACKTEST: 3, Work.EVOLVE: 2}


def replace_slots(settings: RunnerSettings, runner_slots: int) -> RunnerSettings:
    return settings.model_copy(update={"runner_slots": runner_slots})


def test_claims_of_the_pool_count_as_working_whatever_the_loop_does() -> None:
    order = an_order().model_copy(update={"job_type": JobType.BACKTEST_BASELINE})
    assert Claim(order, 1, an_id("claim"), 0.0).works_since(NOON_MS)
    assert replace(Claim(order, 1, an_id("claim"), 0.0), turned_mono_ms=1.0).works_since(1.0)


class NoBars(NoWorker):
    @override
    def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
        raise BadInput("bars", "at least one symbol with valid bars")


class TooManySymbols(NoWorker):
    @override
    def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
        said = super().capabilities(process_id, slots)
        return said.model_copy(
            update={"symbols": tuple(a_symbol("IBM").model_copy(update={"symbol": f"S{number}"}) for number in range(4_000))}
        )


@pytest.mark.parametrize(("worker", "why"), [
    (NoBars, "this process can do no job: bars: at least one symbol"),
    (TooManySymbols, "a record has at most 1048576 bytes"),
])  # fmt: skip
async def test_a_process_that_can_do_no_job_says_why_ends_with_1_and_leaves_no_worker(
    worker: type[NoWorker], why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stopped: list[str] = []

    class Useless(worker):  # type: ignore[valid-type, misc] # a class by parameter
        async def stop(self, drain_s: float) -> None:
            stopped.append("worker")

    runner, _ = a_runner()
    runner.worker = Useless()
    runner.trader = None
    runner.producer = cast("AIOKafkaProducer", SimpleNamespace(stop=runner.worker.start))

    async def build(*_: object) -> Runner:
        return runner

    monkeypatch.setattr(app, "build_runner", build)
    monkeypatch.setattr(app, "AGAIN_S", 0.0)
    assert await run_runner(runner.settings, runner.worker) == 1
    assert stopped == ["worker"]
    assert why in caplog.text
