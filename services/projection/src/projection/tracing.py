"""The spans of what the log says of jobs: from a record's time of append to the commit that holds it.

Place in the flow: intake notes → **tracing** → writer tells, once the batch is in the database. One that waits for its tick is told
with the batch of that tick.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from autonomy import clock
from autonomy.lifecycle import JobStep
from autonomy.telemetry import record_span

MAX_NOTED: Final = 1_000
"""Records on their way to one commit, some 30 ms of work; of more, the oldest are left out."""


class Noted(NamedTuple):
    """A traced record that is not in the database yet."""

    step: JobStep
    parent: str
    appended_ms: int


@dataclass(slots=True)
class RowSpans:
    """Traced records on their way into the database."""

    noted: deque[Noted] = field(default_factory=lambda: deque(maxlen=MAX_NOTED))

    def note(self, step: JobStep, parent: str, appended_ms: int) -> None:
        """Remember a traced record that was read."""
        self.noted.append(Noted(step, parent, appended_ms))

    def take(self, head_tick: int) -> list[Noted]:
        """What the next commit holds: all but those that wait for a tick after this one."""
        ready = [noted for noted in self.noted if noted.step.tick <= head_tick]
        self.noted = deque((noted for noted in self.noted if noted.step.tick > head_tick), MAX_NOTED)
        return ready


def trace_rows(committed: Iterable[Noted]) -> None:
    """Record the spans of a batch that is in the database since now."""
    end_ms = clock.now_ms()
    for step, parent, appended_ms in committed:
        about: dict[str, str | int] = {"autonomy.job": step.job_id, "autonomy.bot": step.bot_id, "autonomy.tick": step.tick}
        record_span("rows", parent, appended_ms, max(end_ms, appended_ms), {**about, "autonomy.record": step.wire})
