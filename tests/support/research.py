"""Bars and orders for the tests of the research engine."""

import numpy as np

from job_runner.engine.compiled import FloatArray
from job_runner.research.report import ResearchOrder, SuiteSize

SMALL = SuiteSize(bootstrap_samples=60, truncation_cuts=5, neighbourhood_steps=1, stress_levels=2, walk_forward_windows=2)


def some_rows(bars: int, seed: int = 7, volatility: float = 0.02) -> FloatArray:
    """Geometric Brownian motion as float64 (bars, 5)."""
    numbers = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(numbers.normal(0.0003, volatility, bars)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(numbers.normal(0.0, volatility / 5, bars))
    high = np.maximum(open_, close) * 1.003
    low = np.minimum(open_, close) * 0.997
    return np.ascontiguousarray(np.stack([open_, high, low, close, np.full(bars, 1e6)], axis=1))


def an_order(**changes: object) -> ResearchOrder:
    """A small order on AAPL."""
    fields: dict[str, object] = {
        "job_id": "job-1",
        "bot_id": "aapl-sma",
        "strategy": "sma-cross",
        "parameters": {},
        "symbol": "AAPL",
        "timeframe": "1d",
        "until_day": 14_000,
        "fee_bps": 10.0,
        "slippage_bps": 5.0,
        "initial_cash_usd": "100000.00",
        "min_bars": 250,
        "suite": SMALL,
    }
    return ResearchOrder(**{**fields, **changes})  # type: ignore[arg-type]
