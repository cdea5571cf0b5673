"""How far an answer can be trusted: every row of the honesty table, and that nothing gets better by getting older.

Source: R-A1.3, R-A4; docs/architecture.md, "Honesty".
"""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy import clock
from autonomy.policy import DEFAULT
from autonomy.values import iso_of_ms
from proof_api.proof.capacity import Capacity
from proof_api.proof.judging import AUTONOMY_KEYS, JOBS_KEYS, Judgement, LogFacts, ReadFacts, body_of, judge, proof_of
from proof_api.reading.snapshot import Picture, Snapshots, decision_body, jobs_body

NOW = 1_795_348_800_000
HASH = "a" * 64
LOG = LogFacts(
    head_tick=7, head_hash=HASH, runs_end=41, seen_age_ms=200, pulse_age_ms=400, next_tick_at=iso_of_ms(NOW + 9_000),
    probe_age_ms=500, unapplied_probe_ms=inf, skew_ms=3,
)  # fmt: skip
"""Probes are said and acknowledged, as always: what the rows lack of them is the projection's."""
BODY: dict[str, Any] = {
    "loopEnabled": True, "lastTickAt": iso_of_ms(NOW - 20_000), "tickIntervalSec": 60.0, "lastDecisionSummary": {"botsEvaluated": 3},
    "latestPlannerRuns": [], "latestEnqueuedJobs": [], "marketNow": None, "pausedBy": [], "chainRepairs": [],
    "running": {}, "queued": {}, "completedLast1h": {}, "stuckRunningOverXmin": [], "stuckAfterMin": 15, "runningWithoutHeartbeat": {},
}  # fmt: skip
READ = ReadFacts(
    age_ms=100, probe_age_ms=900, applied_tick=7, applied_hash=HASH, applied_offset=40, last_tick_ms=NOW - 20_000, body=BODY,
    capacity=Capacity("ok"),
)  # fmt: skip
HOURS_MS = 3 * 3_600_000
OLD_ROWS = replace(READ, applied_tick=500, last_tick_ms=NOW - HOURS_MS)
"""A projection that applies probes and no tick."""
AHEAD = replace(LOG, head_tick=1_000, last_tick_ms=NOW - 20_000)
PAUSE = {"actor": "ada", "since": iso_of_ms(NOW - 60_000)}
PAUSED = replace(READ, loop_enabled=False, paused_by=PAUSE, body={**BODY, "loopEnabled": False, "pausedBy": [PAUSE]})
OF_ROWS = {"tickAgeMs", "lagRecords", "applied"}

NO_KAFKA = {"kafka": "down", "planner": "unknown", "probe": "unknown"}
NO_ROWS = {"postgres": "down", "projection": "unknown", "runners": "unknown"}
SILENT = replace(LOG, probe_age_ms=40_000, probe_problem="OutOfOrderSequenceNumber", unapplied_probe_ms=0.0)
"""This process cannot say its probe, and all that it said is applied."""
UNSAID = "no probe of the proof API was acknowledged for 40.0 s: OutOfOrderSequenceNumber"
IDLE = replace(READ, capacity=Capacity("down", "no runner process lives"))
LOCK = "autonomy_projection (pid 7) waits for a lock that postgres (pid 8, psql) holds"

# situation, facts of the log, facts of the rows, HTTP code, status, verdict, checks that are not ok, words of the reason
TABLE: list[tuple[str, LogFacts, ReadFacts, int, str, str | None, dict[str, str], str]] = [
    ("all is well", LOG, READ, 200, "fresh", "TICKING", {}, ""),
    ("paused by an operator", LOG, PAUSED, 200, "fresh", "PAUSED", {}, "paused by ada"),
    ("no pulse for 3 s", replace(LOG, pulse_age_ms=3_001), READ, 200, "fresh", "DOWN", {"planner": "down"}, "no pulse of a leading planner"),
    ("a planner that lives and says why it does not lead", replace(LOG, pulse_age_ms=9_000, leader_problem="its clock leapt by 6000 ms"), READ, 200,
     "fresh", "DOWN", {"planner": "down"}, "no planner leads: its clock leapt by 6000 ms"),
    ("no pulse ever", replace(LOG, pulse_age_ms=None, leader_problem="clock differs"), READ, 200, "fresh", "DOWN", {"planner": "down"}, "clock differs"),
    ("pulses, no tick for 1.5 intervals", LOG, replace(READ, last_tick_ms=NOW - 90_001), 200, "fresh", "LATE", {"planner": "late"}, "1.5 intervals"),
    ("before the first tick", LOG, replace(READ, last_tick_ms=None, applied_hash="", applied_tick=0), 200, "fresh", "TICKING", {}, ""),
    ("lag of 5 s", LOG, replace(READ, probe_age_ms=5_000), 200, "fresh", "TICKING", {}, ""),
    ("lag over 5 s", LOG, replace(READ, probe_age_ms=5_001), 200, "stale", "TICKING", {"projection": "late"}, "behind"),
    ("lag of 30 s", LOG, replace(READ, probe_age_ms=30_000), 200, "stale", "TICKING", {"projection": "late"}, "behind"),
    ("lag over 30 s", LOG, replace(READ, probe_age_ms=30_001), 503, "unavailable", None, {"projection": "down"}, "limit 30 s"),
    ("a tick that was just sealed", replace(LOG, head_tick=8, unapplied_ms=900), READ, 200, "fresh", "TICKING", {}, ""),
    ("a tick not applied for 5 s", replace(AHEAD, unapplied_ms=5_000), OLD_ROWS, 200, "fresh", "TICKING", {}, ""),
    ("a tick not applied for over 5 s", replace(AHEAD, unapplied_ms=5_001), OLD_ROWS, 200, "stale", "TICKING", {"projection": "late"},
     "behind the log: tick 501 is not applied 5.0 s after its seal, the log is at tick 1000"),
    ("a tick not applied for 30 s", replace(AHEAD, unapplied_ms=30_000), OLD_ROWS, 200, "stale", "TICKING", {"projection": "late"}, "tick 501"),
    ("a tick not applied for over 30 s", replace(AHEAD, unapplied_ms=30_001), OLD_ROWS, 503, "unavailable", None, {"projection": "down"},
     "(limit 30 s)"),
    ("rows of hours ago beside a fresh probe", replace(AHEAD, unapplied_ms=HOURS_MS), OLD_ROWS, 503, "unavailable", None,
     {"projection": "down"}, "tick 501 is not applied 10800.0 s after its seal"),
    ("rows of hours ago and no probe", replace(AHEAD, unapplied_ms=6_000), replace(OLD_ROWS, probe_age_ms=None), 200, "unverified", "TICKING",
     {"projection": "late"}, "probe"),
    ("a tick not applied, then Kafka unseen", replace(AHEAD, unapplied_ms=31_000, seen_age_ms=29_000), OLD_ROWS, 200, "unverified", None,
     {**NO_KAFKA, "projection": "down"}, "Kafka was last seen"),
    ("no probe yet", LOG, replace(READ, probe_age_ms=None), 200, "unverified", "TICKING", {"projection": "unknown"}, "probe"),
    ("no probe for 30 s", LOG, replace(READ, probe_age_ms=None, waited_ms=30_000), 200, "unverified", "TICKING", {"projection": "late"}, "probe"),
    ("no probe for over 30 s", LOG, replace(READ, probe_age_ms=None, waited_ms=30_001), 503, "unavailable", None, {"projection": "down"},
     "not applied a probe for 30.0 s, since this process started (limit 30 s)"),
    ("no tick and no probe for over 30 s", LOG, ReadFacts(age_ms=100, waited_ms=30_001), 503, "unavailable", None,
     {"projection": "down", "runners": "unknown"}, "probe"),
    ("a place of the chain that this process cannot read", replace(LOG, blind="autonomy.runs/0 cannot be read at offset 3"), READ, 503,
     "unavailable", None, {"planner": "unknown", "chain": "broken"}, "this process cannot read the log: autonomy.runs/0"),
    ("blind, and no pulse either", replace(LOG, blind="autonomy.runs/0 cannot be read at offset 3", pulse_age_ms=None), READ, 503,
     "unavailable", None, {"planner": "unknown", "chain": "broken"}, "this process cannot read the log: autonomy.runs/0"),
    ("a place that the projection cannot read", LOG, replace(READ, stuck="autonomy.jobs/3 begins at 2: records were deleted"), 503,
     "unavailable", None, {"projection": "down"}, "the projection cannot read the log: autonomy.jobs/3 begins at 2"),
    ("a database that refuses", LOG, ReadFacts(problem="unsupported startup parameter", trouble="refused"), 503, "unavailable", None,
     {**NO_ROWS, "postgres": "refused"}, "PostgreSQL refuses: unsupported startup parameter"),
    ("a probe after a long wait", LOG, replace(READ, waited_ms=3_600_000), 200, "fresh", "TICKING", {}, ""),
    ("Kafka lost while no probe had come", replace(LOG, seen_age_ms=20_000), replace(READ, probe_age_ms=None, waited_ms=25_000), 200, "unverified",
     None, {**NO_KAFKA, "projection": "late"}, "Kafka was last seen"),
    ("Kafka unseen for over 5 s", replace(LOG, seen_age_ms=5_001, pulse_age_ms=5_400), READ, 200, "unverified", None,
     {**NO_KAFKA}, "Kafka was last seen"),
    ("Kafka unseen for 30 s", replace(LOG, seen_age_ms=30_000, pulse_age_ms=30_400), replace(READ, probe_age_ms=31_000), 200, "unverified", None,
     {**NO_KAFKA, "projection": "down"}, "Kafka was last seen"),
    ("behind for 30 s, then Kafka unseen for over 5 s", replace(LOG, seen_age_ms=5_001), replace(READ, probe_age_ms=30_001), 503, "unavailable", None,
     {**NO_KAFKA, "projection": "down"}, "limit 30 s"),
    ("Kafka unseen for over 30 s", replace(LOG, seen_age_ms=30_001), READ, 503, "unavailable", None,
     {**NO_KAFKA}, "Kafka was not seen"),
    ("Kafka never seen", LogFacts(), READ, 503, "unavailable", None,
     {**NO_KAFKA, "chain": "unknown", "clock": "unknown"}, "Kafka was not seen"),
    ("PostgreSQL says no", LOG, replace(READ, problem="ConnectionRefusedError"), 503, "unavailable", None,
     NO_ROWS, "ConnectionRefusedError"),
    ("PostgreSQL hangs", LOG, replace(READ, age_ms=3_001), 503, "unavailable", None, NO_ROWS, "snapshot"),
    ("no snapshot yet", LOG, ReadFacts(problem="no snapshot yet"), 503, "unavailable", None, NO_ROWS, "snapshot"),
    ("rows of another chain", replace(LOG, diverged="at tick 7"), READ, 503, "unavailable", None, {"chain": "broken"}, "chain is broken: at tick 7"),
    ("a halted planner beside one that leads", replace(LOG, standby_halted="fold differs at tick 8"), READ, 200, "fresh", "TICKING",
     {"chain": "broken"}, "a planner halted, another leads: fold differs at tick 8"),
    ("a halted planner, rows behind", replace(LOG, standby_halted="fold differs"), replace(READ, probe_age_ms=6_000), 200, "stale", "TICKING",
     {"chain": "broken", "projection": "late"}, "fold differs; the projection is 6.0 s behind"),
    ("this process cannot say its probe", SILENT, replace(READ, probe_age_ms=40_300), 200, "unverified", "TICKING", {"probe": "down"}, UNSAID),
    ("nor could it ever", replace(SILENT, probe_age_ms=None), replace(READ, probe_age_ms=None, waited_ms=60_000), 200, "unverified", "TICKING",
     {"probe": "down", "projection": "unknown"}, "no probe of the proof API was acknowledged: OutOfOrderSequenceNumber"),
    ("nor could the one before it", replace(SILENT, probe_age_ms=None), replace(READ, probe_age_ms=99_000, waited_ms=60_000), 200, "unverified",
     "TICKING", {"probe": "down"}, "no probe of the proof API"),
    ("it has just started", replace(SILENT, probe_age_ms=None), replace(READ, waited_ms=5_000), 200, "fresh", "TICKING", {"probe": "unknown"}, ""),
    ("another process says its probe", SILENT, READ, 200, "fresh", "TICKING", {"probe": "down"}, UNSAID),
    ("its last probe was 5 s ago", replace(LOG, probe_age_ms=5_000), READ, 200, "fresh", "TICKING", {}, ""),
    ("its last probe was over 5 s ago", replace(LOG, probe_age_ms=5_001), READ, 200, "fresh", "TICKING", {"probe": "down"},
     "no probe of the proof API was acknowledged for 5.0 s"),
    ("it says probes again", replace(SILENT, probe_age_ms=10, unapplied_probe_ms=10), replace(READ, probe_age_ms=40_300), 200, "fresh", "TICKING",
     {}, ""),
    ("no probe is said, ticks are not applied", replace(SILENT, unapplied_ms=6_000), replace(READ, probe_age_ms=40_300), 200, "unverified", "TICKING",
     {"probe": "down", "projection": "late"}, "tick 8 is not applied 6.0 s"),
    ("no probe is said, ticks are not applied for long", replace(SILENT, unapplied_ms=30_001), replace(READ, probe_age_ms=40_300), 503, "unavailable",
     None, {"probe": "down", "projection": "down"}, "tick 8 is not applied 30.0 s"),
    ("this machine's clock is wrong", replace(LOG, skew_ms=7_200_000), READ, 200, "fresh", "TICKING", {"clock": "wrong"},
     "the proof API's clock differs from the broker's by 7200000 ms (limit 1000)"),
    ("this machine's clock is late", replace(LOG, skew_ms=-1_001), READ, 200, "fresh", "TICKING", {"clock": "wrong"}, "by -1001 ms"),
    ("nothing can run", LOG, IDLE, 200, "fresh", "STALLED", {"runners": "down"}, "no runner process lives"),
    ("nothing could run when the rows were current", LOG, replace(IDLE, probe_age_ms=6_000), 200, "stale", "STALLED",
     {"runners": "down", "projection": "late"}, "the projection is 6.0 s behind; no runner process lives"),
    ("nothing can run, and nothing decides", replace(LOG, pulse_age_ms=9_000), IDLE, 200, "fresh", "DOWN", {"planner": "down", "runners": "down"},
     "no pulse of a leading planner for 9.0 s; no runner process lives"),
    ("nothing can run, and nobody wants it", LOG, replace(IDLE, loop_enabled=False, paused_by=PAUSE), 200, "fresh", "PAUSED", {"runners": "down"},
     "; no runner process lives"),
    ("no bot is registered", LOG, replace(READ, capacity=Capacity("off")), 200, "fresh", "TICKING", {"runners": "off"}, ""),
    ("a lock holds the projection back", LOG, replace(READ, probe_age_ms=6_000, blocked=LOCK), 200, "stale", "TICKING",
     {"postgres": "locked", "projection": "late"}, f"the projection is 6.0 s behind ({LOCK})"),
    ("a lock holds this process back", LOG, replace(READ, problem="canceling statement", trouble="locked", blocked=LOCK), 503, "unavailable", None,
     {**NO_ROWS, "postgres": "locked"}, f"a lock in PostgreSQL holds the proof API back: {LOCK}"),
    ("PostgreSQL ended the statement", LOG, replace(READ, problem="canceling statement due to statement timeout", trouble="cancelled"), 503,
     "unavailable", None, {**NO_ROWS, "postgres": "cancelled"}, "PostgreSQL ended the proof API's statement: canceling statement"),
    ("a halted planner", replace(LOG, halted="fold differs at tick 8"), READ, 503, "unavailable", None, {"chain": "broken"}, "fold differs at tick 8"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("log", "read", "code", "status", "verdict", "not_ok", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_situation_is_graded_as_the_table_says(
    log: LogFacts, read: ReadFacts, code: int, status: str, verdict: str | None, not_ok: dict[str, str], words: str
) -> None:
    judgement = judge(log, read, NOW)
    assert (judgement.code, judgement.status, judgement.verdict) == (code, status, verdict)
    assert {name: said for name, said in judgement.checks.items() if said != "ok"} == {"canary": "off", **not_ok}
    assert words in judgement.reason
    assert bool(judgement.reason) == bool(words)


@pytest.mark.parametrize(("log", "read"), [row[1:3] for row in TABLE], ids=[row[0] for row in TABLE])
def test_keys_are_always_the_same_and_the_unknown_is_null(log: LogFacts, read: ReadFacts) -> None:
    judgement = judge(log, read, NOW)
    proof = proof_of(judgement, log, read, NOW)
    assert list(proof) == list(proof_of(judge(LOG, READ, NOW), LOG, READ, NOW))
    assert list(judgement.checks) == ["kafka", "postgres", "projection", "planner", "runners", "probe", "chain", "clock", "canary"]
    assert (proof["status"], proof["verdict"], proof["reason"]) == (judgement.status, judgement.verdict, judgement.reason or None)
    assert proof["failing"] == [name for name, said in judgement.checks.items() if said not in {"ok", "off", "unknown"}]
    assert bool(proof["failing"]) or judgement.code == 200, "what is not answered has a check that failed"
    for keys in (AUTONOMY_KEYS, JOBS_KEYS):
        body = body_of(keys, judgement, read)
        assert tuple(body) == keys
        if judgement.code != 200:
            assert set(body.values()) == {None}, "never old rows as current"
    if judgement.status in {"unverified", "unavailable"}:
        assert body_of(AUTONOMY_KEYS, judgement, read)["loopEnabled"] is None, "unknown is null, never false"
    if judgement.checks["projection"] == "unknown" and judgement.code == 503:
        assert {proof[name] for name in OF_ROWS} == {None}


def test_paused_says_who_and_since_when() -> None:
    judgement = judge(LOG, PAUSED, NOW)
    assert body_of(AUTONOMY_KEYS, judgement, PAUSED)["loopEnabled"] is False
    assert judgement.reason == f"paused by ada since {PAUSE['since']}"


def test_a_dead_planner_is_no_reason_to_distrust_the_rows_and_names_no_next_tick() -> None:
    log = replace(LOG, pulse_age_ms=60_000)
    judgement = judge(log, READ, NOW)
    assert judgement.trusted
    assert proof_of(judgement, log, READ, NOW)["nextTickAt"] is None
    assert proof_of(judge(LOG, READ, NOW), LOG, READ, NOW)["nextTickAt"] == LOG.next_tick_at


def test_rows_that_miss_ticks_are_not_the_planners_fault() -> None:
    """The log shows its ticks. Negative control: a log that stands still is the planner's, whatever the rows lack."""
    ahead = replace(AHEAD, unapplied_ms=10_000)
    assert judge(ahead, OLD_ROWS, NOW).verdict == "TICKING"
    assert judge(replace(ahead, last_tick_ms=NOW - 90_001), OLD_ROWS, NOW).verdict == "LATE"


def test_rows_are_as_old_as_the_first_tick_that_they_lack() -> None:
    log = replace(AHEAD, unapplied_ms=12_000)
    proof = proof_of(judge(log, OLD_ROWS, NOW), log, OLD_ROWS, NOW)
    assert (proof["asOf"], proof["projectionLagMs"]) == (iso_of_ms(NOW - 12_000), 900)


def test_a_pulse_alone_is_no_tick() -> None:
    read = replace(READ, last_tick_ms=NOW - 3_600_000)
    assert judge(replace(LOG, pulse_age_ms=0), read, NOW).verdict == "LATE"


def test_lag_is_counted_in_time_and_in_records() -> None:
    proof = proof_of(judge(LOG, READ, NOW), LOG, READ, NOW)
    assert (proof["projectionLagMs"], proof["lagRecords"], proof["tickAgeMs"]) == (900, 0, 20_000)
    assert proof["asOf"] == iso_of_ms(NOW - 900)
    behind = replace(READ, applied_offset=30)
    assert proof_of(judge(LOG, behind, NOW), LOG, behind, NOW)["lagRecords"] == 10


def test_the_wait_for_a_probe_begins_with_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own monotonic time, and only while there is no probe."""
    snapshots = Snapshots("postgresql://nobody@127.0.0.1:1/x", 15)
    started_ms = snapshots.started_mono_ms
    for seconds, probe_appended_ms, code in ((30, None, 200), (31, None, 503), (32, clock.now_ms(), 200)):
        mono_ms = started_ms + seconds * 1_000
        monkeypatch.setattr(clock, "monotonic_ms", lambda mono_ms=mono_ms: mono_ms)
        snapshots.problem = ""
        snapshots.picture = Picture(mono_ms, 1, ReadFacts(), {}, (), {}, None, {}, probe_appended_ms)
        assert judge(LOG, snapshots.facts(), clock.now_ms()).code == code, seconds


def test_before_the_first_tick_zero_jobs_says_so() -> None:
    body = decision_body(None, DEFAULT.model_dump(mode="json"), [], [])
    assert body["lastTickAt"] is None
    assert body["latestPlannerRuns"] == []
    summary: Any = body["lastDecisionSummary"]
    assert (summary["botsEvaluated"], summary["jobsEnqueued"], summary["zeroJobs"]["reason"]) == (0, 0, "NO_TICK_YET")
    assert jobs_body([], [], DEFAULT.model_dump(mode="json"), 15, clock.now())["running"] == {"backtest": 0, "evolve": 0, "runner": 0}


# ── more staleness never makes a better status ─────────────────────────────────────────────────────────────────────────

AGES = st.one_of(st.none(), st.floats(0, 120_000), st.sampled_from([0.0, 3_000.0, 3_001.0, 5_000.0, 5_001.0, 30_000.0, 30_001.0]))
GRADES = {"fresh": 0, "stale": 1, "unverified": 2, "unavailable": 3}
VERDICTS = {"TICKING": 0, "PAUSED": 0, "STALLED": 1, "LATE": 1, "DOWN": 2, None: 3}


def facts(
    seen: float | None, pulse: float | None, snapshot: float | None, probe: float | None, tick: float | None, unapplied: float | None = 0.0,
    waited: float | None = 0.0,
) -> tuple[LogFacts, ReadFacts]:  # fmt: skip
    log = replace(LOG, seen_age_ms=seen, pulse_age_ms=pulse, unapplied_ms=unapplied or 0.0)
    return log, replace(
        READ, age_ms=snapshot, probe_age_ms=probe, waited_ms=waited or 0.0, last_tick_ms=None if tick is None else NOW - round(tick)
    )  # fmt: skip


def older(age: float | None, by: float) -> float | None:
    return None if age is None else age + by


def grade_of(judgement: Judgement) -> tuple[int, int]:
    # Stale and unverified are two kinds of "200, but": which of both it is depends on what is older.
    return {0: 0, 1: 1, 2: 1, 3: 2}[GRADES[judgement.status]], VERDICTS[judgement.verdict]


@given(st.tuples(AGES, AGES, AGES, AGES, AGES, AGES, AGES), st.tuples(*[st.floats(0, 60_000)] * 7), st.booleans())
def test_more_staleness_never_makes_a_better_status(ages: tuple[float | None, ...], more: tuple[float, ...], paused: bool) -> None:
    seen, pulse, snapshot, probe, tick, unapplied, waited = ages
    # While Kafka is silent no younger probe can come, no tick can be applied, and this process waits on.
    more = (*more[:3], max(more[3], more[0]), more[4], max(more[5], more[0]), max(more[6], more[0]))
    before = facts(seen, pulse, snapshot, probe, tick, unapplied, waited)
    after = facts(*[older(age, by) for age, by in zip(ages, more, strict=True)])
    if paused:
        before, after = (before[0], replace(before[1], loop_enabled=False)), (after[0], replace(after[1], loop_enabled=False))
    first, second = judge(*before, NOW), judge(*after, NOW)
    assert second.code >= first.code
    assert all(late >= early for early, late in zip(grade_of(first), grade_of(second), strict=True))
    for name, said in first.checks.items():
        assert said == "ok" or second.checks[name] != "ok", f"{name} got well by getting older"


@given(st.tuples(AGES, AGES, AGES, AGES, AGES, AGES))
def test_fresh_is_said_only_when_everything_is_young(ages: tuple[float | None, ...]) -> None:
    seen, pulse, snapshot, probe, tick, unapplied = ages
    log, read = facts(seen, pulse, snapshot, probe, tick, unapplied)
    judgement = judge(log, read, NOW)
    young = seen is not None and seen <= 5_000 and snapshot is not None and snapshot <= 3_000 and probe is not None and probe <= 5_000
    young = young and (unapplied or 0.0) <= 5_000
    assert (judgement.status == "fresh") == young
    if judgement.verdict in {"TICKING", "PAUSED"}:
        assert young or judgement.status in {"stale", "unverified"}
        assert pulse is not None
        assert pulse <= 3_000


@pytest.mark.parametrize(
    ("mode", "day", "end", "ended"),
    [("REPLAY", 28, "2013-03-01", False), ("REPLAY", 29, "2013-03-01", True), ("LIVE", 29, None, False)],
)
def test_a_replay_that_brings_no_more_bars_says_so(mode: str, day: int, end: str | None, ended: bool) -> None:
    policy = DEFAULT.model_dump(mode="json")
    policy["market"] |= {"mode": mode, "end": "2013-03-01"}
    at = datetime(2013, 2, 1, tzinfo=UTC) + timedelta(days=day - 1)
    last = defaultdict(lambda: None, {"market_now": at, "reason_counts": {}, "blocker_counts": {}})
    found: Any = decision_body(last, policy, [], [])["marketNow"]
    assert (found["mode"], found["end"], found["ended"]) == (mode, end, ended)
