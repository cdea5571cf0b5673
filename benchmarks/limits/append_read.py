"""The client alone: the same bytes appended in whole batches with one ack each, and read back by an open consumer."""

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

BATCH_BYTES = 900_000


class AppendRead:
    """A producer and a consumer on one partition."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.partition = TopicPartition(topic, 0)
        self.producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0, max_batch_size=BATCH_BYTES,
            max_request_size=1_100_000,
        )  # fmt: skip
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_bytes=8 << 20, max_partition_fetch_bytes=8 << 20,
        )  # fmt: skip

    async def start(self) -> None:
        """Connect."""
        await self.producer.start()
        await self.consumer.start()
        self.consumer.assign([self.partition])

    async def stop(self) -> None:
        """Disconnect."""
        await self.producer.stop()
        await self.consumer.stop()

    async def once(self, records: Sequence[tuple[bytes, bytes, Sequence[tuple[str, bytes]]]]) -> None:
        """Append and read back until the last record came."""
        topic = self.partition.topic
        acks = []
        batch = self.producer.create_batch()
        for key, value, headers in records:
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                acks.append(await self.producer.send_batch(batch, topic, partition=0))
                batch = self.producer.create_batch()
                batch.append(key=key, value=value, timestamp=None, headers=headers)
        acks.append(await self.producer.send_batch(batch, topic, partition=0))
        for ack in acks:
            await ack
        read = 0
        while read < len(records):
            for found in (await self.consumer.getmany(timeout_ms=500, max_records=5000)).values():
                read += len(found)
