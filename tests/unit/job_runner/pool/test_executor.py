"""The pool: progress, cancellation, death, timeouts, and no orphans."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autonomy.errors import BadInput
from job_runner.market.sources import DataMissing, EmbeddedMarketData
from job_runner.pool import executor
from job_runner.pool.endings import ExecutorStopped, JobCrashed, JobTimeout, WorkerLost
from job_runner.pool.executor import PoolExecutor
from job_runner.pool.worker import warm_up
from job_runner.research.backtest import run_research
from job_runner.research.report import Cancelled, ResearchOrder, SuiteSize
from support.days import day_ms
from support.research import SMALL, an_order

LONG = replace(SMALL, permuted_markets=1_000_000, hopeless_after=1_000_000)

ORPHAN_SCRIPT = """
import asyncio
from job_runner.pool.executor import PoolExecutor
from job_runner.market.sources import EmbeddedMarketData
from job_runner.research.report import ResearchOrder, SuiteSize

async def main():
    pool = PoolExecutor(2, EmbeddedMarketData())
    await pool.start()
    order = ResearchOrder("j", "b", "sma-cross", {}, "AAPL", "1d", 20_000 * 86_400_000, 10.0, 5.0, "1000", 250, SuiteSize(permuted_markets=1000000, hopeless_after=1000000))
    busy = asyncio.create_task(pool.run(order, lambda phase, fraction: None))
    await asyncio.sleep(0.3)
    print(*pool.worker_pids(), flush=True)
    await busy

if __name__ == "__main__":
    asyncio.run(main())
"""


def ignore(_phase: str, _fraction: float) -> None:
    """Progress nobody reads."""


@asynccontextmanager
async def a_pool(workers: int = 1) -> AsyncIterator[PoolExecutor]:
    pool = PoolExecutor(workers, EmbeddedMarketData())
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop(0)


def in_pool(test: Callable[[PoolExecutor], Awaitable[None]], workers: int = 1) -> None:
    async def main() -> None:
        async with a_pool(workers) as pool:
            await asyncio.wait_for(test(pool), 30)

    asyncio.run(main())


async def begun(pool: PoolExecutor, order: ResearchOrder) -> "asyncio.Task[object]":
    """The job's task, once its bootstrap has begun."""
    began = asyncio.Event()

    def on_progress(phase: str, _fraction: float) -> None:
        if phase == "timing":
            began.set()

    task: asyncio.Task[object] = asyncio.create_task(pool.run(order, on_progress))
    await asyncio.wait_for(began.wait(), 20)
    return task


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_job_in_the_pool_equals_one_in_this_process_and_its_progress_is_real(embedded: EmbeddedMarketData) -> None:
    async def test(pool: PoolExecutor) -> None:
        told: list[tuple[str, float, float]] = []
        order = an_order(suite=replace(SMALL, permuted_markets=6_000, hopeless_after=6_000))
        report = await pool.run(order, lambda phase, fraction: told.append((phase, fraction, time.monotonic())))
        here = run_research(order, embedded, ignore, lambda: False)
        assert replace(report, elapsed_s=()) == replace(here, elapsed_s=())
        fractions = [fraction for _, fraction, _ in told]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        # Told while the work went on, not all at its end.
        assert len(fractions) > 20
        assert told[-1][2] - told[0][2] > 0.1

    in_pool(test)


def test_a_cancelled_job_ends_within_a_second_and_the_worker_goes_on() -> None:
    async def test(pool: PoolExecutor) -> None:
        pids = pool.worker_pids()
        task = await begun(pool, an_order(suite=LONG))
        waiting = asyncio.create_task(pool.run(an_order(job_id="job-2"), ignore))
        await asyncio.sleep(0)
        started = time.monotonic()
        assert pool.cancel("job-2")
        with pytest.raises(Cancelled):
            await waiting
        assert pool.cancel("job-1")
        with pytest.raises(Cancelled):
            await task
        assert time.monotonic() - started < 1.0
        assert not pool.cancel("job-1")
        # The flag of the job before must not touch the next one.
        await pool.run(an_order(job_id="job-3"), ignore)
        assert pool.worker_pids() == pids

    in_pool(test)


def test_a_killed_worker_fails_only_its_own_job_and_is_replaced() -> None:
    async def test(pool: PoolExecutor) -> None:
        before = set(pool.worker_pids())
        first = await begun(pool, an_order(suite=LONG))
        (victim,) = (slot.process.pid for slot in pool._slots if slot.next_number == 2)
        second = await begun(pool, an_order(job_id="job-2", suite=replace(SMALL, permuted_markets=20_000, hopeless_after=20_000)))
        os.kill(victim or 0, signal.SIGKILL)
        with pytest.raises(WorkerLost) as lost:
            await first
        assert lost.value.was_killed
        assert lost.value.exit_signal == signal.SIGKILL
        await second
        await asyncio.gather(*(pool.run(an_order(job_id=f"after-{i}"), ignore) for i in range(4)))
        while len(pool.worker_pids()) < 2:
            await asyncio.sleep(0.05)
        assert len(before & set(pool.worker_pids())) == 1

    in_pool(test, workers=2)


def test_a_job_over_its_time_is_killed_and_said_so() -> None:
    async def test(pool: PoolExecutor) -> None:
        with pytest.raises(JobTimeout):
            await pool.run(an_order(suite=LONG), ignore, timeout_s=0.3)
        await pool.run(an_order(), ignore)

    in_pool(test)


def test_typed_failures_cross_the_pipe() -> None:
    async def test(pool: PoolExecutor) -> None:
        with pytest.raises(DataMissing, match="196 bars, 250 needed"):
            await pool.run(an_order(symbol="FB", until_ms=day_ms(20_000)), ignore)
        with pytest.raises(BadInput) as refusal:
            await pool.run(an_order(parameters={"fast": True}), ignore)
        assert refusal.value.field == "parameters.fast"

    in_pool(test)


def test_an_abandoned_job_frees_its_worker() -> None:
    async def test(pool: PoolExecutor) -> None:
        task = await begun(pool, an_order(suite=LONG))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(pool.run(an_order(job_id="next"), ignore), 5)

    in_pool(test)


def test_stop_drains_then_kills_and_leaves_nobody() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pids = pool.worker_pids()
            short = await begun(pool, an_order(suite=replace(SMALL, permuted_markets=10_000, hopeless_after=10_000)))
            long = asyncio.create_task(pool.run(an_order(job_id="job-2", suite=LONG), ignore))
            await asyncio.sleep(0)
            await pool.stop(drain_s=10)
            await short
            with pytest.raises(ExecutorStopped):
                await long
            with pytest.raises(ExecutorStopped):
                await pool.run(an_order(job_id="job-3"), ignore)
            assert not any(is_alive(pid) for pid in pids)

    asyncio.run(main())


def test_a_worker_that_a_stop_kills_is_ended_once() -> None:
    closed: list[int] = []

    async def test(pool: PoolExecutor) -> None:
        task = await begun(pool, an_order(suite=LONG))
        (slot,) = pool._slots
        close = slot.pipe.close

        def counted() -> None:
            # Long enough for the loss of the worker to be noticed while the stop is still closing.
            time.sleep(0.2)
            closed.append(1)
            close()

        slot.pipe.close = counted  # type: ignore[method-assign]
        await pool.stop(0)
        with pytest.raises(ExecutorStopped):
            await task

    in_pool(test)
    assert closed == [1]


def test_a_stop_leaves_no_worker_that_was_just_being_started() -> None:
    async def test(pool: PoolExecutor) -> None:
        task = await begun(pool, an_order(suite=LONG))
        os.kill(pool.worker_pids()[0], signal.SIGKILL)
        with pytest.raises(WorkerLost):
            await task
        assert pool._changing
        await pool.stop(0)
        assert not pool._changing
        assert not multiprocessing.active_children()

    in_pool(test)


def test_a_start_that_is_given_up_leaves_no_worker() -> None:
    async def main() -> None:
        pool = PoolExecutor(1, EmbeddedMarketData())
        spawn, spawned, go_on = pool._spawn, threading.Event(), threading.Event()

        def spawn_slowly() -> Any:
            slot = spawn()
            spawned.set()
            assert go_on.wait(30)
            return slot

        pool._spawn = spawn_slowly  # type: ignore[method-assign]
        starting = asyncio.ensure_future(pool.start())
        await asyncio.to_thread(spawned.wait, 60)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        assert multiprocessing.active_children()
        stopping = asyncio.ensure_future(pool.stop(0))
        assert not (await asyncio.wait({stopping}, timeout=0.1))[0]
        go_on.set()
        await stopping
        assert not multiprocessing.active_children()

    asyncio.run(main())


def test_jobs_hear_of_a_worker_that_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short of descriptors, the pipe says so and not the worker."""
    monkeypatch.setattr(executor, "REPLACE_TRIES", 1)

    def refuse() -> None:
        raise OSError(24, "Too many open files")

    async def test(pool: PoolExecutor) -> None:
        task = await begun(pool, an_order(suite=LONG))
        pool._spawn = refuse  # type: ignore[assignment, method-assign]
        os.kill(pool.worker_pids()[0], signal.SIGKILL)
        with pytest.raises(WorkerLost):
            await task
        with pytest.raises(ExecutorStopped):
            await asyncio.wait_for(pool.run(an_order(job_id="job-2"), ignore), 20)

    in_pool(test)


def test_an_order_that_does_not_cross_the_pipe_costs_no_slot() -> None:
    async def test(pool: PoolExecutor) -> None:
        parameters: dict[str, Any] = {"fast": lambda: 10}
        with pytest.raises(JobCrashed, match="pickle"):
            await pool.run(an_order(parameters=parameters), ignore)
        await asyncio.wait_for(pool.run(an_order(job_id="job-2"), ignore), 20)

    in_pool(test)


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(ORPHAN_SCRIPT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            pids = [int(word) for word in parent.stdout.readline().split()]
            assert len(pids) == 2
            assert all(is_alive(pid) for pid in pids)
        finally:
            parent.kill()  # else a test that fails here waits for it for ever
    deadline = time.monotonic() + 5
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(is_alive(pid) for pid in pids)


def test_workers_are_bounded() -> None:
    with pytest.raises(BadInput, match="workers"):
        PoolExecutor(0, EmbeddedMarketData())
    assert SuiteSize().permuted_markets <= 1_000_000


def test_a_warm_up_runs_every_installed_strategy(caplog: pytest.LogCaptureFixture) -> None:
    """Seen: its order ended in 1970, so that no strategy had bars, and each first job compiled."""
    warm_up()
    assert caplog.messages == []
