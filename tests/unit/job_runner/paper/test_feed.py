"""The feed: bars in order, as the market's clock shows them, and never one that has not ended."""

import asyncio
import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from autonomy.errors import BadInput
from autonomy.events import MarketTime
from autonomy.market_clock import day_number, market_ms, ms_of_day
from autonomy.policy import MarketPolicy
from autonomy.timeframes import DAY_MS
from autonomy.values import instant_of_ms
from job_runner.market.sources import Bars
from job_runner.paper.feed import LIVE_ASKS_EVERY_MS, BarFeed, LiveFeed, ReplayFeed, build_feed
from support.days import utc_ms
from support.paper import RowsMarket, a_paper_order
from support.research import some_rows

EPOCH_MS = 1_795_000_000_000
FIRST = date(2000, 1, 4)


class Wall:
    """A wall clock that a test moves."""

    def __init__(self, at_ms: int = EPOCH_MS) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms


def a_time(mode: str = "REPLAY", start: date = FIRST, end: date = date(2013, 3, 1), seconds_per_bar: float = 10.0) -> MarketTime:
    return MarketTime.model_validate(
        {"mode": mode, "start": start, "end": end, "seconds_per_bar": seconds_per_bar, "epoch": instant_of_ms(EPOCH_MS)}
    )


def a_market(bars: int = 60, **changes: Any) -> RowsMarket:
    return replace(RowsMarket(some_rows(bars), first_day=day_number(FIRST)), **changes)


async def taken(feed: BarFeed, start_ms: int | None = None) -> list[int]:
    """The starts of all bars that can be had without waiting."""
    found: list[int] = []
    while (bar := await feed.next_after(found[-1] if found else start_ms, 0.0)) is not None:
        found.append(bar.time_ms)
    return found


@settings(max_examples=25)
@given(steps=st.lists(st.integers(0, 40_000), min_size=1, max_size=15), seconds=st.floats(0.5, 30.0))
def test_no_bar_is_ever_beyond_the_market_day_and_none_is_left_out(steps: list[int], seconds: float) -> None:
    async def run() -> None:
        wall, market, time_of = Wall(), a_market(80), a_time(seconds_per_bar=seconds)
        policy = MarketPolicy(mode="REPLAY", start=time_of.start, end=time_of.end, seconds_per_bar=seconds)
        feed, starts, last = ReplayFeed(market, "AAPL", "1d", time_of, wall), market.starts().tolist(), None
        for step in steps:
            wall.at_ms += step
            until = market_ms(policy, EPOCH_MS, wall.at_ms) - DAY_MS
            new = await taken(feed, last)
            assert new == [start for start in starts if (last is None or start > last) and start <= until]
            last = new[-1] if new else last

    asyncio.run(run())


async def test_source_that_hands_out_a_later_bar_is_refused() -> None:
    """Negative control of the guard against look-ahead: a source that breaks its promise."""
    feed = ReplayFeed(a_market(ahead=1), "AAPL", "1d", a_time(), Wall())
    with pytest.raises(BadInput, match="the last that has ended"):
        await feed.next_after(None, 0.0)
    assert await ReplayFeed(a_market(), "AAPL", "1d", a_time(), Wall()).next_after(None, 0.0) is not None


async def test_wait_ends_when_the_next_day_comes_and_not_later_than_asked() -> None:
    # 80 ms before the next release, by a wall clock that runs.
    began = time.monotonic()

    def now_ms() -> int:
        return EPOCH_MS + 9_920 + int((time.monotonic() - began) * 1000)

    feed = ReplayFeed(a_market(), "AAPL", "1d", a_time(), now_ms)
    first = await feed.next_after(None, 0.0)
    assert first is not None
    assert first.time_ms == ms_of_day(FIRST)
    assert await feed.next_after(first.time_ms, 0.01) is None
    second = await asyncio.wait_for(feed.next_after(first.time_ms, 60.0), 5)
    assert second is not None
    assert second.time_ms == first.time_ms + DAY_MS


async def test_replay_is_over_only_when_its_clock_and_its_bars_are() -> None:
    wall = Wall()
    feed = ReplayFeed(a_market(), "AAPL", "1d", a_time(end=date(2000, 1, 10)), wall)
    days = await taken(feed)
    assert not feed.is_over(days[-1])
    wall.at_ms += 3_600_000
    assert not feed.is_over(None)
    days += await taken(feed, days[-1])
    assert days[-1] == utc_ms(2000, 1, 10)
    assert feed.is_over(days[-1])
    assert not feed.is_over(days[-2])


async def test_source_is_asked_only_when_the_clock_has_moved_on() -> None:
    asked: list[int] = []

    class Counting(RowsMarket):
        @override
        def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
            asked.append(until)
            return super().bars(symbol, timeframe, until)

    wall = Wall(EPOCH_MS + 100_000)
    feed = ReplayFeed(Counting(some_rows(60), first_day=day_number(FIRST)), "AAPL", "1d", a_time(), wall)
    assert len(await taken(feed)) == 11
    assert len(asked) == 1
    wall.at_ms += 10_000
    await taken(feed, asked[0])
    assert len(asked) == 2


async def test_live_feed_shows_yesterday_at_most_and_asks_again_for_a_late_bar() -> None:
    market, wall = a_market(200), Wall(utc_ms(2000, 3, 1) + 1)
    late = replace(market, rows=market.rows[:30])
    feed = LiveFeed(late, "AAPL", "1d", a_time("LIVE"), wall)
    days = await taken(feed)
    assert len(days) == 30
    assert not feed.is_over(days[-1])
    feed._market = market
    assert await taken(feed, days[-1]) == []
    wall.at_ms += LIVE_ASKS_EVERY_MS
    days += await taken(feed, days[-1])
    assert days[-1] == utc_ms(2000, 2, 29)


def test_order_names_its_feed_and_replay_is_labelled() -> None:
    order = a_paper_order()
    assert build_feed(order, a_market(), Wall()).replay
    assert order.paper is not None
    live = order.paper.model_copy(update={"market": a_time("LIVE")})
    assert not build_feed(order.model_copy(update={"paper": live}), a_market(), Wall()).replay
    with pytest.raises(BadInput, match="paper"):
        build_feed(order.model_copy(update={"paper": None}), a_market(), Wall())
