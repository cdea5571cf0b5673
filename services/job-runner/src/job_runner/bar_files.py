"""Files of bars: read, and checked cell by cell.

Role: turns a CSV or Parquet file from outside into columns, or says exactly what is wrong with it: file, row and
column. Nothing is repaired or skipped: research on silently mended data is research on other data.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autonomy.errors import BadInput
from job_runner.strategies.compiled import FloatArray, IntArray

# A century of days is 37 thousand; more in a file of daily bars is another kind of file.
MAX_BARS = 100_000
MAX_FILE_BYTES = 64 * 1024 * 1024

_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume")
_EPOCH = date(1970, 1, 1).toordinal()

Table = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Valid bars: `day` int64 (n), strictly increasing; open, high, low, close, volume, each float64 (n)."""

    day: IntArray
    prices_and_volume: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def read_table(path: Path, name: str) -> Table:
    """Read a file's columns, without judging the numbers.

    Args:
        path: a `.csv` or `.parquet` file, up to MAX_FILE_BYTES.
        name: how errors call the file.

    Raises:
        BadInput: too big, unreadable, a column missing, or a cell that is no number or date.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadInput(name, f"at most {MAX_FILE_BYTES} bytes", path.stat().st_size)
    raw = _parquet_columns(path, name) if path.suffix == ".parquet" else _csv_columns(path, name)
    missing = [column for column in _NUMBERS if column not in raw]
    if "day" not in raw and "date" not in raw:
        missing.insert(0, "date or day")
    if missing:
        raise BadInput(f"{name} column {missing[0]}", "must be there")
    when = "day" if "day" in raw else "date"
    if len(raw[when]) > MAX_BARS:
        raise BadInput(name, f"at most {MAX_BARS} bars", len(raw[when]))
    days = [_day(cell, f"{name} row {row} column {when}") for row, cell in _numbered(raw[when])]
    table: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {"day": np.array(days, dtype=np.int64)}
    for column in _NUMBERS:
        table[column] = np.array(
            [_number(cell, f"{name} row {row} column {column}") for row, cell in _numbered(raw[column])],
            dtype=np.float64,
        )
    return table


def checked_columns(name: str, table: Table) -> Columns:
    """Columns that are bars: finite, positive, low ≤ open, close ≤ high, days strictly increasing.

    Args:
        name: how errors call the source.
        table: int64 `day` and float64 open, high, low, close, volume, of one length.

    Raises:
        BadInput: names row (1 is the first bar) and column.
    """
    day = np.ascontiguousarray(table["day"], dtype=np.int64)
    open_, high, low, close, volume = (np.ascontiguousarray(table[c], dtype=np.float64) for c in _NUMBERS)
    if len(day) == 0:
        raise BadInput(name, "at least one bar")
    for column, values in zip(_NUMBERS, (open_, high, low, close, volume), strict=True):
        _refuse(name, column, values, ~np.isfinite(values), "a finite number")
    for column, values in zip(_PRICES, (open_, high, low, close), strict=True):
        _refuse(name, column, values, values <= 0.0, "a price above 0 USD")
    _refuse(name, "volume", volume, volume < 0.0, "0 shares or more")
    _refuse(name, "high", high, high < low, "not below low")
    for column, values in (("open", open_), ("close", close)):
        _refuse(name, column, values, (values < low) | (values > high), "between low and high")
    later = np.concatenate([[True], np.diff(day) > 0])
    _refuse(name, "day", day, ~later, "later than the row before (sorted, no duplicates)")
    return Columns(day, (open_, high, low, close, volume))


def _refuse(
    name: str,
    column: str,
    values: NDArray[np.float64] | NDArray[np.int64],
    bad: NDArray[np.bool_],
    limit: str,
) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise BadInput(f"{name} row {row + 1} column {column}", limit, values[row].item())


def _numbered(cells: Sequence[object]) -> enumerate[object]:
    return enumerate(cells, start=1)


def _csv_columns(path: Path, name: str) -> dict[str, list[object]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as unreadable:
        raise BadInput(name, "a CSV file in UTF-8") from unreadable
    if not lines:
        raise BadInput(name, "a header line and at least one bar")
    header = [cell.strip().lower() for cell in lines[0]]
    rows = [line for line in lines[1:] if line]
    for row, line in enumerate(rows, start=1):
        if len(line) != len(header):
            raise BadInput(f"{name} row {row}", f"{len(header)} cells", len(line))
    return {column: [line[place] for line in rows] for place, column in enumerate(header)}


def _parquet_columns(path: Path, name: str) -> dict[str, list[object]]:
    # Imported here: a hundred milliseconds that only folders of Parquet need.
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (arrow.ArrowException, OSError) as unreadable:
        raise BadInput(name, "a Parquet file") from unreadable
    return {column.lower(): table.column(column).to_pylist() for column in table.column_names}


def _number(cell: object, field: str) -> float:
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        raise BadInput(field, "a finite number", cell)
    try:
        value = float(cell)
    except (ValueError, OverflowError) as wrong:
        raise BadInput(field, "a finite number", cell) from wrong
    if not math.isfinite(value):
        raise BadInput(field, "a finite number", cell)
    return value


def _day(cell: object, field: str) -> int:
    limit = "an ISO date (2010-01-04) or whole days since 1970-01-01"
    if isinstance(cell, datetime):
        return cell.date().toordinal() - _EPOCH
    if isinstance(cell, date):
        return cell.toordinal() - _EPOCH
    if isinstance(cell, bool) or not isinstance(cell, int | str):
        raise BadInput(field, limit, cell)
    try:
        if isinstance(cell, str) and "-" in cell[1:]:
            return date.fromisoformat(cell.strip()).toordinal() - _EPOCH
        return _near(int(cell), field, limit)
    except ValueError as wrong:
        raise BadInput(field, limit, cell) from wrong


def _near(day: int, field: str, limit: str) -> int:
    # Dates of the calendar, so that a millisecond timestamp in the wrong column is not taken for a far future.
    if not -_EPOCH < day < date.max.toordinal() - _EPOCH:
        raise BadInput(field, limit, day)
    return day
