"""Turn an event into the bytes of a record, and bytes from anywhere into an event or a stated refusal.

Records are CloudEvents 1.0 in structured JSON in the value, so a plain console consumer shows everything. Place in the
flow: between the language and every topic. Pure. Decoding never raises: a record is an event, or undecodable with a reason.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from functools import cache, lru_cache
from json.encoder import encode_basestring_ascii as quoted
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol, Union, cast, get_args, get_origin

import msgspec
from pydantic import BaseModel, ValidationError

from autonomy.errors import BadInput
from autonomy.events import BY_WIRE, Event
from autonomy.events.document import Document
from autonomy.values import derived_id, iso

MAX_RECORD_BYTES: Final = 1_048_576
NUL: Final = b"\\u0000"
"""As JSON writes it; PostgreSQL cannot store it, so it is refused before anything depends on it."""
SCHEMA_PREFIX: Final = "urn:autonomy:schemas:"
"""Of `dataschema`, which SDKs of other languages want absolute; a host in it would make a tick's bytes depend on a setting."""
MEDIA_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
CONTENT_TYPE: Final = ("content-type", MEDIA_TYPE.encode())
"""The header by which SDKs tell a structured CloudEvent; on every record."""


class Record(Protocol):
    """A record as it was read; `timestamp` is the broker's time of append, in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Received(NamedTuple):
    """A decoded record.

    Attributes:
        time: when its producer said it; it explains, it never orders.
    """

    event: Event
    id: str
    source: str
    time: str
    actor: str | None
    traceparent: str | None
    causation: str | None


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record that can never be read, and why."""

    reason: str


class _Wire(msgspec.Struct, forbid_unknown_fields=True):
    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str
    dataschema: str
    data: msgspec.Raw
    subject: str = ""
    traceparent: str | None = None
    causationid: str | None = None
    actor: str | None = None


REQUIRED_KEYS: Final = sum(field.required for field in msgspec.structs.fields(_Wire))
_DECODER: Final = msgspec.json.Decoder(_Wire)
_INSTANT: Final[Any] = Annotated[datetime, msgspec.Meta(tz=True)]
CANONICAL_LENGTH: Final = len("2026-01-01T00:00:00.000Z")


def encode(
    event: Event,
    *,
    source: str,
    subject: str,
    time: datetime,
    event_id: str,
    actor: str | None = None,
    causation: str | None = None,
    traceparent: str | None = None,
) -> bytes:
    """The record's value: the same bytes for the same arguments, on any machine.

    Raises:
        BadInput: it is larger than any reader takes.
    """
    extensions = {"traceparent": traceparent, "causationid": causation, "actor": actor}
    more = "".join([f',"{name}":{quoted(value)}' for name, value in extensions.items() if value is not None])
    return enveloped(event.wire, data_bytes(event), event_id, source, subject, iso(time), more)


def enveloped(kind: str, data: bytes, event_id: str, source: str, subject: str, time: str, more: str = "") -> bytes:
    """The same of an event whose data is written already.

    Args:
        kind: the event's wire name.
        data: as `data_bytes`.
        event_id: as of `encode`, as the next two.
        source: who says it.
        subject: whom it is about.
        time: as `iso`.
        more: extension attributes, as JSON.

    Raises:
        BadInput: it is larger than any reader takes.
    """
    between, after = _head_parts(kind, source, time)
    value = f'{{"specversion":"1.0","id":{quoted(event_id)}{between}{quoted(subject)}{after}{more},"data":'.encode() + data + b"}"
    if len(value) > MAX_RECORD_BYTES:
        raise BadInput(f"{kind} about {subject}", f"a record has at most {MAX_RECORD_BYTES} bytes", f"{len(value)} bytes")
    return value


@lru_cache(maxsize=256)
def _head_parts(kind: str, source: str, time: str) -> tuple[str, str]:
    """What the heads of all records of one kind, source and instant share: between id and subject, and after."""
    return (
        f',"source":{quoted(source)},"type":{quoted(kind)},"subject":',
        f',"time":{quoted(time)},"datacontenttype":"application/json","dataschema":"{SCHEMA_PREFIX}{kind}"',
    )


def data_bytes(document: Document) -> bytes:
    """An event alone, as it stands in `data`, or a part of one."""
    return document.__pydantic_serializer__.to_json(document, by_alias=True)


def content_hash(event: Event) -> str:
    """A hash over what an event says, whoever says it when."""
    return hashlib.sha256(data_bytes(event)).hexdigest()


class Ready(NamedTuple):
    """An event whose data is written already: its wire name, and what `data_bytes` would give."""

    wire: str
    data: bytes


def decode(value: bytes | None, topic: str) -> Received | Undecodable:
    """Read a record's value.

    Refused, each with its reason: nothing, over 1 MiB, not JSON, not an envelope of
    ours, an unknown type or version, a type of another topic, a field that does not fit, the same key twice.
    """
    if not value:
        return Undecodable("empty value")
    if len(value) > MAX_RECORD_BYTES:
        return Undecodable(f"{len(value)} bytes, the limit is {MAX_RECORD_BYTES}")
    escapes = b"\\" in value
    if escapes and NUL in value:  # a single byte is found many times as fast
        return Undecodable("a NUL character, which no text here may hold")
    try:
        wire = _DECODER.decode(value)
        time = _canonical(wire.time)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as refusal:
        return Undecodable(f"no envelope: {refusal}"[:300])
    kind = BY_WIRE.get(wire.type)
    if kind is None:
        return Undecodable(f"unknown type {wire.type[:80]!r}")
    if kind.topic != topic:
        return Undecodable(f"{wire.type} does not belong on {topic}")
    raw = bytes(wire.data)
    try:
        event = kind.__pydantic_validator__.validate_json(raw)
    except (ValidationError, RecursionError) as refusal:
        return Undecodable(f"{wire.type}: {_first_fault(refusal)}")
    # Reading keeps one of two equal keys, so fewer are kept than stand there; only then is it looked for, at any depth.
    kept = _keys_of_envelope(wire) + keys_in(event)
    if _may_repeat_a_key(value, wire.time, kept, escapes=escapes) and (repeated := _repeated_key(value)) is not None:
        return Undecodable(f"{wire.type}: the key {repeated!r} stands twice")
    return Received(event, wire.id, wire.source, time, wire.actor, wire.traceparent, wire.causationid)


@lru_cache(maxsize=1024)
def _canonical(time: str) -> str:
    """An instant with its zone, as `iso` writes it; all records of a tick share one."""
    instant = msgspec.convert(time, _INSTANT)
    if len(time) == CANONICAL_LENGTH and (time[10], time[19], time[23]) == ("T", ".", "Z"):
        return time  # a valid instant in this form is as `iso` writes it already
    return iso(instant)


def _may_repeat_a_key(value: bytes, time: str, kept: int, *, escapes: bool) -> bool:
    """Whether a key might stand twice, by counting; a wrong alarm costs a second look, silence is certain.

    A colon stands behind each key, or in a text; those in the time are known, unless they are escaped. Where texts have others: without
    white space behind a quote each key counts once as `":`; so does an escaped quote before a colon in a text.

    Args:
        value: valid JSON.
        time: a text in it.
        kept: how many keys reading it kept.
        escapes: whether it holds a backslash.
    """
    if not escapes and value.count(b":") - time.count(":") == kept:
        return False
    spaced = (b" " in value and b'" ' in value) or b"\n" in value or b"\t" in value or b"\r" in value
    return spaced or value.count(b'":') != kept


def _keys_of_envelope(wire: _Wire) -> int:
    optional = (wire.traceparent is not None) + (wire.causationid is not None) + (wire.actor is not None)
    return REQUIRED_KEYS + (wire.subject != "") + optional


def keys_in(value: object) -> int:
    """How many keys of JSON objects a document was read from, at any depth; what was not written but is the default counts for nothing."""
    if isinstance(value, BaseModel):
        written = value.__pydantic_fields_set__
        held, total = value.__dict__, len(written)
        for name, holds in _fields_with_objects(type(value)):
            if name in written:
                inner = held[name]
                if holds is _Holds.ANYTHING:
                    total += keys_in(inner)
                elif inner:
                    total += sum(map(len, map(_WRITTEN, inner))) if holds is _Holds.FLAT_ONES else len(_WRITTEN(inner))
        return total
    if isinstance(value, dict):
        return len(value) + sum(map(keys_in, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(keys_in, value))
    return 0


_WRITTEN: Final = attrgetter("__pydantic_fields_set__")


class _Holds(Enum):
    """What a field may hold beside values without keys: a flat one is a document without an object in it."""

    FLAT_ONE = auto()
    FLAT_ONES = auto()
    ANYTHING = auto()


@cache
def _fields_with_objects(kind: type[BaseModel]) -> tuple[tuple[str, _Holds], ...]:
    """Fields that may hold objects, and which."""
    return tuple((name, _held_by(field.annotation)) for name, field in kind.model_fields.items() if _may_hold_objects(field.annotation))


def _held_by(annotation: object) -> _Holds:
    """What a field of this type holds, where it is not None."""
    if get_origin(annotation) in {Union, UnionType}:
        inner = [part for part in get_args(annotation) if part is not NoneType]
        return _held_by(inner[0]) if len(inner) == 1 else _Holds.ANYTHING
    if get_origin(annotation) is tuple:
        one, *rest = get_args(annotation)
        return _Holds.FLAT_ONES if rest == [...] and _is_flat(one) else _Holds.ANYTHING
    return _Holds.FLAT_ONE if _is_flat(annotation) else _Holds.ANYTHING


def _is_flat(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel) and not _fields_with_objects(annotation)


def _may_hold_objects(annotation: object) -> bool:
    """Whether values of a type may have been JSON objects, or hold some; whatever is not known to be flat may."""
    if get_origin(annotation) is Annotated:
        return _may_hold_objects(get_args(annotation)[0])
    if get_origin(annotation) in {tuple, list, Union, UnionType}:
        return any(_may_hold_objects(part) for part in get_args(annotation))
    if get_origin(annotation) is Literal or annotation in {None, ...}:
        return False
    return not (isinstance(annotation, type) and issubclass(annotation, str | int | float | date | NoneType))


def event_id_of(event: Event, *cause: object) -> str:
    """An id that a retry of the same cause derives again."""
    return derived_id(event.wire, *cause)


def _first_fault(refusal: Exception) -> str:
    if isinstance(refusal, ValidationError):
        fault = refusal.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"[:300]
    return "nested too deeply"


class _RepeatedKeyError(ValueError):
    pass


def _repeated_key(raw: bytes) -> str | None:
    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for key, item in items:
            if key in seen:
                raise _RepeatedKeyError(key)
            seen[key] = item
        return seen

    try:
        json.loads(raw, object_pairs_hook=pairs)
    except _RepeatedKeyError as found:
        return cast("str", found.args[0])
    except RecursionError:
        return "(nested too deeply to tell)"
    return None
