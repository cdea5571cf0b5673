"""Where bars come from: the port, and three sources behind it.

Role: hands out columns of daily bars up to a day, never a later one, with the identity of the source and the hash of
exactly what was handed out. Everything a strategy, a gate or a paper runner sees of the market passes here.
"""

import functools
import gzip
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from autonomy.errors import BadInput, Broken
from job_runner.bar_files import MAX_BARS, Columns, Table, checked_columns, read_table
from job_runner.strategies.compiled import FloatArray, IntArray

log = logging.getLogger(__name__)
DAILY = "1d"
# Later than any bar: "everything there is".
END_OF_TIME_DAY = 2**31

_SYMBOL = re.compile(r"[A-Z0-9.\-]{1,16}")
_EMBEDDED_SHA256 = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"
_EMBEDDED_SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
_EMBEDDED_COLUMNS = ("Ticker", "Date", "Open", "High", "Low", "Close", "Volume", "Adj Close")


_Number = TypeVar("_Number", np.int64, np.float64)


class DataMissing(BadInput):
    """There is no such symbol, or fewer bars than needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Daily bars of one symbol, oldest first, read-only.

    Args:
        symbol: such as AAPL.
        timeframe: `1d`.
        day: int64 (n), days since 1970-01-01, strictly increasing.
        open: float64 (n), USD; likewise high, low, close.
        high: see open.
        low: see open.
        close: see open.
        volume: float64 (n), shares.
        source_id: which source, and which edition of it.
        sha256: hex, over the bytes of exactly these columns; a new bar makes a new hash.
        synthetic: made up, and never evidence for a promotion.
    """

    symbol: str
    timeframe: str
    day: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    source_id: str
    sha256: str
    synthetic: bool

    def __len__(self) -> int:
        """Number of bars."""
        return len(self.day)

    def rows(self) -> FloatArray:
        """The engine's view: float64 (n, 5), open, high, low, close, volume; a copy."""
        return np.ascontiguousarray(np.stack([self.open, self.high, self.low, self.close, self.volume], axis=1))


@dataclass(frozen=True, slots=True)
class SymbolCoverage:
    """What a source has of one symbol.

    Args:
        symbol: such as AAPL.
        first_day: days since 1970-01-01.
        last_day: days since 1970-01-01.
        bars: number of bars.
        days: every bar's day.
        sha256: hex, over all its bars.
        source_id: which source, and which edition of it.
        synthetic: made up.
    """

    symbol: str
    first_day: int
    last_day: int
    bars: int
    days: tuple[int, ...]
    sha256: str
    source_id: str
    synthetic: bool


class MarketData(Protocol):
    """A source of bars. Small and picklable: workers get their own."""

    def symbols(self) -> tuple[str, ...]:
        """All symbols it has bars of, sorted."""
        ...

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """Bars of a symbol up to and including a day.

        Args:
            symbol: one of `symbols()`.
            timeframe: `1d`.
            until: days since 1970-01-01; no later bar is ever returned.

        Raises:
            DataMissing: no such symbol.
            BadInput: another timeframe, or a source whose content is not valid.
        """
        ...


def announce(market: MarketData) -> list[SymbolCoverage]:
    """Everything a source has, by symbol: what a runner tells the planner.

    A symbol whose content is not valid is left out, and the log says why: its bots meet a gate, all others trade on.

    Raises:
        BadInput: the source has no valid bars at all.
    """
    found: list[SymbolCoverage] = []
    for symbol in market.symbols():
        try:
            found.append(_coverage(market.bars(symbol, DAILY, END_OF_TIME_DAY)))
        except BadInput as refusal:
            log.warning("%s is not offered: %s", symbol, refusal)
    if not found:
        raise BadInput("bars", "at least one symbol with valid bars (a folder: SYMBOL/1d.csv or SYMBOL/1d.parquet)")
    return found


@dataclass(frozen=True, slots=True)
class EmbeddedMarketData:
    """Real daily bars of five US stocks, 2000-03 to 2013-03, from the package bokeh-sampledata (public domain).

    Prices are adjusted for splits and dividends: open, high, low and close times adj_close/close, volume divided by
    it. The factor is constant between two corporate actions, so returns and all scale-free decisions are those of the
    day.
    """

    def symbols(self) -> tuple[str, ...]:
        """All symbols it has bars of, sorted."""
        return _EMBEDDED_SYMBOLS

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`."""
        _check_request(symbol, timeframe, self.symbols())
        source_id = f"bokeh-sampledata/stocks.csv.gz@{_EMBEDDED_SHA256[:16]}"
        return bars_until(symbol, _embedded()[symbol], until, source_id, synthetic=False)


@dataclass(frozen=True, slots=True)
class FolderMarketData:
    """A folder of `{symbol}/1d.csv` or `{symbol}/1d.parquet`.

    Columns: `date` (ISO) or `day` (days since 1970-01-01), open, high, low, close, volume. Links that lead out of the
    folder are refused.

    Args:
        folder: its path.
    """

    folder: Path

    def symbols(self) -> tuple[str, ...]:
        """All symbols it has a file of, sorted."""
        if not self.folder.is_dir():
            raise BadInput("folder", "an existing folder of bars", self.folder)
        found = (child.name for child in self.folder.iterdir() if _SYMBOL.fullmatch(child.name))
        return tuple(sorted(name for name in found if name.strip(".") and any(path.is_file() for path in self._places(name))))

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`."""
        _check_timeframe(timeframe)
        _check_symbol(symbol)
        path = self._file(symbol)
        if path is None:
            raise DataMissing("symbol", f"one of {', '.join(self.symbols())}", symbol)
        status = path.stat()
        columns = _read_file(path, (status.st_mtime_ns, status.st_size), self.folder.resolve())
        return bars_until(symbol, columns, until, f"folder/{symbol}/{path.name}", synthetic=False)

    def _places(self, symbol: str) -> tuple[Path, ...]:
        return tuple(self.folder / symbol / f"{DAILY}.{ending}" for ending in ("parquet", "csv"))

    def _file(self, symbol: str) -> Path | None:
        root = self.folder.resolve()
        for path in self._places(symbol):
            if path.is_file():
                if not path.resolve().is_relative_to(root):
                    raise BadInput(f"{symbol}/{path.name}", "a file inside the folder of bars, not a link out of it")
                return path
        return None


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

    def symbols(self) -> tuple[str, ...]:
        """All symbols it makes, sorted."""
        return tuple(sorted(self.names))

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`."""
        _check_request(symbol, timeframe, self.symbols())
        columns = _walk(self.seed, symbol, self.count, self.first_day, self.drift, self.volatility)
        source_id = f"synthetic/gbm/{self.seed}/{self.count}/{self.first_day}/{self.drift:g}/{self.volatility:g}"
        return bars_until(symbol, columns, until, source_id, synthetic=True)


def _check_request(symbol: str, timeframe: str, known: Sequence[str]) -> None:
    _check_timeframe(timeframe)
    if symbol not in known:
        raise DataMissing("symbol", f"one of {', '.join(known)}", symbol)


def _check_timeframe(timeframe: str) -> None:
    if timeframe != DAILY:
        raise BadInput("timeframe", f"{DAILY} (daily bars are all there is)", timeframe)


def _check_symbol(symbol: str) -> None:
    # A name of dots only would be the folder itself or the one above.
    if not _SYMBOL.fullmatch(symbol) or not symbol.strip("."):
        raise BadInput("symbol", "1 to 16 characters out of A-Z, 0-9, point and minus", symbol)


def _coverage(bars: Bars) -> SymbolCoverage:
    return SymbolCoverage(
        symbol=bars.symbol,
        first_day=int(bars.day[0]),
        last_day=int(bars.day[-1]),
        bars=len(bars),
        days=tuple(bars.day.tolist()),
        sha256=bars.sha256,
        source_id=bars.source_id,
        synthetic=bars.synthetic,
    )


def bars_until(symbol: str, columns: Columns, until: int, source_id: str, *, synthetic: bool) -> Bars:
    """The bars of a source up to a day, read-only, with the hash of exactly these."""
    count = int(np.searchsorted(columns.day, until, side="right"))
    day = _frozen(columns.day[:count])
    open_, high, low, close, volume = (_frozen(column[:count]) for column in columns.prices_and_volume)
    digest = hashlib.sha256(f"{symbol} {DAILY} {count}\n".encode())
    for column in (day, open_, high, low, close, volume):
        digest.update(column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes())
    return Bars(symbol, DAILY, day, open_, high, low, close, volume, source_id, digest.hexdigest(), synthetic)


def _frozen(column: NDArray[_Number]) -> NDArray[_Number]:
    view = column.view()
    view.flags.writeable = False
    return view


@functools.lru_cache(maxsize=64)
def _read_file(path: Path, edition: tuple[int, int], root: Path) -> Columns:
    # Time and size are part of the key, so that a file that was replaced is read again.
    del edition
    name = str(path.resolve().relative_to(root))
    return checked_columns(name, read_table(path, name))


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
        "day": day - date(1970, 1, 1).toordinal(),
        "open": numbers[:, 0] * factor,
        "high": numbers[:, 1] * factor,
        "low": numbers[:, 2] * factor,
        "close": numbers[:, 3] * factor,
        "volume": numbers[:, 4] / factor,
    }
    return checked_columns(f"embedded {symbol}", table)


@functools.lru_cache(maxsize=64)
def _walk(seed: int, symbol: str, count: int, first_day: int, drift: float, volatility: float) -> Columns:
    if not 1 <= count <= MAX_BARS:
        raise BadInput("count", f"1 to {MAX_BARS} bars", count)
    own_seed = hashlib.sha256(f"{seed} {symbol}".encode()).digest()[:8]
    numbers = np.random.default_rng(int.from_bytes(own_seed, "big"))
    close = 100.0 * np.exp(np.cumsum(numbers.normal(drift, volatility, count)))
    before = np.concatenate([[100.0], close[:-1]])
    open_ = before * np.exp(numbers.normal(0.0, volatility / 4.0, count))
    reach = np.exp(np.abs(numbers.normal(0.0, volatility / 3.0, (2, count))))
    days = first_day + np.arange(count * 7 // 5 + 14)
    # Day 0, 1970-01-01, was a Thursday: (day + 3) % 7 is 0 on Mondays.
    weekdays = days[(days + 3) % 7 < 5][:count].astype(np.int64)
    table: Table = {
        "day": weekdays,
        "open": open_,
        "high": np.maximum(open_, close) * reach[0],
        "low": np.minimum(open_, close) / reach[1],
        "close": close,
        "volume": np.round(numbers.lognormal(13.0, 0.5, count)),
    }
    return checked_columns(f"synthetic {symbol}", table)
