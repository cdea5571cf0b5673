"""What became of a command is shown as soon as it can be read, however busy the database is.

Source: R-C2.
"""

import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from proof_api.commands import desk as commands
from proof_api.routes.acting import answered
from support.builders import an_id

ROW: dict[str, Any] = {
    "id": an_id("c"),
    "command": "pause-loop.v1",
    "status": "REJECTED",
    "code": "UNKNOWN_BOT",
    "field": "botId",
    "outcomes": [],
}


class BusyPool:
    """Lends a connection only every so many times."""

    def __init__(self, every: int, row: dict[str, Any]) -> None:
        self.every, self.row, self.asked = every, row, 0

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        self.asked += 1
        if self.asked % self.every:
            raise TimeoutError

        async def fetchrow(*_: object, **__: object) -> dict[str, Any]:
            return self.row

        yield SimpleNamespace(fetchrow=fetchrow)


@pytest.mark.parametrize(
    ("every", "status", "code"), [(1, "REJECTED", 409), (1, "ACCEPTED", 200), (3, "REJECTED", 409), (3, "ACCEPTED", 200)]
)
async def test_an_answer_is_read_with_one_connection_and_waited_for(every: int, status: str, code: int) -> None:
    pool = BusyPool(every, ROW | {"status": status})
    context: Any = SimpleNamespace(pool=pool)
    assert ((await answered(context, ROW["id"])).status_code, pool.asked) == (code, every)


async def test_a_command_whose_answer_cannot_be_read_in_time_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ASK_EVERY_S", 0.001)
    assert await commands.answer_of(BusyPool(10**9, ROW), ROW["id"], within_s=0.01) is None  # type: ignore[arg-type] # all that it asks of a pool
    assert (await answered(SimpleNamespace(pool=None), ROW["id"])).status_code == 202  # type: ignore[arg-type] # no database yet
