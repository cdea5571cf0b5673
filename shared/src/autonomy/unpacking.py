"""Unpack what a producer packed, up to a bound: a batch of 1 MB may unpack to 30 GB, and one would end every reader.

Place in the flow: under the Kafka client, whose own functions have no bound. What nobody of this platform writes needs no more room
than `MOST_BYTES`; the bound is one number for all readers, so that each sees the same records.
"""

import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Final

import cramjam
from aiokafka.codec import snappy_decode
from aiokafka.record import default_records

MOST_BYTES: Final = 64 << 20
_FIRST_BYTES: Final = 1 << 18
_GROWTH: Final = 8
_FULL: Final = "failed to write whole buffer"
_GZIP: Final = 31
"""zlib's word for a gzip header."""


class TooLarge(ValueError):
    """A batch unpacks to more than `MOST_BYTES`."""


def unpack_gzip(packed: bytes | memoryview) -> bytes:
    """Unpack a gzip stream.

    Raises:
        TooLarge: it is longer than the bound.
        zlib.error: it is none.
    """
    unpacking = zlib.decompressobj(_GZIP)
    plain = unpacking.decompress(bytes(packed), MOST_BYTES)
    if unpacking.unconsumed_tail:
        raise TooLarge
    if not unpacking.eof:
        raise zlib.error("the stream is cut short")
    return plain


def unpack_lz4(packed: bytes | memoryview) -> bytes:
    """Unpack an LZ4 frame.

    Raises:
        TooLarge: it is longer than the bound.
        cramjam.DecompressionError: it is none.
    """
    return _grown(cramjam.lz4.decompress_into, bytes(packed))


def unpack_zstd(packed: bytes | memoryview) -> bytes:
    """Unpack a Zstandard frame.

    Raises:
        TooLarge: it is longer than the bound.
        cramjam.DecompressionError: it is none.
    """
    return _grown(cramjam.zstd.decompress_into, bytes(packed))


def _grown(into: Callable[[bytes, bytearray], int], packed: bytes) -> bytes:
    room = _FIRST_BYTES
    while True:
        plain = bytearray(room)
        try:
            size = into(packed, plain)
        except cramjam.DecompressionError as refusal:
            if str(refusal) != _FULL:
                raise
            if room >= MOST_BYTES:
                raise TooLarge from refusal
            room = min(MOST_BYTES, room * _GROWTH)
        else:
            return bytes(memoryview(plain)[:size])


UNPACK: Final[dict[int, tuple[str, Callable[[bytes], bytes]]]] = {
    1: ("gzip", unpack_gzip), 2: ("snappy", snappy_decode), 3: ("lz4", unpack_lz4), 4: ("zstd", unpack_zstd),
}  # fmt: skip
"""By Kafka's number of a codec. Snappy has no bound of its own: it makes at most 21 bytes of one."""


def bound_the_client() -> None:
    """Give the client's readers of batches these functions; safe to call again."""
    for module in _readers():
        for name, unpack in (("gzip_decode", unpack_gzip), ("lz4_decode", unpack_lz4), ("zstd_decode", unpack_zstd)):
            setattr(module, name, unpack)


def _readers() -> list[ModuleType]:
    """The modules that read batches: the one in Python, and the compiled one where the client has it."""
    found = [default_records]
    try:
        from aiokafka.record._crecords import default_records as compiled
    except ImportError:
        return found
    return [*found, compiled]
