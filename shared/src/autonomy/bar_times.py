"""At which instants a symbol has bars: a bitmap on the log, counted without unfolding it.

Place in the flow: runner (packs) → announcement → **bar times** → the planner's and the checker's counts. Pure.
"""

import base64
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from autonomy.errors import BadInput
from autonomy.timeframes import MS, UNIT_MS, bar_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK: Final = 1024
"""Bytes of a bitmap whose bars are counted once."""
MAX_BITMAP_BYTES: Final = 4_000_000
"""Of one symbol's bars: sixty years of minutes."""


class BarTimes:
    """At which instants a symbol has bars: a bit per unit of its timeframe, counted by blocks.

    Four million minutes are half a megabyte here and a few kilobytes on the log.
    """

    __slots__ = ("_before", "_bits", "_first", "_unit", "count")

    def __init__(self, first_ms: int, unit_ms: int, bits: bytes) -> None:
        self._first, self._unit, self._bits = first_ms, unit_ms, bits
        self._before = [0]
        for place in range(0, len(bits), BLOCK):
            self._before.append(self._before[-1] + int.from_bytes(bits[place : place + BLOCK], "little").bit_count())
        self.count = self._before[-1]

    def __len__(self) -> int:
        """How many bars."""
        return self.count

    def count_until(self, start_ms: int) -> int:
        """How many bars start at an instant or before."""
        if start_ms < self._first:
            return 0
        places = min((start_ms - self._first) // self._unit + 1, len(self._bits) * 8)
        block = places // (BLOCK * 8)
        rest = int.from_bytes(self._bits[block * BLOCK : (places + 7) // 8], "little") & ((1 << (places - block * BLOCK * 8)) - 1)
        return self._before[block] + rest.bit_count()

    def at(self, number: int) -> int:
        """The start of a bar by its 0-based number.

        Raises:
            IndexError: there are not that many.
        """
        if not 0 <= number < self.count:
            raise IndexError(f"{number} of {self.count} bars")
        block = bisect_right(self._before, number) - 1
        left, place = number - self._before[block], block * BLOCK
        while (here := self._bits[place].bit_count()) <= left:
            left, place = left - here, place + 1
        bit = next(bit for bit in range(8) if self._bits[place] >> bit & 1 and (self._bits[place] & ((1 << bit) - 1)).bit_count() == left)
        return self._first + (place * 8 + bit) * self._unit


def pack_times(starts_ms: "Sequence[int] | NDArray[np.int64]", timeframe: str) -> str:
    """Rising starts of bars as a bitmap from the first one, deflated, base64.

    Raises:
        BadInput: none, one that is not on the timeframe's grid from the first on, or more time than MAX_BITMAP_BYTES hold.
    """
    if not len(starts_ms):
        raise BadInput("bars", "at least one")
    unit, first = UNIT_MS[timeframe], int(starts_ms[0])
    size = (int(starts_ms[-1]) - first) // unit // 8 + 1
    if size > MAX_BITMAP_BYTES:
        raise BadInput("bars", f"at most {MAX_BITMAP_BYTES * 8} times {unit} ms from the first to the last", size * 8)
    # Imported by whoever packs, which is a runner: a planner that counts does without.
    import numpy as np

    steps = np.asarray(starts_ms, dtype=np.int64) - first
    off = steps % unit != 0
    if off.any():
        start = first + int(steps[int(np.argmax(off))])
        raise BadInput("bars", f"starts that are whole {unit // 60_000} minutes after the first, {bar_words(first)}", bar_words(start))
    marks = np.zeros(size * 8, dtype=np.uint8)
    marks[steps // unit] = 1
    return base64.b64encode(zlib.compress(np.packbits(marks, bitorder="little").tobytes(), 9)).decode()


def unpack_times(first_ms: int, timeframe: str, packed: str) -> BarTimes:
    """The times that a bitmap says, which starts at `first_ms`; those asked for lately are kept.

    Raises:
        ValueError: it is no deflated bitmap, or one of more than MAX_BITMAP_BYTES.
    """
    # Years of minutes are half a megabyte here, and with bars of now there are new ones each minute: few of those are kept.
    unpacked = _unpacked_many if MS[timeframe] >= MS["1h"] else _unpacked_few
    return unpacked(first_ms, timeframe, packed)


def _unpacked(first_ms: int, timeframe: str, packed: str) -> BarTimes:
    inflate = zlib.decompressobj()
    try:
        bits = inflate.decompress(base64.b64decode(packed, validate=True), MAX_BITMAP_BYTES)
    except zlib.error as damaged:
        raise ValueError(f"times must be a deflated bitmap: {damaged}") from damaged
    if not inflate.eof or not bits:
        raise ValueError(f"times must be a whole bitmap of 1 to {MAX_BITMAP_BYTES} bytes")
    return BarTimes(first_ms, UNIT_MS[timeframe], bits)


_unpacked_many: Final = lru_cache(maxsize=4096)(_unpacked)
_unpacked_few: Final = lru_cache(maxsize=64)(_unpacked)
