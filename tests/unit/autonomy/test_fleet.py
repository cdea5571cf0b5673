"""Bots as operators write them, and the fingerprint that binds evidence to what was tested.

Source: R-F7.
"""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.errors import BadInput
from autonomy.events import Costs
from autonomy.fleet import fingerprint_of, read_bot
from autonomy.values import Origin, Stage
from support.builders import a_bot_document, a_digest
from support.offers import OFFERS, checked

KNOWN_BY_THE_STRATEGY: list[tuple[dict[str, Any], str]] = [
    ({"strategy": "get-rich"}, "strategy"),
    ({"parameters": {"fast": 1}}, "parameters.fast"),
    ({"parameters": {"fast": 201}}, "parameters.fast"),
    ({"parameters": {"fast": 20.5}}, "parameters.fast"),
    ({"parameters": {"fast": "20"}}, "parameters.fast"),
    ({"parameters": {"fast": 50, "slow": 20}}, "parameters.fast"),
    ({"parameters": {"speed": 3}}, "parameters.speed"),
    ({"parameters": {"direction": "short"}}, "parameters.direction"),
]
"""What is told only when somebody has announced the strategy."""
REFUSED_BY_ALL: list[tuple[dict[str, Any], str]] = [
    ({"id": "AAPL"}, "id"),
    ({"id": ""}, "id"),
    ({"id": "a" * 65}, "id"),
    ({"id": "aapl\n"}, "id"),
    ({"id": 7}, "id"),
    ({"name": "two\nlines"}, "name"),
    ({"name": "x" * 81}, "name"),
    ({"symbol": "aapl"}, "symbol"),
    ({"symbol": "A" * 65}, "symbol"),
    ({"timeframe": "7m"}, "timeframe"),
    ({"stage": "MOON"}, "stage"),
    ({"parameters": {"fast": float("nan")}}, "parameters"),
    ({"parameters": {"fast": float("inf")}}, "parameters"),
    ({"parameters": {"fast": True}}, "parameters.fast"),
    ({"parameters": {"fast": None}}, "parameters.fast"),
    ({"parameters": {"fast": 10**400}}, "parameters.fast"),
    ({"parameters": {f"p{number}": 1 for number in range(33)}}, "parameters"),
    ({"surprise": 1}, "surprise"),
]
"""What no strategy could take."""
REFUSED = [*REFUSED_BY_ALL, *KNOWN_BY_THE_STRATEGY]


@pytest.mark.parametrize(("changes", "field"), REFUSED, ids=[f"{n}-{field}" for n, (_, field) in enumerate(REFUSED)])
def test_bad_bot_is_refused_by_field_and_limit(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_bot(a_bot_document(**changes), OFFERS)
    assert refusal.value.field.startswith(field)
    assert refusal.value.limit


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9), st.lists, max_leaves=5), st.data())
def test_any_value_anywhere_is_a_bot_or_a_refusal_and_nothing_else(value: Any, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(["id", "name", "strategy", "symbol", "stage", "origin", "pinned", "fast", "direction"]))
    document = a_bot_document()
    if field in {"fast", "direction"}:
        document["parameters"] = {field: value}
    else:
        document[field] = value
    with suppress(BadInput):
        read_bot(document, OFFERS)
    with suppress(BadInput):
        read_bot(document, {})


def test_defaults_are_filled_in_and_written_in_one_form() -> None:
    spec = read_bot(a_bot_document(strategy="rsi-reversion", parameters={"lower": 30}), OFFERS)
    found = spec.parameters_for(OFFERS["rsi-reversion"])
    assert found == {"period": 14, "lower": 30.0, "upper": 70.0, "direction": "long"}
    assert isinstance(found["lower"], float)


def test_an_unknown_strategy_is_refused_in_words_that_depend_on_no_other() -> None:
    for offers in (OFFERS, {"macd": OFFERS["macd"]}):
        with pytest.raises(BadInput, match="must be a strategy that a runner offers") as refusal:
            read_bot(a_bot_document(strategy="get-rich"), offers)
        assert refusal.value.field == "strategy"
        assert "macd" not in str(refusal.value)


def test_while_nothing_is_announced_a_bot_is_taken_as_it_is_written() -> None:
    """Whether its parameters are right is told when somebody offers its strategy; then the very same document is refused."""
    document = a_bot_document(strategy="sma-cross", parameters={"fast": 1, "speed": 3.5, "direction": "short"})
    spec = read_bot(document, {})
    assert spec.parameters_for(None) == {"fast": 1, "speed": 3.5, "direction": "short"}
    with pytest.raises(BadInput, match=r"parameters\.speed"):
        spec.parameters_for(OFFERS["sma-cross"])
    with pytest.raises(BadInput, match=r"parameters\.speed"):
        read_bot(document, OFFERS)
    good = read_bot(a_bot_document(strategy="sma-cross", parameters={"fast": 5}), {})
    assert good.parameters_for(None) == {"fast": 5}
    assert good.parameters_for(OFFERS["sma-cross"]) == checked("sma-cross", {"fast": 5})


@pytest.mark.parametrize(("changes", "field"), REFUSED_BY_ALL, ids=[f"{n}-{field}" for n, (_, field) in enumerate(REFUSED_BY_ALL)])
def test_what_no_strategy_could_take_is_refused_before_one_is_announced(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_bot(a_bot_document(**changes), {})
    assert refusal.value.field.startswith(field)


@pytest.mark.parametrize("changes", [changes for changes, _ in KNOWN_BY_THE_STRATEGY])
def test_what_only_the_strategy_knows_is_not_refused_before_it_is_announced(changes: dict[str, Any]) -> None:
    read_bot(a_bot_document(**changes), {})


def test_stage_beyond_lab_is_an_import_whatever_it_says() -> None:
    assert read_bot(a_bot_document(stage="PAPER", origin="NEW"), OFFERS).true_origin is Origin.IMPORTED
    assert read_bot(a_bot_document(), OFFERS).true_origin is Origin.NEW
    assert read_bot(a_bot_document(stage=Stage.LAB, origin="IMPORTED"), OFFERS).true_origin is Origin.IMPORTED


WHAT: dict[str, Any] = {
    "strategy": "sma-cross", "strategy_version": 1, "code_hash": a_digest("code"), "parameters": {"fast": 20, "slow": 50.0},
    "symbol": "AAPL", "timeframe": "1d", "source_id": "us-stocks", "engine_version": "1",
    "costs": Costs(fee_bps=10, slippage_bps=5), "initial_cash_usd": "100000.00",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "macd"}, {"strategy_version": 2}, {"code_hash": a_digest("other")}, {"parameters": {"fast": 21, "slow": 50.0}},
        {"symbol": "IBM"}, {"source_id": "other"}, {"engine_version": "2"}, {"costs": Costs(fee_bps=11, slippage_bps=5)},
        {"costs": Costs(fee_bps=10, slippage_bps=6)}, {"initial_cash_usd": "100000.01"},
    ],
    ids=["strategy", "version", "code", "parameters", "symbol", "source", "engine", "fee", "slippage", "cash"],
)  # fmt: skip
def test_anything_that_changes_a_result_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint_of(**{**WHAT, **change}) != fingerprint_of(**WHAT)


def test_order_of_parameters_does_not_change_the_fingerprint() -> None:
    assert fingerprint_of(**{**WHAT, "parameters": {"slow": 50.0, "fast": 20}}) == fingerprint_of(**WHAT)
