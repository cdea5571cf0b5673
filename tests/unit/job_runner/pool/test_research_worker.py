"""Orders of the log through the pools: searches beside backtests, a live window beside its refresh, resumed after a kill."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from autonomy.artifacts import ArtifactStore
from autonomy.events import EvolutionPlan, EvolutionSummary, JobEnqueued, JobFailed, JobSucceeded, LiveWindow, SuiteSizes
from autonomy.values import Cause, JobType, instant_of_ms, ms_of
from job_runner.claims.outcome import Outcome, Result
from job_runner.market.sources import END_OF_TIME_MS, EmbeddedMarketData
from job_runner.paper.session import PaperSession, TimedBar
from job_runner.pool.research_worker import ResearchWorker
from job_runner.research.orders import order_of
from job_runner.search.evolution_job import Surroundings
from support.builders import an_id, an_order
from support.days import utc, utc_ms
from support.paper import QUICK, a_claim, a_paper_order
from support.servers import free_port
from support.strategies import fingerprint_of_order

SMALL = SuiteSizes(permuted_markets=60, truncation_cuts=5, neighbourhood_steps=1, stress_levels=2, walk_forward_windows=2)
ME = an_id("runner-1")


def a_plan(**changes: Any) -> EvolutionPlan:
    plain: dict[str, Any] = {
        "why": "WEAK", "seed": 11, "population": 8, "generations": 4, "folds": 2, "embargo_bars": 5, "holdout_fraction": 0.25, "read_until": None, "min_holdout_bars": 250,
        "max_evaluations": 1_000, "max_wall_s": 600.0,
    }  # fmt: skip
    return EvolutionPlan(**{**plain, **changes})


def a_job(job_type: JobType, **changes: Any) -> JobEnqueued:
    """A job on the embedded bars, under the fingerprint of this very code."""
    made = an_order("aapl-sma", **{"job_type": job_type, "suite": SMALL, "parameters": QUICK, **changes})
    source_id = EmbeddedMarketData().bars(made.symbol, "1d", END_OF_TIME_MS).source_id
    return made.model_copy(update={"fingerprint": fingerprint_of_order(order_of(made), source_id)})


@asynccontextmanager
async def a_worker(folder: Path, evolve_slots: int = 1, dask: str | None = None) -> AsyncIterator[ResearchWorker]:
    artifacts, around = ArtifactStore(str(folder / "artifacts")), Surroundings(str(folder / "artifacts" / "checkpoints"), dask)
    worker = ResearchWorker(EmbeddedMarketData(), 1, artifacts, evolve_slots, around)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop(0)


def result_of(outcome: Outcome, order: JobEnqueued) -> Result:
    assert outcome.make is not None, outcome
    return outcome.make(a_claim(order), ME)


def ignore(_phase: str, _share: float) -> None:
    """Progress nobody reads."""


def evolved(outcome: Outcome, order: JobEnqueued) -> EvolutionSummary:
    result = result_of(outcome, order)
    assert isinstance(result, JobSucceeded), result
    assert result.evolution is not None
    assert result.result is None
    return result.evolution


async def test_search_and_backtest_run_beside_each_other(tmp_path: Path) -> None:
    """One slot each: a search that takes long never holds up a baseline."""
    async with a_worker(tmp_path) as worker:
        assert worker.job_types == {JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH, JobType.EVOLVE}
        endless = a_job(JobType.EVOLVE, evolution=a_plan(generations=1000, population=1000, max_evaluations=1_000_000))
        searching = asyncio.Event()

        def on_progress(phase: str, _share: float) -> None:
            if phase == "search":
                searching.set()

        search = asyncio.create_task(worker.run(endless, on_progress))
        await asyncio.wait_for(searching.wait(), 60)
        baseline = a_job(JobType.BACKTEST_BASELINE, tick=2)
        result = result_of(await asyncio.wait_for(worker.run(baseline, ignore), 60), baseline)
        assert isinstance(result, JobSucceeded), result
        assert result.result is not None
        assert not search.done()
        worker.cancel(endless.job_id)
        assert await asyncio.wait_for(search, 30) == Outcome(None, "cancelled")


async def test_search_ends_with_its_summary_and_its_whole_report_is_kept(tmp_path: Path) -> None:
    order = a_job(JobType.EVOLVE, evolution=a_plan())
    async with a_worker(tmp_path) as worker:
        found = evolved(await asyncio.wait_for(worker.run(order, ignore), 90), order)
        assert (found.evaluations, found.fingerprint) == (32, order.fingerprint)
        assert found.artifact is not None
        kept = orjson.loads(worker.artifacts.get(found.artifact))
        assert (len(kept["trials"]), kept["order"]["plan"]["seed"]) == (32, 11)


async def test_search_whose_process_is_killed_goes_on_from_its_checkpoint_to_the_same_trials(tmp_path: Path) -> None:
    plan = a_plan(population=60, generations=8, max_evaluations=100_000)
    order = a_job(JobType.EVOLVE, evolution=plan)
    async with a_worker(tmp_path / "whole") as worker:
        whole = evolved(await asyncio.wait_for(worker.run(order, ignore), 120), order)
    async with a_worker(tmp_path / "killed") as worker:
        assert worker.searches is not None
        checkpoint = tmp_path / "killed" / "artifacts" / "checkpoints" / f"{order.job_id}.checkpoint"
        task = asyncio.create_task(worker.run(order, ignore))
        async with asyncio.timeout(60):
            while not checkpoint.exists():
                assert not task.done()
                await asyncio.sleep(0.005)
        (pid,) = worker.searches.worker_pids()
        os.kill(pid, signal.SIGKILL)
        lost = result_of(await asyncio.wait_for(task, 30), order)
        assert isinstance(lost, JobFailed)
        assert lost.cause is Cause.OUT_OF_MEMORY
        again = evolved(await asyncio.wait_for(worker.run(order, ignore), 120), order)
        kept = orjson.loads(worker.artifacts.get(again.artifact or ""))
    assert kept["resumed_generations"] > 0
    assert again.trials_sha256 == whole.trials_sha256
    assert again.model_dump(exclude={"artifact", "elapsed_s"}) == whole.model_dump(exclude={"artifact", "elapsed_s"})
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [({"evolution": None}, "evolution"), ({"fingerprint": "0" * 64, "evolution": a_plan(generations=1)}, "fingerprint")],
)
async def test_search_order_that_does_not_fit_fails_with_its_field(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    order = a_job(JobType.EVOLVE).model_copy(update=change)
    async with a_worker(tmp_path) as worker:
        result = result_of(await asyncio.wait_for(worker.run(order, ignore), 60), order)
    assert isinstance(result, JobFailed)
    assert (result.cause, result.field) == (Cause.BAD_INPUT, field)


async def test_search_that_loses_its_cluster_fails_as_lost_and_not_as_the_strategys_fault(tmp_path: Path) -> None:
    order = a_job(JobType.EVOLVE, evolution=a_plan(generations=1))
    async with a_worker(tmp_path, dask=f"tcp://127.0.0.1:{free_port()}") as worker:
        result = result_of(await asyncio.wait_for(worker.run(order, ignore), 60), order)
    assert isinstance(result, JobFailed)
    assert (result.cause, "cluster" in result.detail) == (Cause.RUNNER_LOST, True)


async def test_process_without_search_slots_announces_none(tmp_path: Path) -> None:
    async with a_worker(tmp_path, evolve_slots=0) as worker:
        assert JobType.EVOLVE not in worker.job_types
        assert JobType.EVOLVE not in worker.capabilities(ME, 1).job_types


async def test_refresh_with_a_live_window_returns_what_the_session_came_to(tmp_path: Path) -> None:
    """The engine's re-run and the runner's own marks: the same bars, the same numbers, to the last bit."""
    session_order = a_paper_order(from_bar=utc(2010, 1, 4))
    session, bars = PaperSession.resumed(session_order, None), EmbeddedMarketData().bars("AAPL", "1d", utc_ms(2010, 9, 1))
    session.warm_up(bars)
    said = [
        session.take(TimedBar.at(bars, number), a_claim(session_order), ME)
        for number in range(len(bars))
        if bars.time[number] > utc_ms(2010, 1, 4)
    ]
    marks: list[Any] = [parts[-1] for parts in said]
    mark = marks[-1]
    window = LiveWindow(session_id=mark.session_id, from_bar=utc(2010, 1, 4), until_bar=mark.bar_start)
    order = a_job(JobType.BACKTEST_REFRESH, window=window, bars_until=date(2010, 12, 1))
    async with a_worker(tmp_path) as worker:
        result = result_of(await asyncio.wait_for(worker.run(order, ignore), 60), order)
        plain = a_job(JobType.BACKTEST_REFRESH, bars_until=date(2010, 12, 1), tick=2)
        without = result_of(await asyncio.wait_for(worker.run(plain, ignore), 60), plain)
    assert isinstance(result, JobSucceeded)
    assert result.result is not None
    found = result.result.window
    assert found is not None
    assert (found.bars, found.trades, found.pnl_usd, found.sharpe, found.max_drawdown) == (
        mark.traded_bars, mark.trades, mark.pnl_usd, mark.sharpe, mark.max_drawdown,
    )  # fmt: skip
    assert found.trades > 5
    report = orjson.loads(ArtifactStore(str(tmp_path / "artifacts")).get(result.result.artifact or ""))
    assert report["window"] == {
        "session_id": mark.session_id,
        "equity": [{"time_ms": ms_of(one.bar_start), "strategy_usd": one.equity_usd} for one in marks],
    }
    assert (found.from_bar, found.until_bar) == (window.from_bar, instant_of_ms(int(bars.time[-1])))
    assert isinstance(without, JobSucceeded)
    assert without.result is not None
    assert without.result.window is None
