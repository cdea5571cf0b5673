"""Turn what was said into what is known.

Place in the flow: **fold** → decide → check → seal. Pure; reads nothing but its arguments. A tick folds its slice of the
inputs, sorted by (topic, partition, offset), and then its own records: the same log gives the same state everywhere.

Source: S5, S6, S9, S11.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from autonomy import lifecycle
from autonomy.envelope import Undecodable, content_hash
from autonomy.errors import Broken
from autonomy.events import (
    AttemptRefused,
    CapabilitiesAnnounced,
    Command,
    Event,
    EvolutionSummary,
    JobCancelled,
    JobDead,
    JobFailed,
    JobReleased,
    JobRequeued,
    JobStarted,
    JobSucceeded,
    ResearchSummary,
    RunnerHeartbeat,
    RunnerMarked,
    RunnerTraded,
    WindowMetrics,
)
from autonomy.reasons import Ended
from autonomy.values import CRASHES, FINAL_FAILURES, Cause, JobClass, JobStatus, JobType, ms_of
from planner.fold.entities import Bot, ClassRecord, Evidence, Evolved, Failure, Figures, Flat, HeldSnapshot, LiveJob, Measure
from planner.fold.inputs import Input
from planner.fold.offers import RunnerProcess, StrategyOffer, SymbolOffer
from planner.fold.state import MAX_COMMANDS_REMEMBERED, State

SUPERSEDING = frozenset({Cause.CANCELLED_BY_REVERT, Cause.CANCELLED_BY_CHANGE, Cause.CANCELLED_BY_POLICY})
"""Ends that make room for the bot's next job: nobody wanted a rest."""


class Search(NamedTuple):
    """A finished search that waits for its verdict."""

    bot_id: str
    job_id: str
    found: EvolutionSummary


class Rerun(NamedTuple):
    """A live window that the engine ran again, with what the session had shown."""

    bot_id: str
    job_id: str
    live: Measure
    engine: WindowMetrics | None


@dataclass(slots=True)
class Folded:
    """What a slice held besides state: the commands to answer, the verdicts to give, in order, and what was refused.

    Attributes:
        researched: bots whose evidence is new.
    """

    commands: list[Command]
    beats: set[str]
    searches: list[Search] = field(default_factory=list)
    reruns: list[Rerun] = field(default_factory=list)
    researched: list[str] = field(default_factory=list)
    refused: int = 0


def fold_slice(state: State, slice_: Sequence[Input], now_ms: int, elapsed_ms: int, silent: Collection[str] | None = None) -> Folded:
    """Fold the inputs below a tick's cut, then let silence accrue.

    Args:
        state: changed in place; open a candidate first.
        slice_: sorted by (topic, partition, offset).
        now_ms: the tick's recorded time.
        elapsed_ms: the leader's recorded monotonic time since the accepted seal before.
        silent: claims and processes of which the leader heard no pulse, as its seal records it; None: all but those that beat in the slice.
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
    accrue_silence(state, folded.beats, elapsed_ms, silent)
    return folded


def forget_old_commands(state: State) -> None:
    """Keep the bound on remembered command ids: the oldest go, by (tick, id), the same ones everywhere."""
    excess = len(state.commands.rows) - MAX_COMMANDS_REMEMBERED
    if excess > 0:
        for command_id, _ in sorted(state.commands.rows.items(), key=lambda entry: (entry[1], entry[0]))[:excess]:
            state.commands.drop(command_id)


def _fold_input(state: State, event: Event, now_ms: int, folded: Folded) -> None:
    match event:
        case Command():  # each kind: whoever acts on them names them one by one, and refuses what it does not know
            folded.commands.append(event)
        case AttemptRefused():
            pass  # ignored on purpose: it was refused at the door, and stands in the log for the auditors
        case JobStarted() | JobReleased() | JobSucceeded() | JobFailed() | JobRequeued() | JobCancelled() | JobDead():
            fold_job_step(state, event, now_ms, folded)
        case RunnerHeartbeat():
            fold_beat(state, event, folded.beats)
        case CapabilitiesAnnounced():
            fold_capabilities(state, event, folded.beats)
        case RunnerMarked():
            fold_mark(state, event)
        case RunnerTraded():
            pass  # ignored on purpose: the mark that closes the bar holds the whole account
        case _:
            # Records of other topics never reach a slice: the codec refuses a type on the wrong topic.
            raise Broken(f"{event.wire} in an input slice")


def fold_job_step(state: State, step: lifecycle.JobStep, now_ms: int, folded: Folded) -> None:
    """Apply one step to its live job; a step of an unknown job is void (S8)."""
    live = state.jobs.get(step.job_id)
    if live is None:
        return
    after = lifecycle.apply(live.job, step)
    if after is None:
        return
    folded.beats.add(after.job_id)
    bot = state.bots.get(after.bot_id)
    if after.status.is_live:
        state.jobs.put(after.job_id, replace(live, job=after, silent_ms=0))
        return
    state.jobs.drop(after.job_id)
    if bot is None:
        return
    may_pass = isinstance(step, JobFailed) and step.may_pass
    bot = replace(_bot_after_end(bot, after, now_ms, may_pass=may_pass), trials=bot.trials + _spent(state, live, step))
    match step:
        case JobSucceeded() if live.cancel is None and live.epoch == bot.epoch:
            # Research that was ordered before a revert or a change says nothing about the bot as it is now.
            bot = _with_result(state, bot, live, step, now_ms, folded)
        case JobFailed() if step.cause in FINAL_FAILURES and not step.may_pass:
            bot = replace(bot, failure=Failure(after.job_id, step.cause, step.detail, live.fingerprint, live.content))
        case _:
            pass
    state.bots.put(bot.id, bot)


def _spent(state: State, live: LiveJob, step: lifecycle.JobStep) -> int:
    """Evaluations that a search made of this bot's strategy, whatever became of it: each counts against later Sharpe ratios.

    Of a search that ends without a result nobody knows how many; once it was claimed its whole budget counts.
    """
    if isinstance(step, JobSucceeded):
        return step.evolution.evaluations if step.evolution is not None else 0
    began = live.job.status is JobStatus.RUNNING or live.job.attempt > 1
    is_search = live.job.job_type is JobType.EVOLVE
    return state.policy.evolution.max_evaluations if began and is_search else 0


def _bot_after_end(bot: Bot, job: lifecycle.Job, now_ms: int, *, may_pass: bool) -> Bot:
    before = bot.record_of(job.job_class)
    crashed = job.cause in CRASHES
    record = ClassRecord(
        job_id=None if before.job_id == job.job_id else before.job_id,
        ended_ms=now_ms,
        ended=Ended.CRASH
        if crashed
        else Ended.SUPERSEDED
        if job.cause in SUPERSEDING
        else Ended.COULD_NOT_RUN
        if may_pass
        else Ended(job.status.value),
        crashes=before.crashes + 1 if crashed else (before.crashes if job.status is JobStatus.CANCELLED else 0),
    )
    return replace(bot, research=record) if job.job_class is JobClass.RESEARCH else replace(bot, runner=record)


def _with_result(state: State, bot: Bot, live: LiveJob, step: JobSucceeded, now_ms: int, folded: Folded) -> Bot:
    if step.result is not None:
        bot = _with_evidence(state, replace(bot, evidence=evidence_of(step.job_id, step.result, live, now_ms), failure=None))
        folded.researched.append(bot.id)
        if live.measure is not None and bot.paper is not None and bot.paper.session_id == live.measure.session_id:
            folded.reruns.append(Rerun(bot.id, step.job_id, live.measure, step.result.window))
    if step.evolution is not None:
        found = step.evolution
        openings = 0 if bot.evolved is None else bot.evolved.openings
        evolved = Evolved(found.fingerprint, found.data_sha256, found.bars, ms_of(found.last_bar), openings)
        bot = replace(bot, evolved=evolved)
        state.read.put(found.fingerprint, evolved)
        folded.searches.append(Search(bot.id, step.job_id, found))
    return bot


def _with_evidence(state: State, bot: Bot) -> Bot:
    """The bot with what stands for the fingerprint of its new evidence, whoever's bot it was said about."""
    fingerprint = bot.evidence.fingerprint if bot.evidence is not None else ""
    evolved, known = bot.evolved, state.read.get(fingerprint)
    if known is not None and (evolved is None or not evolved.bars):
        # Another name, or there and back: those bars were read, and a hold-out is opened once.
        evolved = replace(known, openings=max(known.openings, 0 if evolved is None else evolved.openings))
    return replace(bot, look=state.looks.get(fingerprint), opening=state.openings.get(fingerprint), evolved=evolved)


def evidence_of(job_id: str, found: ResearchSummary, live: LiveJob, now_ms: int) -> Evidence:
    """A finished backtest as the gates read it."""
    whole = found.metrics
    figures = Figures(
        sharpe=whole.sharpe, trades=whole.trades, max_drawdown=whole.max_drawdown, exposure=whole.exposure,
        bars_per_trade=whole.bars_per_trade, timing_z=found.timing.z, timing_p=found.timing.p_value, markets=found.timing.markets,
        net_t=found.net_t, look_ahead_ok=found.look_ahead_ok, synthetic=found.synthetic,
        costs_bps=live.costs_bps,
    )  # fmt: skip
    return Evidence(job_id, found.fingerprint, found.data_sha256, live.until_ms, found.bars, now_ms, figures, live.content)


def fold_mark(state: State, mark: RunnerMarked) -> None:
    """A bar that a paper session took; void when the session is closed or the bar is not new to it.

    Two runners that take the same bar say the same of it, so the first counts and nobody has to ask whose it was.
    """
    bot = state.bots.get(mark.bot_id)
    paper = bot.paper if bot is not None else None
    if bot is None or paper is None or paper.session_id != mark.session_id:
        return
    start_ms = ms_of(mark.bar_start)
    if start_ms <= paper.from_ms or (paper.bar is not None and (mark.bar <= paper.bar or start_ms <= (paper.last_ms or 0))):
        return
    flat = mark.flat
    state.bots.put(bot.id, replace(bot, paper=replace(
        paper, bar=mark.bar, last_ms=start_ms, traded_bars=mark.traded_bars, trades=mark.trades, pnl_usd=mark.pnl_usd,
        sharpe=mark.sharpe, max_drawdown=mark.max_drawdown, snapshot=HeldSnapshot.of(mark.snapshot),
        flat=Flat(flat.units, flat.price_usd, flat.fee_usd, flat.equity_usd, flat.pnl_usd),
    )))  # fmt: skip


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
    now = replace(
        known, silent_ms=0, research_slots=beat.research_slots, evolve_slots=beat.evolve_slots, runner_slots=beat.runner_slots,
        stopping=beat.stopping, named=beat.announcement or "",
    )  # fmt: skip
    if now != known or state.runners.get(beat.process_id) is None:
        state.runners.put(beat.process_id, now)


def fold_capabilities(state: State, said: CapabilitiesAnnounced, beats: set[str]) -> None:
    """What a process can do, from now on."""
    beats.add(said.process_id)
    process = RunnerProcess(
        process_id=said.process_id,
        research_slots=said.research_slots,
        evolve_slots=said.evolve_slots,
        runner_slots=said.runner_slots,
        engine_version=said.engine_version,
        job_types=tuple(sorted(said.job_types)),
        strategies=tuple(StrategyOffer.of(offer) for offer in sorted(said.strategies, key=lambda offer: offer.name)),
        symbols=tuple(
            SymbolOffer(
                bars.symbol,
                bars.timeframe.value,
                ms_of(bars.first),
                bars.times,
                bars.bars,
                bars.sha256,
                bars.source_id,
                bars.synthetic,
                bars.bars_per_year,
                bars.live,
                bars.costs.model_dump_json(by_alias=True) if bars.costs is not None else "",
            )
            for bars in sorted(said.symbols, key=lambda bars: (bars.symbol, bars.timeframe))
        ),
        faults=tuple((fault.name, fault.reason) for fault in said.faults),
    )
    state.single = replace(state.single, last_offer=replace(process, process_id=""))
    announced = content_hash(said)
    state.runners.put(said.process_id, replace(process, announcement=announced, named=announced))


def accrue_silence(state: State, beats: set[str], elapsed_ms: int, silent: Collection[str] | None = None) -> None:
    """A claim or process that won or beat in the slice, or was heard, has silence 0; every other accrues at most a quarter lease.

    Never from wall clocks: after a pause of the planner or the broker nobody dies at once.

    Source: S11.
    """
    lease_ms = round(state.policy.leases.lease_s * 1000)
    step_ms = min(elapsed_ms, lease_ms // 4)
    for job_id, live in list(state.jobs.rows.items()):
        if live.job.status is not JobStatus.RUNNING or job_id in beats:
            continue
        if silent is None or job_id in silent:
            state.jobs.put(job_id, replace(live, silent_ms=live.silent_ms + step_ms))
        elif live.silent_ms:
            state.jobs.put(job_id, replace(live, silent_ms=0))
    for process_id, process in list(state.runners.rows.items()):
        if process_id in beats:
            continue
        if silent is not None and process_id not in silent:
            if process.silent_ms:
                state.runners.put(process_id, replace(process, silent_ms=0))
        elif process.silent_ms + step_ms >= lease_ms:
            state.runners.drop(process_id)
        else:
            state.runners.put(process_id, replace(process, silent_ms=process.silent_ms + step_ms))


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
