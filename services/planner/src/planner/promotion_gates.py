"""The gates between a stage and the next: tri-state, and the same evidence gives the same verdict to everybody.

Place in the flow: asked by life (recommend, apply, withdraw, stop a runner), by decide (what changed) and by the records (the
whole tree in words). Pure. Missing, NaN, expired or other-fingerprint evidence is INCONCLUSIVE, and INCONCLUSIVE blocks.

Two layers: verdicts are asked for every bot, words only for those whose tree is published; both read the same numbers.

Source: R-C1, R-F3, R-F7.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from autonomy.market_clock import day_of
from autonomy.policy import GateThresholds
from autonomy.values import NEXT_STAGE, Drift, PromotionGate, Stage, Verdict
from planner.entities import Bot, Evidence, Figures
from planner.facts import sign_of
from planner.view import View

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
FROM_LAB: Final = (
    PromotionGate.BASELINE_PASSED, PromotionGate.MIN_TRADES, PromotionGate.REALISM, PromotionGate.DRAWDOWN,
    PromotionGate.OUT_OF_SAMPLE, PromotionGate.DEFLATED_SHARPE, PromotionGate.OVERFITTING,
)  # fmt: skip
FROM_PAPER: Final = (*FROM_LAB, PromotionGate.RUNNER_HEALTHY, PromotionGate.DRIFT)
ALL_DECIDE: Final = {len(codes): (True,) * len(codes) for codes in (FROM_LAB, FROM_PAPER)}
LIVE_GATES: Final = frozenset({PromotionGate.RUNNER_HEALTHY, PromotionGate.DRIFT})
RENEWED = "a refresh under the present fingerprint succeeds"


class Gate(NamedTuple):
    """One gate's verdict in words, measured against required.

    Attributes:
        deciding: False in shadow mode.
        expires_ms: when its evidence becomes too old, if that can be foreseen.
    """

    code: PromotionGate
    verdict: Verdict
    measured: str
    required: str
    clears_when: str
    deciding: bool
    evidence_job: str | None
    evidence_age_bars: int | None
    fingerprint: str | None
    expires_ms: int | None


def gates_of(stage: Stage) -> tuple[PromotionGate, ...]:
    """The gates that lead out of a stage, in fixed order; none out of the last."""
    if stage not in NEXT_STAGE:
        return ()
    return FROM_LAB if stage is Stage.LAB else FROM_PAPER


def thresholds_of(bot: Bot, view: View) -> GateThresholds | None:
    """The thresholds of the bot's stage, or None when the policy has no such stage."""
    stage = view.policy.stages.get(bot.stage)
    return None if stage is None else stage.gates


def verdict_of(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> Verdict:
    """One gate's verdict."""
    if code in LIVE_GATES:
        return _live_verdict(code, bot, view, limits)
    evidence = standing_evidence(bot, view)
    if evidence is None:
        return INCONCLUSIVE
    if is_expired(bot, evidence, view, limits):
        return INCONCLUSIVE
    return _RULES[code](evidence.figures, limits)


def verdicts(bot: Bot, view: View) -> tuple[Verdict, ...]:
    """The verdicts of all gates out of the bot's stage, in order; asked for several times a tick, worked out once."""
    known = view.judged.get(bot.id)
    if known is not None and known[0] is bot:
        return known[1]
    found = _verdicts(bot, view)
    view.judged[bot.id] = (bot, found)
    return found


def _verdicts(bot: Bot, view: View) -> tuple[Verdict, ...]:
    limits = thresholds_of(bot, view)
    if limits is None:
        return ()
    codes = gates_of(bot.stage)
    evidence = standing_evidence(bot, view)
    if evidence is None or is_expired(bot, evidence, view, limits):
        return tuple([_live_verdict(code, bot, view, limits) if code in LIVE_GATES else INCONCLUSIVE for code in codes])
    figures = evidence.figures
    return tuple([
        _live_verdict(code, bot, view, limits) if code in LIVE_GATES else _RULES[code](figures, limits) for code in codes
    ])  # fmt: skip


def said_verdicts(bot: Bot, view: View) -> str:
    """What makes a promotion tree another one, as `facts.said_of_gates` reads it from a published tree; no number that drifts."""
    limits = thresholds_of(bot, view)
    codes = gates_of(bot.stage)
    if limits is None or not codes:
        return ""
    deciding = tuple([has_say(code, bot, view, limits) for code in codes]) if limits.shadow else ALL_DECIDE[len(codes)]
    signs = _signs(verdicts(bot, view), deciding)
    job = bot.evidence.job_id if bot.evidence else ""
    if bot.stage is Stage.LAB:
        return f"{signs}/{job}"
    return f"{signs}/{job}/{bot.drift.job_id if bot.drift else ''}"


@lru_cache(maxsize=4096)
def _signs(found: tuple[Verdict, ...], deciding: tuple[bool, ...]) -> str:
    """A letter for each gate, small for one in shadow mode; few different rows of verdicts exist."""
    return "".join([sign_of(verdict, deciding=decides) for verdict, decides in zip(found, deciding, strict=True)])


def all_pass(bot: Bot, view: View) -> bool:
    """Whether every deciding gate passes; False for a stage that leads nowhere."""
    limits = thresholds_of(bot, view)
    codes = gates_of(bot.stage)
    if limits is None or not codes:
        return False
    found = zip(codes, verdicts(bot, view), strict=True)
    return all(verdict is PASS or not has_say(code, bot, view, limits) for code, verdict in found)


def has_say(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> bool:
    """Whether a gate decides. In shadow mode it does not; but no shadow reaches so far that a bot goes up without evidence that stands."""
    if code not in limits.shadow:
        return True
    if code is not PromotionGate.BASELINE_PASSED:
        return False
    evidence = standing_evidence(bot, view)
    return evidence is None or is_expired(bot, evidence, view, limits)


def standing_evidence(bot: Bot, view: View) -> Evidence | None:
    """The bot's evidence, if it is about the very bot, code, data source and costs of now, and knows no later bar than the market shows."""
    evidence = bot.evidence
    if evidence is None or evidence.fingerprint != view.fingerprint(bot):
        return None
    data = view.data.get(bot.symbol)
    return None if data is not None and evidence.bars > data.bars else evidence


def is_expired(bot: Bot, evidence: Evidence, view: View, limits: GateThresholds) -> bool:
    """Whether the evidence is older than the stage allows, in new bars; unknown data counts as expired."""
    data = view.data.get(bot.symbol)
    return data is None or data.bars - evidence.bars > limits.max_evidence_age_bars


def expires_ms(bot: Bot, evidence: Evidence, view: View, limits: GateThresholds) -> int | None:
    """When the market shows the bar that makes the evidence too old; None when no such bar is known."""
    data = view.data.get(bot.symbol)
    place = evidence.bars + limits.max_evidence_age_bars
    return None if data is None or place >= len(data.days) else view.wall_ms(data.days[place])


def _at_least(value: float | None, limit: float) -> Verdict:
    # A NaN is no number: it compares false both ways and is inconclusive.
    if value is None or math.isnan(value):
        return INCONCLUSIVE
    return PASS if value >= limit else FAIL


def _at_most(value: float | None, limit: float) -> Verdict:
    if value is None or math.isnan(value):
        return INCONCLUSIVE
    return PASS if value <= limit else FAIL


def _worst(*found: Verdict) -> Verdict:
    if FAIL in found:
        return FAIL
    return INCONCLUSIVE if INCONCLUSIVE in found else PASS


def _realism(figures: Figures, limits: GateThresholds) -> Verdict:
    return _worst(
        PASS if figures.look_ahead_ok else FAIL,
        FAIL if figures.synthetic else PASS,
        PASS if figures.costs_bps > 0 else FAIL,
        _at_least(figures.bars_per_trade, limits.min_bars_per_trade),
        _at_least(figures.exposure, limits.min_exposure),
        _at_most(figures.exposure, limits.max_exposure),
        _at_least(figures.stress_worst_sharpe, limits.min_stress_sharpe),
    )


def _out_of_sample(figures: Figures, limits: GateThresholds) -> Verdict:
    outside, inside = figures.out_of_sample_sharpe, figures.in_sample_sharpe
    # Of an in-sample loss nothing can be retained; the out-of-sample limit alone decides then.
    kept = PASS if inside is not None and inside <= 0 else _at_least(outside, _kept(inside, limits))
    return _worst(_at_least(outside, limits.min_oos_sharpe), INCONCLUSIVE if inside is None else kept)


def _kept(inside: float | None, limits: GateThresholds) -> float:
    return (inside or 0.0) * limits.min_oos_retention


_RULES: Final[dict[PromotionGate, Callable[[Figures, GateThresholds], Verdict]]] = {
    PromotionGate.BASELINE_PASSED: lambda figures, limits: _at_least(figures.sharpe, limits.min_sharpe),
    PromotionGate.MIN_TRADES: lambda figures, limits: _at_least(figures.trades, limits.min_trades),
    PromotionGate.REALISM: _realism,
    PromotionGate.DRAWDOWN: lambda figures, limits: _at_most(figures.max_drawdown, limits.max_drawdown),
    PromotionGate.OUT_OF_SAMPLE: _out_of_sample,
    PromotionGate.DEFLATED_SHARPE: lambda figures, limits: _at_least(figures.deflated_sharpe, limits.min_deflated_sharpe),
    PromotionGate.OVERFITTING: lambda figures, limits: _at_most(figures.overfitting, limits.max_overfitting),
}


def bars_behind(bot: Bot, view: View) -> int | None:
    """How many released bars the paper session has not taken yet; None while nothing is known."""
    data, paper = view.data.get(bot.symbol), bot.paper
    if data is None or paper is None:
        return None
    return max(0, data.bars - view.bars_until(bot.symbol, paper.from_day if paper.last_day is None else paper.last_day))


def _live_verdict(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> Verdict:
    paper = bot.paper
    if paper is None:
        return INCONCLUSIVE
    if code is PromotionGate.RUNNER_HEALTHY:
        behind = bars_behind(bot, view)
        if behind is None or bot.id not in view.trading:
            return INCONCLUSIVE
        taken = paper.traded_bars - paper.counted_from >= limits.min_live_bars
        return _worst(PASS if taken else INCONCLUSIVE, PASS if behind <= limits.max_bars_behind else FAIL)
    drift = bot.drift
    if drift is None or drift.session_id != paper.session_id or drift.verdict is Drift.INCONCLUSIVE:
        return INCONCLUSIVE
    return FAIL if drift.verdict is Drift.MAJOR else PASS


def tree(bot: Bot, view: View) -> tuple[Gate, ...]:
    """Every gate out of the bot's stage, in words, as it is now."""
    limits = thresholds_of(bot, view)
    if limits is None:
        return ()
    stand = _stand_of(bot, view, limits)
    found = zip(gates_of(bot.stage), verdicts(bot, view), strict=True)
    return tuple([_in_words(code, verdict, bot, view, limits, stand) for code, verdict in found])


def gate(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> Gate:
    """One gate in words."""
    return _in_words(code, verdict_of(code, bot, view, limits), bot, view, limits, _stand_of(bot, view, limits))


class _Stand(NamedTuple):
    """What all gates on evidence share: the evidence if it stands, why it has no say if it has none, and its age."""

    evidence: Evidence | None
    lack: tuple[str, str] | None
    old: str | None
    age: int | None
    expiry: int | None


def _stand_of(bot: Bot, view: View, limits: GateThresholds) -> _Stand:
    found, standing, data = bot.evidence, standing_evidence(bot, view), view.data.get(bot.symbol)
    age = max(0, data.bars - found.bars) if data is not None and found is not None else None
    if found is None:
        return _Stand(None, ("no evidence of this version", "its baseline succeeds"), None, age, None)
    if standing is None and found.fingerprint == view.fingerprint(bot):
        lack = f"evidence on {found.bars} bars, more than the market shows", "a baseline on the bars of now succeeds"
        return _Stand(None, lack, None, age, None)
    if standing is None:
        lack = f"evidence of another fingerprint ({found.fingerprint[:12]})", "a baseline under the present fingerprint succeeds"
        return _Stand(None, lack, None, age, None)
    old = None
    if is_expired(bot, standing, view, limits):
        old = "of unknown age" if data is None else f"{data.bars - standing.bars} bars old"
    return _Stand(standing, None, old, age, expires_ms(bot, standing, view, limits))


def _in_words(code: PromotionGate, verdict: Verdict, bot: Bot, view: View, limits: GateThresholds, stand: _Stand) -> Gate:
    deciding = has_say(code, bot, view, limits)
    if code in LIVE_GATES:
        measured, required, clears = _live_words(code, bot, view, limits)
        job, age = _live_evidence(code, bot, view, stand)
        return Gate(code, verdict, measured, required, clears, deciding, job, age, view.fingerprint(bot) or None, None)
    found = bot.evidence
    asked = view.asked.get((bot.stage, code))
    if asked is None:
        asked = view.asked[(bot.stage, code)] = _REQUIRED[code](limits)
    measured, required, clears = _words(code, limits, stand, asked)
    job, fingerprint = (found.job_id, found.fingerprint) if found is not None else (None, None)
    return Gate(code, verdict, measured, required, clears, deciding, job, stand.age, fingerprint, stand.expiry)


def _live_evidence(code: PromotionGate, bot: Bot, view: View, stand: _Stand) -> tuple[str | None, int | None]:
    """The job that a live gate's verdict stands on, and how many bars old that is: the runner's own, or the re-run of its window."""
    if code is PromotionGate.RUNNER_HEALTHY:
        return bot.runner.job_id, bars_behind(bot, view)
    if bot.drift is None:
        return None, None
    return bot.drift.job_id, stand.age if bot.evidence is not None and bot.evidence.job_id == bot.drift.job_id else None


def _words(code: PromotionGate, limits: GateThresholds, stand: _Stand, asked: tuple[str, str]) -> tuple[str, str, str]:
    required, clears = asked
    if stand.lack is not None:
        return stand.lack[0], required, stand.lack[1]
    measured = "" if stand.evidence is None else _measured(code, stand.evidence.figures)
    if stand.old is not None:
        return f"{measured}, but {stand.old}", f"{required}, at most {limits.max_evidence_age_bars} bars old", RENEWED
    return measured, required, clears


def _measured(code: PromotionGate, figures: Figures) -> str:
    match code:
        case PromotionGate.BASELINE_PASSED:
            return f"Sharpe {_shown(figures.sharpe)}"
        case PromotionGate.MIN_TRADES:
            return f"{figures.trades} trades"
        case PromotionGate.REALISM:
            checks = (
                f"look-ahead {'none' if figures.look_ahead_ok else 'FOUND'}", "synthetic bars" if figures.synthetic else "recorded bars",
                f"costs {figures.costs_bps:g} bp a side", f"{_shown(figures.bars_per_trade)} bars a trade",
                f"exposure {_shown(figures.exposure)}", f"worst stressed Sharpe {_shown(figures.stress_worst_sharpe)}",
            )  # fmt: skip
            return ", ".join(checks)
        case PromotionGate.DRAWDOWN:
            return f"drawdown {_shown(figures.max_drawdown)}"
        case PromotionGate.OUT_OF_SAMPLE:
            return f"out-of-sample Sharpe {_shown(figures.out_of_sample_sharpe)}, in-sample {_shown(figures.in_sample_sharpe)}"
        case PromotionGate.DEFLATED_SHARPE:
            return f"deflated Sharpe {_shown(figures.deflated_sharpe)}"
        case _:
            return f"probability of overfitting {_shown(figures.overfitting)}"


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _realistic(limits: GateThresholds) -> str:
    return (
        f"no look-ahead, recorded bars, costs above 0, at least {limits.min_bars_per_trade:g} bars a trade, "
        f"exposure {limits.min_exposure:g} to {limits.max_exposure:g}, worst stressed Sharpe at least {limits.min_stress_sharpe:g}"
    )


BETTER = "a refresh with more bars reaches it, or the bot becomes another version"
_REQUIRED: Final[dict[PromotionGate, Callable[[GateThresholds], tuple[str, str]]]] = {
    PromotionGate.BASELINE_PASSED: lambda limits: (f"Sharpe of at least {limits.min_sharpe:g}", BETTER),
    PromotionGate.MIN_TRADES: lambda limits: (f"at least {limits.min_trades} closed trades", BETTER),
    PromotionGate.REALISM: lambda limits: (_realistic(limits), BETTER),
    PromotionGate.DRAWDOWN: lambda limits: (f"drawdown of at most {limits.max_drawdown:g}", "the bot becomes another version"),
    PromotionGate.OUT_OF_SAMPLE: lambda limits: (
        f"Sharpe of at least {limits.min_oos_sharpe:g}, and {limits.min_oos_retention:.0%} of the in-sample one", BETTER,
    ),
    PromotionGate.DEFLATED_SHARPE: lambda limits: (f"deflated Sharpe of at least {limits.min_deflated_sharpe:g}", BETTER),
    PromotionGate.OVERFITTING: lambda limits: (f"probability of overfitting of at most {limits.max_overfitting:g}", BETTER),
}  # fmt: skip


def _live_words(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> tuple[str, str, str]:
    paper = bot.paper
    if code is PromotionGate.RUNNER_HEALTHY:
        required = f"at least {limits.min_live_bars} bars traded in this stage, at most {limits.max_bars_behind} behind"
        if paper is None:
            return "no paper session", required, "its runner starts and trades"
        behind = bars_behind(bot, view)
        shown = "unknown" if behind is None else str(behind)
        until = "before its first bar" if paper.last_day is None else f"up to {day_of(paper.last_day).isoformat()}"
        alive = "" if bot.id in view.trading else ", and no live runner now"
        clears = "the runner takes more bars" if not alive else "a runner claims the session and beats"
        return f"{paper.traded_bars - paper.counted_from} bars {until}, {shown} behind{alive}", required, clears
    required = f"{Drift.CONSISTENT.value} or {Drift.MINOR.value}"
    drift = bot.drift
    if drift is None or paper is None or drift.session_id != paper.session_id:
        return "this session was never compared with the engine", required, "the next refresh runs the live window again"
    reasons = "; ".join(drift.findings)
    measured = f"{drift.verdict.value}: {reasons}" if reasons else drift.verdict.value
    return measured[:500], required, "a later refresh finds the session closer to the engine, or the bot is taken back to LAB"
