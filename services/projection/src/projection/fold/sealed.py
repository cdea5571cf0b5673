"""The two kinds of records that a busy tick has by the thousand, read only as far as rows need them.

Place in the flow: accepted tick → **sealed** → apply. The chain has proved by now that these very bytes are what a planner sealed, and
the planner's own rules judged each of them before: a second look at the limits of every gate would cost more than all of its row. What
cannot be read, or is another kind of record than its place says, still stops the projection; so does anything that the codec alone knows.

Source: S3; docs/architecture.md, "Read models".
"""

from datetime import datetime
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from autonomy.chain import AcceptedTick, RunRecord, sealed_record
from autonomy.envelope import NUL
from autonomy.errors import Broken
from autonomy.events import BotDecision, Event, JobEnqueued
from autonomy.gates import Verdict
from autonomy.reasons import Reason
from autonomy.values import JobClass, JobType, Stage

Data = TypeVar("Data")
NOTHING: Final = msgspec.Raw(b"null")
LIGHT: Final = frozenset({BotDecision.wire, JobEnqueued.wire})


class Decided(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """A BotDecision; its gates stay the text that they are."""

    bot_id: str
    tick: int
    reason: Reason
    job_type: JobType | None = None
    job_id: str | None = None
    blockers: msgspec.Raw = msgspec.Raw(b"[]")
    promotion: msgspec.Raw = NOTHING
    promotion_to: Stage | None = None
    detail: str = ""
    until: datetime | None = None
    next_due_at: datetime | None = None
    limit: str | None = None
    limit_value: int | None = None
    place: int | None = None
    would: Reason | None = None
    due_since: datetime | None = None

    @property
    def gates(self) -> "list[GateSaid] | None":
        """The promotion gates as far as a badge counts them; None: as last said.

        Raises:
            Broken: they are no gates.
        """
        if self.promotion == NOTHING:
            return None
        try:
            return _GATES.decode(self.promotion)
        except msgspec.DecodeError as refusal:
            raise Broken(f"sealed decision of tick {self.tick} about {self.bot_id}: {refusal}") from refusal


class GateSaid(msgspec.Struct, rename="camel", gc=False):
    """A GateResult as far as a badge shows it."""

    code: str
    verdict: Verdict
    measured: str
    required: str
    clears_when: str
    deciding: bool = True


class Ordered(msgspec.Struct, rename="camel", gc=False):
    """A JobEnqueued.

    Attributes:
        spec: all of it, as text.
        whole: the event itself of a search or a paper session, which have rows of their own.
    """

    job_id: str
    bot_id: str
    job_type: JobType
    job_class: JobClass
    tick: int
    partition: int
    strategy: str
    symbol: str
    fingerprint: str
    bars_until: datetime
    evolution: msgspec.Raw = NOTHING
    paper: msgspec.Raw = NOTHING
    spec: msgspec.Raw = NOTHING
    whole: JobEnqueued | None = None


class _Record(msgspec.Struct, Generic[Data], gc=False):
    id: str
    type: str
    data: Data


class Fact(NamedTuple):
    """What a record of a tick says, and the record's id."""

    said: Decided | Ordered | Event
    event_id: str


_ENVELOPE: Final = msgspec.json.Decoder(_Record[msgspec.Raw])
_DECIDED: Final = msgspec.json.Decoder(_Record[Decided])
_ORDERED: Final = msgspec.json.Decoder(Ordered)
_GATES: Final = msgspec.json.Decoder(list[GateSaid])


def facts_of(tick: AcceptedTick) -> list[Fact]:
    """What a tick says, in order of seq.

    Raises:
        Broken: a sealed record cannot be read; nothing of the tick may be applied.
    """
    return [_read(record) for record in tick.records]


def _read(record: RunRecord) -> Fact:
    if record.kind not in LIGHT:
        return _wholly(record)
    try:
        return _lightly(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as refusal:
        raise Broken(f"sealed record {record.tick}/{record.seq} cannot be read: {refusal}") from refusal


def _wholly(record: RunRecord) -> Fact:
    received = sealed_record(record)
    return Fact(received.event, received.id)


def _lightly(record: RunRecord) -> Fact:
    value = record.value
    if b"\\" in value and NUL in value:
        raise Broken(f"sealed record {record.tick}/{record.seq} holds a NUL character")
    if record.kind == BotDecision.wire:
        said = _DECIDED.decode(value)
        _check_place(record, said.type)
        return Fact(said.data, said.id)
    envelope = _ENVELOPE.decode(value)
    _check_place(record, envelope.type)
    ordered = _ORDERED.decode(envelope.data)
    ordered.spec = envelope.data
    if ordered.evolution != NOTHING or ordered.paper != NOTHING:
        whole = _wholly(record).said
        ordered.whole = whole if isinstance(whole, JobEnqueued) else None
    return Fact(ordered, envelope.id)


def _check_place(record: RunRecord, kind: str) -> None:
    if kind != record.kind:
        raise Broken(f"sealed record {record.tick}/{record.seq} is placed as {record.kind}, and says {kind[:80]!r}")
