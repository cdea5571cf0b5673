"""Timing: the bot among markets of its own bars in random order.

Source: R-G4; docs/gates.md.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job_runner.engine.account import Costs
from job_runner.engine.compiled import CLOSE, FloatArray
from job_runner.engine.fills import simulate
from job_runner.engine.programs import StepProgram
from job_runner.engine.statistics import returns_of, sharpe_per_bar
from job_runner.research.permuting import moves_of, permute_market
from job_runner.research.report import SuiteSize, Timing
from job_runner.research.timing import t_of, timing
from support.research import some_rows
from support.strategies import program

COSTS = Costs(10.0, 5.0)
SIZE = SuiteSize()


class Counted:
    """Work that is only counted."""

    def __init__(self) -> None:
        self.bars = 0

    def done(self, bars: int) -> None:
        self.bars += bars


def permuted(rows: FloatArray, seed: int, number: int) -> FloatArray:
    moves = moves_of(rows)
    market = np.empty_like(moves)
    permute_market(moves, np.uint64(seed), number, np.empty(len(moves), dtype=np.int64), market)
    return market


def timed(strategy: StepProgram, rows: FloatArray, size: SuiteSize = SIZE, seed: int = 11) -> Timing:
    returns = returns_of(simulate(strategy, rows, COSTS, 1.0).equity)
    return timing(strategy, rows, returns, COSTS, size, seed, Counted())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**48 - 1), st.integers(0, 10_000), st.integers(3, 400))
def test_a_permuted_market_has_each_bar_once_and_the_same_gain(seed: int, number: int, bars: int) -> None:
    rows = some_rows(bars)
    market = permuted(rows, seed, number)
    assert np.sort(moves_of(np.vstack([[[0, 0, 0, 100.0, 0]], market]))[:, CLOSE]) == pytest.approx(np.sort(moves_of(rows)[:, CLOSE]))
    assert market[-1, CLOSE] / 100.0 == pytest.approx(rows[-1, CLOSE] / rows[0, CLOSE])
    assert sorted(market[:, 4]) == sorted(rows[1:, 4])
    assert np.array_equal(market, permuted(rows, seed, number))


def test_every_order_of_the_bars_comes_equally_often() -> None:
    """Twenty-four orders of four bars, 24,000 markets: chi² with 23 degrees of freedom is below 50 in 99.9 %."""
    rows = some_rows(5)
    seen = Counter(tuple(permuted(rows, 5, number)[:, CLOSE].round(9)) for number in range(24_000))
    assert len(seen) == 24
    assert sum((count - 1_000) ** 2 / 1_000 for count in seen.values()) < 50


def test_z_and_p_are_what_the_markets_say_one_by_one() -> None:
    rows, strategy = some_rows(600, seed=3), program("sma-cross", {"fast": 5, "slow": 20})
    size = replace(SIZE, permuted_markets=80, hopeless_after=100)
    found = timed(strategy, rows, size)
    own = sharpe_per_bar(returns_of(simulate(strategy, rows, COSTS, 1.0).equity)) or 0.0
    others = np.array([
        sharpe_per_bar(returns_of(simulate(strategy, permuted(rows, 11, number), COSTS, 1.0).equity)) or 0.0 for number in range(80)
    ])  # fmt: skip
    assert found.markets == 80
    assert found.z == pytest.approx((own - others.mean()) / others.std(ddof=1), rel=1e-9)
    assert found.p_value == (1 + int(np.count_nonzero(others >= own))) / 81


def test_timing_that_is_there_is_found_and_all_markets_are_tried() -> None:
    numbers = np.random.default_rng(1)
    drift = np.where(np.arange(1_500) // 60 % 2 == 0, 0.004, -0.004)
    close = 100.0 * np.exp(np.cumsum(drift + numbers.normal(0.0, 0.008, 1_500)))
    open_ = np.concatenate([[100.0], close[:-1]])
    rows = np.ascontiguousarray(np.stack([open_, np.maximum(open_, close), np.minimum(open_, close), close, np.ones(1_500)], axis=1))
    found = timed(program("sma-cross", {"fast": 5, "slow": 20}), rows)
    assert found.markets == 1_000
    assert found.z is not None
    assert found.z > 5.0
    assert found.p_value == 1 / 1_001


def test_markets_that_only_rise_are_no_timing_and_most_are_not_looked_at_further() -> None:
    """Negative control: each bot earns a Sharpe ratio above 1.5 of its market's drift alone."""
    strategy, tried = program("sma-cross", {"fast": 5, "slow": 20}), []
    for seed in range(1, 9):
        rows = some_rows(1_500, seed=seed, volatility=0.005)
        rows[:, :4] *= np.exp(0.0008 * np.arange(1_500))[:, None]
        own = sharpe_per_bar(returns_of(simulate(strategy, rows, COSTS, 1.0).equity)) or 0.0
        assert own * 252**0.5 > 1.5
        found = timed(strategy, rows)
        assert (found.z or 0.0) < 2.9
        tried.append(found.markets)
    assert set(tried) == {SIZE.hopeless_after, SIZE.permuted_markets}
    assert tried.count(SIZE.hopeless_after) == 6


def test_a_bot_that_never_trades_has_no_z() -> None:
    rows = some_rows(300)
    rows[:, :4] = 100.0
    assert timed(program("sma-cross", {}), rows) == Timing(None, 1.0, SIZE.hopeless_after, 11)


def test_t_is_the_sharpe_ratio_times_the_root_of_the_returns() -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.01, 400)
    assert t_of(returns) == pytest.approx(returns.mean() / returns.std(ddof=1) * 20.0)
    assert t_of(np.zeros(400)) is None
