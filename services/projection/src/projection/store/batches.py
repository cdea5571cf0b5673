"""Read the working rows, and write a batch: rows and offsets in one transaction.

Place in the flow: apply → **store** → PostgreSQL. Each table gets upserts from JSON documents of its rows; offsets move by
compare and set, so a second projection on the same schema stops instead of doing the work twice.

Source: docs/architecture.md, "Read models"; R-F9, R-F10.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

import asyncpg
import orjson
import psycopg
from psycopg.types.json import Json
from sqlalchemy import BigInteger, Boolean, DateTime, Float, Integer, Table
from sqlalchemy.dialects.postgresql import JSON, JSONB, UUID

from autonomy.chain import GENESIS
from autonomy.errors import Broken
from autonomy.events import Head
from autonomy.lifecycle import Job
from autonomy.read_model import CHANNEL, METADATA
from autonomy.values import Cause, JobClass, JobStatus, JobType
from projection.fold.apply import Model
from projection.fold.bot_now import Row
from projection.fold.rows import Changes
from projection.fold.signs import Signs

Connection: TypeAlias = psycopg.Connection[tuple[object, ...]]
Cursor: TypeAlias = psycopg.Cursor[tuple[object, ...]]
CHUNK: Final = 500
"""Rows per statement: below, its overhead shows; above, its document no longer fits into what the server and the processor keep at hand."""


def _sql_type(kind: object) -> str:
    for python, sql in (
        (JSONB, "jsonb"), (JSON, "json"), (UUID, "uuid"), (DateTime, "timestamptz"), (BigInteger, "bigint"), (Integer, "integer"),
        (Float, "double precision"), (Boolean, "boolean"),
    ):  # fmt: skip
        if isinstance(kind, python):
            return sql
    return "text"


@dataclass(frozen=True, slots=True)
class Upsert:
    """How rows of one table are written and deleted.

    Rows go as one JSON document: the driver would encode each value of an array by itself, orjson writes a whole row at once.

    Attributes:
        shapes: key orders already verified complete, so that completeness is checked once per order, not per row.
    """

    sql: str
    delete: str
    columns: frozenset[str]
    shapes: set[tuple[str, ...]] = field(default_factory=set)

    @classmethod
    def of(cls, table: Table) -> "Upsert":
        """Derive the statements from the table."""
        kinds = {column.name: _sql_type(column.type) for column in table.columns}
        keys = [column.name for column in table.primary_key]
        names, key_names = ", ".join(f'"{name}"' for name in kinds), ", ".join(f'"{key}"' for key in keys)
        typed = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items())
        updates = ", ".join(f'"{name}" = excluded."{name}"' for name in kinds if name not in keys)
        matches = " AND ".join(f't."{key}" = k."{key}"' for key in keys)
        key_arrays = ", ".join(f"%s::{kinds[key]}[]" for key in keys)
        return cls(
            sql=f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM json_to_recordset(%s) AS u({typed}) '  # noqa: S608 (names from our own metadata)
            f"ON CONFLICT ({key_names}) DO UPDATE SET {updates}",
            delete=f'DELETE FROM "{table.name}" t USING unnest({key_arrays}) AS k({key_names}) WHERE {matches}',  # noqa: S608
            columns=frozenset(str(name) for name in kinds),
        )

    def document(self, rows: Sequence[Row]) -> Json:
        """Rows as the statement takes them.

        Raises:
            KeyError: a row lacks a column; JSON would make it null.
        """
        for row in rows:
            shape = tuple(row)
            if shape not in self.shapes:
                if lacking := self.columns - row.keys():
                    raise KeyError(min(lacking))
                self.shapes.add(shape)
        return Json(rows, dumps=orjson.dumps)


UPSERTS: Final = {table.name: Upsert.of(table) for table in METADATA.sorted_tables}


@dataclass(slots=True)
class Offsets:
    """Where a restart reads on, and below which offset everything was applied, per partition."""

    next_offset: dict[tuple[str, int], int] = field(default_factory=dict)
    applied: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch brings the projection."""

    head: Head
    market_now: datetime | None
    void_records: int
    void_seals: int
    void_steps: int
    quarantined: int
    rev: int
    offsets: Mapping[tuple[str, int], tuple[int, int]]
    """(next, applied) for each partition that moved."""
    before: Mapping[tuple[str, int], int]
    """What `next_offset` must be for the batch to count."""


def write(connection: Connection, changes: Changes) -> None:
    """Write a part of a batch, in the batch's transaction; the server never waits for the next statement.

    Raises:
        psycopg.Error: the database refuses, or is gone; nothing of the batch is written.
    """
    with connection.pipeline():
        _write_rows(connection, changes)


def commit(connection: Connection, changes: Changes, progress: Progress) -> None:
    """Write the last of a batch and commit it with its offsets.

    Raises:
        Broken: somebody else moved the offsets: another projection writes to this schema.
        psycopg.Error: the database refuses, or is gone; nothing of the batch is written.
    """
    with connection.pipeline():
        moved = _move_offsets(connection, progress)
        _write_rows(connection, changes)
        head = progress.head
        connection.execute(
            "INSERT INTO projection_head (singleton, tick, log_offset, hash, market_now, void_records, void_seals, void_steps, "
            "quarantined, rev, applied_at) VALUES (1, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp()) "
            "ON CONFLICT (singleton) DO UPDATE SET tick = excluded.tick, log_offset = excluded.log_offset, hash = excluded.hash, "
            "market_now = excluded.market_now, void_records = excluded.void_records, void_seals = excluded.void_seals, "
            "void_steps = excluded.void_steps, quarantined = excluded.quarantined, rev = excluded.rev, applied_at = clock_timestamp()",
            [head.tick, head.offset, head.hash, progress.market_now, progress.void_records, progress.void_seals,
             progress.void_steps, progress.quarantined, progress.rev],
        )  # fmt: skip
        connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(progress.rev)])
    if moved is not None and moved.rowcount != len(progress.offsets):
        raise Broken(
            f"offsets moved by somebody else ({moved.rowcount} of {len(progress.offsets)} as expected): another projection is writing"
        )
    connection.commit()


def _write_rows(connection: Connection, changes: Changes) -> None:
    for name, keys in changes.gone.items():
        if keys:
            connection.execute(UPSERTS[name].delete, [list(column) for column in zip(*sorted(keys, key=str), strict=True)])
    for name, changed in changes.rows.items():
        upsert, rows = UPSERTS[name], list(changed.values())
        for start in range(0, len(rows), CHUNK):
            connection.execute(upsert.sql, [upsert.document(rows[start : start + CHUNK])], prepare=True)
    _settle(connection, changes.settled)
    if changes.ended:
        bots, ticks = zip(*changes.ended, strict=True)
        connection.execute(
            "UPDATE decision_spans s SET to_tick = k.to_tick FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) "
            "AS k(bot_id, from_tick, to_tick) WHERE s.bot_id = k.bot_id AND s.from_tick = k.from_tick",
            [list(bots), list(ticks), list(changes.ended.values())],
        )


def _settle(connection: Connection, settled: Mapping[str, tuple[int, bool]]) -> None:
    """Bring closed sessions to the bar at which they closed: what was marked later goes, the figures are those of that bar."""
    if not settled:
        return
    sessions, bars = list(settled), [bar for bar, _ in settled.values()]
    for table in ("bot_equity", "bot_trades"):
        connection.execute(
            f"DELETE FROM {table} t USING unnest(%s::uuid[], %s::int[]) AS k(session_id, bar) "  # noqa: S608 (names of our own)
            "WHERE t.session_id = k.session_id AND t.bar > k.bar",
            [sessions, bars],
        )
    connection.execute(
        "UPDATE bot_sessions s SET trades = e.trades + k.flattened::int, traded_bars = e.traded_bars, sharpe = e.sharpe, "
        "max_drawdown = e.max_drawdown, replay = e.replay, last_mark_at = e.at, pnl = e.pnl + (s.equity - e.equity), "
        "outcomes = (SELECT jsonb_object_agg(o.outcome, o.bars) FROM "
        "(SELECT b.outcome, count(*) AS bars FROM bot_equity b WHERE b.session_id = s.id GROUP BY b.outcome) o) "
        "FROM unnest(%s::uuid[], %s::int[], %s::bool[]) AS k(session_id, bar, flattened) "
        "LEFT JOIN bot_equity e ON e.session_id = k.session_id AND e.bar = k.bar WHERE s.id = k.session_id",
        [sessions, bars, [flattened for _, flattened in settled.values()]],
    )


def _move_offsets(connection: Connection, progress: Progress) -> Cursor | None:
    """Move them; the answer counts those that stood where they should."""
    if not progress.offsets:
        return None
    moved = [
        (topic, number, nexts, applied, progress.before.get((topic, number)))
        for (topic, number), (nexts, applied) in progress.offsets.items()
    ]
    topics, numbers, nexts, applied, before = (list(column) for column in zip(*moved, strict=True))
    return connection.execute(
        "INSERT INTO projection_offsets (topic, partition, next_offset, applied_offset) "
        "SELECT u.topic, u.number, u.next, u.applied "
        "FROM unnest(%(topics)s::text[], %(numbers)s::int[], %(nexts)s::bigint[], %(applied)s::bigint[]) "
        "AS u(topic, number, next, applied) "
        "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset, "
        "applied_offset = excluded.applied_offset "
        "WHERE projection_offsets.next_offset = ("
        "SELECT w.before FROM unnest(%(topics)s::text[], %(numbers)s::int[], %(before)s::bigint[]) "
        "AS w(topic, number, before) WHERE w.topic = excluded.topic AND w.number = excluded.partition)",
        {"topics": topics, "numbers": numbers, "nexts": nexts, "applied": applied, "before": before},
    )


async def load(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[Model, Head, Offsets]:
    """The working rows, the head and the offsets as the last batch left them."""
    offsets = Offsets()
    for row in await connection.fetch("SELECT * FROM projection_offsets"):
        key = (row["topic"], row["partition"])
        offsets.next_offset[key], offsets.applied[key] = row["next_offset"], row["applied_offset"]
    model = Model()
    head = GENESIS
    known = await connection.fetchrow("SELECT * FROM projection_head")
    if known is not None:
        head = Head(tick=known["tick"], offset=known["log_offset"], hash=known["hash"])
        model.market_now, model.rev = known["market_now"], known["rev"] + 1
    model.fold.head_tick = head.tick
    model.bots = {row["id"]: dict(row) for row in await connection.fetch("SELECT * FROM bots WHERE retired_at IS NULL")}
    model.now = {row["bot_id"]: dict(row) for row in await connection.fetch("SELECT * FROM bot_now")}
    model.spans = {row["bot_id"]: dict(row) for row in await connection.fetch("SELECT * FROM decision_spans WHERE to_tick IS NULL")}
    model.signs = Signs.of_rows([dict(row) for row in await connection.fetch("SELECT * FROM bot_runners")])
    model.books.rows = {row["id"]: dict(row) for row in await connection.fetch("SELECT * FROM bot_sessions WHERE state = 'OPEN'")}
    model.books.by_bot = {str(row["bot_id"]): session_id for session_id, row in model.books.rows.items()}
    await _load_careers(connection, model)
    model.commands = {row["id"]: dict(row) for row in await connection.fetch("SELECT * FROM commands WHERE status = 'OPEN'")}
    model.seen_commands = {row["id"] for row in await connection.fetch("SELECT id FROM commands")}
    for row in await connection.fetch("SELECT * FROM bot_jobs WHERE status IN ('QUEUED', 'RUNNING')"):
        model.jobs[row["id"]] = dict(row)
        model.by_bot.setdefault(row["bot_id"], set()).add(row["id"])
        model.fold.enqueue(job_of_row(dict(row)))
    model.touched = set(model.bots)  # what a badge says is this version's to say: the rows may be of the version before
    return model, head, offsets


async def _load_careers(connection: "asyncpg.Connection[asyncpg.Record]", model: Model) -> None:
    careers = model.careers
    for row in await connection.fetch("SELECT * FROM promotions WHERE status IN ('OPEN', 'REQUESTED')"):
        careers.promotions[row["id"]] = dict(row)
        careers.by_bot[row["bot_id"]] = row["id"]
    unfinished = "SELECT * FROM bot_evolutions WHERE verdict IS NULL OR finished_at IS NULL"
    careers.searches = {row["job_id"]: dict(row) for row in await connection.fetch(unfinished)}


def job_of_row(row: Mapping[str, object]) -> Job:
    """The lifecycle's job of a row."""
    return Job(
        job_id=str(row["id"]), bot_id=str(row["bot_id"]), job_type=JobType(str(row["job_type"])),
        job_class=JobClass(str(row["job_class"])), tick=int(str(row["tick"])), seq=int(str(row["seq"])),
        partition=int(str(row["partition"])), status=JobStatus(str(row["status"])), attempt=int(str(row["attempt"])),
        failures=int(str(row["failures"])), claim_id=_text(row["claim_id"]), process_id=_text(row["process_id"]),
        cause=None if row["cause"] is None else Cause(str(row["cause"])),
    )  # fmt: skip


def _text(value: object) -> str | None:
    return None if value is None else str(value)


async def table_hashes(
    connection: "asyncpg.Connection[asyncpg.Record]", tables: Iterable[tuple[str, Sequence[str], Sequence[str]]]
) -> dict[str, str]:
    """A hash over the ordered rows of each table: (name, columns, keys); documents count by what they say, not by how it is written."""
    found = {}
    for name, columns, keys in tables:
        kinds = {column.name: _sql_type(column.type) for column in METADATA.tables[name].columns}
        shown = ", ".join(f'"{column}"::jsonb' if kinds[column] == "json" else f'"{column}"' for column in columns)
        order = ", ".join(f'"{key}"' for key in keys)
        rows = f'SELECT row_number() OVER (ORDER BY {order}) AS n, ROW({shown})::text AS t FROM "{name}"'  # noqa: S608 (names from our own metadata)
        whole = "encode(sha256(coalesce(string_agg(md5(t), '' ORDER BY n), '')::bytea), 'hex')"
        sql = f"SELECT {whole} FROM ({rows}) q"  # noqa: S608 (as above)
        found[name] = str(await connection.fetchval(sql))
    return found
