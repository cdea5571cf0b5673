"""The catalogue: defaults, limits, words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.errors import BadInput
from autonomy.strategies import canonical, catalogue, check_parameters, describe, look_back, strategy_names, template


@pytest.mark.parametrize("strategy", strategy_names())
def test_defaults_are_within_their_own_limits(strategy: str) -> None:
    checked = check_parameters(strategy, {})
    assert list(checked) == list(template(strategy).field_names)
    assert check_parameters(strategy, checked) == checked
    assert 2 <= look_back(strategy, {}) <= 500


@pytest.mark.parametrize(
    ("strategy", "parameters", "words"),
    [
        ("sma-cross", {"fast": 20, "slow": 50}, "SMA 20/50"),
        ("rsi-reversion", {}, "RSI 14"),
        ("donchian-breakout", {}, "Donchian 20/10"),
        ("macd", {}, "MACD 12/26/9"),
        ("bollinger-reversion", {"width": 2.5}, "Bollinger 20/2.5"),
        ("ts-momentum", {"direction": "long-short"}, "Momentum 120, long-short"),
    ],
)
def test_strategies_are_described_in_few_words(strategy: str, parameters: dict[str, object], words: str) -> None:
    assert describe(strategy, parameters) == words


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
        check_parameters("sma-cross", parameters)
    assert refusal.value.field == field
    assert refusal.value.limit


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(BadInput, match="must be a strategy of the catalogue"):
        check_parameters("os.system", {})


def test_equal_documents_have_one_canonical_text() -> None:
    one = canonical(check_parameters("bollinger-reversion", {"width": 2, "period": 20.0}))
    other = canonical(check_parameters("bollinger-reversion", {"period": 20, "width": 2.0}))
    assert one == other == '{"direction":"long","period":20,"width":2.0}'


def test_canonical_refuses_what_json_cannot_say() -> None:
    with pytest.raises(BadInput, match="finite"):
        canonical({"width": float("nan")})


@given(
    st.sampled_from(strategy_names()),
    st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.floats() | st.integers() | st.text()),
)
def test_whatever_is_given_it_is_checked_or_refused(strategy: str, parameters: dict[str, object]) -> None:
    try:
        checked = check_parameters(strategy, parameters)
    except BadInput:
        return
    assert json.loads(canonical(checked)) == checked


def test_every_template_says_what_its_numbers_mean() -> None:
    for entry in catalogue():
        assert entry.version >= 1
        assert entry.idea.endswith(".")
        for parameter in entry.parameters:
            assert parameter.unit
            assert parameter.meaning
            assert parameter.low <= parameter.default <= parameter.high
