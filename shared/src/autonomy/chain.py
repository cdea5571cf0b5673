"""Which ticks count: the one acceptance rule for every reader of `autonomy.runs`.

Place in the flow: between the bytes of the log and anything that acts on a tick. Pure: records in, accepted ticks out. A
reader hashes bytes and looks at headers; it parses a value only once its tick is accepted.

Source: S1 to S5, S7.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from operator import is_
from typing import Final, Protocol

from autonomy.envelope import Ready, Received, Undecodable, data_bytes, decode, encode, enveloped
from autonomy.errors import Broken
from autonomy.events import Event, Head, PlannerRun, TickRecord
from autonomy.topics import RUNS
from autonomy.values import derived_ids, instant_of_ms, iso_of_ms

GENESIS_HASH: Final = "0" * 64
GENESIS: Final = Head(tick=0, offset=-1, hash=GENESIS_HASH)
SEAL_KIND: Final = PlannerRun.wire
SOURCE: Final = "autonomy/planner"
Headers = tuple[tuple[str, bytes], ...]
MAX_RECORDS_PER_TICK: Final = 1_000_000
"""A bound on what one reader buffers for tries that were never sealed."""


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
    return (("kind", kind.encode()), ("tick", b"%d" % tick), ("try", try_id.encode()))


@lru_cache(maxsize=64)
def _place_of_a_kind(kind: str, tick: int, try_id: str) -> bytes:
    """What the places of all records of one kind in a try have in common."""
    return f"{kind}|{tick}|{try_id}|".encode()


def read_record(
    headers: Sequence[tuple[str, bytes | None]], key: bytes | None, value: bytes | None, offset: int, timestamp_ms: int
) -> RunRecord | Undecodable:
    """Place a stored record by its headers; a record that has none of ours is refused with the reason.

    A header may be null in Kafka, and foreign ones are whatever somebody wrote.
    """
    named = {name: found for name, found in headers if found is not None}
    try:
        kind, tick, try_id = _placed(named["kind"], named["tick"], named["try"])
        return RunRecord(kind, tick, try_id, int(named["seq"]), key or b"", value or b"", offset, timestamp_ms)
    except (KeyError, ValueError, UnicodeDecodeError) as refusal:
        return Undecodable(f"headers do not place the record in a tick: {refusal!r}"[:300])


@lru_cache(maxsize=64)
def _placed(kind: bytes, tick: bytes, try_id: bytes) -> tuple[str, int, str]:
    """What the headers say that all records of one kind in a try share."""
    return kind.decode(), int(tick), try_id.decode()


class Stored(Protocol):
    """What came back from the log, of a record as it was read."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


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
    return hashlib.sha256(data_bytes(seal.model_copy(update={"hash": ""}))).hexdigest()


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
        void_records, void_seals: what was read and does not count; never an error.
        unreadable: seals or records without a place, by reason; each is a fault of a foreign writer.
    """

    head: Head = GENESIS
    cut: dict[str, tuple[int, ...]] = field(default_factory=dict)
    now_ms: int = 0
    anchor: Head | None = None
    void_records: int = 0
    void_seals: int = 0
    last_refusal: str = ""
    tries: dict[str, dict[int, RunRecord]] = field(default_factory=dict)
    own: OwnTry | None = None

    @classmethod
    def anchored(cls, anchor: Head) -> "Chain":
        """A reader that starts at an accepted seal instead of the beginning: feed from `anchor.offset` on.

        Source: S7.
        """
        return cls(head=anchor, anchor=anchor if anchor.offset >= 0 else None)

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

    def take_own(self, stored: Sequence[Stored], first: int) -> int:
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
        self.cut, self.now_ms = seal.cut, round(seal.now.timestamp() * 1000)
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
            self._forget_own(record.try_id)
            self._refuse(f"seal at {record.offset} cannot be read: {received}", len(kept))
            return None
        # A foreign seal may claim any count: it is walked only when as many records are here.
        records = tuple(kept[seq] for seq in range(1, seal.count + 1) if seq in kept) if len(kept) == seal.count else ()
        fault = self._fault(seal, record, records, len(kept))
        if fault is not None:
            self._forget_own(record.try_id)
            self._refuse(f"seal of tick {seal.tick} at {record.offset}: {fault}", len(kept))
            return None
        self.void_records += sum(len(other) for other in self.tries.values())
        self.tries.clear()
        self.head = Head(tick=seal.tick, offset=record.offset, hash=seal.hash)
        self.cut, self.now_ms = seal.cut, round(seal.now.timestamp() * 1000)
        return AcceptedTick(seal, records, record.offset, record.timestamp_ms)

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
        if len(records) != seal.count or kept != seal.count:
            return f"{kept} records, {seal.count} sealed"
        if (self.own.root if self.own is not None and self.own.is_whole(records) else root_of(records)) != seal.root:
            return "the root over its records is wrong"
        if round(seal.now.timestamp() * 1000) < self.now_ms:
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

    def _refuse(self, why: str, records: int) -> None:
        self.void_seals += 1
        self.void_records += records
        self.last_refusal = why
