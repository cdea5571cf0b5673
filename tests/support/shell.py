"""A planner's shell over a log in memory: its real loop, and a client that behaves as Kafka's does where that matters.

What was fetched of a partition is handed out whole, one partition after the other; a paused one gives nothing; the end of the log
is whatever it is now, also less than it was.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from autonomy import clock
from autonomy.envelope import Received, decode
from autonomy.events import PlannerPulse
from autonomy.log_reader import LogReader
from autonomy.topics import PULSE, RUNS, TOPICS
from planner.shell.app import Planner
from planner.shell.election import Election
from planner.shell.settings import PlannerSettings
from support.builders import an_id
from support.stored_log import Stored, stored_log
from support.ticks import TickDriver

PARTITIONS = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]


@dataclass
class Batch:
    """Records on their way."""

    records: list[tuple[bytes, bytes, Sequence[tuple[str, bytes]]]] = field(default_factory=list)

    def append(self, *, key: bytes, value: bytes, timestamp: int | None, headers: Sequence[tuple[str, bytes]]) -> object:
        assert timestamp is None
        self.records.append((key, value, headers))
        return self

    def record_count(self) -> int:
        return len(self.records)


@dataclass
class MemoryKafka:
    """Consumer, producer and broker in one.

    Attributes:
        log: every partition that was written to.
        read: how far each partition was handed out.
        last: the partition that is handed out only when no other has anything.
        polls: how often somebody asked.
    """

    log: dict[TopicPartition, list[Stored]] = field(default_factory=dict)
    read: dict[TopicPartition, int] = field(default_factory=dict)
    stopped: set[TopicPartition] = field(default_factory=set)
    last: TopicPartition | None = None
    polls: int = 0

    def store(self, topic: str, partition: int, value: bytes, key: bytes = b"", headers: Sequence[tuple[str, bytes]] = ()) -> int:
        """Append a record; returns its offset."""
        stored = self.log.setdefault(TopicPartition(topic, partition), [])
        stored.append(Stored(topic, partition, len(stored), value, key, clock.now_ms(), tuple(headers)))
        return len(stored) - 1

    def take_over(self, records: Iterable[Stored]) -> None:
        """Append records that somebody else wrote, as far as they are not here yet."""
        for record in records:
            stored = self.log.setdefault(TopicPartition(record.topic, record.partition), [])
            if record.offset >= len(stored):
                stored.append(replace(record, offset=len(stored)))

    def pulses(self) -> list[PlannerPulse]:
        """What planners said of themselves."""
        received = [decode(record.value, PULSE) for record in self.log.get(TopicPartition(PULSE, 0), ())]
        return [found.event for found in received if isinstance(found, Received) and isinstance(found.event, PlannerPulse)]

    # ── as a consumer ─────────────────────────────────────────────────────────────────────────────────────────────

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Stored]]:
        assert max_records > 0, "as the client demands"
        self.polls += 1
        for partition in sorted(self.log, key=lambda each: (each == self.last, each.topic != RUNS, each)):
            start = self.read.get(partition, 0)
            found = [] if partition in self.stopped else self.log[partition][start : start + max_records]
            if found:
                self.read[partition] = start + len(found)
                return {partition: found}
        await asyncio.sleep(timeout_ms / 1000)
        return {}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.read[partition] = offset

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def highwater(self, partition: TopicPartition) -> int | None:
        return len(self.log[partition]) if partition in self.log else None

    def paused(self) -> set[TopicPartition]:
        return set(self.stopped)

    def pause(self, *partitions: TopicPartition) -> None:
        self.stopped |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.stopped -= set(partitions)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: len(self.log.get(partition, ())) for partition in partitions}

    # ── as a producer ─────────────────────────────────────────────────────────────────────────────────────────────

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        offsets = [self.store(topic, partition, value, key, headers) for key, value, headers in batch.records]
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sent.set_result(SimpleNamespace(offset=offsets[0]))
        return sent

    async def send(self, topic: str, value: bytes, *, key: bytes, partition: int) -> None:
        self.store(topic, partition, value, key)


def kafka_of(driver: TickDriver) -> MemoryKafka:
    """A broker that holds a driver's log."""
    kafka = MemoryKafka()
    kafka.take_over(stored_log(driver))
    return kafka


def a_planner(kafka: MemoryKafka, name: str = "planner-2") -> Planner:
    """A planner process that has read nothing yet, on a client of its own: the broker's log is shared."""
    client: Any = MemoryKafka(log=kafka.log, last=kafka.last)
    reader = LogReader(client, dict.fromkeys(PARTITIONS, 0), asker=client)
    election = Election(an_id(name), 0.2, started_mono_ms=clock.monotonic_ms(), now_ms=clock.now_ms())
    return Planner(an_id(name), PlannerSettings(), reader, client, election)


def client_of(planner: Planner) -> MemoryKafka:
    """The client that a planner reads by."""
    client: Any = planner.reader.consumer
    assert isinstance(client, MemoryKafka)
    return client


async def turns(planner: Planner, count: int) -> None:
    """So many turns of its loop, without deciding anything."""
    for _ in range(count):
        await planner.turn(1)


async def lead_until(planner: Planner, reached: Callable[[], bool], within_s: float = 20.0) -> None:
    """Its whole loop until something is so, however slow the machine; then it reads what it appended."""
    running = asyncio.ensure_future(planner.run())
    deadline = clock.monotonic_ms() + within_s * 1000
    while not reached() and not running.done() and clock.monotonic_ms() < deadline:
        await asyncio.sleep(0.01)
    planner.stopping = True
    await running
    await turns(planner, 20)
    assert reached(), f"not within {within_s} s: head tick {planner.state.head_tick}, halted {planner.halted!r}"


async def lead_for(planner: Planner, seconds: float) -> None:
    """Its whole loop, for a while."""
    running = asyncio.ensure_future(planner.run())
    await asyncio.sleep(seconds)
    planner.stopping = True
    await running
