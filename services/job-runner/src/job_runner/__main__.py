"""Start a job-runner process."""

import asyncio
import sys
from pathlib import Path

from autonomy.telemetry import set_up
from job_runner.app import run_runner
from job_runner.artifacts import ArtifactStore
from job_runner.market_data import EmbeddedMarketData, FolderMarketData
from job_runner.research import ResearchWorker
from job_runner.settings import RunnerSettings


def main() -> int:
    """Run until told to stop."""
    settings = RunnerSettings()
    set_up("job-runner", settings.log_level, settings.metrics_port)
    market = FolderMarketData(Path(settings.bars_folder)) if settings.bars_folder else EmbeddedMarketData()
    worker = ResearchWorker(market, settings.research_slots, ArtifactStore(settings.artifacts_url))
    return asyncio.run(run_runner(settings, worker))


if __name__ == "__main__":
    sys.exit(main())
