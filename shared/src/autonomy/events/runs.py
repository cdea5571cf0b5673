"""Runs: what a tick decided (producer: planner)."""

from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue

from autonomy.events.costs import Costs
from autonomy.events.document import Count, Digest, Document, Identifier, Money, Text, Tick, later
from autonomy.events.evolution import EvolutionPlan
from autonomy.events.paper import LiveWindow, PaperOrder
from autonomy.events.tick import Blocker, GateResult, Head, TickRecord
from autonomy.reasons import Reason, ZeroJobs
from autonomy.timeframes import Timeframe
from autonomy.values import BotId, Cause, Evolve, FleetName, Instant, JobClass, JobType, Origin, Stage, Symbol, TickCause

MAX_MARKS: Final = 200_000
"""Characters of a seal's marks; far below a record's limit."""


class BotOutcome(Document):
    """What became of one bot of a command."""

    bot_id: Text
    outcome: Literal["REGISTERED", "CHANGED", "AMENDED", "UNCHANGED", "RETIRED", "REJECTED", "REVERTED", "PINNED"]
    field: Text | None = None
    limit: Text | None = None


class CommandAccepted(TickRecord):
    """The command acted in this tick.

    Attributes:
        outcomes: per bot of the command. Of a revert only the bots that stayed where they are: each bot that moved has its
            StageChanged with this command's id.
        counts: bots by outcome, of a revert and of a fleet's files.
    """

    wire = "command-accepted.v1"
    command_id: Identifier
    command: Text
    outcomes: tuple[BotOutcome, ...] = ()
    counts: dict[str, Count] = Field(default_factory=dict)


class CommandRejected(TickRecord):
    """The command changed nothing; `field` and `limit` say why."""

    wire = "command-rejected.v1"
    command_id: Identifier
    command: Text
    code: Text
    field: Text
    limit: Text


class BotRegistered(TickRecord):
    """A bot is in the fleet. An imported stage is no promotion: it carries no evidence.

    Attributes:
        fleet: whose files brought it in; empty: nobody's.
        evolve: what may become of a search's winner: never, propose or apply; empty: as the policy says.
    """

    wire = "bot-registered.v1"
    bot_id: BotId
    name: Text
    strategy: Text
    parameters: dict[str, int | float | str]
    symbol: Symbol
    timeframe: Timeframe
    stage: Stage
    origin: Origin
    pinned: bool
    pin_reason: Text = ""
    actor: Text
    fleet: FleetName = later("")
    evolve: Evolve = later("")


class BotAmended(TickRecord):
    """What stands about a bot beside what it trades: no new version, and its evidence stays.

    Attributes:
        name, fleet, evolve: all three as they are from now on.
    """

    wire = "bot-amended.v1"
    bot_id: BotId
    name: Text
    fleet: FleetName
    evolve: Evolve
    actor: Text


class BotChanged(TickRecord):
    """A bot's next version; `evolved_by` names the job whose challenger it is."""

    wire = "bot-changed.v1"
    bot_id: BotId
    version: Count
    strategy: Text
    parameters: dict[str, int | float | str]
    symbol: Symbol
    timeframe: Timeframe
    actor: Text
    evolved_by: Identifier | None = None


class BotRetired(TickRecord):
    """A bot left the fleet."""

    wire = "bot-retired.v1"
    bot_id: BotId
    actor: Text


class StageChanged(TickRecord):
    """A row of the bot's stage history.

    Attributes:
        reason_code: REGISTERED, IMPORTED_UNVERIFIED, PROMOTED, AUTO_PROMOTED, BULK_REVERT_REBASELINE or REVERT_REBASELINE.
        command_id: of the command that moved it.
        recommendation_id, evidence_job: what a promotion stands on.
        approved_by: everybody who approved it, in order.
    """

    wire = "stage-changed.v1"
    event_id: Identifier
    bot_id: BotId
    from_stage: Stage | None
    to_stage: Stage
    reason_code: Text
    actor: Text
    command_id: Identifier | None = None
    recommendation_id: Identifier | None = None
    evidence_job: Identifier | None = None
    approved_by: tuple[Text, ...] = ()


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
    """The bot is scheduled again: an operator's hold, the quarantine, or a failure that it would meet again stands in its way no more."""

    wire = "hold-released.v1"
    bot_id: BotId
    kind: Literal["OPERATOR", "QUARANTINE", "FAILURE"]
    actor: Text


class CancelRequested(TickRecord):
    """This live job shall end; the planner repeats JobCancelled until it is effective."""

    wire = "cancel-requested.v1"
    job_id: Identifier
    bot_id: BotId
    cause: Cause
    actor: Text


class ChainRepaired(TickRecord):
    """Approvers let the planner go on over a difference, or behind ticks that the log lost; nobody may forget it.

    Attributes:
        input_root: over the inputs of `at_tick` as they stood in the log then: what they are, also if they are not those sealed.
        abandoned: the newest head that is given up; the chain goes on after `at_tick`.
        approved_by: everybody who agreed, in order.
    """

    wire = "chain-repaired.v1"
    at_tick: Tick
    sealed_state_hash: Digest
    folded_state_hash: Digest
    actor: Text
    reason: Text
    input_root: Digest | None = later(None)
    abandoned: Head | None = later(None)
    approved_by: tuple[Text, ...] = later(())


class RuleVote(TickRecord):
    """An approver asked for a change of the rules that needs two: a policy, a promotion mode, an accepted difference.

    Attributes:
        subject: hash over what was asked; another approver's command with the same subject completes it.
        complete: whether enough approvers agreed, and the change is made in this tick.
    """

    wire = "rule-vote.v1"
    command_id: Identifier
    command: Text
    subject: Digest
    actor: Text
    complete: bool


class AnnouncementRequested(TickRecord):
    """A runner beats whose abilities the planner does not hold, since it dropped them or never got them: it shall announce them again.

    Said at each tick until the announcement came.

    Attributes:
        announcement: the hash of the announcement that the process's heartbeat names.
    """

    wire = "announcement-requested.v1"
    process_id: Identifier
    announcement: Digest


class BotDecision(TickRecord):
    """Why one bot was scheduled or skipped, said when it changes and whenever a job is enqueued.

    Attributes:
        promotion: every promotion gate of its stage as measured when this was said, passes too; empty for a stage without gates,
            None: as last said (no verdict and no evidence changed since).
        promotion_to: the stage that these gates lead to.
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
    promotion: tuple[GateResult, ...] | None = None
    promotion_to: Stage | None = None
    detail: Text = ""
    until: Instant | None = None
    next_due_at: Instant | None = None
    limit: Text | None = None
    limit_value: Count | None = None
    place: Count | None = None
    would: Reason | None = None
    due_since: Instant | None = None


class SuiteSizes(Document):
    """How much validation a baseline does; policy, never padding.

    Attributes:
        permuted_markets: markets of the real bars in random order, at most.
        hopeless_after: after so many of them a bot that shows no timing is not looked at any further.
    """

    permuted_markets: Annotated[int, Field(ge=10, le=1_000_000)] = 1_000
    hopeless_after: Annotated[int, Field(ge=10, le=1_000_000)] = 100
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
        prior_trials: evaluations already spent on this bot's line, which deflate its Sharpe ratio too.
        evolution, paper: what an EVOLVE or a RUNNER_START job needs besides.
        window: the live bars that a refresh runs again, for drift.
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
    timeframe: Timeframe
    bars_until: Instant
    bars_per_year: Annotated[int, Field(ge=1, le=1_000_000)]
    min_bars: Count
    costs: Costs
    initial_cash_usd: Money
    suite: SuiteSizes
    fingerprint: Digest
    timeout_s: Annotated[int, Field(ge=1, le=86_400)]
    lease_s: Annotated[float, Field(gt=0, le=3600)]
    failures_limit: Annotated[int, Field(ge=1, le=100)]
    prior_trials: Count = 0
    evolution: EvolutionPlan | None = None
    paper: PaperOrder | None = None
    window: LiveWindow | None = None


class PlannerRun(TickRecord):
    """The seal of a tick. Without it nothing of the tick counts.

    Attributes:
        prev_hash: hash of the accepted seal before; zeros before the first.
        count, root: how many records the try has, and the hash over their hashes in order of seq.
        cut: first offset of each input partition that the tick did not fold.
        inputs, input_root: how many input records the tick folded, and the hash over their stored keys, headers and values in their places.
        input_marks: the first bytes of each input's hash, so that a record edited later can be named.
        elapsed_ms: the leader's monotonic time since it read the accepted seal before, or since its start.
        silent: live claims, by their job, and runner processes of which the leader heard no pulse for two beats; null: all that say nothing
            in the inputs.
        snapshot_root: over the whole state, where a snapshot of it may begin: unlike `state_hash` a hash that resists collisions.
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
    inputs: Count
    input_root: Digest
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
    input_marks: Annotated[str, Field(max_length=MAX_MARKS, pattern=r"^(?:\d+:[A-Za-z0-9+/=]*)?$")] = later("")
    snapshot_root: Digest | None = later(None)
    silent: tuple[Identifier, ...] | None = later(None)
