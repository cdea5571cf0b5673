"""Fold a tick's own records: what the planner itself said becomes what it knows.

Place in the flow: fold (slice) → commands, life, decide → **facts** → seal. Pure. The leader folds each fact as it says it, every
follower folds the accepted tick: both get the same state.

Source: S5, S6.
"""

import zlib
from collections.abc import Iterable
from typing import Protocol, assert_never

from msgspec.structs import replace

from autonomy import lifecycle
from autonomy.errors import Broken
from autonomy.events import (
    AnnouncementRequested,
    BotAmended,
    BotChanged,
    BotDecision,
    BotPinned,
    BotRegistered,
    BotRetired,
    BotUnpinned,
    CancelRequested,
    ChainRepaired,
    ChallengerDeclined,
    ChallengerJudged,
    CommandAccepted,
    CommandRejected,
    DriftJudged,
    Event,
    HoldPlaced,
    HoldReleased,
    JobEnqueued,
    LookTaken,
    LoopPaused,
    LoopResumed,
    PaperOrder,
    PlannerPulse,
    PlannerRun,
    PolicyChanged,
    ProbePulse,
    PromotionRecommended,
    PromotionRequested,
    PromotionWithdrawn,
    RecordQuarantined,
    RuleVote,
    RunnerPulse,
    SessionClosed,
    StageChanged,
)
from autonomy.gates import PromotionGate, Verdict
from autonomy.market_clock import continued_epoch_ms
from autonomy.policy import GateThresholds, LookPolicy, Policy, hash_of_document, read_policy
from autonomy.values import JobClass, JobType, MoveReason, Stage, ms_of
from planner.fold.entities import Bot, Drifted, Evolved, LiveJob, Look, Measure, Opening, Paper, Pause, Proposal, Recommendation, Vote
from planner.fold.state import ENQUEUE_WINDOW_MS, State

BotFact = (
    BotAmended | BotChanged | BotRetired | StageChanged | HoldPlaced | HoldReleased | BotDecision | BotPinned | BotUnpinned
    | PromotionRecommended | PromotionRequested | PromotionWithdrawn | DriftJudged | ChallengerJudged | ChallengerDeclined
    | SessionClosed | LookTaken
)  # fmt: skip


def fold_own(state: State, events: Iterable[Event], tick: int, now_ms: int) -> None:
    """Fold a tick's own records, in order of seq."""
    for seq, event in enumerate(events, start=1):
        fold_fact(state, event, tick, seq, now_ms)


def fold_fact(state: State, event: Event, tick: int, seq: int, now_ms: int) -> None:
    """Fold one record of a tick."""
    match event:
        case BotDecision():
            _decided(state, event)
        case (
            BotAmended() | BotChanged() | BotRetired() | StageChanged() | HoldPlaced() | HoldReleased() | BotPinned() | BotUnpinned()
            | PromotionRecommended() | PromotionRequested() | PromotionWithdrawn() | DriftJudged() | ChallengerJudged()
            | ChallengerDeclined()
            | SessionClosed() | LookTaken()
        ):  # fmt: skip
            _fold_bot_fact(state, event, tick, now_ms)
        case CommandAccepted() | CommandRejected():
            state.commands.put(event.command_id, tick)
        case BotRegistered():
            _register(state, event, now_ms)
        case LoopPaused() | LoopResumed() | PolicyChanged():
            _fold_fleet_fact(state, event, now_ms)
        case RuleVote():
            if event.complete:
                state.votes.drop(event.subject)
            else:
                state.votes.put(event.subject, Vote(event.command, event.actor, now_ms))
        case CancelRequested():
            live = state.jobs.get(event.job_id)
            if live is not None and live.cancel is None:
                state.jobs.put(event.job_id, replace(live, cancel=event.cause))
        case JobEnqueued():
            _enqueue(state, event, seq, now_ms)
        case ChainRepaired() | AnnouncementRequested():
            pass  # ignored on purpose: a repair is for the proofs, a request for the runner; neither changes a decision
        case PlannerRun() | PlannerPulse() | ProbePulse() | RunnerPulse() | RecordQuarantined() | _:
            # The codec refuses what is not of this topic; a seal never comes here.
            raise Broken(f"{event.wire} inside a tick")


def _fold_fleet_fact(state: State, event: LoopPaused | LoopResumed | PolicyChanged, now_ms: int) -> None:
    match event:
        case LoopPaused():
            pause = Pause(event.scope, event.target, event.actor, now_ms, event.reason)
            state.pauses.put(f"{event.scope}/{event.target}", pause)
        case LoopResumed():
            state.pauses.drop(f"{event.scope}/{event.target}")
        case PolicyChanged():
            before, policy, epoch_ms = state.policy, read_policy(event.document), state.single.market_epoch_ms
            if epoch_ms is not None and not state.single.is_new:
                epoch_ms = continued_epoch_ms(before.market, policy.market, epoch_ms, now_ms)
            state.single = replace(
                state.single, policy=policy, policy_hash=hash_of_document(event.document), policy_by=event.actor, market_epoch_ms=epoch_ms,
            )  # fmt: skip
            _forget_trees(state, before, policy)
        case _:
            assert_never(event)


def _forget_trees(state: State, before: Policy, after: Policy) -> None:
    """Where thresholds changed, the published trees hold the old ones: each is told again, also when no verdict changes."""
    changed = {stage for stage in Stage if _gates_of(stage, before) != _gates_of(stage, after)}
    for bot_id, said in list(state.said.rows.items()) if changed else ():
        bot = state.bots.get(bot_id)
        if bot is not None and bot.stage in changed and said[3]:
            state.said.put(bot_id, (*said[:3], ""))


def _gates_of(stage: Stage, policy: Policy) -> tuple[GateThresholds, LookPolicy] | None:
    rules = policy.stages.get(stage)
    return None if rules is None else (rules.gates, policy.looks)


def _decided(state: State, event: BotDecision) -> None:
    before = state.said_of(_known(state, event).id)
    codes = ",".join([blocker.code for blocker in event.blockers]) if event.blockers else ""
    promotion = before[3] if event.promotion is None else said_of_gates(event.promotion)
    said = (event.reason.value, event.job_type.value if event.job_type else "", codes, promotion)
    if said != before:
        state.said.put(event.bot_id, said)


class _Judged(Protocol):
    """What of a gate makes its tree another one, as published or as measured."""

    @property
    def code(self) -> str: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def deciding(self) -> bool: ...
    @property
    def evidence_job(self) -> str | None: ...


def said_of_gates(gates: Iterable[_Judged]) -> str:
    """What makes a promotion tree another one: each verdict, who has a say, and the evidence; no number that drifts.

    `promotion_gates.said_verdicts` says the same of a tree that is not published.
    """
    signs: list[str] = []
    jobs: dict[bool, str] = {}
    for gate in gates:
        signs.append(sign_of(gate.verdict, deciding=gate.deciding))
        if gate.code != PromotionGate.RUNNER_HEALTHY:
            jobs[gate.code == PromotionGate.DRIFT] = gate.evidence_job or ""
    return "/".join(["".join(signs), *[jobs[live] for live in sorted(jobs)]]) if signs else ""


def sign_of(verdict: Verdict, *, deciding: bool) -> str:
    """P, F or I; small when the gate has no say."""
    return verdict.value[0] if deciding else verdict.value[0].lower()


def _known(state: State, event: BotFact) -> Bot:
    bot = state.bots.get(event.bot_id)
    if bot is None:
        raise Broken(f"{event.wire} of {event.bot_id}, which is not in the fleet")
    return bot


def _register(state: State, event: BotRegistered, now_ms: int) -> None:
    state.bots.put(
        event.bot_id,
        Bot(
            id=event.bot_id, name=event.name, strategy=event.strategy,
            parameters=tuple(sorted(event.parameters.items())), symbol=event.symbol, timeframe=event.timeframe.value,
            stage=event.stage, stage_version=1, origin=event.origin,
            verified=event.origin.value == "NEW" or event.stage is Stage.LAB,
            pinned=event.pinned, version=1, eligible_ms=now_ms, phase=zlib.crc32(event.bot_id.encode()), fleet=event.fleet,
            evolve=event.evolve,
        ),
    )  # fmt: skip


def _read_of(bot: Bot, event: BotChanged) -> Evolved | None:
    """What searches have read of the bars of a changed bot: nothing where those are of another series; the openings still count."""
    if bot.evolved is None or (event.symbol, event.timeframe.value) == (bot.symbol, bot.timeframe):
        return bot.evolved
    return Evolved("", "", 0, 0, bot.evolved.openings)


def _fold_bot_fact(state: State, event: BotFact, tick: int, now_ms: int) -> None:
    bot = _known(state, event)
    match event:
        case BotRetired():
            state.bots.drop(bot.id)
            state.said.drop(bot.id)
            state.retired.put(bot.id, tick)
        case StageChanged():
            if event.from_stage is not None:
                state.bots.put(bot.id, _moved(bot, event, now_ms))
            if event.reason_code == MoveReason.AUTO_PROMOTED:
                single = state.single
                state.single = replace(single, promotions=counted(single.promotions, now_ms))
        case BotChanged():
            parameters = tuple(sorted(event.parameters.items()))
            state.bots.put(bot.id, replace(
                bot, strategy=event.strategy, parameters=parameters, symbol=event.symbol, timeframe=event.timeframe.value,
                version=event.version, eligible_ms=now_ms, failure=None, evidence=None, evolved=_read_of(bot, event),
                epoch=bot.epoch + 1, recommendation=None, drift=None, proposal=None, look=None, opening=None,
                searched=bot.searched or event.evolved_by is not None,
            ))  # fmt: skip
        case PromotionRecommended() | PromotionRequested() | PromotionWithdrawn():
            state.bots.put(bot.id, _recommended(bot, event, state))
        case LookTaken():
            look = Look.of(event)
            state.looks.put(event.fingerprint, look)
            state.bots.put(bot.id, replace(bot, look=look, looks=event.number))
        case ChallengerJudged():
            state.bots.put(bot.id, _compared(bot, event, state))
        case BotDecision():
            raise Broken("a decision is folded apart")
        case _:
            state.bots.put(bot.id, _marked(bot, event))


def _marked(
    bot: Bot,
    event: BotAmended | HoldPlaced | HoldReleased | BotPinned | BotUnpinned | DriftJudged | ChallengerDeclined | SessionClosed,
) -> Bot:
    match event:
        case BotAmended():
            return replace(bot, name=event.name, fleet=event.fleet, evolve=event.evolve)
        case HoldPlaced():
            return replace(bot, hold=event.reason or event.actor)
        case HoldReleased():
            return _released(bot, event)
        case BotPinned():
            return replace(bot, pinned=True, pin_until_ms=None if event.until is None else ms_of(event.until))
        case BotUnpinned():
            return replace(bot, pinned=False, pin_until_ms=None)
        case DriftJudged():
            return replace(bot, drift=Drifted(event.job_id, event.session_id, event.verdict, event.findings))
        case SessionClosed():
            return replace(bot, paper=None, drift=None)
        case ChallengerDeclined():
            return replace(bot, proposal=None)
        case _:
            assert_never(event)


def _compared(bot: Bot, event: ChallengerJudged, state: State) -> Bot:
    """After a search: its challenger met the champion on the hold-out, which counts against the line, and may wait for approval."""
    found = event.challenger
    if found is not None and event.opening is not None:
        wins = event.verdict == "WINS"
        state.openings.put(found.fingerprint, Opening(event.job_id, event.opening, event.paired_t, event.required_t or 0.0, wins))
        if bot.evolved is not None:
            evolved = replace(bot.evolved, openings=event.opening)
            bot = replace(bot, evolved=evolved)
            state.read.put(evolved.fingerprint, evolved)
    return replace(bot, proposal=_proposal(event)) if _proposes(bot, event) else bot


def _proposes(bot: Bot, event: ChallengerJudged) -> bool:
    """Whether a winner waits for approval: of a bot that says what may become of one. Others are changed by hand, as they always were."""
    return bot.evolve != "" and event.verdict == "WINS" and not event.applied


def _proposal(event: ChallengerJudged) -> Proposal | None:
    found = event.challenger
    return None if found is None else Proposal(event.job_id, tuple(sorted(found.parameters.items())), found.fingerprint)


def _moved(bot: Bot, event: StageChanged, now_ms: int) -> Bot:
    moved = replace(
        bot, stage=event.to_stage, stage_version=bot.stage_version + 1, eligible_ms=now_ms, verified=True, recommendation=None, drift=None
    )
    if event.to_stage is Stage.LAB:
        # A revert: what was found before counts for nothing, also what a job under way may still say.
        return replace(moved, evidence=None, look=None, opening=None, epoch=bot.epoch + 1, rejected_evidence="")
    if bot.paper is not None:
        return replace(moved, paper=replace(bot.paper, counted_from=bot.paper.traded_bars))
    return moved


def _recommended(bot: Bot, event: PromotionRecommended | PromotionRequested | PromotionWithdrawn, state: State) -> Bot:
    match event:
        case PromotionRecommended():
            return replace(bot, recommendation=Recommendation(event.recommendation_id, event.to_stage, event.evidence_job))
        case PromotionRequested():
            if bot.recommendation is None:
                raise Broken(f"{bot.id}: an approval without a recommendation")
            seen = bot.recommendation.evidence_job if bot.evidence is None else bot.evidence.job_id
            requested = replace(bot.recommendation, requested_by=event.actor, evidence_job=seen, policy=state.policy_hash)
            return replace(bot, recommendation=requested)
        case PromotionWithdrawn():
            rejected = bot.evidence.job_id if event.outcome == "REJECTED" and bot.evidence else bot.rejected_evidence
            return replace(bot, recommendation=None, rejected_evidence=rejected)
        case _:
            assert_never(event)


def _released(bot: Bot, event: HoldReleased) -> Bot:
    if event.kind == "OPERATOR":
        return replace(bot, hold=None)
    if event.kind == "FAILURE":
        return replace(bot, failure=None)
    calm = replace(bot.research, crashes=0)
    return replace(bot, research=calm, runner=replace(bot.runner, crashes=0))


def _enqueue(state: State, event: JobEnqueued, seq: int, now_ms: int) -> None:
    bot = state.bots.get(event.bot_id)
    if bot is None:
        raise Broken(f"job {event.job_id} of {event.bot_id}, which is not in the fleet")
    job = lifecycle.enqueued(event, seq)
    live = LiveJob(
        job, event.fingerprint, content_of(state, event.symbol, event.timeframe), ms_of(event.bars_until), now_ms, event.failures_limit,
        epoch=bot.epoch, costs_bps=event.costs.fee_bps + event.costs.slippage_bps, measure=_measure(bot, event),
    )  # fmt: skip
    state.jobs.put(job.job_id, live)
    record = replace(bot.record_of(job.job_class), job_id=job.job_id)
    held = replace(bot, research=record) if job.job_class is JobClass.RESEARCH else replace(bot, runner=record)
    if event.paper is not None:
        held = replace(held, paper=_session(bot, event.paper, event.fingerprint))
    state.bots.put(bot.id, held)
    single = state.single
    single = replace(single, enqueues=counted(single.enqueues, now_ms))
    if event.job_type is JobType.EVOLVE:
        single = replace(single, searches=counted(single.searches, now_ms))
    state.single = single


def _session(bot: Bot, order: PaperOrder, fingerprint: str) -> Paper:
    if bot.paper is not None and bot.paper.session_id == order.session_id:
        return bot.paper
    return Paper(order.session_id, ms_of(order.from_bar), fingerprint=fingerprint)


def _measure(bot: Bot, event: JobEnqueued) -> Measure | None:
    """What the session showed over the window, fixed when the job is enqueued: the session goes on meanwhile."""
    paper, window = bot.paper, event.window
    if window is None or paper is None or paper.last_ms is None:
        return None
    return Measure(
        paper.session_id, paper.from_ms, paper.last_ms, paper.traded_bars, paper.trades, paper.pnl_usd, paper.sharpe, paper.max_drawdown
    )


def counted(entries: tuple[tuple[int, int], ...], now_ms: int) -> tuple[tuple[int, int], ...]:
    """The counts of the last hour with one more at `now_ms`."""
    recent = tuple(entry for entry in entries if entry[0] > now_ms - ENQUEUE_WINDOW_MS)
    last = recent[-1] if recent else None
    return (*recent[:-1], (now_ms, last[1] + 1)) if last and last[0] == now_ms else (*recent, (now_ms, 1))


def within_hour(entries: tuple[tuple[int, int], ...], now_ms: int) -> int:
    """How many of these fell into the last hour."""
    return sum(count for at_ms, count in entries if at_ms > now_ms - ENQUEUE_WINDOW_MS)


def content_of(state: State, symbol: str, timeframe: str) -> str:
    """What the newest offer says about a symbol's data."""
    offer = state.single.last_offer
    found = [entry.content for entry in offer.symbols if (entry.symbol, entry.timeframe) == (symbol, timeframe)] if offer else []
    return found[0] if found else ""
