"""An idle fleet says almost nothing: one seal a tick, and a process of itself every five minutes; and yet everybody knows that it lives.

Source: docs/adr/0024-beats-are-heard-and-silence-is-sealed.md.
"""

import asyncio

import pytest

from autonomy.log_reader import LogReader
from autonomy.topics import INPUTS, PULSE, RUNS, TOPICS
from job_runner.claims.word import AGAIN_MS
from support.platform import Platform, fleet, quick_policy, wait_for

pytestmark = pytest.mark.servers
BOTS, TICKS = 30, 12
MOST_A_DAY = 3_000
TICKS_A_DAY, HEARTBEATS_A_DAY = 24 * 60, 86_400_000 / AGAIN_MS
PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}


def records(bootstrap: str, *topics: str) -> int:
    """How many records stand in some topics."""

    async def asked() -> int:
        async with await LogReader.open(bootstrap, {topic: [0] * PARTITIONS[topic] for topic in topics}) as reader:
            return sum(sum(ends) for ends in (await reader.ends(topics)).values())

    return asyncio.run(asked())


@pytest.mark.long
def test_an_idle_fleet_adds_one_record_a_tick_to_the_audited_log(platform: Platform) -> None:
    platform.planner()
    platform.projection()
    platform.runner()
    platform.set_policy(quick_policy(seconds_per_bar=86_400))
    platform.register(fleet(BOTS))
    wait_for("all baselines", lambda: platform.one("SELECT count(DISTINCT bot_id) FROM bot_backtests") == BOTS)
    idle = "SELECT count(*) FROM autonomy_planner_runs WHERE tick > %s AND zero_jobs_reason = 'NO_CANDIDATES_MATCH_POLICY'"
    wait_for("nothing due", lambda: platform.one(idle, (platform.one("SELECT max(tick) FROM autonomy_planner_runs") or 0) - 3) == 3)

    first, log, pulses = head(platform), records(platform.broker.bootstrap, RUNS, *INPUTS), records(platform.broker.bootstrap, PULSE)
    beat = platform.one("SELECT max(last_beat_at) FROM bot_runners")
    wait_for("idle ticks", lambda: head(platform) >= first + TICKS)
    ticks = head(platform) - first
    grown = records(platform.broker.bootstrap, RUNS, *INPUTS) - log

    assert platform.one("SELECT count(*) FROM bot_jobs WHERE status IN ('QUEUED', 'RUNNING')") == 0
    assert abs(grown - ticks) <= 2, f"{grown} records in {ticks} ticks: a seal each, and at most one heartbeat"
    assert TICKS_A_DAY + HEARTBEATS_A_DAY <= MOST_A_DAY
    assert records(platform.broker.bootstrap, PULSE) - pulses > ticks, "signs of life went on all the time"
    assert platform.one("SELECT max(last_beat_at) FROM bot_runners") > beat


def head(platform: Platform) -> int:
    return int(platform.one("SELECT max(tick) FROM autonomy_planner_runs") or 0)
