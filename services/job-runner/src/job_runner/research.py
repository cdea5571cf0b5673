"""The worker of research jobs: an order of the log in, a result or a cause of failure out.

Place in the flow: app (claims) → **research** → pool of processes. It translates between the wire and the engine, keeps the
whole report as an artefact, and knows what this process can do.
"""

import dataclasses
import logging
from collections.abc import Callable
from typing import Final

import orjson

from autonomy import strategies
from autonomy.errors import BadInput
from autonomy.events import (
    BacktestMetrics,
    CapabilitiesAnnounced,
    JobEnqueued,
    JobFailed,
    JobSucceeded,
    ResearchSummary,
    StrategyCode,
    SymbolBars,
    usd,
)
from autonomy.market_clock import day_number, day_of, pack_days
from autonomy.values import Cause, JobType
from job_runner.app import Outcome, Result
from job_runner.artifacts import ArtifactStore
from job_runner.engine import ENGINE_VERSION, strategy_code_hash
from job_runner.executor import ExecutorStopped, JobCrashed, JobTimeout, PoolExecutor, WorkerLost
from job_runner.market_data import DataMissing, MarketData, announce
from job_runner.queue import Claim
from job_runner.report import Cancelled, ResearchOrder, ResearchReport, StrategyError, SuiteSize
from job_runner.statistics import Metrics

log = logging.getLogger(__name__)
EQUITY_POINTS: Final = 120
RESEARCH_TYPES: Final = frozenset({JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH})


class ResearchWorker:
    """Runs baselines and refreshes on a pool.

    Args:
        market: where bars come from.
        slots: jobs at once, one process each.
        artifacts: where whole reports go.
    """

    def __init__(self, market: MarketData, slots: int, artifacts: ArtifactStore) -> None:
        self.market = market
        self.pool = PoolExecutor(slots, market)
        self.artifacts = artifacts
        self.job_types = RESEARCH_TYPES

    async def start(self) -> None:
        """Warm the processes: kernels compiled, bars loaded."""
        await self.pool.start()

    async def run(self, order: JobEnqueued, on_progress: Callable[[str, float], None]) -> Outcome:
        """Do one job; every way in which it may end is an outcome with its own cause."""
        try:
            report = await self.pool.run(order_of(order), on_progress, timeout_s=order.timeout_s)
            return succeeded(order, report, self.artifacts)
        except (Cancelled, ExecutorStopped):
            return Outcome(None, "cancelled")
        except DataMissing as refusal:
            return failed(Cause.DATA_MISSING, str(refusal), refusal)
        except BadInput as refusal:
            return failed(Cause.BAD_INPUT, str(refusal), refusal)
        except StrategyError as refusal:
            return failed(Cause.STRATEGY_ERROR, str(refusal))
        except JobCrashed as fault:
            log.exception("a fault in the engine", extra={"job": order.job_id})
            return failed(Cause.STRATEGY_ERROR, str(fault))
        except JobTimeout as late:
            return failed(Cause.TIMEOUT, str(late))
        except WorkerLost as lost:
            memory = lost.out_of_memory or lost.was_killed
            return failed(Cause.OUT_OF_MEMORY if memory else Cause.RUNNER_LOST, str(lost))

    def cancel(self, job_id: str) -> None:
        """End a job soon."""
        self.pool.cancel(job_id)

    async def stop(self, drain_s: float) -> None:
        """End the processes."""
        await self.pool.stop(drain_s)

    def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
        """What this process can do: its strategies with their code, its symbols with their bars."""
        return CapabilitiesAnnounced(
            process_id=process_id,
            engine_version=ENGINE_VERSION,
            job_types=tuple(sorted(RESEARCH_TYPES)),
            research_slots=slots,
            strategies=tuple(
                StrategyCode(name=entry.name, version=entry.version, code_hash=strategy_code_hash(entry.name))
                for entry in strategies.catalogue()
            ),
            symbols=tuple(
                SymbolBars(
                    symbol=found.symbol, timeframe="1d", first=day_of(found.first_day), last=day_of(found.last_day),
                    bars=found.bars, days=pack_days(found.days), sha256=found.sha256, source_id=found.source_id,
                    synthetic=found.synthetic,
                )
                for found in announce(self.market)
            ),
        )  # fmt: skip


def order_of(order: JobEnqueued) -> ResearchOrder:
    """The engine's order of a job."""
    return ResearchOrder(
        job_id=order.job_id, bot_id=order.bot_id, strategy=order.strategy, parameters=dict(order.parameters),
        symbol=order.symbol, timeframe=order.timeframe, until_day=day_number(order.bars_until),
        fee_bps=order.costs.fee_bps, slippage_bps=order.costs.slippage_bps, initial_cash_usd=order.initial_cash_usd,
        min_bars=order.min_bars, suite=SuiteSize(**order.suite.model_dump()),
    )  # fmt: skip


def succeeded(order: JobEnqueued, report: ResearchReport, artifacts: ArtifactStore) -> Outcome:
    """A result, unless it is evidence of something else than what was ordered."""
    if report.fingerprint != order.fingerprint:
        detail = f"this runner's code, data or costs have fingerprint {report.fingerprint[:12]}, ordered was {order.fingerprint[:12]}"
        return failed(Cause.BAD_INPUT, detail, BadInput("fingerprint", "the planner's and the runner's must be equal"))
    artifact = artifacts.put(orjson.dumps(dataclasses.asdict(report), option=orjson.OPT_SORT_KEYS))
    summary = summary_of(report, artifact)

    def make(claim: Claim, process_id: str) -> Result:
        return JobSucceeded(**_named(claim, process_id), result=summary)

    return Outcome(make, "succeeded")


def failed(cause: Cause, detail: str, refusal: BadInput | None = None) -> Outcome:
    """A failure with its cause."""

    def make(claim: Claim, process_id: str) -> Result:
        return JobFailed(
            **_named(claim, process_id), cause=cause, detail=detail[:500],
            field=refusal.field[:500] if refusal else None, limit=refusal.limit[:500] if refusal else None,
        )  # fmt: skip

    return Outcome(make, cause.value)


def _named(claim: Claim, process_id: str) -> "dict[str, object]":
    order = claim.order
    return {
        "job_id": order.job_id, "bot_id": order.bot_id, "tick": order.tick, "attempt": claim.attempt,
        "claim_id": claim.claim_id, "process_id": process_id,
    }  # fmt: skip


def summary_of(report: ResearchReport, artifact: str) -> ResearchSummary:
    """What of a report goes into the log."""
    cash = float(report.order.initial_cash_usd)
    stride = max(1, -(-len(report.equity) // EQUITY_POINTS))
    points = report.equity[::stride]
    if points and points[-1] is not report.equity[-1]:
        points = (*points[: EQUITY_POINTS - 1], report.equity[-1])
    return ResearchSummary(
        fingerprint=report.fingerprint, data_sha256=report.data_sha256, source_id=report.source_id,
        synthetic=report.synthetic, bars=report.bars, first_day=day_of(report.first_day),
        last_day=day_of(report.last_day), metrics=metrics_of(report.metrics),
        in_sample=metrics_of(report.walk_forward.in_sample), out_of_sample=metrics_of(report.walk_forward.out_of_sample),
        buy_and_hold=metrics_of(report.buy_and_hold), look_ahead_ok=report.look_ahead.ok,
        look_ahead_cuts=report.look_ahead.cuts_checked, psr=report.probabilistic_sharpe, dsr=report.deflated_sharpe,
        trials=report.trials_counted, stress_worst_sharpe=report.stress.worst_sharpe_annualised,
        neighbourhood_median_sharpe=report.neighbourhood.sharpe_annualised.p50,
        bootstrap_sharpe_p05=report.bootstrap.sharpe_annualised.p05,
        equity=tuple(
            (day_of(point.day), round(point.strategy_usd / cash, 6), round(point.buy_and_hold_usd / cash, 6))
            for point in points
        ),
        artifact=artifact, elapsed_s=round(sum(seconds for _, seconds in report.elapsed_s), 3),
    )  # fmt: skip


def metrics_of(found: Metrics) -> BacktestMetrics:
    """Statistics on the wire; money as decimal text."""
    shape = found.on_returns
    return BacktestMetrics(
        sharpe=shape.sharpe_annualised, sortino=shape.sortino_annualised, cagr=shape.cagr_fraction,
        max_drawdown=shape.max_drawdown_fraction, exposure=found.exposure_fraction,
        turnover_per_year=found.turnover_per_year, trades=found.trades, win_rate=found.win_rate_fraction,
        profit_factor=found.profit_factor, bars_per_trade=found.bars_per_trade,
        costs_usd=usd(found.fees_usd + found.slippage_usd), final_equity_usd=usd(found.final_equity_usd),
    )  # fmt: skip
