"""Lines as SVG paths: numbers in, attribute values out.

Place in the flow: a row's equity points → **charts** → inline SVG. Pure; draws what was recorded. At most `MAX_POINTS` points are drawn.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final, TypeGuard

MAX_POINTS: Final = 600
SPARK_WIDTH: Final = 72
SPARK_HEIGHT: Final = 18


def spark_path(values: object) -> str:
    """A line through at most `MAX_POINTS` values, scaled to its own range; empty below two values."""
    if not isinstance(values, Sequence):
        return ""
    numbers = [float(value) for value in values[:MAX_POINTS] if is_finite(value)]
    if len(numbers) < 2:
        return ""
    low, high = min(numbers), max(numbers)
    reach = (high - low) or 1.0
    step = SPARK_WIDTH / (len(numbers) - 1)
    return path((index * step, 1 + (SPARK_HEIGHT - 2) * (1 - (value - low) / reach)) for index, value in enumerate(numbers))


def path(points: Iterable[tuple[float, float]]) -> str:
    """Path data through points."""
    return " ".join(f"{'L' if index else 'M'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(points))


def steps(points: Iterable[tuple[int, float]]) -> str:
    """Path data through points, each from the one before: along time the steps are alike, which makes the page small.

    Heights are rounded to tenths before they are taken apart, so that no error adds up.
    """
    parts: list[str] = []
    x = tenths = 0
    for next_x, y in points:
        next_tenths = round(y * 10)
        parts.append(f"{'l' if parts else 'm'}{next_x - x} {(next_tenths - tenths) / 10:g}")
        x, tenths = next_x, next_tenths
    return "".join(parts)


def is_finite(value: object) -> TypeGuard[int | float]:
    """Whether a value of a document is a number that can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
