"""A job-runner process whose worker returns at once; tells when each job's work began. Run with the file for that as argument."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from autonomy import clock
from autonomy.events import CapabilitiesAnnounced, JobEnqueued, JobSucceeded
from autonomy.telemetry import set_up
from autonomy.values import JobType
from benchmarks.fleet import capabilities
from job_runner.app import run_runner
from job_runner.claims.outcome import Outcome, Result
from job_runner.claims.queue import Claim
from job_runner.settings import RunnerSettings


class NoOpWorker:
    """Does nothing, and succeeds."""

    job_types = frozenset({JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH})
    strategies = None

    def __init__(self) -> None:
        self.began: dict[str, int] = {}

    async def start(self) -> None:
        """Nothing to get ready."""

    async def run(self, order: JobEnqueued, on_progress: Callable[[str, float], None]) -> Outcome:
        """Note the time and succeed."""
        del on_progress
        self.began[order.job_id] = clock.now_ms()
        return Outcome(succeeded, "succeeded")

    def cancel(self, job_id: str) -> None:
        """Nothing runs."""

    async def stop(self, drain_s: float) -> None:
        """Nothing to end."""

    def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
        """The made-up fleet's symbols and strategies."""
        return capabilities(process_id, slots)


def succeeded(claim: Claim, process_id: str) -> Result:
    """The least result."""
    order = claim.order
    return JobSucceeded(
        job_id=order.job_id, bot_id=order.bot_id, tick=order.tick, attempt=claim.attempt, claim_id=claim.claim_id,
        process_id=process_id,
    )  # fmt: skip


def main() -> int:
    """Run until SIGTERM."""
    set_up("bench-runner", "WARNING")
    worker = NoOpWorker()
    code = asyncio.run(run_runner(RunnerSettings(), worker))
    Path(sys.argv[1]).write_text(json.dumps(worker.began))
    return code


if __name__ == "__main__":
    sys.exit(main())
