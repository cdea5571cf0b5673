"""The reasons, each as one object: why a bot was scheduled or skipped, why a tick enqueued nothing, and the words for both.

Place in the flow: everywhere. `planner.decide` counts by these objects, `planner.check` reads which of them are limits, and API, page,
CLI and docs/events.md take their words from here. Pure. A new reason is one object here, and the code that decides it.

Source: R-A3.3, R-A4.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final, NamedTuple

from autonomy.gates import Act, complete


@unique
class Reason(StrEnum):
    """Why a bot was scheduled or skipped, in order of precedence."""

    LOOP_DISABLED = "LOOP_DISABLED"
    ON_HOLD = "ON_HOLD"
    NOTHING_DUE = "NOTHING_DUE"
    ACTIVE_JOB = "ACTIVE_JOB"
    BLOCKED_BY_GATES = "BLOCKED_BY_GATES"
    COOLDOWN = "COOLDOWN"
    RATE_LIMITED = "RATE_LIMITED"
    CONCURRENCY_LIMIT = "CONCURRENCY_LIMIT"
    BACKPRESSURE = "BACKPRESSURE"
    SCHEDULED = "SCHEDULED"


@unique
class ZeroJobs(StrEnum):
    """Why a tick enqueued nothing."""

    LOOP_DISABLED = "LOOP_DISABLED"
    NO_CANDIDATES_MATCH_POLICY = "NO_CANDIDATES_MATCH_POLICY"
    ALL_BOTS_HAVE_ACTIVE_JOBS = "ALL_BOTS_HAVE_ACTIVE_JOBS"
    ALL_BOTS_COOLDOWN = "ALL_BOTS_COOLDOWN"
    ALL_BOTS_BLOCKED_BY_GATES = "ALL_BOTS_BLOCKED_BY_GATES"
    MIXED = "MIXED"


@unique
class Detail(StrEnum):
    """What a decision adds to its reason, where that is a code and not somebody's words."""

    NEXT_REFRESH = "NEXT_REFRESH"
    REPLAY_ENDED = "REPLAY_ENDED"
    AWAITS_BARS = "AWAITS_BARS"
    NO_POLICY_FOR_STAGE = "NO_POLICY_FOR_STAGE"
    CANCEL_UNDER_WAY = "CANCEL_UNDER_WAY"


@unique
class Ended(StrEnum):
    """How the last job of a bot's class ended, as its rest goes by it; a decision to rest says it as its detail."""

    NEVER = ""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASH = "CRASH"
    COULD_NOT_RUN = "COULD_NOT_RUN"
    """As things were; it says nothing about the input, and the bot rests as after one crash."""
    SUPERSEDED = "SUPERSEDED"


class ReasonInfo(NamedTuple):
    """A reason.

    Attributes:
        words: what is said of a bot, in a few words.
        meaning: what it says of the moment at which it was decided, which is not now.
        alone: why the tick enqueued nothing, where no bot with something due has a reason of another kind.
        act: who must act before the bot goes on; the gates themselves say it of BLOCKED_BY_GATES.
        is_limit: the bot is ready, and waits in line for a limit.
        frees: an ended job makes room, so it calls for a tick.
        has_job: the bot has work.
    """

    code: Reason
    words: str
    meaning: str
    alone: ZeroJobs
    act: Act = Act.NONE
    is_limit: bool = False
    frees: bool = False
    has_job: bool = False


REASONS: Final[Mapping[Reason, ReasonInfo]] = complete(Reason, {reason.code: reason for reason in (
    ReasonInfo(
        Reason.LOOP_DISABLED, "paused by an operator",
        "An operator had paused the loop, this stage or this bot; nothing is enqueued until it is resumed.",
        ZeroJobs.LOOP_DISABLED, Act.OPERATOR,
    ),
    ReasonInfo(Reason.ON_HOLD, "on hold", "An operator held this bot.", ZeroJobs.ALL_BOTS_BLOCKED_BY_GATES, Act.OPERATOR),
    ReasonInfo(
        Reason.NOTHING_DUE, "nothing due", "The planner looked and found nothing that was due then.", ZeroJobs.NO_CANDIDATES_MATCH_POLICY
    ),
    ReasonInfo(
        Reason.ACTIVE_JOB, "with a live job", "Everything that was due then already had a live job.",
        ZeroJobs.ALL_BOTS_HAVE_ACTIVE_JOBS, has_job=True,
    ),
    ReasonInfo(
        Reason.BLOCKED_BY_GATES, "blocked by gates", "At least one gate of the wanted job did not pass.",
        ZeroJobs.ALL_BOTS_BLOCKED_BY_GATES,
    ),
    ReasonInfo(Reason.COOLDOWN, "cooling down", "It was too soon after the last job of this kind.", ZeroJobs.ALL_BOTS_COOLDOWN),
    ReasonInfo(
        Reason.RATE_LIMITED, "hourly limit reached", "The fleet had enqueued as many jobs as it may in an hour.",
        ZeroJobs.MIXED, is_limit=True,
    ),
    ReasonInfo(
        Reason.CONCURRENCY_LIMIT, "waiting for a slot", "Every slot and the queue ahead were taken; the longest waiting bot is next.",
        ZeroJobs.MIXED, is_limit=True, frees=True,
    ),
    ReasonInfo(
        Reason.BACKPRESSURE, "runners are behind", "The runners did not keep up with what was queued.",
        ZeroJobs.MIXED, is_limit=True, frees=True,
    ),
    ReasonInfo(Reason.SCHEDULED, "job enqueued", "A job was enqueued.", ZeroJobs.MIXED, has_job=True),
)})  # fmt: skip
WITH_JOB: Final = frozenset(code.value for code, reason in REASONS.items() if reason.has_job)
"""Reasons of bots that have work, by their text."""
ZERO_JOBS: Final[Mapping[ZeroJobs, str]] = complete(ZeroJobs, {
    ZeroJobs.LOOP_DISABLED: "the loop is paused",
    ZeroJobs.NO_CANDIDATES_MATCH_POLICY: "nothing is due under the policy",
    ZeroJobs.ALL_BOTS_HAVE_ACTIVE_JOBS: "every bot with something due has a live job",
    ZeroJobs.ALL_BOTS_COOLDOWN: "every bot with something due is cooling down",
    ZeroJobs.ALL_BOTS_BLOCKED_BY_GATES: "every bot with something due is blocked by gates",
    ZeroJobs.MIXED: "for more than one reason",
})  # fmt: skip
DETAILS: Final[Mapping[Detail, str]] = complete(Detail, {
    Detail.NEXT_REFRESH: "next refresh",
    Detail.REPLAY_ENDED: "the replay has ended",
    Detail.AWAITS_BARS: "until more bars come",
    Detail.NO_POLICY_FOR_STAGE: "the policy wants nothing of this stage",
    Detail.CANCEL_UNDER_WAY: "a cancellation is under way",
})  # fmt: skip
ENDINGS: Final[Mapping[Ended, str]] = complete(Ended, {
    Ended.NEVER: "",
    Ended.SUCCEEDED: "after a success",
    Ended.FAILED: "after a failure that its input explains",
    Ended.CANCELLED: "after a cancellation",
    Ended.CRASH: "after a crash",
    Ended.COULD_NOT_RUN: "after a job that could not run where it was",
    Ended.SUPERSEDED: "after a job that a revert or a change ended",
})  # fmt: skip
