"""Whoever does the work of a claim, as the shell sees it: the pools of processes, or what a test puts in their place."""

from collections.abc import Callable
from typing import Protocol

from autonomy.events import CapabilitiesAnnounced, JobEnqueued
from autonomy.values import JobType
from job_runner.claims.outcome import Outcome
from job_runner.strategies.folder import StrategyFolders


class Worker(Protocol):
    """Whoever does the work of a claim."""

    async def start(self) -> None:
        """Get ready; jobs come only afterwards."""

    async def run(self, order: JobEnqueued, on_progress: Callable[[str, float], None]) -> Outcome:
        """Do the work; an expected failure is an outcome, never an exception."""

    def cancel(self, job_id: str) -> None:
        """End the work of a job soon; its `run` returns."""

    async def stop(self, drain_s: float) -> None:
        """Let go of everything."""

    def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
        """What this worker can do."""

    job_types: frozenset[JobType]

    @property
    def strategies(self) -> StrategyFolders | None:
        """What it can run; None where it does not look at strategies, and takes every order."""
