"""Statistics against independent libraries."""

import math

import empyrical
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skfolio.measures import deflated_sharpe_ratio, probabilistic_sharpe_ratio

from job_runner.account import Costs
from job_runner.engine import simulate
from job_runner.statistics import (
    deflated_sharpe,
    expected_best_sharpe,
    finite,
    probabilistic_sharpe,
    return_metrics,
    returns_of,
    simulation_metrics,
)
from job_runner.strategies.compiled import FloatArray
from job_runner.strategies.dispatch import program


def some_returns(seed: int, count: int = 2_000) -> FloatArray:
    return np.random.default_rng(seed).standard_t(4, count) * 0.01 + 0.0004


@pytest.mark.parametrize("seed", range(5))
def test_return_statistics_equal_empyrical(seed: int) -> None:
    returns = some_returns(seed)
    ours = return_metrics(returns)
    assert ours.sharpe_annualised == pytest.approx(empyrical.sharpe_ratio(returns), rel=1e-12)
    assert ours.sortino_annualised == pytest.approx(empyrical.sortino_ratio(returns), rel=1e-12)
    assert ours.max_drawdown_fraction == pytest.approx(-empyrical.max_drawdown(returns), rel=1e-12)
    assert ours.cagr_fraction == pytest.approx(empyrical.cagr(returns), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_sharpe_probabilities_equal_skfolio(seed: int) -> None:
    returns = some_returns(seed)
    trials = np.random.default_rng(seed).normal(0.0, 0.02, 40)
    assert probabilistic_sharpe(returns) == pytest.approx(probabilistic_sharpe_ratio(returns), rel=1e-12)
    assert deflated_sharpe(returns, trials) == pytest.approx(deflated_sharpe_ratio(returns, trials), rel=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(20, 600),
    drift=st.floats(-0.003, 0.003),
    trials=st.integers(2, 300),
    spread=st.floats(0.001, 0.2),
)
def test_the_deflated_sharpe_ratio_equals_skfolio_by_property(seed: int, count: int, drift: float, trials: int, spread: float) -> None:
    numbers = np.random.default_rng(seed)
    returns = numbers.standard_t(5, count) * 0.01 + drift
    sharpes = numbers.normal(0.0, spread, trials)
    assert deflated_sharpe(returns, sharpes) == pytest.approx(deflated_sharpe_ratio(returns, sharpes), rel=1e-9, abs=1e-12)


def test_more_trials_deflate_more() -> None:
    returns, trials = some_returns(1), np.random.default_rng(1).normal(0.0, 0.02, 40)
    few, many = deflated_sharpe(returns, trials), deflated_sharpe(returns, trials, 4_000)
    assert few is not None
    assert many is not None
    assert many < few
    assert expected_best_sharpe(trials, 4_000) > expected_best_sharpe(trials)


@pytest.mark.parametrize("strategy", ["sma-cross", "macd", "donchian-breakout"])
def test_single_pass_statistics_equal_those_over_the_returns(strategy: str, apple: FloatArray) -> None:
    simulation = simulate(program(strategy, {}), apple, Costs(10, 5), 1e5)
    kept, fresh = simulation_metrics(simulation, 1e5).on_returns, return_metrics(returns_of(simulation.equity))
    for name in (
        "sharpe_annualised",
        "sortino_annualised",
        "cagr_fraction",
        "total_return_fraction",
        "max_drawdown_fraction",
    ):
        assert getattr(kept, name) == pytest.approx(getattr(fresh, name), rel=1e-11), name


def test_trade_statistics_follow_from_the_trades(apple: FloatArray) -> None:
    simulation = simulate(program("macd", {}), apple, Costs(10, 5), 1e5)
    metrics = simulation_metrics(simulation, 1e5)
    pnl = simulation.trades[:, 7]
    assert metrics.trades == len(pnl)
    assert metrics.win_rate_fraction == pytest.approx(np.mean(pnl > 0))
    assert metrics.profit_factor == pytest.approx(pnl[pnl > 0].sum() / -pnl[pnl <= 0].sum())
    assert metrics.bars_per_trade == pytest.approx(np.mean(simulation.trades[:, 1] - simulation.trades[:, 0]))


@pytest.mark.parametrize("returns", [np.zeros(0), np.zeros(1), np.zeros(50), np.full(50, 0.01), np.array([-1.0, 0.0, 0.0])])
def test_what_does_not_exist_is_none_and_never_nan(returns: FloatArray) -> None:
    metrics = return_metrics(returns)
    for name in (
        "sharpe_annualised",
        "sortino_annualised",
        "cagr_fraction",
        "total_return_fraction",
        "max_drawdown_fraction",
    ):
        value = getattr(metrics, name)
        assert value is None or math.isfinite(value), name
    assert probabilistic_sharpe(np.zeros(50)) is None


@given(st.floats())
def test_finite_lets_only_finite_numbers_through(value: float) -> None:
    assert finite(value) == (value if math.isfinite(value) else None)
