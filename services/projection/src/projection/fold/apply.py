"""Turn accepted ticks, job events, bars, beats and commands into rows.

Place in the flow: log → **apply** → store. Pure: no I/O, no clock; instants come from the records. The rows of one batch
collect in `changes`; the store writes them with the offsets in one transaction, and only then does the next batch begin.

Source: R-A2, R-A3.4, R-B1; S5, S8, S9.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from autonomy.chain import AcceptedTick
from autonomy.envelope import event_id_of
from autonomy.events import (
    AnnouncementRequested,
    AttemptRefused,
    BotAmended,
    BotChanged,
    BotPinned,
    BotRegistered,
    BotRetired,
    BotUnpinned,
    CancelRequested,
    CapabilitiesAnnounced,
    ChainRepaired,
    ChallengerDeclined,
    ChallengerJudged,
    ClaimEvent,
    Command,
    CommandAccepted,
    CommandRejected,
    DriftJudged,
    HoldPlaced,
    HoldReleased,
    JobCancelled,
    JobDead,
    JobFailed,
    JobReleased,
    JobRequeued,
    JobStarted,
    JobSucceeded,
    LookTaken,
    LoopPaused,
    LoopResumed,
    PolicyChanged,
    PromotionRecommended,
    PromotionRequested,
    PromotionWithdrawn,
    RecordQuarantined,
    ResearchSummary,
    RuleVote,
    RunnerBar,
    RunnerSign,
    SessionClosed,
    StageChanged,
)
from autonomy.lifecycle import Job, JobFold, JobStep
from autonomy.values import JobStatus
from projection.fold import bot_now, bot_rows, rows
from projection.fold.books import Books
from projection.fold.bot_now import Row
from projection.fold.careers import Careers
from projection.fold.rows import Changes, Said, instant
from projection.fold.sealed import NOTHING, Decided, Ordered, facts_of
from projection.fold.signs import Signs

TickFact = (
    CommandAccepted | CommandRejected | BotRegistered | BotAmended | BotChanged | BotRetired | StageChanged | LoopPaused | LoopResumed
    | PolicyChanged | HoldPlaced | HoldReleased | CancelRequested | RuleVote | AnnouncementRequested | ChainRepaired | BotPinned
    | BotUnpinned | PromotionRecommended | PromotionRequested | PromotionWithdrawn | DriftJudged | ChallengerJudged | ChallengerDeclined
    | SessionClosed | LookTaken
)  # fmt: skip
NO_DRIFT: Row = {"drift": None, "drift_at": None, "demote": None}


@dataclass(slots=True)
class Model:
    """The rows that later records may still change, and the changes of the open batch.

    Attributes:
        bots, now: by bot id; bots that left the fleet are dropped.
        jobs: live rows by job id.
        by_bot: live job ids of a bot.
        spans: the standing decision of a bot.
        commands: rows not answered yet; `seen_commands` are all ids, since a command said twice acts once.
        books: open paper sessions; careers: open recommendations and searches; signs: runner processes.
        rev: the revision that the open batch will get.
        touched: bots whose badge row is to be derived anew; heard: what the open batch remembers of them for it.
        own: live jobs whose row belongs to the open batch alone, and is changed in place; any other is with the database already.
    """

    bots: dict[str, Row] = field(default_factory=dict)
    now: dict[str, Row] = field(default_factory=dict)
    jobs: dict[str, Row] = field(default_factory=dict)
    by_bot: dict[str, set[str]] = field(default_factory=dict)
    spans: dict[str, Row] = field(default_factory=dict)
    commands: dict[str, Row] = field(default_factory=dict)
    seen_commands: set[str] = field(default_factory=set)
    books: Books = field(default_factory=Books)
    careers: Careers = field(default_factory=Careers)
    signs: Signs = field(default_factory=Signs)
    fold: JobFold = field(default_factory=JobFold)
    changes: Changes = field(default_factory=Changes)
    market_now: datetime | None = None
    rev: int = 1
    step_at: datetime = field(default_factory=lambda: instant(0))
    waiting_at: dict[int, datetime] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    heard: dict[str, Row] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)

    # ── ticks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def apply_tick(self, tick: AcceptedTick) -> None:
        """Apply an accepted tick whole, then the job events and bars that waited for it."""
        seal = tick.seal
        for seq, (fact, event_id) in enumerate(facts_of(tick), start=1):
            said = Said(seal.now, seal.tick, event_id)
            if isinstance(fact, Decided):
                self._decided(fact, said)
            elif isinstance(fact, Ordered):
                self._enqueued(fact, seq, said)
            else:
                self._fact(fact, said)  # type: ignore[arg-type] # the codec admits only tick facts on this topic
        self.changes.put("autonomy_planner_runs", (seal.run_id,), rows.run_row(tick))
        self.market_now = seal.market_now
        self.fold.reach(seal.tick, self._job_changed)
        self.touched |= self.books.reach(seal.tick, self.changes)
        if self.waiting_at and not self.fold.pending:
            self.waiting_at.clear()  # void steps leave theirs behind

    def _fact(self, event: TickFact, said: Said) -> None:
        match event:
            case (
                BotRegistered() | BotAmended() | BotChanged() | BotRetired() | StageChanged() | HoldPlaced() | HoldReleased()
                | BotPinned() | BotUnpinned()
            ):  # fmt: skip
                self._bot_fact(event, said)
            case PromotionRecommended() | PromotionRequested() | PromotionWithdrawn():
                self.careers.promotion(event, said, self.changes)
                self.touched.add(event.bot_id)
            case DriftJudged() | ChallengerJudged() | ChallengerDeclined() | SessionClosed() | LookTaken():
                self._judged(event, said)
            case CommandAccepted() | CommandRejected():
                # The reader applies a tick only after all commands below its cut: an answer without its command is a foreign one.
                asked = self.commands.pop(event.command_id, None)
                if asked is not None:
                    self.changes.put("commands", (event.command_id,), asked | rows.answer_row(event, said.tick))
            case LoopPaused() | LoopResumed() | PolicyChanged() | ChainRepaired():
                self._fleet_fact(event, said)
            case CancelRequested() | RuleVote() | AnnouncementRequested():
                # Ignored on purpose: a row changes when JobCancelled takes effect, not when it is decided; a vote shows in its command's
                # answer; a request is for the runner.
                pass
            case _:
                assert_never(event)

    def _fleet_fact(self, event: LoopPaused | LoopResumed | PolicyChanged | ChainRepaired, said: Said) -> None:
        match event:
            case LoopPaused():
                row: Row = {"scope": event.scope, "target": event.target, "actor": event.actor, "reason": event.reason, "since": said.at}
                self.changes.put("autonomy_loop", (event.scope, event.target), row)
            case LoopResumed():
                self.changes.drop("autonomy_loop", (event.scope, event.target))
            case PolicyChanged():
                row = {"tick": said.tick, "policy_hash": event.policy_hash, "document": event.document, "actor": event.actor}
                self.changes.put("autonomy_policy", (said.tick,), row)
            case ChainRepaired():
                self.changes.put("chain_repairs", (event.at_tick,), rows.repair_row(event, said.tick))
            case _:
                assert_never(event)
        if isinstance(event, LoopPaused | LoopResumed) and event.scope == "bot":
            self._note(event, event.target, said)

    def _note(self, event: bot_rows.Noted, bot_id: str, said: Said) -> None:
        self.changes.put("bot_notes", (said.event_id,), bot_rows.note_row(event, bot_id, said))

    def _judged(self, event: DriftJudged | ChallengerJudged | ChallengerDeclined | SessionClosed | LookTaken, said: Said) -> None:
        match event:
            case DriftJudged():
                self.careers.drifted(event, said, self.changes)
                self._remember(event.bot_id, {"drift": event.verdict.value, "drift_at": said.at, "demote": event.demote})
            case ChallengerJudged():
                self.careers.judged(event, said, self.changes)
                if self.bots[event.bot_id]["evolve"] and event.verdict == "WINS" and not event.applied:
                    self._put_bot(self.bots[event.bot_id] | {"proposal_job": event.job_id})
            case ChallengerDeclined():
                self._put_bot(self.bots[event.bot_id] | {"proposal_job": None})
                self._note(event, event.bot_id, said)
            case LookTaken():
                self.careers.looked(event, said, self.changes)
            case SessionClosed():
                self.books.closed(event, said, self.changes)
                self._remember(event.bot_id, NO_DRIFT)
            case _:
                assert_never(event)

    def _put_bot(self, row: Row) -> None:
        bot_id = str(row["id"])
        self.bots[bot_id] = row
        self.changes.put("bots", (bot_id,), row)

    def _bot_fact(self, event: BotRegistered | BotRetired | bot_rows.BotFact, said: Said) -> None:
        if isinstance(event, BotRegistered | BotChanged):
            version = 1 if isinstance(event, BotRegistered) else event.version
            self.changes.put("bot_versions", (event.bot_id, version), bot_rows.version_row(event, said))
        if isinstance(event, BotAmended | BotPinned | BotUnpinned | HoldPlaced | HoldReleased | BotRetired):
            self._note(event, event.bot_id, said)
        if isinstance(event, BotRegistered):
            self._put_bot(bot_rows.bot_row(event, said.at))
        elif isinstance(event, BotRetired):
            self._put_bot(self.bots[event.bot_id] | {"retired_at": said.at})
            self._left(event.bot_id, said.tick)
            return
        else:
            self._put_bot(bot_rows.bot_after(self.bots[event.bot_id], event, said.at))
        if isinstance(event, StageChanged):
            self.changes.put("bot_stage_events", (event.event_id,), bot_rows.stage_row(event, said))
            self.careers.applied(event, said, self.changes)
            self._remember(event.bot_id, NO_DRIFT)
        self.touched.add(event.bot_id)

    def _left(self, bot_id: str, tick: int) -> None:
        self.bots.pop(bot_id)
        self.now.pop(bot_id, None)
        self.heard.pop(bot_id, None)
        self.touched.discard(bot_id)
        self.changes.drop("bot_now", (bot_id,))
        if (span := self.spans.pop(bot_id, None)) is not None:
            self.changes.end_span(span, tick)

    def _decided(self, event: Decided, said: Said) -> None:
        before = self.spans.get(event.bot_id)
        if before is not None and before["from_tick"] != said.tick:
            self.changes.end_span(before, said.tick)
        span = rows.span_row(event, said)
        self.spans[event.bot_id] = span
        self.changes.put("decision_spans", (event.bot_id, said.tick), span)
        self._remember(event.bot_id, {"decided_at": said.at} if event.promotion == NOTHING else {"decided_at": said.at, "gates": event})

    def _remember(self, bot_id: str, columns: Row) -> None:
        """Columns of the badge row that later batches keep."""
        if bot_id in self.bots:
            self.heard.setdefault(bot_id, {}).update(columns)
            self.touched.add(bot_id)

    # ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _enqueued(self, event: Ordered, seq: int, said: Said) -> None:
        job = Job(event.job_id, event.bot_id, event.job_type, event.job_class, event.tick, seq, event.partition)
        self.fold.enqueue(job)
        self._put_job(rows.order_row(event, seq, said, self.bots[event.bot_id]["stage"]) | rows.columns_of(job))
        self.by_bot.setdefault(event.bot_id, set()).add(event.job_id)
        if event.whole is not None:
            self.books.opened(event.whole, said.at, self.changes)
            self.careers.search(event.whole, said.at, self.changes)
        self.touched.add(event.bot_id)

    def _put_job(self, row: Row) -> None:
        job_id = str(row["id"])
        self.jobs[job_id] = row
        self.own.add(job_id)
        self.changes.put("bot_jobs", (job_id,), row)

    def _own_job(self, job_id: str) -> Row:
        """The row of a live job, to be changed by the open batch."""
        if job_id not in self.own:
            self._put_job(self.jobs[job_id].copy())
        return self.jobs[job_id]

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
        row = self._own_job(after.job_id)
        row.update(rows.columns_of(after))
        match step:
            case JobStarted():
                beat_at = self.signs.claimed(step)
                row |= {
                    "started_at": at, "last_beat_at": beat_at or at, "beats": True if beat_at else None, "process_id": step.process_id,
                    "phase": "starting", "progress": 0.0, "started_event_id": _event_id(step),
                }  # fmt: skip
            case JobReleased() | JobRequeued():
                row |= rows.left_attempt(row, before, at, step.cause.value, _event_id(step))
            case JobSucceeded():
                row |= {"finished_at": at, "phase": "done", "progress": 1.0, "last_beat_at": at, "process_id": step.process_id}
                row |= self._result(step, at)
            case JobFailed():
                row |= {"finished_at": at, "last_beat_at": at, "detail": step.detail, "process_id": step.process_id}
            case JobCancelled() | JobDead():
                row |= {"finished_at": at}
            case _:
                assert_never(step)
        if not after.status.is_live:
            self._ended(after, step, row, at)
        self.touched.add(after.bot_id)

    def _ended(self, after: Job, step: JobStep, row: Row, at: datetime) -> None:
        event_id = _event_id(step)
        row |= {"beats": None, "ended_event_id": event_id}
        self.jobs.pop(after.job_id)
        self.fold.forget(after.job_id)
        self.by_bot.get(after.bot_id, set()).discard(after.job_id)
        if not isinstance(step, JobSucceeded):
            self.careers.searched(after.job_id, after.status, None, at, self.changes)
        heard = self.heard.get(after.bot_id, {})
        self._remember(after.bot_id, bot_now.last_end(heard if "ended_at" in heard else self.now.get(after.bot_id, {}), at, event_id))

    def _result(self, step: JobSucceeded, at: datetime) -> Row:
        """The result of a job in its own tables; returns what its row shows of it."""
        if step.result is not None:
            self._found(step, step.result, at)
            return {"result": rows.json_of(step.result.metrics)}
        self.careers.searched(step.job_id, JobStatus.SUCCEEDED, step.evolution, at, self.changes)
        shown = step.evolution or step.paper
        return {"result": rows.json_of(shown)} if shown is not None else {}

    def _found(self, step: JobSucceeded, found: ResearchSummary, at: datetime) -> None:
        job_type = str(self.jobs[step.job_id]["job_type"])
        self.changes.put("bot_backtests", (step.job_id,), rows.backtest_row(step, found, job_type, at))
        self._remember(step.bot_id, bot_now.evidence(step.job_id, found, at))

    # ── signs of life, commands ────────────────────────────────────────────────────────────────────────────────

    def apply_beat(self, beat: RunnerSign, at: datetime) -> None:
        """A beat counts for a job only from its current winner."""
        for held in self.signs.beat(beat, self.fold, at):
            self._own_job(held.job_id).update({"last_beat_at": at, "beats": True, "phase": held.phase, "progress": held.progress})
            self.touched.add(held.bot_id)

    def apply_capabilities(self, said: CapabilitiesAnnounced, at: datetime) -> None:
        """What a runner process can do."""
        self.signs.announced(said, at)

    def apply_bar(self, bar: RunnerBar, at: datetime) -> None:
        """A bar that a paper runner took; ahead of its tick it waits."""
        if self.books.take(bar, at, self.fold.head_tick, self.changes):
            self.touched.add(bar.bot_id)

    def apply_command(self, command: Command, at: datetime) -> None:
        """A command as said; its answer comes with a tick."""
        row = rows.command_row(command, at)
        if command.command_id not in self.seen_commands:
            self.seen_commands.add(command.command_id)
            self.commands[command.command_id] = row
            self.changes.put("commands", (command.command_id,), row)

    def apply_refusal(self, said: AttemptRefused, at: datetime) -> None:
        """An attempt that was refused at the door."""
        self.changes.put("commands", (said.attempt_id,), rows.refusal_row(said, at))

    def quarantine(self, *, topic: str, partition: int, offset: int, value: bytes, reason: str, at: datetime) -> RecordQuarantined:
        """Keep a record that cannot be read; returns what to say of it on the quarantine topic."""
        said = RecordQuarantined(
            source_topic=topic, source_partition=partition, source_offset=offset,
            sha256=hashlib.sha256(value).hexdigest(), size_bytes=len(value), reason=reason[:500],
            excerpt=ascii(value[:120])[:500],
        )  # fmt: skip
        self.changes.put("quarantine", (topic, partition, offset), rows.quarantine_row(said, at))
        return said

    # ── what each bot does now ─────────────────────────────────────────────────────────────────────────────────

    def _renew(self, bot_id: str) -> None:
        live = [self.jobs[job_id] for job_id in self.by_bot.get(bot_id, ())]
        before = (self.now.get(bot_id) or rows.no_evidence()) | rows.derived_last(self.heard.pop(bot_id, {}))
        row = bot_now.badge_row(self.bots[bot_id], self.spans.get(bot_id), live, before)
        search = self.careers.searches.get(str(row["job_id"]))
        row.update(self.books.now_of(bot_id))
        row.update(self.careers.now_of(bot_id))
        row.update({"job_why": search["why"] if search else None, "rev": self.rev})
        self.now[bot_id] = row
        self.changes.put("bot_now", (bot_id,), row)

    def finish(self) -> Changes:
        """The batch's changes, with every touched bot's badge derived from the rows as they are now."""
        for bot_id in self.touched:
            if bot_id in self.bots:
                self._renew(bot_id)
        self.touched, self.own = set(), set()
        self.signs.finish(self.changes)
        done, self.changes = self.changes, Changes()
        return done


def _event_id(step: JobStep) -> str:
    claim = (step.claim_id,) if isinstance(step, ClaimEvent) else ()
    return event_id_of(step, step.job_id, step.attempt, *claim)
