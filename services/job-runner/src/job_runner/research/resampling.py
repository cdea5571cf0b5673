"""Compiled resampling: the same returns, or the same market, in another order.

Role: the bootstrap's inner loops. Random numbers are counter-based (splitmix64): sample number k draws the same
numbers whichever chunk it is computed in, so results do not depend on how the work was cut.

Source: Politis and Romano (1994), "The Stationary Bootstrap": blocks of geometric length, wrapped around the end.
"""

import math

import numpy as np

from job_runner.engine.compiled import BAR_SIZE, CLOSE, FloatArray, kernel
from job_runner.engine.statistics import CONSTANT

# Columns of a sample's outcome.
SHARPE = 0
GROWTH = 1
DRAWDOWN = 2
OUTCOME_SIZE = 3

_NO_SPREAD_SQUARED = 1e-30  # as in `statistics`: returns this small are rounding
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_30 = np.uint64(30)
_SHIFT_27 = np.uint64(27)
_SHIFT_31 = np.uint64(31)
_SHIFT_32 = np.uint64(32)
_LOW_32 = np.uint64(0xFFFFFFFF)


@kernel
def scramble(counter: np.uint64) -> np.uint64:
    """64 random bits that belong to this counter (splitmix64's finaliser)."""
    bits = (counter ^ (counter >> _SHIFT_30)) * _MIX_1
    bits = (bits ^ (bits >> _SHIFT_27)) * _MIX_2
    return bits ^ (bits >> _SHIFT_31)


@kernel
def next_place(bits: np.uint64, place: int, count: int, jump_below: np.uint64) -> int:
    """The next place of a stationary bootstrap.

    Args:
        bits: 64 random bits; the low half decides whether a new block starts, the high half where.
        place: the place before.
        count: places there are, below 2**32.
        jump_below: 2**32 / mean block length.
    """
    if (bits & _LOW_32) < jump_below:
        # Compiled, np.int64 is the int of the annotation; int() would stay unsigned.
        return np.int64(((bits >> _SHIFT_32) * np.uint64(count)) >> _SHIFT_32)  # type: ignore[return-value]
    return place + 1 if place + 1 < count else 0


@kernel
def write_outcome(outcome: FloatArray, total: float, squares: float, count: int, growth: float, drawdown: float) -> None:
    """Write one sample's Sharpe ratio per bar (ddof = 1; 0 when nothing varied), growth factor and drawdown."""
    mean = total / count
    left = squares - total * mean
    varies = left > CONSTANT * squares and left > _NO_SPREAD_SQUARED * (count - 1)
    outcome[SHARPE] = mean / math.sqrt(left / (count - 1)) if varies else 0.0
    outcome[GROWTH] = growth
    outcome[DRAWDOWN] = drawdown


@kernel
def resample_returns(returns: FloatArray, seed: np.uint64, first: int, jump_below: np.uint64, outcomes: FloatArray) -> None:
    """Bootstrap a series of returns.

    Args:
        returns: float64 (n), n ≥ 2.
        seed: of the whole run.
        first: number of the first sample of this chunk.
        jump_below: see `next_place`.
        outcomes: float64 (samples, OUTCOME_SIZE), written.
    """
    count = len(returns)
    for sample in range(outcomes.shape[0]):
        counter = scramble(seed + np.uint64(first + sample) * _GOLDEN)
        place = -1
        wealth = 1.0
        peak = 1.0
        drawdown = 0.0
        total = 0.0
        squares = 0.0
        for i in range(count):
            counter += _GOLDEN
            # The first draw always jumps, to start anywhere.
            place = next_place(scramble(counter), place, count, jump_below if i > 0 else _LOW_32)
            change = returns[place]
            total += change
            squares += change * change
            wealth *= 1.0 + change
            peak = max(peak, wealth)
            drawdown = max(drawdown, 1.0 - wealth / peak)
        write_outcome(outcomes[sample], total, squares, count, wealth, drawdown)


@kernel
def resample_market(moves: FloatArray, seed: np.uint64, number: int, jump_below: np.uint64, rows: FloatArray) -> None:
    """Build a market out of the real one's bars in another order.

    Args:
        moves: float64 (n, BAR_SIZE): open, high, low, close as multiples of the close before; volume as it is.
        seed: of the whole run.
        number: of the sample.
        jump_below: see `next_place`.
        rows: float64 (n, BAR_SIZE), written.
    """
    count = moves.shape[0]
    counter = scramble(seed + np.uint64(number) * _GOLDEN)
    place = -1
    close = 100.0
    for i in range(count):
        counter += _GOLDEN
        place = next_place(scramble(counter), place, count, jump_below if i > 0 else _LOW_32)
        for column in range(BAR_SIZE - 1):
            rows[i, column] = close * moves[place, column]
        rows[i, BAR_SIZE - 1] = moves[place, BAR_SIZE - 1]
        close = rows[i, CLOSE]
