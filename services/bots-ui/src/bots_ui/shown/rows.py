"""One bot as the page shows it: lane 1, lane 2, stage, result, and the card that says why.

Place in the flow: a document of `/api/bots` or the stream → **row** → template. Pure. The badge is `state` and nothing else;
job fields only add what they say (progress, place, beat). Nothing here decides what a bot does.

Source: R-B1, R-B2, R-B3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from autonomy.documents.keys import BotListedKey
from autonomy.gates import GateCode, needs_of
from autonomy.reasons import WITH_JOB, Detail, Reason
from autonomy.values import BotState, JobStatus, Recency
from bots_ui.api.documents import number_of, text_of
from bots_ui.shown import words
from bots_ui.shown.charts import spark_path
from bots_ui.shown.columns import cells_of
from bots_ui.shown.moments import NOT_KNOWN, Moments
from bots_ui.shown.words import MISSING, NOT_RECORDED, bar_of, instant_of, word_of

LEASE_S: Final = 15.0
"""Shown limit of a beat's age while the API does not tell the lease in force."""
UNKNOWN_SHAPE: Final = "unknown"
Document = Mapping[BotListedKey, object]


@dataclass(frozen=True, slots=True)
class Badge:
    """Lane 1: shape and word, from the state alone."""

    code: str
    shape: str
    word: str


@dataclass(frozen=True, slots=True)
class Blocker:
    """A gate that does not pass, as recorded."""

    code: str
    meaning: str
    verdict: str
    measured: str
    required: str
    clears: str
    acts: str


@dataclass(frozen=True, slots=True)
class Job:
    """The active job as recorded."""

    id: str
    type: str
    words: str
    status: str
    phase: str
    percent: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """The newest evidence as a line; its numbers are columns of the list."""

    spark: str
    until: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """How far the gates to the next stage are, as last recorded.

    Attributes:
        to: next stage; empty at the last one.
        gates, passed: how many there are, and how many do not block; shadow gates never block.
        waits: OPEN or REQUESTED while a recommendation waits for people.
    """

    to: str
    gates: int
    passed: int
    blockers: tuple[Blocker, ...]
    waits: str


@dataclass(frozen=True, slots=True)
class SessionNow:
    """The open paper session after its last bar."""

    equity: str
    pnl: str
    trades: str
    units: float
    replay: bool
    bar: str
    marked_at: datetime | None
    drift: str
    demote: bool


@dataclass(frozen=True, slots=True)
class BotRow:
    """Everything that one row and its card show.

    Attributes:
        extra: what follows the word in the badge: phase, place in line, reason.
        silent_s: age of the active job's last beat, when it is over the lease; else None.
        next_at: when something becomes due; `next_words` says it where there is no instant.
        due: what was planned is due by now; the planner looks at it in its next tick.
        runner_stale: a second mark beside the badge, whatever the badge says.
        runner_starting: the paper runner behind another badge has not beaten yet.
        trading: a paper runner trades behind another badge; with its gain, where that is known.
        why: why it evolves.
        moments: when the planner last decided and decides next.
        cells: texts of the list's plain columns.
        needs: whom it waits for, where it has a blocker.
        signature: changes when the badge changes; a change is shown by a short warmth.
    """

    id: str
    name: str
    badge: Badge
    extra: str
    since: datetime | None
    silent_s: float | None
    job: Job | None
    pill: str
    recency: str
    stage: str
    unverified: bool
    pinned: bool
    pin_reason: str
    pinned_by: str
    pinned_until: datetime | None
    promotion: Promotion | None
    session: SessionNow | None
    strategy: str
    symbol: str
    made_up: bool
    result: Result | None
    next_at: datetime | None
    next_words: str
    reason: str
    reason_words: str
    reason_meaning: str
    detail: str
    would: str
    blockers: tuple[Blocker, ...]
    due: bool = False
    runner_stale: bool = False
    runner_starting: bool = False
    trading: str = ""
    why: str = ""
    moments: Moments = NOT_KNOWN
    left: bool = False
    cells: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    strategy_name: str = ""

    @property
    def signature(self) -> str:
        """What the eye should be led to when it changes."""
        return f"{self.badge.code}/{self.badge.word}/{self.reason}/{'silent' if self.silent_s is not None else ''}"

    @property
    def just_ended(self) -> bool:
        """Whether the last decision was about a job that has ended since."""
        return self.job is None and self.reason in WITH_JOB


def badge_of(state: object, *, starting: bool = False) -> Badge:
    """The badge of a state, with one word for each; a state that this page does not know is shown as its code.

    Args:
        state: lane 1 as recorded.
        starting: a runner that has not beaten yet and is within its first lease: no alarm, and said so.
    """
    try:
        known = BotState(str(state))
    except ValueError:
        return Badge(str(state), UNKNOWN_SHAPE, str(state or "Unknown"))
    if starting and known is BotState.RUNNER_STALE:
        return Badge(known.value, words.STARTING_SHAPE, words.STARTING)
    return Badge(known.value, words.SHAPES[known], words.STATES[known])


def row_of(document: Document, now: datetime, *, fresh: bool = True, left: bool = False, moments: Moments = NOT_KNOWN) -> BotRow:
    """The row of a bot.

    Args:
        document: an item of `/api/bots`.
        now: the reader's clock; only ages are computed with it.
        fresh: whether the data behind it is current; a beat's age says nothing while it is not.
        left: the bot no longer matches the filter under which it is shown.
        moments: when the planner last decided and decides next.
    """
    badge = badge_of(document.get("state"), starting=starting_of(document, now))
    job = job_of(document)
    reason = text_of(document, "reasonCode")
    blockers = blockers_of(document.get("blockers"))
    recency = text_of(document, "recency") or Recency.NONE.value
    next_at, next_words = next_of(document, blockers)
    return BotRow(
        id=text_of(document, "botId"), name=text_of(document, "name") or text_of(document, "botId"), badge=badge,
        extra=extra_of(badge, job, document, blockers, due=due_of(document, now)), since=instant_of(document.get("since")),
        silent_s=silent_of(document, now) if fresh else None, job=job, pill=word_of(words.RECENCIES, recency), recency=recency,
        stage=text_of(document, "stage"), unverified=is_unverified(blockers), pinned=document.get("pinned") is True,
        pin_reason=text_of(document, "pinReason"), pinned_by=text_of(document, "pinnedBy"),
        pinned_until=instant_of(document.get("pinnedUntil")), promotion=promotion_of(document), session=session_of(document),
        strategy=words.strategy_words(text_of(document, "strategy"), document.get("parameters")),
        symbol=words.market_words(text_of(document, "symbol"), text_of(document, "timeframe")), made_up=document.get("synthetic") is True,
        result=result_of(document), next_at=next_at, next_words=next_words, reason=reason,
        reason_words=word_of(words.REASON_WORDS, reason) if reason else NOT_RECORDED,
        reason_meaning=word_of(words.REASON_MEANINGS, reason) if reason in words.REASON_MEANINGS else "",
        detail=word_of(words.DETAIL_WORDS, text_of(document, "detail")), would=text_of(document, "would"), blockers=blockers,
        due=due_of(document, now), runner_stale=document.get("runnerStale") is True,
        runner_starting=text_of(document, "runnerJobId") != "" and instant_of(document.get("runnerBeatAt")) is None,
        trading=trading_words(document), why=words.WHY_EVOLVED.get(text_of(document, "jobWhy"), ""), moments=moments, left=left,
        cells=cells_of(document), needs=needs_word(document), strategy_name=text_of(document, "strategy"),
    )  # fmt: skip


def percent_of(progress: float | None) -> int | None:
    """Reported progress as whole percent; 100 only at the very end."""
    return None if progress is None else min(100, max(0, int(progress * 100)))


def job_of(document: Document) -> Job | None:
    """The active job, if one is named."""
    identity = text_of(document, "jobId")
    if not identity:
        return None
    kind = text_of(document, "jobType")
    return Job(
        identity, kind, word_of(words.JOB_TYPES, kind), text_of(document, "jobStatus"), text_of(document, "phase"),
        percent_of(number_of(document, "progress")),
    )  # fmt: skip


def extra_of(badge: Badge, job: Job | None, document: Document, blockers: Sequence[Blocker], *, due: bool = False) -> str:
    """What the badge adds to its word; never another state's word."""
    place = number_of(document, "place")
    match badge.code:
        case BotState.BACKTEST_QUEUED:
            return f"{words.ordinal(int(place))} in line" if place else ""
        case BotState.EVOLVING if job is not None and job.status == JobStatus.QUEUED:
            return f"queued, {words.ordinal(int(place))} in line" if place else "queued"
        case BotState.RUNNER_RUNNING if number_of(document, "sessionPnl") is not None:
            return f"{words.money_words(number_of(document, 'sessionPnl'), sign=True)} USD"
        case BotState.BLOCKED_BY_GATES if blockers:
            return blockers[0].code + (f" +{len(blockers) - 1}" if len(blockers) > 1 else "")
        case BotState.RUNNER_STALE if job is not None and job.status == JobStatus.QUEUED:
            return "no runner took it yet"
        case BotState.IDLE:
            return idle_words(document, due=due)
        case _:
            return ""


def promotion_of(document: Document) -> Promotion | None:
    """How far the promotion gates are; None where none is recorded."""
    to, gates = text_of(document, "promotionTo"), int(number_of(document, "promotionGates") or 0)
    waits = text_of(document, "recommendationStatus") if text_of(document, "recommendationId") else ""
    if not to and not waits:
        return None
    blockers = blockers_of(document.get("promotionBlockers"))
    return Promotion(to, gates, max(0, gates - len(blockers)), blockers, waits)


def session_of(document: Document) -> SessionNow | None:
    """The open paper session; None without one."""
    if not text_of(document, "sessionId"):
        return None
    return SessionNow(
        words.money_words(number_of(document, "sessionEquity")), words.money_words(number_of(document, "sessionPnl"), sign=True),
        words.figure_words(number_of(document, "sessionTrades"), 0), number_of(document, "sessionUnits") or 0.0,
        document.get("sessionReplay") is True, bar_of(document.get("lastMarkBar")), instant_of(document.get("lastMarkAt")),
        text_of(document, "drift"), document.get("demote") is True,
    )  # fmt: skip


def trading_words(document: Document) -> str:
    """What a paper runner behind a research badge is said to do; empty without one, and while its heartbeat is missing."""
    researches = document.get("state") in {BotState.BACKTEST_RUNNING, BotState.BACKTEST_QUEUED, BotState.EVOLVING}
    beats = document.get("runnerStatus") == JobStatus.RUNNING.value and instant_of(document.get("runnerBeatAt")) is not None
    if not researches or not beats or document.get("runnerStale") is True:
        return ""
    pnl = number_of(document, "sessionPnl")
    return "trading" if pnl is None else f"trading {words.money_words(pnl, sign=True)} USD"


def starting_of(document: Document, now: datetime) -> bool:
    """Whether a runner without a heartbeat may still be starting: for one lease from when it was wanted or claimed."""
    since = instant_of(document.get("since"))
    if document.get("runnerStarting") is not True or since is None:
        return False
    return (now - since).total_seconds() <= (number_of(document, "leaseSec") or LEASE_S)


def due_of(document: Document, now: datetime) -> bool:
    """Whether what was planned is due by now: the planner looks at it in its next tick, and until then nothing is wrong."""
    at, _ = next_of(document, ())
    return at is not None and at <= now


def idle_words(document: Document, *, due: bool = False) -> str:
    """Why an idle bot is idle, in two or three words."""
    reason, detail = text_of(document, "reasonCode"), text_of(document, "detail")
    if not reason:
        return NOT_RECORDED
    if reason in WITH_JOB:
        return "job just ended"
    if reason == Reason.NOTHING_DUE and detail in {Detail.REPLAY_ENDED, Detail.AWAITS_BARS, Detail.NO_POLICY_FOR_STAGE}:
        return words.DETAIL_WORDS[detail]
    if reason == Reason.NOTHING_DUE and due:
        return "due at the next tick"
    return word_of(words.REASON_WORDS, reason)


def silent_of(document: Document, now: datetime) -> float | None:
    """Age of the beat in seconds when a running job has been silent for over a lease.

    The API's own `basis` counts where it is told.
    """
    if document.get("jobStatus") != JobStatus.RUNNING.value:
        return None
    beat = instant_of(document.get("lastBeatAt"))
    if beat is None:
        return None
    age_s = (now - beat).total_seconds()
    basis = document.get("basis")
    lease_s = number_of(document, "leaseSec") or LEASE_S
    silent = basis == "stale" if basis in {"fresh", "stale"} else age_s > lease_s
    return age_s if silent else None


def blockers_of(value: object) -> tuple[Blocker, ...]:
    """The recorded blockers."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(
        Blocker(
            text_of(item, "code"), word_of(words.GATE_TITLES, text_of(item, "code")), text_of(item, "verdict"),
            text_of(item, "measured") or "not recorded", text_of(item, "required") or "not recorded",
            text_of(item, "clearsWhen") or "not recorded",
            words.acts_words(text_of(item, "code"), text_of(item, "verdict"), text_of(item, "clearsWhen")),
        )
        for item in value
        if isinstance(item, Mapping)
    )  # fmt: skip


def needs_word(document: Document) -> str:
    """Whom a bot waits for, by the word of the filter; empty without a blocker."""
    value = document.get("blockers")
    items = [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
    return needs_of((text_of(item, "code"), text_of(item, "verdict"), text_of(item, "clearsWhen")) for item in items) or ""


def is_unverified(blockers: Sequence[Blocker]) -> bool:
    """Whether the stage was imported and never earned; where a bot came from says nothing of its stage now."""
    return any(blocker.code == GateCode.UNVERIFIED_IMPORT for blocker in blockers)


def result_of(document: Document) -> Result | None:
    """The newest evidence; None before the first."""
    if instant_of(document.get("evidenceAt")) is None:
        return None
    return Result(spark_path(document.get("spark")), bar_of(document.get("evidenceUntil")))


def next_of(document: Document, blockers: Sequence[Blocker]) -> tuple[datetime | None, str]:
    """What comes next: an instant, or what would have to happen first."""
    if text_of(document, "reasonCode") == Reason.LOOP_DISABLED.value:
        return None, "when the loop is resumed"
    due = instant_of(document.get("untilAt")) or instant_of(document.get("nextDueAt"))
    if due is not None:
        return due, ""
    return None, blockers[0].clears if blockers else MISSING
