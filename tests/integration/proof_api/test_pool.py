"""Connections are lent in the order in which they are asked for, and come back as they were.

Source: R-F8.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import pytest

from proof_api.reading import pool as lending
from proof_api.reading.pool import Pool
from support.servers import Database

pytestmark = pytest.mark.servers
Lend = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture
async def pool(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    """A pool of a single connection."""
    database.empty()
    monkeypatch.setattr(lending, "SIZE", 1)
    opened = await Pool.open(database.url("autonomy_reader"))
    yield opened
    opened.terminate()


async def served_in_turn(lend: Lend) -> list[str]:
    """Who is served when: the second asks while the first has the only connection, the third in the moment in which it comes back."""
    served: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def borrow(name: str, before_it_comes_back: Callable[[], object]) -> None:
        async with lend() as connection:
            served.append(name)
            await connection.fetchval("SELECT 1")
            before_it_comes_back()

    def ask(name: str, before_it_comes_back: Callable[[], object] = lambda: None) -> None:
        tasks.add(asyncio.create_task(borrow(name, before_it_comes_back)))

    ask("first", lambda: asyncio.get_running_loop().call_soon(ask, "third"))
    ask("second")
    while len(served) < 3:
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return served


async def test_nobody_overtakes_those_who_wait(pool: Pool) -> None:
    assert await served_in_turn(pool.connection) == ["first", "second", "third"]


async def test_in_the_drivers_own_queue_somebody_would(pool: Pool) -> None:
    """Negative control."""
    assert await served_in_turn(pool.driver.acquire) == ["first", "third", "second"]


async def test_a_borrower_that_fails_leaves_a_usable_connection_and_its_turn(pool: Pool) -> None:
    for _ in range(3):
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with pool.connection() as connection, connection.transaction():
                await connection.fetchval("SELECT 1 / 0")
    async with pool.connection() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT 1") == 1


async def test_who_waits_too_long_is_told_and_leaves_the_line(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "LEND_TIMEOUT_S", 0.05)
    async with pool.connection():
        with pytest.raises(TimeoutError):
            async with pool.connection():
                raise AssertionError("there is one connection")
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
