"""How plain decisions did, for a search: the sums that scores are made of, without a row for each bar.

Role: `fills.follow` once more with everything left out that a score does not read. While the account is flat its returns are zero and are
not summed; a drawdown is only divided where it may be the deepest. All that is left is equal to the full pass to the last bit, and what is
irregular (a ruined account, a number that is none) is left to the full pass itself. Verdicts never use it.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from autonomy.errors import BadInput
from job_runner.engine.account import TRADE_SIZE, Account, Costs
from job_runner.engine.compiled import BAR_SIZE, CLOSE, OPEN, FloatArray, IntArray, SmallIntArray, kernel
from job_runner.engine.fills import Simulation, checked_bars, checked_cash, decisions, fill, simulate_targets
from job_runner.engine.programs import StepProgram
from job_runner.engine.statistics import returns_of

# A fall this much (of the peak) short of the deepest one cannot become it by rounding.
_SHORT_OF_DEEPEST: Final = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a score is made of.

    Args:
        sums: float64 (edges), of the returns from close to close, up to each edge's bar.
        squares: float64 (edges), of their squares.
        equity_usd: at the last close.
        max_drawdown: deepest fall below the peak, fraction of it.
        trades: closed ones.
        ruined: the equity was used up.
        finite: no sum and no equity is infinite or no number.
    """

    sums: FloatArray
    squares: FloatArray
    equity_usd: float
    max_drawdown: float
    trades: int
    ruined: bool
    finite: bool


@kernel
def sum_up(  # noqa: PLR0913 - a kernel takes its numbers one by one
    rows: FloatArray, begin: int, end: int, cash: float, units: float, last: float, peak: float, drawdown: float, total: float,
    squares: float,
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """Returns and drawdown of bars without a fill; a value that is not above 0 ends it, and is given back as the last."""
    floor = 1.0 - drawdown + _SHORT_OF_DEEPEST
    for bar in range(begin, end):
        value = cash + units * rows[np.uintp(bar), CLOSE]
        change = (value - last) / last
        total += change
        squares += change * change
        peak = max(peak, value)
        last = value
        if not value > peak * floor:
            if not value > 0.0:
                break
            drawdown = max(drawdown, 1.0 - value / peak)
            floor = 1.0 - drawdown + _SHORT_OF_DEEPEST
    return last, peak, drawdown, total, squares


@kernel
def follow_sums(  # noqa: PLR0913 - a kernel takes its arrays one by one
    rows: FloatArray, targets: SmallIntArray, fee: float, slippage: float, initial_cash: float, edges: IntArray, trade: FloatArray,
    sums: FloatArray, squares: FloatArray,
) -> tuple[float, float, int]:  # fmt: skip
    """The money, given the decisions, stretch by stretch between two fills or edges.

    Args:
        rows: float64 (n, BAR_SIZE).
        targets: int8 (n).
        fee: per side, fraction.
        slippage: per side, fraction.
        initial_cash: USD.
        edges: int64 (k), rising bar numbers below n.
        trade: float64 (TRADE_SIZE), scratch.
        sums: float64 (k), written.
        squares: float64 (k), written.

    Returns:
        Equity at the last close, deepest drawdown, closed trades; -1 trades when something is irregular, and nothing counts.
    """
    account = Account(initial_cash, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    bars = rows.shape[0]
    last = initial_cash
    peak = initial_cash
    drawdown = 0.0
    total = 0.0
    total_squares = 0.0
    trades = 0
    target = 0
    edge = 0
    i = 0
    while i < bars:
        before = account.units
        account = fill(account, target, i, rows[np.uintp(i), OPEN], fee, slippage, trade)
        if before != 0.0 and account.units != before:  # noqa: PLR1714 (a kernel compiles no sets)
            trades += 1
        # The stretch without another fill: up to the bar whose close decides otherwise.
        end = i
        while end < bars - 1 and targets[np.uintp(end)] == target:
            end += 1
        while i <= end:
            stop = end + 1
            if edge < edges.shape[0] and edges[edge] < stop:
                stop = edges[edge] + 1
            # A flat account moves only in the bar of its fill.
            until = stop if account.units != 0.0 else min(i + 1, stop)
            last, peak, drawdown, total, total_squares = sum_up(
                rows, i, until, account.cash, account.units, last, peak, drawdown, total, total_squares
            )
            if not last > 0.0:
                return last, drawdown, -1
            if edge < edges.shape[0] and edges[edge] == stop - 1:
                sums[edge] = total
                squares[edge] = total_squares
                edge += 1
            i = stop
        target = targets[np.uintp(end)]
    return last, drawdown, trades


def score_targets(targets: SmallIntArray, rows: FloatArray, costs: Costs, initial_cash_usd: float, edges: IntArray) -> Scored:
    """Score given decisions.

    Args:
        targets: int8 (n), exposure wanted after each close.
        rows: float64 (n, BAR_SIZE), C-contiguous.
        costs: per side.
        initial_cash_usd: above zero.
        edges: int64 (k), rising numbers of the bars up to which is summed, each below n.

    Raises:
        BadInput: wrong shapes, or cash that is not a positive number.
    """
    bars = checked_bars(rows)
    if targets.shape != (bars,) or targets.dtype != np.int8:
        raise BadInput("targets", f"int8 of shape ({bars},)", f"{targets.dtype} {targets.shape}")
    cash = checked_cash(initial_cash_usd)
    sums, squares = np.empty((2, len(edges)))
    equity, drawdown, trades = follow_sums(
        rows, targets, costs.fee, costs.slippage, cash, edges, np.zeros(TRADE_SIZE), sums, squares
    )  # fmt: skip
    if trades < 0 or not (math.isfinite(equity) and math.isfinite(sums.sum() + squares.sum())):
        return scored_by_rows(simulate_targets(targets, rows, costs, cash), edges)
    return Scored(sums, squares, equity, drawdown, trades, ruined=False, finite=True)


def score_program(program: StepProgram, rows: FloatArray, costs: Costs, initial_cash_usd: float, edges: IntArray) -> Scored:
    """Score a strategy. See `score_targets`."""
    return score_targets(decisions(program, rows), rows, costs, initial_cash_usd, edges)


def running_sums(returns: FloatArray) -> FloatArray:
    """Running sums of returns, and of their squares, up to each bar: float64 (2, n) of float64 (n - 1)."""
    running = np.zeros((2, len(returns) + 1))
    np.cumsum(returns, out=running[0, 1:])
    np.cumsum(returns * returns, out=running[1, 1:])
    return running


def scored_by_rows(simulation: Simulation, edges: IntArray) -> Scored:
    """The same out of the full pass."""
    running = running_sums(returns_of(simulation.equity))
    tally = simulation.tally
    return Scored(
        running[0, edges], running[1, edges], tally.equity, tally.max_drawdown, int(tally.trades), simulation.account.ruined != 0.0,
        simulation.is_finite,
    )  # fmt: skip


def warm_up() -> None:
    """Score two bars, so that everything is compiled before the first search."""
    score_targets(np.zeros(2, dtype=np.int8), np.ones((2, BAR_SIZE)), Costs(10.0, 5.0), 1000.0, np.zeros(1, dtype=np.int64))
