"""The real store writes, settles and loads the same rows as the one in memory, which the properties are about.

Source: R-F9, R-F10; docs/architecture.md, "Read models".
"""

import hashlib
from random import Random
from typing import Any

import pytest

from autonomy.postgres import connect
from autonomy.read_model import METADATA, NOT_COMPARED, NOT_REBUILT, SCHEMA
from autonomy.topics import RUNS
from projection.store.batches import load
from projection.store.writer import Writer
from support.careers import ACTS, lived
from support.read_models import PARTS, Log, MemoryStore, Reading, compared_rows, plain, read_whole
from support.servers import Database

pytestmark = pytest.mark.servers


def a_log(length: int = 400) -> Log:
    digests = (hashlib.sha256(f"career {number}".encode()).digest() for number in range(length))
    return lived([(digest[0] % len(ACTS), int.from_bytes(digest[1:4])) for digest in digests]).written()


async def written(database: Database, log: Log, random: Random) -> dict[str, list[Any]]:
    """Read in random turns into PostgreSQL, in parts, with a new process after every third commit and its open batch lost."""
    connection = await connect(database.url(), SCHEMA)
    writer = await Writer.open(database.url(), SCHEMA)
    try:
        reading = Reading.resumed(log, MemoryStore(), *await load(connection))
        commits = 0
        while reading.unread:
            reading.read(random.choice(reading.unread), random.randint(1, 60))
            reading.apply()
            if random.random() < PARTS:
                await writer.write(reading.intake.model.changes.take_done())
            if random.random() < 0.5:
                continue
            progress = reading.intake.progress()
            await writer.commit(reading.intake.model.finish(), progress)
            reading.intake.handed_over(progress)
            commits += 1
            if commits % 3 == 0 and commits < 60:
                reading.read(random.choice(reading.unread or [(RUNS, 0)]), random.randint(1, 60))
                reading.apply()
                await writer.write(reading.intake.model.changes.take_done())
                await writer.close()
                writer = await Writer.open(database.url(), SCHEMA)
                reading = Reading.resumed(log, MemoryStore(), *await load(connection))
        reading.apply()
        await writer.commit(reading.intake.model.finish(), reading.intake.progress())
        found = {}
        for table in METADATA.sorted_tables:
            if table.name not in NOT_REBUILT:
                names = [column.name for column in table.columns if column.name not in NOT_COMPARED]
                rows = [{name: plain(row[name]) for name in names} for row in await connection.fetch(f'SELECT * FROM "{table.name}"')]
                keys = [column.name for column in table.primary_key]
                found[table.name] = sorted(rows, key=lambda row: [str(row[key]) for key in keys])
        return found
    finally:
        await writer.close()
        await connection.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_rows_in_postgresql_are_those_of_the_model_after_any_turns_and_restarts(database: Database, seed: int) -> None:
    database.empty()
    log = a_log()
    truth, found = compared_rows(read_whole(log)), await written(database, log, Random(seed))
    assert {name for name in truth if truth[name]} >= {
        "bot_sessions",
        "bot_equity",
        "bot_trades",
        "promotions",
        "bot_evolutions",
        "bot_drift",
    }
    for name, rows in truth.items():
        assert found[name] == rows, name


async def test_gates_are_shown_one_row_each_as_last_said(database: Database) -> None:
    database.empty()
    log = a_log()
    badges = {row["bot_id"]: row for row in compared_rows(read_whole(log))["bot_now"]}
    await written(database, log, Random(3))
    connection = await connect(database.url("autonomy_reader"), SCHEMA)
    try:
        rows = await connection.fetch("SELECT * FROM bot_gates ORDER BY bot_id, place")
    finally:
        await connection.close()
    assert rows
    for bot_id in {row["bot_id"] for row in rows}:
        own = [row for row in rows if row["bot_id"] == bot_id]
        assert [row["code"] for row in own] == ["MIN_TRADES", "LIMITS", "REALISM"]
        lacking = [
            {"code": row["code"], "measured": row["measured"], "required": row["required"], "clearsWhen": row["clears_when"]}
            for row in own
            if row["deciding"] and row["verdict"] != "PASS"
        ]
        assert lacking == badges[bot_id]["promotion_blockers"]
