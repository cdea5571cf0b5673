"""How one parameter set did in the search window, and who works it out.

Role: the inner loop of an evolution, and the port behind which it may run on other processes. Pure; knows the bars of
the search window and nothing of those after it.

A parameter set is fixed before the first bar and nothing is fitted, so one pass over the window gives all folds: the
walk forward is through time, fold by fold, and each fold begins with a gap of the longest look-back and the embargo
whose bars count in no fold. No bar is thus read for the scores of two folds.
"""

import functools
import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from autonomy.strategies import Value
from job_runner.engine.account import Costs
from job_runner.engine.compiled import FloatArray, IntArray
from job_runner.engine.programs import Axis
from job_runner.engine.running import score as scored
from job_runner.engine.statistics import sharpe_of_sums
from job_runner.research.overfitting import block_edges
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
        bars_per_year: what ratios are annualised with.
    """

    strategy: CodedStrategy
    axis: Axis
    rows: FloatArray
    costs: Costs
    cash_usd: float
    folds: tuple[tuple[int, int], ...]
    compared_from: int
    bars_per_year: int

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
    read = read_at(case.folds, case.compared_from, len(case.rows))
    found = scored(case.strategy.program(parameters, case.axis), case.rows, case.costs, case.cash_usd, read.edges)
    if not found.finite:
        raise StrategyError(f"{case.strategy.name} {dict(parameters)}: equity is not finite")
    sums, squares = found.sums.tolist(), found.squares.tolist()
    by_fold = [
        sharpe_of_sums(sums[end] - sums[first], squares[end] - squares[first], bars, squares[end], case.bars_per_year)
        for first, end, bars in read.folds
    ]  # fmt: skip
    return Scores(
        folds_sharpe=tuple(sharpe or 0.0 for sharpe in by_fold),
        sums=tuple(sums[end] - sums[first] for first, end in itertools.pairwise(read.blocks)),
        squares=tuple(squares[end] - squares[first] for first, end in itertools.pairwise(read.blocks)),
        usable=not found.ruined and any(sharpe is not None for sharpe in by_fold),
    )


@dataclass(frozen=True, slots=True, eq=False)
class ReadAt:
    """Where the running sums of a case are read.

    Args:
        edges: int64 (k), rising bar numbers.
        folds: places among the edges before the first bar and at the last bar of each fold, and its bars.
        blocks: places among the edges at which the blocks of the compared bars begin, and the last one ends.
    """

    edges: IntArray
    folds: tuple[tuple[int, int, int], ...]
    blocks: tuple[int, ...]


@functools.lru_cache(maxsize=16)
def read_at(folds: tuple[tuple[int, int], ...], compared_from: int, bars: int) -> ReadAt:
    """Where the sums of a case are read: the same for each of its parameter sets."""
    blocks = (block_edges(bars - compared_from) + compared_from - 1).tolist()
    edges = sorted({*blocks, *(bar - 1 for fold in folds for bar in fold)})
    place = {bar: number for number, bar in enumerate(edges)}
    return ReadAt(
        np.array(edges, dtype=np.int64),
        tuple((place[first - 1], place[end - 1], end - first) for first, end in folds),
        tuple(place[bar] for bar in blocks),
    )
