"""What a bot's page draws is what SQL finds in its rows and what its reports hold, for lives drawn at random; a wrong row is seen.

The document is read by the API's own statements from a real PostgreSQL and a real store, and drawn by the page's own templates. What is
expected is asked of the same rows by other statements, mark by mark and point by point.

Source: R-B1; docs/architecture.md, "The Bots page".
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from html import unescape
from itertools import accumulate
from math import log
from pathlib import Path
from typing import Any

import psycopg
import pytest
from jinja2 import Template
from psycopg.rows import dict_row

from autonomy.artifacts import ArtifactStore
from autonomy.client import Found
from autonomy.documents.picture import BotPicture
from autonomy.errors import BadInput
from autonomy.postgres import connect
from autonomy.read_model import SCHEMA
from autonomy.values import iso, ms_of
from bots_ui.assets import build_environment, find_assets
from bots_ui.pages.bot_page import pictures_of
from proof_api.reading import picture
from support.drawn_bots import BOT, CASH, REPORTS, TABLES, DrawnBot
from support.servers import Database

pytestmark = pytest.mark.servers
SEEDS = range(12)
PLOTS = """{% import "plots.html" as plots with context %}
<i>backtest</i>{{ plots.backtest(pictures, "x") }}<i>session</i>{{ plots.session(pictures, "x") }}<i>life</i>{{ plots.life(pictures) }}<i>end</i>"""
NEWEST = "SELECT id::text FROM bot_sessions WHERE bot_id = %(bot)s ORDER BY opened_at DESC, id DESC LIMIT 1"


@dataclass
class Life:
    """A written life, its store of reports, and its page's drawing at one moment."""

    database: Database
    folder: Path
    drawn: DrawnBot

    connection: "psycopg.Connection[dict[str, Any]]"

    def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        return self.connection.execute(statement, {"bot": BOT, **values}).fetchall()

    def document(self) -> dict[str, Any]:
        """As the API gives it, checked against its own form; the proof is the answer's, not of these rows."""

        async def once() -> dict[str, Any]:
            connection = await connect(self.database.url("autonomy_reader"), SCHEMA)
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    rows = await picture.read(connection, BOT)
                return await picture.told(rows, str(self.folder))
            finally:
                await connection.close()

        found = json.loads(json.dumps(asyncio.run(once()), default=str))
        fields = {name: field for name, field in BotPicture.model_fields.items() if name not in {"now", "proof"}}
        assert {field.alias or name for name, field in fields.items()} == set(found)
        end = self.sql("SELECT max(started_at) AS at FROM autonomy_planner_runs")[0]["at"]
        return {**found, "now": iso(end)}

    def html(self, document: dict[str, Any]) -> dict[str, str]:
        """The three drawings by name."""
        html = template().render(pictures=pictures_of(Found(document), BOT), bot_id=BOT)
        parts = re.split(r"<i>(\w+)</i>", html)
        return dict(zip(parts[1::2], parts[2::2], strict=True))


@cache
def template() -> Template:
    """The page's own macros, all of them."""
    return build_environment(find_assets()).from_string(PLOTS)


@contextmanager
def a_life(seed: int, database: Database, folder: Path) -> Iterator[Life]:
    """A drawn life, written; what is changed over its connection is undone."""
    drawn = DrawnBot(seed, ArtifactStore(str(folder)))
    with psycopg.connect(database.url(), options=f"-c search_path={SCHEMA}") as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")
    drawn.hours.write(database.url())
    options = f"-c search_path={SCHEMA} -c timezone=UTC"
    with psycopg.connect(database.url(), row_factory=dict_row, options=options) as connection:
        yield Life(database, folder, drawn, connection)
        connection.rollback()


@pytest.fixture(scope="module", autouse=True)
def tables(database: Database) -> None:
    """Empty tables, made once."""
    database.empty()


def attributes(element: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', element)}


def elements(html: str, marker: str) -> list[dict[str, str]]:
    """The attributes of each element that has one of this name, in order."""
    return [attributes(found) for found in re.findall(rf"<[^>]*\b{marker}=[^>]*>", html)]


@dataclass
class Axes:
    """Where values stand, by what the drawing says of its own axes."""

    html: str

    ends: tuple[int, int] = field(init=False)
    panels: dict[str, dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        (plot,) = elements(self.html, "data-from")
        self.ends = int(plot["data-from"]), int(plot["data-to"])
        self.panels = {panel["data-panel"]: panel for panel in elements(self.html, "data-panel")}

    def x(self, at: datetime) -> float:
        start, end = self.ends
        return 10_000 * (ms_of(at) - start) / (end - start)

    def y(self, name: str, value: float) -> float:
        panel = self.panels[name]
        low, high, top, height = (float(panel[f"data-{part}"]) for part in ("low", "high", "top", "height"))
        share = log(value / low) / log(high / low) if "data-log" in panel else (value - low) / (high - low)
        return top + height * (1 - share)

    def line(self, name: str) -> list[tuple[float, float]]:
        """The points of a line, from its steps."""
        path = next(found["d"] for found in elements(self.html, "data-line") if found["data-line"] == name)
        return points_of(path)

    def check_words(self, name: str, number_of: Callable[[str], float]) -> None:
        """What is written beside a box stands at the height of what it says."""
        top = float(self.panels[name]["data-top"])
        labels = [(float(y) - 4, words) for y, words in re.findall(r'<text x="52" y="([\d.]+)">([^<]*)<', self.html)]
        labels = [(y, words) for y, words in labels if top - 1 <= y <= top + float(self.panels[name]["data-height"]) + 1]
        assert len(labels) >= 2
        for y, words in labels:
            assert abs(self.y(name, number_of(words)) - y) < 0.6, (name, words)


def points_of(path: str) -> list[tuple[float, float]]:
    x = y = 0.0
    found = []
    for step_x, step_y in re.findall(r"[ml](-?[\d.]+) (-?[\d.e-]+)", path):
        x, y = x + float(step_x), y + float(step_y)
        found.append((x, y))
    return found


def same(drawn: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    assert len(drawn) == len(expected)
    for (x, y), (at, height) in zip(drawn, expected, strict=True):
        assert abs(x - at) <= 0.51, (x, at)
        assert abs(y - height) <= 0.11, (y, height)


def check_session(life: Life, html: str) -> None:
    """Every line and every fill of the newest session."""
    sessions = life.sql(NEWEST)
    (session,) = sessions
    bars = life.sql("SELECT bar_start, close, equity, pnl FROM bot_equity WHERE session_id = %(id)s ORDER BY bar", id=session["id"])
    if len(bars) < 2:
        assert "<svg" not in html
        assert "No second bar of this session yet" in html
        return
    axes = Axes(html)
    every = next(size for size in (1, 2, 4, 8) if len(bars) <= size * picture.MAX_POINTS)
    places = sorted({*range(0, len(bars), every), len(bars) - 1})
    peaks = list(accumulate((row["equity"] for row in bars), max))
    xs = [axes.x(bars[place]["bar_start"]) for place in places]
    expected = {
        "close": ("price", [bars[place]["close"] for place in places]),
        "strategy": ("account", [bars[place]["equity"] / CASH for place in places]),
        "holding": ("account", [bars[place]["close"] / bars[0]["close"] for place in places]),
    }
    for name, (panel, values) in expected.items():
        same(axes.line(name), [(x, axes.y(panel, value)) for x, value in zip(xs, values, strict=True)])
    under = points_of(next(found["d"] for found in re.findall(r"<path[^>]*class=\"under\"[^>]*>", html) for found in [attributes(found)]))
    same(under[1:-1], [(x, axes.y("falls", bars[place]["equity"] / peaks[place] - 1)) for x, place in zip(xs, places, strict=True)])
    axes.check_words("price", lambda words: float(words.replace(",", "").replace("−", "-")))
    axes.check_words("account", share_of)
    fills = life.sql(
        "SELECT order_id::text, bar_start, kind, side, units, price FROM bot_trades WHERE session_id = %(id)s ORDER BY bar, at, order_id", id=session["id"]
    )  # fmt: skip
    shown = fills[-picture.MAX_FILLS :]
    found = [{**attributes(mark), **{f"use-{name}": value for name, value in attributes(use).items()}, "words": unescape(words)}
             for mark, words, use in re.findall(r"<a (class=\"fill [^>]*)><title>([^<]*)</title><use ([^>]*)/>", html)]  # fmt: skip
    assert [(mark["data-fill"], mark["data-kind"]) for mark in found] == [(row["order_id"], row["kind"]) for row in shown]
    same(
        [(float(mark["use-x"].rstrip("%")) * 100, float(mark["use-y"])) for mark in found],
        [(axes.x(row["bar_start"]), axes.y("price", row["price"])) for row in shown],
    )
    for mark, row in zip(found, shown, strict=True):
        assert f"{'bought' if row['side'] == 'BUY' else 'sold'} {row['units']:.2f} at {row['price']:.2f} USD" in mark["words"]
    for back, mark in enumerate(reversed(found)):
        at = f"#f-{mark['data-fill']}"
        assert mark["href"] == (at if back >= 50 else f"/bots/{BOT}/trades#o-{mark['data-fill']}")
        assert f'id="{at[1:]}"' in html
    check_engine(life, html, axes, session["id"], [bars[place]["bar_start"] for place in places])


def share_of(words: str) -> float:
    number = float(words.rstrip(" %×").replace("−", "-").replace("+", "") or 0)
    return number if words.endswith("×") else 1 + number / 100


def check_engine(life: Life, html: str, axes: Axes, session: str, drawn: list[datetime]) -> None:
    """The engine's line is what its report has, and the verdict is the newest row's."""
    judged = life.sql("SELECT verdict, job_id::text FROM bot_drift WHERE session_id = %(id)s ORDER BY judged_at DESC LIMIT 1", id=session)
    if not judged:
        assert "has not run over this session" in html
        assert 'data-line="engine"' not in html
        return
    assert f"Drift {judged[0]['verdict']}" in html
    assert f"/jobs/{judged[0]['job_id']}" in html
    (kept,) = life.sql("SELECT artifact FROM bot_backtests WHERE job_id = %(id)s", id=judged[0]["job_id"])
    window = json.loads(ArtifactStore(str(life.folder)).get(kept["artifact"]))["window"]
    if window["session_id"] != session:
        assert 'data-line="engine"' not in html
        assert "only the sums are known" in html
        return
    known = {axes_x: close["strategy_usd"] / CASH for close in window["equity"] for axes_x in [round(axes.x(at_ms(close["time_ms"])))]}
    line = axes.line("engine")
    assert line[-1][0] == max(known)  # its last close is always there
    for x, y in line:
        assert abs(axes.y("account", known[int(x)]) - y) <= 0.11
    # Where both are known they are drawn at the same bars: a line that cuts corners which the other does not looks like drift.
    ends = {min(known), max(known)}
    assert {x for x, _ in line} - ends <= {round(axes.x(at)) for at in drawn}
    assert len(line) >= len([at for at in drawn if axes.x(at) <= max(known)])


def at_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def check_backtest(life: Life, html: str) -> None:
    """Every line and trade of the newest result's report, or why there is none."""
    row = life.sql(
        "SELECT job_id::text, artifact, summary FROM bot_backtests WHERE bot_id = %(bot)s ORDER BY created_at DESC, job_id DESC LIMIT 1"
    )[0]
    try:
        report = json.loads(ArtifactStore(str(life.folder)).get(row["artifact"] or ""))
    except BadInput:
        report = None
    if report is None or report["order"]["job_id"] != row["job_id"]:
        assert "Prices and trades are not known" in html
        assert 'data-panel="price"' not in html
        assert 'class="held' not in html
        assert ("<figure" in html) == bool(row["summary"]["curve"])
        return
    axes, rows = Axes(html), report["equity"]
    priced = "close_usd" in rows[0]
    by_x = {round(axes.x(at_ms(point["time_ms"]))): point for point in rows}
    for name, panel, column, unit in (("strategy", "account", "strategy_usd", CASH), ("holding", "account", "buy_and_hold_usd", CASH), ("close", "price", "close_usd", 1)):  # fmt: skip
        if name == "close" and not priced:
            continue
        line = axes.line(name)
        assert {line[0][0], line[-1][0]} == {min(by_x), max(by_x)}
        assert len(line) == len(set(by_x)) if len(rows) <= picture.MAX_POINTS else picture.MAX_POINTS <= len(line) <= picture.MAX_POINTS + 1
        same(line, [(x, axes.y(panel, by_x[int(x)][column] / unit)) for x, _ in line])
    deepest = max(rows, key=lambda point: point["drawdown_fraction"])
    assert round(axes.x(at_ms(deepest["time_ms"]))) in {x for x, _ in axes.line("strategy")}
    trades = report["trades"][-picture.MAX_TRADES :]
    lines = [attributes(found) for found in re.findall(r'<g class="held[^>]*>.*?<line ([^>]*)/>', html)]
    sides = re.findall(r'<g class="held (\w+)"><title>(\w+) ', html)
    if not priced and not trades:
        assert 'data-panel="price"' not in html
        return
    same([(float(one["x1"].rstrip("%")) * 100, float(one["y1"])) for one in lines],
         [(axes.x(at_ms(trade["entry_ms"])), axes.y("price", trade["entry_price_usd"])) for trade in trades])  # fmt: skip
    same([(float(one["x2"].rstrip("%")) * 100, float(one["y2"])) for one in lines],
         [(axes.x(at_ms(trade["exit_ms"])), axes.y("price", trade["exit_price_usd"])) for trade in trades])  # fmt: skip
    assert sides == [("won" if trade["pnl_usd"] > 0 else "lost", "long" if trade["units"] > 0 else "short") for trade in trades]
    assert (f"of {len(report['trades'])} closed trades are drawn" in html) == (len(report["trades"]) > picture.MAX_TRADES)
    if trades:
        assert f'<a href="/jobs/{row["job_id"]}" tabindex="-1">' in html


def check_life(life: Life, html: str) -> None:
    """Every version and change of stage, where it happened, and where it leads."""
    axes = Axes(html)
    moves = life.sql("SELECT * FROM bot_stage_events WHERE bot_id = %(bot)s ORDER BY created_at, tick, id")
    versions = life.sql("SELECT * FROM bot_versions WHERE bot_id = %(bot)s ORDER BY version")
    rows = {str(row["id"]): row for row in moves} | {str(row["event_id"]): row for row in versions}
    signs = [(attributes(sign), float(x)) for sign, x in re.findall(r'<a (class="sign [^>]*)>.*?<svg x="([\d.]+)%"', html)]
    named = [name for sign, _ in signs for name in sign["data-sign"].split(" ")]
    assert sorted(named) == sorted(rows)
    for sign, x in signs:
        names = sign["data-sign"].split(" ")
        assert abs(100 * x - axes.x(rows[names[0]]["created_at"])) <= 1
        for name in names:
            assert axes.x(rows[name]["created_at"]) - 100 * x <= 182
            assert (rows[name].get("reason_code") == "BULK_REVERT_REBASELINE") == (sign["data-kind"] == "revert")
        row = rows[names[0]]
        if len(names) > 1:
            assert sign["href"] == f"/bots/{BOT}/timeline?kind={'version' if 'version' in row else 'stage'}"
        elif row.get("evolved_by") or row.get("command_id"):
            assert sign["href"] == (f"/jobs/{row['evolved_by']}" if row.get("evolved_by") else f"/commands/{row['command_id']}")
        else:
            assert sign["href"] == f"/events/{names[0]}?tick={row['tick']}"
    stood = [(one["data-stood"], int(one["x"]), int(one["x"]) + int(one["width"])) for one in elements(html, "data-stood")]
    ends = [*(round(axes.x(row["created_at"])) for row in moves[1:]), 10_000]
    expected = [(row["to_stage"], round(axes.x(row["created_at"])), end) for row, end in zip(moves, ends, strict=True)]
    assert stood == [one for one in expected if one[2] > one[1]]
    assert f"{len(versions)} version" in html


def check(life: Life, html: dict[str, str]) -> None:
    check_backtest(life, html["backtest"])
    check_session(life, html["session"])
    check_life(life, html["life"])


def test_each_mark_and_point_is_one_of_the_rows_or_of_the_report(database: Database, tmp_path: Path) -> None:
    seen = Counter[str]()
    for seed in SEEDS:
        with a_life(seed, database, tmp_path / str(seed)) as life:
            html = life.html(life.document())
            check(life, html)
            seen[life.drawn.kept] += 1
            whole = html["session"] + html["backtest"]
            seen.update(word for word in ("STOP", "TARGET", "FLATTEN") if f'data-kind="{word}"' in whole)
            seen.update(
                word for word in ("are drawn", "is a point", 'data-line="engine"', "sums are known", "has not run over") if word in whole
            )
    # Which says that there was something to compare, of each kind.
    assert set(seen) == {
        *REPORTS,
        "STOP",
        "TARGET",
        "FLATTEN",
        "are drawn",
        "is a point",
        'data-line="engine"',
        "sums are known",
        "has not run over",
    }


WRONG = {
    "a fill at another price": "UPDATE bot_trades SET price = price * 1.1 WHERE order_id = (SELECT order_id FROM bot_trades WHERE session_id = %(id)s ORDER BY bar DESC, at DESC LIMIT 1)",
    "a fill of another kind": "UPDATE bot_trades SET kind = 'FUNDING' WHERE order_id = (SELECT order_id FROM bot_trades WHERE session_id = %(id)s ORDER BY bar DESC, at DESC LIMIT 1)",
    "a fill that is gone": "DELETE FROM bot_trades WHERE order_id = (SELECT order_id FROM bot_trades WHERE session_id = %(id)s ORDER BY bar DESC, at DESC LIMIT 1)",
    "another close": "UPDATE bot_equity SET close = close * 1.1 WHERE session_id = %(id)s AND bar = (SELECT max(bar) FROM bot_equity WHERE session_id = %(id)s)",
    "another account": "UPDATE bot_equity SET equity = equity * 1.1 WHERE session_id = %(id)s AND bar = (SELECT max(bar) FROM bot_equity WHERE session_id = %(id)s)",
    "another verdict": "UPDATE bot_drift SET verdict = 'WORSE' WHERE session_id = %(id)s",
    "a stage that was not": "UPDATE bot_stage_events SET to_stage = 'SHELF' WHERE created_at = (SELECT max(created_at) FROM bot_stage_events)",
    "a version too many": "INSERT INTO bot_versions SELECT bot_id, version + 1, strategy, parameters, symbol, timeframe, actor, evolved_by, tick, created_at, gen_random_uuid() FROM bot_versions ORDER BY version DESC LIMIT 1",
    "another result": "UPDATE bot_backtests SET artifact = NULL WHERE bot_id = %(bot)s",
}  # fmt: skip


def test_a_wrong_row_is_seen(database: Database, tmp_path: Path) -> None:
    """Negative control: each time one row differs from what was drawn, and the comparison says so."""
    with a_life(5, database, tmp_path) as life:
        html = life.html(life.document())
        check(life, html)
        (session,) = life.sql(NEWEST)
        for statement in WRONG.values():
            life.connection.commit()
            assert life.connection.execute(statement, {"id": session["id"], "bot": BOT}).rowcount >= 1
            with pytest.raises(AssertionError):
                check(life, html)
            life.connection.rollback()
        check(life, html)


class Meddled:
    """A connection whose every statement is followed by one of somebody else's."""

    def __init__(self, connection: Any, meddle: Callable[[], None]) -> None:
        self.connection, self.meddle = connection, meddle

    def __getattr__(self, name: str) -> Any:
        async def ask(*words: Any) -> Any:
            found = await getattr(self.connection, name)(*words)
            self.meddle()
            return found

        return ask


@pytest.mark.parametrize("isolation", ["repeatable_read", "read_committed"])
def test_a_picture_is_of_one_moment(database: Database, tmp_path: Path, isolation: Any) -> None:
    """Every row changes between its statements, and nothing of that is in it; negative control: in a weaker transaction it is."""
    with a_life(5, database, tmp_path) as life:

        def meddle() -> None:
            for statement in WRONG.values():
                life.connection.execute(statement, {"id": session["id"], "bot": BOT})
            life.connection.commit()

        async def once(*, meddled: bool) -> dict[str, Any]:
            connection = await connect(database.url("autonomy_reader"), SCHEMA)
            try:
                async with connection.transaction(isolation=isolation, readonly=True):
                    asked: Any = Meddled(connection, meddle) if meddled else connection
                    rows = await picture.read(asked, BOT)
                return await picture.told(rows, str(life.folder))
            finally:
                await connection.close()

        (session,) = life.sql(NEWEST)
        life.connection.commit()
        before = asyncio.run(once(meddled=False))
        assert (asyncio.run(once(meddled=True)) == before) == (isolation == "repeatable_read")
        assert asyncio.run(once(meddled=False)) != before
