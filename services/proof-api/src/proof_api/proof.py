"""What the proof says: one pure function from facts to a document, its status and its HTTP code.

Place in the flow: watch (Kafka) and snapshot (PostgreSQL) → **proof** → route. Unknown is null, never false and never an
old value shown as current.

Source: R-A1, R-A4; design, "Honesty".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from autonomy.values import iso_of_ms

Status = Literal["fresh", "stale", "unverified", "unavailable"]
FRESH_LAG_MS: Final = 5_000
HARD_LAG_MS: Final = 30_000
HEAD_SEEN_MS: Final = 5_000
HEAD_LOST_MS: Final = 30_000
PULSE_SILENCE_MS: Final = 3_000
LATE_INTERVALS: Final = 1.5
SNAPSHOT_MS: Final = 3_000
"""A snapshot older than this is no answer of PostgreSQL."""
RETRY_AFTER_S: Final = 2


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What this process itself saw of Kafka.

    Attributes:
        head_tick, head_hash: last accepted seal that its own chain reducer verified.
        runs_end: end offset of `autonomy.runs`.
        seen_age_ms: since Kafka last answered; None before the first time.
        pulse_age_ms: since a leading planner's pulse was read; None if none was.
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
        problem: why PostgreSQL does not answer now, or, if `refused`, why it will not have this process.
        probe_age_ms: age of the newest probe that the projection applied; None if it never applied one.
        waited_ms: since this process began to look.
        stuck: what of the log the projection cannot read.
        body: the document's parts that come from rows.
    """

    age_ms: float | None = None
    problem: str = ""
    refused: bool = False
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
        lag_ms: age of the newest applied probe; None while it is not known.
        ms: the worse of that and the age of the oldest tick that was not applied; without a probe, how long none came.
        words: which of the two it is, and what it means.
    """

    lag_ms: float | None
    ms: float
    words: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The proof's verdict over the facts.

    Attributes:
        lag_ms: age of the newest applied probe.
        rows_age_ms: since when the rows may lack something.
    """

    status: Status
    code: int
    reason: str
    checks: Mapping[str, str]
    lag_ms: float | None
    rows_age_ms: float | None
    trusted: bool
    verdict: Literal["TICKING", "PAUSED", "LATE", "DOWN"] | None


def judge(log: LogFacts, read: ReadFacts, now_ms: int) -> Judgement:
    """How far the facts can be trusted, and what they say of the planner."""
    postgres_ok = not read.problem and read.age_ms is not None and read.age_ms <= SNAPSHOT_MS
    kafka_ok = log.seen_age_ms is not None and log.seen_age_ms <= HEAD_SEEN_MS
    behind = behind_of(log, read, postgres_ok=postgres_ok)
    planner = planner_check(log, read, now_ms) if kafka_ok and not log.blind else "unknown"
    checks = {
        "kafka": "ok" if kafka_ok else "down",
        "postgres": "ok" if postgres_ok else "down",
        "projection": projection_check(behind, postgres_ok=postgres_ok) if not read.stuck or not postgres_ok else "down",
        "planner": planner,
        "chain": "broken"
        if log.diverged or log.blind or log.halted or log.standby_halted
        else ("ok" if log.head_hash is not None else "unknown"),
        "canary": "off",
    }
    status, code, reason = grade(log, read, behind, postgres_ok=postgres_ok, kafka_ok=kafka_ok)
    verdict = verdict_of(planner, read) if code == 200 and kafka_ok else None
    if status == "fresh" and planner in {"down", "late"}:
        reason = why_not_ticking(log, planner)
    if status == "fresh" and not reason and not read.loop_enabled and read.paused_by:
        reason = f"paused by {read.paused_by.get('actor')} since {read.paused_by.get('since')}"
    if log.standby_halted and code == 200:
        # Two planners disagree: the one that leads may be the wrong one, so whoever reads must see it.
        reason = "; ".join(filter(None, (f"a planner halted, another leads: {log.standby_halted}", reason)))
    rows_age_ms = None if behind.lag_ms is None else behind.ms
    return Judgement(status, code, reason, checks, behind.lag_ms, rows_age_ms, status in {"fresh", "stale"}, verdict)


def behind_of(log: LogFacts, read: ReadFacts, *, postgres_ok: bool) -> Behind:
    """How far the rows are behind, by the worse of two signs: a probe alone would vouch for rows of hours ago.

    A tick that was just sealed is no lag: what counts is how long ago the first one that is not applied was.
    """
    if not postgres_ok:
        return Behind(None, 0.0, "")
    lag_ms, unapplied_ms = read.probe_age_ms, log.unapplied_ms
    # A probe that never came is as late as this process has waited for it: a projection that never started is no lasting exception.
    waited_ms = read.waited_ms if lag_ms is None else lag_ms
    if unapplied_ms > waited_ms:
        words = (
            f"the read models are behind the log: tick {read.applied_tick + 1} is not applied {unapplied_ms / 1000:.1f} s after its seal"
        )
        return Behind(lag_ms, unapplied_ms, f"{words}, the log is at tick {log.head_tick}")
    if lag_ms is None:
        return Behind(None, waited_ms, f"the projection has not applied a probe for {waited_ms / 1000:.1f} s, since this process started")
    return Behind(lag_ms, lag_ms, f"the projection is {lag_ms / 1000:.1f} s behind")


def grade(log: LogFacts, read: ReadFacts, behind: Behind, *, postgres_ok: bool, kafka_ok: bool) -> tuple[Status, int, str]:
    """Status and HTTP code, the worst first."""
    if not postgres_ok:
        return "unavailable", 503, f"PostgreSQL {'refuses' if read.refused else 'does not answer'}: {read.problem or 'no recent snapshot'}"
    if log.diverged or log.halted:
        return "unavailable", 503, f"the chain is broken: {log.diverged or log.halted}"
    if log.blind:
        return "unavailable", 503, f"this process cannot read the log: {log.blind}"
    if read.stuck:
        return "unavailable", 503, f"the projection cannot read the log: {read.stuck}"
    if log.seen_age_ms is None or log.seen_age_ms > HEAD_LOST_MS:
        return "unavailable", 503, "Kafka was not seen for over 30 s"
    # Without Kafka nothing new can arrive: only what the projection was behind before that is the projection's own.
    if behind.ms > HARD_LAG_MS and (kafka_ok or behind.ms > log.seen_age_ms + FRESH_LAG_MS):
        return "unavailable", 503, f"{behind.words} (limit 30 s)"
    if not kafka_ok:
        return "unverified", 200, f"Kafka was last seen {log.seen_age_ms / 1000:.1f} s ago"
    if behind.lag_ms is None:
        return "unverified", 200, "the projection has not applied a probe yet"
    if behind.ms > FRESH_LAG_MS:
        return "stale", 200, behind.words
    return "fresh", 200, ""


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
    if log.pulse_age_ms is None:
        return f"no planner leads{': ' + log.leader_problem if log.leader_problem else ''}"
    return f"no pulse of a leading planner for {log.pulse_age_ms / 1000:.1f} s"


def verdict_of(planner: str, read: ReadFacts) -> Literal["TICKING", "PAUSED", "LATE", "DOWN"]:
    """One word for people and alerts."""
    if planner == "down":
        return "DOWN"
    if planner == "late":
        return "LATE"
    return "TICKING" if read.loop_enabled else "PAUSED"


def proof_of(judgement: Judgement, log: LogFacts, read: ReadFacts, now_ms: int) -> dict[str, object]:
    """The `proof` member of every answer."""
    known = judgement.status != "unavailable" or judgement.checks["postgres"] == "ok"
    runs_lag = None if log.runs_end is None or not known else max(0, log.runs_end - read.applied_offset - 1)
    return {
        "status": judgement.status,
        "verdict": judgement.verdict,
        "reason": judgement.reason or None,
        "asOf": iso_of_ms(now_ms - round(judgement.rows_age_ms)) if judgement.rows_age_ms is not None else None,
        "tickAgeMs": now_ms - read.last_tick_ms if read.last_tick_ms is not None and known else None,
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
