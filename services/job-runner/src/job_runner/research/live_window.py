"""The engine over a paper session's live window: what drift is measured against.

Role: a refresh of a bot with a session also runs the bars of that session again, from a fresh start and with the research data; the
planner compares the outcome with what the runner marked. Same engine, same formulas, other process and other path of the bars.

Source: R-F8.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from autonomy.errors import BadInput
from autonomy.events import LiveWindow, WindowMetrics
from autonomy.market_clock import day_number, day_of
from job_runner.engine.account import Costs
from job_runner.engine.programs import DAY_MS, daily_axis
from job_runner.engine.running import begin
from job_runner.market.sources import MarketData
from job_runner.research.backtest import Progress, run_research
from job_runner.research.report import ResearchOrder, ResearchReport, StrategyError
from job_runner.strategies.coded import CodedStrategy, by_name


def window_metrics(order: ResearchOrder, window: LiveWindow, market: MarketData, strategy: CodedStrategy | None = None) -> WindowMetrics:
    """The engine over a live window, from a fresh start: what a session on these bars should have come to.

    Bars up to `from_day` only warm the strategy up; those after it, up to `until_day`, are traded.

    Raises:
        BadInput: a window that reaches beyond the bars which the order may read, or anything else out of limits.
        DataMissing: no such symbol.
    """
    from_day, until_day = day_number(window.from_day), day_number(window.until_day)
    if not from_day <= until_day <= order.until_day:
        raise BadInput("window.until_day", f"{window.from_day} to {day_of(order.until_day)}", window.until_day)
    bars = market.bars(order.symbol, order.timeframe, until_day)
    cash = float(order.initial_cash_usd)
    program = (strategy or by_name(order.strategy)).program(order.parameters, daily_axis(order.symbol, bars.day.tolist()))
    engine = begin(program, Costs(order.fee_bps, order.slippage_bps), cash)
    rows, first = bars.rows(), int(bars.day.searchsorted(from_day, side="right"))
    times = bars.day * DAY_MS
    engine.observe_all(rows[:first], times[:first])
    for row, time_ms in zip(rows[first:].tolist(), times[first:].tolist(), strict=True):
        engine.on_bar(row[0], row[1], row[2], row[3], row[4], time_ms)
    tally = engine.tally
    if not math.isfinite(engine.equity_usd):
        raise StrategyError(f"{order.strategy} on {order.symbol}: equity is not finite in the live window")
    return WindowMetrics(
        from_day=window.from_day, until_day=window.until_day, bars=int(tally.bars), trades=int(tally.trades),
        pnl_usd=engine.equity_usd - cash, sharpe=engine.sharpe_annualised, max_drawdown=tally.max_drawdown,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class WindowedOrder:
    """A research job that also runs a live window again, for drift."""

    research: ResearchOrder
    window: LiveWindow

    @property
    def job_id(self) -> str:
        """Of the job."""
        return self.research.job_id

    @property
    def symbol(self) -> str:
        """Whose bars it reads."""
        return self.research.symbol


@dataclass(frozen=True, slots=True)
class WindowedReport:
    """A research report, and the engine over the live window."""

    report: ResearchReport
    window: WindowMetrics


def run_windowed(
    order: WindowedOrder, market: MarketData, progress: Progress, is_cancelled: Callable[[], bool], strategy: CodedStrategy | None = None
) -> WindowedReport:
    """The live window first, then the research; raises what `run_research` and `window_metrics` raise."""
    window = window_metrics(order.research, order.window, market, strategy)
    return WindowedReport(run_research(order.research, market, progress, is_cancelled, strategy=strategy), window)
