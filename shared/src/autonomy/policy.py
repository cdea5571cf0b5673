"""The policy document: every limit and threshold that a decision uses, versioned and hashed into every planner run.

Place in the flow: YAML or JSON from an operator → validated here (proof-api, planner) → folded by the planner. Pure.
"""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autonomy.errors import BadInput
from autonomy.events import Costs, Money, SuiteSizes
from autonomy.values import JobType, Stage

Seconds = Annotated[float, Field(ge=0, le=31_536_000)]


class Section(BaseModel):
    """A closed, frozen part of the policy; snake_case, as in its YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MarketPolicy(Section):
    """Which time the market is at: a pure function of this section and a tick's `now`.

    Attributes:
        mode: LIVE (= now), or REPLAY of recorded bars.
        start, end: first and last day of a replay.
        seconds_per_bar: wall time per weekday of a replay.
    """

    mode: Literal["LIVE", "REPLAY"] = "REPLAY"
    start: date = date(2010, 1, 4)
    end: date = date(2013, 3, 1)
    seconds_per_bar: Annotated[float, Field(gt=0, le=86_400)] = 15.0


class LeasePolicy(Section):
    """When a claim without a sign of life is given to somebody else.

    Attributes:
        lease_s: silence after which a claim expires.
        beat_s: how often a runner beats.
        claim_deadline_s: how long a runner waits to see its own claim win.
        failures_limit: expiries after which a job is dead.
    """

    lease_s: Annotated[float, Field(ge=0.5, le=3600)] = 15.0
    beat_s: Annotated[float, Field(ge=0.05, le=600)] = 2.0
    claim_deadline_s: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    failures_limit: Annotated[int, Field(ge=1, le=100)] = 3

    @model_validator(mode="after")
    def in_proportion(self) -> "LeasePolicy":
        """A late beat or a slow read must never look like a death."""
        if self.beat_s > self.lease_s / 5:
            raise ValueError(f"beat_s must be at most lease_s / 5 = {self.lease_s / 5} s")
        if self.claim_deadline_s >= self.lease_s / 2:
            raise ValueError(f"claim_deadline_s must be below lease_s / 2 = {self.lease_s / 2} s")
        return self


class ResearchPolicy(Section):
    """How much research runs at once, and what one job is.

    Attributes:
        concurrency: N, the number of research jobs meant to run at once, over the whole fleet.
        queue_ahead: how many more may wait, so that a freed slot never idles.
        max_enqueues_per_hour: of the fleet.
        queued_per_slot: backpressure: at most this many queued jobs per slot that live runners announce.
        min_bars: bars a symbol needs before anything is decided about it.
    """

    concurrency: Annotated[int, Field(ge=1, le=100_000)] = 5
    queue_ahead: Annotated[int, Field(ge=0, le=100_000)] = 3
    max_enqueues_per_hour: Annotated[int, Field(ge=1, le=10_000_000)] = 3600
    queued_per_slot: Annotated[int, Field(ge=1, le=100_000)] = 20
    min_bars: Annotated[int, Field(ge=50, le=100_000)] = 250
    timeout_s: Annotated[int, Field(ge=1, le=86_400)] = 600
    initial_cash_usd: Money = "100000.00"
    costs: Costs = Costs(fee_bps=10.0, slippage_bps=5.0)
    suite: SuiteSizes = SuiteSizes()


class CooldownPolicy(Section):
    """How long a bot's class rests after a job of it ended; a crash doubles it each time, up to the maximum."""

    after_success_s: Seconds = 0.0
    after_cancel_s: Seconds = 60.0
    after_crash_s: Seconds = 60.0
    max_s: Seconds = 21_600.0


class StagePolicy(Section):
    """What a bot of a stage wants, in order of looking.

    Attributes:
        refresh_after_bars: a refresh is due when the market clock passes the bot's own slot on a grid of this many bars.
        refresh_after_hours: a refresh is due after this long, if there is at least one new bar.
    """

    wants: tuple[JobType, ...] = ()
    refresh_after_bars: Annotated[int, Field(ge=1, le=10_000)] = 10
    refresh_after_hours: Annotated[float, Field(gt=0, le=87_600)] = 24.0


class Policy(Section):
    """The whole document."""

    name: Annotated[str, Field(max_length=80)] = "default"
    tick_interval_s: Annotated[float, Field(ge=0.2, le=3600)] = 60.0
    early_tick_spacing_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    promotion_mode: Literal["MANUAL"] = "MANUAL"
    market: MarketPolicy = MarketPolicy()
    leases: LeasePolicy = LeasePolicy()
    research: ResearchPolicy = ResearchPolicy()
    cooldowns: CooldownPolicy = CooldownPolicy()
    quarantine_after_crashes: Annotated[int, Field(ge=1, le=100)] = 3
    stages: dict[Stage, StagePolicy] = Field(
        default_factory=lambda: {
            Stage.LAB: StagePolicy(wants=(JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH)),
            Stage.PAPER: StagePolicy(wants=(JobType.RUNNER_START,)),
            Stage.SHADOW: StagePolicy(wants=(JobType.RUNNER_START,)),
            Stage.CANARY: StagePolicy(wants=(JobType.RUNNER_START,)),
            Stage.LIVE: StagePolicy(wants=(JobType.RUNNER_START,)),
        }
    )

    def hash(self) -> str:
        """The hash that each planner run records."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


DEFAULT: Final = Policy()


def read_policy(document: Mapping[str, object]) -> Policy:
    """Validate a document.

    Raises:
        BadInput: names the field and the limit.
    """
    try:
        return Policy.model_validate(document)
    except ValidationError as refusal:
        fault = refusal.errors(include_url=False)[0]
        path = ".".join(str(part) for part in fault["loc"]) or "policy"
        raise BadInput(path, fault["msg"], fault.get("input")) from refusal
