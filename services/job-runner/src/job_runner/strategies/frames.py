"""Plain frames between a runner and a process with somebody's code: a document and arrays, never objects.

Role: both ends of one stream socket. Nothing in a frame can make the reading side run anything; sizes are bounded before memory is taken.
"""

import json
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MAX_HEADER: Final = 1 << 20
MAX_ARRAY_BYTES: Final = 1 << 31
KINDS: Final = {"f8": np.dtype("<f8"), "i8": np.dtype("<i8")}


class Closed(Exception):
    """The other side has gone."""


class Late(Exception):
    """Nothing came in time."""


class Garbled(Exception):
    """What came is no frame."""


def send(channel: socket.socket, document: Mapping[str, object], arrays: Mapping[str, Array] | None = None) -> None:
    """Send one frame.

    Raises:
        Closed: nobody reads it.
    """
    flat = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    shapes = {name: [kind_of(array), len(array)] for name, array in flat.items()}
    header = json.dumps({"document": document, "arrays": shapes}, allow_nan=False).encode()
    try:
        channel.sendall(struct.pack("<I", len(header)) + header)
        for array in flat.values():
            channel.sendall(array.data.cast("B") if array.size else b"")
    except OSError as gone:
        raise Closed from gone


def receive(channel: socket.socket, deadline_s: float | None = None) -> tuple[dict[str, Any], dict[str, Array]]:
    """The next frame: its document, and its arrays by name.

    Args:
        channel: a stream.
        deadline_s: monotonic seconds; None to wait for ever.

    Raises:
        Closed: the other side has gone.
        Late: the deadline passed before the frame was whole.
        Garbled: it is no frame, or larger than any that is sent.
    """
    (size,) = struct.unpack("<I", _exactly(channel, 4, deadline_s))
    if size > MAX_HEADER:
        raise Garbled(f"a header of {size} bytes, at most {MAX_HEADER}")
    try:
        header = json.loads(_exactly(channel, size, deadline_s))
        document, shapes = header["document"], header["arrays"]
        named = {str(name): (KINDS[kind], int(count)) for name, (kind, count) in shapes.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise Garbled(f"no frame: {fault}") from fault
    arrays: dict[str, Array] = {}
    for name, (kind, count) in named.items():
        if not 0 <= count * 8 <= MAX_ARRAY_BYTES:
            raise Garbled(f"{name} has {count} numbers")
        arrays[name] = np.frombuffer(_exactly(channel, count * 8, deadline_s), dtype=kind)
    return dict(document), arrays


def kind_of(array: Array) -> str:
    """How an array is told.

    Raises:
        TypeError: neither float64 nor int64, or of more than one dimension.
    """
    for name, kind in KINDS.items():
        if array.dtype == kind and array.ndim == 1:
            return name
    raise TypeError(f"float64 or int64 of one dimension, not {array.dtype} of {array.ndim}")


def _exactly(channel: socket.socket, size: int, deadline_s: float | None) -> bytearray:
    got = bytearray(size)
    view, have = memoryview(got), 0
    while have < size:
        if deadline_s is not None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise Late
            channel.settimeout(left_s)
        try:
            count = channel.recv_into(view[have:])
        except TimeoutError as late:
            raise Late from late
        except OSError as gone:
            raise Closed from gone
        if count == 0:
            raise Closed
        have += count
    return got
