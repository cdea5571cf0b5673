"""RSI reversion: buy when the relative strength index is low, sell when it is high."""

from autonomy.strategy import Choice, Float, Int, Strategy
from job_runner.engine.compiled import Bar, FloatArray, kernel

_SEEN = 0
_LAST_CLOSE = 1
_GAIN = 2
_LOSS = 3
_POSITION = 4
_SIZE = 5


def state_size(params: FloatArray) -> int:  # noqa: ARG001 - the same for every template
    """Floats of state: bars seen, last close, two smoothed moves, wanted exposure."""
    return _SIZE


@kernel
def step(state: FloatArray, bar: Bar, params: FloatArray) -> int:
    """Take one bar, say the exposure wanted from the next open on.

    Wilder's smoothing: the mean of the first `period` moves, then (period - 1) parts of it and one of each new move.
    The index 100 * gain / (gain + loss) is compared without dividing; with no move at all it is neither low nor high.

    Args:
        state: floats of `state_size`, zeros before the first bar.
        bar: the one that has just ended.
        params: period (bars), lower, upper (index points), shorts allowed (0 or 1).

    Returns:
        -1, 0 or 1; 0 until period + 1 bars were seen.
    """
    close = bar.close
    period = params[0]
    moves = state[_SEEN]
    state[_SEEN] = moves + 1.0
    move = close - state[_LAST_CLOSE]
    state[_LAST_CLOSE] = close
    if moves == 0.0:
        return 0
    gain = max(move, 0.0)
    loss = max(-move, 0.0)
    if moves <= period:
        state[_GAIN] += gain / period
        state[_LOSS] += loss / period
    else:
        state[_GAIN] = (state[_GAIN] * (period - 1.0) + gain) / period
        state[_LOSS] = (state[_LOSS] * (period - 1.0) + loss) / period
    if moves < period:
        return 0
    strength = 100.0 * state[_GAIN]
    whole = state[_GAIN] + state[_LOSS]
    if strength < params[1] * whole:
        state[_POSITION] = 1.0
    elif strength > params[2] * whole:
        state[_POSITION] = -1.0 if params[3] != 0.0 else 0.0
    return int(state[_POSITION])


class RsiReversion(Strategy):
    """Buys when the relative strength index is low, sells when it is high."""

    name, version = "rsi-reversion", 1
    title = "RSI reversion"
    period = Int(14, 2, 100, "bars", "length of Wilder's smoothing")
    lower = Float(30, 1, 49, "index points", "buy below")
    upper = Float(70, 51, 99, "index points", "sell above")
    direction = Choice("long", ("long", "long-short"), "flat or short after a sell")
    orderings = (("lower", "upper"),)
    warm_up = ("period", 1)
    step, state_size = staticmethod(step), staticmethod(state_size)
