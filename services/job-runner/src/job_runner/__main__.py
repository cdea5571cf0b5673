"""Start a job-runner process."""

import asyncio
import sys
from pathlib import Path

from autonomy import clock
from autonomy.artifacts import ArtifactStore
from autonomy.cluster import run_on_log
from autonomy.telemetry import set_up
from job_runner.app import run_runner
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.editions import Editions
from job_runner.market.exchange_bars import ExchangeMarketData
from job_runner.market.joined import JoinedMarketData
from job_runner.market.planted import PlantedMarketData
from job_runner.market.sources import EmbeddedMarketData, MarketData
from job_runner.pool.research_worker import ResearchWorker
from job_runner.search.evolution_job import Surroundings
from job_runner.settings import RunnerSettings
from job_runner.strategies.folder import StrategyFolders


def market_of(settings: RunnerSettings) -> MarketData:
    """The source of bars that the settings name; beside the demo's, a folder's bars are of now, whatever the demo replays."""
    if settings.bars_folder and settings.bars_demo:
        own = FolderMarketData(Path(settings.bars_folder), live=True)
        planted: tuple[tuple[str, MarketData], ...] = (("planted", PlantedMarketData()),) if settings.bars_planted else ()
        return JoinedMarketData(((settings.bars_folder, own), ("demo", EmbeddedMarketData()), *planted))
    if settings.bars_folder:
        return FolderMarketData(Path(settings.bars_folder))
    if settings.bars_exchange:
        return ExchangeMarketData.of(settings.bars_exchange, settings.bars_pairs)
    return EmbeddedMarketData()


def main() -> int:
    """Run until told to stop."""
    settings = RunnerSettings()
    set_up("job-runner", settings.log_level, settings.metrics_port)
    return asyncio.run(run_on_log(settings.kafka, lambda: begin(settings)))


async def begin(settings: RunnerSettings) -> int:
    """Take up work."""
    market = Editions(market_of(settings), seed=clock.drawn_id())
    strategies = StrategyFolders(settings.strategy_folders, Path(settings.strategy_copies))
    worker = ResearchWorker(
        market,
        settings.research_slots,
        ArtifactStore(settings.artifacts_url),
        settings.evolve_slots,
        Surroundings(settings.checkpoints_url, settings.evolution_dask_address),
        strategies,
    )
    return await run_runner(settings, worker, market)


if __name__ == "__main__":
    sys.exit(main())
