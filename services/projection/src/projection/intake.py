"""What the projection has read and not committed yet, and which offsets a commit may claim.

Place in the flow: log reader → **intake** → model. Pure bookkeeping around the model. For `autonomy.runs` the resume offset
is the one after the last accepted seal; for job events and runners' bars it stops before the first one that waits for its tick;
`applied` remembers how far everything else was applied, so that re-read records are skipped exactly. A tick is applied once all
commands and bars below its cut were read: then it closes a session at a bar that is known here. It waits for its job events too where
it can, since what is read behind its tick need not be kept.

Source: docs/architecture.md, "Read models"; S8.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aiokafka import TopicPartition

from autonomy.chain import AcceptedTick, Chain
from autonomy.envelope import Received, Record, Undecodable, decode
from autonomy.events import AttemptRefused, CapabilitiesAnnounced, Command, Head, RecordQuarantined, RunnerBar, RunnerSign
from autonomy.lifecycle import MAX_PENDING, JobStep
from autonomy.topics import COMMANDS, INPUTS, JOBS, PULSE, RUNNERS, RUNS, WITHOUT_AUTHORITY
from projection.fold.apply import Model
from projection.fold.rows import instant
from projection.store.batches import Offsets, Progress
from projection.tracing import RowSpans

Key = tuple[str, int]
WAITING: Final = (JOBS, RUNNERS)
"""Topics with records that name a tick, and wait for it."""


@dataclass(slots=True)
class Intake:
    """The reading side of one projection.

    Attributes:
        ticks: accepted, waiting for the inputs below their cut.
        waits_for_jobs: False of a rebuild, which has no job events beyond those that the live projection had at its head.
        waiting: per partition, offsets of records that wait for their tick, rising, with that tick.
        quarantined: how many records could not be read, in all.
        said: what to publish on the quarantine topic before the commit.
        spans: None while tracing is off.
    """

    model: Model
    chain: Chain
    offsets: Offsets
    applied_head: Head
    ticks: deque[AcceptedTick] = field(default_factory=deque)
    waiting: dict[Key, deque[tuple[int, int]]] = field(default_factory=dict)
    positions: dict[Key, int] = field(default_factory=dict)
    quarantined: int = 0
    said: list[RecordQuarantined] = field(default_factory=list)
    read: int = 0
    spans: RowSpans | None = None
    waits_for_jobs: bool = True

    def take(self, record: Record) -> None:
        """Route one record."""
        self.read += 1
        key = (record.topic, record.partition)
        self.positions[key] = record.offset + 1
        at = instant(record.timestamp)
        if record.topic == RUNS:
            self._take_run(record, at)
            return
        # Nothing in a topic without authority is read a second time; a lower offset than before is that of one made anew.
        again = record.topic not in WITHOUT_AUTHORITY and record.offset < self.offsets.applied.get(key, 0)
        received = decode(record.value, record.topic)
        if isinstance(received, Undecodable):
            if not again:
                self._refuse(record, received.reason, at)
            return
        if not again:
            self._apply(received, record, at)
        elif record.topic in WAITING and self._waits(received):
            self._apply(received, record, at)  # it waited for its tick when the last batch was committed

    def _take_run(self, record: Record, at: datetime) -> None:
        done = self.chain.read(record)
        if isinstance(done, Undecodable):
            # Every start reads on behind the last seal, so this one may have been refused and said before.
            if record.offset >= self.offsets.applied.get((RUNS, record.partition), 0):
                self._refuse(record, done.reason, at)
        elif done is not None:
            self.ticks.append(done)

    def _apply(self, received: Received, record: Record, at: datetime) -> None:
        event = received.event
        if record.topic == JOBS:
            step: JobStep = event  # type: ignore[assignment] # the codec admits only job steps on this topic
            if step.job_id not in self.model.fold.jobs and step.tick > self.model.fold.head_tick:
                self.waiting.setdefault((JOBS, record.partition), deque()).append((record.offset, step.tick))
            self.model.apply_step(step, at)
            if self.spans is not None and received.traceparent is not None:
                self.spans.note(step, received.traceparent, record.timestamp)
        elif isinstance(event, RunnerBar):
            if self.model.books.waits(event, self.model.fold.head_tick):
                self.waiting.setdefault((RUNNERS, record.partition), deque()).append((record.offset, event.tick))
            self.model.apply_bar(event, at)
        elif isinstance(event, RunnerSign):
            self.model.apply_beat(event, at)
        elif record.topic == PULSE:
            self.model.signs.pulse(received, at)
        elif isinstance(event, CapabilitiesAnnounced):
            self.model.apply_capabilities(event, at)
        elif isinstance(event, Command):
            self.model.apply_command(event, at)
        elif isinstance(event, AttemptRefused):
            self.model.apply_refusal(event, at)
        # autonomy.quarantine: our own words, already in the table

    def _waits(self, received: Received) -> bool:
        event, head_tick = received.event, self.model.fold.head_tick
        if isinstance(event, RunnerBar):
            return self.model.books.waits(event, head_tick)
        return int(getattr(event, "tick", 0)) > head_tick

    def _refuse(self, record: Record, reason: str, at: datetime) -> None:
        self.quarantined += 1
        self.said.append(self.model.quarantine(
            topic=record.topic, partition=record.partition, offset=record.offset, value=record.value or b"",
            reason=reason, at=at,
        ))  # fmt: skip

    def leave_out(self, partition: TopicPartition, offset: int, why: str, at: datetime) -> None:
        """What cannot be read of a topic without authority is kept like a record that cannot, at the place where it begins."""
        self.quarantined += 1
        self.said.append(
            self.model.quarantine(topic=partition.topic, partition=partition.partition, offset=offset, value=b"", reason=why, at=at)
        )

    def apply_ready_ticks(self) -> int:
        """Apply the accepted ticks whose commands and bars were read; returns how many.

        None while records are read for the second time: which of them waited at the last commit is told by the head of that
        commit.
        """
        applied = 0
        if self.reads_again:
            return applied
        while self.ticks and self._inputs_read(self.ticks[0]):
            tick = self.ticks.popleft()
            self.model.apply_tick(tick)
            self.applied_head = tick.head
            applied += 1
        return applied

    @property
    def reads_again(self) -> bool:
        """Whether records from before the last commit are still being read again."""
        return any(key[0] in WAITING and self.positions.get(key, 0) < applied for key, applied in self.offsets.applied.items())

    def _inputs_read(self, tick: AcceptedTick) -> bool:
        needed = INPUTS if self.waits_for_jobs and not self.model.fold.must_wait else (COMMANDS, RUNNERS)
        return all(
            self.positions.get((topic, number), 0) >= end for topic in needed for number, end in enumerate(tick.seal.cut.get(topic, ()))
        )

    def is_full(self, topic: str, number: int) -> bool:
        """Whether so much waits for ticks that no more may be read of a partition."""
        if topic == JOBS:
            return self.model.fold.must_wait
        # A partition where a bar waits was read beyond the next tick's cut, so that tick does not need more of it.
        return topic == RUNNERS and self.model.books.pending_bars >= MAX_PENDING and self._first_waiting((topic, number)) is not None

    def progress(self) -> Progress:
        """What a commit of everything applied so far may claim."""
        applied_head = self.applied_head
        moved: dict[Key, tuple[int, int]] = {}
        for key, position in self.positions.items():
            nexts = self._resume(key, position, applied_head.offset)
            applied = position if key[0] in WITHOUT_AUTHORITY else max(position, self.offsets.applied.get(key, 0))
            if nexts != self.offsets.next_offset.get(key) or applied != self.offsets.applied.get(key):
                moved[key] = (nexts, applied)
        before = {key: self.offsets.next_offset[key] for key in moved if key in self.offsets.next_offset}
        return Progress(
            head=applied_head, market_now=self.model.market_now, void_records=self.chain.void_records,
            void_seals=self.chain.void_seals, void_steps=sum(self.model.fold.void.values()) + self.model.books.void,
            quarantined=self.quarantined, rev=self.model.rev, offsets=moved, before=before,
        )  # fmt: skip

    def _resume(self, key: Key, position: int, head_offset: int) -> int:
        if key[0] == RUNS:
            return head_offset + 1
        if key[0] not in WAITING:
            return position
        first = self._first_waiting(key)
        return position if first is None else min(position, first)

    def _first_waiting(self, key: Key) -> int | None:
        """The offset of the first record of a partition that still waits for its tick."""
        queue = self.waiting.get(key)
        while queue and queue[0][1] <= self.model.fold.head_tick:
            queue.popleft()
        return queue[0][0] if queue else None

    def handed_over(self, progress: Progress) -> None:
        """The batch goes to the database, and whatever follows stands on it: should it fail, all that is in memory is dropped."""
        for key, (nexts, applied) in progress.offsets.items():
            self.offsets.next_offset[key], self.offsets.applied[key] = nexts, applied
        self.model.rev += 1

    def take_said(self) -> list[RecordQuarantined]:
        """What is to be said of refused records before the next commit; each once."""
        said, self.said = self.said, []
        return said
