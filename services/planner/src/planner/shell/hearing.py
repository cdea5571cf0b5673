"""What a planner hears of runners' pulses, and who of those that should speak was silent.

Place in the flow: `autonomy.pulse` → **hearing** → the leader's seal, which says who was silent. Pure: times are arguments. Pulses have no
authority and expire; what a tick made of them stands in its seal, so silence is derived again from the log alone.

Source: S11; docs/adr/0024-beats-are-heard-and-silence-is-sealed.md.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from autonomy.events import RunnerHeartbeat, RunnerSign
from autonomy.lifecycle import is_current_claim
from autonomy.values import JobStatus
from planner.fold.state import State

BEATS: Final = 2
"""So many beats without a pulse are silence; one that comes late is none."""
DEAF_MS: Final = 3_000
"""Who has not read its own pulse back for so long, which it says once a second, may not call anybody else silent."""


class Sign(NamedTuple):
    """When a key was last heard, on the monotonic clock; of a claim also which one."""

    mono_ms: float
    attempt: int = 0
    claim_id: str = ""


@dataclass(slots=True)
class Hearing:
    """The newest signs of life.

    Attributes:
        signs: by job and by process.
        own_mono_ms: when this process's own pulse was last read back.
    """

    signs: dict[str, Sign] = field(default_factory=dict)
    own_mono_ms: float = -1e15

    def hear(self, sign: RunnerSign, mono_ms: float) -> None:
        """Take a pulse that was appended at this time of the monotonic clock."""
        self.signs[sign.process_id] = Sign(mono_ms)
        for held in sign.jobs:
            self.signs[held.job_id] = Sign(mono_ms, held.attempt, held.claim_id)

    def silent(self, state: State, mono_ms: float) -> tuple[str, ...]:
        """The live claims, by their job, and the processes that were not heard for two beats; none of them while this process is deaf."""
        awaited = expected(state)
        self.signs = {key: sign for key, sign in self.signs.items() if key in awaited}
        if mono_ms - self.own_mono_ms > DEAF_MS:
            return ()
        since_mono_ms = mono_ms - BEATS * state.policy.leases.beat_s * 1000
        found: list[str] = []
        for key in sorted(awaited):
            sign, live = self.signs.get(key), state.jobs.rows.get(key)
            is_heard = sign is not None and sign.mono_ms >= since_mono_ms
            if not is_heard or (live is not None and sign is not None and not is_current_claim(live.job, sign.attempt, sign.claim_id)):
                found.append(key)
        return tuple(found)


def expected(state: State) -> frozenset[str]:
    """Jobs and processes that should give signs of life."""
    jobs = (key for key, live in state.jobs.rows.items() if live.job.status is JobStatus.RUNNING)
    return frozenset([*jobs, *state.runners.rows])


def is_unknown(beat: RunnerHeartbeat, state: State) -> bool:
    """Whether a heartbeat names an announcement that is not held: the next tick asks for it, and should not be long in coming."""
    held = state.runners.get(beat.process_id)
    return beat.announcement is not None and (held is None or held.announcement != beat.announcement)
