"""The shape of each row: what an event or a seal looks like in its table.

Place in the flow: apply → **rows** → store. Pure functions without memory; `Changes` collects the rows of one batch.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from autonomy.chain import AcceptedTick
from autonomy.envelope import Received
from autonomy.events import (
    AttemptRefused,
    BotRegistered,
    ChainRepaired,
    Command,
    Document,
    JobSucceeded,
    PlannerPulse,
    ProbePulse,
    RecordQuarantined,
    ResearchSummary,
)
from autonomy.lifecycle import Job
from autonomy.values import JobStatus, JobType, Reason
from projection.bot_now import Row


def instant(ms: int) -> datetime:
    """A record's append time."""
    return datetime.fromtimestamp(ms / 1000, UTC)


@dataclass(slots=True)
class Changes:
    """Rows of one batch: the last state of each key, and keys to delete."""

    rows: dict[str, dict[tuple[object, ...], Row]] = field(default_factory=dict)
    gone: dict[str, set[tuple[object, ...]]] = field(default_factory=dict)

    def put(self, table: str, key: tuple[object, ...], row: Row) -> None:
        """Write this row."""
        self.rows.setdefault(table, {})[key] = row
        if table in self.gone:
            self.gone[table].discard(key)

    def drop(self, table: str, key: tuple[object, ...]) -> None:
        """Delete this row."""
        self.rows.get(table, {}).pop(key, None)
        self.gone.setdefault(table, set()).add(key)


def run_row(tick: AcceptedTick) -> Row:
    """A planner run."""
    seal = tick.seal
    return {
        "id": seal.run_id, "tick": seal.tick, "cause": seal.cause.value, "due_at": seal.due_at,
        "started_at": seal.now, "finished_at": instant(tick.sealed_at_ms), "bots_registered": seal.registered,
        "bots_evaluated": seal.evaluated, "jobs_enqueued": seal.jobs_enqueued, "blocked": seal.blocked,
        "errors": len(seal.errors), "error_details": list(seal.errors),
        "reason_counts": {reason.value: count for reason, count in seal.reason_counts.items()},
        "blocker_counts": seal.blocker_counts,
        "zero_jobs_reason": seal.zero_jobs.value if seal.zero_jobs else None, "live_jobs": seal.live_jobs,
        "loop_enabled": seal.loop_enabled, "market_now": seal.market_now, "policy_hash": seal.policy_hash,
        "decider": seal.decider, "process_id": seal.process_id, "prev_hash": seal.prev_hash, "hash": seal.hash,
        "state_hash": seal.state_hash, "digest": seal.digest,
        "slice": {topic: list(offsets) for topic, offsets in seal.cut.items()}, "log_offset": tick.offset,
    }  # fmt: skip


def bot_row(event: BotRegistered, at: datetime) -> Row:
    """A bot at its registration."""
    return {
        "id": event.bot_id, "name": event.name, "stage": event.stage.value, "stage_updated_at": at,
        "stage_reason_code": "REGISTERED", "stage_version": 1, "origin": event.origin.value,
        "strategy": event.strategy, "parameters": event.parameters, "symbol": event.symbol,
        "timeframe": event.timeframe, "version": 1, "pinned": event.pinned, "pin_reason": event.pin_reason,
        "hold_reason": None, "hold_actor": None, "registered_at": at, "retired_at": None,
    }  # fmt: skip


def backtest_row(step: JobSucceeded, found: ResearchSummary, job_type: str, at: datetime) -> Row:
    """A piece of evidence."""
    metrics = found.metrics
    return {
        "job_id": step.job_id, "bot_id": step.bot_id, "job_type": job_type,
        "fingerprint": found.fingerprint, "data_sha256": found.data_sha256, "source_id": found.source_id,
        "synthetic": found.synthetic, "bars": found.bars, "first_day": found.first_day.isoformat(),
        "last_day": found.last_day.isoformat(), "sharpe": metrics.sharpe, "oos_sharpe": found.out_of_sample.sharpe,
        "max_drawdown": metrics.max_drawdown, "cagr": metrics.cagr, "trades": metrics.trades, "dsr": found.dsr,
        "look_ahead_ok": found.look_ahead_ok, "summary": json_of(found), "artifact": found.artifact, "created_at": at,
    }  # fmt: skip


def time_of(value: object) -> datetime | None:
    """The instant of a column, or None."""
    return value if isinstance(value, datetime) else None


def columns_of(job: Job) -> Row:
    """What of a row follows from the lifecycle."""
    return {
        "status": job.status.value, "cause": job.cause.value if job.cause else None, "attempt": job.attempt,
        "failures": job.failures, "claim_id": job.claim_id,
        **({"process_id": job.process_id} if job.process_id or job.status is JobStatus.QUEUED else {}),
    }  # fmt: skip


def left_attempt(row: Row, before: Job, at: datetime, cause: str) -> Row:
    """The columns of a job that goes back into the queue, with the attempt it leaves behind."""
    earlier = row["attempts"] if isinstance(row["attempts"], list) else []
    started = row["started_at"]
    attempt = {
        "attempt": before.attempt, "processId": before.process_id, "cause": cause,
        "startedAt": started.isoformat() if isinstance(started, datetime) and before.process_id else None,
        "endedAt": at.isoformat(),
    }  # fmt: skip
    return {
        "attempts": [*earlier, attempt], "queued_at": at, "started_at": None, "last_beat_at": None,
        "phase": None, "progress": None, "process_id": None,
    }  # fmt: skip


def json_of(part: Document, exclude: set[str] | None = None) -> orjson.Fragment:
    """A part of an event as it stands on the wire: rows carry it as text, nobody here looks into it again."""
    return orjson.Fragment(part.__pydantic_serializer__.to_json(part, by_alias=True, exclude=exclude))


def new_runner(process_id: str, at: datetime) -> Row:
    """A runner process that was never heard of."""
    return {
        "process_id": process_id, "first_seen_at": at, "last_beat_at": at, "research_slots": 0, "held": 0,
        "stopping": False, "engine_version": "", "symbols": [], "strategies": [],
    }  # fmt: skip


def no_evidence() -> Row:
    """The columns of a bot without evidence."""
    return {
        "recency": "none", "evidence_until": None, "evidence_at": None, "sharpe": None, "max_drawdown": None,
        "trades": None, "spark": [], "rev": 0, "decided_at": None, "ended_at": None, "ended_event_id": None,
    }  # fmt: skip


def recency_of(row: Row, span: Row | None) -> str:
    """Lane 2 from the standing decision: what is due says whether the evidence is stale, in bars of the market clock."""
    if row["evidence_until"] is None:
        return "none"
    due = span["job_type"] if span is not None and span["reason_code"] != Reason.NOTHING_DUE.value else None
    job = row["job_type"] if row["job_id"] is not None else None
    if JobType.BACKTEST_BASELINE.value in {due, job}:
        return "none"
    if span is None or JobType.BACKTEST_REFRESH.value not in {due, job}:
        return "fresh"
    # A decision older than the evidence was answered by it.
    answered = job is None and span["job_id"] is not None and span["reason_code"] in {"SCHEDULED", "ACTIVE_JOB"}
    return "fresh" if answered else "stale"


def refusal_row(said: AttemptRefused, at: datetime) -> Row:
    """An attempt that was refused at the door."""
    return {
        "id": said.attempt_id, "command": said.command, "actor": said.actor, "role": said.role, "reason": "",
        "body": {}, "said_at": at, "status": "REFUSED", "tick": None, "code": said.code, "field": said.field,
        "limit_text": said.limit, "outcomes": [],
    }  # fmt: skip


def pulse_row(received: Received, at: datetime) -> Row | None:
    """A sign of life, or None for anything else."""
    event = received.event
    row: Row = {"appended_at": at, "said_at": datetime.fromisoformat(received.time)}
    match event:
        case PlannerPulse():
            row |= {
                "source": "planner", "process_id": event.process_id, "role": event.role,
                "head_tick": event.head_tick, "next_tick_at": event.next_tick_at, "problem": event.problem,
            }  # fmt: skip
        case ProbePulse():
            row |= {
                "source": "probe", "process_id": event.process_id, "role": "probe", "head_tick": 0,
                "next_tick_at": None, "problem": "", "said_at": event.sent_at,
            }  # fmt: skip
        case _:
            return None
    return row


def quarantine_row(said: RecordQuarantined, at: datetime) -> Row:
    """A record that could not be read."""
    return {
        "topic": said.source_topic, "partition": said.source_partition, "log_offset": said.source_offset,
        "sha256": said.sha256, "size_bytes": said.size_bytes, "reason": said.reason, "excerpt": said.excerpt, "seen_at": at,
    }  # fmt: skip


def repair_row(event: ChainRepaired, tick: int) -> Row:
    """A difference that an approver accepted."""
    return {
        "at_tick": event.at_tick, "tick": tick, "sealed_state_hash": event.sealed_state_hash,
        "folded_state_hash": event.folded_state_hash, "actor": event.actor, "reason": event.reason,
    }  # fmt: skip


def command_row(command: Command, at: datetime) -> Row:
    """A command that waits for its tick."""
    return {
        "id": command.command_id, "command": command.wire, "actor": command.actor, "role": command.role,
        "reason": command.reason, "body": command.model_dump(mode="json", by_alias=True), "said_at": at,
        "status": "OPEN", "tick": None, "code": None, "field": None, "limit_text": None, "outcomes": [],
    }  # fmt: skip
