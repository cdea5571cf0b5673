"""Files of bars: read, and checked cell by cell.

Role: turns a CSV, Parquet or Feather file from outside into columns, or says exactly what is wrong with it: file, row and
column. Nothing is repaired or skipped: research on silently mended data is research on other data. Times are in `bar_columns`.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autonomy.errors import BadInput
from job_runner.engine.compiled import FloatArray, IntArray
from job_runner.market import bar_times
from job_runner.market.bar_times import Cells

MAX_BARS = 5_000_000
"""Ten years of minutes of a market that never closes."""
MAX_CSV_BYTES = 64 * 1024 * 1024
"""Text is read cell by cell; what is larger comes as Parquet (`autonomy data import`)."""
MAX_FILE_BYTES = 1024 * 1024 * 1024
# Beyond these a price times a number of units leaves what a float can hold; no market quotes there.
LOWEST_PRICE = 1e-12
HIGHEST_PRICE = 1e12
# What tools lose by storing an adjusted price: one unit in the last place or two. A wrong column is off by far more.
ROUNDING = 1e-9

_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume")
_ADJUSTED = frozenset({"adj close", "adj_close", "adjclose", "adjusted close", "adjusted_close"})

Table = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Valid bars: `time` int64 (n), starts in ms UTC, strictly increasing; open, high, low, close, volume, each float64 (n).

    `notes` are what a reader of results should know of their source.
    """

    time: IntArray
    prices_and_volume: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A file's columns as they stand there: those that are needed, and the names of all; numbers and instants may be arrays already."""

    cells: Mapping[str, Cells]
    names: tuple[str, ...]


def read_bars(path: Path, name: str, timeframe: str) -> Columns:
    """Read a file of bars and check every cell of it.

    Args:
        path: a `.csv` (up to MAX_CSV_BYTES), `.parquet` or `.feather` file (up to MAX_FILE_BYTES).
        name: how errors call the file.
        timeframe: of its bars.

    Raises:
        BadInput: too big, no such file format, a column missing or there twice, or a cell that is no number or time.
        OSError: the file cannot be read now.
    """
    size, is_text = path.stat().st_size, path.suffix == ".csv"
    limit = MAX_CSV_BYTES if is_text else MAX_FILE_BYTES
    if size > limit:
        raise BadInput(name, f"at most {limit} bytes{' (as Parquet more: `autonomy data import`)' if is_text else ''}", size)
    return columns_of(_csv_file(path, name) if is_text else _arrow_file(path, name), name, timeframe)


def columns_of(file: File, name: str, timeframe: str) -> Columns:
    """The bars of a file's cells, each checked.

    Raises:
        BadInput: as `read_bars`.
    """
    table, column = _table_of(file, name, timeframe)
    found = checked_columns(name, table, timeframe, column)
    unused = next((column for column in file.names if column.strip().lower() in _ADJUSTED), None)
    notes = () if unused is None else (f"the column {unused.strip()!r} is not used: prices count as they stand in open, high, low, close",)
    return Columns(found.time, found.prices_and_volume, notes)


def _table_of(file: File, name: str, timeframe: str) -> tuple[Table, str]:
    """The numbers, and which column the times came from."""
    raw = file.cells
    missing = [column for column in _NUMBERS if column not in raw]
    named = [column for column in bar_times.COLUMNS if column in raw]
    if not named:
        missing.insert(0, f"date or {' or '.join(column for column in bar_times.COLUMNS if column != 'date')}")
    if missing:
        raise BadInput(f"{name} column {missing[0]}", "must be there")
    count = len(raw[named[0]])
    if count > MAX_BARS:
        raise BadInput(name, f"at most {MAX_BARS} bars", count)
    time, column = bar_times.starts_of({column: raw[column] for column in named}, name, timeframe)
    table: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {"time": time}
    for number in _NUMBERS:
        cells = raw[number]
        table[number] = (
            cells.astype(np.float64)
            if isinstance(cells, np.ndarray)
            else np.array([_number(cell, f"{name} row {row} column {number}") for row, cell in enumerate(cells, start=1)], dtype=np.float64)
        )
    return table, column


def checked_columns(name: str, table: Table, timeframe: str, column: str = "time") -> Columns:
    """Columns that are bars: finite, positive, low ≤ open, close ≤ high up to rounding, times strictly increasing and of the timeframe.

    Args:
        name: how errors call the source.
        table: int64 `time` and float64 open, high, low, close, volume, of one length.
        timeframe: of the bars.
        column: how errors call the column of times.

    Raises:
        BadInput: names row (1 is the first bar) and column.
    """
    time = np.ascontiguousarray(table["time"], dtype=np.int64)
    open_, high, low, close, volume = (np.ascontiguousarray(table[c], dtype=np.float64) for c in _NUMBERS)
    if len(time) == 0:
        raise BadInput(name, "at least one bar")
    for number, values in zip(_NUMBERS, (open_, high, low, close, volume), strict=True):
        _refuse(name, number, values, ~np.isfinite(values), "a finite number")
    for number, values in zip(_PRICES, (open_, high, low, close), strict=True):
        _refuse(name, number, values, values <= 0.0, "a price above 0 USD")
        beyond = (values < LOWEST_PRICE) | (values > HIGHEST_PRICE)
        _refuse(name, number, values, beyond, f"a price from {LOWEST_PRICE:g} to {HIGHEST_PRICE:g} USD")
    _refuse(name, "volume", volume, volume < 0.0, "0 shares or more")
    floor, ceiling = low * (1.0 - ROUNDING), high * (1.0 + ROUNDING)
    _refuse(name, "high", high, ceiling < low, "not below low")
    for number, values in (("open", open_), ("close", close)):
        _refuse(name, number, values, (values < floor) | (values > ceiling), "between low and high")
    bar_times.check_spacing(time, name, column, timeframe)
    return Columns(time, (open_, high, low, close, volume))


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


def _needed(names: Sequence[str], name: str) -> dict[str, int]:
    """The place of each column that is needed; how it is written does not count, but one that stands twice is refused."""
    places: dict[str, int] = {}
    for place, written in enumerate(names):
        column = written.strip().lower()
        if column not in {*bar_times.COLUMNS, *_NUMBERS}:
            continue
        if column in places:
            first = places[column]
            both = f"{names[first].strip()!r} (column {first + 1}) and {written.strip()!r} (column {place + 1})"
            raise BadInput(f"{name} column {column}", "must stand there once", both)
        places[column] = place
    return places


def csv_lines(path: Path, name: str) -> list[list[str]]:
    """The cells of a CSV file, line by line, at least one line.

    Raises:
        BadInput: no CSV, or nothing in it.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as unreadable:
        raise BadInput(name, "a CSV file in UTF-8") from unreadable
    if not lines:
        raise BadInput(name, "a header line and at least one bar")
    return lines


def _csv_file(path: Path, name: str) -> File:
    header, *lines = csv_lines(path, name)
    rows = [line for line in lines if line]
    for row, line in enumerate(rows, start=1):
        if len(line) != len(header):
            raise BadInput(f"{name} row {row}", f"{len(header)} cells", len(line))
    return File({column: [line[place] for line in rows] for column, place in _needed(header, name).items()}, tuple(header))


def _arrow_file(path: Path, name: str) -> File:
    # Imported here: a hundred milliseconds that only folders of such files need.
    import pyarrow as arrow
    from pyarrow import feather, parquet

    is_parquet = path.suffix == ".parquet"
    try:
        if is_parquet:
            with parquet.ParquetFile(path) as file:
                names = tuple(file.schema_arrow.names)
                needed = _needed(names, name)
                # Only what is needed: a column that nobody asked for may hold what cannot be converted.
                table = file.read(columns=[names[place] for place in needed.values()])
        else:
            table = feather.read_table(path, memory_map=False)
            names = tuple(table.column_names)
            needed = _needed(names, name)
    except (arrow.ArrowException, ValueError) as unreadable:
        raise BadInput(name, f"a {'Parquet' if is_parquet else 'Feather'} file") from unreadable
    return File({column: _cells_of(table.column(names[place]), f"{name} column {column}") for column, place in needed.items()}, names)


def _cells_of(column: Any, field: str) -> Cells:  # noqa: ANN401 (pyarrow has no types)
    """Numbers and instants as arrays where none is missing; everything else cell by cell."""
    import pyarrow as arrow

    kind = column.type
    try:
        if column.null_count == 0 and (arrow.types.is_floating(kind) or arrow.types.is_integer(kind)):
            numbers: Cells = column.to_numpy()
            return numbers
        if column.null_count == 0 and arrow.types.is_timestamp(kind) and kind.tz in {None, "UTC"}:
            instants: Cells = column.cast(arrow.timestamp("ms", kind.tz)).to_numpy().astype("datetime64[ms]")
            return instants
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
