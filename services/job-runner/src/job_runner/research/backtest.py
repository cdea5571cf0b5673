"""One research job: a backtest and its validation suite, phase by phase.

Role: order and market in, report out. Everything in the report but the elapsed times follows from the order and the
bars; random numbers are seeded by the fingerprint. Nothing here knows of jobs' lifecycles, queues or logs.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation

import numpy as np

from autonomy.errors import BadInput
from autonomy.events import Costs as CostsDocument
from autonomy.fleet import fingerprint_of
from autonomy.strategies import Value
from job_runner.engine.account import (
    TRADE_ENTRY_BAR,
    TRADE_ENTRY_FEE,
    TRADE_ENTRY_PRICE,
    TRADE_EXIT_BAR,
    TRADE_EXIT_FEE,
    TRADE_EXIT_PRICE,
    TRADE_PNL,
    TRADE_UNITS,
)
from job_runner.engine.compiled import CLOSE, FloatArray
from job_runner.engine.fills import ENGINE_VERSION, Simulation
from job_runner.engine.programs import Axis
from job_runner.engine.running import follow, hold, outcomes, terms_of
from job_runner.engine.statistics import (
    deflated_sharpe,
    probabilistic_sharpe,
    returns_of,
    simulation_metrics,
)
from job_runner.market.data_check import findings_of
from job_runner.market.sources import Bars, DataMissing, MarketData
from job_runner.research import validation
from job_runner.research.report import (
    Cancelled,
    EquityPoint,
    ResearchOrder,
    ResearchReport,
    StrategyError,
    SuiteSize,
    Trade,
)
from job_runner.research.timing import timing
from job_runner.strategies.coded import CodedStrategy, by_name

__all__ = ["Cancelled", "DataMissing", "ResearchOrder", "ResearchReport", "StrategyError", "SuiteSize", "run_research"]

MAX_EQUITY_POINTS = 400
MAX_COST_BPS = 1_000
MAX_CASH_USD = 10**12

DATA = "data"
BACKTEST = "backtest"
STRESS = "stress"
NEIGHBOURHOOD = "neighbourhood"
WALK_FORWARD = "walk-forward"
TIMING = "timing"
NET = "net"
LOOK_AHEAD = "look-ahead"
DEFLATION = "deflation"

Progress = Callable[[str, float], None]


@dataclass(slots=True)
class Work:
    """Counts bars passed over against those planned: progress is work done, never time.

    Args:
        progress: told the phase and the share of the whole job done, 0 to 1, never falling.
        is_cancelled: asked at every step.
        clock: seconds, monotonic.
        planned: bars in all.
    """

    progress: Progress
    is_cancelled: Callable[[], bool]
    clock: Callable[[], float]
    planned: int = 1
    passed: int = 0
    phase: str = DATA
    started_s: float = 0.0
    elapsed_s: list[tuple[str, float]] = field(default_factory=list)

    def enter(self, phase: str) -> None:
        """Close the phase before and open this one."""
        self._close()
        self.phase = phase
        self.done(0)

    def done(self, bars: int) -> None:
        """Count work; raises Cancelled when the job is not wanted any more."""
        self.passed += bars
        if self.is_cancelled():
            raise Cancelled(f"cancelled in phase {self.phase}")
        # The whole is 1.0 only when the report is made.
        self.progress(self.phase, min(self.passed / self.planned, 0.999))

    def finish(self) -> tuple[tuple[str, float], ...]:
        """Close the last phase: seconds by phase."""
        self._close()
        self.progress(self.phase, 1.0)
        return tuple(self.elapsed_s)

    def _close(self) -> None:
        now = self.clock()
        if self.started_s:
            self.elapsed_s.append((self.phase, now - self.started_s))
        self.started_s = now


def run_research(
    order: ResearchOrder,
    market: MarketData,
    progress: Progress,
    is_cancelled: Callable[[], bool],
    clock: Callable[[], float] = time.perf_counter,
    strategy: CodedStrategy | None = None,
) -> ResearchReport:
    """Run a backtest and its validation suite.

    Args:
        order: what to do.
        market: where bars come from.
        progress: told phase and share of the whole done, 0 to 1, never falling.
        is_cancelled: asked at least every 50 ms of work.
        clock: seconds, monotonic; only for `elapsed_s`.
        strategy: the one that is ordered, where it is not an installed one.

    Raises:
        BadInput: an order out of limits; names the field.
        DataMissing: no such symbol, or too few bars.
        StrategyError: a result that is no number.
        StrategyFailed: the strategy's own fault.
        Cancelled: told to stop.
    """
    work = Work(progress, is_cancelled, clock)
    work.enter(DATA)
    # A walk-forward window shorter than 10 bars measures nothing.
    bars, case = read_case(order, market, 10 * (order.suite.walk_forward_windows + 1), strategy)
    points = validation.neighbours(case.strategy, case.parameters, order.suite.neighbourhood_steps)
    work.planned = _planned_bars(order.suite, len(bars), len(points))
    fingerprint = fingerprint_in(order, bars.source_id, case.strategy)
    work.done(len(bars))

    return _researched(order, market, Found(bars, case, points, fingerprint), work)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the data phase found: the bars, the case to test, its parameter neighbours, the fingerprint of it all."""

    bars: Bars
    case: validation.Case
    points: tuple[dict[str, Value], ...]
    fingerprint: str


def _researched(order: ResearchOrder, market: MarketData, found: Found, work: Work) -> ResearchReport:
    bars, case = found.bars, found.case
    work.enter(BACKTEST)
    program = case.program()
    decided = program.decided(case.rows)
    simulation = follow(program, decided, case.rows, case.costs, case.cash_usd)
    held = hold(case.rows, case.costs, case.cash_usd, bars.time)
    if not (simulation.is_finite and held.is_finite):
        raise StrategyError(f"{order.strategy} on {order.symbol}: equity is not finite")
    returns = returns_of(simulation.equity)
    work.done(2 * len(bars))

    work.enter(STRESS)
    stress = validation.stress(case, order.suite.stress_levels, work)
    work.enter(NEIGHBOURHOOD)
    grid = validation.evaluate_grid(case, found.points, work)
    neighbourhood = validation.neighbourhood(grid)
    work.enter(WALK_FORWARD)
    walk_forward = validation.walk_forward(case, grid, order.suite.walk_forward_windows, work)
    work.enter(TIMING)
    timed = timing(case.program(), case.rows, returns, case.costs, order.suite, int(found.fingerprint[:12], 16), work)
    work.enter(NET)
    net_t = validation.net_t(program, decided, case.rows, case.costs, case.cash_usd)
    work.done(len(bars))
    work.enter(LOOK_AHEAD)
    look_ahead = validation.look_ahead(
        case.program().decided,
        lambda until_ms: market.bars(order.symbol, order.timeframe, until_ms).rows(),
        case.times,
        order.suite.truncation_cuts,
        work,
    )
    work.enter(DEFLATION)
    trials = len(found.points) + walk_forward.evaluations + order.prior_trials
    return ResearchReport(
        order=order,
        fingerprint=found.fingerprint,
        data_sha256=bars.sha256,
        source_id=bars.source_id,
        synthetic=bars.synthetic,
        bars=len(bars),
        first_ms=case.times[0],
        last_ms=case.times[-1],
        metrics=simulation_metrics(simulation, case.cash_usd, case.bars_per_year),
        buy_and_hold=simulation_metrics(held, case.cash_usd, case.bars_per_year),
        stress=stress,
        neighbourhood=neighbourhood,
        walk_forward=walk_forward,
        timing=timed,
        net_t=net_t,
        look_ahead=look_ahead,
        probabilistic_sharpe=probabilistic_sharpe(returns),
        deflated_sharpe=deflated_sharpe(returns, _trial_sharpes(grid), trials),
        trials_counted=trials,
        trades=_trades(simulation, case),
        equity=_equity(simulation, held, case),
        elapsed_s=work.finish(),
        outcomes={outcome.name: count for outcome, count in outcomes(program, decided, case.rows, case.costs, case.cash_usd).items()},
        data_findings=findings_of(bars),
    )


def read_case(
    order: ResearchOrder, market: MarketData, least_bars: int, strategy: CodedStrategy | None = None
) -> tuple[Bars, validation.Case]:
    """The bars an order is about, and the case to test on them.

    Args:
        order: what to do.
        market: where bars come from.
        least_bars: fewer measure nothing, whatever the order allows.
        strategy: the one that is ordered; by default the installed one of that name.

    Raises:
        BadInput: an order out of limits; names the field.
        DataMissing: no such symbol, or too few bars.
    """
    coded = strategy or by_name(order.strategy)
    parameters = coded.check(order.parameters)
    costs = order.costs
    _bps("fee_bps", costs.fee_bps)
    _bps("slippage_bps", costs.slippage_bps)
    terms_of(costs)  # refuses what else is out of limits
    cash = _cash(order.initial_cash_usd)
    if order.prior_trials < 0:
        raise BadInput("prior_trials", "a whole number from 0", order.prior_trials)
    bars = market.bars(order.symbol, order.timeframe, order.until_ms)
    # The look-back must leave something to trade.
    needed = max(order.min_bars, least_bars, coded.look_back(parameters) + 2)
    if len(bars) < needed:
        raise DataMissing("symbol", f"{order.symbol} has {len(bars)} bars, {needed} needed")
    axis = Axis(order.symbol, order.timeframe, bars.time)
    return bars, validation.Case(coded, parameters, bars.rows(), bars.time.tolist(), costs, cash, axis, order.bars_per_year)


def fingerprint_in(order: ResearchOrder, source_id: str, coded: CodedStrategy) -> str:
    """What evidence from this order is bound to, on bars of that source and by this code."""
    return fingerprint_of(
        strategy=order.strategy,
        strategy_version=coded.offer.version,
        code_hash=coded.offer.code_hash,
        parameters=coded.check(order.parameters),
        symbol=order.symbol,
        timeframe=order.timeframe,
        source_id=source_id,
        engine_version=ENGINE_VERSION,
        costs=CostsDocument(**asdict(order.costs)),
        initial_cash_usd=order.initial_cash_usd,
    )


def _planned_bars(suite: SuiteSize, bars: int, points: int) -> int:
    """All work of a job in bars passed over, counted as `validation` counts it."""
    passes = 4 + suite.stress_levels**2 + points + suite.walk_forward_windows + suite.permuted_markets
    cuts = min(suite.truncation_cuts, bars)
    return passes * bars + cuts * bars // 2


def _trial_sharpes(grid: validation.Grid) -> FloatArray:
    """Sharpe ratios per bar of all parameter sets over all bars: the trials that can be compared with one another."""
    bars = grid.sums.shape[1]
    sharpes = (grid.sharpe(point, 1, bars) for point in range(len(grid.parameters)))
    return np.array([sharpe / math.sqrt(grid.bars_per_year) for sharpe in sharpes if sharpe is not None])


def _trades(simulation: Simulation, case: validation.Case) -> tuple[Trade, ...]:
    return tuple(_trade(row, case) for row in simulation.trades)


def _trade(row: FloatArray, case: validation.Case) -> Trade:
    entry, leave = int(row[TRADE_ENTRY_BAR]), int(row[TRADE_EXIT_BAR])
    return Trade(
        entry_ms=case.times[entry],
        exit_ms=case.times[leave],
        bars=leave - entry,
        units=float(row[TRADE_UNITS]),
        entry_price_usd=float(row[TRADE_ENTRY_PRICE]),
        exit_price_usd=float(row[TRADE_EXIT_PRICE]),
        fees_usd=float(row[TRADE_ENTRY_FEE] + row[TRADE_EXIT_FEE]),
        pnl_usd=float(row[TRADE_PNL]),
        return_fraction=float(row[TRADE_PNL] / (abs(row[TRADE_UNITS]) * row[TRADE_ENTRY_PRICE])),
    )


def _equity(simulation: Simulation, held: Simulation, case: validation.Case) -> tuple[EquityPoint, ...]:
    places = np.unique(np.linspace(0, len(case.times) - 1, min(MAX_EQUITY_POINTS, len(case.times))).astype(int))
    drawdown = 1.0 - simulation.equity / np.maximum.accumulate(simulation.equity)
    return tuple(
        EquityPoint(case.times[i], float(case.rows[i, CLOSE]), float(simulation.equity[i]), float(held.equity[i]), float(drawdown[i]))
        for i in places.tolist()
    )


def _bps(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COST_BPS:
        raise BadInput(name, f"0 to {MAX_COST_BPS} basis points per side", value)
    return float(value)


def _cash(text: str) -> float:
    limit = f"decimal text above 0, at most {MAX_CASH_USD} USD"
    try:
        cash = Decimal(text)
    except (InvalidOperation, TypeError, ValueError) as wrong:
        raise BadInput("initial_cash_usd", limit, text) from wrong
    if not cash.is_finite() or not 0 < cash <= MAX_CASH_USD:
        raise BadInput("initial_cash_usd", limit, text)
    return float(cash)
