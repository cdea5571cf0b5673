"""What one receiver was told, as it is committed: how far in the log, up to where the message under way goes, and what lasts.

Place in the flow: group's offsets and their metadata → **state** → desk, and back. Pure. The metadata stand beside the offset of the chain,
so that one commit moves everything or nothing.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

import orjson
from aiokafka import TopicPartition

from autonomy.chain import GENESIS
from autonomy.errors import Broken
from autonomy.events import Head
from autonomy.topics import QUARANTINE, RUNNERS, RUNS, TOPICS

SPINE: Final = TopicPartition(RUNS, 0)
BESIDE: Final = tuple(
    TopicPartition(topic.name, number) for topic in TOPICS if topic.name in {RUNNERS, QUARANTINE} for number in range(topic.partitions)
)
"""Partitions with facts that are in no tick."""
PLACES: Final = (SPINE, *BESIDE)
MAX_TOLD: Final = 100
"""What lasts and was told, per receiver: more does not fit beside an offset, which a broker bounds at 4,096 bytes. The oldest is forgotten,
and would be told again."""
AGAIN_MIN: Final = 24 * 60
"""What lasts longer is told again after so many minutes."""
ALARM: Final = "alarm"
"""The owner of what is told of signs of life."""


def brief(words: str, length: int = 8) -> str:
    """Words as so many hexadecimal digits."""
    return hashlib.sha256(words.encode()).hexdigest()[:length]


@dataclass(frozen=True, slots=True)
class Told:
    """What lasts and was told: by ref (brief), its owner (brief) and the minute since 1970."""

    since: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def has(self, ref: str, minute: int) -> bool:
        """Whether it was told, not longer ago than a day."""
        found = self.since.get(brief(ref))
        return found is not None and minute - found[1] < AGAIN_MIN

    def with_ref(self, ref: str, owner: str, minute: int) -> "Told":
        """It was told now."""
        kept = {key: value for key, value in self.since.items() if key != brief(ref)} | {brief(ref): (brief(owner, 6), minute)}
        return Told(dict(list(kept.items())[-MAX_TOLD:]))

    def without(self, owner: str, still: frozenset[str] = frozenset()) -> "Told":
        """An owner's are over, but for those still named."""
        mine, kept = brief(owner, 6), {brief(ref) for ref in still}
        return Told({key: value for key, value in self.since.items() if value[0] != mine or key in kept})

    def less(self, refs: frozenset[str]) -> "Told":
        """Without these: they wait to be told."""
        left_out = {brief(ref) for ref in refs}
        return Told({key: value for key, value in self.since.items() if key not in left_out}) if refs else self


@dataclass(frozen=True, slots=True)
class State:
    """One receiver's.

    Attributes:
        head: the last accepted seal whose facts were all sent.
        beside: the next offset of each partition in `BESIDE`.
        cut: where the message under way ends, as `PLACES` has them: of the chain the offset of a seal, of the others a next offset; None
            while none is. What is sent again after a crash is sent with the same cut, and so says the same.
    """

    head: Head
    beside: tuple[int, ...]
    told: Told = field(default_factory=Told)
    cut: tuple[int, ...] | None = None

    @property
    def offsets(self) -> dict[TopicPartition, tuple[int, str]]:
        """What a commit says: offsets with metadata."""
        document: dict[str, object] = {
            "tick": self.head.tick, "hash": self.head.hash,
            "told": [f"{ref}{owner}{minute}" for ref, (owner, minute) in self.told.since.items()],
        }  # fmt: skip
        if self.cut is not None:
            document["cut"] = list(self.cut)
        spine = (max(0, self.head.offset), orjson.dumps(document).decode())
        return {SPINE: spine} | {place: (offset, "") for place, offset in zip(BESIDE, self.beside, strict=True)}

    @classmethod
    def of(cls, found: Mapping[TopicPartition, tuple[int, str]]) -> Self | None:
        """What was committed; None if nothing was.

        Raises:
            Broken: somebody else committed under this group's name.
        """
        if SPINE not in found or any(found.get(place, (-1, ""))[0] < 0 for place in PLACES):
            return None
        offset, metadata = found[SPINE]
        try:
            document = orjson.loads(metadata)
            told = {each[:8]: (each[8:14], int(each[14:])) for each in document["told"]}
            tick, digest, cut = int(document["tick"]), str(document["hash"]), document.get("cut")
            head = Head(tick=tick, offset=offset, hash=digest) if tick else GENESIS
            return cls(head, tuple(found[place][0] for place in BESIDE), Told(told), None if cut is None else tuple(map(int, cut)))
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise Broken(f"the position committed for {RUNS} is none that a notifier wrote: {metadata[:80]!r}") from fault

    def sent(self, head: Head, cut: tuple[int, ...], told: Told) -> "State":
        """The message up to this cut was sent."""
        return State(head, cut[1:], told)

    def sending(self, cut: tuple[int, ...]) -> "State":
        """A message up to this cut is under way."""
        return replace(self, cut=cut)
