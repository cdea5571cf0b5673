"""The made-up market of the demo: it says what it is, there is an edge for who looks back some days, and none for who holds.

Source: R-G4.
"""

import numpy as np
import pytest

from job_runner.market.planted import COUNT, SYMBOLS, PlantedMarketData
from job_runner.market.sources import END_OF_TIME_MS, DataMissing, EmbeddedMarketData
from job_runner.research.backtest import run_research
from job_runner.research.report import SuiteSize
from support.research import an_order

MARKET = PlantedMarketData()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_it_says_that_it_is_made_up_in_its_name_its_source_and_its_bars(symbol: str) -> None:
    bars = MARKET.bars(symbol, "1d", END_OF_TIME_MS)
    assert bars.synthetic
    assert symbol.startswith("SYNTHETIC")
    assert bars.source_id.startswith("synthetic/")
    assert len(bars) == COUNT
    apple = EmbeddedMarketData().bars("AAPL", "1d", END_OF_TIME_MS)
    assert (bars.time[0], bars.time[-1]) == (apple.time[0], apple.time[-1])
    assert bars.close[-1] == pytest.approx(100.0)
    assert not np.array_equal(bars.close, MARKET.bars(SYMBOLS[symbol == SYMBOLS[0]], "1d", END_OF_TIME_MS).close)


@pytest.mark.parametrize(
    ("strategy", "parameters", "symbol"),
    [("ts-momentum", {"window": 10}, "SYNTHETIC-A"), ("sma-cross", {"fast": 5, "slow": 20}, "SYNTHETIC-B")],
)
def test_the_bots_of_the_demo_find_its_edge_at_their_first_look(strategy: str, parameters: dict[str, int], symbol: str) -> None:
    order = an_order(strategy=strategy, parameters=parameters, symbol=symbol, suite=SuiteSize(), until_ms=END_OF_TIME_MS)
    found = run_research(order, MARKET, lambda _phase, _share: None, lambda: False)
    assert found.synthetic
    assert (found.timing.z or 0.0) > 5.0
    assert (found.net_t or 0.0) > 1.64
    assert abs(found.buy_and_hold.on_returns.sharpe_annualised or 0.0) < 0.2


def test_it_has_no_other_symbol() -> None:
    with pytest.raises(DataMissing, match="SYNTHETIC-A"):
        MARKET.bars("AAPL", "1d", END_OF_TIME_MS)
