"""What only the real database can prove of the store: one writer at a time, and a batch whole or not at all.

Source: docs/architecture.md, "Read models"; R-F10.
"""

import asyncio

import psycopg
import pytest

from autonomy import clock
from autonomy.chain import GENESIS
from autonomy.envelope import encode
from autonomy.errors import Broken, Retryable
from autonomy.events import AttemptRefused
from autonomy.kafka import Outgoing, append_batch, build_producer
from autonomy.postgres import connect
from autonomy.read_model import SCHEMA
from autonomy.topics import COMMANDS
from projection import app
from projection.app import Projection, build_projection
from projection.fold.bot_now import Row
from projection.fold.rows import Changes
from projection.settings import ProjectionSettings
from projection.store.batches import UPSERTS, Progress
from projection.store.writer import Writer
from support.builders import an_id
from support.days import utc
from support.platform import Platform, fleet, wait_for
from support.servers import Database

pytestmark = pytest.mark.servers


async def built(platform: Platform, **changes: int) -> Projection:
    settings = ProjectionSettings(
        KAFKA_BOOTSTRAP_SERVERS=platform.broker.bootstrap,
        DATABASE_URL=platform.database.url(),
        **changes,  # type: ignore[arg-type] # settings go by their names in the environment
    )
    return await build_projection(settings)


async def test_of_two_projections_on_one_schema_the_second_to_commit_stops(platform: Platform) -> None:
    """Compare and set: whoever moves the offsets from elsewhere is broken, and none of its rows stays."""
    await asyncio.to_thread(platform.register, fleet(3))
    first, second = await built(platform), await built(platform)
    try:
        for projection in (first, second):
            for record in await projection.reader.poll(5_000):
                projection.intake.take(record)
            assert projection.intake.read > 0
        await first.commit()
        rows = platform.sql("SELECT id, status FROM commands")
        assert len(rows) == 1
        with pytest.raises(Broken, match="another projection"):
            await second.commit()
        assert platform.sql("SELECT id, status FROM commands") == rows
        assert platform.one("SELECT rev FROM projection_head") == 1
    finally:
        await first.close()
        await second.close()


def test_two_projection_processes_do_the_work_once(platform: Platform) -> None:
    """The loser stops with a fault in its log instead of writing on."""
    services = [platform.projection(), platform.projection()]
    platform.planner()
    platform.set_policy()
    platform.register(fleet(3))
    wait_for("one is left", lambda: sum(service.alive for service in services) == 1)
    loser = next(service for service in services if not service.alive)
    assert loser.process.returncode == 1
    assert "another projection is writing" in loser.log.read_text()
    before = platform.one("SELECT max(tick) FROM autonomy_planner_runs") or 0
    wait_for("the other goes on", lambda: (platform.one("SELECT max(tick) FROM autonomy_planner_runs") or 0) > before + 1)


async def attempts_said(platform: Platform, count: int) -> None:
    """Records that make a row each."""
    said = AttemptRefused(
        attempt_id=clock.drawn_id(), command="PauseLoop", actor="x", role="", code="FORBIDDEN", field="role", limit="operator"
    )
    producer = await build_producer(platform.broker.bootstrap)
    attempts = [said.model_copy(update={"attempt_id": clock.drawn_id()}) for _ in range(count)]
    values = [encode(a, source="autonomy/test", subject="x", time=clock.now(), event_id=a.attempt_id) for a in attempts]
    await append_batch(producer, COMMANDS, 0, [Outgoing(b"x", value) for value in values])
    await producer.stop()


async def test_while_the_log_is_far_ahead_fewer_and_larger_batches_are_committed(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits once the log gives less, and what was read is committed before a stop."""
    monkeypatch.setattr(app, "POLL_RECORDS", 10)
    monkeypatch.setattr(app, "PART", 10)
    await attempts_said(platform, 45)
    projection = await built(platform, PROJECTION_BATCH=30)
    commits, begin = [], Projection._begin_commit

    async def begin_commit(self: Projection) -> None:
        commits.append(self.uncommitted)
        await begin(self)

    monkeypatch.setattr(Projection, "_begin_commit", begin_commit)
    try:
        while projection.intake.read < 40:
            await projection.turn()
        assert commits == [30]
        projection.stopping = True
        await projection.run()
        assert commits == [30, projection.intake.read - 30]
        assert platform.one("SELECT count(*) FROM commands") == projection.intake.read
    finally:
        await projection.close()


def evidence(number: int) -> Changes:
    """A part of a batch: a row of evidence."""
    row: Row = dict.fromkeys(UPSERTS["bot_backtests"].columns) | {
        "job_id": an_id(f"job-{number}"), "bot_id": "bot-1", "job_type": "BACKTEST_BASELINE", "fingerprint": "0" * 64, "data_sha256": "0" * 64,
        "source_id": "test", "synthetic": True, "bars": 1, "first_bar": utc(2020, 1, 1), "last_bar": utc(2020, 1, 2), "trades": 0,
        "look_ahead_ok": True, "summary": {}, "created_at": clock.now(),
    }  # fmt: skip
    changes = Changes()
    changes.put("bot_backtests", (row["job_id"],), {str(name): value for name, value in row.items()})
    return changes


def progress_of(rev: int) -> Progress:
    """Nothing but a revision."""
    return Progress(GENESIS, None, 0, 0, 0, 0, rev, {}, {})


async def test_a_part_is_seen_with_its_batch_and_not_before(database: Database) -> None:
    database.empty()
    writer = await Writer.open(database.url(), SCHEMA)
    reader = await connect(database.url(), SCHEMA)
    try:
        await writer.write(evidence(1))
        await writer.write(evidence(2))
        assert await reader.fetchval("SELECT count(*) FROM bot_backtests") == 0
        await writer.commit(evidence(3), progress_of(1))
        assert await reader.fetchval("SELECT count(*) FROM bot_backtests") == 3
        assert await reader.fetchval("SELECT rev FROM projection_head") == 1
    finally:
        await writer.close()
        await reader.close()


async def test_a_batch_whose_connection_is_lost_between_its_parts_is_gone_whole(database: Database) -> None:
    """A new connection in the middle would commit the rest without the beginning."""
    database.empty()
    writer = await Writer.open(database.url(), SCHEMA)
    reader = await connect(database.url(), SCHEMA)
    try:
        await writer.commit(evidence(1), progress_of(1))
        await writer.write(evidence(2))
        await reader.execute("SELECT pg_terminate_backend($1)", writer.connection.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            await writer.commit(evidence(3), progress_of(2))
        with pytest.raises(Retryable, match="before it"):
            await writer.commit(evidence(4), progress_of(3))
        assert await reader.fetchval("SELECT count(*) FROM bot_backtests") == 1
        assert await reader.fetchval("SELECT rev FROM projection_head") == 1
    finally:
        await writer.close()
        await reader.close()
