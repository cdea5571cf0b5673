"""The header's facts: is the data current, is the planner ticking, what did it decide; each said on its own.

Place in the flow: link state and `/api/_proof/autonomy` → **facts** → header. Pure. A page connection, a projection's age and
a planner's pulse are different things; none is derived from another.

Source: R-A1.3, R-A4; docs/architecture.md, "Honesty".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from autonomy.reasons import WITH_JOB, Reason
from bots_ui.api.documents import number_of, text_of
from bots_ui.shown import words
from bots_ui.shown.attention import UNKNOWN, Queue, queue_of
from bots_ui.shown.moments import NOT_KNOWN, Moments
from bots_ui.shown.words import bar_of, clock_words, instant_of, span_words, word_of

Tone = Literal["ok", "warn", "bad", "unknown"]
Trust = Literal["fresh", "stale", "unverified", "unavailable", "unreachable", "starting"]
Document = Mapping[str, object]
NOTHING: Final[Document] = {}
NAMES_SHOWN: Final = 3
NOT_CURRENT: Final = "Not available while the data is out of date."
NO_PLANNER: Final = "Not available while no planner leads: nobody would answer."


@dataclass(frozen=True, slots=True)
class Link:
    """How this process stands towards the proof API.

    Attributes:
        document: newest `/api/_proof/autonomy`; empty before the first.
        received_at: when it came.
        lost_since: since when nothing came; None while connected.
        why: what broke.
        sources: what the runners announced of their data, newest `/api/market-data`.
        attention: what needs a person, as the stream told it with its proof; empty before the first.
    """

    document: Document
    received_at: datetime | None
    lost_since: datetime | None
    why: str
    sources: tuple[Document, ...] = ()
    attention: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of the header: how it stands, in words, and the instant that its age counts from."""

    tone: Tone
    words: str
    at: datetime | None = None
    after: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """A number that filters the table."""

    code: str
    words: str
    count: int
    more: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What sources of bars announced of themselves, in words, and their names."""

    words: str
    name: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything above the table that is the same for every reader.

    Attributes:
        failing: the proof's checks that do not pass, in the words of the proof; the planner's own has a place of its own.
        reason: the proof's own word on a verdict that is neither ticking nor a pause.
        queue: what needs a person.
    """

    now: datetime
    trust: Trust
    warning: str
    warning_since: datetime | None
    data: Fact
    planner: Fact
    verdict: str
    verdict_tone: Tone
    verdict_why: str
    loop: Literal["ticking", "paused", "unknown"]
    paused: str
    paused_since: datetime | None
    tick: int | None
    last_tick_at: datetime | None
    next_tick_at: datetime | None
    interval_s: float | None
    evaluated: int | None
    enqueued: int | None
    blocked: int | None
    zero: str
    idle: tuple[Count, ...]
    market: str
    replay: bool
    replay_ended: bool
    sources: tuple[Source, ...] = ()
    failing: tuple[str, ...] = ()
    reason: str = ""
    queue: Queue = UNKNOWN

    @property
    def cannot(self) -> str:
        """Why nothing that is asked for can be done now; empty when it can."""
        if not self.fresh:
            return NOT_CURRENT
        return NO_PLANNER if self.verdict == "DOWN" else ""

    @property
    def moments(self) -> Moments:
        """When the planner last decided, and decides next, as far as that is current."""
        if self.trust in {"unreachable", "unavailable", "starting"}:
            return NOT_KNOWN
        return Moments(self.tick, self.last_tick_at, self.next_tick_at, silent=self.verdict == "DOWN")

    @property
    def fresh(self) -> bool:
        """Whether what is shown may keep its colour."""
        return self.trust == "fresh"


def facts_of(link: Link, now: datetime) -> Facts:
    """The facts at this moment."""
    document = link.document
    proof = part(document, "proof")
    checks = part(proof, "checks")
    trust = trust_of(link, proof)
    known = document if trust in {"fresh", "stale", "unverified"} else NOTHING
    summary = part(known, "lastDecisionSummary")
    verdict = text_of(proof, "verdict") if trust in {"fresh", "stale"} else ""
    pause = pause_of(known)
    market = part(known, "marketNow")
    warning, since = warning_of(trust, link, proof)
    market_at = instant_of(market.get("at"))
    return Facts(
        now=now, trust=trust, warning=warning, warning_since=since, data=data_fact(trust, link, proof),
        planner=planner_fact(trust, known, proof, text_of(checks, "planner"), now),
        verdict=verdict or "UNKNOWN", verdict_tone=verdict_tone(verdict), verdict_why=verdict_why(verdict, trust, proof),
        loop=loop_of(known, trust),
        paused=pause_words(pause),
        paused_since=instant_of(pause.get("since")), tick=whole(summary, "tick"), last_tick_at=instant_of(known.get("lastTickAt")),
        next_tick_at=instant_of(proof.get("nextTickAt")), interval_s=number_of(known, "tickIntervalSec"),
        evaluated=whole(summary, "botsEvaluated"), enqueued=whole(summary, "jobsEnqueued"), blocked=whole(summary, "blocked"),
        zero=zero_words(summary), idle=idle_counts(summary),
        market=market_at.strftime("%Y-%m-%d") if market_at else "", replay=text_of(market, "mode").upper() == "REPLAY",
        replay_ended=market.get("ended") is True, sources=sources_in_words(link.sources) if known else (),
        failing=failing_of(checks) if known else (), reason=text_of(proof, "reason") if verdict not in {"", "TICKING", "PAUSED"} else "",
        queue=queue_of(link.attention) if trust not in {"unreachable", "starting"} else UNKNOWN,
    )  # fmt: skip


def part(document: Document, key: str) -> Document:
    """An object inside a document; empty when it is missing or null."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else NOTHING


def whole(document: Document, key: str) -> int | None:
    """A whole number of a document, or None."""
    value = number_of(document, key)
    return None if value is None else int(value)


def trust_of(link: Link, proof: Document) -> Trust:
    """How far the rows can be trusted."""
    if link.lost_since is not None:
        return "unreachable"
    match text_of(proof, "status"):
        case "fresh":
            return "fresh"
        case "stale":
            return "stale"
        case "unverified":
            return "unverified"
        case "unavailable":
            return "unavailable"
        case _:
            return "starting"


def warning_of(trust: Trust, link: Link, proof: Document) -> tuple[str, datetime | None]:
    """The one line above the rows while they are not current, and since when the rows stand still."""
    reason = text_of(proof, "reason") or "no reason given"
    as_of = instant_of(proof.get("asOf"))
    match trust:
        case "fresh":
            return "", None
        case "starting":
            return "Not connected to the proof API yet", None
        case "unreachable":
            since = clock_words(link.lost_since) if link.lost_since else "the start"
            return f"Can't reach the proof API since {since} UTC ({link.why})", link.received_at
        case "stale":
            return f"These rows are behind: {reason}", as_of
        case "unverified":
            return f"These rows cannot be verified: {reason}", as_of
        case "unavailable":
            return f"These rows are not current: {reason}", as_of or link.received_at


def data_fact(trust: Trust, link: Link, proof: Document) -> Fact:
    """The age of the data, which is the projection's, not the page's."""
    as_of = instant_of(proof.get("asOf"))
    lag_ms = number_of(proof, "projectionLagMs")
    match trust:
        case "fresh" if as_of is None:
            return Fact("ok", f"{span_words((lag_ms or 0) / 1000)} old")
        case "fresh":
            return Fact("ok", "", as_of, " old")
        case "unreachable":
            return Fact("bad", "API unreachable for", link.lost_since)
        case "starting":
            return Fact("unknown", "not known yet")
        case "stale":
            return Fact("warn", "behind by", as_of)
        case "unverified":
            return Fact("warn", "unverified (Kafka does not answer)" if part(proof, "checks").get("kafka") == "down" else "unverified")
        case "unavailable":
            return Fact("bad", "unavailable, last from" if as_of else "unavailable", as_of, " ago" if as_of else "")


def planner_fact(trust: Trust, known: Document, proof: Document, check: str, now: datetime) -> Fact:
    """Whether a planner leads and ticks."""
    tick_at = instant_of(known.get("lastTickAt"))
    if trust in {"unreachable", "unavailable", "starting"} or check not in {"ok", "late", "down"}:
        return Fact("unknown", "unknown")
    if check == "down":
        pulse_ms = number_of(proof, "plannerPulseAgeMs")
        return Fact("bad", "never heard") if pulse_ms is None else Fact("bad", "silent for", now - timedelta(milliseconds=pulse_ms))
    if check == "late":
        return Fact("warn", "late: no tick for", tick_at)
    tick = whole(part(known, "lastDecisionSummary"), "tick")
    if tick is None or tick_at is None:
        return Fact("ok", "no tick yet")
    return Fact("ok", f"tick {tick:,} ·", tick_at, " ago", instant_of(proof.get("nextTickAt")))


def verdict_tone(verdict: str) -> Tone:
    """How a verdict is coloured; the word says it too."""
    match verdict:
        case "TICKING":
            return "ok"
        case "PAUSED" | "LATE":
            return "warn"
        case "DOWN" | "STALLED":
            return "bad"
        case "":
            return "unknown"
        case _:  # a newer API may know more ways of not ticking
            return "warn"


def verdict_why(verdict: str, trust: Trust, proof: Document) -> str:
    """Why nothing can run, or which check failed beside a planner that ticks; rows that are not current say it in their own line."""
    return text_of(proof, "reason") if trust == "fresh" and verdict in {"STALLED", "TICKING"} else ""


def loop_of(known: Document, trust: Trust) -> Literal["ticking", "paused", "unknown"]:
    """Whether the fleet's loop is on, as far as is known."""
    enabled = known.get("loopEnabled")
    if enabled is None or trust == "unverified":
        return "unknown"
    return "ticking" if enabled else "paused"


def pause_of(known: Document) -> Document:
    """The fleet's pause, if there is one."""
    pauses = known.get("pausedBy")
    if isinstance(pauses, list):
        for pause in pauses:
            if isinstance(pause, Mapping) and pause.get("scope") == "fleet":
                return pause
    return NOTHING


def pause_words(pause: Document) -> str:
    """Who paused the fleet, and why if that was said."""
    reason = text_of(pause, "reason")
    return f"by {text_of(pause, 'actor')}{': ' if reason else ''}{reason}" if pause else ""


def zero_words(summary: Document) -> str:
    """Why the last tick enqueued nothing; empty when it enqueued something."""
    reason = text_of(part(summary, "zeroJobs"), "reason")
    return word_of(words.NO_JOBS, reason) if reason else ""


def idle_counts(summary: Document) -> tuple[Count, ...]:
    """Bots without a job by reason, largest first; the gates behind a block are named."""
    counts = part(summary, "reasonCounts")
    found = [
        Count(code, word_of(words.REASON_WORDS, code), int(count), gate_words(summary) if code == Reason.BLOCKED_BY_GATES.value else "")
        for code, count in counts.items()
        if code not in WITH_JOB and isinstance(count, int) and count
    ]
    return tuple(sorted(found, key=lambda count: (-count.count, count.code)))


def gate_words(summary: Document) -> str:
    """The gates that block most, with their counts."""
    gates = summary.get("blockersTop")
    if not isinstance(gates, list):
        return ""
    return " · ".join(f"{text_of(gate, 'code')} {text_of(gate, 'count')}" for gate in gates[:3] if isinstance(gate, Mapping))


def failing_of(checks: Document) -> tuple[str, ...]:
    """Checks that do not pass; one that this page does not know is named as well."""
    found: list[str] = []
    for name, value in checks.items():
        word = text_of(value, "status") if isinstance(value, Mapping) else str(value)
        if name != "planner" and word not in {"ok", "off", "unknown", "None", ""}:
            found.append(f"{name}: {word}")
    return tuple(found)


def sources_in_words(sources: Iterable[Document]) -> tuple[Source, ...]:
    """What the sources announced of themselves: how many symbols, which bars, until when, and their names.

    Of a folder each file is a source of its own: what reads the same is said once.
    """
    found: dict[tuple[str, str], tuple[set[str], list[str]]] = {}
    for source in sources:
        listed, made_up = source.get("symbols"), ", made up" if source.get("synthetic") is True else ""
        bars = f"{word_of(words.TIMEFRAMES, text_of(source, 'timeframe'))}{made_up}"
        symbols, names = found.setdefault((bars, bar_of(source.get("lastBar"))), (set(), []))
        symbols.update(map(str, listed if isinstance(listed, list) else ()))
        names.append(text_of(source, "sourceId").partition("@")[0])
    return tuple(
        Source(f"{words.count_words(len(symbols), 'symbol')}, {bars}, to {last}", names_in_words(names))
        for (bars, last), (symbols, names) in found.items()
    )


def names_in_words(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
