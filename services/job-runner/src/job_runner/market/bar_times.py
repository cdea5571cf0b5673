"""The times of bars as people have them: recognised by their form, never guessed.

Role: turns a file's column of times into starts of bars in ms UTC, or says which cell is at fault and why. Days stay the days that are
written, whatever zone stands beside them: a day of an exchange is no day of UTC.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autonomy.errors import BadInput
from autonomy.timeframes import DAY_MS, MS, UNIT_MS, bar_words
from job_runner.engine.compiled import IntArray

Cells = Sequence[object] | NDArray[Any]
COLUMNS: Final = ("date", "day", "datetime", "timestamp", "time", "open_time")
"""How a column of times may be called; two of them in one file must say the same."""
EPOCHS: Final = {
    "seconds": (10**8, 2 * 10**10, 1.0e3),
    "ms": (10**11, 2 * 10**13, 1.0),
    "µs": (10**14, 2 * 10**16, 1e-3),
    "ns": (10**17, 2 * 10**19, 1e-6),
}
"""By unit, between which numbers an instant of 1973 to 2603 lies, and how many ms it is."""
# From here on a whole number is a spreadsheet's serial number (counted from 1900) rather than a day since 1970.
FIRST_SERIAL_DAY: Final = 36_525
SERIAL_DAY_0: Final = -25_569
LEAST_FOR_SPACING: Final = 10
_EPOCH: Final = date(1970, 1, 1).toordinal()
FIRST_MS: Final = (1 - _EPOCH) * DAY_MS
LAST_MS: Final = (date.max.toordinal() - _EPOCH) * DAY_MS


def starts_of(columns: Mapping[str, Cells], name: str, timeframe: str) -> tuple[IntArray, str]:
    """Starts of bars, int64 (n), ms since 1970-01-01 UTC, and the column that they came from.

    Args:
        columns: of times, by name; at least one.
        name: how errors call the file.
        timeframe: of the bars; of days and weeks only the date counts.

    Raises:
        BadInput: a cell that is no time, or two columns that say different times.
    """
    found = {column: _starts(cells, name, column, timeframe) for column, cells in columns.items()}
    first, *others = found
    for other in others:
        if (differs := np.flatnonzero(found[first] != found[other])).size:
            row = int(differs[0])
            said = {column: columns[column][row] for column in (first, other)}
            as_day = f", which is day {found[first][row] // DAY_MS}" if other == "day" else ""
            limit = f"the same {'day' if MS[timeframe] >= DAY_MS else 'time'} as in column {first}, {said[first]}{as_day}"
            raise BadInput(f"{name} row {row + 1} column {other}", limit, said[other])
    return found[first], others[0] if "day" in others else first


def check_spacing(time: IntArray, name: str, column: str, timeframe: str) -> None:
    """Refuse times that are not sorted, or not those of bars of a timeframe.

    Raises:
        BadInput: names the row, or what the bars seem to be.
    """
    steps, length, unit = np.diff(time), MS[timeframe], UNIT_MS[timeframe]
    _refuse(name, column, time, np.concatenate([[True], steps > 0]), "later than the row before (sorted, no duplicates)")
    _refuse(name, column, time, np.concatenate([[True], steps >= length]), f"at least {timeframe} after the row before")
    _refuse(name, column, time, (time - time[0]) % unit == 0, f"whole {unit // 60_000} minutes after the first row")
    if len(time) >= LEAST_FOR_SPACING and int(steps.min()) > length:
        words = next((known for known, size in MS.items() if size == int(steps.min())), f"{int(steps.min()) / 60_000:g} minutes")
        raise BadInput(name, f"bars of {timeframe}, and the nearest two are {words} apart: of another timeframe?")


def _refuse(name: str, column: str, time: IntArray, good: NDArray[np.bool_], limit: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise BadInput(f"{name} row {row + 1} column {column}", limit, bar_words(int(time[row])))


def _starts(cells: Cells, name: str, column: str, timeframe: str) -> IntArray:
    field = f"{name} row {{row}} column {column}"
    is_daily = MS[timeframe] >= DAY_MS
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        instants: IntArray = cells.astype(np.int64)
        _refuse_far(instants, field)
        return instants // DAY_MS * DAY_MS if is_daily else instants
    if column == "day":
        if not is_daily:
            raise BadInput(f"{name} column day", f"a column of times for bars of {timeframe}: days are not enough")
        listed = cells.tolist() if isinstance(cells, np.ndarray) else cells
        return np.array([_whole_day(cell, field.format(row=row)) for row, cell in enumerate(listed, start=1)], dtype=np.int64) * DAY_MS
    if column != "date" and len(cells) and _is_number(cells[0]):
        return _from_numbers(cells, field, name, column, is_daily=is_daily)
    listed = cells.tolist() if isinstance(cells, np.ndarray) else cells
    read = _calendar_day if is_daily else _instant
    return np.array([read(cell, field.format(row=row)) for row, cell in enumerate(listed, start=1)], dtype=np.int64)


def _refuse_far(instants: IntArray, field: str) -> None:
    far = (instants < FIRST_MS) | (instants > LAST_MS)
    if far.any():
        raise BadInput(field.format(row=int(np.argmax(far)) + 1), "a time of the years 1 to 9999")


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float | np.integer | np.floating) or (isinstance(cell, str) and cell.strip().lstrip("-").isdecimal())


def _from_numbers(cells: Cells, field: str, name: str, column: str, *, is_daily: bool) -> IntArray:
    try:
        numbers = np.array(cells if isinstance(cells, np.ndarray) else [int(str(cell)) for cell in cells], dtype=np.int64)
    except ValueError as wrong:
        row = next(row for row, cell in enumerate(cells, start=1) if not _is_number(cell))
        raise BadInput(field.format(row=row), "a whole number, as in the rows before", cells[row - 1]) from wrong
    least, most = int(numbers.min()), int(numbers.max())
    factor = next((each for low, high, each in EPOCHS.values() if low <= least and most < high), None)
    if factor is None:
        raise BadInput(
            f"{name} column {column}", "whole seconds, ms, µs or ns since 1970-01-01 UTC, one unit in all rows", f"{least} to {most}"
        )
    starts: IntArray = (numbers * int(factor) if factor >= 1.0 else numbers // round(1.0 / factor)).astype(np.int64)
    return starts // DAY_MS * DAY_MS if is_daily else starts


def _instant(cell: object, field: str) -> int:
    limit = "an ISO time (2010-01-04 09:30, 2010-01-04T09:30:00Z)"
    if isinstance(cell, str):
        try:
            cell = datetime.fromisoformat(cell.strip())
        except ValueError as wrong:
            raise BadInput(field, limit, cell) from wrong
    if not isinstance(cell, datetime):
        raise BadInput(field, limit, cell)
    return round((cell if cell.tzinfo else cell.replace(tzinfo=UTC)).timestamp() * 1000)


def _whole_day(cell: object, field: str) -> int:
    limit = "whole days since 1970-01-01, before 2070"
    if isinstance(cell, date) or (isinstance(cell, str) and "-" in cell[1:]):
        return _calendar_day(cell, field) // DAY_MS
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
    if isinstance(cell, date):  # a datetime too
        return _day_ms(cell)
    if not isinstance(cell, str):
        raise BadInput(field, limit, cell)
    try:
        if "-" in cell[1:]:
            return _day_ms(datetime.fromisoformat(cell.strip()))
        number = int(cell)
    except ValueError as wrong:
        raise BadInput(field, limit, cell) from wrong
    # A number under `date` may be a spreadsheet's serial number, a day since 1970 or 20100104: nobody guesses.
    raise BadInput(field, f"{limit}; days since 1970-01-01 stand in a column called day{_as_serial(number)}", cell)


def _day_ms(day: date) -> int:
    return (day.toordinal() - _EPOCH) * DAY_MS


def _as_serial(number: int) -> str:
    """What a number would be as a spreadsheet's date, where that is likely."""
    if not 20_000 <= number <= 60_000:
        return ""
    return f" (as a spreadsheet's serial number it would be {date.fromordinal(number + SERIAL_DAY_0 + _EPOCH).isoformat()})"
