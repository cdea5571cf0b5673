"""Turn what was said into what is known.

Place in the flow: **fold** → decide → check → seal. Pure; reads nothing but its arguments. A tick folds its slice of the
inputs, sorted by (topic, partition, offset), and then its own records: the same log gives the same state everywhere.

Source: S5, S6, S9, S11.
"""

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, assert_never

from autonomy import lifecycle
from autonomy.envelope import Undecodable, decode
from autonomy.errors import Broken
from autonomy.events import (
    AcceptDivergence,
    AttemptRefused,
    BotChanged,
    BotDecision,
    BotRegistered,
    BotRetired,
    CancelJob,
    CancelRequested,
    CapabilitiesAnnounced,
    ChainRepaired,
    ChangeBot,
    Command,
    CommandAccepted,
    CommandRejected,
    Event,
    HoldBot,
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
    PauseLoop,
    PlannerPulse,
    PlannerRun,
    PolicyChanged,
    ProbePulse,
    RecordQuarantined,
    RegisterBots,
    ReleaseHold,
    ResumeLoop,
    RetireBot,
    RunnerHeartbeat,
    SetPolicy,
    StageChanged,
)
from autonomy.market_clock import day_number
from autonomy.policy import read_policy
from autonomy.values import CRASHES, FINAL_FAILURES, Cause, JobClass, JobStatus
from planner.state import (
    ENQUEUE_WINDOW_MS,
    MAX_COMMANDS_REMEMBERED,
    Bot,
    ClassRecord,
    Evidence,
    Failure,
    LiveJob,
    Pause,
    RunnerProcess,
    State,
    SymbolOffer,
)


class Input(NamedTuple):
    """One record of a slice; `digest` is the SHA-256 of its stored value."""

    topic: str
    partition: int
    offset: int
    event: Event | Undecodable
    digest: bytes = b""


def read_input(topic: str, partition: int, offset: int, value: bytes | None) -> Input:
    """A stored record of an input topic, as every folder of the log takes it."""
    received = decode(value, topic)
    event = received if isinstance(received, Undecodable) else received.event
    return Input(topic, partition, offset, event, hashlib.sha256(value or b"").digest())


def input_root(slice_: Sequence[Input]) -> str:
    """The hash over a slice's stored records, each in its place: an input edited later no longer fits its seal.

    Source: R-F2.
    """
    whole = hashlib.sha256()
    for record in slice_:
        whole.update(f"{record.topic}|{record.partition}|{record.offset}|".encode() + record.digest)
    return whole.hexdigest()


@dataclass(slots=True)
class Folded:
    """What a slice held besides state: the commands to answer, in order, and what was refused."""

    commands: list[Command]
    beats: set[str]
    refused: int = 0


def fold_slice(state: State, slice_: Sequence[Input], now_ms: int, elapsed_ms: int) -> Folded:
    """Fold the inputs below a tick's cut, then let silence accrue.

    Args:
        state: changed in place; open a candidate first.
        slice_: sorted by (topic, partition, offset).
        now_ms: the tick's recorded time.
        elapsed_ms: the leader's recorded monotonic time since the accepted seal before.
    """
    folded = Folded([], set())
    forget_old_commands(state)
    if state.single.market_epoch_ms is None:
        state.single = replace(state.single, market_epoch_ms=now_ms)
    for record in slice_:
        if isinstance(record.event, Undecodable):
            folded.refused += 1
        else:
            _fold_input(state, record.event, now_ms, folded)
    if folded.refused:
        state.single = replace(state.single, refused=state.single.refused + folded.refused)
    accrue_silence(state, folded.beats, elapsed_ms)
    return folded


def forget_old_commands(state: State) -> None:
    """Keep the bound on remembered command ids: the oldest go, by (tick, id), the same ones everywhere."""
    excess = len(state.commands.rows) - MAX_COMMANDS_REMEMBERED
    if excess > 0:
        for command_id, _ in sorted(state.commands.rows.items(), key=lambda entry: (entry[1], entry[0]))[:excess]:
            state.commands.drop(command_id)


def _fold_input(state: State, event: Event, now_ms: int, folded: Folded) -> None:
    match event:
        case (
            RegisterBots() | ChangeBot() | RetireBot() | PauseLoop() | ResumeLoop() | HoldBot() | ReleaseHold()
            | SetPolicy() | CancelJob() | AcceptDivergence()
        ):  # fmt: skip
            folded.commands.append(event)
        case AttemptRefused():
            pass  # ignored on purpose: it was refused at the door, and stands in the log for the auditors
        case JobStarted() | JobReleased() | JobSucceeded() | JobFailed() | JobRequeued() | JobCancelled() | JobDead():
            fold_job_step(state, event, now_ms, folded.beats)
        case RunnerHeartbeat():
            fold_beat(state, event, folded.beats)
        case CapabilitiesAnnounced():
            fold_capabilities(state, event, folded.beats)
        case _:
            # Records of other topics never reach a slice: the codec refuses a type on the wrong topic.
            raise Broken(f"{event.wire} in an input slice")


def fold_job_step(state: State, step: lifecycle.JobStep, now_ms: int, beats: set[str]) -> None:
    """Apply one step to its live job; a step of an unknown job is void (S8)."""
    live = state.jobs.get(step.job_id)
    if live is None:
        return
    after = lifecycle.apply(live.job, step)
    if after is None:
        return
    beats.add(after.job_id)
    bot = state.bots.get(after.bot_id)
    if after.status.is_live:
        state.jobs.put(after.job_id, replace(live, job=after, silent_ms=0))
        return
    state.jobs.drop(after.job_id)
    if bot is not None:
        state.bots.put(bot.id, _bot_after_end(bot, live, after, step, now_ms))


def _bot_after_end(bot: Bot, live: LiveJob, job: lifecycle.Job, step: lifecycle.JobStep, now_ms: int) -> Bot:
    before = bot.record_of(job.job_class)
    crashed = job.cause in CRASHES
    record = ClassRecord(
        job_id=None if before.job_id == job.job_id else before.job_id,
        ended_ms=now_ms,
        ended="CRASH" if crashed else job.status.value,
        crashes=before.crashes + 1 if crashed else (before.crashes if job.status is JobStatus.CANCELLED else 0),
    )
    bot = replace(bot, research=record) if job.job_class is JobClass.RESEARCH else replace(bot, runner=record)
    if isinstance(step, JobSucceeded) and step.result is not None:
        found = step.result
        evidence = Evidence(job.job_id, found.fingerprint, found.data_sha256, live.until_day, found.bars, now_ms)
        return replace(bot, evidence=evidence, failure=None)
    if isinstance(step, JobFailed) and step.cause in FINAL_FAILURES:
        return replace(bot, failure=Failure(job.job_id, step.cause, step.detail, live.fingerprint, live.content))
    return bot


def fold_beat(state: State, beat: RunnerHeartbeat, beats: set[str]) -> None:
    """A sign of life of a process, and of the claims that it holds and that still win."""
    for held in beat.jobs:
        live = state.jobs.get(held.job_id)
        if live is not None and lifecycle.is_current_claim(live.job, held.attempt, held.claim_id):
            beats.add(held.job_id)
            if live.silent_ms:
                state.jobs.put(held.job_id, replace(live, silent_ms=0))
    beats.add(beat.process_id)
    known = state.runners.get(beat.process_id) or RunnerProcess(beat.process_id)
    now = replace(known, silent_ms=0, research_slots=beat.research_slots, stopping=beat.stopping)
    if now != known or state.runners.get(beat.process_id) is None:
        state.runners.put(beat.process_id, now)


def fold_capabilities(state: State, said: CapabilitiesAnnounced, beats: set[str]) -> None:
    """What a process can do, from now on."""
    beats.add(said.process_id)
    process = RunnerProcess(
        process_id=said.process_id,
        research_slots=said.research_slots,
        engine_version=said.engine_version,
        job_types=tuple(sorted(said.job_types)),
        strategies=tuple(sorted((code.name, code.version, code.code_hash) for code in said.strategies)),
        symbols=tuple(
            SymbolOffer(bars.symbol, day_number(bars.first), bars.days, bars.bars, bars.sha256, bars.source_id, bars.synthetic)
            for bars in sorted(said.symbols, key=lambda bars: bars.symbol)
        ),
    )
    state.runners.put(said.process_id, process)
    state.single = replace(state.single, last_offer=replace(process, process_id="", silent_ms=0))


def accrue_silence(state: State, beats: set[str], elapsed_ms: int) -> None:
    """A claim or process that won or beat in the slice has silence 0; every other accrues at most a quarter lease.

    Never from wall clocks: after a pause of the planner or the broker nobody dies at once.

    Source: S11.
    """
    lease_ms = round(state.policy.leases.lease_s * 1000)
    step_ms = min(elapsed_ms, lease_ms // 4)
    for job_id, live in list(state.jobs.rows.items()):
        if live.job.status is JobStatus.RUNNING and job_id not in beats:
            state.jobs.put(job_id, replace(live, silent_ms=live.silent_ms + step_ms))
    for process_id, process in list(state.runners.rows.items()):
        if process_id in beats:
            continue
        if process.silent_ms + step_ms >= lease_ms:
            state.runners.drop(process_id)
        else:
            state.runners.put(process_id, replace(process, silent_ms=process.silent_ms + step_ms))


def fold_own(state: State, events: Iterable[Event], tick: int, now_ms: int) -> None:
    """Fold a tick's own records, in order of seq."""
    for seq, event in enumerate(events, start=1):
        fold_fact(state, event, tick, seq, now_ms)


def fold_fact(state: State, event: Event, tick: int, seq: int, now_ms: int) -> None:
    """Fold one record of a tick."""
    match event:
        case BotDecision() | BotChanged() | BotRetired() | StageChanged() | HoldPlaced() | HoldReleased():
            _fold_bot_fact(state, event, tick, now_ms)
        case CommandAccepted() | CommandRejected():
            state.commands.put(event.command_id, tick)
        case BotRegistered():
            _register(state, event, now_ms)
        case LoopPaused():
            pause = Pause(event.scope, event.target, event.actor, now_ms, event.reason)
            state.pauses.put(f"{event.scope}/{event.target}", pause)
        case LoopResumed():
            state.pauses.drop(f"{event.scope}/{event.target}")
        case PolicyChanged():
            state.single = replace(state.single, policy=read_policy(event.document))
        case CancelRequested():
            live = state.jobs.get(event.job_id)
            if live is not None and live.cancel is None:
                state.jobs.put(event.job_id, replace(live, cancel=event.cause))
        case JobEnqueued():
            _enqueue(state, event, seq, now_ms)
        case ChainRepaired():
            pass  # ignored on purpose: a repair is for the proofs, it changes no decision
        case PlannerRun() | PlannerPulse() | ProbePulse() | RecordQuarantined():
            raise Broken(f"{event.wire} inside a tick")
        case _:
            raise Broken(f"{event.wire} inside a tick")


def _register(state: State, event: BotRegistered, now_ms: int) -> None:
    state.bots.put(
        event.bot_id,
        Bot(
            id=event.bot_id, name=event.name, strategy=event.strategy,
            parameters=tuple(sorted(event.parameters.items())), symbol=event.symbol, timeframe=event.timeframe,
            stage=event.stage, stage_version=1, origin=event.origin, verified=event.origin.value == "NEW",
            pinned=event.pinned, version=1, eligible_ms=now_ms, phase=zlib.crc32(event.bot_id.encode()),
        ),
    )  # fmt: skip


def _fold_bot_fact(
    state: State,
    event: BotChanged | BotRetired | StageChanged | HoldPlaced | HoldReleased | BotDecision,
    tick: int,
    now_ms: int,
) -> None:
    bot = state.bots.get(event.bot_id)
    if bot is None:
        raise Broken(f"{event.wire} of {event.bot_id}, which is not in the fleet")
    match event:
        case BotDecision():
            codes = ",".join(blocker.code for blocker in event.blockers)
            said = (event.reason.value, event.job_type.value if event.job_type else "", codes)
            if said != bot.said:
                state.bots.put(bot.id, bot.saying(said))
        case BotChanged():
            parameters = tuple(sorted(event.parameters.items()))
            state.bots.put(bot.id, replace(
                bot, strategy=event.strategy, parameters=parameters, symbol=event.symbol, version=event.version,
                eligible_ms=now_ms, failure=None,
            ))  # fmt: skip
        case BotRetired():
            state.bots.drop(bot.id)
            state.retired.put(bot.id, tick)
        case StageChanged():
            if event.from_stage is not None:
                changed = replace(bot, stage=event.to_stage, stage_version=bot.stage_version + 1, eligible_ms=now_ms)
                state.bots.put(bot.id, changed)
        case HoldPlaced():
            state.bots.put(bot.id, replace(bot, hold=event.reason or event.actor))
        case HoldReleased():
            state.bots.put(bot.id, _released(bot, event))
        case _:
            assert_never(event)


def _released(bot: Bot, event: HoldReleased) -> Bot:
    if event.kind == "OPERATOR":
        return replace(bot, hold=None)
    calm = replace(bot.research, crashes=0)
    return replace(bot, research=calm, runner=replace(bot.runner, crashes=0))


def _enqueue(state: State, event: JobEnqueued, seq: int, now_ms: int) -> None:
    bot = state.bots.get(event.bot_id)
    if bot is None:
        raise Broken(f"job {event.job_id} of {event.bot_id}, which is not in the fleet")
    job = lifecycle.enqueued(event, seq)
    content = content_of(state, event.symbol)
    until = day_number(event.bars_until)
    state.jobs.put(job.job_id, LiveJob(job, event.fingerprint, content, until, now_ms, event.failures_limit))
    record = replace(bot.record_of(job.job_class), job_id=job.job_id)
    held = replace(bot, research=record) if job.job_class is JobClass.RESEARCH else replace(bot, runner=record)
    state.bots.put(bot.id, held)
    recent = tuple(entry for entry in state.single.enqueues if entry[0] > now_ms - ENQUEUE_WINDOW_MS)
    last = recent[-1] if recent else None
    counted = (*recent[:-1], (now_ms, last[1] + 1)) if last and last[0] == now_ms else (*recent, (now_ms, 1))
    state.single = replace(state.single, enqueues=counted)


def content_of(state: State, symbol: str) -> str:
    """What the newest offer says about a symbol's data."""
    offer = state.single.last_offer
    found = [entry.content for entry in offer.symbols if entry.symbol == symbol] if offer else []
    return found[0] if found else ""


def repairs(state: State) -> list[JobRequeued | JobCancelled | JobDead]:
    """The job events that make reality follow what is decided; said again each tick until they are effective.

    Source: S11.
    """
    lease_ms = round(state.policy.leases.lease_s * 1000)
    found: list[JobRequeued | JobCancelled | JobDead] = []
    for job_id in sorted(state.jobs.rows):
        live = state.jobs.rows[job_id]
        job = live.job
        if live.cancel is not None:
            found.append(JobCancelled(job_id=job.job_id, bot_id=job.bot_id, tick=job.tick, attempt=job.attempt, cause=live.cancel))
        elif job.status is JobStatus.RUNNING and live.silent_ms >= lease_ms:
            found.append(_expired(live))
    return found


def _expired(live: LiveJob) -> JobRequeued | JobDead:
    job = live.job
    if job.failures + 1 >= live.failures_limit:
        return JobDead(
            job_id=job.job_id, bot_id=job.bot_id, tick=job.tick, attempt=job.attempt,
            cause=Cause.FAILURES_EXHAUSTED, failures=job.failures + 1,
        )  # fmt: skip
    return JobRequeued(job_id=job.job_id, bot_id=job.bot_id, tick=job.tick, attempt=job.attempt, cause=Cause.LEASE_EXPIRED)
