"""The one place that sets up PostgreSQL connections, and says which errors mean that the database is gone for now.

Place in the flow: plumbing under the projection and proof-api.
"""

from typing import Final

import asyncpg
import orjson

GONE: Final = (
    OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError, asyncpg.TransactionRollbackError,
    # What asyncpg raises when a connection dies inside a transaction: its own rollback finds the protocol mid-way.
    asyncpg.InternalClientError,
)  # fmt: skip
"""What may be over at the next try; anything else is a fault of the caller's own code."""
NOT_READY: Final = (
    *GONE, asyncpg.UndefinedTableError, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError,
)  # fmt: skip
"""What a database that is still being set up answers."""


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
