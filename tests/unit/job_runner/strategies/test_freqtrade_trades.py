"""The same trades as `freqtrade backtesting`: strategies of our own, one of its documented features each, on the same files of bars.

Needs freqtrade, in an environment of its own that `make test-long` makes; nothing of it is imported here.

Source: docs/own-bots.md, "From freqtrade"; docs/fills.md, "Compared with other engines".
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.freqtrade_runs import ENVIRONMENT, FUTURES, SPOT, adapted, backtest, bars, command, exchange, refusal, write_bars
from support.freqtrade_strategies import GOOD, PAIRS

pytestmark = [pytest.mark.long, pytest.mark.skipif(not (ENVIRONMENT / "lock").is_file(), reason="make freqtrade makes its environment")]

SERIES = {"calm": (7, 3000, 0.008, 0.3), "gaps": (11, 3000, 0.006, 2.0)}
CONTROLS: dict[str, dict[str, Any]] = {
    "CrossStop": {"gap_stop": "open"}, "RoiTable": {"target_net_of_fees": False}, "TrailPlain": {"gap_stop": "open"},
    "TrailOffset": {"trail_own_bar": False}, "HigherFilter": {"end": "mark", "gap_stop": "open"}, "BothSides": {"gap_target": "open"},
}  # fmt: skip


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with exchange() as found:
        yield found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, drawn in SERIES.items():
        folders[name] = tmp_path_factory.mktemp("bars") / "data"
        write_bars(folders[name], bars(*drawn))
    return folders


def shown(trade: dict[str, Any]) -> list[float]:
    """A trade of freqtrade's own record as one of ours."""
    side = -1.0 if trade["is_short"] else 1.0
    return [
        trade["open_timestamp"], trade["close_timestamp"], trade["open_rate"], trade["close_rate"], side * trade["amount"], trade["profit_abs"],
    ]  # fmt: skip


def ours_of(found: dict[str, Any]) -> list[list[float]]:
    names = ("entry_ms", "exit_ms", "entry_price_usd", "exit_price_usd", "units", "pnl_usd")
    return [[trade[name] for name in names] for trade in found["comparison"]["trades"]]


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", GOOD)
def test_the_trades_are_those_of_freqtrade(name: str, series: str, data: dict[str, Path], address: str, tmp_path: Path) -> None:
    futures = name in PAIRS
    theirs = backtest(tmp_path, data[series], name, GOOD[name], address, futures=futures)
    expected = sorted(shown(trade) for trade in theirs["trades"])
    file = tmp_path / f"{name.lower()}.py"
    file.write_text(GOOD[name])
    found = adapted(file, data[series], FUTURES if futures else SPOT)
    ours = ours_of(found)
    assert len(ours) == len(expected) > 10
    for one, other in zip(ours, expected, strict=True):
        assert one[:4] == pytest.approx(other[:4], abs=1e-9)
        assert one[4:] == pytest.approx(other[4:], abs=1e-5)
    assert found["comparison"]["final_equity_usd"] == pytest.approx(theirs["final_balance"], abs=1e-4)
    assert found["comparison"]["program"] == f"freqtrade {version()}"
    if name in CONTROLS and series == "gaps":
        # Negative control: with one habit left out the trades are others.
        assert ours_of(adapted(file, data[series], FUTURES if futures else SPOT, switches=CONTROLS[name])) != ours


REFUSED = {
    "a computed value": (GOOD["RoiTable"].replace("stoploss = -0.05", "stoploss = -0.05\n    use_custom_stoploss = bool(1)"), SPOT,
                         "use_custom_stoploss is not mapped"),
    "a callback of a base class": (
        GOOD["RoiTable"].replace("class RoiTable(IStrategy)", "class Base:\n    pass\n\n\nsetattr(Base, 'lever' + 'age', lambda self: 1)\n\n\nclass RoiTable(Base, IStrategy)"),
        SPOT, "RoiTable.leverage (line 8) is not mapped",
    ),
    "another pair": (GOOD["HigherMerged"].replace('self.dp.current_whitelist()', '["ETH/USDT"]'), SPOT, "informative pair ETH/USDT is not mapped"),
    "another timeframe": (GOOD["RoiTable"].replace('timeframe = "1h"', 'timeframe = "4h"'), SPOT, "timeframe: 4h, as the strategy says, not 1h"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_only_the_class_itself_tells_is_refused_by_name_too(name: str, data: dict[str, Path], tmp_path: Path) -> None:
    text, symbol, words = REFUSED[name]
    (tmp_path / "bad.py").write_text(text)
    assert f"NotMapped: {words}" in refusal(tmp_path / "bad.py", data["calm"], symbol)


def test_the_command_shows_both_and_the_checks_hold(data: dict[str, Path], tmp_path: Path) -> None:
    """The whole way as a user goes it: by files of freqtrade's own data directory."""
    file = tmp_path / "cross.py"
    file.write_text(GOOD["CrossStop"])
    where = ["--bars", str(data["calm"]), "--symbol", SPOT, "--timeframe", "1h"]
    checks = json.loads(command("strategy", "check", str(file), *where, "--json"))["cross-stop"]
    assert [each["check"] for each in checks if each["passed"] is False] == []
    (fills,) = [each["words"] for each in checks if each["check"] == "fills"]
    assert f"trades by the fills of freqtrade {version()}, " in fills
    report = json.loads(command("backtest", str(file), *where, "--set", "fast=12", "--set", "kind=median", "--slippage-bps", "0", "--json"))
    assert report["comparison"]["program"] == f"freqtrade {version()}"
    assert len(report["trades"]) > 10
    assert len(report["comparison"]["trades"]) > 10
    # All in, the fee on top or out of it: never the same money.
    assert report["comparison"]["final_equity_usd"] != report["metrics"]["final_equity_usd"]


def version() -> str:
    return next((ENVIRONMENT / "lib").glob("python*/site-packages/freqtrade-[0-9]*.dist-info")).name.split("-")[1].removesuffix(".dist")
