"""Long-lived work of a process, kept going by something that acts: what ends is begun again, what stalls too, else the process ends.

Place in the flow: a service's lifespan → **supervision** → its loops. Two watch each other: a task looks at every work once a second, and
a thread looks at that task. Ages are counted in looks, never by a clock: a process that was frozen, or a machine that slept, has missed
looks and is no reason to end anything. May not know what the work is about.
"""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 1.0
STALLED_LOOKS: Final = 60
"""About a minute: each wait of a work has an end of seconds, and a busy machine stretches them."""
RESTARTS: Final = 10
"""Within `RESTARTS_LOOKS` looks; who needs more has something that a new start of the whole process may mend."""
RESTARTS_LOOKS: Final = 60
CANCEL_LOOKS: Final = 30
EXIT_CODE: Final = 70
"""EX_SOFTWARE: a process manager starts it again."""


def end_process(why: str) -> NoReturn:
    """End this process at once and loudly: its tasks, its streams and its threads may be what hangs."""
    log.critical("this process ends, and has to be started again: %s", why)
    faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(EXIT_CODE)


@dataclass(slots=True)
class Work:
    """One thing that this process does for as long as it lives.

    Attributes:
        run: does it; ends only by a fault, or when it `may_end`.
        progress: gives a value that changes at least every half minute while the work lives, also while what it depends on does not
            answer; None: only its end is noticed.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    progress: Callable[[], object] | None = None
    may_end: bool = False
    task: "asyncio.Task[None] | None" = None
    seen: object = None
    unchanged: int = 0
    begun_at: list[int] = field(default_factory=list)

    def begin(self, look: int) -> None:
        """Begin it, or begin it again."""
        self.task = asyncio.create_task(self._run(), name=self.name)
        self.unchanged, self.seen = 0, None
        self.begun_at = [*(at for at in self.begun_at if look - at < RESTARTS_LOOKS), look]

    async def _run(self) -> None:
        await self.run()

    @property
    def restarts(self) -> int:
        """How often it was begun again lately."""
        return len(self.begun_at) - 1

    def is_stalled(self, stalled_looks: int) -> bool:
        """Look once more; whether it has shown no progress for too many looks."""
        if self.progress is None:
            return False
        now = self.progress()
        self.unchanged = self.unchanged + 1 if now == self.seen else 0
        self.seen = now
        return self.unchanged >= stalled_looks


@dataclass(slots=True)
class Supervisor:
    """Keeps the works of a process going.

    Attributes:
        restarts: by name of the work, since this process began.
        looks: how often it has looked; the thread watches this number.
        end: ends the process; given in, so that a test survives it.
    """

    works: Sequence[Work]
    stalled_looks: int = STALLED_LOOKS
    look_every_s: float = LOOK_EVERY_S
    cancel_looks: int = CANCEL_LOOKS
    end: Callable[[str], object] = end_process
    restarts: dict[str, int] = field(default_factory=dict)
    looks: int = 0
    task: "asyncio.Task[None] | None" = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin every work, and the two that watch."""
        for work in self.works:
            work.begin(self.looks)
        self.task = asyncio.create_task(self._watch(), name="supervisor")
        threading.Thread(target=self._watch_the_watch, name="supervisor", daemon=True).start()

    async def stop(self) -> None:
        """End every work; one that does not end within `cancel_looks` is left to the end of the process."""
        self.stopping.set()
        tasks = [task for task in (self.task, *(work.task for work in self.works)) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self.cancel_looks * self.look_every_s)
        for task in tasks:
            if not task.done():
                log.error("%s does not end", task.get_name())
            elif not task.cancelled() and task.exception() is not None:
                log.warning("%s ended by %r", task.get_name(), task.exception())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.look_every_s)
            self.looks += 1
            for work in self.works:
                await self._look_at(work)

    async def _look_at(self, work: Work) -> None:
        task = work.task
        if task is None:
            return
        if task.done():
            self._ended(work, task)
        elif work.is_stalled(self.stalled_looks):
            log.critical("%s shows no progress for %d looks: it is ended and begun again", work.name, self.stalled_looks)
            task.cancel()
            for _ in range(self.cancel_looks):
                if task.done():
                    break
                await asyncio.wait({task}, timeout=self.look_every_s)
                self.looks += 1
            if task.done():
                self._again(work)
            else:
                self.end(f"{work.name} hangs, and cannot be ended")

    def _ended(self, work: Work, task: "asyncio.Task[None]") -> None:
        fault = None if task.cancelled() else task.exception()
        if fault is None and not task.cancelled() and work.may_end:
            work.task = None
            return
        log.critical("%s ended by %r: it is begun again", work.name, fault or "a cancellation", exc_info=fault)
        self._again(work)

    def _again(self, work: Work) -> None:
        self.restarts[work.name] = self.restarts.get(work.name, 0) + 1
        if work.restarts >= RESTARTS:
            self.end(f"{work.name} was begun {work.restarts} times within {RESTARTS_LOOKS} looks, and does not last")
            return
        work.begin(self.looks)

    def _watch_the_watch(self) -> None:
        """In a thread: an event loop that hangs, or a supervisor that died, ends the process."""
        seen, unchanged = self.looks, 0
        while not self.stopping.wait(self.look_every_s):
            unchanged = unchanged + 1 if self.looks == seen else 0
            seen = self.looks
            if unchanged >= self.stalled_looks:
                self.end(f"the event loop has not turned for {self.stalled_looks} looks")
                return
