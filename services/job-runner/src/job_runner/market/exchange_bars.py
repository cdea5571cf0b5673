"""Daily bars of an exchange, through the optional library ccxt: an extra source for live paper sessions.

Role: a `MarketData` like the others. Days are UTC days, and only those that have ended: the candle of the running day is never handed
out. Read only: no key, no account, no order path.

Not verified here: ccxt is not installed with this project and no exchange was asked. What is tested is the paging, the cut at the
running day and the checks, against a stand-in for ccxt's client.
"""

import functools
import importlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from autonomy import clock
from autonomy.errors import BadInput
from autonomy.timeframes import DAY_MS
from job_runner.market.bar_files import MAX_BARS, checked_columns
from job_runner.market.sources import DAILY, Bars, DataMissing, Key, Survey, bars_until

PAGE_BARS = 500
MAX_PAIRS = 50
LATE_EVERY_MS = 60_000

Candle = list[float]


class ExchangeClient(Protocol):
    """What is used of ccxt's client."""

    def milliseconds(self) -> int:
        """The exchange's own time."""
        ...

    def fetch_ohlcv(self, symbol: str, timeframe: str, since: int, limit: int) -> list[Candle]:
        """Candles from a time on, oldest first: milliseconds, open, high, low, close, volume."""
        ...


@dataclass(frozen=True, slots=True)
class ExchangeMarketData:
    """Daily bars of some pairs of one exchange.

    Args:
        exchange: ccxt's name of it, such as `kraken`.
        pairs: such as BTC/USDT; as a symbol it is BTC-USDT.
        first_day: days since 1970-01-01; earlier bars are not asked for.
    """

    exchange: str
    pairs: tuple[str, ...]
    first_day: int = 17_532
    longest_rest_s: ClassVar[float] = 600.0

    @classmethod
    def of(cls, exchange: str, pairs: str) -> Self:
        """From the settings: pairs between commas.

        Raises:
            BadInput: none, or too many.
        """
        named = tuple(pair.strip() for pair in pairs.split(",") if pair.strip())
        if not 1 <= len(named) <= MAX_PAIRS:
            raise BadInput("BARS_PAIRS", f"1 to {MAX_PAIRS} pairs between commas", pairs)
        return cls(exchange, named)

    def markets(self) -> tuple[Key, ...]:
        """All symbols it has bars of, sorted; daily ones."""
        return tuple((symbol, DAILY) for symbol in sorted(pair.replace("/", "-") for pair in self.pairs))

    def survey(self) -> Survey:
        """See `ChangingMarketData.survey`: a pair changes once a day; while yesterday's bar is late it is asked for each minute."""
        return Survey({(pair.replace("/", "-"), DAILY): self._sign_of(pair) for pair in self.pairs}, {})

    def _sign_of(self, pair: str) -> Hashable:
        now_ms = clock.now_ms()
        kept = _kept(self.exchange, pair, self.first_day)
        is_late = not kept or int(kept[-1][0]) // DAY_MS < now_ms // DAY_MS - 1
        return (now_ms // DAY_MS, now_ms // LATE_EVERY_MS if is_late else 0)

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`; blocks while the exchange answers, and raises whatever ccxt raises.

        Raises:
            DataMissing: no such pair, or ccxt is not installed.
        """
        if timeframe != DAILY:
            raise BadInput("timeframe", f"{DAILY} (daily bars are all there is)", timeframe)
        pair = next((pair for pair in self.pairs if pair.replace("/", "-") == symbol), None)
        if pair is None:
            raise DataMissing("symbol", f"one of {', '.join(known for known, _ in self.markets())}", symbol)
        candles = _ended_candles(client_of(self.exchange), _kept(self.exchange, pair, self.first_day), pair, self.first_day)
        numbers = np.array(candles, dtype=np.float64).reshape(-1, 6)
        columns = dict(zip(("open", "high", "low", "close", "volume"), numbers.T[1:], strict=True))
        table = {"time": numbers[:, 0].astype(np.int64), **columns}
        return bars_until(
            symbol, DAILY, checked_columns(f"{self.exchange} {pair}", table, DAILY), until, f"ccxt/{self.exchange}/{pair}", synthetic=False
        )


@functools.cache
def client_of(exchange: str) -> ExchangeClient:
    """Ccxt's client of an exchange, one a process.

    Raises:
        DataMissing: ccxt is not installed.
        BadInput: ccxt does not know the exchange.
    """
    try:
        library: Any = importlib.import_module("ccxt")
    except ModuleNotFoundError as missing:
        raise DataMissing("BARS_EXCHANGE", "the optional package ccxt, installed (the extra `ccxt`)", exchange) from missing
    if exchange not in library.exchanges:
        raise BadInput("BARS_EXCHANGE", "an exchange that ccxt knows", exchange)
    found: ExchangeClient = getattr(library, exchange)({"enableRateLimit": True})
    return found


@functools.cache
def _kept(exchange: str, pair: str, first_day: int) -> list[Candle]:
    """What this process has asked for already: ended days do not change."""
    del exchange, pair, first_day
    return []


def _ended_candles(client: ExchangeClient, kept: list[Candle], pair: str, first_day: int) -> list[Candle]:
    today = client.milliseconds() // DAY_MS
    while len(kept) <= MAX_BARS:
        since = (int(kept[-1][0]) // DAY_MS + 1 if kept else first_day) * DAY_MS
        if since >= today * DAY_MS:
            break
        page = [candle for candle in client.fetch_ohlcv(pair, DAILY, since, PAGE_BARS) if since <= candle[0] < today * DAY_MS]
        if not page:
            break
        kept.extend(page)
    return kept
