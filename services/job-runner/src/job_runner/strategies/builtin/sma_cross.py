"""SMA cross: long while the fast mean of closes is above the slow one."""

import numpy as np

from autonomy.strategy import Choice, Int, Strategy
from job_runner.engine.compiled import CLOSE, TIE, Bar, FloatArray, SmallIntArray, bar_at, kernel

_SEEN = 0
_SLOT = 1
_FAST_SUM = 2
_SLOW_SUM = 3
_RING = 4
_WINDOWS_AFRESH = 8.0


def state_size(params: FloatArray) -> int:
    """Floats of state: four numbers and a ring of `slow` closes."""
    return _RING + int(params[1])


@kernel
def sign_of(fast_sum: float, slow_sum: float, params: FloatArray) -> int:
    """The exposure that two full sums of closes call for."""
    level = slow_sum * params[0]
    gap = fast_sum * params[1] - level
    band = TIE * level
    if gap > band:
        return 1
    if gap < -band and params[2] != 0.0:
        return -1
    return 0


@kernel
def step(state: FloatArray, bar: Bar, params: FloatArray) -> int:
    """Take one bar, say the exposure wanted from the next open on.

    Args:
        state: floats of `state_size`, zeros before the first bar.
        bar: the one that has just ended.
        params: fast, slow (bars), shorts allowed (0 or 1).

    Returns:
        -1, 0 or 1; 0 until `slow` bars were seen.
    """
    fast = int(params[0])
    slow = int(params[1])
    seen = state[_SEEN] + 1.0
    slot = int(state[_SLOT])
    close = bar.close
    # What comes and what goes are taken together first: only one addition waits for the sum of the bar before.
    slow_change = close
    if seen > params[1]:
        slow_change -= state[np.uintp(_RING + slot)]
    fast_change = close
    if seen > params[0]:
        leaving = slot - fast
        if leaving < 0:
            leaving += slow
        fast_change -= state[np.uintp(_RING + leaving)]
    slow_sum = state[_SLOW_SUM] + slow_change
    fast_sum = state[_FAST_SUM] + fast_change
    state[np.uintp(_RING + slot)] = close
    following = state[_SLOT] + 1.0
    if following == params[1]:
        following = 0.0
        if seen % (params[1] * _WINDOWS_AFRESH) == 0.0:
            # Summed afresh now and then, so that rounding cannot pile up over the years.
            slow_sum = 0.0
            fast_sum = 0.0
            for place in range(slow):
                slow_sum += state[_RING + place]
            for place in range(slow - fast, slow):
                fast_sum += state[_RING + place]
    state[_SEEN] = seen
    state[_SLOT] = following
    state[_FAST_SUM] = fast_sum
    state[_SLOW_SUM] = slow_sum
    if seen < params[1]:
        return 0
    return sign_of(fast_sum, slow_sum, params)


@kernel
def decide_all(rows: FloatArray, state: FloatArray, params: FloatArray, targets: SmallIntArray) -> None:
    """`step` over all bars, with the same sums in the same order; what leaves a mean is looked up in the rows.

    Without the ring, which each bar reads from and writes to, both sums stay in registers: a third of the time.

    Args:
        rows: float64 (n, BAR_SIZE).
        state: floats of `state_size`, written as `step` leaves them.
        params: as of `step`.
        targets: int8 (n), written.
    """
    if state[_SEEN] != 0.0:
        for i in range(rows.shape[0]):
            targets[np.uintp(i)] = step(state, bar_at(rows, i), params)
        return
    fast, slow, count = int(params[0]), int(params[1]), rows.shape[0]
    fast_sum, slow_sum = 0.0, 0.0
    for i in range(min(slow, count)):
        fast_change = rows[i, CLOSE]
        if i >= fast:
            fast_change -= rows[i - fast, CLOSE]
        slow_sum += rows[i, CLOSE]
        fast_sum += fast_change
        targets[i] = 0
    if count >= slow:
        targets[slow - 1] = sign_of(fast_sum, slow_sum, params)
    afresh = slow * int(_WINDOWS_AFRESH)
    begin = slow
    while begin < count:
        # Up to the bar before the one at which the sums are made afresh.
        end = min((begin // afresh + 1) * afresh - 1, count)
        for i in range(begin, end):
            close = rows[np.uintp(i), CLOSE]
            slow_sum += close - rows[np.uintp(i - slow), CLOSE]
            fast_sum += close - rows[np.uintp(i - fast), CLOSE]
            targets[np.uintp(i)] = sign_of(fast_sum, slow_sum, params)
        if end < count:
            fast_sum, slow_sum = 0.0, 0.0
            for i in range(end + 1 - slow, end + 1):
                slow_sum += rows[i, CLOSE]
            for i in range(end + 1 - fast, end + 1):
                fast_sum += rows[i, CLOSE]
            targets[end] = sign_of(fast_sum, slow_sum, params)
        begin = end + 1
    for i in range(max(count - slow, 0), count):
        state[_RING + i % slow] = rows[i, CLOSE]
    state[_SEEN] = count
    state[_SLOT] = count % slow
    state[_FAST_SUM] = fast_sum
    state[_SLOW_SUM] = slow_sum


class SmaCross(Strategy):
    """Long while the fast mean of closes is above the slow one."""

    name, version = "sma-cross", 1
    title = "SMA cross"
    fast = Int(20, 2, 200, "bars", "length of the fast mean")
    slow = Int(50, 3, 400, "bars", "length of the slow mean")
    direction = Choice("long", ("long", "long-short"), "flat or short while the fast mean is below")
    orderings = (("fast", "slow"),)
    warm_up = ("slow",)
    step, steps, state_size = staticmethod(step), staticmethod(decide_all), staticmethod(state_size)
