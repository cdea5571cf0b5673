"""Made-up daily bars with a planted edge: a market in which a whole life of a bot can be watched, labelled in its very name.

Role: a `MarketData` beside the demo's real bars. Its trends last about a month and turn by chance, so whoever looks back some days gains by
timing, and who only holds does not. It shows what the platform does, never what a strategy is worth.
"""

import functools
import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from job_runner.market.bar_files import Columns
from job_runner.market.sources import DAILY, Bars, Key, bars_until, check_key, made_up

SYMBOLS: Final = ("SYNTHETIC-A", "SYNTHETIC-B")
VERSION: Final = 1
FIRST_DAY: Final = 11_017
"""2000-03-01, as the demo's real bars."""
COUNT: Final = 3_393
"""Weekdays to 2013-03-01."""
TREND: Final = 0.0045
VOLATILITY: Final = 0.011
MEAN_TREND_BARS: Final = 25


@dataclass(frozen=True, slots=True)
class PlantedMarketData:
    """Trends that turn, on weekdays, labelled as synthetic wherever they go."""

    def markets(self) -> tuple[Key, ...]:
        """All symbols it makes, sorted; daily bars."""
        return tuple((symbol, DAILY) for symbol in SYMBOLS)

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`."""
        check_key(symbol, timeframe, self.markets())
        return bars_until(symbol, DAILY, _trends(symbol), until, f"synthetic/planted-trends/{VERSION}", synthetic=True)


@functools.cache
def _trends(symbol: str) -> Columns:
    draw = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{VERSION} {symbol}".encode()).digest()[:8], "big"))
    turns = draw.random(COUNT) < 1.0 / MEAN_TREND_BARS
    trend = np.where(np.cumsum(turns) % 2 == 0, TREND, -TREND)
    moves = trend + draw.normal(0.0, VOLATILITY, COUNT)
    # Who only holds gains nothing: the sum of all moves is 0.
    close = 100.0 * np.exp(np.cumsum(moves - moves.mean()))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(draw.normal(0.0, VOLATILITY / 5.0, COUNT))
    return made_up(symbol, FIRST_DAY, open_, close, VOLATILITY, draw)
