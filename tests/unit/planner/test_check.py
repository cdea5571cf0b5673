"""The check finds every planted fault, with other code than that which made the plan.

Source: R-A3.3, R-A3.4, R-A4.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from autonomy.errors import BadInput, Broken
from autonomy.events import StageChanged
from autonomy.gates import PromotionGate, Verdict
from autonomy.looks import alpha_of, required_z
from autonomy.reasons import Reason, ZeroJobs
from autonomy.values import NEXT_STAGE, Cause, Drift, JobStatus, JobType, Stage
from planner import tick as ticks
from planner.check.plans import check, contradictions
from planner.check.step_up import check_step_up
from planner.decide import promotion_gates
from planner.decide.plan import Plan, decide
from planner.decide.view import View, build_view
from planner.fold.entities import Drifted, Evidence, Failure, Look, Opening, Paper, Pause
from planner.fold.state import State
from support.builders import NOON_MS, a_bot, a_digest, a_live_job, a_policy, a_state, an_id, ended, figures
from support.changes import replace
from support.ticks import TickDriver

Tamper = Callable[[Plan, State], Plan]


def sound(policy: dict[str, Any] | None = None) -> tuple[Plan, State, View]:
    """Two granted jobs, one bot that waits, one that is blocked, one that is busy."""
    rules = policy or {"research": {"concurrency": 3, "queue_ahead": 0}}
    state = a_state(
        a_bot("a", waiting_since=NOON_MS - 9), a_bot("b", waiting_since=NOON_MS - 8), a_bot("c"),
        a_bot("fb", symbol="FB"), a_bot("live"), policy=a_policy(**rules),
    )  # fmt: skip
    a_live_job(state, "live")
    view = build_view(state, NOON_MS)
    return decide(state, view), state, view


def with_decision(plan: Plan, bot_id: str, **changes: Any) -> Plan:
    """The plan with one decision changed and its counts kept right."""
    decisions = tuple(d._replace(**changes) if d.bot_id == bot_id else d for d in plan.decisions)
    counts = {reason: n for reason in Reason if (n := sum(1 for d in decisions if d.reason is reason))}
    return replace(plan, decisions=decisions, reason_counts=counts)


def also_granted(plan: Plan, bot_id: str) -> Plan:
    """The plan with one more job, consistent with itself."""
    plan = with_decision(plan, bot_id, reason=Reason.SCHEDULED, job_type=JobType.BACKTEST_BASELINE)
    extra = next(decision for decision in plan.decisions if decision.bot_id == bot_id)
    return replace(plan, granted=(*plan.granted, extra))


def test_sound_plan_has_no_fault() -> None:
    plan, state, view = sound()
    assert [decision.reason.value for decision in plan.decisions] == [
        "SCHEDULED", "SCHEDULED", "CONCURRENCY_LIMIT", "BLOCKED_BY_GATES", "ACTIVE_JOB",
    ]  # fmt: skip
    assert check(plan, state, view) == []


def put_bot(state: State, bot_id: str, **changes: Any) -> None:
    state.bots.put(bot_id, replace(state.bots.rows[bot_id], **changes))


PLANTED: list[tuple[str, str, Callable[[Plan, State], Plan]]] = [
    ("bot left out", "registered 5 bots, decided 4", lambda p, _: replace(p, decisions=p.decisions[:2] + p.decisions[3:])),
    ("bot decided twice", "decided twice", lambda p, _: replace(p, decisions=(*p.decisions[:4], p.decisions[3], p.decisions[4]))),
    ("unknown bot", "registered 5 bots", lambda p, _: replace(p, decisions=tuple(d._replace(bot_id="d") if d.bot_id == "c" else d for d in p.decisions))),
    ("order", "not in order", lambda p, _: replace(p, decisions=p.decisions[::-1])),
    ("sum of reasons", "the reasons sum to", lambda p, _: replace(p, reason_counts={**p.reason_counts, Reason.COOLDOWN: 1})),
    ("count of a reason", "counted 1, said 0", lambda p, _: replace(p, reason_counts={Reason.SCHEDULED: 2, Reason.ACTIVE_JOB: 3})),
    ("scheduled but not granted", "granted jobs differ", lambda p, _: replace(p, granted=p.granted[:1])),
    ("granted but not scheduled", "granted jobs differ", lambda p, _: with_decision(p, "a", reason=Reason.COOLDOWN)),
    ("zero jobs with jobs", "2 jobs with zero-job reason", lambda p, _: replace(p, zero_jobs=ZeroJobs.MIXED)),
    ("no jobs without a reason", "0 jobs with zero-job reason None", lambda p, _: replace(p, granted=())),
    ("blocked without a blocker", "blocked without a blocker", lambda p, _: with_decision(p, "fb", blockers=())),
    ("granted without a job type", "without a job type", lambda p, _: replace(p, granted=(p.granted[0]._replace(job_type=None), p.granted[1]))),
    ("live job of its class", "already has a live job", lambda p, _: also_granted(p, "live")),
    ("over the limit", "the limit is 3", lambda p, _: also_granted(p, "c")),
    ("without bars", "without enough bars", lambda p, _: also_granted(p, "fb")),
    ("not offered", "no live runner offers", lambda p, _: replace(p, granted=tuple(d._replace(job_type=JobType.EVOLVE) for d in p.granted))),
    ("unfair", "waits longer than", lambda p, _: with_decision(p, "c", due_since_ms=NOON_MS - 99)),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "tamper"), [pytest.param(fault, tamper, id=name) for name, fault, tamper in PLANTED])
def test_planted_fault_is_found(fault: str, tamper: Tamper) -> None:
    plan, state, view = sound()
    found = check(tamper(plan, state), state, view)
    assert any(fault in line for line in found), found


def failure_of(state: State, bot_id: str) -> Failure:
    """A final failure on what the bot is now."""
    fingerprint = build_view(state, NOON_MS).fingerprint(state.bots.rows[bot_id])
    return Failure(an_id("failed"), Cause.BAD_INPUT, "no volume", fingerprint, a_digest("AAPL"))


def no_slots(state: State) -> None:
    process = state.runners.rows[an_id("runner-1")]
    state.runners.put(process.process_id, replace(process, research_slots=0))


CHANGED_STATE: list[tuple[str, str, Callable[[State], None]]] = [
    ("hold", "scheduled while on hold", lambda s: put_bot(s, "a", hold="x")),
    ("fleet pause", "scheduled while fleet/ is paused", lambda s: s.pauses.put("fleet/", Pause("fleet", "", "ada", 0, ""))),
    ("stage pause", "scheduled while stage/LAB is paused", lambda s: s.pauses.put("stage/LAB", Pause("stage", "LAB", "ada", 0, ""))),
    ("bot pause", "scheduled while bot/a is paused", lambda s: s.pauses.put("bot/a", Pause("bot", "a", "ada", 0, ""))),
    ("cancelled a moment ago", "scheduled in its cooldown", lambda s: put_bot(s, "a", research=ended("CANCELLED", NOON_MS - 1))),
    ("crashed a moment ago", "scheduled in its cooldown", lambda s: put_bot(s, "a", research=ended("CRASH", NOON_MS - 1, 1))),
    ("crashed again", "scheduled in its cooldown", lambda s: put_bot(s, "a", research=ended("CRASH", NOON_MS - 90_000, 2))),
    ("quarantine", "scheduled in quarantine", lambda s: put_bot(s, "a", research=ended("CRASH", 0, 3))),
    ("import", "unverified import", lambda s: put_bot(s, "a", verified=False)),
    ("failed input", "on the input that failed", lambda s: put_bot(s, "a", failure=failure_of(s, "a"))),
    ("hourly maximum", "jobs in this hour", lambda s: setattr(s, "single", replace(s.single, enqueues=((NOON_MS, 3599),)))),
    ("no slots", "the runners take 0", no_slots),
    ("retired bot", "registered 4 bots", lambda s: s.bots.drop("c")),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "change"), [pytest.param(fault, change, id=name) for name, fault, change in CHANGED_STATE])
def test_plan_of_another_state_is_found(fault: str, change: Callable[[State], None]) -> None:
    """As if decide had looked past a rule: the plan was made before the state said no."""
    plan, state, view = sound()
    if fault == "unverified import":
        plan = replace(plan, granted=tuple(d._replace(job_type=JobType.RUNNER_START) for d in plan.granted))
    change(state)
    found = check(plan, state, build_view(state, NOON_MS))
    assert any(fault in line for line in found), found
    assert not any(fault in line for line in check(sound()[0], sound()[1], view))


def test_job_under_cancel_takes_no_place() -> None:
    state = a_state(a_bot("a"), a_bot("b"), policy=a_policy(research={"concurrency": 1, "queue_ahead": 0}))
    a_live_job(state, "b", status=JobStatus.RUNNING, cancel=Cause.CANCELLED_BY_OPERATOR)
    view = build_view(state, NOON_MS)
    plan = decide(state, view)
    assert [decision.bot_id for decision in plan.granted] == ["a"]
    assert check(plan, state, view) == []


def test_plan_with_a_fault_is_never_published(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    monkeypatch.setattr(ticks, "decide", lambda *given: replace(decide(*given), zero_jobs=ZeroJobs.MIXED))
    with pytest.raises(Broken, match="the plan breaks 1 rules"):
        driver.prepare()


def test_busy_fleet_without_a_live_job_is_a_contradiction() -> None:
    """Source: R-A4."""
    state = a_state(a_bot())
    a_live_job(state, "aapl-sma")
    plan = decide(state, build_view(state, NOON_MS))
    assert plan.zero_jobs is ZeroJobs.ALL_BOTS_HAVE_ACTIVE_JOBS
    assert contradictions(plan, state) == []
    state.jobs.drop(an_id("job-1"))
    assert contradictions(plan, state) == [
        "ALL_BOTS_HAVE_ACTIVE_JOBS without a live job",
        f"aapl-sma refers to job {an_id('job-1')}, which is no longer live; aapl-sma is treated as idle",
    ]


def test_runner_that_vanished_after_the_plan_is_found() -> None:
    plan, state, _ = sound()
    state.runners.drop(an_id("runner-1"))
    found = check(plan, state, build_view(state, NOON_MS))
    assert any("no live runner offers" in line for line in found)


# ── a step up: the check and the gates measure alike, up to each limit ────────────────────────────────────────────────


def a_graduate(
    stage: Stage = Stage.LAB, age_bars: int = 0, z: float = 5.0, measures: Mapping[str, Any] = MappingProxyType({}), **measured: Any
) -> State:
    """One bot with evidence of what it is now."""
    measured = {**measures, **measured}
    state = a_state(a_bot(stage=stage))
    view = build_view(state, NOON_MS)
    fingerprint, bars = view.fingerprint(state.bots.rows["aapl-sma"]), view.data["AAPL", "1d"].bars
    evidence = Evidence(an_id("refresh"), fingerprint, a_digest("AAPL"), 0, bars - age_bars, NOON_MS, figures(**measured))
    alpha = alpha_of(state.policy.looks.alpha_life, 1)
    look = Look(
        1, bars, fingerprint, an_id("refresh"), z, 0.001, alpha, required_z(alpha), Verdict.PASS if z >= required_z(alpha) else Verdict.FAIL
    )
    put_bot(state, "aapl-sma", evidence=evidence, look=look, looks=1)
    return state


def a_step_up(state: State) -> StageChanged:
    """The bot's step to the next stage."""
    stage = state.bots.rows["aapl-sma"].stage
    return StageChanged(
        event_id=an_id("move"), bot_id="aapl-sma", from_stage=stage, to_stage=NEXT_STAGE[stage], reason_code="PROMOTED", actor="ada",
        recommendation_id=an_id("recommendation"), evidence_job=an_id("refresh"), approved_by=("ada",),
    )  # fmt: skip


def lacks(state: State) -> list[str]:
    """What the check finds against the step."""
    return [line.removeprefix("aapl-sma goes up without ") for line in check_step_up(a_step_up(state), state, NOON_MS)]


def verdicts(state: State) -> dict[PromotionGate, Verdict]:
    """What the gates say that do not pass."""
    bot = state.bots.rows["aapl-sma"]
    found = zip(promotion_gates.gates_of(bot.stage), promotion_gates.verdicts(bot, build_view(state, NOON_MS)), strict=True)
    return {code: verdict for code, verdict in found if verdict is not Verdict.PASS}


@pytest.mark.parametrize(
    ("figure", "limit", "beyond", "gate"),
    [
        ("trades", 10, 9, PromotionGate.MIN_TRADES), ("net_t", 1.64, 1.6399, PromotionGate.NET),
        ("max_drawdown", 1.0, 1.0001, PromotionGate.LIMITS), ("exposure", 1.0, 1.0001, PromotionGate.LIMITS),
        ("bars_per_trade", 2.0, 1.9999, PromotionGate.REALISM), ("exposure", 0.02, 0.0199, PromotionGate.REALISM),
        ("look_ahead_ok", True, False, PromotionGate.REALISM), ("synthetic", False, True, PromotionGate.RECORDED),
        ("costs_bps", 0.0001, 0.0, PromotionGate.REALISM),
    ],
)  # fmt: skip
def test_check_and_gates_let_a_figure_pass_up_to_its_limit(figure: str, limit: float, beyond: float, gate: PromotionGate) -> None:
    at = a_graduate(measures={figure: limit})
    assert (lacks(at), verdicts(at)) == ([], {})
    over = a_graduate(measures={figure: beyond})
    assert (lacks(over), verdicts(over)) == ([gate.value], {gate: Verdict.FAIL})


@pytest.mark.parametrize("unknown", [None, math.nan], ids=["none", "no number"])
@pytest.mark.parametrize(
    ("figure", "gate"),
    [
        ("net_t", PromotionGate.NET), ("max_drawdown", PromotionGate.LIMITS), ("bars_per_trade", PromotionGate.REALISM),
    ],
)  # fmt: skip
def test_check_and_gates_let_no_figure_pass_that_is_unknown(figure: str, gate: PromotionGate, unknown: float | None) -> None:
    state = a_graduate(measures={figure: unknown})
    assert (lacks(state), verdicts(state)) == ([gate.value], {gate: Verdict.INCONCLUSIVE})


@pytest.mark.parametrize(("changes", "where"), [({"stage": Stage.PAPER}, "PAPER"), ({"hold": "an inquiry"}, "LAB and on hold")])
def test_step_from_where_the_bot_is_not_is_found_and_so_is_one_of_a_held_bot(changes: dict[str, Any], where: str) -> None:
    state = a_graduate()
    moved = a_step_up(state)
    put_bot(state, "aapl-sma", **changes)
    assert f"aapl-sma is in {where}" in check_step_up(moved, state, NOON_MS)


@pytest.mark.parametrize(("z", "gates"), [(2.9678, []), (2.9676, [PromotionGate.TIMING]), (math.nan, [PromotionGate.TIMING])])
def test_check_and_gates_ask_for_what_the_look_asked_for(z: float, gates: list[PromotionGate]) -> None:
    state = a_graduate(z=z)
    assert (lacks(state), list(verdicts(state))) == ([gate.value for gate in gates], gates)


@pytest.mark.parametrize(
    ("up_to", "stage", "passes"), [("LAB", Stage.LAB, False), ("PAPER", Stage.LAB, True), ("PAPER", Stage.PAPER, False)]
)
def test_made_up_bars_lead_as_far_as_the_policy_says_and_never_beyond_paper(up_to: str, stage: Stage, *, passes: bool) -> None:
    state = a_graduate(stage, measures={"synthetic": True})
    policy = a_policy(promotion={"synthetic_up_to": up_to})
    state.single = replace(state.single, policy=policy, policy_hash=policy.hash())
    lack = [] if passes else [PromotionGate.RECORDED]
    assert [line for line in lacks(state) if line == "RECORDED"] == [gate.value for gate in lack]
    assert (PromotionGate.RECORDED in verdicts(state)) is not passes


def test_no_policy_lets_made_up_bars_lead_beyond_paper() -> None:
    with pytest.raises(BadInput, match="synthetic_up_to"):
        a_policy(promotion={"synthetic_up_to": "SHADOW"})


def test_check_and_gates_count_no_look_at_another_fingerprint() -> None:
    state = a_graduate()
    look = state.bots.rows["aapl-sma"].look
    assert look is not None
    put_bot(state, "aapl-sma", look=replace(look, fingerprint=a_digest("another")))
    assert (lacks(state), verdicts(state)) == (["TIMING"], {PromotionGate.TIMING: Verdict.INCONCLUSIVE})


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, True), ({"searched": True}, False), ({"opening": Opening(an_id("job"), 1, 2.0, 1.96, won=True), "searched": True}, True),
        ({"opening": Opening(an_id("job"), 1, 1.0, 1.96, won=False)}, False),
    ],
    ids=["never searched", "searched, never held out", "won", "lost, and then typed in by hand"],
)  # fmt: skip
def test_check_and_gates_ask_a_searched_line_for_its_hold_out(changes: dict[str, Any], *, passes: bool) -> None:
    state = a_graduate()
    put_bot(state, "aapl-sma", **changes)
    lack = [] if passes else [PromotionGate.SEARCHED]
    assert (lacks(state), list(verdicts(state))) == ([gate.value for gate in lack], lack)


@pytest.mark.parametrize(("age_bars", "stands"), [(-1, False), (0, True), (20, True), (21, False)])
def test_check_and_gates_let_evidence_stand_up_to_its_age(age_bars: int, *, stands: bool) -> None:
    state = a_graduate(age_bars=age_bars)
    assert lacks(state) == ([] if stands else ["young evidence"])
    assert set(verdicts(state).values()) == (set() if stands else {Verdict.INCONCLUSIVE})


def on_trial(traded: int = 20, behind: int = 5, session: str = "session", drift: Drift = Drift.CONSISTENT) -> State:
    """A bot in PAPER whose session trades, as compared with the engine."""
    state = a_graduate(Stage.PAPER)
    a_live_job(state, "aapl-sma", status=JobStatus.RUNNING, job_type=JobType.RUNNER_START)
    data = build_view(state, NOON_MS).data["AAPL", "1d"]
    last = data.bars - 1 - behind
    paper = Paper(
        an_id("session"), data.times.at(last - traded), bar=traded, last_ms=data.times.at(last), traded_bars=traded + 7, counted_from=7
    )
    put_bot(state, "aapl-sma", paper=paper, drift=Drifted(an_id("refresh"), an_id(session), drift, ()))
    return state


@pytest.mark.parametrize(
    ("trial", "lack", "gate", "verdict"),
    [
        ({"traded": 19}, "20 traded bars", PromotionGate.RUNNER_HEALTHY, Verdict.INCONCLUSIVE),
        ({"behind": 6}, "a runner that keeps up", PromotionGate.RUNNER_HEALTHY, Verdict.FAIL),
        ({"drift": Drift.MAJOR}, "a session that does not drift", PromotionGate.DRIFT, Verdict.FAIL),
        ({"drift": Drift.INCONCLUSIVE}, "a session that does not drift", PromotionGate.DRIFT, Verdict.INCONCLUSIVE),
        ({"session": "another"}, "a session that does not drift", PromotionGate.DRIFT, Verdict.INCONCLUSIVE),
    ],
)
def test_check_and_gates_measure_the_session_alike(trial: dict[str, Any], lack: str, gate: PromotionGate, verdict: Verdict) -> None:
    for sound_one in (on_trial(), on_trial(drift=Drift.MINOR)):
        assert (lacks(sound_one), verdicts(sound_one)) == ([], {})
    state = on_trial(**trial)
    assert (lacks(state), verdicts(state)) == ([lack], {gate: verdict})
