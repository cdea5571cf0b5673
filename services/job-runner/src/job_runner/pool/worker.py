"""One worker process: takes an order, does it, says how far it is and what came out.

Role: the far end of the executor's pipe. Only tuples of plain values and our own frozen values go through the pipe.
The process lives exactly as long as its parent wants it: a thread waits for the lifeline to close, which the kernel
does when the parent dies in whatever way.
"""

import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol, assert_never

from autonomy.errors import BadInput, Retryable
from job_runner.engine import scoring
from job_runner.market.sources import END_OF_TIME_MS, DataMissing, MarketData, SyntheticMarketData
from job_runner.research.backtest import Progress, run_research
from job_runner.research.live_window import WindowedOrder, WindowedReport, run_windowed
from job_runner.research.report import Cancelled, ResearchOrder, ResearchReport, StrategyError, SuiteSize
from job_runner.search.evolution_job import EvolutionJob, EvolutionReport, evolve
from job_runner.strategies.coded import CodedStrategy, installed
from job_runner.strategies.guest import StrategyFailed
from job_runner.strategies.guests import guests

log = logging.getLogger(__name__)
# A progress message per half percent: 200 a job at most, and one per phase.
PROGRESS_STEP = 0.005

Order = ResearchOrder | WindowedOrder | EvolutionJob
Report = ResearchReport | WindowedReport | EvolutionReport


class Counter(Protocol):
    """A whole number in memory shared with the parent."""

    value: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker is warm."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The job got this far: share of the whole, 0 to 1."""

    phase: str
    fraction: float


@dataclass(frozen=True, slots=True)
class Done:
    """The job's report."""

    report: Report


@dataclass(frozen=True, slots=True)
class Failed:
    """The job's typed failure, in parts: exceptions with arguments of their own do not survive pickling.

    Args:
        kind: name of the exception's class.
        message: in words.
        bad_field: of bad input.
        limit: of bad input.
    """

    kind: str
    message: str
    bad_field: str = ""
    limit: str = ""


Message = Ready | Advanced | Done | Failed


def work(orders: Connection, lifeline: Connection, cancelled: Counter) -> None:
    """Do orders until the pipe closes.

    Args:
        orders: pipe to the parent: (number, order, where its bars come from, its strategy) in, messages out.
        lifeline: closes when the parent is gone.
        cancelled: number of the order that is to stop.
    """
    # The parent decides when to stop; a Ctrl-C or a TERM to the whole group is its business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True, name="lifeline").start()
    warm_up()
    try:
        orders.send(Ready())
        while True:
            number, order, market, strategy = orders.recv()
            with guests():
                answer = _answer(orders, number, order, cancelled, market, strategy)
            orders.send(answer)
    except (EOFError, OSError):
        return


def warm_up() -> None:
    """Run every installed strategy once on made-up bars, so that the first real job finds everything compiled."""
    market = SyntheticMarketData(seed=1, names=("WARM",), count=600)
    smallest = SuiteSize(permuted_markets=10, truncation_cuts=1, neighbourhood_steps=0, stress_levels=1, walk_forward_windows=2)
    for strategy in installed().strategies:
        order = ResearchOrder("warm", "warm", strategy, {}, "WARM", "1d", END_OF_TIME_MS, 10.0, 5.0, "1000", 250, smallest)
        try:
            run_research(order, market, lambda _phase, _fraction: None, lambda: False)
        except Exception as fault:  # noqa: BLE001 (a package's fault is its own: its jobs meet it by themselves)
            log.warning("strategy %s cannot be warmed up: %r", strategy, fault)
    scoring.warm_up()


def perform(
    order: Order, market: MarketData, progress: Progress, is_cancelled: Callable[[], bool], strategy: CodedStrategy | None = None
) -> Report:
    """Do one order, of whatever kind."""
    match order:
        case ResearchOrder():
            return run_research(order, market, progress, is_cancelled, strategy=strategy)
        case WindowedOrder():
            return run_windowed(order, market, progress, is_cancelled, strategy)
        case EvolutionJob():
            return evolve(order, market, progress, is_cancelled, strategy)
        case _:
            assert_never(order)


def _answer(
    orders: Connection, number: int, order: Order, cancelled: Counter, market: MarketData, strategy: CodedStrategy | None
) -> Message:
    last: list[tuple[str, float]] = []

    def on_progress(phase: str, fraction: float) -> None:
        if not last or last[-1][0] != phase or fraction - last[-1][1] >= PROGRESS_STEP or fraction >= 1.0:
            last[:] = [(phase, fraction)]
            orders.send(Advanced(phase, fraction))

    try:
        return Done(perform(order, market, on_progress, lambda: cancelled.value == number, strategy))
    except BadInput as refusal:
        kind = DataMissing if isinstance(refusal, DataMissing) else BadInput
        return Failed(kind.__name__, str(refusal), refusal.field, refusal.limit)
    except (StrategyError, StrategyFailed, Cancelled) as ending:
        return Failed(type(ending).__name__, str(ending))
    except Retryable as ending:
        return Failed(Retryable.__name__, str(ending))
    except MemoryError as ending:
        return Failed(MemoryError.__name__, str(ending))
    except OSError:
        # The pipe: nobody is left to answer.
        raise
    except Exception:  # noqa: BLE001 - see below
        # A fault in our own code must fail this job only, with its traceback where someone will read it.
        return Failed("Unexpected", traceback.format_exc(limit=20))


def _die_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv()
    except (EOFError, OSError):
        os._exit(1)
