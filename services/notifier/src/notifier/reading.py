"""The readers of the log, one for each receiver, under a group of its own: its committed offsets are how far that receiver was told.

Place in the flow: Kafka → **reading** → desks, and back to the group. FastStream declares and connects the subscribers, and acknowledges
nothing by itself; what they read comes through the follower that every part stands on, so that damage stops its partition alone, is
named, and loses nothing. A desk commits when it has sent. Partitions are assigned, not balanced: who restarts reads on at once, however it
ended. A receiver without a position begins at the head of the log, and that is said.

Source: docs/adr/0001-faststream-where-it-fits.md; docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Place
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, TopicPartition
from faststream.kafka.subscriber.usecase import BatchSubscriber

from autonomy.broker_access import broker_options
from autonomy.chain import AcceptedTick
from autonomy.cluster import check_log
from autonomy.errors import AutonomyError, Broken, Retryable
from autonomy.events import Head
from autonomy.horizon import go_behind, newest_horizon
from autonomy.kafka import REQUEST_TIMEOUT_MS, start_client
from autonomy.kafka_clients import client_options
from autonomy.log_reader import LogReader
from autonomy.producer import LOST
from autonomy.supervision import end_process
from autonomy.topics import RUNS
from autonomy.unpacking import bound_the_client
from notifier.desk import Desk
from notifier.state import BESIDE, PLACES, State

log = logging.getLogger(__name__)
GROUP: Final = "autonomy-notifier-"
"""Begin of each group's name; the receiver's follows."""
POLL_MS: Final = 200
MAX_RECORDS: Final = 2_000
AGAIN_S: Final = 1.0
CONNECT_S: Final = 40.0
"""Of one attempt to find the positions and connect."""
STOP_S: Final = 5.0
ROOM_S: Final = 5.0


@dataclass(slots=True)
class Reading:
    """All readers of this process.

    Attributes:
        log_is_there: set once its topics are there and may be read.
        began: by receiver, where it begins that had no position.
        readers: by receiver, what reads for it, once it is connected.
        problem: why nothing is read; empty while all is.
        turns: its signs of life, and those of each reader by its receiver.
    """

    kafka: str
    desks: Sequence[Desk]
    broker: KafkaBroker | None = None
    log_is_there: asyncio.Event = field(default_factory=asyncio.Event)
    readers: dict[str, LogReader] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    problem: str = "not connected yet"
    turns: "Counter[str]" = field(default_factory=Counter)

    async def run(self) -> None:
        """Connect, and keep reading; ends only by a fault that a person must look at."""
        while self.broker is None:
            self.turns[""] += 1
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self.connect()
            except Broken as fault:
                self.problem = str(fault)
                end_process(str(fault))
            except (*LOST, KafkaError, Retryable, AutonomyError) as refusal:
                self.problem = f"Kafka does not answer: {refusal!r}"
                log.warning("waiting for Kafka: %r", refusal)
                await asyncio.sleep(AGAIN_S)
        self.problem = ""
        while True:  # the readers read; this one shows that the loop turns
            self.turns[""] += 1
            await asyncio.sleep(AGAIN_S)

    async def read(self, desk: Desk) -> None:
        """Hand a desk what is read for it, for ever. A log that is not the one that the position is from ends the process."""
        while True:
            self.turns[desk.name] += 1
            reader = self.readers.get(desk.name)
            if reader is None:
                await asyncio.sleep(AGAIN_S)
                continue
            try:
                await self.read_some(desk, reader)
            except LOST as refusal:
                log.warning("Kafka does not answer: %r", refusal)
                for place, offset in dict(reader.positions).items():
                    reader.seek(place, offset)  # what was fetched and not handed out is fetched again
                await asyncio.sleep(AGAIN_S)
            except Exception as fault:
                # The reader is behind these records already: whoever went on would never tell them.
                log.critical("what %s is to be told cannot be taken", desk.name, exc_info=fault)
                end_process(f"{desk.name}: {fault}")

    async def read_some(self, desk: Desk, reader: LogReader) -> None:
        """Wait until the desk has room, then hand it what comes."""
        if await desk.has_room(ROOM_S):
            desk.take(await reader.poll(POLL_MS, MAX_RECORDS))

    def unread(self) -> str:
        """What of the log cannot be read, in words; empty if all can."""
        return next((words for reader in self.readers.values() if (words := reader.fault or reader.lost)), "")

    async def connect(self) -> None:
        """Find every receiver's position, then begin to read.

        Raises:
            Broken: a position is none of ours, or the log is not as it must be.
            KafkaError, Retryable: Kafka does not answer.
        """
        await check_log(self.kafka)
        self.log_is_there.set()
        bound_the_client()
        for desk in self.desks:
            desk.begin(await self.position_of(desk.name))
        broker, subscribers = self.build_broker()
        try:
            await broker.start()
        except BaseException:
            await stopped(broker)
            raise
        for desk, subscriber in zip(self.desks, subscribers, strict=True):
            consumer = subscriber.consumer
            assert consumer is not None, "the broker was started"
            reader = LogReader(consumer, bootstrap=self.kafka, goes_on=True)
            for place, offset in desk.read_to.items():
                reader.seek(place, offset)
            self.readers[desk.name], desk.commit = reader, partial(commit, consumer)
            desk.changed.set()
        self.broker = broker

    async def position_of(self, receiver: str) -> State:
        """How far a receiver was told; the head of the log where nobody knows."""
        found = State.of(await committed(self.kafka, GROUP + receiver))
        if found is not None:
            log.info("%s is told on from tick %d", receiver, found.head.tick, extra={"again": found.cut is not None})
            return found
        state = await state_of_now(self.kafka)
        await commit_alone(self.kafka, GROUP + receiver, state)
        self.began[receiver] = state.head.tick
        log.warning("%s has no position yet: it is told what comes after tick %d, and nothing from before", receiver, state.head.tick)
        return state

    def build_broker(self) -> "tuple[KafkaBroker, list[BatchSubscriber]]":
        """A broker with a subscriber for each desk, which connects when it is started and acknowledges nothing."""
        broker = KafkaBroker(
            **broker_options(self.kafka), consumer_only=True, client_id="autonomy-notifier", logger=None,
            request_timeout_ms=REQUEST_TIMEOUT_MS, metadata_max_age_ms=30_000, retry_backoff_ms=100, allow_auto_create_topics=False,
            ack_policy=AckPolicy.MANUAL,
        )  # fmt: skip
        places = [TopicPartition(place.topic, partition=place.partition) for place in PLACES]
        return broker, [
            broker.subscriber(
                partitions=places, group_id=GROUP + desk.name, batch=True, auto_offset_reset="none", ack_policy=AckPolicy.MANUAL,
                title=f"what {desk.name} is told", fetch_max_wait_ms=250,
            )
            for desk in self.desks
        ]  # fmt: skip

    async def close(self) -> None:
        """Disconnect; positions stay where they were committed."""
        await asyncio.gather(*(reader.close() for reader in self.readers.values()))
        if self.broker is not None:
            await stopped(self.broker)


async def stopped(broker: KafkaBroker) -> None:
    """End a broker and its readers, as far as they end."""
    stopping = asyncio.ensure_future(broker.stop())
    await asyncio.wait({stopping}, timeout=STOP_S)
    if not stopping.done():
        stopping.cancel()
        log.warning("the readers did not stop within %s s", STOP_S)
    elif not stopping.cancelled() and stopping.exception() is not None:
        log.warning("the readers did not stop cleanly: %r", stopping.exception())


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[Place, tuple[int, str]]) -> None:
    """Move a group's position: explicitly, with what stands beside it.

    Raises:
        KafkaError: Kafka refuses.
    """
    await consumer.commit({place: OffsetAndMetadata(offset, words) for place, (offset, words) in offsets.items()})


async def committed(kafka: str, group: str) -> dict[Place, tuple[int, str]]:
    """The offsets of a group, with their metadata."""
    admin = AIOKafkaAdminClient(**client_options(kafka), request_timeout_ms=REQUEST_TIMEOUT_MS)
    await start_client(admin)
    try:
        found = await admin.list_consumer_group_offsets(group, partitions=list(PLACES))
    finally:
        await admin.close()
    return {place: (at.offset, at.metadata) for place, at in found.items()}


async def state_of_now(kafka: str) -> State:
    """A position at the head of the log: the last accepted seal, and the ends of everything else."""
    starts = {place.topic: [0] * sum(other.topic == place.topic for other in PLACES) for place in PLACES}
    async with await LogReader.open(kafka, starts) as reader:
        ends = await reader.ends({place.topic for place in BESIDE})
        chain = await go_behind(reader, await newest_horizon(reader))
        head: Head = chain.head
        reader.pause_all_but({place for place in PLACES if place.topic == RUNS})
        async for record in reader.to_the_end([RUNS]):
            done = chain.read(record)
            if isinstance(done, AcceptedTick):
                head = done.head
    return State(head, tuple(ends[place.topic][place.partition] for place in BESIDE))


async def commit_alone(kafka: str, group: str, state: State) -> None:
    """Commit a group's first position, before anybody reads under its name."""
    consumer = AIOKafkaConsumer(
        **client_options(kafka), group_id=group, enable_auto_commit=False, auto_offset_reset="none", request_timeout_ms=REQUEST_TIMEOUT_MS
    )
    consumer.assign(list(PLACES))
    consumer.pause(*PLACES)
    await start_client(consumer)
    try:
        await commit(consumer, state.offsets)
    finally:
        # Its own end may hang, and nothing of it is needed any more.
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=STOP_S)
