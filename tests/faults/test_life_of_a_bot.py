"""The whole life of a bot on real processes, Kafka and PostgreSQL: gates, approval, paper runner, its death, revert.

The bars have a real edge in them (`support.edge`); the thresholds are the default ones.

Source: R-A3.6, R-B1.1, R-C1 to R-C3.
"""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from autonomy.events import ApprovePromotion, RevertToLab, SetPromotionMode
from autonomy.values import Stage
from projection.rebuild import rebuild
from support.edge import write_bars
from support.platform import LEASE_S, Platform, quick_policy, wait_for
from support.proof import Api

pytestmark = pytest.mark.servers
SUITE = {"permuted_markets": 200, "truncation_cuts": 10, "neighbourhood_steps": 4, "stress_levels": 3, "walk_forward_windows": 4}
BOT = "edge-trend"


def a_fleet() -> list[dict[str, Any]]:
    """One bot on the edge, three that have none."""
    weak = {"strategy": "rsi-reversion", "symbol": "EDGE"}
    trend = {"strategy": "sma-cross", "symbol": "EDGE", "parameters": {"fast": 5, "slow": 20, "direction": "long-short"}}
    return [{"id": BOT, **trend}, *({"id": f"weak-{number}", **weak, "parameters": {"period": 10 + number}} for number in range(3))]


def a_policy() -> dict[str, Any]:
    """Quick ticks and bars, small suites, no searches; the gates as they are by default."""
    policy = quick_policy(suite=SUITE, seconds_per_bar=0.5)
    policy["stages"] = {
        "LAB": {"wants": ["BACKTEST_BASELINE", "BACKTEST_REFRESH"]},
        **{
            stage: {
                "wants": ["RUNNER_START", "BACKTEST_BASELINE", "BACKTEST_REFRESH"],
                "gates": {"max_evidence_age_bars": 200}, "runner_gates": ["BASELINE_PASSED", "REALISM", "LIMITS"],
            }
            for stage in ("PAPER", "SHADOW", "CANARY", "LIVE")
        },
    }  # fmt: skip
    return policy


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    return write_bars(tmp_path / "bars", "EDGE")


def api(platform: Platform, path: str) -> Any:
    answer = httpx.get(f"http://127.0.0.1:{platform.api_port}{path}", timeout=15)
    answer.raise_for_status()
    return answer.json()


def test_bot_graduates_trades_survives_its_runner_and_is_reverted(platform: Platform, bars: Path) -> None:
    runner = platform.runner(BARS_FOLDER=str(bars))
    for start in (platform.planner, platform.projection, platform.proof_api):
        start()
    platform.set_policy(a_policy())
    platform.register(a_fleet())

    # Through every gate, and recommended with the tree that says so.
    found = wait_for("a recommendation", lambda: platform.sql("SELECT * FROM promotions WHERE bot_id = %s AND status = 'OPEN'", BOT))[0]
    assert (found["from_stage"], found["to_stage"]) == ("LAB", "PAPER")
    assert {gate["verdict"] for gate in found["gates"]} == {"PASS"}
    assert platform.one("SELECT count(*) FROM promotions WHERE bot_id <> %s", BOT) == 0
    answer = platform.command_status(platform.say(ApprovePromotion, bot_id=BOT, recommendation_id=found["id"]))
    assert answer["status"] == "ACCEPTED"

    # It trades, bar by bar, in order.
    wait_for("ten bars", lambda: platform.one("SELECT count(*) FROM bot_equity WHERE bot_id = %s", BOT) >= 10)
    wait_for(
        "the badge",
        lambda: api(platform, f"/api/bots/{BOT}")["botNow"]["state"] in {"RUNNER_RUNNING", "BACKTEST_RUNNING", "BACKTEST_QUEUED"},
    )

    # Its process dies: stale within a lease, then another attempt goes on without a gap.
    bar = platform.one("SELECT max(bar) FROM bot_equity WHERE bot_id = %s", BOT)
    runner.kill()
    killed = time.monotonic()
    wait_for("a stale runner", lambda: api(platform, f"/api/bots/{BOT}")["botNow"]["runnerStale"], timeout_s=4 * LEASE_S)
    assert time.monotonic() - killed < 3 * LEASE_S
    platform.runner(BARS_FOLDER=str(bars))
    wait_for("more bars", lambda: platform.one("SELECT max(bar) FROM bot_equity WHERE bot_id = %s", BOT) > bar + 10)
    numbers = [row["bar"] for row in platform.sql("SELECT bar FROM bot_equity WHERE bot_id = %s ORDER BY bar", BOT)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a bar was skipped or taken twice"
    attempts = platform.one("SELECT max(attempt) FROM bot_jobs WHERE bot_id = %s AND job_type = 'RUNNER_START'", BOT)
    assert attempts == 2

    # Every bar has one outcome, and the command says why it trades, or does not.
    told = api(platform, f"/api/bots/{BOT}/bars?limit=200")
    assert sum(one["bars"] for one in told["counts"]) == told["session"]["tradedBars"] >= len(numbers)
    assert sum(one["bars"] for one in told["backtestCounts"]) == told["backtest"]["bars"]
    assert all(one["outcome"] in {"ENTERED", "HELD", "EXITED"} for one in told["items"] if one["units"])
    assert told["why"]
    said = subprocess.run(
        [sys.executable, "-m", "autonomy_cli.main", "why-no-trade", BOT, "--api", f"http://127.0.0.1:{platform.api_port}"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert told["trading"] in said
    assert "backtest" in said

    # Back to LAB: dry run, command, and everything in the tick that applies it.
    plan = api(platform, "/api/revert/plan")
    assert plan["expectedCount"] == 1
    command = platform.say(RevertToLab, plan_hash=plan["planHash"], expected_count=1, stages=tuple(Stage)[1:1], reason="the walkthrough")
    assert platform.command_status(command)["status"] == "ACCEPTED"
    (moved,) = platform.sql("SELECT * FROM bot_stage_events WHERE reason_code = 'BULK_REVERT_REBASELINE'")
    assert (moved["bot_id"], moved["from_stage"], moved["to_stage"], moved["actor"]) == (BOT, "PAPER", "LAB", "tester")
    baseline = wait_for(
        "the baseline",
        lambda: platform.sql("SELECT * FROM bot_jobs WHERE bot_id = %s AND tick >= %s AND job_type LIKE 'BACKTEST%%'", BOT, moved["tick"]),
    )[0]
    assert baseline["tick"] - moved["tick"] <= 2
    wait_for("the end of the runner", lambda: not platform.sql(
        "SELECT 1 FROM bot_jobs WHERE bot_id = %s AND job_type = 'RUNNER_START' AND status IN ('QUEUED', 'RUNNING')", BOT,
    ))  # fmt: skip
    (session,) = platform.sql("SELECT * FROM bot_sessions WHERE bot_id = %s", BOT)
    assert session["state"] == "CLOSED"
    assert platform.one("SELECT max(bar) FROM bot_equity WHERE bot_id = %s", BOT) == session["bar"]


@pytest.mark.long
def test_rebuilt_read_models_equal_the_live_ones_after_a_life(platform: Platform, bars: Path) -> None:
    platform.runner(BARS_FOLDER=str(bars))
    platform.planner()
    projection = platform.projection()
    platform.set_policy(a_policy() | {"promotion_mode": "AUTO"})
    platform.register(a_fleet())
    wait_for("a paper session", lambda: platform.one("SELECT count(*) FROM bot_equity") >= 20)
    (moved,) = platform.sql("SELECT * FROM bot_stage_events WHERE reason_code = 'AUTO_PROMOTED'")
    assert (moved["bot_id"], moved["actor"], moved["to_stage"]) == (BOT, "planner", "PAPER")
    assert projection.stop() == 0
    found = asyncio.run(rebuild(platform.database.owner_url, platform.database.url(), platform.broker.bootstrap))
    assert found.differing == [], found


@pytest.mark.long
def test_revert_of_a_thousand_bots_while_jobs_and_runners_run_and_the_api_dies(platform: Platform, bars: Path) -> None:
    platform.runner(BARS_FOLDER=str(bars))
    platform.projection()
    api_before = Api.start(platform)
    platform.planner()
    policy = a_policy() | {"promotion_mode": "AUTO", "promotion": {"max_share": {}}}
    platform.set_policy(policy)
    platform.register(a_fleet())
    wait_for("a runner that trades", lambda: platform.one("SELECT count(*) FROM bot_equity") >= 5)
    # From here on nobody goes up by itself: the bot on the edge would graduate again within seconds.
    platform.say(SetPromotionMode, mode="MANUAL")
    imported = {"strategy": "rsi-reversion", "symbol": "EDGE", "stage": "PAPER"}
    for part in range(2):
        platform.register([{"id": f"import-{part}-{number:03d}", **imported} for number in range(500)])
    wait_for("the fleet", lambda: platform.one("SELECT count(*) FROM bots WHERE stage = 'PAPER'") == 1001)
    api_before.wait_fresh()
    wait_for("a live backtest", lambda: platform.sql("SELECT 1 FROM bot_jobs WHERE job_type LIKE 'BACKTEST%%' AND status = 'RUNNING'"))

    plan = api(platform, "/api/revert/plan")
    assert plan["expectedCount"] == 1001
    asked = threading.Thread(target=lambda: _asked(api_before, plan["command"]))
    asked.start()
    wait_for("the command in the log", lambda: platform.sql("SELECT 1 FROM commands WHERE command = 'revert-to-lab.v1'"), every_s=0.01)
    api_before.service.kill()
    asked.join(20)
    again = Api.start(platform)
    answer = wait_for("the answer to the same key", lambda: _asked(again, plan["command"]), every_s=0.3)
    assert answer["status"] == "ACCEPTED"

    moved = platform.sql("SELECT bot_id, tick FROM bot_stage_events WHERE reason_code = 'BULK_REVERT_REBASELINE'")
    assert len(moved) == len({row["bot_id"] for row in moved}) == 1001
    (tick,) = {row["tick"] for row in moved}
    assert platform.one("SELECT count(*) FROM bots WHERE stage <> 'LAB'") == 0
    first = wait_for(
        "a baseline under way",
        lambda: platform.one(
            "SELECT min(tick) FROM bot_jobs WHERE tick >= %s AND job_type = 'BACKTEST_BASELINE' AND started_at IS NOT NULL", tick
        ),
    )
    assert first - tick <= 2
    wait_for("the end of the runner", lambda: not platform.sql(
        "SELECT 1 FROM bot_jobs WHERE job_type = 'RUNNER_START' AND status IN ('QUEUED', 'RUNNING')"
    ))  # fmt: skip
    assert {row["state"] for row in platform.sql("SELECT state FROM bot_sessions")} == {"CLOSED"}


def _asked(api: Api, body: dict[str, Any]) -> dict[str, Any] | None:
    with contextlib.suppress(httpx.HTTPError):
        answer = api.command(body, key="the walkthrough")
        return dict(answer.json()) if answer.status_code == 200 else None
    return None
