"""Lines of charts as SVG paths: numbers in, attribute values out.

Place in the flow: a result's equity points → **charts** → inline SVG. Pure; draws what was recorded, computes no statistics
but the drawdown of the very points that are drawn. At most `MAX_POINTS` points are drawn.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from bots_ui.shown.words import bar_of

MAX_POINTS: Final = 600
SPARK_WIDTH: Final = 72
SPARK_HEIGHT: Final = 18
WIDTH: Final = 760
HEIGHT: Final = 220
DRAWDOWN_HEIGHT: Final = 80
MONTHS_SHOWN: Final = 8
STEPS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Grid:
    """A line across the chart with its label."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Year:
    """A mark on the time axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Equity:
    """Equity against buying and holding, with the drawdown under it; logarithmic where it at least doubles.

    Attributes:
        strategy, holding: path data in a box of `WIDTH` by `HEIGHT`.
        drawdown: closed path in a box of `WIDTH` by `DRAWDOWN_HEIGHT`; the top is no loss.
        deepest: largest fall of the drawn points from their high, a fraction.
        last_strategy, last_holding: multiples of the initial cash at the end.
        ticks: where fills happened, from the left.
    """

    strategy: str
    holding: str
    drawdown: str
    grid: tuple[Grid, ...]
    drawdown_grid: tuple[Grid, ...]
    years: tuple[Year, ...]
    deepest: float
    points: int
    last_strategy: float
    last_holding: float
    logarithmic: bool
    first_bar: str
    last_bar: str
    ticks: tuple[float, ...] = ()


def spark_path(values: object) -> str:
    """A line through at most `MAX_POINTS` values, scaled to its own range; empty below two values."""
    if not isinstance(values, Sequence):
        return ""
    numbers = [float(value) for value in values[:MAX_POINTS] if _is_finite(value)]
    if len(numbers) < 2:
        return ""
    low, high = min(numbers), max(numbers)
    reach = (high - low) or 1.0
    step = SPARK_WIDTH / (len(numbers) - 1)
    return path((index * step, 1 + (SPARK_HEIGHT - 2) * (1 - (value - low) / reach)) for index, value in enumerate(numbers))


def path(points: Iterable[tuple[float, float]]) -> str:
    """Path data through points."""
    return " ".join(f"{'L' if index else 'M'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(points))


def curve_of(summary: Mapping[str, object]) -> list[list[object]]:
    """The points of a result's curve; none of a curve that is none."""
    curve = summary.get("curve")
    if not isinstance(curve, Mapping):
        return []
    columns = [str(curve.get(name)).split(",") for name in ("minutes", "strategy", "buyAndHold")]
    try:
        start = datetime.fromisoformat(str(summary.get("firstBar")))
        return [
            [bar_of((start + timedelta(minutes=int(minutes))).isoformat()), float(strategy), float(held)]
            for minutes, strategy, held in zip(*columns, strict=True)
        ]
    except (ValueError, OverflowError):
        return []


def equity_chart(points: object, fills: Iterable[str] = ()) -> Equity | None:
    """The chart of rows of a bar's start, equity and buy-and-hold, both as multiples of the start; None without two usable rows.

    Args:
        points: as `curve_of` a result, or the marks of a paper session.
        fills: bars of fills, drawn as ticks where such a bar is among the points.
    """
    rows = usable(points)
    if len(rows) < 2:
        return None
    strategy, holding = [row[1] for row in rows], [row[2] for row in rows]
    scale = log_scale(strategy + holding) if max(strategy + holding) >= 2 * min(strategy + holding) else linear_scale(strategy + holding)
    step = WIDTH / (len(rows) - 1)
    places = {row[0]: index * step for index, row in enumerate(rows)}
    falls = falls_of(strategy)
    deepest = max(falls)
    floor = max(0.1, math.ceil(deepest * 10) / 10) if deepest > 0.02 else 0.02
    under = [(index * step, DRAWDOWN_HEIGHT * fall / floor) for index, fall in enumerate(falls)]
    return Equity(
        strategy=path([(index * step, scale.y_of(value)) for index, value in enumerate(strategy)]),
        holding=path([(index * step, scale.y_of(value)) for index, value in enumerate(holding)]),
        drawdown=f"M0 0 {path(under).replace('M', 'L')} L{WIDTH} 0 Z", grid=scale.grid,
        drawdown_grid=(Grid(0, "0 %"), Grid(DRAWDOWN_HEIGHT, f"−{floor * 100:.0f} %")),
        years=years_of([row[0] for row in rows], step), deepest=deepest, points=len(rows), last_strategy=strategy[-1],
        last_holding=holding[-1], logarithmic=scale.logarithmic, first_bar=rows[0][0], last_bar=rows[-1][0],
        ticks=tuple(sorted({round(places[bar], 1) for bar in fills if bar in places})),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """From a multiple of the start to a height."""

    low: float
    high: float
    logarithmic: bool
    grid: tuple[Grid, ...] = ()

    def y_of(self, value: float) -> float:
        """Height of a value, from the top."""
        shown = math.log2(value) if self.logarithmic else value
        return HEIGHT * (1 - (shown - self.low) / (self.high - self.low))


def log_scale(values: Sequence[float]) -> Scale:
    """Whole powers of two around all values."""
    low, high = scale_of(values)
    scale = Scale(low, high, logarithmic=True)
    return replace(scale, grid=tuple(Grid(scale.y_of(2.0**power), f"{2.0**power:g}×") for power in range(low, high + 1)))


def linear_scale(values: Sequence[float]) -> Scale:
    """Round steps around all values, named by their distance from the start."""
    least, most = min(*values, 1.0), max(*values, 1.0)
    step = next(size for size in STEPS if (most - least) / size <= 5 or size == STEPS[-1])
    low, high = math.floor(least / step) * step, math.ceil(most / step + 1e-9) * step
    high = high if high > low else low + step
    scale = Scale(low, high, logarithmic=False)
    marks = [low + index * step for index in range(round((high - low) / step) + 1)]
    return replace(scale, grid=tuple(Grid(scale.y_of(mark), _distance(mark, step)) for mark in marks))


def _distance(mark: float, step: float) -> str:
    change = (mark - 1) * 100
    digits = 0 if step >= 0.01 else 1
    text = f"{abs(change):.{digits}f}"
    return f"{'' if float(text) == 0 else '+' if change > 0 else '−'}{text} %"


def usable(points: object) -> list[tuple[str, float, float]]:
    """Rows with a bar's start and two positive numbers; others cannot be drawn on this scale."""
    if not isinstance(points, Sequence):
        return []
    rows: list[tuple[str, float, float]] = []
    for point in points[:MAX_POINTS]:
        match point:
            case [str(day), equity, holding] if _is_finite(equity) and _is_finite(holding) and equity > 0 and holding > 0:
                rows.append((day, float(equity), float(holding)))
            case _:
                pass
    return rows


def scale_of(values: Sequence[float]) -> tuple[int, int]:
    """Whole powers of two around all values."""
    low, high = math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))
    return (low, high) if high > low else (low - 1, high + 1)


def falls_of(values: Sequence[float]) -> list[float]:
    """At each point, how far below the highest point so far, as a fraction."""
    falls, top = [], 0.0
    for value in values:
        top = max(top, value)
        falls.append(1 - value / top)
    return falls


def years_of(days: Sequence[str], step: float) -> tuple[Year, ...]:
    """The first point of every second year; within two years, of every month, thinned to what can be read."""
    first, last = days[0][:4], days[-1][:4]
    if first.isdigit() and last.isdigit() and int(last) - int(first) < 2:
        return _months_of(days, step)
    marks: list[Year] = []
    seen = days[0][:4]
    for index, day in enumerate(days):
        if day[:4] != seen:
            seen = day[:4]
            if seen.isdigit() and int(seen) % 2 == 0:
                marks.append(Year(index * step, seen))
    return tuple(marks)


def _months_of(days: Sequence[str], step: float) -> tuple[Year, ...]:
    firsts = [(index, day) for index, day in enumerate(days) if index and day[:7] != days[index - 1][:7]]
    every = max(1, math.ceil(len(firsts) / MONTHS_SHOWN))
    return tuple(Year(index * step, day[:7]) for index, day in firsts[::every] if index * step < WIDTH - 20)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
