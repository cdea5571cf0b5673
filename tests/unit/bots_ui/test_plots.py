"""A bot's charts: axes that can be read, lines that are what was said, and words where there is nothing to draw."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from autonomy.client import Found, Unreachable
from autonomy.values import iso
from bots_ui.pages.bot_page import pictures_of
from bots_ui.shown.axes import LINES, MARKS, SPARE, Times, falls_scale, scale_of
from bots_ui.shown.career import career_of
from bots_ui.shown.charts import steps
from bots_ui.shown.plots import backtest_plot, session_plot
from bots_ui.shown.stretch import UNITS
from support.site import Site, show

START = datetime(2010, 1, 4, tzinfo=UTC)
JOB = "e39303ef-e302-4875-b19b-357185de971a"


def a_point(day: int, equity: float = 1.0, close: float | None = 10.0, **more: Any) -> dict[str, Any]:
    return {"barStart": iso(START + timedelta(days=day)), "close": close, "equity": equity, "holding": 1.0, "drawdown": 0.0} | more


def a_move(day: float, start: str | None, end: str, reason: str = "PROMOTED", **more: Any) -> dict[str, Any]:
    return {"id": f"move-{day}", "fromStage": start, "toStage": end, "reasonCode": reason, "actor": "ada", "tick": 7, "commandId": None,
            "createdAt": iso(START + timedelta(days=day))} | more  # fmt: skip


def a_version(day: float, number: int, **more: Any) -> dict[str, Any]:
    return {"version": number, "actor": "ada", "evolvedBy": None, "tick": 3, "eventId": f"version-{number}",
            "createdAt": iso(START + timedelta(days=day))} | more  # fmt: skip


def a_life(*, moves: list[dict[str, Any]], versions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"bot": {"registeredAt": iso(START), "retiredAt": None}, "now": iso(START + timedelta(days=100)), "moves": moves, "versions": versions,
            "ofMoves": len(moves), "ofVersions": len(versions)}  # fmt: skip


def test_a_scale_holds_its_values_with_few_lines_inside() -> None:
    random = Random(4)
    for _ in range(2_000):
        values = [random.choice((1, -1, 1, 1)) * 10 ** random.uniform(-4, 6) for _ in range(random.randint(1, 20))]
        if random.random() < 0.3:
            values = [values[0]] * 3
        scale = scale_of(values, 20, 100, of_start=random.random() < 0.5)
        heights = [scale.y(value) for value in values]
        assert all(20 <= height <= 120 for height in heights)
        assert (heights.index(min(heights)), heights.index(max(heights))) == (values.index(max(values)), values.index(min(values)))
        assert scale.logarithmic == (min(values) > 0 and max(values) >= 2 * min(values))
        assert 1 <= len(scale.grid) <= LINES + 2
        assert all(20 <= line.y <= 120 for line in scale.grid)
        assert len({line.words for line in scale.grid}) == len(scale.grid)


def test_words_of_a_scale() -> None:
    assert [line.words for line in scale_of([0.98, 1.03], 0, 100, of_start=True).grid] == ["−2 %", "0 %", "+2 %"]
    assert [line.words for line in scale_of([0.9, 4.1], 0, 100, of_start=True).grid] == ["1×", "2×"]
    assert [line.words for line in scale_of([1_180, 1_390], 0, 100).grid] == ["1,200", "1,250", "1,300", "1,350", "1,400"]
    assert [line.words for line in falls_scale(0.26, 0, 50).grid] == ["0 %", "−30 %"]


def test_times_are_round_few_and_clear_of_the_ends() -> None:
    random = Random(5)
    for _ in range(1_000):
        first = START + timedelta(seconds=random.randint(0, 10**9))
        times = Times.around(first, first + timedelta(seconds=10 ** random.uniform(1, 9.3)))
        marks = times.marks()
        assert len(marks) <= MARKS + 1
        assert [mark.x for mark in marks] == sorted({mark.x for mark in marks})
        assert all(SPARE <= mark.x <= UNITS - SPARE for mark in marks)
        assert [mark.minor for mark in marks] == [bool(number % 2) for number in range(len(marks))]
    assert [mark.words for mark in Times.around(START, START + timedelta(days=800)).marks()] == [
        "2010-01",
        "2010-07",
        "2011-01",
        "2011-07",
        "2012-01",
    ]
    assert "12:00" in [mark.words for mark in Times.around(START, START + timedelta(days=1)).marks()]


def test_steps_add_up_to_the_points_without_an_error_that_grows() -> None:
    random = Random(6)
    points = [(number * 3, random.uniform(0, 300)) for number in range(500)]
    path, x, y = steps(points), 0, 0.0
    for place, step in enumerate(path[1:].split("l")):
        across, down = step.split(" ")
        x, y = x + int(across), y + float(down)
        assert x == points[place][0]
        assert abs(y - points[place][1]) <= 0.051


def test_account_that_fell_to_nothing_and_below_is_drawn_on_a_linear_scale() -> None:
    plot = backtest_plot(
        {"backtest": {"points": [a_point(0), a_point(1, 0.0), a_point(2, -0.5, drawdown=1.5)], "trades": [], "ofTrades": 0}}
    )
    assert plot is not None
    account = next(panel for panel in plot.panels if panel.name == "account")
    assert not account.scale.logarithmic
    assert account.scale.low < -0.5


def test_without_a_price_there_is_no_price_and_no_trade_is_drawn() -> None:
    """The curve on the log has no prices: nothing is made up of the account."""
    points = [a_point(0, close=None), a_point(1, close=None)]
    plot = backtest_plot(
        {"backtest": {"points": points, "trades": [], "ofTrades": 4, "basis": "CURVE", "lacks": "Prices and trades are not known: x."}}
    )
    assert plot is not None
    assert [panel.name for panel in plot.panels] == ["account", "falls"]
    assert (plot.held, plot.left_out) == ((), ("Prices and trades are not known: x.",))
    trade = {
        "entryBar": points[0]["barStart"],
        "exitBar": points[1]["barStart"],
        "units": 1.0,
        "entryPrice": 9.0,
        "exitPrice": 12.0,
        "pnl": 3.0,
    }
    told = backtest_plot({"backtest": {"points": points, "trades": [trade], "ofTrades": 1}})
    assert told is not None
    assert told.panels[0].lines[0].d == ""  # the prices of its trades are known, and only they
    assert [one.won for one in told.held] == [True]
    assert "closes are not known" in told.panels[0].title


@pytest.mark.parametrize("document", [{}, {"backtest": None}, {"backtest": {"points": [a_point(0)]}}, {"backtest": {"points": [{"barStart": "soon", "equity": 1}] * 3}},
                                      {"backtest": {"points": [a_point(0, None), a_point(1, "1")]}}])  # type: ignore[arg-type] # fmt: skip
def test_nothing_is_drawn_of_fewer_than_two_points(document: dict[str, Any]) -> None:
    assert backtest_plot(document) is None
    assert session_plot({"session": document.get("backtest")}, "a") is None


def test_why_there_is_no_chart_is_said() -> None:
    session = {"session": {"id": JOB, "fromBar": iso(START)}, "points": []}
    whole = pictures_of(Found({"backtest": None, "session": session}), "a")
    assert whole["why_no_backtest"] == "No backtest yet."
    assert whole["why_no_session"] == "No second bar of this session yet: it trades bars that start after 2010-01-04."
    result = {"jobId": JOB, "points": [], "trades": [], "basis": "NONE", "lacks": "Prices and trades are not known: gone."}
    assert pictures_of(Found({"backtest": result}), "a")["why_no_backtest"] == "Prices and trades are not known: gone."
    lost = pictures_of(Unreachable("no connection"), "a")
    assert (lost["backtest"], lost["session"], lost["career"]) == (None, None, None)
    assert "no connection" in str(lost["why_no_backtest"])


async def test_page_without_results_and_sessions_says_so(site: Site) -> None:
    site.be_fresh()
    bot = {"bot": {"id": "a", "name": "a", "stage": "LAB"}, "latestBacktest": {"firstBar": iso(START), "lastBar": iso(START), "jobId": JOB}}
    html = await show(site, {"/api/bots/a": bot, "/api/bots/a/picture": {"backtest": None, "session": None}}, "/bots/a")
    assert "No backtest yet." in html
    assert 'class="plotted"' not in html


def test_marks_of_a_life_that_are_near_are_one_with_their_number_but_a_revert_stands_alone() -> None:
    moves = [a_move(0, None, "LAB", "REGISTERED"), a_move(40, "LAB", "PAPER"), a_move(40.5, "PAPER", "SHADOW"),
             a_move(41, "SHADOW", "LAB", "BULK_REVERT_REBASELINE", commandId=JOB), a_move(80, "LAB", "PAPER")]  # fmt: skip
    career = career_of(a_life(moves=moves, versions=[a_version(0, 1), a_version(60, 2, evolvedBy=JOB)]), "a")
    assert career is not None
    assert [(sign.kind, sign.shape, len(sign.names), sign.href) for sign in career.signs] == [
        ("move", "new", 1, "/events/move-0?tick=7"), ("move", "up", 2, "/bots/a/timeline?kind=stage"), ("revert", "down", 1, f"/commands/{JOB}"),
        ("move", "up", 1, "/events/move-80?tick=7"), ("version", "dot", 1, "/events/version-1?tick=3"), ("version", "evolving", 1, f"/jobs/{JOB}"),
    ]  # fmt: skip
    assert [one.stage for one in career.stood] == ["LAB", "PAPER", "SHADOW", "LAB", "PAPER"]
    assert sum(one.width for one in career.stood) == UNITS - career.stood[0].x
    assert [one.named for one in career.stood] == [True, False, False, True, True]
    assert career_of({"bot": {}}, "a") is None


def test_older_fills_lead_to_their_line_and_newer_ones_to_the_list_of_trades() -> None:
    fills = [
        {"orderId": f"o{number}", "barStart": iso(START), "kind": "ENTRY", "side": "BUY", "units": 1.0, "price": 10.0, "pnl": None}
        for number in range(52)
    ]
    plot = session_plot({"session": {"points": [a_point(0), a_point(1)], "fills": fills, "ofFills": 60, "every": 1, "before": 0}}, "a")
    assert plot is not None
    assert [fill.href for fill in plot.fills[:3]] == ["", "", "/bots/a/trades#o-o2"]
    assert plot.left_out == ("The newest 52 of 60 fills are drawn.",)
