"""Runners, pulse, quarantine: signs of life and abilities, and what could not be read."""

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from autonomy import topics
from autonomy.bar_times import unpack_times
from autonomy.events.costs import Costs
from autonomy.events.document import BASE64_PATTERN, Count, Digest, Document, Event, Identifier, Text, Tick, later
from autonomy.events.offers import MAX_STRATEGIES, MAX_STRATEGY_FAULTS, StrategyFault, StrategyOffered
from autonomy.events.tick import Head
from autonomy.timeframes import Timeframe
from autonomy.values import BotId, Instant, JobType, Symbol, ms_of

MAX_TIMES: Final = 200_000
"""Characters of a packed bitmap: four million minutes of an exchange with hours need 30,000."""


class HeldJob(Document):
    """A job that a process works on, with its true progress (0 to 1)."""

    job_id: Identifier
    bot_id: BotId
    tick: Tick
    attempt: Annotated[int, Field(ge=1)]
    claim_id: Identifier
    phase: Text
    progress: Annotated[float, Field(ge=0, le=1)]


class RunnerSign(Event):
    """A runner process lives.

    Attributes:
        announcement: hash of what this process announced last (`announcement_hash`); a planner that does not hold it asks for it again.
    """

    process_id: Identifier
    sequence: Count
    jobs: tuple[HeldJob, ...]
    research_slots: Count
    evolve_slots: Count = 0
    runner_slots: Count = 0
    stopping: bool = False
    announcement: Digest | None = later(None)


class RunnerHeartbeat(RunnerSign):
    """What a runner process says of itself on the audited log: at its start, when that changed, after a silence, and every five minutes."""

    wire = "runner-heartbeat.v1"
    topic = topics.RUNNERS
    producer = "job-runner"


class RunnerPulse(RunnerSign):
    """Once per process and 2 s, from the loop that does the work; which processes and claims were silent is said by the tick's seal."""

    wire = "runner-pulse.v1"
    topic = topics.PULSE
    producer = "job-runner"


class SymbolBars(Document):
    """The bars a runner can read of one symbol in one timeframe.

    Attributes:
        first, last: starts of the first and the last bar.
        times: which instants have a bar: a bit for each step of the timeframe's grid since `first`, little-endian, deflated, base64.
        bars_per_year: how many there are in a year of this market: what ratios are annualised with.
        live: bars of now: shown as soon as they have ended, also while the policy replays the others.
        costs: what trading the symbol costs and allows, where its source says so; null: the policy's hold.
    """

    symbol: Symbol
    timeframe: Timeframe
    first: Instant
    last: Instant
    bars: Count
    times: Annotated[str, Field(max_length=MAX_TIMES, pattern=BASE64_PATTERN)]
    sha256: Digest
    source_id: Text
    synthetic: bool
    bars_per_year: Annotated[int, Field(ge=1, le=1_000_000)]
    live: bool
    costs: Costs | None = later(None)

    @model_validator(mode="after")
    def counts_its_times(self) -> "SymbolBars":
        """Whoever counts bars up to an instant counts these; a bitmap that cannot be read would stop the planner."""
        times = unpack_times(ms_of(self.first), self.timeframe, self.times)
        if len(times) != self.bars or times.at(0) != ms_of(self.first) or times.at(len(times) - 1) != ms_of(self.last):
            raise ValueError("times must hold as many bars as `bars` says, from `first` to `last`")
        return self


MAX_SOURCE_FAULTS: Final = 50
"""Faults that one announcement names; the last one says how many more there are."""


class SourceFault(Document):
    """Something in a runner's source of bars that cannot be used as it is now.

    Attributes:
        name: a symbol, or the name of what is there and is no symbol's bars.
        in_use: whether the last good bars of it stay in use.
    """

    name: Text
    reason: Text
    in_use: bool


class CapabilitiesAnnounced(Event):
    """What a runner process can do: at its start, and again whenever that changed.

    Attributes:
        faults: of its source of bars, the symbols' first.
        strategy_faults: files of strategies that cannot be used.
    """

    wire = "capabilities-announced.v1"
    topic = topics.RUNNERS
    producer = "job-runner"
    process_id: Identifier
    engine_version: Text
    job_types: tuple[JobType, ...]
    strategies: Annotated[tuple[StrategyOffered, ...], Field(max_length=MAX_STRATEGIES)]
    symbols: tuple[SymbolBars, ...]
    research_slots: Count
    evolve_slots: Count = 0
    runner_slots: Count = 0
    faults: Annotated[tuple[SourceFault, ...], Field(max_length=MAX_SOURCE_FAULTS)] = later(())
    strategy_faults: Annotated[tuple[StrategyFault, ...], Field(max_length=MAX_STRATEGY_FAULTS)] = later(())


class PlannerPulse(Event):
    """Once a second from each planner process."""

    wire = "planner-pulse.v1"
    topic = topics.PULSE
    producer = "planner"
    process_id: Identifier
    role: Literal["leader", "standby", "halted", "starting"]
    head_tick: Tick
    head_hash: Digest
    next_tick_at: Instant | None
    problem: Text = ""


class ProbePulse(Event):
    """Once a second from proof-api: the age of the newest one in PostgreSQL is the projection's lag.

    Attributes:
        applied: the head that the read models stood on; a planner that starts on a shorter log halts.
    """

    wire = "probe-pulse.v1"
    topic = topics.PULSE
    producer = "proof-api"
    process_id: Identifier
    sequence: Count
    sent_at: Instant
    applied: Head | None = later(None)


class RecordQuarantined(Event):
    """A record that cannot be decoded or cannot be true; the partition moves on, the record stays visible."""

    wire = "record-quarantined.v1"
    topic = topics.QUARANTINE
    producer = "projection"
    source_topic: Text
    source_partition: Count
    source_offset: Count
    sha256: Digest
    size_bytes: Count
    reason: Text
    excerpt: Text
