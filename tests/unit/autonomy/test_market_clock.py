"""The market clock: an instant of the market for every instant of the wall, and back, and the two agree."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.errors import BadInput
from autonomy.market_clock import (
    continued_epoch_ms,
    day_number,
    day_of_weekday_index,
    market_ms,
    ms_of_day,
    wall_ms_of,
    weekday_index,
)
from autonomy.policy import MarketPolicy
from autonomy.timeframes import DAY_MS, MS
from support.builders import NOON_MS
from support.days import day_of, utc_ms

REPLAY = MarketPolicy()
HOUR_MS = MS["1h"]
END_MS = ms_of_day(date(2013, 3, 1)) + DAY_MS
LIVE = MarketPolicy(mode="LIVE")
INSTANTS = st.one_of(
    st.integers(day_number(date(1990, 1, 1)), day_number(date(2040, 1, 1))).map(lambda day: day * DAY_MS),
    st.integers(utc_ms(1990, 1, 1), utc_ms(2040, 1, 1)),
)
SPEEDS = st.sampled_from([1.0, 15.0, 0.1, 0.0333, 1.1, 86_400.0, 0.000007, 7.77])


def shown(seconds: float, policy: MarketPolicy = REPLAY) -> date:
    """The last day whose bar is shown after so many seconds of a replay."""
    return day_of((market_ms(policy, NOON_MS, NOON_MS + round(seconds * 1000)) - DAY_MS) // DAY_MS)


def last_weekday(seconds: float, policy: MarketPolicy = REPLAY) -> date:
    """The same of a market that is closed at weekends."""
    day = shown(seconds, policy)
    return day_of(day_number(day) - max(0, day.weekday() - 4))


def test_replay_begins_at_its_start_and_shows_one_weekday_per_step() -> None:
    assert shown(0) == shown(14.999) == date(2010, 1, 4)
    assert shown(15) == date(2010, 1, 5)
    assert last_weekday(4 * 15) == date(2010, 1, 8)


def test_replay_goes_through_a_day_evenly() -> None:
    assert market_ms(REPLAY, NOON_MS, NOON_MS) == utc_ms(2010, 1, 5)
    assert market_ms(REPLAY, NOON_MS, NOON_MS + 7_500) == utc_ms(2010, 1, 5, 12)


def test_what_a_weekend_had_is_shown_when_monday_begins() -> None:
    assert market_ms(REPLAY, NOON_MS, NOON_MS + 4 * 15_000 - 1) < utc_ms(2010, 1, 9)
    assert market_ms(REPLAY, NOON_MS, NOON_MS + 4 * 15_000) == utc_ms(2010, 1, 11)
    assert wall_ms_of(REPLAY, NOON_MS, utc_ms(2010, 1, 10)) == NOON_MS + 4 * 15_000
    assert last_weekday(5 * 15) == date(2010, 1, 11)


def test_replay_stops_at_its_end() -> None:
    assert shown(10_000_000) == date(2013, 3, 1)
    assert wall_ms_of(REPLAY, NOON_MS, END_MS + 1) is None


def test_replay_before_its_epoch_shows_its_start() -> None:
    assert shown(-3600) == date(2010, 1, 4)


@given(INSTANTS, SPEEDS)
def test_promised_instant_is_the_first_that_shows_it(instant: int, seconds_per_bar: float) -> None:
    """One millisecond too early, and a refresh would run on bytes that were tested already."""
    policy = MarketPolicy(seconds_per_bar=seconds_per_bar)
    wall = wall_ms_of(policy, NOON_MS, instant)
    if wall is None:
        assert instant > END_MS
        return
    assert market_ms(policy, NOON_MS, wall) >= instant
    if wall > NOON_MS:
        assert market_ms(policy, NOON_MS, wall - 1) < instant


@given(INSTANTS)
def test_live_is_now(instant: int) -> None:
    assert market_ms(LIVE, 0, instant) == wall_ms_of(LIVE, 0, instant) == instant


@given(st.floats(0, 10**9), st.floats(0, 10**6))
def test_market_never_goes_back(seconds: float, more: float) -> None:
    assert shown(seconds) <= shown(seconds + more)


@given(st.integers(0, 40_000_000), SPEEDS, SPEEDS)
def test_another_speed_goes_on_from_where_the_market_stands(elapsed_ms: int, before: float, after: float) -> None:
    old, new, now_ms = MarketPolicy(seconds_per_bar=before), MarketPolicy(seconds_per_bar=after), NOON_MS + elapsed_ms
    stood = market_ms(old, NOON_MS, now_ms)
    epoch_ms = continued_epoch_ms(old, new, NOON_MS, now_ms)
    assert market_ms(new, epoch_ms, now_ms) >= stood
    # Never further than the ms of the wall into which it is rounded up.
    assert market_ms(new, epoch_ms, now_ms - 1) <= stood


def test_the_market_is_never_taken_back() -> None:
    now_ms = NOON_MS + 3_600_000
    with pytest.raises(BadInput, match=r"market\.end.*2010-12-0"):
        continued_epoch_ms(REPLAY, MarketPolicy(end=date(2010, 11, 1)), NOON_MS, now_ms)


@pytest.mark.parametrize("seconds_per_bar", [5e-324, 1e-9, 86_400.0])
def test_any_allowed_speed_has_an_instant(seconds_per_bar: float) -> None:
    policy = MarketPolicy(seconds_per_bar=seconds_per_bar)
    assert utc_ms(2010, 1, 4) <= market_ms(policy, NOON_MS, NOON_MS + 10**9) <= END_MS


def test_start_on_a_weekend_begins_on_monday() -> None:
    assert shown(0, MarketPolicy(start=date(2010, 1, 2))) == date(2010, 1, 4)


@given(st.integers(day_number(date(1990, 1, 1)), day_number(date(2040, 1, 1))))
def test_weekday_index_counts_weekdays(day: int) -> None:
    is_weekday = day_of(day).weekday() < 5
    assert weekday_index(day + 1) - weekday_index(day) == is_weekday
    if is_weekday:
        assert day_of_weekday_index(weekday_index(day)) == day
