"""Jobs one by one through aiokafka alone: a producer here, a consumer in another process that notes when each one arrived."""

import asyncio
import json
import subprocess
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

TOPIC = "bench.jobs"
GAP_S = 0.01


async def consume(bootstrap: str, count: int) -> None:
    """Print the milliseconds from send to arrival of so many jobs."""
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, group_id="bench", enable_auto_commit=False, auto_offset_reset="latest")
    await consumer.start()
    while not consumer.assignment():  # noqa: ASYNC110 (the client has no event for it)
        await asyncio.sleep(0.05)
    for partition in consumer.assignment():
        await consumer.position(partition)
    print("ready", flush=True)
    found: list[float] = []
    while len(found) < count:
        record = await consumer.getone()
        found.append((time.time_ns() - int(record.value)) / 1e6)
        await consumer.commit()
    print(json.dumps(found), flush=True)
    await consumer.stop()


def consumer_process(bootstrap: str, count: int) -> "subprocess.Popen[str]":
    """The worker's process."""
    return subprocess.Popen([sys.executable, __file__, bootstrap, str(count)], stdout=subprocess.PIPE, text=True)


async def latencies(bootstrap: str, count: int) -> list[float]:
    """Milliseconds from send to start, one job per 10 ms."""
    worker = consumer_process(bootstrap, count)
    assert worker.stdout is not None
    worker.stdout.readline()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0)
    await producer.start()
    for _ in range(count):
        await producer.send_and_wait(TOPIC, str(time.time_ns()).encode())
        await asyncio.sleep(GAP_S)
    await producer.stop()
    found: list[float] = json.loads(await asyncio.to_thread(worker.stdout.readline))
    worker.wait()
    return found


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], int(sys.argv[2])))
