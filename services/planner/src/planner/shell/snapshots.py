"""The planner's state in a file: a start that reads it folds only what came after it.

Place in the flow: an accepted tick whose seal has a root → **snapshots** → a file; at a start: a file → **snapshots** → state, if the
log bears it out. What it holds is believed only as far as the seal of its own tick
says so: the root there is over the hashes of all entities, each SHA-256, so unlike the state hash (a sum, ADR 0003) nobody can find
another state that has it. A checksum covers the rest, of which a planner takes its horizon; the audit derives that again. Pure.

Source: S7; docs/adr/0022.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from autonomy.chain import RunRecord, seal_hash, sealed_record
from autonomy.errors import BadInput, Broken
from autonomy.events import Head, PlannerRun
from autonomy.policy import hash_of_document, read_policy
from autonomy.snapshot_files import RefusedSnapshot, checked, with_checksum
from planner.decide.plan import DECIDER
from planner.fold.entities import Bot, Evolved, LiveJob, Look, Opening, Pause, Singletons, Vote
from planner.fold.hashing import said
from planner.fold.offers import RunnerProcess
from planner.fold.state import Said, State
from planner.shell.horizons import Horizons

HEADS_KEPT: Final = 1_000
"""Hashes of the last ticks, to compare heads with that were written down elsewhere."""
Offset = Annotated[int, Meta(ge=0)]


class HeadOf(Struct, frozen=True, array_like=True):
    """A head as the file has it."""

    tick: int
    offset: int
    hash: str

    def whole(self) -> Head:
        """The same as the log's."""
        return Head(tick=self.tick, offset=self.offset, hash=self.hash)


class Tables(Struct, frozen=True):
    """Every table of the state, by key."""

    bots: dict[str, Bot]
    said: dict[str, Said]
    jobs: dict[str, LiveJob]
    runners: dict[str, RunnerProcess]
    pauses: dict[str, Pause]
    retired: dict[str, int]
    commands: dict[str, int]
    votes: dict[str, Vote]
    looks: dict[str, Look]
    openings: dict[str, Opening]
    read: dict[str, Evolved]
    singles: dict[str, Any]


class Snapshot(Struct, frozen=True):
    """What a planner stands on after an accepted tick.

    Attributes:
        decider: whose state it is: another one may fold the same log to another.
        head: the tick, and where its seal stands.
        cut: of that seal: the inputs from there on are still to come.
        policy: its document, as it was said.
        horizons: heads that a horizon may still be.
        heads: hashes of the last ticks.
        excused: what approvers gave up: the tick that the chain went on after, and the newest head given up.
    """

    decider: str
    head: HeadOf
    cut: dict[str, tuple[Offset, ...]]
    policy: dict[str, Any]
    horizons: tuple[HeadOf, ...]
    heads: dict[int, str]
    excused: tuple[tuple[int, HeadOf], ...]
    tables: Tables


_DECODER: Final = msgspec.json.Decoder(Snapshot)
TABLES: Final = Tables.__struct_fields__


def bytes_of_snapshot(
    state: State,
    head: Head,
    cut: Mapping[str, tuple[int, ...]],
    horizons: Horizons,
    heads: Mapping[int, str],
    excused: Sequence[tuple[int, Head]],
) -> bytes:
    """A snapshot as its file holds it."""
    newest = dict(list(heads.items())[-HEADS_KEPT:])
    document: dict[str, object] = {
        "decider": DECIDER, "head": _shown(head), "cut": dict(cut), "policy": state.policy.document(),
        "horizons": [_shown(one) for one in horizons.heads.values()], "heads": newest,
        "excused": [(after, _shown(given_up)) for after, given_up in excused],
        "tables": {name: {key: said(row) for key, row in getattr(state, name).rows.items()} for name in TABLES},
    }  # fmt: skip
    return with_checksum(msgspec.json.encode(document))


def _shown(head: Head) -> tuple[int, int, str]:
    return head.tick, head.offset, head.hash


@dataclass(frozen=True, slots=True)
class Start:
    """Where a planner may go on from, once the log bore it out."""

    state: State
    snapshot: Snapshot
    horizons: Horizons

    @property
    def head(self) -> Head:
        """The tick that it stands on."""
        return self.snapshot.head.whole()

    def check(self, record: RunRecord) -> None:
        """Compare with the seal of its tick, as it stands in the log.

        Raises:
            RefusedSnapshot: it is another tick's, has no root, or another one.
        """
        try:
            seal = sealed_record(record).event
        except Broken as fault:
            raise RefusedSnapshot(str(fault)) from fault
        head = self.head
        if not isinstance(seal, PlannerRun) or (seal.tick, seal.hash, seal_hash(seal)) != (head.tick, head.hash, head.hash):
            raise RefusedSnapshot(f"the log has another record at offset {head.offset}, where the seal of tick {head.tick} stood")
        if seal.decider != self.snapshot.decider or seal.cut != self.snapshot.cut:
            raise RefusedSnapshot(f"its decider or cut is not that of tick {head.tick}")
        root = self.state.root()
        if seal.snapshot_root != root or seal.state_hash != self.state.hash():
            raise RefusedSnapshot(f"its root is {root}, the seal of tick {head.tick} says {seal.snapshot_root}")


def read_snapshot(content: bytes) -> Start:
    """Read a file, and check all that can be checked without the log.

    Raises:
        RefusedSnapshot: it is damaged, or of another version.
    """
    try:
        snapshot = _DECODER.decode(checked(content))
    except (msgspec.DecodeError, RecursionError) as refusal:
        raise RefusedSnapshot(f"it cannot be read: {refusal}"[:300]) from refusal
    if snapshot.decider != DECIDER:
        raise RefusedSnapshot(f"it is of {snapshot.decider}, this planner decides as {DECIDER}")
    state = State()
    for name in TABLES[:-1]:
        table = getattr(state, name)
        for key, row in getattr(snapshot.tables, name).items():
            table.put(key, row)
    state.single = _singletons(snapshot)
    state.head_tick = snapshot.head.tick
    horizons = Horizons({one.tick: one.whole() for one in snapshot.horizons}, snapshot.head.whole())
    return Start(state, snapshot, horizons)


def _singletons(snapshot: Snapshot) -> Singletons:
    """What exists once, with the policy of the document: it must be the one whose hash stands there."""
    try:
        rest = {name: value for name, value in snapshot.tables.singles["-"].items() if name != "policy"}
        policy = read_policy(snapshot.policy)
        found = msgspec.structs.replace(msgspec.convert(rest, Singletons), policy=policy)
    except (KeyError, AttributeError, BadInput, msgspec.ValidationError) as refusal:
        raise RefusedSnapshot(f"it cannot be read: {refusal!r}"[:300]) from refusal
    if found.policy_hash != hash_of_document(snapshot.policy):
        raise RefusedSnapshot("its policy is not the one whose hash it names")
    return found
