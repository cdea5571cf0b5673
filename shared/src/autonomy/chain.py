"""Which ticks count: the one acceptance rule for every reader of `autonomy.runs`.

Place in the flow: between the bytes of the log and anything that acts on a tick. Pure: records in, accepted ticks out. A
reader hashes bytes and looks at headers; it parses a value only once its tick is accepted.

Source: S1 to S5, S7.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from operator import is_
from typing import Final

from autonomy.envelope import CONTENT_TYPE, Ready, Received, Record, Undecodable, content_hash, data_bytes, decode, encode, enveloped
from autonomy.errors import Broken
from autonomy.events import Event, Head, PlannerRun, TickRecord
from autonomy.topics import RUNS
from autonomy.values import derived_ids, instant_of_ms, iso_of_ms, ms_of, run_id_of

GENESIS_HASH: Final = "0" * 64
GENESIS: Final = Head(tick=0, offset=-1, hash=GENESIS_HASH)
SEAL_KIND: Final = PlannerRun.wire
SOURCE: Final = "autonomy/planner"
Headers = tuple[tuple[str, bytes], ...]
MAX_RECORDS_PER_TICK: Final = 1_000_000
"""A bound on what one reader buffers for tries that were never sealed."""
MAX_BEYOND: Final = 1_000
"""Seals above the head that one reader remembers; the first of them tell what is wrong."""


@dataclass(slots=True)
class RunRecord:
    """One record of `autonomy.runs` as stored; `offset` is -1 while it has not been appended.

    Immutable by its types: `frozen` would make each five times as costly to build, and every tick has thousands.

    Attributes:
        kind, tick, try_id, seq: from the record's headers, so nobody parses the value to place it.
    """

    kind: Final[str]
    tick: Final[int]
    try_id: Final[str]
    seq: Final[int]
    key: Final[bytes]
    value: Final[bytes]
    offset: Final[int] = -1
    timestamp_ms: Final[int] = 0

    def headers(self) -> Headers:
        """What travels beside the value."""
        return (*_of_a_kind(self.kind, self.tick, self.try_id), ("seq", b"%d" % self.seq))

    def digest(self) -> bytes:
        """Hash over the place and the stored bytes; length-prefixed, so that no two records share one."""
        head = _place_of_a_kind(self.kind, self.tick, self.try_id)
        return hashlib.sha256(b"%b%d|%d|%d|%b%b" % (head, self.seq, len(self.key), len(self.value), self.key, self.value)).digest()


@lru_cache(maxsize=64)
def _of_a_kind(kind: str, tick: int, try_id: str) -> tuple[tuple[str, bytes], ...]:
    """The headers that all records of one kind in a try share."""
    return (CONTENT_TYPE, ("kind", kind.encode()), ("tick", b"%d" % tick), ("try", try_id.encode()))


@lru_cache(maxsize=64)
def _place_of_a_kind(kind: str, tick: int, try_id: str) -> bytes:
    """What the places of all records of one kind in a try have in common."""
    return f"{kind}|{tick}|{try_id}|".encode()


def read_record(stored: Record) -> RunRecord | Undecodable:
    """Place a stored record by its headers; a record that has none of ours is refused with the reason.

    A header may be null in Kafka, and foreign ones are whatever somebody wrote.
    """
    named = {name: found for name, found in stored.headers if found is not None}
    try:
        kind, tick, try_id = _placed(named["kind"], named["tick"], named["try"])
        seq, key, value = int(named["seq"]), stored.key or b"", stored.value or b""
        return RunRecord(kind, tick, try_id, seq, key, value, stored.offset, stored.timestamp)
    except (KeyError, ValueError, UnicodeDecodeError) as refusal:
        return Undecodable(f"headers do not place the record in a tick: {refusal!r}"[:300])


@lru_cache(maxsize=64)
def _placed(kind: bytes, tick: bytes, try_id: bytes) -> tuple[str, int, str]:
    """What the headers say that all records of one kind in a try share."""
    return kind.decode(), int(tick), try_id.decode()


@dataclass(slots=True)
class OwnTry:
    """A try that this process wrote: a record of it that comes back byte for byte needs neither a second parse nor a second hash.

    Attributes:
        records: without the seal, as sealed under `root`.
        headers: what travels beside each of them.
        seen: how many came back so far; they come in order.
    """

    records: tuple[RunRecord, ...]
    headers: Sequence[Headers]
    root: str
    seen: int = 0

    def is_whole(self, records: Sequence[RunRecord]) -> bool:
        """Whether these are the try's own records, each the very object: immutable, so its root still stands."""
        return len(records) == len(self.records) and all(map(is_, records, self.records))


def root_of(records: Iterable[RunRecord]) -> str:
    """The hash over the records' hashes, in order of seq."""
    whole = hashlib.sha256()
    for record in records:
        whole.update(record.digest())
    return whole.hexdigest()


def each_record(facts: Sequence[TickRecord | Ready], keys: Sequence[str], tick: int, try_id: str, now_ms: int) -> Iterator[RunRecord]:
    """The records of a try one by one, seq 1..n; the same arguments give the same bytes on any machine."""
    time, ids = iso_of_ms(now_ms), derived_ids(len(facts), "record", tick, try_id)
    for seq, (fact, key, event_id) in enumerate(zip(facts, keys, ids, strict=True), start=1):
        data = fact.data if isinstance(fact, Ready) else data_bytes(fact)
        value = enveloped(fact.wire, data, event_id, SOURCE, key, time)
        yield RunRecord(fact.wire, tick, try_id, seq, key.encode(), value)


def write_records(facts: Sequence[TickRecord | Ready], keys: Sequence[str], tick: int, try_id: str, now_ms: int) -> list[RunRecord]:
    """All records of a try."""
    return list(each_record(facts, keys, tick, try_id, now_ms))


def seal_hash(seal: PlannerRun) -> str:
    """The hash over a seal with its own `hash` left empty."""
    return content_hash(seal.model_copy(update={"hash": ""}))


def write_seal(seal: PlannerRun, now_ms: int) -> tuple[PlannerRun, RunRecord]:
    """Complete a seal with its hash, and make its record."""
    whole = seal.model_copy(update={"hash": seal_hash(seal)})
    key = f"tick-{seal.tick}"
    value = encode(whole, source=SOURCE, subject=key, time=instant_of_ms(now_ms), event_id=seal.run_id)
    return whole, RunRecord(SEAL_KIND, seal.tick, seal.try_id, seal.count + 1, key.encode(), value)


def sealed_record(record: RunRecord) -> Received:
    """What one record of an accepted tick says.

    Raises:
        Broken: it cannot be decoded.
    """
    received = decode(record.value, RUNS)
    if isinstance(received, Undecodable):
        raise Broken(f"sealed record {record.tick}/{record.seq} cannot be read: {received.reason}")
    return received


def is_well_formed(seal: PlannerRun, record: RunRecord) -> bool:
    """Whether a planner may have written this seal: its hash, its id and its place in the log fit each other."""
    placed = (record.tick, record.try_id, record.key) == (seal.tick, seal.try_id, f"tick-{seal.tick}".encode())
    return placed and seal.run_id == run_id_of(seal.tick, seal.try_id) and seal_hash(seal) == seal.hash


def decider_number(decider: str) -> int:
    """How new a decider is: the number at the end of its name; 0 before the first tick, and of a name without one."""
    number = decider.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class RefusedSeal:
    """A well-formed seal of a tick above the head that was not accepted.

    Planners make none: each seals the tick after a head that it read. So records before it are missing or damaged, or somebody forged it.

    Attributes:
        records: the records of its try that were there, by seq.
        why: the first part of the acceptance rule that it fails, in words.
    """

    seal: PlannerRun
    offset: int
    records: tuple[RunRecord, ...]
    sealed_at_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class AcceptedTick:
    """A tick that counts: its seal and its records in order of seq."""

    seal: PlannerRun
    records: tuple[RunRecord, ...]
    offset: int
    sealed_at_ms: int

    @property
    def head(self) -> Head:
        """The chain's head once this tick is applied."""
        return Head(tick=self.seal.tick, offset=self.offset, hash=self.seal.hash)

    def events(self) -> list[Event]:
        """The tick's events.

        Raises:
            Broken: a sealed record cannot be decoded; the planner wrote something that this reader does not know.
        """
        return [sealed_record(record).event for record in self.records]


@dataclass(slots=True)
class Chain:
    """The acceptance reducer. `feed` every record of the partition in offset order, from the anchor on.

    Attributes:
        head: the last accepted seal.
        own: the try that this process appended last, if it is a planner; its records are hashed once, when they are written.
        decider: of the head; an older one never follows it.
        void_records, void_seals: what was read and does not count; never an error.
        junk_seals: of the void seals those that no planner wrote: not readable, with a wrong hash or a wrong id.
        beyond: by tick, the first well-formed seal above the head that was not accepted; in an undamaged log there is none.
        abandoned: the first of them that others were sealed after, also when the chain went on elsewhere since: history forked there.
    """

    head: Head = GENESIS
    cut: dict[str, tuple[int, ...]] = field(default_factory=dict)
    now_ms: int = 0
    anchor: Head | None = None
    decider: str = ""
    void_records: int = 0
    void_seals: int = 0
    junk_seals: int = 0
    last_refusal: str = ""
    beyond: dict[int, RefusedSeal] = field(default_factory=dict)
    abandoned: RefusedSeal | None = None
    tries: dict[str, dict[int, RunRecord]] = field(default_factory=dict)
    own: OwnTry | None = None

    @classmethod
    def anchored(cls, anchor: Head) -> "Chain":
        """A reader that starts at an accepted seal instead of the beginning: feed from `anchor.offset` on.

        Source: S7.
        """
        return cls(head=anchor, anchor=anchor if anchor.offset >= 0 else None)

    def read(self, stored: Record) -> AcceptedTick | Undecodable | None:
        """Take one record as it came back from the log: `feed`, or the reason why its headers place it nowhere.

        Raises:
            Broken: as `feed`.
        """
        placed = read_record(stored)
        return placed if isinstance(placed, Undecodable) else self.feed(placed)

    def feed(self, record: RunRecord) -> AcceptedTick | None:
        """Take one record; returns the tick that it completes, if its seal is accepted.

        Raises:
            Broken: the record at the anchor's offset is not the anchor.
        """
        if self.anchor is not None:
            self._check_anchor(record, self.anchor)
            return None
        if record.kind != SEAL_KIND:
            self._keep(record)
            return None
        return self._judge(record)

    def take_own(self, stored: Sequence[Record], first: int) -> int:
        """How many of these from `first` on are the next ones of this process's own try, byte for byte; each is kept as `feed` would.

        As soon as anything else came under the try's id, none is: then each has to be looked at like everybody's.
        """
        own = self.own
        if own is None or own.seen == len(own.records) or stored[first].value != own.records[own.seen].value:
            return 0
        begin, ours = own.seen, own.records[own.seen]
        if ours.tick != self.head.tick + 1 or len(self.tries.get(ours.try_id, ())) != begin or len(own.records) > MAX_RECORDS_PER_TICK:
            return 0
        came = zip(islice(stored, first, None), islice(own.records, begin, None), islice(own.headers, begin, None), strict=False)
        kept = self.tries.setdefault(ours.try_id, {})
        for found, record, headers in came:
            if found.topic != RUNS or found.value != record.value or found.key != record.key or found.headers != headers:
                break
            kept[record.seq] = record
            own.seen += 1
        return own.seen - begin

    def _check_anchor(self, record: RunRecord, anchor: Head) -> None:
        received = decode(record.value, RUNS)
        seal = None if isinstance(received, Undecodable) else received.event
        if not isinstance(seal, PlannerRun) or (seal.tick, record.offset) != (anchor.tick, anchor.offset) or seal_hash(seal) != anchor.hash:
            raise Broken(f"the record at offset {record.offset} of {RUNS} is not the anchor of tick {anchor.tick}")
        self.cut, self.now_ms, self.decider = seal.cut, ms_of(seal.now), seal.decider
        self.anchor = None

    def _keep(self, record: RunRecord) -> None:
        if record.tick != self.head.tick + 1:
            self.void_records += 1
            return
        kept = self.tries.setdefault(record.try_id, {})
        if record.seq in kept or len(kept) >= MAX_RECORDS_PER_TICK:
            self.void_records += 1
            return
        kept[record.seq] = record

    def _judge(self, record: RunRecord) -> AcceptedTick | None:
        received = decode(record.value, RUNS)
        seal = None if isinstance(received, Undecodable) else received.event
        kept = self.tries.pop(record.try_id, {}) if record.tick == self.head.tick + 1 else {}
        if not isinstance(seal, PlannerRun):
            self.junk_seals += 1
            self._refuse(record, f"seal at {record.offset} cannot be read: {received}", len(kept))
            return None
        # A foreign seal may claim any count: it is walked only when as many records are here.
        records = tuple(kept[seq] for seq in range(1, seal.count + 1) if seq in kept) if len(kept) == seal.count else ()
        fault = self._fault(seal, record, records, len(kept))
        if fault is not None:
            self._refuse(record, f"seal of tick {seal.tick} at {record.offset}: {fault}", len(kept))
            self._note_beyond(seal, record, kept, fault)
            return None
        return self.accept(AcceptedTick(seal, records, record.offset, record.timestamp_ms))

    def accept(self, done: AcceptedTick) -> AcceptedTick:
        """Make a tick the head. Only an audit calls it by itself: with records that it derived anew, since those stored are damaged."""
        seal = done.seal
        self.void_records += sum(len(other) for other in self.tries.values())
        self.tries.clear()
        self.head, self.decider = done.head, seal.decider
        self.cut, self.now_ms = seal.cut, ms_of(seal.now)
        for tick in [tick for tick in self.beyond if tick <= seal.tick]:
            del self.beyond[tick]
        return done

    def _note_beyond(self, seal: PlannerRun, record: RunRecord, kept: Mapping[int, RunRecord], fault: str) -> None:
        """Remember a refused seal that a planner may have written on a head above this one."""
        if seal.tick <= self.head.tick:
            return  # a lost race
        if not is_well_formed(seal, record):
            self.junk_seals += 1
            return
        follows = self.beyond.get(seal.tick - 1)
        if self.abandoned is None and follows is not None and follows.seal.hash == seal.prev_hash:
            self.abandoned = follows
        if seal.tick not in self.beyond and len(self.beyond) < MAX_BEYOND:
            records = tuple(kept[seq] for seq in sorted(kept))
            self.beyond[seal.tick] = RefusedSeal(seal, record.offset, records, record.timestamp_ms, fault)

    def forked(self) -> str:
        """Why this head may not be the newest one: well-formed seals above it; empty when there are none."""
        if not self.beyond:
            return ""
        first, last = self.beyond[min(self.beyond)], max(self.beyond)
        more = f" (and {len(self.beyond) - 1} more, up to tick {last})" if len(self.beyond) > 1 else ""
        return (
            f"the chain ends at tick {self.head.tick}, but {RUNS}/0 has a seal of tick {first.seal.tick} at offset {first.offset}{more}, "
            f"not accepted: {first.why}"
        )

    def _fault(self, seal: PlannerRun, record: RunRecord, records: tuple[RunRecord, ...], kept: int) -> str | None:
        """The first part of S3 that this seal fails, in words."""
        if seal.tick != self.head.tick + 1:
            return f"the next tick is {self.head.tick + 1}"
        if seal.prev_hash != self.head.hash:
            return "it does not follow the head"
        if (seal.tick, seal.try_id) != (record.tick, record.try_id):
            return "its headers name another try"
        if seal_hash(seal) != seal.hash:
            return "its own hash is wrong"
        if decider_number(seal.decider) < decider_number(self.decider):
            return f"it was decided by {seal.decider}, and the head by {self.decider}: a decider never goes back"
        if len(records) != seal.count or kept != seal.count:
            return f"{kept} records, {seal.count} sealed"
        if (self.own.root if self.own is not None and self.own.is_whole(records) else root_of(records)) != seal.root:
            return "the root over its records is wrong"
        if ms_of(seal.now) < self.now_ms:
            return "its time is before the head's"
        for topic, offsets in self.cut.items():
            new = seal.cut.get(topic, ())
            if len(new) != len(offsets) or any(after < before for after, before in zip(new, offsets, strict=True)):
                return f"its cut of {topic} is below the head's"
        return None

    def _forget_own(self, try_id: str) -> None:
        """A seal under the own try's id was not accepted, and what was kept of it is gone."""
        if self.own is not None and self.own.records and self.own.records[0].try_id == try_id:
            self.own = None

    def _refuse(self, record: RunRecord, why: str, records: int) -> None:
        self._forget_own(record.try_id)
        self.void_seals += 1
        self.void_records += records
        self.last_refusal = why
