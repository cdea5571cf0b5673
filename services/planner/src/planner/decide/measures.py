"""The numbers that a gate compares, as they stand beside its words in a record.

Place in the flow: rules of gates → **measures** → promotion tree. Pure. People read the words; the page draws how far a number is from
its limit, and never reads a number out of a sentence.
"""

import math
from typing import NamedTuple


class Measure(NamedTuple):
    """A number with what it must reach or may not exceed; None: undefined, or without that limit. A GateFigure, before it is said."""

    name: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None


def measure(name: str, value: float | None, *, at_least: float | None = None, at_most: float | None = None) -> Measure:
    """A measure that a record can hold: what is no number is undefined."""
    known = None if value is None or not math.isfinite(value) else float(value)
    return Measure(name, known, None if at_least is None else float(at_least), None if at_most is None else float(at_most))
