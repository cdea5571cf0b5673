"""Whatever the optimiser draws is a trial: a document that the strategy accepts, within what the folds can judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.strategies import canonical
from job_runner.search.space import SearchSpace, space_around
from job_runner.strategies.coded import by_name
from support.strategies import LONG_SHORT, strategy_names


def a_space(strategy: str, bound: int = 200, **champion: object) -> SearchSpace:
    coded = by_name(strategy)
    return space_around(coded, coded.check(champion), bound)


@pytest.mark.parametrize(
    ("strategy", "champion", "bound", "longest"), [("macd", {}, 20, 35), ("macd", {"slow": 60}, 50, 69), ("macd", {}, 50, 50)]
)
def test_no_window_grows_beside_a_champion_that_is_beyond_the_bound(
    strategy: str, champion: dict[str, object], bound: int, longest: int
) -> None:
    assert a_space(strategy, bound, **champion).longest_look_back == longest


@given(data=st.data(), strategy=st.sampled_from(strategy_names()), bound=st.integers(5, 500))
def test_every_draw_is_a_document_of_the_strategy_within_the_bound(data: st.DataObject, strategy: str, bound: int) -> None:
    space = a_space(strategy, bound)
    drawn = {
        dimension.name: data.draw(
            st.integers(int(dimension.low), int(dimension.high)) if dimension.whole else st.floats(dimension.low, dimension.high)
        )
        for dimension in space.dimensions
    }
    document = space.document(drawn)
    chosen = by_name(strategy)
    assert chosen.check(document) == document
    assert chosen.look_back(document) <= space.longest_look_back
    own = chosen.look_back(chosen.check({}))
    assert space.longest_look_back <= max(bound, chosen.look_back({p.name: max(p.low + 1, p.default) for p in chosen.offer.numbers}), own)


@pytest.mark.parametrize("strategy", strategy_names())
def test_the_champion_is_in_its_space_word_for_word(strategy: str) -> None:
    coded = by_name(strategy)
    champion = coded.check({"direction": LONG_SHORT})
    # Even where the bound is below its own look-back.
    for bound in (5, 50, 500):
        space = space_around(coded, champion, bound)
        assert canonical(space.document(space.champion())) == canonical(champion)
        assert all(dimension.low <= dimension.own <= dimension.high for dimension in space.dimensions)


def test_a_champion_between_the_steps_is_kept_as_it_is() -> None:
    space = a_space("bollinger-reversion", width=2.00345)
    assert space.document(space.champion())["width"] == 2.00345
    assert space.document({"period": 10, "width": 1.23456})["width"] == 1.23


def test_numbers_the_wrong_way_round_are_exchanged_and_equal_ones_moved_apart() -> None:
    space = a_space("sma-cross")
    assert space.document({"fast": 90, "slow": 30}) == {"fast": 30, "slow": 90, "direction": "long"}
    assert space.document({"fast": 30, "slow": 30}) == {"fast": 30, "slow": 31, "direction": "long"}
    donchian = a_space("donchian-breakout")
    assert donchian.document({"entry": 8, "exit": 40}) == {"entry": 40, "exit": 8, "direction": "long"}


def test_the_direction_is_never_searched() -> None:
    for word in ("long", LONG_SHORT):
        space = a_space("macd", direction=word)
        assert space.document(space.champion())["direction"] == word
        assert "direction" not in {dimension.name for dimension in space.dimensions}


def test_windows_longer_than_the_bound_are_left_out() -> None:
    assert a_space("sma-cross", 80).longest_look_back == 80
    assert a_space("macd", 80).longest_look_back <= 80
    assert a_space("sma-cross", 80, fast=50, slow=200).longest_look_back == 200
