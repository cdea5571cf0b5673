"""The scoring pass is the full pass to the last bit, also where it gives up and asks it; and it is worth having."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autonomy.errors import BadInput
from job_runner.engine.account import Costs
from job_runner.engine.compiled import Bar, FloatArray, IntArray
from job_runner.engine.fills import simulate, simulate_targets
from job_runner.engine.scoring import Scored, score_program, score_targets, scored_by_rows
from job_runner.strategies.builtin import sma_cross
from support.research import some_rows
from support.strategies import program, strategy_names

CASH = 100_000.0


def same(one: Scored, other: Scored) -> bool:
    """Equal to the last bit."""
    numbers = ("equity_usd", "max_drawdown", "trades", "ruined", "finite")
    return (
        np.array_equal(one.sums, other.sums)
        and np.array_equal(one.squares, other.squares)
        and all(getattr(one, name) == getattr(other, name) for name in numbers)
    )


def some_edges(bars: int, rng: np.random.Generator) -> IntArray:
    return np.unique(rng.integers(0, bars, rng.integers(0, 30))).astype(np.int64)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 500), st.sampled_from([0.0, 0.01, 0.3]), st.floats(0, 200), st.floats(0, 200))
def test_random_decisions_score_as_the_full_pass(seed: int, bars: int, volatility: float, fee_bps: float, slippage_bps: float) -> None:
    rows = some_rows(bars, seed, volatility)
    rng = np.random.default_rng(seed)
    targets = np.repeat(rng.integers(-1, 2, bars), rng.integers(1, 30, bars))[:bars].astype(np.int8)
    edges, costs = some_edges(bars, rng), Costs(fee_bps, slippage_bps)
    assert same(score_targets(targets, rows, costs, CASH, edges), scored_by_rows(simulate_targets(targets, rows, costs, CASH), edges))


@pytest.mark.parametrize("strategy", strategy_names())
def test_every_strategy_scores_as_the_full_pass(strategy: str, apple: FloatArray) -> None:
    for direction in ("long", "long-short"):
        prepared = program(strategy, {"direction": direction})
        edges = np.array([0, 1, 77, 500, len(apple) - 1], dtype=np.int64)
        assert same(
            score_program(prepared, apple, Costs(10, 5), CASH, edges),
            scored_by_rows(simulate(prepared, apple, Costs(10, 5), CASH), edges),
        )


def test_a_ruined_account_and_prices_that_overflow_score_as_the_full_pass() -> None:
    ruin = np.ascontiguousarray(np.repeat(np.array([100.0, 100.0, 250.0, 50.0, 50.0])[:, None], 5, axis=1))
    edges = np.arange(5, dtype=np.int64)
    short = np.full(5, -1, dtype=np.int8)
    scored = score_targets(short, ruin, Costs(0, 0), 1_000.0, edges)
    assert scored.ruined
    assert same(scored, scored_by_rows(simulate_targets(short, ruin, Costs(0, 0), 1_000.0), edges))
    # What no float holds is no score, and no ruin either.
    tiny = np.ascontiguousarray(np.repeat(np.array([1e-310, 1e-310, 1e300, 1.0, 1.0])[:, None], 5, axis=1))
    assert not score_targets(np.ones(5, dtype=np.int8), tiny, Costs(0, 0), 1_000.0, edges).finite


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 900), st.integers(2, 40), st.integers(1, 60), st.booleans())
def test_means_without_a_ring_decide_and_leave_the_state_of_the_step(seed: int, bars: int, fast: int, more: int, both: bool) -> None:
    rows = some_rows(bars, seed)
    prepared = program("sma-cross", {"fast": fast, "slow": fast + more, "direction": "long-short" if both else "long"})
    state, whole, targets = np.zeros(prepared.state_size), np.zeros(prepared.state_size), np.zeros(bars, dtype=np.int8)
    one_by_one = [sma_cross.step(state, Bar(*row), prepared.params) for row in rows.tolist()]
    prepared.loop(rows, whole, prepared.params, targets)
    assert targets.tolist() == one_by_one
    assert np.array_equal(whole, state)


def test_a_pass_that_begins_in_the_middle_goes_on_from_the_state() -> None:
    rows = some_rows(300)
    prepared = program("sma-cross", {"fast": 5, "slow": 20})
    state, targets = np.zeros(prepared.state_size), np.zeros(300, dtype=np.int8)
    sma_cross.decide_all(rows[:111].copy(), state, prepared.params, targets[:111])
    sma_cross.decide_all(rows[111:].copy(), state, prepared.params, targets[111:])
    assert np.array_equal(targets, simulate(prepared, rows, Costs(0, 0), CASH).targets)


def test_decisions_of_another_shape_are_refused() -> None:
    with pytest.raises(BadInput, match="targets"):
        score_targets(np.zeros(4, dtype=np.int8), some_rows(5), Costs(0, 0), CASH, np.zeros(0, dtype=np.int64))


def test_a_score_takes_less_than_the_full_pass() -> None:
    rows, prepared = some_rows(8_000), program("sma-cross", {})
    edges = np.linspace(1, 7_999, 27).astype(np.int64)

    def best(call: object) -> float:
        times = []
        for _ in range(100):
            started = time.perf_counter()
            call()  # type: ignore[operator]
            times.append(time.perf_counter() - started)
        return min(times)

    scored = best(lambda: score_program(prepared, rows, Costs(10, 5), CASH, edges))
    full = best(lambda: scored_by_rows(simulate(prepared, rows, Costs(10, 5), CASH), edges))
    assert scored < full
