"""What stands inside JSON columns and is no event's own: parts that the projection puts together.

Place in the flow: projection → **parts** of rows → proof-api. The other JSON columns hold documents of events as they were said.
"""

from enum import StrEnum, unique
from typing import Literal

from autonomy.events import BacktestMetrics, Document, EvolutionSummary, Identifier, PaperSummary, Text
from autonomy.values import Cause, Instant

Parameters = dict[str, int | float | str]
"""A strategy's checked parameters, by name."""
Result = BacktestMetrics | EvolutionSummary | PaperSummary
"""What a job's own row keeps of its result, by the job's type."""
SearchedFor = Literal["WEAK", "AT_THE_DOOR"]
SearchStop = Literal["GENERATIONS_DONE", "EVALUATIONS_SPENT", "TIME_SPENT"]
SearchVerdict = Literal["WINS", "LOSES", "FAILED", "CANCELLED"]


@unique
class PromotionStatus(StrEnum):
    """What became of a recommendation."""

    OPEN = "OPEN"
    REQUESTED = "REQUESTED"
    APPLIED = "APPLIED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"


@unique
class CommandStatus(StrEnum):
    """What became of a command: the planner's answer, or REFUSED at the door of the API."""

    OPEN = "OPEN"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    REFUSED = "REFUSED"


Undecided = Literal[PromotionStatus.OPEN, PromotionStatus.REQUESTED]


class MissedGate(Document):
    """A promotion gate that has a say and does not pass, as a badge shows it."""

    code: Text
    measured: Text
    required: Text
    clears_when: Text


class LeftAttempt(Document):
    """An attempt of a job that went back into the queue.

    Attributes:
        process_id, started_at: of the runner that had claimed it; None when none had.
        event_id: of the record that ended it.
    """

    attempt: int
    process_id: Identifier | None
    cause: Cause
    started_at: Instant | None
    ended_at: Instant
    event_id: Identifier


class BarsOffered(Document):
    """The bars of one symbol and timeframe that a runner announced, without the times themselves; first and last start as ISO text."""

    symbol: Text
    timeframe: Text
    first: Text
    last: Text
    bars: int
    sha256: Text
    source_id: Text
    synthetic: bool
    bars_per_year: int
    live: bool
