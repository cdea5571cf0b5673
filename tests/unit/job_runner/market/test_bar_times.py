"""Times of bars as people have them: each form is recognised, and what could be two things is refused by name."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import feather, parquet

from autonomy.errors import BadInput
from autonomy.timeframes import MS
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.sources import END_OF_TIME_MS, Bars, DataMissing
from support.days import utc, utc_ms

FIRST = utc_ms(2024, 3, 8, 22)
PRICES = "10,12,9,11,100"


def starts_of(timeframe: str, count: int = 12, first_ms: int = FIRST) -> list[int]:
    return [first_ms + number * MS[timeframe] for number in range(count)]


def a_csv(folder: Path, times: list[Any], name: str = "BTC_USDT-1h.csv", column: str = "time") -> FolderMarketData:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{column},open,high,low,close,volume\n" + "".join(f"{time},{PRICES}\n" for time in times))
    return FolderMarketData(folder)


def read(market: FolderMarketData, symbol: str = "BTC/USDT", timeframe: str = "1h") -> Bars:
    return market.bars(symbol, timeframe, END_OF_TIME_MS)


FORMS: dict[str, Callable[[int], object]] = {
    "seconds": lambda ms: ms // 1000, "ms": lambda ms: ms, "µs": lambda ms: ms * 1000, "ns": lambda ms: ms * 1_000_000,
    "iso with a zone": lambda ms: datetime.fromtimestamp(ms / 1000, UTC).isoformat(),
    "iso with Z": lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
    "iso without a zone": lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}",
    "iso of another zone": lambda ms: (datetime.fromtimestamp(ms / 1000, UTC) + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_instant_is_the_same_instant(tmp_path: Path, form: str) -> None:
    bars = read(a_csv(tmp_path, [FORMS[form](start) for start in starts_of("1h")]))
    assert bars.time.tolist() == starts_of("1h")
    assert (bars.symbol, bars.timeframe, bars.source_id) == ("BTC/USDT", "1h", "folder/BTC_USDT-1h.csv")


@pytest.mark.parametrize("column", ["date", "datetime", "timestamp", "time", "open_time"])
def test_every_name_of_the_column_is_known(tmp_path: Path, column: str) -> None:
    assert len(read(a_csv(tmp_path, [FORMS["iso with Z"](start) for start in starts_of("1h")], column=column))) == 12


@pytest.mark.parametrize("column", ["numbers", "instants", "zone"])
@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_arrow_files_give_the_same_bars(tmp_path: Path, kind: str, column: str) -> None:
    starts = starts_of("5m", 400)
    times = {
        "numbers": arrow.array(starts, arrow.int64()), "instants": arrow.array([start * 1000 for start in starts], arrow.timestamp("us")),
        "zone": arrow.array(starts, arrow.timestamp("ms", "Europe/Berlin")),
    }[column]  # fmt: skip
    table = arrow.table({"open_time": times, **{name: [float(price)] * 400 for name, price in zip(
        ("open", "high", "low", "close", "volume"), PRICES.split(","), strict=True)}})  # fmt: skip
    path = tmp_path / f"BTC_USDT-5m.{kind}"
    (parquet.write_table if kind == "parquet" else feather.write_feather)(table, path)
    assert read(FolderMarketData(tmp_path), timeframe="5m").time.tolist() == starts


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            ["2024-03-08 22:00", "2024-03-08 22:30"],
            "BTC_USDT-1h.csv row 2 column time: at least 1h after the row before, got '2024-03-08 22:30'",
        ),
        (["2024-03-08 22:00", "2024-03-08 23:10"], "row 2 column time: whole 30 minutes after the first row, got '2024-03-08 23:10'"),
        (["2024-03-08 22:00", "2024-03-08 22:00"], "row 2 column time: later than the row before"),
        ([str(start) for start in starts_of("1d")], "bars of 1h, and the nearest two are 1d apart: of another timeframe?"),
        (["2024-03-08 22:00", "yesterday"], "row 2 column time: an ISO time"),
        (["1709935200", "soon"], "row 2 column time: a whole number, as in the rows before, got 'soon'"),
        (["20240308", "20240309"], "column time: whole seconds, ms, µs or ns since 1970-01-01 UTC"),
        (["1709935200", "1709938800000"], "one unit in all rows, got '1709935200 to 1709938800000'"),
    ],
)
def test_what_is_no_time_of_such_a_bar_is_named(tmp_path: Path, times: list[str], words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read(a_csv(tmp_path, times))
    assert words in str(refusal.value)


def test_two_columns_that_differ_are_both_named(tmp_path: Path) -> None:
    (tmp_path / "BTC_USDT-1h.csv").write_text(f"time,datetime,open,high,low,close,volume\n{FIRST},2024-03-08 23:00,{PRICES}\n")
    with pytest.raises(BadInput, match="column time: the same time as in column datetime, 2024-03-08 23:00"):
        read(FolderMarketData(tmp_path))


def test_days_are_no_times_of_hours(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="column day: a column of times for bars of 1h"):
        read(a_csv(tmp_path, [14_613], column="day"))


def test_days_of_an_exchange_stay_the_days_that_are_written(tmp_path: Path) -> None:
    """Midnight in New York is another day's evening in UTC, and in summer another hour of it."""
    days = ["2024-03-08 00:00:00-05:00", "2024-03-11 00:00:00-04:00"]
    bars = read(a_csv(tmp_path, days, "AAPL/1d.csv", "Date"), "AAPL", "1d")
    assert bars.time.tolist() == [utc_ms(2024, 3, 8), utc_ms(2024, 3, 11)]


def test_hours_of_an_exchange_move_with_its_summer_time(tmp_path: Path) -> None:
    hours = [
        *range(utc_ms(2024, 3, 8, 14, 30), utc_ms(2024, 3, 8, 21), MS["1h"]),
        *range(utc_ms(2024, 3, 11, 13, 30), utc_ms(2024, 3, 11, 20), MS["1h"]),
    ]
    bars = read(a_csv(tmp_path, hours, "SPY/1h.csv"), "SPY")
    assert bars.time.tolist() == hours
    assert bars.bars_per_year == 7 * 252


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("BTC_USDT/1h.csv", "BTC/USDT"), ("BTC_USDT-1h.csv", "BTC/USDT"), ("futures/BTC_USDT_USDT-1h-futures.csv", "BTC/USDT:USDT"),
        ("BRK.B-1h.csv", "BRK.B"), ("ES=F/1h.csv", "ES=F"), ("^GSPC-1h.csv", "^GSPC"), ("BTC-USDT-1h.csv", "BTC-USDT"),
    ],
)  # fmt: skip
def test_names_as_the_field_writes_them(tmp_path: Path, written: str, symbol: str) -> None:
    market = a_csv(tmp_path, starts_of("1h"), written)
    assert market.markets() == ((symbol, "1h"),)
    assert len(read(market, symbol)) == 12


def test_several_timeframes_of_one_symbol_are_each_their_own(tmp_path: Path) -> None:
    for timeframe in ("1m", "1h", "1w"):
        a_csv(tmp_path, starts_of(timeframe), f"BTC_USDT/{timeframe}.csv")
    market = FolderMarketData(tmp_path)
    assert market.markets() == (("BTC/USDT", "1h"), ("BTC/USDT", "1m"), ("BTC/USDT", "1w"))
    with pytest.raises(DataMissing, match=r"timeframe: one of those that BTC/USDT has \(1h, 1m, 1w\)"):
        market.bars("BTC/USDT", "4h", END_OF_TIME_MS)


@pytest.mark.parametrize(
    ("timeframe", "count", "per_year"),
    [("1m", 9 * 1440, 525_600), ("1h", 24 * 30, 8_760), ("4h", 6 * 30, 2_190), ("1d", 60, 365), ("1w", 60, 52)],
)
def test_a_market_that_never_closes_has_the_whole_year(tmp_path: Path, timeframe: str, count: int, per_year: int) -> None:
    market = a_csv(tmp_path, starts_of(timeframe, count, utc_ms(2024, 1, 1)), f"BTC_USDT-{timeframe}.csv")
    assert read(market, timeframe=timeframe).bars_per_year == per_year


def test_years_of_minutes_are_read_in_seconds(tmp_path: Path) -> None:
    count = 1_000_000
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 1e-4, count)))
    table = {
        "date": np.array(starts_of("1m", count)),
        "open": close,
        "high": close * 1.001,
        "low": close * 0.999,
        "close": close,
        "volume": close,
    }
    parquet.write_table(arrow.table(table | {"date": table["date"].astype("datetime64[ms]")}), tmp_path / "BTC_USDT-1m.parquet")
    bars = read(FolderMarketData(tmp_path), timeframe="1m")
    assert len(bars) == count
    assert bars.time[-1] == FIRST + (count - 1) * 60_000
    assert utc(2024, 3, 8, 22).timestamp() * 1000 == bars.time[0]
