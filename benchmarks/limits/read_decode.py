"""Reading a log without understanding it: fetch, envelope by msgspec, the data by the event's own pydantic model."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition


class Envelope(msgspec.Struct):
    """What of a record says which model reads it."""

    type: str
    data: msgspec.Raw


async def read(bootstrap: str, topics: Mapping[str, int], count: int, models: Mapping[str, Any]) -> int:
    """Read and decode so many records; returns how many."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_bytes=8 << 20,
        max_partition_fetch_bytes=8 << 20,
    )  # fmt: skip
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for topic, partitions in topics.items() for number in range(partitions)])
    decoder = msgspec.json.Decoder(Envelope)
    done = 0
    while done < count:
        fetched: Mapping[Any, Sequence[Any]] = await consumer.getmany(timeout_ms=500, max_records=5000)
        for records in fetched.values():
            for record in records:
                envelope = decoder.decode(record.value)
                models[envelope.type].model_validate_json(bytes(envelope.data))
            done += len(records)
    await consumer.stop()
    return done


def run(bootstrap: str, topics: Mapping[str, int], count: int, models: Mapping[str, Any]) -> int:
    """The same, from outside an event loop."""
    return asyncio.run(read(bootstrap, topics, count, models))
