"""When the leader makes its next tick.

Place in the flow: the shell asks on every turn. Pure: time and what was seen are arguments; the answer is a cause, which
`decide` never sees.

Source: docs/architecture.md, "Ticks"; S11.
"""

from dataclasses import dataclass, field

from autonomy.events import (
    CapabilitiesAnnounced,
    Command,
    Event,
    JobCancelled,
    JobDead,
    JobFailed,
    JobStarted,
    JobSucceeded,
    RunnerSign,
)
from autonomy.policy import Policy
from autonomy.values import TickCause

COMMAND_SPACING_MS = 100


@dataclass(slots=True)
class Wake:
    """What happened since the last tick that may bring the next one forward.

    Attributes:
        beats: monotonic time of the last sign of life, by job and by process.
        ended: jobs that ended and whose end is not folded yet: nobody expects a beat of them.
        work_waits: whether the last plan left somebody waiting for a slot.
    """

    command: bool = False
    capacity: bool = False
    work_waits: bool = True
    beats: dict[str, float] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    last_tick_mono_ms: float = 0.0

    def see(self, event: Event, mono_ms: float) -> None:
        """Take notice of an input as it is read."""
        match event:
            case Command():
                self.command = True
            case CapabilitiesAnnounced():
                self.capacity = self.work_waits = True
                self.beats[event.process_id] = mono_ms
            case JobStarted():
                self.beats[event.job_id] = mono_ms
            case JobSucceeded() | JobFailed() | JobCancelled() | JobDead():
                self.capacity = True
                self.ended.add(event.job_id)
                self.beats.pop(event.job_id, None)
            case RunnerSign():
                for key in (event.process_id, *(held.job_id for held in event.jobs)):
                    self.beats[key] = max(mono_ms, self.beats.get(key, mono_ms))
            case _:
                pass  # ignored on purpose: nothing else can make an earlier tick useful

    def ticked(self, mono_ms: float, *, work_waits: bool) -> None:
        """A tick was accepted: what was seen before it is folded."""
        self.command = self.capacity = False
        self.ended.clear()
        self.work_waits = work_waits
        self.last_tick_mono_ms = mono_ms

    def is_overdue(self, alive: frozenset[str], policy: Policy, mono_ms: float) -> bool:
        """Whether a claim or a process that should beat missed two beats."""
        limit_ms = 2 * policy.leases.beat_s * 1000
        return any(mono_ms - self.beats.setdefault(key, mono_ms) > limit_ms for key in sorted(alive - self.ended))

    def cause(self, *, now_ms: int, due_ms: int, mono_ms: float, alive: frozenset[str], policy: Policy) -> TickCause | None:
        """The cause to tick for now, or None."""
        since_ms = mono_ms - self.last_tick_mono_ms
        if now_ms >= due_ms:
            return TickCause.SCHEDULED
        if self.command and since_ms >= COMMAND_SPACING_MS:
            return TickCause.COMMAND
        if self.capacity and self.work_waits and since_ms >= policy.early_tick_spacing_s * 1000:
            return TickCause.CAPACITY
        if since_ms >= policy.leases.lease_s * 1000 / 4 and self.is_overdue(alive, policy, mono_ms):
            return TickCause.LEASE
        return None


def next_due_ms(head_now_ms: int, now_ms: int, interval_s: float, *, first: bool) -> int:
    """The next time on the fixed grid: at once before the first tick, and a missed one is not made up."""
    if first:
        return now_ms
    interval_ms = round(interval_s * 1000)
    after_head = (head_now_ms // interval_ms + 1) * interval_ms
    return max(after_head, (now_ms // interval_ms) * interval_ms)
