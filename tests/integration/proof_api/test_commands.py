"""Who may act, what is refused and how, and that a command said twice acts once. On a running platform.

Source: docs/architecture.md, "Security"; R-F10.
"""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from autonomy.envelope import Undecodable, decode
from autonomy.log_reader import LogReader
from autonomy.topics import COMMANDS
from support.log import fresh_topics
from support.platform import a_platform, fleet, quick_policy, wait_for
from support.proof import SECOND_OPERATOR, TOKENS, Api
from support.servers import Broker, Database

pytestmark = pytest.mark.servers
MIB = 1_048_576
SAFE = {"get", "head", "options"}
ROLES = (None, "viewer", "operator", "approver")


@pytest.fixture(scope="module")
def api(broker: Broker, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A planner, a projection and the API; nobody works, so that only commands change anything."""
    fresh_topics(broker.bootstrap)
    database.empty()
    with a_platform(broker, database, tmp_path_factory.mktemp("commands")) as platform:
        platform.projection()
        api = Api.start(platform)
        platform.planner()
        platform.set_policy(quick_policy())
        platform.register(fleet(2))
        wait_for("the fleet", lambda: platform.one("SELECT count(*) FROM bots") == 2)
        api.wait_fresh(verdict="STALLED")
        yield api


def said(api: Api, **wanted: str) -> list[dict[str, Any]]:
    """Records of the log's commands with these values."""

    async def run() -> list[dict[str, Any]]:
        found = []
        async with await LogReader.open(api.platform.broker.bootstrap, {COMMANDS: [0]}) as reader:
            async for record in reader.to_the_end([COMMANDS]):
                received = decode(record.value, COMMANDS)
                if not isinstance(received, Undecodable):
                    found.append(received.event.model_dump(mode="json", by_alias=True) | {"wire": received.event.wire})
        return [row for row in found if all(row.get(name) == value for name, value in wanted.items())]

    return asyncio.run(run())


def refused(api: Api, code: str, actor: str) -> dict[str, Any]:
    """The newest refused attempt of an actor as the API lists it."""

    def shown() -> dict[str, Any] | None:
        items = api.get("/api/commands", params={"limit": 200}).json()["items"]
        return next((row for row in items if (row["status"], row["code"], row["actor"]) == ("REFUSED", code, actor)), None)

    found: dict[str, Any] = wait_for("the refused attempt", shown)
    return found


def test_a_command_is_answered_by_the_planner(api: Api) -> None:
    answer = api.command({"type": "hold-bot", "botId": "bot-000", "reason": "look at it"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["actor"], body["role"], body["command"]) == ("ACCEPTED", "ope-person", "operator", "hold-bot.v1")
    assert api.platform.one("SELECT hold_actor FROM bots WHERE id = 'bot-000'") == "ope-person"
    assert api.command({"type": "release-hold", "botId": "bot-000"}).status_code == 200


def test_what_the_planner_rejects_is_409_with_its_reason(api: Api) -> None:
    answer = api.command({"type": "hold-bot", "botId": "nobody"})
    assert answer.status_code == 409
    body = answer.json()
    assert body["status"] == "REJECTED"
    assert all(body[name] for name in ("code", "field", "limitText"))


def test_refused_attempts_are_recorded_with_who_and_why(api: Api) -> None:
    assert api.command({"type": "hold-bot", "botId": "a"}, None).status_code == 401
    answer = api.command({"type": "hold-bot", "botId": "a"}, "canary-wrong-token-31d9")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert api.command({"type": "set-policy", "document": {}}, "operator").status_code == 403
    assert "approver" in refused(api, "FORBIDDEN", "ope-person")["limitText"]
    assert api.command({"type": "hold-bot", "botId": "a\x00b"}).status_code == 422
    assert refused(api, "BAD_INPUT", "ope-person")["command"]
    assert said(api, actor="anonymous") == [], "what strangers say is counted, never kept for ever"
    assert api.command({"type": "x\x00\r\n\x1b[31m"}).status_code == 422
    wait_for("the odd one too", lambda: any("\ufffd" in row["command"] for row in said(api, code="BAD_INPUT")))


def unsafe_routes(api: Api) -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = api.get("/openapi.json").json()["paths"]
    return [(path, verb) for path, verbs in paths.items() for verb in verbs if verb not in SAFE]


# Per unsafe route and command: the least role. A new route or command without a row fails.
NEEDED = {
    ("/api/commands", "post", "register-bots.v1"): "operator", ("/api/commands", "post", "change-bot.v1"): "operator",
    ("/api/commands", "post", "retire-bot.v1"): "operator", ("/api/commands", "post", "pause-loop.v1"): "operator",
    ("/api/commands", "post", "resume-loop.v1"): "operator", ("/api/commands", "post", "hold-bot.v1"): "operator",
    ("/api/commands", "post", "release-hold.v1"): "operator", ("/api/commands", "post", "set-policy.v1"): "approver",
    ("/api/commands", "post", "cancel-job.v1"): "operator", ("/api/commands", "post", "accept-divergence.v1"): "approver",
    ("/api/commands", "post", "revert-to-lab.v1"): "operator", ("/api/commands", "post", "approve-promotion.v1"): "operator",
    ("/api/commands", "post", "reject-promotion.v1"): "operator", ("/api/commands", "post", "pin-bot.v1"): "operator",
    ("/api/commands", "post", "unpin-bot.v1"): "operator", ("/api/commands", "post", "set-promotion-mode.v1"): "approver",
    ("/api/commands", "post", "apply-fleet.v1"): "operator", ("/api/apply/plan", "post", "apply-fleet.v1"): "operator",
    ("/api/commands", "post", "approve-challenger.v1"): "operator", ("/api/commands", "post", "reject-challenger.v1"): "operator",
}  # fmt: skip


def test_each_role_may_what_its_row_says_and_no_more(api: Api) -> None:
    """The matrix of role × unsafe route × command, from what is served. Bodies are empty: whoever may, gets 422 for them."""
    from proof_api.commands.desk import KINDS

    assert {(path, verb) for path, verb, _ in NEEDED} == set(unsafe_routes(api))
    assert {kind for _, _, kind in NEEDED} == set(KINDS)
    for (path, verb, kind), needed in NEEDED.items():
        for role in ROLES:
            headers = {"Authorization": f"Bearer {TOKENS[role]}"} if role else {}
            code = api.http.request(verb, path, json={"type": kind, "unknown": 1}, headers=headers).status_code
            expected = 401 if role is None else 422 if ROLES.index(role) >= ROLES.index(needed) else 403
            assert code == expected, (role, kind)


@pytest.mark.parametrize(("document", "field"), [
    ({"type": "fly-away"}, "type"), ({}, "type"), ({"type": ["hold-bot"]}, "type"), ({"type": "hold-bot"}, "botId"),
    ({"type": "hold-bot", "botId": "Not An Id"}, "botId"), ({"type": "hold-bot", "botId": "a", "code": "import os"}, "code"),
    ({"type": "hold-bot", "botId": "a", "reason": "x" * 501}, "reason"), ({"type": "hold-bot", "botId": "a", "actor": "root"}, "actor"),
    ({"type": "hold-bot", "botId": "a", "role": "approver"}, "role"), ({"type": "hold-bot", "botId": "a", "commandId": "x"}, "commandId"),
    ({"type": "pause-loop", "scope": "galaxy"}, "scope"),
    ({"type": "pin-bot", "botId": "a"}, "reason"), ({"type": "pin-bot", "botId": "a", "reason": "x", "until": "soon"}, "until"),
    ({"type": "revert-to-lab", "planHash": "x", "expectedCount": 1}, "planHash"),
    ({"type": "approve-promotion", "botId": "a"}, "recommendationId"), ({"type": "register-bots", "bots": []}, "bots"),
    ({"type": "register-bots", "bots": [{"id": "a"}] * 501}, "bots"),
    ({"type": "register-bots", "bots": [{"id": "a", "strategy": "sma-cross", "symbol": "AAPL", "parameters": {"fast": 1e400}}]}, ""),
    ({"type": "register-bots", "bots": [{"id": "a", "strategy": "__import__('os')", "symbol": "AAPL"}]}, "strategy"),
    ({"type": "register-bots", "bots": [{"id": "a", "strategy": "sma-cross", "symbol": "AAPL", "parameters": {"fast": 10**40}}]}, "parameters"),
    ({"type": "cancel-job", "jobId": "x"}, "jobId"),
    ({"type": "apply-fleet", "fleet": "A B", "planHash": "0" * 64}, "fleet"),
    ({"type": "apply-fleet", "retire": ["a"] * 5001, "planHash": "0" * 64}, "retire"),
])  # fmt: skip
def test_a_refused_value_is_named_with_its_limit(api: Api, document: dict[str, Any], field: str) -> None:
    answer = api.http.post(
        "/api/commands",
        content=json.dumps(document),
        headers={"Authorization": f"Bearer {TOKENS['operator']}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == "BAD_INPUT"
    assert field in body.get("field", "") if field else body["detail"]
    assert body["detail"]


@pytest.mark.parametrize(("content", "kind", "status"), [
    (b'{"type":"hold-bot","reason":"' + b"x" * (MIB + 1) + b'"}', "application/json", 413),
    (b" " * (MIB + 1), "application/json", 413), (b'{"a":' * 10_000, "application/json", 422),
    (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "application/json", 422), (b'{"type":"hold-bot","botId":NaN}', "application/json", 422),
    (b"type=hold-bot", "application/x-www-form-urlencoded", 415), (b"{}", "text/plain", 415),
], ids=["1 MiB and 1", "blank", "deep and open", "deep", "NaN", "form", "text"])  # fmt: skip
def test_a_body_over_a_limit_is_refused_before_it_is_read_in_full(api: Api, content: bytes, kind: str, status: int) -> None:
    answer = api.http.post(
        "/api/commands", content=content, headers={"Authorization": f"Bearer {TOKENS['operator']}", "Content-Type": kind}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_lying_length_is_cut_off_at_the_limit(api: Api) -> None:
    """A chunked body says no length at all."""
    sent = [0]

    def chunks() -> Iterator[bytes]:
        for _ in range(64):
            sent[0] += 65_536
            yield b"x" * 65_536

    headers = {"Authorization": f"Bearer {TOKENS['operator']}", "Content-Type": "application/json"}
    answer = api.http.post("/api/commands", content=chunks(), headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize(("headers", "status"), [
    ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403), ({"Host": "evil.example"}, 400),
])  # fmt: skip
def test_another_site_never_acts_even_with_a_token(api: Api, headers: dict[str, str], status: int) -> None:
    before = len(said(api, wire="pause-loop.v1"))
    assert api.command({"type": "pause-loop"}, **headers).status_code == status
    assert len(said(api, wire="pause-loop.v1")) == before


def test_the_same_key_twice_is_one_record_and_the_same_answer(api: Api) -> None:
    document = {"type": "hold-bot", "botId": "bot-001", "reason": "once"}
    first = api.command(document, key="key-1")
    second = api.command(document, key="key-1")
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert len(said(api, commandId=first.json()["commandId"])) == 1
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.command({"type": "release-hold", "botId": "bot-001"}, key="key-2"), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["commandId"] for answer in answers}) == 1
    assert len(said(api, commandId=answers[0].json()["commandId"])) == 1


def test_a_key_is_of_one_operator_and_one_command(api: Api) -> None:
    first = api.command({"type": "pause-loop", "scope": "bot", "target": "bot-000"}, key="key-3")
    other = api.command({"type": "resume-loop", "scope": "bot", "target": "bot-000"}, SECOND_OPERATOR, key="key-3")
    assert (first.status_code, other.status_code) == (200, 200)
    assert first.json()["commandId"] != other.json()["commandId"]
    again = api.command({"type": "pause-loop", "scope": "bot", "target": "bot-001"}, key="key-3")
    assert (again.status_code, again.json()["code"], again.json()["field"]) == (422, "KEY_REUSED", "Idempotency-Key")
    assert refused(api, "KEY_REUSED", "ope-person")["command"] == "pause-loop"
    assert api.command({"type": "pause-loop"}, key="x" * 201).status_code == 422
    wait_for("the long key too", lambda: said(api, code="BAD_INPUT", field="Idempotency-Key"))


def test_a_key_is_known_to_the_next_process_too(api: Api) -> None:
    """What this process has forgotten, the read models remember."""
    document = {"type": "hold-bot", "botId": "bot-000", "reason": "before the restart"}
    first = api.command(document, key="key-4")
    command_id = first.json()["commandId"]
    wait_for("its row", lambda: api.platform.one(f"SELECT count(*) FROM commands WHERE id = '{command_id}'") == 1)
    api.service.stop()
    again = Api.start(api.platform)
    api.service = again.service
    # Before it can ask the read models it may say a command once more, which acts once all the same.
    wait_for("its database", lambda: again.get("/api/bots").status_code == 200)
    second = again.command(document, key="key-4")
    assert second.status_code == first.status_code == 200
    assert second.json() == first.json()
    assert len(said(api, commandId=command_id)) == 1


def test_who_am_i(api: Api) -> None:
    for role, token in TOKENS.items():
        assert api.get("/api/whoami", headers={"Authorization": f"Bearer {token}"}).json() == {"name": f"{role[:3]}-person", "role": role}
    assert api.get("/api/whoami").status_code == 401


def test_a_flood_of_refusals_is_answered_and_bounded_in_the_log(api: Api) -> None:
    before = len(said(api, wire="attempt-refused.v1"))
    codes = [api.command({"type": "x"}, None).status_code for _ in range(150)]
    assert set(codes) <= {401, 429}, "a stranger is told to wait after too many"
    assert codes[-1] == 429
    assert len(said(api, wire="attempt-refused.v1")) == before, "and leaves nothing on the log"
    assert {api.command({"type": "x"}).status_code for _ in range(150)} == {422}
    assert 0 < len(said(api, wire="attempt-refused.v1")) - before <= 60


def test_no_token_ever_stands_in_a_log_or_a_record(api: Api) -> None:
    """Last in this module: everything above has been said."""
    texts = "".join(service.log.read_text() for service in api.platform.services)
    assert texts
    records = json.dumps(said(api))
    assert "ope-person" in records
    for token in (*TOKENS.values(), SECOND_OPERATOR, "canary-wrong-token-31d9"):
        assert token not in texts
        assert token not in records
