"""Corners of a bot's life: two words in one tick, evidence that no longer stands, positions without a trader, trials that nobody saw.

Source: R-A3.6, R-A3.7, R-C1, R-C3.2; S6.
"""

from typing import Any

import pytest

from autonomy.events import (
    ApprovePromotion,
    BotChanged,
    BotDecision,
    CancelJob,
    ChallengerJudged,
    ChangeBot,
    CommandRejected,
    HoldBot,
    PauseLoop,
    PromotionRecommended,
    PromotionRequested,
    PromotionWithdrawn,
    ReleaseHold,
    RetireBot,
    RevertToLab,
    SessionClosed,
    SetPolicy,
    SetPromotionMode,
    StageChanged,
)
from autonomy.gates import PromotionGate, Verdict
from autonomy.reasons import Reason
from autonomy.revert_plan import Standing, revert_plan
from autonomy.timeframes import DAY_MS
from autonomy.values import Cause, Drift, JobStatus, JobType, Stage
from planner.check import step_up as check
from planner.decide import gates, promotion_gates
from planner.decide.stages import standing
from planner.decide.view import build_view
from planner.fold.entities import Drifted
from support.builders import a_digest, an_id, capabilities
from support.lives import (
    ALL_TYPES,
    a_document,
    a_fleet,
    a_search,
    approve,
    bot_of,
    engine_window,
    job_of,
    mark,
    on_paper,
    order_of,
    recommended,
    refused,
    research,
    said,
    step,
    until_live,
    verdict_of,
)
from support.ticks import TickDriver, jobs_of

BOT = "aapl-sma"


def say_approve(driver: TickDriver, actor: str = "ada") -> None:
    known = bot_of(driver, BOT).recommendation
    assert known is not None
    driver.command(ApprovePromotion, bot_id=BOT, recommendation_id=known.id, actor=actor, role="approver")


def other_costs() -> dict[str, Any]:
    document = a_document()
    document["research"]["costs"]["fee_bps"] = 50.0
    return document


# ── two words in one tick ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("then", ["retired", "stricter", "other costs", "reverted", "held"])
def test_what_follows_a_promotion_in_the_same_tick_does_not_stop_the_planner(then: str) -> None:
    driver = recommended()
    say_approve(driver)
    match then:
        case "retired":
            driver.command(RetireBot, bot_id=BOT)
        case "stricter":
            driver.command(SetPolicy, document=a_document(lab_gates={"min_trades": 1_000}), role="approver")
        case "other costs":
            driver.command(SetPolicy, document=other_costs(), role="approver")
        case "held":
            driver.command(HoldBot, bot_id=BOT)
        case _:
            _say_revert_of_after(driver)
    attempt = step(driver)
    ups = [event for event in said(attempt, StageChanged) if event.to_stage is Stage.PAPER]
    assert len(ups) == 1
    assert not said(attempt, CommandRejected)


def _say_revert_of_after(driver: TickDriver) -> None:
    """A revert whose dry run knows the promotion already."""
    after = [
        Standing(BOT, Stage.PAPER, 2, pinned=False, strategy=bot.strategy, symbol=bot.symbol) if bot.id == BOT else standing(bot)
        for bot in driver.state.bots.rows.values()
    ]
    probe = RevertToLab(command_id=an_id("dry run"), actor="ada", role="operator", plan_hash=a_digest("x"), expected_count=0)
    plan = revert_plan(probe, after)
    driver.command(RevertToLab, plan_hash=plan.hash, expected_count=len(plan.moved))


def test_check_measures_a_step_up_on_what_it_stood_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a promoter that asks nothing is stopped, also when the tick goes on to retire the bot."""
    driver = recommended()
    monkeypatch.setattr(promotion_gates, "all_pass", lambda *_: True)
    driver.command(SetPolicy, document=a_document(lab_gates={"min_trades": 1_000}), role="approver")
    say_approve(driver)
    driver.command(RetireBot, bot_id=BOT)
    with pytest.raises(Exception, match="goes up without MIN_TRADES"):
        step(driver)


# ── evidence that stands ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["AUTO", "MANUAL"])
def test_shadow_does_not_reach_evidence_that_expired(mode: str) -> None:
    driver = a_fleet(BOT, *(f"other-{n}" for n in range(9)))
    every = [gate.value for gate in promotion_gates.FROM_LAB]
    driver.command(SetPolicy, document=a_document(lab_gates={"shadow": every}), role="approver")
    step(driver)
    attempt = research(driver, BOT, net_t=0.2)
    assert said(attempt, PromotionRecommended)  # thresholds have no say
    withdrawn: list[Any] = []
    for _ in range(40):
        withdrawn += said(step(driver, after_ms=30_000), PromotionWithdrawn)
        if withdrawn:
            break
    assert [event.cause for event in withdrawn] == ["EVIDENCE_EXPIRED"]
    driver.command(SetPromotionMode, mode=mode, role="approver")
    for _ in range(3):
        step(driver)
    assert bot_of(driver, BOT).stage is Stage.LAB
    tree = promotion_gates.tree(bot_of(driver, BOT), build_view(driver.state, driver.now_ms))
    assert [gate.code for gate in tree if gate.deciding] == [PromotionGate.BASELINE_PASSED]


def test_code_that_no_runner_announces_proves_nothing() -> None:
    driver = recommended()
    driver.command(SetPromotionMode, mode="AUTO", role="approver")
    driver.runner(job_types=ALL_TYPES, evolve_slots=2, runner_slots=50, slots=8, strategies=())
    attempt = step(driver)
    assert bot_of(driver, BOT).stage is Stage.LAB
    assert not said(attempt, StageChanged)
    assert verdict_of(driver, BOT, PromotionGate.BASELINE_PASSED) is Verdict.INCONCLUSIVE


def test_evidence_on_bars_that_the_market_has_not_shown_does_not_stand() -> None:
    driver = a_fleet(BOT)
    attempt = research(driver, BOT, bars=1_000_000)
    assert not said(attempt, PromotionRecommended)
    tree = promotion_gates.tree(bot_of(driver, BOT), build_view(driver.state, driver.now_ms))
    assert {gate.verdict for gate in tree} == {Verdict.INCONCLUSIVE}
    assert "more than the market shows" in tree[0].measured


def test_changed_thresholds_are_told_although_no_verdict_changes() -> None:
    driver = a_fleet(BOT)
    research(driver, BOT)
    driver.command(SetPolicy, document=a_document(lab_gates={"min_trades": 12}), role="approver")
    told = [event for event in said(step(driver), BotDecision) if event.bot_id == BOT]
    assert [gate.required for event in told for gate in event.promotion if gate.code == "MIN_TRADES"] == ["at least 12 closed trades"]
    # A policy with the same thresholds repeats nothing.
    driver.command(SetPolicy, document=a_document(lab_gates={"min_trades": 12}, promotion={"auto_per_hour": 1}), role="approver")
    assert not [event for event in said(step(driver), BotDecision) if event.promotion]


# ── holds ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_held_bot_goes_nowhere_until_it_is_released() -> None:
    driver = recommended()
    driver.command(HoldBot, bot_id=BOT, reason="look at it first")
    driver.command(SetPromotionMode, mode="AUTO", role="approver")
    step(driver)
    assert bot_of(driver, BOT).stage is Stage.LAB
    assert refused(approve(driver, BOT)) == "ON_HOLD"
    driver.command(ReleaseHold, bot_id=BOT)
    step(driver)
    assert bot_of(driver, BOT).stage is Stage.PAPER


def test_held_bot_keeps_its_version_when_a_challenger_wins() -> None:
    driver = a_fleet(BOT, searches=True)
    research(driver, BOT)
    live = until_live(driver, BOT, JobType.EVOLVE)
    driver.claim(live)
    driver.command(HoldBot, bot_id=BOT)
    step(driver)
    live = driver.state.jobs.rows[live.job.job_id]
    driver.finish(live, evolution=a_search(live, order_of(driver, live)))
    attempt = step(driver)
    (judged,) = said(attempt, ChallengerJudged)
    assert (judged.verdict, judged.applied) == ("WINS", False)
    assert not said(attempt, BotChanged)


# ── positions without a trader ────────────────────────────────────────────────────────────────────────────────────────


def _session_without_runner(cause: Cause) -> TickDriver:
    driver = on_paper()
    mark(driver, BOT, 12)
    step(driver, after_ms=180_000)
    driver.fail(job_of(driver, BOT, JobType.RUNNER_START), cause)
    step(driver)
    return driver


def test_session_whose_runner_is_gone_is_closed_when_its_gates_fail() -> None:
    driver = _session_without_runner(Cause.RUNNER_LOST)
    assert bot_of(driver, BOT).paper is not None  # a crash rests and goes on
    until_live(driver, BOT, JobType.BACKTEST_REFRESH, after_ms=5_000)
    while driver.live(JobStatus.RUNNING):
        driver.fail(driver.live(JobStatus.RUNNING)[0], Cause.RUNNER_LOST)
        step(driver)
    live = next((live for live in driver.live() if live.job.bot_id == BOT and live.job.job_type is JobType.RUNNER_START), None)
    assert live is None or live.job.status is JobStatus.QUEUED
    until_live(driver, BOT, JobType.BACKTEST_REFRESH, after_ms=5_000)
    attempt = research(driver, BOT, look_ahead_ok=False)
    (closed,) = said(attempt, SessionClosed)
    assert (closed.cause, closed.units) == (Cause.CANCELLED_BY_GATES, 1.0)
    assert bot_of(driver, BOT).paper is None


def test_session_that_met_a_final_failure_is_closed() -> None:
    driver = _session_without_runner(Cause.STRATEGY_ERROR)
    closed = [event for attempt in driver.tries for event in said(attempt, SessionClosed)]
    assert [(event.cause, event.units) for event in closed] == [(Cause.STRATEGY_ERROR, 1.0)]
    assert bot_of(driver, BOT).paper is None


def test_held_position_does_not_go_on_under_other_costs() -> None:
    driver = recommended()
    driver.command(SetPolicy, document=a_document(runners={"stop": "HOLD"}), role="approver")
    approve(driver, BOT, role="operator")
    driver.claim(job_of(driver, BOT, JobType.RUNNER_START))
    step(driver)
    mark(driver, BOT, 3)
    step(driver, after_ms=45_000)
    before = bot_of(driver, BOT).paper
    assert before is not None
    document = other_costs()
    document["runners"]["stop"] = "HOLD"
    driver.command(SetPolicy, document=document, role="approver")
    closed: list[Any] = []
    for _ in range(20):
        closed += said(step(driver), SessionClosed)
    assert [(event.session_id, event.cause) for event in closed] == [(before.session_id, Cause.CANCELLED_BY_CHANGE)]
    assert bot_of(driver, BOT).paper is None


def test_pause_stops_new_work_and_no_trader() -> None:
    driver = on_paper()
    mark(driver, BOT, 3)
    driver.command(PauseLoop, reason="maintenance")
    step(driver, after_ms=45_000)
    live = job_of(driver, BOT, JobType.RUNNER_START)
    driver.finish(live)  # its six hours are over
    attempt = step(driver)
    (order,) = jobs_of(attempt)
    assert order.paper is not None
    assert order.paper.session_id == bot_of(driver, BOT).paper.session_id  # type: ignore[union-attr]
    assert not attempt.seal.loop_enabled
    # Negative control: everybody else, and a bot without a session, stays where it is.
    reasons = {decision.bot_id: decision.reason for decision in attempt.plan.decisions}
    assert {reason for bot_id, reason in reasons.items() if bot_id != BOT} == {Reason.LOOP_DISABLED}
    driver.claim(job_of(driver, BOT, JobType.RUNNER_START))
    step(driver)
    driver.fail(job_of(driver, BOT, JobType.RUNNER_START), Cause.RUNNER_LOST)
    orders = [order for _ in range(5) for order in jobs_of(step(driver, after_ms=60_000))]
    assert [order.bot_id for order in orders] == [BOT]  # a lost runner rests, and the session goes on
    driver.command(CancelJob, job_id=orders[0].job_id)
    assert not [order for _ in range(30) for order in jobs_of(step(driver, after_ms=60_000))]  # an operator's end is one


def test_runner_is_not_healthy_without_a_runner() -> None:
    driver = on_paper()
    mark(driver, BOT, 30)
    step(driver, after_ms=450_000)
    assert verdict_of(driver, BOT, PromotionGate.RUNNER_HEALTHY) is Verdict.PASS
    driver.command(CancelJob, job_id=job_of(driver, BOT, JobType.RUNNER_START).job.job_id)
    step(driver)
    assert verdict_of(driver, BOT, PromotionGate.RUNNER_HEALTHY) is Verdict.INCONCLUSIVE


def test_runner_of_another_version_that_joins_closes_no_session() -> None:
    driver = on_paper()
    mark(driver, BOT, 3)
    step(driver, after_ms=45_000)
    for number in range(5):
        newer = capabilities(f"newer-{number}", job_types=ALL_TYPES, evolve_slots=2, runner_slots=50, slots=8)
        driver.say(newer.model_copy(update={"engine_version": "2"}))
    attempts = [step(driver) for _ in range(3)]
    assert build_view(driver.state, driver.now_ms).disagreements == {"engine"}
    assert not [event for attempt in attempts for event in said(attempt, SessionClosed)]
    # Negative control: once they agree on the other version, the session of the old one is over.
    driver.say(
        capabilities("runner-1", job_types=ALL_TYPES, evolve_slots=2, runner_slots=50, slots=8).model_copy(update={"engine_version": "2"})
    )
    (closed,) = said(step(driver), SessionClosed)
    assert closed.cause is Cause.CANCELLED_BY_CHANGE


# ── words and rests ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_released_quarantine_does_not_stop_the_planner() -> None:
    driver = a_fleet(BOT)
    for _ in range(driver.state.policy.quarantine_after_crashes):
        live = until_live(driver, BOT, JobType.BACKTEST_BASELINE, after_ms=60_000)
        driver.claim(live)
        step(driver)
        driver.fail(driver.state.jobs.rows[live.job.job_id], Cause.RUNNER_LOST)
        step(driver)
    driver.command(ReleaseHold, bot_id=BOT)
    started = driver.now_ms
    while not driver.live():
        step(driver, after_ms=10_000)
    assert driver.now_ms - started >= 40_000  # the rest after one crash, from the end of the last


@pytest.mark.parametrize(("number", "said_last"), [(200, " and 192 more)"), (9, " and 1 more)"), (8, "SYMBOL-00000007 1d)")])
def test_many_symbols_do_not_burst_the_words_of_a_gate(number: int, said_last: str) -> None:
    driver = a_fleet()
    view = build_view(driver.state, driver.now_ms)
    many = {(f"SYMBOL-{each:08d}", "1d"): next(iter(view.data.values())) for each in range(number)}
    view.data.clear()
    view.data.update(many)
    bot = next(iter(a_fleet(BOT).state.bots.rows.values()))
    found = gates.findings(bot, JobType.BACKTEST_BASELINE, view)
    measured = next(each.measured for each in found if each.code.value == "MARKET_DATA")
    assert measured.endswith(said_last)
    assert len(measured) < 500


# ── the check beyond PAPER ────────────────────────────────────────────────────────────────────────────────────────────


def _at_the_door_of_shadow() -> TickDriver:
    driver = on_paper()
    mark(driver, BOT, 30)
    step(driver, after_ms=450_000)
    live = until_live(driver, BOT, JobType.BACKTEST_REFRESH, marks=1)
    research(driver, BOT, window=engine_window(driver, live))
    assert bot_of(driver, BOT).recommendation is not None
    return driver


@pytest.mark.parametrize(
    ("fault", "lack"),
    [("drift", "a session that does not drift"), ("bars", "traded bars"), ("runner", "a live paper session"), ("lag", "keeps up")],
)
def test_check_measures_the_live_gates_itself(fault: str, lack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.changes import replace

    driver = _at_the_door_of_shadow()
    bot, state = bot_of(driver, BOT), driver.state
    assert bot.paper is not None
    match fault:
        case "drift":
            state.bots.put(BOT, replace(bot, drift=Drifted(an_id("refresh"), bot.paper.session_id, Drift.MAJOR, ())))
        case "bars":
            state.bots.put(BOT, replace(bot, paper=replace(bot.paper, counted_from=bot.paper.traded_bars)))
        case "runner":
            state.jobs.drop(job_of(driver, BOT, JobType.RUNNER_START).job.job_id)
        case _:
            state.bots.put(BOT, replace(bot, paper=replace(bot.paper, last_ms=(bot.paper.last_ms or 0) - 400 * DAY_MS)))
    monkeypatch.setattr(promotion_gates, "all_pass", lambda *_: True)  # the planted fault
    say_approve(driver)
    with pytest.raises(Exception, match=lack):
        step(driver)


def test_live_gates_say_what_they_stand_on_and_how_old_it_is() -> None:
    driver = _at_the_door_of_shadow()
    bot = bot_of(driver, BOT)
    found = {gate.code: gate for gate in promotion_gates.tree(bot, build_view(driver.state, driver.now_ms))}
    healthy, drift = found[PromotionGate.RUNNER_HEALTHY], found[PromotionGate.DRIFT]
    assert bot.drift is not None
    assert (healthy.evidence_job, drift.evidence_job) == (bot.runner.job_id, bot.drift.job_id)
    assert healthy.evidence_age_bars is not None
    assert drift.evidence_age_bars == found[PromotionGate.LIMITS].evidence_age_bars is not None


def test_check_lets_a_sound_step_beyond_paper_pass() -> None:
    driver = _at_the_door_of_shadow()
    (moved,) = said(approve(driver, BOT), StageChanged)
    assert moved.to_stage is Stage.SHADOW
    assert check.check_step_up(moved, driver.state, driver.now_ms)  # afterwards it is no step from PAPER any more


# ── two approvers, one evidence ───────────────────────────────────────────────────────────────────────────────────────


def test_two_approvers_agree_to_the_same_evidence() -> None:
    driver = _at_the_door_of_shadow()
    approve(driver, BOT)
    mark(driver, BOT, 30)
    step(driver, after_ms=450_000)
    live = until_live(driver, BOT, JobType.BACKTEST_REFRESH, marks=1)
    research(driver, BOT, window=engine_window(driver, live))
    assert said(approve(driver, BOT, actor="ada"), PromotionRequested)
    live = until_live(driver, BOT, JobType.BACKTEST_REFRESH, marks=1)
    attempt = research(driver, BOT, window=engine_window(driver, live))
    assert [event.cause for event in said(attempt, PromotionWithdrawn)] == ["EVIDENCE_CHANGED"]
    assert said(attempt, PromotionRecommended)
    # What ben says now is a first approval of the new evidence, not a second one of the old.
    attempt = approve(driver, BOT, actor="ben")
    assert [event.actor for event in said(attempt, PromotionRequested)] == ["ben"]
    assert bot_of(driver, BOT).stage is Stage.SHADOW


# ── trials ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["changed", "cancelled", "lost"])
def test_trials_of_a_search_count_whatever_became_of_it(end: str) -> None:
    driver = a_fleet(BOT, searches=True)
    research(driver, BOT)
    live = until_live(driver, BOT, JobType.EVOLVE)
    driver.claim(live)
    step(driver)
    live = driver.state.jobs.rows[live.job.job_id]
    budget = driver.state.policy.evolution.max_evaluations
    match end:
        case "changed":
            # The result lands after the change was decided and before its cancellation: it was seen, so it counts.
            driver.finish(live, evolution=a_search(live, order_of(driver, live)))
            driver.command(ChangeBot, bot_id=BOT, parameters={"fast": 11})
            step(driver)
            assert bot_of(driver, BOT).trials == 192
        case "cancelled":
            driver.command(CancelJob, job_id=live.job.job_id)
            step(driver)
            step(driver)
            assert bot_of(driver, BOT).trials == budget
        case _:
            driver.fail(live, Cause.RUNNER_LOST)
            step(driver)
            assert bot_of(driver, BOT).trials == budget


def test_search_that_nobody_claimed_costs_no_trials() -> None:
    driver = a_fleet(BOT, searches=True)
    research(driver, BOT)
    live = until_live(driver, BOT, JobType.EVOLVE)
    assert live.job.status is JobStatus.QUEUED
    driver.command(CancelJob, job_id=live.job.job_id)
    step(driver)
    step(driver)
    assert bot_of(driver, BOT).trials == 0
