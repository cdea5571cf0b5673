"""The check finds every planted fault, with other code than that which made the plan.

Source: R-A3.3, R-A3.4, R-A4.
"""

from collections.abc import Callable
from typing import Any

import pytest

from autonomy.errors import Broken
from autonomy.values import Cause, JobType, Reason, ZeroJobs
from planner import tick as ticks
from planner.check import check, contradictions
from planner.decide import Plan, decide
from planner.entities import Failure, Pause
from planner.state import State
from planner.view import View, build_view
from support.builders import NOON_MS, a_bot, a_digest, a_live_job, a_policy, a_state, an_id, ended
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
        f"aapl-sma points at job {an_id('job-1')}, which does not live: treated as free",
    ]


def test_runner_that_vanished_after_the_plan_is_found() -> None:
    plan, state, _ = sound()
    state.runners.drop(an_id("runner-1"))
    found = check(plan, state, build_view(state, NOON_MS))
    assert any("no live runner offers" in line for line in found)
