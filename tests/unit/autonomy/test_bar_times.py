"""Times of bars as a bitmap: what goes in is counted, and what is no bitmap is refused before anybody counts it."""

import base64
import random
import zlib
from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autonomy.bar_times import MAX_BITMAP_BYTES, pack_times, unpack_times
from autonomy.errors import BadInput
from autonomy.events import SymbolBars
from autonomy.timeframes import MS, UNIT_MS
from support.builders import a_symbol, bar_starts
from support.days import utc_ms


@given(st.sampled_from(sorted(MS)), st.sets(st.integers(0, 30_000), min_size=1, max_size=300), st.integers(-50_000, 50_000))
def test_a_bitmap_counts_as_the_list_does(timeframe: str, steps: set[int], offset: int) -> None:
    unit, first = UNIT_MS[timeframe], utc_ms(2010, 1, 4, 14, 30)
    starts = [first + (step - min(steps)) * unit for step in sorted(steps)]
    times = unpack_times(starts[0], timeframe, pack_times(starts, timeframe))
    assert [times.at(number) for number in range(len(times))] == starts
    for asked in (first + offset * unit, first + offset * unit - 1, starts[-1], starts[len(starts) // 2] - 1):
        assert times.count_until(asked) == bisect_right(starts, asked)
    for number in (-1, len(starts)):
        with pytest.raises(IndexError):
            times.at(number)


def test_years_of_minutes_are_a_few_thousand_characters() -> None:
    drawn = random.Random(3)
    there = np.ones(4_000_000, dtype=np.bool_)
    there[[drawn.randrange(1, 3_999_999) for _ in range(200)]] = False
    starts = utc_ms(2018, 1, 1) + np.flatnonzero(there) * 60_000
    packed = pack_times(starts, "1m")
    assert len(packed) < 6_000
    times = unpack_times(int(starts[0]), "1m", packed)
    one = int(starts[3_000_000])
    assert (len(times), times.at(3_000_000), times.count_until(one)) == (len(starts), one, 3_000_001)


def test_a_record_holds_them_and_counts_them() -> None:
    bars = a_symbol("IBM")
    assert SymbolBars.model_validate_json(bars.model_dump_json(by_alias=True)) == bars
    assert len(bars.times) < 400


PLAIN = pack_times(bar_starts(a_symbol("FB").first.date()), "1d")


@pytest.mark.parametrize(
    "times",
    [
        "AAAA", PLAIN[:40], base64.b64encode(zlib.compress(b"")).decode(), base64.b64encode(zlib.compress(b"\x01" * 40)).decode(),
        base64.b64encode(zlib.compress(b"\x01" * (MAX_BITMAP_BYTES + 1), 9)).decode(), PLAIN[:-4] + "====",
    ],
)  # fmt: skip
def test_what_is_no_bitmap_of_these_bars_is_no_announcement(times: str) -> None:
    with pytest.raises(ValidationError, match="times"):
        SymbolBars.model_validate({**a_symbol("FB").model_dump(), "times": times})


def test_starts_off_the_grid_are_named() -> None:
    with pytest.raises(BadInput, match="2010-01-04 00:07"):
        pack_times([utc_ms(2010, 1, 4), utc_ms(2010, 1, 4, 0, 7)], "5m")
    with pytest.raises(BadInput, match="at most"):
        pack_times([utc_ms(1900, 1, 1), utc_ms(2020, 1, 1)], "1m")
