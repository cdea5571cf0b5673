"""One backtest with its statistics over 8,000 bars, in the pool's worker process, against the bare kernel in that same process.

In the pool means: inside a process that was forked and warmed as the pool does it. A job is hundreds of these passes and one
trip through the pipe, so the pass is what is held against the kernel; the trip is shown beside it.
"""

import asyncio
import math
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

import numpy as np

from autonomy.errors import Broken
from benchmarks.limits import kernel
from benchmarks.measure import Context, Measure, absolute, at_most, reference
from job_runner.engine.account import Costs
from job_runner.engine.programs import daily_axis
from job_runner.engine.running import run as run_program
from job_runner.engine.statistics import simulation_metrics
from job_runner.market.sources import SyntheticMarketData
from job_runner.pool.executor import PoolExecutor
from job_runner.pool.worker import warm_up
from job_runner.research.report import ResearchOrder, SuiteSize
from job_runner.strategies.coded import by_name

BARS = 8_000
FIGURE_MS = 0.060
CALLS = 400
CASH = 100_000.0
FEE_BPS = 10.0


def rows_of(bars: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Made-up bars: a random walk by a fixed seed."""
    numbers = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(numbers.normal(0.0003, 0.012, bars)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(numbers.normal(0.0, 0.002, bars))
    return np.ascontiguousarray(np.stack([open_, np.maximum(open_, close), np.minimum(open_, close), close, np.full(bars, 1e6)], axis=1))


def child(pipe: Connection, rounds: int) -> None:
    """Both sides, call by call in turns, in a warmed worker process; the first tenth is left out."""
    warm_up()
    rows = rows_of(BARS)
    limit, equity_of_limit = kernel.ready(np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 3]), FEE_BPS / 10_000)
    sma = by_name("sma-cross").program({"fast": 20, "slow": 50}, daily_axis("BENCH", range(BARS)))
    costs = Costs(FEE_BPS, 0.0)
    equity = simulation_metrics(run_program(sma, rows, costs, CASH), CASH).final_equity_usd
    if not math.isclose(equity, equity_of_limit, rel_tol=1e-9):
        raise Broken(f"not the same job on both sides: it ends with {equity} USD here and with {equity_of_limit} USD in the limit")
    subjects, limits = [], []
    for _ in range(rounds):
        limits.append(limit())
        started = time.perf_counter()
        simulation_metrics(run_program(sma, rows, costs, CASH), CASH)
        subjects.append(time.perf_counter() - started)
    first = rounds // 10
    started = time.perf_counter()
    for _ in range(rounds):
        run_program(sma, rows, costs, CASH)
    pipe.send((subjects[first:], limits[first:], rounds / (time.perf_counter() - started)))


async def trips(count: int) -> float:
    """Median seconds of a smallest job through the pool, from `run` to its report."""
    pool = PoolExecutor(1, SyntheticMarketData(seed=1, names=("BENCH",), count=600))
    await pool.start()
    smallest = SuiteSize(10, 1, 0, 1, 2)
    spent = []
    for number in range(count):
        order = ResearchOrder(f"job-{number}", "bench", "sma-cross", {}, "BENCH", "1d", 10**6, 10.0, 5.0, "1000", 250, smallest)
        started = time.perf_counter()
        await pool.run(order, lambda _phase, _share: None)
        spent.append(time.perf_counter() - started)
    await pool.stop(0)
    return statistics.median(spent)


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    forkserver = multiprocessing.get_context("forkserver")
    ours, theirs = forkserver.Pipe(duplex=False)
    worker = forkserver.Process(target=child, args=(theirs, ctx.size(CALLS)), daemon=True)
    worker.start()
    theirs.close()
    subjects, limits, rate = ours.recv()
    worker.join()
    ratio = statistics.median(ours / bare for ours, bare in zip(subjects, limits, strict=True))
    spent, limit = statistics.median(subjects) * 1000, statistics.median(limits) * 1000
    trip = asyncio.run(trips(max(3, ctx.size(20))))
    return [
        at_most(f"backtest with statistics, {BARS:,} bars, pool worker", spent, "ms", ("bare kernel", limit), 2, ratio),
        absolute("  backtests of `simulate` per core", rate, "1/s"),
        absolute("  whole smallest job through the pool", trip * 1000, "ms"),
        reference("bare kernel", limit, "ms", FIGURE_MS, rate=False),
    ]
