"""What a benchmark hands back, and the one way in which a subject and its limit are timed: in turns, in the same run.

Two cores are shared with others, so one absolute number says little. Limit and subject run alternately; the ratio is the median
of the ratios of neighbouring rounds, the times shown are medians.
"""

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autonomy.telemetry import spare_collector

PEER_SHARE: Final = 0.3
"""A limit must reach this share of its figure in peers, measured 2026-11-22: a slow reference can't buy a pass."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the table.

    Attributes:
        limit_name, limit_value: what it is held against, in the same unit unless the name says otherwise.
        ratio: value over limit.
        must: in words; empty for a number that is only shown.
        ok: None where nothing is demanded.
    """

    name: str
    value: float
    unit: str
    limit_name: str = ""
    limit_value: float | None = None
    ratio: float | None = None
    must: str = ""
    ok: bool | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What all benchmarks of a run share.

    Attributes:
        folder: temporary, gone afterwards.
        quick: fewer rounds and smaller sets, to see whether a benchmark runs; its numbers mean nothing.
    """

    folder: Path
    quick: bool = False
    notes: list[str] = field(default_factory=list)

    def rounds(self, wanted: int) -> int:
        """How often to repeat."""
        return 1 if self.quick else wanted

    def size(self, wanted: int) -> int:
        """How many of something."""
        return max(1, wanted // 20) if self.quick else wanted

    def note(self, text: str) -> None:
        """Something to print below the table."""
        self.notes.append(text)


@contextmanager
def context(*, quick: bool) -> Iterator[Context]:
    """A context with a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="autonomy-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user when this is root
        spare_collector()  # as every service does at its start; limits have it too
        yield Context(Path(folder), quick)


def timed(function: Callable[[], object], *, cpu: bool = False) -> float:
    """Seconds of one call, on the wall or of this process's own CPU; garbage of the call before is collected first.

    Where both sides only compute, CPU time is fairer: a short limit often fits between two switches to other processes, a longer
    subject never does.
    """
    clock = time.process_time if cpu else time.perf_counter
    gc.collect()
    started = clock()
    function()
    return clock() - started


@dataclass(frozen=True, slots=True)
class Turns:
    """Times of a subject and its limit, taken in turns."""

    subject: Sequence[float]
    limit: Sequence[float]

    @property
    def ratio(self) -> float:
        """Median over the rounds of subject over limit."""
        return statistics.median(ours / bare for ours, bare in zip(self.subject, self.limit, strict=True))

    @property
    def medians(self) -> tuple[float, float]:
        """Of the subject, of the limit."""
        return statistics.median(self.subject), statistics.median(self.limit)


def in_turns(subject: Callable[[], object], limit: Callable[[], object], rounds: int, *, cpu: bool = False) -> Turns:
    """Seconds of both, limit first, alternately."""
    subjects, limits = [], []
    for _ in range(rounds):
        limits.append(timed(limit, cpu=cpu))
        subjects.append(timed(subject, cpu=cpu))
    return Turns(subjects, limits)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def at_most(name: str, value: float, unit: str, limit: tuple[str, float], times: float, ratio: float | None = None) -> Measure:
    """A cost: at most so many times its limit."""
    found = value / limit[1] if ratio is None else ratio
    return Measure(name, value, unit, limit[0], limit[1], found, f"≤ {times:g} ×", found <= times)


def at_least(name: str, value: float, unit: str, limit: tuple[str, float], share: float, ratio: float | None = None) -> Measure:
    """A rate: at least this share of its limit."""
    found = value / limit[1] if ratio is None else ratio
    return Measure(name, value, unit, limit[0], limit[1], found, f"≥ {share:g} ×", found >= share)


def absolute(name: str, value: float, unit: str, most: float | None = None, least: float | None = None) -> Measure:
    """A number with a bound of its own."""
    must = f"≤ {most:g} {unit}" if most is not None else f"≥ {least:g} {unit}" if least is not None else ""
    ok = None if not must else (value <= most if most is not None else value >= (least or 0.0))
    return Measure(name, value, unit, must=must, ok=ok)


def reference(name: str, value: float, unit: str, figure: float, *, rate: bool) -> Measure:
    """The limit itself, against its figure in peers, measured 2026-11-22."""
    share = value / figure if rate else figure / value
    return Measure(
        f"  limit: {name}", value, unit, "peers, measured 2026-11-22", figure, share, f"≥ {PEER_SHARE:g} of it", share >= PEER_SHARE
    )
