"""The same trades as `freqtrade backtesting`: strategies of our own, one of its documented features each, on the same files of bars.

Needs freqtrade, in an environment of its own that `make test-long` makes; nothing of it is imported here.

Source: docs/own-bots.md, "From freqtrade"; docs/fills.md, "Compared with other engines".
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.freqtrade_runs import ENVIRONMENT, FUTURES, SPOT, adapted, backtest, bars, exchange, write_bars
from support.freqtrade_strategies import GOOD, PAIRS

pytestmark = [pytest.mark.long, pytest.mark.skipif(not ENVIRONMENT.is_dir(), reason="make freqtrade makes its environment")]

SERIES = {"calm": (7, 3000, 0.008, 0.3), "gaps": (11, 3000, 0.006, 2.0)}
CONTROLS: dict[str, dict[str, Any]] = {
    "CrossStop": {"gap_stop": "open"}, "RoiTable": {"target_net_of_fees": False}, "TrailPlain": {"trail_own_bar": False},
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
    assert len(ours) == len(expected) > 20
    for one, other in zip(ours, expected, strict=True):
        assert one[:4] == pytest.approx(other[:4], abs=1e-9)
        assert one[4:] == pytest.approx(other[4:], abs=1e-5)
    assert found["comparison"]["final_equity_usd"] == pytest.approx(theirs["final_balance"], abs=1e-4)
    assert found["comparison"]["program"] == f"freqtrade {version()}"
    if name in CONTROLS and series == "gaps":
        # Negative control: with one habit left out the trades are others.
        assert ours_of(adapted(file, data[series], FUTURES if futures else SPOT, switches=CONTROLS[name])) != ours


def version() -> str:
    return next((ENVIRONMENT / "lib").glob("python*/site-packages/freqtrade-[0-9]*.dist-info")).name.split("-")[1].removesuffix(".dist")
