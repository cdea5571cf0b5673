"""The bare step and fill, called from Python bar by bar: two compiled functions, plain numbers in and out, nothing kept or counted."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np


def _step(state: Any, close: float, fast: int, slow: int) -> int:
    seen = int(state[0])
    state[3 + seen % slow] = close
    state[1] += close
    state[2] += close
    if seen >= fast:
        state[1] -= state[3 + (seen - fast) % slow]
    if seen >= slow - 1:
        state[2] -= state[3 + (seen + 1) % slow]
    state[0] = seen + 1.0
    if seen < slow:
        return 0
    return 1 if state[1] / fast > state[2] / slow else 0


def _fill(cash: float, units: float, target: int, price: float, fee: float) -> tuple[float, float]:
    if units > 0.0 and target == 0:
        return cash + units * price * (1.0 - fee), 0.0
    if units == 0.0 and target == 1:
        return 0.0, cash / (price * (1.0 + fee))
    return cash, units


def ready(bars: Sequence[tuple[float, float]]) -> Callable[[], float]:
    """SMA 20/50 over pairs of open and close; each call gives the seconds of one pass."""
    step: Any = numba.njit(_step)
    fill: Any = numba.njit(_fill)

    def once() -> float:
        state = np.zeros(60)
        cash, units, target = 1e5, 0.0, 0
        started = time.perf_counter()
        for open_, close in bars:
            cash, units = fill(cash, units, target, open_, 0.001)
            target = step(state, close, 20, 50)
        return time.perf_counter() - started

    once()
    return once
