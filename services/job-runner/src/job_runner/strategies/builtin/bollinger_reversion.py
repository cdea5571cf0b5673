"""Bollinger reversion: buy below the lower band, leave at the mean; mirrored above the upper band for shorts."""

import math

from autonomy.strategy import Choice, Float, Int, Strategy
from job_runner.engine.compiled import TIE, Bar, FloatArray, kernel

_SEEN = 0
_SLOT = 1
_ANCHOR = 2
_SUM = 3
_SQUARES = 4
_POSITION = 5
_RING = 6


def state_size(params: FloatArray) -> int:
    """Floats of state: six numbers and a ring of `period` closes."""
    return _RING + int(params[0])


@kernel
def _remember(state: FloatArray, close: float, period: int) -> None:
    """Move the window by one close; sums are of distances from an anchor, so that squares keep their digits."""
    seen = state[_SEEN]
    slot = int(state[_SLOT])
    if seen == 0.0:
        state[_ANCHOR] = close
    if seen >= period:
        leaving = state[_RING + slot] - state[_ANCHOR]
        state[_SUM] -= leaving
        state[_SQUARES] -= leaving * leaving
    entering = close - state[_ANCHOR]
    state[_SUM] += entering
    state[_SQUARES] += entering * entering
    state[_RING + slot] = close
    following = state[_SLOT] + 1.0
    if following == period:
        # A new anchor and fresh sums once per window: rounding cannot pile up over the years.
        following = 0.0
        state[_ANCHOR] = close
        state[_SUM] = 0.0
        state[_SQUARES] = 0.0
        for place in range(period):
            distance = state[_RING + place] - close
            state[_SUM] += distance
            state[_SQUARES] += distance * distance
    state[_SEEN] = seen + 1.0
    state[_SLOT] = following


@kernel
def step(state: FloatArray, bar: Bar, params: FloatArray) -> int:
    """Take one bar, say the exposure wanted from the next open on.

    Bands: mean of the last `period` closes, this one included, plus and minus `width` population standard deviations.

    Args:
        state: floats of `state_size`, zeros before the first bar.
        bar: the one that has just ended.
        params: period (bars), width (standard deviations), shorts allowed (0 or 1).

    Returns:
        -1, 0 or 1; 0 until `period` bars were seen.
    """
    close = bar.close
    period = int(params[0])
    _remember(state, close, period)
    if state[_SEEN] < period:
        return 0
    offset = state[_SUM] / period
    mean = state[_ANCHOR] + offset
    deviation = math.sqrt(max(state[_SQUARES] / period - offset * offset, 0.0))
    position = state[_POSITION]
    if (position > 0.0 and close >= mean) or (position < 0.0 and close <= mean):
        position = 0.0
    if deviation > TIE * mean:
        if close < mean - params[1] * deviation:
            position = 1.0
        elif close > mean + params[1] * deviation and params[2] != 0.0:
            position = -1.0
    state[_POSITION] = position
    return int(position)


class BollingerReversion(Strategy):
    """Buys below the lower band, leaves at the mean."""

    name, version = "bollinger-reversion", 1
    title = "Bollinger reversion"
    period = Int(20, 3, 200, "bars", "length of mean and deviation")
    width = Float(2, 0.5, 5, "standard deviations", "distance of the bands from the mean")
    direction = Choice("long", ("long", "long-short"), "whether it also sells above the upper band")
    warm_up = ("period",)
    step, state_size = staticmethod(step), staticmethod(state_size)
