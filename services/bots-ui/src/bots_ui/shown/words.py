"""What the page calls things: states, reasons, gates, ages. One place, so that badge, filter and tooltip use the same words.

Place in the flow: codes of the API → **words** → view models. Pure. A code that is not known here is shown as itself.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from autonomy.gates import GATES, Act, Needs, Verdict, act_of, by_text, complete
from autonomy.reasons import DETAILS, ENDINGS, REASONS, ZERO_JOBS
from autonomy.strategies import describe
from autonomy.timeframes import Timeframe, bar_words
from autonomy.values import FOUR_EYES, BotState, Drift, JobStatus, Recency, TickCause, WorkerState, ms_of
from autonomy.work import JOB_KINDS, Work

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
FILTERS: Final[Mapping[str, str]] = {**STATES, BotState.RUNNER_STALE: "Stale or starting"}
"""What a filter by a state is called: every word that its badges have."""
RECENCIES: Final[Mapping[str, str]] = {
    Recency.FRESH: "Backtest: fresh",
    Recency.STALE: "Backtest: stale",
    Recency.NONE: "No baseline",
}
REASON_WORDS: Final[Mapping[str, str]] = {code: reason.words for code, reason in REASONS.items()}
REASON_MEANINGS: Final[Mapping[str, str]] = {code: reason.meaning for code, reason in REASONS.items()}
"""What each reason says of the moment at which it was decided, which is not now."""
DETAIL_WORDS: Final[Mapping[str, str]] = {**by_text(DETAILS), **by_text(ENDINGS)}
TIMEFRAMES: Final[Mapping[str, str]] = {"1d": "daily"}
"""How often there is a bar, as sources announce it."""
JOB_TYPES: Final[Mapping[str, str]] = {code: kind.title for code, kind in JOB_KINDS.items()}
WORKS: Final[Mapping[str, str]] = {Work.BACKTEST: "backtests", Work.EVOLVE: "searches", Work.RUNNER: "paper runners"}
"""What the places of a runner process are for."""
WORKER_STATES: Final[Mapping[str, str]] = {
    WorkerState.LIVE: "live", WorkerState.STARTING: "starting: nothing announced yet", WorkerState.SILENT: "silent",
    WorkerState.FOLLOWED: "silent; another came after it", WorkerState.STOPPED: "stopped", WorkerState.UNKNOWN: "not known: old rows",
}  # fmt: skip
WORKER_SHAPES: Final[Mapping[str, str]] = {
    WorkerState.LIVE: "running", WorkerState.STARTING: "starting", WorkerState.SILENT: "stale", WorkerState.FOLLOWED: "idle",
    WorkerState.STOPPED: "idle", WorkerState.UNKNOWN: "unknown",
}  # fmt: skip
JOB_SHAPES: Final[Mapping[str, str]] = {
    JobStatus.QUEUED: "queued",
    JobStatus.RUNNING: "backtesting",
    JobStatus.SUCCEEDED: "done",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "cancelled",
}
GATE_TITLES: Final[Mapping[str, str]] = {code: gate.title for code, gate in GATES.items()}
ACTS: Final[Mapping[Act, str]] = complete(Act, {
    Act.NONE: "", Act.OPERATOR: "an operator has to act", Act.DEVELOPER: "the bot's developer has to act",
})  # fmt: skip
"""Who must act before a gate passes."""
NEEDS: Final[Mapping[str, str]] = {
    Needs.OPERATOR: "Needs an operator", Needs.DEVELOPER: "Can't ever as it is", Needs.NOBODY: "Waits for itself",
}  # fmt: skip
"""What bots with a blocker are called by whom they wait for."""
NEEDS_SHAPES: Final[Mapping[str, str]] = {Needs.OPERATOR: "blocked", Needs.DEVELOPER: "cancelled", Needs.NOBODY: "idle"}
VERDICT_SHAPES: Final[Mapping[str, str]] = {Verdict.PASS: "done", Verdict.FAIL: "failed", Verdict.INCONCLUSIVE: "unknown"}
PROMOTIONS: Final[Mapping[str, str]] = {
    "OPEN": "waits for approval",
    "REQUESTED": "waits for a second approver",
    "APPLIED": "applied",
    "REJECTED": "rejected",
    "WITHDRAWN": "withdrawn",
}
PROMOTION_SHAPES: Final[Mapping[str, str]] = {
    "OPEN": "queued", "REQUESTED": "queued", "APPLIED": "done", "REJECTED": "failed", "WITHDRAWN": "cancelled",
}  # fmt: skip
DRIFTS: Final[Mapping[str, str]] = {
    Drift.CONSISTENT: "trades as the engine does",
    Drift.MINOR: "differs a little from the engine",
    Drift.MAJOR: "differs from the engine",
    Drift.INCONCLUSIVE: "too little to compare yet",
}
DRIFT_SHAPES: Final[Mapping[str, str]] = {
    Drift.CONSISTENT: "done", Drift.MINOR: "stale", Drift.MAJOR: "failed", Drift.INCONCLUSIVE: "unknown",
}  # fmt: skip
WHY_EVOLVED: Final[Mapping[str, str]] = {
    "WEAK": "its results are weak",
    "AT_THE_DOOR": "it meets the gates and is challenged before it leaves",
}
STARTING: Final = "Starting"
STARTING_SHAPE: Final = "starting"
"""A runner without a heartbeat, for its first lease; from then on it is stale."""
STOPS: Final[Mapping[str, str]] = {
    "GENERATIONS_DONE": "all generations made",
    "EVALUATIONS_SPENT": "evaluations spent",
    "TIME_SPENT": "time spent",
}
COMMANDS: Final[Mapping[str, str]] = {
    "register-bots.v1": "Register bots",
    "apply-fleet.v1": "Apply a fleet's files",
    "approve-challenger.v1": "Approve challenger",
    "reject-challenger.v1": "Reject challenger",
    "change-bot.v1": "Change bot",
    "retire-bot.v1": "Retire bot",
    "pause-loop.v1": "Pause loop",
    "resume-loop.v1": "Resume loop",
    "hold-bot.v1": "Hold bot",
    "release-hold.v1": "Release hold",
    "set-policy.v1": "Set policy",
    "cancel-job.v1": "Cancel job",
    "revert-to-lab.v1": "Revert to LAB",
    "approve-promotion.v1": "Approve promotion",
    "reject-promotion.v1": "Reject promotion",
    "pin-bot.v1": "Pin bot",
    "unpin-bot.v1": "Unpin bot",
    "set-promotion-mode.v1": "Set promotion mode",
    "accept-divergence.v1": "Accept divergence",
}
COMMAND_SHAPES: Final[Mapping[str, str]] = {"OPEN": "queued", "ACCEPTED": "done", "REJECTED": "failed", "REFUSED": "cancelled"}
TIMELINE_KINDS: Final = (
    "stage", "decision", "job", "command", "promotion", "evolution", "version", "look", "drift", "session", "note",
)  # fmt: skip
CAUSES: Final[Mapping[str, str]] = {
    TickCause.SCHEDULED: "interval",
    TickCause.COMMAND: "command",
    TickCause.CAPACITY: "free slot",
    TickCause.LEASE: "lost lease",
}
NO_JOBS: Final[Mapping[str, str]] = {**by_text(ZERO_JOBS), "NO_TICK_YET": "no tick has been accepted yet"}

PAGES: Final = (
    ("/", "Bots", "b"), ("/attention", "Attention", "a"), ("/board", "Board", "o"), ("/promotions", "Promotions", "p"),
    ("/timeline", "Timeline", "t"), ("/runs", "Runs", "r"), ("/jobs", "Jobs", "j"), ("/stages", "Stages", "s"),
    ("/commands", "Commands", "c"), ("/policy", "Policy", "y"), ("/workers", "Workers", "w"), ("/quarantine", "Quarantine", "q"),
)  # fmt: skip
"""Pages of the frame's row, in its order, each with the key that leads there after g."""


def needs_two(stage: str) -> bool:
    """Whether two approvers must agree on a promotion to this stage."""
    return stage in FOUR_EYES


def acts_words(code: str, verdict: str, clears_when: str = "") -> str:
    """Who has to act before a gate passes; empty where nobody has to, or the gate is not known here."""
    return ACTS[act_of(code, verdict, clears_when)]


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


def market_words(symbol: str, timeframe: str) -> str:
    """What a bot looks at: the symbol, and the length of its bars where that is not a day."""
    return symbol if timeframe in {"", Timeframe.D1} else f"{symbol} {timeframe}"


def bar_of(value: object) -> str:
    """A bar by its start: a day, or to the minute where it is not a day's first; empty of no instant."""
    start = instant_of(value)
    return "" if start is None else bar_words(ms_of(start))


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
    """Strategy and parameters in a few words; the bare name where the parameters are not told."""
    return describe(strategy, parameters) if isinstance(parameters, Mapping) else strategy


def parameter_words(parameters: object) -> str:
    """Parameters one after the other, by name."""
    if not isinstance(parameters, Mapping):
        return MISSING
    return ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in sorted(parameters.items()))


def money_words(value: object, *, sign: bool = False) -> str:
    """US dollars without cents, a real minus sign, and a plus where asked."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return MISSING
    text = f"{abs(value):,.0f}"
    return f"−{text}" if value < 0 and text != "0" else f"+{text}" if sign and text != "0" else text


def share_words(value: object, digits: int = 1) -> str:
    """A fraction as percent."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return MISSING
    return f"{value * 100:.{digits}f} %".replace("-", "−")


def figure_words(value: object, digits: int = 2) -> str:
    """A number with a real minus sign; zero has none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return MISSING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def price_words(value: object) -> str:
    """A price: to cents, and below one to five figures that count, as of a coin."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value == 0 or not abs(value) < 1:
        return figure_words(value)
    return figure_words(value, min(12, 4 - math.floor(math.log10(abs(value)))))


def count_words(count: int, what: str) -> str:
    """How many of something: 1 tick, 2 ticks, 1,204 jobs."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
