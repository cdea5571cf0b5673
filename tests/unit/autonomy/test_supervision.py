"""Work that lasts: what ends or stalls is begun again, what cannot be mended ends the process, and a frozen process ends nothing."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from autonomy.supervision import EXIT_CODE, RESTARTS, Supervisor, Work

LOOK_S = 0.02


class Ended(threading.Event):
    """The ends of a process that a test survives, and each one's reason."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def __call__(self, why: str) -> None:
        self.reasons.append(why)
        self.set()

    def because(self, words: str) -> bool:
        return any(words in why for why in self.reasons)


def a_supervisor(ended: Ended, *works: Work, stalled_looks: int = 200) -> Supervisor:
    return Supervisor(works, stalled_looks=stalled_looks, look_every_s=LOOK_S, cancel_looks=10, end=ended)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(LOOK_S)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_work_that_dies_is_begun_again_and_the_others_go_on() -> None:
    begun, lives = 0, 0

    async def dies_twice() -> None:
        nonlocal begun
        begun += 1
        if begun <= 2:
            raise RuntimeError("died")
        await forever()

    async def lives_on() -> None:
        nonlocal lives
        while True:
            lives += 1
            await asyncio.sleep(LOOK_S)

    ended = Ended()
    supervisor = a_supervisor(ended, Work("mortal", dies_twice), Work("lively", lives_on, lambda: lives))
    supervisor.start()
    await until(lambda: begun == 3)
    await until(lambda: supervisor.looks > 20)
    await supervisor.stop()
    assert supervisor.restarts == {"mortal": 2}
    assert not ended.is_set()


async def test_a_work_that_returns_is_begun_again_unless_it_may_end() -> None:
    begun = {"loop": 0, "once": 0}

    def returns(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            begun[name] += 1
            if begun[name] > 2:
                await forever()

        return run

    supervisor = a_supervisor(Ended(), Work("loop", returns("loop")), Work("once", returns("once"), may_end=True))
    supervisor.start()
    await until(lambda: begun["loop"] == 3)
    await supervisor.stop()
    assert begun["once"] == 1


@pytest.mark.parametrize("shows_progress", [True, False])
async def test_a_work_without_progress_is_begun_again_and_one_with_progress_is_not(shows_progress: bool) -> None:
    begun, turns = 0, 0

    async def hangs() -> None:
        nonlocal begun
        begun += 1
        await forever()

    def progress() -> int:
        nonlocal turns
        turns += shows_progress
        return turns

    supervisor = a_supervisor(Ended(), Work("hanging", hangs, progress), stalled_looks=5)
    supervisor.start()
    await until(lambda: supervisor.looks >= 12 if shows_progress else begun >= 2)
    await supervisor.stop()
    assert (begun == 1) is shows_progress


async def test_a_work_that_hangs_and_cannot_be_ended_ends_the_process() -> None:
    let_go = asyncio.Event()

    async def clings() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    ended = Ended()
    supervisor = a_supervisor(ended, Work("clinging", clings, lambda: 0), stalled_looks=5)
    supervisor.start()
    try:
        await until(lambda: ended.because("clinging hangs, and cannot be ended"))
    finally:
        let_go.set()
        await supervisor.stop()


async def test_a_work_that_never_lasts_ends_the_process() -> None:
    async def dies() -> None:
        raise RuntimeError("died")

    ended = Ended()
    supervisor = a_supervisor(ended, Work("mortal", dies))
    supervisor.start()
    await until(lambda: ended.because("does not last"))
    assert supervisor.restarts["mortal"] >= RESTARTS
    await supervisor.stop()


async def test_a_supervisor_that_died_ends_the_process() -> None:
    ended = Ended()
    supervisor = a_supervisor(ended, Work("lively", forever), stalled_looks=50)
    supervisor.start()
    await until(lambda: supervisor.looks > 2)
    assert not ended.is_set()
    assert supervisor.task is not None
    supervisor.task.cancel()
    await until(lambda: ended.because("has not turned"))
    await supervisor.stop()


PROGRAM = f"""
import asyncio, sys, time
from autonomy.supervision import Supervisor, Work

turns = 0

async def work():
    global turns
    while True:
        turns += 1
        if turns == 20:
            print("lives", flush=True)
            if sys.argv[1] == "block":
                time.sleep(60)
        await asyncio.sleep({LOOK_S})

async def main():
    Supervisor([Work("work", work, lambda: turns)], stalled_looks=50, look_every_s={LOOK_S}).start()
    while turns < 400:
        await asyncio.sleep({LOOK_S})

asyncio.run(main())
print("done", flush=True)
"""


def a_process(what: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "lives\n"
    return process


def test_an_event_loop_that_hangs_ends_the_process_and_says_where() -> None:
    process = a_process("block")
    _, told = process.communicate(timeout=50)
    assert process.returncode == EXIT_CODE
    assert "the event loop has not turned" in told
    assert "in work" in told, "the traceback names the place"


def test_a_process_that_was_frozen_goes_on() -> None:
    """Negative control: frozen for longer than all the looks that condemn a loop that hangs."""
    process = a_process("go on")
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(3 * 50 * LOOK_S)  # the subject is the time that passes
    os.kill(process.pid, signal.SIGCONT)
    said, _ = process.communicate(timeout=50)
    assert (process.returncode, said) == (0, "done\n")
