"""The one place that sets up PostgreSQL connections, and says which errors mean that the database is gone for now.

Place in the flow: plumbing under the projection and proof-api.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg
import orjson

GONE: Final = (
    OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError, asyncpg.TransactionRollbackError,
    # What asyncpg raises when a connection dies inside a transaction: its own rollback finds the protocol mid-way.
    asyncpg.InternalClientError,
    asyncpg.LockNotAvailableError,
)  # fmt: skip
"""What may be over at the next try; anything else is a fault of the caller's own code."""
NOT_READY: Final = (
    *GONE, asyncpg.UndefinedTableError, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError,
)  # fmt: skip
"""What a database that is still being set up answers."""


ENDED: Final = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
"""SQLSTATE 57014 and 55P03: the database answers, and what it says is that it ended the statement."""
BLOCKED_SQL: Final = """
SELECT waiting.pid, waiting.usename, holding.pid AS by_pid, holding.usename AS by_name, holding.application_name AS by_program
FROM pg_stat_activity waiting CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocker (pid)
LEFT JOIN pg_stat_activity holding ON holding.pid = blocker.pid
WHERE waiting.datname = current_database() AND EXISTS (
    SELECT FROM pg_locks WHERE pid = waiting.pid AND NOT granted AND waitstart < clock_timestamp() - interval '0.3 s'
)
ORDER BY waiting.pid, by_pid LIMIT 5
"""
"""Who waits for whose lock, as any role may ask it; not who waits for moments, as writers do."""


def words_of(refusal: BaseException) -> str:
    """Why a database does not answer, for people: the name of a class is none of their words."""
    if isinstance(refusal, TimeoutError):
        return "no answer in time"
    if isinstance(refusal, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(refusal, asyncpg.PostgresError):
        return str(refusal)
    if isinstance(refusal, OSError):
        return "the connection was lost"
    return "the connection was lost" if isinstance(refusal, GONE) else type(refusal).__name__


@dataclass(frozen=True, slots=True)
class Waits:
    """Who waits for whose lock in this database.

    Attributes:
        pids: the sessions that wait.
        words: for people; empty when nobody waits.
    """

    pids: frozenset[int] = frozenset()
    words: str = ""


async def who_waits(connection: "asyncpg.Connection[asyncpg.Record]") -> Waits:
    """Ask the database itself.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError: it does not say.
    """
    rows = await connection.fetch(BLOCKED_SQL)
    return Waits(frozenset(row["pid"] for row in rows), "; ".join(dict.fromkeys(_wait_words(row) for row in rows)))


def _wait_words(row: asyncpg.Record) -> str:
    program = f", {row['by_program']}" if row["by_program"] else ""
    holder = "a prepared transaction" if row["by_pid"] is None else f"{row['by_name']} (pid {row['by_pid']}{program})"
    return f"{row['usename']} (pid {row['pid']}) waits for a lock that {holder} holds"


async def prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Make a connection speak JSON documents and ids as text."""
    for kind in ("jsonb", "json"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=_dumps, decoder=orjson.loads)
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)


async def connect(
    url: str, schema: str, *, timeout_s: float = 10, statement_s: float | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection that sees one schema."""
    connection = await asyncpg.connect(url, server_settings={"search_path": schema}, timeout=timeout_s, command_timeout=statement_s)
    await prepare(connection)
    return connection


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()
