"""One backtest with its statistics, and one score of a search, over 8,000 bars, against the bare kernel in that same process.

Inside a process that was forked and warmed as the pool does it. A job is hundreds of these passes and one trip through the pipe, so
the passes are what is held against the kernel; the trip is shown beside them.
"""

import asyncio
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from operator import truediv

import numpy as np

from autonomy.errors import Broken
from benchmarks.limits import kernel
from benchmarks.measure import Context, Measure, absolute, at_most, reference, timed
from job_runner.engine.account import Costs
from job_runner.engine.fills import decisions, simulate
from job_runner.engine.plan_simulation import simulate_plan
from job_runner.engine.plans import ExitRules, Plan, Terms
from job_runner.engine.programs import StepProgram, daily_axis
from job_runner.engine.scoring import score_program
from job_runner.engine.statistics import simulation_metrics
from job_runner.market.sources import SyntheticMarketData
from job_runner.pool.executor import PoolExecutor
from job_runner.pool.worker import warm_up
from job_runner.research.backtest import run_research
from job_runner.research.report import ResearchOrder, SuiteSize
from job_runner.strategies.coded import by_name, installed

BARS = 8_000
FIGURE_MS = 0.0235
LIMIT, BACKTEST, SCORE, PLAN = "limit", "backtest", "score", "plan"
FULL_TIMES = 3
SCORE_TIMES = 1.5
EDGES = 27
"""Five folds and sixteen blocks are read at about as many bars."""
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
    """All sides, call by call in turns, in a warmed worker process; the first tenth is left out."""
    warm_up()
    rows = rows_of(BARS)
    limit, equity_of_limit = kernel.ready(np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 3]), FEE_BPS / 10_000)
    sma = by_name("sma-cross").program({"fast": 20, "slow": 50}, daily_axis("BENCH", range(BARS)))
    if not isinstance(sma, StepProgram):
        raise Broken("sma-cross decides bar by bar")
    costs, edges = Costs(FEE_BPS, 0.0), np.linspace(1, BARS - 1, EDGES).astype(np.int64)
    close = rows[:, 3]
    plan = Plan(decisions(sma, rows).astype(np.float64), stop=np.ascontiguousarray(close * 0.9))
    rules, terms = ExitRules(trailing=0.08), Terms(taker_bps=FEE_BPS, tick=0.01)
    sides: dict[str, Callable[[], object]] = {
        BACKTEST: lambda: simulation_metrics(simulate(sma, rows, costs, CASH), CASH),
        SCORE: lambda: score_program(sma, rows, costs, CASH, edges),
        PLAN: lambda: simulate_plan(plan, rules, terms, rows, CASH),
    }
    found = (simulate(sma, rows, costs, CASH).tally.equity, score_program(sma, rows, costs, CASH, edges).equity_usd)
    if not all(math.isclose(equity, equity_of_limit, rel_tol=1e-9) for equity in found):
        raise Broken(f"not the same job on all sides: it ends with {found} USD here and with {equity_of_limit} USD in the limit")
    spent: dict[str, list[float]] = {name: [] for name in (LIMIT, *sides)}
    for _ in range(rounds):
        spent[LIMIT].append(limit())
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            spent[name].append(time.perf_counter() - started)
    rates = {name: rounds / timed(partial(repeat, side, rounds), cpu=True) for name, side in sides.items()}
    pipe.send(({name: times[rounds // 10 :] for name, times in spent.items()}, rates))


def repeat(call: Callable[[], object], times: int) -> None:
    """Call it so often."""
    for _ in range(times):
        call()


async def trips(count: int) -> float:
    """Median seconds of a smallest job through the pool, from `run` to its report."""
    pool = PoolExecutor(1, SyntheticMarketData(seed=1, names=("BENCH",), count=600))
    await pool.start()
    smallest = SuiteSize(permuted_markets=10, truncation_cuts=1, neighbourhood_steps=0, stress_levels=1, walk_forward_windows=2)
    spent = []
    for number in range(count):
        order = ResearchOrder(f"job-{number}", "bench", "sma-cross", {}, "BENCH", "1d", 10**14, 10.0, 5.0, "1000", 250, smallest)
        started = time.perf_counter()
        await pool.run(order, lambda _phase, _share: None)
        spent.append(time.perf_counter() - started)
    await pool.stop(0)
    return statistics.median(spent)


def baseline_s(rounds: int) -> float:
    """CPU seconds of the dearest baseline among the strategies that come along, with the default suite, at 2,500 bars of a walk."""
    market, spent = SyntheticMarketData(seed=1, names=("BENCH",), count=2_500), []
    for strategy in installed().strategies:
        order = ResearchOrder("bench", "bench", strategy, {}, "BENCH", "1d", 10**14, 10.0, 5.0, "100000", 250)
        job = partial(run_research, order, market, lambda _phase, _share: None, lambda: False)
        job()
        spent.append(min(timed(job, cpu=True) for _ in range(rounds)))
    return max(spent)


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    forkserver = multiprocessing.get_context("forkserver")
    ours, theirs = forkserver.Pipe(duplex=False)
    worker = forkserver.Process(target=child, args=(theirs, ctx.size(CALLS)), daemon=True)
    worker.start()
    theirs.close()
    spent, rates = ours.recv()
    worker.join()
    ratios = {name: statistics.median(map(truediv, times, spent[LIMIT])) for name, times in spent.items()}
    medians = {name: statistics.median(times) * 1000 for name, times in spent.items()}
    limit = ("lean kernel", medians[LIMIT])
    trip = asyncio.run(trips(max(3, ctx.size(20))))
    million = {name: rate * BARS / 1e6 for name, rate in rates.items()}
    return [
        at_most(f"backtest with statistics, {BARS:,} bars, pool worker", medians[BACKTEST], "ms", limit, FULL_TIMES, ratios[BACKTEST]),
        at_most(f"score of a search, {BARS:,} bars", medians[SCORE], "ms", limit, SCORE_TIMES, ratios[SCORE]),
        absolute("  scores a second of CPU", rates[SCORE], "1/s", least=30_000),
        absolute("  bars of backtests with statistics, a second of CPU", million[BACKTEST], "million/s", least=60),
        absolute("  bars of a plan with stop rows and a trailing stop, a second of CPU", million[PLAN], "million/s"),
        absolute("  the dearest baseline of six strategies at 2,500 bars, whole suite, CPU", baseline_s(ctx.rounds(3)), "s", most=0.25),
        absolute("  whole smallest job through the pool", trip * 1000, "ms"),
        reference("lean kernel", medians[LIMIT], "ms", FIGURE_MS, rate=False),
    ]
