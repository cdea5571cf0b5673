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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autonomy.errors import BadInput
from job_runner.engine.compiled import FloatArray, IntArray

# A century of days is 37 thousand; more in a file of daily bars is another kind of file.
MAX_BARS = 100_000
MAX_FILE_BYTES = 64 * 1024 * 1024
# Beyond these a price times a number of units leaves what a float can hold; no market quotes there.
LOWEST_PRICE = 1e-12
HIGHEST_PRICE = 1e12
# What tools lose by storing an adjusted price: one unit in the last place or two. A wrong column is off by far more.
ROUNDING = 1e-9
# From here on a whole number is a spreadsheet's serial number (counted from 1900) rather than a day since 1970.
FIRST_SERIAL_DAY = 36_525
SERIAL_DAY_0 = -25_569

_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume")
_TIMES = ("day", "date")
_ADJUSTED = frozenset({"adj close", "adj_close", "adjclose", "adjusted close", "adjusted_close"})
_EPOCH = date(1970, 1, 1).toordinal()

Table = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Valid bars: `day` int64 (n), strictly increasing; open, high, low, close, volume, each float64 (n).

    `notes` are what a reader of results should know of their source.
    """

    day: IntArray
    prices_and_volume: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A file's columns as they stand there: those that are needed, and the names of all."""

    cells: Mapping[str, Sequence[object]]
    names: tuple[str, ...]


def read_bars(path: Path, name: str) -> Columns:
    """Read a file of bars and check every cell of it.

    Args:
        path: a `.csv` or `.parquet` file, up to MAX_FILE_BYTES.
        name: how errors call the file.

    Raises:
        BadInput: too big, no such file format, a column missing or there twice, or a cell that is no number or date.
        OSError: the file cannot be read now.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise BadInput(name, f"at most {MAX_FILE_BYTES} bytes", size)
    file = _parquet_file(path, name) if path.suffix == ".parquet" else _csv_file(path, name)
    found = checked_columns(name, _table_of(file, name))
    unused = next((column for column in file.names if column.strip().lower() in _ADJUSTED), None)
    notes = () if unused is None else (f"the column {unused.strip()!r} is not used: prices count as they stand in open, high, low, close",)
    return Columns(found.day, found.prices_and_volume, notes)


def _table_of(file: File, name: str) -> Table:
    raw = file.cells
    missing = [column for column in _NUMBERS if column not in raw]
    if not any(column in raw for column in _TIMES):
        missing.insert(0, "date or day")
    if missing:
        raise BadInput(f"{name} column {missing[0]}", "must be there")
    times = {column: raw[column] for column in _TIMES if column in raw}
    count = len(next(iter(times.values())))
    if count > MAX_BARS:
        raise BadInput(name, f"at most {MAX_BARS} bars", count)
    read = {"day": _whole_day, "date": _calendar_day}
    days = {
        column: [read[column](cell, f"{name} row {row} column {column}") for row, cell in _numbered(cells)]
        for column, cells in times.items()
    }  # fmt: skip
    if len(days) == len(_TIMES):
        for row, (by_number, by_date) in enumerate(zip(days["day"], days["date"], strict=True), start=1):
            if by_number != by_date:
                limit = f"the same day as in column date, {times['date'][row - 1]}, which is day {by_date}"
                raise BadInput(f"{name} row {row} column day", limit, by_number)
    table: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {"day": np.array(next(iter(days.values())), dtype=np.int64)}
    for column in _NUMBERS:
        cells = [_number(cell, f"{name} row {row} column {column}") for row, cell in _numbered(raw[column])]
        table[column] = np.array(cells, dtype=np.float64)
    return table


def checked_columns(name: str, table: Table) -> Columns:
    """Columns that are bars: finite, positive, low ≤ open, close ≤ high up to rounding, days strictly increasing.

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
        beyond = (values < LOWEST_PRICE) | (values > HIGHEST_PRICE)
        _refuse(name, column, values, beyond, f"a price from {LOWEST_PRICE:g} to {HIGHEST_PRICE:g} USD")
    _refuse(name, "volume", volume, volume < 0.0, "0 shares or more")
    floor, ceiling = low * (1.0 - ROUNDING), high * (1.0 + ROUNDING)
    _refuse(name, "high", high, ceiling < low, "not below low")
    for column, values in (("open", open_), ("close", close)):
        _refuse(name, column, values, (values < floor) | (values > ceiling), "between low and high")
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


def _needed(names: Sequence[str], name: str) -> dict[str, int]:
    """The place of each column that is needed; how it is written does not count, but one that stands twice is refused."""
    places: dict[str, int] = {}
    for place, written in enumerate(names):
        column = written.strip().lower()
        if column not in {*_TIMES, *_NUMBERS}:
            continue
        if column in places:
            first = places[column]
            both = f"{names[first].strip()!r} (column {first + 1}) and {written.strip()!r} (column {place + 1})"
            raise BadInput(f"{name} column {column}", "must stand there once", both)
        places[column] = place
    return places


def _csv_file(path: Path, name: str) -> File:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as unreadable:
        raise BadInput(name, "a CSV file in UTF-8") from unreadable
    if not lines:
        raise BadInput(name, "a header line and at least one bar")
    header = lines[0]
    rows = [line for line in lines[1:] if line]
    for row, line in enumerate(rows, start=1):
        if len(line) != len(header):
            raise BadInput(f"{name} row {row}", f"{len(header)} cells", len(line))
    return File({column: [line[place] for line in rows] for column, place in _needed(header, name).items()}, tuple(header))


def _parquet_file(path: Path, name: str) -> File:
    # Imported here: a hundred milliseconds that only folders of Parquet need.
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = tuple(file.schema_arrow.names)
            needed = _needed(names, name)
            # Only what is needed: a column that nobody asked for may hold what cannot be converted.
            table = file.read(columns=[names[place] for place in needed.values()])
    except (arrow.ArrowException, ValueError) as unreadable:
        raise BadInput(name, "a Parquet file") from unreadable
    return File({column: _pylist(table.column(names[place]), f"{name} column {column}") for column, place in needed.items()}, names)


def _pylist(column: Any, field: str) -> list[object]:  # noqa: ANN401 (pyarrow has no types)
    try:
        found: list[object] = column.to_pylist()
    except Exception as unreadable:  # each kind of cell raises errors of its own: unknown time zones, years that no date can hold
        raise BadInput(
            field, "cells that can be read as dates or numbers", f"{type(unreadable).__name__}: {unreadable}"[:200]
        ) from unreadable
    return found


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


def _whole_day(cell: object, field: str) -> int:
    limit = "whole days since 1970-01-01, before 2070"
    if isinstance(cell, date) or (isinstance(cell, str) and "-" in cell[1:]):
        return _calendar_day(cell, field)
    if isinstance(cell, bool) or not isinstance(cell, int | str):
        raise BadInput(field, limit, cell)
    try:
        day = int(cell)
    except ValueError as wrong:
        raise BadInput(field, limit, cell) from wrong
    if not -_EPOCH < day < FIRST_SERIAL_DAY:
        raise BadInput(field, f"{limit}{_as_serial(day)}", day)
    return day


def _calendar_day(cell: object, field: str) -> int:
    limit = "an ISO date (2010-01-04)"
    if isinstance(cell, datetime):
        return cell.date().toordinal() - _EPOCH
    if isinstance(cell, date):
        return cell.toordinal() - _EPOCH
    if not isinstance(cell, str):
        raise BadInput(field, limit, cell)
    try:
        if "-" in cell[1:]:
            return date.fromisoformat(cell.strip()).toordinal() - _EPOCH
        number = int(cell)
    except ValueError as wrong:
        raise BadInput(field, limit, cell) from wrong
    # A number under `date` may be a spreadsheet's serial number, a day since 1970 or 20100104: nobody guesses.
    raise BadInput(field, f"{limit}; days since 1970-01-01 stand in a column called day{_as_serial(number)}", cell)


def _as_serial(number: int) -> str:
    """What a number would be as a spreadsheet's date, where that is likely."""
    if not 20_000 <= number <= 60_000:
        return ""
    return f" (as a spreadsheet's serial number it would be {date.fromordinal(number + SERIAL_DAY_0 + _EPOCH).isoformat()})"
