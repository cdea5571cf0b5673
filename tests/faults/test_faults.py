"""Kill, pause, restart: no job lost, at most one accepted result per job, one dense chain. On the real broker.

Source: R-F10, S1 to S12.
"""

import asyncio
import time
from pathlib import Path

import pytest

from projection.rebuild import rebuild
from support.log import announcement_requests, audit
from support.measuring import FaultRow, FaultRows
from support.platform import LARGE_SUITE, LEASE_S, Platform, a_platform, fleet, quick_policy, wait_for
from support.proof import Api
from support.servers import Database, a_broker, make_topics

pytestmark = pytest.mark.servers


def done(platform: Platform) -> int:
    return int(platform.one("SELECT count(*) FROM bot_jobs WHERE status = 'SUCCEEDED'") or 0)


def running(platform: Platform) -> str | None:
    found: str | None = platform.one("SELECT id FROM bot_jobs WHERE status = 'RUNNING' AND progress > 0.01 LIMIT 1")
    return found


def ticks(platform: Platform) -> int:
    return int(platform.one("SELECT max(tick) FROM autonomy_planner_runs") or 0)


def applied(platform: Platform) -> int:
    """How many records the projection has taken in."""
    return int(platform.one("SELECT sum(next_offset) FROM projection_offsets") or 0)


def begin(platform: Platform, bots: int = 6, planners: int = 1, runners: int = 1, **policy: object) -> None:
    for _ in range(planners):
        platform.planner()
    platform.projection()
    platform.set_policy(quick_policy(**policy))
    platform.register(fleet(bots))
    for _ in range(runners):
        platform.runner()


def finish(platform: Platform, bots: int, row: FaultRow | None = None) -> None:
    """After the faults: everything is worked off, and the log keeps every promise."""
    wait_for("all baselines", lambda: platform.one("SELECT count(DISTINCT bot_id) FROM bot_backtests") == bots)
    found = audit(platform.broker.bootstrap)
    found.check()
    assert all(found.results[job.job_id] == 1 for job in found.jobs.values() if not job.status.is_live)
    if row is not None:
        row.keeps(found)


@pytest.mark.long
def test_a_killed_runner_costs_one_lease_and_no_job(platform: Platform, fault_row: FaultRows) -> None:
    begin(platform, suite=LARGE_SUITE)
    api = Api.start(platform)
    job = wait_for("work under way", lambda: running(platform))
    api.wait_fresh()
    next(service for service in platform.services if service.name == "job-runner").kill()
    row = fault_row(
        "runner killed",
        "Processes",
        "the only runner is killed at work, and another starts after the requeue",
        "another claims its jobs",
        api,
    )
    killed = time.monotonic()
    wait_for("the requeue", lambda: platform.one("SELECT attempt FROM bot_jobs WHERE id = %s", job) == 2)
    assert time.monotonic() - killed < LEASE_S * 4 + 6
    attempts = platform.one("SELECT attempts FROM bot_jobs WHERE id = %s", job)
    assert attempts[0]["cause"] == "LEASE_EXPIRED"
    platform.set_policy(quick_policy())
    row.heals()
    platform.runner()
    wait_for("work again", lambda: platform.one("SELECT count(*) FROM bot_jobs WHERE status = 'RUNNING'") > 0)
    row.recovers()
    finish(platform, 6, row)


@pytest.mark.long
def test_a_frozen_runner_loses_its_claims_and_its_late_results_count_for_nothing(platform: Platform) -> None:
    begin(platform, suite=LARGE_SUITE)
    job = wait_for("work under way", lambda: running(platform))
    frozen = next(service for service in platform.services if service.name == "job-runner")
    frozen.freeze()
    wait_for("the requeue", lambda: (platform.one("SELECT attempt FROM bot_jobs WHERE id = %s", job) or 0) >= 2)
    platform.runner()
    wait_for("somebody else finishes it", lambda: platform.one("SELECT status FROM bot_jobs WHERE id = %s", job) == "SUCCEEDED")
    frozen.thaw()
    finish(platform, 6)


LEASES_FROZEN = [
    pytest.param(1.3, 1, id="1.3 leases, one runner", marks=pytest.mark.long), pytest.param(5, 3, id="5 leases, three runners", marks=pytest.mark.long),
    pytest.param(5, 1, id="5 leases, one runner", marks=pytest.mark.long),
    pytest.param(40, 1, id="40 leases, one runner", marks=pytest.mark.long),
    pytest.param(40, 3, id="40 leases, three runners", marks=pytest.mark.long),
]  # fmt: skip


@pytest.mark.parametrize(("leases", "runners"), LEASES_FROZEN)
def test_frozen_runners_work_again_within_two_ticks_of_their_thaw(
    platform: Platform, fault_row: FaultRows, leases: float, runners: int
) -> None:
    """What a runner says once at its start must not be needed for ever: a planner that forgot it asks again."""
    begin(platform, bots=2, runners=runners)
    api = Api.start(platform)
    wait_for("it lives", lambda: done(platform) >= 2)
    api.wait_fresh()
    frozen = [service for service in platform.services if service.name == "job-runner"]
    for service in frozen:
        service.freeze()
    words = f"all runners ({runners}) are frozen for {leases:g} leases of 3 s"
    row = fault_row("runners frozen", "Processes", words, "the planner asks for their announcements, and new jobs run", api)
    until, before = time.monotonic() + leases * LEASE_S, ticks(platform)
    # At each tick a quarter of a lease of silence accrues at the most.
    wait_for("every runner is forgotten", lambda: time.monotonic() > until and ticks(platform) >= before + 8, 60 + leases * LEASE_S)
    platform.register(fleet(4)[2:])
    wait_for("what nobody can run is blocked", lambda: blocked_by(platform, "CAPABILITIES_AGREE") >= 2)
    assert announcement_requests(platform.broker.bootstrap) == [], "nobody beats: nobody can be asked"
    for service in frozen:
        service.thaw()
    row.heals()
    wait_for("work", lambda: platform.one("SELECT count(*) FROM bot_jobs WHERE bot_id IN ('bot-002', 'bot-003')") == 2)
    first = platform.one("SELECT min(tick) FROM bot_jobs WHERE bot_id IN ('bot-002', 'bot-003')")
    asked = announcement_requests(platform.broker.bootstrap)
    assert first <= asked[0] + 2, asked
    row.recovers()
    finish(platform, 4, row)


def blocked_by(platform: Platform, code: str) -> int:
    """How many bots the newest run counts behind a gate."""
    found: int | None = platform.one(
        "SELECT (blocker_counts::jsonb ->> %s)::int FROM autonomy_planner_runs ORDER BY tick DESC LIMIT 1", code
    )
    return found or 0


def test_the_standby_takes_over_from_a_killed_leader(platform: Platform, fault_row: FaultRows) -> None:
    begin(platform, planners=2)
    api = Api.start(platform)
    wait_for("ticks", lambda: ticks(platform) >= 4)
    api.wait_fresh()
    leader_id = platform.one("SELECT process_id FROM autonomy_planner_runs ORDER BY tick DESC LIMIT 1")
    leader = next(s for s in platform.services if s.name == "planner" and _leads(platform, s))
    before = ticks(platform)
    leader.kill()
    row = fault_row("planner killed", "Processes", "the leading planner is killed, beside a standby", "the standby's third tick", api)
    wait_for("ticks by the other", lambda: ticks(platform) > before + 2, 20)
    row.recovers()
    assert platform.one("SELECT process_id FROM autonomy_planner_runs ORDER BY tick DESC LIMIT 1") != leader_id
    finish(platform, 6, row)


def _leads(platform: Platform, service: object) -> bool:
    """The planner whose own ticks its log shows last."""
    log = service.log.read_text()  # type: ignore[attr-defined]
    return '"own": true' in log.rsplit('"message": "tick"', 1)[-1]


@pytest.mark.long
def test_a_frozen_leader_comes_back_and_forks_nothing(platform: Platform, fault_row: FaultRows) -> None:
    begin(platform, planners=2)
    api = Api.start(platform)
    wait_for("ticks", lambda: ticks(platform) >= 4)
    api.wait_fresh()
    leader = next(s for s in platform.services if s.name == "planner" and _leads(platform, s))
    before = ticks(platform)
    leader.freeze()
    row = fault_row("planner frozen", "Processes", "the leading planner is frozen, beside a standby", "the standby's third tick", api)
    wait_for("ticks by the other", lambda: ticks(platform) > before + 2, 20)
    row.recovers()
    leader.thaw()
    after = ticks(platform)
    wait_for("more ticks", lambda: ticks(platform) > after + 3)
    finish(platform, 6, row)
    roles = wait_for("one leader", lambda: platform.one("SELECT count(*) FROM pulses WHERE source = 'planner' AND role = 'leader'") == 1)
    assert roles


@pytest.mark.long
def test_a_killed_broker_comes_back_with_every_acknowledged_record(database: Database, tmp_path: Path, fault_row: FaultRows) -> None:
    with a_broker(tmp_path) as broker:
        make_topics(broker.bootstrap)
        database.empty()
        with a_platform(broker, database, tmp_path / "p") as platform:
            begin(platform, bots=8, suite=LARGE_SUITE)
            api = Api.start(platform)
            wait_for("work under way", lambda: running(platform))  # a new runner compiles and warms up first
            api.wait_fresh()
            before = ticks(platform)
            broker.kill()
            row = fault_row(
                "kafka killed", "Servers", "the only broker is killed, and started again at once", "ticks go on by themselves", api
            )
            broker.start()
            wait_for("ticks go on", lambda: ticks(platform) > before + 2)
            row.recovers()
            platform.set_policy(quick_policy())
            finish(platform, 8, row)


@pytest.mark.long
def test_a_projection_killed_again_and_again_loses_and_doubles_nothing(platform: Platform, fault_row: FaultRows) -> None:
    platform.planner()
    platform.set_policy()
    platform.register(fleet(10))
    platform.runner()
    row = fault_row(
        "projection killed",
        "Processes",
        "the projection is killed five times at work",
        "offsets are committed with the rows: all baselines",
    )
    for commits in (1, 4, 2, 7, 3):
        before = applied(platform)
        projection = platform.projection(PROJECTION_BATCH="7")
        # Each one dies at work, after a few batches of its own, however long its start took.
        wait_for(f"{commits} batches of its own", lambda: applied(platform) > before + 7 * (commits - 1), every_s=0.01)  # noqa: B023
        projection.kill()
    row.heals()
    platform.projection()
    finish(platform, 10)
    row.recovers()
    found = asyncio.run(rebuild(platform.database.owner_url, platform.database.url(), platform.broker.bootstrap))
    assert found.differing == []
    row.said = f"rows that stand still; afterwards a rebuild beside them finds {len(found.differing)} tables that differ"
    row.keeps(audit(platform.broker.bootstrap))


@pytest.mark.long
def test_a_killed_database_comes_back_and_the_rows_are_those_of_the_log(platform: Platform, fault_row: FaultRows) -> None:
    begin(platform, bots=6)
    api = Api.start(platform)
    wait_for("first results", lambda: done(platform) >= 2)
    api.wait_fresh()
    platform.database.kill()
    row = fault_row("postgresql killed", "Servers", "PostgreSQL is killed, and started again at once", "by itself", api)
    platform.database.start()
    row.recovers()
    finish(platform, 6, row)
    found = asyncio.run(rebuild(platform.database.owner_url, platform.database.url(), platform.broker.bootstrap))
    assert found.differing == []


@pytest.mark.long
def test_a_drained_runner_gives_its_work_back_without_a_failure(platform: Platform) -> None:
    begin(platform, suite=LARGE_SUITE)
    job = wait_for("work under way", lambda: running(platform))
    assert next(service for service in platform.services if service.name == "job-runner").stop() == 0
    row = wait_for(
        "the release", lambda: platform.sql("SELECT * FROM bot_jobs WHERE id = %s AND (attempt = 2 OR status = 'SUCCEEDED')", job)
    )[0]
    assert row["failures"] == 0
    platform.set_policy(quick_policy())
    platform.runner()
    finish(platform, 6)


@pytest.mark.long
def test_a_job_that_always_loses_its_runner_ends_dead_and_not_for_ever(platform: Platform) -> None:
    """S9, S11: failures are bounded, and the cause says so."""
    begin(platform, bots=1, suite=LARGE_SUITE, failures_limit=2)
    for _ in range(2):
        wait_for("work under way", lambda: running(platform))  # a new runner compiles and warms up first
        current = [service for service in platform.services if service.name == "job-runner" and service.alive][-1]
        current.kill()
        wait_for("the expiry", lambda: running(platform) is None)
        if done(platform):
            pytest.fail("the job finished before its runner was killed")
        platform.runner()
    row = wait_for("the end", lambda: platform.sql("SELECT * FROM bot_jobs WHERE status = 'FAILED'"))[0]
    assert row["cause"] == "FAILURES_EXHAUSTED"
    platform.set_policy(quick_policy())
    finish(platform, 1)
    created = platform.one("SELECT min(created_at) FROM bot_jobs WHERE created_at > %s", row["finished_at"])
    assert (created - row["finished_at"]).total_seconds() >= 1.0 - 0.05, "the crash's cooldown"
