"""Where bars come from: the port, and the two sources that need nothing from outside.

Role: hands out columns of bars up to an instant, never a later one, with the identity of the source and the hash of
exactly what was handed out. Everything a strategy, a gate or a paper runner sees of the market passes here.
"""

import functools
import gzip
import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from autonomy.errors import BadInput, Broken, Retryable
from autonomy.events import Costs
from autonomy.timeframes import DAY_MS, WEEKDAYS, YEAR_DAYS, Timeframe
from job_runner.engine.compiled import FloatArray, IntArray
from job_runner.market.bar_files import MAX_BARS, Columns, Table, checked_columns

DAILY = Timeframe.D1.value
# Later than any bar: "everything there is".
END_OF_TIME_MS = 2**60
MAX_SHOWN = 8
WEEKS = 52
Key = tuple[str, str]
"""A symbol and a timeframe."""

_EMBEDDED_SHA256 = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"
_EMBEDDED_SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
_EMBEDDED_COLUMNS = ("Ticker", "Date", "Open", "High", "Low", "Close", "Volume", "Adj Close")


_Number = TypeVar("_Number", np.int64, np.float64)


class DataMissing(BadInput):
    """There is no such symbol, or fewer bars than needed."""


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of one symbol and timeframe, oldest first, read-only.

    Args:
        symbol: such as AAPL.
        timeframe: such as `1d`.
        time: int64 (n), start of each bar, milliseconds since 1970-01-01 UTC, strictly increasing.
        open: float64 (n), USD; likewise high, low, close.
        high: see open.
        low: see open.
        close: see open.
        volume: float64 (n), shares.
        source_id: which source, and which edition of it.
        synthetic: made up, and never evidence for a promotion.
        notes: what of the source is not in the columns and a reader of results should know, such as an unused column.
        live: bars of now, which the replay of a demo does not hold back.
        costs: what trading the symbol costs and allows, where the source says so; None: whoever orders says it.
    """

    symbol: str
    timeframe: str
    time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    source_id: str
    synthetic: bool
    notes: tuple[str, ...] = ()
    live: bool = False
    costs: Costs | None = None

    def __len__(self) -> int:
        """Number of bars."""
        return len(self.time)

    @property
    def key(self) -> Key:
        """Whose bars, and of which length."""
        return self.symbol, self.timeframe

    @functools.cached_property
    def sha256(self) -> str:
        """Hex, over the bytes of exactly these columns; a new bar makes a new hash."""
        digest = hashlib.sha256(f"{self.symbol} {self.timeframe} {len(self)}\n".encode())
        for column in (self.time, self.open, self.high, self.low, self.close, self.volume):
            digest.update(np.ascontiguousarray(column.astype(column.dtype.newbyteorder("<"), copy=False)).data)
        return digest.hexdigest()

    @functools.cached_property
    def bars_per_year(self) -> int:
        """How many bars a year of this market has: what ratios are annualised with.

        Days that trade (365 where any bar starts at a weekend, else 252) times the usual number of bars of such a day; 52 weeks.
        """
        if self.timeframe == Timeframe.W1:
            return WEEKS
        days, counts = np.unique(self.time // DAY_MS, return_counts=True)
        # Day 0, 1970-01-01, was a Thursday: (day + 3) % 7 is 5 and 6 at weekends.
        at_weekends = bool(np.any((days + 3) % 7 >= WEEKDAYS))
        return YEAR_DAYS[at_weekends] * max(1, int(np.median(counts)))

    def rows(self) -> FloatArray:
        """The engine's view: float64 (n, 5), open, high, low, close, volume; a copy."""
        return np.ascontiguousarray(np.stack([self.open, self.high, self.low, self.close, self.volume], axis=1))


class NotOffered(DataMissing):
    """This process has no good bars of the symbol now; the symbol may be well again in a moment."""


class MarketData(Protocol):
    """A source of bars. Small and picklable: workers get their own."""

    def markets(self) -> tuple[Key, ...]:
        """All symbols and timeframes it has bars of, sorted."""
        ...

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """Bars of a symbol up to and including the one that starts at an instant.

        Args:
            symbol: with its timeframe one of `markets()`.
            timeframe: such as `1d`.
            until: milliseconds since 1970-01-01 UTC; no bar that starts later is ever returned.

        Raises:
            DataMissing: no such symbol or timeframe.
            BadInput: a source whose content is not valid.
        """
        ...


@dataclass(frozen=True, slots=True)
class Survey:
    """A first, cheap look at a source: what there is, without reading any bars.

    Args:
        signs: by symbol and timeframe something that changes whenever these bars may have changed, such as a file's time and size.
        skipped: by name what is there and is not used, with the reason.
    """

    signs: Mapping[Key, Hashable]
    skipped: Mapping[str, str]


class ChangingMarketData(MarketData, Protocol):
    """A source whose bars may change while it is in use."""

    longest_rest_s: float
    """How long at most it is left alone after it could not be read."""

    def survey(self) -> Survey:
        """What there is, and whether it may have changed; cheap enough for once a second.

        Raises:
            BadInput: the source as a whole cannot be used.
            OSError: it cannot be reached.
        """
        ...


class Unsettled(Retryable):
    """The source changed while it was read; the next look finds it settled, or not yet."""


@dataclass(frozen=True, slots=True)
class OneSymbol:
    """The bars of one symbol and timeframe and of nothing else: what a worker process is handed for its job.

    Args:
        whole: all its bars.
    """

    whole: Bars

    def markets(self) -> tuple[Key, ...]:
        """The one symbol and timeframe."""
        return (self.whole.key,)

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`."""
        check_key(symbol, timeframe, self.markets())
        return up_to(self.whole, until)


@dataclass(frozen=True, slots=True)
class EmbeddedMarketData:
    """Real daily bars of five US stocks, 2000-03 to 2013-03, from the package bokeh-sampledata (public domain).

    Prices are adjusted for splits and dividends: open, high, low and close times adj_close/close, volume divided by
    it. The factor is constant between two corporate actions, so returns and all scale-free decisions are those of the
    day.
    """

    def markets(self) -> tuple[Key, ...]:
        """All symbols it has bars of, sorted; daily ones."""
        return tuple((symbol, DAILY) for symbol in _EMBEDDED_SYMBOLS)

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`."""
        check_key(symbol, timeframe, self.markets())
        source_id = f"bokeh-sampledata/stocks.csv.gz@{_EMBEDDED_SHA256[:16]}"
        return bars_until(symbol, DAILY, _embedded()[symbol], until, source_id, synthetic=False)


@dataclass(frozen=True, slots=True)
class SyntheticMarketData:
    """Made-up bars: geometric Brownian motion on weekdays, labelled as synthetic wherever they go.

    Args:
        seed: same seed, same bars.
        names: symbols to make.
        count: bars per symbol, up to MAX_BARS.
        first_day: days since 1970-01-01; a weekend moves on to Monday.
        drift: per bar, of the logarithm.
        volatility: per bar, of the logarithm.
    """

    seed: int
    names: tuple[str, ...] = ("SYN-A", "SYN-B")
    count: int = 3_000
    first_day: int = 10_957
    drift: float = 0.0002
    volatility: float = 0.015

    def markets(self) -> tuple[Key, ...]:
        """All symbols it makes, sorted; daily bars."""
        return tuple((symbol, DAILY) for symbol in sorted(self.names))

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`."""
        check_key(symbol, timeframe, self.markets())
        columns = _walk(self.seed, symbol, self.count, self.first_day, self.drift, self.volatility)
        source_id = f"synthetic/gbm/{self.seed}/{self.count}/{self.first_day}/{self.drift:g}/{self.volatility:g}"
        return bars_until(symbol, DAILY, columns, until, source_id, synthetic=True)


def check_key(symbol: str, timeframe: str, known: Sequence[Key]) -> None:
    """Refuse what a source does not have.

    Raises:
        DataMissing: names what there is.
    """
    if (symbol, timeframe) in known:
        return
    if lengths := [length for name, length in known if name == symbol]:
        raise DataMissing("timeframe", f"one of those that {symbol} has ({', '.join(lengths)})", timeframe)
    shown = ", ".join(sorted({name for name, _ in known})[:MAX_SHOWN]) or "none"
    raise DataMissing("symbol", f"one of {shown}", symbol)


def bars_until(
    symbol: str, timeframe: str, columns: Columns, until: int, source_id: str, *, synthetic: bool, live: bool = False,
    costs: Costs | None = None,
) -> Bars:  # fmt: skip
    """The bars of a source that start at an instant or before, read-only."""
    count = int(np.searchsorted(columns.time, until, side="right"))
    time = _frozen(columns.time[:count])
    open_, high, low, close, volume = (_frozen(column[:count]) for column in columns.prices_and_volume)
    return Bars(symbol, timeframe, time, open_, high, low, close, volume, source_id, synthetic, columns.notes, live, costs)


def up_to(whole: Bars, until: int) -> Bars:
    """The bars that start at an instant or before."""
    columns = Columns(whole.time, (whole.open, whole.high, whole.low, whole.close, whole.volume), whole.notes)
    return bars_until(
        whole.symbol, whole.timeframe, columns, until, whole.source_id, synthetic=whole.synthetic, live=whole.live, costs=whole.costs
    )


def _frozen(column: NDArray[_Number]) -> NDArray[_Number]:
    view = column.view()
    view.flags.writeable = False
    return view


@functools.cache
def _embedded() -> Mapping[str, Columns]:
    try:
        packed = (resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as missing:
        raise DataMissing("market data", "the package bokeh-sampledata with stocks.csv.gz, installed") from missing
    found = hashlib.sha256(packed).hexdigest()
    if found != _EMBEDDED_SHA256:
        raise Broken(f"bokeh-sampledata's stocks.csv.gz has sha256 {found}, known is {_EMBEDDED_SHA256}")
    lines = gzip.decompress(packed).decode().splitlines()
    if tuple(lines[0].split(",")) != _EMBEDDED_COLUMNS:
        raise Broken(f"bokeh-sampledata's stocks.csv.gz has columns {lines[0]}")
    by_symbol: dict[str, list[list[str]]] = {symbol: [] for symbol in _EMBEDDED_SYMBOLS}
    for line in lines[1:]:
        cells = line.split(",")
        by_symbol[cells[0]].append(cells)
    return {symbol: _adjusted(symbol, rows) for symbol, rows in by_symbol.items()}


def _adjusted(symbol: str, rows: Sequence[Sequence[str]]) -> Columns:
    day = np.array([date.fromisoformat(row[1]).toordinal() for row in rows], dtype=np.int64)
    numbers = np.array([[float(cell) for cell in row[2:]] for row in rows])
    factor = numbers[:, 5] / numbers[:, 3]
    table: Table = {
        "time": (day - date(1970, 1, 1).toordinal()) * DAY_MS,
        "open": numbers[:, 0] * factor,
        "high": numbers[:, 1] * factor,
        "low": numbers[:, 2] * factor,
        "close": numbers[:, 3] * factor,
        "volume": numbers[:, 4] / factor,
    }
    return checked_columns(f"embedded {symbol}", table, DAILY)


@functools.lru_cache(maxsize=64)
def _walk(seed: int, symbol: str, count: int, first_day: int, drift: float, volatility: float) -> Columns:
    if not 1 <= count <= MAX_BARS:
        raise BadInput("count", f"1 to {MAX_BARS} bars", count)
    own_seed = hashlib.sha256(f"{seed} {symbol}".encode()).digest()[:8]
    numbers = np.random.default_rng(int.from_bytes(own_seed, "big"))
    close = 100.0 * np.exp(np.cumsum(numbers.normal(drift, volatility, count)))
    before = np.concatenate([[100.0], close[:-1]])
    open_ = before * np.exp(numbers.normal(0.0, volatility / 4.0, count))
    return made_up(f"synthetic {symbol}", first_day, open_, close, volatility, numbers)


def made_up(name: str, first_day: int, open_: FloatArray, close: FloatArray, volatility: float, numbers: np.random.Generator) -> Columns:
    """Daily bars around made-up opens and closes, on weekdays.

    Args:
        name: what a refusal calls them.
        first_day: days since 1970-01-01; a weekend moves on to Monday.
        open_: float64 (n).
        close: float64 (n).
        volatility: per bar, of the logarithm; how far highs and lows reach follows from it.
        numbers: where that and the volumes are drawn from.
    """
    count = len(close)
    reach = np.exp(np.abs(numbers.normal(0.0, volatility / 3.0, (2, count))))
    days = first_day + np.arange(count * 7 // 5 + 14)
    # Day 0, 1970-01-01, was a Thursday: (day + 3) % 7 is 0 on Mondays.
    weekdays = days[(days + 3) % 7 < 5][:count].astype(np.int64)
    table: Table = {
        "time": weekdays * DAY_MS,
        "open": open_,
        "high": np.maximum(open_, close) * reach[0],
        "low": np.minimum(open_, close) / reach[1],
        "close": close,
        "volume": np.round(numbers.lognormal(13.0, 0.5, count)),
    }
    return checked_columns(name, table, DAILY)
