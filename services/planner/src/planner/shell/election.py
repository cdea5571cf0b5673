"""Who leads: an optimisation only, since the log arbitrates between two leaders.

Place in the flow: the shell feeds it pulses and clocks. Pure: times are arguments.

Source: S12.
"""

from dataclasses import dataclass, field
from typing import Literal

from autonomy.events import PlannerPulse

MAX_BROKER_SKEW_MS = 1_000
MAX_LEAP_MS = 5_000
CALM_MS = 10_000
"""For so long own pulses must agree with the broker's clock before a leap is forgiven: a machine slept, or its clock was put right."""
JITTER_STEPS = 8


@dataclass(slots=True)
class Election:
    """What one planner process knows of the others.

    Attributes:
        takeover_s: silence of a leader after which a standby leads.
        rival, rival_mono_ms: the last other process that said it leads, and when this process heard it.
        skew_ms: own clock against the broker's, from own pulses read back; None before the first of them.
        calm_mono_ms: since when, after a leap, every own pulse that was read back agreed with the broker's clock; None while none did.
        problem: why this process refuses to lead, in words.
    """

    process_id: str
    takeover_s: float
    started_mono_ms: float
    now_ms: int
    rival: str = ""
    rival_mono_ms: float = field(default=-1e15)
    skew_ms: int | None = None
    problem: str = ""
    leading: bool = False
    offset_ms: float = 0.0
    calm_mono_ms: float | None = None

    def __post_init__(self) -> None:
        """Remember how the wall clock stood against the monotonic one."""
        self.offset_ms = self.now_ms - self.started_mono_ms

    def see(self, pulse: PlannerPulse, appended_ms: int, said_ms: int, mono_ms: float) -> None:
        """Take a pulse; one's own tells how far this clock is from the broker's."""
        if pulse.process_id == self.process_id:
            self.skew_ms = appended_ms - said_ms
            self._note_calm(said_ms, mono_ms)
            return
        if pulse.role != "leader":
            return
        # A pulse from before this process started counts as old as the broker says it is.
        wall_ms = mono_ms + self.offset_ms
        heard_mono_ms = mono_ms - max(0.0, wall_ms - appended_ms)
        if heard_mono_ms >= self.rival_mono_ms:
            self.rival, self.rival_mono_ms = pulse.process_id, heard_mono_ms

    def _note_calm(self, said_ms: int, mono_ms: float) -> None:
        """Whether a clock that leapt is right again: its pulses from after the leap agree with the broker's clock, for a while."""
        agrees = abs(self.skew_ms or 0) <= MAX_BROKER_SKEW_MS
        leapt = abs(said_ms - mono_ms - self.offset_ms) > MAX_LEAP_MS
        if not (agrees and leapt):
            self.calm_mono_ms = None
        elif self.calm_mono_ms is None:
            self.calm_mono_ms = mono_ms
        elif mono_ms - self.calm_mono_ms >= CALM_MS:
            # The comparison with the broker is the better witness: from here on the clock counts as it stands now.
            self.offset_ms, self.calm_mono_ms = said_ms - mono_ms, None

    def measure(self, mono_ms: float, now_ms: int) -> None:
        """Judge this process's own clock.

        A wrong future `now`, once accepted, would hold time still for everybody: a clock that nobody compared yet is no right one.
        """
        leap_ms = now_ms - mono_ms - self.offset_ms
        if self.skew_ms is None:
            self.problem = "its clock was not compared with the broker's yet: no own pulse was read back"
        elif abs(self.skew_ms) > MAX_BROKER_SKEW_MS:
            self.problem = f"its clock differs from the broker's by {self.skew_ms} ms (limit {MAX_BROKER_SKEW_MS})"
        elif abs(leap_ms) > MAX_LEAP_MS:
            self.problem = f"its clock leapt by {leap_ms:.0f} ms (limit {MAX_LEAP_MS})"
        else:
            self.problem = ""

    def leads(self, mono_ms: float, now_ms: int) -> bool:
        """Whether this process may lead now."""
        self.measure(mono_ms, now_ms)
        if self.problem:
            self.leading = False
            return False
        silence_ms = mono_ms - self.rival_mono_ms
        if self.leading:
            # Two leaders: the greater id steps down; the other goes on.
            self.leading = not (silence_ms < self.takeover_s * 1000 and self.rival < self.process_id)
        else:
            self.leading = silence_ms >= self.takeover_s * 1000 + self._jitter_ms()
        return self.leading

    def _jitter_ms(self) -> float:
        """Standbys of one leader do not all take over in the same instant."""
        return int(self.process_id[:2], 16) % JITTER_STEPS * 100.0

    def role(self, mono_ms: float, now_ms: int) -> Literal["leader", "standby"]:
        """What this process says of itself."""
        return "leader" if self.leads(mono_ms, now_ms) else "standby"
