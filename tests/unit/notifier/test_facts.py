"""What of a bot's whole life is told, with the planner's own ticks; and what lasts is told when it begins.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

from collections import Counter
from functools import cache
from typing import Any

import pytest

from autonomy.chain import AcceptedTick
from autonomy.envelope import encode
from autonomy.events import BotDecision, CapabilitiesAnnounced, HoldReleased, RecordQuarantined, SourceFault
from autonomy.events.tick import Blocker
from autonomy.gates import GateCode, Verdict
from autonomy.reasons import Reason
from autonomy.topics import QUARANTINE, RUNNERS
from autonomy.values import instant_of_ms
from notifier.facts import Fact, Item, Over, _items_of_event, items_of_record, items_of_tick
from notifier.kinds import Kind
from support import lives
from support.builders import NOON_MS, a_digest, an_id, capabilities
from support.stored_log import Stored


@cache
def whole_life() -> tuple[AcceptedTick, ...]:
    return tuple(lives.a_whole_life().accepted)


def told(ticks: "tuple[AcceptedTick, ...]") -> list[Item]:
    return [item for tick in ticks for item in items_of_tick(tick)]


def facts(kind: Kind) -> list[Fact]:
    return [item for item in told(whole_life()) if isinstance(item, Fact) and item.kind is kind]


def test_a_whole_life_tells_every_kind_that_ticks_know() -> None:
    counted = Counter(item.kind for item in told(whole_life()) if isinstance(item, Fact))
    assert set(counted) >= {Kind.RECOMMENDED, Kind.APPLIED, Kind.REVERTED, Kind.DRIFT}
    assert [fact.what for fact in facts(Kind.REVERTED)] == ["reverted to LAB"]
    assert "by ada, command" in facts(Kind.REVERTED)[0].why


def test_the_words_are_those_of_the_attention_page() -> None:
    assert (facts(Kind.RECOMMENDED)[0].unit, facts(Kind.RECOMMENDED)[0].what) == ("promotion", "to PAPER for approval")
    assert (facts(Kind.DRIFT)[0].unit, facts(Kind.DRIFT)[0].what) == ("paper session", "not as the engine: MAJOR")
    assert facts(Kind.DRIFT)[0].todo == "look at the findings; revert the bot to LAB"


def test_every_recommendation_is_over_once_it_was_decided() -> None:
    recommended = {fact.owner for fact in facts(Kind.RECOMMENDED)}
    over = {item.owner for item in told(whole_life()) if isinstance(item, Over)}
    assert recommended
    assert recommended <= over, "each was applied or withdrawn in this life"


def a_decision(*codes: str) -> BotDecision:
    blockers = tuple(
        Blocker(code=code, verdict=Verdict.FAIL, measured="3 crashes in a row", required="fewer than 3", clears_when="an operator releases the hold")
        for code in codes
    )  # fmt: skip
    return BotDecision(bot_id="a", tick=3, reason=Reason.BLOCKED_BY_GATES, blockers=blockers)


def test_a_quarantined_bot_is_told_by_its_decision_and_over_when_it_is_released() -> None:
    (fact,) = _items_of_event(a_decision(GateCode.NOT_QUARANTINED), 3)
    (over,) = _items_of_event(HoldReleased(bot_id="a", kind="QUARANTINE", actor="ada"), 4)
    assert isinstance(fact, Fact)
    assert isinstance(over, Over)
    assert (fact.kind, fact.bot, fact.lasts, fact.todo) == (Kind.QUARANTINED, "a", True, "an operator releases the hold")
    assert fact.owner == over.owner
    assert list(_items_of_event(a_decision(GateCode.MARKET_DATA), 3)) == []


def a_record(event: Any, topic: str) -> Stored:
    value = encode(event, source="test", subject="test", time=instant_of_ms(NOON_MS), event_id=an_id("record"))
    return Stored(topic, 0, 5, value)


def an_announcement(*faults: SourceFault) -> CapabilitiesAnnounced:
    plain = capabilities("runner-1")
    return plain.model_copy(update={"faults": faults})


def test_a_source_that_fails_is_told_with_its_runner_as_owner() -> None:
    fault = SourceFault(name="IBM", reason="two bars at one time", in_use=True)
    over, fact = items_of_record(a_record(an_announcement(fault), RUNNERS))
    assert isinstance(over, Over)
    assert isinstance(fact, Fact)
    assert over.still == {fact.ref}, "the runner's other faults are over"
    assert fact.what == "of a source of bars cannot be used: IBM: two bars at one time"
    (well,) = items_of_record(a_record(an_announcement(), RUNNERS))
    assert well == Over(over.owner)


def test_an_unreadable_record_is_told_with_its_place() -> None:
    said = RecordQuarantined(
        source_topic="autonomy.jobs",
        source_partition=3,
        source_offset=77,
        sha256=a_digest("x"),
        size_bytes=3,
        reason="no JSON",
        excerpt="x",
    )
    (fact,) = items_of_record(a_record(said, QUARANTINE))
    assert isinstance(fact, Fact)
    assert (fact.kind, fact.why) == (Kind.QUARANTINED, "autonomy.jobs/3 at offset 77: no JSON")


@pytest.mark.parametrize("topic", [RUNNERS, QUARANTINE])
@pytest.mark.parametrize("value", [None, b"", b"capabilities-announced.v1", b"\xff\xfe"])
def test_what_cannot_be_decoded_says_nothing(topic: str, value: bytes | None) -> None:
    assert list(items_of_record(Stored(topic, 0, 5, value))) == []
