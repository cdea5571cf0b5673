"""Decide every sealed tick again, and compare every byte with the log.

Place in the flow: log reader → **audit** → findings. Pure: records in, findings out. It folds with the planner's own core and
accepts ticks with the reducer that every reader uses; nothing is taken from a read model. Inputs are kept as bytes until the
tick that folds them is here, so memory is bounded by one slice and what was read ahead of the chain.

Source: R-F1; S3, S5, S6.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from autonomy.chain import AcceptedTick, Chain, RunRecord, read_record
from autonomy.envelope import Undecodable, decode
from autonomy.errors import Broken
from autonomy.events import ChainRepaired
from autonomy.kafka import Record
from autonomy.topics import INPUTS, RUNS
from planner.decide import DECIDER
from planner.fold import Input, read_input
from planner.state import REVISIONS, State
from planner.tick import follow, gap_to, has_its_inputs, re_decide

Place = tuple[str, int]
MAX_DIFFERENCES: Final = 20
"""Ticks; an audit that found so many has nothing left to prove."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A tick that the log does not lead to, and what differs.

    Attributes:
        sealed, folded: the state hashes, where a fold was possible.
        inputs_differ: whether the tick's inputs are not those that it sealed.
    """

    tick: int
    what: str
    sealed: str = ""
    folded: str = ""
    inputs_differ: bool = False

    def is_covered_by(self, repair: "Repair") -> bool:
        """Whether an approver accepted exactly this difference of states or inputs, and nothing else."""
        accepted = (repair.at_tick, repair.sealed_state_hash, repair.folded_state_hash)
        halts = self.sealed != self.folded or self.inputs_differ
        return halts and accepted == (self.tick, self.sealed, self.folded)


@dataclass(frozen=True, slots=True)
class Repair:
    """A difference that an approver accepted, as recorded."""

    at_tick: int
    recorded_in_tick: int
    actor: str
    reason: str
    sealed_state_hash: str
    folded_state_hash: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A seal that was not accepted although it is of a tick above the head."""

    tick: int
    offset: int
    why: str


@dataclass(slots=True)
class Audit:
    """One pass over the log.

    Attributes:
        from_tick: ticks below it are folded and their state compared, but not decided again.
        known_heads: hashes by tick that somebody wrote down earlier; the chain must contain them.
        waiting: inputs that were read and not folded, per partition in order.
        accepted: ticks whose inputs are not all here yet.
        refused: the first seal above the head that was not accepted; void ones at or below it are lost races.
        older: ticks by deciders before this one: folded as they folded and compared by their state, but not decided again.
        again: how many ticks were decided again.
        carried: the gap that the last difference of states left: later ticks that differ by it alone do not differ anew.
    """

    from_tick: int = 1
    known_heads: Mapping[int, str] = field(default_factory=dict)
    state: State = field(default_factory=State)
    chain: Chain = field(default_factory=Chain)
    waiting: dict[Place, deque[tuple[int, bytes | None]]] = field(default_factory=dict)
    accepted: deque[AcceptedTick] = field(default_factory=deque)
    positions: dict[Place, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    refused: Refusal | None = None
    carried: int = 0
    unknown_decider: str = ""
    older: Counter[str] = field(default_factory=Counter)
    again: int = 0
    ticks: int = 0
    records: int = 0
    jobs: int = 0
    undecodable: int = 0

    def take(self, record: Record) -> None:
        """Take one record of any partition; a partition's records must come in order."""
        self.records += 1
        place = (record.topic, record.partition)
        self.positions[place] = record.offset + 1
        if record.topic != RUNS:
            self.waiting.setdefault(place, deque()).append((record.offset, record.value))
            return
        placed = read_record(record.headers, record.key, record.value, record.offset, record.timestamp)
        if isinstance(placed, Undecodable):
            self.chain.void_records += 1
            return
        self._take_run(placed)

    def _take_run(self, placed: RunRecord) -> None:
        head, void = self.chain.head.tick, self.chain.void_seals
        done = self.chain.feed(placed)
        if done is not None:
            self.accepted.append(done)
        elif self.chain.void_seals > void and placed.tick > head and self.refused is None:
            self.refused = Refusal(placed.tick, placed.offset, self.chain.last_refusal)

    def advance(self) -> int:
        """Judge the accepted ticks whose inputs are all here; returns how many."""
        judged = 0
        while self.accepted and not self.is_over and self._has_inputs(self.accepted[0]):
            self._judge(self.accepted.popleft())
            judged += 1
        return judged

    @property
    def is_over(self) -> bool:
        """Whether more reading could add nothing."""
        return bool(self.unknown_decider) or len(self.differences) >= MAX_DIFFERENCES

    def needs(self, place: Place) -> int:
        """The offset up to which the next tick needs this partition; 0 while no tick waits for inputs."""
        if not self.accepted:
            return 0
        topic, number = place
        offsets = self.accepted[0].seal.cut.get(topic, ())
        return offsets[number] if number < len(offsets) else 0

    def _has_inputs(self, tick: AcceptedTick) -> bool:
        return all(
            self.positions.get((topic, number), 0) >= end for topic, ends in tick.seal.cut.items() for number, end in enumerate(ends)
        )

    def _judge(self, tick: AcceptedTick) -> None:
        seal = tick.seal
        if seal.decider not in REVISIONS:
            self.unknown_decider = f"tick {seal.tick} was decided by {seal.decider}, this version decides as {DECIDER}"
            return
        known = self.known_heads.get(seal.tick)
        if known is not None and known != seal.hash:
            self._differs(seal.tick, f"its seal is {seal.hash}, written down was {known}")  # no repair covers this
        slice_ = self._slice(seal.cut)
        self._compare(slice_, tick)
        self.state.head_tick = seal.tick
        self.ticks += 1
        self.jobs += seal.jobs_enqueued
        self._note_repairs(tick)

    def _compare(self, slice_: Sequence[Input], tick: AcceptedTick) -> None:
        seal = tick.seal
        try:
            is_ours = seal.decider == DECIDER
            if seal.tick >= self.from_tick and is_ours:
                fault = self._again(slice_, tick)
                self.again += 1
            else:
                fault = follow(self.state, slice_, tick, self.carried)
                self.older.update([] if is_ours else [seal.decider])
        except Broken as broken:
            self._differs(seal.tick, f"it cannot be folded: {broken}")  # no state came of it, so there is none to accept
            return
        if fault is not None:
            self._differs(seal.tick, fault, seal.state_hash, self.state.hash(), inputs_differ=not has_its_inputs(seal, slice_))
        self.carried = gap_to(seal, self.state)

    def _differs(self, tick: int, what: str, sealed: str = "", folded: str = "", *, inputs_differ: bool = False) -> None:
        self.differences.append(Difference(tick, what.removeprefix(f"tick {tick}: "), sealed, folded, inputs_differ))

    def _slice(self, cut: Mapping[str, Sequence[int]]) -> list[Input]:
        """Everything below the cut, sorted by (topic, partition, offset), taken out of what waits."""
        found: list[Input] = []
        for topic in INPUTS:
            for partition, end in enumerate(cut.get(topic, ())):
                queue = self.waiting.get((topic, partition))
                while queue and queue[0][0] < end:
                    offset, value = queue.popleft()
                    read = read_input(topic, partition, offset, value)
                    self.undecodable += isinstance(read.event, Undecodable)
                    found.append(read)
        return found

    def _again(self, slice_: Sequence[Input], tick: AcceptedTick) -> str | None:
        """Decide again; a tick that differs is then folded as it stands, as the planner does that goes on after a repair."""
        self.state.begin()
        try:
            fault = re_decide(self.state, slice_, tick, self.carried)
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
            if record.kind != ChainRepaired.wire:
                continue
            received = decode(record.value, RUNS)
            if not isinstance(received, Undecodable) and isinstance(received.event, ChainRepaired):
                said = received.event
                self.repairs.append(Repair(
                    said.at_tick, tick.seal.tick, said.actor, said.reason, said.sealed_state_hash, said.folded_state_hash,
                ))  # fmt: skip

    def finish(self, ends: Mapping[str, Sequence[int]]) -> None:
        """Everything up to `ends` was taken: what is still missing is a difference too."""
        for tick in self.accepted:
            for topic, cut in tick.seal.cut.items():
                for number, end in enumerate(cut):
                    have = self.positions.get((topic, number), 0)
                    if have < end and have >= ends.get(topic, ())[number]:
                        self._differs(tick.seal.tick, f"it folded {topic}/{number} up to {end}, the log ends at {have}: records are lost")
                        return
        head = self.chain.head.tick
        if self.refused is not None and self.refused.tick > head:
            self._differs(head + 1, f"the chain stops: {self.refused.why}")
        for tick_number in sorted(self.known_heads):
            if tick_number > head:
                self._differs(tick_number, f"it was written down once, the chain ends at {head}")

    def unrepaired(self) -> list[Difference]:
        """The differences that nobody accepted, by tick."""
        open_ = [found for found in self.differences if not any(map(found.is_covered_by, self.repairs))]
        return sorted(open_, key=lambda found: found.tick)
