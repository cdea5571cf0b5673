"""Donchian breakout: buy a close above the channel of the bars before, leave below a shorter one; or mirrored."""

from autonomy.strategy import Choice, Int, Strategy
from job_runner.engine.compiled import Bar, FloatArray, kernel

_SEEN = 0
_SLOT = 1
_POSITION = 2
# Four running extremes, each a value and the number of the bar it stands on. Lows are kept negated: one rule serves
# both.
_ENTRY_HIGH = 3
_EXIT_HIGH = 5
_ENTRY_LOW = 7
_EXIT_LOW = 9
_RINGS = 11


def state_size(params: FloatArray) -> int:
    """Floats of state: eleven numbers and two rings of `entry` highs and lows."""
    return _RINGS + 2 * int(params[0])


@kernel
def _raise_extreme(state: FloatArray, place: int, ring: int, ring_size: int, length: int, value: float) -> None:
    """Keep the highest of the last `length` values at `place`; looks through the ring when the old one has left."""
    seen = state[_SEEN]
    if seen == 0.0 or value >= state[place]:
        state[place] = value
        state[place + 1] = seen
    elif state[place + 1] <= seen - length:
        slot = int(state[_SLOT])
        best = value
        best_bar = seen
        for back in range(1, length):
            at = slot - back
            if at < 0:
                at += ring_size
            if state[ring + at] > best:
                best = state[ring + at]
                best_bar = seen - back
        state[place] = best
        state[place + 1] = best_bar


@kernel
def step(state: FloatArray, bar: Bar, params: FloatArray) -> int:
    """Take one bar, say the exposure wanted from the next open on.

    Args:
        state: floats of `state_size`, zeros before the first bar.
        bar: the one that has just ended.
        params: entry, exit (bars), shorts allowed (0 or 1).

    Returns:
        -1, 0 or 1; 0 until entry + 1 bars were seen.
    """
    close = bar.close
    entry = int(params[0])
    leave = int(params[1])
    position = state[_POSITION]
    # The channels are those of the bars before this one; this bar joins them below.
    if state[_SEEN] >= entry:
        if (position > 0.0 and close < -state[_EXIT_LOW]) or (position < 0.0 and close > state[_EXIT_HIGH]):
            position = 0.0
        if close > state[_ENTRY_HIGH]:
            position = 1.0
        elif close < -state[_ENTRY_LOW] and params[2] != 0.0:
            position = -1.0
    state[_POSITION] = position
    slot = int(state[_SLOT])
    lows = _RINGS + entry
    _raise_extreme(state, _ENTRY_HIGH, _RINGS, entry, entry, bar.high)
    _raise_extreme(state, _EXIT_HIGH, _RINGS, entry, leave, bar.high)
    _raise_extreme(state, _ENTRY_LOW, lows, entry, entry, -bar.low)
    _raise_extreme(state, _EXIT_LOW, lows, entry, leave, -bar.low)
    state[_RINGS + slot] = bar.high
    state[lows + slot] = -bar.low
    following = state[_SLOT] + 1.0
    state[_SLOT] = following if following < params[0] else 0.0
    state[_SEEN] += 1.0
    return int(position)


class DonchianBreakout(Strategy):
    """Buys a close above the highest high of the bars before, leaves below the lowest low of fewer bars."""

    name, version = "donchian-breakout", 1
    title = "Donchian breakout"
    entry = Int(20, 3, 250, "bars", "length of the entry channel")
    exit = Int(10, 2, 249, "bars", "length of the exit channel")
    direction = Choice("long", ("long", "long-short"), "whether it also sells a close below the entry channel")
    orderings = (("exit", "entry"),)
    warm_up = ("entry", 1)
    step, state_size = staticmethod(step), staticmethod(state_size)
