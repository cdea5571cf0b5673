"""Where a process without a snapshot may start: the head before the oldest job that still lives.

Place in the flow: the planner seals it, the audit derives it again. Pure bookkeeping.

Source: S7.
"""

from dataclasses import dataclass, field

from autonomy.chain import GENESIS
from autonomy.events import Head
from planner.fold.state import State


@dataclass(slots=True)
class Horizons:
    """The heads that a horizon may still be; `head` is the last one that was folded."""

    heads: dict[int, Head] = field(default_factory=lambda: {0: GENESIS})
    head: Head = GENESIS

    def settle(self, head: Head, state: State) -> None:
        """A tick was folded into the state."""
        self.head = self.heads[head.tick] = head
        oldest = self._oldest(state)
        for old in [tick for tick in self.heads if tick < oldest]:
            del self.heads[old]

    def now(self, state: State) -> Head:
        """The horizon of the next tick, of a state that stands at the last head."""
        return self.heads[self._oldest(state)]

    def _oldest(self, state: State) -> int:
        return min((live.job.tick for live in state.jobs.rows.values()), default=self.head.tick + 1) - 1
