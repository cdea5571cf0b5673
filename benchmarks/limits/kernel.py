"""The bare kernel: decide at the close, fill at the next open, mark and count, in one compiled pass over arrays that exist already.

As lean as one can be: means from running sums of the closes that were made once, no row of equity, no trades, no state.
"""

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def _pass(open_: Any, close: Any, sums: Any, fast: int, slow: int, fee: float, cash: float) -> tuple[float, float, float, float, float]:
    units, target, held = 0.0, 0, 0
    peak, drawdown, total, squares, downside, exposed = cash, 0.0, 0.0, 0.0, 0.0, 0.0
    last = cash
    for i in range(close.shape[0]):
        if target != held:
            price = open_[i]
            if held == 1:
                cash += units * price * (1.0 - fee)
                units = 0.0
            if target == 1:
                units = cash / (price * (1.0 + fee))
                cash = 0.0
            held = target
        value = cash + units * close[i]
        change = value / last - 1.0
        total += change
        squares += change * change
        loss = min(change, 0.0)
        downside += loss * loss
        peak = max(peak, value)
        drawdown = max(drawdown, 1.0 - value / peak)
        if held != 0:
            exposed += 1.0
        last = value
        if i >= slow - 1:
            target = 1 if (sums[i + 1] - sums[i + 1 - fast]) * slow > (sums[i + 1] - sums[i + 1 - slow]) * fast else 0
    bars = close.shape[0] - 1
    mean = total / bars
    spread = ((squares - total * mean) / (bars - 1)) ** 0.5
    return mean / spread * 252**0.5, mean / (downside / bars) ** 0.5 * 252**0.5, drawdown, exposed / bars, last


def ready(open_: Any, close: Any, fee: float) -> tuple[Callable[[], float], float]:
    """A compiled backtest with SMA 20/50, Sharpe, Sortino, drawdown and exposure, whose calls give their seconds; and its final equity.

    `fee` is a fraction a side.
    """
    compiled: Any = numba.njit(_pass)
    sums = np.concatenate([[0.0], np.cumsum(close)])
    equity_at_end = compiled(open_, close, sums, 20, 50, fee, 1e5)[-1]

    def once() -> float:
        started = time.perf_counter()
        compiled(open_, close, sums, 20, 50, fee, 1e5)
        return time.perf_counter() - started

    return once, float(equity_at_end)
