"""The job-runner's settings."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from autonomy.settings import ServiceSettings


class RunnerSettings(ServiceSettings):
    """What one runner process may do.

    Environment: RUNNER_RESEARCH_SLOTS, RUNNER_BEAT_S, RUNNER_CLAIM_DEADLINE_S, RUNNER_LEASE_S (the policy's, checked
    against beat and deadline), RUNNER_DRAIN_S, ARTIFACTS_URL (fsspec), BARS_FOLDER (CSV or Parquet instead of the
    embedded bars).
    """

    research_slots: int = Field(default=2, ge=1, le=1024, validation_alias="RUNNER_RESEARCH_SLOTS")
    beat_s: Annotated[float, Field(gt=0, le=600)] = Field(default=2.0, validation_alias="RUNNER_BEAT_S")
    claim_deadline_s: float = Field(default=5.0, gt=0, le=600, validation_alias="RUNNER_CLAIM_DEADLINE_S")
    lease_s: float = Field(default=15.0, gt=0, le=3600, validation_alias="RUNNER_LEASE_S")
    drain_s: float = Field(default=5.0, ge=0, le=3600, validation_alias="RUNNER_DRAIN_S")
    artifacts_url: str = Field(default=".data/artifacts", validation_alias="ARTIFACTS_URL")
    bars_folder: str | None = Field(default=None, validation_alias="BARS_FOLDER")

    @model_validator(mode="after")
    def in_proportion(self) -> Self:
        """A late beat must never look like a death, nor a slow read like a win."""
        if self.beat_s > self.lease_s / 5:
            raise ValueError(f"RUNNER_BEAT_S must be at most RUNNER_LEASE_S / 5 = {self.lease_s / 5} s")
        if self.claim_deadline_s >= self.lease_s / 2:
            raise ValueError(f"RUNNER_CLAIM_DEADLINE_S must be below RUNNER_LEASE_S / 2 = {self.lease_s / 2} s")
        return self
