"""Turn accepted ticks, job events, beats and commands into rows.

Place in the flow: log → **apply** → store. Pure: no I/O, no clock; instants come from the records. The rows of one batch
collect in `changes`; the store writes them with the offsets in one transaction, and only then does the next batch begin.

Source: R-A2, R-A3.4, R-B1; S5, S8, S9.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

import orjson

from autonomy import lifecycle
from autonomy.chain import AcceptedTick
from autonomy.envelope import Received, data_bytes, event_id_of
from autonomy.events import (
    AttemptRefused,
    BotChanged,
    BotDecision,
    BotRegistered,
    BotRetired,
    CancelRequested,
    CapabilitiesAnnounced,
    ChainRepaired,
    ClaimEvent,
    Command,
    CommandAccepted,
    CommandRejected,
    HoldPlaced,
    HoldReleased,
    JobCancelled,
    JobDead,
    JobEnqueued,
    JobFailed,
    JobReleased,
    JobRequeued,
    JobStarted,
    JobSucceeded,
    LoopPaused,
    LoopResumed,
    PlannerRun,
    PolicyChanged,
    RecordQuarantined,
    ResearchSummary,
    RunnerHeartbeat,
    StageChanged,
)
from autonomy.lifecycle import Job, JobFold, JobStep
from autonomy.values import derived_id
from projection.bot_now import Row, since_of, state_of
from projection.rows import (
    Changes,
    backtest_row,
    bot_row,
    columns_of,
    command_row,
    instant,
    json_of,
    left_attempt,
    new_runner,
    no_evidence,
    pulse_row,
    quarantine_row,
    recency_of,
    refusal_row,
    repair_row,
    run_row,
    time_of,
)

SPARK_POINTS = 24
TickFact = (
    CommandAccepted | CommandRejected | BotRegistered | BotChanged | BotRetired | StageChanged | LoopPaused | LoopResumed
    | PolicyChanged | HoldPlaced | HoldReleased | CancelRequested | ChainRepaired | BotDecision | JobEnqueued
)  # fmt: skip


@dataclass(slots=True)
class Model:
    """The rows that later records may still change, and the changes of the open batch.

    Attributes:
        bots, now: by bot id; bots that left the fleet are dropped.
        jobs: live rows by job id.
        by_bot: live job ids of a bot.
        spans: the standing decision of a bot.
        commands: rows not answered yet; `seen_commands` are all ids, since a command said twice acts once.
        rev: the revision that the open batch will get.
    """

    bots: dict[str, Row] = field(default_factory=dict)
    now: dict[str, Row] = field(default_factory=dict)
    jobs: dict[str, Row] = field(default_factory=dict)
    by_bot: dict[str, set[str]] = field(default_factory=dict)
    spans: dict[str, Row] = field(default_factory=dict)
    commands: dict[str, Row] = field(default_factory=dict)
    seen_commands: set[str] = field(default_factory=set)
    runners: dict[str, Row] = field(default_factory=dict)
    fold: JobFold = field(default_factory=JobFold)
    changes: Changes = field(default_factory=Changes)
    market_now: datetime | None = None
    rev: int = 1
    step_at: datetime = field(default_factory=lambda: instant(0))
    waiting_at: dict[int, datetime] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    # ── ticks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def apply_tick(self, tick: AcceptedTick) -> None:
        """Apply an accepted tick whole, then the job events that waited for it."""
        seal = tick.seal
        at = seal.now
        for seq, event in enumerate(tick.events(), start=1):
            self._fact(event, seal, seq, at)  # type: ignore[arg-type] # the codec admits only tick facts on this topic
        self.changes.put("autonomy_planner_runs", (seal.run_id,), run_row(tick))
        self.market_now = seal.market_now
        self.fold.reach(seal.tick, self._job_changed)
        if self.waiting_at and not self.fold.pending:
            self.waiting_at.clear()  # void steps leave theirs behind

    def _fact(self, event: TickFact, seal: PlannerRun, seq: int, at: datetime) -> None:
        match event:
            case BotDecision():
                self._decided(event, seal, seq, at)
            case JobEnqueued():
                self._enqueued(event, seq, at)
            case BotRegistered():
                self._registered(event, at)
            case BotChanged() | BotRetired() | StageChanged() | HoldPlaced() | HoldReleased():
                self._bot_fact(event, seal, at)
            case CommandAccepted() | CommandRejected():
                self._answered(event, seal.tick)
            case LoopPaused():
                row: Row = {"scope": event.scope, "target": event.target, "actor": event.actor, "reason": event.reason, "since": at}
                self.changes.put("autonomy_loop", (event.scope, event.target), row)
            case LoopResumed():
                self.changes.drop("autonomy_loop", (event.scope, event.target))
            case PolicyChanged():
                row = {"tick": seal.tick, "policy_hash": event.policy_hash, "document": event.document, "actor": event.actor}
                self.changes.put("autonomy_policy", (seal.tick,), row)
            case ChainRepaired():
                row = repair_row(event, seal.tick)
                self.changes.put("chain_repairs", (event.at_tick,), row)
            case CancelRequested():
                pass  # ignored on purpose: a row changes when JobCancelled takes effect, not when it is decided
            case _:
                assert_never(event)

    def _registered(self, event: BotRegistered, at: datetime) -> None:
        self._put_bot(bot_row(event, at))
        self._touch(event.bot_id)

    def _put_bot(self, row: Row) -> None:
        bot_id = str(row["id"])
        self.bots[bot_id] = row
        self.changes.put("bots", (bot_id,), row)

    def _bot_fact(self, event: BotChanged | BotRetired | StageChanged | HoldPlaced | HoldReleased, seal: PlannerRun, at: datetime) -> None:
        row = dict(self.bots[event.bot_id])
        match event:
            case BotChanged():
                row |= {
                    "version": event.version, "strategy": event.strategy, "parameters": event.parameters, "symbol": event.symbol,
                }  # fmt: skip
            case StageChanged():
                if event.from_stage is not None:
                    row["stage_version"] = int(str(row["stage_version"])) + 1
                row |= {"stage": event.to_stage.value, "stage_updated_at": at, "stage_reason_code": event.reason_code}
                self.changes.put("bot_stage_events", (event.event_id,), {
                    "id": event.event_id, "bot_id": event.bot_id,
                    "from_stage": event.from_stage.value if event.from_stage else None, "to_stage": event.to_stage.value,
                    "reason_code": event.reason_code, "actor": event.actor, "created_at": at, "tick": seal.tick,
                })  # fmt: skip
            case HoldPlaced():
                row |= {"hold_reason": event.reason, "hold_actor": event.actor}
            case HoldReleased():
                if event.kind == "OPERATOR":
                    row |= {"hold_reason": None, "hold_actor": None}
            case BotRetired():
                row["retired_at"] = at
                self._put_bot(row)
                self._left(event.bot_id, seal.tick)
                return
            case _:
                assert_never(event)
        self._put_bot(row)
        self._touch(event.bot_id)

    def _left(self, bot_id: str, tick: int) -> None:
        self.bots.pop(bot_id)
        self.now.pop(bot_id, None)
        self.touched.discard(bot_id)
        self.changes.drop("bot_now", (bot_id,))
        span = self.spans.pop(bot_id, None)
        if span is not None:
            self.changes.put("decision_spans", (bot_id, span["from_tick"]), {**span, "to_tick": tick})

    def _decided(self, event: BotDecision, seal: PlannerRun, seq: int, at: datetime) -> None:
        before = self.spans.get(event.bot_id)
        if before is not None and before["from_tick"] != seal.tick:
            self.changes.put("decision_spans", (event.bot_id, before["from_tick"]), {**before, "to_tick": seal.tick})
        event_id = derived_id("record", seal.tick, seal.try_id, seq)
        span: Row = {
            "bot_id": event.bot_id, "from_tick": seal.tick, "to_tick": None, "reason_code": event.reason.value,
            "job_type": event.job_type.value if event.job_type else None, "job_id": event.job_id,
            "blockers": [json_of(blocker) for blocker in event.blockers],
            "detail": event.detail, "until_at": event.until, "next_due_at": event.next_due_at,
            "limit_name": event.limit, "limit_value": event.limit_value, "place": event.place,
            "would": event.would.value if event.would else None, "due_since": event.due_since, "event_id": event_id,
        }  # fmt: skip
        self.spans[event.bot_id] = span
        self.changes.put("decision_spans", (event.bot_id, seal.tick), span)
        self.now[event.bot_id] = self._now_of(event.bot_id) | {"decided_at": at}
        self._touch(event.bot_id)

    def _answered(self, event: CommandAccepted | CommandRejected, tick: int) -> None:
        answer: Row = {"tick": tick, "status": "ACCEPTED", "code": None, "field": None, "limit_text": None, "outcomes": []}
        match event:
            case CommandAccepted():
                answer["outcomes"] = [outcome.model_dump(mode="json", by_alias=True) for outcome in event.outcomes]
            case CommandRejected():
                answer |= {"status": "REJECTED", "code": event.code, "field": event.field, "limit_text": event.limit}
            case _:
                assert_never(event)
        # The reader applies a tick only after all commands below its cut: an answer without its command is a foreign one.
        said = self.commands.pop(event.command_id, None)
        if said is not None:
            self.changes.put("commands", (event.command_id,), said | answer)

    # ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _enqueued(self, event: JobEnqueued, seq: int, at: datetime) -> None:
        job = lifecycle.enqueued(event, seq)
        row: Row = {
            "id": event.job_id, "bot_id": event.bot_id, "job_type": event.job_type.value,
            "job_class": event.job_class.value, "cause": None, "detail": None, "tick": event.tick, "seq": seq,
            "partition": event.partition, "created_at": at, "queued_at": at, "started_at": None, "finished_at": None,
            "last_beat_at": None, "phase": None, "progress": None, "fingerprint": event.fingerprint,
            "bars_until": event.bars_until.isoformat(), "spec": orjson.Fragment(data_bytes(event)),
            "result": None, "attempts": [],
        }  # fmt: skip
        self.fold.enqueue(job)
        self._put_job(row | columns_of(job))
        self.by_bot.setdefault(event.bot_id, set()).add(event.job_id)
        self._touch(event.bot_id)

    def _put_job(self, row: Row) -> None:
        job_id = str(row["id"])
        self.jobs[job_id] = row
        self.changes.put("bot_jobs", (job_id,), row)

    def apply_step(self, step: JobStep, at: datetime) -> None:
        """Apply a job event; ahead of its tick it waits in the fold."""
        self.step_at = at
        if step.job_id not in self.fold.jobs and step.tick > self.fold.head_tick:
            self.waiting_at[id(step)] = at  # the fold keeps the step alive until its tick comes
        else:
            self.waiting_at.pop(id(step), None)  # of a void step that is gone, and whose identity is this one's now
        self.fold.step(step, self._job_changed)

    def _job_changed(self, before: Job, after: Job, step: JobStep) -> None:
        at = self.waiting_at.pop(id(step), self.step_at)
        row = dict(self.jobs[after.job_id]) | columns_of(after)
        match step:
            case JobStarted():
                row |= {"started_at": at, "last_beat_at": at, "process_id": step.process_id, "phase": "starting", "progress": 0.0}
            case JobReleased() | JobRequeued():
                row |= left_attempt(row, before, at, step.cause.value)
            case JobSucceeded():
                row |= {"finished_at": at, "phase": "done", "progress": 1.0, "last_beat_at": at, "process_id": step.process_id}
                if step.result is not None:
                    row["result"] = json_of(step.result, exclude={"equity"})
                    self._found(step, step.result, at)
            case JobFailed():
                row |= {"finished_at": at, "last_beat_at": at, "detail": step.detail, "process_id": step.process_id}
            case JobCancelled() | JobDead():
                row |= {"finished_at": at}
            case _:
                assert_never(step)
        self._put_job(row)
        if not after.status.is_live:
            self.jobs.pop(after.job_id)
            self.fold.forget(after.job_id)
            self.by_bot.get(after.bot_id, set()).discard(after.job_id)
            claim = (step.claim_id,) if isinstance(step, ClaimEvent) else ()
            event_id = event_id_of(step, step.job_id, step.attempt, *claim)
            self.now[after.bot_id] = self._now_of(after.bot_id) | {"ended_at": at, "ended_event_id": event_id}
        self._touch(after.bot_id)

    def _found(self, step: JobSucceeded, found: ResearchSummary, at: datetime) -> None:
        metrics = found.metrics
        self.changes.put("bot_backtests", (step.job_id,), backtest_row(step, found, str(self.jobs[step.job_id]["job_type"]), at))
        if step.bot_id in self.bots:
            stride = max(1, len(found.equity) // SPARK_POINTS)
            self.now[step.bot_id] = self._now_of(step.bot_id) | {
                "evidence_until": found.last_day.isoformat(), "evidence_at": at,
                "sharpe": metrics.sharpe, "max_drawdown": metrics.max_drawdown, "trades": metrics.trades,
                "spark": [point[1] for point in found.equity[::stride]],
            }  # fmt: skip

    # ── signs of life, commands ────────────────────────────────────────────────────────────────────────────────

    def apply_beat(self, beat: RunnerHeartbeat, at: datetime) -> None:
        """A beat counts for a job only from its current winner."""
        for held in beat.jobs:
            job = self.fold.jobs.get(held.job_id)
            if job is None or not lifecycle.is_current_claim(job, held.attempt, held.claim_id):
                continue
            self._put_job(self.jobs[held.job_id] | {"last_beat_at": at, "phase": held.phase, "progress": held.progress})
            self._touch(held.bot_id)
        known = self.runners.get(beat.process_id) or new_runner(beat.process_id, at)
        heard = {"last_beat_at": at, "research_slots": beat.research_slots, "held": len(beat.jobs), "stopping": beat.stopping}
        self._put_runner(known | heard)

    def apply_capabilities(self, said: CapabilitiesAnnounced, at: datetime) -> None:
        """What a runner process can do."""
        known = self.runners.get(said.process_id) or new_runner(said.process_id, at)
        self._put_runner(known | {
            "last_beat_at": at, "research_slots": said.research_slots, "engine_version": said.engine_version,
            "symbols": [bars.model_dump(mode="json", by_alias=True, exclude={"days"}) for bars in said.symbols],
            "strategies": [code.model_dump(mode="json", by_alias=True) for code in said.strategies],
        })  # fmt: skip

    def _put_runner(self, row: Row) -> None:
        self.runners[str(row["process_id"])] = row
        self.changes.put("bot_runners", (row["process_id"],), row)

    def apply_command(self, command: Command, at: datetime) -> None:
        """A command as said; its answer comes with a tick."""
        row = command_row(command, at)
        if command.command_id not in self.seen_commands:
            self.seen_commands.add(command.command_id)
            self.commands[command.command_id] = row
            self.changes.put("commands", (command.command_id,), row)

    def apply_refusal(self, said: AttemptRefused, at: datetime) -> None:
        """An attempt that was refused at the door."""
        self.changes.put("commands", (said.attempt_id,), refusal_row(said, at))

    def quarantine(self, *, topic: str, partition: int, offset: int, value: bytes, reason: str, at: datetime) -> RecordQuarantined:
        """Keep a record that cannot be read; returns what to say of it on the quarantine topic."""
        said = RecordQuarantined(
            source_topic=topic, source_partition=partition, source_offset=offset,
            sha256=hashlib.sha256(value).hexdigest(), size_bytes=len(value), reason=reason[:500],
            excerpt=ascii(value[:120])[:500],
        )  # fmt: skip
        self.changes.put("quarantine", (topic, partition, offset), quarantine_row(said, at))
        return said

    def apply_pulse(self, received: Received, at: datetime) -> None:
        """A sign of life; newest one of each process."""
        row = pulse_row(received, at)
        if row is None:
            return  # ignored on purpose: nothing else is on the pulse topic
        self.changes.put("pulses", (row["source"], row["process_id"]), row)

    # ── what each bot does now ─────────────────────────────────────────────────────────────────────────────────

    def _touch(self, bot_id: str) -> None:
        self.touched.add(bot_id)

    def _now_of(self, bot_id: str) -> Row:
        return self.now.get(bot_id) or no_evidence()

    def _renew(self, bot_id: str) -> None:
        bot, span, before = self.bots[bot_id], self.spans.get(bot_id), self._now_of(bot_id)
        now = state_of((self.jobs[job_id] for job_id in self.by_bot.get(bot_id, ())), str(span["reason_code"]) if span else "")
        job = now.job
        decided_at, ended_at = time_of(before["decided_at"]), time_of(before["ended_at"])
        ended_last = ended_at is not None and (decided_at is None or ended_at > decided_at)
        row: Row = before | {
            "bot_id": bot_id, "state": now.state.value,
            "since": since_of(now, decided_at, ended_at) or bot["registered_at"],
            "reason_code": span["reason_code"] if span else "NOT_EVALUATED_YET", "detail": span["detail"] if span else "",
            "would": span["would"] if span else None, "next_due_at": span["next_due_at"] if span else None,
            "until_at": span["until_at"] if span else None, "blockers": span["blockers"] if span else [],
            "job_id": job["id"] if job else None, "job_type": job["job_type"] if job else None,
            "job_status": job["status"] if job else None, "job_tick": job["tick"] if job else None,
            "job_seq": job["seq"] if job else None, "phase": job["phase"] if job else None,
            "progress": job["progress"] if job else None, "last_beat_at": job["last_beat_at"] if job else None,
            "because_event_id": before["ended_event_id"] if ended_last else (span["event_id"] if span else None),
            "stage": bot["stage"], "name": bot["name"], "strategy": bot["strategy"], "symbol": bot["symbol"],
            "parameters": bot["parameters"], "origin": bot["origin"], "pinned": bot["pinned"], "pin_reason": bot["pin_reason"],
            "rev": self.rev,
        }  # fmt: skip
        row["recency"] = recency_of(row, span)
        self.now[bot_id] = row
        self.changes.put("bot_now", (bot_id,), row)

    def finish(self) -> Changes:
        """The batch's changes, with every touched bot's badge derived from the rows as they are now."""
        for bot_id in self.touched:
            if bot_id in self.bots:
                self._renew(bot_id)
        self.touched = set()
        done, self.changes = self.changes, Changes()
        return done
