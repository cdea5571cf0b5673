"""What of the log is told: accepted ticks, announcements of runners and unreadable records, as facts in words.

Place in the flow: chain, records → **facts** → desk → messages. Pure. What happened once is told once. What lasts (a drift, a failing
source, a quarantined bot) is told when it begins: its `ref` is remembered until its owner says that it is over.

Source: R-B4; docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from autonomy.attention import KINDS, AttentionKind
from autonomy.chain import AcceptedTick, sealed_record
from autonomy.envelope import Record, Undecodable, decode
from autonomy.events import (
    BotChanged,
    BotDecision,
    BotRetired,
    CapabilitiesAnnounced,
    ChallengerJudged,
    DriftJudged,
    HoldPlaced,
    HoldReleased,
    PromotionRecommended,
    PromotionWithdrawn,
    RecordQuarantined,
    SessionClosed,
    StageChanged,
)
from autonomy.gates import GATES, GateCode
from autonomy.topics import QUARANTINE, RUNNERS
from autonomy.values import PROMOTIONS, REVERTS, MoveReason
from notifier.kinds import APPLIED_TODO, REVERTED_TODO, Kind

MAX_WORDS: Final = 300
"""Characters of somebody else's words in a fact."""
QUARANTINED: Final = GateCode.NOT_QUARANTINED.value.encode()
TOLD_EVENTS: Final = frozenset(event.wire for event in (
    PromotionRecommended, PromotionWithdrawn, StageChanged, ChallengerJudged, HoldPlaced, HoldReleased, BotChanged, BotRetired, DriftJudged,
    SessionClosed,
))  # fmt: skip
"""Of ticks; a decision is looked into only where it names the quarantine, since there is one per bot."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened.

    Attributes:
        cause: facts of one kind and cause are told as one.
        unit, what: in words, such as "bot" and "reverted to LAB": what is counted, and what is said of it.
        why: who or what did it; of the first fact where there are many.
        bot: whose page shows it; empty: none.
        owner, ref: what lasts is remembered under these; empty: it happened once.
        lasts: whether it is told only when it begins.
    """

    kind: Kind
    cause: str
    unit: str
    what: str
    why: str
    todo: str
    bot: str = ""
    owner: str = ""
    ref: str = ""
    lasts: bool = False


@dataclass(frozen=True, slots=True)
class Over:
    """What an owner's facts were about is over, but for those still named."""

    owner: str
    still: frozenset[str] = frozenset()


Item = Fact | Over


def items_of_tick(tick: AcceptedTick) -> Iterator[Item]:
    """What an accepted tick says that is told."""
    for record in tick.records:
        if record.kind in TOLD_EVENTS or (record.kind == BotDecision.wire and QUARANTINED in record.value):
            yield from _items_of_event(sealed_record(record).event, tick.seal.tick)


def _items_of_event(event: object, tick: int) -> Iterator[Item]:
    match event:
        case PromotionRecommended():
            kind = KINDS[AttentionKind.APPROVAL]
            yield Fact(
                Kind.RECOMMENDED, event.to_stage, kind.unit, kind.what.format(event.to_stage), f"all its gates pass in tick {tick}",
                kind.todo, event.bot_id, _recommendation(event.recommendation_id), event.recommendation_id,
            )  # fmt: skip
        case PromotionWithdrawn():
            yield Over(_recommendation(event.recommendation_id))
        case StageChanged():
            yield from _moved(event, tick)
        case ChallengerJudged() if event.applied:
            why = f"the challenger of job {event.job_id} wins, in tick {tick}"
            yield Fact(Kind.APPLIED, "challenger", "bot", "became the winner of its search", why, APPLIED_TODO, event.bot_id)
        case HoldPlaced() if event.kind == "QUARANTINE":
            yield _quarantined(event.bot_id, event.reason)
        case BotDecision():
            found = next((each for each in event.blockers if each.code == GateCode.NOT_QUARANTINED), None)
            if found is not None:
                yield _quarantined(event.bot_id, found.clears_when)
        case HoldReleased() if event.kind == "QUARANTINE":
            yield Over(_bot(event.bot_id))
        case BotChanged() | BotRetired():
            yield Over(_bot(event.bot_id))
        case DriftJudged():
            yield from _drifted(event, tick)
        case SessionClosed():
            yield Over(_session(event.session_id))
        case _:  # an operator's hold, a challenger that lost: nobody is told
            pass


def _moved(event: StageChanged, tick: int) -> Iterator[Item]:
    by = f"by {event.actor}" + (f", command {event.command_id}" if event.command_id else "") + f", in tick {tick}"
    if event.reason_code in REVERTS:
        cause = event.command_id or f"{event.reason_code}/{event.actor}"
        yield Fact(Kind.REVERTED, cause, "bot", f"reverted to {event.to_stage}", by, REVERTED_TODO, event.bot_id)
        yield Over(_bot(event.bot_id))
    elif event.reason_code in PROMOTIONS:
        if event.recommendation_id:
            yield Over(_recommendation(event.recommendation_id))
        auto = " by itself" if event.reason_code == MoveReason.AUTO_PROMOTED else ""
        what = f"promoted to {event.to_stage}{auto}"
        yield Fact(Kind.APPLIED, f"{event.reason_code}/{event.to_stage}", "bot", what, by, APPLIED_TODO, event.bot_id)


def _drifted(event: DriftJudged, tick: int) -> Iterator[Item]:
    if not event.demote:
        yield Over(_session(event.session_id))
        return
    kind = KINDS[AttentionKind.DRIFT]
    why = f"in tick {tick}: {_short('; '.join(event.findings))}"
    owner = _session(event.session_id)
    yield Fact(
        Kind.DRIFT, event.verdict, kind.unit, kind.what.format(event.verdict), why, kind.todo, event.bot_id, owner, owner, lasts=True
    )


def _quarantined(bot_id: str, clears: str) -> Fact:
    gate = GATES[GateCode.NOT_QUARANTINED]
    why, todo = f"it {gate.title}", _short(clears) or KINDS[AttentionKind.BLOCKED].todo
    return Fact(Kind.QUARANTINED, gate.code, "bot", "in quarantine", why, todo, bot_id, _bot(bot_id), _bot(bot_id), lasts=True)


def items_of_record(record: Record) -> Iterator[Item]:
    """What a record beside the chain says that is told: a runner's source of bars, and what could not be read.

    A record that cannot be read says nothing here: the projection says so in the quarantine.
    """
    if record.topic == RUNNERS:
        # Trades and marks are a thousand times as many; an announcement names itself in its envelope.
        if record.value is None or CapabilitiesAnnounced.wire.encode() not in record.value:
            return
        received = decode(record.value, RUNNERS)
        if not isinstance(received, Undecodable) and isinstance(received.event, CapabilitiesAnnounced):
            yield from _announced(received.event)
    elif record.topic == QUARANTINE:
        received = decode(record.value, QUARANTINE)
        if not isinstance(received, Undecodable) and isinstance(received.event, RecordQuarantined):
            yield _unreadable(received.event)


def _announced(event: CapabilitiesAnnounced) -> Iterator[Item]:
    kind = KINDS[AttentionKind.SOURCE]
    refs = {f"source/{fault.name}/{fault.reason}": fault for fault in event.faults}
    yield Over(event.process_id, frozenset(refs))
    for ref, fault in refs.items():
        more = _short(f"{fault.name}: {fault.reason}")
        in_use = "the last good bars of it stay in use" if fault.in_use else "nothing of it is in use"
        yield Fact(Kind.SOURCE, fault.reason, kind.unit, kind.what.format(more), in_use, kind.todo, "", event.process_id, ref, lasts=True)


def _unreadable(event: RecordQuarantined) -> Fact:
    kind = KINDS[AttentionKind.QUARANTINE]
    what, place = kind.what.partition(",")[0], f"{event.source_topic}/{event.source_partition} at offset {event.source_offset}"
    ref = f"record/{place}"
    why = f"{place}: {_short(event.reason)}"
    return Fact(Kind.QUARANTINED, event.source_topic, kind.unit, what, why, kind.todo, "", ref, ref)


def _short(words: str) -> str:
    return words if len(words) <= MAX_WORDS else f"{words[: MAX_WORDS - 1]}…"


def _recommendation(recommendation_id: str) -> str:
    return f"recommendation/{recommendation_id}"


def _bot(bot_id: str) -> str:
    return f"bot/{bot_id}"


def _session(session_id: str) -> str:
    return f"session/{session_id}"
