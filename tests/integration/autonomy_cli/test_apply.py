"""`autonomy apply` on a running platform: a diff, one accepted command a part, an outcome each; two people's files never touch one another's.

Source: R-G3.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autonomy.events import MAX_BOTS_PER_APPLY
from support.log import audit, fresh_topics
from support.patience import PATIENCE_S
from support.platform import a_platform, fleet, quick_policy, wait_for
from support.proof import TOKENS, Api
from support.servers import Broker, Database

pytestmark = pytest.mark.servers
MANY = 10_000


@pytest.fixture
def api(broker: Broker, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A platform whose runner has said which strategies there are."""
    fresh_topics(broker.bootstrap)
    database.empty()
    with a_platform(broker, database, tmp_path_factory.mktemp("apply")) as platform:
        platform.projection()
        api = Api.start(platform)
        platform.planner()
        platform.runner()
        platform.set_policy(quick_policy(seconds_per_bar=86_400))
        wait_for("strategies", lambda: api.shown("/api/strategies").get("items"))
        api.wait_fresh()
        yield api


def apply(api: Api, path: Path, *words: str, code: int = 0, role: str = "operator") -> dict[str, Any]:
    """Run the command as people do; returns its JSON."""
    environment = {**os.environ, "AUTONOMY_API": str(api.http.base_url), "AUTONOMY_TOKEN": TOKENS[role]}
    done = subprocess.run(
        [sys.executable, "-m", "autonomy_cli.main", "apply", "-f", str(path), "--yes", "--json", *words], capture_output=True, text=True,
        timeout=3 * PATIENCE_S, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {"words": done.stderr}
    return found


def written(path: Path, name: str, bots: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"fleet": name, "bots": bots}))
    return path


def members(api: Api, name: str) -> dict[str, int]:
    """Versions of the bots that a fleet owns, by id."""
    rows = api.platform.sql("SELECT id, version FROM bots WHERE fleet = %s AND retired_at IS NULL ORDER BY id", name)
    return {row["id"]: row["version"] for row in rows}


def test_a_fleet_follows_its_file_and_each_bot_has_its_outcome(api: Api, tmp_path: Path) -> None:
    file, bots = tmp_path / "stocks.json", fleet(4)
    shown = apply(api, written(file, "stocks", bots), "--dry-run")
    assert (shown["counts"], shown["commands"], members(api, "stocks")) == ({"REGISTERED": 4}, [], {})
    done = apply(api, file, "--reason", "as in the file")
    (command,) = done["commands"]
    assert (command["status"], {one["outcome"] for one in command["outcomes"]}) == ("ACCEPTED", {"REGISTERED"})
    assert members(api, "stocks") == {f"bot-00{number}": 1 for number in range(4)}
    assert apply(api, file)["commands"] == [], "the same file again says nothing"

    bots[1]["symbol"], bots[2]["evolve"], bots[0]["parameters"]["fast"] = "IBM", "never", 5_000
    written(file, "stocks", [*bots[:3], {"id": "later", "strategy": "macd", "symbol": "IBM"}])
    done = apply(api, file, "--prune", code=1)
    assert done["counts"] == {"REJECTED": 1, "CHANGED": 1, "AMENDED": 1, "REGISTERED": 1, "RETIRED": 1}
    assert [(one["botId"], one["field"], one["places"]) for one in done["refused"]] == [("bot-000", "parameters.fast", [f"{file}:1"])]
    changes = {item["botId"]: [(one["field"], one["before"], one["after"]) for one in item["changes"]] for item in done["items"]}
    assert changes["bot-001"] == [("symbol", "GOOG", "IBM")]
    assert changes["bot-002"] == [("evolve", "propose", "never")]
    assert members(api, "stocks") == {"bot-000": 1, "bot-001": 2, "bot-002": 1, "later": 1}
    audit(api.platform.broker.bootstrap).check()


@pytest.mark.long
def test_two_peoples_files_do_not_retire_one_anothers_bots(api: Api, tmp_path: Path) -> None:
    ours, theirs = fleet(4)[:2], fleet(4)[2:]
    apply(api, written(tmp_path / "ours.json", "ours", ours))
    apply(api, written(tmp_path / "theirs.json", "theirs", theirs))
    command = api.platform.register([{"id": "nobodys", "strategy": "macd", "symbol": "IBM"}])
    assert api.platform.command_status(command)["status"] == "ACCEPTED"
    done = apply(api, written(tmp_path / "ours.json", "ours", [*ours[:1], *theirs]), "--prune", code=1)
    assert done["counts"] == {"RETIRED": 1, "UNCHANGED": 1, "REJECTED": 2}
    assert {one["field"] for one in done["refused"]} == {"fleet"}
    assert (list(members(api, "ours")), list(members(api, "theirs"))) == (["bot-000"], ["bot-002", "bot-003"])
    assert api.platform.one("SELECT retired_at FROM bots WHERE id = 'nobodys'") is None
    (tmp_path / "unnamed.json").write_text(json.dumps({"bots": ours}))
    assert "needs the fleet's name" in apply(api, tmp_path / "unnamed.json", "--prune", code=2)["words"]


def test_what_changed_since_the_dry_run_is_left_alone(api: Api, tmp_path: Path) -> None:
    bots = fleet(2)
    apply(api, written(tmp_path / "a.json", "stocks", bots))
    headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
    wanted = {"fleet": "stocks", "bots": [{**bot, "symbol": "MSFT"} for bot in bots], "retire": []}
    plan = api.http.post("/api/apply/plan", json=wanted, headers=headers).json()
    bots[0]["symbol"] = "IBM"
    apply(api, written(tmp_path / "a.json", "stocks", bots))
    refused = api.command({"type": "apply-fleet", **wanted, "planHash": plan["planHash"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "PLAN_CHANGED")
    assert members(api, "stocks") == {"bot-000": 2, "bot-001": 1}
    for wrong, field in (({"bots": 1}, "bots"), ({"planHash": plan["planHash"]}, "planHash"), ({"colour": 1}, "colour")):
        answer = api.http.post("/api/apply/plan", json={**wanted, **wrong}, headers=headers)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    for role, code in ((None, 401), ("viewer", 403)):
        asked = api.http.post("/api/apply/plan", json=wanted, headers={"Authorization": f"Bearer {TOKENS[role]}"} if role else {})
        assert asked.status_code == code


@pytest.mark.long
def test_ten_thousand_bots_by_one_file_and_half_of_them_retired_by_one_command(api: Api, tmp_path: Path) -> None:
    file = written(tmp_path / "many.json", "many", fleet(MANY))

    def seconds(*words: str) -> tuple[float, dict[str, Any]]:
        started = time.monotonic()
        done = apply(api, file, *words)
        return time.monotonic() - started, done

    shown_s, shown = seconds("--dry-run")
    assert shown["counts"] == {"REGISTERED": MANY}
    applied_s, done = seconds()
    assert [command["counts"] for command in done["commands"]] == [{"REGISTERED": MAX_BOTS_PER_APPLY}] * (MANY // MAX_BOTS_PER_APPLY)
    written(file, "many", fleet(MANY // 2))
    retired_s, done = seconds("--prune")
    (command,) = done["commands"]
    assert command["counts"] == {"RETIRED": MANY // 2}
    assert len(members(api, "many")) == MANY // 2
    took = [row["took"] for row in api.platform.sql(
        "SELECT extract(epoch FROM finished_at - started_at)::float AS took FROM autonomy_planner_runs ORDER BY 1 DESC"
    )]  # fmt: skip
    print(f"dry run {shown_s:.1f} s, applied {applied_s:.1f} s, half retired {retired_s:.1f} s, longest ticks {took[:5]} s")
    # The limits are those of a machine of one's own: where others work on it too, each second takes as many as they share it by.
    shared_by = max(1.0, max(os.getloadavg()) / (os.cpu_count() or 1))
    assert shown_s <= 5.0 * shared_by
    assert applied_s <= 30.0 * shared_by
    assert took[0] <= 1.0 * shared_by, "no tick takes seconds because thousands of bots come at once"
    audit(api.platform.broker.bootstrap).check()
