"""What time it is by the broker: every instant that is judged here was stamped by it, so ages are counted by its clock.

Place in the flow: acknowledged probes → **broker clock** → ages of pulses, ticks, beats and rows. A wrong clock of this machine is then a
finding of its own, and no reason to call somebody else late. Pure: times are arguments.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final

SAMPLES: Final = 5
"""Probes a second apart: one that a busy machine held up does not count, and a step of either clock is followed within three seconds."""
MAX_SKEW_MS: Final = 1_000
"""As a planner allows itself: what it takes to tell a wrong clock from a busy machine."""


@dataclass(slots=True)
class BrokerClock:
    """The broker's wall clock against this process's monotonic one.

    Attributes:
        offsets: of the newest probes, each good to half of the time that it took.
    """

    offsets: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def see(self, appended_ms: int, said_mono_ms: float, heard_mono_ms: float) -> None:
        """Take the broker's time of append of a record that was said and acknowledged between these two instants."""
        self.offsets.append(appended_ms - (said_mono_ms + heard_mono_ms) / 2)

    def now_ms(self, mono_ms: float, wall_ms: int) -> int:
        """The time by the broker, in ms since 1970-01-01 UTC; by this machine's own clock until a first probe was acknowledged."""
        return round(mono_ms + median(self.offsets)) if self.offsets else wall_ms

    def skew_ms(self, mono_ms: float, wall_ms: int) -> int | None:
        """How far this machine's clock is ahead of the broker's; None before a first probe was acknowledged."""
        return wall_ms - self.now_ms(mono_ms, wall_ms) if self.offsets else None
