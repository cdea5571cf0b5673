"""Bullets of gates: the line in the middle, the dot where the figure is, and which bot is how near to its limit."""

from typing import Any

import pytest

from bots_ui.shown.approvals import approvals_of
from bots_ui.shown.bullets import bullets_of, nearest
from support.site import Site, show


def a_gate(code: str, *figures: tuple[str, Any, float | None, float | None], deciding: bool = True) -> dict[str, object]:
    told = [{"name": name, "value": value, "atLeast": low, "atMost": high} for name, value, low, high in figures]
    return {"code": code, "verdict": "PASS", "measured": "m", "required": "r", "clearsWhen": "c", "deciding": deciding, "figures": told}


@pytest.mark.parametrize(
    ("value", "low", "high", "x", "over", "passes", "room"),
    [
        (15.0, 10.0, None, 75.0, False, True, "50% to spare"),
        (10.0, 10.0, None, 50.0, False, True, "0% to spare"),
        (5.0, 10.0, None, 25.0, False, False, "50% missing"),
        (72.0, 10.0, None, 100.0, True, True, "620% to spare"),
        (-5.0, 10.0, None, 0.0, True, False, "150% missing"),
        (0.1, None, 0.4, 12.5, False, True, "75% to spare"),
        (0.5, None, 0.4, 62.5, False, False, "25% missing"),
        (10.0, 0.0, None, 100.0, False, True, ""),
        (0.0, 0.0, None, 50.0, False, True, ""),
        (-1.0, -2.0, None, 75.0, False, True, "50% to spare"),
    ],
)
def test_the_line_is_in_the_middle_and_twice_the_limit_at_the_end(
    value: float, low: float | None, high: float | None, x: float, over: bool, passes: bool, room: str
) -> None:
    (bullet,) = bullets_of(a_gate("MIN_TRADES", ("trades", value, low, high)))
    assert bullet.x == pytest.approx(x)
    assert (bullet.over, bullet.passes, bullet.room) == (over, passes, room)
    assert bullet.name == "closed trades"


def test_what_was_not_measured_has_a_line_and_no_dot_and_passes_nothing() -> None:
    (bullet,) = bullets_of(a_gate("TIMING", ("z", None, 2.97, None)))
    assert (bullet.x, bullet.passes, bullet.value, bullet.margin) == (None, False, "undefined", None)
    assert bullets_of(a_gate("BASELINE_PASSED", ("sharpe", 0.7, None, None))) == (), "nothing is required"
    assert bullets_of({"code": "DRIFT"}) == (), "records of before have no figures"
    low, high = bullets_of(a_gate("LIMITS", ("exposure", 0.5, 0.1, 0.9)))
    assert (low.sign, high.sign) == ("≥", "≤")


def test_the_nearest_is_the_least_margin_of_those_that_have_a_say() -> None:
    gates = [
        a_gate("MIN_TRADES", ("trades", 72.0, 10.0, None)), a_gate("TIMING", ("z", 3.1, 2.97, None)),
        a_gate("NET", ("net_t", 1.0, 1.64, None), deciding=False), a_gate("REALISM", ("costs_bps", 10.0, 0.0, None)),
    ]  # fmt: skip
    drawn = [[(str(gate["code"]), bullet) for bullet in bullets_of(gate)] for gate in gates]
    found = nearest([one for each in drawn for one in each])
    assert found is not None
    assert (found[0], found[1].name) == ("TIMING", "z")
    assert nearest(drawn[3]) is None


def test_bots_stand_under_one_another_in_the_gates_own_order() -> None:
    items = [
        {"botId": "a", "gates": [a_gate("TIMING", ("z", 3.1, 2.97, None)), a_gate("MIN_TRADES", ("trades", 72.0, 10.0, None))]},
        {"botId": "b", "gates": [a_gate("RUNNER_HEALTHY", ("live_bars", 4.0, 20.0, None), ("bars_behind", 0.0, None, 3.0))]},
    ]
    columns, rows = approvals_of(items, {"a": {"spark": [1, 2]}})
    assert [(column.code, column.name, column.sign) for column in columns] == [
        ("MIN_TRADES", "closed trades", "≥"), ("TIMING", "z", "≥"), ("RUNNER_HEALTHY", "bars traded", "≥"), ("RUNNER_HEALTHY", "bars behind", "≤"),
    ]  # fmt: skip
    assert [[bullet.value if bullet else None for bullet in row.bullets] for row in rows] == [
        ["72", "3.1", None, None], [None, None, "4", "0"],
    ]  # fmt: skip
    assert [bool(row.spark) for row in rows] == [True, False]


async def test_the_page_draws_them_and_says_them(site: Site) -> None:
    item = {
        "id": "e39303ef-e302-4875-b19b-357185de971a", "botId": "aapl-sma", "fromStage": "LAB", "toStage": "PAPER", "status": "OPEN",
        "evidenceJob": "e39303ef-e302-4875-b19b-357185de971a", "gates": [a_gate("TIMING", ("z", 3.1, 2.97, None))], "tick": 7,
        "recommendedAt": "2026-11-22T12:00:00.000Z",
    }  # fmt: skip
    page = await show(site, {"/api/promotions": {"items": [item], "nextCursor": None}}, "/promotions")
    assert 'aria-label="z 3.1, required at least 2.97; 4% to spare"' in page
    assert "<code>TIMING</code> <small>4% to spare</small>" in page
