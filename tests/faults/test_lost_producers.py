"""Every service's producer loses its numbers, all at once: the platform works on by itself, and no job is lost or done twice.

What an outage of 40 s did to one of five is done here to all: the broker refuses every batch for a while. A producer that is not replaced is
refused for ever after (`tests/integration/test_producers.py` shows that).
"""

import time
from pathlib import Path

import pytest

from autonomy.topics import JOBS, PULSE, RUNNERS, RUNS
from support.log import audit
from support.measuring import FaultRows
from support.platform import Platform, a_platform, fleet, quick_policy, wait_for
from support.proof import Api
from support.servers import Database, a_broker, make_topics
from support.squeeze import squeezed

pytestmark = pytest.mark.servers
HEALED_WITHIN_S = 30.0
"""A new producer a second after the last, a lease of 3 s for what was under way, ticks each second; the rest is for a busy machine."""


def refused(platform: Platform, name: str) -> bool:
    """Whether a service of this name was refused a batch and replaced its producer."""
    return any("the producer is replaced" in service.log.read_text() for service in platform.services if service.name == name)


@pytest.fixture
def working(platform: Platform) -> Api:
    platform.projection()
    api = Api.start(platform)
    platform.planner()
    platform.runner()
    platform.set_policy(quick_policy())
    platform.register(fleet(8))
    wait_for("work under way", lambda: platform.one("SELECT count(*) FROM bot_jobs WHERE status = 'RUNNING'"))
    api.wait_fresh()
    return api


@pytest.mark.long
def test_all_producers_are_refused_and_everything_goes_on(working: Api, fault_row: FaultRows) -> None:
    platform = working.platform
    with squeezed(platform.broker.bootstrap, RUNS, JOBS, RUNNERS, PULSE):
        row = fault_row(
            "kafka refuses", "Servers", "Kafka refuses every record of planner, runner and proof API until each has lost its producer",
            "each producer is replaced", working,
        )  # fmt: skip
        for name in ("planner", "job-runner", "proof-api"):
            wait_for(f"the {name} is refused", lambda name=name: refused(platform, name))  # type: ignore[misc]
    row.heals()
    begun = time.monotonic()
    before = working.wait_fresh(HEALED_WITHIN_S)["proof"]["head"]["tick"]
    wait_for("ticks", lambda: working.autonomy()[1]["proof"]["head"]["tick"] > before + 2, HEALED_WITHIN_S)
    row.recovers()
    assert time.monotonic() - begun < 2 * HEALED_WITHIN_S
    accepted = wait_for(
        "a command", lambda: working.command({"type": "pause-loop"}, key="after").status_code in {200, 202}, HEALED_WITHIN_S
    )
    assert accepted
    assert working.command({"type": "resume-loop"}).status_code in {200, 202}
    wait_for("all baselines", lambda: platform.one("SELECT count(DISTINCT bot_id) FROM bot_backtests") == 8)
    found = audit(platform.broker.bootstrap)
    found.check()
    assert all(found.results[job.job_id] == 1 for job in found.jobs.values() if not job.status.is_live)
    row.keeps(found)


@pytest.mark.long
@pytest.mark.parametrize("away_s", [16.0, 40.0])
def test_a_broker_that_was_away_for_long(tmp_path: Path, database: Database, fault_row: FaultRows, away_s: float) -> None:
    """As it was seen: stopped in order, with records in flight, and started again. Nobody restarts a service."""
    with a_broker(tmp_path) as broker:
        make_topics(broker.bootstrap)
        database.empty()
        with a_platform(broker, database, tmp_path / "p") as platform:
            platform.projection()
            api = Api.start(platform)
            platform.planner()
            platform.runner()
            platform.set_policy(quick_policy())
            platform.register(fleet(4))
            api.wait_fresh()
            broker.stop()
            stopped = time.monotonic()
            row = fault_row(
                "kafka away", "Servers", f"Kafka is stopped in order with records in flight, and away for {away_s:g} s",
                "no service is restarted; producers that cannot go on are replaced", api,
            )  # fmt: skip
            wait_for("the outage's length", lambda: time.monotonic() - stopped >= away_s, away_s + 5)
            row.heals()
            broker.start()
            row.recovers(120)
            assert all(service.alive for service in platform.services)
            wait_for("all baselines", lambda: platform.one("SELECT count(DISTINCT bot_id) FROM bot_backtests") == 4)
            found = audit(broker.bootstrap)
            found.check()
            row.keeps(found)
