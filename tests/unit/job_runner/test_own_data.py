"""Exports as people have them become bars that a runner offers; what cannot is named.

Source: R-G3.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autonomy.errors import BadInput
from autonomy_cli.main import build_app
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.sources import END_OF_TIME_MS
from job_runner.trying.data import imported, looked_at
from support.days import utc_ms

HOURS = [utc_ms(2024, 3, 8, hour) for hour in range(12)]
STEP = ["10", "12", "9", "11", "100"]
EXPORTS = {
    "yfinance": ("1h", "Datetime,Open,High,Low,Close,Adj Close,Volume\n" + "".join(
        f"2024-03-08 {hour:02d}:00:00+00:00,10,12,9,11,11,100\n" for hour in range(12))),
    "binance": ("1h", "".join(f"{start},10,12,9,11,100,{start + 3_599_999},1,2,3,4,0\n" for start in HOURS)),
    "cryptodatadownload": ("1h", "https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USDT\n" + "".join(
        f"{start // 1000}.0,2024-03-08 0{number % 10}:00:00,BTC/USDT,10,12,9,11,100,7\n" for number, start in reversed(list(enumerate(HOURS))))),
    "freqtrade": ("1h", "date,open,high,low,close,volume\n" + "".join(f"2024-03-08 {hour:02d}:00:00+00:00,10,12,9,11,100\n" for hour in range(12))),
    "stooq": ("1d", "Date,Open,High,Low,Close,Volume\n" + "".join(f"2024-03-{day:02d},10,12,9,11,100\n" for day in range(1, 13))),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_the_usual_exports_are_taken_in(tmp_path: Path, name: str) -> None:
    timeframe, text = EXPORTS[name]
    export, bars = tmp_path / f"{name}.csv", tmp_path / "bars"
    export.write_text(text)
    path, sheet = imported(export, "BTC/USDT", timeframe, bars)
    assert path == bars / "BTC_USDT" / f"{timeframe}.parquet"
    found = FolderMarketData(bars).bars("BTC/USDT", timeframe, END_OF_TIME_MS)
    starts = HOURS if timeframe == "1h" else [utc_ms(2024, 3, day) for day in range(1, 13)]
    assert found.time.tolist() == starts
    assert [float(column[3]) for column in (found.open, found.high, found.low, found.close, found.volume)] == [float(cell) for cell in STEP]
    assert (sheet.bars, sheet.fault) == (12, "")
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing half-written is left"
    with pytest.raises(BadInput, match="not there yet"):
        imported(export, "BTC/USDT", timeframe, bars)
    imported(export, "BTC/USDT", timeframe, bars, replace=True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2024-03-08 12:00,10,12,9,x,100", "row 13 column close: a finite number"),
        ("2024-03-08 12:00,10,12,9,20,100", "row 13 column close: between low and high"),
        ("2024-03-08 11:30,10,12,9,11,100", "row 13 column datetime: at least 1h after the row before"),
        ("2024-03-08 12:00,10,12", "row 13: 7 cells"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path: Path, line: str, words: str) -> None:
    export = tmp_path / "bad.csv"
    export.write_text(EXPORTS["yfinance"][1] + line.replace(",100", ",11,100") + "\n")
    with pytest.raises(BadInput) as refusal:
        imported(export, "BTC/USDT", "1h", tmp_path / "bars")
    assert words in str(refusal.value)
    assert not (tmp_path / "bars").exists()


def test_a_folder_is_looked_at_as_a_runner_reads_it(tmp_path: Path) -> None:
    rows = [f"{start},10,12,9,11,100" for start in range(utc_ms(2024, 3, 1), utc_ms(2024, 3, 31), 3_600_000)]
    (tmp_path / "BTC_USDT-1h.csv").write_text("time,open,high,low,close,volume\n" + "\n".join([*rows[:100], *rows[103:]]) + "\n")
    (tmp_path / "ETH_USDT-1h.csv").write_text("time,open,high,low,close,volume\nyesterday,1,1,1,1,1\n")
    (tmp_path / "notes.txt").write_text("")
    (good, bad), skipped = looked_at(tmp_path)
    assert (good.symbol, good.timeframe, good.bars, good.bars_per_year) == ("BTC/USDT", "1h", len(rows) - 3, 8_760)
    assert good.findings == ("3 bars are missing (0.42%), most of them in a row from 2024-03-05 03:00 to 2024-03-05 07:00",)
    assert "ETH_USDT-1h.csv row 1 column time" in bad.fault
    assert list(skipped) == ["notes.txt"]
    answer = CliRunner().invoke(build_app(), ["data", "check", str(tmp_path)])
    assert answer.exit_code == 1
    assert "3 bars are missing" in answer.output
    assert "ETH/USDT 1h cannot be used" in answer.output
    assert json.loads(CliRunner().invoke(build_app(), ["data", "check", str(tmp_path), "--json"]).output)["skipped"]


def test_the_command_takes_in_and_says_where(tmp_path: Path) -> None:
    export = tmp_path / "btc.csv"
    export.write_text(EXPORTS["binance"][1])
    asked = ["data", "import", str(export), "--as", "BTC/USDT", "--timeframe", "1h", "--into", str(tmp_path / "bars")]
    answer = CliRunner().invoke(build_app(), asked)
    assert answer.exit_code == 0, answer.output
    assert "offers it within ten seconds" in answer.output
    assert CliRunner().invoke(build_app(), asked).exit_code == 1
    assert CliRunner().invoke(build_app(), [*asked[:-3], "7m", "--into", str(tmp_path)]).exit_code == 2
