"""What an audit finds: differences, the repairs that approvers recorded, and the verdict over both.

Place in the flow: audit → **findings** → words, JSON, exit code. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from autonomy.events import Head


class Kind(StrEnum):
    """What differs."""

    INPUT = "INPUT"
    """An input is not the one that the tick sealed."""
    RECORD = "RECORD"
    """A record of a tick is missing, or not the one that was sealed."""
    DECISION = "DECISION"
    """The same inputs lead to other decisions, or to another state."""
    CHAIN = "CHAIN"
    """The chain stops, forks or lost what somebody knew."""
    ARTIFACT = "ARTIFACT"
    """The file of a result is missing, or is not what its hash says."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A tick that the log does not lead to, and what differs.

    Attributes:
        sealed, folded: the state hashes, where a fold was possible.
        inputs_differ: whether the tick's inputs are not those that it sealed.
        input_root: over the tick's inputs as they stand in the log.
        follows: the earlier tick whose difference this one may only be a consequence of; None when it stands for itself.
        abandoned: the tick of a head that was given up, where the chain forked or ends too early.
    """

    tick: int
    what: str
    sealed: str = ""
    folded: str = ""
    inputs_differ: bool = False
    input_root: str = ""
    kind: Kind = Kind.CHAIN
    follows: int | None = None
    abandoned: int | None = None

    def is_covered_by(self, repair: "Repair") -> bool:
        """Whether approvers accepted exactly this difference, and nothing else."""
        if self.abandoned is not None:
            given_up = repair.abandoned
            return given_up is not None and repair.at_tick < self.abandoned <= given_up.tick
        halts = self.sealed != self.folded or self.inputs_differ
        accepted = (repair.at_tick, repair.sealed_state_hash, repair.folded_state_hash)
        if not halts or repair.abandoned is not None or accepted != (self.tick, self.sealed, self.folded):
            return False
        return repair.input_root == self.input_root


@dataclass(frozen=True, slots=True)
class Repair:
    """A difference that approvers accepted, as recorded."""

    at_tick: int
    recorded_in_tick: int
    actor: str
    reason: str
    sealed_state_hash: str
    folded_state_hash: str
    input_root: str | None = None
    abandoned: Head | None = None
    approved_by: tuple[str, ...] = ()


class Outcome(IntEnum):
    """What an audit proved; its exit code."""

    CLEAN = 0
    """Every tick decided again, every byte equal."""
    DIFFERS = 1
    """Something differs that nobody accepted."""
    CLEAN_WITH_REPAIRS = 3
    """Equal but for differences that approvers accepted."""
    CLEAN_IN_PART = 4
    """Nothing differs, but some ticks were only folded: by an older decider, or below `--from-tick`."""


def outcome_of(open_differences: Iterable[Difference], repairs: Iterable[Repair], folded_only: int) -> Outcome:
    """The verdict: the worst of what is true."""
    if any(True for _ in open_differences):
        return Outcome.DIFFERS
    if any(True for _ in repairs):
        return Outcome.CLEAN_WITH_REPAIRS
    return Outcome.CLEAN_IN_PART if folded_only else Outcome.CLEAN


def unrepaired(differences: Iterable[Difference], repairs: Iterable[Repair]) -> list[Difference]:
    """The differences that nobody accepted, by tick; those that stand for themselves first."""
    known = list(repairs)
    left = [found for found in differences if not any(map(found.is_covered_by, known))]
    standing = {found.tick for found in left if found.follows is None}
    # A consequence of something that was accepted stands for itself: nobody accepted that.
    return sorted(left, key=lambda found: (found.follows in standing, found.tick))
