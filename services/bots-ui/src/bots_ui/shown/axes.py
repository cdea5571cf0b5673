"""The two axes of a chart: which heights values have, which instants stand where, and what is written beside both.

Place in the flow: points of a document → **axes** → plots, career. Pure. Along time everything is in units, of which a chart has `UNITS`
at any width; heights are px, from the top.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from autonomy.values import instant_of_ms, ms_of
from bots_ui.shown.stretch import UNITS, Stretch

LINES: Final = 5
"""At most so many lines across, those of a logarithmic scale may be one or two more."""
MARKS: Final = 8
"""At most so many times are written along the width; on a narrow screen every second one."""
ROOM: Final = 0.05
"""Of the reach of the values, above and below them."""
EDGE: Final = 200
"""Room at each end, in units of what is between them."""
SPARE: Final = 60
"""A time that stands nearer to an end than so many units is not marked."""
SIDE: Final = 800
"""Words of a time that stands nearer to an end lie beside it, towards the middle."""
STEPS: Final = (("minute", (1, 2, 5, 10, 15, 30)), ("hour", (1, 2, 3, 6, 12)), ("day", (1, 2, 4, 7, 14)), ("month", (1, 2, 3, 6)),
                ("year", (1, 2, 5, 10, 20, 50)))  # fmt: skip
SECONDS: Final = {"minute": 60, "hour": 3_600, "day": 86_400, "month": 2_629_800, "year": 31_557_600}


class Grid(NamedTuple):
    """A line across with its words."""

    y: float
    words: str


class Mark(NamedTuple):
    """A time on the axis: `x` in units; `minor` ones are left out where there is little room."""

    x: int
    words: str
    minor: bool

    @property
    def anchor(self) -> str:
        """On which side of it its words lie."""
        return "begin" if self.x < SIDE else "ends" if self.x > UNITS - SIDE else "middle"


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a height.

    Attributes:
        low, high: values of the lower and the upper edge.
        top, height: of its box, px.
        logarithmic: equal heights are equal ratios.
        grid: lines across.
    """

    low: float
    high: float
    top: int
    height: int
    logarithmic: bool = False
    grid: tuple[Grid, ...] = ()

    def y(self, value: float) -> float:
        """The height of a value; one beyond an edge stands at the edge."""
        value = min(max(value, self.low), self.high)
        share = (
            math.log(value / self.low) / math.log(self.high / self.low) if self.logarithmic else (value - self.low) / (self.high - self.low)
        )
        return self.top + self.height * (1 - share)


def scale_of(values: Sequence[float], top: int, height: int, *, of_start: bool = False) -> Scale:
    """A scale around some values, logarithmic where they at least double.

    Args:
        values: what it must hold, at least one.
        top: of its box, px.
        height: of its box, px.
        of_start: multiples of a start, told as ratios or as percent from it; else amounts.
    """
    low, high = min(values), max(values)
    logarithmic = low > 0 and high >= 2 * low
    if logarithmic:
        room = (high / low) ** ROOM
        low, high = low / room, high * room
        lines = _ratios(low, high)
    else:
        reach = (high - low) or abs(high) * 0.02 or 1.0
        low, high = low - ROOM * reach, high + ROOM * reach
        lines = _steps(low, high)
    plain = Scale(low, high, top, height, logarithmic)
    digits = max((_digits(after - before) for before, after in pairwise(lines)), default=2)
    words = [_words(line, digits, of_start=of_start, logarithmic=logarithmic) for line in lines]
    return Scale(
        low, high, top, height, logarithmic, tuple(Grid(round(plain.y(line), 1), said) for line, said in zip(lines, words, strict=True))
    )


def falls_scale(deepest: float, top: int, height: int) -> Scale:
    """The scale of drawdowns: no loss at the top, the deepest above the lower edge; values are negative."""
    floor = next(size for size in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0) if deepest <= size or size == 1.0)
    return Scale(-floor, 0.0, top, height, grid=(Grid(top, "0 %"), Grid(top + height, f"−{floor * 100:.0f} %")))


def _steps(low: float, high: float) -> list[float]:
    size = 10.0 ** math.floor(math.log10((high - low) / LINES))
    step = next(size * times for times in (1, 2, 5, 10) if (high - low) / (size * times) <= LINES)
    return [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _ratios(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    tried = [
        [time * 10.0**power for power in range(first, last + 1) for time in times if low <= time * 10.0**power <= high]
        for times in ((1, 2, 5), (1, 3), (1,))
    ]
    lines = next((found for found in tried if len(found) <= LINES + 1), tried[-1])
    every = max(1, math.ceil(len(lines) / (LINES + 1)))
    return lines[::every] if len(lines) > 1 else _steps(low, high)


def _digits(step: float) -> int:
    return max(0, min(8, -math.floor(math.log10(step) + 1e-9)))


def _words(value: float, digits: int, *, of_start: bool, logarithmic: bool) -> str:
    if of_start and logarithmic:
        return f"{value:g}×"
    if of_start:
        text = f"{abs(value - 1) * 100:.{max(0, digits - 2)}f}"
        return f"{'' if float(text) == 0 else '+' if value > 1 else '−'}{text} %"
    return f"{value:,.{digits}f}".replace("-", "−")


@dataclass(frozen=True, slots=True)
class Times(Stretch):
    """A stretch of time with round times marked on it."""

    @classmethod
    def around(cls, first: datetime, last: datetime) -> "Times":
        """A stretch with a little room at both ends: a mark that stands there is whole."""
        room = (ms_of(last) - ms_of(first)) * EDGE // UNITS
        return cls(ms_of(first) - room, ms_of(last) + room)

    def holds(self, instant: datetime) -> bool:
        """Whether an instant is in it, the ends included."""
        return self.from_ms <= ms_of(instant) <= self.to_ms

    def marks(self) -> tuple[Mark, ...]:
        """Round times, UTC, at most `MARKS`; every second one is minor."""
        unit, every = next(
            (
                (unit, every)
                for unit, sizes in STEPS
                for every in sizes
                if self.length_ms / 1000 / (SECONDS[unit] * every) <= MARKS
            ),
            ("year", 100),
        )  # fmt: skip
        places = [(self.x(instant), instant) for instant in _rounds(instant_of_ms(self.from_ms), instant_of_ms(self.to_ms), unit, every)]
        shown = [(x, instant) for x, instant in places if SPARE <= x <= UNITS - SPARE]
        return tuple(Mark(x, _time_words(instant, unit), bool(number % 2)) for number, (x, instant) in enumerate(shown))


def _rounds(first: datetime, last: datetime, unit: str, every: int) -> Iterator[datetime]:
    if unit in {"month", "year"}:
        months = every * (12 if unit == "year" else 1)
        number = (first.year * 12 + first.month - 1) // months * months
        while number < 9_999 * 12:
            instant = datetime(max(1, number // 12), number % 12 + 1, 1, tzinfo=UTC)
            if instant > last:
                return
            if instant >= first:
                yield instant
            number += months
        return
    step = timedelta(seconds=SECONDS[unit] * every)
    instant = instant_of_ms(ms_of(first) // (SECONDS[unit] * every * 1000) * SECONDS[unit] * every * 1000)
    while instant <= last:
        if instant >= first:
            yield instant
        instant += step


def _time_words(instant: datetime, unit: str) -> str:
    if unit in {"minute", "hour"} and (instant.hour or instant.minute):
        return f"{instant:%H:%M}"
    return f"{instant:%Y}" if unit == "year" else f"{instant:%Y-%m}" if unit == "month" else f"{instant:%m-%d}"
