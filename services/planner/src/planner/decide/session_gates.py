"""The gates on an open paper session: does its runner keep up, and does it trade as the engine does?

Place in the flow: asked by `promotion_gates`. Pure. Which gates there are stands in `autonomy.gates`; each has its rule and its words here.

Source: R-C1.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, assert_never

from autonomy.errors import Broken
from autonomy.gates import SESSION_GATES, PromotionGate, Verdict
from autonomy.policy import GateThresholds
from autonomy.timeframes import bar_words
from autonomy.values import Drift
from planner.decide.measures import Measure, measure
from planner.decide.view import View
from planner.fold.entities import Bot, Paper

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
LIVE_GATES: Final = frozenset(gate.code for gate in SESSION_GATES)


def session_verdict(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> Verdict:
    """The verdict of a gate on the open session; INCONCLUSIVE without one."""
    paper = bot.paper
    return INCONCLUSIVE if paper is None else SESSION_RULES[code].verdict(bot, paper, view, limits)


def bars_behind(bot: Bot, view: View) -> int | None:
    """How many released bars the paper session has not taken yet; None while nothing is known."""
    data, paper = view.data_of(bot), bot.paper
    if data is None or paper is None:
        return None
    return max(0, data.bars - data.times.count_until(paper.from_ms if paper.last_ms is None else paper.last_ms))


def _healthy(bot: Bot, paper: Paper, view: View, limits: GateThresholds) -> Verdict:
    behind = bars_behind(bot, view)
    if behind is None or bot.id not in view.trading:
        return INCONCLUSIVE
    taken = paper.traded_bars - paper.counted_from >= limits.min_live_bars
    if behind > limits.max_bars_behind:
        return FAIL
    return PASS if taken else INCONCLUSIVE


def _drifts(bot: Bot, paper: Paper, _: View, __: GateThresholds) -> Verdict:
    drift = bot.drift
    if drift is None or drift.session_id != paper.session_id:
        return INCONCLUSIVE
    match drift.verdict:
        case Drift.CONSISTENT | Drift.MINOR:
            return PASS
        case Drift.MAJOR:
            return FAIL
        case Drift.INCONCLUSIVE:
            return INCONCLUSIVE
        case _:
            assert_never(drift.verdict)


def _healthy_words(bot: Bot, view: View, limits: GateThresholds) -> tuple[str, str, str]:
    required = f"at least {limits.min_live_bars} bars traded in this stage, at most {limits.max_bars_behind} behind"
    paper = bot.paper
    if paper is None:
        return "no paper session", required, "its runner starts and trades"
    behind = bars_behind(bot, view)
    shown = "unknown" if behind is None else str(behind)
    until = "before its first bar" if paper.last_ms is None else f"up to {bar_words(paper.last_ms)}"
    alive = "" if bot.id in view.trading else ", and no live runner now"
    clears = "the runner takes more bars" if not alive else "a runner claims the session and beats"
    return f"{paper.traded_bars - paper.counted_from} bars {until}, {shown} behind{alive}", required, clears


def _healthy_measures(bot: Bot, view: View, limits: GateThresholds) -> tuple[Measure, ...]:
    paper = bot.paper
    if paper is None:
        return ()
    taken = measure("live_bars", paper.traded_bars - paper.counted_from, at_least=limits.min_live_bars)
    return taken, measure("bars_behind", bars_behind(bot, view), at_most=limits.max_bars_behind)


def _drift_words(bot: Bot, _: View, __: GateThresholds) -> tuple[str, str, str]:
    required = f"{Drift.CONSISTENT.value} or {Drift.MINOR.value}"
    drift, paper = bot.drift, bot.paper
    if drift is None or paper is None or drift.session_id != paper.session_id:
        return "this session was never compared with the engine", required, "the next refresh runs the live window again"
    reasons = "; ".join(drift.findings)
    measured = f"{drift.verdict.value}: {reasons}" if reasons else drift.verdict.value
    return measured[:500], required, "a later refresh finds the session closer to the engine, or the bot is taken back to LAB"


def _drift_evidence(bot: Bot, _: View, age: int | None) -> tuple[str | None, int | None]:
    """The job that ran the window again, and how many bars old that is."""
    if bot.drift is None:
        return None, None
    return bot.drift.job_id, age if bot.evidence is not None and bot.evidence.job_id == bot.drift.job_id else None


class SessionRule(NamedTuple):
    """How a gate on the open paper session judges, what it says, which job with how many bars of age it stands on, and its numbers."""

    verdict: Callable[[Bot, Paper, View, GateThresholds], Verdict]
    words: Callable[[Bot, View, GateThresholds], tuple[str, str, str]]
    evidence: Callable[[Bot, View, int | None], tuple[str | None, int | None]]
    measures: Callable[[Bot, View, GateThresholds], tuple[Measure, ...]]


SESSION_RULES: Final = {
    PromotionGate.RUNNER_HEALTHY: SessionRule(
        _healthy, _healthy_words, lambda bot, view, _: (bot.runner.job_id, bars_behind(bot, view)), _healthy_measures
    ),
    PromotionGate.DRIFT: SessionRule(_drifts, _drift_words, _drift_evidence, lambda *_: ()),
}
if set(SESSION_RULES) != LIVE_GATES:
    raise Broken(f"rules of sessions and gates on sessions differ: {sorted(set(SESSION_RULES) ^ LIVE_GATES)}")
