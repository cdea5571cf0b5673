"""Parameters against what a strategy announces: defaults, limits, words; and what can be told where nobody has announced one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.errors import BadInput
from autonomy.events import MAX_PARAMETERS, ChoiceOffered, NumberOffered, OrderingOffered, StrategyOffered
from autonomy.strategies import MAX_WORD, MOST, canonical, check_parameters, describe, plain_parameters, warm_up
from support.builders import a_digest
from support.offers import OFFERS, checked

ANYTHING = st.none() | st.booleans() | st.floats() | st.integers() | st.text()


def an_offer(**changes: Any) -> StrategyOffered:
    """A strategy of two windows, a share and a word."""
    plain: dict[str, Any] = {
        "name": "made-up", "version": 1, "code_hash": a_digest("made-up"), "title": "Made up", "idea": "Trades.", "form": "decide",
        "origin": "here", "jailed": False,
        "numbers": (
            NumberOffered(name="short", kind="int", low=2, high=50, default=5, unit="bars", meaning="one window"),
            NumberOffered(name="long", kind="int", low=3, high=90, default=20, unit="bars", meaning="another"),
            NumberOffered(name="share", kind="float", low=-1, high=1, default=0.5, unit="", meaning="a part"),
        ),
        "choices": (ChoiceOffered(name="side", allowed=("up", "down"), default="up", meaning="which way"),),
        "orderings": (OrderingOffered(lesser="short", greater="long"),),
    }  # fmt: skip
    return StrategyOffered(**{**plain, **changes})


@pytest.mark.parametrize("strategy", OFFERS)
def test_defaults_are_within_their_own_limits(strategy: str) -> None:
    found = checked(strategy, {})
    assert list(found) == list(OFFERS[strategy].field_names)
    assert check_parameters(OFFERS[strategy], found) == found
    assert 2 <= warm_up(OFFERS[strategy], found) <= 500


@pytest.mark.parametrize(
    ("strategy", "parameters", "words"),
    [
        ("sma-cross", {"fast": 20, "slow": 50}, "sma-cross 20/50, long"),
        ("rsi-reversion", {}, "rsi-reversion 14/30/70, long"),
        ("donchian-breakout", {}, "donchian-breakout 20/10, long"),
        ("macd", {}, "macd 12/26/9, long"),
        ("bollinger-reversion", {"width": 2.5}, "bollinger-reversion 20/2.5, long"),
        ("ts-momentum", {"direction": "long-short"}, "ts-momentum 120/0, long-short"),
    ],
)
def test_strategies_are_described_in_few_words(strategy: str, parameters: dict[str, object], words: str) -> None:
    assert describe(strategy, checked(strategy, parameters)) == words


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "mine"),
        ({"side": "up"}, "mine, up"),
        ({"length": 20}, "mine 20"),
        ({"length": 20, "share": 0.25, "how": "fast", "side": "up"}, "mine 20/0.25, fast, up"),
        # What is no number and no word is left out: true is no 1.
        ({"length": 20, "odd": True, "nothing": None, "many": [1]}, "mine 20"),
    ],
)
def test_a_strategy_nobody_announced_is_described_all_the_same(parameters: dict[str, object], words: str) -> None:
    assert describe("mine", parameters) == words


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"fast": True}, "parameters.fast"),
        ({"fast": "20"}, "parameters.fast"),
        ({"fast": None}, "parameters.fast"),
        ({"fast": 20.5}, "parameters.fast"),
        ({"fast": float("nan")}, "parameters.fast"),
        ({"fast": float("inf")}, "parameters.fast"),
        ({"fast": 10**400}, "parameters.fast"),
        ({"fast": -(10**5000)}, "parameters.fast"),
        ({"fast": 1}, "parameters.fast"),
        ({"slow": 401}, "parameters.slow"),
        ({"fast": 50, "slow": 50}, "parameters.fast"),
        ({"period": 3}, "parameters.period"),
        ({"direction": "short"}, "parameters.direction"),
        ({"direction": 1}, "parameters.direction"),
    ],
)
def test_a_bad_parameter_is_named_with_its_limit(parameters: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        checked("sma-cross", parameters)
    assert refusal.value.field == field
    assert refusal.value.limit


def test_a_strategy_without_parameters_knows_none() -> None:
    bare = an_offer(numbers=(), choices=(), orderings=())
    assert check_parameters(bare, {}) == {}
    assert warm_up(bare, {}) == 0
    with pytest.raises(BadInput, match="made-up knows no parameters") as refusal:
        check_parameters(bare, {"fast": 20})
    assert refusal.value.field == "parameters.fast"


def test_equal_documents_have_one_canonical_text() -> None:
    one = canonical(checked("bollinger-reversion", {"width": 2, "period": 20.0}))
    other = canonical(checked("bollinger-reversion", {"period": 20, "width": 2.0}))
    assert one == other == '{"direction":"long","period":20,"width":2.0}'


def test_canonical_refuses_what_json_cannot_say() -> None:
    with pytest.raises(BadInput, match="finite"):
        canonical({"width": float("nan")})


@given(st.sampled_from(list(OFFERS)), st.dictionaries(st.text(max_size=8), ANYTHING))
def test_whatever_is_given_it_is_checked_or_refused(strategy: str, parameters: dict[str, object]) -> None:
    try:
        found = checked(strategy, parameters)
    except BadInput:
        return
    assert json.loads(canonical(found)) == found


@pytest.mark.parametrize(
    ("parts", "bars", "needed"),
    [
        ((), 0, 0),
        ((), 7, 7),
        (("long",), 0, 20),
        (("long",), 1, 21),
        (("short", "long"), 2, 27),
        (("share",), 0, 1),
        (("long", "share"), 0, 21),
    ],
)
def test_warm_up_is_the_sum_of_the_named_numbers_rounded_up_and_some_bars(parts: tuple[str, ...], bars: int, needed: int) -> None:
    offer = an_offer(warm_up=parts, warm_up_bars=bars)
    assert warm_up(offer, check_parameters(offer, {})) == needed


def test_warm_up_follows_the_parameters_and_not_the_defaults() -> None:
    offer = an_offer(warm_up=("long",), warm_up_bars=1)
    assert warm_up(offer, check_parameters(offer, {"long": 90})) == 91
    assert warm_up(offer, check_parameters(offer, {"short": 6})) == 21


@pytest.mark.parametrize(
    ("strategy", "parameters", "bars"),
    [
        ("sma-cross", {"fast": 5, "slow": 60}, 60),
        ("macd", {}, 35),
        ("rsi-reversion", {}, 15),
        ("bollinger-reversion", {"period": 30}, 30),
        ("donchian-breakout", {}, 21),
        ("ts-momentum", {"window": 7}, 8),
    ],
)
def test_the_warm_up_of_the_strategies_that_come_along(strategy: str, parameters: dict[str, object], bars: int) -> None:
    assert warm_up(OFFERS[strategy], checked(strategy, parameters)) == bars


def test_every_strategy_says_what_its_numbers_mean() -> None:
    assert len(OFFERS) == 6
    for offered in OFFERS.values():
        assert offered.version >= 1
        assert offered.idea.endswith(".")
        for number in offered.numbers:
            assert number.unit
            assert number.meaning
            assert number.low <= number.default <= number.high


@pytest.mark.parametrize(
    "parameters",
    [
        {}, {"fast": 20}, {"width": -2.5}, {"direction": "long"}, {"most": MOST, "least": -MOST}, {"whole": int(MOST)},
        {"word": "w" * MAX_WORD}, {f"p{number}": number for number in range(MAX_PARAMETERS)},
    ],
    ids=["none", "whole", "float", "word", "largest", "largest-whole", "longest", "many"],
)  # fmt: skip
def test_parameters_of_what_nobody_announced_are_taken_as_they_are_written(parameters: dict[str, object]) -> None:
    found = plain_parameters(parameters)
    assert found == parameters
    assert [type(value) for value in found.values()] == [type(value) for value in parameters.values()]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"fast": True}, "parameters.fast"),
        ({"fast": None}, "parameters.fast"),
        ({"fast": [20]}, "parameters.fast"),
        ({"fast": {"of": 20}}, "parameters.fast"),
        ({"fast": float("nan")}, "parameters.fast"),
        ({"fast": float("inf")}, "parameters.fast"),
        ({"fast": -float("inf")}, "parameters.fast"),
        ({"fast": MOST * 1.001}, "parameters.fast"),
        ({"fast": -int(MOST) - 1}, "parameters.fast"),
        ({"fast": 10**400}, "parameters.fast"),
        ({"fast": -(10**5000)}, "parameters.fast"),
        ({"word": ""}, "parameters.word"),
        ({"word": "w" * (MAX_WORD + 1)}, "parameters.word"),
        ({"good": 1, "bad": None}, "parameters.bad"),
        ({f"p{number}": number for number in range(MAX_PARAMETERS + 1)}, "parameters"),
        ({"n" * 100: None}, "parameters." + "n" * 40),
    ],
)
def test_what_no_strategy_could_take_is_refused_before_one_is_announced(parameters: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        plain_parameters(parameters)
    assert refusal.value.field == field
    assert refusal.value.limit
    assert len(str(refusal.value)) < 300


@given(st.dictionaries(st.text(max_size=8), ANYTHING, max_size=MAX_PARAMETERS + 2))
def test_whatever_is_given_without_an_offer_has_one_text_or_is_refused(parameters: dict[str, object]) -> None:
    try:
        found = plain_parameters(parameters)
    except BadInput:
        return
    assert json.loads(canonical(found)) == parameters
