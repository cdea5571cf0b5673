"""Sources of bars: real, from files, made up."""

from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import parquet

from autonomy.errors import BadInput
from autonomy.timeframes import DAY_MS
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.data_check import findings_of
from job_runner.market.editions import Editions
from job_runner.market.sources import END_OF_TIME_MS, DataMissing, EmbeddedMarketData, SyntheticMarketData
from support.days import day_ms

HEADER = "date,open,high,low,close,volume\n"
GOOD = ["2010-01-04,10,12,9,11,100", "2010-01-05,11,13,10,12,200", "2010-01-06,12,14,11,13,300"]


def a_folder(tmp_path: Path, *lines: str, header: str = HEADER) -> FolderMarketData:
    (tmp_path / "ABC").mkdir(exist_ok=True)
    (tmp_path / "ABC" / "1d.csv").write_text(header + "\n".join(lines) + "\n")
    return FolderMarketData(tmp_path)


def test_embedded_bars_are_the_five_known_stocks(embedded: EmbeddedMarketData) -> None:
    editions = Editions(embedded)
    assert editions.look()
    found = {said.symbol: said.bars for said in editions.offered.said}
    assert found == {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}


def test_splits_are_adjusted(embedded: EmbeddedMarketData) -> None:
    bars = embedded.bars("AAPL", "1d", END_OF_TIME_MS)
    moves = bars.close[1:] / bars.close[:-1]
    # AAPL split two for one on 2005-02-28 (day 12842 since 1970): unadjusted, that close was half the one before.
    at = int(np.searchsorted(bars.time, day_ms(12_842)))
    assert 0.9 < moves[at - 1] < 1.1


def test_no_bar_later_than_asked_for(embedded: EmbeddedMarketData) -> None:
    whole = embedded.bars("IBM", "1d", END_OF_TIME_MS)
    for until in (0, 11_017, 13_000, 13_001, 13_002, 15_765, 15_766):
        bars = embedded.bars("IBM", "1d", day_ms(until))
        assert len(bars) == np.count_nonzero(whole.time <= day_ms(until))


def test_the_hash_changes_with_a_new_bar_only(embedded: EmbeddedMarketData) -> None:
    whole = embedded.bars("IBM", "1d", END_OF_TIME_MS)
    friday = next(int(start) for start, later in zip(whole.time, whole.time[1:], strict=False) if later - start == day_ms(3))
    hashes = [embedded.bars("IBM", "1d", friday + day_ms(days)).sha256 for days in range(4)]
    assert hashes[0] == hashes[1] == hashes[2]
    assert hashes[3] != hashes[0]


def test_columns_cannot_be_changed(embedded: EmbeddedMarketData) -> None:
    bars = embedded.bars("IBM", "1d", day_ms(13_000))
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 1.0


def test_unknown_symbol_and_timeframe_are_refused(embedded: EmbeddedMarketData) -> None:
    with pytest.raises(DataMissing, match="AAPL"):
        embedded.bars("NOPE", "1d", 1)
    with pytest.raises(BadInput, match="timeframe"):
        embedded.bars("AAPL", "1h", 1)


def test_a_folder_of_csv_is_read(tmp_path: Path) -> None:
    market = a_folder(tmp_path, *GOOD)
    assert market.markets() == (("ABC", "1d"),)
    bars = market.bars("ABC", "1d", END_OF_TIME_MS)
    assert bars.time.tolist() == [day_ms(14_613), day_ms(14_614), day_ms(14_615)]
    assert bars.close.tolist() == [11, 12, 13]


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    market = a_folder(tmp_path, *GOOD[:2])
    assert len(market.bars("ABC", "1d", END_OF_TIME_MS)) == 2
    a_folder(tmp_path, *GOOD)
    assert len(market.bars("ABC", "1d", END_OF_TIME_MS)) == 3


def test_parquet_gives_the_same_bars_as_csv(tmp_path: Path) -> None:
    from_csv = a_folder(tmp_path, *GOOD).bars("ABC", "1d", END_OF_TIME_MS)
    table = {name: getattr(from_csv, name) for name in ("open", "high", "low", "close", "volume")} | {"day": from_csv.time // DAY_MS}
    parquet.write_table(arrow.table(table), tmp_path / "ABC" / "1d.parquet")
    from_parquet = FolderMarketData(tmp_path).bars("ABC", "1d", END_OF_TIME_MS)
    assert from_parquet.sha256 == from_csv.sha256
    assert from_parquet.source_id == "folder/ABC/1d.parquet"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2010-01-07,nan,14,11,13,300", "row 4 column open: a finite number"),
        ("2010-01-07,12,14,11,inf,300", "row 4 column close: a finite number"),
        ("2010-01-07,12,14,11,,300", "row 4 column close: a finite number"),
        ("2010-01-07,12,14,0,13,300", "row 4 column low: a price above 0"),
        ("2010-01-07,12,14,11,13,-1", "row 4 column volume: 0 shares or more"),
        ("2010-01-07,12,10,11,13,300", "row 4 column high: not below low"),
        ("2010-01-07,15,14,11,13,300", "row 4 column open: between low and high"),
        ("2010-01-07,12,14,11,15,300", "row 4 column close: between low and high"),
        ("2010-01-06,12,14,11,13,300", "row 4 column date: later than the row before"),
        ("2010-01-01,12,14,11,13,300", "row 4 column date: later than the row before"),
        ("yesterday,12,14,11,13,300", "row 4 column date: an ISO date"),
        ("1262822400000,12,14,11,13,300", "row 4 column date: an ISO date"),
        ("2010-01-07,12,14,11,13", "row 4: 6 cells"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        a_folder(tmp_path, *GOOD, line).bars("ABC", "1d", END_OF_TIME_MS)
    assert words in str(refusal.value)
    assert "ABC/1d.csv" in str(refusal.value)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="column volume"):
        a_folder(tmp_path, "2010-01-04,10,12,9,11", header="date,open,high,low,close\n").bars("ABC", "1d", 1)
    with pytest.raises(BadInput, match="column date or day or datetime"):
        a_folder(tmp_path, "10,12,9,11,1", header="open,high,low,close,volume\n").bars("ABC", "1d", 1)


@pytest.mark.parametrize(
    ("header", "line", "words"),
    [
        ("date,open,high,low,close,volume", "40179,10,12,9,11,1", "row 1 column date: an ISO date (2010-01-04); days since 1970-01-01 stand"),
        ("date,open,high,low,close,volume", "40179,10,12,9,11,1", "as a spreadsheet's serial number it would be 2010-01-01"),
        ("day,open,high,low,close,volume", "40179,10,12,9,11,1", "row 1 column day: whole days since 1970-01-01, before 2070"),
        ("day,open,high,low,close,volume", "40179,10,12,9,11,1", "as a spreadsheet's serial number it would be 2010-01-01"),
        ("date,open,high,low,close,volume,Close", "2010-01-04,10,12,9,11,1,10", "'close' (column 5) and 'Close' (column 7)"),
        ("date,open,high,low,close,close,volume", "2010-01-04,10,12,9,11,11,1", "'close' (column 5) and 'close' (column 6)"),
        ("date,day,open,high,low,close,volume", "2010-01-04,14614,10,12,9,11,1", "column day: the same day as in column date, 2010-01-04"),
        ("date,open,high,low,close,volume", "2010-01-04,10,12,9,1e-310,1", "column close: a price from 1e-12 to 1e+12"),
        ("date,open,high,low,close,volume", "2010-01-04,10,1e300,9,11,1", "column high: a price from 1e-12 to 1e+12"),
        ("date,open,high,low,close,volume", "2010-01-04,10,12,9,12.0001,1", "column close: between low and high"),
    ],
)  # fmt: skip
def test_what_would_be_another_number_is_refused_naming_both(tmp_path: Path, header: str, line: str, words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        a_folder(tmp_path, line, header=f"{header}\n").bars("ABC", "1d", END_OF_TIME_MS)
    assert words in str(refusal.value)


def test_two_columns_of_days_that_agree_are_fine(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "14613,2010-01-04,10,12,9,11,1", header="day,date,open,high,low,close,volume\n")
    assert folder.bars("ABC", "1d", END_OF_TIME_MS).time.tolist() == [day_ms(14_613)]


def test_noise_in_the_last_place_of_an_adjusted_price_is_no_fault(tmp_path: Path) -> None:
    high = 12.345678901234567
    close = float(np.nextafter(high, 99.0))
    assert close > high
    bars = a_folder(tmp_path, f"2010-01-04,10,{high!r},9,{close!r},1").bars("ABC", "1d", END_OF_TIME_MS)
    assert bars.close.tolist() == [close], "nothing is mended"


def test_an_adjusted_close_that_is_not_used_is_said(tmp_path: Path) -> None:
    bars = a_folder(tmp_path, "2010-01-04,10,12,9,11,1,5.5", header="date,open,high,low,close,volume,Adj Close\n").bars(
        "ABC", "1d", END_OF_TIME_MS
    )
    assert findings_of(bars) == ("the column 'Adj Close' is not used: prices count as they stand in open, high, low, close",)


@pytest.mark.parametrize("symbol", ["../ABC", "..", ".", "abc", "", "A" * 65, "A\n", "A\0"])
def test_no_symbol_leads_out_of_the_folder(tmp_path: Path, symbol: str) -> None:
    with pytest.raises(BadInput, match="symbol"):
        a_folder(tmp_path, *GOOD).bars(symbol, "1d", 1)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1d.csv").write_text(HEADER + "\n".join(GOOD))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "EVIL").symlink_to(outside)
    with pytest.raises(BadInput, match="link"):
        FolderMarketData(inside).bars("EVIL", "1d", 1)


def test_synthetic_bars_are_labelled_and_repeatable() -> None:
    one, other = SyntheticMarketData(5), SyntheticMarketData(6)
    assert one.bars("SYN-A", "1d", END_OF_TIME_MS).sha256 == SyntheticMarketData(5).bars("SYN-A", "1d", END_OF_TIME_MS).sha256
    assert one.bars("SYN-A", "1d", END_OF_TIME_MS).sha256 != other.bars("SYN-A", "1d", END_OF_TIME_MS).sha256
    assert all(one.bars(symbol, "1d", END_OF_TIME_MS).synthetic for symbol, _ in one.markets())
