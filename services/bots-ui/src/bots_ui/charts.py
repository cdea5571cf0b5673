"""Lines of charts as SVG paths: numbers in, attribute values out.

Place in the flow: a result's equity points → **charts** → inline SVG. Pure; draws what was recorded, computes no statistics
but the drawdown of the very points that are drawn. At most `MAX_POINTS` points are drawn.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_POINTS: Final = 600
SPARK_WIDTH: Final = 72
SPARK_HEIGHT: Final = 18
WIDTH: Final = 760
HEIGHT: Final = 220
DRAWDOWN_HEIGHT: Final = 80


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
    """Equity against buying and holding, on a logarithmic scale, with the drawdown under it.

    Attributes:
        strategy, holding: path data in a box of `WIDTH` by `HEIGHT`.
        drawdown: closed path in a box of `WIDTH` by `DRAWDOWN_HEIGHT`; the top is no loss.
        deepest: largest fall of the drawn points from their high, a fraction.
        last_strategy, last_holding: multiples of the initial cash at the end.
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


def equity_chart(points: object) -> Equity | None:
    """The chart of a result's `equity`: rows of day, equity and buy-and-hold; None without two usable rows."""
    rows = usable(points)
    if len(rows) < 2:
        return None
    strategy, holding = [row[1] for row in rows], [row[2] for row in rows]
    low, high = scale_of(strategy + holding)
    step = WIDTH / (len(rows) - 1)

    def y_of(value: float) -> float:
        return HEIGHT * (1 - (math.log2(value) - low) / (high - low))

    falls = falls_of(strategy)
    deepest = max(falls)
    floor = max(0.1, math.ceil(deepest * 10) / 10)
    under = [(index * step, DRAWDOWN_HEIGHT * fall / floor) for index, fall in enumerate(falls)]
    return Equity(
        strategy=path([(index * step, y_of(value)) for index, value in enumerate(strategy)]),
        holding=path([(index * step, y_of(value)) for index, value in enumerate(holding)]),
        drawdown=f"M0 0 {path(under).replace('M', 'L')} L{WIDTH} 0 Z",
        grid=tuple(Grid(y_of(2.0**power), f"{2.0**power:g}×") for power in range(int(low), int(high) + 1)),
        drawdown_grid=(Grid(0, "0 %"), Grid(DRAWDOWN_HEIGHT, f"−{floor * 100:.0f} %")),
        years=years_of([row[0] for row in rows], step), deepest=deepest, points=len(rows),
        last_strategy=strategy[-1], last_holding=holding[-1],
    )  # fmt: skip


def usable(points: object) -> list[tuple[str, float, float]]:
    """Rows with a day and two positive numbers; others cannot be drawn on this scale."""
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
    """The first point of every second year."""
    marks: list[Year] = []
    seen = days[0][:4]
    for index, day in enumerate(days):
        if day[:4] != seen:
            seen = day[:4]
            if seen.isdigit() and int(seen) % 2 == 0:
                marks.append(Year(index * step, seen))
    return tuple(marks)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
