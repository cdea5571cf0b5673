"""Statistics against independent libraries."""

import math

import empyrical
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skfolio.measures import deflated_sharpe_ratio, probabilistic_sharpe_ratio

from job_runner.engine.account import Account, Costs, Tally
from job_runner.engine.compiled import FloatArray
from job_runner.engine.fills import Simulation, simulate
from job_runner.engine.scoring import running_sums
from job_runner.engine.statistics import (
    CONSTANT,
    cagr_fraction,
    deflated_sharpe,
    expected_best_sharpe,
    finite,
    probabilistic_sharpe,
    return_metrics,
    returns_of,
    sharpe_of_sums,
    simulation_metrics,
)
from support.strategies import program


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


def both_paths(returns: FloatArray) -> list[tuple[float | None, float | None]]:
    """Sharpe and Sortino from the array, and from sums as a pass over bars keeps them: in order, one by one."""
    total = squares = downside = 0.0
    for change in returns.tolist():
        total += change
        squares += change * change
        downside += min(change, 0.0) ** 2
    account, tally = Account(1.0), Tally(len(returns) + 1.0, 1.0, 1.0, 0.0, total, squares, downside)
    kept = simulation_metrics(Simulation(np.ones(1), np.zeros(1, dtype=np.int8), np.zeros((0, 8)), account, tally), 1.0).on_returns
    fresh = return_metrics(returns)
    running = running_sums(returns)
    cut = sharpe_of_sums(float(running[0, -1]), float(running[1, -1]), len(returns), float(running[1, -1]))
    return [
        (kept.sharpe_annualised, kept.sortino_annualised), (fresh.sharpe_annualised, fresh.sortino_annualised),
        (cut, fresh.sortino_annualised),
    ]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(2, 3_000), level=st.floats(-0.05, 0.05),
    spread=st.one_of(st.just(0.0), st.floats(-17, -7).map(lambda power: 10.0**power), st.floats(1e-4, 0.1)),
)  # fmt: skip
def test_returns_that_do_not_vary_have_no_ratio_whichever_way_it_is_worked_out(seed: int, count: int, level: float, spread: float) -> None:
    returns = level + spread * np.random.default_rng(seed).standard_normal(count)
    size, wide = math.sqrt(float(np.mean(returns**2))), float(returns.std())
    if CONSTANT / 4 < (wide / max(size, 1e-300)) ** 2 < CONSTANT * 4 or 1e-16 < wide < 1e-14:
        return  # at the threshold itself rounding decides
    found = both_paths(returns)
    varied = wide > max(math.sqrt(CONSTANT) * size, 1e-15)
    for sharpe, sortino in found:
        assert (sharpe is not None) is varied, (found, wide, size)
        if not varied:
            assert sortino is None
        if sharpe is not None:
            assert abs(sharpe) < 2e6
            assert sharpe == pytest.approx(found[1][0], rel=1e-4, abs=1e-6)
        assert sortino is None or sortino == pytest.approx(found[1][1], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("level", [0.01, -0.01, 0.003, 1 / 3 / 100])
@pytest.mark.parametrize("before", [0, 500])
def test_constant_returns_have_no_sharpe_ratio_also_in_a_window_after_others_that_vary(level: float, before: int) -> None:
    """Seen: 337,592,752 from sums, and 1.96e8 in a walk-forward window."""
    returns = np.concatenate([some_returns(3, before), np.full(400, level)])
    assert returns_are_constant(returns[before:])
    running = running_sums(returns)
    total, squares = (running[:, -1] - running[:, before]).tolist()
    assert sharpe_of_sums(total, squares, 400, float(running[1, -1])) is None
    assert probabilistic_sharpe(returns[before:]) is None
    assert deflated_sharpe(returns[before:], np.array([0.1, 0.2])) is None


def returns_are_constant(returns: FloatArray) -> bool:
    return len(set(returns.tolist())) == 1


@pytest.mark.parametrize("growth", [20.0, 1e6, 1e300])
def test_growth_beyond_any_number_is_none(growth: float) -> None:
    assert cagr_fraction(growth, 1) is None
    assert cagr_fraction(1.1, 252) == pytest.approx(0.1)


@given(st.floats())
def test_finite_lets_only_finite_numbers_through(value: float) -> None:
    assert finite(value) == (value if math.isfinite(value) else None)
