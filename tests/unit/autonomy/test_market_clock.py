"""The market clock: a day for every instant, an instant for every day, and the two agree."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.events import SymbolBars
from autonomy.market_clock import (
    DAY_MS,
    bars_until,
    day_number,
    day_of,
    day_of_weekday_index,
    days_of,
    market_day,
    market_instant,
    pack_days,
    unpack_days,
    wall_ms_of_day,
    weekday_index,
)
from autonomy.policy import MarketPolicy
from support.builders import NOON_MS, a_symbol, trading_days

REPLAY = MarketPolicy()
START, END = day_number(date(2010, 1, 4)), day_number(date(2013, 3, 1))
LIVE = MarketPolicy(mode="LIVE")
DAYS = st.integers(day_number(date(1990, 1, 1)), day_number(date(2040, 1, 1)))


def at(seconds: float, policy: MarketPolicy = REPLAY) -> date:
    """The market day after so many seconds of a replay."""
    return day_of(market_day(policy, NOON_MS, NOON_MS + round(seconds * 1000)))


def test_replay_begins_at_its_start_and_shows_one_weekday_per_step() -> None:
    assert at(0) == at(14.999) == date(2010, 1, 4)
    assert at(15) == date(2010, 1, 5)
    assert at(4 * 15) == date(2010, 1, 8)


def test_replay_skips_weekends() -> None:
    assert at(5 * 15) == date(2010, 1, 11)


def test_replay_stops_at_its_end() -> None:
    assert at(10_000_000) == date(2013, 3, 1)
    assert wall_ms_of_day(REPLAY, NOON_MS, END + 1) is None


def test_replay_before_its_epoch_shows_its_start() -> None:
    assert at(-3600) == date(2010, 1, 4)


def test_live_shows_the_day_before() -> None:
    midnight = day_number(date(2026, 11, 22)) * DAY_MS
    assert day_of(market_day(LIVE, 0, midnight)) == date(2026, 11, 21)
    assert day_of(market_day(LIVE, 0, midnight - 1)) == date(2026, 11, 20)


@given(DAYS, st.sampled_from([1.0, 15.0, 0.1, 0.0333, 1.1, 86_400.0, 0.000007, 7.77]))
def test_promised_instant_is_the_first_that_shows_the_day(day: int, seconds_per_bar: float) -> None:
    """One millisecond too early, and a refresh would run on bytes that were tested already."""
    policy = MarketPolicy(seconds_per_bar=seconds_per_bar)
    wall = wall_ms_of_day(policy, NOON_MS, day)
    if wall is None:
        assert day > END
        return
    # A weekend day is shown by the Monday after it, the end by itself.
    assert market_day(policy, NOON_MS, wall) >= min(day, END)
    if wall > NOON_MS:
        assert market_day(policy, NOON_MS, wall - 1) < day


@given(DAYS)
def test_live_promise_is_the_first_instant_that_shows_the_day(day: int) -> None:
    wall = wall_ms_of_day(LIVE, 0, day)
    assert wall is not None
    assert (market_day(LIVE, 0, wall), market_day(LIVE, 0, wall - 1)) == (day, day - 1)


@given(st.floats(0, 10**9), st.floats(0, 10**6))
def test_market_never_goes_back(seconds: float, more: float) -> None:
    assert at(seconds) <= at(seconds + more)


@pytest.mark.parametrize("seconds_per_bar", [5e-324, 1e-9, 86_400.0])
def test_any_allowed_speed_has_a_day(seconds_per_bar: float) -> None:
    policy = MarketPolicy(seconds_per_bar=seconds_per_bar)
    assert START <= market_day(policy, NOON_MS, NOON_MS + 10**9) <= END


def test_start_on_a_weekend_begins_on_monday() -> None:
    policy = MarketPolicy(start=date(2010, 1, 2))
    assert at(0, policy) == date(2010, 1, 4)


@given(DAYS)
def test_weekday_index_counts_weekdays(day: int) -> None:
    is_weekday = day_of(day).weekday() < 5
    assert weekday_index(day + 1) - weekday_index(day) == is_weekday
    if is_weekday:
        assert day_of_weekday_index(weekday_index(day)) == day


@given(st.sets(st.integers(-20_000, 20_000), min_size=1, max_size=300))
def test_bitmap_gives_back_its_days(days: set[int]) -> None:
    rising = tuple(sorted(days))
    assert unpack_days(rising[0], pack_days(rising)) == rising


def test_packed_bitmap_is_what_a_record_may_hold() -> None:
    bars = a_symbol("IBM")
    assert SymbolBars.model_validate_json(bars.model_dump_json(by_alias=True)) == bars
    assert len(bars.days) < 1_000


def test_bars_until_counts_the_day_itself_and_no_later_one() -> None:
    bars = a_symbol("FB")
    days = trading_days(date(2012, 5, 18))
    assert days_of(bars) == days
    assert bars_until(bars, days[0] - 1) == 0
    assert bars_until(bars, days[0]) == 1
    assert bars_until(bars, days[-1] + 50) == len(days)


def test_market_day_as_an_instant() -> None:
    assert market_instant(START) == datetime(2010, 1, 4, tzinfo=UTC)
