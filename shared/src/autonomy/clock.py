"""The only place that reads a clock or draws an id; everything else takes them as arguments."""

import time
import uuid
from datetime import UTC, datetime


def now() -> datetime:
    """The wall clock, aware, UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The wall clock in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> float:
    """A clock that never goes back, in milliseconds; only differences mean something."""
    return time.monotonic() * 1000


def drawn_id() -> str:
    """A fresh id for a tick try, a claim, a process or a command: drawn at the shell, and recorded."""
    return str(uuid.uuid4())
