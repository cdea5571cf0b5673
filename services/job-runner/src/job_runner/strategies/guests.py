"""The processes with somebody's code that this process has open: one for each file's copy, ended together.

Role: a job asks for programs of one strategy again and again, and all of them share one process; nothing of it outlives the job.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from job_runner.strategies.guest import LOAD_S, Guest

_open = threading.local()


@contextmanager
def open_guest(folder: str, module: str, load_s: float = LOAD_S) -> Iterator[Guest]:
    """The process of this copy: inside `guests` the one that is open until its end, else one for this moment."""
    held: dict[tuple[str, str], Guest] | None = getattr(_open, "held", None)
    if held is not None:
        yield held.setdefault((folder, module), Guest(folder, module, load_s=load_s))
        return
    guest = Guest(folder, module, load_s=load_s)
    try:
        yield guest
    finally:
        guest.close()


@contextmanager
def guests() -> Iterator[None]:
    """While this lasts, in this thread, each copy has one process; at its end they end."""
    before: object = getattr(_open, "held", None)
    held: dict[tuple[str, str], Guest] = {}
    _open.held = held
    try:
        yield
    finally:
        _open.held = before
        for guest in held.values():
            guest.close()
