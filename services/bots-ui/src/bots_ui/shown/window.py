"""A stretch of time along the width of a picture: where an instant stands, which hours are marked, and the addresses around it.

Place in the flow: document's ends → **window** → strip, lanes, picture. Pure. Along time everything is in units, of which a picture has
`UNITS` at any width, so that no script has to measure it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode

from autonomy.values import instant_of_ms, iso, iso_of_ms, ms_of
from bots_ui.shown.stretch import UNITS, Stretch
from bots_ui.shown.words import clock_words

ADDRESS: Final = "/timeline"
LEAST_S: Final = 60
MOST_S: Final = 86_400
AXIS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 14_400)
MARKS: Final = 8
"""At most so many times are written along the width; on a narrow screen every second one."""


class Mark(NamedTuple):
    """A time on the axis: `x` in units; `minor` ones are left out where there is little room."""

    x: int
    words: str
    minor: bool


@dataclass(frozen=True, slots=True)
class Window(Stretch):
    """A stretch of time, milliseconds since 1970, and what the lanes of its picture tell apart."""

    by: str = "fleet"

    def holds(self, instant: datetime) -> bool:
        """Whether an instant is in it."""
        return self.from_ms <= ms_of(instant) < self.to_ms

    def address(self, from_ms: int, to_ms: int) -> str:
        """The address of the picture of another stretch, with the same lanes; of at least a minute and at most a day."""
        if to_ms - from_ms < LEAST_S * 1000:
            from_ms = (from_ms + to_ms) // 2 - LEAST_S * 500
            to_ms = from_ms + LEAST_S * 1000
        from_ms = max(from_ms, to_ms - MOST_S * 1000)
        return f"{ADDRESS}?{urlencode({'from': iso_of_ms(from_ms), 'to': iso_of_ms(to_ms), 'by': self.by})}"

    def around(self, from_at: datetime, to_at: datetime) -> str:
        """The address of what happened between two instants, with half as much again on both sides."""
        margin = max((ms_of(to_at) - ms_of(from_at)) // 2, LEAST_S * 500)
        return self.address(ms_of(from_at) - margin, ms_of(to_at) + margin)

    def moved(self, share: float) -> str:
        """The address of the stretch before or after, by a share of the length."""
        shift = round(self.length_ms * share)
        return self.address(self.from_ms + shift, self.to_ms + shift)

    def zoomed(self, factor: float) -> str:
        """The address of a stretch with the same middle and another length; two days are cut to one that ends with it."""
        middle, half = (self.from_ms + self.to_ms) // 2, round(self.length_ms * factor / 2)
        return self.address(middle - half, middle + half)

    def marks(self) -> tuple[Mark, ...]:
        """Full minutes or hours along the window, with their names; none at the very edge, where no name fits."""
        step_ms = 1000 * next((step for step in AXIS_S if self.length_ms / (step * 1000) <= MARKS), AXIS_S[-1])
        return tuple(
            Mark(self.x(at), _axis_words(at, seconds=step_ms < 60_000), number % 2 == 1)
            for number, at in self._every(step_ms)
            if 0.03 * UNITS < self.x(at) < 0.97 * UNITS
        )

    def _every(self, step_ms: int) -> Iterator[tuple[int, datetime]]:
        # Which are minor follows from the time itself, so that they do not change places while the window moves.
        for number in range(self.from_ms // step_ms, self.to_ms // step_ms + 1):
            yield number, instant_of_ms(number * step_ms)

    def parts(self, count: int) -> Iterator[tuple[int, int, str, str]]:
        """The window in equal parts, to be zoomed into: place, width, address, words."""
        for number in range(count):
            start, end = (self.from_ms + self.length_ms * place // count for place in (number, number + 1))
            left, right = UNITS * number // count, UNITS * (number + 1) // count
            words = f"{clock_words(instant_of_ms(start))} to {clock_words(instant_of_ms(end))} UTC: look closer"
            yield left, right - left, self.address(start, end), words


def _axis_words(at: datetime, *, seconds: bool) -> str:
    words = clock_words(at)
    if words == "00:00:00":
        return f"{iso(at)[8:10]} {at:%b}"
    return words if seconds else words[:5]


def percent(units: int) -> str:
    """Units as a share of the width, for what keeps its own size along it."""
    return f"{units * 100 / UNITS:.2f}%"
