"""Blocking calls beside the event loop, each in a thread of its own.

Role: what talks to a worker's pipe, or asks a source of bars, may block for as long as it likes without stopping a beat.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


def in_thread(function: Callable[[], _Result]) -> "asyncio.Future[_Result]":
    """Run something that blocks in a thread of its own.

    A daemon, unlike those of an executor: when the service dies, nothing may wait for a job to end. The event loop
    never waits for it, and one that hangs takes no thread from anybody else.
    """
    ended: Future[_Result] = Future()

    # From here on it cannot be cancelled: a thread in its pipe cannot be called back.
    ended.set_running_or_notify_cancel()

    def run() -> None:
        try:
            ended.set_result(function())
        except Exception as failure:  # noqa: BLE001 - handed to whoever awaits
            ended.set_exception(failure)

    threading.Thread(target=run, daemon=True, name="research").start()
    return asyncio.wrap_future(ended)
