"""How this platform writes to Kafka: topics, acks, idempotence, whole batches.

Place in the flow: plumbing under every service that appends to the log; `autonomy.log_reader` reads it.

A trap of the client, met and measured: an idempotent batch that was sent may land after any outage, so a timeout means "unknown", never
"failed".
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError
from aiokafka.producer.message_accumulator import BatchBuilder

from autonomy.envelope import CONTENT_TYPE
from autonomy.errors import Broken, Retryable
from autonomy.kafka_access import KafkaAccess, minimum_in_sync, replication_of
from autonomy.kafka_clients import bound_connecting, client_options, why_not
from autonomy.topics import Topic

log = logging.getLogger(__name__)
CONNECT_TIMEOUT_S: Final = 120
REQUEST_TIMEOUT_MS: Final = 5_000
"""For everybody: a fetch waits for records for a quarter of a second, so what takes longer is a broker that does not answer."""
BATCH_BYTES: Final = 900_000


async def ensure_topics(kafka: str | KafkaAccess, wanted: Iterable[Topic], replication: int | None = None) -> None:
    """Create the topics that do not exist; existing ones are left as they are (`cluster.check_log` refuses what does not fit).

    Args:
        kafka: the cluster.
        wanted: the topics.
        replication: copies of each partition; None: KAFKA_REPLICATION_FACTOR, else as many as there are brokers, at most 3.
    """
    access = KafkaAccess.of(kafka)
    admin = AIOKafkaAdminClient(**client_options(access), request_timeout_ms=30_000)
    await start_client(admin)
    try:
        present = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in present]
        brokers = len((await admin.describe_cluster())["brokers"]) if missing else 1
        copies = replication_of(brokers, replication or access.replication)
        if copies > brokers:
            raise Broken(f"KAFKA_REPLICATION_FACTOR is {copies}, but the cluster has {brokers} brokers")
        for topic in missing:
            settings = topic.settings() | {"min.insync.replicas": str(minimum_in_sync(copies))}
            try:
                await admin.create_topics([NewTopic(topic.name, topic.partitions, copies, topic_configs=settings)])
            except TopicAlreadyExistsError:
                log.info("topic %s was made by somebody else meanwhile", topic.name)
    finally:
        await admin.close()


async def start_client(who: AIOKafkaAdminClient | AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Start a client, waiting for a broker that is still starting, and for a credential that is renewed.

    Raises:
        Retryable: no broker answered within `CONNECT_TIMEOUT_S`, or one refuses the credential, named by its setting.
    """
    bound_connecting()
    deadline = asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S
    while True:
        try:
            await who.start()
        except KafkaError as refusal:
            if asyncio.get_running_loop().time() > deadline:
                raise Retryable(why_not(CONNECT_TIMEOUT_S)) from refusal
            await asyncio.sleep(0.25)
        else:
            return


async def build_producer(bootstrap: str | KafkaAccess) -> AIOKafkaProducer:
    """An idempotent producer that waits for all acks; nothing lingers, every caller batches by itself.

    It is lost after its first failed batch: services hold an `autonomy.producer.Producer`, which replaces it then.
    """
    producer = AIOKafkaProducer(
        **client_options(bootstrap),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        max_request_size=1_100_000,
        max_batch_size=BATCH_BYTES,
        retry_backoff_ms=100,
        metadata_max_age_ms=30_000,
    )
    try:
        await start_client(producer)
    except BaseException:
        await producer.stop()
        raise
    return producer


class Sender(Protocol):
    """Whoever takes whole batches: a client, or the `autonomy.producer.Producer` that replaces clients."""

    def create_batch(self) -> BatchBuilder:
        """An empty batch."""

    async def send_batch(self, builder: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        """Hand over a batch; the future ends with its ack."""


class Outgoing(NamedTuple):
    """A record to be appended to an explicit partition."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = (CONTENT_TYPE,)


@dataclass(slots=True)
class Appending:
    """Records on their way to the end of one partition, in order: the broker writes some while the next ones are put together.

    Whole batches are handed to the client: a future per record costs more than the record.
    """

    producer: Sender
    topic: str
    partition: int
    builder: BatchBuilder | None = None
    sent: "list[asyncio.Future[Any]]" = field(default_factory=list)
    last_count: int = 0

    async def add(self, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """The next record; sent with its batch.

        Raises:
            KafkaError: a batch before it cannot be sent.
            ValueError: larger than a batch.
        """
        if self.put(key, value, headers):
            return
        await self.flush()
        if not self.put(key, value, headers):
            raise ValueError(f"a record of {len(value)} bytes does not fit into a batch")

    def put(self, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> bool:
        """Put a record into the open batch; whether there was room for it."""
        if self.builder is None:
            self.builder = self.producer.create_batch()
        return self.builder.append(key=key, value=value, timestamp=None, headers=headers) is not None

    async def flush(self) -> None:
        """Send what there is, without waiting for its ack.

        Raises:
            KafkaError: it cannot be sent.
        """
        builder, self.builder = self.builder, None
        if builder is not None and (count := builder.record_count()):
            self.sent.append(await self.producer.send_batch(builder, self.topic, partition=self.partition))
            self.last_count = count
        await asyncio.sleep(0)  # the client writes to its socket only when it gets its turn

    async def acknowledged(self) -> int:
        """Wait for the last ack; returns the offset of the last record, -1 when there was none.

        Raises:
            KafkaError: not acknowledged; some or all may still land later.
        """
        await self.flush()
        done = [await future for future in self.sent]
        return done[-1].offset + self.last_count - 1 if done else -1


async def append_batch(producer: Sender, topic: str, partition: int, records: Sequence[Outgoing]) -> int:
    """Append records in order and wait for the last ack; returns the offset of the last record.

    Raises:
        KafkaError: not acknowledged; some or all may still land later.
    """
    appending = Appending(producer, topic, partition)
    for key, value, headers in records:
        await appending.add(key, value, list(headers))
    return await appending.acknowledged()
