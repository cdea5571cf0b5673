"""PBO by CSCV: equal to an independent library, and what it means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from purgedcv import probability_of_backtest_overfitting

from autonomy.errors import BadInput
from job_runner.engine.compiled import FloatArray
from job_runner.research import overfitting
from job_runner.research.overfitting import block_edges, block_sums, overfitting_probability


def noise(seed: int, sets: int, bars: int) -> FloatArray:
    return np.random.default_rng(seed).standard_t(4, (sets, bars)) * 0.01


def ours(returns: FloatArray, blocks: int) -> float | None:
    return overfitting_probability(block_sums(returns, blocks))


@pytest.mark.parametrize(("seed", "sets", "bars", "blocks"), [(0, 12, 240, 8), (1, 30, 503, 8), (2, 2, 100, 4), (3, 9, 1001, 10)])
def test_it_equals_purgedcv_on_fixed_cases(seed: int, sets: int, bars: int, blocks: int) -> None:
    returns = noise(seed, sets, bars)
    assert ours(returns, blocks) == probability_of_backtest_overfitting(returns, n_splits=blocks).pbo


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    sets=st.integers(2, 14),
    bars=st.integers(16, 90),
    blocks=st.sampled_from([2, 4, 6]),
    edge=st.floats(0.0, 0.02),
    twins=st.booleans(),
    idle=st.booleans(),
)
def test_it_equals_purgedcv_by_property(seed: int, sets: int, bars: int, blocks: int, edge: float, twins: bool, idle: bool) -> None:
    returns = noise(seed, sets, bars)
    returns[0] += edge
    if twins:
        # The very same decisions out of other parameters: ties in and out of sample.
        returns[-1] = returns[0]
    if idle and sets > 2:
        returns[1] = 0.0
    assert ours(returns, blocks) == probability_of_backtest_overfitting(returns, n_splits=blocks).pbo


def test_an_edge_is_not_overfitting_and_a_fit_to_one_half_is() -> None:
    returns = noise(5, 20, 1_600)
    assert 0.2 < (ours(returns, 16) or 0.0) < 0.9
    edge = returns.copy()
    edge[7] += 0.004
    assert ours(edge, 16) == 0.0
    # Each set is brilliant in one block of the sixteen and poor elsewhere: chosen for what does not come again.
    fitted = returns[:16] - 0.002
    for block in range(16):
        fitted[block, block * 100 : (block + 1) * 100] += 0.05
    assert (ours(fitted, 16) or 0.0) > 0.95


def test_the_work_may_be_cut_anyhow(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = noise(1, 25, 800)
    whole = ours(returns, 12)
    monkeypatch.setattr(overfitting, "_CHUNK_RATIOS", 100)
    assert ours(returns, 12) == whole


def test_too_little_to_say_is_none() -> None:
    assert ours(noise(1, 1, 100), 8) is None
    assert ours(noise(1, 5, 7), 8) is None
    assert ours(noise(1, 5, 8), 8) is not None


def test_blocks_are_even_bounded_and_cover_every_bar() -> None:
    assert block_edges(10, 4).tolist() == [0, 3, 6, 8, 10]
    for blocks in (0, 3, 22):
        with pytest.raises(BadInput, match="blocks"):
            block_edges(100, blocks)
