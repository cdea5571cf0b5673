"""From a job as the log orders it to the engine's own order.

Place in the flow: claim → **order** → backtest, search or paper session, which must all read the same job in the same way.
"""

from autonomy.events import JobEnqueued
from autonomy.values import ms_of
from job_runner.research.report import ResearchOrder, SuiteSize


def order_of(order: JobEnqueued) -> ResearchOrder:
    """The engine's order of a job."""
    return ResearchOrder(
        job_id=order.job_id, bot_id=order.bot_id, strategy=order.strategy, parameters=dict(order.parameters),
        symbol=order.symbol, timeframe=order.timeframe, until_ms=ms_of(order.bars_until),
        **order.costs.model_dump(), initial_cash_usd=order.initial_cash_usd,
        min_bars=order.min_bars, suite=SuiteSize(**order.suite.model_dump()), prior_trials=order.prior_trials,
        bars_per_year=order.bars_per_year,
    )  # fmt: skip
