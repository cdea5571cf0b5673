"""The job-runner's settings."""

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from autonomy.settings import ServiceSettings
from autonomy.work import Work


class RunnerSettings(ServiceSettings):
    """What one runner process may do.

    Environment: RUNNER_RESEARCH_SLOTS, RUNNER_EVOLVE_SLOTS, RUNNER_PAPER_SLOTS (jobs at once: backtests and searches take a
    process each, paper sessions a task; 0 evolve or paper slots leave those jobs to others), RUNNER_BEAT_S,
    RUNNER_CLAIM_DEADLINE_S, RUNNER_LEASE_S (the policy's, checked against beat and deadline), RUNNER_DRAIN_S, ARTIFACTS_URL
    (fsspec), STRATEGIES_FOLDER (where people put their strategies; several between `:`), STRATEGY_COPIES (where they are kept by
    content, and run from), BARS_FOLDER (CSV, Parquet or Feather instead of the embedded bars; with BARS_DEMO beside
    them), BARS_EXCHANGE and BARS_PAIRS (an exchange's daily
    bars through ccxt instead, and its pairs between commas; not verified here), EVOLUTION_DASK_ADDRESS (scheduler of a Dask
    cluster that works out evolutions; needs the extra `dask`), RUNNER_SNAPSHOTS (a folder for snapshots of what it folded, which runners
    may share; none when empty).
    """

    research_slots: int = Field(default=2, ge=1, le=1024, validation_alias="RUNNER_RESEARCH_SLOTS")
    evolve_slots: int = Field(default=1, ge=0, le=1024, validation_alias="RUNNER_EVOLVE_SLOTS")
    runner_slots: int = Field(default=50, ge=0, le=10_000, validation_alias="RUNNER_PAPER_SLOTS")
    beat_s: Annotated[float, Field(gt=0, le=600)] = Field(default=2.0, validation_alias="RUNNER_BEAT_S")
    claim_deadline_s: float = Field(default=5.0, gt=0, le=600, validation_alias="RUNNER_CLAIM_DEADLINE_S")
    lease_s: float = Field(default=15.0, gt=0, le=3600, validation_alias="RUNNER_LEASE_S")
    drain_s: float = Field(default=5.0, ge=0, le=3600, validation_alias="RUNNER_DRAIN_S")
    artifacts_url: str = Field(default=".data/artifacts", validation_alias="ARTIFACTS_URL")
    strategies_folder: str = Field(default="", max_length=4_000, validation_alias="STRATEGIES_FOLDER")
    strategy_copies: str = Field(default=".data/strategies", validation_alias="STRATEGY_COPIES")
    bars_folder: str | None = Field(default=None, validation_alias="BARS_FOLDER")
    bars_demo: bool = Field(default=False, validation_alias="BARS_DEMO")
    bars_planted: bool = Field(default=False, validation_alias="BARS_PLANTED")
    bars_exchange: str | None = Field(default=None, pattern=r"^[a-z0-9]{1,40}$", validation_alias="BARS_EXCHANGE")
    bars_pairs: str = Field(default="BTC/USDT", max_length=1_000, validation_alias="BARS_PAIRS")
    evolution_dask_address: str | None = Field(default=None, validation_alias="EVOLUTION_DASK_ADDRESS")
    snapshots: Path | None = Field(default=None, validation_alias="RUNNER_SNAPSHOTS")

    @property
    def strategy_folders(self) -> tuple[Path, ...]:
        """Where people put their strategies."""
        return tuple(Path(folder) for folder in self.strategies_folder.split(os.pathsep) if folder)

    @property
    def slots(self) -> dict[Work, int]:
        """How many jobs of each kind of work this process takes on at once."""
        return {Work.BACKTEST: self.research_slots, Work.EVOLVE: self.evolve_slots, Work.RUNNER: self.runner_slots}

    @property
    def checkpoints_url(self) -> str:
        """Where searches keep their checkpoints: beside the artefacts, so that any runner that shares those can go on."""
        return f"{self.artifacts_url.rstrip('/')}/checkpoints"

    @model_validator(mode="after")
    def in_proportion(self) -> Self:
        """A late beat must never look like a death, nor a slow read like a win."""
        if self.beat_s > self.lease_s / 5:
            raise ValueError(f"RUNNER_BEAT_S must be at most RUNNER_LEASE_S / 5 = {self.lease_s / 5} s")
        if self.claim_deadline_s >= self.lease_s / 2:
            raise ValueError(f"RUNNER_CLAIM_DEADLINE_S must be below RUNNER_LEASE_S / 2 = {self.lease_s / 2} s")
        if self.bars_folder and self.bars_exchange:
            raise ValueError("BARS_FOLDER and BARS_EXCHANGE exclude each other: bars come from one source")
        return self
