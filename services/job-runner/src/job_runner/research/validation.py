"""The validation suite asks whether the backtest's result is worth anything.

Role: each function answers one question about a strategy on given bars. Pure but for `work`, which counts what was
done, passes progress on and stops the job when it was cancelled. Nothing here draws a random number that does not
follow from the seed.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autonomy.errors import BadInput
from autonomy.events import NumberOffered
from autonomy.strategies import Value, canonical, number
from job_runner.engine.account import Costs
from job_runner.engine.compiled import FloatArray
from job_runner.engine.programs import Axis, Decided, Program
from job_runner.engine.running import flat_like, follow, same
from job_runner.engine.statistics import (
    finite,
    ratio,
    returns_of,
    sharpe_of_sums,
    simulation_metrics,
)
from job_runner.research.report import (
    LookAhead,
    Neighbourhood,
    Quantiles,
    Stress,
    StressPoint,
    WalkForward,
    WalkForwardWindow,
)
from job_runner.research.timing import Work, t_of
from job_runner.strategies.coded import CodedStrategy

# Bounds memory (one byte per bar and point) and time of one job.
MAX_NEIGHBOURS = 2_000
# A plan takes 32 bytes per bar and point.
MAX_NEIGHBOURS_BY_ARRAYS = 250
# Two parameter sets of a neighbourhood differ by a tenth of the value, or by this share of the allowed range when the
# value is 0.
STEP_FRACTION = 0.1
STEP_OF_RANGE = 0.02
# With nothing to multiply, the stress grid multiplies this.
STRESS_BPS = 5.0

Decide = Callable[[FloatArray], Decided]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What is under test: a strategy with checked parameters, on bars (float64 (n, 5)) of a symbol, with costs and cash (USD)."""

    strategy: CodedStrategy
    parameters: Mapping[str, Value]
    rows: FloatArray
    times: Sequence[int]
    costs: Costs
    cash_usd: float
    axis: Axis
    bars_per_year: int

    def program(self, parameters: Mapping[str, Value] | None = None) -> Program:
        """The strategy, ready to run; with other parameters than the case's own where they are given."""
        return self.strategy.program(self.parameters if parameters is None else parameters, self.axis)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The evaluated neighbourhood of g parameter sets over n bars.

    Args:
        parameters: checked documents; the case's own is the first.
        decided: g times what is wanted after each close, all of one kind (`running`).
        sums: float64 (g, n), running sum of returns up to each close.
        squares: float64 (g, n), running sum of their squares.
        growth: float64 (g), final over first equity.
        bars_per_year: of the market.
    """

    parameters: tuple[dict[str, Value], ...]
    decided: Sequence[Decided]
    sums: FloatArray
    squares: FloatArray
    growth: FloatArray
    bars_per_year: int

    def sharpe(self, point: int, first: int, end: int) -> float | None:
        """Annualised Sharpe ratio of one point over the returns of bars first … end-1 (first ≥ 1)."""
        total = float(self.sums[point, end - 1] - self.sums[point, first - 1])
        squares = float(self.squares[point, end - 1] - self.squares[point, first - 1])
        return sharpe_of_sums(total, squares, end - first, float(self.squares[point, end - 1]), self.bars_per_year)


def stress(case: Case, levels: int, work: Work) -> Stress:
    """Run the strategy with 0, 1, 2 … times the fee and the slippage, in all combinations."""
    prepared = case.program()
    decided = prepared.decided(case.rows)
    points: list[StressPoint] = []
    for fee_times, slippage_times in itertools.product(range(levels), repeat=2):
        costs = dearer(case.costs, fee_times, slippage_times)
        metrics = simulation_metrics(
            follow(prepared, decided, case.rows, costs, case.cash_usd), case.cash_usd, case.bars_per_year
        ).on_returns
        points.append(StressPoint(costs.fee_bps, costs.slippage_bps, metrics.sharpe_annualised, metrics.total_return_fraction))
        work.done(len(case.rows))
    sharpes = [point.sharpe_annualised for point in points if point.sharpe_annualised is not None]
    gains = sum((point.total_return_fraction or 0.0) > 0.0 for point in points)
    return Stress(tuple(points), min(sharpes, default=None), gains / len(points))


def dearer(costs: Costs, fee_times: int, slippage_times: int) -> Costs:
    """So many times the fees and the slippage; what was free costs `STRESS_BPS` a time, and steps and minimum stay."""
    fee = (costs.fee_bps or STRESS_BPS) * fee_times
    maker = None if costs.maker_bps is None else max(costs.maker_bps, 0.0) * fee_times
    return replace(costs, fee_bps=fee, slippage_bps=(costs.slippage_bps or STRESS_BPS) * slippage_times, maker_bps=maker)


def net_t(program: Program, decided: Decided, rows: FloatArray, costs: Costs, cash_usd: float) -> float | None:
    """Student's t of the returns at twice the fees and the slippage; None of those that do not vary."""
    return t_of(returns_of(follow(program, decided, rows, dearer(costs, 2, 2), cash_usd).equity))


def neighbours(strategy: CodedStrategy, parameters: Mapping[str, Value], steps: int) -> tuple[dict[str, Value], ...]:
    """The parameter sets around the given one that the catalogue allows; the given one first, no duplicates.

    Each number goes `steps` steps to both sides, in all combinations; steps are given up from outside in until at
    most MAX_NEIGHBOURS are left.
    """
    own = strategy.check(parameters)
    numbers = strategy.offer.numbers
    most = MAX_NEIGHBOURS if strategy.offer.form == "step" else MAX_NEIGHBOURS_BY_ARRAYS
    while (2 * steps + 1) ** len(numbers) > most:
        steps -= 1
    around = [_values_around(parameter, number(own, parameter.name), steps) for parameter in numbers]
    found = {canonical(own): own}
    for values in itertools.product(*around):
        candidate: dict[str, object] = {**own, **dict(zip((p.name for p in numbers), values, strict=True))}
        try:
            checked = strategy.check(candidate)
        except BadInput:
            # Outside the catalogue's limits (fast above slow): not a neighbour.
            continue
        found.setdefault(canonical(checked), checked)
    return tuple(found.values())


def evaluate_grid(case: Case, points: tuple[dict[str, Value], ...], work: Work) -> Grid:
    """Run every parameter set over all bars."""
    bars = len(case.rows)
    decided: list[Decided] = []
    sums = np.zeros((len(points), bars))
    squares = np.zeros((len(points), bars))
    growth = np.zeros(len(points))
    for place, parameters in enumerate(points):
        prepared = case.program(parameters)
        decided.append(prepared.decided(case.rows))
        simulation = follow(prepared, decided[-1], case.rows, case.costs, case.cash_usd)
        changes = returns_of(simulation.equity)
        np.cumsum(changes, out=sums[place, 1:])
        np.cumsum(changes * changes, out=squares[place, 1:])
        growth[place] = simulation.tally.equity / case.cash_usd
        work.done(bars)
    return Grid(points, decided, sums, squares, growth, case.bars_per_year)


def neighbourhood(grid: Grid) -> Neighbourhood:
    """How the parameters nearby did."""
    bars = grid.sums.shape[1]
    sharpes = [grid.sharpe(point, 1, bars) for point in range(len(grid.parameters))]
    own = sharpes[0]
    others = [sharpe for sharpe in sharpes[1:] if sharpe is not None]
    beaten = sum(own is not None and own >= other for other in others)
    return Neighbourhood(
        evaluated=len(sharpes),
        sharpe_annualised=quantiles(np.array([sharpe for sharpe in sharpes if sharpe is not None])),
        profitable_fraction=float(np.mean(grid.growth > 1.0)),
        rank_fraction=beaten / len(others) if others else 1.0,
    )


def walk_forward(case: Case, grid: Grid, windows: int, work: Work) -> WalkForward:
    """Choose on the past, trade the next window, go on.

    The bars are cut into windows + 1 equal parts. For each part after the first, the parameter set with the best
    Sharpe ratio over all bars before it is traded in it; positions carry over the seams, and a change of parameters
    pays its costs.
    """
    bars = len(case.rows)
    seams = np.linspace(0, bars, windows + 2).astype(int)
    inside, outside = flat_like(grid.decided[0]), flat_like(grid.decided[0])
    found: list[WalkForwardWindow] = []
    for first, seam, end in zip(seams[:-2], seams[1:-1], seams[2:], strict=True):
        scores = [grid.sharpe(point, 1, seam) for point in range(len(grid.parameters))]
        best = max(range(len(scores)), key=lambda point: (-math.inf if scores[point] is None else scores[point], -point))
        # A decision at a close is filled at the next open, so the window's first fill comes from the close before it.
        outside[seam - 1 : end - 1] = grid.decided[best][seam - 1 : end - 1]
        inside[max(first - 1, 0) : seam - 1] = grid.decided[best][max(first - 1, 0) : seam - 1]
        found.append(
            WalkForwardWindow(
                first_ms=case.times[seam],
                last_ms=case.times[end - 1],
                parameters=canonical(grid.parameters[best]),
                in_sample_sharpe_annualised=scores[best],
                out_of_sample_sharpe_annualised=grid.sharpe(best, seam, end),
            )
        )
        work.done(bars)
    prepared = case.program()
    # One bar before the first window, so that its first fill has a decision.
    start, last_seam = int(seams[1]) - 1, int(seams[-2])
    traded_after = follow(prepared, outside[start:], case.rows[start:], case.costs, case.cash_usd, start)
    traded_before = follow(prepared, inside[:last_seam], case.rows[:last_seam], case.costs, case.cash_usd)
    out_of_sample, in_sample = (simulation_metrics(traded, case.cash_usd, case.bars_per_year) for traded in (traded_after, traded_before))
    before, after = in_sample.on_returns.sharpe_annualised, out_of_sample.on_returns.sharpe_annualised
    retained = ratio(after, before) if before is not None and before > 0.0 and after is not None else None
    return WalkForward(tuple(found), in_sample, out_of_sample, retained, windows * len(grid.parameters))


def look_ahead(decide: Decide, history: Callable[[int], FloatArray], times: Sequence[int], cuts: int, work: Work) -> LookAhead:
    """Cut the future off and see whether any decision changes.

    Args:
        decide: rows (k, 5) to k decisions.
        history: the rows up to and including the bar that starts at an instant, asked of the source anew: data that changes
            with hindsight is found too.
        times: starts of all n bars, ms UTC.
        cuts: how many ends to try, evenly spread over the bars.
        work: told of every cut.
    """
    whole_rows = history(times[-1])
    whole = decide(whole_rows)
    ends = sorted({int(end) for end in np.linspace(1, len(times), min(cuts, len(times)) + 1)[:-1]})
    for end in ends:
        rows = history(times[end - 1])
        if not np.array_equal(rows, whole_rows[:end]) or not same(decide(rows), whole[:end]):
            return LookAhead(len(ends), times[end - 1])
        work.done(end)
    return LookAhead(len(ends), None)


def quantiles(values: FloatArray) -> Quantiles:
    """5 %, 50 % and 95 % quantile of the finite values."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return Quantiles(None, None, None)
    low, middle, high = (finite(float(value)) for value in np.quantile(known, (0.05, 0.5, 0.95)))
    return Quantiles(low, middle, high)


def _values_around(parameter: NumberOffered, value: float, steps: int) -> list[float]:
    size = abs(value) * STEP_FRACTION or (parameter.high - parameter.low) * STEP_OF_RANGE
    if parameter.kind == "int":
        size = max(size, 1.0)
    moved = [value + size * step for step in range(-steps, steps + 1)]
    return [float(round(number)) for number in moved] if parameter.kind == "int" else [round(m, 9) for m in moved]
