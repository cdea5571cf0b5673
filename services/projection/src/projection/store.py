"""Read the working rows, and write a batch: rows and offsets in one transaction.

Place in the flow: apply → **store** → PostgreSQL. Each table gets one upsert per batch, from an array per column or, where the
columns are many, from one JSON document; offsets move by compare and set, so a second projection on the same schema stops instead of
doing the work twice.

Source: design, section 7; R-F9, R-F10.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg
import orjson
from sqlalchemy import BigInteger, Boolean, DateTime, Float, Integer, Table
from sqlalchemy.dialects.postgresql import JSON, JSONB, UUID

from autonomy.chain import GENESIS
from autonomy.errors import Broken
from autonomy.events import Head
from autonomy.lifecycle import Job
from autonomy.read_model import CHANNEL, METADATA
from autonomy.values import Cause, JobClass, JobStatus, JobType
from projection.apply import Model
from projection.bot_now import Row
from projection.rows import Changes
from projection.signs import Signs

CHUNK: Final = 1_000
"""Rows per statement: below, its overhead shows; above, rows of 4 kB no longer fit into the server's work_mem and go to a file."""
WIDE: Final = 11
"""Columns above which a row goes as a JSON object: the driver encodes each value of an array by itself, orjson a whole row at once.

That halves the writing thread's share of the interpreter, for half as much again in the server, which has a processor of its own.
"""


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

    Attributes:
        wide: its rows go as one JSON document instead of an array per column.
    """

    sql: str
    delete: str
    columns: tuple[str, ...]
    names: frozenset[str]
    json_columns: frozenset[str]
    wide: bool

    @classmethod
    def of(cls, table: Table) -> "Upsert":
        """Derive the statements from the table."""
        names = [column.name for column in table.columns]
        kinds = {column.name: _sql_type(column.type) for column in table.columns}
        keys = [column.name for column in table.primary_key]
        json_columns = frozenset(name for name in names if kinds[name] in {"jsonb", "json"})
        wide = len(names) > WIDE
        arrays = ", ".join(f"${number}::{'text' if name in json_columns else kinds[name]}[]" for number, name in enumerate(names, start=1))
        quoted = ", ".join(f'"{name}"' for name in names)
        picked = ", ".join(f'u."{name}"::{kinds[name]}' if name in json_columns else f'u."{name}"' for name in names)
        typed = ", ".join(f'"{name}" {kinds[name]}' for name in names)
        source = f"json_to_recordset($1::text::json) AS u({typed})" if wide else f"unnest({arrays}) AS u({quoted})"
        updates = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
        matches = " AND ".join(f't."{key}" = k."{key}"' for key in keys)
        key_arrays = ", ".join(f"${number}::{kinds[key]}[]" for number, key in enumerate(keys, start=1))
        key_names = ", ".join(f'"{key}"' for key in keys)
        return cls(
            sql=f'INSERT INTO "{table.name}" ({quoted}) SELECT {picked} FROM {source} '  # noqa: S608 (names from our own metadata)
            f"ON CONFLICT ({key_names}) DO UPDATE SET {updates}",
            delete=f'DELETE FROM "{table.name}" t USING unnest({key_arrays}) AS k({key_names}) WHERE {matches}',  # noqa: S608
            columns=tuple(names),
            names=frozenset(names),
            json_columns=json_columns,
            wide=wide,
        )

    def arguments(self, rows: Sequence[Row]) -> Sequence[object]:
        """Rows as the statement takes them.

        Raises:
            KeyError: a row lacks a column.
        """
        if self.wide:
            for row in rows:
                if not self.names <= row.keys():  # JSON would make it null
                    raise KeyError(min(self.names - row.keys()))
            return (orjson.dumps(rows).decode(),)
        return [
            [None if row[name] is None else orjson.dumps(row[name]).decode() for row in rows]
            if name in self.json_columns
            else [row[name] for row in rows]
            for name in self.columns
        ]


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


async def write(connection: "asyncpg.Connection[asyncpg.Record]", changes: Changes, progress: Progress) -> None:
    """Commit one batch.

    Raises:
        Broken: somebody else moved the offsets: another projection writes to this schema.
    """
    async with connection.transaction():
        await _move_offsets(connection, progress)
        for name, keys in changes.gone.items():
            if keys:
                columns = [list(column) for column in zip(*sorted(keys, key=str), strict=True)]
                await connection.execute(UPSERTS[name].delete, *columns)
        await _one_after_another(connection, _upserts(changes))
        await _settle(connection, changes.settled)
        if changes.ended:
            bots, ticks = zip(*changes.ended, strict=True)
            await connection.execute(
                "UPDATE decision_spans s SET to_tick = k.to_tick FROM unnest($1::text[], $2::bigint[], $3::bigint[]) "
                "AS k(bot_id, from_tick, to_tick) WHERE s.bot_id = k.bot_id AND s.from_tick = k.from_tick",
                bots, ticks, list(changes.ended.values()),
            )  # fmt: skip
        head = progress.head
        await connection.execute(
            "INSERT INTO projection_head VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp()) "
            "ON CONFLICT (singleton) DO UPDATE SET tick=$1, log_offset=$2, hash=$3, market_now=$4, void_records=$5, "
            "void_seals=$6, void_steps=$7, quarantined=$8, rev=$9, applied_at=clock_timestamp()",
            head.tick, head.offset, head.hash, progress.market_now, progress.void_records, progress.void_seals,
            progress.void_steps, progress.quarantined, progress.rev,
        )  # fmt: skip
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(progress.rev))


async def _settle(connection: "asyncpg.Connection[asyncpg.Record]", settled: Mapping[str, tuple[int, bool]]) -> None:
    """Bring closed sessions to the bar at which they closed: what was marked later goes, the figures are those of that bar."""
    if not settled:
        return
    sessions, bars = list(settled), [bar for bar, _ in settled.values()]
    for table in ("bot_equity", "bot_trades"):
        await connection.execute(
            f"DELETE FROM {table} t USING unnest($1::uuid[], $2::int[]) AS k(session_id, bar) "  # noqa: S608 (names of our own)
            "WHERE t.session_id = k.session_id AND t.bar > k.bar",
            sessions, bars,
        )  # fmt: skip
    await connection.execute(
        "UPDATE bot_sessions s SET trades = e.trades + k.flattened::int, traded_bars = e.traded_bars, sharpe = e.sharpe, "
        "max_drawdown = e.max_drawdown, replay = e.replay, last_mark_at = e.at, pnl = e.pnl + (s.equity - e.equity) "
        "FROM unnest($1::uuid[], $2::int[], $3::bool[]) AS k(session_id, bar, flattened) "
        "LEFT JOIN bot_equity e ON e.session_id = k.session_id AND e.bar = k.bar WHERE s.id = k.session_id",
        sessions, bars, [flattened for _, flattened in settled.values()],
    )  # fmt: skip


def _upserts(changes: Changes) -> Iterator[tuple[str, Sequence[object]]]:
    """The statements that write all rows, each with its arguments."""
    for name, changed in changes.rows.items():
        upsert, rows = UPSERTS[name], list(changed.values())
        for start in range(0, len(rows), CHUNK):
            yield upsert.sql, upsert.arguments(rows[start : start + CHUNK])


async def _one_after_another(connection: "asyncpg.Connection[asyncpg.Record]", statements: Iterator[tuple[str, Sequence[object]]]) -> None:
    """Run the statements in order; while the server works on one, the next one is put together."""
    working: asyncio.Future[str] | None = None
    try:
        for sql, arguments in statements:
            if working is not None:
                await working
            working = asyncio.ensure_future(connection.execute(sql, *arguments))
            await asyncio.sleep(0)  # it is sent now
    finally:
        if working is not None:
            await working


async def _move_offsets(connection: "asyncpg.Connection[asyncpg.Record]", progress: Progress) -> None:
    moved = [
        (topic, number, nexts, applied, progress.before.get((topic, number)))
        for (topic, number), (nexts, applied) in progress.offsets.items()
    ]
    if not moved:
        return
    topics, numbers, nexts, applied, before = (list(column) for column in zip(*moved, strict=True))
    status = await connection.execute(
        "INSERT INTO projection_offsets (topic, partition, next_offset, applied_offset) "
        "SELECT u.topic, u.number, u.next, u.applied FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) "
        "AS u(topic, number, next, applied) "
        "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset, "
        "applied_offset = excluded.applied_offset "
        "WHERE projection_offsets.next_offset = (SELECT w.before FROM unnest($1::text[], $2::int[], $5::bigint[]) "
        "AS w(topic, number, before) WHERE w.topic = excluded.topic AND w.number = excluded.partition)",
        topics, numbers, nexts, applied, before,
    )  # fmt: skip
    if status != f"INSERT 0 {len(moved)}":
        raise Broken(f"offsets moved by somebody else ({status}, {len(moved)} expected): another projection is writing")


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
