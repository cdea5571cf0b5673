"""The rebuilt schema takes the live one's place: whole, and never in the middle of a batch.

Source: R-F9.
"""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from autonomy import clock
from autonomy.errors import Broken
from autonomy.events import RecordQuarantined
from autonomy.read_model import SCHEMA
from projection.fold.rows import Changes, quarantine_row
from projection.rebuild import SIDE, swap
from projection.schema import OLD, make_schema
from projection.store.batches import Progress
from projection.store.writer import Writer
from support.servers import Database
from support.writing import MOVED, a_note

pytestmark = pytest.mark.servers
QUICK_S = 20


@pytest.fixture
def beside(database: Database) -> Iterator[Database]:
    """A live schema, and a rebuilt one of equal offsets beside it."""
    database.empty()
    for schema in (SIDE, OLD):
        drop(database, schema)
    make_schema(database.owner_url, SIDE)
    yield database
    drop(database, OLD)


def drop(database: Database, schema: str) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def counted(database: Database, schema: str) -> tuple[object, ...] | None:
    """How many notes and offsets are committed in a schema."""
    with psycopg.connect(database.owner_url, options=f"-c search_path={schema}") as connection:
        return connection.execute("SELECT (SELECT count(*) FROM bot_notes), (SELECT count(*) FROM projection_offsets)").fetchone()


def a_refused_record() -> Changes:
    """A row of a table that comes late in any order."""
    said = RecordQuarantined(
        source_topic="autonomy.jobs", source_partition=0, source_offset=1, sha256="0" * 64, size_bytes=1, reason="x", excerpt="x"
    )
    changes = Changes()
    changes.put("quarantine", ("autonomy.jobs", 0, 1), quarantine_row(said, clock.now()))
    return changes


def deadlocks(database: Database) -> int:
    """How many the server has ended."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("SELECT pg_stat_clear_snapshot()")
        found = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert found is not None
    return int(found[0])


async def until_it_waits(database: Database) -> None:
    """Somebody waits for a lock."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        while connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is None:
            await asyncio.sleep(0.02)


async def test_an_open_batch_ends_in_the_schema_that_its_parts_are_in(beside: Database) -> None:
    writer = await Writer.open(beside.url(), SCHEMA)
    try:
        await writer.write(a_note(1))
        async with asyncio.timeout(QUICK_S):
            swapping = asyncio.ensure_future(swap(beside.owner_url))
            waiting = asyncio.ensure_future(until_it_waits(beside))
            await asyncio.wait({swapping, waiting}, return_when=asyncio.FIRST_COMPLETED)
            assert not swapping.done()
            await writer.commit(a_note(2), MOVED)
            await asyncio.gather(swapping, waiting)
    finally:
        await writer.close()
    assert counted(beside, OLD) == (2, 1)
    assert counted(beside, SCHEMA) == (0, 0)


async def test_a_batch_and_a_swap_that_wait_for_each_other_both_come_to_an_end(beside: Database) -> None:
    """The batch has the last of the tables and wants another, which the swap has; the server ends one of them."""
    before = deadlocks(beside)
    writer = await Writer.open(beside.url(), SCHEMA)
    try:
        await writer.write(a_refused_record())
        async with asyncio.timeout(QUICK_S):
            swapping = asyncio.ensure_future(swap(beside.owner_url))
            await until_it_waits(beside)
            batch = [writer.write(a_note(2)), writer.commit(Changes(), MOVED)]
            await asyncio.gather(swapping, *batch, return_exceptions=True)
    finally:
        await writer.close()
    async with asyncio.timeout(QUICK_S):
        while deadlocks(beside) == before:  # the server counts within a second
            await asyncio.sleep(0.05)
    assert swapping.exception() is None
    lost = [each.exception() for each in batch]
    # Whole in the schema where it began, or nowhere.
    assert counted(beside, OLD) == ((1, 1) if lost == [None, None] else (0, 0))
    assert counted(beside, SCHEMA) == (0, 0)


async def test_the_live_projections_next_commit_meets_other_offsets(beside: Database) -> None:
    writer, rebuilt = await Writer.open(beside.url(), SCHEMA), await Writer.open(beside.url(), SIDE)
    at_seven = Progress(MOVED.head, None, 0, 0, 0, 0, 1, {("autonomy.commands", 0): (7, 7)}, {})
    after_five = Progress(MOVED.head, None, 0, 0, 0, 0, 2, {("autonomy.commands", 0): (6, 6)}, {("autonomy.commands", 0): 5})
    try:
        await rebuilt.commit(a_note(7), at_seven)
        await writer.commit(a_note(1), MOVED)
        await swap(beside.owner_url)
        with pytest.raises(Broken, match="another projection"):
            await writer.commit(a_note(2), after_five)
    finally:
        await writer.close()
        await rebuilt.close()
    assert counted(beside, SCHEMA) == (1, 1)
