"""A decision is written without its model: the bytes are those that the model writes, and what a reader would refuse is never written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.chain import write_records
from autonomy.envelope import Ready, data_bytes
from autonomy.errors import Broken
from autonomy.events import Blocker, BotDecision, BotRetired, GateFigure, GateResult
from autonomy.gates import GateCode, PromotionGate, Verdict
from autonomy.reasons import Reason
from autonomy.values import JobType, Stage, derived_id, derived_ids, instant_of_ms, iso, iso_of_ms
from planner.decide.decision_json import decision_bytes
from planner.decide.gates import Finding
from planner.decide.measures import Measure
from planner.decide.promotion_gates import Gate
from planner.decide.wishes import Decision
from support.builders import NOON_MS, a_digest, an_id

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
INSTANTS = st.integers(-(2**33) * 1000, 2**33 * 1000)
"""Up to 2242: beyond, a float of seconds holds no milliseconds any more, and neither does the instant made of it."""
IDS = st.none() | st.integers(0, 3).map(lambda number: an_id(str(number)))
DIGESTS = st.none() | st.just(a_digest("x"))
COUNTS = st.none() | st.integers(0, 2**53 - 1)
FINDINGS = st.builds(
    Finding, st.sampled_from([*GateCode, *PromotionGate]), st.sampled_from(Verdict), TEXTS, TEXTS, TEXTS, IDS, COUNTS, DIGESTS
)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
MEASURES = st.builds(Measure, TEXTS, NUMBERS, NUMBERS, NUMBERS)
GATES = st.builds(
    Gate, st.sampled_from(PromotionGate), st.sampled_from(Verdict), TEXTS, TEXTS, TEXTS, st.booleans(), IDS, COUNTS, DIGESTS,
    st.none() | INSTANTS, st.lists(MEASURES, max_size=3).map(tuple),
)  # fmt: skip
DECISIONS = st.builds(
    Decision, bot_id=st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True), reason=st.sampled_from(Reason),
    job_type=st.none() | st.sampled_from(JobType), detail=TEXTS, job_id=IDS, until_ms=st.none() | INSTANTS,
    next_due_ms=st.none() | INSTANTS, limit=st.none() | TEXTS, limit_value=COUNTS, place=COUNTS,
    would=st.none() | st.sampled_from(Reason), due_since_ms=st.none() | INSTANTS,
)  # fmt: skip


def model_of(decision: Decision, tick: int, found: list[Finding], gates: list[Gate] | None, stage: Stage | None) -> BotDecision:
    """The same decision as the contract's own model."""

    def at(instant_ms: int | None) -> object:
        return None if instant_ms is None else instant_of_ms(instant_ms)

    return BotDecision(
        bot_id=decision.bot_id, tick=tick, reason=decision.reason, job_type=decision.job_type, job_id=decision.job_id,
        blockers=tuple(Blocker(**{**each._asdict(), "code": each.code.value}) for each in found),
        promotion=None if gates is None else tuple(
            GateResult(**{
                **{name: value for name, value in each._asdict().items() if name not in {"expires_ms", "measures"}},
                "code": each.code.value, "expires_at": at(each.expires_ms),
                "figures": tuple(GateFigure(**one._asdict()) for one in each.measures),
            }) for each in gates
        ),
        promotion_to=stage, detail=decision.detail, until=at(decision.until_ms), next_due_at=at(decision.next_due_ms),
        limit=decision.limit, limit_value=decision.limit_value, place=decision.place, would=decision.would,
        due_since=at(decision.due_since_ms),
    )  # fmt: skip


@given(DECISIONS, st.integers(0, 2**53 - 1), st.lists(FINDINGS, max_size=3), st.none() | st.lists(GATES, max_size=3), st.none() | st.sampled_from(Stage))  # fmt: skip
def test_a_decision_is_written_as_its_model_writes_it(
    decision: Decision, tick: int, found: list[Finding], gates: list[Gate] | None, stage: Stage | None
) -> None:
    model = model_of(decision, tick, found, gates, stage)
    written = decision_bytes(decision, tick, found, gates, stage)
    assert written == data_bytes(model)
    again = BotDecision.model_validate_json(written)
    assert again == model
    assert data_bytes(again) == written


@pytest.mark.parametrize("changes", [{"detail": "x" * 501}, {"place": -1}, {"limit_value": 2**53}])
def test_what_no_reader_would_take_is_not_written(changes: dict[str, object]) -> None:
    decision = Decision("a", Reason.NOTHING_DUE)
    assert decision_bytes(decision, 1, (), None, None)
    with pytest.raises(Broken, match="cannot be told"):
        decision_bytes(decision._replace(**changes), 1, (), None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", Gate._fields[2:5])
def test_a_gate_in_too_many_words_is_not_written(name: str) -> None:
    gate = Gate(PromotionGate.DRIFT, Verdict.FAIL, "m", "r", "c", True, None, None, None, None)
    assert decision_bytes(Decision("a", Reason.NOTHING_DUE), 1, (), (gate,), None)
    changes: dict[str, Any] = {name: "x" * 501}
    wordy = gate._replace(**changes)
    with pytest.raises(Broken, match="cannot be told"):
        decision_bytes(Decision("a", Reason.NOTHING_DUE), 1, (), (wordy,), None)


@given(st.integers(0, 40), st.text(max_size=10))
def test_ids_of_a_row_are_those_derived_one_by_one(count: int, cause: str) -> None:
    assert list(derived_ids(count, "record", 7, cause)) == [derived_id("record", 7, cause, number) for number in range(1, count + 1)]


@given(INSTANTS)
def test_an_instant_of_milliseconds_is_shown_as_any_other(instant_ms: int) -> None:
    assert iso_of_ms(instant_ms) == iso(instant_of_ms(instant_ms))


def test_an_event_that_is_written_already_gives_the_same_record() -> None:
    event = BotRetired(bot_id="a", actor="ada")
    ready = Ready(event.wire, data_bytes(event))
    assert write_records([ready], ["a"], 1, an_id("t"), NOON_MS) == write_records([event], ["a"], 1, an_id("t"), NOON_MS)
