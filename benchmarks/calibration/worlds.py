"""Markets without any timing to be had, and markets with an edge planted for one strategy.

Three kinds of noise: real bars in random order, a random walk with fat tails and clustered volatility, and blocks of real bars with
their drift kept, never longer than their source. An edge is planted neutrally to the market: after each decision the next bar is moved by
`drift` times the target less its running mean, so that who only holds gains nothing by it.

Source: R-G4; docs/gates.md.
"""

import math
from functools import cache
from typing import Final, Literal

import numpy as np

from job_runner.engine.compiled import BAR_SIZE, FloatArray
from job_runner.engine.programs import StepProgram
from job_runner.market.sources import END_OF_TIME_MS, EmbeddedMarketData
from job_runner.research.permuting import moves_of

Noise = Literal["permuted", "walk", "blocks"]
SOURCES: Final = ("AAPL", "GOOG", "IBM", "MSFT")
MEAN_BLOCK_BARS: Final = 21
VOLATILITY: Final = 0.015


@cache
def real_moves(symbol: str) -> FloatArray:
    """What each bar of a real stock did: float64 (n, BAR_SIZE)."""
    return moves_of(EmbeddedMarketData().bars(symbol, "1d", END_OF_TIME_MS).rows())


def noise(kind: Noise, number: int, bars: int, seed: int) -> FloatArray:
    """A market of at most so many bars: float64 (n, BAR_SIZE); the same for the same arguments."""
    draw = np.random.default_rng([seed, number, ("permuted", "walk", "blocks").index(kind)])
    if kind == "walk":
        return rows_of(walk_moves(draw, bars))
    moves = real_moves(SOURCES[number % len(SOURCES)])
    count = min(bars, len(moves))
    places = draw.permutation(len(moves))[:count] if kind == "permuted" else block_places(draw, len(moves), count)
    return rows_of(moves[places])


def block_places(draw: np.random.Generator, source: int, count: int) -> np.ndarray:
    """Places of a stationary bootstrap (Politis and Romano 1994)."""
    jumps = draw.random(count) < 1.0 / MEAN_BLOCK_BARS
    jumps[0] = True
    starts = draw.integers(0, source, count)
    places = np.empty(count, dtype=np.int64)
    for i in range(count):
        places[i] = starts[i] if jumps[i] else (places[i - 1] + 1) % source
    return places


def walk_moves(draw: np.random.Generator, bars: int) -> FloatArray:
    """A random walk: t-distributed returns (4 degrees of freedom) around nothing, with volatility that comes in clusters."""
    level = np.empty(bars)
    level[0] = 0.0
    shocks = draw.normal(0.0, 0.2, bars)
    for i in range(1, bars):
        level[i] = 0.97 * level[i - 1] + shocks[i]
    size = VOLATILITY * np.exp(0.5 * level - 0.34)
    returns = np.expm1(np.clip(draw.standard_t(4, bars) / math.sqrt(2.0) * size, -0.4, 0.4))
    returns -= returns.mean()
    gap = 1.0 + draw.normal(0.0, 0.3, bars) * size
    close = 1.0 + returns
    spread = np.abs(draw.normal(0.0, 0.5, (2, bars))) * size
    high, low = np.maximum(gap, close) * (1.0 + spread[0]), np.minimum(gap, close) / (1.0 + spread[1])
    return np.stack([gap, high, low, close, np.full(bars, 1e6)], axis=1)


def rows_of(moves: FloatArray) -> FloatArray:
    """The market that makes these moves, from 100 on: float64 (n, BAR_SIZE)."""
    closes = 100.0 * np.cumprod(moves[:, 3])
    before = np.concatenate([[100.0], closes[:-1]])
    rows = np.empty((len(moves), BAR_SIZE))
    rows[:, :4] = moves[:, :4] * before[:, None]
    rows[:, 4] = moves[:, 4]
    return np.ascontiguousarray(rows)


def planted(program: StepProgram, number: int, bars: int, drift: float, seed: int) -> FloatArray:
    """A walk in which the strategy's own timing pays: float64 (bars, BAR_SIZE).

    Args:
        program: whose decisions the market follows.
        number: of the world.
        bars: how many.
        drift: of the next bar per unit of the target above its running mean, a fraction.
        seed: of the whole run.
    """
    moves = walk_moves(np.random.default_rng([seed, number, 3]), bars)
    decider, rows, close, held = program.begin(), np.empty((bars, BAR_SIZE)), 100.0, 0.0
    push = 1.0
    for i in range(bars):
        rows[i, :4] = moves[i, :4] * close
        rows[i, 1:4] *= push
        rows[i, 1], rows[i, 2] = max(rows[i, 1], rows[i, 0]), min(rows[i, 2], rows[i, 0])
        rows[i, 4] = moves[i, 4]
        close = float(rows[i, 3])
        target = decider.observe(rows[i : i + 1])
        held += target
        push = 1.0 + drift * (target - held / (i + 1))
    return rows
