"""Facts that wait to be sent to one receiver.

Place in the flow: facts → **pending** → desk. Pure. Ten thousand bots may be reverted in one tick, so nothing here looks at all of them for
one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from notifier.facts import Fact


@dataclass(frozen=True, slots=True)
class Placed:
    """A fact and where it stands: of the chain the offset of its tick's seal, else its own."""

    fact: Fact
    place: TopicPartition
    offset: int


@dataclass(slots=True)
class Pending:
    """In the order in which they were read; one of each ref.

    Attributes:
        waits: by key, a fact's ref or a number.
        owned: by owner, the keys of its facts.
    """

    waits: dict[str, Placed] = field(default_factory=dict)
    owned: dict[str, set[str]] = field(default_factory=dict)
    count: int = 0

    def add(self, placed: Placed) -> None:
        """Keep a fact; one whose ref waits already says nothing new."""
        self.count += 1
        key, owner = placed.fact.ref or f"#{self.count}", placed.fact.owner
        if key in self.waits:
            return
        self.waits[key] = placed
        if owner:
            self.owned.setdefault(owner, set()).add(key)

    def drop(self, owner: str, still: Collection[str]) -> None:
        """Leave out what is over before it was sent."""
        self.remove([key for key in self.owned.get(owner, ()) if key not in still])

    def up_to(self, ends: Mapping[TopicPartition, int]) -> dict[str, Placed]:
        """Those below these offsets, by their keys."""
        return {key: placed for key, placed in self.waits.items() if placed.offset < ends[placed.place]}

    def remove(self, keys: Collection[str]) -> None:
        """They were sent, or are over."""
        for key in keys:
            placed = self.waits.pop(key, None)
            if placed is None or not placed.fact.owner:
                continue
            mine = self.owned[placed.fact.owner]
            mine.discard(key)
            if not mine:
                del self.owned[placed.fact.owner]

    def lasting(self) -> frozenset[str]:
        """Refs of those that are told only when they begin, and were not told yet."""
        return frozenset(placed.fact.ref for placed in self.waits.values() if placed.fact.lasts)
