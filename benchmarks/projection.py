"""200,000 mixed events of a busy fleet into the read models, by the projection's own loop; against consuming the same ones by `unnest`.

Both run on one broker and one cluster and read the very same records; the platform's change up to four rows each, the limit's one row of
eight columns. Beside it, without a must: the peers' projection of flat events, a quarter of the size.
"""

import asyncio
import gc
import statistics
import time

import asyncpg

from autonomy.kafka import ensure_topics
from autonomy.topics import RUNS, Topic
from benchmarks import busiest
from benchmarks.limits import consume_upsert
from benchmarks.logs import PARTITIONS, Log, busy_log
from benchmarks.measure import Context, Measure, absolute, at_least, reference
from benchmarks.servers import platform
from local_stack.postgres_server import PostgresServer
from projection.app import build_projection
from projection.schema import make_schema
from projection.settings import ProjectionSettings

EVENTS = 200_000
BOTS = 2_000
FIGURE_PER_S = 55_532


def run(ctx: Context) -> list[Measure]:
    """Measure: the limit before and after the subject."""
    log = busy_log(BOTS, ctx.size(EVENTS))
    # What the measuring process holds is nobody's garbage: neither side shall search through it.
    gc.collect()
    gc.freeze()
    with platform(ctx.folder / "projection", database=True) as servers:
        database = servers.database
        assert database is not None
        owner = database.url("autonomy_owner")
        asyncio.run(prepare(servers.bootstrap, owner, log, ctx.size(EVENTS)))
        limits, subjects = [], []
        for number in range(ctx.rounds(3)):
            limits.append(timed_limit(servers.bootstrap, owner, log))
            schema = f"bench_{number}"
            make_schema(owner, schema)
            subjects.append(asyncio.run(project(servers.bootstrap, database, schema, log)))
        limits.append(timed_limit(servers.bootstrap, owner, log))
        flat = timed_flat(servers.bootstrap, owner, ctx.size(EVENTS))
    limit, subject = statistics.median(limits), statistics.median(subjects)
    ratio = statistics.median(s / ((a + b) / 2) for s, a, b in zip(subjects, limits[:-1], limits[1:], strict=True))
    per_s = busiest.per_second(busiest.BOTS)
    kinds = ", ".join(f"{kind.split('.')[0]} {count:,}" for kind, count in log.kinds.most_common(8))
    ctx.note(f"projection: {log.count:,} events, {log.bytes / log.count:,.0f} bytes each: {kinds}")
    return [
        at_least("projection, mixed events", subject, "events/s", ("consume + unnest upsert of the same", limit), 0.4, ratio),
        at_least("  against what a fleet says", subject, "events/s", (f"busiest minute of {busiest.BOTS:,} bots", per_s), 50),
        absolute("  projection, bytes", subject * log.bytes / log.count / 1e6, "MB/s"),
        reference("consume + unnest upsert of the same", limit, "events/s", FIGURE_PER_S, rate=True),
        absolute("  the peers' flat events of 0.4 kB", flat, "events/s"),
    ]


async def prepare(bootstrap: str, owner: str, log: Log, events: int) -> None:
    """Fill the broker."""
    await log.append(bootstrap)
    await ensure_topics(bootstrap, [Topic(consume_upsert.TOPIC, consume_upsert.PARTITIONS, "the limit's events")])
    await consume_upsert.fill(bootstrap, events)
    connection = await asyncpg.connect(owner)
    await connection.execute("CREATE SCHEMA IF NOT EXISTS autonomy")
    await connection.execute(consume_upsert.SCHEMA)
    await connection.close()


def timed_limit(bootstrap: str, url: str, log: Log) -> float:
    """Events per second of the limit over the same log."""
    topics = {topic: PARTITIONS.get(topic, 1) for topic, _ in log.records}
    started = time.perf_counter()
    consume_upsert.run_same(bootstrap, url, topics, log.count)
    return log.count / (time.perf_counter() - started)


def timed_flat(bootstrap: str, url: str, events: int) -> float:
    """Events per second of the peers' projection."""
    started = time.perf_counter()
    consume_upsert.run(bootstrap, url, events)
    return events / (time.perf_counter() - started)


async def project(bootstrap: str, database: PostgresServer, schema: str, log: Log) -> float:
    """Events per second of the projection, from its first poll to its last commit."""
    settings = ProjectionSettings(
        KAFKA_BOOTSTRAP_SERVERS=bootstrap, DATABASE_URL=database.url("autonomy_projection"), PROJECTION_SCHEMA=schema
    )
    projection = await build_projection(settings)
    for partition in list(projection.reader.positions):
        if partition.topic == "autonomy.pulse":
            projection.reader.seek(partition, 0)  # all pulses count here, they are part of the mix
    ends = {(topic, number): len(records) for (topic, number), records in log.records.items()}
    started = time.perf_counter()
    while (
        any(projection.intake.positions.get(key, 0) < end for key, end in ends.items()) or projection.intake.ticks or projection.uncommitted
    ):
        await projection.turn()
    await projection.settle()
    spent = time.perf_counter() - started
    reader = await asyncpg.connect(database.url("autonomy_projection"))
    head = await reader.fetchval(f'SELECT tick FROM "{schema}".projection_head')
    await reader.close()
    if head != log.chain.head.tick or projection.intake.quarantined or ends[(RUNS, 0)] == 0:
        raise RuntimeError(f"the projection stands at tick {head}, the log at {log.chain.head.tick}")
    await projection.close()
    return log.count / spent
