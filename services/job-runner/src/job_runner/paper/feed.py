"""Where a paper session's bars come from, one after the other, as the market shows them.

Place in the flow: market data + market clock → **feed** → paper session. The feed never hands out a bar that has not
ended: not of a replay that runs ahead of its clock, not one that an exchange is still writing.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import ClassVar, Protocol

from autonomy.errors import BadInput, Retryable
from autonomy.events import JobEnqueued, MarketTime
from autonomy.market_clock import market_ms, ms_of_day, wall_ms_of
from autonomy.policy import MarketPolicy
from autonomy.timeframes import DAY_MS, MS, bar_words
from autonomy.values import ms_of
from job_runner.market.editions import fault_of
from job_runner.market.sources import Bars, MarketData
from job_runner.paper.session import TimedBar
from job_runner.threads import in_thread

SHORTEST_WAIT_S = 0.005
LIVE_ASKS_EVERY_MS = 1_000
"""The editions answer from memory, so a late bar is taken as soon as it is there."""
AGAIN_MS = 1_000


class Unreadable(Retryable):
    """The source has no bars to show now; it may have them in a moment."""


class BarFeed(Protocol):
    """Bars of one symbol, in order, as they come."""

    replay: bool
    """Recorded bars, released by the replay clock; said with everything that is made of them."""
    fault: str
    """Why the source cannot be read as it is now; empty while it can. What was read before stays in use."""

    async def shown(self) -> Bars:
        """Every bar that the market has shown so far, as far as they can be read.

        Raises:
            Unreadable: none could be read yet.
        """
        ...

    async def next_after(self, start_ms: int | None, wait_s: float) -> TimedBar | None:
        """The first bar that starts after an instant (None: the first of all); waits for it, but no longer than `wait_s`."""
        ...

    def is_over(self, start_ms: int | None) -> bool:
        """Whether no bar after this one will ever come."""
        ...


class ReplayFeed:
    """Recorded bars, released by the policy's replay clock: one weekday per `seconds_per_bar` of the wall clock.

    Args:
        market: the source of all bars; asked again only when the clock has moved on.
        symbol: such as AAPL.
        timeframe: such as `1d`.
        time: which time the market is at, as the order says.
        now_ms: the wall clock.
    """

    replay: bool = True
    asks_every_ms: ClassVar[int | None] = None

    def __init__(self, market: MarketData, symbol: str, timeframe: str, time: MarketTime, now_ms: Callable[[], int]) -> None:
        self._market, self._symbol, self._timeframe, self._now_ms = market, symbol, timeframe, now_ms
        self._policy = MarketPolicy(mode=time.mode, start=time.start, end=time.end, seconds_per_bar=time.seconds_per_bar)
        self._epoch_ms = ms_of(time.epoch)
        self._bars: Bars | None = None
        self._asked_until = 0
        self._asked_ms = 0
        self._again_ms = 0
        self.fault = ""

    async def shown(self) -> Bars:
        """See `BarFeed.shown`.

        Raises:
            Unreadable: none could be read yet.
            BadInput: the source handed out a bar that the market has not shown yet.
        """
        now_ms = self._now_ms()
        until = market_ms(self._policy, self._epoch_ms, now_ms) - MS[self._timeframe]
        if now_ms >= self._again_ms and (self._bars is None or until > self._asked_until or self._is_due(now_ms)):
            await self._ask(until, now_ms)
        if self._bars is None:
            raise Unreadable(self.fault)
        return self._bars

    async def _ask(self, until: int, now_ms: int) -> None:
        """Read the bars; what a source cannot do now it may do in a moment, so its faults are kept and not raised."""
        try:
            # In a thread: a source that hangs must hang this session only.
            bars = await in_thread(functools.partial(self._market.bars, self._symbol, self._timeframe, until))
        except Exception as fault:  # noqa: BLE001 (whatever a source's fault is, it is no end of the session)
            self.fault, self._again_ms = _words(fault), now_ms + AGAIN_MS
            return
        if len(bars) and int(bars.time[-1]) > until:
            raise BadInput("bars", f"none after {bar_words(until)}, the last that has ended", bar_words(int(bars.time[-1])))
        self._bars, self._asked_until, self._asked_ms = bars, until, now_ms
        self.fault = fault_of(self._market, self._symbol, self._timeframe)

    async def next_after(self, start_ms: int | None, wait_s: float) -> TimedBar | None:
        """See `BarFeed.next_after`."""
        bar = _first_after(await self.shown(), start_ms)
        if bar is None:
            await asyncio.sleep(max(SHORTEST_WAIT_S, min(wait_s, self._until_next_bar_s())))
            bar = _first_after(await self.shown(), start_ms)
        return bar

    def is_over(self, start_ms: int | None) -> bool:
        """See `BarFeed.is_over`."""
        ended = self.replay and self._asked_until >= ms_of_day(self._policy.end) + DAY_MS - MS[self._timeframe]
        return ended and self._bars is not None and _first_after(self._bars, start_ms) is None

    def _until_next_bar_s(self) -> float:
        """Until the market shows another bar, as far as the grid of the timeframe tells."""
        length = MS[self._timeframe]
        wall_ms = wall_ms_of(self._policy, self._epoch_ms, (self._asked_until // length + 2) * length)
        return float("inf") if wall_ms is None else (wall_ms - self._now_ms()) / 1000

    def _is_due(self, now_ms: int) -> bool:
        return self.asks_every_ms is not None and now_ms - self._asked_ms >= self.asks_every_ms


class LiveFeed(ReplayFeed):
    """Bars as their source has them, those that have ended; a bar may come late, so the source is asked again and again."""

    replay = False
    asks_every_ms = LIVE_ASKS_EVERY_MS


def build_feed(order: JobEnqueued, market: MarketData, now_ms: Callable[[], int]) -> BarFeed:
    """The feed that an order asks for.

    Raises:
        BadInput: an order without a paper section.
    """
    if order.paper is None:
        raise BadInput("paper", "what to trade, for a RUNNER_START job")
    kind = ReplayFeed if order.paper.market.mode == "REPLAY" else LiveFeed
    return kind(market, order.symbol, order.timeframe, order.paper.market, now_ms)


def _words(fault: Exception) -> str:
    return str(fault) if isinstance(fault, BadInput) else f"{type(fault).__name__}: {fault}"


def _first_after(bars: Bars, start_ms: int | None) -> TimedBar | None:
    number = 0 if start_ms is None else int(bars.time.searchsorted(start_ms, side="right"))
    return TimedBar.at(bars, number) if number < len(bars) else None
