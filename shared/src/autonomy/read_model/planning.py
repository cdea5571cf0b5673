"""Planning: ticks, decisions, commands, promotions, policy, pauses.

Place in the flow: the chain and operators' words → **tables** → the proofs.
"""

from typing import Final, Literal

from pydantic import JsonValue
from sqlalchemy import BigInteger, Boolean, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSON, JSONB

from autonomy.events import Blocker, BotOutcome, GateResult
from autonomy.policy import Policy
from autonomy.read_model.columns import ID, INSTANT, METADATA, column
from autonomy.read_model.parts import CommandStatus, PromotionStatus
from autonomy.reasons import ZeroJobs
from autonomy.values import JobType, Stage, TickCause

PLANNER_RUNS: Final = Table(
    "autonomy_planner_runs", METADATA,
    column("id", ID, "uuid5 of (tick, try)", key=True),
    column("tick", BigInteger(), "dense, from 1", null=False),
    column("cause", Text(), "SCHEDULED, COMMAND, CAPACITY or LEASE", null=False, holds=TickCause),
    column("due_at", INSTANT, "when the tick was due", null=False),
    column("started_at", INSTANT, "the tick's recorded now", null=False),
    column("finished_at", INSTANT, "append time of its accepted seal", null=False),
    column("bots_registered", Integer(), "bots in the fleet", null=False),
    column("bots_evaluated", Integer(), "bots decided; always equal to bots_registered", null=False),
    column("jobs_enqueued", Integer(), "jobs this tick enqueued", null=False),
    column("blocked", Integer(), "bots coded BLOCKED_BY_GATES", null=False),
    column("errors", Integer(), "contradictions that the tick recorded", null=False),
    column("error_details", JSONB(), "those contradictions in words", null=False, holds=list[str]),
    column("reason_counts", JSONB(), "bots by reason code; sums to bots_evaluated", null=False, holds=dict[str, int]),
    column("blocker_counts", JSONB(), "blockers by gate code", null=False, holds=dict[str, int]),
    column("zero_jobs_reason", Text(), "why nothing was enqueued; null when something was", holds=ZeroJobs),
    column("live_jobs", Integer(), "jobs queued or running after the tick", null=False),
    column("loop_enabled", Boolean(), "false while the fleet is paused", null=False),
    column("market_now", INSTANT, "the market clock", null=False),
    column("policy_hash", Text(), "of the policy in force", null=False),
    column("decider", Text(), "version of the decision logic", null=False),
    column("process_id", ID, "planner process that made it", null=False),
    column("prev_hash", Text(), "hash of the seal before", null=False),
    column("hash", Text(), "hash of this seal", null=False),
    column("state_hash", Text(), "hash of the state after the tick", null=False),
    column("digest", Text(), "hash over all decisions", null=False),
    column("slice", JSONB(), "the cut: first offset of each input partition that was not folded", null=False, holds=dict[str, list[int]]),
    column("log_offset", BigInteger(), "offset of the seal in autonomy.runs", null=False),
    Index("autonomy_planner_runs_by_tick", "tick", unique=True),
    Index("autonomy_planner_runs_by_start", "started_at", postgresql_include=["tick", "cause", "jobs_enqueued", "loop_enabled"]),
    comment="One row per accepted tick",
)  # fmt: skip

DECISION_SPANS: Final = Table(
    "decision_spans", METADATA,
    column("bot_id", Text(), "whose decision", key=True),
    column("from_tick", BigInteger(), "first tick of this decision", key=True),
    column("to_tick", BigInteger(), "first tick of the next decision; null while it stands"),
    column("reason_code", Text(), "why the bot was scheduled or skipped", null=False),
    column("job_type", Text(), "the want that the reason is about", holds=JobType),
    column("job_id", ID, "the job enqueued or live"),
    column("blockers", JSON(), "every gate that did not pass, as recorded", null=False, holds=list[Blocker]),
    column("detail", Text(), "more about the reason", null=False),
    column("until_at", INSTANT, "end of a cooldown"),
    column("next_due_at", INSTANT, "when something becomes due, if foreseeable"),
    column("limit_name", Text(), "which limit holds it back"),
    column("limit_value", BigInteger(), "that limit"),
    column("place", BigInteger(), "place in line when this was said"),
    column("would", Text(), "the reason there would be without the pause"),
    column("due_since", INSTANT, "since when the bot waits"),
    column("promotion_to", Text(), "stage that the promotion gates lead to", holds=Stage),
    column("promotion", JSON(), "every promotion gate as said with this decision; null: as last said before", holds=list[GateResult]),
    column("event_id", ID, "id of the BotDecision", null=False),
    Index("decision_spans_gates", "bot_id", "from_tick", postgresql_where=text("promotion IS NOT NULL")),
    Index("decision_spans_open", "bot_id", postgresql_where=text("to_tick IS NULL")),
    comment="What was decided for a bot, from a tick until it changed; unchanged decisions are provably unchanged by the digest",
)  # fmt: skip

COMMANDS: Final = Table(
    "commands", METADATA,
    column("id", ID, "command id", key=True),
    column("command", Text(), "what was asked", null=False),
    column("actor", Text(), "who asked", null=False),
    column("role", Text(), "in which role", null=False),
    column("reason", Text(), "why, in the operator's words", null=False),
    column("body", JSONB(), "the command as sent", null=False, holds=dict[str, JsonValue]),
    column("said_at", INSTANT, "append time", null=False),
    column("status", Text(), "OPEN, ACCEPTED, REJECTED by the planner, or REFUSED at the door", null=False, holds=CommandStatus),
    column("tick", BigInteger(), "tick that answered it"),
    column("code", Text(), "why it was rejected"),
    column("field", Text(), "field at fault"),
    column("limit_text", Text(), "what is allowed"),
    column("outcomes", JSONB(), "per bot, where the command has many; of a revert only the bots that stayed", null=False,
           holds=list[BotOutcome]),
    column("counts", JSONB(), "bots by outcome, of a revert", null=False, holds=dict[str, int]),
    column("bot_id", Text(), "the one bot that it names"),
    Index("commands_by_time", "said_at", "id"),
    Index("commands_by_bot", "bot_id", "said_at", postgresql_where=text("bot_id IS NOT NULL")),
    comment="Operators' commands and their answers; refused attempts at the door are in it too",
)  # fmt: skip

LOOP: Final = Table(
    "autonomy_loop", METADATA,
    column("scope", Text(), "fleet, stage or bot", key=True, holds=Literal["fleet", "stage", "bot"]),
    column("target", Text(), "which; empty for the fleet", key=True),
    column("actor", Text(), "who paused it", null=False),
    column("reason", Text(), "why", null=False),
    column("since", INSTANT, "tick time", null=False),
    comment="Pauses in force; no row: everything is scheduled",
)  # fmt: skip

POLICY: Final = Table(
    "autonomy_policy", METADATA,
    column("tick", BigInteger(), "tick from which it was in force", key=True),
    column("policy_hash", Text(), "its hash", null=False),
    column("document", JSONB(), "the whole policy", null=False, holds=Policy),
    column("actor", Text(), "who set it", null=False),
    comment="Policies by the tick from which they were in force",
)  # fmt: skip

REPAIRS: Final = Table(
    "chain_repairs", METADATA,
    column("at_tick", BigInteger(), "tick whose fold differed from its seal", key=True),
    column("tick", BigInteger(), "tick that recorded the repair", null=False),
    column("sealed_state_hash", Text(), "as sealed", null=False),
    column("folded_state_hash", Text(), "as folded", null=False),
    column("actor", Text(), "approver who accepted it", null=False),
    column("reason", Text(), "why", null=False),
    comment="Differences that an approver accepted; never hidden again",
)  # fmt: skip

PROMOTIONS: Final = Table(
    "promotions", METADATA,
    column("id", ID, "recommendation id", key=True),
    column("bot_id", Text(), "which bot", null=False),
    column("from_stage", Text(), "where it stood", null=False, holds=Stage),
    column("to_stage", Text(), "where it shall go", null=False, holds=Stage),
    column("status", Text(), "OPEN, REQUESTED (a second approver is missing), APPLIED, REJECTED or WITHDRAWN", null=False,
           holds=PromotionStatus),
    column("stage_version", Integer(), "of the bot; another one closes the recommendation", null=False),
    column("version", Integer(), "of the bot; another one closes the recommendation", null=False),
    column("fingerprint", Text(), "what the evidence is bound to", null=False),
    column("evidence_job", ID, "job whose result it stands on", null=False),
    column("gates", JSONB(), "every gate as measured when it was recommended", null=False, holds=list[GateResult]),
    column("recommended_at", INSTANT, "tick time", null=False),
    column("tick", BigInteger(), "tick that recommended it", null=False),
    column("requested_by", Text(), "first of two approvers"),
    column("requested_at", INSTANT, "tick time of the first approval"),
    column("approved_by", JSONB(), "everybody who approved it, in order", null=False, holds=list[str]),
    column("closed_at", INSTANT, "tick time of its end"),
    column("closed_tick", BigInteger(), "tick that ended it"),
    column("cause", Text(), "why it ended"),
    column("actor", Text(), "who ended it"),
    column("reason", Text(), "in their words"),
    column("failing", JSONB(), "gates that no longer passed when it was withdrawn", null=False, holds=list[GateResult]),
    column("event_id", ID, "record that recommended it", null=False),
    column("closed_event_id", ID, "record that ended it"),
    Index("promotions_by_time", "recommended_at", "id"),
    Index("promotions_by_bot", "bot_id", "recommended_at"),
    Index("promotions_open", "status", postgresql_where=text("status IN ('OPEN', 'REQUESTED')")),
    comment="Recommendations with their evidence and what became of them",
)  # fmt: skip
