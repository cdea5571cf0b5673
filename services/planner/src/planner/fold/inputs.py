"""The records that a tick folds, and the hashes that its seal keeps of them.

Place in the flow: log reader → **inputs** → fold, seal, audit. Pure.

Source: S6, R-F2.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from autonomy.envelope import Undecodable, decode
from autonomy.events import Event

Headers = Sequence[tuple[str, bytes | None]]
MARK_BYTES: Final = 6
"""Of an input's hash in a seal: to find the record that was edited; that one was is told by the whole hash over all."""
MAX_MARKED: Final = 20_000
"""Marks in a seal."""


class Input(NamedTuple):
    """One record of a slice.

    Attributes:
        leaf: SHA-256 over its stored key, headers and value.
    """

    topic: str
    partition: int
    offset: int
    event: Event | Undecodable
    leaf: bytes = b""


def read_input(topic: str, partition: int, offset: int, value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> Input:
    """A stored record of an input topic, as every folder of the log takes it."""
    received = decode(value, topic)
    event = received if isinstance(received, Undecodable) else received.event
    digest = hashlib.sha256(value or b"").digest()
    beside = [key or b"", *[part for name, found in headers for part in (name.encode(), found or b"")]]
    leaf = hashlib.sha256(digest + b"".join([b"%d:%b" % (len(part), part) for part in beside])).digest()
    return Input(topic, partition, offset, event, leaf)


def input_root(slice_: Sequence[Input]) -> str:
    """The hash over a slice's stored records, each in its place: an input edited later no longer fits its seal.

    Source: R-F2.
    """
    whole = hashlib.sha256()
    for record in slice_:
        place = f"{record.topic}|{record.partition}|{record.offset}|".encode()
        whole.update(place + record.leaf)
    return whole.hexdigest()


def input_marks(slice_: Sequence[Input]) -> str:
    """The first bytes of each record's hash: who edits one later is named by its place, not only by the tick that folded it.

    Returns:
        `GROUP:BASE64`: of each `GROUP` records in a row `MARK_BYTES`; a long slice has longer groups, so that a seal stays small.
    """
    if not slice_:
        return ""
    group = -(-len(slice_) // MAX_MARKED)
    return f"{group}:{base64.b64encode(b''.join(_marks(slice_, group))).decode()}"


def _marks(slice_: Sequence[Input], group: int) -> Iterator[bytes]:
    for first in range(0, len(slice_), group):
        leaves = [record.leaf for record in slice_[first : first + group]]
        yield (leaves[0] if group == 1 else hashlib.sha256(b"".join(leaves)).digest())[:MARK_BYTES]


def first_unlike(slice_: Sequence[Input], marks: str) -> tuple[Input, Input] | None:
    """The first and the last record of the first group that is not the one marked; None when all are, or none was marked."""
    size, _, text = marks.partition(":")
    if not text:
        return None
    group, sealed = max(1, int(size)), base64.b64decode(text)
    for number, found in enumerate(_marks(slice_, group)):
        if sealed[number * MARK_BYTES : (number + 1) * MARK_BYTES] != found:
            held = slice_[number * group : (number + 1) * group]
            return held[0], held[-1]
    return None
