"""The demo's bars and a folder of somebody's own as one source: the folder counts, and takes nothing from the demo."""

from pathlib import Path

import pytest

from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.editions import Editions
from job_runner.market.joined import JoinedMarketData
from job_runner.market.sources import END_OF_TIME_MS, DataMissing, EmbeddedMarketData

ROWS = "date,open,high,low,close,volume\n2024-03-08,10,12,9,11,100\n2024-03-11,11,13,10,12,200\n"


def joined(folder: Path) -> JoinedMarketData:
    return JoinedMarketData((("bars", FolderMarketData(folder, live=True)), ("demo", EmbeddedMarketData())))


def test_each_has_its_own_and_of_the_same_bars_the_folders_count(tmp_path: Path) -> None:
    for symbol in ("AAPL", "SPY"):
        (tmp_path / f"{symbol}-1d.csv").write_text(ROWS)
    market = joined(tmp_path)
    assert {symbol for symbol, _ in market.markets()} == {"AAPL", "FB", "GOOG", "IBM", "MSFT", "SPY"}
    found = {symbol: market.bars(symbol, "1d", END_OF_TIME_MS) for symbol in ("AAPL", "SPY", "IBM")}
    assert {symbol: (len(bars), bars.live) for symbol, bars in found.items()} == {"AAPL": (2, True), "SPY": (2, True), "IBM": (3270, False)}
    with pytest.raises(DataMissing, match="NOPE 1d"):
        market.bars("NOPE", "1d", END_OF_TIME_MS)


def test_a_folder_that_is_not_there_or_holds_rubbish_is_named_and_the_demo_goes_on(tmp_path: Path) -> None:
    away = joined(tmp_path / "away")
    assert len(away.bars("IBM", "1d", END_OF_TIME_MS)) == 3270
    editions = Editions(away)
    editions.look()
    assert (len(editions.offered.bars), [fault.name for fault in editions.offered.faults]) == (5, ["bars"])
    (tmp_path / "AAPL-1d.csv").write_text("no bars")
    broken = Editions(joined(tmp_path))
    broken.look()
    assert ("AAPL", "1d") not in broken.offered.bars, "a broken file is no reason to trade other bars under its name"
    assert [fault.name for fault in broken.offered.faults] == ["AAPL 1d"]
