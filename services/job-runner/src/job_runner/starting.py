"""Where a job-runner begins to read: at the newest snapshot that the log bears out, else at the horizon; and what it keeps for that.

Place in the flow: files and log → **starting** → app → files. The horizon stands before the oldest live job, so one job that nobody can
take holds it back for as long as it waits. A snapshot holds what this process folded: live jobs with their orders, and the newest mark of
each of their sessions. Any runner would have folded the same of the same records, so runners may share a folder. A snapshot needs no root
in a seal: what a runner believes acts on nobody, since every other reader judges its claims by its own fold.

Source: S7, S10; docs/adr/0027.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, get_args

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Meta, Raw, Struct
from pydantic import ValidationError

from autonomy import clock
from autonomy.chain import Chain
from autonomy.envelope import data_bytes
from autonomy.errors import AutonomyError
from autonomy.events import Head, JobEnqueued, RunnerMarked
from autonomy.horizon import go_behind, newest_horizon
from autonomy.lifecycle import Job, JobStep
from autonomy.log_reader import LogReader
from autonomy.snapshot_files import RefusedSnapshot, SnapshotFolder, checked, with_checksum
from autonomy.topics import JOBS, RUNNERS, RUNS, TOPICS
from autonomy.version import VERSION
from job_runner.claims.queue import Queue
from job_runner.paper.session import Marks

log = logging.getLogger(__name__)
PARTITIONS: Final = {topic.name: topic.partitions for topic in TOPICS}
AGAIN_MS: Final = 60_000
AGAIN_RECORDS: Final = 20_000
"""A snapshot is kept after so long, or after so many records: what a start reads after it stays a few seconds of reading."""
MAX_WAITING: Final = 1_000
"""Job events ahead of their tick, with which a snapshot is still kept; only a reader far behind the chain has as many."""
STEPS: Final[Mapping[str, type[JobStep]]] = {kind.wire: kind for kind in get_args(JobStep)}
Offset = Annotated[int, Meta(ge=0)]


class KeptJob(Struct, frozen=True):
    """A live job: where it stands, its order as it was said, and the wall time of the tick that ordered it."""

    job: Job
    order: Raw
    enqueued_ms: int


class Kept(Struct, frozen=True):
    """What a runner stands on.

    Attributes:
        version: of the platform that folded it.
        head: tick, offset and hash of the last accepted seal.
        jobs_from: per partition, the first offset that is not folded yet.
        runners_from: the same, and not beyond the head's cut: an order of a later tick holds what its session did below there.
        waiting: job events ahead of their tick, in their order, with their wire names.
        marks: the newest of each session of a live job.
    """

    version: str
    head: tuple[int, int, str]
    jobs_from: tuple[Offset, ...]
    runners_from: tuple[Offset, ...]
    jobs: tuple[KeptJob, ...]
    waiting: tuple[tuple[str, Raw], ...]
    marks: tuple[Raw, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What a snapshot holds, read: each live job with its order and when it was enqueued, the steps that wait, the marks."""

    head: Head
    starts: Mapping[str, Sequence[int]]
    jobs: Sequence[tuple[Job, JobEnqueued, int]] = ()
    waiting: Sequence[JobStep] = ()
    marks: Sequence[RunnerMarked] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Where to go on from.

    Attributes:
        chain: anchored at the head.
        held: nothing at a horizon.
        at_snapshot: whether a snapshot gave it.
    """

    chain: Chain
    held: Held
    at_snapshot: bool = False

    def restore(self, queue: Queue, marks: Marks, mono_ms: float) -> None:
        """Put what was held into an empty queue, as if its records were read just now."""
        queue.fold.head_tick, queue.mono_ms = self.chain.head.tick, mono_ms
        for job, order, enqueued_ms in self.held.jobs:
            queue.fold.enqueue(job)
            queue.orders[job.job_id], queue.enqueued_ms[job.job_id] = order, enqueued_ms
            queue.since[job.job_id] = (job.attempt, mono_ms)
        for step in self.held.waiting:
            queue.step(step, mono_ms)
        for mark in self.held.marks:
            marks.take(mark)


def bytes_of_start(queue: Queue, marks: Marks, chain: Chain, positions: Mapping[TopicPartition, int]) -> bytes:
    """A snapshot of what was folded below these positions."""
    sessions = sorted({order.paper.session_id for order in queue.orders.values() if order.paper is not None})
    kept = Kept(
        version=VERSION, head=(chain.head.tick, chain.head.offset, chain.head.hash),
        jobs_from=_offsets(positions, JOBS),
        runners_from=tuple(map(min, _offsets(positions, RUNNERS), chain.cut[RUNNERS])),
        jobs=tuple(
            KeptJob(queue.fold.jobs[job_id], Raw(data_bytes(order)), queue.enqueued_ms[job_id]) for job_id, order in queue.orders.items()
        ),
        waiting=tuple((step.wire, Raw(data_bytes(step))) for steps in queue.fold.pending.values() for step in steps),
        marks=tuple(Raw(data_bytes(mark)) for mark in map(marks.of, sessions) if mark is not None),
    )  # fmt: skip
    return with_checksum(msgspec.json.encode(kept))


def _offsets(positions: Mapping[TopicPartition, int], topic: str) -> tuple[int, ...]:
    return tuple(positions[TopicPartition(topic, number)] for number in range(PARTITIONS[topic]))


def read_start(content: bytes) -> Held:
    """Read a file, and check all that can be checked without the log.

    Raises:
        RefusedSnapshot: it is damaged, or of another version.
    """
    try:
        kept = msgspec.json.decode(checked(content), type=Kept)
        if kept.version != VERSION:
            raise RefusedSnapshot(f"it is of version {kept.version}, this is {VERSION}")
        tick, offset, digest = kept.head
        return Held(
            Head(tick=tick, offset=offset, hash=digest),
            {RUNS: (offset + 1,), JOBS: kept.jobs_from, RUNNERS: kept.runners_from},
            [(held.job, JobEnqueued.model_validate_json(bytes(held.order)), held.enqueued_ms) for held in kept.jobs],
            [STEPS[wire].model_validate_json(bytes(step)) for wire, step in kept.waiting],
            [RunnerMarked.model_validate_json(bytes(mark)) for mark in kept.marks],
        )
    except (msgspec.DecodeError, ValidationError, KeyError) as refusal:
        raise RefusedSnapshot(f"it cannot be read: {refusal!r}"[:300]) from refusal


async def find_start(reader: LogReader, folder: Path | None) -> Start:
    """The newest snapshot that is later than the horizon and that the log bears out, else the horizon; the reader goes on from there."""
    horizon = await newest_horizon(reader)
    for path in SnapshotFolder(folder).files() if folder is not None else ():
        try:
            held = read_start(path.read_bytes())
            if held.head.tick <= horizon.tick:
                break
            return await borne_out(reader, held)
        except (AutonomyError, OSError, KafkaError) as refusal:
            log.warning("snapshot %s is not used, the log is read from an older one or from the horizon: %s", path.name, refusal)
    return Start(await go_behind(reader, horizon), Held(horizon, {}))


async def borne_out(reader: LogReader, held: Held) -> Start:
    """A start at a snapshot, once the log was asked.

    Raises:
        RefusedSnapshot: the log lost records that the snapshot stands on, or is another one.
        Broken: another record stands where its head stood.
        Unreadable: nobody can read that record.
    """
    ends = await reader.ends(held.starts)
    for topic, offsets in held.starts.items():
        if len(offsets) != PARTITIONS[topic] or any(end < first for end, first in zip(ends[topic], offsets, strict=True)):
            raise RefusedSnapshot(
                f"{topic} ends at {ends[topic]}, the snapshot stands on {offsets}: the log lost records, or is another one"
            )
    chain = await go_behind(reader, held.head)
    for topic, offsets in held.starts.items():
        for number, offset in enumerate(offsets):
            reader.seek(TopicPartition(topic, number), offset)
    log.info("begins at a snapshot", extra={"tick": held.head.tick, "jobs": len(held.jobs)})
    return Start(chain, held, at_snapshot=True)


@dataclass(slots=True)
class Keeper:
    """Keeps a snapshot now and then, beside the loop: a slow disk stops no beat.

    Attributes:
        records: taken since the last one.
        writing: the last one, while it is on its way to its file.
    """

    folder: Path | None = None
    began_at_snapshot: bool = False
    kept_mono_ms: float = 0.0
    records: int = 0
    writing: "asyncio.Task[None] | None" = None

    def check(self, chain: Chain) -> None:
        """Said once everything was read that stood in the log at the start.

        Raises:
            RefusedSnapshot: the chain went on beside the head that the snapshot stood on; no snapshot is left, so the next start is at
                the horizon.
        """
        if self.began_at_snapshot and self.folder is not None and (beside := chain.forked()):
            SnapshotFolder(self.folder).clear()
            raise RefusedSnapshot(f"begun at a snapshot that the chain did not follow, all of them are deleted: {beside}")

    def keep(self, queue: Queue, marks: Marks, chain: Chain, positions: Mapping[TopicPartition, int]) -> None:
        """Keep a snapshot if one is due."""
        mono_ms = clock.monotonic_ms()
        due = self.records >= AGAIN_RECORDS or (self.records and mono_ms - self.kept_mono_ms >= AGAIN_MS)
        busy = self.writing is not None and not self.writing.done()
        if self.folder is None or not due or busy or not chain.cut or chain.forked() or queue.fold.pending_steps > MAX_WAITING:
            return
        self.kept_mono_ms, self.records = mono_ms, 0
        content = bytes_of_start(queue, marks, chain, positions)
        self.writing = asyncio.create_task(asyncio.to_thread(self._write, self.folder, chain.head.tick, content))

    @staticmethod
    def _write(folder: Path, tick: int, content: bytes) -> None:
        try:
            SnapshotFolder(folder).write(tick, content)
        except OSError as refusal:
            log.warning("no snapshot, so the next start takes longer: %s", refusal)
