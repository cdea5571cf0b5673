"""MACD: long while the difference of two exponential means of the close is above its own exponential mean."""

from autonomy.strategy import Choice, Int, Strategy
from job_runner.engine.compiled import TIE, Bar, FloatArray, kernel

_SEEN = 0
_FAST = 1
_SLOW = 2
_SIGNAL = 3
_SIZE = 4


def state_size(params: FloatArray) -> int:  # noqa: ARG001 - the same for every template
    """Floats of state: bars seen and three exponential means."""
    return _SIZE


@kernel
def step(state: FloatArray, bar: Bar, params: FloatArray) -> int:
    """Take one bar, say the exposure wanted from the next open on.

    The means start at the first close, with weight 2 / (span + 1) for each new one.

    Args:
        state: floats of `state_size`, zeros before the first bar.
        bar: the one that has just ended.
        params: fast, slow, signal (bars), shorts allowed (0 or 1).

    Returns:
        -1, 0 or 1; 0 until slow + signal bars were seen.
    """
    close = bar.close
    seen = state[_SEEN]
    if seen == 0.0:
        state[_FAST] = close
        state[_SLOW] = close
    else:
        state[_FAST] += 2.0 / (params[0] + 1.0) * (close - state[_FAST])
        state[_SLOW] += 2.0 / (params[1] + 1.0) * (close - state[_SLOW])
    difference = state[_FAST] - state[_SLOW]
    state[_SIGNAL] += 2.0 / (params[2] + 1.0) * (difference - state[_SIGNAL])
    state[_SEEN] = seen + 1.0
    if seen + 1.0 < params[1] + params[2]:
        return 0
    gap = difference - state[_SIGNAL]
    if gap > TIE * close:
        return 1
    if gap < -TIE * close and params[3] != 0.0:
        return -1
    return 0


class Macd(Strategy):
    """Long while the difference of two exponential means is above its own mean."""

    name, version = "macd", 1
    title = "MACD"
    fast = Int(12, 2, 100, "bars", "span of the fast exponential mean")
    slow = Int(26, 3, 200, "bars", "span of the slow exponential mean")
    signal = Int(9, 2, 100, "bars", "span of the signal line")
    direction = Choice("long", ("long", "long-short"), "flat or short while it is below")
    orderings = (("fast", "slow"),)
    warm_up = ("slow", "signal")
    step, state_size = staticmethod(step), staticmethod(state_size)
