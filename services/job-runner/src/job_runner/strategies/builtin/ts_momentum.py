"""Time-series momentum: long while the close is above the close of `window` bars ago by more than a threshold."""

from autonomy.strategy import Choice, Float, Int, Strategy
from job_runner.engine.compiled import TIE, Bar, FloatArray, kernel

_SEEN = 0
_SLOT = 1
_RING = 2


def state_size(params: FloatArray) -> int:
    """Floats of state: two numbers and a ring of `window` closes."""
    return _RING + int(params[0])


@kernel
def step(state: FloatArray, bar: Bar, params: FloatArray) -> int:
    """Take one bar, say the exposure wanted from the next open on.

    Args:
        state: floats of `state_size`, zeros before the first bar.
        bar: the one that has just ended.
        params: window (bars), threshold (percent), shorts allowed (0 or 1).

    Returns:
        -1, 0 or 1; 0 until window + 1 bars were seen.
    """
    close = bar.close
    slot = int(state[_SLOT])
    earlier = state[_RING + slot]
    state[_RING + slot] = close
    following = state[_SLOT] + 1.0
    state[_SLOT] = following if following < params[0] else 0.0
    state[_SEEN] += 1.0
    if state[_SEEN] <= params[0]:
        return 0
    margin = earlier * (params[1] / 100.0 + TIE)
    if close > earlier + margin:
        return 1
    if close < earlier - margin and params[2] != 0.0:
        return -1
    return 0


class TsMomentum(Strategy):
    """Long while the close is above the close of some bars ago."""

    name, version = "ts-momentum", 1
    title = "Time-series momentum"
    window = Int(120, 2, 400, "bars", "how far back the comparison reaches")
    threshold = Float(0, 0, 50, "percent", "smallest move that counts")
    direction = Choice("long", ("long", "long-short"), "flat or short while it is below")
    warm_up = ("window", 1)
    step, state_size = staticmethod(step), staticmethod(state_size)
