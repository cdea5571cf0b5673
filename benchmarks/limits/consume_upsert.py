"""The usual projection without a platform: consume, decode, keep the last per key, `unnest` at most 1,000 rows with the offset.

Twice. `same`: the very records that the platform projects, each read as an envelope by msgspec and its data by orjson, its fields laid
flat into one row of eight columns. `flat`: as in the peers, 402-byte events, 10,000 keys, 4 partitions.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

TOPIC = "bench.events"
PARTITIONS = 4
KEYS = 10_000
ROWS = 1_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS bench_rows (key text PRIMARY KEY, status text, attempt int, at bigint, a float8, b float8, note text, n bigint);
CREATE TABLE IF NOT EXISTS bench_offsets (partition int PRIMARY KEY, next_offset bigint);
"""
UPSERT = """
INSERT INTO bench_rows SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::float8[], $6::float8[], $7::text[],
$8::bigint[]) ON CONFLICT (key) DO UPDATE SET status = excluded.status, attempt = excluded.attempt, at = excluded.at, a = excluded.a,
b = excluded.b, note = excluded.note, n = excluded.n
"""


class Envelope(msgspec.Struct):
    """What of a record every projection needs."""

    id: str
    type: str
    time: str
    subject: str
    data: msgspec.Raw


class Flat(msgspec.Struct):
    """A flat event of about 400 bytes."""

    key: str
    status: str
    attempt: int
    at: int
    a: float
    b: float
    note: str
    n: int


def event(number: int) -> bytes:
    """One event."""
    return msgspec.json.encode(Flat(
        f"key-{number % KEYS:06d}", ("QUEUED", "RUNNING", "SUCCEEDED")[number % 3], number % 5, 1_795_348_800_000 + number,
        number * 0.37, number * 0.11, "x" * 250, number,
    ))  # fmt: skip


async def fill(bootstrap: str, count: int) -> None:
    """Append the events."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0, max_batch_size=500_000)
    await producer.start()
    for partition in range(PARTITIONS):
        batch, acks = producer.create_batch(), []
        for number in range(partition, count, PARTITIONS):
            value = event(number)
            if batch.append(key=None, value=value, timestamp=None) is None:
                acks.append(await producer.send_batch(batch, TOPIC, partition=partition))
                batch = producer.create_batch()
                batch.append(key=None, value=value, timestamp=None)
        acks.append(await producer.send_batch(batch, TOPIC, partition=partition))
        for ack in acks:
            await ack
    await producer.stop()


async def project(bootstrap: str, url: str, count: int) -> None:
    """Consume all of them into rows."""
    connection: Any = await asyncpg.connect(url)
    await connection.execute("TRUNCATE bench_rows, bench_offsets")
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(TOPIC, number) for number in range(PARTITIONS)])
    decoder = msgspec.json.Decoder(Flat)
    done = 0
    while done < count:
        for partition, records in (await consumer.getmany(timeout_ms=500, max_records=ROWS)).items():
            last = {}
            for record in records:
                found = decoder.decode(record.value)
                last[found.key] = found
            rows = list(last.values())
            await upsert(connection, rows, partition.partition, records[-1].offset + 1)
            done += len(records)
    if await connection.fetchval("SELECT count(*) FROM bench_rows") != min(KEYS, count):
        raise RuntimeError("rows are missing")
    await consumer.stop()
    await connection.close()


def row_of(record: Any, envelope: Envelope) -> Flat:
    """Eight columns of any event: what is there by these names, and the beginning of its data."""
    raw = bytes(envelope.data)
    data: dict[str, Any] = orjson.loads(raw)
    attempt, tick = data.get("attempt", 0), data.get("tick", 0)
    return Flat(
        envelope.subject, envelope.type, attempt, record.timestamp, float(data.get("progress") or 0.0), float(data.get("place") or 0.0),
        raw[:250].decode(errors="replace"), tick,
    )  # fmt: skip


async def project_same(bootstrap: str, url: str, topics: Mapping[str, int], count: int) -> None:
    """Consume all records of a log into rows."""
    connection: Any = await asyncpg.connect(url)
    await connection.execute("TRUNCATE bench_rows, bench_offsets")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_bytes=8 << 20,
        max_partition_fetch_bytes=8 << 20,
    )  # fmt: skip
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for topic, partitions in topics.items() for number in range(partitions)])
    decoder = msgspec.json.Decoder(Envelope)
    done, numbers = 0, {topic: number * 1_000 for number, topic in enumerate(topics)}
    while done < count:
        for partition, records in (await consumer.getmany(timeout_ms=500, max_records=ROWS)).items():
            last = {}
            for record in records:
                envelope = decoder.decode(record.value)
                last[envelope.subject] = row_of(record, envelope)
            await upsert(connection, list(last.values()), numbers[partition.topic] + partition.partition, records[-1].offset + 1)
            done += len(records)
    await consumer.stop()
    await connection.close()


async def upsert(connection: Any, rows: list[Flat], partition: int, offset: int) -> None:
    """At most a thousand rows and the offset, in one transaction."""
    async with connection.transaction():
        await connection.execute(
            UPSERT, [r.key for r in rows], [r.status for r in rows], [r.attempt for r in rows], [r.at for r in rows],
            [r.a for r in rows], [r.b for r in rows], [r.note for r in rows], [r.n for r in rows],
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO bench_offsets VALUES ($1, $2) ON CONFLICT (partition) DO UPDATE SET next_offset = $2", partition, offset
        )


def run_same(bootstrap: str, url: str, topics: Mapping[str, int], count: int) -> None:
    """The same, from outside an event loop."""
    asyncio.run(project_same(bootstrap, url, topics, count))


def run(bootstrap: str, url: str, count: int) -> None:
    """The same, from outside an event loop."""
    asyncio.run(project(bootstrap, url, count))
