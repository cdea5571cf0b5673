"""How one parameter set did in the search window, and who works it out.

Role: the inner loop of an evolution, and the port behind which it may run on other processes. Pure; knows the bars of
the search window and nothing of those after it.

A parameter set is fixed before the first bar and nothing is fitted, so one pass over the window gives all folds: the
walk forward is through time, fold by fold, and each fold begins with a gap of the longest look-back and the embargo
whose bars count in no fold. No bar is thus read for the scores of two folds.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from autonomy.strategies import Value
from job_runner.engine.account import Costs
from job_runner.engine.compiled import FloatArray
from job_runner.engine.programs import Axis
from job_runner.engine.running import run
from job_runner.engine.statistics import returns_of, sharpe_of_sums
from job_runner.research.overfitting import BlockSums, block_edges, sums_at
from job_runner.research.report import StrategyError
from job_runner.strategies.coded import CodedStrategy

# What a ruined account scores, and one that never traded: worse than anything that is alive.
WORST_SHARPE: Final = -10.0
WORST_DISPERSION: Final = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class SearchCase:
    """What every parameter set of a search is judged on; plain values that cross process boundaries.

    Args:
        strategy: whose parameters are searched.
        axis: which bars they are.
        rows: float64 (n, 5), bars of the search window only.
        costs: per side.
        cash_usd: at the start.
        folds: first and end bar of the scored part of each fold, oldest first.
        compared_from: the first bar in which every parameter set may hold a position; comparisons between them begin here.
    """

    strategy: CodedStrategy
    axis: Axis
    rows: FloatArray
    costs: Costs
    cash_usd: float
    folds: tuple[tuple[int, int], ...]
    compared_from: int

    @property
    def compared_bars(self) -> int:
        """Bars over which parameter sets are compared."""
        return len(self.rows) - self.compared_from


@dataclass(frozen=True, slots=True)
class Scores:
    """How one parameter set did.

    Args:
        folds_sharpe: annualised, by fold; 0 in a fold without a position.
        sums: of the returns, by block of the compared bars.
        squares: of their squares.
        usable: it traded in some fold and was not ruined.
    """

    folds_sharpe: tuple[float, ...]
    sums: tuple[float, ...]
    squares: tuple[float, ...]
    usable: bool

    @property
    def median_sharpe(self) -> float:
        """Over the folds; the first objective, to be high."""
        return statistics.median(self.folds_sharpe) if self.usable else WORST_SHARPE

    @property
    def dispersion(self) -> float:
        """Sample deviation over the folds; the second objective, to be low: luck is not the same in every fold."""
        if not self.usable:
            return WORST_DISPERSION
        folds = self.folds_sharpe
        # The library's own works in fractions, and takes as long as a backtest.
        mean = math.fsum(folds) / len(folds)
        return math.sqrt(math.fsum((sharpe - mean) ** 2 for sharpe in folds) / (len(folds) - 1))

    @property
    def merit(self) -> float:
        """Median less the standard error of the folds. Whoever has the highest is on the Pareto front of the two objectives."""
        return self.median_sharpe - self.dispersion / math.sqrt(len(self.folds_sharpe))


class Evaluator(Protocol):
    """Works out scores."""

    def evaluate(self, case: SearchCase, candidates: Sequence[Mapping[str, Value]]) -> Iterable[Scores]:
        """Scores of the candidates, in their order, the same wherever they are worked out.

        Args:
            case: what they are judged on.
            candidates: checked parameter documents.
        """
        ...


class InProcess:
    """Works out scores right here, one after the other."""

    def evaluate(self, case: SearchCase, candidates: Sequence[Mapping[str, Value]]) -> Iterator[Scores]:
        """See `Evaluator.evaluate`."""
        return (score(case, candidate) for candidate in candidates)


def score(case: SearchCase, parameters: Mapping[str, Value]) -> Scores:
    """Judge one parameter set.

    Raises:
        StrategyError: an equity that is not finite.
    """
    simulation = run(case.strategy.program(parameters, case.axis), case.rows, case.costs, case.cash_usd)
    if not np.isfinite(simulation.equity).all():
        raise StrategyError(f"{case.strategy.name} {dict(parameters)}: equity is not finite")
    running = running_sums(returns_of(simulation.equity))
    by_fold = [_fold_sharpe(running, first, end) for first, end in case.folds]
    blocks = blocks_of(case, running)
    return Scores(
        folds_sharpe=tuple(sharpe or 0.0 for sharpe in by_fold),
        sums=tuple(blocks.sums[0].tolist()),
        squares=tuple(blocks.squares[0].tolist()),
        usable=simulation.account.ruined == 0.0 and any(sharpe is not None for sharpe in by_fold),
    )


def running_sums(returns: FloatArray) -> FloatArray:
    """Running sums of returns, and of their squares, up to each bar: float64 (2, n) of float64 (n - 1)."""
    running = np.zeros((2, len(returns) + 1))
    np.cumsum(returns, out=running[0, 1:])
    np.cumsum(returns * returns, out=running[1, 1:])
    return running


def blocks_of(case: SearchCase, running: FloatArray) -> BlockSums:
    """The compared bars by block."""
    edges = block_edges(case.compared_bars) + case.compared_from - 1
    return sums_at(running[:1], running[1:], edges)


def _fold_sharpe(running: FloatArray, first: int, end: int) -> float | None:
    total, squares = (running[:, end - 1] - running[:, first - 1]).tolist()
    return sharpe_of_sums(total, squares, end - first, float(running[1, end - 1]))
