"""How much of a result is timing: the bot on its own market against the bot on the same bars in random order.

Role: the one statistic that a look judges by, and the t of the net returns. A market's drift, its volatility and the bot's exposure are
the same in a permuted market; what is missing there is the order of the bars, and so everything that a strategy can know of it.

Source: docs/gates.md; Masters (2018), "Permutation and Randomization Tests for Trading System Development".
"""

import math
from typing import Final, Protocol

import numpy as np

from job_runner.engine.account import Costs
from job_runner.engine.compiled import FloatArray
from job_runner.engine.programs import Program, StepProgram
from job_runner.engine.running import run
from job_runner.engine.statistics import finite, sharpe_of_sums, sharpe_per_bar
from job_runner.research.permuting import moves_of, permute_market
from job_runner.research.report import SuiteSize, Timing

HOPELESS_Z: Final = 1.0
"""Below this, more markets change no verdict: every look asks for more than 2.7."""
MAX_MARKETS_BY_ARRAYS: Final = 500
"""A strategy that decides on arrays in another process takes milliseconds for a market, not microseconds."""
CHUNK_BARS: Final = 500_000
"""Bars of work between two looks at the cancel flag: 5 to 25 ms on one core."""


class Work(Protocol):
    """Where finished work is reported, in bars passed over."""

    def done(self, bars: int) -> None:
        """Count it; raises Cancelled when the job is not wanted any more."""
        ...


def timing(program: Program, rows: FloatArray, returns: FloatArray, costs: Costs, size: SuiteSize, seed: int, work: Work) -> Timing:
    """Run the bot on markets of its own bars, permuted without replacement.

    Args:
        program: the strategy, ready to run.
        rows: float64 (n, 5), the real market.
        returns: float64 (n-1), of the strategy on it.
        costs: of trading.
        size: how many markets at most, and after how many a bot that shows nothing is not looked at any further.
        seed: 64 bits.
        work: told of every chunk.
    """
    own = sharpe_per_bar(returns)
    moves = moves_of(rows)
    bars = len(moves)
    is_step = isinstance(program, StepProgram)
    markets = size.permuted_markets if is_step else min(size.permuted_markets, MAX_MARKETS_BY_ARRAYS)
    sharpes = np.zeros(markets)
    market, order = np.empty((bars, rows.shape[1])), np.empty(bars, dtype=np.int64)
    told = 0
    for number in range(markets):
        permute_market(moves, np.uint64(seed), number, order, market)
        # A strategy must not take one market for the one before, which stood in the same place.
        tally = run(program, market.copy(), costs, 1.0).tally
        sharpes[number] = sharpe_of_sums(tally.return_sum, tally.return_squares, bars - 1, bars_per_year=1) or 0.0
        if (number + 1 - told) * bars >= CHUNK_BARS:
            work.done((number + 1 - told) * bars)
            told = number + 1
        if number + 1 == size.hopeless_after and not (_z(own, sharpes[: number + 1]) or 0.0) >= HOPELESS_Z:
            markets = number + 1
            break
    work.done((markets - told) * bars)
    tried = sharpes[:markets]
    # The real market counts as one of them: a p-value is never 0.
    as_good = int(np.count_nonzero(tried >= (own or 0.0)))
    return Timing(_z(own, tried), (1 + as_good) / (1 + markets), markets, seed)


def _z(own: float | None, sharpes: FloatArray) -> float | None:
    spread = float(sharpes.std(ddof=1)) if len(sharpes) > 1 else 0.0
    return None if own is None or not spread > 0.0 else finite((own - float(sharpes.mean())) / spread)


def t_of(returns: FloatArray) -> float | None:
    """Student's t of returns: their Sharpe ratio per bar times the root of how many; None of those that do not vary."""
    per_bar = sharpe_per_bar(returns)
    return None if per_bar is None else per_bar * math.sqrt(len(returns))
