"""The tables that the projection writes and everybody else only reads; all can be thrown away and rebuilt from the log.

Place in the flow: projection → **tables** → proof-api, psql. Names and columns of the requirements are fixed. Each table and
column has a COMMENT. Instants are the broker's append time, or a tick's recorded `now`.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.types import TypeEngine

SCHEMA: Final = "autonomy"
CHANNEL: Final = "autonomy_changes"
METADATA: Final = MetaData()


def _column(name: str, kind: TypeEngine[Any], comment: str, *, key: bool = False, null: bool = True) -> Column[object]:
    return Column(name, kind, comment=comment, primary_key=key, nullable=null and not key)


INSTANT: Final = DateTime(timezone=True)
ID: Final = UUID(as_uuid=False)

BOTS: Final = Table(
    "bots", METADATA,
    _column("id", Text(), "the bot's slug, never reused", key=True),
    _column("name", Text(), "for people", null=False),
    _column("stage", Text(), "LAB, PAPER, SHADOW, CANARY or LIVE", null=False),
    _column("stage_updated_at", INSTANT, "when the stage was set", null=False),
    _column("stage_reason_code", Text(), "why the stage was set", null=False),
    _column("stage_version", Integer(), "rises with each change of stage", null=False),
    _column("origin", Text(), "NEW, or IMPORTED: then its stage was not earned here", null=False),
    _column("strategy", Text(), "name in the strategy catalogue", null=False),
    _column("parameters", JSONB(), "checked parameters", null=False),
    _column("symbol", Text(), "what it trades", null=False),
    _column("timeframe", Text(), "of its bars", null=False),
    _column("version", Integer(), "rises with each ChangeBot", null=False),
    _column("pinned", Boolean(), "exempt from bulk reverts", null=False),
    _column("pin_reason", Text(), "why", null=False),
    _column("hold_reason", Text(), "why an operator holds it; null when not held"),
    _column("hold_actor", Text(), "who holds it"),
    _column("registered_at", INSTANT, "tick time of its registration", null=False),
    _column("retired_at", INSTANT, "tick time of its retirement; null while in the fleet"),
    comment="The fleet: one row per bot that was ever registered",
)  # fmt: skip

BOT_JOBS: Final = Table(
    "bot_jobs", METADATA,
    _column("id", ID, "job id: uuid5 of (tick, try, seq)", key=True),
    _column("bot_id", Text(), "whose job", null=False),
    _column("job_type", Text(), "BACKTEST_BASELINE, BACKTEST_REFRESH, EVOLVE or RUNNER_START", null=False),
    _column("job_class", Text(), "research or runner; a bot has at most one live job of each", null=False),
    _column("status", Text(), "QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED", null=False),
    _column("cause", Text(), "why it left its last state; null on success"),
    _column("detail", Text(), "what the runner said of a failure"),
    _column("tick", BigInteger(), "tick that enqueued it", null=False),
    _column("seq", Integer(), "place in its tick; (tick, seq) is the order of the queue", null=False),
    _column("partition", Integer(), "partition of autonomy.jobs", null=False),
    _column("attempt", Integer(), "1-based", null=False),
    _column("failures", Integer(), "expired leases", null=False),
    _column("claim_id", ID, "winner of the current attempt"),
    _column("process_id", ID, "runner process of the current or last attempt"),
    _column("created_at", INSTANT, "time of the tick that enqueued it", null=False),
    _column("queued_at", INSTANT, "since when the current attempt waits or waited", null=False),
    _column("started_at", INSTANT, "append time of the winning claim of the current or last attempt"),
    _column("finished_at", INSTANT, "append time of its end"),
    _column("last_beat_at", INSTANT, "append time of the last heartbeat of its winner, or of the claim"),
    _column("phase", Text(), "what the runner is at"),
    _column("progress", Float(), "0 to 1, as the runner reported it"),
    _column("fingerprint", Text(), "what its evidence is bound to", null=False),
    _column("bars_until", Text(), "last day of bars it may read", null=False),
    _column("spec", JSONB(), "the whole order, as enqueued", null=False),
    _column("result", JSONB(), "summary of the result; null without one"),
    _column("attempts", JSONB(), "earlier attempts, each with process, times and cause", null=False),
    Index("bot_jobs_live", "status", "tick", "seq", postgresql_where=text("status IN ('QUEUED','RUNNING')")),
    Index("bot_jobs_by_bot", "bot_id", "created_at"),
    Index("bot_jobs_by_created", "created_at", "id"),
    Index("bot_jobs_by_finished", "finished_at"),
    comment="Every job that an accepted tick enqueued, folded by the shared lifecycle",
)  # fmt: skip

PLANNER_RUNS: Final = Table(
    "autonomy_planner_runs", METADATA,
    _column("id", ID, "uuid5 of (tick, try)", key=True),
    _column("tick", BigInteger(), "dense, from 1", null=False),
    _column("cause", Text(), "SCHEDULED, COMMAND, CAPACITY or LEASE", null=False),
    _column("due_at", INSTANT, "when the tick was due", null=False),
    _column("started_at", INSTANT, "the tick's recorded now", null=False),
    _column("finished_at", INSTANT, "append time of its accepted seal", null=False),
    _column("bots_registered", Integer(), "bots in the fleet", null=False),
    _column("bots_evaluated", Integer(), "bots decided; always equal to bots_registered", null=False),
    _column("jobs_enqueued", Integer(), "jobs this tick enqueued", null=False),
    _column("blocked", Integer(), "bots coded BLOCKED_BY_GATES", null=False),
    _column("errors", Integer(), "contradictions that the tick recorded", null=False),
    _column("error_details", JSONB(), "those contradictions in words", null=False),
    _column("reason_counts", JSONB(), "bots by reason code; sums to bots_evaluated", null=False),
    _column("blocker_counts", JSONB(), "blockers by gate code", null=False),
    _column("zero_jobs_reason", Text(), "why nothing was enqueued; null when something was"),
    _column("live_jobs", Integer(), "jobs queued or running after the tick", null=False),
    _column("loop_enabled", Boolean(), "false while the fleet is paused", null=False),
    _column("market_now", INSTANT, "the market clock", null=False),
    _column("policy_hash", Text(), "of the policy in force", null=False),
    _column("decider", Text(), "version of the decision logic", null=False),
    _column("process_id", ID, "planner process that made it", null=False),
    _column("prev_hash", Text(), "hash of the seal before", null=False),
    _column("hash", Text(), "hash of this seal", null=False),
    _column("state_hash", Text(), "hash of the state after the tick", null=False),
    _column("digest", Text(), "hash over all decisions", null=False),
    _column("slice", JSONB(), "the cut: first offset of each input partition that was not folded", null=False),
    _column("log_offset", BigInteger(), "offset of the seal in autonomy.runs", null=False),
    Index("autonomy_planner_runs_by_tick", "tick", unique=True),
    Index("autonomy_planner_runs_by_start", "started_at"),
    comment="One row per accepted tick",
)  # fmt: skip

DECISION_SPANS: Final = Table(
    "decision_spans", METADATA,
    _column("bot_id", Text(), "whose decision", key=True),
    _column("from_tick", BigInteger(), "first tick of this decision", key=True),
    _column("to_tick", BigInteger(), "first tick of the next decision; null while it stands"),
    _column("reason_code", Text(), "why the bot was scheduled or skipped", null=False),
    _column("job_type", Text(), "the want that the reason is about"),
    _column("job_id", ID, "the job enqueued or live"),
    _column("blockers", JSONB(), "every gate that did not pass, as recorded", null=False),
    _column("detail", Text(), "more about the reason", null=False),
    _column("until_at", INSTANT, "end of a cooldown"),
    _column("next_due_at", INSTANT, "when something becomes due, if foreseeable"),
    _column("limit_name", Text(), "which limit holds it back"),
    _column("limit_value", BigInteger(), "that limit"),
    _column("place", BigInteger(), "place in line when this was said"),
    _column("would", Text(), "the reason there would be without the pause"),
    _column("due_since", INSTANT, "since when the bot waits"),
    _column("event_id", ID, "id of the BotDecision", null=False),
    Index("decision_spans_open", "bot_id", postgresql_where=text("to_tick IS NULL")),
    comment="What was decided for a bot, from a tick until it changed; unchanged decisions are provably unchanged by the digest",
)  # fmt: skip

STAGE_EVENTS: Final = Table(
    "bot_stage_events", METADATA,
    _column("id", ID, "event id", key=True),
    _column("bot_id", Text(), "whose stage", null=False),
    _column("from_stage", Text(), "null at registration"),
    _column("to_stage", Text(), "the stage from then on", null=False),
    _column("reason_code", Text(), "why", null=False),
    _column("actor", Text(), "who", null=False),
    _column("created_at", INSTANT, "tick time", null=False),
    _column("tick", BigInteger(), "tick that recorded it", null=False),
    Index("bot_stage_events_by_time", "created_at", "id"),
    Index("bot_stage_events_by_bot", "bot_id", "created_at"),
    comment="Stage history of every bot",
)  # fmt: skip

BOT_NOW: Final = Table(
    "bot_now", METADATA,
    _column("bot_id", Text(), "whose badge", key=True),
    _column("state", Text(), "lane 1, from the definition in the design", null=False),
    _column("since", INSTANT, "since when", null=False),
    _column("reason_code", Text(), "last decision's reason", null=False),
    _column("detail", Text(), "last decision's detail", null=False),
    _column("would", Text(), "last decision's reason without the pause"),
    _column("next_due_at", INSTANT, "when something becomes due"),
    _column("until_at", INSTANT, "end of a cooldown"),
    _column("job_id", ID, "active job"),
    _column("job_type", Text(), "active job's type"),
    _column("job_status", Text(), "active job's status"),
    _column("job_tick", BigInteger(), "active job's place in the queue: tick"),
    _column("job_seq", Integer(), "active job's place in the queue: seq"),
    _column("phase", Text(), "what the runner is at"),
    _column("progress", Float(), "as reported"),
    _column("last_beat_at", INSTANT, "last sign of life of the active job"),
    _column("blockers", JSONB(), "gates that do not pass", null=False),
    _column("recency", Text(), "lane 2: fresh, stale or none", null=False),
    _column("evidence_until", Text(), "last day of bars of the newest evidence"),
    _column("evidence_at", INSTANT, "when the newest evidence came in"),
    _column("sharpe", Float(), "of the newest evidence, annualised"),
    _column("max_drawdown", Float(), "of the newest evidence, fraction"),
    _column("trades", Integer(), "of the newest evidence"),
    _column("spark", JSONB(), "equity of the newest evidence, at most 24 points"),
    _column("decided_at", INSTANT, "tick time of the standing decision"),
    _column("ended_at", INSTANT, "end of the bot's last job"),
    _column("ended_event_id", ID, "event that ended it"),
    _column("because_event_id", ID, "event that made it so"),
    _column("stage", Text(), "copy of bots.stage, for filters", null=False),
    _column("name", Text(), "copy of bots.name, for search", null=False),
    _column("strategy", Text(), "copy of bots.strategy", null=False),
    _column("symbol", Text(), "copy of bots.symbol", null=False),
    _column("parameters", JSONB(), "copy of bots.parameters", null=False),
    _column("origin", Text(), "copy of bots.origin", null=False),
    _column("pinned", Boolean(), "copy of bots.pinned", null=False),
    _column("pin_reason", Text(), "copy of bots.pin_reason", null=False),
    _column("rev", BigInteger(), "revision of the batch that last changed the row", null=False),
    Index("bot_now_by_state", "state", "bot_id"),
    Index("bot_now_by_stage", "stage", "bot_id"),
    Index("bot_now_by_reason", "reason_code", "bot_id"),
    Index("bot_now_by_rev", "rev"),
    comment="What each bot of the fleet does now; the only source of lane 1",
)  # fmt: skip

BOT_BACKTESTS: Final = Table(
    "bot_backtests", METADATA,
    _column("job_id", ID, "the job that found it", key=True),
    _column("bot_id", Text(), "about which bot", null=False),
    _column("job_type", Text(), "baseline or refresh", null=False),
    _column("fingerprint", Text(), "strategy code, parameters, data, engine, costs", null=False),
    _column("data_sha256", Text(), "of the bars that were read", null=False),
    _column("source_id", Text(), "where the bars come from", null=False),
    _column("synthetic", Boolean(), "made-up bars never count for a promotion", null=False),
    _column("bars", Integer(), "bars read", null=False),
    _column("first_day", Text(), "first bar", null=False),
    _column("last_day", Text(), "last bar", null=False),
    _column("sharpe", Float(), "annualised, 252 days"),
    _column("oos_sharpe", Float(), "out of sample"),
    _column("max_drawdown", Float(), "fraction"),
    _column("cagr", Float(), "per year"),
    _column("trades", Integer(), "closed trades", null=False),
    _column("dsr", Float(), "deflated Sharpe ratio, probability"),
    _column("look_ahead_ok", Boolean(), "decisions are equal when the future is cut off", null=False),
    _column("summary", JSONB(), "the whole summary", null=False),
    _column("artifact", Text(), "content address of the whole report"),
    _column("created_at", INSTANT, "append time of the result", null=False),
    Index("bot_backtests_by_bot", "bot_id", "created_at"),
    comment="Evidence: one row per accepted research result",
)  # fmt: skip

BOT_RUNNERS: Final = Table(
    "bot_runners", METADATA,
    _column("process_id", ID, "runner process", key=True),
    _column("first_seen_at", INSTANT, "first sign of life", null=False),
    _column("last_beat_at", INSTANT, "last sign of life", null=False),
    _column("research_slots", Integer(), "jobs it works on at once", null=False),
    _column("held", Integer(), "jobs it held at its last beat", null=False),
    _column("stopping", Boolean(), "it said goodbye", null=False),
    _column("engine_version", Text(), "of its engine", null=False),
    _column("symbols", JSONB(), "symbols with bars, first, last, source", null=False),
    _column("strategies", JSONB(), "strategies with code hash", null=False),
    comment="Job-runner processes and what they announced",
)  # fmt: skip

COMMANDS: Final = Table(
    "commands", METADATA,
    _column("id", ID, "command id", key=True),
    _column("command", Text(), "what was asked", null=False),
    _column("actor", Text(), "who asked", null=False),
    _column("role", Text(), "in which role", null=False),
    _column("reason", Text(), "why, in the operator's words", null=False),
    _column("body", JSONB(), "the command as sent", null=False),
    _column("said_at", INSTANT, "append time", null=False),
    _column("status", Text(), "OPEN, ACCEPTED, REJECTED by the planner, or REFUSED at the door", null=False),
    _column("tick", BigInteger(), "tick that answered it"),
    _column("code", Text(), "why it was rejected"),
    _column("field", Text(), "field at fault"),
    _column("limit_text", Text(), "what is allowed"),
    _column("outcomes", JSONB(), "per bot, where the command has many", null=False),
    Index("commands_by_time", "said_at", "id"),
    comment="Operators' commands and their answers; refused attempts at the door are in it too",
)  # fmt: skip

LOOP: Final = Table(
    "autonomy_loop", METADATA,
    _column("scope", Text(), "fleet, stage or bot", key=True),
    _column("target", Text(), "which; empty for the fleet", key=True),
    _column("actor", Text(), "who paused it", null=False),
    _column("reason", Text(), "why", null=False),
    _column("since", INSTANT, "tick time", null=False),
    comment="Pauses in force; no row: everything is scheduled",
)  # fmt: skip

POLICY: Final = Table(
    "autonomy_policy", METADATA,
    _column("tick", BigInteger(), "tick from which it was in force", key=True),
    _column("policy_hash", Text(), "its hash", null=False),
    _column("document", JSONB(), "the whole policy", null=False),
    _column("actor", Text(), "who set it", null=False),
    comment="Policies by the tick from which they were in force",
)  # fmt: skip

REPAIRS: Final = Table(
    "chain_repairs", METADATA,
    _column("at_tick", BigInteger(), "tick whose fold differed from its seal", key=True),
    _column("tick", BigInteger(), "tick that recorded the repair", null=False),
    _column("sealed_state_hash", Text(), "as sealed", null=False),
    _column("folded_state_hash", Text(), "as folded", null=False),
    _column("actor", Text(), "approver who accepted it", null=False),
    _column("reason", Text(), "why", null=False),
    comment="Differences that an approver accepted; never hidden again",
)  # fmt: skip

QUARANTINE_TABLE: Final = Table(
    "quarantine", METADATA,
    _column("topic", Text(), "where the record stands", key=True),
    _column("partition", Integer(), "its partition", key=True),
    _column("log_offset", BigInteger(), "its offset", key=True),
    _column("sha256", Text(), "of its value", null=False),
    _column("size_bytes", BigInteger(), "of its value", null=False),
    _column("reason", Text(), "why it cannot be read", null=False),
    _column("excerpt", Text(), "its beginning, escaped", null=False),
    _column("seen_at", INSTANT, "append time of the record", null=False),
    comment="Records that could not be read; each partition moved on",
)  # fmt: skip

PULSES: Final = Table(
    "pulses", METADATA,
    _column("source", Text(), "planner or probe", key=True),
    _column("process_id", ID, "which process", key=True),
    _column("role", Text(), "leader, standby, halted, starting; probe", null=False),
    _column("head_tick", BigInteger(), "accepted head as that process saw it", null=False),
    _column("next_tick_at", INSTANT, "when a planner ticks next"),
    _column("problem", Text(), "why it does not lead", null=False),
    _column("said_at", INSTANT, "by the process's clock", null=False),
    _column("appended_at", INSTANT, "by the broker's clock", null=False),
    comment="Newest sign of life of each process; not part of a rebuild",
)  # fmt: skip

OFFSETS: Final = Table(
    "projection_offsets", METADATA,
    _column("topic", Text(), "topic", key=True),
    _column("partition", Integer(), "partition", key=True),
    _column("next_offset", BigInteger(), "where a restart reads on", null=False),
    _column("applied_offset", BigInteger(), "records below it were applied, or wait for their tick", null=False),
    comment="Moved in the same transaction as the rows, by compare and set",
)  # fmt: skip

HEAD: Final = Table(
    "projection_head", METADATA,
    _column("singleton", Integer(), "always 1", key=True),
    _column("tick", BigInteger(), "last accepted tick that was applied", null=False),
    _column("log_offset", BigInteger(), "offset of its seal", null=False),
    _column("hash", Text(), "hash of its seal", null=False),
    _column("market_now", INSTANT, "market clock of that tick"),
    _column("void_records", BigInteger(), "records of runs that do not count", null=False),
    _column("void_seals", BigInteger(), "seals that were not accepted", null=False),
    _column("void_steps", BigInteger(), "job events that changed nothing", null=False),
    _column("quarantined", BigInteger(), "records that could not be read", null=False),
    _column("rev", BigInteger(), "revision: rises with each batch", null=False),
    _column("applied_at", INSTANT, "when the last batch was committed", null=False),
    comment="How far the projection is",
)  # fmt: skip

NOT_REBUILT: Final = frozenset({"pulses", "projection_offsets", "projection_head"})
"""Tables whose rows say how far a projection is, not what the log says."""
NOT_COMPARED: Final = frozenset({"rev", "phase", "progress", "last_beat_at"})
"""Columns that depend on how the topics were interleaved: the batch's revision, and what beats say of a job while it runs
(the next beat says it again; when the job ends they are set from its end)."""

DECISIONS_VIEW: Final = """
CREATE VIEW autonomy_bot_decisions AS
SELECT r.id AS run_id, r.tick, r.started_at AS decided_at, s.bot_id, s.reason_code, s.job_type, s.job_id,
       (s.from_tick = r.tick) AS changed, s.from_tick AS since_tick, s.blockers, s.detail, s.until_at, s.next_due_at,
       s.limit_name, s.limit_value, s.place, s.would, s.due_since, s.event_id
FROM autonomy_planner_runs r
JOIN decision_spans s ON s.from_tick <= r.tick AND (s.to_tick IS NULL OR s.to_tick > r.tick)
"""
GATES_VIEW: Final = """
CREATE VIEW bot_gates AS
SELECT s.bot_id, s.from_tick AS since_tick, g.code, g.verdict, g.measured, g.required, g."clearsWhen" AS clears_when,
       g."evidenceJob" AS evidence_job, g."evidenceAgeBars" AS evidence_age_bars, g.fingerprint
FROM decision_spans s
CROSS JOIN LATERAL jsonb_to_recordset(s.blockers) AS g(
    code text, verdict text, measured text, required text, "clearsWhen" text, "evidenceJob" uuid,
    "evidenceAgeBars" integer, fingerprint text)
WHERE s.to_tick IS NULL
"""
EQUITY_VIEW: Final = """
CREATE VIEW bot_equity AS
SELECT b.bot_id, b.job_id, b.created_at, (p.point->>0)::date AS day, (p.point->>1)::float8 AS equity,
       (p.point->>2)::float8 AS buy_and_hold
FROM bot_backtests b CROSS JOIN LATERAL jsonb_array_elements(b.summary->'equity') AS p(point)
"""
VIEWS: Final = {
    "autonomy_bot_decisions": (DECISIONS_VIEW, "One row per bot and planner run: why it was scheduled or skipped"),
    "bot_gates": (GATES_VIEW, "Gates that do not pass now, with what was measured and what clears them"),
    "bot_equity": (EQUITY_VIEW, "Equity of each backtest and of buying and holding, as multiples of the initial cash"),
}
