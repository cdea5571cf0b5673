"""The life of a bot beyond LAB: recommended, approved, running, judged, stopped, reverted, evolved.

Source: R-A3.6, R-A3.7, R-C1 to R-C3.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from autonomy.events import (
    BotChanged,
    BotDecision,
    CancelRequested,
    ChallengerJudged,
    CommandAccepted,
    DriftJudged,
    PinBot,
    PromotionRecommended,
    PromotionRequested,
    PromotionWithdrawn,
    RevertToLab,
    SessionClosed,
    SetPolicy,
    SetPromotionMode,
    StageChanged,
    TimingFound,
    UnpinBot,
)
from autonomy.gates import PromotionGate, Verdict
from autonomy.reasons import Reason
from autonomy.values import Cause, Drift, JobStatus, JobType, Stage, instant_of_ms
from planner.decide import promotion_gates
from planner.decide.view import build_view
from planner.decide.wishes import evolution_reason
from support.builders import a_digest, a_policy, a_summary, an_id, metrics
from support.lives import (
    a_document,
    a_fleet,
    a_search,
    approve,
    bot_of,
    job_of,
    mark,
    on_paper,
    order_of,
    plan_of,
    recommended,
    refused,
    reject,
    renew,
    research,
    revert,
    said,
    step,
    until_live,
    up_to_shadow,
    verdict_of,
)
from support.ticks import TickDriver, jobs_of

BOT = "aapl-sma"


# ── promotion ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bot_that_passes_every_gate_is_recommended_with_its_evidence() -> None:
    driver = a_fleet(BOT)
    attempt = research(driver, BOT)
    (found,) = said(attempt, PromotionRecommended)
    assert (found.bot_id, found.from_stage, found.to_stage) == (BOT, Stage.LAB, Stage.PAPER)
    assert [gate.code for gate in found.gates] == [gate.value for gate in promotion_gates.FROM_LAB]
    assert {gate.verdict for gate in found.gates} == {Verdict.PASS}
    assert found.evidence_job == bot_of(driver, BOT).evidence.job_id  # type: ignore[union-attr]
    assert bot_of(driver, BOT).stage is Stage.LAB  # MANUAL waits


SHAPE: dict[str, Any] = {"sharpe": 1.4, "trades": 80, "max_drawdown": 0.15, "exposure": 0.5, "bars_per_trade": 20.0}
WEAK: dict[PromotionGate, dict[str, Any]] = {
    PromotionGate.MIN_TRADES: {"metrics": metrics(**SHAPE | {"trades": 9})},
    PromotionGate.REALISM: {"look_ahead_ok": False},
    PromotionGate.TIMING: {"timing": TimingFound(z=2.967, p_value=0.002, markets=1000, seed=7)},
    PromotionGate.NET: {"net_t": 1.63},
    PromotionGate.LIMITS: {"metrics": metrics(**SHAPE | {"max_drawdown": 1.01})},
}
MISSING: dict[PromotionGate, dict[str, Any]] = {
    PromotionGate.REALISM: {"metrics": metrics(**SHAPE | {"bars_per_trade": None})},
    PromotionGate.TIMING: {"timing": TimingFound(z=None, p_value=1.0, markets=100, seed=7)},
    PromotionGate.NET: {"net_t": None},
    PromotionGate.LIMITS: {"metrics": metrics(**SHAPE | {"max_drawdown": None})},
}


@pytest.mark.parametrize("gate", WEAK)
def test_one_failing_gate_blocks(gate: PromotionGate) -> None:
    driver = a_fleet(BOT)
    attempt = research(driver, BOT, **WEAK[gate])
    assert not said(attempt, PromotionRecommended)
    assert verdict_of(driver, BOT, gate) is Verdict.FAIL


@pytest.mark.parametrize("gate", MISSING)
def test_missing_evidence_is_inconclusive_and_blocks(gate: PromotionGate) -> None:
    driver = a_fleet(BOT)
    attempt = research(driver, BOT, **MISSING[gate])
    assert not said(attempt, PromotionRecommended)
    assert verdict_of(driver, BOT, gate) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("change", [{"synthetic": True}, {"metrics": metrics(**SHAPE | {"exposure": 0.01})}], ids=["synthetic", "exposure"])
def test_other_ways_to_fail(change: dict[str, Any]) -> None:
    driver = a_fleet(BOT)
    assert not said(research(driver, BOT, **change), PromotionRecommended)


@pytest.mark.parametrize("gate", WEAK)
def test_gate_in_shadow_is_measured_without_a_say(gate: PromotionGate) -> None:
    driver = a_fleet(BOT)
    driver.command(
        SetPolicy,
        document=a_document(lab_gates={"shadow": [gate.value, *(["TIMING"] if gate is PromotionGate.MIN_TRADES else [])]}),
        role="approver",
    )
    step(driver)
    (found,) = said(research(driver, BOT, **WEAK[gate]), PromotionRecommended)
    # Too few trades are not looked at either.
    others = {gate.value, *(["TIMING"] if gate is PromotionGate.MIN_TRADES else [])}
    shown = {result.code: (result.verdict, result.deciding) for result in found.gates}
    assert shown[gate.value] == (Verdict.FAIL, False)
    assert all(verdict is Verdict.PASS and deciding for code, (verdict, deciding) in shown.items() if code not in others)


def test_gate_tree_is_published_when_a_verdict_or_the_evidence_changes_and_only_then() -> None:
    driver = a_fleet(BOT)
    first = next(decision for decision in said(driver.tries[0], BotDecision))
    assert {gate.verdict for gate in first.promotion} == {Verdict.INCONCLUSIVE}
    (after,) = [decision for decision in said(research(driver, BOT), BotDecision) if decision.bot_id == BOT]
    assert {gate.verdict for gate in after.promotion} == {Verdict.PASS}
    driver.command(PinBot, bot_id=BOT)
    later = [decision for attempt in (step(driver), step(driver)) for decision in said(attempt, BotDecision)]
    assert all(decision.promotion is None for decision in later)


def test_operator_approves_and_the_runner_starts_in_the_same_tick() -> None:
    driver = recommended()
    attempt = approve(driver, BOT, role="operator")
    (moved,) = said(attempt, StageChanged)
    assert (moved.from_stage, moved.to_stage, moved.reason_code, moved.actor) == (Stage.LAB, Stage.PAPER, "PROMOTED", "ada")
    assert moved.approved_by == ("ada",)
    assert moved.evidence_job is not None
    (order,) = [order for order in jobs_of(attempt) if order.bot_id == BOT]
    assert order.job_type is JobType.RUNNER_START
    assert order.paper is not None


def test_approval_asks_the_gates_again() -> None:
    driver = recommended()
    driver.command(SetPolicy, document=a_document(lab_gates={"min_trades": 1_000}), role="approver")
    attempt = approve(driver, BOT)  # the policy is in force when the approval is read, in the same tick
    assert refused(attempt) == "GATES_FAIL"
    assert bot_of(driver, BOT).stage is Stage.LAB


def test_recommendation_is_withdrawn_when_its_evidence_expires() -> None:
    driver = recommended()
    attempt = None
    for _ in range(40):
        attempt = step(driver, after_ms=30_000)
        if said(attempt, PromotionWithdrawn):
            break
    assert attempt is not None
    (gone,) = said(attempt, PromotionWithdrawn)
    assert (gone.outcome, gone.cause) == ("WITHDRAWN", "EVIDENCE_EXPIRED")
    assert {gate.code for gate in gone.gates} >= {"BASELINE_PASSED"}
    assert bot_of(driver, BOT).recommendation is None


def test_rejected_evidence_is_not_recommended_again_and_new_evidence_is() -> None:
    driver = recommended()
    (gone,) = said(reject(driver, BOT), PromotionWithdrawn)
    assert (gone.outcome, gone.actor, gone.reason) == ("REJECTED", "ada", "not yet")
    assert not any(said(step(driver), PromotionRecommended) for _ in range(3))
    until_live(driver, BOT, JobType.BACKTEST_REFRESH)
    assert said(research(driver, BOT), PromotionRecommended)


def test_approval_of_a_closed_recommendation_is_refused() -> None:
    driver = recommended()
    known = bot_of(driver, BOT).recommendation
    assert known is not None
    reject(driver, BOT)
    assert refused(approve(driver, BOT, recommendation_id=known.id)) == "NO_RECOMMENDATION"


def test_auto_applies_within_its_budget_and_never_while_paused() -> None:
    names = tuple(f"bot-{n}" for n in range(8))
    driver = a_fleet(*names)
    driver.command(SetPromotionMode, mode="AUTO", role="approver")
    step(driver)
    for name in names[:4]:
        research(driver, name)
    step(driver)
    moved = [event for attempt in driver.tries for event in said(attempt, StageChanged) if event.from_stage is not None]
    assert len(moved) == a_policy().promotion.auto_per_hour == 2
    assert {(event.reason_code, event.actor, event.to_stage) for event in moved} == {("AUTO_PROMOTED", "planner", Stage.PAPER)}
    waiting = [name for name in names[:4] if bot_of(driver, name).recommendation is not None]
    assert len(waiting) == 2


def test_stage_takes_no_more_than_its_share() -> None:
    driver = a_fleet(BOT)  # one of one would be all of the fleet
    research(driver, BOT)
    assert refused(approve(driver, BOT)) == "STAGE_FULL"


def test_canary_needs_two_approvers_and_nobody_approves_their_own_request() -> None:
    driver = up_to_shadow()
    mark(driver, BOT, 30)
    step(driver, after_ms=450_000)
    renew(driver, BOT)
    assert bot_of(driver, BOT).recommendation is not None
    assert refused(approve(driver, BOT, actor="olga", role="operator")) == "FORBIDDEN"
    (asked,) = said(approve(driver, BOT, actor="ada"), PromotionRequested)
    assert asked.actor == "ada"
    assert refused(approve(driver, BOT, actor="ada")) == "OWN_REQUEST"
    assert refused(approve(driver, BOT, actor="Ada\u200b")) == "OWN_REQUEST"
    (moved,) = said(approve(driver, BOT, actor="ben"), StageChanged)
    assert (moved.to_stage, moved.approved_by) == (Stage.CANARY, ("ada", "ben"))


def test_approvers_agree_on_one_policy_or_on_nothing() -> None:
    """Whoever loosens a gate between the two words would have the first one's for something else."""
    driver = up_to_shadow()
    mark(driver, BOT, 30)
    step(driver, after_ms=450_000)
    renew(driver, BOT)
    assert said(approve(driver, BOT, actor="ada"), PromotionRequested)
    driver.command(SetPolicy, document=a_document(cooldowns={"after_cancel_s": 1.0}), role="approver")
    (withdrawn,) = said(step(driver), PromotionWithdrawn)
    assert withdrawn.cause == "POLICY_CHANGED"


def test_promotion_without_a_gate_is_stopped_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = a_fleet(BOT, *(f"other-{n}" for n in range(9)))
    driver.command(SetPromotionMode, mode="AUTO", role="approver")
    step(driver)
    # The planted fault: a promoter that asks nothing.
    monkeypatch.setattr(promotion_gates, "all_pass", lambda *_: True)
    with pytest.raises(Exception, match="goes up without"):
        research(driver, BOT, net_t=0.1)


# ── paper sessions ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_unverified_import_is_blocked_and_wants_no_research() -> None:
    driver = a_fleet(BOT, stage="PAPER")
    (decision,) = said(driver.tries[0], BotDecision)
    assert decision.reason is Reason.BLOCKED_BY_GATES
    assert [blocker.code for blocker in decision.blockers] == ["UNVERIFIED_IMPORT"]
    assert not driver.live()


def test_session_outlives_its_jobs_and_goes_on_from_its_snapshot() -> None:
    driver = on_paper()
    before = bot_of(driver, BOT).paper
    mark(driver, BOT, 3)
    step(driver, after_ms=45_000)
    live = job_of(driver, BOT, JobType.RUNNER_START)
    driver.finish(live)
    step(driver)
    again = order_of(driver, job_of(driver, BOT, JobType.RUNNER_START))
    assert before is not None
    assert again.paper is not None
    assert again.job_id != live.job.job_id
    assert again.paper.session_id == before.session_id
    assert again.paper.snapshot is not None
    assert again.paper.snapshot.bars_seen == 2_004


def test_mark_of_an_old_bar_or_another_session_changes_nothing() -> None:
    driver = on_paper()
    mark(driver, BOT, 2)
    step(driver, after_ms=30_000)
    known = bot_of(driver, BOT).paper
    mark(driver, BOT, 1, bar=2_002, equity_usd=1.0)
    mark(driver, BOT, 1, session_id=an_id("another"))
    step(driver)
    assert bot_of(driver, BOT).paper == known
    mark(driver, BOT, 1)
    step(driver, after_ms=15_000)
    assert bot_of(driver, BOT).paper != known


def test_runner_whose_gates_fail_is_stopped_and_flattened() -> None:
    driver = on_paper()
    mark(driver, BOT, 12)
    step(driver, after_ms=180_000)
    until_live(driver, BOT, JobType.BACKTEST_REFRESH)
    attempt = research(driver, BOT, look_ahead_ok=False)
    (stop,) = [event for event in said(attempt, CancelRequested) if event.bot_id == BOT]
    assert (stop.cause, stop.actor) == (Cause.CANCELLED_BY_GATES, "planner")
    (closed,) = said(attempt, SessionClosed)
    assert (closed.units, closed.price_usd, closed.equity_usd, closed.cause) == (1.0, 99.9, 100_090.0, Cause.CANCELLED_BY_GATES)
    assert bot_of(driver, BOT).paper is None
    decision = next(decision for decision in said(attempt, BotDecision) if decision.bot_id == BOT)
    assert [blocker.code for blocker in decision.blockers] == ["REALISM"]


def test_runner_that_falls_behind_the_market_is_not_healthy() -> None:
    driver = on_paper()
    mark(driver, BOT, 30)
    step(driver, after_ms=450_000)
    assert verdict_of(driver, BOT, PromotionGate.RUNNER_HEALTHY) is Verdict.PASS
    step(driver, after_ms=120_000)
    assert verdict_of(driver, BOT, PromotionGate.RUNNER_HEALTHY) is Verdict.FAIL
    mark(driver, BOT, 8)
    step(driver)
    assert verdict_of(driver, BOT, PromotionGate.RUNNER_HEALTHY) is Verdict.PASS


def test_search_may_take_longer_than_its_own_budget() -> None:
    driver = recommended(searches=True)
    order = order_of(driver, job_of(driver, BOT, JobType.EVOLVE))
    assert order.evolution is not None
    assert order.timeout_s > order.evolution.max_wall_s


def test_hold_policy_stops_the_runner_and_keeps_the_session() -> None:
    driver = on_paper()
    driver.command(SetPolicy, document=a_document(runners={"stop": "HOLD"}), role="approver")
    mark(driver, BOT, 12)
    step(driver, after_ms=180_000)
    until_live(driver, BOT, JobType.BACKTEST_REFRESH)
    attempt = research(driver, BOT, look_ahead_ok=False)
    assert not said(attempt, SessionClosed)
    assert bot_of(driver, BOT).paper is not None


@pytest.mark.parametrize(
    ("engine", "verdict", "demote"),
    [
        ({}, Drift.CONSISTENT, False),
        ({"trades": 8}, Drift.MINOR, False),
        ({"trades": 8, "pnl_usd": 300.0}, Drift.MAJOR, True),
        ({"bars": 3}, Drift.INCONCLUSIVE, False),
    ],
    ids=["same", "one breach", "two breaches", "too short"],
)
def test_live_window_is_compared_with_the_engine(engine: dict[str, Any], verdict: Drift, demote: bool) -> None:
    driver = on_paper()
    mark(driver, BOT, 30)
    step(driver, after_ms=450_000)
    attempt = renew(driver, BOT, **engine)
    (found,) = said(attempt, DriftJudged)
    assert (found.verdict, found.demote) == (verdict, demote)
    assert bool(found.findings) is (verdict is not Drift.CONSISTENT)
    assert (verdict_of(driver, BOT, PromotionGate.DRIFT) is Verdict.PASS) is (verdict in {Drift.CONSISTENT, Drift.MINOR})


# ── revert ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_revert_moves_all_or_none_and_baselines_start_in_the_same_tick() -> None:
    driver = a_fleet("lab", *(f"paper-{n}" for n in range(3)))
    driver.register("p-1", "p-2", stage="PAPER")
    driver.register("c-1", stage="CANARY")
    driver.register("pinned", stage="LIVE", pinned=True, pin_reason="approved by the desk")
    step(driver)
    attempt = revert(driver)
    moved = said(attempt, StageChanged)
    assert {event.bot_id for event in moved} == {"p-1", "p-2", "c-1"}
    assert {(event.to_stage, event.reason_code) for event in moved} == {(Stage.LAB, "BULK_REVERT_REBASELINE")}
    (answer,) = said(attempt, CommandAccepted)
    assert answer.counts == {"REVERTED": 3, "PINNED": 1}
    assert [(outcome.bot_id, outcome.outcome) for outcome in answer.outcomes] == [("pinned", "PINNED")]
    assert {order.bot_id for order in jobs_of(attempt) if order.job_type is JobType.BACKTEST_BASELINE} >= {"p-1", "p-2", "c-1"}
    assert bot_of(driver, "pinned").stage is Stage.LIVE


def test_single_revert_takes_a_pinned_bot_too() -> None:
    driver = a_fleet()
    driver.register("pinned", stage="LIVE", pinned=True, pin_reason="approved")
    step(driver)
    (moved,) = said(revert(driver, bot_ids=("pinned",)), StageChanged)
    assert moved.reason_code == "REVERT_REBASELINE"


def test_revert_of_another_fleet_than_the_dry_run_changes_nothing() -> None:
    driver = a_fleet()
    driver.register("p-1", "p-2", stage="PAPER")
    step(driver)
    plan = plan_of(driver)
    driver.command(PinBot, bot_id="p-1", reason="kept")
    driver.command(RevertToLab, plan_hash=plan.hash, expected_count=2)
    attempt = step(driver)
    assert refused(attempt) == "PLAN_CHANGED"
    assert not said(attempt, StageChanged)
    assert bot_of(driver, "p-2").stage is Stage.PAPER


def test_revert_stops_and_flattens_the_runner_and_voids_the_evidence() -> None:
    driver = on_paper()
    mark(driver, BOT, 2)
    step(driver)
    runner = job_of(driver, BOT, JobType.RUNNER_START)
    attempt = revert(driver)
    assert [event.cause for event in said(attempt, CancelRequested) if event.bot_id == BOT and event.job_id == runner.job.job_id] == [
        Cause.CANCELLED_BY_REVERT
    ]
    (closed,) = said(attempt, SessionClosed)
    assert closed.units == 1.0
    bot = bot_of(driver, BOT)
    assert (bot.stage, bot.evidence, bot.paper, bot.recommendation) == (Stage.LAB, None, None, None)
    assert [order.job_type for order in jobs_of(attempt) if order.bot_id == BOT] == [JobType.BACKTEST_BASELINE]
    # A bar that the runner took before it read its end is void.
    step(driver)
    assert bot_of(driver, BOT).paper is None


def test_result_ordered_before_the_revert_counts_for_nothing() -> None:
    driver = on_paper()
    live = until_live(driver, BOT, JobType.BACKTEST_REFRESH, marks=1)
    driver.claim(live)
    step(driver)
    driver.beat()
    plan = plan_of(driver)
    driver.command(RevertToLab, plan_hash=plan.hash, expected_count=len(plan.moved))
    driver.tick(after_ms=1_000)
    # It lands after the revert was decided and before its end is effective: S9 accepts it, the evidence does not.
    driver.succeed(driver.state.jobs.rows[live.job.job_id], net_t=3.9)
    attempt = step(driver)
    assert live.job.job_id not in driver.state.jobs.rows
    assert bot_of(driver, BOT).evidence is None
    assert not said(attempt, PromotionRecommended)


def test_baseline_follows_a_revert_without_a_rest_although_a_job_was_cancelled() -> None:
    driver = on_paper()
    until_live(driver, BOT, JobType.BACKTEST_REFRESH, marks=1)
    waiting = revert(driver)
    assert not [order for order in jobs_of(waiting) if order.bot_id == BOT]
    (order,) = [order for order in jobs_of(step(driver)) if order.bot_id == BOT]
    assert order.job_type is JobType.BACKTEST_BASELINE


def test_same_revert_said_twice_acts_once() -> None:
    driver = a_fleet()
    driver.register("p-1", stage="PAPER")
    step(driver)
    plan = plan_of(driver)
    for _ in range(2):
        driver.command(RevertToLab, "the same", plan_hash=plan.hash, expected_count=1)
    attempt = step(driver)
    assert len(said(attempt, StageChanged)) == 1
    assert len(said(attempt, CommandAccepted)) == 1


def test_pin_ends_by_itself() -> None:
    driver = a_fleet(BOT)
    driver.command(PinBot, bot_id=BOT, reason="quarter end", until=instant_of_ms(driver.now_ms + 20_000))
    step(driver)
    assert bot_of(driver, BOT).pinned
    step(driver, after_ms=20_000)
    assert not bot_of(driver, BOT).pinned
    driver.command(UnpinBot, bot_id=BOT)
    assert refused(step(driver)) == "NOT_PINNED"


# ── evolution ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _weak() -> TickDriver:
    driver = a_fleet(BOT, searches=True)
    attempt = research(driver, BOT, metrics=metrics(sharpe=0.1), net_t=0.2)
    (order,) = [order for order in jobs_of(attempt) if order.bot_id == BOT]
    assert order.job_type is JobType.EVOLVE
    assert order.evolution is not None
    assert order.evolution.why == "WEAK"
    live = job_of(driver, BOT, JobType.EVOLVE)
    driver.claim(live)
    step(driver)
    return driver


def test_winner_becomes_the_next_version_and_starts_at_its_baseline() -> None:
    driver = _weak()
    live = job_of(driver, BOT, JobType.EVOLVE)
    driver.finish(live, evolution=a_search(live, order_of(driver, live)))
    attempt = step(driver)
    (judged,) = said(attempt, ChallengerJudged)
    assert (judged.verdict, judged.applied, judged.findings) == ("WINS", True, ())
    (changed,) = said(attempt, BotChanged)
    assert (changed.version, changed.parameters["fast"], changed.evolved_by, changed.actor) == (2, 10, live.job.job_id, "planner")
    bot = bot_of(driver, BOT)
    assert (bot.evidence, bot.trials) == (None, 192)
    (order,) = [order for order in jobs_of(attempt) if order.bot_id == BOT]
    assert (order.job_type, order.prior_trials) == (JobType.BACKTEST_BASELINE, 192)


@pytest.mark.parametrize(
    "change",
    [{"challenger": None}, {"paired_t": None}, {"paired_t": 1.95}, {"holdout_bars": 249}, {"synthetic": True}],
    ids=["none", "no difference", "no better than luck", "a short hold-out", "synthetic"],
)
def test_loser_changes_nothing_and_is_recorded(change: dict[str, Any]) -> None:
    driver = _weak()
    live = job_of(driver, BOT, JobType.EVOLVE)
    driver.finish(live, evolution=a_search(live, order_of(driver, live), **change))
    attempt = step(driver)
    (judged,) = said(attempt, ChallengerJudged)
    assert (judged.verdict, judged.applied) == ("LOSES", False)
    assert judged.findings
    assert not said(attempt, BotChanged)
    assert not [live for live in driver.live() if live.job.job_type is JobType.EVOLVE]  # not again on the same bytes


@pytest.mark.parametrize(("bars", "trades", "searched"), [(499, 80, False), (500, 80, True), (500, 19, False), (500, 20, True)])
def test_a_search_that_could_not_tell_a_find_from_luck_is_not_made(bars: int, trades: int, *, searched: bool) -> None:
    """250 bars are held out of a first search, half of its bars at most, and the bot must make ten trades in so many."""
    driver = a_fleet(BOT, searches=True)
    shape = SHAPE | {"sharpe": 0.1, "trades": trades}
    attempt = research(driver, BOT, bars=bars, metrics=metrics(**shape), net_t=0.2)
    assert [order.job_type for order in jobs_of(attempt) if order.bot_id == BOT] == ([JobType.EVOLVE] if searched else [])


def test_a_line_is_searched_again_only_on_bars_that_no_search_of_it_has_read() -> None:
    driver = _weak()
    live = job_of(driver, BOT, JobType.EVOLVE)
    driver.finish(live, evolution=a_search(live, order_of(driver, live), challenger=None))
    step(driver)
    bot = bot_of(driver, BOT)
    assert bot.evolved is not None
    assert evolution_reason(bot, build_view(driver.state, driver.now_ms)) is None
    assert bot.evidence is not None
    for unread, reason in ((254, None), (255, "WEAK")):  # the embargo and 250 bars
        shape = replace(bot.evidence.figures, trades=200)
        evidence = replace(bot.evidence, bars=bot.evolved.bars + unread, data_sha256=a_digest("later"), figures=shape)
        assert evolution_reason(replace(bot, evidence=evidence), build_view(driver.state, driver.now_ms)) == reason


def test_bot_at_the_door_is_challenged_once() -> None:
    driver = recommended(searches=True)
    live = job_of(driver, BOT, JobType.EVOLVE)
    order = order_of(driver, live)
    assert order.evolution is not None
    assert order.evolution.why == "AT_THE_DOOR"


def test_search_is_rate_limited_by_the_fleet() -> None:
    driver = a_fleet("a", "b")
    driver.command(SetPolicy, document=a_document(searches=True, evolution={"per_hour": 1, "concurrency": 5}), role="approver")
    step(driver)
    research(driver, "a", metrics=metrics(sharpe=0.1))
    attempt = research(driver, "b", metrics=metrics(sharpe=0.1))
    assert len([live for live in driver.live(JobStatus.QUEUED) if live.job.job_type is JobType.EVOLVE]) == 1
    decision = next(decision for decision in said(attempt, BotDecision) if decision.bot_id == "b")
    assert (decision.reason, decision.job_type, decision.limit) == (Reason.RATE_LIMITED, JobType.EVOLVE, "searches per hour")


def test_evidence_of_another_fingerprint_is_inconclusive() -> None:
    driver = a_fleet(BOT)
    live = job_of(driver, BOT)
    driver.claim(live)
    step(driver)
    driver.finish(driver.state.jobs.rows[live.job.job_id], result=a_summary(a_digest("another")))
    attempt = step(driver)
    assert not said(attempt, PromotionRecommended)
    assert verdict_of(driver, BOT, PromotionGate.BASELINE_PASSED) is Verdict.INCONCLUSIVE
