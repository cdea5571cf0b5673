"""The writer against a real database that refuses, or does not answer: a batch is whole or not there, and the thread always ends.

Source: docs/architecture.md, "Read models"; R-F10.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import psycopg
import pytest
from aiokafka.errors import KafkaConnectionError
from psycopg.pq import PipelineStatus

from autonomy.errors import Retryable
from autonomy.log_reader import LogReader
from autonomy.read_model import SCHEMA
from projection import app
from projection.app import LOST, build_projection
from projection.fold.rows import Changes
from projection.settings import ProjectionSettings
from projection.store import writer as writer_module
from projection.store.writer import KEEPALIVE, Writer
from support.platform import Platform, fleet, wait_for
from support.servers import Database
from support.writing import MOVED, a_note

pytestmark = pytest.mark.servers
QUICK_S = 10
"""Less than any time-out of the servers or their clients."""


def many(*notes: Changes) -> Changes:
    """All of these rows."""
    changes = Changes()
    for note in notes:
        for (event_id,), row in note.rows["bot_notes"].items():
            changes.put("bot_notes", (event_id,), row)
    return changes


def stored(database: Database) -> tuple[object, ...] | None:
    """How many notes, offsets and heads are committed."""
    with psycopg.connect(database.owner_url, options=f"-c search_path={SCHEMA}") as connection:
        counted = (
            "SELECT (SELECT count(*) FROM bot_notes), (SELECT count(*) FROM projection_offsets), (SELECT count(*) FROM projection_head)"
        )
        return connection.execute(counted).fetchone()


@contextlib.contextmanager
def stopped(writer: Writer) -> Iterator[None]:
    """Its process in the database stands still: the connection is there, and no answer comes."""
    backend = writer.connection.info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(backend, signal.SIGCONT)


async def until_it_waits(writer: Writer) -> None:
    """Its thread has begun to write, and gets no answer."""
    while writer.connection.pgconn.pipeline_status == PipelineStatus.OFF:
        await asyncio.sleep(0.01)


def has_ended(writer: Writer) -> bool:
    """Whether its thread is gone."""
    return not any(thread.is_alive() for thread in writer.thread._threads)


@pytest.mark.parametrize("refused", ["a part", "the end"])
async def test_a_refused_row_takes_its_whole_batch_along(database: Database, refused: str) -> None:
    """In the middle of a statement of many, with statements before it and behind it on their way already."""
    database.empty()
    bad = many(*[a_note(number, None if number == 1_200 else "HELD") for number in range(10, 2_000)])
    writer = await Writer.open(database.url(), SCHEMA)
    try:
        parts = [writer.write(a_note(1)), writer.write(bad if refused == "a part" else a_note(2)), writer.write(a_note(3))]
        parts.append(writer.commit(bad if refused == "the end" else a_note(4), MOVED))
        parts.append(writer.commit(a_note(5), MOVED))
        found = [type(each) for each in await asyncio.gather(*parts, return_exceptions=True)]
    finally:
        await writer.close()
    place = 1 if refused == "a part" else 3
    assert found == [type(None)] * place + [psycopg.errors.NotNullViolation] + [Retryable] * (4 - place)
    assert stored(database) == (0, 0, 0)


async def test_the_same_batch_without_that_row_is_there(database: Database) -> None:
    """Positive control."""
    database.empty()
    writer = await Writer.open(database.url(), SCHEMA)
    try:
        under_way = [writer.write(a_note(1)), writer.write(many(*map(a_note, range(10, 2_000)))), writer.commit(a_note(4), MOVED)]
        await asyncio.gather(*under_way)
    finally:
        await writer.close()
    assert stored(database) == (1_992, 1, 1)


async def test_a_writer_ends_while_its_connection_is_silent(database: Database) -> None:
    database.empty()
    writer = await Writer.open(database.url(), SCHEMA)
    with stopped(writer):
        under_way = [writer.write(a_note(1)), writer.write(a_note(2)), writer.commit(a_note(3), MOVED)]
        await until_it_waits(writer)
        async with asyncio.timeout(QUICK_S):
            await writer.close()
        assert has_ended(writer)
        assert all(isinstance(each, BaseException) for each in await asyncio.gather(*under_way, return_exceptions=True))
    assert stored(database) == (0, 0, 0)


async def test_a_process_that_stands_still_keeps_no_rows_locked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a part written, and not a word since: its machine may be gone."""
    database.empty()
    other = await Writer.open(database.url(), SCHEMA)
    monkeypatch.setattr(writer_module, "TRANSACTION_S", 1)
    still = await Writer.open(database.url(), SCHEMA)
    try:
        await still.write(a_note(1))
        async with asyncio.timeout(QUICK_S):
            await other.commit(a_note(1), MOVED)  # the same row: it waits until the first is ended
        with pytest.raises(LOST):
            await still.commit(a_note(2), MOVED)
    finally:
        await still.close()
        await other.close()
    assert stored(database) == (1, 1, 1)


async def test_a_writer_has_the_servers_patience_bounded(database: Database) -> None:
    writer = await Writer.open(database.url(), SCHEMA)
    try:
        names = ("statement_timeout", "transaction_timeout", *KEEPALIVE)
        found = writer.connection.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names)).fetchone()
    finally:
        await writer.close()
    assert found == ("30s", "1min", "10", "10", "3")


async def test_a_process_that_cannot_be_built_leaves_no_connection(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while a broker restarts: each try would leave a client behind."""
    opened: list[LogReader] = []

    async def note(reader: LogReader, *_: object) -> None:
        opened.append(reader)

    async def refuse(_bootstrap: str) -> None:
        raise KafkaConnectionError("no broker")

    monkeypatch.setattr(LogReader, "start_near_end", note)
    monkeypatch.setattr(app, "build_producer", refuse)
    settings = ProjectionSettings(KAFKA_BOOTSTRAP_SERVERS=platform.broker.bootstrap, DATABASE_URL=platform.database.url())
    with pytest.raises(KafkaConnectionError):
        await build_projection(settings)
    assert opened
    assert all(reader.consumer._closed for reader in opened)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("projection-writer")]


async def test_a_process_lets_go_of_a_silent_database_and_the_next_one_does_its_work(platform: Platform) -> None:
    await asyncio.to_thread(platform.register, fleet(3))
    settings = ProjectionSettings(KAFKA_BOOTSTRAP_SERVERS=platform.broker.bootstrap, DATABASE_URL=platform.database.url())
    first = await build_projection(settings)
    with stopped(first.writer):
        try:
            while not first.writing:
                await first.turn()
            await until_it_waits(first.writer)
        finally:
            async with asyncio.timeout(QUICK_S):
                await first.close()
        assert has_ended(first.writer)
    assert platform.one("SELECT count(*) FROM commands") == 0
    service = platform.projection()
    wait_for("the command's row", lambda: platform.one("SELECT count(*) FROM commands") == 1)
    assert service.alive
