"""An exchange's bars: paged, cut before the running day, checked like any other source."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from autonomy import clock
from autonomy.errors import BadInput
from autonomy.timeframes import DAY_MS
from job_runner.__main__ import market_of
from job_runner.market import exchange_bars
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.editions import Editions
from job_runner.market.exchange_bars import PAGE_BARS, ExchangeMarketData
from job_runner.market.sources import END_OF_TIME_MS, DataMissing, EmbeddedMarketData
from job_runner.settings import RunnerSettings

FIRST = 17_532


@dataclass
class Exchange:
    """A stand-in for ccxt's client: candles of every day up to now, the running one too."""

    now_ms: int = (FIRST + 1_200) * DAY_MS + 5
    asked: list[int] = field(default_factory=list)
    bad: bool = False
    fault: dict[str, Exception] = field(default_factory=dict)

    def milliseconds(self) -> int:
        return self.now_ms

    def fetch_ohlcv(self, symbol: str, timeframe: str, since: int, limit: int) -> list[list[float]]:
        assert (timeframe, limit) == ("1d", PAGE_BARS)
        self.asked.append(since)
        if symbol in self.fault:
            raise self.fault[symbol]
        days = range(since // DAY_MS, min(since // DAY_MS + limit, self.now_ms // DAY_MS + 1))
        return [[day * DAY_MS, 10.0, 9.0 if self.bad else 12.0, 9.0, 11.0, 5.0] for day in days]


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    made = Exchange()
    monkeypatch.setattr(exchange_bars, "client_of", lambda _: made)
    exchange_bars._kept.cache_clear()
    yield made
    exchange_bars._kept.cache_clear()


MARKET = ExchangeMarketData.of("somewhere", "BTC/USDT")


def test_all_pages_are_read_and_the_running_day_is_left_out(exchange: Exchange) -> None:
    bars = MARKET.bars("BTC-USDT", "1d", END_OF_TIME_MS)
    assert bars.time.tolist() == [day * DAY_MS for day in range(FIRST, FIRST + 1_200)]
    assert len(exchange.asked) == 3
    assert bars.source_id == "ccxt/somewhere/BTC/USDT"
    assert not bars.synthetic


def test_ended_days_are_asked_for_once(exchange: Exchange) -> None:
    MARKET.bars("BTC-USDT", "1d", END_OF_TIME_MS)
    before = len(exchange.asked)
    MARKET.bars("BTC-USDT", "1d", END_OF_TIME_MS)
    assert len(exchange.asked) == before
    exchange.now_ms += DAY_MS
    assert len(MARKET.bars("BTC-USDT", "1d", END_OF_TIME_MS)) == 1_201
    assert exchange.asked[before:] == [(FIRST + 1_200) * DAY_MS]


def test_no_bar_after_the_day_asked_for(exchange: Exchange) -> None:
    assert MARKET.bars("BTC-USDT", "1d", (FIRST + 9) * DAY_MS).time.tolist() == [day * DAY_MS for day in range(FIRST, FIRST + 10)]


def test_candles_that_are_no_bars_are_refused(exchange: Exchange) -> None:
    exchange.bad = True
    with pytest.raises(BadInput, match="between low and high"):
        MARKET.bars("BTC-USDT", "1d", END_OF_TIME_MS)


class BadSymbol(Exception):
    """As ccxt names a pair that is not traded, or no more."""


class RateLimitExceeded(Exception):
    """As ccxt names an answer 429."""


@pytest.mark.parametrize("fault", [BadSymbol("ETH/USDT"), RateLimitExceeded("429"), ConnectionRefusedError(111, "refused"), TimeoutError()])
def test_a_pair_that_cannot_be_asked_for_is_its_own_fault_rests_and_heals(
    exchange: Exchange, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(clock, "now_ms", lambda: exchange.now_ms)
    editions = Editions(ExchangeMarketData.of("somewhere", "BTC/USDT, ETH/USDT"), lambda: now_s[0], seed="a process")
    exchange.fault["ETH/USDT"] = fault
    assert editions.look()
    assert editions.markets() == (("BTC-USDT", "1d"),)
    (said,) = editions.offered.faults
    assert (said.name, said.in_use) == ("ETH-USDT 1d", False)
    assert type(fault).__name__ in said.reason
    asked = []
    for _ in range(3_000):
        now_s[0] += 1.0
        exchange.now_ms += 1_000
        before = len(exchange.asked)
        assert not editions.look()
        if len(exchange.asked) > before:
            asked.append(now_s[0])
    rests = [later - earlier for earlier, later in pairwise(asked)]
    assert 5 < len(asked) < 30, "it backs off"
    assert max(rests) <= 601
    assert rests[0] <= 4
    assert rests[-1] > 128
    exchange.fault.clear()
    now_s[0] += 601.0
    assert editions.look()
    assert (editions.markets(), editions.offered.faults) == ((("BTC-USDT", "1d"), ("ETH-USDT", "1d")), ())


def test_without_network_the_last_good_bars_stay_and_the_new_ones_come_with_it(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(clock, "now_ms", lambda: exchange.now_ms)
    editions = Editions(MARKET, lambda: now_s[0])
    assert editions.look()
    exchange.fault["BTC/USDT"] = OSError(101, "Network is unreachable")
    exchange.now_ms += DAY_MS
    for _ in range(20):
        now_s[0] += 60.0
        exchange.now_ms += 60_000
        editions.look()
        editions.look()
    (said,) = editions.offered.faults
    assert (said.name, said.in_use) == ("BTC-USDT 1d", True)
    assert len(editions.bars("BTC-USDT", "1d", END_OF_TIME_MS)) == 1_200
    exchange.fault.clear()
    now_s[0] += 601.0
    exchange.now_ms += 60_000
    editions.look()
    editions.look()
    assert (len(editions.bars("BTC-USDT", "1d", END_OF_TIME_MS)), editions.offered.faults) == (1_201, ())


def test_a_late_bar_is_asked_for_again_each_minute_and_no_more_once_it_is_there(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now_ms", lambda: exchange.now_ms + DAY_MS)
    editions = Editions(MARKET)
    editions.look()
    before = len(exchange.asked)
    for _ in range(10):
        exchange.now_ms += 60_000
        for _ in range(3):
            editions.look()
    assert len(exchange.asked) == before, "the exchange's own clock has no new day: nothing is asked of it"
    exchange.now_ms += DAY_MS - 600_000
    monkeypatch.setattr(clock, "now_ms", lambda: exchange.now_ms)
    for _ in range(3):
        editions.look()
    assert len(exchange.asked) == before + 1
    for _ in range(10):
        exchange.now_ms += 60_000
        editions.look()
    assert len(exchange.asked) == before + 1


@pytest.mark.parametrize("pairs", ["", " , ", ",".join(f"A{n}/B" for n in range(51))])
def test_pairs_are_bounded(pairs: str) -> None:
    with pytest.raises(BadInput, match="BARS_PAIRS"):
        ExchangeMarketData.of("somewhere", pairs)


def test_other_symbol_or_timeframe_is_refused() -> None:
    with pytest.raises(DataMissing, match="BTC-USDT"):
        MARKET.bars("ETH-USDT", "1d", FIRST)
    with pytest.raises(BadInput, match="timeframe"):
        MARKET.bars("BTC-USDT", "1h", FIRST)


@pytest.mark.skipif(importlib.util.find_spec("ccxt") is not None, reason="ccxt is installed")
def test_missing_library_is_said_by_name() -> None:
    exchange_bars.client_of.cache_clear()
    with pytest.raises(DataMissing, match="ccxt"):
        MARKET.bars("BTC-USDT", "1d", FIRST)


def test_settings_name_one_source_of_bars(tmp_path: Path) -> None:
    assert isinstance(market_of(RunnerSettings()), EmbeddedMarketData)
    assert market_of(RunnerSettings(bars_folder=str(tmp_path))) == FolderMarketData(tmp_path)
    exchange = market_of(RunnerSettings(bars_exchange="somewhere", bars_pairs="BTC/USDT, ETH/USDT"))
    assert exchange.markets() == (("BTC-USDT", "1d"), ("ETH-USDT", "1d"))
    with pytest.raises(ValueError, match="exclude each other"):
        RunnerSettings(bars_folder=str(tmp_path), bars_exchange="somewhere")
