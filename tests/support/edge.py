"""A folder of daily bars with a real edge in it: prices that trend for weeks, up and down by turns, under plain noise.

No recorded stock of the demo passes every promotion gate, and thresholds are never lowered for a test; so tests of what comes after a
promotion trade on a market where trend following does work. The bars are drawn from a seed; nothing about them is tuned to a day.
"""

from datetime import date, timedelta
from pathlib import Path

import numpy as np

FIRST_DAY = date(2000, 1, 3)
WEEKDAYS = 3_400
DRIFT, NOISE, REGIME_DAYS = 0.0035, 0.009, 60


def write_bars(folder: Path, *symbols: str, seed: int = 7) -> Path:
    """Write `SYMBOL/1d.csv` for each symbol; returns the folder."""
    for number, symbol in enumerate(symbols):
        path = folder / symbol / "1d.csv"
        path.parent.mkdir(parents=True)
        rows = (f"{day.isoformat()},{row}" for day, row in zip(_weekdays(), prices(seed + number), strict=True))
        path.write_text("\n".join(["date,open,high,low,close,volume", *rows]) + "\n")
    return folder


def prices(seed: int = 7) -> list[str]:
    """`open,high,low,close,volume` of each bar, whatever its length: the market that `write_bars` dates."""
    chance = np.random.default_rng(seed)
    drift = np.empty(WEEKDAYS)
    place, way = 0, 1.0
    while place < WEEKDAYS:
        length = int(chance.integers(REGIME_DAYS // 2, REGIME_DAYS * 2))
        drift[place : place + length] = way * DRIFT
        place, way = place + length, -way
    closes = 100.0 * np.exp(np.cumsum(drift + chance.normal(0.0, NOISE, WEEKDAYS)))
    opens = np.concatenate(([100.0], closes[:-1])) * np.exp(chance.normal(0.0, NOISE / 4, WEEKDAYS))
    spread = np.exp(np.abs(chance.normal(0.0, NOISE / 3, WEEKDAYS)))
    highs, lows = np.maximum(opens, closes) * spread, np.minimum(opens, closes) / spread
    return [
        f"{open_:.6f},{high:.6f},{low:.6f},{close:.6f},{1_000_000}"
        for open_, high, low, close in zip(opens, highs, lows, closes, strict=True)
    ]


def _weekdays() -> list[date]:
    days = (FIRST_DAY + timedelta(days=number) for number in range(WEEKDAYS * 7 // 5 + 7))
    return [day for day in days if day.weekday() < 5][:WEEKDAYS]
