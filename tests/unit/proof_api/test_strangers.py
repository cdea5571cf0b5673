"""Whoever has no valid token leaves nothing on the log, makes nothing parse, and locks nobody out.

Source: docs/architecture.md, "Security".
"""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from autonomy import clock
from autonomy.events import AttemptRefused, Command
from autonomy.version import VERSION
from proof_api.app import create_app
from proof_api.commands.desk import Desk
from proof_api.context import WRONG_PER_MINUTE, Context
from proof_api.http.auth import Operators
from proof_api.metrics import render
from proof_api.proof.watch import Watch
from proof_api.reading.snapshot import Snapshots
from proof_api.routes import stream
from proof_api.settings import ProofSettings
from proof_api.voice import Voice

PAUSE = {"type": "pause-loop"}
ROLES = ("viewer", "operator")


class RecordingDesk(Desk):
    """A desk whose log is a list."""

    log: list[Command | AttemptRefused]

    def __init__(self, voice: Voice) -> None:
        super().__init__(voice)
        object.__setattr__(self, "log", [])

    @override
    async def append(self, event: Command | AttemptRefused, event_id: str, actor: str) -> None:
        """Into the list."""
        self.log.append(event)


def write(file: Path, *roles: str) -> None:
    file.write_text(
        json.dumps([{"name": role, "role": role, "sha256": hashlib.sha256(f"{role}-token".encode()).hexdigest()} for role in roles])
    )


@pytest.fixture
def context(tmp_path: Path) -> Context:
    write(tmp_path / "operators.json", *ROLES)
    settings = ProofSettings(database_url="postgresql://reader@127.0.0.1:1/autonomy", auth_mode="token-everywhere")
    voice = Voice(settings.kafka)
    return Context(
        settings=settings, snapshots=Snapshots(settings.database_url, 15), watch=Watch(settings.kafka, clock.drawn_id(), voice),
        pool=None, operators=Operators(tmp_path / "operators.json"), desk=RecordingDesk(voice),
    )  # fmt: skip


@asynccontextmanager
async def asking(context: Context, address: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(context.settings)
    app.state.context = context
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app, client=(address, 1)), base_url="http://127.0.0.1") as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_of(context: Context) -> list[Any]:
    assert isinstance(context.desk, RecordingDesk)
    return context.desk.log


async def test_attempts_of_strangers_are_counted_and_never_said(context: Context) -> None:
    async with asking(context) as client:
        for headers in ({}, bearer("wrong")):
            assert (await client.post("/api/commands", json=PAUSE, headers=headers)).status_code == 401
        assert log_of(context) == []
        assert context.desk.strangers_refused == 2
        assert b'autonomy_refused_attempts_total{who="stranger"} 2.0' in render(context)[0]
        assert (await client.post("/api/commands", json={"type": "no-command"}, headers=bearer("operator-token"))).status_code == 422
    assert [said.actor for said in log_of(context)] == ["operator"], "an operator's attempt is recorded"


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/commands"), ("GET", "/api/whoami"), ("GET", "/api/policy")])
async def test_too_many_wrong_tokens_are_told_to_wait_and_right_ones_pass(context: Context, method: str, path: str) -> None:
    async with asking(context) as client, asking(context, "127.0.0.2") as another:
        for _ in range(WRONG_PER_MINUTE):
            assert (await client.request(method, path, headers=bearer("wrong"))).status_code == 401
        refused = await client.request(method, path, headers=bearer("wrong"))
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "TOO_MANY_ATTEMPTS", "60")
        assert (await client.get("/api/whoami", headers=bearer("operator-token"))).status_code == 200, "a right token is always let in"
        assert (await another.request(method, path, headers=bearer("wrong"))).status_code == 401, "an address counts for itself"


@pytest.mark.parametrize(("token", "status"), [("viewer-token", 403), ("wrong", 401), ("operator-token", 422)])
async def test_a_body_is_read_only_of_somebody_who_may_command(context: Context, token: str, status: int) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(3):
            read += 1
            yield b"["

    async with asking(context) as client:
        answer = await client.post("/api/commands", content=body(), headers={**bearer(token), "content-type": "application/json"})
    assert answer.status_code == status
    assert (read > 0) is (token == "operator-token"), "the negative control is the operator"


async def test_an_open_stream_ends_when_its_reader_is_revoked(context: Context, tmp_path: Path) -> None:
    class Asking:
        async def is_disconnected(self) -> bool:
            return False

    got = 0
    async for _ in stream.events(context, Asking(), 0, "Bearer viewer-token"):  # type: ignore[arg-type]
        got += 1
        if got == 2:
            write(tmp_path / "operators.json", "operator")
        assert got < 5, "it goes on"
    assert got >= 2, "it lived"


async def test_an_open_stream_goes_on_when_somebody_else_is_revoked(context: Context, tmp_path: Path) -> None:
    """Negative control."""

    class Asking:
        async def is_disconnected(self) -> bool:
            return False

    got = 0
    async for _ in stream.events(context, Asking(), 0, "Bearer viewer-token", max_events=4):  # type: ignore[arg-type]
        got += 1
        if got == 2:
            write(tmp_path / "operators.json", "viewer")
    assert got == 4


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
async def test_whoever_asks_is_told_that_the_process_runs_and_its_version(context: Context, path: str) -> None:
    async with asking(context) as client:
        found = await client.get(path)
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.json() == {"status": "ok", "version": VERSION}
