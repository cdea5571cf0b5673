"""Operators' words about stages: revert to LAB, approve, reject, pin.

Place in the flow: commands → **stages** → facts of the tick. Pure. A revert moves all that its dry run named, or none.

Source: R-C2.1, R-C2.2, R-C3.2.
"""

from autonomy.events import (
    ApprovePromotion,
    BotOutcome,
    BotPinned,
    PinBot,
    PromotionWithdrawn,
    RejectPromotion,
    RevertToLab,
    StageChanged,
)
from autonomy.identities import identity_of
from autonomy.revert_plan import Standing, is_single, revert_plan
from autonomy.values import Cause, MoveReason, Stage, derived_id, ms_of
from planner.decide import graduation, promotion_gates
from planner.decide.endings import Say, cancel_jobs, close_session
from planner.decide.refusal import Refused
from planner.decide.view import View
from planner.fold.entities import Bot, Recommendation
from planner.fold.state import State

MAX_OUTCOMES = 500


def revert(state: State, command: RevertToLab, say: Say) -> tuple[tuple[BotOutcome, ...], dict[str, int]]:
    """Take the named bots back to LAB, whole, in this tick; returns who stayed, and the counts.

    Raises:
        Refused: PLAN_CHANGED when the fleet is not the one of the dry run, NOTHING_TO_REVERT.
    """
    plan = revert_plan(command, (standing(bot) for bot in state.bots.rows.values()))
    if (plan.hash, len(plan.moved)) != (command.plan_hash, command.expected_count):
        raise Refused("PLAN_CHANGED", "planHash", f"by now the plan is {plan.hash} with {len(plan.moved)} bots: look at the dry run again")
    if not plan.moved:
        raise Refused("NOTHING_TO_REVERT", "stages", "no bot of these is beyond LAB, or all are pinned")
    code = (MoveReason.REVERT_REBASELINE if is_single(command) else MoveReason.BULK_REVERT_REBASELINE).value
    for bot_id in plan.moved:
        bot = state.bots.rows[bot_id]
        cancel_jobs(state, bot, Cause.CANCELLED_BY_REVERT, command.actor, say)
        close_session(bot, Cause.CANCELLED_BY_REVERT, command.actor, say)
        graduation.withdraw(bot, "REVERTED", command.actor, say)
        say(StageChanged(
            event_id=derived_id("stage", command.command_id, bot_id), bot_id=bot_id, from_stage=bot.stage, to_stage=Stage.LAB,
            reason_code=code, actor=command.actor, command_id=command.command_id,
        ))  # fmt: skip
    stayed = tuple(BotOutcome(bot_id=bot_id, outcome="PINNED") for bot_id in plan.pinned[:MAX_OUTCOMES])
    return stayed, {"REVERTED": len(plan.moved), "PINNED": len(plan.pinned)}


def standing(bot: Bot) -> Standing:
    """A bot as a revert sees it."""
    return Standing(bot.id, bot.stage, bot.stage_version, bot.pinned, bot.strategy, bot.symbol)


def approve(state: State, bot: Bot, command: ApprovePromotion, view: View, say: Say) -> None:
    """Apply a recommendation, every gate asked again; for CANARY and LIVE the first of two approvers only requests it.

    Raises:
        Refused: NO_RECOMMENDATION, ON_HOLD, GATES_FAIL, FORBIDDEN, OWN_REQUEST, EVIDENCE_CHANGED, POLICY_CHANGED, STAGE_FULL.
    """
    recommendation = _open(bot, command.recommendation_id)
    if bot.hold is not None:
        raise Refused("ON_HOLD", "botId", f"{bot.id} is on hold: {bot.hold}")
    if not promotion_gates.all_pass(bot, view):
        failing = [gate.code.value for gate in promotion_gates.tree(bot, view) if gate.deciding and gate.verdict.value != "PASS"]
        raise Refused("GATES_FAIL", "botId", f"{bot.id}: {', '.join(failing)} do not pass now")
    approved: tuple[str, ...] = (command.actor,)
    if graduation.needs_two(recommendation):
        if command.role != "approver":
            raise Refused("FORBIDDEN", "role", f"{recommendation.to_stage.value} needs two approvers, {command.actor} is {command.role}")
        if recommendation.requested_by is None:
            graduation.request(bot, recommendation, command.actor, say)
            return
        if is_same_person(recommendation.requested_by, command.actor):
            raise Refused(
                "OWN_REQUEST", "actor", f"{command.actor} requested it: another approver must agree to {recommendation.to_stage.value}"
            )
        if changed := graduation.overtaken_by(bot, recommendation, state.policy_hash):
            older = "older evidence" if changed == "EVIDENCE_CHANGED" else "another policy"
            raise Refused(changed, "recommendationId", f"{recommendation.requested_by} agreed on {older}: look at the new one")
        approved = (recommendation.requested_by, command.actor)
    if not graduation.has_room(graduation.by_stage(state), view, recommendation.to_stage):
        share = view.policy.promotion.max_share.get(recommendation.to_stage, 1.0)
        raise Refused("STAGE_FULL", "botId", f"{recommendation.to_stage.value} holds at most {share:.0%} of the fleet")
    graduation.promote(bot, recommendation, say, actor=command.actor, approved_by=approved, command_id=command.command_id)


def is_same_person(first: str, second: str) -> bool:
    """Whether two names are one person's."""
    return identity_of(first) == identity_of(second)


def reject(bot: Bot, command: RejectPromotion, say: Say) -> None:
    """Close a recommendation; the same evidence is not recommended again.

    Raises:
        Refused: NO_RECOMMENDATION.
    """
    recommendation = _open(bot, command.recommendation_id)
    say(PromotionWithdrawn(
        recommendation_id=recommendation.id, bot_id=bot.id, outcome="REJECTED", cause="REJECTED", actor=command.actor,
        reason=command.reason,
    ))  # fmt: skip


def _open(bot: Bot, recommendation_id: str) -> Recommendation:
    recommendation = bot.recommendation
    if recommendation is None or recommendation.id != recommendation_id:
        raise Refused("NO_RECOMMENDATION", "recommendationId", f"{recommendation_id} is not an open recommendation of {bot.id}")
    return recommendation


def pin(bot: Bot, command: PinBot, now_ms: int, say: Say) -> None:
    """Exempt a bot from bulk reverts.

    Raises:
        Refused: without a reason, with an end that has passed, or pinned the same already.
    """
    if not command.reason.strip():
        raise Refused("BAD_INPUT", "reason", "a pin says why")
    if command.until is not None and ms_of(command.until) <= now_ms:
        raise Refused("BAD_INPUT", "until", "must be later than now")
    say(BotPinned(bot_id=bot.id, actor=command.actor, reason=command.reason, until=command.until))
