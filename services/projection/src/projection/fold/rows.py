"""The shape of each row: what an event or a seal looks like in its table.

Place in the flow: apply → **rows** → store. Pure functions without memory; `Changes` collects the rows of one batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple, assert_never

import orjson

from autonomy.chain import AcceptedTick
from autonomy.envelope import Received
from autonomy.events import (
    AttemptRefused,
    ChainRepaired,
    Command,
    CommandAccepted,
    CommandRejected,
    Document,
    EquityCurve,
    JobSucceeded,
    PlannerPulse,
    ProbePulse,
    RecordQuarantined,
    ResearchSummary,
    RevertToLab,
)
from autonomy.gates import Verdict
from autonomy.lifecycle import Job
from autonomy.read_model import fleet, work
from autonomy.values import JobStatus
from projection.fold.bot_now import Row
from projection.fold.sealed import NOTHING, Decided, GateSaid, Ordered

SPARK_POINTS: Final = 24
UNSET_JOB: Final[Row] = {str(column.name): None for column in work.BOT_JOBS.columns if column.nullable}
UNSET_BADGE: Final[Row] = {str(column.name): None for column in fleet.BOT_NOW.columns if column.nullable}
"""What a table's definition leaves open: a column that comes later needs no line here."""
ENDS: Final = {"bot_backtests": None, "bot_jobs": "finished_at", "decision_spans": "to_tick"}
"""Tables whose rows end, and the column that tells that one did; evidence is done with as it is found."""


@lru_cache(maxsize=4096)
def instant(ms: int) -> datetime:
    """A record's append time; those of one batch of a producer share it."""
    return datetime.fromtimestamp(ms / 1000, UTC)


class Said(NamedTuple):
    """Where a fact of a tick stands: tick time, tick, and the id of its record."""

    at: datetime
    tick: int
    event_id: str


@dataclass(slots=True)
class Changes:
    """Rows of one batch: the last state of each key, and keys to delete.

    Attributes:
        settled: sessions that closed, at which bar (-1: before the first) and whether a position was flattened there. Later bars
            go, and the session's figures are those of that bar.
        ended: decisions (bot, first tick) written by an earlier batch that no longer stand, with the tick that ended them.
    """

    rows: dict[str, dict[tuple[object, ...], Row]] = field(default_factory=dict)
    gone: dict[str, set[tuple[object, ...]]] = field(default_factory=dict)
    settled: dict[str, tuple[int, bool]] = field(default_factory=dict)
    ended: dict[tuple[str, int], int] = field(default_factory=dict)

    def put(self, table: str, key: tuple[object, ...], row: Row) -> None:
        """Write this row."""
        self.rows.setdefault(table, {})[key] = row
        if table in self.gone:
            self.gone[table].discard(key)

    def end_span(self, span: Row, tick: int) -> None:
        """A decision stands until this tick."""
        key = (str(span["bot_id"]), int(str(span["from_tick"])))
        open_row = self.rows.get("decision_spans", {}).get(key)
        if open_row is None:
            self.ended[key] = tick
        else:
            open_row["to_tick"] = tick

    def take_done(self) -> "Changes":
        """The rows that are done with, to be written ahead of the batch's end.

        What later records may still change stays and is written once, at the end: a busy bot's badge, job and decision change with
        every few of them.
        """
        done = Changes()
        for table, ends in ENDS.items():
            rows = self.rows.pop(table, None)
            if rows is None:
                continue
            if ends is None:
                done.rows[table] = rows
                continue
            ended: dict[tuple[object, ...], Row] = {}
            going_on: dict[tuple[object, ...], Row] = {}
            for key, row in rows.items():
                (going_on if row[ends] is None else ended)[key] = row
            done.rows[table] = ended
            if going_on:
                self.rows[table] = going_on
        return done

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


def backtest_row(step: JobSucceeded, found: ResearchSummary, job_type: str, at: datetime) -> Row:
    """A piece of evidence; its summary is as the codec writes it: whoever said it may write numbers that no database reads."""
    metrics = found.metrics
    return {
        "job_id": step.job_id, "bot_id": step.bot_id, "job_type": job_type,
        "fingerprint": found.fingerprint, "data_sha256": found.data_sha256, "source_id": found.source_id,
        "synthetic": found.synthetic, "bars": found.bars, "first_bar": found.first_bar,
        "last_bar": found.last_bar, "sharpe": metrics.sharpe, "oos_sharpe": found.out_of_sample.sharpe,
        "max_drawdown": metrics.max_drawdown, "cagr": metrics.cagr, "trades": metrics.trades, "dsr": found.dsr,
        "look_ahead_ok": found.look_ahead_ok, "summary": json_of(found), "artifact": found.artifact, "created_at": at,
    }  # fmt: skip


def columns_of(job: Job) -> Row:
    """What of a row follows from the lifecycle."""
    return {
        "status": job.status.value, "cause": job.cause.value if job.cause else None, "attempt": job.attempt,
        "failures": job.failures, "claim_id": job.claim_id,
        **({"process_id": job.process_id} if job.process_id or job.status is JobStatus.QUEUED else {}),
    }  # fmt: skip


def left_attempt(row: Row, before: Job, at: datetime, cause: str, event_id: str) -> Row:
    """The columns of a job that goes back into the queue, with the attempt it leaves behind."""
    earlier = row["attempts"] if isinstance(row["attempts"], list) else []
    started = row["started_at"]
    attempt = {
        "attempt": before.attempt, "processId": before.process_id, "cause": cause,
        "startedAt": started.isoformat() if isinstance(started, datetime) and before.process_id else None,
        "endedAt": at.isoformat(), "eventId": event_id,
    }  # fmt: skip
    return {
        "attempts": [*earlier, attempt], "queued_at": at, "started_at": None, "last_beat_at": None,
        "phase": None, "progress": None, "process_id": None, "beats": None, "started_event_id": None,
    }  # fmt: skip


def json_of(part: Document) -> orjson.Fragment:
    """A part of an event as it stands on the wire: rows carry it as text, nobody here looks into it again."""
    return orjson.Fragment(part.__pydantic_serializer__.to_json(part, by_alias=True))


def no_evidence() -> Row:
    """The columns of a bot without evidence."""
    return UNSET_BADGE | {"recency": "none", "spark": [], "rev": 0, "promotion_blockers": [], "promotion_gates": 0}


def refusal_row(said: AttemptRefused, at: datetime) -> Row:
    """An attempt that was refused at the door."""
    return {
        "id": said.attempt_id, "command": said.command, "actor": said.actor, "role": said.role, "reason": "",
        "body": {}, "said_at": at, "status": "REFUSED", "tick": None, "code": said.code, "field": said.field,
        "limit_text": said.limit, "outcomes": [], "counts": {}, "bot_id": None,
    }  # fmt: skip


def pulse_row(received: Received, at: datetime) -> Row:
    """A sign of life."""
    event = received.event
    row: Row = {"appended_at": at, "said_at": datetime.fromisoformat(received.time)}
    match event:
        case PlannerPulse():
            return row | {
                "source": "planner", "process_id": event.process_id, "role": event.role,
                "head_tick": event.head_tick, "next_tick_at": event.next_tick_at, "problem": event.problem,
            }  # fmt: skip
        case ProbePulse():
            return row | {
                "source": "probe", "process_id": event.process_id, "role": "probe", "head_tick": 0,
                "next_tick_at": None, "problem": "", "said_at": event.sent_at,
            }  # fmt: skip
        case _:
            raise TypeError(f"{event.wire} is no pulse")


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
        "folded_state_hash": event.folded_state_hash, "actor": ", ".join(event.approved_by) or event.actor, "reason": event.reason,
    }  # fmt: skip


def command_row(command: Command, at: datetime) -> Row:
    """A command that waits for its tick."""
    return {
        "id": command.command_id, "command": command.wire, "actor": command.actor, "role": command.role,
        "reason": command.reason, "body": command.model_dump(mode="json", by_alias=True), "said_at": at,
        "status": "OPEN", "tick": None, "code": None, "field": None, "limit_text": None, "outcomes": [], "counts": {},
        "bot_id": named_bot(command),
    }  # fmt: skip


def named_bot(command: Command) -> str | None:
    """The one bot that a command names; None of one that names many, or a job."""
    if isinstance(command, RevertToLab):
        return command.bot_ids[0] if len(command.bot_ids) == 1 else None
    named: str | None = getattr(command, "bot_id", None)
    return named


def answer_row(event: CommandAccepted | CommandRejected, tick: int) -> Row:
    """What a tick answered a command."""
    answer: Row = {"tick": tick, "status": "ACCEPTED", "code": None, "field": None, "limit_text": None, "outcomes": [], "counts": {}}
    match event:
        case CommandAccepted():
            outcomes = [outcome.model_dump(mode="json", by_alias=True) for outcome in event.outcomes]
            return answer | {"outcomes": outcomes, "counts": dict(event.counts)}
        case CommandRejected():
            return answer | {"status": "REJECTED", "code": event.code, "field": event.field, "limit_text": event.limit}
        case _:
            assert_never(event)


def span_row(event: Decided, said: Said) -> Row:
    """A standing decision; its gates are the very text of its record."""
    return {
        "bot_id": event.bot_id, "from_tick": said.tick, "to_tick": None, "reason_code": event.reason.value,
        "job_type": event.job_type.value if event.job_type else None, "job_id": event.job_id,
        "blockers": orjson.Fragment(bytes(event.blockers)),
        "detail": event.detail, "until_at": event.until, "next_due_at": event.next_due_at,
        "limit_name": event.limit, "limit_value": event.limit_value, "place": event.place,
        "would": event.would.value if event.would else None, "due_since": event.due_since, "event_id": said.event_id,
        "promotion_to": event.promotion_to.value if event.promotion_to else None,
        "promotion": None if event.promotion == NOTHING else orjson.Fragment(bytes(event.promotion)),
    }  # fmt: skip


def order_row(event: Ordered, seq: int, said: Said, stage: object) -> Row:
    """A job as ordered, without what its lifecycle adds; its order is the very text of its record, which does not name its bot's stage."""
    return UNSET_JOB | {
        "id": event.job_id, "bot_id": event.bot_id, "job_type": event.job_type.value, "job_class": event.job_class.value,
        "stage": stage, "strategy": event.strategy, "symbol": event.symbol,
        "tick": event.tick, "seq": seq, "partition": event.partition, "created_at": said.at, "queued_at": said.at,
        "fingerprint": event.fingerprint, "bars_until": event.bars_until, "spec": orjson.Fragment(bytes(event.spec)),
        "attempts": [], "event_id": said.event_id,
    }  # fmt: skip


def blocking(gates: Sequence[GateSaid]) -> list[dict[str, str]]:
    """The gates that have a say and do not pass, in the API's words."""
    return [
        {"code": gate.code, "measured": gate.measured, "required": gate.required, "clearsWhen": gate.clears_when}
        for gate in gates
        if gate.deciding and gate.verdict is not Verdict.PASS
    ]


def derived_last(heard: Row) -> Row:
    """The columns that a batch heard for a badge, with those that cost most derived from what was heard last."""
    decided = heard.pop("gates", None)
    if isinstance(decided, Decided) and (gates := decided.gates) is not None:
        to = decided.promotion_to
        heard |= {"promotion_to": to.value if to else None, "promotion_blockers": blocking(gates), "promotion_gates": len(gates)}
    if "spark" in heard:
        curve = heard["spark"]
        heard["spark"] = curve.strategy_sampled(SPARK_POINTS) if isinstance(curve, EquityCurve) else []
    return heard
