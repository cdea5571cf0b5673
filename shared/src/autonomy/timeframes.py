"""Lengths of bars: which timeframes there are, and how bars are named by their start.

Place in the flow: **timeframes** → strategies, files of bars, orders, the planner's count of bars. Pure; needs nothing.

A bar is named by the instant at which it starts, and known when it has ended: at start + length.
"""

from datetime import UTC, datetime
from enum import StrEnum, unique
from typing import Final


@unique
class Timeframe(StrEnum):
    """The length of a bar."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    D1 = "1d"
    W1 = "1w"


MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
MS: Final[dict[str, int]] = {
    "1m": MINUTE_MS, "3m": 3 * MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS, "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS, "2h": 120 * MINUTE_MS, "4h": 240 * MINUTE_MS, "1d": DAY_MS, "1w": 7 * DAY_MS,
}  # fmt: skip
"""Milliseconds of each timeframe, the shortest first."""
UNIT_MS: Final[dict[str, int]] = {
    name: 30 * MINUTE_MS if 60 * MINUTE_MS <= length < DAY_MS else min(length, DAY_MS) for name, length in MS.items()
}  # fmt: skip
"""On which grid bars of a timeframe start, from the first bar on: hours of exchanges begin at half past, and move with summer time."""
MONDAY_MS: Final = 4 * DAY_MS
"""The first Monday after 1970-01-01, a Thursday: weeks begin there."""
WEEKDAYS: Final = 5
YEAR_DAYS: Final = {False: 252, True: 365}
"""Days of trading in a year, by whether a market trades at weekends."""


def bar_words(start_ms: int) -> str:
    """A bar's start in words: a day, or to the minute where it is not a day's first."""
    at = datetime.fromtimestamp(start_ms / 1000, UTC)
    return at.date().isoformat() if start_ms % DAY_MS == 0 else f"{at:%Y-%m-%d %H:%M}"


def bars_name(symbol: str, timeframe: str) -> str:
    """How bars of a symbol are called in faults and disagreements."""
    return f"{symbol} {timeframe}"
