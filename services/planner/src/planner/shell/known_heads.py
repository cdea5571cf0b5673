"""Heads that were accepted once, as somebody wrote them down: a log that does not hold them lost records, or is another log.

Place in the flow: pulses and this planner's own head file → **known heads** → the shell, which halts before it decides anything on a
shorter history. Pure but for reading and writing the file.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from autonomy.errors import BadInput
from autonomy.events import Event, Head, PlannerPulse, ProbePulse

MAX_TICKS_KEPT: Final = 10_000
"""Hashes of the newest folded ticks, to compare a head with that was written down: more than the pulse topic keeps."""
MAX_HEADS: Final = 10_000
"""At more, the half with the lower ticks is forgotten."""


class KnownHead(NamedTuple):
    """A head and who knew it, in words."""

    tick: int
    hash: str
    source: str


@dataclass(slots=True)
class KnownHeads:
    """What was accepted once, compared with the chain that this process folds."""

    known: dict[tuple[int, str], KnownHead] = field(default_factory=dict)
    folded: dict[int, str] = field(default_factory=dict)

    def note(self, tick: int, hash_: str, source: str) -> None:
        """Somebody knew this head."""
        if tick > 0:
            self.known.setdefault((tick, hash_), KnownHead(tick, hash_, source))
        if len(self.known) > MAX_HEADS:  # the newest are those that a lost end of the log lacks
            self.known = {at: self.known[at] for at in sorted(self.known)[-(MAX_HEADS // 2) :]}

    def hear(self, said: Event) -> None:
        """Take a sign of life: it may name a head that was accepted."""
        match said:
            case PlannerPulse() if said.role != "starting":
                self.note(said.head_tick, said.head_hash, f"planner {said.process_id}")
            case ProbePulse() if said.applied is not None:
                self.note(said.applied.tick, said.applied.hash, "the read models, by proof-api,")
            case _:
                pass  # ignored on purpose: it names no head

    def fold(self, head: Head) -> None:
        """This process folded a tick."""
        self.folded[head.tick] = head.hash
        while len(self.folded) > MAX_TICKS_KEPT:
            del self.folded[next(iter(self.folded))]

    def missing(self, head: Head, is_excused: Callable[[int], bool] = lambda _: False) -> KnownHead | None:
        """The newest head that was known once and is not in a chain that ends at `head`, nor given up by approvers; None when all are."""
        lost = (known for known in self.known.values() if self._is_missing(known, head) and not is_excused(known.tick))
        return max(lost, key=lambda known: known.tick, default=None)

    def _is_missing(self, known: KnownHead, head: Head) -> bool:
        if known.tick > head.tick:
            return True
        folded = self.folded.get(known.tick)
        return folded is not None and folded != known.hash


def words_of(missing: KnownHead, head: Head) -> str:
    """Both heads, for people."""
    return (
        f"the log ends at tick {head.tick} with {head.hash}, but {missing.source} knows tick {missing.tick} with {missing.hash}: "
        "the log lost records, or is another one"
    )


def read_head_file(path: Path) -> Mapping[int, str]:
    """The head that a planner wrote down, or none.

    Raises:
        BadInput: the file holds something else; a head that cannot be compared is no reason to go on without.
    """
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return {}
    except OSError as refusal:
        raise BadInput("PLANNER_HEAD_FILE", f"must be a readable file: {refusal}", path) from refusal
    tick, _, digest = text.partition(":")
    if not tick.isdecimal() or len(digest) != 64:
        raise BadInput("PLANNER_HEAD_FILE", f"{path} must hold TICK:HASH with a hash of 64 digits (delete it to go on without)", text)
    return {int(tick): digest}


def write_head_file(path: Path, head: Head) -> None:
    """Write a head down, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(f"{head.tick}:{head.hash}\n")
    draft.replace(path)
