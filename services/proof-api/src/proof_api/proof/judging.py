"""What the proof says: one pure function from facts to a document, its status and its HTTP code.

Place in the flow: watch (Kafka) and snapshot (PostgreSQL) → **proof** → route. Unknown is null, never false and never an
old value shown as current.

Source: R-A1, R-A4; docs/architecture.md, "Honesty".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from autonomy.values import iso_of_ms
from proof_api.proof.broker_clock import MAX_SKEW_MS
from proof_api.proof.capacity import UNKNOWN, Capacity

Verdict = Literal["TICKING", "PAUSED", "STALLED", "LATE", "DOWN"]
Trouble = Literal["down", "refused", "locked", "cancelled"]
Status = Literal["fresh", "stale", "unverified", "unavailable"]
FRESH_LAG_MS: Final = 5_000
HARD_LAG_MS: Final = 30_000
HEAD_SEEN_MS: Final = 5_000
HEAD_LOST_MS: Final = 30_000
PULSE_SILENCE_MS: Final = 3_000
PROBE_EVERY_MS: Final = 1_000
PROBE_SILENCE_MS: Final = 5_000
LATE_INTERVALS: Final = 1.5
SNAPSHOT_MS: Final = 3_000
"""A snapshot older than this is no answer of PostgreSQL."""
RETRY_AFTER_S: Final = 2
AS_WANTED: Final = frozenset({"TICKING", "PAUSED"})
"""The verdicts that `?require=ticking` is content with: it ticks, or an operator does not want it to."""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What this process itself saw of Kafka.

    Attributes:
        head_tick, head_hash: last accepted seal that its own chain reducer verified.
        runs_end: end offset of `autonomy.runs`.
        seen_age_ms: since Kafka last answered; None before the first time.
        pulse_age_ms: since a leading planner's pulse was read; None if none was.
        probe_age_ms: since a probe of this process was acknowledged; None if none was.
        probe_problem: why the last one was not.
        unapplied_probe_ms: since the oldest own probe was acknowledged that the read models do not have; 0 when they have them all.
        skew_ms: how far this machine's clock is ahead of the broker's; None while that is not known.
        unapplied_ms: since the log has a tick that the read models do not have; 0 when they have them all.
        last_tick_ms: time of the newest accepted tick, as its seal says.
        halted: why a living planner halted, while none leads.
        standby_halted: the same, while another one leads.
        diverged: where the read model's head and this chain disagree, or what the log lost.
        blind: what of the chain this process cannot read; then it knows nothing about ticks, and says so.
    """

    head_tick: int | None = None
    head_hash: str | None = None
    runs_end: int | None = None
    seen_age_ms: float | None = None
    pulse_age_ms: float | None = None
    probe_age_ms: float | None = None
    probe_problem: str = ""
    unapplied_probe_ms: float = 0.0
    skew_ms: int | None = None
    unapplied_ms: float = 0.0
    last_tick_ms: int | None = None
    leader_problem: str = ""
    next_tick_at: str | None = None
    halted: str = ""
    standby_halted: str = ""
    diverged: str = ""
    blind: str = ""


@dataclass(frozen=True, slots=True)
class ReadFacts:
    """What PostgreSQL said in the newest snapshot.

    Attributes:
        age_ms: since the snapshot was taken; None if there is none.
        problem: why there is no answer of PostgreSQL now.
        trouble: what that is: it does not answer (down), will not have this process (refused), a lock holds this process back (locked), or
            it ended the statement (cancelled).
        blocked: who waits for whose lock, as PostgreSQL tells it; asked while there is no answer, or the rows are late.
        probe_age_ms: age of the newest probe that the projection applied; None if it never applied one.
        waited_ms: since this process began to look.
        stuck: what of the log the projection cannot read.
        capacity: whether anything can run.
        body: the document's parts that come from rows.
    """

    age_ms: float | None = None
    problem: str = ""
    trouble: Trouble = "down"
    blocked: str = ""
    capacity: Capacity = UNKNOWN
    probe_age_ms: float | None = None
    waited_ms: float = 0.0
    stuck: str = ""
    applied_tick: int = 0
    applied_hash: str = ""
    applied_offset: int = -1
    last_tick_ms: int | None = None
    tick_interval_s: float = 60.0
    loop_enabled: bool = True
    paused_by: Mapping[str, object] | None = None
    body: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Behind:
    """How far the read models are behind the log.

    Attributes:
        lag_ms: age of the newest applied probe, but for the time in which none was said; None while it is not known.
        ms: the worse of that and the age of the oldest tick that was not applied; without a probe, how long none came.
        words: which of the two it is, and what it means.
        rows_age_ms: since when the rows may lack something; None while it is not known.
    """

    lag_ms: float | None
    ms: float
    words: str
    rows_age_ms: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The proof's verdict over the facts.

    Attributes:
        lag_ms: age of the newest applied probe.
        rows_age_ms: since when the rows may lack something.
        has_rows: whether PostgreSQL answers.
    """

    status: Status
    code: int
    reason: str
    checks: Mapping[str, str]
    lag_ms: float | None
    rows_age_ms: float | None
    trusted: bool
    verdict: Verdict | None
    has_rows: bool

    @property
    def failing(self) -> tuple[str, ...]:
        """The checks to look at, in their order."""
        return tuple(name for name, said in self.checks.items() if said not in {"ok", "off", "unknown"})


def judge(log: LogFacts, read: ReadFacts, now_ms: int) -> Judgement:
    """How far the facts can be trusted, and what they say of the planner and the runners."""
    postgres_ok = not read.problem and read.age_ms is not None and read.age_ms <= SNAPSHOT_MS
    kafka_ok = log.seen_age_ms is not None and log.seen_age_ms <= HEAD_SEEN_MS
    behind = behind_of(log, read, postgres_ok=postgres_ok)
    planner = planner_check(log, read, now_ms) if kafka_ok and not log.blind else "unknown"
    checks = {
        "kafka": "ok" if kafka_ok else "down",
        "postgres": postgres_check(read, answers=postgres_ok),
        "projection": projection_check(behind, postgres_ok=postgres_ok) if not read.stuck or not postgres_ok else "down",
        "planner": planner,
        "runners": read.capacity.check if postgres_ok else "unknown",
        "probe": probe_check(log, read) if kafka_ok else "unknown",
        "chain": "broken"
        if log.diverged or log.blind or log.halted or log.standby_halted
        else ("ok" if log.head_hash is not None else "unknown"),
        "clock": "unknown" if log.skew_ms is None else "ok" if abs(log.skew_ms) <= MAX_SKEW_MS else "wrong",
        "canary": "off",
    }
    status, code, reason = grade(log, read, behind, checks, has_rows=postgres_ok)
    verdict = verdict_of(checks, read) if code == 200 and kafka_ok else None
    if code == 200:
        reason = "; ".join(filter(None, reasons_of(log, read, checks, status, reason)))
    return Judgement(status, code, reason, checks, behind.lag_ms, behind.rows_age_ms, status in {"fresh", "stale"}, verdict, postgres_ok)


def reasons_of(log: LogFacts, read: ReadFacts, checks: Mapping[str, str], status: Status, graded: str) -> list[str]:
    """All that is to be said beside an answer that is given, the most urgent first."""
    found = []
    if log.standby_halted:
        # Two planners disagree: the one that leads may be the wrong one, so whoever reads must see it.
        found.append(f"a planner halted, another leads: {log.standby_halted}")
    found.append(graded)
    if status == "fresh" and checks["planner"] in {"down", "late"}:
        found.append(why_not_ticking(log, checks["planner"]))
    elif status == "fresh" and not read.loop_enabled and read.paused_by:
        found.append(f"paused by {read.paused_by.get('actor')} since {read.paused_by.get('since')}")
    if checks["kafka"] == "ok":
        found.append(read.capacity.words)
    if checks["probe"] == "down" and status == "fresh":
        found.append(why_no_probe(log))
    if checks["postgres"] == "locked":
        found.append(read.blocked)
    if checks["clock"] == "wrong":
        words = f"the proof API's clock differs from the broker's by {log.skew_ms} ms (limit {MAX_SKEW_MS})"
        found.append(f"{words}: ages are counted by the broker's")
    return found


def postgres_check(read: ReadFacts, *, answers: bool) -> str:
    """Whether PostgreSQL answers, and lets the projection write; what stands in the way has its own word."""
    if answers:
        return "locked" if read.blocked else "ok"
    return read.trouble if read.problem else "down"


def probe_check(log: LogFacts, read: ReadFacts) -> str:
    """Whether this process can say its probe: without it, it is blind for how far the read models are, and nobody else's fault."""
    if log.probe_age_ms is None:
        return "unknown" if read.waited_ms <= PROBE_SILENCE_MS else "down"
    return "ok" if log.probe_age_ms <= PROBE_SILENCE_MS else "down"


def why_no_probe(log: LogFacts) -> str:
    """The reason in words."""
    since = "" if log.probe_age_ms is None else f" for {log.probe_age_ms / 1000:.1f} s"
    return f"no probe of the proof API was acknowledged{since}{': ' + log.probe_problem if log.probe_problem else ''}"


def behind_of(log: LogFacts, read: ReadFacts, *, postgres_ok: bool) -> Behind:
    """How far the rows are behind, by the worse of two signs: a probe alone would vouch for rows of hours ago.

    A tick that was just sealed is no lag: what counts is how long ago the first one that is not applied was. Nor is it a lag that no probe
    was said: what counts is how long the first one has waited that was.
    """
    if not postgres_ok:
        return Behind(None, 0.0, "", None)
    lag_ms, unapplied_ms = read.probe_age_ms, log.unapplied_ms
    rows_age_ms = None if lag_ms is None else max(lag_ms, unapplied_ms)
    # A probe that never came is as late as this process has waited for it: a projection that never started is no lasting exception.
    if lag_ms is None:
        waited_ms = min(read.waited_ms, log.unapplied_probe_ms)
    else:
        waited_ms = lag_ms = min(lag_ms, log.unapplied_probe_ms + PROBE_EVERY_MS)
    held_up = f" ({read.blocked})" if read.blocked else ""
    if unapplied_ms > waited_ms:
        words = (
            f"the read models are behind the log: tick {read.applied_tick + 1} is not applied {unapplied_ms / 1000:.1f} s after its seal"
        )
        return Behind(lag_ms, unapplied_ms, f"{words}, the log is at tick {log.head_tick}{held_up}", rows_age_ms)
    if lag_ms is None:
        words = f"the projection has not applied a probe for {waited_ms / 1000:.1f} s, since this process started"
        return Behind(None, waited_ms, f"{words}{held_up}", None)
    return Behind(lag_ms, lag_ms, f"the projection is {lag_ms / 1000:.1f} s behind{held_up}", rows_age_ms)


def grade(log: LogFacts, read: ReadFacts, behind: Behind, checks: Mapping[str, str], *, has_rows: bool) -> tuple[Status, int, str]:
    """Status and HTTP code, the worst first."""
    kafka_ok = checks["kafka"] == "ok"
    if not has_rows:
        return "unavailable", 503, why_no_rows(read, checks["postgres"])
    if broken := why_no_chain(log, read):
        return "unavailable", 503, broken
    if log.seen_age_ms is None or log.seen_age_ms > HEAD_LOST_MS:
        return "unavailable", 503, "Kafka was not seen for over 30 s"
    # Without Kafka nothing new can arrive: only what the projection was behind before that is the projection's own.
    if behind.ms > HARD_LAG_MS and (kafka_ok or behind.ms > log.seen_age_ms + FRESH_LAG_MS):
        return "unavailable", 503, f"{behind.words} (limit 30 s)"
    if not kafka_ok:
        return "unverified", 200, f"Kafka was last seen {log.seen_age_ms / 1000:.1f} s ago"
    if checks["probe"] == "down" and (read.probe_age_ms is None or read.probe_age_ms > FRESH_LAG_MS):
        by_ticks = f"; {behind.words}" if behind.ms > FRESH_LAG_MS else ""
        return "unverified", 200, f"{why_no_probe(log)}: by ticks alone it is known how far the read models are{by_ticks}"
    if behind.lag_ms is None:
        return "unverified", 200, "the projection has not applied a probe yet"
    if behind.ms > FRESH_LAG_MS:
        return "stale", 200, behind.words
    return "fresh", 200, ""


def why_no_chain(log: LogFacts, read: ReadFacts) -> str:
    """Why nobody can say what the log holds, in words; empty when the chain is whole and readable."""
    if log.diverged or log.halted:
        return f"the chain is broken: {log.diverged or log.halted}"
    if log.blind:
        return f"this process cannot read the log: {log.blind}"
    return f"the projection cannot read the log: {read.stuck}" if read.stuck else ""


def why_no_rows(read: ReadFacts, check: str) -> str:
    """The reason in words, by what PostgreSQL itself said of it."""
    match check:
        case "locked":
            return f"a lock in PostgreSQL holds the proof API back: {read.blocked or read.problem}"
        case "refused":
            return f"PostgreSQL refuses: {read.problem}"
        case "cancelled":
            return f"PostgreSQL ended the proof API's statement: {read.problem}"
        case _:
            return f"PostgreSQL does not answer: {read.problem or 'no recent snapshot'}"


def projection_check(behind: Behind, *, postgres_ok: bool) -> str:
    """Whether the read models follow the log."""
    if not postgres_ok or (behind.lag_ms is None and behind.ms <= FRESH_LAG_MS):
        return "unknown"
    return "ok" if behind.ms <= FRESH_LAG_MS else "late" if behind.ms <= HARD_LAG_MS else "down"


def planner_check(log: LogFacts, read: ReadFacts, now_ms: int) -> str:
    """Whether a planner leads and ticks; a pulse alone is no tick, and rows that miss ticks are not the planner's fault."""
    if log.pulse_age_ms is None or log.pulse_age_ms > PULSE_SILENCE_MS:
        return "down"
    last_tick_ms = max((at for at in (log.last_tick_ms, read.last_tick_ms) if at is not None), default=None)
    if last_tick_ms is None:
        return "ok"
    late_ms = read.tick_interval_s * 1000 * LATE_INTERVALS
    return "late" if now_ms - last_tick_ms > late_ms else "ok"


def why_not_ticking(log: LogFacts, planner: str) -> str:
    """The reason in words."""
    if planner == "late":
        return "a planner leads, but no tick was accepted for 1.5 intervals"
    if log.leader_problem:
        return f"no planner leads: {log.leader_problem}"  # a process that lives and says why is no silence
    if log.pulse_age_ms is None:
        return "no planner leads"
    return f"no pulse of a leading planner for {log.pulse_age_ms / 1000:.1f} s"


def verdict_of(checks: Mapping[str, str], read: ReadFacts) -> Verdict:
    """One word for people and alerts."""
    match checks["planner"]:
        case "down":
            return "DOWN"
        case "late":
            return "LATE"
        case _:
            pass
    if not read.loop_enabled:
        return "PAUSED"
    return "STALLED" if checks["runners"] == "down" else "TICKING"


def proof_of(judgement: Judgement, log: LogFacts, read: ReadFacts, now_ms: int) -> dict[str, object]:
    """The `proof` member of every answer."""
    known = judgement.has_rows
    runs_lag = None if log.runs_end is None or not known else max(0, log.runs_end - read.applied_offset - 1)
    return {
        "status": judgement.status,
        "verdict": judgement.verdict,
        "reason": judgement.reason or None,
        "asOf": iso_of_ms(now_ms - round(judgement.rows_age_ms)) if judgement.rows_age_ms is not None else None,
        "tickAgeMs": max(0, now_ms - read.last_tick_ms) if read.last_tick_ms is not None and known else None,
        "projectionLagMs": round(judgement.lag_ms) if judgement.lag_ms is not None else None,
        "lagRecords": runs_lag,
        "applied": {"tick": read.applied_tick, "hash": read.applied_hash} if known and read.applied_hash else None,
        "head": {
            "tick": log.head_tick, "hash": log.head_hash, "runsEnd": log.runs_end,
            "seenAt": iso_of_ms(now_ms - round(log.seen_age_ms)) if log.seen_age_ms is not None else None,
        },
        "plannerPulseAgeMs": round(log.pulse_age_ms) if log.pulse_age_ms is not None else None,
        "nextTickAt": log.next_tick_at if judgement.checks["planner"] == "ok" else None,
        "checks": judgement.checks,
        "failing": list(judgement.failing),
    }  # fmt: skip


AUTONOMY_KEYS: Final = (
    "loopEnabled", "lastTickAt", "tickIntervalSec", "lastDecisionSummary", "latestPlannerRuns", "latestEnqueuedJobs",
    "marketNow", "pausedBy", "chainRepairs", "promotionMode",
)  # fmt: skip
JOBS_KEYS: Final = (
    "running", "queued", "completedLast1h", "stuckRunningOverXmin", "stuckAfterMin", "runningWithoutHeartbeat",
)  # fmt: skip


def body_of(keys: tuple[str, ...], judgement: Judgement, read: ReadFacts) -> dict[str, object]:
    """The row-based part: the same keys always, null where they are not known now."""
    if judgement.status == "unavailable":
        return dict.fromkeys(keys)
    known = dict(read.body)
    document = {key: known.get(key) for key in keys}
    # Without Kafka an operator's pause or resume of a moment ago cannot be excluded.
    if judgement.status == "unverified" and "loopEnabled" in document:
        document["loopEnabled"] = None
    return document
