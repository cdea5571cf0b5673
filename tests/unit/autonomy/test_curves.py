"""Equity as three texts: what goes in comes out, and what is no table of numbers is refused."""

import pytest
from pydantic import ValidationError

from autonomy.events import EquityCurve
from support.days import utc_ms

FIRST = utc_ms(2000, 3, 1)


def test_a_curve_is_what_went_in() -> None:
    curve = EquityCurve.of(FIRST, [(FIRST, 1.0, 1.0), (utc_ms(2001, 3, 1), 1.23456, -0.5)])
    assert (curve.minutes, curve.strategy, curve.buy_and_hold) == ("0,525600", "1.0000,1.2346", "1.0000,-0.5000")
    assert curve.strategy_sampled(24) == [1.0, 1.2346]
    long = EquityCurve.of(FIRST, [(FIRST, float(number), 1.0) for number in range(120)])
    assert long.strategy_sampled(24) == [float(number) for number in range(0, 120, 5)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"minutes": "0,1"}, "same number"), ({"strategy": "1.0000,1.0000"}, "same number"), ({"buy_and_hold": "1.0"}, "buy"),
        ({"strategy": "nan"}, "strategy"), ({"strategy": "1e5"}, "strategy"), ({"minutes": "-1"}, "minutes"), ({"minutes": ""}, "minutes"),
        ({"strategy": "1.0000\n"}, "strategy"), ({"strategy": "٣.0000"}, "strategy"),
        ({name: ",".join([value] * 121) for name, value in [("minutes", "1"), ("strategy", "1.0000"), ("buy_and_hold", "1.0000")]}, "at most"),
    ],
)  # fmt: skip
def test_a_curve_that_is_no_table_of_numbers_is_refused(changes: dict[str, str], named: str) -> None:
    plain = {"minutes": "0", "strategy": "1.0000", "buy_and_hold": "1.0000"}
    EquityCurve(**plain)
    with pytest.raises(ValidationError, match=named):
        EquityCurve(**{**plain, **changes})
