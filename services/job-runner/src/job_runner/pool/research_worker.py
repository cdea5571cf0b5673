"""The worker of backtests and searches: an order of the log in, a result or a cause of failure out.

Place in the flow: app (claims) → **research worker** → pool of processes. It translates between the wire and the engine, keeps the
whole report as an artefact, and knows what this process can do.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from typing import Final

import orjson
from pydantic import ValidationError

from autonomy import clock
from autonomy.artifacts import ArtifactStore
from autonomy.bar_outcomes import BarOutcome
from autonomy.errors import BadInput
from autonomy.events import (
    MAX_CURVE_POINTS,
    BacktestMetrics,
    CapabilitiesAnnounced,
    EquityCurve,
    EvolutionPlan,
    JobEnqueued,
    ResearchSummary,
    TimingFound,
    usd,
)
from autonomy.values import Cause, JobType, instant_of_ms
from autonomy.work import Work, types_of
from job_runner.claims import outcome
from job_runner.claims.outcome import Outcome, failed
from job_runner.engine.fills import ENGINE_VERSION
from job_runner.engine.statistics import Metrics
from job_runner.market.editions import Editions
from job_runner.market.sources import DataMissing, MarketData, NotOffered
from job_runner.pool.endings import ExecutorStopped, HelpLost, JobCrashed, JobTimeout, WorkerLost
from job_runner.pool.executor import PoolExecutor
from job_runner.research.live_window import WindowedOrder, WindowRun
from job_runner.research.orders import order_of
from job_runner.research.report import Cancelled, ResearchReport, StrategyError
from job_runner.search.checkpoints import FileCheckpoints
from job_runner.search.evolution_job import EvolutionJob, EvolutionOrder, EvolutionReport, Surroundings
from job_runner.search.evolution_report import summary_of_evolution
from job_runner.strategies.folder import StrategyFolders, StrategyGone
from job_runner.threads import in_thread

log = logging.getLogger(__name__)
MOST_TOLD: Final = 1e15
"""Amounts and multiples beyond this have no place in a record; the whole report keeps them."""


class ResearchWorker:
    """Runs baselines and refreshes on a pool, searches on another: neither waits for the other's slots.

    Args:
        market: where bars come from; the editions of it, where somebody looks at the source while it is in use.
        slots: baselines and refreshes at once, one process each.
        artifacts: where whole reports go.
        evolve_slots: searches at once, one process each.
        around: what searches have around them; needed when there are slots for them.
        strategies: what this process can run; by default the installed ones.
    """

    def __init__(
        self,
        market: MarketData,
        slots: int,
        artifacts: ArtifactStore,
        evolve_slots: int = 0,
        around: Surroundings | None = None,
        strategies: StrategyFolders | None = None,
    ) -> None:
        self.strategies = strategies or StrategyFolders()
        self.editions = market if isinstance(market, Editions) else Editions(market)
        self.pool = PoolExecutor(slots, self.editions)
        self.searches = PoolExecutor(evolve_slots, self.editions) if evolve_slots and around else None
        self.artifacts = artifacts
        self.around = around
        self.job_types = types_of(Work.BACKTEST) | (types_of(Work.EVOLVE) if self.searches else frozenset())
        self._searches_ready: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Warm the processes: kernels compiled, bars read. A search waits for its own process; nobody else does."""
        await asyncio.gather(in_thread(self.editions.look), self.pool.start())
        if self.searches is not None and self.around is not None:
            await asyncio.to_thread(self._sweep, self.around.checkpoints_url)
            self._searches_ready = asyncio.create_task(self.searches.start())

    @staticmethod
    def _sweep(checkpoints_url: str) -> None:
        """Drop the checkpoints that searches left behind; a store that refuses this may still serve them."""
        try:
            dropped = FileCheckpoints(checkpoints_url).sweep(clock.now())
        except OSError as refusal:
            log.warning("old checkpoints cannot be dropped: %r", refusal)
        else:
            log.info("checkpoints swept", extra={"dropped": dropped})

    async def run(self, order: JobEnqueued, on_progress: Callable[[str, float], None]) -> Outcome:
        """Do one job; every way in which it may end is an outcome with its own cause."""
        try:
            return await self._perform(order, on_progress)
        except (Cancelled, ExecutorStopped):
            return Outcome(None, "cancelled")
        except EXPECTED as fault:
            return failure_of(fault, order)

    async def _perform(self, order: JobEnqueued, on_progress: Callable[[str, float], None]) -> Outcome:
        if order.job_type is JobType.EVOLVE:
            return await self._search(order, on_progress)
        if order.window is None:
            report = await self.pool.run(order_of(order), on_progress, order.timeout_s, self.strategies.named(order.strategy))
            return succeeded(order, report, self.artifacts)
        windowed = WindowedOrder(order_of(order), order.window)
        both = await self.pool.run(windowed, on_progress, order.timeout_s, self.strategies.named(order.strategy))
        return succeeded(order, both.report, self.artifacts, both.window)

    async def _search(self, order: JobEnqueued, on_progress: Callable[[str, float], None]) -> Outcome:
        if order.evolution is None:
            raise BadInput("evolution", "what to search, for an EVOLVE job")
        if self.searches is None or self._searches_ready is None or self.around is None:
            raise BadInput("job_type", "one that this process announced", order.job_type)
        await asyncio.shield(self._searches_ready)
        job = EvolutionJob(EvolutionOrder(order_of(order), order.evolution), self.around)
        report = await self.searches.run(job, on_progress, order.timeout_s, self.strategies.named(order.strategy))
        if report.fingerprint != order.fingerprint:
            return other_fingerprint(order, report.fingerprint)
        return outcome.succeeded(evolution=summary_of_evolution(report, kept(report, self.artifacts)))

    def cancel(self, job_id: str) -> None:
        """End a job soon."""
        if not self.pool.cancel(job_id) and self.searches is not None:
            self.searches.cancel(job_id)

    async def stop(self, drain_s: float) -> None:
        """End the processes."""
        await self.pool.stop(drain_s)
        if self.searches is not None:
            await self.searches.stop(drain_s)
        if self._searches_ready is not None:
            # It may have been in the middle of starting the process that is gone now.
            self._searches_ready.cancel()
            await asyncio.gather(self._searches_ready, return_exceptions=True)

    def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
        """What this process can do: its strategies with their code, its symbols with their bars."""
        found = self.strategies.found
        return CapabilitiesAnnounced(
            process_id=process_id,
            engine_version=ENGINE_VERSION,
            job_types=tuple(sorted(self.job_types)),
            research_slots=slots,
            strategies=tuple(coded.offer for _, coded in sorted(found.strategies.items())),
            strategy_faults=found.faults,
            symbols=self.editions.offered.said,
            faults=self.editions.offered.faults,
        )  # fmt: skip


EXPECTED: Final = (BadInput, StrategyError, JobCrashed, JobTimeout, HelpLost, WorkerLost, ValidationError)


def failure_of(fault: Exception, order: JobEnqueued) -> Outcome:
    """What a fault makes of a job: its cause, and whether the same order would meet it again."""
    match fault:
        case NotOffered():
            return failed(Cause.DATA_MISSING, str(fault), fault, may_pass=True)
        case StrategyGone():
            return failed(Cause.BAD_INPUT, str(fault), fault, may_pass=True)
        case BadInput():
            return failed(Cause.DATA_MISSING if isinstance(fault, DataMissing) else Cause.BAD_INPUT, str(fault), fault)
        case ValidationError():
            # Of a report that no record can hold only this job fails, whatever it is: nobody else here had a part in it.
            return failed(Cause.STRATEGY_ERROR, f"its result cannot be told: {fault.errors(include_url=False)[0]['msg']}")
        case JobTimeout():
            return failed(Cause.TIMEOUT, str(fault))
        case WorkerLost():
            memory = fault.out_of_memory or fault.was_killed
            return failed(Cause.OUT_OF_MEMORY if memory else Cause.RUNNER_LOST, str(fault))
        case HelpLost():
            return failed(Cause.RUNNER_LOST, str(fault))
        case _:
            if isinstance(fault, JobCrashed):
                log.error("a fault in the engine", extra={"job": order.job_id}, exc_info=fault)
            return failed(Cause.STRATEGY_ERROR, str(fault))


def succeeded(order: JobEnqueued, report: ResearchReport, artifacts: ArtifactStore, window: WindowRun | None = None) -> Outcome:
    """A result, unless it is evidence of something else than what was ordered.

    Args:
        order: what was ordered.
        report: what was found.
        artifacts: where all of it is kept.
        window: the engine over a paper session's bars, where the order named them.
    """
    if report.fingerprint != order.fingerprint:
        return other_fingerprint(order, report.fingerprint)
    summary = summary_of(report, kept(report, artifacts, window))
    return outcome.succeeded(result=summary.model_copy(update={"window": window.metrics if window else None}))


def other_fingerprint(order: JobEnqueued, found: str) -> Outcome:
    """A failure: what this process would find out is not about what was ordered."""
    detail = f"this runner's code, data or costs have fingerprint {found[:12]}, ordered was {order.fingerprint[:12]}"
    return failed(Cause.BAD_INPUT, detail, BadInput("fingerprint", "the planner's and the runner's must be equal"), may_pass=True)


def kept(report: ResearchReport | EvolutionReport, artifacts: ArtifactStore, window: WindowRun | None = None) -> str:
    """The reference of the whole report in the store; a live window that was run for it stands in it as `window`."""
    beside = {} if window is None else {"window": {"session_id": window.session_id, "equity": list(map(dataclasses.asdict, window.equity))}}
    return artifacts.put(orjson.dumps(dataclasses.asdict(report) | beside, default=_plain, option=orjson.OPT_SORT_KEYS))


def _plain(value: object) -> object:
    # A plan is an event's own document.
    if isinstance(value, EvolutionPlan):
        return value.model_dump(mode="json")
    raise TypeError(f"a report holds a {type(value).__name__}")


def summary_of(report: ResearchReport, artifact: str) -> ResearchSummary:
    """What of a report goes into the log."""
    cash = float(report.order.initial_cash_usd)
    stride = max(1, -(-len(report.equity) // MAX_CURVE_POINTS))
    points = report.equity[::stride]
    if points and points[-1] is not report.equity[-1]:
        points = (*points[: MAX_CURVE_POINTS - 1], report.equity[-1])
    curve = [(point.time_ms, point.strategy_usd / cash, point.buy_and_hold_usd / cash) for point in points]
    is_shown = bool(curve) and max(max(strategy, held) for _, strategy, held in curve) < MOST_TOLD
    return ResearchSummary(
        fingerprint=report.fingerprint, data_sha256=report.data_sha256, source_id=report.source_id,
        synthetic=report.synthetic, bars=report.bars, first_bar=instant_of_ms(report.first_ms),
        last_bar=instant_of_ms(report.last_ms), metrics=metrics_of(report.metrics),
        in_sample=metrics_of(report.walk_forward.in_sample), out_of_sample=metrics_of(report.walk_forward.out_of_sample),
        buy_and_hold=metrics_of(report.buy_and_hold), look_ahead_ok=report.look_ahead.ok,
        look_ahead_cuts=report.look_ahead.cuts_checked, psr=report.probabilistic_sharpe, dsr=report.deflated_sharpe,
        trials=report.trials_counted, stress_worst_sharpe=report.stress.worst_sharpe_annualised,
        neighbourhood_median_sharpe=report.neighbourhood.sharpe_annualised.p50,
        timing=TimingFound(z=report.timing.z, p_value=report.timing.p_value, markets=report.timing.markets, seed=report.timing.seed),
        net_t=report.net_t,
        curve=EquityCurve.of(report.first_ms, curve) if is_shown else None,
        artifact=artifact, elapsed_s=round(sum(seconds for _, seconds in report.elapsed_s), 3),
        data_findings=tuple(finding[:500] for finding in report.data_findings),
        outcomes={BarOutcome[name]: count for name, count in report.outcomes.items()},
    )  # fmt: skip


def metrics_of(found: Metrics) -> BacktestMetrics:
    """Statistics on the wire; money as decimal text."""
    shape = found.on_returns
    return BacktestMetrics(
        sharpe=shape.sharpe_annualised, sortino=shape.sortino_annualised, cagr=shape.cagr_fraction,
        max_drawdown=shape.max_drawdown_fraction, exposure=found.exposure_fraction,
        turnover_per_year=found.turnover_per_year, trades=found.trades, win_rate=found.win_rate_fraction,
        profit_factor=found.profit_factor, bars_per_trade=found.bars_per_trade,
        costs_usd=_money(found.fees_usd + found.slippage_usd), final_equity_usd=_money(found.final_equity_usd),
    )  # fmt: skip


def _money(amount: float) -> str | None:
    """An amount on the wire; None of one that is no number, or more than any account holds."""
    return usd(amount) if abs(amount) < MOST_TOLD else None
