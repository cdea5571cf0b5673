"""The one follower of the log: every process and command that reads it stands on this.

Place in the flow: Kafka → **log reader** → planner, job-runner, projection, proof-api, audit, tail, and each start's look at the log's end.
Consumers here have no group: a reader's position is its own (a cut, a horizon, offsets in PostgreSQL), so that it moves with what was done,
never with what was fetched. Reconnecting, gaps, damage, and where the log begins and ends are looked after here; which ticks count, in
`Chain.read`. When to read on in which partition is each follower's own: a planner and an audit read what the next tick needs, the
projection in the order of the chain, the others whatever comes; so each has its own loop around `poll`, with its own work in every turn.

A trap of the client, met and measured: `getmany` is never cancelled (its idle clock sticks), so only `timeout_ms` bounds it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from autonomy.envelope import Record
from autonomy.errors import Unreadable
from autonomy.inspection import OF_THE_LOG, Obstacles, begins_at
from autonomy.kafka import REQUEST_TIMEOUT_MS, start_client
from autonomy.kafka_access import KafkaAccess
from autonomy.kafka_clients import client_options
from autonomy.unpacking import bound_the_client

log = logging.getLogger(__name__)
STOP_TIMEOUT_S: Final = 5
FETCH_BYTES: Final = 8 * 1024 * 1024
MAX_FETCH_RECORDS: Final = 5_000
NOWHERE: Final[Mapping[str, int]] = {}


@dataclass(slots=True)
class LogReader:
    """Reads chosen partitions from chosen offsets, each in order, with nothing committed anywhere.

    A batch that nobody can unpack, and a position that the log does not have, stop their own partition and are named with their place;
    every reader stops at the same record. In a topic without authority nothing follows from a gap: it is noted, and reading goes on
    behind it.

    Attributes:
        positions: the next offset of each partition that `poll` has not returned yet.
        goes_on: whether the other partitions are read on while one cannot be; otherwise `poll` raises `Unreadable`.
        obstacles: what cannot be read, and what was left out.
        asker: a connection of its own for questions: a broker answers one connection in order, so on the reader's a question
            waits behind the fetch that waits for records.
    """

    consumer: AIOKafkaConsumer
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    bootstrap: str | KafkaAccess = ""
    asker: AIOKafkaConsumer | None = None
    goes_on: bool = False
    partition_bytes: int = FETCH_BYTES
    obstacles: Obstacles = field(init=False)

    def __post_init__(self) -> None:
        """What stands in the way is found with the same client, at the same positions."""
        self.obstacles = Obstacles(self.consumer, self.positions, self.partition_bytes, self.goes_on)

    @classmethod
    async def open(
        cls,
        bootstrap: str | KafkaAccess,
        starts: Mapping[str, Sequence[int]],
        partition_bytes: int = FETCH_BYTES,
        *,
        goes_on: bool = False,
        near_end: Mapping[str, int] = NOWHERE,
    ) -> Self:
        """Start to read.

        Args:
            bootstrap: the cluster.
            starts: per topic the first offset of each partition.
            partition_bytes: of one partition at most so many are fetched at once.
            goes_on: whether what cannot be read stops its own partition only.
            near_end: topics of one partition whose records expire, with how many before the end are wanted (`start_near_end`).
        """
        bound_the_client()
        consumer = AIOKafkaConsumer(
            **client_options(bootstrap),
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=partition_bytes,
            fetch_max_wait_ms=250,
            retry_backoff_ms=100,
            metadata_max_age_ms=30_000,
        )
        await start_client(consumer)
        reader = cls(consumer, bootstrap=bootstrap, goes_on=goes_on, partition_bytes=partition_bytes)
        partitions = [TopicPartition(topic, number) for topic, offsets in starts.items() for number in range(len(offsets))]
        consumer.assign(partitions)
        for partition in partitions:
            reader.seek(partition, starts[partition.topic][partition.partition])
        try:
            for topic, back in near_end.items():
                await reader.start_near_end(TopicPartition(topic, 0), back)
        except BaseException:
            await reader.close()
            raise
        return reader

    async def __aenter__(self) -> Self:
        """Nothing to do: `open` started it."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        await self.close()

    async def close(self) -> None:
        """Stop the client. After a broker's death its own stop may hang, or raise the cancellation of one of its own tasks.

        Neither may reach the caller: a cancellation that nobody asked for would end the process.
        """
        for each in (self.consumer, self.asker):
            if each is None:
                continue
            stopping = asyncio.ensure_future(each.stop())
            await asyncio.wait({stopping}, timeout=STOP_TIMEOUT_S)
            if not stopping.done():
                stopping.cancel()
                log.warning("the Kafka client did not stop within %s s", STOP_TIMEOUT_S)
            elif stopping.cancelled() or stopping.exception() is not None:
                log.warning("the Kafka client did not stop cleanly")

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go to an offset; what was fetched from elsewhere is dropped."""
        self.consumer.seek(partition, offset)
        self.positions[partition] = offset

    async def start_near_end(self, partition: TopicPartition, back: int) -> None:
        """Go to so many records before the end of a topic whose records expire, or on from where the reader is if that is later.

        A position beyond the end is that of a topic that was deleted and made anew.
        """
        (end,) = (await self.ends([partition.topic]))[partition.topic]
        first = (await self.consumer.beginning_offsets([partition]))[partition]
        self.seek(partition, min(end, max(first, self.positions[partition], end - back)))

    def pause_all_but(self, wanted: Collection[TopicPartition]) -> None:
        """Let `poll` return nothing but these partitions; the others keep their positions until they are wanted again."""
        paused = self.consumer.paused()
        if idle := set(self.positions) - set(wanted) - paused:
            self.consumer.pause(*idle)
        if again := (paused & set(wanted)) - self.obstacles.faults.keys():
            self.consumer.resume(*again)

    def is_behind(self, partition: TopicPartition) -> bool:
        """Whether the broker is known to hold more of a partition than `poll` has returned, and it can be read."""
        end = self.consumer.highwater(partition)
        return end is not None and self.positions[partition] < end and partition not in self.obstacles.faults

    def lag(self) -> int:
        """How many records the broker is known to hold that `poll` has not returned and can return."""
        known, gone = self.consumer.highwater, self.obstacles.faults
        return sum(max(0, (known(place) or 0) - position) for place, position in self.positions.items() if place not in gone)

    async def poll(self, timeout_ms: int = 200, max_records: int = MAX_FETCH_RECORDS) -> list[Record]:
        """The next records, per partition in order; empty when nothing came within `timeout_ms`.

        Raises:
            Unreadable: nothing before it is left to return, and this reader does not go on without it.
            KafkaError: what the client does not wait for by itself.
        """
        await self.obstacles.look_again()
        try:
            fetched = await self.consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
        except OF_THE_LOG as refusal:
            return list(await self.obstacles.read_around(refusal, max_records))
        self.obstacles.unexplained = 0
        found: list[Record] = []
        for partition, records in fetched.items():
            if records:
                found.extend(records)
                self.positions[partition] = records[-1].offset + 1
        return found

    @property
    def fault(self) -> str:
        """Why this reader cannot read all that it should, in words; empty if it can."""
        return self.obstacles.words

    @property
    def lost(self) -> str:
        """What the log no longer has of what this reader was about to read, in words; empty if it has all."""
        return self.obstacles.lost

    async def deleted(self, wanted: Iterable[TopicPartition]) -> str:
        """The first of these partitions whose beginning was deleted, in words; empty if each begins at 0."""
        first = await self._ask("beginning_offsets", list(wanted))
        return next((begins_at(partition, first[partition]) for partition in sorted(first) if first[partition] > 0), "")

    async def ends(self, topics: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """The end offset of each partition of these topics, now."""
        wanted = [partition for partition in self.positions if partition.topic in set(topics)]
        found = await self._ask("end_offsets", wanted)
        return {topic: by_number(found, topic) for topic in sorted({partition.topic for partition in wanted})}

    async def _ask(self, what: Literal["beginning_offsets", "end_offsets"], of: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask, and once more where a broker did not answer in time (KafkaError if neither): another may lead by now.

        The client ends its question and its request at the same moment, so it never learns that the connection is dead: without a word
        from here it would ask the broker that is gone until its metadata expire, for 30 s.
        """
        if self.asker is None:
            self.asker = await self._build_asker()
        question = getattr(self.asker, what)
        try:
            return dict(await question(of))
        except KafkaTimeoutError:
            self.asker._client.force_metadata_update()  # noqa: SLF001 (the client offers no other way)
            return dict(await question(of))

    async def _build_asker(self) -> AIOKafkaConsumer:
        asker = AIOKafkaConsumer(
            **client_options(self.bootstrap), enable_auto_commit=False, request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=100, metadata_max_age_ms=30_000,
        )  # fmt: skip
        # Partitions that it knows before it starts come with its first metadata; each topic that a question names later costs the client
        # a failed attempt and its backoff, 0.4 s for four of them. Paused, and at an offset of their own, they are never fetched.
        asker.assign(list(self.positions))
        asker.pause(*self.positions)
        await start_client(asker)
        for partition in self.positions:
            asker.seek(partition, 0)
        return asker

    async def to_the_end(self, topics: Iterable[str]) -> AsyncIterator[Record]:
        """Every record of these topics from where the reader is up to where they end now, each once; others that come by are returned too.

        Raises:
            Unreadable: something of it, also of a reader that goes on elsewhere.
            KafkaError: as `poll`, and no answer where the topics end.
        """
        ends = await self.ends(topics)
        while not self.reached(ends):
            for record in await self.poll():
                yield record
            if self.obstacles.faults and not self.reached(ends):
                raise Unreadable(self.fault)

    def reached(self, cut: Mapping[str, Sequence[int]]) -> bool:
        """Whether everything below the cut was returned by `poll`."""
        return all(
            self.positions.get(TopicPartition(topic, number), 0) >= offset
            for topic, offsets in cut.items()
            for number, offset in enumerate(offsets)
        )


def by_number(offsets: Mapping[TopicPartition, int], topic: str) -> tuple[int, ...]:
    """The offsets of one topic in the order of its partitions."""
    numbers = sorted(partition.partition for partition in offsets if partition.topic == topic)
    return tuple(offsets[TopicPartition(topic, number)] for number in numbers)
