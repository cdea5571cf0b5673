"""Answer operators' commands: each becomes facts of this tick, or a refusal that names the field and the limit.

Place in the flow: fold (slice) → **apply commands** → decide. Pure. Every fact is folded at once, so a later command of the
same tick sees what an earlier one did.
"""

from collections.abc import Mapping
from typing import assert_never

from autonomy.apply_plan import MAX_BOTS
from autonomy.errors import BadInput
from autonomy.events import (
    AcceptDivergence,
    ApplyFleet,
    ApproveChallenger,
    ApprovePromotion,
    BotOutcome,
    BotUnpinned,
    CancelJob,
    CancelRequested,
    ChainRepaired,
    ChangeBot,
    Command,
    CommandAccepted,
    CommandRejected,
    HoldBot,
    HoldPlaced,
    HoldReleased,
    LoopPaused,
    LoopResumed,
    PauseLoop,
    PinBot,
    PolicyChanged,
    RegisterBots,
    RejectChallenger,
    RejectPromotion,
    ReleaseHold,
    ResumeLoop,
    RetireBot,
    RevertToLab,
    SetPolicy,
    SetPromotionMode,
    StrategyOffered,
    UnpinBot,
)
from autonomy.fleet import BotSpec, read_bot
from autonomy.market_clock import continued_epoch_ms
from autonomy.policy import Policy, hash_of_document, read_policy
from autonomy.strategies import completed
from autonomy.values import APPROVERS_MISSING, Cause, Stage
from planner.decide import applying, challengers, membership, rules, stages
from planner.decide.endings import Say, cancel_job
from planner.decide.refusal import Refused
from planner.decide.view import build_view, offered_strategies
from planner.fold.entities import Bot
from planner.fold.state import State

Answer = tuple[tuple[BotOutcome, ...], dict[str, int]]
"""Outcomes by bot, and counts by outcome."""


def apply_command(state: State, command: Command, now_ms: int, say: Say) -> None:
    """Answer one command.

    Args:
        state: sees every fact as soon as `say` folded it.
        command: as an operator said it.
        now_ms: the tick's recorded time.
        say: takes a fact of this tick.
    """
    if command.command_id in state.commands.rows:
        return  # said twice: it acted once, and its first answer stands
    kind = command.wire
    try:
        rules.check_role(command)
        outcomes, counts = _act(state, command, now_ms, say)
    except Refused as refusal:
        say(CommandRejected(
            command_id=command.command_id, command=kind, code=refusal.code, field=refusal.field, limit=refusal.limit,
        ))  # fmt: skip
    else:
        say(CommandAccepted(command_id=command.command_id, command=kind, outcomes=outcomes, counts=counts))


def _act(state: State, command: Command, now_ms: int, say: Say) -> Answer:
    match command:
        case RegisterBots():
            offers = offered_strategies(state)
            return tuple(_register(state, document, offers, command, say) for document in command.bots), {}
        case ApplyFleet():
            return applying.apply_fleet(state, command, offered_strategies(state), say)
        case RevertToLab():
            return stages.revert(state, command, say)
        case ApprovePromotion() | RejectPromotion() | ApproveChallenger() | RejectChallenger() | PinBot() | UnpinBot():
            _act_on_stage(state, command, now_ms, say)
        case PauseLoop() | ResumeLoop() | SetPolicy() | SetPromotionMode() | AcceptDivergence():
            return (), _act_on_fleet(state, command, now_ms, say)
        case _:
            _act_on_bot(state, command, say)
    return (), {}


def _act_on_stage(
    state: State, command: ApprovePromotion | RejectPromotion | ApproveChallenger | RejectChallenger | PinBot | UnpinBot, now_ms: int,
    say: Say,
) -> None:  # fmt: skip
    bot = _bot(state, command.bot_id)
    match command:
        case ApprovePromotion():
            stages.approve(state, bot, command, build_view(state, now_ms), say)
        case RejectPromotion():
            stages.reject(bot, command, say)
        case ApproveChallenger():
            challengers.approve(state, bot, command, build_view(state, now_ms), say)
        case RejectChallenger():
            challengers.reject(bot, command, say)
        case PinBot():
            stages.pin(bot, command, now_ms, say)
        case UnpinBot():
            if not bot.pinned:
                raise Refused("NOT_PINNED", "botId", f"{bot.id} is not pinned")
            say(BotUnpinned(bot_id=bot.id, actor=command.actor, cause="OPERATOR"))
        case _:
            assert_never(command)


def _act_on_bot(state: State, command: Command, say: Say) -> None:
    match command:
        case ChangeBot():
            _change(state, command, say)
        case RetireBot():
            membership.retire(state, _bot(state, command.bot_id), command.actor, say)
        case HoldBot():
            bot = _bot(state, command.bot_id)
            if bot.hold is not None:
                raise Refused("ALREADY_HELD", "botId", f"{bot.id} is on hold already: {bot.hold}")
            reason = command.reason or f"held by {command.actor}"
            say(HoldPlaced(bot_id=bot.id, kind="OPERATOR", actor=command.actor, reason=reason))
        case ReleaseHold():
            _release(state, _bot(state, command.bot_id), command.actor, say)
        case CancelJob():
            live = state.jobs.get(command.job_id)
            if live is None:
                raise Refused("NOT_LIVE", "jobId", f"job {command.job_id} is not live")
            say(CancelRequested(
                job_id=command.job_id, bot_id=live.job.bot_id, cause=Cause.CANCELLED_BY_OPERATOR, actor=command.actor,
            ))  # fmt: skip
        case _:
            raise Refused("UNKNOWN_COMMAND", "type", f"{command.wire} is not known to this planner")


def _act_on_fleet(
    state: State, command: PauseLoop | ResumeLoop | SetPolicy | SetPromotionMode | AcceptDivergence, now_ms: int, say: Say
) -> dict[str, int]:
    match command:
        case PauseLoop():
            _check_scope(state, command.scope, command.target)
            say(LoopPaused(scope=command.scope, target=command.target, actor=command.actor, reason=command.reason))
        case ResumeLoop():
            if f"{command.scope}/{command.target}" not in state.pauses.rows:
                raise Refused("NOT_PAUSED", "scope", f"{command.scope} {command.target} is not paused".replace("  ", " "))
            say(LoopResumed(scope=command.scope, target=command.target, actor=command.actor))
        case SetPolicy() | SetPromotionMode() | AcceptDivergence():
            return _change_rules(state, command, now_ms, say)
        case _:
            assert_never(command)
    return {}


def _change_rules(state: State, command: SetPolicy | SetPromotionMode | AcceptDivergence, now_ms: int, say: Say) -> dict[str, int]:
    """Change what everything else is judged by, once enough approvers agreed; returns how many are missing, if any."""
    change = _change_of(state, command, now_ms)
    voices = rules.agreed(state, command, now_ms, say)
    if not voices:
        return {APPROVERS_MISSING: 1}
    if isinstance(change, ChainRepaired):
        change = change.model_copy(update={"approved_by": voices})
    market = state.policy.market
    say(change)
    if state.policy.market != market:
        # A paper session has its market clock from its order: each goes on under a new one.
        for _, bot in sorted(state.bots.rows.items()):
            cancel_job(state, bot, bot.runner, Cause.CANCELLED_BY_POLICY, command.actor, say)
    return {}


def _change_of(state: State, command: SetPolicy | SetPromotionMode | AcceptDivergence, now_ms: int) -> PolicyChanged | ChainRepaired:
    """The fact that a change of the rules becomes.

    Raises:
        Refused: it is none, or not possible.
    """
    match command:
        case SetPolicy():
            return _policy_of(state, command, now_ms)
        case SetPromotionMode():
            if state.policy.promotion_mode == command.mode:
                raise Refused("UNCHANGED", "mode", f"the mode is {command.mode} already")
            policy = state.policy.model_copy(update={"promotion_mode": command.mode})
            return policy_fact(policy, command.actor)
        case AcceptDivergence():
            if command.tick > state.head_tick:
                raise Refused("BAD_INPUT", "tick", f"must be an accepted tick, at most {state.head_tick}")
            if command.input_root is None and command.abandoned is None:
                raise Refused("BAD_INPUT", "inputRoot", "must name the root over the tick's inputs as they stand in the log now")
            return ChainRepaired(
                at_tick=command.tick,
                sealed_state_hash=command.sealed_state_hash,
                folded_state_hash=command.folded_state_hash,
                actor=command.actor,
                reason=command.reason,
                input_root=command.input_root,
                abandoned=command.abandoned,
            )
        case _:
            assert_never(command)


def _bot(state: State, bot_id: str) -> Bot:
    bot = state.bots.get(bot_id)
    if bot is None:
        retired = "it was retired" if bot_id in state.retired.rows else "it is not in the fleet"
        raise Refused("UNKNOWN_BOT", "botId", f"{bot_id}: {retired}")
    return bot


def _register(
    state: State, document: Mapping[str, object], offers: Mapping[str, StrategyOffered], command: RegisterBots, say: Say
) -> BotOutcome:
    named = str(document.get("id", ""))[:64]
    try:
        spec = read_bot(document, offers)
        _check_new(state, spec, offers.get(spec.strategy))
    except BadInput as refusal:
        return BotOutcome(bot_id=named, outcome="REJECTED", field=refusal.field[:500], limit=refusal.limit[:500])
    if spec.id in state.bots.rows:
        return BotOutcome(bot_id=spec.id, outcome="UNCHANGED")
    membership.enter(spec, spec.parameters_for(offers.get(spec.strategy)), command, say, evolve=spec.evolve)
    return BotOutcome(bot_id=spec.id, outcome="REGISTERED")


def _check_new(state: State, spec: BotSpec, offer: StrategyOffered | None) -> None:
    if spec.id in state.retired.rows:
        raise BadInput("id", "was retired, and an id is never used again", spec.id)
    known = state.bots.get(spec.id)
    if known is None:
        if len(state.bots.rows) >= MAX_BOTS:
            raise BadInput("bots", f"the fleet holds at most {MAX_BOTS} bots")
        return
    held = completed(offer, dict(known.parameters))
    same = (known.strategy, held, known.symbol, known.timeframe) == (spec.strategy, spec.parameters_for(offer), spec.symbol, spec.timeframe)
    if not same:
        raise BadInput("id", "is taken by a bot with another strategy, parameters, symbol or timeframe (ChangeBot changes it)", spec.id)


def _change(state: State, command: ChangeBot, say: Say) -> None:
    bot = _bot(state, command.bot_id)
    if bot.stage is not Stage.LAB:
        raise Refused("NOT_IN_LAB", "botId", f"{bot.id} is in {bot.stage.value}: only a LAB bot can be changed")
    strategy = command.strategy or bot.strategy
    kept = dict(bot.parameters) if strategy == bot.strategy else {}
    document = {
        "id": bot.id, "strategy": strategy, "symbol": command.symbol or bot.symbol, "timeframe": command.timeframe or bot.timeframe,
        "parameters": {**kept, **(command.parameters or {})},
    }  # fmt: skip
    offers = offered_strategies(state)
    try:
        spec = read_bot(document, offers)
    except BadInput as refusal:
        raise Refused("BAD_INPUT", refusal.field, refusal.limit) from refusal
    parameters = spec.parameters_for(offers.get(spec.strategy))
    if (spec.strategy, parameters, spec.symbol, spec.timeframe) == (bot.strategy, dict(bot.parameters), bot.symbol, bot.timeframe):
        raise Refused("UNCHANGED", "botId", f"{bot.id} is this already")
    membership.change(state, bot, spec, parameters, command.actor, say)


def _check_scope(state: State, scope: str, target: str) -> None:
    match scope:
        case "fleet" if target:
            raise Refused("BAD_INPUT", "target", "must be empty for the whole fleet")
        case "stage" if target not in set(Stage):
            raise Refused("BAD_INPUT", "target", f"must be one of {', '.join(Stage)}")
        case "bot":
            _bot(state, target)
        case _:
            pass
    if f"{scope}/{target}" in state.pauses.rows:
        raise Refused("ALREADY_PAUSED", "scope", f"{scope} {target} is paused already".replace("  ", " "))


def _release(state: State, bot: Bot, actor: str, say: Say) -> None:
    crashes = max(bot.research.crashes, bot.runner.crashes)
    quarantined = crashes >= state.policy.quarantine_after_crashes
    if bot.hold is None and not quarantined and bot.failure is None:
        raise Refused("NOT_HELD", "botId", f"{bot.id} is neither on hold nor in quarantine, and no failure blocks it")
    if bot.hold is not None:
        say(HoldReleased(bot_id=bot.id, kind="OPERATOR", actor=actor))
    if quarantined:
        say(HoldReleased(bot_id=bot.id, kind="QUARANTINE", actor=actor))
    if bot.failure is not None:
        say(HoldReleased(bot_id=bot.id, kind="FAILURE", actor=actor))


def _policy_of(state: State, command: SetPolicy, now_ms: int) -> PolicyChanged:
    try:
        policy = read_policy(command.document)
        if state.single.market_epoch_ms is not None and not state.single.is_new:
            continued_epoch_ms(state.policy.market, policy.market, state.single.market_epoch_ms, now_ms)
    except BadInput as refusal:
        raise Refused("BAD_INPUT", refusal.field, refusal.limit) from refusal
    return policy_fact(policy, command.actor)


def policy_fact(policy: Policy, actor: str) -> PolicyChanged:
    """A policy as it is said on the log: whole, so that no default of a later version changes what it says."""
    document = policy.document()
    return PolicyChanged(document=document, policy_hash=hash_of_document(document), actor=actor)
