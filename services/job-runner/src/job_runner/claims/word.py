"""When a runner process says of itself on the audited log what its pulses say every two seconds.

Place in the flow: app → **word** → `autonomy.runners`. Pure. Level-triggered: nothing is assumed to be known because it was said once. A
pulse carries the same, but has no authority and expires; whoever folds the log learns of a process from its heartbeats.
"""

from dataclasses import dataclass
from typing import Final

from autonomy.events import RunnerSign

AGAIN_MS: Final = 300_000
"""So often it is said again although nothing changed."""
MISSED_BEATS: Final = 2.5
"""After so many beats without an acknowledged pulse the planner may have forgotten this process."""
Said = tuple[int, int, int, bool, str | None]


@dataclass(slots=True)
class Word:
    """What was said last, and what has happened since.

    Attributes:
        said, said_mono_ms: the last acknowledged heartbeat.
        pulsed_mono_ms: when the last acknowledged pulse was sent.
        is_due: a tick named this process as silent, or none of its pulses was acknowledged for a while.
    """

    said: Said | None = None
    said_mono_ms: float = 0.0
    pulsed_mono_ms: float = -1e15
    is_due: bool = False

    def pulsed(self, mono_ms: float, beat_ms: float) -> None:
        """A pulse that was sent at this time is acknowledged."""
        self.is_due = self.is_due or mono_ms - self.pulsed_mono_ms > MISSED_BEATS * beat_ms
        self.pulsed_mono_ms = mono_ms

    def is_wanted(self, sign: RunnerSign, mono_ms: float) -> bool:
        """Whether a heartbeat is due beside this pulse; always while pulses are not acknowledged."""
        return self.is_due or self.pulsed_mono_ms < mono_ms or what(sign) != self.said or mono_ms - self.said_mono_ms >= AGAIN_MS

    def was_said(self, sign: RunnerSign, mono_ms: float) -> None:
        """A heartbeat is acknowledged."""
        self.said, self.said_mono_ms, self.is_due = what(sign), mono_ms, False


def what(sign: RunnerSign) -> Said:
    """What of a sign is about the process, and not about the moment."""
    return (sign.research_slots, sign.evolve_slots, sign.runner_slots, sign.stopping, sign.announcement)
