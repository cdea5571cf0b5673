"""Lane 1 is `state` and nothing else; lane 2 is never a badge; nothing about a bot is ever left empty.

Source: R-B1, R-B2, R-B3.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autonomy.values import BotState, Recency, iso
from bots_ui.assets import Assets, build_environment
from bots_ui.shown.matching import matches
from bots_ui.shown.moments import Moments
from bots_ui.shown.rows import BotRow, badge_of, next_of, row_of
from bots_ui.shown.words import FILTERS, REASON_WORDS, SHAPES, STATES

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOSTILE = '<img src=x onerror="alert(1)">'
JOB = {"jobId": "e39303ef-e302-5875-b19b-357185de971a", "jobType": "BACKTEST_BASELINE"}
BLOCKER = {
    "code": "UNVERIFIED_IMPORT", "verdict": "INCONCLUSIVE", "measured": "stage LIVE was imported", "required": "an earned stage",
    "clearsWhen": "revert the bot to LAB",
}  # fmt: skip


def a_document(state: str = "IDLE", **more: Any) -> dict[Any, Any]:
    """A row as the API tells it."""
    return {
        "botId": "aapl-sma", "name": "aapl-sma", "state": state, "since": iso(NOON - timedelta(seconds=42)), "reasonCode": "NOTHING_DUE",
        "detail": "", "would": None, "nextDueAt": None, "untilAt": None, "jobId": None, "jobType": None, "jobStatus": None, "phase": None,
        "progress": None, "lastBeatAt": None, "blockers": [], "recency": "none", "evidenceUntil": None, "evidenceAt": None, "sharpe": None,
        "maxDrawdown": None, "trades": None, "spark": [], "becauseEventId": None, "stage": "LAB", "strategy": "sma-cross", "symbol": "AAPL",
        "rev": 7,
    } | more  # fmt: skip


TEMPLATES = build_environment(Assets({}, ()))


def html_of(row: BotRow) -> str:
    return TEMPLATES.get_template("row.html").render(row=row, now=NOON)


def card_html(row: BotRow) -> str:
    """What stands behind the badge, as it is asked for."""
    return TEMPLATES.get_template("card_part.html").render(row=row, now=NOON)


def badge_html(document: dict[Any, Any], **more: Any) -> str:
    found = re.search(r"<button.*?</button>", html_of(row_of(document, NOON, **more)), re.DOTALL)
    assert found
    return found.group()


@pytest.mark.parametrize("state", list(BotState))
def test_every_state_has_its_own_shape_and_word(state: BotState) -> None:
    html = badge_html(a_document(state.value))
    assert f"#shape-{SHAPES[state]}" in html
    assert f'<span class="word">{STATES[state]}</span>' in html


def test_no_two_states_share_a_shape_or_a_word() -> None:
    assert len(set(SHAPES.values())) == len(set(STATES.values())) == len(BotState)


CONTRADICTIONS = (
    {**JOB, "jobStatus": "RUNNING", "progress": 0.5, "lastBeatAt": iso(NOON)},
    {**JOB, "jobStatus": "QUEUED"},
    {"jobId": "x", "jobType": "EVOLVE", "jobStatus": "RUNNING"},
    {"jobId": "x", "jobType": "RUNNER_START", "jobStatus": "RUNNING", "lastBeatAt": iso(NOON)},
    {"reasonCode": "BLOCKED_BY_GATES", "blockers": [BLOCKER]},
    {"recency": "fresh", "jobStatus": "SUCCEEDED"},
)


@pytest.mark.parametrize("state", list(BotState))
@pytest.mark.parametrize("lie", CONTRADICTIONS)
def test_contradictory_fields_do_not_move_the_badge(state: BotState, lie: dict[str, Any]) -> None:
    """The badge is `botNow.state` alone, whatever job, runner or decision fields say."""
    row = row_of(a_document(state.value, **lie), NOON)
    assert row.badge == badge_of(state.value)
    html = badge_html(a_document(state.value, **lie))
    assert re.findall(r"#shape-([a-z]+)", html) == [SHAPES[state]]
    for other in BotState:
        if other is not state:
            assert f">{STATES[other]}<" not in html


def test_negative_control_another_state_does_move_the_badge() -> None:
    assert row_of(a_document("IDLE"), NOON).badge != row_of(a_document("RUNNER_STALE"), NOON).badge


def test_running_backtest_shows_its_progress() -> None:
    html = badge_html(a_document("BACKTEST_RUNNING", **JOB, jobStatus="RUNNING", progress=0.719, lastBeatAt=iso(NOON)))
    assert "71 %" in html
    assert 'width="71"' in html


def test_queued_backtest_shows_its_place_in_line() -> None:
    assert "2nd in line" in badge_html(a_document("BACKTEST_QUEUED", **JOB, jobStatus="QUEUED", place=2))


def test_blocked_badge_names_the_first_gate_and_counts_the_others() -> None:
    assert "UNVERIFIED_IMPORT +1" in badge_html(a_document("BLOCKED_BY_GATES", blockers=[BLOCKER, {**BLOCKER, "code": "MARKET_DATA"}]))


@pytest.mark.parametrize(("age_s", "silent"), [(2, False), (14, False), (22, True)])
def test_running_job_without_a_beat_for_over_a_lease_turns_grey(age_s: int, silent: bool) -> None:
    document = a_document("BACKTEST_RUNNING", **JOB, jobStatus="RUNNING", progress=0.4, lastBeatAt=iso(NOON - timedelta(seconds=age_s)))
    html = badge_html(document)
    assert ("No heartbeat 22 s" in html) is silent
    assert ("silent" in html) is silent
    assert '<span class="word">Backtesting</span>' in html


def test_the_lease_in_force_counts_where_the_api_tells_it() -> None:
    document = a_document("BACKTEST_RUNNING", **JOB, jobStatus="RUNNING", lastBeatAt=iso(NOON - timedelta(seconds=22)), leaseSec=30)
    assert row_of(document, NOON).silent_s is None


def test_a_beat_says_nothing_while_the_data_is_not_current() -> None:
    document = a_document("BACKTEST_RUNNING", **JOB, jobStatus="RUNNING", lastBeatAt=iso(NOON - timedelta(seconds=99)))
    assert row_of(document, NOON, fresh=False).silent_s is None
    assert row_of(document, NOON, fresh=True).silent_s == 99


@pytest.mark.parametrize("recency", list(Recency))
def test_recency_is_a_pill_and_never_in_the_badge(recency: Recency) -> None:
    html = html_of(row_of(a_document(recency=recency.value), NOON))
    words = {"fresh": "Backtest: fresh", "stale": "Backtest: stale", "none": "No baseline"}[recency.value]
    assert f'<span class="pill">{words}</span>' in html
    assert words not in badge_html(a_document(recency=recency.value))


@pytest.mark.parametrize("state", [*BotState, "", "A_NEW_STATE"])
@pytest.mark.parametrize("reason", [None, "", "NOTHING_DUE", "A_NEW_REASON"])
def test_card_is_never_empty(state: str, reason: str | None) -> None:
    text = re.sub(r"<[^>]*>", " ", card_html(row_of(a_document(str(state), reasonCode=reason, since=None), NOON)))
    assert (reason or "reason not recorded") in text
    assert "start time not recorded" in text


def test_card_says_state_since_reason_job_and_blockers() -> None:
    document = a_document(
        "BACKTEST_RUNNING", **JOB, jobStatus="RUNNING", progress=0.3, phase="timing", lastBeatAt=iso(NOON), blockers=[BLOCKER],
        reasonCode="ACTIVE_JOB",
    )  # fmt: skip
    html = card_html(row_of(document, NOON))
    for word in (
        "Backtesting", "42 s", "2026-11-22 11:59:18 UTC", "<code>ACTIVE_JOB</code>", JOB["jobId"], "BACKTEST_BASELINE", "RUNNING", "30 %",
        "timing", "UNVERIFIED_IMPORT", "stage LIVE was imported", "an earned stage", "revert the bot to LAB",
    ):  # fmt: skip
        assert word in html, word


@pytest.mark.parametrize("field", ["name", "reasonCode", "detail", "would", "phase", "stage", "strategy", "symbol", "state"])
def test_hostile_text_is_escaped(field: str) -> None:
    document = a_document("BACKTEST_RUNNING", **JOB, jobStatus="RUNNING", lastBeatAt=iso(NOON)) | {field: HOSTILE}
    row = row_of(document, NOON)
    assert "<img" not in html_of(row) + card_html(row)


@pytest.mark.parametrize("field", ["code", "measured", "required", "clearsWhen"])
def test_hostile_blocker_is_escaped(field: str) -> None:
    html = card_html(row_of(a_document("BLOCKED_BY_GATES", blockers=[{**BLOCKER, field: HOSTILE}]), NOON))
    assert "<img" not in html
    assert "&lt;img" in html


def test_stale_runner_is_a_second_mark_beside_any_badge() -> None:
    html = html_of(row_of(a_document("BACKTEST_RUNNING", runnerStale=True), NOON))
    assert "runner stale" in html
    assert '<span class="word">Backtesting</span>' in html
    assert "runner stale" not in html_of(row_of(a_document("BACKTEST_RUNNING", runnerStale=False), NOON))


def test_imported_stage_is_marked_by_a_word_too() -> None:
    html = html_of(row_of(a_document("BLOCKED_BY_GATES", stage="LIVE", blockers=[BLOCKER]), NOON))
    assert 'aria-label="imported, not verified"' in html


def test_next_is_an_instant_or_what_would_have_to_happen() -> None:
    assert next_of(a_document(nextDueAt=iso(NOON)), ())[0] == NOON
    blocked = row_of(a_document("BLOCKED_BY_GATES", blockers=[BLOCKER]), NOON)
    assert (blocked.next_at, blocked.next_words) == (None, "revert the bot to LAB")


def test_filter_words_are_those_of_the_badges() -> None:
    document = a_document("IDLE")
    assert matches(document, {"state": ("IDLE",), "stage": ("LAB",)}, "AAPL")
    assert not matches(document, {"state": ("BACKTEST_RUNNING",)}, "")
    assert not matches(document, {}, "msft")


def test_every_reason_has_words() -> None:
    assert all(REASON_WORDS.values())


def test_reverted_import_is_not_marked_as_unverified_any_more() -> None:
    assert row_of(a_document(origin="IMPORTED", stage="LIVE", blockers=[BLOCKER]), NOON).unverified
    assert not row_of(a_document(origin="IMPORTED", stage="LAB"), NOON).unverified


LOOKED = Moments(35, NOON - timedelta(seconds=25), NOON + timedelta(seconds=34))


def card_of(document: dict[Any, Any], moments: Moments = LOOKED) -> dict[str, str]:
    """The three moments of a card, without tags."""
    found = re.search(r'<dl class="moments">(.*?)</dl>', card_html(row_of(document, NOON, moments=moments)), re.DOTALL)
    assert found
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", found.group(1), re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]*>", "", text).split()) for name, text in pairs}


def test_now_last_decision_and_next_decision_have_times_of_their_own() -> None:
    """An idle bot whose last decision was that it has a job is no contradiction: that was then."""
    card = card_of(a_document("IDLE", reasonCode="ACTIVE_JOB", nextDueAt=iso(NOON + timedelta(minutes=3))))
    assert card == {
        "Now": "no job: the one of the last decision has ended 42 s ago",
        "Last decision": "tick 35, 25 s ago: ACTIVE_JOB Everything that was due then already had a live job.",
        "Next decision": "at the next tick, in 34 s · due 12:03:00 UTC, in 3 min",
    }


def test_what_is_due_by_now_waits_for_a_tick_and_is_not_called_nothing_due() -> None:
    document = a_document("IDLE", nextDueAt=iso(NOON - timedelta(seconds=5)))
    row = row_of(document, NOON, moments=LOOKED)
    assert (row.due, row.extra) == (True, "due at the next tick")
    assert "nothing due" not in badge_html(document)
    assert 'due, decided <span class="next-tick">' in html_of(row)
    assert row_of(a_document("IDLE", nextDueAt=iso(NOON + timedelta(seconds=5))), NOON).extra == "nothing due"


def test_no_next_decision_is_promised_while_no_planner_answers() -> None:
    assert "no planner is responding" in card_of(a_document("IDLE"), Moments(35, NOON, None, silent=True))["Next decision"]
    assert card_of(a_document("IDLE"), Moments())["Next decision"] == "at the planner's next tick"


@pytest.mark.parametrize(("age_s", "word"), [(3, "Starting"), (15, "Starting"), (16, "Stale")])
def test_runner_is_starting_for_one_lease_and_then_stale(age_s: int, word: str) -> None:
    document = a_document(
        "RUNNER_STALE", since=iso(NOON - timedelta(seconds=age_s)), runnerStarting=True, leaseSec=15, jobId="x", jobType="RUNNER_START",
        jobStatus="RUNNING",
    )  # fmt: skip
    badge = row_of(document, NOON).badge
    assert (badge.code, badge.word) == ("RUNNER_STALE", word)
    # Negative control: one that beat before is stale at once.
    assert row_of(document | {"runnerStarting": False}, NOON).badge.word == "Stale"


@pytest.mark.parametrize("state", list(BotState))
def test_filter_is_called_by_every_word_of_its_badges(state: BotState) -> None:
    badges = {badge_of(state.value).word, badge_of(state.value, starting=True).word}
    assert all(word.lower() in FILTERS[state].lower() for word in badges)


TRADER = {"runnerJobId": "r", "runnerStatus": "RUNNING", "runnerBeatAt": iso(NOON), "runnerStale": False, "sessionPnl": 1_200.0}


@pytest.mark.parametrize("state", ["BACKTEST_RUNNING", "BACKTEST_QUEUED", "EVOLVING"])
def test_trader_is_seen_to_trade_beside_its_research(state: str) -> None:
    """The badge keeps the order of R-B1.1; the trade is a second mark beside it."""
    html = html_of(row_of(a_document(state, **TRADER), NOON))
    assert "trading +1,200 USD" in html
    assert f">{STATES[BotState(state)]}<" in html
    for more in ({"runnerStale": True}, {"runnerStatus": "QUEUED"}, {"runnerJobId": None, "runnerStatus": None}, {"runnerBeatAt": None}):
        assert "trading" not in html_of(row_of(a_document(state, **{**TRADER, **more}), NOON))


def test_trader_without_research_has_one_badge() -> None:
    assert "trades-on" not in html_of(row_of(a_document("RUNNER_RUNNING", **TRADER), NOON))
