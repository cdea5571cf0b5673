"""Compiled permutations: the same market with its bars in another order.

Role: the inner loop of `timing`. Random numbers are counter-based (splitmix64): market number k is the same whichever way the work
was cut, and on any machine.
"""

import numpy as np

from job_runner.engine.compiled import BAR_SIZE, CLOSE, FloatArray, IntArray, kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_30 = np.uint64(30)
_SHIFT_27 = np.uint64(27)
_SHIFT_31 = np.uint64(31)
_SHIFT_32 = np.uint64(32)


@kernel
def scramble(counter: np.uint64) -> np.uint64:
    """64 random bits that belong to this counter (splitmix64's finaliser)."""
    bits = (counter ^ (counter >> _SHIFT_30)) * _MIX_1
    bits = (bits ^ (bits >> _SHIFT_27)) * _MIX_2
    return bits ^ (bits >> _SHIFT_31)


def moves_of(rows: FloatArray) -> FloatArray:
    """What each bar after the first did: float64 (n-1, BAR_SIZE), prices as multiples of the close before, volume as it is."""
    before = rows[:-1, CLOSE : CLOSE + 1]
    return np.ascontiguousarray(np.concatenate([rows[1:, : BAR_SIZE - 1] / before, rows[1:, BAR_SIZE - 1 :]], axis=1))


@kernel
def permute_market(moves: FloatArray, seed: np.uint64, number: int, order: IntArray, rows: FloatArray) -> None:
    """Build a market out of the real one's bars, each used once, in random order: its gain is the same, and no pattern is left.

    Args:
        moves: float64 (n, BAR_SIZE), as of `moves_of`; n below 2**32.
        seed: of the whole run.
        number: of the market.
        order: int64 (n), written: which bar stands where.
        rows: float64 (n, BAR_SIZE), written.

    Source: Fisher and Yates' shuffle, as Durstenfeld wrote it down (1964).
    """
    count = moves.shape[0]
    for i in range(count):
        order[i] = i
    counter = scramble(seed + np.uint64(number) * _GOLDEN)
    for left in range(count - 1, 0, -1):
        counter += _GOLDEN
        # Compiled, np.int64 is an int; int() would stay unsigned.
        chosen = np.int64(((scramble(counter) >> _SHIFT_32) * np.uint64(left + 1)) >> _SHIFT_32)
        order[left], order[chosen] = order[chosen], order[left]
    close = 100.0
    for i in range(count):
        place = order[i]
        for column in range(BAR_SIZE - 1):
            rows[i, column] = close * moves[place, column]
        rows[i, BAR_SIZE - 1] = moves[place, BAR_SIZE - 1]
        close = rows[i, CLOSE]
