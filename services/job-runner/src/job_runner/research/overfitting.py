"""How likely is it that choosing the best of many backtests chose noise: PBO by CSCV.

Role: pure numbers. Everything is computed from sums over blocks of bars, so that 12,870 splits of hundreds of
parameter sets are a few matrix products, and nobody has to keep the returns themselves.

Source: Bailey, Borwein, Lopez de Prado and Zhu (2017), "The Probability of Backtest Overfitting".
"""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from autonomy.errors import BadInput
from job_runner.engine.compiled import FloatArray, IntArray
from job_runner.engine.statistics import CONSTANT

# The customary number: 12,870 splits.
BLOCKS: Final = 16
MAX_BLOCKS: Final = 20

# Sharpe ratios per bar closer than this are the same one: a product's rounding depends on where a column stands.
_TIE = 1e-10
# Ratios held at once: what a processor keeps next to itself; larger pieces take four times as long.
_CHUNK_RATIOS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class BlockSums:
    """The returns of c parameter sets, summed over b consecutive blocks of bars.

    Args:
        counts: float64 (b), bars per block.
        sums: float64 (c, b), of the returns.
        squares: float64 (c, b), of their squares.
    """

    counts: FloatArray
    sums: FloatArray
    squares: FloatArray


@functools.lru_cache(maxsize=64)
def block_edges(bars: int, blocks: int = BLOCKS) -> IntArray:
    """Where the blocks begin and the last one ends: int64 (blocks + 1); the first blocks take what does not divide.

    Raises:
        BadInput: an odd number of blocks, or more than MAX_BLOCKS.
    """
    if blocks % 2 or not 2 <= blocks <= MAX_BLOCKS:
        raise BadInput("blocks", f"an even number from 2 to {MAX_BLOCKS}", blocks)
    size, rest = divmod(bars, blocks)
    edges = np.cumsum([0, *(size + (block < rest) for block in range(blocks))]).astype(np.int64)
    edges.flags.writeable = False
    return edges


def block_sums(returns: FloatArray, blocks: int = BLOCKS) -> BlockSums:
    """Sums of returns: float64 (parameter sets, bars)."""
    edges = block_edges(returns.shape[1], blocks)
    running = np.zeros((2, returns.shape[0], returns.shape[1] + 1))
    np.cumsum(returns, axis=1, out=running[0, :, 1:])
    np.cumsum(returns * returns, axis=1, out=running[1, :, 1:])
    sums, squares = np.diff(running[:, :, edges], axis=2)
    return BlockSums(np.diff(edges).astype(np.float64), sums, squares)


def overfitting_probability(found: BlockSums) -> float | None:
    """Share of the splits in which the parameter set that was best in one half is below the median in the other.

    Every choice of half of the blocks is the in-sample half once. Parameter sets without variation have a Sharpe ratio
    of 0; of equals the first is the best, and ranks of equals are averaged.

    Returns:
        0 to 1; None for fewer than two parameter sets, or fewer bars than blocks.
    """
    sets, blocks = found.sums.shape
    if sets < 2 or not (found.counts > 0).all():
        return None
    halves = _halves(blocks)
    overfitted = 0
    step = max(1, _CHUNK_RATIOS // sets)
    for first in range(0, len(halves), step):
        chosen = halves[first : first + step]
        one, other = _sharpes(chosen, found), _sharpes(1.0 - chosen, found)
        overfitted += _below_median(one, other) + _below_median(other, one)
    return overfitted / (2 * len(halves))


@functools.cache
def _halves(blocks: int) -> FloatArray:
    """All halves that hold block 0: float64 (splits / 2, blocks) of 0 and 1; their complements are the other splits."""
    others = list(itertools.combinations(range(1, blocks), blocks // 2 - 1))
    halves = np.zeros((math.comb(blocks - 1, blocks // 2 - 1), blocks))
    halves[:, 0] = 1.0
    for row, chosen in enumerate(others):
        halves[row, list(chosen)] = 1.0
    halves.flags.writeable = False
    return halves


def _sharpes(chosen: FloatArray, found: BlockSums) -> FloatArray:
    """Sharpe ratios per bar over the chosen blocks: float64 (splits, parameter sets)."""
    bars = (chosen @ found.counts)[:, np.newaxis]
    means = (chosen @ found.sums.T) / bars
    mean_squares = (chosen @ found.squares.T) / bars
    variances = mean_squares - means * means
    varied = variances > CONSTANT * mean_squares
    ratios = np.zeros_like(means)
    np.divide(means, np.sqrt(variances, where=varied, out=np.ones_like(means)), out=ratios, where=varied)
    return ratios


def _below_median(inside: FloatArray, outside: FloatArray) -> int:
    """In how many splits the best inside ranks below the middle outside (a logit below 0)."""
    best = np.argmax(inside >= inside.max(axis=1, keepdims=True) - _TIE, axis=1)
    own = np.take_along_axis(outside, best[:, np.newaxis], axis=1)
    below = np.count_nonzero(outside < own - _TIE, axis=1)
    above = np.count_nonzero(outside > own + _TIE, axis=1)
    # The average rank, over the number of sets + 1, is below one half.
    return int(np.count_nonzero(below < above))
