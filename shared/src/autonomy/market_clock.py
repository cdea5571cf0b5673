"""The market clock: which day it is for every gate, job and runner, and when a later day comes.

Pure functions of the policy, the epoch (recorded at the first tick) and a tick's `now`. Days are counted from 1970-01-01.

Source: docs/architecture.md, "Market clock".
"""

import base64
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from autonomy.errors import BadInput
from autonomy.events import SymbolBars
from autonomy.policy import MarketPolicy

EPOCH_DAY: Final = date(1970, 1, 1)
DAY_MS: Final = 86_400_000
WEEKDAYS: Final = 5


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH_DAY).days


def day_of(number: int) -> date:
    """The day of a day number; the last day there is stands for any later one."""
    return EPOCH_DAY + timedelta(days=min(number, (date.max - EPOCH_DAY).days))


def market_day(policy: MarketPolicy, epoch_ms: int, now_ms: int) -> int:
    """The last day whose bar the market has shown at `now_ms`."""
    if policy.mode == "LIVE":
        return now_ms // DAY_MS - 1
    steps = max(0, (now_ms - epoch_ms) * 1000 // _us_per_bar(policy))
    return min(_add_weekdays(day_number(policy.start), steps), day_number(policy.end))


def wall_ms_of_day(policy: MarketPolicy, epoch_ms: int, day: int) -> int | None:
    """When the market clock reaches a day; None when it never does."""
    if policy.mode == "LIVE":
        return (day + 1) * DAY_MS
    if day > day_number(policy.end):
        return None
    steps = _weekdays_between(day_number(policy.start), day)
    # Rounded up: at the promised instant the bar is there, never a moment later.
    return epoch_ms - (-steps * _us_per_bar(policy) // 1000)


def continued_epoch_ms(before: MarketPolicy, after: MarketPolicy, epoch_ms: int, now_ms: int) -> int:
    """The epoch under another market policy: the market goes on from where it stands, at the new speed. The past is never moved.

    Raises:
        BadInput: under the new policy the market would have to go back.
    """
    if after == before:
        return epoch_ms
    stands = market_day(before, epoch_ms, now_ms)
    if after.mode == "LIVE":
        if market_day(after, epoch_ms, now_ms) < stands:
            raise BadInput("market.mode", f"LIVE is before {day_of(stands)}, where the market stands: it never goes back", after.mode)
        return epoch_ms
    if day_number(after.end) < stands:
        raise BadInput("market.end", f"must not be before {day_of(stands)}, where the market stands: it never goes back", after.end)
    if day_number(after.start) > stands:
        return now_ms
    part_us = 0
    if before.mode == "REPLAY" and stands < day_number(before.end):
        part_us = (now_ms - epoch_ms) * 1000 % _us_per_bar(before) * _us_per_bar(after) // _us_per_bar(before)
    shown_us = _weekdays_between(day_number(after.start), stands) * _us_per_bar(after)
    # Whole milliseconds: never so few that the market would stand a bar earlier.
    return now_ms - max((shown_us + part_us) // 1000, -(-shown_us // 1000))


def _us_per_bar(policy: MarketPolicy) -> int:
    """Whole microseconds, so that both directions of the clock agree exactly."""
    return max(1, round(policy.seconds_per_bar * 1_000_000))


def market_instant(day: int) -> datetime:
    """A day of the market clock as an instant, for documents."""
    return datetime.fromtimestamp(day * 86_400, UTC)


def weekday_index(day: int) -> int:
    """How many weekdays lie between 1970-01-01 and a day: the grid on which refreshes are spread."""
    weeks, rest = divmod(day + 3, 7)
    return weeks * WEEKDAYS + min(rest, WEEKDAYS)


def day_of_weekday_index(index: int) -> int:
    """The first day with this `weekday_index`."""
    weeks, rest = divmod(index, WEEKDAYS)
    return weeks * 7 + rest - 3


def _add_weekdays(day: int, steps: int) -> int:
    return day_of_weekday_index(weekday_index(day) + steps)


def _weekdays_between(start: int, day: int) -> int:
    return max(0, weekday_index(day) - weekday_index(start))


def pack_days(days: tuple[int, ...]) -> str:
    """Days as a bitmap from the first one, base64: 13 years of bars are 800 characters."""
    bits = bytearray((days[-1] - days[0]) // 8 + 1)
    for day in days:
        bits[(day - days[0]) // 8] |= 1 << ((day - days[0]) % 8)
    return base64.b64encode(bytes(bits)).decode()


@lru_cache(maxsize=4096)
def unpack_days(first: int, packed: str) -> tuple[int, ...]:
    """The days of a bitmap that starts at day `first`, rising."""
    bits = base64.b64decode(packed)
    return tuple(first + number for number in range(len(bits) * 8) if bits[number // 8] >> (number % 8) & 1)


def days_of(bars: SymbolBars) -> tuple[int, ...]:
    """The days that have a bar, rising."""
    return unpack_days(day_number(bars.first), bars.days)


def bars_until(bars: SymbolBars, day: int) -> int:
    """How many bars the market has shown up to and including a day."""
    return bisect_right(days_of(bars), day)
