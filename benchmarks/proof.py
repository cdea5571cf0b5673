"""The proof and the bots list under load: 10,000 bots, 1,000,000 decision spans, real planner, projection and proof API.

The limit is a FastAPI application on the same server (uvicorn, same options): prebuilt bytes of the proof's size, and one row.
"""

import asyncio
import statistics
import time
import urllib.error
import urllib.request
from datetime import timedelta

import psycopg

from autonomy import clock
from autonomy.envelope import encode
from autonomy.events import Command, RegisterBots, SetPolicy
from autonomy.kafka import Outgoing, append_batch, build_producer
from autonomy.policy import read_policy
from autonomy.topics import COMMANDS
from autonomy.values import iso
from benchmarks.fleet import SHORT, STRATEGIES, SYMBOLS, bot_id
from benchmarks.http_load import measured
from benchmarks.measure import Context, Measure, absolute, at_least, at_most, percentile, reference
from benchmarks.servers import Platform, free_port, platform, write_operators

BOTS = 10_000
SPANS_EACH = 100
JOBS_EACH = 5
CONNECTIONS = 16
SECONDS = 3.0
FIGURE_BYTES_PER_S = 3_649
FIGURE_ROW_PER_S = 1_052
WAIT_S = 120
PROOF = "/api/_proof/autonomy"
LIST = "/api/bots?state=BLOCKED_BY_GATES&limit=50"
PAD = """
INSERT INTO autonomy.decision_spans (bot_id, from_tick, to_tick, reason_code, blockers, detail, event_id)
SELECT b.id, -n, 1 - n, 'NOTHING_DUE', '[]', 'NEXT_REFRESH', gen_random_uuid() FROM autonomy.bots b, generate_series(1, {spans}) n;
INSERT INTO autonomy.bot_jobs (id, bot_id, job_type, job_class, status, stage, strategy, symbol, tick, seq, partition, attempt, failures,
  created_at, queued_at, started_at, finished_at, fingerprint, bars_until, spec, attempts)
SELECT gen_random_uuid(), b.id, 'BACKTEST_REFRESH', 'research', 'SUCCEEDED', b.stage, b.strategy, b.symbol, -n, 1, 0, 1, 0,
  now() - n * interval '1 hour', now(), now(),
  now() - n * interval '20 minutes', 'f', '2010-01-04', '{{}}', '[]' FROM autonomy.bots b, generate_series(1, {jobs}) n;
"""

DAY_TICKS = 8_640
DAY_JOBS = 86_400
DAY = """
INSERT INTO autonomy.autonomy_planner_runs
SELECT (jsonb_populate_record(NULL::autonomy.autonomy_planner_runs, to_jsonb(r) || jsonb_build_object(
  'id', gen_random_uuid(), 'tick', -n, 'jobs_enqueued', 10,
  'cause', CASE WHEN n % 6 = 0 THEN 'SCHEDULED' ELSE 'CAPACITY' END, 'started_at', now() - n * interval '86400 seconds' / {ticks}))).*
FROM (SELECT * FROM autonomy.autonomy_planner_runs ORDER BY tick LIMIT 1) r, generate_series(1, {ticks}) n;
INSERT INTO autonomy.bot_jobs (id, bot_id, job_type, job_class, status, stage, strategy, symbol, tick, seq, partition, attempt, failures,
  process_id, created_at, queued_at, started_at, finished_at, fingerprint, bars_until, spec, result, attempts)
SELECT gen_random_uuid(), b.id, 'BACKTEST_REFRESH', 'research', CASE WHEN n % 50 = 0 THEN 'FAILED' ELSE 'SUCCEEDED' END, b.stage,
  b.strategy, b.symbol, -n, 1, 0, 1, 0, md5((n % 10)::text)::uuid, at, at, at + random() * interval '20 seconds',
  at + random() * interval '60 seconds' + interval '20 seconds', repeat('f', 64), '2010-01-04',
  json_build_object('order', repeat(md5(n::text), 22)), jsonb_build_object('figures', repeat(md5(n::text), 17)), '[]'
FROM (SELECT n, now() - n * interval '86400 seconds' / {jobs} AS at FROM generate_series(1, {jobs}) n) x
JOIN (SELECT id, stage, strategy, symbol, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS bots FROM autonomy.bots) b
  ON b.place = x.n % b.bots;
"""
"""A tick each ten seconds, and as many jobs as the default policy allows in a day; orders and results as wide as real ones."""
TIMELINE = "/api/timeline?by={by}&from={since}"


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    with platform(ctx.folder / "proof", database=True) as servers:
        port = up(servers)
        asyncio.run(fill(servers.bootstrap, ctx.size(BOTS)))
        wait(servers, port, ctx.size(BOTS))
        pad(servers)
        size = len(get(port, PROOF))
        limit_port = free_port()
        assert servers.database is not None
        reader = servers.database.url("autonomy_reader")
        servers.service("limit", "-m", "benchmarks.limits.routes", str(limit_port), str(size), DATABASE_URL=reader)
        wait_200(limit_port, "/row")
        found: dict[str, list[dict[str, float]]] = {"/bytes": [], PROOF: [], "/row": [], LIST: []}
        for number in range(ctx.rounds(5) + 1):
            for path, rounds in found.items():
                at = limit_port if path in {"/bytes", "/row"} else port
                once = measured(at, path, CONNECTIONS, SECONDS if number else 1.0)
                if number:  # the first round warms both up
                    rounds.append(once)
        servers.check()
        took = snapshot_ms(reader)
        grow(servers, DAY.format(ticks=ctx.size(DAY_TICKS), jobs=ctx.size(DAY_JOBS)))
        days = {by: day_ms(port, by, ctx.rounds(60)) for by in ("fleet", "worker", "strategy", "symbol", "bot")}
    ctx.note(f"proof: {size:,} bytes; p50/p99 {middle(found[PROOF], 'p50'):.1f}/{middle(found[PROOF], 'p99'):.1f} ms, prebuilt "
             f"{middle(found['/bytes'], 'p50'):.1f}/{middle(found['/bytes'], 'p99'):.1f} ms; list p50 {middle(found[LIST], 'p50'):.1f} ms, "
             f"{middle(found[LIST], 'rate'):,.0f}/s, one row p50 {middle(found['/row'], 'p50'):.1f} ms")  # fmt: skip
    raw, row = ("FastAPI, prebuilt bytes", middle(found["/bytes"], "rate")), ("one-row SELECT, p99", middle(found["/row"], "p99"))
    return [
        at_least("proof, 16 connections", middle(found[PROOF], "rate"), "req/s", raw, 0.4, against(found[PROOF], found["/bytes"], "rate")),
        at_most("bots list, 50 of 10,000, p99", middle(found[LIST], "p99"), "ms", row, 5, against(found[LIST], found["/row"], "p99")),
        absolute("  one snapshot of the read models", took, "ms"),
        *(absolute(f"timeline of a day, {ctx.size(DAY_JOBS):,} jobs by {by}, p95", spent, "ms", most=100) for by, spent in days.items()),
        reference("prebuilt bytes", raw[1], "req/s", FIGURE_BYTES_PER_S, rate=True),
        reference("one-row SELECT", middle(found["/row"], "rate"), "req/s", FIGURE_ROW_PER_S, rate=True),
    ]


def middle(found: list[dict[str, float]], name: str) -> float:
    """Median over the rounds."""
    return statistics.median(once[name] for once in found)


def against(subject: list[dict[str, float]], limit: list[dict[str, float]], name: str) -> float:
    """Median of the rounds' ratios."""
    return statistics.median(ours[name] / bare[name] for ours, bare in zip(subject, limit, strict=True))


def up(servers: Platform) -> int:
    """Start the services; gives the proof API's port."""
    port = free_port()
    operators = servers.folder / "operators.json"
    write_operators(operators)
    assert servers.database is not None
    servers.service("planner", "-m", "planner")
    servers.service("runner", "-m", "benchmarks.noop_runner", str(servers.folder / "began.json"))
    servers.service("projection", "-m", "projection", DATABASE_URL=servers.database.url("autonomy_projection"))
    servers.service(
        "proof-api", "-m", "proof_api", DATABASE_URL=servers.database.url("autonomy_reader"), PROOF_API_PORT=str(port),
        OPERATORS_FILE=str(operators),
    )  # fmt: skip
    return port


async def fill(bootstrap: str, bots: int) -> None:
    """A policy that ticks once an hour after the commands, and the fleet; a fifth of it waits for bars."""
    producer = await build_producer(bootstrap)

    async def say(kind: type[Command], **fields: object) -> None:
        said = kind(command_id=clock.drawn_id(), actor="ada", role="approver", reason="bench", **fields)
        value = encode(said, source="autonomy/bench", subject="ada", time=clock.now(), event_id=clock.drawn_id())
        await append_batch(producer, COMMANDS, 0, [Outgoing(b"ada", value)])

    await asyncio.sleep(4)  # the runner has announced itself
    policy = read_policy({"tick_interval_s": 3600.0, "early_tick_spacing_s": 3600.0})
    await say(SetPolicy, document=policy.model_dump(mode="json"))
    for first in range(0, bots, 500):
        await say(RegisterBots, bots=tuple(
            {"id": bot_id(n), "strategy": STRATEGIES[n % len(STRATEGIES)], "symbol": SHORT if n % 5 == 0 else SYMBOLS[n % len(SYMBOLS)]}
            for n in range(first, min(first + 500, bots))
        ))  # fmt: skip
    await producer.stop()


def get(port: int, path: str) -> bytes:
    """One answer's body."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return bytes(answer.read())


def wait_200(port: int, path: str) -> None:
    """Wait for a route."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            get(port, path)
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def wait(servers: Platform, port: int, bots: int) -> None:
    """Wait until every bot shows and the proof is fresh."""
    deadline = time.monotonic() + WAIT_S
    wait_200(port, PROOF)
    assert servers.database is not None
    with psycopg.connect(servers.database.url("autonomy_owner"), autocommit=True) as connection:
        while True:
            servers.check()
            row = connection.execute("SELECT count(*) FROM autonomy.bot_now WHERE reason_code <> 'NOT_EVALUATED_YET'").fetchone()
            if row == (bots,) and b'"status":"fresh"' in get(port, PROOF):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{row} of {bots} bots, {get(port, PROOF)[:500]!r}")
            time.sleep(0.5)


def pad(servers: Platform) -> None:
    """Grow the history behind the current rows."""
    grow(servers, PAD.format(spans=SPANS_EACH, jobs=JOBS_EACH))


def grow(servers: Platform, statements: str) -> None:
    """Write rows that nobody said, and let PostgreSQL tidy up as it does by itself."""
    assert servers.database is not None
    with psycopg.connect(servers.database.url("autonomy_owner"), autocommit=True) as connection:
        for statement in statements.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("VACUUM ANALYZE")


def day_ms(port: int, by: str, rounds: int) -> float:
    """95 of 100 answers about the last day come within so many ms, one after the other."""
    path = TIMELINE.format(by=by, since=iso(clock.now() - timedelta(hours=23, minutes=59)))
    spent = []
    for _ in range(rounds + 5):
        started = time.perf_counter()
        get(port, path)
        spent.append((time.perf_counter() - started) * 1000)
    return percentile(spent[5:], 0.95)


def snapshot_ms(url: str) -> float:
    """Milliseconds of one picture, as proof-api takes it."""
    import asyncpg

    from proof_api.reading.snapshot import take

    async def once() -> float:
        connection = await asyncpg.connect(url)
        import orjson

        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=orjson.loads)
        await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
        spent = []
        for _ in range(5):
            started = time.perf_counter()
            await take(connection, 15, clock.now())
            spent.append((time.perf_counter() - started) * 1000)
        await connection.close()
        return statistics.median(spent)

    return asyncio.run(once())
