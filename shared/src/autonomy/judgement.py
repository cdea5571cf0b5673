"""Two verdicts that stand on finished research: does a challenger win, and does a paper session drift.

Place in the flow: results of the log + policy → **verdict** → facts of the planner's tick. Pure; a missing number never passes.

Source: R-A3.7, R-F7; facts of deployed drift tables (trade count and PnL 30 %, Sharpe 0.3, drawdown twofold).
"""

from typing import NamedTuple

from autonomy.events import EvolutionSummary, WindowMetrics
from autonomy.looks import alpha_of, required_z
from autonomy.policy import DriftPolicy, EvolutionPolicy
from autonomy.values import Drift


class Challenge(NamedTuple):
    """Whether a search's challenger wins; `findings` says what it lacks, `required_t` what its hold-out asked for."""

    wins: bool
    findings: tuple[str, ...]
    required_t: float


def judge_challenger(found: EvolutionSummary, opening: int, rules: EvolutionPolicy) -> Challenge:
    """The challenger against the champion, paired, on bars that no search of the line saw before.

    Args:
        found: what the search found.
        opening: which hold-out of the line this is, from 1 on; each asks for more, and all together let no more luck through than agreed.
        rules: of searches.
    """
    required_t = required_z(alpha_of(rules.alpha_holdouts, opening))
    challenger = found.challenger
    if challenger is None:
        return Challenge(wins=False, findings=("the champion is the best parameter set found",), required_t=required_t)
    lacks: list[str] = []
    if found.synthetic:
        lacks.append("synthetic bars prove nothing")
    _at_least(lacks, f"paired t over the champion at opening {opening} of the hold-out", found.paired_t, required_t)
    _at_least(lacks, "hold-out bars", found.holdout_bars, rules.min_holdout_bars)
    _at_least(lacks, "hold-out trades", challenger.holdout_trades, rules.min_holdout_trades)
    return Challenge(wins=not lacks, findings=tuple(lacks), required_t=required_t)


def _at_least(lacks: list[str], what: str, measured: float | None, required: float) -> None:
    # Written so that a NaN fails too.
    if measured is None or not measured >= required:
        lacks.append(f"{what} {_shown(measured)}, at least {required:g}")


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


class DriftFound(NamedTuple):
    """How far a session is from the engine; `findings` names each breach, or what there is too little of."""

    verdict: Drift
    findings: tuple[str, ...]


def judge_drift(live: WindowMetrics, engine: WindowMetrics | None, rules: DriftPolicy) -> DriftFound:
    """Compare a paper session with the engine's re-run over the same bars.

    Args:
        live: as the runner marked it.
        engine: as the engine found it; None when it could not.
        rules: the policy's limits.
    """
    if engine is None:
        return DriftFound(Drift.INCONCLUSIVE, ("the engine gave no result for the window",))
    if (live.from_bar, live.until_bar) != (engine.from_bar, engine.until_bar):
        return DriftFound(Drift.INCONCLUSIVE, ("the engine ran over another window",))
    short: list[str] = []
    if min(live.bars, engine.bars) < rules.min_bars:
        short.append(f"{min(live.bars, engine.bars)} bars, at least {rules.min_bars}")
    if max(live.trades, engine.trades) < rules.min_trades:
        short.append(f"{max(live.trades, engine.trades)} trades, at least {rules.min_trades}")
    if short:
        return DriftFound(Drift.INCONCLUSIVE, tuple(short))
    breaches: list[str] = []
    _relative(breaches, "trades", live.trades, engine.trades, rules.max_trade_count_change)
    _relative(breaches, "PnL", live.pnl_usd, engine.pnl_usd, rules.max_pnl_change)
    if (live.sharpe is None) != (engine.sharpe is None):
        breaches.append("Sharpe is defined on one side only")
    elif live.sharpe is not None and engine.sharpe is not None and abs(live.sharpe - engine.sharpe) > rules.max_sharpe_change:
        breaches.append(f"Sharpe {live.sharpe:.4g} against {engine.sharpe:.4g}, at most {rules.max_sharpe_change:g} apart")
    if live.max_drawdown > engine.max_drawdown * rules.max_drawdown_ratio + 1e-12:
        breaches.append(f"drawdown {live.max_drawdown:.4g} against {engine.max_drawdown:.4g}, at most {rules.max_drawdown_ratio:g} times")
    if not breaches:
        return DriftFound(Drift.CONSISTENT, ())
    return DriftFound(Drift.MINOR if len(breaches) == 1 else Drift.MAJOR, tuple(breaches))


def _relative(breaches: list[str], what: str, live: float, engine: float, limit: float) -> None:
    if abs(live - engine) > limit * abs(engine):
        breaches.append(f"{what} {live:.6g} against {engine:.6g}, at most {limit:.0%} apart")
