"""Decide every sealed tick again, and compare every byte with the log.

Place in the flow: log reader → **audit** → findings. Pure: records in, findings out. It folds with the planner's own core and
accepts ticks with the reducer that every reader uses; nothing is taken from a read model. Inputs are kept as bytes until the
tick that folds them is here, so memory is bounded by one slice and what was read ahead of the chain.

A tick whose own records are damaged is not accepted, and the chain stops there for every reader. The audit goes on behind it: it decides
the tick again, and when the root over what it decided is the sealed one, these are the records that stood there.

Source: R-F1; S3, S5, S6.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from autonomy.chain import SEAL_KIND, AcceptedTick, Chain, RefusedSeal, RunRecord, read_record, sealed_record, write_seal
from autonomy.envelope import Record, Undecodable, decode
from autonomy.errors import Broken
from autonomy.events import ChainRepaired, JobSucceeded, PlannerRun
from autonomy.snapshot_files import RefusedSnapshot
from autonomy.topics import INPUTS, RUNS
from autonomy.values import ms_of
from autonomy_cli.findings import Difference, Kind, Repair, unrepaired
from planner.decide.plan import DECIDER, DECIDERS
from planner.fold.inputs import Input, input_root, read_input
from planner.fold.state import State
from planner.following import follow, gap_to, inputs_of, re_decide, unlike_inputs
from planner.shell.horizons import Horizons
from planner.shell.known_heads import KnownHeads, words_of
from planner.shell.snapshots import Start
from planner.tick import draft

Place = tuple[str, int]
MAX_DIFFERENCES: Final = 20
"""Ticks; an audit that found so many, each for itself, has nothing left to prove."""
MAX_FOLLOWING: Final = 20
"""Consequences of earlier differences that are listed; the others are counted."""
NOT_PROVEN: Final = (
    "what the leader alone knew and recorded: process id, cause, due time and elapsed time of a tick, and its try id",
    "broker timestamps, headers of a tick's own records beyond their place, void tries, and the quarantine",
    "who said a command, and whether a result is true: see docs/audit.md",
)
"""What no audit can derive from the log."""


class Waiting(NamedTuple):
    """An input that was read and not folded."""

    offset: int
    value: bytes | None
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Refusal(NamedTuple):
    """A seal that was not accepted.

    Attributes:
        is_of_a_try: whether records of its try stand in the log, or it names the head that it follows: no mere junk.
    """

    offset: int
    why: str
    is_of_a_try: bool


@dataclass(slots=True)
class Audit:
    """One pass over the log.

    Attributes:
        from_tick: ticks below it are folded and their state compared, but not decided again.
        known_heads: hashes by tick that somebody wrote down earlier; the chain must contain them.
        said_heads: heads that planners and proof-api said of themselves in the pulse topic; the chain must contain them too.
        waiting: inputs that were read and not folded, per partition in order.
        accepted: ticks whose inputs are not all here yet.
        refusal: the first seal of the tick after the head that was not accepted, until one is.
        older: ticks by deciders before this one: folded as they folded and compared by their state, but not decided again.
        again: how many ticks were decided again.
        carried: the gap that the last difference of states left: later ticks that differ by it alone do not differ anew.
        tainted, first_taint: the tick since whose difference the state is not the sealed one, and the first there was.
        following: differences that may be only a consequence of an earlier one.
        artifacts: the tick that folded the result which names it, by reference.
        begun_at: the tick of the snapshot that it began at; 0 when it began with the log.
    """

    from_tick: int = 1
    known_heads: Mapping[int, str] = field(default_factory=dict)
    said_heads: KnownHeads = field(default_factory=KnownHeads)
    state: State = field(default_factory=State)
    chain: Chain = field(default_factory=Chain)
    horizons: Horizons = field(default_factory=Horizons)
    waiting: dict[Place, deque[Waiting]] = field(default_factory=dict)
    accepted: deque[AcceptedTick] = field(default_factory=deque)
    positions: dict[Place, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    refusal: Refusal | None = None
    carried: int = 0
    tainted: int | None = None
    first_taint: int | None = None
    following: int = 0
    artifacts: dict[str, int] = field(default_factory=dict)
    unknown_decider: str = ""
    older: Counter[str] = field(default_factory=Counter)
    again: int = 0
    ticks: int = 0
    records: int = 0
    jobs: int = 0
    undecodable: int = 0
    begun_at: int = 0

    def begin_at(self, start: Start) -> None:
        """Begin behind a snapshot that the log bears out; nothing before it is looked at.

        Raises:
            RefusedSnapshot: a head that was written down is older than what the snapshot knows.
        """
        heads = start.snapshot.heads
        for tick, known in self.known_heads.items():
            if tick <= start.head.tick and heads.get(tick) is None:
                raise RefusedSnapshot(f"the head of tick {tick} that was written down is before the snapshot of tick {start.head.tick}")
            if tick <= start.head.tick and heads[tick] != known:
                self._differs(tick, f"its seal is {heads[tick]}, written down was {known}")
        self.begun_at = start.head.tick
        self.state, self.chain, self.horizons = start.state, Chain.anchored(start.head), start.horizons
        self.said_heads.folded = dict(heads)
        self.positions = {(RUNS, 0): start.head.offset}
        self.positions |= {(topic, number): end for topic, ends in start.snapshot.cut.items() for number, end in enumerate(ends)}

    def take(self, record: Record) -> None:
        """Take one record of any partition; a partition's records must come in order."""
        self.records += 1
        place = (record.topic, record.partition)
        self.positions[place] = record.offset + 1
        if record.topic != RUNS:
            self.waiting.setdefault(place, deque()).append(Waiting(record.offset, record.value, record.key, record.headers))
            return
        placed = read_record(record)
        if isinstance(placed, Undecodable):
            self.chain.void_records += 1
            return
        self._take_run(placed)

    def _take_run(self, placed: RunRecord) -> None:
        kept = len(self.chain.tries.get(placed.try_id, ()))
        done = self.chain.feed(placed)
        if done is not None:
            self.refusal = None
            self.accepted.append(done)
            _, written = write_seal(done.seal, ms_of(done.seal.now))
            if (written.key, written.value) != (placed.key, placed.value):
                what = f"its seal at offset {placed.offset} says the same in other bytes than a planner writes"
                self._differs(done.seal.tick, what, kind=Kind.RECORD)
        elif placed.kind == SEAL_KIND and placed.tick == self.chain.head.tick + 1 and self.refusal is None:
            received = decode(placed.value, RUNS)
            seal = None if isinstance(received, Undecodable) else received.event
            follows = isinstance(seal, PlannerRun) and seal.prev_hash == self.chain.head.hash
            self.refusal = Refusal(placed.offset, self.chain.last_refusal, kept > 0 or follows)

    def advance(self) -> int:
        """Judge the accepted ticks whose inputs are all here; returns how many."""
        judged = 0
        while self.accepted and not self.is_over and self._has_inputs(self.accepted[0]):
            tick = self.accepted.popleft()
            self._judge(tick, self._slice(tick.seal.cut))
            judged += 1
        return judged

    @property
    def is_over(self) -> bool:
        """Whether more reading could add nothing."""
        return bool(self.unknown_decider) or sum(found.follows is None for found in self.differences) >= MAX_DIFFERENCES

    @property
    def folded_only(self) -> int:
        """Ticks that were not decided again, with those before a snapshot."""
        return self.ticks - self.again + self.begun_at

    def next_cut(self) -> Mapping[str, Sequence[int]]:
        """Up to where the next tick needs the inputs; nothing while no tick waits for them."""
        next_tick = self.accepted[0] if self.accepted else self._damaged()
        return {} if next_tick is None else next_tick.seal.cut

    def needs(self, place: Place) -> int:
        """The offset up to which the next tick needs this partition."""
        offsets = self.next_cut().get(place[0], ())
        return offsets[place[1]] if place[1] < len(offsets) else 0

    def _has_inputs(self, tick: AcceptedTick | RefusedSeal) -> bool:
        return all(
            self.positions.get((topic, number), 0) >= end for topic, ends in tick.seal.cut.items() for number, end in enumerate(ends)
        )

    def _judge(self, tick: AcceptedTick, slice_: Sequence[Input]) -> None:
        seal = tick.seal
        if seal.decider not in DECIDERS:
            self.unknown_decider = f"tick {seal.tick} was decided by {seal.decider}, this version decides as {DECIDER}"
            return
        known = self.known_heads.get(seal.tick)
        if known is not None and known != seal.hash:
            self._differs(seal.tick, f"its seal is {seal.hash}, written down was {known}")  # no repair covers this
        self._compare(slice_, tick)
        for record in slice_:
            if isinstance(record.event, JobSucceeded):
                parts = (record.event.result, record.event.evolution)
                self.artifacts |= {part.artifact: seal.tick for part in parts if part is not None and part.artifact is not None}
        self.state.head_tick = seal.tick
        self.horizons.settle(tick.head, self.state)
        self.said_heads.fold(tick.head)
        self.ticks += 1
        self.jobs += seal.jobs_enqueued
        self._note_repairs(tick)

    def _compare(self, slice_: Sequence[Input], tick: AcceptedTick) -> None:
        seal = tick.seal
        unlike = unlike_inputs(seal, slice_)
        offsets = [record.offset for record in tick.records if record.offset >= 0]
        if offsets != sorted(offsets):
            self._differs(seal.tick, "its records stand in another order than they were written in", kind=Kind.RECORD)
        try:
            is_ours = seal.decider == DECIDER
            if seal.tick >= self.from_tick and is_ours:
                fault = self._again(slice_, tick)
                self.again += 1
            else:
                fault = follow(self.state, slice_, tick, self.carried)
                self.older.update([] if is_ours else [seal.decider])
        except Broken as broken:
            # No state came of it, so there is none to accept.
            self._differs(seal.tick, f"{unlike}; it cannot be folded: {broken}".removeprefix("; "), inputs_differ=bool(unlike))
            return
        if fault is not None:
            what = f"{unlike}; {fault}" if unlike and unlike not in fault else fault
            self._differs(
                seal.tick, what, seal.state_hash, self.state.hash(), inputs_differ=bool(unlike), input_root=input_root(slice_),
                kind=Kind.INPUT if unlike else Kind.DECISION,
            )  # fmt: skip
        self.carried = gap_to(seal, self.state)
        self.tainted = (self.tainted or seal.tick) if self.carried else None
        self.first_taint = self.first_taint or self.tainted

    def _differs(
        self, tick: int, what: str, sealed: str = "", folded: str = "", *, inputs_differ: bool = False, input_root: str = "",
        kind: Kind = Kind.CHAIN, abandoned: int | None = None,
    ) -> None:  # fmt: skip
        follows = self.tainted if kind is Kind.DECISION else None
        if follows is not None:
            self.following += 1
            if self.following > MAX_FOLLOWING:
                return
        words = what.removeprefix(f"tick {tick}: ")
        self.differences.append(Difference(tick, words, sealed, folded, inputs_differ, input_root, kind, follows, abandoned))

    def _slice(self, cut: Mapping[str, Sequence[int]]) -> list[Input]:
        """Everything below the cut, sorted by (topic, partition, offset), taken out of what waits."""
        found: list[Input] = []
        for topic in INPUTS:
            for partition, end in enumerate(cut.get(topic, ())):
                queue = self.waiting.get((topic, partition))
                while queue and queue[0].offset < end:
                    record = queue.popleft()
                    read = read_input(topic, partition, record.offset, record.value, record.key, record.headers)
                    self.undecodable += isinstance(read.event, Undecodable)
                    found.append(read)
        return found

    def _again(self, slice_: Sequence[Input], tick: AcceptedTick) -> str | None:
        """Decide again; a tick that differs is then folded as it stands, as the planner does that goes on after a repair."""
        horizon = self.horizons.now(self.state)
        self.state.begin()
        try:
            fault = re_decide(self.state, slice_, tick, self.carried, horizon)
        except Broken as broken:
            fault = f"it cannot be decided again: {broken}"
        if fault is None:
            self.state.keep()
            return None
        self.state.undo()
        try:
            followed = follow(self.state, slice_, tick, self.carried)
        except Broken as broken:
            raise Broken(f"{broken}; {fault}") from broken
        return fault if followed is None else f"{fault}; {followed.removeprefix(f'tick {tick.seal.tick}: ')}"

    def _note_repairs(self, tick: AcceptedTick) -> None:
        for record in tick.records:
            said = sealed_record(record).event if record.kind == ChainRepaired.wire else None
            if isinstance(said, ChainRepaired):
                self.repairs.append(Repair(
                    said.at_tick, tick.seal.tick, said.actor, said.reason, said.sealed_state_hash, said.folded_state_hash,
                    said.input_root, said.abandoned, said.approved_by,
                ))  # fmt: skip

    # ── where the chain stops ─────────────────────────────────────────────────────────────────────────────────────────

    def _damaged(self) -> RefusedSeal | None:
        """The seal that follows the head and was not accepted, if this version can decide its tick again."""
        refused = self.chain.beyond.get(self.chain.head.tick + 1)
        if refused is None or refused.seal.prev_hash != self.chain.head.hash or self.carried:
            return None
        return refused

    def go_on_behind(self) -> int | None:
        """Go on behind a tick whose own records are damaged, once everything was read and nothing else is left to judge.

        Returns:
            The offset of `autonomy.runs` to read on from; None when the chain goes on nowhere.
        """
        refused = self._damaged()
        if refused is None or self.accepted or self.is_over or not self._has_inputs(refused):
            return None
        seal, slice_ = refused.seal, self._slice(refused.seal.cut)
        derived = self._derive(seal, slice_)
        if derived is None:
            return None
        self._differs(seal.tick, unlike_records(refused, derived), kind=Kind.RECORD)
        if self.chain.abandoned is not None and self.chain.abandoned.seal.hash == seal.hash:
            self.chain.abandoned = None  # no fork: what follows it is read again, and counts
        self.chain.beyond.clear()
        tick = self.chain.accept(AcceptedTick(seal, derived, refused.offset, refused.sealed_at_ms))
        self.refusal = None
        self._judge(tick, slice_)
        self.positions[RUNS, 0] = refused.offset + 1
        return refused.offset + 1

    def _derive(self, seal: PlannerRun, slice_: Sequence[Input]) -> tuple[RunRecord, ...] | None:
        """The records that the seal was made over, if they follow from the log."""
        self.state.begin()
        try:
            drafted = draft(self.state, slice_, inputs_of(seal))
            records = tuple(drafted.records())
        except Broken:
            return None
        finally:
            self.state.undo()
        return records if (len(records), drafted.root) == (seal.count, seal.root) else None

    def finish(self, ends: Mapping[str, Sequence[int]]) -> None:
        """Everything up to `ends` was taken: what is still missing is a difference too."""
        for tick in self.accepted:
            for topic, cut in tick.seal.cut.items():
                for number, end in enumerate(cut):
                    have = self.positions.get((topic, number), 0)
                    if have < end and have >= ends.get(topic, ())[number]:
                        self._differs(tick.seal.tick, f"it folded {topic}/{number} up to {end}, the log ends at {have}: records are lost")
                        return
        self._finish_chain()
        head = self.chain.head
        for tick_number in sorted(self.known_heads):  # of those that a snapshot knew, `begin_at` has judged
            if tick_number > head.tick:
                self._differs(tick_number, f"it was written down once, the chain ends at {head.tick}")
        missing = self.said_heads.missing(head)
        if missing is not None and not self.chain.beyond:
            self._differs(missing.tick, words_of(missing, head), abandoned=missing.tick)

    def _finish_chain(self) -> None:
        """What stands above the head, or was sealed and given up."""
        head, refusal = self.chain.head.tick, self.refusal
        if self.chain.beyond:
            why = refusal.why if refusal is not None else f"no seal of tick {head + 1} is there"
            last = max(self.chain.beyond)
            self._differs(head + 1, f"the chain stops: {why}; seals up to tick {last} stand behind it and are not judged", abandoned=last)
        elif refusal is not None and refusal.is_of_a_try:
            self._differs(head + 1, f"the chain stops: {refusal.why}")
        if (given_up := self.chain.abandoned) is not None and given_up.seal.tick <= head:
            what = f"history was forked: its seal at offset {given_up.offset}, which others follow, was given up, and the tick sealed again"
            self._differs(given_up.seal.tick, what, abandoned=given_up.seal.tick)

    def unrepaired(self) -> list[Difference]:
        """The differences that nobody accepted: those that stand for themselves first, by tick."""
        return unrepaired(self.differences, self.repairs)


def unlike_records(refused: RefusedSeal, sealed: Sequence[RunRecord]) -> str:
    """Which of a tick's records is not the sealed one, or is not there."""
    stored = {record.seq: record for record in refused.records}
    for record in sealed:
        found = stored.get(record.seq)
        if found is None:
            return f"record {record.seq} ({record.kind}) is missing: it stood {_between(record.seq, stored, refused.offset)}"
        if found.digest() != record.digest():
            return f"record {record.seq} ({record.kind}) at offset {found.offset} is not the one that was sealed"
    return f"its seal at offset {refused.offset} was not accepted: {refused.why}"


def _between(seq: int, stored: Mapping[int, RunRecord], seal_offset: int) -> str:
    """Where a record stood, by its neighbours."""
    before = max((record.offset for number, record in stored.items() if number < seq), default=None)
    after = min((record.offset for number, record in stored.items() if number > seq), default=seal_offset)
    if before is None:
        return f"before offset {after}"
    return f"at offset {before + 1}" if after - before == 2 else f"between offsets {before} and {after}"
