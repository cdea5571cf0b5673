"""The engine over a paper session's live window: what drift is measured against.

Role: a refresh of a bot with a session also runs the bars of that session again, from a fresh start and with the research data; the
planner compares the outcome with what the runner marked. Same engine, same formulas, other process and other path of the bars.

Source: R-F8.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from autonomy.errors import BadInput
from autonomy.events import LiveWindow, WindowMetrics
from autonomy.timeframes import bar_words
from autonomy.values import ms_of
from job_runner.engine.programs import Axis
from job_runner.engine.running import begin
from job_runner.market.sources import MarketData
from job_runner.research.backtest import Progress, run_research
from job_runner.research.report import ResearchOrder, ResearchReport, StrategyError
from job_runner.strategies.coded import CodedStrategy, by_name

MAX_WINDOW_POINTS: Final = 400


@dataclass(frozen=True, slots=True)
class WindowClose:
    """The engine's account at one close of the window, USD."""

    time_ms: int
    strategy_usd: float


@dataclass(frozen=True, slots=True)
class WindowRun:
    """The engine over a live window.

    Args:
        session_id: whose window.
        metrics: what it came to.
        equity: at most `MAX_WINDOW_POINTS` closes: each, or every second, fourth, … from the first one on, and the last. So the fewer of
            them are among the more, and a drawing of the session at such bars meets the engine at the same ones.
    """

    session_id: str
    metrics: WindowMetrics
    equity: tuple[WindowClose, ...]


def run_window(order: ResearchOrder, window: LiveWindow, market: MarketData, strategy: CodedStrategy | None = None) -> WindowRun:
    """The engine over a live window, from a fresh start: what a session on these bars should have come to.

    Bars up to `from_bar` only warm the strategy up; those after it, up to `until_bar`, are traded.

    Raises:
        BadInput: a window that reaches beyond the bars which the order may read, or anything else out of limits.
        DataMissing: no such symbol.
    """
    from_ms, until_ms = ms_of(window.from_bar), ms_of(window.until_bar)
    if not from_ms <= until_ms <= order.until_ms:
        raise BadInput("window.until_bar", f"{bar_words(from_ms)} to {bar_words(order.until_ms)}", bar_words(until_ms))
    bars = market.bars(order.symbol, order.timeframe, until_ms)
    cash = float(order.initial_cash_usd)
    program = (strategy or by_name(order.strategy)).program(order.parameters, Axis(order.symbol, order.timeframe, bars.time))
    engine = begin(program, order.costs, cash)
    rows, first = bars.rows(), int(bars.time.searchsorted(from_ms, side="right"))
    times = bars.time
    engine.observe_all(rows[:first], times[:first])
    closes: list[WindowClose] = []
    for row, time_ms in zip(rows[first:].tolist(), times[first:].tolist(), strict=True):
        engine.on_bar(row[0], row[1], row[2], row[3], row[4], time_ms)
        closes.append(WindowClose(time_ms, engine.equity_usd))
    tally = engine.tally
    if not math.isfinite(engine.equity_usd):
        raise StrategyError(f"{order.strategy} on {order.symbol}: equity is not finite in the live window")
    metrics = WindowMetrics(
        from_bar=window.from_bar, until_bar=window.until_bar, bars=int(tally.bars), trades=int(tally.trades),
        pnl_usd=engine.equity_usd - cash, sharpe=engine.annualised_sharpe(order.bars_per_year), max_drawdown=tally.max_drawdown,
    )  # fmt: skip
    every = 1
    while len(closes) > every * (MAX_WINDOW_POINTS - 1):
        every *= 2
    kept = closes[::every] + closes[-1:] * bool((len(closes) - 1) % every)
    return WindowRun(window.session_id, metrics, tuple(kept))


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

    @property
    def timeframe(self) -> str:
        """Of these bars."""
        return self.research.timeframe


@dataclass(frozen=True, slots=True)
class WindowedReport:
    """A research report, and the engine over the live window."""

    report: ResearchReport
    window: WindowRun


def run_windowed(
    order: WindowedOrder, market: MarketData, progress: Progress, is_cancelled: Callable[[], bool], strategy: CodedStrategy | None = None
) -> WindowedReport:
    """The live window first, then the research; raises what `run_research` and `run_window` raise."""
    window = run_window(order.research, order.window, market, strategy)
    return WindowedReport(run_research(order.research, market, progress, is_cancelled, strategy=strategy), window)
