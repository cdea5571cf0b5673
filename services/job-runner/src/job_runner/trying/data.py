"""Bars of somebody's own, looked at and taken in before a runner sees them.

Role: behind `autonomy data check` and `autonomy data import`. Reads by the very code of the runner, so that what passes here is offered
there; writes Parquet files whole or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autonomy.errors import BadInput
from autonomy.timeframes import bar_words, bars_name
from job_runner.market.bar_files import Columns, File, columns_of, csv_lines, read_bars
from job_runner.market.bar_folder import FolderMarketData, is_symbol, written_symbol
from job_runner.market.data_check import findings_of
from job_runner.market.sources import END_OF_TIME_MS

NAMED: Final = ("open", "high", "low", "close", "volume")
BINANCE: Final = ("open_time", *NAMED)
"""The first columns of Binance's dumps of klines, which have twelve and no header."""
BINANCE_COLUMNS: Final = 12
MAX_CSV_BYTES: Final = 2 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a folder holds of one symbol and timeframe; `fault` is why it cannot be used, and then the rest is empty; `costs`: its own."""

    symbol: str
    timeframe: str
    source: str = ""
    bars: int = 0
    first: str = ""
    last: str = ""
    bars_per_year: int = 0
    findings: tuple[str, ...] = ()
    fault: str = ""
    costs: Mapping[str, object] = field(default_factory=dict)


def looked_at(folder: Path) -> tuple[tuple[Sheet, ...], Mapping[str, str]]:
    """Every symbol and timeframe of a folder, and by name what is there and not used, with the reason.

    Raises:
        BadInput: no such folder.
    """
    market = FolderMarketData(folder)
    survey = market.survey()
    return tuple(_sheet(market, *key) for key in sorted(survey.signs)), survey.skipped


def _sheet(market: FolderMarketData, symbol: str, timeframe: str) -> Sheet:
    try:
        bars = market.bars(symbol, timeframe, END_OF_TIME_MS)
    except (BadInput, OSError) as fault:
        return Sheet(symbol, timeframe, fault=str(fault))
    return Sheet(
        symbol, timeframe, bars.source_id, len(bars), bar_words(int(bars.time[0])), bar_words(int(bars.time[-1])), bars.bars_per_year,
        findings_of(bars), costs={} if bars.costs is None else bars.costs.model_dump(),
    )  # fmt: skip


def imported(file: Path, symbol: str, timeframe: str, into: Path, *, replace: bool = False) -> tuple[Path, Sheet]:
    """Read an export as people have it, and keep it as Parquet where a runner looks for it.

    Args:
        file: CSV with a header (yfinance, stooq, CryptoDataDownload with its line of origin and newest first), a dump of Binance without
            one, Parquet or Feather.
        symbol: as the field writes it, such as BTC/USDT.
        timeframe: of its bars.
        into: the folder of bars.
        replace: a file of the same bars that is there already.

    Returns:
        The file that was written, and what it holds.

    Raises:
        BadInput: names the row and column that is at fault, or what is there already.
        OSError: it cannot be read or written.
    """
    if not is_symbol(symbol):
        raise BadInput("--as", "a symbol as the field writes it, such as BTC/USDT or BRK.B", symbol)
    target = into / written_symbol(symbol) / f"{timeframe}.parquet"
    if target.exists() and not replace:
        raise BadInput("file", f"not there yet: {target} ({bars_name(symbol, timeframe)}); --replace overwrites it")
    name = file.name
    columns = columns_of(_usual_csv(file, name), name, timeframe) if file.suffix == ".csv" else read_bars(file, name, timeframe)
    _write(columns, target)
    return target, _sheet(FolderMarketData(into), symbol, timeframe)


def _write(columns: Columns, target: Path) -> None:
    # Imported here, as in `bar_files`.
    import pyarrow as arrow
    from pyarrow import parquet

    table = {"time": columns.time.astype("datetime64[ms]"), **dict(zip(NAMED, columns.prices_and_volume, strict=True))}
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.half")
    parquet.write_table(arrow.table(table), half)
    half.replace(target)


def _usual_csv(path: Path, name: str) -> File:
    """A CSV file of one of the usual exports, oldest first."""
    if path.stat().st_size > MAX_CSV_BYTES:
        raise BadInput(name, f"at most {MAX_CSV_BYTES} bytes", path.stat().st_size)
    rows = [row for row in csv_lines(path, name) if row]
    if rows and len(rows[0]) == 1 and rows[0][0].startswith("http"):  # CryptoDataDownload says where it is from
        rows = rows[1:]
    if not rows:
        raise BadInput(name, "a header line and at least one bar")
    if len(rows[0]) == BINANCE_COLUMNS and rows[0][0].isdecimal():
        header: Sequence[str] = BINANCE
    else:
        header, rows = [_named(cell, place, rows[0]) for place, cell in enumerate(rows[0])], rows[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) < len(header):
            raise BadInput(f"{name} row {number}", f"{len(header)} cells", len(row))
    cells = {column: [row[place] for row in rows] for place, column in enumerate(header) if column}
    times = next((cells[column] for column in ("unix", "date", "time", "timestamp", "open_time", "datetime") if column in cells), [])
    if len(times) > 1 and _is_later(times[0], times[-1]):
        cells = {column: listed[::-1] for column, listed in cells.items()}
    unix = cells.pop("unix", None)
    if unix is not None:
        # Beside an instant its date in words is of whatever zone the exporter lived in.
        cells.pop("date", None)
        cells["timestamp"] = [cell.split(".")[0] for cell in unix]
    return File(cells, tuple(header))


def _named(cell: str, place: int, header: Sequence[str]) -> str:
    """A column by the name that is read here; empty for one that is not needed, or there twice (volume in two currencies)."""
    column = cell.strip().lower()
    if column.startswith("volume "):
        column = "volume"
    earlier = [other.strip().lower() for other in header[:place]]
    return "" if column in earlier or (column == "volume" and any(other.startswith("volume") for other in earlier)) else column


def _is_later(first: str, last: str) -> bool:
    try:
        return float(first) > float(last)
    except ValueError:
        return first > last
