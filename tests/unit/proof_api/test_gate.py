"""A crowd waits at the gate; a proof that comes after it goes before it, and nobody keeps a turn."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from proof_api.http import gate
from proof_api.http.gate import AT_ONCE, FIRST, LET_GO, Gate

CROWD = 100


class Crowded:
    """An application whose requests last until they are let go; in which order they began is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"])
        self.begun.append(path)
        if path == "/command":
            scope[LET_GO]()
        if path == "/broken":
            raise RuntimeError("broken")
        if path not in FIRST:
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path == "/stream":
            await asyncio.Event().wait()
        await send({"type": "http.response.body", "body": b""})


async def ask(gated: Gate, path: str) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    await gated({"type": "http", "path": path, "method": "GET", "headers": []}, receive, send)
    return sent


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_a_proof_goes_before_a_crowd_that_came_before_it() -> None:
    app = Crowded()
    gated = Gate(app)
    crowd = [asyncio.create_task(ask(gated, "/api/bots")) for _ in range(CROWD)]
    await until(lambda: gated.waiting == CROWD - AT_ONCE)
    for path in FIRST:
        assert (await ask(gated, path))[0]["status"] == 200
    assert app.begun.count("/api/bots") == AT_ONCE
    app.go_on.set()
    assert [sent[0]["status"] for sent in await asyncio.gather(*crowd)] == [200] * CROWD


@pytest.mark.parametrize("path", ["/stream", "/command"])
async def test_who_only_waits_holds_no_turn(path: str) -> None:
    app = Crowded()
    gated = Gate(app)
    if path == "/stream":
        app.go_on.set()
    open_ones = [asyncio.create_task(ask(gated, path)) for _ in range(CROWD)]
    await until(lambda: app.begun.count(path) == CROWD)
    app.go_on.set()
    async with asyncio.timeout(10):
        assert (await ask(gated, "/api/bots"))[0]["status"] == 200
    for one in open_ones:
        one.cancel()
    await asyncio.gather(*open_ones, return_exceptions=True)


async def test_a_turn_comes_back_from_a_fault_and_from_a_client_that_left() -> None:
    app = Crowded()
    gated = Gate(app)
    for _ in range(2 * AT_ONCE):
        with pytest.raises(RuntimeError):
            await ask(gated, "/broken")
    crowd = [asyncio.create_task(ask(gated, "/api/bots")) for _ in range(CROWD)]
    await until(lambda: gated.waiting == CROWD - AT_ONCE)
    for one in crowd:
        one.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    app.go_on.set()
    assert (await ask(gated, "/api/bots"))[0]["status"] == 200
    assert gated.waiting == 0


async def test_who_gets_no_turn_is_told_that_this_api_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "WAIT_S", 0.05)
    app = Crowded()
    gated = Gate(app)
    crowd = [asyncio.create_task(ask(gated, "/api/bots")) for _ in range(AT_ONCE)]
    await until(lambda: len(app.begun) == AT_ONCE)
    sent = await ask(gated, "/api/bots")
    assert sent[0]["status"] == 503
    assert b"BUSY" in sent[1]["body"]
    app.go_on.set()
    await asyncio.gather(*crowd)
