"""Who is killed begins at its snapshot; without a usable one it reads more of the log, and nothing else changes.

Source: S7; docs/adr/0022.
"""

import json
from pathlib import Path

import pytest

from autonomy_cli.findings import Outcome
from support.log import audit, audit_verify
from support.measuring import FaultRow, FaultRows
from support.platform import LARGE_SUITE, Platform, Service, fleet, quick_policy, wait_for

pytestmark = pytest.mark.servers


def ticks(platform: Platform) -> int:
    return int(platform.one("SELECT max(tick) FROM autonomy_planner_runs") or 0)


def restarted(platform: Platform, planner: Service, folder: Path, said: str, row: FaultRow | None = None) -> Service:
    """Kill the planner and start another; it says how it began, and leads on."""
    assert planner.alive
    planner.kill()
    again = platform.planner(PLANNER_SNAPSHOTS=str(folder))
    wait_for(said, lambda: said in again.log.read_text())
    if row is not None:
        line = next(line for line in again.log.read_text().splitlines() if said in line)
        row.notices(f"one line of the planner's log: “{words_in(line)}”")
    before = ticks(platform)
    wait_for("ticks", lambda: ticks(platform) > before + 2)
    return again


@pytest.mark.long
def test_a_killed_planner_begins_at_its_snapshot(platform: Platform, tmp_path: Path, fault_row: FaultRows) -> None:
    folder = tmp_path / "snapshots"
    planner = platform.planner(PLANNER_SNAPSHOTS=str(folder))
    platform.projection()
    platform.runner()
    platform.set_policy(quick_policy() | {"tick_interval_s": 0.2})
    platform.register(fleet(4))
    wait_for("a snapshot", lambda: list(folder.glob("tick-*.json")))
    planner = restarted(platform, planner, folder, "begins at a snapshot")
    verified = audit_verify(platform.broker.bootstrap, "--from-snapshot", str(folder))
    assert verified.returncode == Outcome.CLEAN_IN_PART, verified.stdout + verified.stderr
    assert "began at the snapshot of tick" in verified.stdout
    for path in folder.glob("tick-*.json"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    row = fault_row(
        "snapshot damaged", "The log", "every snapshot of a planner is damaged, and the planner is killed", "the whole log is folded"
    )
    restarted(platform, planner, folder, "it is damaged", row)
    row.recovers()
    wait_for("all baselines", lambda: platform.one("SELECT count(DISTINCT bot_id) FROM bot_backtests") == 4)
    found = audit(platform.broker.bootstrap)
    found.check()
    row.keeps(found)


@pytest.mark.long
def test_a_killed_runner_begins_at_its_snapshot(platform: Platform, tmp_path: Path) -> None:
    """While jobs that nobody took yet hold the horizon back: the one where all would be read that came since they were ordered."""
    folder = tmp_path / "kept"
    platform.planner()
    platform.projection()
    first = platform.runner(slots=1, RUNNER_SNAPSHOTS=str(folder))
    platform.set_policy(quick_policy(suite=LARGE_SUITE))
    platform.register(fleet(6))
    wait_for("work, and a queue", lambda: platform.one("SELECT count(*) FROM bot_jobs WHERE status = 'QUEUED'"), 150)
    ordered = platform.one("SELECT min(tick) FROM bot_jobs WHERE status = 'QUEUED'")
    wait_for("later ticks", lambda: ticks(platform) > ordered + 3)
    second = platform.runner(slots=1, RUNNER_SNAPSHOTS=str(folder))
    wait_for("a snapshot of now", lambda: any(int(path.stem[5:]) > ordered for path in folder.glob("tick-*.json")), 150)
    first.kill()
    second.kill()
    third = platform.runner(RUNNER_SNAPSHOTS=str(folder))
    wait_for("its start", lambda: "begins at a snapshot" in third.log.read_text(), 150)
    for path in folder.glob("tick-*.json"):
        path.write_bytes(path.read_bytes()[:-1])
    fourth = platform.runner(RUNNER_SNAPSHOTS=str(folder))
    wait_for("its start", lambda: "it is damaged" in fourth.log.read_text() and "caught up" in fourth.log.read_text(), 150)
    wait_for("all baselines", lambda: platform.one("SELECT count(DISTINCT bot_id) FROM bot_backtests") == 6, 200)
    audit(platform.broker.bootstrap).check()


def words_in(line: str) -> str:
    """What a line of a service's log says."""
    return str(json.loads(line)["message"])
