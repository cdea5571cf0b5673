"""A stretch of time along the width of a drawing.

Place in the flow: a document's ends → **stretch** → window and axes, which say what is marked on it. Pure.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autonomy.values import ms_of

UNITS: Final = 10_000
"""A drawing has so many along its width, at any width: no script has to measure it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time, milliseconds since 1970."""

    from_ms: int
    to_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is; never nothing."""
        return max(1, self.to_ms - self.from_ms)

    def x(self, instant: datetime) -> int:
        """Where an instant stands, in units; one outside stands at the edge."""
        return min(max(round((ms_of(instant) - self.from_ms) * UNITS / self.length_ms), 0), UNITS)
