"""Connections for requests, lent in the order in which they are asked for.

Place in the flow: routes → **pool** → PostgreSQL. The driver's own pool lets a newcomer overtake those who wait: under load most
requests are quick and some wait for half a second.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, cast

import asyncpg

from autonomy.postgres import NOT_READY, Waits, check_schema, check_session, connect, is_refusal, prepare, who_waits
from autonomy.read_model import SCHEMA
from proof_api.proof.judging import Trouble

SIZE: Final = 8
QUERY_TIMEOUT_S: Final = 5
LEND_TIMEOUT_S: Final = 2
ASK_BESIDE_S: Final = 1.0
"""What holds a snapshot up is asked over a second connection while it waits: afterwards nobody would know."""


@dataclass(slots=True)
class Pool:
    """A driver's pool behind a fair queue.

    Attributes:
        turns: as many as there are connections, so that whoever has one never waits behind it.
    """

    driver: "asyncpg.Pool[asyncpg.Record]"
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SIZE))

    @classmethod
    async def open(cls, url: str) -> "Pool":
        """Connect; it reconnects by itself from then on.

        Raises:
            OSError, asyncpg.PostgresError: the database does not answer, or refuses.
        """
        return cls(await asyncpg.create_pool(
            url, min_size=1, max_size=SIZE, command_timeout=QUERY_TIMEOUT_S, timeout=LEND_TIMEOUT_S, init=make_ready,
            reset=as_it_is,
            server_settings={"search_path": SCHEMA},
        ))  # fmt: skip

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Borrow a connection; nobody who holds one may ask for a second.

        Raises:
            TimeoutError: none was free in time.
            OSError, asyncpg.PostgresError: the database does not answer.
        """
        async with asyncio.timeout(LEND_TIMEOUT_S):
            await self.turns.acquire()
        try:
            async with self.driver.acquire(timeout=LEND_TIMEOUT_S) as connection:
                yield cast("asyncpg.Connection[asyncpg.Record]", connection)
        finally:
            self.turns.release()

    def terminate(self) -> None:
        """Drop every connection."""
        self.driver.terminate()


async def make_ready(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Look at a new session before it is lent.

    Raises:
        Unfit: it would read wrong, or elsewhere.
    """
    settings = connection.get_settings()
    check_session(settings.server_encoding, settings.client_encoding)
    await check_schema(connection, SCHEMA)
    await prepare(connection)


async def as_it_is(_connection: object) -> None:
    """What is read here leaves nothing in a session but an open transaction, which the pool ends by itself: no statement more."""


def trouble_of(refusal: BaseException) -> Trouble:
    """What kind of trouble an error is, by the database's own code."""
    match refusal:
        case asyncpg.LockNotAvailableError():
            return "locked"
        case asyncpg.QueryCanceledError():
            return "cancelled"
        case _:
            return "refused" if is_refusal(refusal) else "down"


async def asked_beside(url: str) -> Waits | None:
    """Who waits, over a connection of its own; None when that is not answered either."""
    connection = None
    try:
        async with asyncio.timeout(ASK_BESIDE_S):
            connection = await connect(url, SCHEMA)
            return await who_waits(connection)
    except NOT_READY:
        return None
    finally:
        if connection is not None:
            connection.terminate()
