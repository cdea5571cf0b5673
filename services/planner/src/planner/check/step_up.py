"""Every gate that a step up lacks, measured again with other code than that which promoted.

Place in the flow: decide → **check** → seal. Pure. It reads the gates' objects in `autonomy.gates` and counts with arithmetic of its own.

Source: R-C1.
"""

import math
from collections.abc import Iterator
from typing import Final, assert_never

from autonomy.errors import Broken
from autonomy.events import StageChanged
from autonomy.gates import EVIDENCE_GATES, LINE_GATES, SESSION_GATES, Above, Holds, PromotionGate, Shown, Term, Within
from autonomy.identities import identity_of
from autonomy.policy import GateThresholds, Policy
from autonomy.values import FOUR_EYES, Drift, JobStatus, JobType, Stage
from planner.check.looks import tail_of
from planner.decide.view import Data, View, build_view
from planner.fold.entities import Bot, Evidence, Figures
from planner.fold.state import State


def check_step_up(fact: StageChanged, state: State, now_ms: int) -> list[str]:
    """Every gate that a step up lacks, measured again with other code than that which promoted; empty for a step down.

    Args:
        fact: about to be folded.
        state: before it: with the policy, the evidence and the paper session that the promotion stands on.
        now_ms: the tick's time.

    Source: R-C1.
    """
    steps = list(Stage)
    if fact.from_stage is None or steps.index(fact.to_stage) <= steps.index(fact.from_stage):
        return []
    found: list[str] = []
    if steps.index(fact.to_stage) != steps.index(fact.from_stage) + 1:
        found.append(f"{fact.bot_id} leaps from {fact.from_stage} to {fact.to_stage}")
    if fact.recommendation_id is None:
        found.append(f"{fact.bot_id} goes up without a recommendation")
    people = set(map(identity_of, fact.approved_by))
    if fact.to_stage in FOUR_EYES and len(people) < 2:
        found.append(f"{fact.bot_id} goes up to {fact.to_stage} on {len(people)} approval")
    bot = state.bots.rows.get(fact.bot_id)
    policy = state.policy.stages.get(fact.from_stage)
    if bot is None or policy is None:
        return [*found, f"{fact.bot_id} goes up without a bot or a policy"]
    if bot.stage is not fact.from_stage or bot.hold is not None:
        found.append(f"{bot.id} is in {bot.stage}{' and on hold' if bot.hold is not None else ''}")
    return [*found, *[f"{bot.id} goes up without {lack}" for lack in _lacks(bot, policy.gates, state, build_view(state, now_ms))]]


def _lacks(bot: Bot, limits: GateThresholds, state: State, view: View) -> Iterator[str]:
    evidence, data = bot.evidence, view.data_of(bot)
    if evidence is None or data is None or bot.strategy not in view.strategies or evidence.fingerprint != view.fingerprint(bot):
        yield "evidence of its present fingerprint"
        return
    if not 0 <= data.bars - evidence.bars <= limits.max_evidence_age_bars:
        yield "young evidence"
    for gate in EVIDENCE_GATES:
        if gate.code not in limits.shadow and not all(is_met(term, evidence.figures, limits) for term in gate.terms):
            yield gate.code.value
    for line_gate in LINE_GATES:
        if line_gate.code not in limits.shadow and not LINE_MET[line_gate.code](bot, evidence, state.policy):
            yield line_gate.code.value
    if bot.stage is not Stage.LAB:
        yield from _lacks_live(bot, limits, state, data)


def is_met(term: Term, figures: Figures, limits: GateThresholds) -> bool:
    """Whether a figure lies in the interval that a gate's term leaves it; what is undefined or no number lies in none."""
    value = getattr(figures, term.figure)
    low, high = -math.inf, math.inf
    match term:
        case Within():
            low = getattr(limits, term.at_least) if term.at_least else low
            high = getattr(limits, term.at_most) if term.at_most else high
        case Holds():
            return value is term.wanted
        case Above():
            return value is not None and value > term.floor
        case Shown():
            return True
        case _:
            assert_never(term)
    return value is not None and low <= value <= high


def _is_recorded(bot: Bot, evidence: Evidence, policy: Policy) -> bool:
    allowed = [Stage.LAB] if policy.promotion.synthetic_up_to == Stage.PAPER else []
    return bot.stage in allowed or not evidence.figures.synthetic


def _is_timed(bot: Bot, evidence: Evidence, _: Policy) -> bool:
    look = bot.look
    return look is not None and look.fingerprint == evidence.fingerprint and tail_of(look.z) <= look.alpha


def _is_unsearched(bot: Bot, _: Evidence, __: Policy) -> bool:
    opening = bot.opening
    if opening is None:
        return not bot.searched
    return opening.won and opening.paired_t is not None and opening.paired_t >= opening.required_t


LINE_MET: Final = {PromotionGate.RECORDED: _is_recorded, PromotionGate.TIMING: _is_timed, PromotionGate.SEARCHED: _is_unsearched}
if set(LINE_MET) != {gate.code for gate in LINE_GATES}:
    raise Broken("a gate on lines is not counted again")


def _lacks_live(bot: Bot, limits: GateThresholds, state: State, data: Data) -> Iterator[str]:
    for gate in SESSION_GATES:
        if gate.code not in limits.shadow:
            lack = SESSION_LACKS[gate.code](bot, limits, state, data)
            if lack:
                yield lack


def _lack_of_runner(bot: Bot, limits: GateThresholds, state: State, data: Data) -> str:
    paper = bot.paper
    runs = any(
        live.job.bot_id == bot.id and live.job.job_type is JobType.RUNNER_START and live.job.status is JobStatus.RUNNING
        and live.cancel is None
        for live in state.jobs.rows.values()
    )  # fmt: skip
    if paper is None or not runs:
        return "a live paper session"
    if paper.traded_bars - paper.counted_from < limits.min_live_bars:
        return f"{limits.min_live_bars} traded bars"
    # One bar at a time from the newest back, which is not how the gate counts: the first that may not be missing must have been taken.
    oldest = data.bars - 1 - limits.max_bars_behind
    is_behind = oldest >= 0 and data.times.at(oldest) > (paper.last_ms or paper.from_ms)
    return "a runner that keeps up" if is_behind else ""


def _lack_of_likeness(bot: Bot, _: GateThresholds, __: State, ___: Data) -> str:
    paper, drift = bot.paper, bot.drift
    compared = drift is not None and paper is not None and drift.session_id == paper.session_id
    alike = compared and drift is not None and drift.verdict in {Drift.CONSISTENT, Drift.MINOR}
    return "" if alike else "a session that does not drift"


SESSION_LACKS: Final = {PromotionGate.RUNNER_HEALTHY: _lack_of_runner, PromotionGate.DRIFT: _lack_of_likeness}
if set(SESSION_LACKS) != {gate.code for gate in SESSION_GATES}:
    raise Broken("a gate on sessions is not counted again")
