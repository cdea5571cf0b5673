"""Random kills and pauses under load, then quiet: whatever the order, the log keeps every promise (the long list)."""

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from projection.rebuild import rebuild
from support.log import Audit, audit
from support.measuring import FaultRows
from support.platform import LARGE_SUITE, Platform, Service, fleet, quick_policy, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.long]
FAULTY_S = 75.0
BOTS = 16


def restart(platform: Platform, service: Service) -> None:
    again: dict[str, Callable[[], object]] = {"planner": platform.planner, "job-runner": platform.runner, "projection": platform.projection}
    again[service.name]()


def audited_at_rest(platform: Platform) -> Audit | None:
    """The log, once every job in it has ended."""
    found = audit(platform.broker.bootstrap)
    return None if found.unfinished() else found


@pytest.mark.parametrize("seed", range(6))
def test_random_faults_lose_and_double_nothing(platform: Platform, fault_row: FaultRows, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        platform.planner()
    for _ in range(3):
        platform.runner(slots=1)
    platform.projection()
    platform.set_policy(quick_policy(suite=LARGE_SUITE, seconds_per_bar=1.0, failures_limit=20))
    platform.register(fleet(BOTS))
    wait_for("work", lambda: platform.one("SELECT count(*) FROM bot_jobs") > 0)
    words = f"planners, runners and the projection are killed or frozen at random for {FAULTY_S:g} s"
    row = fault_row("random faults", "Processes", words, "every bot has evidence and no job is open")
    deadline, faults = time.monotonic() + FAULTY_S, 0
    while time.monotonic() < deadline:
        victim = chance.choice([service for service in platform.services if service.alive])
        if chance.random() < 0.5:
            victim.kill()
            restart(platform, victim)
        else:
            victim.freeze()
            time.sleep(chance.choice((0.2, 1.0, 4.5)))  # below and above a lease
            victim.thaw()
        faults += 1
        time.sleep(chance.uniform(0.5, 4.0))
    row.heals()
    platform.set_policy(quick_policy(seconds_per_bar=86_400.0, failures_limit=20))
    wait_for("every bot has evidence", lambda: platform.one("SELECT count(DISTINCT bot_id) FROM bot_backtests") == BOTS)
    wait_for("nothing live", lambda: platform.one("SELECT count(*) FROM bot_jobs WHERE status IN ('QUEUED', 'RUNNING')") == 0)
    # The rows may be at rest between the old policy's last job and the new one's first.
    found = wait_for("nothing live in the log", lambda: audited_at_rest(platform))
    row.recovers()
    found.check()
    compared = asyncio.run(rebuild(platform.database.owner_url, platform.database.url(), platform.broker.bootstrap))
    assert compared.differing == []
    row.said = f"{faults} faults; {found.void_seals} seals and {found.void_steps} steps of jobs were void, {len(found.seals)} ticks count"
    row.keeps(found)
    print(f"seed {seed}: {faults} faults, {len(found.seals)} ticks, {found.void_seals} void seals, {len(found.jobs)} jobs")
