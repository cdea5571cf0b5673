"""The one place that sets up PostgreSQL connections, and says which errors mean that the database is gone for now.

Place in the flow: plumbing under the projection and proof-api. A session is looked at before it is used: names and reasons are UTF-8, and
what a role, a database or a pooler in between makes of the encoding or of the schema would be stored or read wrong without a word.
A pooler that shares its connections between sessions (PgBouncer outside session mode) is refused: prepared statements, LISTEN and the
schema of a session do not survive there. It refuses by itself at the first parameter that it does not know.
"""

from typing import Final

import asyncpg
import orjson

from autonomy.errors import Retryable

ENCODING: Final = "UTF8"


class Unfit(Retryable):
    """The database answers, but what goes through this session would be wrong: what was found, and what is needed."""


GONE: Final = (
    OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError, asyncpg.TransactionRollbackError,
    # What asyncpg raises when a connection dies inside a transaction: its own rollback finds the protocol mid-way.
    asyncpg.InternalClientError, Unfit,
)  # fmt: skip
"""What may be over at the next try; anything else is a fault of the caller's own code."""
NOT_READY: Final = (
    *GONE, asyncpg.UndefinedTableError, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError,
    asyncpg.FeatureNotSupportedError,
)  # fmt: skip
"""What a database that is still being set up answers."""
_REFUSED: Final = ("08P01", "0A000", "28", "3D000")
"""SQLSTATEs, or their first characters, of what another try alone does not change: protocol, feature, credentials, database."""


def is_refusal(fault: BaseException) -> bool:
    """Whether the database answered that it will not have this session: a human must look, waiting alone will not help."""
    state = getattr(fault, "sqlstate", None)
    return isinstance(fault, Unfit) or (isinstance(state, str) and state.startswith(_REFUSED))


def words_of(refusal: BaseException) -> str:
    """Why a database does not answer, for people: the name of a class is none of their words."""
    if isinstance(refusal, TimeoutError):
        return "no answer in time"
    if isinstance(refusal, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(refusal, asyncpg.ProtocolViolationError):
        return f"{refusal} (a connection pooler stands before it; use the server's own address)"
    if isinstance(refusal, asyncpg.PostgresError | Unfit):
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
    try:
        check_session(connection.get_settings().server_encoding, connection.get_settings().client_encoding)
        await check_schema(connection, schema)
        await prepare(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


def check_session(server_encoding: str, client_encoding: str) -> None:
    """Whether text arrives and comes back as it was said.

    Raises:
        Unfit: the database or the session has another encoding than UTF-8.
    """
    for whose, encoding in (("database", server_encoding), ("session", client_encoding)):
        if encoding.upper().strip("'").replace("-", "") != ENCODING:  # a pooler gives back what was asked for, letter by letter
            raise Unfit(f"the {whose}'s encoding is {encoding}, needed is {ENCODING}")


async def check_schema(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    """Whether the session looks into one schema, as it was asked to.

    Raises:
        Unfit: it does not; a pooler that ignores startup parameters drops it.
    """
    found = await connection.fetchval("SELECT current_setting('search_path')")
    if found.strip('"') != schema:
        raise Unfit(
            f"the session's search_path is {found}, needed is {schema}: a connection pooler dropped it; use the server's own address"
        )


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()
