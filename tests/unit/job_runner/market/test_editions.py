"""The last good edition: one symbol's fault is its own, it is named once, and it heals by itself.

Source: R-A2, R-A5.
"""

import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as arrow
import pytest
from pyarrow import parquet

from autonomy.envelope import Received, decode, encode
from autonomy.errors import BadInput
from autonomy.events import CapabilitiesAnnounced, Costs
from autonomy.values import instant_of_ms
from job_runner.market import editions as editions_module
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.editions import Editions, handed
from job_runner.market.sources import END_OF_TIME_MS, Bars, EmbeddedMarketData, NotOffered, Survey
from job_runner.threads import in_thread
from support.builders import an_id

HEADER = "date,open,high,low,close,volume\n"
ROWS = ["2010-01-04,10,12,9,11,100", "2010-01-05,11,13,10,12,200", "2010-01-06,12,14,11,13,300"]


@dataclass
class Bench:
    """A folder of bars, its editions, and a clock that the test moves."""

    folder: Path
    now_s: float = 0.0
    editions: Editions = field(init=False)

    def __post_init__(self) -> None:
        self.editions = Editions(FolderMarketData(self.folder), lambda: self.now_s)

    def put(self, symbol: str, rows: list[str], name: str = "1d.csv") -> Path:
        path = self.folder / symbol / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEADER + "\n".join(rows) + "\n")
        # Two writes within one tick of the file system's clock must look like two.
        self.now_s += 1.0
        os.utime(path, (self.now_s, self.now_s))
        return path

    def look(self) -> bool:
        """Two looks: the second finds what the first has seen change settled."""
        first = self.editions.look()
        return self.editions.look() or first

    def bars(self) -> dict[str, int]:
        return {said.symbol: said.bars for said in self.editions.offered.said}

    def faults(self) -> dict[str, str]:
        return {fault.name: fault.reason for fault in self.editions.offered.faults}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.put("ABC", ROWS[:2])
    made.put("XYZ", ROWS)
    assert made.look()
    assert made.bars() == {"ABC": 2, "XYZ": 3}
    return made


def test_what_did_not_change_is_neither_read_nor_said_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(*_: object) -> Bars:
        raise AssertionError("read again")

    monkeypatch.setattr(FolderMarketData, "bars", unwanted)
    assert not bench.look()
    assert bench.bars() == {"ABC": 2, "XYZ": 3}


def test_a_new_bar_a_new_symbol_and_a_withdrawn_one_are_found(bench: Bench) -> None:
    before = bench.editions.offered.bars["ABC", "1d"].sha256
    bench.put("ABC", ROWS)
    bench.put("NEW", ROWS[:1])
    assert bench.look()
    assert bench.bars() == {"ABC": 3, "NEW": 1, "XYZ": 3}
    assert bench.editions.offered.bars["ABC", "1d"].sha256 != before
    (bench.folder / "XYZ" / "1d.csv").unlink()
    (bench.folder / "XYZ").rmdir()
    assert bench.look()
    assert bench.bars() == {"ABC": 3, "NEW": 1}


def test_a_file_that_is_touched_or_gone_for_a_moment_is_no_news(bench: Bench) -> None:
    path = bench.folder / "ABC" / "1d.csv"
    os.utime(path, (99.0, 99.0))
    assert not bench.look()
    text = path.read_text()
    path.unlink()
    assert not bench.editions.look()
    path.write_text(text)
    assert not bench.look()
    assert bench.bars() == {"ABC": 2, "XYZ": 3}


def test_a_file_that_is_being_written_is_left_alone(bench: Bench) -> None:
    """Each look sees another size: nothing is read until two see the same."""
    for count in (1, 2, 3):
        bench.put("ABC", [*ROWS[:2], ROWS[2][: 5 * count]])
        assert not bench.editions.look()
        assert (bench.bars(), bench.faults()) == ({"ABC": 2, "XYZ": 3}, {})
    bench.put("ABC", ROWS)
    assert bench.look()
    assert bench.bars()["ABC"] == 3


def test_a_broken_file_is_its_symbols_fault_its_last_good_bars_stay_and_it_heals(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    good = bench.editions.offered.bars["ABC", "1d"]
    bench.put("ABC", [*ROWS[:2], "2010-01-06,12,14"])
    assert bench.look()
    assert bench.bars() == {"ABC": 2, "XYZ": 3}
    (fault,) = bench.editions.offered.faults
    assert (fault.name, fault.in_use) == ("ABC 1d", True)
    assert fault.reason.startswith("ABC/1d.csv row 3: 6 cells")
    assert bench.editions.bars("ABC", "1d", END_OF_TIME_MS).sha256 == good.sha256
    for _ in range(3):
        assert not bench.look()
    said = [record.getMessage() for record in caplog.records if "ABC/1d.csv" in record.getMessage()]
    assert said == ["ABC 1d stays in use as it was, up to 2010-01-05: ABC/1d.csv row 3: 6 cells, got '3'"]
    bench.put("ABC", ROWS[:2])
    assert bench.look(), "that the fault is gone is news, though the bars are as they were"
    assert bench.faults() == {}
    assert "ABC 1d can be read again" in caplog.text


def a_parquet(path: Path, **extra: object) -> None:
    table = {
        "date": ["2010-01-04"], "open": [10.0], "high": [12.0], "low": [9.0], "close": [11.0], "volume": [100.0], **extra,
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(arrow.table(table), path)


def test_an_unused_column_is_not_read(bench: Bench) -> None:
    far = arrow.array([569_000_000_000_000_000], arrow.timestamp("us"))  # the year 20000
    with pytest.raises((ValueError, OverflowError)):
        far.to_pylist()
    a_parquet(bench.folder / "PQ" / "1d.parquet", expiry=far)
    assert bench.look()
    assert (bench.bars()["PQ"], bench.faults()) == (1, {})


def test_cells_that_cannot_be_converted_are_named(bench: Bench) -> None:
    nowhere = arrow.array([1_262_563_200_000], arrow.timestamp("ms", "Mars/Olympus"))
    a_parquet(bench.folder / "TZ" / "1d.parquet", date=nowhere)
    far = arrow.array([569_000_000_000_000_000], arrow.timestamp("us"))
    a_parquet(bench.folder / "FAR" / "1d.parquet", date=far)
    somewhere = arrow.array([datetime(2010, 1, 4, tzinfo=ZoneInfo("America/New_York"))], arrow.timestamp("ms", "America/New_York"))
    a_parquet(bench.folder / "OK" / "1d.parquet", date=somewhere)
    (bench.folder / "BAD").mkdir()
    (bench.folder / "BAD" / "1d.parquet").write_bytes(b"PAR1 is not all of it")
    assert bench.look()
    assert bench.bars() == {"ABC": 2, "OK": 1, "XYZ": 3}
    faults = bench.faults()
    assert faults["TZ 1d"].startswith("TZ/1d.parquet column date: cells that can be read")
    assert "Mars/Olympus" in faults["TZ 1d"]
    assert faults["FAR 1d"].startswith("FAR/1d.parquet row 1 column date: a time of the years 1 to 9999")
    assert faults["BAD 1d"] == "BAD/1d.parquet: a Parquet file"


@pytest.mark.parametrize("fault", [PermissionError(13, "Permission denied"), MemoryError(), RuntimeError("of a library")])
def test_whatever_reading_raises_is_that_symbols_fault_and_is_tried_again(
    bench: Bench, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked = FolderMarketData.bars, list[str]()

    def bars(self: FolderMarketData, symbol: str, timeframe: str, until: int) -> Bars:
        asked.append(symbol)
        if symbol == "ABC":
            raise fault
        return read(self, symbol, timeframe, until)

    with monkeypatch.context() as broken:
        broken.setattr(FolderMarketData, "bars", bars)
        bench.put("ABC", ROWS)
        bench.put("NEW", ROWS)
        assert bench.look()
        assert bench.bars() == {"ABC": 2, "NEW": 3, "XYZ": 3}
        assert type(fault).__name__ in bench.faults()["ABC 1d"]
        before = asked.count("ABC")
        for _ in range(5):
            assert not bench.look()
        assert asked.count("ABC") == before, "it rests"
        for _ in range(10):
            bench.now_s += 10.0
            bench.look()
        assert asked.count("ABC") == before + 10
    bench.now_s += 10.0
    assert bench.look()
    assert (bench.bars()["ABC"], bench.faults()) == (3, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_of_another_user_is_named_and_read_once_it_may_be(bench: Bench) -> None:
    path = bench.put("ABC", ROWS)
    path.chmod(0)
    assert bench.look()
    assert "Permission denied" in bench.faults()["ABC 1d"]
    path.chmod(0o600)
    bench.now_s += 10.0
    assert bench.look()
    assert (bench.bars()["ABC"], bench.faults()) == (3, {})


NAMES = {
    "btc-usdt": "its name is no symbol", "A" * 65: "its name is no symbol", "AAPL.csv": "not bars by its name",
    "AAPL-1d.txt": "not bars by its name", "ABC/1D.CSV": "not TIMEFRAME.csv", "ABC/7h.csv": "not TIMEFRAME.csv",
    "DIR/1d.parquet": "a folder, not a file", "OLD/1d.parquet": "older than 1d.csv", "EMPTY": "an empty folder",
    "BTC_USDT-1h-mark.feather": "not bars by its name",
}  # fmt: skip


def test_every_name_that_is_not_used_is_said_once_with_its_reason(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("btc-usdt", "A" * 65):
        bench.put(name, ROWS)
    for name in ("AAPL.csv", "AAPL-1d.txt", "BTC_USDT-1h-mark.feather"):
        (bench.folder / name).write_text(HEADER)
    bench.put("ABC", ROWS, "1D.CSV")
    bench.put("ABC", ROWS, "7h.csv")
    (bench.folder / "DIR" / "1d.parquet").mkdir(parents=True)
    a_parquet(bench.folder / "OLD" / "1d.parquet")
    os.utime(bench.folder / "OLD" / "1d.parquet", (1.0, 1.0))
    bench.put("OLD", ROWS)
    (bench.folder / "EMPTY").mkdir()
    (bench.folder / ".git").mkdir()
    caplog.clear()
    assert bench.look()
    assert bench.bars() == {"ABC": 2, "OLD": 3, "XYZ": 3}, "the newer file of two counts"
    assert bench.editions.offered.bars["OLD", "1d"].source_id == "folder/OLD/1d.csv"
    assert set(bench.faults()) == set(NAMES)
    for _ in range(3):
        bench.look()
    lines = [record.getMessage() for record in caplog.records if "is not used" in record.getMessage()]
    assert len(lines) == len(NAMES)
    for name, reason in NAMES.items():
        assert [line for line in lines if line.startswith(f"{name} is not used: {reason}")], (name, lines)


def test_names_that_no_text_can_hold_and_links_to_themselves_are_named_and_stop_nobody(bench: Bench) -> None:
    (bench.folder / os.fsdecode(b"\xff\n")).mkdir()
    (bench.folder / "LOOP").symlink_to(bench.folder / "LOOP")
    (bench.folder / "IN").mkdir()
    (bench.folder / "IN" / "1d.csv").symlink_to(bench.folder / "IN" / "1d.csv")
    path = bench.put("NUL", [ROWS[0].replace("11", "\0")])
    assert b"\0" in path.read_bytes()
    assert bench.look()
    assert bench.bars() == {"ABC": 2, "XYZ": 3}
    assert {"LOOP", "IN 1d", "NUL 1d", "\\udcff\\n"} <= set(bench.faults())
    said = CapabilitiesAnnounced(
        process_id=an_id("runner-1"), engine_version="1", job_types=(), strategies=(), symbols=(), research_slots=1,
        faults=bench.editions.offered.faults,
    )  # fmt: skip
    value = encode(said, source="test", subject="x", time=instant_of_ms(0), event_id=an_id("x"))
    received = decode(value, said.topic)
    assert isinstance(received, Received), received
    assert received.event == said


def test_two_files_of_one_age_are_refused_both_named(bench: Bench) -> None:
    bench.put("TWO", ROWS)
    a_parquet(bench.folder / "TWO" / "1d.parquet")
    for name in ("1d.csv", "1d.parquet"):
        os.utime(bench.folder / "TWO" / name, (5.0, 5.0))
    bench.look()
    assert "TWO" not in bench.bars()
    assert "1d.csv and 1d.parquet are of the same time" in bench.faults()["TWO 1d"]


def test_a_link_that_leads_out_is_its_symbols_fault(bench: Bench) -> None:
    outside = bench.folder.parent / "outside.csv"
    outside.write_text(HEADER + ROWS[0])
    (bench.folder / "OUT").mkdir()
    (bench.folder / "OUT" / "1d.csv").symlink_to(outside)
    bench.look()
    assert "OUT" not in bench.bars()
    assert bench.faults()["OUT 1d"].startswith("OUT/1d.csv: a file inside the folder")


def test_a_folder_that_goes_away_takes_nothing_with_it(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    away = bench.folder.parent / "away"
    bench.folder.rename(away)
    assert bench.look()
    assert bench.bars() == {"ABC": 2, "XYZ": 3}
    assert bench.faults()["(all)"].startswith("folder: an existing folder of bars")
    assert caplog.text.count("the source of bars: folder") == 1
    away.rename(bench.folder)
    assert bench.look()
    assert bench.faults() == {}


def test_a_source_without_bars_says_which_layout_it_needs(tmp_path: Path) -> None:
    empty = Bench(tmp_path)
    assert empty.look()
    assert empty.bars() == {}
    assert "SYMBOL/TIMEFRAME.csv" in empty.faults()["(all)"]
    empty.put("ABC", ROWS)
    assert empty.look()
    assert (empty.bars(), empty.faults()) == ({"ABC": 3}, {})


def test_too_many_faults_are_counted(tmp_path: Path) -> None:
    crowded = Bench(tmp_path)
    crowded.put("ABC", ROWS)
    for number in range(120):
        (tmp_path / f"{number}.csv").write_text("")
    crowded.look()
    faults = crowded.editions.offered.faults
    assert len(faults) == 50
    assert faults[-1].reason == "71 more"


def test_a_symbol_without_an_edition_is_refused_with_the_reason(bench: Bench) -> None:
    bench.put("NEW", ["x"])
    bench.look()
    with pytest.raises(NotOffered, match=r"NEW/1d\.csv row 1"):
        bench.editions.bars("NEW", "1d", 1)
    with pytest.raises(NotOffered, match="one of those offered"):
        bench.editions.handed("NOPE", "1d")
    with pytest.raises(BadInput, match="timeframe"):
        bench.editions.bars("ABC", "1h", 1)


def test_a_worker_is_handed_the_edition_of_its_symbol_and_no_path_to_any_other(bench: Bench) -> None:
    market = handed(bench.editions, "ABC", "1d")
    bench.put("ABC", ["broken"])
    assert market.markets() == (("ABC", "1d"),)
    whole = market.bars("ABC", "1d", END_OF_TIME_MS)
    assert whole.sha256 == bench.editions.bars("ABC", "1d", END_OF_TIME_MS).sha256
    assert len(market.bars("ABC", "1d", int(whole.time[0]))) == 1
    with pytest.raises(BadInput):
        market.bars("XYZ", "1d", END_OF_TIME_MS)
    embedded = EmbeddedMarketData()
    assert handed(embedded, "AAPL", "1d") is embedded


@dataclass
class Slow:
    """A source of many symbols, each of which takes a second to read."""

    bench_s: list[float]
    read: list[str] = field(default_factory=list)
    longest_rest_s: float = 600.0

    def markets(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"S{number:02d}", "1d") for number in range(20))

    def survey(self) -> Survey:
        return Survey(dict[tuple[str, str], Hashable].fromkeys(self.markets(), len(self.read) // 1000), {})

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        self.bench_s[0] += 1.0
        self.read.append(symbol)
        raise TimeoutError


def test_a_look_has_an_end_and_the_next_goes_on_and_rests_grow_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editions_module, "FIRST_LOOK_S", 5.0)
    now_s = [0.0]
    slow = Slow(now_s)
    found = Editions(slow, lambda: now_s[0])
    for _ in range(6):
        found.look()
    assert set(slow.read) == {symbol for symbol, _ in slow.markets()}, "the last ones had their turn"
    gaps: list[float] = []
    last = now_s[0]
    before = slow.read.count("S00")
    while len(gaps) < 14:
        now_s[0] += 1.0
        found._read_what_changed(Survey({("S00", "1d"): 0}, {}))
        if slow.read.count("S00") > before:
            before, gaps, last = slow.read.count("S00"), [*gaps, now_s[0] - last], now_s[0]
    assert gaps[-1] <= 602
    assert gaps[-1] > 250
    assert gaps[5] > 2 * gaps[2]


async def test_a_look_beside_the_loop_is_safe(bench: Bench) -> None:
    bench.put("ABC", ROWS)
    await in_thread(bench.look)
    assert bench.bars()["ABC"] == 3


def costs_of(bench: Bench) -> dict[str, Costs | None]:
    return {said.symbol: said.costs for said in bench.editions.offered.said}


def say_costs(bench: Bench, text: str) -> None:
    path = bench.folder / "costs.yaml"
    path.write_text(text)
    bench.now_s += 10.0
    os.utime(path, (bench.now_s, bench.now_s))


def test_costs_come_with_the_bars_of_their_symbol_and_no_other_is_read_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert costs_of(bench) == {"ABC": None, "XYZ": None}
    read: list[str] = []
    before = FolderMarketData.bars

    def noted(self: FolderMarketData, symbol: str, timeframe: str, until: int) -> Bars:
        read.append(symbol)
        return before(self, symbol, timeframe, until)

    monkeypatch.setattr(FolderMarketData, "bars", noted)
    say_costs(bench, "ABC: {fee_bps: 7, slippage_bps: 1, tick: 0.01}\n")
    assert bench.look()
    assert (costs_of(bench), read) == ({"ABC": Costs(fee_bps=7, slippage_bps=1, tick=0.01), "XYZ": None}, ["ABC"])
    say_costs(bench, "default: {fee_bps: 2, slippage_bps: 3}\nABC: {maker_bps: -1}\nGONE: {fee_bps: 1}\n")
    assert bench.look()
    assert costs_of(bench) == {"ABC": Costs(fee_bps=2, slippage_bps=3, maker_bps=-1), "XYZ": Costs(fee_bps=2, slippage_bps=3)}
    assert bench.faults() == {"costs.yaml: GONE": "no bars of this symbol"}


@pytest.mark.parametrize(("said", "words"), [
    ("ABC: {fee_bps: 7}", "costs.yaml: ABC.slippage_bps: a number of basis points"),
    ("ABC: {fee_bps: 7, slippage_bps: 1, colour: 1}", "costs.yaml: ABC.colour: one of fee_bps"),
    ("ABC: {fee_bps: 2000, slippage_bps: 1}", "costs.yaml: ABC.fee_bps: Input should be less than or equal to 1000"),
    ("ABC: {fee_bps: '7', slippage_bps: 1}", "costs.yaml: ABC.fee_bps: Input should be a valid number"),
])  # fmt: skip
def test_wrong_costs_are_their_symbols_fault_and_the_last_good_ones_stay(bench: Bench, said: str, words: str) -> None:
    say_costs(bench, "ABC: {fee_bps: 7, slippage_bps: 1}\n")
    assert bench.look()
    say_costs(bench, said)
    assert bench.look()
    (fault,) = bench.editions.offered.faults
    assert (fault.name, fault.in_use) == ("ABC 1d", True)
    assert words in fault.reason
    assert costs_of(bench) == {"ABC": Costs(fee_bps=7, slippage_bps=1), "XYZ": None}, "no other costs in silence"
    say_costs(bench, "ABC: {fee_bps: 8, slippage_bps: 1}\n")
    assert bench.look()
    assert (bench.faults(), costs_of(bench)["ABC"]) == ({}, Costs(fee_bps=8, slippage_bps=1))


def test_a_file_of_costs_that_cannot_be_read_holds_every_symbol_where_it_was(bench: Bench) -> None:
    say_costs(bench, "default: {fee_bps: 7, slippage_bps: 1}\n")
    assert bench.look()
    for text in ("ABC: [", "- ABC", "NO: {fee_bps: 1}", "ABC: 7"):
        say_costs(bench, text)
        bench.look()
        assert set(bench.faults()) == {"ABC 1d", "XYZ 1d"}, text
        assert set(costs_of(bench).values()) == {Costs(fee_bps=7, slippage_bps=1)}
    # A runner that starts now has no last good ones: nothing is offered at costs that nobody meant.
    fresh = Bench(bench.folder)
    fresh.look()
    assert fresh.bars() == {}
