"""The readers of the log, one for each receiver, under a group of its own: its committed offsets are how far that receiver was told.

Place in the flow: Kafka → **reading** (FastStream) → desks, and back to the group. Nothing is acknowledged by FastStream or by its client:
a desk commits when it has sent. Partitions are assigned, not balanced: who restarts reads on at once, however it ended. A receiver without
a position begins at the head of the log, and that is said.

Source: docs/adr/0001-faststream-where-it-fits.md; docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka import TopicPartition as Place
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, TopicPartition
from faststream.message import StreamMessage

from autonomy import clock
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
from notifier.desk import Commit, Desk
from notifier.state import BESIDE, PLACES, SPINE, State

log = logging.getLogger(__name__)
GROUP: Final = "autonomy-notifier-"
"""Begin of each group's name; the receiver's follows."""
POLL_MS: Final = 200
MAX_RECORDS: Final = 2_000
AGAIN_S: Final = 1.0
CONNECT_S: Final = 40.0
"""Of one attempt to find the positions and connect."""
STOP_S: Final = 5.0
ASK_S: Final = 2.0
STUCK_MS: Final = 30_000


@dataclass(slots=True)
class Reading:
    """All readers of this process.

    Attributes:
        log_is_there: set once its topics are there and may be read.
        began: by receiver, where it begins that had no position.
        runs_end: where `autonomy.runs` ends, as far as is known.
        consumers: by receiver, the client that reads for it, once it was started.
        progress: by receiver, how far it had read, and since when it has been there.
        problem: why nothing is read; empty while all is.
        turns: its sign of life.
    """

    kafka: str
    desks: Sequence[Desk]
    broker: KafkaBroker | None = None
    log_is_there: asyncio.Event = field(default_factory=asyncio.Event)
    runs_end: Callable[[], int] = lambda: 0
    consumers: dict[str, Callable[[], AIOKafkaConsumer | None]] = field(default_factory=dict)
    progress: dict[str, tuple[int, float]] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    problem: str = "not connected yet"
    turns: int = 0

    async def run(self) -> None:
        """Connect, and keep reading; ends only by a fault that a person must look at."""
        while self.broker is None:
            self.turns += 1
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
        while True:  # FastStream's tasks read; this one looks whether they do
            self.turns += 1
            await self.look_at_progress()
            await asyncio.sleep(AGAIN_S)

    async def look_at_progress(self) -> None:
        """Note how far each reader is; FastStream tries again for ever where a client cannot read on, and says so to nobody."""
        for desk in self.desks:
            consumer = self.consumers[desk.name]()
            if consumer is None:
                continue
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(ASK_S):
                    self.note_progress(desk, await consumer.position(SPINE), clock.monotonic_ms())

    def note_progress(self, desk: Desk, position: int, now_ms: float) -> None:
        """A reader at the end, one that moved, and one that waits for its receiver, are as they should be."""
        before, since_ms = self.progress.get(desk.name, (-1, now_ms))
        moves = position != before or position >= self.runs_end() or desk.is_full
        self.progress[desk.name] = position, now_ms if moves else since_ms

    def unread(self) -> str:
        """What should be read and is not for half a minute, in words; empty if everything is."""
        now_ms = clock.monotonic_ms()
        stuck = [(name, position) for name, (position, since_ms) in self.progress.items() if now_ms - since_ms > STUCK_MS]
        return f"{RUNS}/0 is not read on from offset {stuck[0][1]}, for {', '.join(name for name, _ in stuck)}" if stuck else ""

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
        broker, commits = self.build_broker()
        await broker.start()
        for desk, commit in zip(self.desks, commits, strict=True):
            desk.commit = commit
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

    def build_broker(self) -> tuple[KafkaBroker, list[Commit]]:
        """A broker with a subscriber for each desk, and how each commits; it connects when it is started."""
        broker = KafkaBroker(
            **broker_options(self.kafka), consumer_only=True, client_id="autonomy-notifier", logger=None,
            request_timeout_ms=REQUEST_TIMEOUT_MS, metadata_max_age_ms=30_000, retry_backoff_ms=100, allow_auto_create_topics=False,
            apply_types=False, ack_policy=AckPolicy.MANUAL,
        )  # fmt: skip
        return broker, [self.subscribe(broker, desk) for desk in self.desks]

    def subscribe(self, broker: KafkaBroker, desk: Desk) -> Commit:
        """Let a desk take what its group has not been told; returns how it commits, once the broker was started."""
        subscriber = broker.subscriber(
            partitions=[TopicPartition(place.topic, partition=place.partition) for place in PLACES], group_id=GROUP + desk.name, batch=True,
            max_records=MAX_RECORDS, batch_timeout_ms=POLL_MS, auto_offset_reset="none", ack_policy=AckPolicy.MANUAL, decoder=as_stored,
            title=f"what {desk.name} is told", no_reply=True, fetch_max_wait_ms=250,
        )  # fmt: skip

        self.consumers[desk.name] = lambda: subscriber.consumer

        async def commit(offsets: Mapping[Place, tuple[int, str]]) -> None:
            consumer = subscriber.consumer
            if consumer is None:
                raise KafkaError("there is no connection")
            await consumer.commit({place: OffsetAndMetadata(offset, words) for place, (offset, words) in offsets.items()})

        @subscriber
        async def take(records: Sequence[ConsumerRecord]) -> None:
            try:
                await desk.take(records)
            except Exception as fault:  # FastStream would go on with the next records, and these would never be told
                log.critical("what %s is to be told cannot be read", desk.name, exc_info=fault)
                end_process(f"{desk.name}: {fault}")

        return commit

    async def close(self) -> None:
        """Disconnect; positions stay where they were committed."""
        if self.broker is not None:
            try:
                async with asyncio.timeout(STOP_S):
                    await self.broker.stop()
            except (TimeoutError, *LOST):
                log.warning("the readers did not stop within %s s", STOP_S)


async def as_stored(message: StreamMessage[Any]) -> tuple[ConsumerRecord, ...]:
    """The records of a batch as they stand in the log: what cannot be decoded is the desk's to judge."""
    return cast("tuple[ConsumerRecord, ...]", message.raw_message)


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
        await consumer.commit({place: OffsetAndMetadata(offset, words) for place, (offset, words) in state.offsets.items()})
    finally:
        # Its own end may hang, and nothing of it is needed any more.
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=STOP_S)
