"""Badge rows as JSON, kept by the write that made them, so that a page of a list costs its keys.

Place in the flow: PostgreSQL → **shelf** → list of bots. A row is on the shelf under its bot id and the transaction that wrote it:
any change of the row is another key, also after a rebuild was switched in, and an old entry is never found again.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import orjson

from autonomy.values import JobStatus
from proof_api.proof.now import Ages, dressed
from proof_api.reading.ordering import Order
from proof_api.reading.queries import BOT_COLUMNS, PLACE_SQL, BotFilter, Where, document

MAX_ROWS: Final = 20_000
"""About 2 kB each; the row that was not asked for longest goes first."""
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its document where the clock has a say in it, else its JSON without the closing brace."""

    item: dict[str, object] | None
    json: bytes


@dataclass(slots=True)
class Shelf:
    """Rows by bot and writing transaction."""

    rows: OrderedDict[Key, Row] = field(default_factory=OrderedDict)

    async def page(
        self, connection: "asyncpg.Connection[asyncpg.Record]", wanted: BotFilter, order: Order, ages: Ages, limit: int, cursor: str | None
    ) -> tuple[list[orjson.Fragment], str | None]:
        """A page of bots in an order, dressed by the reader's clock; only rows that are not on the shelf are read whole."""
        where = wanted.where()
        terms = order.begin(where)
        if cursor:
            order.after(where, terms, cursor)
        where.values.append(limit + 1)
        told = ", ".join(f"{term} AS key_{place}" for place, term in enumerate(terms))
        found = await connection.fetch(
            f"SELECT bot_id, xmin::text AS written, {told} FROM bot_now WHERE {where.sql} "  # noqa: S608 (conditions are ours, values are parameters)
            f"ORDER BY {order.sorted_by(terms)} LIMIT ${len(where.values)}",
            *where.values,
        )
        following = order.cursor(list(found[limit - 1].values())[2:]) if len(found) > limit else None
        keys: list[Key] = [(row["bot_id"], row["written"]) for row in found[:limit]]
        rows = await self._rows(connection, keys)
        places = await self._places(connection, rows)
        return [shown(row, ages, places) for row in rows], following

    async def _rows(self, connection: "asyncpg.Connection[asyncpg.Record]", keys: Sequence[Key]) -> list[Row]:
        missing = [bot_id for bot_id, written in keys if (bot_id, written) not in self.rows]
        read: dict[str, Row] = {}
        if missing:
            sql = f"SELECT {BOT_COLUMNS}, xmin::text AS written FROM bot_now WHERE bot_id = ANY($1::text[])"  # noqa: S608 (our columns)
            for record in await connection.fetch(sql, missing):
                values = dict(record)
                # Written again between the two statements: then the newer row is shown, and kept under its own key.
                key = (values["bot_id"], values.pop("written"))
                read[key[0]] = self.rows[key] = row_of(document(values))
        rows = []
        for key in keys:
            row = read.get(key[0]) or self.rows.get(key)
            if row is not None:  # a bot that left the fleet between the two statements is not shown
                rows.append(row)
                if key in self.rows:
                    self.rows.move_to_end(key)
        while len(self.rows) > MAX_ROWS:
            self.rows.popitem(last=False)
        return rows

    async def _places(self, connection: "asyncpg.Connection[asyncpg.Record]", rows: Sequence[Row]) -> Mapping[object, int]:
        queued = [row.item["botId"] for row in rows if row.item is not None and row.item["jobStatus"] == JobStatus.QUEUED.value]
        if not queued:
            return {}
        return {row["bot_id"]: row["place"] for row in await connection.fetch(PLACE_SQL, queued)}


async def neighbours(
    connection: "asyncpg.Connection[asyncpg.Record]", wanted: BotFilter, order: Order, bot_id: str
) -> dict[str, object] | None:
    """The bots before and after one in a list, whether or not the list shows that one; None of a bot that is not in the fleet.

    Args:
        connection: in a transaction, so that all of it is of one moment.
        wanted: which bots the list shows.
        order: theirs.
        bot_id: the one in between.
    """
    own = Where()
    terms = order.begin(own)
    own.add("bot_id = {}", bot_id)
    told = ", ".join(f"{term} AS key_{place}" for place, term in enumerate(terms))
    row = await connection.fetchrow(f"SELECT {told} FROM bot_now WHERE {own.sql}", *own.values)  # noqa: S608 (conditions are ours)
    if row is None:
        return None
    found: dict[str, object] = {}
    for name, back in (("previous", True), ("next", False)):
        where = wanted.where()
        keys = order.begin(where)
        order.beyond(where, keys, list(row.values()), back=back)
        sql = f"SELECT bot_id FROM bot_now WHERE {where.sql} ORDER BY {order.sorted_by(keys, back=back)} LIMIT 1"  # noqa: S608 (as above)
        found[name] = await connection.fetchval(sql, *where.values)
    return found


def row_of(item: dict[str, object]) -> Row:
    """A row for the shelf; one without a live job looks the same at any time."""
    if item["jobId"] is not None or item["runnerJobId"] is not None:
        return Row(item, b"")
    return Row(None, orjson.dumps(item)[:-1])


def shown(row: Row, ages: Ages, places: Mapping[object, int]) -> orjson.Fragment:
    """A row as the reader's clock sees it."""
    if row.item is None:
        basis = {"fresh": "fresh", "stale": "stale"}.get(ages.status, "unknown")
        tail = orjson.dumps({"basis": basis, "runnerStale": False, "runnerStarting": False, "leaseSec": ages.lease_s})
        return orjson.Fragment(row.json + b"," + tail[1:])
    (item,) = dressed([row.item], ages)
    if item["jobStatus"] == JobStatus.QUEUED.value:
        item["place"] = places.get(item["botId"])
    return orjson.Fragment(orjson.dumps(item))
