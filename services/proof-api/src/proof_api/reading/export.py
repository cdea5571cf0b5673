"""The fleet as CSV: every bot that a filter shows, of one moment, sent while it is read.

Place in the flow: route → **export** → PostgreSQL (role reader), a cursor in one transaction. A reader that is slow holds a connection, so
that there is a bound on how many there are at once, and for how long.
"""

import csv
import io
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final

import asyncpg
import orjson

from autonomy.gates import Needs
from autonomy.values import BotState, iso
from proof_api.proof.attention import RANKS
from proof_api.reading.needing import NEEDS_OF_ROW
from proof_api.reading.ordering import Order
from proof_api.reading.queries import BotFilter

MEDIA: Final = "text/csv"
AT_ONCE: Final = 500
LONGEST_S: Final = 60
COLUMNS: Final = (
    "bot_id", "name", "state", "since", "reason_code", "detail", "stage", "strategy", "parameters", "symbol", "version", "recency",
    "sharpe", "max_drawdown", "trades", "evidence_until", "promotion_to", "recommendation_status", "session_pnl", "next_due_at", "pinned",
)  # fmt: skip
"""Of `bot_now`, as SQL names them."""
HEAD: Final = (*COLUMNS, "needs")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
NEEDED: Final = {rank: needs.value for needs, rank in RANKS.items()} | {None: ""}
Borrow = Callable[[], AbstractAsyncContextManager["asyncpg.Connection[asyncpg.Record]"]]


def cell(value: object) -> str:
    """A value as a cell; a text that a spreadsheet would take for a formula is marked as text."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return iso(value)
        case str():
            return f"'{value}" if value.startswith(FORMULA) else value
        case Mapping() | list():
            return orjson.dumps(value).decode()
        case _:
            return str(value)


def line(cells: tuple[object, ...]) -> str:
    """A line, quoted where it must be."""
    written = io.StringIO()
    csv.writer(written).writerow([cell(value) for value in cells])
    return written.getvalue()


async def lines(borrow: Borrow, wanted: BotFilter, order: Order) -> AsyncGenerator[bytes]:
    """The file in parts, the first with the names.

    Args:
        borrow: a connection for as long as it takes.
        wanted: which bots.
        order: theirs.
    """
    where = wanted.where()
    terms = order.begin(where)
    sql = (
        f"SELECT {', '.join(COLUMNS)}, last_beat_at, {NEEDS_OF_ROW} AS needs FROM bot_now WHERE {where.sql} "  # noqa: S608 (as in queries)
        f"ORDER BY {order.sorted_by(terms)}"
    )
    head = line(HEAD)
    async with borrow() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(sql, *where.values)
        while True:
            rows = await cursor.fetch(AT_ONCE)
            if rows or head:
                yield (head + "".join(line(cells_of(row, wanted.silent_before)) for row in rows)).encode()
            if not rows:
                return
            head = ""


def cells_of(row: "asyncpg.Record", silent_before: datetime | None) -> tuple[object, ...]:
    """The cells of a row; a runner that went silent is stale, as everywhere."""
    values = dict(row)
    beat = values["last_beat_at"]
    if values["state"] == BotState.RUNNER_RUNNING.value and silent_before is not None and beat is not None and beat < silent_before:
        values["state"] = BotState.RUNNER_STALE.value
    return (*(values[name] for name in COLUMNS), NEEDED[values["needs"]])


assert set(NEEDED.values()) == {*Needs, ""}
