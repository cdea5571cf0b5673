"""What every bot should do next, and why: each reason, their order, the limits, and that nobody starves.

Source: R-A3.3 to R-A3.5, R-A4.
"""

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.gates import GateCode, Verdict
from autonomy.reasons import Reason, ZeroJobs
from autonomy.values import Cause, JobClass, JobStatus, JobType, Stage
from planner.check.plans import check
from planner.decide.gates import findings
from planner.decide.looking import digest_of
from planner.decide.plan import decide, pause_of
from planner.decide.view import build_view
from planner.decide.wishes import cooldown_until_ms
from planner.fold.entities import Bot, Evidence, Failure, Pause
from planner.fold.state import State
from support.builders import (
    HOUR_MS,
    NOON_MS,
    a_bot,
    a_digest,
    a_live_job,
    a_policy,
    a_state,
    an_id,
    bar_starts,
    by_bot,
    capabilities,
    ended,
    figures,
    plan_at,
)
from support.changes import replace
from support.days import utc_ms

START_MS = utc_ms(2010, 1, 4)
MINUTE_MS = 60_000


def evidence_of(state: State, bot: Bot, *, until_ms: int = START_MS, bars: int | None = None, ended_ms: int = NOON_MS) -> Evidence:
    """Evidence that is right for the bot as it is."""
    view = build_view(state, NOON_MS)
    shown = view.data[bot.symbol, bot.timeframe].bars if bars is None else bars
    return Evidence(an_id("evidence"), view.fingerprint(bot), a_digest("bars"), until_ms, shown, ended_ms, figures(net_t=0.4))


def with_baseline(state: State, bot_id: str, **changes: Any) -> Bot:
    """The bot with a finished baseline."""
    bot = state.bots.rows[bot_id]
    bot = replace(bot, evidence=evidence_of(state, bot, **changes), research=ended("SUCCEEDED"))
    state.bots.put(bot_id, bot)
    return bot


def pause(state: State, scope: str = "fleet", target: str = "") -> None:
    state.pauses.put(f"{scope}/{target}", Pause(scope, target, "ada", NOON_MS, "maintenance"))


def only(state: State, now_ms: int = NOON_MS) -> Any:
    """The decision about the only bot."""
    plan, view = plan_at(state, now_ms)
    assert check(plan, state, view) == []
    (decision,) = plan.decisions
    return decision


# ── each reason ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bot_without_a_baseline_is_scheduled() -> None:
    decision = only(a_state(a_bot()))
    assert (decision.reason, decision.job_type) == (Reason.SCHEDULED, JobType.BACKTEST_BASELINE)
    assert decision.due_since_ms == NOON_MS


def test_evidence_of_another_fingerprint_is_no_baseline() -> None:
    state = a_state(a_bot())
    bot = with_baseline(state, "aapl-sma")
    assert bot.evidence is not None
    state.bots.put(bot.id, replace(bot, evidence=replace(bot.evidence, fingerprint=a_digest("before"))))
    assert only(state).job_type is JobType.BACKTEST_BASELINE


def test_new_strategy_code_asks_for_a_new_baseline() -> None:
    state = a_state(a_bot())
    with_baseline(state, "aapl-sma")
    assert only(state).reason is Reason.NOTHING_DUE
    newer = a_state(state.bots.rows["aapl-sma"], runners=(capabilities(code="v2"),))
    assert only(newer).job_type is JobType.BACKTEST_BASELINE


def test_paused_fleet_schedules_nothing_and_keeps_what_would_have_been() -> None:
    state = a_state(a_bot())
    pause(state)
    decision = only(state)
    assert (decision.reason, decision.would) == (Reason.LOOP_DISABLED, Reason.SCHEDULED)
    assert decision.detail == "fleet paused by ada"


@pytest.mark.parametrize(("scope", "target"), [("stage", "LAB"), ("bot", "aapl-sma")])
def test_pause_of_a_part_leaves_the_rest(scope: str, target: str) -> None:
    state = a_state(a_bot(), a_bot("imported", stage=Stage.PAPER, verified=False), a_bot("ibm-rsi", stage=Stage.LAB))
    pause(state, scope, target)
    plan, _ = plan_at(state)
    decisions = by_bot(plan)
    assert decisions["aapl-sma"].reason is Reason.LOOP_DISABLED
    assert decisions["imported"].reason is Reason.BLOCKED_BY_GATES
    assert (decisions["ibm-rsi"].reason is Reason.LOOP_DISABLED) is (scope == "stage")


def test_widest_pause_is_named() -> None:
    state = a_state(a_bot())
    pause(state, "bot", "aapl-sma")
    pause(state)
    assert pause_of(state.bots.rows["aapl-sma"], state) == "fleet/"


def test_paused_bots_take_no_place_in_line() -> None:
    state = a_state(
        a_bot("a-first", waiting_since=NOON_MS - 9), a_bot("b-second"), policy=a_policy(research={"concurrency": 1, "queue_ahead": 0})
    )
    pause(state, "bot", "a-first")
    assert by_bot(plan_at(state)[0])["b-second"].reason is Reason.SCHEDULED


def test_held_bot_is_on_hold() -> None:
    decision = only(a_state(a_bot(hold="look at its fills")))
    assert (decision.reason, decision.detail) == (Reason.ON_HOLD, "look at its fills")


def test_stage_without_wants_has_nothing_due() -> None:
    decision = only(a_state(a_bot(), policy=a_policy(stages={"LAB": {}})))
    assert (decision.reason, decision.detail) == (Reason.NOTHING_DUE, "NO_POLICY_FOR_STAGE")


def test_stage_that_the_policy_leaves_out_has_nothing_due() -> None:
    decision = only(a_state(a_bot(), policy=a_policy(stages={"PAPER": {"wants": ["RUNNER_START"]}})))
    assert decision.detail == "NO_POLICY_FOR_STAGE"


def test_nothing_due_says_what_is_next_and_when() -> None:
    """Ten bars after the slot of its evidence: the refresh is foreseen to the millisecond, and due exactly then."""
    state = a_state(a_bot())
    with_baseline(state, "aapl-sma")
    decision = only(state)
    assert (decision.reason, decision.detail) == (Reason.NOTHING_DUE, "NEXT_REFRESH")
    due_ms = decision.next_due_ms
    assert due_ms is not None
    assert only(state, due_ms - 1).reason is Reason.NOTHING_DUE
    after = only(state, due_ms)
    assert (after.reason, after.job_type) == (Reason.SCHEDULED, JobType.BACKTEST_REFRESH)


def test_replay_that_ended_has_nothing_due() -> None:
    state = a_state(a_bot())
    last = bar_starts(date(2000, 3, 1))[-1]
    with_baseline(state, "aapl-sma", until_ms=last, bars=len(bar_starts(date(2000, 3, 1))))
    decision = only(state, NOON_MS + 1000 * HOUR_MS)
    assert (decision.reason, decision.detail, decision.next_due_ms) == (Reason.NOTHING_DUE, "REPLAY_ENDED", None)


def test_no_refresh_on_the_same_bytes_however_old_the_evidence_is() -> None:
    state = a_state(a_bot(), policy=a_policy(market={"seconds_per_bar": 86_400}))
    with_baseline(state, "aapl-sma")
    assert only(state, NOON_MS + 23 * HOUR_MS).reason is Reason.NOTHING_DUE


def test_refresh_is_due_by_age_once_there_is_one_new_bar() -> None:
    lab = {"LAB": {"wants": ["BACKTEST_BASELINE", "BACKTEST_REFRESH"], "refresh_after_bars": 1000, "refresh_after_hours": 1}}
    state = a_state(a_bot(phase=1), policy=a_policy(stages=lab))
    with_baseline(state, "aapl-sma")
    assert only(state, NOON_MS + HOUR_MS - 1).reason is Reason.NOTHING_DUE
    assert only(state, NOON_MS + HOUR_MS).job_type is JobType.BACKTEST_REFRESH


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_refreshes_are_one_grid_apart_whatever_the_phase(phase: int, grid: int) -> None:
    lab = {"LAB": {"wants": ["BACKTEST_REFRESH"], "refresh_after_bars": grid, "refresh_after_hours": 87_600}}
    state = a_state(a_bot(phase=phase), policy=a_policy(stages=lab))
    with_baseline(state, "aapl-sma")
    due_ms = only(state).next_due_ms
    assert due_ms is not None
    now, then = (build_view(state, at_ms).data["AAPL", "1d"].bars for at_ms in (NOON_MS, due_ms))
    assert 0 < then - now <= grid
    assert (then + phase) % grid == 0
    assert only(state, due_ms).reason is Reason.SCHEDULED
    assert only(state, due_ms - 1).reason is Reason.NOTHING_DUE


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING])
def test_live_job_of_the_class_is_an_active_job(status: JobStatus) -> None:
    state = a_state(a_bot())
    a_live_job(state, "aapl-sma", status=status)
    decision = only(state)
    assert (decision.reason, decision.job_id) == (Reason.ACTIVE_JOB, an_id("job-1"))


def test_live_job_counts_even_when_its_want_is_no_longer_due() -> None:
    state = a_state(a_bot())
    with_baseline(state, "aapl-sma")
    a_live_job(state, "aapl-sma", job_type=JobType.BACKTEST_REFRESH)
    assert only(state).reason is Reason.ACTIVE_JOB


def test_live_research_does_not_keep_a_runner_from_starting() -> None:
    """Each class excludes only itself."""
    wants = {"LAB": {"wants": ["RUNNER_START", "BACKTEST_BASELINE"]}}
    state = a_state(a_bot(), policy=a_policy(stages=wants), runners=(capabilities(job_types=tuple(JobType)),))
    a_live_job(state, "aapl-sma", status=JobStatus.RUNNING)
    assert only(state).job_type is JobType.RUNNER_START


def test_live_runner_does_not_keep_research_from_starting() -> None:
    wants = {"LAB": {"wants": ["RUNNER_START", "BACKTEST_BASELINE"]}}
    state = a_state(a_bot(), policy=a_policy(stages=wants), runners=(capabilities(job_types=tuple(JobType)),))
    a_live_job(state, "aapl-sma", status=JobStatus.RUNNING, job_type=JobType.RUNNER_START)
    assert only(state).job_type is JobType.BACKTEST_BASELINE


def test_orphaned_reference_is_no_live_job() -> None:
    state = a_state(a_bot())
    bot = state.bots.rows["aapl-sma"]
    state.bots.put(bot.id, replace(bot, research=replace(bot.research, job_id=an_id("gone"))))
    assert only(state).reason is Reason.SCHEDULED


def test_short_history_is_blocked_and_says_what_would_clear_it() -> None:
    """FB has 196 bars in all, 250 are needed: this data never suffices."""
    state = a_state(a_bot("fb-sma", symbol="FB"))
    decision = only(state, NOON_MS + 1000 * HOUR_MS)
    assert len(decision.blockers) == 1
    (blocker,) = findings(state.bots.rows[decision.bot_id], JobType.BACKTEST_BASELINE, build_view(state, NOON_MS + 1000 * HOUR_MS))
    assert (decision.reason, blocker.code, blocker.verdict) == (Reason.BLOCKED_BY_GATES, GateCode.MARKET_DATA, Verdict.FAIL)
    assert (blocker.measured, blocker.required) == ("196 bars of FB 1d until 2013-03-01", "250 bars")
    assert blocker.clears_when.startswith("never with this data: it has 196 bars in all")


def test_every_blocker_is_kept_not_only_the_first() -> None:
    state = a_state(
        a_bot("fb-new", symbol="FB", strategy="macd", research=ended("CRASH", crashes=3)),
        runners=(capabilities(strategies=("sma-cross",)),),
    )
    codes = list(only(state).blockers)
    assert codes == [GateCode.STRATEGY_VALID, GateCode.MARKET_DATA, GateCode.NOT_QUARANTINED]


# ── cooldowns ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("crashes", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 360), (40, 360), (2000, 360)])
def test_crashes_double_the_cooldown_up_to_its_maximum(crashes: int, minutes: int) -> None:
    bot = a_bot(research=ended("CRASH", crashes=crashes))
    state = a_state(bot, policy=a_policy(quarantine_after_crashes=100))
    view = build_view(state, NOON_MS)
    assert cooldown_until_ms(bot, JobClass.RESEARCH, view) == NOON_MS + minutes * MINUTE_MS


@pytest.mark.parametrize(("how", "rest_ms"), [("CANCELLED", MINUTE_MS), ("CRASH", MINUTE_MS), ("SUCCEEDED", 0), ("FAILED", 0)])
def test_bot_rests_after_its_job_ended_and_until_then_only(how: str, rest_ms: int) -> None:
    state = a_state(a_bot(research=ended(how, crashes=1 if how == "CRASH" else 0)))
    if rest_ms:
        resting = only(state, NOON_MS + rest_ms - 1)
        assert (resting.reason, resting.until_ms, resting.detail) == (Reason.COOLDOWN, NOON_MS + rest_ms, how)
    assert only(state, NOON_MS + rest_ms).reason is Reason.SCHEDULED


def test_success_rests_by_policy() -> None:
    state = a_state(a_bot(research=ended("SUCCEEDED")), policy=a_policy(cooldowns={"after_success_s": 30}))
    assert only(state, NOON_MS + 29_999).reason is Reason.COOLDOWN
    assert only(state, NOON_MS + 30_000).reason is Reason.SCHEDULED


# ── limits and places in line ─────────────────────────────────────────────────────────────────────────────────────────


def waiting(count: int, *, policy: dict[str, Any], runners: Any = None) -> State:
    """Bots that all want a baseline; bot-0 waits longest."""
    bots = [a_bot(f"bot-{number}", waiting_since=NOON_MS - 1000 + number) for number in range(count)]
    return a_state(*bots, policy=a_policy(**policy), runners=runners)


def reasons(state: State, now_ms: int = NOON_MS) -> list[tuple[str, int | None]]:
    plan, view = plan_at(state, now_ms)
    assert check(plan, state, view) == []
    return [(decision.reason.value, decision.place) for decision in plan.decisions]


def test_full_slots_and_queue_ahead_hold_back_with_a_place_in_line() -> None:
    state = waiting(5, policy={"research": {"concurrency": 2, "queue_ahead": 1}})
    assert reasons(state) == [("SCHEDULED", None)] * 3 + [("CONCURRENCY_LIMIT", 1), ("CONCURRENCY_LIMIT", 2)]
    decision = by_bot(plan_at(state)[0])["bot-4"]
    assert (decision.limit, decision.limit_value) == ("live research jobs", 3)


def test_finished_job_frees_its_slot() -> None:
    state = waiting(3, policy={"research": {"concurrency": 1, "queue_ahead": 0}})
    a_live_job(state, "bot-0")
    assert reasons(state)[1:] == [("CONCURRENCY_LIMIT", 1), ("CONCURRENCY_LIMIT", 2)]
    state.jobs.drop(an_id("job-1"))
    with_baseline(state, "bot-0")
    assert reasons(state)[1:] == [("SCHEDULED", None), ("CONCURRENCY_LIMIT", 1)]


def test_the_longest_waiting_bot_gets_the_free_slot() -> None:
    state = a_state(
        a_bot("aapl-sma", waiting_since=NOON_MS), a_bot("ibm-rsi", waiting_since=NOON_MS - 1),
        policy=a_policy(research={"concurrency": 1, "queue_ahead": 0}),
    )  # fmt: skip
    decisions = by_bot(plan_at(state)[0])
    assert decisions["ibm-rsi"].reason is Reason.SCHEDULED
    assert (decisions["aapl-sma"].reason, decisions["aapl-sma"].place) == (Reason.CONCURRENCY_LIMIT, 1)


def test_equal_waits_go_by_bot_id() -> None:
    state = a_state(a_bot("b"), a_bot("a"), policy=a_policy(research={"concurrency": 1, "queue_ahead": 0}))
    assert by_bot(plan_at(state)[0])["a"].reason is Reason.SCHEDULED


def test_job_being_cancelled_takes_no_slot_and_its_bot_waits_first_in_line() -> None:
    state = waiting(2, policy={"research": {"concurrency": 1, "queue_ahead": 0}})
    a_live_job(state, "bot-0", cancel=Cause.CANCELLED_BY_OPERATOR)
    decisions = by_bot(plan_at(state)[0])
    assert decisions["bot-1"].reason is Reason.SCHEDULED
    waits = decisions["bot-0"]
    assert (waits.reason, waits.detail, waits.place) == (Reason.CONCURRENCY_LIMIT, "CANCEL_UNDER_WAY", 1)


def test_fleet_enqueues_no_more_than_its_hourly_maximum() -> None:
    state = waiting(4, policy={"research": {"max_enqueues_per_hour": 3}})
    state.single = replace(state.single, enqueues=((NOON_MS - HOUR_MS, 5), (NOON_MS - HOUR_MS + 1, 1), (NOON_MS - 1, 1)))
    assert reasons(state) == [("SCHEDULED", None)] + [("RATE_LIMITED", place) for place in (1, 2, 3)]
    decision = by_bot(plan_at(state)[0])["bot-3"]
    assert (decision.limit, decision.limit_value) == ("jobs enqueued per hour", 3)


def test_rate_limit_clears_when_the_hour_has_passed() -> None:
    state = waiting(1, policy={"research": {"max_enqueues_per_hour": 1}})
    state.single = replace(state.single, enqueues=((NOON_MS, 1),))
    assert reasons(state, NOON_MS + HOUR_MS - 1) == [("RATE_LIMITED", 1)]
    assert reasons(state, NOON_MS + HOUR_MS) == [("SCHEDULED", None)]


def test_queue_that_the_runners_do_not_empty_presses_back() -> None:
    state = waiting(4, policy={"research": {"concurrency": 50, "queued_per_slot": 1}}, runners=(capabilities(slots=2),))
    a_live_job(state, "bot-0")
    assert reasons(state)[1:] == [("SCHEDULED", None), ("BACKPRESSURE", 1), ("BACKPRESSURE", 2)]
    decision = by_bot(plan_at(state)[0])["bot-3"]
    assert (decision.limit, decision.limit_value) == ("queued jobs", 2)


def test_running_jobs_do_not_press_back() -> None:
    state = waiting(3, policy={"research": {"concurrency": 50, "queued_per_slot": 1}}, runners=(capabilities(slots=2),))
    a_live_job(state, "bot-0", status=JobStatus.RUNNING)
    assert [reason for reason, _ in reasons(state)[1:]] == ["SCHEDULED", "SCHEDULED"]


def test_rate_limit_is_named_before_concurrency_before_backpressure() -> None:
    everything: dict[str, Any] = {"research": {"concurrency": 1, "queue_ahead": 0, "max_enqueues_per_hour": 1, "queued_per_slot": 1}}
    state = waiting(3, policy=everything, runners=(capabilities(slots=1),))
    a_live_job(state, "bot-0")
    assert [reason for reason, _ in reasons(state)[1:]] == ["CONCURRENCY_LIMIT"] * 2
    state.single = replace(state.single, enqueues=((NOON_MS, 1),))
    assert [reason for reason, _ in reasons(state)[1:]] == ["RATE_LIMITED"] * 2


# ── precedence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_reasons_yield_to_the_one_before_in_their_fixed_order() -> None:
    """One bot to which everything applies; taking away the first finding shows the next."""
    full: dict[str, Any] = {"research": {"concurrency": 1, "queue_ahead": 0}}
    bot = a_bot(hold="held", research=ended("CRASH", crashes=3))
    state = a_state(bot, a_bot("busy"), policy=a_policy(**full))
    a_live_job(state, "busy")
    pause(state)
    seen = [by_bot(plan_at(state)[0])["aapl-sma"].reason]
    state.pauses.drop("fleet/")
    seen.append(by_bot(plan_at(state)[0])["aapl-sma"].reason)
    state.bots.put(bot.id, bot := replace(bot, hold=None))
    seen.append(by_bot(plan_at(state)[0])["aapl-sma"].reason)
    state.bots.put(bot.id, bot := replace(bot, research=ended("CRASH", crashes=1)))
    seen.append(by_bot(plan_at(state)[0])["aapl-sma"].reason)
    state.bots.put(bot.id, bot := replace(bot, research=ended("SUCCEEDED")))
    seen.append(by_bot(plan_at(state)[0])["aapl-sma"].reason)
    state.jobs.drop(an_id("job-1"))
    with_baseline(state, "busy")
    seen.append(by_bot(plan_at(state)[0])["aapl-sma"].reason)
    assert seen == [
        Reason.LOOP_DISABLED, Reason.ON_HOLD, Reason.BLOCKED_BY_GATES, Reason.COOLDOWN, Reason.CONCURRENCY_LIMIT, Reason.SCHEDULED,
    ]  # fmt: skip


def test_hold_and_pause_come_before_an_active_job() -> None:
    state = a_state(a_bot(hold="held"))
    a_live_job(state, "aapl-sma")
    assert only(state).reason is Reason.ON_HOLD


def test_every_reason_code_is_produced() -> None:
    """One fleet in which each reason is given at least once; RATE_LIMITED and BACKPRESSURE need their own limits."""
    state = a_state(
        a_bot("a-scheduled", waiting_since=NOON_MS - 5), a_bot("b-waits"), a_bot("c-held", hold="x"), a_bot("d-paused"),
        a_bot("e-live"), a_bot("f-blocked", symbol="FB"), a_bot("g-rests", research=ended("CANCELLED")),
        a_bot("h-idle", stage=Stage.PAPER, verified=True),
        policy=a_policy(
            research={"concurrency": 1, "queue_ahead": 1},
            stages={"LAB": {"wants": ["BACKTEST_BASELINE"]}, "PAPER": {"wants": ["BACKTEST_REFRESH"]}},
        ),
    )  # fmt: skip
    a_live_job(state, "e-live")
    pause(state, "bot", "d-paused")
    plan, view = plan_at(state)
    assert check(plan, state, view) == []
    limited, pressed = (
        waiting(2, policy={"research": {"max_enqueues_per_hour": 1}}),
        waiting(1, policy={}, runners=(capabilities(slots=0),)),
    )
    seen = set(plan.reason_counts) | set(plan_at(limited)[0].reason_counts) | set(plan_at(pressed)[0].reason_counts)
    assert seen == set(Reason)
    assert sum(plan.reason_counts.values()) == len(plan.decisions) == 8


# ── why nothing was enqueued ──────────────────────────────────────────────────────────────────────────────────────────


def zero(state: State, now_ms: int = NOON_MS) -> ZeroJobs | None:
    plan, view = plan_at(state, now_ms)
    assert check(plan, state, view) == []
    return plan.zero_jobs


def test_enqueued_jobs_need_no_excuse() -> None:
    assert zero(a_state(a_bot())) is None


def test_empty_fleet_has_no_candidates() -> None:
    assert zero(a_state()) is ZeroJobs.NO_CANDIDATES_MATCH_POLICY


def test_fleet_with_nothing_due_has_no_candidates() -> None:
    assert zero(a_state(a_bot(), policy=a_policy(stages={}))) is ZeroJobs.NO_CANDIDATES_MATCH_POLICY


def test_paused_loop_is_named_even_when_nothing_is_due() -> None:
    state = a_state()
    pause(state)
    assert zero(state) is ZeroJobs.LOOP_DISABLED


def test_pause_of_every_bot_disables_the_loop() -> None:
    state = a_state(a_bot())
    pause(state, "stage", "LAB")
    assert zero(state) is ZeroJobs.LOOP_DISABLED


def test_all_bots_busy() -> None:
    state = a_state(a_bot(), a_bot("done"))
    a_live_job(state, "aapl-sma")
    with_baseline(state, "done")
    assert zero(state) is ZeroJobs.ALL_BOTS_HAVE_ACTIVE_JOBS


def test_all_bots_resting() -> None:
    assert zero(a_state(a_bot(research=ended("CANCELLED")))) is ZeroJobs.ALL_BOTS_COOLDOWN


def test_all_bots_blocked_or_held() -> None:
    state = a_state(a_bot("fb", symbol="FB"), a_bot("held", hold="x"))
    plan, _ = plan_at(state)
    assert plan.zero_jobs is ZeroJobs.ALL_BOTS_BLOCKED_BY_GATES
    assert plan.blocker_counts == {"MARKET_DATA": 1}


def test_different_causes_are_mixed() -> None:
    state = a_state(a_bot("fb", symbol="FB"), a_bot("rests", research=ended("CANCELLED")))
    assert zero(state) is ZeroJobs.MIXED


# ── fairness and digest ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("bots", "slots"), [(7, 1), (12, 3), (30, 4)])
def test_nobody_starves(bots: int, slots: int) -> None:
    """Every job ends before the next tick and every bot wants the next one at once: all get their turn, in rounds."""
    lab = {"LAB": {"wants": ["BACKTEST_BASELINE"]}}
    policy = a_policy(research={"concurrency": slots, "queue_ahead": 0, "max_enqueues_per_hour": 10_000}, stages=lab)
    state = a_state(*[a_bot(f"bot-{number:02}") for number in range(bots)], policy=policy)
    rounds = 6
    turns: list[str] = []
    now_ms = NOON_MS
    while len(turns) < bots * rounds:
        now_ms += MINUTE_MS
        plan, view = plan_at(state, now_ms)
        assert check(plan, state, view) == []
        assert len(plan.granted) == slots
        for decision in plan.granted:
            turns.append(decision.bot_id)
            state.bots.put(decision.bot_id, replace(state.bots.rows[decision.bot_id], research=ended("SUCCEEDED", now_ms)))
    places = {bot: [number for number, turn in enumerate(turns) if turn == bot] for bot in turns}
    longest = max(later - earlier for mine in places.values() for earlier, later in pairwise(mine))
    assert len({*turns}) == bots
    assert longest < bots + slots


def test_digest_covers_every_decision_and_no_drifting_number() -> None:
    state = waiting(4, policy={"research": {"concurrency": 1, "queue_ahead": 0}})
    plan, _ = plan_at(state)
    assert digest_of(plan.decisions) == plan.digest
    drifted = [decision._replace(place=9, next_due_ms=7) for decision in plan.decisions]
    assert digest_of(drifted) == plan.digest
    for number in range(4):
        other = [*plan.decisions]
        other[number] = other[number]._replace(reason=Reason.COOLDOWN)
        assert digest_of(other) != plan.digest


def test_final_failure_blocks_until_the_input_changes() -> None:
    state = a_state(a_bot(research=ended("FAILED")))
    bot = state.bots.rows["aapl-sma"]
    view = build_view(state, NOON_MS)
    failure = Failure(an_id("failed"), Cause.STRATEGY_ERROR, "division by zero", view.fingerprint(bot), a_digest("AAPL"))
    state.bots.put(bot.id, replace(bot, failure=failure))
    assert list(only(state).blockers) == [GateCode.LAST_FAILURE]
    changed = a_state(state.bots.rows["aapl-sma"], runners=(capabilities(content="new-"),))
    assert only(changed).reason is Reason.SCHEDULED


def test_decisions_do_not_depend_on_the_order_of_registration() -> None:
    bots = [a_bot(f"bot-{number}", waiting_since=NOON_MS - number % 3) for number in range(9)]
    policy = a_policy(research={"concurrency": 2, "queue_ahead": 1})
    plans = [
        decide(state, build_view(state, NOON_MS)) for state in (a_state(*bots, policy=policy), a_state(*reversed(bots), policy=policy))
    ]
    assert plans[0] == plans[1]
