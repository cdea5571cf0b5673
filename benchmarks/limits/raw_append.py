"""Records one by one through aiokafka alone: each waits for the ack of the one before, and a consumer in the same process reads them.

The reading belongs to it: whoever says bars must also hear what everybody says, or it could not know that it lost its claim.
"""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

TOPIC = "bench.marks"


async def rate(bootstrap: str, size: int, each: int, writers: int) -> float:
    """Records per second of so many writers, each with a partition of its own as far as there are."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0)
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="latest")
    await producer.start()
    await consumer.start()
    partitions = sorted(await producer.partitions_for(TOPIC))
    value = b"x" * size

    async def write(number: int) -> None:
        for _ in range(each):
            await producer.send_and_wait(TOPIC, value, partition=partitions[number % len(partitions)])

    async def read() -> None:
        while True:
            await consumer.getmany(timeout_ms=100)

    reading = asyncio.create_task(read())
    try:
        await write(0)
        started = time.perf_counter()
        await asyncio.gather(*(write(number) for number in range(writers)))
        return each * writers / (time.perf_counter() - started)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()
        await producer.stop()
