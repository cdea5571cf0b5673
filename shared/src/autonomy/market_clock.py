"""The market clock: which instant it is for every gate, job and runner, and when a later one comes.

Pure functions of the policy, the epoch (recorded at the first tick) and a tick's `now`. Instants are milliseconds since 1970-01-01 UTC; a
bar is named by its start and shown from start + length on. A replay goes through weekdays only: what recorded markets did at a weekend is
shown with the first moment of Monday.

Source: docs/architecture.md, "Market clock".
"""

from datetime import date
from typing import Final

from autonomy.errors import BadInput
from autonomy.policy import MarketPolicy
from autonomy.timeframes import DAY_MS, WEEKDAYS, bar_words

EPOCH_DAY: Final = date(1970, 1, 1)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH_DAY).days


def ms_of_day(day: date) -> int:
    """The first instant of a day."""
    return day_number(day) * DAY_MS


def market_ms(policy: MarketPolicy, epoch_ms: int, now_ms: int) -> int:
    """Up to which instant the market has been shown at `now_ms`."""
    if policy.mode == "LIVE":
        return now_ms
    end_ms = ms_of_day(policy.end) + DAY_MS
    days, rest_us = divmod(max(0, (now_ms - epoch_ms) * 1000), _us_per_day(policy))
    # The first day of a replay has been shown when it begins.
    return min(_add_weekdays(day_number(policy.start), days + 1) * DAY_MS + rest_us * DAY_MS // _us_per_day(policy), end_ms)


def wall_ms_of(policy: MarketPolicy, epoch_ms: int, instant_ms: int) -> int | None:
    """When the market clock reaches an instant; None when it never does."""
    if policy.mode == "LIVE":
        return instant_ms
    if instant_ms > ms_of_day(policy.end) + DAY_MS:
        return None
    first = _add_weekdays(day_number(policy.start), 1)
    # Of the last moment before it: what ends with a Friday is there before Monday begins, at one and the same wall time.
    day, rest_ms = divmod(instant_ms - 1, DAY_MS)
    steps, us = _weekdays_between(first, day), _us_per_day(policy)
    into_us = -(-(rest_ms + 1) * us // DAY_MS) if weekday_index(day + 1) > weekday_index(day) else 0
    # Rounded up: at the promised instant the bar is there, never a moment later.
    return epoch_ms + (0 if instant_ms <= first * DAY_MS else -(-(steps * us + into_us) // 1000))


def continued_epoch_ms(before: MarketPolicy, after: MarketPolicy, epoch_ms: int, now_ms: int) -> int:
    """The epoch under another market policy: the market goes on from where it stands, at the new speed. The past is never moved.

    Raises:
        BadInput: under the new policy the market would have to go back.
    """
    if after == before:
        return epoch_ms
    stands = market_ms(before, epoch_ms, now_ms)
    if after.mode == "LIVE":
        if now_ms < stands:
            raise BadInput("market.mode", f"LIVE is before {bar_words(stands)}, where the market stands: it never goes back", after.mode)
        return epoch_ms
    if ms_of_day(after.end) + DAY_MS < stands:
        raise BadInput("market.end", f"must not be before {bar_words(stands)}, where the market stands: it never goes back", after.end)
    if (day_number(after.start) + 1) * DAY_MS > stands:
        return now_ms
    reached = wall_ms_of(after, 0, stands)
    return now_ms - (reached or 0)


def _us_per_day(policy: MarketPolicy) -> int:
    """Whole microseconds of wall time per weekday, so that both directions of the clock agree exactly."""
    return max(1, round(policy.seconds_per_bar * 1_000_000))


def weekday_index(day: int) -> int:
    """How many weekdays lie between 1970-01-01 and a day."""
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
