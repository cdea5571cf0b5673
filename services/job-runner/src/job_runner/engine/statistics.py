"""Performance statistics: from returns or from a finished simulation to numbers with units.

Role: pure functions. How many bars a year has is the market's to say; deviations are those of a sample (ddof = 1) unless said
otherwise. A statistic that does not exist (no trades, no losses, no variance) is None, never NaN or infinity: those
have no place on the wire.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from job_runner.engine.compiled import FloatArray
from job_runner.engine.fills import Simulation

BARS_PER_YEAR = 252
"""Of daily bars of an exchange; other markets and timeframes name their own."""

# Returns whose variance is below this share of their mean square do not vary: what is left of it is rounding, and a series that does not
# vary has no Sharpe ratio. Sums of 100,000 numbers are good to some 1e-12 of their size; a Sharpe ratio of 100,000 a bar is none.
CONSTANT = 1e-10
# How far a difference of two running sums may be off, relative to the sums.
ROUNDING_OF_SUMS = 1e-14
# Returns this small, relative to 1, are rounding themselves.
_NO_SPREAD = 1e-15


@dataclass(frozen=True, slots=True)
class ReturnMetrics:
    """Statistics of a series of returns.

    Args:
        returns: how many.
        sharpe_annualised: mean over sample deviation, times the root of the bars a year; risk-free rate 0.
        sortino_annualised: mean over root mean square of the losses, times that root.
        cagr_fraction: growth per year, compounded.
        total_return_fraction: growth over the whole series.
        max_drawdown_fraction: deepest fall below the peak so far, 0 to 1.
    """

    returns: int
    sharpe_annualised: float | None
    sortino_annualised: float | None
    cagr_fraction: float | None
    total_return_fraction: float | None
    max_drawdown_fraction: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Statistics of one simulation.

    Args:
        on_returns: Sharpe, Sortino, CAGR, drawdown.
        final_equity_usd: account value at the last close.
        exposure_fraction: share of the bars that ended with a position.
        turnover_per_year: traded value, both sides, over mean equity, per year.
        fees_usd: paid in all.
        slippage_usd: lost to fills worse than the open, in all.
        costs_fraction: fees and slippage over the starting cash.
        trades: closed ones.
        win_rate_fraction: share of the trades with a gain after costs.
        profit_factor: gains over losses, both after costs.
        bars_per_trade: mean holding time.
        ruined: the equity was used up.
    """

    on_returns: ReturnMetrics
    final_equity_usd: float
    exposure_fraction: float | None
    turnover_per_year: float | None
    fees_usd: float
    slippage_usd: float
    costs_fraction: float | None
    trades: int
    win_rate_fraction: float | None
    profit_factor: float | None
    bars_per_trade: float | None
    ruined: bool


def finite(value: float) -> float | None:
    """The value, or None when it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def ratio(numerator: float, denominator: float) -> float | None:
    """A quotient, or None where there is none."""
    return finite(numerator / denominator) if denominator != 0.0 else None


def returns_of(equity: FloatArray) -> FloatArray:
    """Returns from close to close: float64 (n-1) from float64 (n), fractions; 0 once the equity is used up."""
    before = equity[:-1]
    changes = np.zeros(max(len(equity) - 1, 0))
    np.divide(equity[1:] - before, before, out=changes, where=before > 0.0)
    return changes


def varies(left: float, squares: float, returns: int) -> bool:
    """Whether returns vary by more than rounding.

    Args:
        left: sum of their squared distances from the mean.
        squares: sum of their squares.
        returns: how many, 2 or more.
    """
    return left > CONSTANT * squares and math.sqrt(max(left, 0.0) / (returns - 1)) > _NO_SPREAD


def sharpe_per_bar(returns: FloatArray) -> float | None:
    """Mean over sample deviation (ddof = 1), not annualised; None of returns that do not vary."""
    if len(returns) < 2:
        return None
    mean = float(returns.mean())
    off = returns - mean
    left = float(off @ off)
    return ratio(mean, math.sqrt(left / (len(returns) - 1))) if varies(left, float(returns @ returns), len(returns)) else None


def sharpe_annualised(returns: FloatArray, bars_per_year: int = BARS_PER_YEAR) -> float | None:
    """Sharpe ratio, annualised by the root of the bars a year, ddof = 1, risk-free rate 0."""
    per_bar = sharpe_per_bar(returns)
    return None if per_bar is None else per_bar * math.sqrt(bars_per_year)


def sortino_annualised(returns: FloatArray, bars_per_year: int = BARS_PER_YEAR) -> float | None:
    """Sortino ratio, annualised by the root of the bars a year: the mean over all bars of the squared losses is the risk.

    None of returns that do not vary, and of those without a loss beyond rounding.
    """
    losses, off = np.minimum(returns, 0.0), returns - (returns.mean() if len(returns) else 0.0)
    return _sortino(float(returns.sum()), float(returns @ returns), float(off @ off), float(losses @ losses), len(returns), bars_per_year)


def cagr_fraction(growth: float, returns: int, bars_per_year: int = BARS_PER_YEAR) -> float | None:
    """Growth per year.

    Args:
        growth: final over first value.
        returns: bars it took.
        bars_per_year: of the market.

    Returns:
        A fraction, or None where there is none: no bars, a negative growth, or more than a float holds.
    """
    if returns < 1 or not growth >= 0.0:
        return None
    try:
        return finite(growth ** (bars_per_year / returns) - 1.0)
    except OverflowError:
        return None  # twenty times in a bar, for a year of bars, is no number


def max_drawdown_fraction(returns: FloatArray) -> float | None:
    """Deepest fall of the compounded series below its peak so far, the start included: 0 to 1."""
    if len(returns) == 0:
        return None
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    return finite(float(np.max(1.0 - wealth / np.maximum.accumulate(wealth))))


def return_metrics(returns: FloatArray, bars_per_year: int = BARS_PER_YEAR) -> ReturnMetrics:
    """All statistics of a series of returns (fractions, one per bar)."""
    growth = float(np.prod(1.0 + returns))
    return ReturnMetrics(
        returns=len(returns),
        sharpe_annualised=sharpe_annualised(returns, bars_per_year),
        sortino_annualised=sortino_annualised(returns, bars_per_year),
        cagr_fraction=cagr_fraction(growth, len(returns), bars_per_year),
        total_return_fraction=finite(growth - 1.0) if len(returns) else None,
        max_drawdown_fraction=max_drawdown_fraction(returns),
    )


def simulation_metrics(simulation: Simulation, initial_cash_usd: float, bars_per_year: int = BARS_PER_YEAR) -> Metrics:
    """All statistics of a simulation, from the sums its pass has kept (those over its returns, up to rounding)."""
    tally, account = simulation.tally, simulation.account
    returns = int(tally.bars) - 1
    years = returns / bars_per_year
    left = tally.return_squares - tally.return_sum**2 / max(returns, 1)
    growth = tally.equity / initial_cash_usd
    mean_equity = tally.equity_sum / tally.bars if tally.bars else 0.0
    costs = account.fees + account.slippage
    return Metrics(
        on_returns=ReturnMetrics(
            returns=max(returns, 0),
            sharpe_annualised=sharpe_of_sums(tally.return_sum, tally.return_squares, returns, bars_per_year=bars_per_year),
            sortino_annualised=_sortino(tally.return_sum, tally.return_squares, left, tally.downside_squares, returns, bars_per_year),
            cagr_fraction=cagr_fraction(growth, returns, bars_per_year),
            total_return_fraction=finite(growth - 1.0),
            max_drawdown_fraction=finite(tally.max_drawdown),
        ),
        final_equity_usd=tally.equity,
        exposure_fraction=ratio(tally.exposed_bars, tally.bars),
        turnover_per_year=ratio(account.traded, mean_equity * years),
        fees_usd=account.fees,
        slippage_usd=account.slippage,
        costs_fraction=ratio(costs, initial_cash_usd),
        trades=int(tally.trades),
        win_rate_fraction=ratio(tally.wins, tally.trades),
        profit_factor=ratio(tally.gross_profit, tally.gross_loss),
        bars_per_trade=ratio(tally.bars_held, tally.trades),
        ruined=account.ruined != 0.0,
    )


def sharpe_of_sums(total: float, squares: float, returns: int, running: float = 0.0, bars_per_year: int = BARS_PER_YEAR) -> float | None:
    """Annualised Sharpe ratio (ddof = 1) from the sum and the sum of squares of that many returns; None if they do not vary.

    Args:
        total: of the returns.
        squares: of their squares.
        returns: how many.
        running: the running sum of squares that `squares` was cut out of, at its end: its rounding is theirs.
        bars_per_year: of the market; 1 gives the ratio per bar.
    """
    if returns < 2:
        return None
    mean = total / returns
    left = squares - total * mean
    if not varies(left, max(squares, ROUNDING_OF_SUMS / CONSTANT * running), returns):
        return None
    return finite(mean / math.sqrt(left / (returns - 1)) * math.sqrt(bars_per_year))


def _sortino(total: float, squares: float, left: float, downside_squares: float, returns: int, bars_per_year: int) -> float | None:
    if returns < 2 or not varies(left, squares, returns) or downside_squares <= CONSTANT * squares:
        return None
    return finite(total / returns / math.sqrt(downside_squares / returns) * math.sqrt(bars_per_year))


def probabilistic_sharpe(returns: FloatArray, benchmark_per_bar: float = 0.0) -> float | None:
    """Probability that the true Sharpe ratio exceeds a benchmark, given length, skew and kurtosis of the returns.

    Args:
        returns: fractions, one per bar.
        benchmark_per_bar: not annualised.

    Returns:
        0 to 1, or None for fewer than three returns or none that vary.

    Source: Bailey and Lopez de Prado (2012), "The Sharpe Ratio Efficient Frontier"; ddof = 1 for the deviation.
    """
    count = len(returns)
    sharpe = sharpe_per_bar(returns)
    if count < 3 or sharpe is None:
        return None
    distance = returns - returns.mean()
    variance = float(np.mean(distance**2))
    skew = float(np.mean(distance**3)) / variance**1.5
    kurtosis = float(np.mean(distance**4)) / variance**2
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not spread > 0.0:
        return None
    return finite(float(ndtr((sharpe - benchmark_per_bar) * math.sqrt(count - 1) / math.sqrt(spread))))


def expected_best_sharpe(trial_sharpes_per_bar: FloatArray, trials: int | None = None) -> float:
    """The Sharpe ratio per bar that the luckiest of many worthless trials would show.

    Args:
        trial_sharpes_per_bar: those of the trials; their sample deviation (ddof = 1) counts.
        trials: how many there were, when more were made than are comparable; at least the length of the array.

    Source: Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio".
    """
    count = max(trials or 0, len(trial_sharpes_per_bar))
    if len(trial_sharpes_per_bar) < 2:
        return 0.0
    spread = float(trial_sharpes_per_bar.std(ddof=1))
    gamma = float(np.euler_gamma)
    best = (1.0 - gamma) * ndtri(1.0 - 1.0 / count) + gamma * ndtri(1.0 - 1.0 / (count * math.e))
    return spread * float(best)


def deflated_sharpe(returns: FloatArray, trial_sharpes_per_bar: FloatArray, trials: int | None = None) -> float | None:
    """Probability that the true Sharpe ratio is above what luck alone would have found in that many trials.

    Args:
        returns: of the chosen trial, fractions per bar.
        trial_sharpes_per_bar: of every trial, finite, not annualised.
        trials: how many there were, when more were made than are comparable.

    Source: Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio".
    """
    return probabilistic_sharpe(returns, expected_best_sharpe(trial_sharpes_per_bar, trials))
