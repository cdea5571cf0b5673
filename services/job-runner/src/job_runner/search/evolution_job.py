"""A search as one job of the pool: where its checkpoints are, and who evaluates.

Role: what crosses the pipe to a worker process, and the one place that knows a search's seams. The optimiser itself is imported
where a search runs, so that processes which never search do not carry it.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from job_runner.market.sources import MarketData
from job_runner.research.backtest import Progress
from job_runner.search.checkpoints import FileCheckpoints
from job_runner.search.dask_evaluator import DaskEvaluator
from job_runner.search.evolution_report import EvolutionOrder, EvolutionReport
from job_runner.strategies.coded import CodedStrategy, Kept

__all__ = ["EvolutionJob", "EvolutionOrder", "EvolutionReport", "Surroundings", "evolve"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a search has around it; the outcome does not depend on it.

    Args:
        checkpoints_url: folder of checkpoints by job id, shared by whoever may run another attempt.
        dask_address: scheduler of a cluster that works out the scores; None for this process.
    """

    checkpoints_url: str
    dask_address: str | None = None


@dataclass(frozen=True, slots=True)
class EvolutionJob:
    """One search, with its surroundings."""

    order: EvolutionOrder
    around: Surroundings

    @property
    def job_id(self) -> str:
        """Of the job."""
        return self.order.research.job_id

    @property
    def symbol(self) -> str:
        """Whose bars it reads."""
        return self.order.research.symbol

    @property
    def timeframe(self) -> str:
        """Of these bars."""
        return self.order.research.timeframe


def evolve(
    job: EvolutionJob, market: MarketData, progress: Progress, is_cancelled: Callable[[], bool], strategy: CodedStrategy | None = None
) -> EvolutionReport:
    """Search, from the job's checkpoint if an earlier attempt left one; see `evolution.run_evolution`."""
    from job_runner.search.evolution import run_evolution

    checkpoints = FileCheckpoints(job.around.checkpoints_url)
    if job.around.dask_address is None or (strategy is not None and isinstance(strategy.code, Kept)):
        # Somebody's file runs here alone: a cluster has neither its copy nor the walls around it.
        return run_evolution(job.order, market, progress, is_cancelled, checkpoints, strategy=strategy)
    with closing(DaskEvaluator(job.around.dask_address)) as cluster:
        return run_evolution(job.order, market, progress, is_cancelled, checkpoints, cluster, strategy=strategy)
