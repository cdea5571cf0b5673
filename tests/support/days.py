"""Days as instants: how tests write when a bar starts."""

from datetime import UTC, date, datetime, timedelta

from autonomy.timeframes import DAY_MS
from autonomy.values import instant_of_ms, ms_of


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """An instant; of a day its first."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def utc_ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """The same in ms since 1970-01-01 UTC."""
    return ms_of(utc(year, month, day, hour, minute))


def day_ms(number: int) -> int:
    """The first instant of a day, in ms, by days since 1970-01-01."""
    return number * DAY_MS


def day_start(number: int) -> datetime:
    """The first instant of a day, by days since 1970-01-01."""
    return instant_of_ms(day_ms(number))


def day_of(number: int) -> date:
    """The day of a day number; the last day there is stands for any later one."""
    return date(1970, 1, 1) + timedelta(days=min(number, (date.max - date(1970, 1, 1)).days))
