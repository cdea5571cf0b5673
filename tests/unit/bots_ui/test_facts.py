"""The header never lies: each way of not knowing is said differently.

Source: R-A1.3, R-A4.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autonomy.values import iso
from bots_ui.assets import Assets, build_environment
from bots_ui.shown.facts import Facts, Link, facts_of

TEMPLATES = build_environment(Assets({}, ()))
SHIPPED = {
    "sourceId": "bokeh-sampledata/stocks.csv.gz@5abadf99b2d394f9", "timeframe": "1d", "synthetic": False, "firstBar": "2000-03-01T00:00:00Z",
    "lastBar": "2013-03-01T00:00:00Z", "bars": 12_154, "symbols": ["AAPL", "FB", "GOOG", "IBM", "MSFT"],
}  # fmt: skip
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def a_proof(**more: Any) -> dict[str, Any]:
    checks = {"kafka": "ok", "postgres": "ok", "projection": "ok", "planner": "ok", "chain": "ok", "canary": "off"}
    return {
        "status": "fresh", "verdict": "TICKING", "reason": None, "asOf": iso(NOON), "projectionLagMs": 400, "plannerPulseAgeMs": 300,
        "nextTickAt": iso(NOON + timedelta(seconds=48)), "checks": checks | more.pop("checks", {}),
    } | more  # fmt: skip


def a_document(proof: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    summary = {
        "tick": 1284, "botsEvaluated": 30, "jobsEnqueued": 0, "blocked": 12, "reasonCounts": {"BLOCKED_BY_GATES": 12, "NOTHING_DUE": 18},
        "blockersTop": [{"code": "UNVERIFIED_IMPORT", "count": 12}], "zeroJobs": {"reason": "MIXED", "counts": {}, "blockersTop": []},
    }  # fmt: skip
    return {
        "loopEnabled": True, "lastTickAt": iso(NOON - timedelta(seconds=12)), "tickIntervalSec": 60.0, "lastDecisionSummary": summary,
        "marketNow": {"at": "2010-06-11T00:00:00.000Z", "mode": "REPLAY"}, "pausedBy": [], "proof": proof or a_proof(),
    } | more  # fmt: skip


def facts(document: dict[str, Any], lost_since: datetime | None = None, sources: tuple[dict[str, Any], ...] = (SHIPPED,)) -> Facts:
    return facts_of(Link(document, NOON, lost_since, "no connection", sources), NOON)


def header(found: Facts) -> str:
    return TEMPLATES.get_template("head.html").render(facts=found, now=NOON)


def test_fresh_and_ticking() -> None:
    found = facts(a_document())
    html = header(found)
    assert found.fresh
    for words in (
        ">0 s</time> old",
        "tick 1,284",
        "12 s",
        "in 48 s",
        "TICKING",
        "30 evaluated",
        "replay market",
        "5 symbols, daily, to 2013-03-01",
        "source: bokeh-sampledata/stocks.csv.gz",
    ):
        assert words in html, words


def test_sources_that_read_the_same_are_said_once_and_many_different_ones_do_not_fill_the_page() -> None:
    def of(number: int, last: str) -> dict[str, Any]:
        return {**SHIPPED, "sourceId": f"folder/S{number}/1d.csv", "symbols": [f"S{number}"], "lastBar": f"{last}T00:00:00.000Z"}

    found = facts(a_document(), sources=(SHIPPED, *(of(number, "2025-07-11") for number in range(50))))
    assert [one.words for one in found.sources] == ["5 symbols, daily, to 2013-03-01", "50 symbols, daily, to 2025-07-11"]
    assert found.sources[1].name == "folder/S0/1d.csv, folder/S1/1d.csv, folder/S2/1d.csv and 47 more"
    html = header(facts(a_document(), sources=tuple(of(number, f"2025-07-{number + 10}") for number in range(8))))
    assert html.count("1 symbol, daily") == 3
    assert '<a href="/workers">5 more</a>' in html


def test_why_idle_counts_are_links_that_filter() -> None:
    html = header(facts(a_document()))
    assert 'href="/?reason=BLOCKED_BY_GATES"' in html
    assert 'href="/?reason=NOTHING_DUE"' in html
    assert "UNVERIFIED_IMPORT 12" in html
    assert "for more than one reason" in html


def test_paused_says_by_whom_and_why() -> None:
    pause = {"scope": "fleet", "target": "", "actor": "ada", "reason": "release", "since": iso(NOON - timedelta(minutes=5))}
    found = facts(a_document(a_proof(verdict="PAUSED"), loopEnabled=False, pausedBy=[pause]))
    assert found.loop == "paused"
    html = header(found)
    assert "PAUSED" in html
    assert "by ada: release" in html


@pytest.mark.parametrize(
    ("proof", "lost", "trust", "words"),
    [
        (a_proof(status="stale", reason="the projection is 12.0 s behind", asOf=iso(NOON - timedelta(seconds=12))), None, "stale", "behind by"),
        (a_proof(status="unverified", verdict=None, reason="Kafka was last seen 7.1 s ago", checks={"kafka": "down", "planner": "unknown"}), None, "unverified", "Kafka does not answer"),
        (a_proof(status="unavailable", verdict=None, reason="PostgreSQL does not answer", asOf=None), None, "unavailable", "PostgreSQL does not answer"),
        (a_proof(), NOON - timedelta(seconds=9), "unreachable", "API unreachable for"),
    ],
)  # fmt: skip
def test_each_way_of_not_knowing_has_its_words(proof: dict[str, Any], lost: datetime | None, trust: str, words: str) -> None:
    found = facts(a_document(proof), lost)
    assert found.trust == trust
    assert not found.fresh
    html = header(found)
    assert words in html
    assert f'data-trust="{trust}"' in html
    assert 'id="warning" hidden' not in html


def test_unreachable_api_is_never_shown_as_a_running_planner() -> None:
    html = header(facts(a_document(), NOON - timedelta(seconds=9)))
    assert "TICKING" not in html
    assert "Can&#39;t reach the proof API since 11:59:51 UTC (no connection)" in html


def test_silent_planner_is_red_while_the_data_stays_current() -> None:
    found = facts(a_document(a_proof(verdict="DOWN", plannerPulseAgeMs=9000, checks={"planner": "down"}, reason="no pulse")))
    assert found.fresh
    assert found.planner.tone == "bad"
    assert "silent for" in header(found)


def test_late_planner_is_amber() -> None:
    found = facts(a_document(a_proof(verdict="LATE", checks={"planner": "late"})))
    assert (found.planner.tone, found.planner.words) == ("warn", "late: no tick for")


def test_a_fleet_that_nobody_can_work_for_is_red_and_says_why() -> None:
    """Ticks go on, nothing can run."""
    proof = a_proof(verdict="STALLED", reason="no runner process lives, nothing can run for 3 bots", checks={"runners": "down"})
    found = facts(a_document(proof))
    assert (found.verdict, found.verdict_tone, found.planner.tone) == ("STALLED", "bad", "ok")
    assert "no runner process lives" in header(found)


def test_a_check_that_fails_beside_a_planner_that_ticks_is_said() -> None:
    found = facts(a_document(a_proof(reason="the proof API's clock differs", checks={"clock": "wrong"})))
    assert (found.verdict, found.verdict_tone) == ("TICKING", "ok")
    assert "the proof API&#39;s clock differs" in header(found)
    assert 'id="verdict-why"' not in header(facts(a_document())), "nothing to say while all is well"


def test_the_three_facts_are_said_apart() -> None:
    """Data that is not current says nothing about the planner, and the other way round."""
    tones = {
        (facts(a_document(proof)).data.tone, facts(a_document(proof)).planner.tone)
        for proof in (
            a_proof(), a_proof(status="stale", reason="x"), a_proof(checks={"planner": "down"}),
            a_proof(status="unverified", reason="x", checks={"planner": "unknown"}),
        )
    }  # fmt: skip
    assert tones == {("ok", "ok"), ("warn", "ok"), ("ok", "bad"), ("warn", "unknown")}


def test_before_the_first_tick() -> None:
    summary = {"botsEvaluated": 0, "jobsEnqueued": 0, "blocked": 0, "reasonCounts": {}, "zeroJobs": {"reason": "NO_TICK_YET"}}
    html = header(facts(a_document(lastDecisionSummary=summary, lastTickAt=None, marketNow=None)))
    assert "no tick has been accepted yet" in html


def test_nothing_heard_yet() -> None:
    found = facts_of(Link({}, None, None, ""), NOON)
    assert found.trust == "starting"
    assert "not known" in header(found)


def test_hostile_pause_reason_is_escaped() -> None:
    pause = {"scope": "fleet", "actor": "<img onerror=x>", "reason": "<img onerror=x>", "since": iso(NOON)}
    assert "<img" not in header(facts(a_document(loopEnabled=False, pausedBy=[pause])))


def test_a_replay_that_has_ended_is_said_and_one_that_goes_on_is_not() -> None:
    ended = {"at": "2013-03-01T00:00:00.000Z", "mode": "REPLAY", "end": "2013-03-01", "ended": True}
    assert "the replay has ended" in header(facts(a_document(marketNow=ended)))
    assert "the replay has ended" not in header(facts(a_document(marketNow=ended | {"ended": False})))


def test_blocked_is_said_of_bots_with_something_due_never_of_all() -> None:
    summary = a_document()["lastDecisionSummary"] | {"zeroJobs": {"reason": "ALL_BOTS_BLOCKED_BY_GATES"}}
    html = header(facts(a_document(lastDecisionSummary=summary)))
    assert "every bot with something due is blocked by gates" in html
    assert "all bots" not in html


@pytest.mark.parametrize(("reason", "words"), [("maintenance", "by ada: maintenance"), ("", "by ada")])
def test_a_pause_says_who_and_why_if_that_was_said(reason: str, words: str) -> None:
    pause = {"scope": "fleet", "target": "", "actor": "ada", "reason": reason, "since": None}
    assert facts(a_document(loopEnabled=False, pausedBy=[pause])).paused == words


def test_every_word_about_data_is_announced() -> None:
    """Of a folder of somebody's own the header says what the folder announced, and nothing of the bars that were shipped."""
    own = {"sourceId": "folder:prices@0f", "timeframe": "1h", "synthetic": True, "lastBar": "2026-11-28T00:00:00Z", "symbols": ["BTC-USDT"]}
    html = header(facts(a_document(), sources=(own,)))
    assert "1 symbol, 1h, made up, to 2026-11-28" in html
    assert "source: folder:prices" in html
    assert "2013" not in html
    assert "stocks" not in html
    nothing = header(facts(a_document(), sources=()))
    assert "no runner has announced its data" in nothing


def test_age_of_the_data_is_an_instant_that_ages() -> None:
    html = header(facts(a_document(a_proof(asOf=iso(NOON - timedelta(seconds=2))))))
    assert re.search(r'id="fact-data".*?<time datetime="2026-11-22T11:59:58.000Z"[^>]*data-rel="ago">2 s</time> old', html)


@pytest.mark.parametrize("runners", ["silent", {"status": "silent", "seen": 0}])
def test_verdict_and_checks_that_the_page_does_not_know_are_shown_as_they_are(runners: Any) -> None:
    """Nothing that a newer proof says is left out, and none of it is shown in the colour of all is well."""
    reason = "no runner holds an announcement"
    for verdict, tone in (("STALLED", "bad"), ("SOMETHING_NEW", "warn")):
        found = facts(a_document(a_proof(verdict=verdict, reason=reason, checks={"runners": runners, "probe": "ok", "clock": None})))
        assert (found.verdict, found.verdict_tone, found.reason, found.failing) == (verdict, tone, reason, ("runners: silent",))
        html = header(found)
        for words in (verdict, reason, "check runners: silent"):
            assert words in html
    assert "check " not in header(facts(a_document()))
