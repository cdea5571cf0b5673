"""What goes into an evolution, and what comes out: plain frozen values that cross a process boundary.

Role: the vocabulary of `evolution`, and its translation into the log's summary.
"""

from dataclasses import dataclass
from typing import Literal

from autonomy.events import Contender, EvolutionPlan, EvolutionSummary
from autonomy.strategies import Value
from autonomy.values import instant_of_ms
from job_runner.engine.statistics import Metrics
from job_runner.research.report import ResearchOrder

StopReason = Literal["GENERATIONS_DONE", "EVALUATIONS_SPENT", "TIME_SPENT"]


@dataclass(frozen=True, slots=True)
class EvolutionOrder:
    """One search: everything it depends on.

    Args:
        research: strategy and champion's parameters, symbol, last day, costs, cash; its suite is not used.
        plan: how to search; its prior trials count, not those of `research`.
    """

    research: ResearchOrder
    plan: EvolutionPlan


@dataclass(frozen=True, slots=True)
class TrialFound:
    """One evaluation: parameters as canonical text, and the two objectives."""

    generation: int
    parameters: str
    median_sharpe: float
    dispersion: float


@dataclass(frozen=True, slots=True)
class ContenderFound:
    """One parameter set that came to the hold-out.

    Args:
        parameters: checked document.
        fingerprint: of the bot with these.
        folds_sharpe: annualised, by fold of the search window.
        median_sharpe: over the folds.
        dispersion: sample deviation over the folds.
        search_sharpe: annualised, over the compared bars of the search window.
        search_psr: probability that the true Sharpe ratio is above 0, by what the search saw: no evidence, as it chose by that.
        holdout: metrics in the hold-out.
        holdout_psr: probability that the true Sharpe ratio is above 0, by the hold-out alone.
    """

    parameters: dict[str, Value]
    fingerprint: str
    folds_sharpe: tuple[float, ...]
    median_sharpe: float
    dispersion: float
    search_sharpe: float | None
    search_psr: float | None
    holdout: Metrics
    holdout_psr: float | None


@dataclass(frozen=True, slots=True)
class Fold:
    """The scored part of one fold: first and last start, ms since 1970-01-01 UTC, and how many bars."""

    first_ms: int
    last_ms: int
    bars: int


@dataclass(frozen=True, slots=True)
class EvolutionReport:
    """Everything one search found out. Equal orders on equal data give equal reports, but for times and resumptions.

    Args:
        order: what was asked.
        fingerprint: hex, of the champion.
        data_sha256: hex, over the very bars used, hold-out included.
        source_id: where they came from.
        synthetic: made-up bars, never evidence for a promotion.
        bars: how many.
        first_ms: of the bars.
        last_ms: of the bars.
        holdout_from: first bar of the hold-out.
        holdout_bars: how many it has.
        paired_t: Student's t of the challenger's returns less the champion's there; None without a challenger.
        longest_look_back: bars; of any parameter set searched; each fold's gap is this and the embargo.
        folds: oldest first.
        generations: begun and finished; the last may be smaller than the population.
        evaluations: trials told to the optimiser, repeated parameter sets included.
        distinct: parameter sets among them.
        stop_reason: what ended the search.
        champion: the bot's own parameters.
        challenger: the highest median less its standard error of the Pareto front; None when that is the champion.
        deflated_sharpe: of the challenger over the compared bars, against all evaluations and those before.
        trials_counted: these.
        overfitting_probability: over the distinct parameter sets, by CSCV over the compared bars.
        trials_sha256: hex, over parameters and objectives of all trials in order.
        trials: all, in order, up to MAX_TRIALS_KEPT.
        resumed_generations: of these, so many came from a checkpoint.
        checkpoint_refused: why a checkpoint that was found was not used; empty when none was refused.
        searched_s: seconds of searching, in all attempts.
        elapsed_s: seconds by phase, of this attempt.
    """

    order: EvolutionOrder
    fingerprint: str
    data_sha256: str
    source_id: str
    synthetic: bool
    bars: int
    first_ms: int
    last_ms: int
    holdout_from: int
    holdout_bars: int
    paired_t: float | None
    longest_look_back: int
    folds: tuple[Fold, ...]
    generations: int
    evaluations: int
    distinct: int
    stop_reason: StopReason
    champion: ContenderFound
    challenger: ContenderFound | None
    deflated_sharpe: float | None
    trials_counted: int
    overfitting_probability: float | None
    trials_sha256: str
    trials: tuple[TrialFound, ...]
    resumed_generations: int
    checkpoint_refused: str
    searched_s: float
    elapsed_s: tuple[tuple[str, float], ...]


def summary_of_evolution(report: EvolutionReport, artifact: str | None = None) -> EvolutionSummary:
    """What of a report goes into the log."""
    search_phase = sum(seconds for phase, seconds in report.elapsed_s if phase == "search")
    this_attempt = sum(seconds for _, seconds in report.elapsed_s)
    return EvolutionSummary(
        fingerprint=report.fingerprint, data_sha256=report.data_sha256, source_id=report.source_id,
        synthetic=report.synthetic, bars=report.bars, first_bar=instant_of_ms(report.first_ms),
        last_bar=instant_of_ms(report.last_ms), holdout_from=instant_of_ms(report.holdout_from), holdout_bars=report.holdout_bars,
        paired_t=report.paired_t, seed=report.order.plan.seed,
        generations=report.generations, evaluations=report.evaluations, stop_reason=report.stop_reason,
        champion=_contender(report.champion),
        challenger=None if report.challenger is None else _contender(report.challenger),
        dsr=report.deflated_sharpe, pbo=report.overfitting_probability, trials_sha256=report.trials_sha256,
        artifact=artifact, elapsed_s=round(this_attempt - search_phase + report.searched_s, 3),
    )  # fmt: skip


def _contender(found: ContenderFound) -> Contender:
    holdout = found.holdout
    return Contender(
        parameters=dict(found.parameters), fingerprint=found.fingerprint, folds_sharpe=found.median_sharpe,
        holdout_sharpe=holdout.on_returns.sharpe_annualised, holdout_psr=found.holdout_psr,
        holdout_trades=holdout.trades, holdout_max_drawdown=holdout.on_returns.max_drawdown_fraction,
    )  # fmt: skip
