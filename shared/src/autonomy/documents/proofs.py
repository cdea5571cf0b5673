"""The proof in every answer, the two documents that are nothing but proof, and health.

Place in the flow: **proofs** → proof-api's judgement and snapshots, OpenAPI. Unknown is null, never false and never an old value.

Source: R-A1, R-A4; docs/architecture.md, "Honesty".
"""

from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import Field

from autonomy.documents.rows import Shown, made_of, many
from autonomy.documents.tables import JOB_TOLD, PAUSE, REPAIR, RUN_TOLD
from autonomy.events import Document
from autonomy.values import JobType

ProofVerdict = Literal["TICKING", "PAUSED", "STALLED", "LATE", "DOWN"]
ProofStatus = Literal["fresh", "stale", "unverified", "unavailable"]


class Checks(Shown):
    """What was looked at; a check says what the proof API saw itself."""

    kafka: Literal["ok", "down"]
    """whether Kafka answered within 5 s"""
    postgres: Literal["ok", "down", "refused", "locked", "cancelled"]
    """whether PostgreSQL answers, and lets the projection write"""
    projection: Literal["ok", "late", "down", "unknown"]
    """whether the read models follow the log"""
    planner: Literal["ok", "late", "down", "unknown"]
    """whether a planner leads and ticks"""
    runners: Literal["ok", "down", "off", "unknown"]
    """whether anything can run; off: no bot is registered"""
    probe: Literal["ok", "down", "unknown"]
    """whether the proof API's own probe is acknowledged"""
    chain: Literal["ok", "broken", "unknown"]
    """whether the seals follow one another, and log and read models agree"""
    clock: Literal["ok", "wrong", "unknown"]
    """whether this machine's clock is near the broker's"""
    canary: Literal["off"]
    """a synthetic job that travels the whole way is not built"""


class Applied(Shown):
    """The tick that the read models stand on."""

    tick: int
    """its number"""
    hash: str
    """hash of its seal"""


class HeadSeen(Shown):
    """The newest accepted seal that the proof API's own reading of the chain verified."""

    tick: int | None
    """its number"""
    hash: str | None
    """its hash"""
    runs_end: int | None
    """end offset of `autonomy.runs`"""
    seen_at: datetime | None
    """when Kafka last answered"""


class Proof(Shown):
    """How far an answer can be trusted, and what the planner does."""

    status: ProofStatus
    """fresh: up to 5 s behind the log; stale: up to 30 s; unverified: Kafka was not seen for 5 to 30 s; unavailable: not to be trusted"""
    verdict: ProofVerdict | None
    """the planner in one word; null while it is not known"""
    reason: str | None
    """why it is not fresh and ticking, in words"""
    as_of: datetime | None
    """the instant up to which the rows are complete"""
    tick_age_ms: int | None
    """since the last tick, ms"""
    projection_lag_ms: int | None
    """age of the newest probe in the read models, ms"""
    lag_records: int | None
    """records of `autonomy.runs` that are not applied yet"""
    applied: Applied | None
    """the tick that the rows stand on; null before the first"""
    head: HeadSeen
    """the head of the log"""
    planner_pulse_age_ms: int | None
    """since a leading planner's last sign of life, ms"""
    next_tick_at: datetime | None
    """when the planner ticks next"""
    checks: Checks
    """each check by name"""
    failing: list[Literal["kafka", "postgres", "projection", "planner", "runners", "probe", "chain", "clock", "canary"]]
    """the checks to look at, in their order"""


class Proved(Shown):
    """An answer with its proof."""

    now: datetime
    """when it was judged, by the broker's clock"""
    proof: Proof
    """how far it can be trusted"""


class ReasonCount(Shown):
    """Bots with one reason."""

    reason_code: str
    """the reason"""
    count: int
    """how many bots"""


class GateCount(Shown):
    """Blockers of one gate."""

    code: str
    """the gate"""
    count: int
    """how many blockers"""


class ZeroJobsTold(Shown):
    """Why a tick enqueued nothing."""

    reason: str
    """in one word; NO_TICK_YET before the first tick"""
    counts: dict[str, int]
    """bots by reason code"""
    blockers_top: list[GateCount]
    """the gates that block most, first"""


class DecisionSummary(Shown):
    """The last tick's decisions in numbers."""

    tick: int | None
    """which tick; null before the first"""
    bots_evaluated: int
    """bots decided"""
    jobs_enqueued: int
    """jobs that it enqueued"""
    blocked: int
    """bots coded BLOCKED_BY_GATES"""
    reasons_top: list[ReasonCount]
    """reasons, the most frequent first"""
    reason_counts: dict[str, int]
    """bots by reason code; sums to `botsEvaluated`"""
    blockers_top: list[GateCount]
    """the gates that block most, first"""
    zero_jobs: ZeroJobsTold | None
    """why nothing was enqueued; null when something was"""


class MarketNow(Shown):
    """The time of the market clock."""

    at: datetime | None
    """as of the last tick"""
    mode: Literal["LIVE", "REPLAY"]
    """live, or recorded bars"""
    end: date | None
    """last day of a replay"""
    ended: bool
    """a replay that is over brings no new bars"""


class PlannerFigures(Proved):
    """What the planner's last ticks say; each is null where it is not known."""

    loop_enabled: bool | None
    """false while the fleet is paused"""
    last_tick_at: datetime | None
    """time of the last tick"""
    tick_interval_sec: float | None
    """time between ticks, s"""
    last_decision_summary: DecisionSummary | None
    """what the last tick decided"""
    market_now: MarketNow | None
    """the market clock; null before the first tick"""
    promotion_mode: Literal["MANUAL", "AUTO"] | None
    """who promotes"""


AutonomyProof: Final = made_of(
    "AutonomyProof", "Whether the planner is really scheduling; all but `now` and `proof` is null where it is not known", PlannerFigures,
    latest_planner_runs=(many(RUN_TOLD.model) | None, "the last 10 ticks, newest first"),
    latest_enqueued_jobs=(many(JOB_TOLD.model) | None, "the last 20 jobs, newest first"),
    paused_by=(many(PAUSE.model) | None, "pauses in force"),
    chain_repairs=(many(REPAIR.model) | None, "differences that approvers accepted"),
)  # fmt: skip


class JobsByKind(Shown):
    """Jobs by what they do."""

    backtest: int
    """baselines and refreshes"""
    evolve: int
    """searches"""
    runner: int
    """paper runners"""


class DoneByKind(Shown):
    """Jobs that ended well; a paper runner has no such end."""

    backtest: int
    """baselines and refreshes"""
    evolve: int
    """searches"""


class StuckJob(Shown):
    """A job that runs for too long; a paper runner that was silent for too long."""

    job_id: UUID
    """which job"""
    bot_id: str
    """of which bot"""
    type: JobType
    """what it does"""
    started_at: datetime
    """when its attempt was claimed"""
    age_min: float
    """since then, minutes"""


class JobsProof(Proved):
    """Whether work is really being done; all but `now` and `proof` is null where it is not known."""

    running: JobsByKind | None
    """jobs that a runner has claimed"""
    queued: JobsByKind | None
    """jobs that wait for a runner"""
    completed_last1h: DoneByKind | None = Field(alias="completedLast1h")
    """jobs that succeeded within the last hour"""
    stuck_running_over_xmin: list[StuckJob] | None = Field(alias="stuckRunningOverXmin")
    """at most 50 stuck jobs, the oldest first"""
    stuck_after_min: int | None
    """from how many minutes on a job counts as stuck"""
    running_without_heartbeat: JobsByKind | None
    """running jobs without a beat for a whole lease"""


class Alive(Shown):
    """The process runs."""

    status: Literal["ok"]
    """always ok"""
    version: str
    """of the program"""


class Ready(Shown):
    """Whether an answer could be trusted now."""

    status: Literal["ok", "unavailable"]
    """unavailable comes with 503"""
    checks: Checks
    """each check by name"""
    reason: str | None
    """why not, in words"""


def keys_of(proof: type[Document]) -> tuple[str, ...]:
    """The keys of a proof document that come from rows."""
    return tuple(field.alias or name for name, field in proof.model_fields.items() if name not in Proved.model_fields)
