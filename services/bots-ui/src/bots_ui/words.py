"""What the page calls things: states, reasons, gates, ages. One place, so that badge, filter and tooltip use the same words.

Place in the flow: codes of the API → **words** → view models. Pure. A code that is not known here is shown as itself.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from autonomy.errors import BadInput
from autonomy.strategies import describe, template
from autonomy.values import BotState, GateCode, JobStatus, JobType, Reason, Recency, TickCause, ZeroJobs

NOT_RECORDED: Final = "reason not recorded"
MISSING: Final = "–"

STATES: Final[Mapping[str, str]] = {
    BotState.BACKTEST_RUNNING: "Backtesting",
    BotState.BACKTEST_QUEUED: "Queued",
    BotState.EVOLVING: "Evolving",
    BotState.RUNNER_RUNNING: "Running",
    BotState.RUNNER_STALE: "Stale",
    BotState.BLOCKED_BY_GATES: "Blocked",
    BotState.IDLE: "Idle",
}
SHAPES: Final[Mapping[str, str]] = {
    BotState.BACKTEST_RUNNING: "backtesting",
    BotState.BACKTEST_QUEUED: "queued",
    BotState.EVOLVING: "evolving",
    BotState.RUNNER_RUNNING: "running",
    BotState.RUNNER_STALE: "stale",
    BotState.BLOCKED_BY_GATES: "blocked",
    BotState.IDLE: "idle",
}
RECENCIES: Final[Mapping[str, str]] = {
    Recency.FRESH: "Backtest: fresh",
    Recency.STALE: "Backtest: stale",
    Recency.NONE: "No baseline",
}
REASONS: Final[Mapping[str, str]] = {
    Reason.LOOP_DISABLED: "paused by an operator",
    Reason.ON_HOLD: "on hold",
    Reason.NOTHING_DUE: "nothing due",
    Reason.ACTIVE_JOB: "has a live job",
    Reason.BLOCKED_BY_GATES: "blocked by gates",
    Reason.COOLDOWN: "cooling down",
    Reason.RATE_LIMITED: "hourly limit reached",
    Reason.CONCURRENCY_LIMIT: "waiting for a slot",
    Reason.BACKPRESSURE: "runners are behind",
    Reason.SCHEDULED: "job enqueued",
}
REASON_MEANINGS: Final[Mapping[str, str]] = {
    Reason.LOOP_DISABLED: "An operator paused the loop, this stage or this bot; nothing is enqueued until it is resumed.",
    Reason.ON_HOLD: "An operator holds this bot.",
    Reason.NOTHING_DUE: "The planner looked and found nothing that is due.",
    Reason.ACTIVE_JOB: "Everything that is due already has a live job.",
    Reason.BLOCKED_BY_GATES: "At least one gate of the wanted job does not pass.",
    Reason.COOLDOWN: "Too soon after the last job of this kind.",
    Reason.RATE_LIMITED: "The fleet enqueued as many jobs as it may in an hour.",
    Reason.CONCURRENCY_LIMIT: "Every slot and the queue ahead are taken; the longest waiting bot is next.",
    Reason.BACKPRESSURE: "The runners do not keep up with what is queued.",
    Reason.SCHEDULED: "A job was enqueued by the last decision.",
}
DETAILS: Final[Mapping[str, str]] = {
    "NEXT_REFRESH": "next refresh",
    "REPLAY_ENDED": "the replay has ended",
    "NO_POLICY_FOR_STAGE": "the policy wants nothing of this stage",
    "CANCEL_UNDER_WAY": "a cancellation is under way",
}
JOB_TYPES: Final[Mapping[str, str]] = {
    JobType.RUNNER_START: "Paper runner",
    JobType.BACKTEST_BASELINE: "Baseline backtest",
    JobType.BACKTEST_REFRESH: "Refresh backtest",
    JobType.EVOLVE: "Evolution",
}
JOB_SHAPES: Final[Mapping[str, str]] = {
    JobStatus.QUEUED: "queued",
    JobStatus.RUNNING: "backtesting",
    JobStatus.SUCCEEDED: "done",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "cancelled",
}
GATES: Final[Mapping[str, str]] = {
    GateCode.STAGE_VERIFIED: "stage was imported, not earned",
    GateCode.STRATEGY_VALID: "strategy is not in a runner's catalogue",
    GateCode.MARKET_DATA: "not enough market data",
    GateCode.CAPABILITIES_AGREE: "no runner offers it, or runners disagree",
    GateCode.LAST_FAILURE: "failed on this very input before",
    GateCode.NOT_QUARANTINED: "crashed its runner too often",
}
CAUSES: Final[Mapping[str, str]] = {
    TickCause.SCHEDULED: "interval",
    TickCause.COMMAND: "command",
    TickCause.CAPACITY: "free slot",
    TickCause.LEASE: "lost lease",
}
ZERO_JOBS: Final[Mapping[str, str]] = {
    ZeroJobs.LOOP_DISABLED: "the loop is paused",
    ZeroJobs.NO_CANDIDATES_MATCH_POLICY: "nothing is due under the policy",
    ZeroJobs.ALL_BOTS_HAVE_ACTIVE_JOBS: "all bots have a live job",
    ZeroJobs.ALL_BOTS_COOLDOWN: "all bots are cooling down",
    ZeroJobs.ALL_BOTS_BLOCKED_BY_GATES: "all bots are blocked by gates",
    ZeroJobs.MIXED: "for more than one reason",
    "NO_TICK_YET": "no tick was accepted yet",
}


def word_of(table: Mapping[str, str], code: object) -> str:
    """The word of a code; a code without one is its own word."""
    return table.get(str(code), str(code))


def span_words(seconds: float) -> str:
    """A length of time in one unit, as short as can be read: 0.4 s, 12 s, 3 min, 2 h, 4 d."""
    if seconds < 0:
        return "0 s"
    if seconds < 1:
        return f"{seconds:.1f} s"
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} d"


def instant_of(value: object) -> datetime | None:
    """An instant of a document, or None."""
    if not isinstance(value, str) or not value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def clock_words(instant: datetime) -> str:
    """The time of day, UTC."""
    return instant.astimezone(UTC).strftime("%H:%M:%S")


def full_words(instant: datetime) -> str:
    """Date and time, UTC, said so."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def ordinal(place: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    if 10 <= place % 100 <= 20:
        return f"{place}th"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


def strategy_words(strategy: str, parameters: object = None) -> str:
    """Strategy and parameters in a few words; the bare title where the parameters are not told."""
    try:
        if isinstance(parameters, Mapping):
            return describe(strategy, parameters)
        return template(strategy).title
    except BadInput:
        return strategy
