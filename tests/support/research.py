"""Bars and orders for the tests of the research engine."""

from typing import Any

import numpy as np

from autonomy.events import CapabilitiesAnnounced, JobEnqueued
from autonomy.values import JobType
from job_runner.claims.outcome import Outcome
from job_runner.engine.compiled import FloatArray
from job_runner.research.report import ResearchOrder, SuiteSize
from support.builders import capabilities
from support.days import day_ms

SMALL = SuiteSize(permuted_markets=60, truncation_cuts=5, neighbourhood_steps=1, stress_levels=2, walk_forward_windows=2)


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
        "until_ms": day_ms(14_000),
        "fee_bps": 10.0,
        "slippage_bps": 5.0,
        "initial_cash_usd": "100000.00",
        "min_bars": 250,
        "suite": SMALL,
    }
    return ResearchOrder(**{**fields, **changes})  # type: ignore[arg-type]


class NoWorker:
    """Research that nobody asks for."""

    job_types = frozenset({JobType.BACKTEST_BASELINE})
    strategies = None

    async def start(self) -> None: ...

    async def run(self, order: JobEnqueued, on_progress: Any) -> Outcome:
        raise AssertionError

    def cancel(self, job_id: str) -> None:
        raise AssertionError

    async def stop(self, drain_s: float) -> None: ...

    def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
        return capabilities().model_copy(update={"process_id": process_id})
