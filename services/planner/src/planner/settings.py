"""The planner's settings."""

from pydantic import Field

from autonomy.settings import ServiceSettings


class PlannerSettings(ServiceSettings):
    """What the shell needs; everything that a decision depends on is policy, in the log.

    Environment: PLANNER_TAKEOVER_S (silence of a leader after which a standby leads).
    """

    takeover_s: float = Field(default=5.0, ge=0.2, le=600, validation_alias="PLANNER_TAKEOVER_S")
