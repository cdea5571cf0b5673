"""Where a position leaves by itself: stop and target from the plan's rows and from the fill, rounded to the venue's steps.

Role: compiled functions of the bar's fills. No level is minus or plus infinity, so that it is never reached.

Source: docs/fills.md, rules 5 and 6.
"""

import math

import numpy as np

from job_runner.engine.book import (
    LOT,
    LOTS_PER_UNIT,
    NET_OF_FEES,
    STOP_LOSS,
    TAKER,
    TICK,
    TICKS_PER_USD,
    TRAIL_OWN_BAR,
    TRAILING,
    TRAILING_OFFSET,
)
from job_runner.engine.compiled import FloatArray, kernel

# A step more or less that rounding alone makes: 0.3 / 0.1 is 2.9999999999999996.
_TOLERANCE = 1e-9
_OF_FLOATS = 4.5e-16


@kernel
def in_steps(value: float, step: float, per_one: float) -> float:
    """How many steps make this value."""
    return value * per_one if per_one > 0.0 else value / step


@kernel
def of_steps(count: float, step: float, per_one: float) -> float:
    """The value of so many steps: the decimal nearest to it, where a whole number of steps makes 1."""
    return count / per_one if per_one > 0.0 else count * step


@kernel
def rounded(price: float, direction: float, contract: FloatArray) -> float:
    """A price on the venue's ticks.

    Args:
        price: in USD; infinite for none.
        direction: above 0 rounds up, below 0 down, 0 to the nearest.
        contract: see `book`.
    """
    tick = contract[TICK]
    if tick == 0.0 or math.isinf(price):
        return price
    steps = in_steps(price, tick, contract[TICKS_PER_USD])
    tolerance = _TOLERANCE + _OF_FLOATS * steps
    if direction > 0.0:
        count = np.ceil(steps - tolerance)
    elif direction < 0.0:
        count = np.floor(steps + tolerance)
    else:
        count = np.floor(steps + 0.5)
    return of_steps(count, tick, contract[TICKS_PER_USD])


@kernel
def in_lots(size: float, contract: FloatArray) -> float:
    """Units that can be sent: rounded toward zero to whole lots."""
    lot = contract[LOT]
    if lot == 0.0:
        return size
    lots = in_steps(size, lot, contract[LOTS_PER_UNIT])
    return of_steps(np.floor(lots + (_TOLERANCE + _OF_FLOATS * lots)), lot, contract[LOTS_PER_UNIT])


@kernel
def stop_of(side: float, entry: float, best: float, planned: float, contract: FloatArray) -> float:
    """The stop that is reached first, on the tick toward the market. See `stop_between_ticks`."""
    return rounded(stop_between_ticks(side, entry, best, planned, contract), side, contract)


@kernel
def stop_between_ticks(side: float, entry: float, best: float, planned: float, contract: FloatArray) -> float:
    """The stop that is reached first, before it is rounded.

    Args:
        side: 1 for long, -1 for short.
        entry: mean entry price, USD.
        best: highest high (lowest low) of the bars before, since the entry.
        planned: the plan's own price; NaN for none.
        contract: see `book`.
    """
    level = fixed_stop(side, entry, planned, contract)
    if contract[TRAILING] > 0.0 and trails(side, entry, best, contract):
        trailed = best * (1.0 - side * contract[TRAILING])
        if (trailed - level) * side > 0.0:
            level = trailed
    return level


@kernel
def fixed_stop(side: float, entry: float, planned: float, contract: FloatArray) -> float:
    """The stop that is reached first of those that do not trail, before it is rounded."""
    level = -side * np.inf
    if contract[STOP_LOSS] > 0.0:
        level = entry * (1.0 - side * contract[STOP_LOSS])
    # Nothing compares with NaN: no price of the plan's changes nothing.
    return planned if (planned - level) * side > 0.0 else level


@kernel
def has_trailed(side: float, entry: float, planned: float, stop: float, contract: FloatArray) -> bool:
    """Whether this stop is where it is since it followed the price, and a target goes before such a one: only with the switch."""
    if contract[TRAIL_OWN_BAR] == 0.0:
        return False
    return (stop - rounded(fixed_stop(side, entry, planned, contract), side, contract)) * side > 0.0


@kernel
def is_new(age_minutes: float, steps: FloatArray) -> bool:
    """Whether a later row of `take_profit_after` comes into force at this very open."""
    found = False
    for row in range(steps.shape[1]):
        if steps[0, row] == age_minutes and age_minutes > 0.0:
            found = True
    return found


@kernel
def trails(side: float, entry: float, best: float, contract: FloatArray) -> bool:
    """Whether the position was far enough in gain for its trailing stop."""
    offset = contract[TRAILING_OFFSET]
    if offset == 0.0:
        return True
    return (best - with_fees(side, entry, offset, contract)) * side >= 0.0


@kernel
def with_fees(side: float, entry: float, gain: float, contract: FloatArray) -> float:
    """The price at which a position has gained this fraction; after both fees where the switch says so."""
    if contract[NET_OF_FEES] != 0.0:
        fee: float = contract[TAKER]
        return entry * (1.0 + side * fee) * (1.0 + side * gain) / (1.0 - side * fee)
    return entry * (1.0 + side * gain)


@kernel
def target_of(side: float, entry: float, age_minutes: float, planned: float, contract: FloatArray, steps: FloatArray) -> float:
    """The target that is reached first, on the tick away from the market. See `target_between_ticks`."""
    level = target_between_ticks(side, entry, age_minutes, planned, contract, steps)
    # What is compared with a gain after fees is the gain itself; the price is rounded when it is filled.
    return level if contract[NET_OF_FEES] != 0.0 else rounded(level, side, contract)


@kernel
def target_between_ticks(side: float, entry: float, age_minutes: float, planned: float, contract: FloatArray, steps: FloatArray) -> float:
    """The target that is reached first, before it is rounded.

    Args:
        side: 1 for long, -1 for short.
        entry: mean entry price, USD.
        age_minutes: since the entry's bar began.
        planned: the plan's own price; NaN for none.
        contract: see `book`.
        steps: float64 (2, rows): minutes, rising, and fractions.
    """
    level = side * np.inf
    gain = np.nan
    for row in range(steps.shape[1]):
        if steps[0, row] <= age_minutes:
            gain = steps[1, row]
    if not math.isnan(gain):
        level = with_fees(side, entry, gain, contract)
    return planned if (level - planned) * side > 0.0 else level
