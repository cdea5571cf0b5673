"""What is odd about valid bars is said; sound bars are not bothered."""

import numpy as np
import pytest

from autonomy.timeframes import DAY_MS
from job_runner.market.bar_files import checked_columns
from job_runner.market.data_check import findings_of
from job_runner.market.sources import END_OF_TIME_MS, Bars, EmbeddedMarketData, bars_until
from support.research import some_rows


def some_bars(*, jump: float = 1.0, gap_days: int = 0) -> Bars:
    rows = some_rows(300)
    rows[150:, :4] *= jump
    day = 14_613 + np.arange(300)
    day[200:] += gap_days
    table = {"time": day * DAY_MS, **dict(zip(("open", "high", "low", "close", "volume"), rows.T, strict=True))}
    return bars_until("ABC", "1d", checked_columns("ABC", table, "1d"), END_OF_TIME_MS, "test", synthetic=False)


@pytest.mark.parametrize("symbol", [symbol for symbol, _ in EmbeddedMarketData().markets()])
def test_adjusted_bars_of_real_stocks_have_no_findings(symbol: str) -> None:
    assert findings_of(EmbeddedMarketData().bars(symbol, "1d", END_OF_TIME_MS)) == ()


@pytest.mark.parametrize(
    ("jump", "words"),
    [(1 / 7, "jumps ÷ 7"), (100.0, "jumps × 99.9"), (0.5, "jumps ÷ 2"), (2.0, "jumps × ")],
)
def test_a_split_or_another_unit_is_named_with_its_day(jump: float, words: str) -> None:
    (found,) = findings_of(some_bars(jump=jump))
    assert found.startswith("2010-06-03 ")
    assert words in found
    assert "a split that the prices are not adjusted for, or another unit?" in found


def test_months_without_a_bar_are_named() -> None:
    assert findings_of(some_bars(gap_days=520)) == ("no bars for 521 days, from 2010-07-22 to 2011-12-25",)
    assert findings_of(some_bars(gap_days=7)) == ()


def test_many_of_a_kind_are_counted() -> None:
    rows = some_rows(300)
    for bar in range(10, 300, 10):
        rows[bar:, :4] *= 20.0 if bar % 20 else 1 / 20
    table = {"time": (14_613 + np.arange(300)) * DAY_MS, **dict(zip(("open", "high", "low", "close", "volume"), rows.T, strict=True))}
    found = findings_of(bars_until("ABC", "1d", checked_columns("ABC", table, "1d"), END_OF_TIME_MS, "test", synthetic=False))
    assert len(found) == 4
    assert found[-1] == "and 26 more like the last"
