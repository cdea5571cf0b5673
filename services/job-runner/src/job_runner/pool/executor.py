"""The pool: backtests and searches on processes of their own, and exact words for how each ended.

Role: the asyncio-facing edge of the research engine. One worker process and one pipe per slot, so that a death is
always the death of one known job. Deaths, timeouts and a stop are typed; only the job concerned fails, and its worker
is replaced.
"""

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import assert_never, overload

from autonomy.errors import BadInput
from job_runner.market.editions import handed
from job_runner.market.sources import DataMissing, MarketData
from job_runner.pool.endings import ExecutorStopped, HelpLost, JobCrashed, JobTimeout, WorkerLost
from job_runner.pool.worker import Advanced, Counter, Done, Failed, Message, Order, Ready, Report, work
from job_runner.research.live_window import WindowedOrder, WindowedReport
from job_runner.research.report import Cancelled, ResearchOrder, ResearchReport, StrategyError
from job_runner.search.evolution_job import EvolutionJob, EvolutionReport
from job_runner.strategies.coded import CodedStrategy
from job_runner.threads import in_thread

# A cold worker compiles for some ten seconds per core.
WARM_UP_S = 180.0
JOIN_S = 5.0
# Starting a process fails when memory is short; then a pause helps, or nothing does.
REPLACE_TRIES = 5
MAX_WORKERS = 256

OnProgress = Callable[[str, float], None]
Longest = float | None
Handed = CodedStrategy | None
Whole = tuple[Order, MarketData, Handed]  # an order, where its bars come from, and its strategy


@dataclass(slots=True, eq=False)
class _Slot:
    """One worker process with its two pipes and its flag."""

    process: BaseProcess
    pipe: Connection
    lifeline: Connection
    cancelled: Counter
    next_number: int = 1
    stopped: bool = False
    _ending: threading.Lock = field(default_factory=threading.Lock)
    _ended: bool = False

    def end(self) -> None:
        """Kill the process and close the pipes, once; whoever comes second waits until it is done.

        A stop and the loss of the worker it kills both end the slot, from two threads. Closing a connection twice at
        once closes a descriptor that may be another's by then.
        """
        with self._ending:
            if self._ended:
                return
            self.process.kill()
            self.process.join(JOIN_S)
            self.pipe.close()
            self.lifeline.close()
            self._ended = True


@dataclass(slots=True, eq=False)
class _Running:
    """One job in the pool, waiting for a slot or in one."""

    slot: _Slot | None = None
    number: int = 0
    cancelled: bool = False
    give_up: asyncio.Event = field(default_factory=asyncio.Event)


class PoolExecutor:
    """Jobs on worker processes, of whatever kind `worker.Order` names.

    Args:
        workers: processes, and so jobs at the same time.
        market: where bars come from; each job is handed those of its symbol, or the source itself if every process may read it.
        timeout_s: longest time one job may take, unless `run` says otherwise.
    """

    def __init__(self, workers: int, market: MarketData, timeout_s: float = 600.0) -> None:
        if not 1 <= workers <= MAX_WORKERS:
            raise BadInput("workers", f"1 to {MAX_WORKERS} processes", workers)
        self.workers = workers
        self.market = market
        self.timeout_s = timeout_s
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._idle: asyncio.Queue[_Slot] = asyncio.Queue()
        self._slots: set[_Slot] = set()
        self._jobs: dict[str, _Running] = {}
        # Workers being started or replaced; a stop waits for them.
        self._changing: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    async def start(self) -> None:
        """Start and warm all workers; jobs run without compiling from here on."""
        # Imports happen once, in the server that workers are forked from.
        self._context.set_forkserver_preload(["job_runner.pool.worker"])
        # The first worker fills the compiler's cache; the others only read it.
        await self._add_worker()
        await asyncio.gather(*(self._add_worker() for _ in range(self.workers - 1)))

    @overload
    async def run(
        self, order: ResearchOrder, on_progress: OnProgress, timeout_s: Longest = None, strategy: Handed = None
    ) -> ResearchReport: ...

    @overload
    async def run(
        self, order: WindowedOrder, on_progress: OnProgress, timeout_s: Longest = None, strategy: Handed = None
    ) -> WindowedReport: ...

    @overload
    async def run(
        self, order: EvolutionJob, on_progress: OnProgress, timeout_s: Longest = None, strategy: Handed = None
    ) -> EvolutionReport: ...

    async def run(self, order: Order, on_progress: OnProgress, timeout_s: Longest = None, strategy: Handed = None) -> Report:
        """Do one job; waits for a free worker first.

        Args:
            order: what to do; its job id must not be in the pool already.
            on_progress: told phase and share done, in the event loop's thread, never falling.
            timeout_s: longest time, from the moment a worker has it.
            strategy: the one that is ordered; by default the installed one of that name.

        Raises:
            BadInput: bad order (DataMissing: no data for it).
            StrategyError: a result that is no number.
            Cancelled: by `cancel`.
            WorkerLost: the worker died.
            HelpLost: something outside that the job leans on went away.
            JobTimeout: too long.
            ExecutorStopped: the pool was stopped.
            JobCrashed: a fault in our own code.
        """
        if self._stopping.is_set():
            raise ExecutorStopped(f"job {order.job_id}: the pool is stopping")
        if order.job_id in self._jobs:
            raise BadInput("job_id", "not in the pool already", order.job_id)
        running = self._jobs[order.job_id] = _Running()
        self._empty.clear()
        try:
            market = handed(self.market, order.symbol, order.timeframe)
            slot = await self._free_slot(order.job_id, running)
            whole = (order, market, strategy)
            return await self._converse(slot, whole, running, on_progress, timeout_s or self.timeout_s)
        finally:
            del self._jobs[order.job_id]
            if not self._jobs:
                self._empty.set()

    def cancel(self, job_id: str) -> bool:
        """Tell a job to stop; its `run` raises Cancelled within a moment.

        Returns:
            Whether the job is in the pool.
        """
        running = self._jobs.get(job_id)
        if running is None:
            return False
        running.cancelled = True
        running.give_up.set()
        if running.slot is not None:
            running.slot.cancelled.value = running.number
        return True

    async def stop(self, drain_s: float) -> None:
        """Take no new jobs, let running ones finish for a while, then end all workers.

        Args:
            drain_s: how long running jobs may go on; those left raise ExecutorStopped.
        """
        self._stopping.set()
        for running in self._jobs.values():
            if running.slot is None:
                running.give_up.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), drain_s)
        for slot in list(self._slots):
            slot.stopped = True
            await in_thread(slot.end)
        self._slots.clear()
        await self._empty.wait()
        # A worker that was just being started, or ended, must not be left to a thread that nobody waits for.
        while self._changing:
            await asyncio.wait(self._changing)

    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers, for diagnosis."""
        return tuple(slot.process.pid for slot in self._slots if slot.process.pid is not None)

    async def _free_slot(self, job_id: str, running: _Running) -> _Slot:
        """The next idle worker; a cancel or a stop ends the wait."""
        taking = asyncio.ensure_future(self._idle.get())
        giving_up = asyncio.ensure_future(running.give_up.wait())
        try:
            await asyncio.wait({taking, giving_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            giving_up.cancel()
            if not taking.done():
                taking.cancel()
        if running.cancelled or self._stopping.is_set() or not taking.done():
            if taking.done() and not taking.cancelled():
                self._idle.put_nowait(taking.result())
            if running.cancelled:
                raise Cancelled(f"job {job_id}: cancelled before it began")
            raise ExecutorStopped(f"job {job_id}: the pool is stopping")
        return taking.result()

    async def _converse(self, slot: _Slot, whole: Whole, running: _Running, on_progress: OnProgress, timeout_s: float) -> Report:
        order = whole[0]
        running.slot, running.number = slot, slot.next_number
        slot.next_number += 1
        loop = asyncio.get_running_loop()

        def advanced(message: Advanced) -> None:
            loop.call_soon_threadsafe(on_progress, message.phase, message.fraction)

        talk = in_thread(lambda: _talk(slot, running.number, whole, timeout_s, advanced))
        try:
            answer = await asyncio.shield(talk)
        except asyncio.CancelledError:
            # Whoever waited has gone: the worker must not go on with a job nobody will read.
            slot.cancelled.value = running.number
            talk.add_done_callback(lambda ended: self._settle(slot, lost=ended.cancelled() or ended.exception() is not None))
            raise
        except (WorkerLost, JobTimeout):
            self._settle(slot, lost=True)
            if slot.stopped:
                raise ExecutorStopped(f"job {order.job_id}: the pool was stopped") from None
            raise
        except Exception as fault:
            # An order or an answer that does not cross the pipe: what is left in it is unknown, and the slot must not be lost with it.
            self._settle(slot, lost=True)
            raise JobCrashed(f"job {order.job_id}: {fault!r}") from fault
        lost = isinstance(answer, Failed) and answer.kind == MemoryError.__name__
        self._settle(slot, lost=lost)
        if isinstance(answer, Done):
            return answer.report
        raise _failure(answer, order.job_id)

    def _settle(self, slot: _Slot, *, lost: bool) -> None:
        """Give the slot back, or put a new worker in its place."""
        if not lost:
            self._idle.put_nowait(slot)
            return
        self._slots.discard(slot)
        _ = self._change(self._replace(slot))

    def _change(self, change: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(change)
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)
        return task

    async def _replace(self, lost: _Slot) -> None:
        # In a thread: a process that is slow to die must not hold up the beats of the other jobs.
        await in_thread(lost.end)
        for attempt in range(REPLACE_TRIES):
            with suppress(WorkerLost, OSError, EOFError):  # short of memory or of descriptors, the pipe or the fork says so itself
                await self._start_worker()
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 2**attempt)
        # No worker can be started any more: those who wait must hear of it.
        if not self._slots:
            self._stopping.set()
            for running in self._jobs.values():
                running.give_up.set()

    async def _add_worker(self) -> None:
        """Start one worker; whoever gives up waiting leaves it to the pool, whose stop ends it."""
        await asyncio.shield(self._change(self._start_worker()))

    async def _start_worker(self) -> None:
        """Start one worker, unless the pool is stopping."""
        if self._stopping.is_set():
            return
        slot = await in_thread(self._spawn)
        if self._stopping.is_set():
            await in_thread(slot.end)
            return
        self._slots.add(slot)
        try:
            await in_thread(lambda: _await_ready(slot))
        except WorkerLost:
            self._slots.discard(slot)
            await in_thread(slot.end)
            raise
        if not self._stopping.is_set():
            self._idle.put_nowait(slot)

    def _spawn(self) -> _Slot:
        ours, theirs = self._context.Pipe()
        lifeline_theirs, lifeline_ours = self._context.Pipe(duplex=False)
        cancelled: Counter = self._context.RawValue("q", 0)
        process = self._context.Process(target=work, args=(theirs, lifeline_theirs, cancelled), daemon=True, name="research-worker")
        process.start()
        # Ours must be the only copies of these ends, or their closing would go unnoticed.
        theirs.close()
        lifeline_theirs.close()
        return _Slot(process, ours, lifeline_ours, cancelled)


def _await_ready(slot: _Slot) -> None:
    try:
        if slot.pipe.poll(WARM_UP_S) and isinstance(slot.pipe.recv(), Ready):
            return
    except (EOFError, OSError):
        slot.process.join(JOIN_S)
    raise WorkerLost("warm-up", slot.process.exitcode)


def _talk(slot: _Slot, number: int, whole: Whole, timeout_s: float, advanced: Callable[[Advanced], None]) -> Done | Failed:
    """Hand over the order and listen until the answer, the worker's death or the deadline; runs in a thread."""
    deadline, order = time.monotonic() + timeout_s, whole[0]
    try:
        slot.pipe.send((number, *whole))
        while True:
            if not wait([slot.pipe, slot.process.sentinel], max(deadline - time.monotonic(), 0.0)):
                raise JobTimeout(f"job {order.job_id}: longer than {timeout_s:g} s")
            # What the worker said before it died still counts.
            if not slot.pipe.poll():
                raise EOFError
            message: Message = slot.pipe.recv()
            match message:
                case Advanced():
                    advanced(message)
                case Done() | Failed():
                    return message
                case Ready():
                    continue
                case _:
                    assert_never(message)
    except (EOFError, OSError) as gone:
        with suppress(AssertionError, ValueError):
            slot.process.join(JOIN_S)
        raise WorkerLost(order.job_id, slot.process.exitcode) from gone


def _failure(answer: Failed, job_id: str) -> Exception:
    match answer.kind:
        case "BadInput":
            return BadInput(answer.bad_field, answer.limit)
        case "DataMissing":
            return DataMissing(answer.bad_field, answer.limit)
        case "StrategyError" | "StrategyFailed":
            return StrategyError(answer.message)
        case "Cancelled":
            return Cancelled(f"job {job_id}: {answer.message}")
        case "Retryable":
            return HelpLost(f"job {job_id}: {answer.message}")
        case "MemoryError":
            return WorkerLost(job_id, None, out_of_memory=True)
        case _:
            return JobCrashed(f"job {job_id}: {answer.message}")
