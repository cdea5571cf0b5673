"""Lists and details out of the read models: filters as parameters, keyset paging, never an OFFSET.

Place in the flow: route → **query** → PostgreSQL (role reader). Every list has a bound.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import asyncpg

from autonomy.errors import BadInput
from autonomy.values import iso

MAX_LIMIT: Final = 200
DEFAULT_LIMIT: Final = 50
MAX_TEXT: Final = 80
MAX_NUMBER: Final = 2**63 - 1


@dataclass(slots=True)
class Where:
    """Conditions with their parameters."""

    parts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, condition: str, *values: object) -> None:
        """Add a condition; `{}` stands for each value in turn."""
        numbers = []
        for value in values:
            self.values.append(value)
            numbers.append(f"${len(self.values)}")
        self.parts.append(condition.format(*numbers))

    @property
    def sql(self) -> str:
        """The whole condition."""
        return " AND ".join(self.parts) if self.parts else "true"


def encode_cursor(values: Sequence[object]) -> str:
    """An opaque cursor of the last row's keys."""
    shown = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(shown, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type]) -> list[object]:
    """The keys of a cursor.

    Raises:
        BadInput: it is not one of ours.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list):
            raise TypeError("no list of keys")
        return [_key_of(value, kind) for value, kind in zip(values, kinds, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError) as refusal:
        raise BadInput("cursor", "must be a nextCursor of this list") from refusal


def _key_of(value: object, kind: type) -> object:
    """A key as PostgreSQL can compare it; anything that it would refuse is refused here."""
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and -MAX_NUMBER - 1 <= value <= MAX_NUMBER:
        return value
    if kind is int or not isinstance(value, str) or "\x00" in value:
        raise ValueError("no key of this kind")
    value.encode()  # a lone surrogate is no text
    if kind is UUID:
        return str(UUID(value))
    if kind is not datetime:
        return value
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("an instant without a zone")
    return at.astimezone(UTC)


def document(row: "asyncpg.Record | Mapping[str, object]") -> dict[str, object]:
    """A row as camelCase JSON; instants as ISO UTC."""
    return {_camel(name): iso(value) if isinstance(value, datetime) else value for name, value in row.items()}


@lru_cache(maxsize=1_024)
def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True, slots=True)
class BotFilter:
    """What a list of bots may be narrowed by; the words are those of the badges."""

    state: tuple[str, ...] = ()
    stage: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    recency: tuple[str, ...] = ()
    text: str = ""

    def where(self) -> Where:
        """The condition."""
        where = Where()
        for column, wanted in (
            ("state", self.state), ("stage", self.stage), ("reason_code", self.reason), ("recency", self.recency),
        ):  # fmt: skip
            if len(wanted) == 1:
                where.add(f"{column} = {{}}", wanted[0])
            elif wanted:
                where.add(f"{column} = ANY({{}}::text[])", list(wanted))
        if self.text:
            where.add(
                "(bot_id LIKE {} OR lower(name) LIKE {} OR lower(symbol) LIKE {} OR strategy LIKE {})", *[f"%{_like(self.text)}%"] * 4
            )
        return where

    def counted(self, counts: Mapping[str, Mapping[str, int]]) -> int | None:
        """How many bots match, where counts by one kind of badge tell it; None where only the rows do."""
        asked = {"state": self.state, "stage": self.stage, "reason": self.reason, "recency": self.recency}
        narrowed = [name for name, words in asked.items() if words]
        if self.text or len(narrowed) > 1 or not counts:
            return None
        if not narrowed:
            return sum(counts["state"].values())
        (name,) = narrowed
        return sum(counts[name].get(word, 0) for word in set(asked[name]))


def _like(text: str) -> str:
    return text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


BOT_COLUMNS: Final = """bot_id, name, state, since, reason_code, detail, would, next_due_at, until_at, job_id, job_type,
job_status, phase, progress, last_beat_at, blockers, recency, evidence_until, evidence_at, sharpe, max_drawdown, trades, spark,
because_event_id, stage, strategy, symbol, parameters, origin, pinned, pin_reason, rev"""
PLACE_SQL: Final = """
SELECT j.bot_id, 1 + (SELECT count(*) FROM bot_jobs e WHERE e.status = 'QUEUED' AND e.job_class = j.job_class
       AND (e.tick, e.seq) < (j.tick, j.seq)) AS place
FROM bot_jobs j WHERE j.status = 'QUEUED' AND j.bot_id = ANY($1::text[])
"""


async def list_bots(
    connection: "asyncpg.Connection[asyncpg.Record]", wanted: BotFilter, limit: int, cursor: str | None
) -> tuple[list[dict[str, object]], str | None]:
    """A page of bots by id, each with its place in line while queued."""
    where = wanted.where()
    if cursor:
        (after,) = decode_cursor(cursor, (str,))
        where.add("bot_id > {}", after)
    where.values.append(limit + 1)
    rows = await connection.fetch(
        f"SELECT {BOT_COLUMNS} FROM bot_now WHERE {where.sql} ORDER BY bot_id LIMIT ${len(where.values)}",  # noqa: S608 (conditions are ours, values are parameters)
        *where.values,
    )
    page = rows[:limit]
    items = [document(row) for row in page]
    queued = [row["bot_id"] for row in page if row["job_status"] == "QUEUED"]
    if queued:
        places = {row["bot_id"]: row["place"] for row in await connection.fetch(PLACE_SQL, queued)}
        for item in items:
            item["place"] = places.get(item["botId"])
    following = encode_cursor([page[-1]["bot_id"]]) if len(rows) > limit else None
    return items, following


async def count_matching(connection: "asyncpg.Connection[asyncpg.Record]", wanted: BotFilter) -> int:
    """How many bots match."""
    where = wanted.where()
    return int(await connection.fetchval(f"SELECT count(*) FROM bot_now WHERE {where.sql}", *where.values))  # noqa: S608 (as above)


async def changed_bots(connection: "asyncpg.Connection[asyncpg.Record]", after_rev: int, limit: int) -> list[dict[str, object]]:
    """Bots whose row changed after a revision, oldest change first."""
    rows = await connection.fetch(f"SELECT {BOT_COLUMNS} FROM bot_now WHERE rev > $1 ORDER BY rev, bot_id LIMIT $2", after_rev, limit)  # noqa: S608
    return [document(row) for row in rows]


async def one_bot(connection: "asyncpg.Connection[asyncpg.Record]", bot_id: str) -> dict[str, object] | None:
    """A bot with everything that stands about it."""
    bot = await connection.fetchrow("SELECT * FROM bots WHERE id = $1", bot_id)
    if bot is None:
        return None
    now = await connection.fetchrow(f"SELECT {BOT_COLUMNS} FROM bot_now WHERE bot_id = $1", bot_id)  # noqa: S608
    decision = await connection.fetchrow("SELECT * FROM decision_spans WHERE bot_id = $1 AND to_tick IS NULL", bot_id)
    backtest = await connection.fetchrow("SELECT * FROM bot_backtests WHERE bot_id = $1 ORDER BY created_at DESC LIMIT 1", bot_id)
    jobs = await connection.fetch(
        "SELECT id, job_type, status, cause, detail, attempt, attempts, created_at, queued_at, started_at, finished_at, "
        "last_beat_at, phase, progress, process_id, bars_until FROM bot_jobs WHERE bot_id = $1 "
        "ORDER BY created_at DESC LIMIT 20", bot_id,
    )  # fmt: skip
    return {
        "bot": document(bot), "botNow": document(now) if now else None, "decision": document(decision) if decision else None,
        "latestBacktest": document(backtest) if backtest else None, "jobs": [document(job) for job in jobs],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listing:
    """A list paged newest first; together the columns of `order` name one row, or a page's end could fall between two."""

    table: str
    columns: str
    order: tuple[str, ...]
    kinds: tuple[type, ...]

    async def page(
        self, connection: "asyncpg.Connection[asyncpg.Record]", where: Where, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, object]], str | None]:
        """A page, newest first."""
        if cursor:
            places = ", ".join("{}" for _ in self.order)
            where.add(f"({', '.join(self.order)}) < ({places})", *decode_cursor(cursor, self.kinds))
        where.values.append(limit + 1)
        rows = await connection.fetch(
            f"SELECT {self.columns} FROM {self.table} WHERE {where.sql} "  # noqa: S608 (names and conditions are ours)
            f"ORDER BY {', '.join(f'{column} DESC' for column in self.order)} LIMIT ${len(where.values)}",
            *where.values,
        )
        page = rows[:limit]
        following = encode_cursor([page[-1][column] for column in self.order]) if len(rows) > limit else None
        return [document(row) for row in page], following


JOBS: Final = Listing(
    "bot_jobs",
    "id, bot_id, job_type, job_class, status, cause, detail, tick, seq, attempt, failures, attempts, created_at, queued_at, "
    "started_at, finished_at, last_beat_at, phase, progress, process_id, fingerprint, bars_until",
    ("created_at", "id"), (datetime, UUID),
)  # fmt: skip
RUNS: Final = Listing("autonomy_planner_runs", "*", ("tick", "id"), (int, UUID))
STAGE_EVENTS: Final = Listing("bot_stage_events", "*", ("created_at", "id"), (datetime, UUID))
COMMANDS: Final = Listing(
    "commands", "id, command, actor, role, reason, said_at, status, tick, code, field, limit_text, outcomes", ("said_at", "id"),
    (datetime, UUID),
)  # fmt: skip
DECISIONS: Final = Listing("decision_spans", "*", ("from_tick", "bot_id"), (int, str))
BACKTESTS: Final = Listing(
    "bot_backtests",
    "job_id, bot_id, job_type, fingerprint, data_sha256, source_id, synthetic, bars, first_day, last_day, sharpe, oos_sharpe, "
    "max_drawdown, cagr, trades, dsr, look_ahead_ok, summary, artifact, created_at",
    ("created_at", "job_id"), (datetime, UUID),
)  # fmt: skip
QUARANTINE: Final = Listing("quarantine", "*", ("seen_at", "topic", "partition", "log_offset"), (datetime, str, int, int))
TIMELINE_SQL: Final = """
SELECT at, kind, what, actor, detail, ref FROM (
  SELECT created_at AS at, 'stage' AS kind, to_stage || ' (' || reason_code || ')' AS what, actor, coalesce(from_stage, '') AS detail,
         id::text AS ref FROM bot_stage_events WHERE bot_id = $1
  UNION ALL
  SELECT r.started_at, 'decision', s.reason_code, 'planner', s.detail, s.event_id::text
  FROM decision_spans s JOIN autonomy_planner_runs r ON r.tick = s.from_tick WHERE s.bot_id = $1
  UNION ALL
  SELECT created_at, 'job', job_type || ' enqueued', 'planner', '', id::text FROM bot_jobs WHERE bot_id = $1
  UNION ALL
  SELECT finished_at, 'job', job_type || ' ' || status, coalesce(process_id::text, 'planner'), coalesce(cause, ''), id::text
  FROM bot_jobs WHERE bot_id = $1 AND finished_at IS NOT NULL
) events WHERE ($2::timestamptz IS NULL OR (at, ref) < ($2, $3)) ORDER BY at DESC, ref DESC LIMIT $4
"""
