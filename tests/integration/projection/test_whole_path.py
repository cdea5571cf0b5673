"""The whole path on real servers: commands → ticks → claims → backtests → rows; and the read models' own promises."""

import asyncio

import psycopg
import pytest

from autonomy.chain import GENESIS
from autonomy.events import CancelJob, HoldBot, PauseLoop, RegisterBots, ResumeLoop, RetireBot
from autonomy.topics import RUNS
from projection.rebuild import rebuild
from projection.schema import make_schema
from support.log import append, audit
from support.platform import LARGE_SUITE, Platform, fleet, quick_policy, wait_for
from support.proof import Api
from support.ticks import a_seal

pytestmark = pytest.mark.servers


def succeeded(platform: Platform) -> int:
    return int(platform.one("SELECT count(*) FROM bot_jobs WHERE status = 'SUCCEEDED'") or 0)


def test_bots_get_baselines_without_anybody_starting_a_job(platform: Platform) -> None:
    """R-A3.5, R-A2, R-A3.4."""
    platform.planner()
    platform.projection()
    platform.runner()
    platform.set_policy()
    platform.register([*fleet(6), {"id": "fb", "strategy": "sma-cross", "symbol": "FB"}])
    wait_for("six baselines", lambda: platform.one("SELECT count(*) FROM bot_backtests") >= 6)
    runs = platform.sql("SELECT * FROM autonomy_planner_runs ORDER BY tick")
    assert [run["tick"] for run in runs] == list(range(1, len(runs) + 1))
    for run in runs:
        assert run["bots_registered"] == run["bots_evaluated"] == sum(run["reason_counts"].values())
        assert (run["zero_jobs_reason"] is None) == (run["jobs_enqueued"] > 0)
    decisions = platform.one("SELECT count(*) FROM autonomy_bot_decisions WHERE tick = %s", runs[-1]["tick"])
    assert decisions == runs[-1]["bots_evaluated"] == 7
    gate = platform.sql("SELECT * FROM bot_blockers WHERE bot_id = 'fb'")
    assert [row["code"] for row in gate] == ["MARKET_DATA"]
    assert "196 bars" in gate[0]["clears_when"]
    audit(platform.broker.bootstrap).check()


def test_refreshes_follow_the_market_and_never_repeat_the_same_bytes(platform: Platform) -> None:
    """R-A5: no job repeats a finished one on the same fingerprint and data."""
    platform.planner()
    platform.projection()
    platform.runner()
    platform.set_policy(quick_policy(seconds_per_bar=0.2))
    platform.register(fleet(4))
    wait_for("refreshes", lambda: (platform.one("SELECT count(*) FROM bot_backtests WHERE job_type = 'BACKTEST_REFRESH'") or 0) >= 8)
    repeated = platform.sql("SELECT bot_id, fingerprint, data_sha256, count(*) FROM bot_backtests GROUP BY 1, 2, 3 HAVING count(*) > 1")
    assert repeated == []


@pytest.mark.long
def test_a_rebuild_equals_the_live_read_models(platform: Platform) -> None:
    """R-F9, on a log with cancels, holds, a retirement, poison and voided steps."""
    platform.planner()
    platform.projection()
    platform.runner()
    platform.set_policy(quick_policy(suite=LARGE_SUITE))
    platform.register(fleet(8))
    job = wait_for("a running job", lambda: platform.one("SELECT id FROM bot_jobs WHERE status = 'RUNNING'"))
    platform.say(CancelJob, job_id=job)
    platform.say(HoldBot, bot_id="bot-001", reason="look at it")
    platform.say(RetireBot, bot_id="bot-002")
    append(platform.broker.bootstrap, "autonomy.jobs", 3, [b"{", b"not json"])
    wait_for("the cancel", lambda: platform.one("SELECT status FROM bot_jobs WHERE id = %s", job) == "CANCELLED")
    wait_for("results", lambda: succeeded(platform) >= 3)
    found = asyncio.run(rebuild(platform.database.owner_url, platform.database.url(), platform.broker.bootstrap))
    assert found.differing == []
    assert found.live["bot_jobs"] != found.live["bots"], "hashes of different tables differ: the comparison can fail"


def test_tables_of_another_release_are_folded_anew_while_the_planner_goes_on(platform: Platform) -> None:
    """ADR 0023: the new tables hold what the old ones held, and no tick waited for them."""
    platform.planner()
    first = platform.projection()
    platform.set_policy()
    platform.register(fleet(3))
    wait_for("the fleet", lambda: platform.one("SELECT count(*) FROM bots") == 3)
    before = platform.sql("SELECT id, stage, version, registered_at FROM bots ORDER BY id")
    first.stop()
    tick = platform.one("SELECT tick FROM projection_head")
    with psycopg.connect(platform.database.owner_url, autocommit=True) as owner:
        owner.execute("COMMENT ON SCHEMA autonomy IS 'Read models of Autonomy, version 0123456789ab'")
    refused = platform.projection()
    assert wait_for("its refusal", lambda: None if refused.alive else "ended")
    assert "this release needs" in platform.logs()
    make_schema(platform.database.owner_url)
    assert platform.one("SELECT count(*) FROM bots") == 0
    platform.projection()
    wait_for("the ticks since", lambda: (platform.one("SELECT tick FROM projection_head") or 0) > tick)
    assert platform.sql("SELECT id, stage, version, registered_at FROM bots ORDER BY id") == before
    found = asyncio.run(rebuild(platform.database.owner_url, platform.database.url(), platform.broker.bootstrap))
    assert found.differing == []


def test_a_tampered_row_makes_the_rebuild_differ(platform: Platform) -> None:
    """Negative control of the rebuild's comparison."""
    platform.planner()
    platform.projection()
    platform.set_policy()
    platform.register(fleet(3))
    wait_for("the fleet", lambda: platform.one("SELECT count(*) FROM bots") == 3)
    with psycopg.connect(platform.database.owner_url, autocommit=True) as connection:
        connection.execute("UPDATE autonomy.bots SET stage_reason_code = 'TAMPERED' WHERE id = 'bot-001'")
    found = asyncio.run(rebuild(platform.database.owner_url, platform.database.url(), platform.broker.bootstrap))
    assert found.differing == ["bots"]


def test_pause_means_pause_and_resume_goes_on(platform: Platform) -> None:
    """R-A4 LOOP_DISABLED; a pause keeps what would have happened."""
    platform.planner()
    platform.projection()
    platform.runner()
    platform.set_policy()
    paused = platform.say(PauseLoop, reason="maintenance")
    assert platform.command_status(paused)["status"] == "ACCEPTED"
    registered = platform.register(fleet(3))
    answer = platform.command_status(registered)
    assert [entry["outcome"] for entry in answer["outcomes"]] == ["REGISTERED"] * 3
    wait_for("paused ticks", lambda: (platform.one("SELECT count(*) FROM autonomy_planner_runs WHERE tick > %s", answer["tick"]) or 0) >= 2)
    assert platform.one("SELECT count(*) FROM bot_jobs") == 0
    assert platform.one("SELECT zero_jobs_reason FROM autonomy_planner_runs ORDER BY tick DESC LIMIT 1") == "LOOP_DISABLED"
    wait_for("would", lambda: platform.one("SELECT count(*) FROM bot_now WHERE would = 'SCHEDULED'") == 3)
    platform.say(ResumeLoop)
    wait_for("jobs", lambda: platform.one("SELECT count(*) FROM bot_jobs") == 3)


def test_poison_on_every_topic_is_quarantined_and_nothing_stops(platform: Platform) -> None:
    """The partition moves on, other bots are unaffected."""
    corpus = [
        b"", b"{", b"[]", b"\xff\xfe\x00", b'{"specversion":"1.0"}', b"[" * 10_000, b'{"a":NaN}', b'{"n":' + b"9" * 400 + b"}",
        b'{"s":"\\ud800"}', b'{"type":"unknown.v1"}', b"x" * 1_000_000,
    ]  # fmt: skip
    planner = platform.planner()
    projection = platform.projection()
    runner = platform.runner()
    platform.set_policy()
    for topic in ("autonomy.commands", "autonomy.runs", "autonomy.jobs", "autonomy.runners", "autonomy.pulse"):
        append(platform.broker.bootstrap, topic, 0, corpus)
    platform.register(fleet(3))
    wait_for("baselines in spite of poison", lambda: succeeded(platform) >= 3)
    counts = {row["topic"]: row["n"] for row in platform.sql("SELECT topic, count(*) AS n FROM quarantine GROUP BY 1")}
    for topic in ("autonomy.commands", "autonomy.runs", "autonomy.jobs", "autonomy.runners"):
        assert counts[topic] == len(corpus), counts
    assert planner.alive
    assert projection.alive
    assert runner.alive
    audit(platform.broker.bootstrap).check()


@pytest.mark.long
def test_foreign_headers_and_counts_in_the_chain_stop_no_reader(platform: Platform) -> None:
    """The same on `autonomy.runs`: headers that are null, and a seal that claims more records than anybody could count."""
    seal = a_seal(GENESIS, [], "foreign", count=2**53 - 1)
    services = [platform.planner(), platform.projection(), platform.runner()]
    api = Api.start(platform)
    platform.set_policy()
    for nothing in ("kind", "tick", "try", "seq"):
        headers = [(name, None if name == nothing else value) for name, value in seal.headers()]
        append(platform.broker.bootstrap, RUNS, 0, [seal.value], headers)
    append(platform.broker.bootstrap, RUNS, 0, [seal.value], seal.headers())
    platform.register(fleet(2))
    wait_for("baselines in spite of poison", lambda: succeeded(platform) >= 2)
    wait_for("a fresh proof", lambda: api.autonomy()[1]["proof"]["status"] == "fresh")
    assert platform.one("SELECT count(*) FROM quarantine WHERE topic = 'autonomy.runs'") == 4
    assert [service.name for service in (*services, api.service) if not service.alive] == []
    audit(platform.broker.bootstrap).check()


def test_bad_bots_get_a_field_and_a_limit_each_and_good_ones_live(platform: Platform) -> None:
    platform.planner()
    platform.projection()
    platform.runner()
    wait_for("announced strategies", lambda: platform.one('SELECT count(*) FROM bot_runners WHERE strategies @> \'[{"name": "macd"}]\''))
    said = platform.say(RegisterBots, bots=(
        {"id": "good", "strategy": "sma-cross", "symbol": "AAPL"},
        {"id": "good", "strategy": "macd", "symbol": "AAPL"},
        {"id": "Bad Id", "strategy": "sma-cross", "symbol": "AAPL"},
        {"id": "unknown-strategy", "strategy": "crystal-ball", "symbol": "AAPL"},
        {"id": "out-of-range", "strategy": "sma-cross", "symbol": "AAPL", "parameters": {"fast": 1}},
        {"id": "extra", "strategy": "sma-cross", "symbol": "AAPL", "code": "import os"},
        {"id": "unknown-symbol", "strategy": "sma-cross", "symbol": "NOPE"},
    ))  # fmt: skip
    outcomes = platform.command_status(said)["outcomes"]
    assert [entry["outcome"] for entry in outcomes] == ["REGISTERED", *["REJECTED"] * 5, "REGISTERED"]
    assert all(entry["field"] and entry["limit"] for entry in outcomes if entry["outcome"] == "REJECTED")
    wait_for(
        "a named gate", lambda: platform.one("SELECT measured FROM bot_blockers WHERE bot_id = 'unknown-symbol' AND code = 'MARKET_DATA'")
    )
