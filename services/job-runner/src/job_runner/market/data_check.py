"""What is odd about bars that are valid: said with every result, never a reason to refuse them.

Role: pure. A split that nobody adjusted for, a change of unit, months without a bar: such bars can be read and traded, and what is found
on them means little.
"""

from typing import Final

import numpy as np

from autonomy.timeframes import DAY_MS, MS, YEAR_DAYS, bar_words
from job_runner.market.sources import Bars

LARGEST_STEP: Final = 1.9
"""An open this many times the close before it, or the inverse: a split of two for one, less an overnight move."""
LONGEST_GAP_DAYS: Final = 14
"""Days between two bars; the longest closed seasons of exchanges, and September 2001, stay below it."""
NEAR: Final = 0.05
MAX_SHOWN: Final = 3
SPLITS: Final = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 50, 100, 1000)


def findings_of(bars: Bars) -> tuple[str, ...]:
    """What is odd about these bars, in words, the most telling first; at most MAX_SHOWN of a kind and the count of the rest."""
    return (*_jumps(bars), *_gaps(bars), *_missing(bars), *bars.notes)


def _jumps(bars: Bars) -> list[str]:
    steps = bars.open[1:] / bars.close[:-1]
    inside = bars.close / bars.open
    found = [
        (int(place) + 1, float(steps[place]), f"close {bars.close[place]:g} of the bar before to open {bars.open[place + 1]:g}")
        for place in np.flatnonzero(_is_far(steps))
    ]  # fmt: skip
    found += [
        (int(place), float(inside[place]), f"open {bars.open[place]:g} to close {bars.close[place]:g} of the same bar")
        for place in np.flatnonzero(_is_far(inside))
    ]  # fmt: skip
    return _shown(
        [f"{bar_words(int(bars.time[place]))} jumps {_times(step)} ({where}){_split(step)}" for place, step, where in sorted(found)]
    )


def _is_far(steps: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    return (steps > LARGEST_STEP) | (steps < 1.0 / LARGEST_STEP)


def _times(step: float) -> str:
    return f"× {step:.3g}" if step >= 1.0 else f"÷ {1.0 / step:.3g}"


def _split(step: float) -> str:
    size = max(step, 1.0 / step)
    near = any(abs(size / whole - 1.0) < NEAR for whole in SPLITS)
    return ": a split that the prices are not adjusted for, or another unit?" if near else ""


def _gaps(bars: Bars) -> list[str]:
    days = np.diff(bars.time) / DAY_MS
    return _shown([
        f"no bars for {int(days[place])} days, from {bar_words(int(bars.time[place]))} to {bar_words(int(bars.time[place + 1]))}"
        for place in np.flatnonzero(days > LONGEST_GAP_DAYS)
    ])  # fmt: skip


def _missing(bars: Bars) -> list[str]:
    """Of a market that never closes every bar is expected."""
    length = MS[bars.timeframe]
    if length >= DAY_MS or bars.bars_per_year != YEAR_DAYS[True] * DAY_MS // length or len(bars) < 2:
        return []
    steps = np.diff(bars.time)
    missing = int((bars.time[-1] - bars.time[0]) // length) + 1 - len(bars)
    if not missing:
        return []
    place = int(np.argmax(steps))
    ends = f"{bar_words(int(bars.time[place]))} to {bar_words(int(bars.time[place + 1]))}"
    return [f"{missing} bars are missing ({missing / (missing + len(bars)):.2%}), most of them in a row from {ends}"]


def _shown(found: list[str]) -> list[str]:
    return found if len(found) <= MAX_SHOWN else [*found[:MAX_SHOWN], f"and {len(found) - MAX_SHOWN} more like the last"]
