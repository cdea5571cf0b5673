"""A revert over HTTP with the real planner: dry run, command, every bot's outcome; all or nothing, and once, whatever dies meanwhile.

Source: R-C2, R-F10; docs/architecture.md, "Revert".
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from autonomy.events import PinBot
from support.log import fresh_topics
from support.platform import a_platform, fleet, quick_policy, wait_for
from support.proof import TOKENS, Api
from support.servers import Broker, Database

pytestmark = pytest.mark.servers
BOTS = 24


@pytest.fixture
def api(broker: Broker, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Imported bots on PAPER, one of them pinned; nobody works."""
    fresh_topics(broker.bootstrap)
    database.empty()
    with a_platform(broker, database, tmp_path_factory.mktemp("reverts")) as platform:
        platform.projection()
        api = Api.start(platform)
        platform.planner()
        platform.set_policy(quick_policy())
        platform.register(
            [{**bot, "stage": "PAPER", "pinned": number == 3, "pin_reason": "kept"} for number, bot in enumerate(fleet(BOTS))]
        )
        wait_for("the fleet", lambda: platform.one("SELECT count(*) FROM bots") == BOTS)
        api.wait_fresh(verdict="STALLED")
        yield api


def dry_run(api: Api, **params: Any) -> dict[str, Any]:
    answer = api.get("/api/revert/plan", params=params)
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


def moved(api: Api) -> list[str]:
    return [row["bot_id"] for row in api.platform.sql(
        "SELECT bot_id FROM bot_stage_events WHERE command_id IS NOT NULL ORDER BY bot_id"
    )]  # fmt: skip


def test_the_plan_is_applied_whole_and_said_twice_acts_once(api: Api) -> None:
    plan = dry_run(api)
    assert (plan["expectedCount"], plan["pinned"]["count"]) == (BOTS - 1, 1)
    body = {**plan["command"], "reason": "start again"}
    first = api.command(body, key="revert-1")
    assert first.status_code == 200, first.text
    outcomes = {entry["botId"]: entry["outcome"] for entry in first.json()["outcomes"]}
    assert {name for name, outcome in outcomes.items() if outcome == "REVERTED"} == set(plan["botIds"])
    assert outcomes["bot-003"] == "PINNED"
    again = api.command(body, key="revert-1")
    assert (again.status_code, again.json()["commandId"], again.json()["tick"]) == (200, first.json()["commandId"], first.json()["tick"])
    assert moved(api) == plan["botIds"]
    assert api.platform.sql("SELECT DISTINCT tick FROM bot_stage_events WHERE command_id IS NOT NULL") == [{"tick": first.json()["tick"]}]
    shown = api.get(f"/api/commands/{first.json()['commandId']}").json()
    assert (shown["status"], len(shown["outcomes"])) == ("ACCEPTED", BOTS)
    stages = {row["id"]: row["stage"] for row in api.platform.sql("SELECT id, stage FROM bots")}
    assert {name for name, stage in stages.items() if stage == "PAPER"} == {"bot-003"}


def test_a_fleet_that_changed_since_the_dry_run_is_not_reverted(api: Api) -> None:
    plan = dry_run(api)
    pinned = api.platform.say(PinBot, bot_id="bot-005", reason="mine")
    assert api.platform.command_status(pinned)["status"] == "ACCEPTED"
    refused = api.command(plan["command"], key="revert-2")
    assert (refused.status_code, refused.json()["code"]) == (409, "PLAN_CHANGED")
    assert moved(api) == []
    row = api.platform.sql("SELECT pinned_by, pin_reason FROM bots WHERE id = 'bot-005'")
    assert row == [{"pinned_by": "tester", "pin_reason": "mine"}]


@pytest.mark.parametrize("role", [None, "viewer"])
def test_nobody_without_the_role_reverts(api: Api, role: str | None) -> None:
    answer = api.command(dry_run(api)["command"], role)
    assert answer.status_code == (401 if role is None else 403)
    assert moved(api) == []


def test_an_api_killed_in_the_middle_of_the_request_and_asked_again_with_the_same_key_reverts_once(api: Api) -> None:
    body, planner = dry_run(api)["command"], next(service for service in api.platform.services if service.name == "planner")
    planner.freeze()  # so that the request is still waiting for its answer when the process dies
    lost = threading.Thread(target=lambda: _ask(api, body))
    lost.start()
    wait_for("the command in the log", lambda: api.platform.one("SELECT count(*) FROM commands WHERE command = 'revert-to-lab.v1'") == 1)
    api.service.kill()
    lost.join(15)
    planner.thaw()
    second = Api.start(api.platform)
    answer = wait_for("an answer", lambda: _answered(second, body), every_s=0.3)
    assert answer.json()["status"] == "ACCEPTED"
    assert api.platform.one("SELECT count(*) FROM commands WHERE command = 'revert-to-lab.v1'") == 1
    assert moved(second) == sorted(entry["botId"] for entry in answer.json()["outcomes"] if entry["outcome"] == "REVERTED")
    assert len(moved(second)) == len(set(moved(second))) == BOTS - 1


def _ask(api: Api, body: dict[str, Any]) -> None:
    with contextlib.suppress(httpx.HTTPError):
        headers = {"Authorization": f"Bearer {TOKENS['operator']}", "Idempotency-Key": "revert-3"}
        httpx.post(f"{api.http.base_url}/api/commands", json=body, headers=headers, timeout=15)


def _answered(api: Api, body: dict[str, Any]) -> httpx.Response | None:
    answer = api.command(body, key="revert-3")
    return answer if answer.status_code == 200 else None
