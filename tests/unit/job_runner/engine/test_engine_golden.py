"""The engine against values that two other engines gave once, on bars of a recorded generator.

Neither is installed here (one is AGPL, the other is barred from selling a hosted service), so their answers stand as constants. They were
taken on 2026-11-25 from vectorbt 1.2.0 (`Portfolio.from_signals`, signals shifted by one bar, `price=open`, fees 0.001, USD 1,000,000) and
backtesting.py 0.6.6 (`commission=0.001`, one unit), SMA 20/50 on the closes, decided at a close and filled at the next open.

Source: docs/adr/0014-golden-values-of-a-recorded-generator.md.
"""

import numpy as np
import pytest

from job_runner.engine.account import (
    TRADE_ENTRY_PRICE,
    TRADE_EXIT_PRICE,
    TRADE_PNL,
    Costs,
)
from job_runner.engine.compiled import CLOSE, FloatArray
from job_runner.engine.fills import Simulation, simulate, simulate_targets
from support.strategies import program

CASH = 1_000_000.0
FEE = 0.001
CLOSED = 94
ALL_IN = {0.0: 509198.7193111155, 5.0: 463283.1715273582}
"""Final equity of the whole account in every position, by slippage in bp: vectorbt."""
ALL_IN_SHORT = 548173.1143422271
"""The same going short where the other goes long: vectorbt."""
ONE_UNIT = 999954.672937982
"""Final equity with one unit in every position: backtesting.py, and vectorbt to 1e-15."""
FIRST_PNL = (-26539.184202671477, -49098.13721145969, -88019.71299899394)
MAX_DRAWDOWN = 0.6411165423655482


@pytest.fixture(scope="module")
def rows() -> FloatArray:
    """8,000 bars of a geometric random walk, seed 7; what numpy draws from a seed is part of its promise."""
    numbers = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(numbers.normal(0.0002, 0.012, 8_000)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(numbers.normal(0.0, 0.002, 8_000))
    high = np.maximum(open_, close) * np.exp(np.abs(numbers.normal(0.0, 0.003, 8_000)))
    low = np.minimum(open_, close) * np.exp(-np.abs(numbers.normal(0.0, 0.003, 8_000)))
    return np.ascontiguousarray(np.stack([open_, high, low, close, np.ones(8_000)], axis=1))


def run(rows: FloatArray, slippage_bps: float = 0.0) -> Simulation:
    return simulate(program("sma-cross", {"fast": 20, "slow": 50}), rows, Costs(10.0, slippage_bps), CASH)


@pytest.mark.parametrize("slippage_bps", ALL_IN)
def test_longs_end_where_the_other_engine_ends(rows: FloatArray, slippage_bps: float) -> None:
    ours = run(rows, slippage_bps)
    assert len(ours.trades) == CLOSED
    assert ours.account.units > 0  # and one more is open
    assert ours.tally.equity == pytest.approx(ALL_IN[slippage_bps], rel=1e-12)


def test_single_trades_and_the_drawdown_are_the_other_engines(rows: FloatArray) -> None:
    ours = run(rows)
    assert ours.trades[:3, TRADE_PNL].tolist() == pytest.approx(list(FIRST_PNL), rel=1e-10)
    assert ours.tally.max_drawdown == pytest.approx(MAX_DRAWDOWN, rel=1e-12)


def test_shorts_end_where_the_other_engine_ends(rows: FloatArray) -> None:
    ours = simulate_targets(-run(rows).targets, rows, Costs(10.0, 0.0), CASH)
    assert len(ours.trades) == CLOSED
    assert ours.tally.equity == pytest.approx(ALL_IN_SHORT, rel=1e-12)


def one_unit(ours: Simulation, rows: FloatArray) -> float:
    """What the same fills give with one unit each: only prices and bars of the fills count, no sizing."""
    entries, exits = ours.trades[:, TRADE_ENTRY_PRICE], ours.trades[:, TRADE_EXIT_PRICE]
    closed = float((exits * (1 - FEE) - entries * (1 + FEE)).sum())
    return CASH + closed + float(rows[-1, CLOSE]) - ours.account.entry_price * (1 + FEE)


def test_fills_are_those_of_a_third_engine(rows: FloatArray) -> None:
    assert one_unit(run(rows), rows) == pytest.approx(ONE_UNIT, rel=1e-14)


def test_fills_at_the_deciding_close_would_show(rows: FloatArray) -> None:
    """Negative control: the same decisions filled a bar too early, as a look-ahead does."""
    early = np.append(run(rows).targets[1:], np.int8(0)).astype(np.int8)
    ours = simulate_targets(early, rows, Costs(10.0, 0.0), CASH)
    assert one_unit(ours, rows) != pytest.approx(ONE_UNIT, rel=1e-7)
    assert ours.tally.equity != pytest.approx(ALL_IN[0.0], rel=1e-3)
