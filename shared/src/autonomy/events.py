"""The catalogue: everything that is ever said between two processes, in the order in which it flows.

Place in the flow: the language. Events are past-tense facts, commands are imperatives; all are frozen and refuse unknown
fields. Wire names (`job-enqueued.v1`) never change; a change of meaning is a new version with an upcaster in `envelope`.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from autonomy import topics
from autonomy.values import (
    BotId,
    Cause,
    Instant,
    JobClass,
    JobType,
    Origin,
    Reason,
    Stage,
    Symbol,
    TickCause,
    Verdict,
    ZeroJobs,
)

MAX_BOTS_PER_COMMAND: Final = 500
MAX_TEXT: Final = 500
BASE64_PATTERN: Final = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$"
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Money = Annotated[str, Field(pattern=r"^-?\d{1,18}(\.\d{1,8})?$")]
MAX_NUMBER: Final = 2**53 - 1
Count = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Tick = Annotated[int, Field(ge=0, le=MAX_NUMBER)]


class Document(BaseModel):
    """A frozen, closed part of an event; camelCase on the wire, no NaN, no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False)


class Event(Document):
    """Anything with a place in a topic."""

    wire: ClassVar[str]
    topic: ClassVar[str]
    producer: ClassVar[str]


# ── commands: what operators ask for (producer: proof-api) ─────────────────────────────────────────────────────────


class Command(Event):
    """An imperative of a named operator; the planner answers each with accepted or rejected.

    Attributes:
        command_id: drawn by proof-api, or derived from actor and idempotency key; said twice, it acts once.
        actor, role: from the credential, never from the body.
        reason: why, in the operator's words.
    """

    topic = topics.COMMANDS
    producer = "proof-api"
    command_id: Identifier
    actor: Annotated[str, Field(min_length=1, max_length=64)]
    role: Literal["viewer", "operator", "approver", "system"]
    reason: Text = ""


class RegisterBots(Command):
    """Take these bots into the fleet; each has its own outcome, so the same list may be said again."""

    wire = "register-bots.v1"
    bots: Annotated[tuple[dict[str, JsonValue], ...], Field(min_length=1, max_length=MAX_BOTS_PER_COMMAND)]


class ChangeBot(Command):
    """Give a LAB bot another strategy, parameters or symbol: a new version, whose evidence starts at nothing."""

    wire = "change-bot.v1"
    bot_id: BotId
    strategy: Text | None = None
    parameters: dict[str, JsonValue] | None = None
    symbol: Text | None = None


class RetireBot(Command):
    """Take a bot out of the fleet for good; its id is never used again."""

    wire = "retire-bot.v1"
    bot_id: BotId


class PauseLoop(Command):
    """Enqueue nothing for the fleet, a stage or a bot; ticks, cancels and repairs go on."""

    wire = "pause-loop.v1"
    scope: Literal["fleet", "stage", "bot"] = "fleet"
    target: Text = ""


class ResumeLoop(Command):
    """Undo a pause of the same scope and target."""

    wire = "resume-loop.v1"
    scope: Literal["fleet", "stage", "bot"] = "fleet"
    target: Text = ""


class HoldBot(Command):
    """Schedule nothing for this bot until the hold is released."""

    wire = "hold-bot.v1"
    bot_id: BotId


class ReleaseHold(Command):
    """End an operator's hold, or the quarantine after repeated crashes."""

    wire = "release-hold.v1"
    bot_id: BotId


class SetPolicy(Command):
    """Put another policy document in force."""

    wire = "set-policy.v1"
    document: dict[str, JsonValue]


class CancelJob(Command):
    """End a live job."""

    wire = "cancel-job.v1"
    job_id: Identifier


class AcceptDivergence(Command):
    """Let a halted planner go on although its fold differs from an accepted seal; the proofs show it for ever."""

    wire = "accept-divergence.v1"
    tick: Tick
    sealed_state_hash: Digest
    folded_state_hash: Digest


class AttemptRefused(Event):
    """Somebody asked for something without the right to, or so badly that it is no command; the planner ignores it.

    Attributes:
        actor: the credential's name, or "anonymous".
        code: NO_CREDENTIAL, BAD_CREDENTIAL, FORBIDDEN or BAD_INPUT.
    """

    wire = "attempt-refused.v1"
    topic = topics.COMMANDS
    producer = "proof-api"
    attempt_id: Identifier
    command: Text
    actor: Text
    role: Text
    code: Text
    field: Text
    limit: Text


# ── runs: what a tick decided (producer: planner) ──────────────────────────────────────────────────────────────────


class TickRecord(Event):
    """A record of one try at one tick; nothing of it counts until the try's seal is accepted."""

    topic = topics.RUNS
    producer = "planner"


class BotOutcome(Document):
    """What became of one bot of a command."""

    bot_id: Text
    outcome: Literal["REGISTERED", "UNCHANGED", "REJECTED"]
    field: Text | None = None
    limit: Text | None = None


class CommandAccepted(TickRecord):
    """The command acted in this tick."""

    wire = "command-accepted.v1"
    command_id: Identifier
    command: Text
    outcomes: tuple[BotOutcome, ...] = ()


class CommandRejected(TickRecord):
    """The command changed nothing; `field` and `limit` say why."""

    wire = "command-rejected.v1"
    command_id: Identifier
    command: Text
    code: Text
    field: Text
    limit: Text


class BotRegistered(TickRecord):
    """A bot is in the fleet. An imported stage is no promotion: it carries no evidence."""

    wire = "bot-registered.v1"
    bot_id: BotId
    name: Text
    strategy: Text
    parameters: dict[str, int | float | str]
    symbol: Symbol
    timeframe: Literal["1d"]
    stage: Stage
    origin: Origin
    pinned: bool
    pin_reason: Text = ""
    actor: Text


class BotChanged(TickRecord):
    """A bot's next version."""

    wire = "bot-changed.v1"
    bot_id: BotId
    version: Count
    strategy: Text
    parameters: dict[str, int | float | str]
    symbol: Symbol
    actor: Text


class BotRetired(TickRecord):
    """A bot left the fleet."""

    wire = "bot-retired.v1"
    bot_id: BotId
    actor: Text


class StageChanged(TickRecord):
    """A row of the bot's stage history."""

    wire = "stage-changed.v1"
    event_id: Identifier
    bot_id: BotId
    from_stage: Stage | None
    to_stage: Stage
    reason_code: Text
    actor: Text


class LoopPaused(TickRecord):
    """Nothing is enqueued for this scope from this tick on."""

    wire = "loop-paused.v1"
    scope: Literal["fleet", "stage", "bot"]
    target: Text
    actor: Text
    reason: Text


class LoopResumed(TickRecord):
    """The scope is scheduled again from this tick on."""

    wire = "loop-resumed.v1"
    scope: Literal["fleet", "stage", "bot"]
    target: Text
    actor: Text


class PolicyChanged(TickRecord):
    """The policy in force from this tick on."""

    wire = "policy-changed.v1"
    document: dict[str, JsonValue]
    policy_hash: Digest
    actor: Text


class HoldPlaced(TickRecord):
    """An operator's hold, or the planner's own after repeated crashes."""

    wire = "hold-placed.v1"
    bot_id: BotId
    kind: Literal["OPERATOR", "QUARANTINE"]
    actor: Text
    reason: Text


class HoldReleased(TickRecord):
    """The bot is scheduled again."""

    wire = "hold-released.v1"
    bot_id: BotId
    kind: Literal["OPERATOR", "QUARANTINE"]
    actor: Text


class CancelRequested(TickRecord):
    """This live job shall end; the planner repeats JobCancelled until it is effective."""

    wire = "cancel-requested.v1"
    job_id: Identifier
    bot_id: BotId
    cause: Cause
    actor: Text


class ChainRepaired(TickRecord):
    """An approver let the planner go on over a difference; nobody may forget it."""

    wire = "chain-repaired.v1"
    at_tick: Tick
    sealed_state_hash: Digest
    folded_state_hash: Digest
    actor: Text
    reason: Text


class Blocker(Document):
    """One gate that does not pass, with what was measured, what is required and what would clear it."""

    code: Text
    verdict: Verdict
    measured: Text
    required: Text
    clears_when: Text
    evidence_job: Identifier | None = None
    evidence_age_bars: Count | None = None
    fingerprint: Digest | None = None


class BotDecision(TickRecord):
    """Why one bot was scheduled or skipped, said when it changes and whenever a job is enqueued.

    Attributes:
        job_type: the want that the reason is about; None when nothing is due.
        job_id: the job that was enqueued, or the live one.
        until: end of a cooldown.
        next_due_at: when something becomes due, if it can be foreseen.
        limit, limit_value: which limit holds the bot back, in jobs.
        place: 1-based place in line when this was said.
        would: the reason there would be, were the loop not paused.
    """

    wire = "bot-decision.v1"
    bot_id: BotId
    tick: Tick
    reason: Reason
    job_type: JobType | None = None
    job_id: Identifier | None = None
    blockers: tuple[Blocker, ...] = ()
    detail: Text = ""
    until: Instant | None = None
    next_due_at: Instant | None = None
    limit: Text | None = None
    limit_value: Count | None = None
    place: Count | None = None
    would: Reason | None = None
    due_since: Instant | None = None


class Costs(Document):
    """Per side, in basis points of the traded value."""

    fee_bps: Annotated[float, Field(ge=0, le=1000)]
    slippage_bps: Annotated[float, Field(ge=0, le=1000)]


class SuiteSizes(Document):
    """How much validation a baseline does; policy, never padding."""

    bootstrap_samples: Annotated[int, Field(ge=10, le=1_000_000)] = 30_000
    truncation_cuts: Annotated[int, Field(ge=1, le=10_000)] = 250
    neighbourhood_steps: Annotated[int, Field(ge=0, le=20)] = 4
    stress_levels: Annotated[int, Field(ge=1, le=50)] = 6
    walk_forward_windows: Annotated[int, Field(ge=2, le=100)] = 8


class JobEnqueued(TickRecord):
    """A job exists. It says everything a runner needs, so that a runner has no choice.

    Attributes:
        partition: of `autonomy.jobs`, where all its events go.
        bars_until: no later bar may be read.
        fingerprint: of strategy code, parameters, data source, engine and costs, as the planner knows them.
        lease_s: silence after which the claim expires; a runner that beats too slowly for it must not claim.
    """

    wire = "job-enqueued.v1"
    job_id: Identifier
    bot_id: BotId
    job_type: JobType
    job_class: JobClass
    tick: Tick
    partition: Count
    strategy: Text
    parameters: dict[str, int | float | str]
    symbol: Symbol
    timeframe: Literal["1d"]
    bars_until: date
    min_bars: Count
    costs: Costs
    initial_cash_usd: Money
    suite: SuiteSizes
    fingerprint: Digest
    timeout_s: Annotated[int, Field(ge=1, le=86_400)]
    lease_s: Annotated[float, Field(gt=0, le=3600)]
    failures_limit: Annotated[int, Field(ge=1, le=100)]


class Head(Document):
    """An accepted seal: its tick, its offset in `autonomy.runs`, its hash."""

    tick: Tick
    offset: Annotated[int, Field(ge=-1)]
    hash: Digest


class PlannerRun(TickRecord):
    """The seal of a tick. Without it nothing of the tick counts.

    Attributes:
        prev_hash: hash of the accepted seal before; zeros before the first.
        count, root: how many records the try has, and the hash over their hashes in order of seq.
        cut: first offset of each input partition that the tick did not fold.
        elapsed_ms: the leader's monotonic time since it read the accepted seal before, or since its start.
        digest: over all decisions, also those unchanged, so that "no event" is provably "unchanged".
        hash: over this seal itself, with this field empty.
    """

    wire = "planner-run.v1"
    run_id: Identifier
    tick: Tick
    prev_hash: Digest
    try_id: Identifier
    process_id: Identifier
    count: Count
    root: Digest
    cut: dict[str, tuple[int, ...]]
    cause: TickCause
    due_at: Instant
    now: Instant
    elapsed_ms: Count
    market_now: Instant
    state_hash: Digest
    horizon: Head
    policy_hash: Digest
    decider: Text
    registered: Count
    evaluated: Count
    jobs_enqueued: Count
    blocked: Count
    reason_counts: dict[Reason, Count]
    blocker_counts: dict[str, Count]
    zero_jobs: ZeroJobs | None
    live_jobs: Count
    loop_enabled: bool
    errors: tuple[Text, ...]
    digest: Digest
    hash: str


# ── jobs: what became of a job (producers: job-runner, planner) ────────────────────────────────────────────────────


class JobEvent(Event):
    """A step of one job's life, in the job's own partition.

    Attributes:
        tick: of the job's JobEnqueued; tells a job not known yet from one long gone (S8).
        attempt: 1-based; an event of another attempt changes nothing.
    """

    topic = topics.JOBS
    job_id: Identifier
    bot_id: BotId
    tick: Tick
    attempt: Annotated[int, Field(ge=1)]


class ClaimEvent(JobEvent):
    """A step that counts only when said by the winner of the attempt."""

    producer = "job-runner"
    claim_id: Identifier
    process_id: Identifier


class JobStarted(ClaimEvent):
    """A claim. The first in the partition for a queued job's current attempt wins."""

    wire = "job-started.v1"


class JobReleased(ClaimEvent):
    """The winner gives the job back unstarted or unfinished: attempt + 1, no failure counted."""

    wire = "job-released.v1"
    cause: Cause


class BacktestMetrics(Document):
    """Results of one backtest; ratios annualised with 252 days; None where they are not defined."""

    sharpe: float | None
    sortino: float | None
    cagr: float | None
    max_drawdown: float | None
    exposure: float | None
    turnover_per_year: float | None
    trades: Count
    win_rate: float | None
    profit_factor: float | None
    bars_per_trade: float | None
    costs_usd: Money | None
    final_equity_usd: Money | None


class ResearchSummary(Document):
    """What a finished backtest with its validation suite found; the whole report is the artefact.

    Attributes:
        data_sha256: of the very bars that were read.
        trials: how many evaluations were counted against the deflated Sharpe ratio.
        stress_worst_sharpe: the lowest Sharpe ratio on the cost and slippage grid.
        bootstrap_sharpe_p05: 5 % quantile over the bootstrap.
        equity: at most 120 points (day, strategy, buy and hold), as multiples of the initial cash.
    """

    fingerprint: Digest
    data_sha256: Digest
    source_id: Text
    synthetic: bool
    bars: Count
    first_day: date
    last_day: date
    metrics: BacktestMetrics
    in_sample: BacktestMetrics
    out_of_sample: BacktestMetrics
    buy_and_hold: BacktestMetrics
    look_ahead_ok: bool
    look_ahead_cuts: Count
    psr: float | None
    dsr: float | None
    trials: Count
    stress_worst_sharpe: float | None
    neighbourhood_median_sharpe: float | None
    bootstrap_sharpe_p05: float | None
    equity: tuple[tuple[date, float, float], ...] = ()
    artifact: Text | None = None
    elapsed_s: float


class JobSucceeded(ClaimEvent):
    """The job's one accepted result."""

    wire = "job-succeeded.v1"
    result: ResearchSummary | None = None


class JobFailed(ClaimEvent):
    """The job ended without a result; `field` and `limit` when the input was at fault."""

    wire = "job-failed.v1"
    cause: Cause
    detail: Text
    field: Text | None = None
    limit: Text | None = None


class JobRequeued(JobEvent):
    """The lease of this attempt ran out: attempt + 1, one failure counted."""

    wire = "job-requeued.v1"
    producer = "planner"
    cause: Cause


class JobCancelled(JobEvent):
    """The planner ends a live job, at whatever attempt it is."""

    wire = "job-cancelled.v1"
    producer = "planner"
    cause: Cause


class JobDead(JobEvent):
    """The lease ran out once too often."""

    wire = "job-dead.v1"
    producer = "planner"
    cause: Cause
    failures: Count


# ── runners: signs of life and abilities (producer: job-runner) ────────────────────────────────────────────────────


class HeldJob(Document):
    """A job that a process works on, with its true progress (0 to 1)."""

    job_id: Identifier
    bot_id: BotId
    tick: Tick
    attempt: Annotated[int, Field(ge=1)]
    claim_id: Identifier
    phase: Text
    progress: Annotated[float, Field(ge=0, le=1)]


class RunnerHeartbeat(Event):
    """Once per process and 2 s, from the loop that does the work."""

    wire = "runner-heartbeat.v1"
    topic = topics.RUNNERS
    producer = "job-runner"
    process_id: Identifier
    sequence: Count
    jobs: tuple[HeldJob, ...]
    research_slots: Count
    stopping: bool = False


class StrategyCode(Document):
    """A strategy that a runner can run."""

    name: Text
    version: Count
    code_hash: Digest


class SymbolBars(Document):
    """The bars a runner can read of one symbol.

    Attributes:
        days: a bit per day since `first`, base64, little-endian: which days have a bar.
    """

    symbol: Symbol
    timeframe: Literal["1d"]
    first: date
    last: date
    bars: Count
    days: Annotated[str, Field(max_length=20_000, pattern=BASE64_PATTERN)]
    sha256: Digest
    source_id: Text
    synthetic: bool


class CapabilitiesAnnounced(Event):
    """What a runner process can do, at its start and on change."""

    wire = "capabilities-announced.v1"
    topic = topics.RUNNERS
    producer = "job-runner"
    process_id: Identifier
    engine_version: Text
    job_types: tuple[JobType, ...]
    strategies: tuple[StrategyCode, ...]
    symbols: tuple[SymbolBars, ...]
    research_slots: Count


# ── pulse: signs of life without authority (producers: planner, proof-api) ─────────────────────────────────────────


class PlannerPulse(Event):
    """Once a second from each planner process."""

    wire = "planner-pulse.v1"
    topic = topics.PULSE
    producer = "planner"
    process_id: Identifier
    role: Literal["leader", "standby", "halted", "starting"]
    head_tick: Tick
    head_hash: Digest
    next_tick_at: Instant | None
    problem: Text = ""


class ProbePulse(Event):
    """Once a second from proof-api: the age of the newest one in PostgreSQL is the projection's lag."""

    wire = "probe-pulse.v1"
    topic = topics.PULSE
    producer = "proof-api"
    process_id: Identifier
    sequence: Count
    sent_at: Instant


# ── quarantine: what could not be read (producer: any consumer) ────────────────────────────────────────────────────


class RecordQuarantined(Event):
    """A record that cannot be decoded or cannot be true; the partition moves on, the record stays visible."""

    wire = "record-quarantined.v1"
    topic = topics.QUARANTINE
    producer = "projection"
    source_topic: Text
    source_partition: Count
    source_offset: Count
    sha256: Digest
    size_bytes: Count
    reason: Text
    excerpt: Text


CATALOGUE: Final[tuple[type[Event], ...]] = (
    RegisterBots, ChangeBot, RetireBot, PauseLoop, ResumeLoop, HoldBot, ReleaseHold, SetPolicy, CancelJob,
    AcceptDivergence, AttemptRefused, CommandAccepted, CommandRejected, BotRegistered, BotChanged, BotRetired, StageChanged,
    LoopPaused, LoopResumed, PolicyChanged, HoldPlaced, HoldReleased, CancelRequested, ChainRepaired, BotDecision,
    JobEnqueued, PlannerRun, JobStarted, JobReleased, JobSucceeded, JobFailed, JobRequeued, JobCancelled, JobDead,
    RunnerHeartbeat, CapabilitiesAnnounced, PlannerPulse, ProbePulse, RecordQuarantined,
)  # fmt: skip
BY_WIRE: Final[dict[str, type[Event]]] = {event.wire: event for event in CATALOGUE}


def usd(amount: float) -> str:
    """Money on the wire: a decimal string with cents, never a float."""
    return str(Decimal(repr(amount)).quantize(Decimal("0.01")))
