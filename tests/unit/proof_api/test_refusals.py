"""Every refused attempt is recorded, whatever it was refused for; what was not sent, or may have landed, is none.

Source: docs/architecture.md, "Security".
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from autonomy import clock
from autonomy.events import AttemptRefused, Command
from autonomy.http_server import MAX_BODY_BYTES
from proof_api.app import create_app
from proof_api.commands.desk import MAX_COMMAND_BYTES, Desk
from proof_api.context import Context
from proof_api.http.auth import Operator, Operators
from proof_api.http.problems import Problem
from proof_api.proof.watch import Watch
from proof_api.reading.snapshot import Snapshots
from proof_api.routes.acting import MAX_FIELDS, MAX_VALUES
from proof_api.settings import ProofSettings
from proof_api.voice import Voice

TOKEN = "operator-token"
PAUSE = {"type": "pause-loop"}
HOLD = {"type": "hold-bot", "botId": "a"}


class RecordingDesk(Desk):
    """A desk whose log is a list, and lost when the test says so."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(voice)
        self.log: list[Command | AttemptRefused] = []
        self.lost: Problem | None = None

    @override
    async def append(self, event: Command | AttemptRefused, event_id: str, actor: str) -> None:
        """Into the list."""
        if self.lost is not None and isinstance(event, Command):
            raise self.lost
        self.log.append(event)

    @property
    def refusals_said(self) -> list[tuple[str, str, str, str]]:
        """Actor, command, code and field of each."""
        return [(said.actor, said.command, said.code, said.field) for said in self.log if isinstance(said, AttemptRefused)]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    file = tmp_path / "operators.json"
    file.write_text(json.dumps([{"name": "ada", "role": "operator", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}]))
    settings = ProofSettings(database_url="postgresql://reader@127.0.0.1:1/autonomy")
    voice = Voice(settings.kafka)
    return Context(
        settings=settings, snapshots=Snapshots(settings.database_url, 15), watch=Watch(settings.kafka, clock.drawn_id(), voice),
        pool=None, operators=Operators(file), desk=RecordingDesk(voice),
    )  # fmt: skip


def desk_of(context: Context) -> RecordingDesk:
    assert isinstance(context.desk, RecordingDesk)
    return context.desk


async def say(context: Context, document: Any, *, token: str | None = TOKEN, **headers: str) -> httpx.Response:
    app = create_app(context.settings)
    app.state.context = context
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        return await client.post("/api/commands", json=document, headers={**sent, **headers})


def key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}


async def test_a_key_that_is_used_for_another_command_is_a_refused_attempt(context: Context) -> None:
    assert (await say(context, PAUSE, **key("k-1"))).status_code == 202
    refused = await say(context, HOLD, **key("k-1"))
    assert (refused.status_code, refused.json()["code"]) == (422, "KEY_REUSED")
    assert desk_of(context).refusals_said == [("ada", "hold-bot", "KEY_REUSED", "Idempotency-Key")]


async def test_the_same_command_under_the_same_key_is_no_refused_attempt(context: Context) -> None:
    """Negative control."""
    for _ in range(2):
        assert (await say(context, PAUSE, **key("k-1"))).status_code == 202
    assert [said.wire for said in desk_of(context).log] == ["pause-loop.v1"]


@pytest.mark.parametrize("text", ["", "x" * 201])
async def test_a_key_of_a_wrong_length_is_a_refused_attempt_of_its_operator(context: Context, text: str) -> None:
    refused = await say(context, PAUSE, **key(text))
    body = refused.json()
    assert (refused.status_code, body["code"], body["field"], body["limit"]) == (422, "BAD_INPUT", "Idempotency-Key", "1 to 200 characters")
    assert desk_of(context).refusals_said == [("ada", "pause-loop", "BAD_INPUT", "Idempotency-Key")]
    assert (await say(context, PAUSE, token=None, **key(text))).status_code == 401, "who nobody knows learns nothing of keys"


@pytest.mark.parametrize("text", ["x", "x" * 200])
async def test_a_key_of_a_right_length_is_taken(context: Context, text: str) -> None:
    assert (await say(context, PAUSE, **key(text))).status_code == 202
    assert desk_of(context).refusals_said == []


@pytest.mark.parametrize("status", [503, 504])
@pytest.mark.parametrize("headers", [{}, key("k-1")], ids=["without a key", "with a key"])
async def test_what_was_not_sent_or_may_have_landed_was_not_refused(context: Context, status: int, headers: dict[str, str]) -> None:
    desk_of(context).lost = Problem(status, "KAFKA_DOWN" if status == 503 else "OUTCOME_UNKNOWN", "Lost")
    assert (await say(context, PAUSE, **headers)).status_code == status
    assert desk_of(context).log == []


async def test_five_hundred_bots_with_all_that_can_be_said_of_them_are_one_command(context: Context) -> None:
    bots = [
        {
            "id": f"{'b' * 50}-{number:03d}", "name": "n" * 80, "strategy": "donchian-breakout", "symbol": "BTC-USD", "timeframe": "1d",
            "parameters": {"entry": 20 + number, "exit": 10.25, "stop_atr": 2.5, "long_only": 1}, "stage": "LAB", "origin": "NEW",
            "pinned": True, "pin_reason": "x" * 60,
        }
        for number in range(500)
    ]  # fmt: skip
    context.watch.seen_mono_ms = clock.monotonic_ms()
    assert (await say(context, {"type": "register-bots", "bots": bots})).status_code == 202
    refused = await say(context, {"type": "register-bots", "bots": bots * 2})
    assert (refused.status_code, refused.json()["detail"]) == (413, f"at most {MAX_BODY_BYTES} bytes")


def test_a_command_whose_answer_might_make_no_record_is_refused(context: Context) -> None:
    """The answer repeats what it refuses of each bot: it must fit where the command did, also where the door's limits are others."""
    ada = Operator("ada", "operator")
    bots: list[object] = [{"id": "a", "x": "x" * (MAX_COMMAND_BYTES - 1_000)}, {"id": "b"}]
    assert context.desk.read({"type": "register-bots", "bots": bots}, ada, None).wire == "register-bots.v1"
    with pytest.raises(Problem) as refused:
        context.desk.read({"type": "register-bots", "bots": [*bots, {"id": "c", "x": "x" * 1_000}]}, ada, None)
    assert (refused.value.status, refused.value.detail) == (413, f"a command has at most {MAX_COMMAND_BYTES} bytes")


@pytest.mark.parametrize(("body", "status", "limit"), [
    ({"type": "register-bots", "bots": [1] * (MAX_VALUES + 1)}, 413, f"at most {MAX_VALUES} values"),
    ({"type": "pause-loop", **{f"x{number}": 1 for number in range(MAX_FIELDS)}}, 422, f"at most {MAX_FIELDS} at its top"),
])  # fmt: skip
async def test_a_wide_body_is_refused_with_the_limit(context: Context, body: dict[str, Any], status: int, limit: str) -> None:
    refused = await say(context, body)
    assert refused.status_code == status
    assert refused.json()["detail"].startswith(limit)


@pytest.mark.parametrize(("silence_ms", "recorded"), [(0, 1), (60_000, 0)])
async def test_a_refusal_is_said_only_while_there_is_a_log(context: Context, silence_ms: int, recorded: int) -> None:
    context.watch.seen_mono_ms = clock.monotonic_ms() - silence_ms
    assert (await say(context, PAUSE, **key(""))).status_code == 422
    assert len(desk_of(context).log) == recorded


LISTS = (
    "/api/bots", "/api/bots/a", "/api/bots/a/decisions", "/api/bots/a/timeline", "/api/bots/a/trades", "/api/jobs", "/api/policy",
    "/api/planner/runs", "/api/planner/runs/7/decisions", "/api/stage-events", "/api/quarantine", "/api/commands", "/api/promotions",
    "/api/revert/plan",
)  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
async def test_a_parameter_that_a_route_does_not_have_is_refused_by_name(context: Context, path: str) -> None:
    """A misspelt filter would show everything."""
    app = create_app(context.settings)
    app.state.context = context
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        refused = await client.get(path, params={"stat": "IDLE"})
        plain = await client.get(path)
    assert (refused.status_code, refused.json()["field"]) == (422, "stat")
    assert refused.json()["limit"].startswith(("one of ", "no parameter at all"))
    assert plain.status_code != 422


async def test_the_parameters_of_a_list_are_taken(context: Context) -> None:
    """Negative control: without a database the answer is 503, and 422 only for what is not known."""
    app = create_app(context.settings)
    app.state.context = context
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        known = {"state": "IDLE", "stage": "LAB", "reason": "COOLDOWN", "recency": "fresh", "recommended": "true", "q": "a", "limit": "5"}
        assert (await client.get("/api/bots", params=known)).status_code == 503
        assert (await client.get("/api/revert/plan", params={"stage": "PAPER"})).status_code == 503
