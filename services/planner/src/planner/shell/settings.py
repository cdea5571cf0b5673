"""The planner's settings."""

from pathlib import Path

from pydantic import Field

from autonomy.settings import ServiceSettings


class PlannerSettings(ServiceSettings):
    """What the shell needs; everything that a decision depends on is policy, in the log.

    Environment: PLANNER_TAKEOVER_S (silence of a leader after which a standby leads), PLANNER_HEAD_FILE (where it writes each head down,
    to compare the log with at its next start; none when empty), PLANNER_SNAPSHOTS (a folder for snapshots of its state; none when empty).
    """

    takeover_s: float = Field(default=5.0, ge=0.2, le=600, validation_alias="PLANNER_TAKEOVER_S")
    head_file: Path | None = Field(default=None, validation_alias="PLANNER_HEAD_FILE")
    snapshots: Path | None = Field(default=None, validation_alias="PLANNER_SNAPSHOTS")
