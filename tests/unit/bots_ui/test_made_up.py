"""Bots on made-up bars are marked on the list and counted apart on the board, and each number leads to exactly its bots."""

import pytest

from autonomy.documents.keys import BotListedKey
from bots_ui.pages.asked import fleet_asked
from bots_ui.shown.matching import matches
from support.site import Site, show

STAGE = {
    "stage": "LAB", "to": "PAPER", "bots": 30, "recommended": 0, "held": 3, "medianSince": "2026-11-22T12:00:00.000Z",
    "medianRecommendedAt": None, "synthetic": 2, "syntheticRecommended": 1, "gates": [{"code": "TIMING", "bots": 3}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("synthetic", "apart", "counted"), [(True, True, False), (False, False, True), (None, False, True)]
)  # fmt: skip
def test_a_bot_without_a_result_is_not_on_made_up_bars(synthetic: bool | None, apart: bool, counted: bool) -> None:
    document: dict[BotListedKey, object] = {"botId": "a", "synthetic": synthetic}
    assert matches(document, {"synthetic": ("true",)}, "") is apart
    assert matches(document, {"synthetic": ("false",)}, "") is counted
    assert matches(document, {"synthetic": ()}, "")


def test_the_address_keeps_the_filter_and_no_other_word() -> None:
    asked = fleet_asked([("stage", "LAB"), ("synthetic", "false"), ("synthetic", "perhaps")])
    assert asked.chosen["synthetic"] == ("false",)
    assert ("synthetic", "false") in asked.params()


async def test_the_board_counts_them_apart(site: Site) -> None:
    page = await show(site, {"/api/board": {"stages": [STAGE], "looks": 3, "alphaSpent": 0.004}}, "/board")
    assert 'href="/?stage=LAB&amp;synthetic=false"><b class="num" data-bots="30">30</b>' in page
    assert 'href="/?stage=LAB&amp;synthetic=true"><b class="num" data-synthetic="2">2</b> on made-up bars</a>' in page
    assert 'href="/?stage=LAB&amp;gate=TIMING&amp;synthetic=false"' in page
