"""A start at a snapshot is a start at the beginning, only quicker: the same queue, and every session goes on at the same bar.

Source: S7, S8, S10; docs/adr/0027.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from autonomy import clock
from autonomy.chain import Chain
from autonomy.events import JobEnqueued
from autonomy.log_reader import LogReader
from autonomy.producer import Producer
from autonomy.snapshot_files import RefusedSnapshot, SnapshotFolder, checked, with_checksum
from autonomy.topics import JOBS, RUNNERS, RUNS
from autonomy.values import JobType
from job_runner import starting
from job_runner.app import Runner
from job_runner.claims.barrier import Barrier
from job_runner.claims.outbox import Outbox
from job_runner.claims.queue import Queue, Rules
from job_runner.claims.work import Worker
from job_runner.paper.session import Marks
from job_runner.settings import RunnerSettings
from job_runner.starting import AGAIN_RECORDS, PARTITIONS, Held, Keeper, Start, bytes_of_start, read_start
from support.builders import an_id
from support.histories import live_through, written_history
from support.lives import a_whole_life
from support.stored_log import Stored, interleaved, stored_log
from support.ticks import TickDriver

ME = an_id("runner-9")
READ = {RUNS, JOBS, RUNNERS}
HISTORIES: dict[str, Callable[[], TickDriver]] = {
    "life": a_whole_life, "mishaps": lambda: live_through(TickDriver(), written_history(146)),
}  # fmt: skip


@pytest.fixture(params=HISTORIES, scope="module")
def log(request: pytest.FixtureRequest) -> list[Stored]:
    """What a runner reads of a history."""
    return [record for record in stored_log(HISTORIES[request.param]()) if record.topic in READ]


@dataclass
class Process:
    """A runner process that reads, with what it needs for nothing else left out."""

    runner: Runner
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    resumes_at: dict[str, int] = field(default_factory=dict)

    @classmethod
    def begun(cls, start: Start | None = None) -> "Process":
        rules = Rules(ME, {}, 5_000.0, 2_000.0, frozenset(JobType))
        queue, marks = Queue(rules), Marks()
        begun = start or Start(Chain(), Held(Chain().head, {topic: (0,) * PARTITIONS[topic] for topic in READ}))
        begun.restore(queue, marks, 0.0)
        none: Any = SimpleNamespace()
        runner = Runner(
            ME, RunnerSettings(), cast("LogReader", none), cast("Producer", none), begun.chain, queue, cast("Worker", none),
            cast("Outbox", none), cast("Barrier", none), marks,
        )  # fmt: skip
        starts = begun.held.starts
        return cls(runner, {TopicPartition(topic, number): first for topic in starts for number, first in enumerate(starts[topic])})

    def take(self, record: Stored) -> None:
        """Take a record, unless it lies before where this process began."""
        place = TopicPartition(record.topic, record.partition)
        if record.offset < self.positions[place]:
            return
        self.runner.take(record)
        self.positions[place] = record.offset + 1

    def snapshot(self) -> bytes:
        runner = self.runner
        return bytes_of_start(runner.queue, runner.marks, runner.chain, self.positions)

    def stands_on(self) -> dict[str, Any]:
        """All that its next steps depend on."""
        queue = self.runner.queue
        bars = {order.job_id: self.resumed_at(order) for order in queue.orders.values() if order.paper is not None}
        return {
            "jobs": queue.fold.jobs, "orders": queue.orders, "enqueued": queue.enqueued_ms, "head": self.runner.chain.head,
            "waiting": queue.fold.pending, "bars": bars, "since": {job_id: attempt for job_id, (attempt, _) in queue.since.items()},
        }  # fmt: skip

    def resumed_at(self, order: JobEnqueued) -> int:
        """How many bars its session has seen where this process would take it up."""
        assert order.paper is not None
        mark = self.runner.marks.of(order.paper.session_id)
        seen = [snapshot.bars_seen for snapshot in (order.paper.snapshot, mark.snapshot if mark else None) if snapshot is not None]
        return max(seen, default=0)


def anchored(held: Held, log: Iterable[Stored]) -> Start:
    """As `borne_out` does it, on a log in memory."""
    chain, process = Chain.anchored(held.head), Process.begun()
    process.runner.chain = chain
    process.runner.take(next(record for record in log if record.topic == RUNS and record.offset == held.head.offset))
    assert chain.anchor is None
    return Start(chain, held, at_snapshot=True)


def each_start(log: list[Stored], seed: int) -> Iterator[tuple[Held, Process]]:
    """Snapshots now and then by a process that reads in a random order, each with that process at the log's end."""
    whole, chance, kept = Process.begun(), random.Random(seed), []
    for record in interleaved(log, seed):
        whole.take(record)
        if whole.runner.chain.cut and chance.random() < 0.1:
            kept.append(whole.snapshot())
    assert len(kept) > 10
    return iter([(read_start(content), whole) for content in kept])


@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_start_stands_where_a_full_reader_stands(log: list[Stored], seed: int) -> None:
    """From any point of any order of reading, in any other order of reading on."""
    waited = 0
    for number, (held, whole) in enumerate(each_start(log, seed)):
        waited += len(held.waiting)
        again = Process.begun(anchored(held, log))
        for record in interleaved(log, 1_000 + number):
            again.take(record)
        assert again.stands_on() == whole.stands_on()
        assert again.positions == whole.positions
    assert waited, "some snapshots were kept while events waited for their tick"


def followed(log: list[Stored], cut: int, start: Callable[[Process], Start]) -> list[tuple[dict[str, int], dict[str, int]]]:
    """Where two processes would take up each session, after each later record: one that read all, and one that began anew at `cut`."""
    whole = Process.begun()
    for record in log[:cut]:
        whole.take(record)
    again, found = Process.begun(start(whole)), []
    for record in log:
        again.take(record)
        whole.take(record)
        if again.positions == whole.positions:
            found.append((whole.stands_on()["bars"], again.stands_on()["bars"]))
    return found


def in_time(driver: TickDriver) -> list[Stored]:
    """The log in the order in which it was written: a tick's inputs stand before its seal, all above its cut behind it."""
    records, placed = stored_log(driver), list[Stored]()
    below: dict[tuple[str, int], int] = {}
    inputs = [record for record in records if record.topic in {JOBS, RUNNERS}]
    for tick in driver.accepted:
        for record in inputs:
            first, cut = below.get((record.topic, record.partition), 0), tick.seal.cut[record.topic][record.partition]
            placed += [record] * (first <= record.offset < cut)
        below |= {(topic, number): cut for topic in (JOBS, RUNNERS) for number, cut in enumerate(tick.seal.cut[topic])}
        placed += [record for record in records if record.topic == RUNS and tick.offset - tick.seal.count <= record.offset <= tick.offset]
    return placed


@pytest.fixture(scope="module")
def life() -> list[Stored]:
    return in_time(a_whole_life())


def test_every_session_goes_on_where_it_stood(life: list[Stored]) -> None:
    """Also one whose next job is ordered later: its order holds what its session did below the cut, the rest is read again."""
    sessions = 0
    for cut in range(len(life) // 4, len(life), 23):
        for full, anew in followed(life, cut, lambda whole: anchored(read_start(whole.snapshot()), life)):
            assert anew == full
            sessions += len(full)
    assert sessions > 100


def without_marks(whole: Process) -> bytes:
    document = json.loads(checked(whole.snapshot()))
    document["marks"] = []
    return with_checksum(json.dumps(document).encode())


def test_negative_control_without_its_marks_a_session_would_start_over(life: list[Stored]) -> None:
    pairs = [
        pair for cut in range(len(life) // 4, len(life), 23)
        for pair in followed(life, cut, lambda whole: anchored(read_start(without_marks(whole)), life))
    ]  # fmt: skip
    assert any(anew != full for full, anew in pairs)


def test_negative_control_who_goes_on_further_ahead_stands_elsewhere(log: list[Stored]) -> None:
    differing = 0
    for held, whole in each_start(log, 0):
        ahead = Held(held.head, {**held.starts, JOBS: (10**9,) * PARTITIONS[JOBS]}, held.jobs, held.waiting, held.marks)
        again = Process.begun(anchored(ahead, log))
        for record in log:
            again.take(record)
        differing += again.stands_on()["jobs"] != whole.stands_on()["jobs"]
    assert differing > 5


def a_snapshot(log: list[Stored]) -> bytes:
    process = Process.begun()
    for record in log:
        process.take(record)
    return process.snapshot()


def test_a_flipped_bit_is_refused(life: list[Stored]) -> None:
    content, chance = a_snapshot(life), random.Random(7)
    assert read_start(content).jobs
    for _ in range(300):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        with pytest.raises(RefusedSnapshot):
            read_start(bytes(flipped))


@pytest.mark.parametrize("change", [
    {"version": "0.0.9"}, {"jobs": None}, {"marks": [{}]}, {"waiting": [["job-unknown.v1", {}]]}, {"waiting": [["job-started.v1", {}]]},
    {"head": [1, 2]}, {"runners_from": [-1]}, {"jobs": [{"job": {}, "order": {}, "enqueued_ms": 1}]},
])  # fmt: skip
def test_what_cannot_be_read_is_refused(life: list[Stored], change: dict[str, Any]) -> None:
    document = json.loads(checked(a_snapshot(life)))
    read_start(with_checksum(json.dumps(document).encode()))
    with pytest.raises(RefusedSnapshot):
        read_start(with_checksum(json.dumps(document | change).encode()))


# ── when one is kept ──────────────────────────────────────────────────────────────────────────────────────────────────


async def kept_after(folder: Path, log: list[Stored], records: int, after_ms: float, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of a process that has read a log, by what its keeper counted since the last one."""
    process = Process.begun()
    for record in log:
        process.take(record)
    keeper, runner = Keeper(folder, records=records), process.runner
    monkeypatch.setattr(clock, "monotonic_ms", lambda: after_ms)
    keeper.keep(runner.queue, runner.marks, runner.chain, process.positions)
    if keeper.writing is not None:
        await keeper.writing
    return [path.name for path in SnapshotFolder(folder).files()]


@pytest.mark.parametrize(("records", "after_ms", "files"), [
    (1, starting.AGAIN_MS, 1), (AGAIN_RECORDS, 0.0, 1), (AGAIN_RECORDS - 1, starting.AGAIN_MS - 1, 0), (0, 1e9, 0),
])  # fmt: skip
async def test_one_is_kept_after_a_while_or_many_records(
    records: int, after_ms: float, files: int, life: list[Stored], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(await kept_after(tmp_path / "kept", life, records, after_ms, monkeypatch)) == files


async def test_a_folder_that_cannot_be_written_stops_nothing(
    life: list[Stored], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert await kept_after(tmp_path / "file", life, AGAIN_RECORDS, 0.0, monkeypatch) == []
    assert "no snapshot, so the next start takes longer" in caplog.text


async def test_none_is_kept_before_the_first_tick_or_without_a_folder(tmp_path: Path) -> None:
    process = Process.begun()
    for folder in (tmp_path, None):
        keeper = Keeper(folder, records=AGAIN_RECORDS)
        keeper.keep(process.runner.queue, process.runner.marks, process.runner.chain, process.positions)
        await asyncio.sleep(0)
        assert (keeper.writing, list(tmp_path.iterdir())) == (None, [])
