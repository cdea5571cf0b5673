"""From a stage to the next: recommend, withdraw, approve, promote. There is one way up, and it asks every gate.

Place in the flow: life (every tick) and commands (approve, reject) → facts. Pure.

Source: R-C1, R-C2.2, R-C3.2.
"""

from collections import Counter

from autonomy.events import (
    GateFigure,
    GateResult,
    PromotionRecommended,
    PromotionRequested,
    PromotionWithdrawn,
    StageChanged,
)
from autonomy.gates import Verdict
from autonomy.identities import PLANNER
from autonomy.values import FOUR_EYES, NEXT_STAGE, MoveReason, Stage, derived_id, instant_of_ms
from planner.decide import promotion_gates
from planner.decide.endings import Say
from planner.decide.promotion_gates import Gate
from planner.decide.view import View
from planner.fold.entities import Bot, Recommendation
from planner.fold.state import State


def result_of(gate: Gate) -> GateResult:
    """A gate as it is published."""
    return GateResult(
        code=gate.code.value, verdict=gate.verdict, measured=gate.measured, required=gate.required,
        clears_when=gate.clears_when, evidence_job=gate.evidence_job, evidence_age_bars=gate.evidence_age_bars,
        fingerprint=gate.fingerprint, deciding=gate.deciding,
        expires_at=None if gate.expires_ms is None else instant_of_ms(gate.expires_ms),
        figures=tuple(GateFigure(**one._asdict()) for one in gate.measures),
    )  # fmt: skip


def results(bot: Bot, view: View) -> tuple[GateResult, ...]:
    """The bot's whole promotion tree as it is published."""
    return tuple(result_of(gate) for gate in promotion_gates.tree(bot, view))


def recommend(bot: Bot, view: View, tick: int, say: Say) -> bool:
    """Recommend the next stage when every deciding gate passes, on evidence that no operator refused; returns whether."""
    evidence, stage = bot.evidence, NEXT_STAGE.get(bot.stage)
    if stage is None or evidence is None or bot.recommendation is not None or bot.hold is not None:
        return False
    if evidence.job_id == bot.rejected_evidence or not promotion_gates.all_pass(bot, view):
        return False
    say(PromotionRecommended(
        recommendation_id=derived_id("recommendation", bot.id, tick), bot_id=bot.id, from_stage=bot.stage, to_stage=stage,
        stage_version=bot.stage_version, version=bot.version, fingerprint=evidence.fingerprint, evidence_job=evidence.job_id,
        gates=results(bot, view),
    ))  # fmt: skip
    return True


def withdraw_failed(bot: Bot, view: View, say: Say) -> bool:
    """Withdraw an open recommendation whose gates no longer all pass; returns whether."""
    if bot.recommendation is None or promotion_gates.all_pass(bot, view):
        return False
    failed = tuple(result for result in results(bot, view) if result.verdict is not Verdict.PASS and result.deciding)
    limits, evidence = promotion_gates.thresholds_of(bot, view), promotion_gates.valid_evidence(bot, view)
    expired = evidence is not None and limits is not None and promotion_gates.is_expired(bot, evidence, view, limits)
    withdraw(bot, "EVIDENCE_EXPIRED" if expired else "GATES_FAIL", PLANNER, say, gates=failed)
    return True


def withdraw_overtaken(bot: Bot, policy_hash: str, say: Say) -> bool:
    """Withdraw what a first approver agreed to once newer evidence or another policy stands: two agree to the same, or to nothing."""
    recommendation = bot.recommendation
    if recommendation is None or recommendation.requested_by is None:
        return False
    changed = overtaken_by(bot, recommendation, policy_hash)
    if not changed:
        return False
    withdraw(bot, changed, PLANNER, say)
    return True


def overtaken_by(bot: Bot, recommendation: Recommendation, policy_hash: str) -> str:
    """What is no longer as the first approver saw it: EVIDENCE_CHANGED, POLICY_CHANGED, or nothing."""
    if recommendation.evidence_job != (bot.evidence.job_id if bot.evidence else None):
        return "EVIDENCE_CHANGED"
    return "POLICY_CHANGED" if recommendation.policy not in {"", policy_hash} else ""


def withdraw(bot: Bot, cause: str, actor: str, say: Say, gates: tuple[GateResult, ...] = ()) -> None:
    """End an open recommendation, if there is one."""
    if bot.recommendation is not None:
        say(PromotionWithdrawn(
            recommendation_id=bot.recommendation.id, bot_id=bot.id, outcome="WITHDRAWN", cause=cause, actor=actor, gates=gates,
        ))  # fmt: skip


def request(bot: Bot, recommendation: Recommendation, actor: str, say: Say) -> None:
    """The first of two approvals."""
    say(PromotionRequested(recommendation_id=recommendation.id, bot_id=bot.id, actor=actor))


def needs_two(recommendation: Recommendation) -> bool:
    """Whether two approvers must agree."""
    return recommendation.to_stage in FOUR_EYES


def promote(
    bot: Bot, recommendation: Recommendation, say: Say, *, actor: str, approved_by: tuple[str, ...], command_id: str | None
) -> None:
    """Take a bot up. The caller has asked every gate in this very tick; `check` asks again with code of its own."""
    say(StageChanged(
        event_id=derived_id("stage", recommendation.id), bot_id=bot.id, from_stage=bot.stage, to_stage=recommendation.to_stage,
        reason_code=(MoveReason.PROMOTED if command_id else MoveReason.AUTO_PROMOTED).value, actor=actor, command_id=command_id,
        recommendation_id=recommendation.id, evidence_job=bot.evidence.job_id if bot.evidence else None, approved_by=approved_by,
    ))  # fmt: skip


def by_stage(state: State) -> Counter[Stage]:
    """How many bots each stage holds; a look at the whole fleet, so once for all who ask in turn."""
    return Counter(bot.stage for bot in state.bots.rows.values())


def has_room(held: Counter[Stage], view: View, stage: Stage) -> bool:
    """Whether one more bot fits into the stage's share of the fleet."""
    return held[stage] + 1 <= view.policy.promotion.max_share.get(stage, 1.0) * held.total()
