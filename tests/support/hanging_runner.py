"""A job-runner process whose source of bars never answers for one symbol once a file exists: `HANG_SYMBOL`, `HANG_FILE`."""

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from autonomy.artifacts import ArtifactStore
from autonomy.telemetry import set_up
from job_runner.app import run_runner
from job_runner.market.sources import Bars, EmbeddedMarketData
from job_runner.pool.research_worker import ResearchWorker
from job_runner.settings import RunnerSettings


@dataclass(frozen=True)
class HangingMarket:
    """The embedded bars, until the file exists."""

    symbol: str
    file: Path

    def markets(self) -> tuple[tuple[str, str], ...]:
        return EmbeddedMarketData().markets()

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        while symbol == self.symbol and self.file.exists():
            time.sleep(0.05)
        return EmbeddedMarketData().bars(symbol, timeframe, until)


if __name__ == "__main__":
    set_up("job-runner", "INFO", 0)
    settings = RunnerSettings()
    market = HangingMarket(os.environ["HANG_SYMBOL"], Path(os.environ["HANG_FILE"]))
    worker = ResearchWorker(EmbeddedMarketData(), settings.research_slots, ArtifactStore(settings.artifacts_url))
    sys.exit(asyncio.run(run_runner(settings, worker, market)))
