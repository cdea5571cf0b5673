"""Sealed records read lightly: the same facts as the codec reads, and never anything where the codec would stop.

The records are those of the real planner over a whole life of a bot, searches and paper sessions included.
"""

from dataclasses import replace
from typing import Any

import msgspec
import orjson
import pytest

from autonomy.chain import GENESIS, AcceptedTick, Chain, RunRecord
from autonomy.envelope import data_bytes
from autonomy.errors import Broken
from autonomy.events import BotDecision, JobEnqueued
from autonomy.reasons import Reason
from autonomy.values import JobType, derived_ids
from projection.fold.rows import blocking
from projection.fold.sealed import Decided, Ordered, facts_of
from support.builders import an_id
from support.histories import live_through, written_history
from support.lives import a_fleet, mark, on_paper, research, step
from support.ticks import TickDriver, a_seal, stored


def lives() -> list[TickDriver]:
    paper = on_paper()
    mark(paper, "aapl-sma", 3)
    step(paper)
    searching = a_fleet("aapl-sma", searches=True)
    research(searching, "aapl-sma")
    for _ in range(3):
        step(searching, after_ms=15_000)
    return [paper, searching, live_through(TickDriver(), written_history())]


@pytest.fixture(scope="module")
def ticks() -> list[AcceptedTick]:
    return [tick for driver in lives() for tick in driver.accepted]


def test_decisions_are_the_codecs(ticks: list[AcceptedTick]) -> None:
    seen, gated = 0, 0
    for tick in ticks:
        for (fact, _), event in zip(facts_of(tick), tick.events(), strict=True):
            assert isinstance(fact, Decided) == isinstance(event, BotDecision)
            if not isinstance(fact, Decided) or not isinstance(event, BotDecision):
                continue
            seen += 1
            for name in set(Decided.__struct_fields__) - {"blockers", "promotion"}:
                assert getattr(fact, name) == getattr(event, name), name
            assert orjson.loads(bytes(fact.blockers)) == [orjson.loads(data_bytes(part)) for part in event.blockers]
            if event.promotion is None:
                assert fact.gates is None
                continue
            gated += bool(event.promotion)
            assert fact.gates is not None
            names = ("code", "verdict", "measured", "required", "clears_when", "deciding")
            assert [[getattr(gate, name) for name in names] for gate in fact.gates] == [
                [getattr(gate, name) for name in names] for gate in event.promotion
            ]
            assert orjson.loads(bytes(fact.promotion)) == [orjson.loads(data_bytes(part)) for part in event.promotion]
    assert seen > 50
    assert gated > 5


def test_orders_are_the_codecs_and_searches_and_sessions_come_whole(ticks: list[AcceptedTick]) -> None:
    kinds = set()
    for tick in ticks:
        for (fact, _), event in zip(facts_of(tick), tick.events(), strict=True):
            assert isinstance(fact, Ordered) == isinstance(event, JobEnqueued)
            if not isinstance(fact, Ordered) or not isinstance(event, JobEnqueued):
                continue
            kinds.add(event.job_type)
            for name in ("job_id", "bot_id", "job_type", "job_class", "tick", "partition", "fingerprint", "bars_until"):
                assert getattr(fact, name) == getattr(event, name), name
            assert orjson.loads(bytes(fact.spec)) == orjson.loads(data_bytes(event))
            assert fact.whole == (event if event.paper or event.evolution else None)
    assert kinds >= {JobType.BACKTEST_BASELINE, JobType.RUNNER_START, JobType.EVOLVE}


def test_every_other_fact_is_the_codecs_own(ticks: list[AcceptedTick]) -> None:
    found = [
        (fact, event)
        for tick in ticks
        for (fact, _), event in zip(facts_of(tick), tick.events(), strict=True)
        if not isinstance(fact, Decided | Ordered)
    ]
    assert len({type(event) for _, event in found}) > 5
    assert all(fact == event for fact, event in found)


def test_a_fact_has_the_id_that_its_place_gives_it(ticks: list[AcceptedTick]) -> None:
    for tick in ticks:
        derived = derived_ids(len(tick.records), "record", tick.seal.tick, tick.seal.try_id)
        assert [event_id for _, event_id in facts_of(tick)] == list(derived)


def sealed(record: RunRecord) -> AcceptedTick:
    """A tick whose one record is this one, as a foreign planner might seal it."""
    records = [replace(record, tick=1, try_id=an_id("a"), seq=1)]
    chain = Chain()
    *_, tick = [chain.feed(one) for one in stored([*records, a_seal(GENESIS, records, "a")])]
    assert tick is not None
    return tick


def first_of(ticks: list[AcceptedTick], kind: str) -> RunRecord:
    return next(record for tick in ticks for record in tick.records if record.kind == kind)


def test_what_a_row_cannot_hold_stops_the_projection(ticks: list[AcceptedTick]) -> None:
    decision = first_of(ticks, BotDecision.wire)
    data = orjson.loads(decision.value)

    def written(**changes: Any) -> bytes:
        return orjson.dumps({**data, "data": {**data["data"], **changes}})

    ((fact, _),) = facts_of(sealed(replace(decision, value=written(detail="a word"))))
    assert isinstance(fact, Decided)  # the control: rewriting alone is no fault
    for value, why in [
        (written(detail="a\0b"), "NUL"),
        (written(reason="BECAUSE"), "reason"),
        (written(more=1), "unknown field"),
        (written(until="soon"), "until"),
        (written(promotionTo="MOON"), "promotionTo"),
        (orjson.dumps({**data, "type": "job-enqueued.v1"}), "is placed as"),
        (decision.value[:-1], "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"", "cannot be read"),
    ]:
        with pytest.raises(Broken, match=why):
            facts_of(sealed(replace(decision, value=value)))
    order = first_of(ticks, JobEnqueued.wire)
    with pytest.raises(Broken, match="jobType"):
        facts_of(sealed(replace(order, value=order.value.replace(b'"jobType":"', b'"jobType":"X'))))


def test_broken_gates_stop_it_too(ticks: list[AcceptedTick]) -> None:
    gated = next(
        record for tick in ticks for record in tick.records if record.kind == BotDecision.wire and b'"promotion":[{' in record.value
    )
    ((fact, _),) = facts_of(sealed(replace(gated, value=gated.value.replace(b'"verdict":"', b'"verdict":"X'))))
    assert isinstance(fact, Decided)
    with pytest.raises(Broken, match="verdict"):
        _ = fact.gates


def test_a_gate_without_a_say_blocks_nothing() -> None:
    figures = {"measured": "1", "required": "2", "clearsWhen": "3"}
    shown = [
        {"code": "A", "verdict": "FAIL", **figures}, {"code": "B", "verdict": "FAIL", "deciding": False, **figures},
        {"code": "C", "verdict": "PASS", **figures}, {"code": "D", "verdict": "INCONCLUSIVE", **figures},
    ]  # fmt: skip
    gates = Decided(bot_id="b", tick=1, reason=Reason.NOTHING_DUE, promotion=msgspec.Raw(orjson.dumps(shown))).gates
    assert gates is not None
    assert blocking(gates) == [{"code": "A", **figures}, {"code": "D", **figures}]
    assert Decided(bot_id="b", tick=1, reason=Reason.NOTHING_DUE).gates is None
