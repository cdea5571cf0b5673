"""Inputs that were read and not folded yet, per partition in order.

Place in the flow: between the log reader and a tick's slice. Pure bookkeeping: peek a slice for a try, drop it once a tick
with that cut is accepted.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from autonomy.events import AcceptDivergence, Head
from autonomy.identities import identity_of
from autonomy.topics import COMMANDS, INPUTS
from planner.decide.rules import approvers_needed
from planner.fold.inputs import Input
from planner.fold.state import State

MAX_WAITING = 200_000
"""Records; above it the reader fetches only what the next accepted tick needs."""
MAX_TICKS_AHEAD = 256
"""Accepted ticks that wait for inputs; above it nothing more of the chain is fetched."""


class Accepted(NamedTuple):
    """What approvers have to name to let a halted planner go on.

    Attributes:
        tick: that differs, or after which the log lost ticks.
        input_root: over the tick's inputs as they stand in the log; None where ticks are lost.
        abandoned: the head that the log lost.
    """

    tick: int
    sealed: str
    folded: str
    input_root: str | None
    abandoned: Head | None

    def is_named_by(self, said: AcceptDivergence) -> bool:
        """Whether a command names just this."""
        lost = None if said.abandoned is None else (said.abandoned.tick, said.abandoned.hash)
        mine = None if self.abandoned is None else (self.abandoned.tick, self.abandoned.hash)
        named = (said.tick, said.sealed_state_hash, said.folded_state_hash, said.input_root, lost)
        return named == (self.tick, self.sealed, self.folded, self.input_root, mine)


@dataclass(slots=True)
class Inbox:
    """Inputs in the order of their partitions.

    Attributes:
        is_full: since `limit` records waited, until half as many do: pausing a partition throws away what was fetched of it.
    """

    waiting: dict[tuple[str, int], deque[Input]] = field(default_factory=dict)
    size: int = 0
    limit: int = MAX_WAITING
    is_full: bool = False

    def put(self, record: Input) -> None:
        """Take a record that was read."""
        self.waiting.setdefault((record.topic, record.partition), deque()).append(record)
        self.size += 1
        self.is_full = self.is_full or self.size >= self.limit

    def wants(self, topic: str, partition: int, position: int, cut: Mapping[str, Sequence[int]] | None) -> bool:
        """Whether to read a partition on from `position`; `cut` is that of the next accepted tick, None when there may be none to come.

        The client hands out what it fetched of a partition whole, so what is read ahead may fill the inbox before a tick's inputs are here.
        """
        if not self.is_full or cut is None:
            return True
        ends = cut.get(topic, ())
        return partition < len(ends) and position < ends[partition]

    def is_accepted(self, wanted: Accepted, state: State) -> bool:
        """Whether enough approvers' words wait here that accept just this difference, and no other."""
        voices = {
            identity_of(said.actor)
            for record in self.waiting.get((COMMANDS, 0), ())
            if isinstance(said := record.event, AcceptDivergence) and said.role == "approver" and wanted.is_named_by(said)
        }
        return len(voices) >= approvers_needed(state)

    def slice_to(self, cut: Mapping[str, Sequence[int]]) -> list[Input]:
        """Everything below a cut, sorted by (topic, partition, offset); nothing is dropped."""
        found: list[Input] = []
        for topic in INPUTS:
            for partition, end in enumerate(cut.get(topic, ())):
                queue = self.waiting.get((topic, partition), ())
                found.extend(takewhile(lambda record, end=end: record.offset < end, queue))  # type: ignore[misc] # bound early on purpose
        return found

    def drop_to(self, cut: Mapping[str, Sequence[int]]) -> None:
        """Forget what an accepted tick folded."""
        for topic in INPUTS:
            for partition, end in enumerate(cut.get(topic, ())):
                queue = self.waiting.get((topic, partition))
                while queue and queue[0].offset < end:
                    queue.popleft()
                    self.size -= 1
        self.is_full = self.is_full and self.size > self.limit // 2
