"""A bot's results as charts: price with its trades, the account beside it, the falls below, all over one axis of time.

Place in the flow: `/api/bots/{bot_id}/picture` → **plots** → `plots.html`. Pure; draws what the document says. A price is drawn where the
document has one and nowhere else.

Source: docs/architecture.md, "The Bots page".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autonomy.client import Document
from autonomy.values import ms_of
from bots_ui.api.documents import list_of, number_of, part_of, text_of, told_part
from bots_ui.shown.axes import Mark, Scale, Times, falls_scale, scale_of
from bots_ui.shown.charts import is_finite, steps
from bots_ui.shown.stretch import UNITS
from bots_ui.shown.words import bar_of, count_words, figure_words, instant_of, money_words, ordinal, price_words, share_words

PRICE, ACCOUNT, FALLS = 170, 130, 56
"""Heights of the three boxes, px."""
HEAD: Final = 18
"""Above each box, for its name."""
NEWEST: Final = 50
"""Fills that stand on the first page of a bot's trades; older ones lead to their line below the chart."""
SHAPES: Final = {"ENTRY": "in", "EXIT": "out", "STOP": "stop", "TARGET": "target", "REBALANCE": "size", "FLATTEN": "flat"}
FILLS: Final = {
    "ENTRY": "entered", "EXIT": "left", "STOP": "stopped", "TARGET": "reached its target", "REBALANCE": "changed its size",
    "FLATTEN": "flattened",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points."""

    name: str
    d: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One box of a chart."""

    name: str
    title: str
    scale: Scale
    lines: tuple[Line, ...] = ()
    area: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A closed trade: from where it was entered to where it was left; places along the width in units."""

    x: int
    y: float
    to_x: int
    to_y: float
    long: bool
    won: bool
    cells: tuple[str, ...]

    @property
    def words(self) -> str:
        """For who points at it."""
        side, entered, entry, left, leave, pnl = self.cells
        return f"{side}: {entered} at {entry} → {left} at {leave}, {pnl} USD"


@dataclass(frozen=True, slots=True)
class Fill:
    """A paper fill."""

    name: str
    x: int
    y: float
    kind: str
    bought: bool
    href: str
    cells: tuple[str, ...]

    @property
    def shape(self) -> str:
        """What it looks like."""
        return SHAPES.get(self.kind, "size")

    @property
    def words(self) -> str:
        """For who points at it."""
        bar, _, side, units, price, pnl = self.cells
        gain = "" if pnl == "–" else f", {pnl} USD"
        return f"{FILLS.get(self.kind, self.kind)}: {side} {units} at {price} USD in bar {bar}{gain}"


@dataclass(frozen=True, slots=True)
class Row:
    """A drawn point in words; the cursor says them too."""

    bar: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart.

    Attributes:
        paper: the stretch that the paper session traded, from and width in units.
        columns: headings of the rows.
        left_out: what is not drawn and why, in words.
    """

    times: Times
    panels: tuple[Panel, ...]
    held: tuple[Held, ...]
    fills: tuple[Fill, ...]
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    marks: tuple[Mark, ...]
    left_out: tuple[str, ...]
    label: str
    paper: tuple[int, int] | None = None

    @property
    def has_engine(self) -> bool:
        """Whether the engine's account is drawn beside the paper one."""
        return "engine" in self.columns

    @property
    def bottom(self) -> int:
        """Lower edge of the last box, px."""
        last = self.panels[-1].scale
        return last.top + last.height

    @property
    def height(self) -> int:
        """Of the whole drawing with the words of its axis, px."""
        return self.bottom + 20


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the document."""

    at: datetime
    close: float | None
    equity: float
    holding: float | None
    drawdown: float
    engine: float | None = None


def points_of(rows: Iterable[Document], engine: Iterable[Document] = ()) -> list[Point]:
    """The points of a chart, those with an instant and an account."""
    again = {text_of(row, "barStart"): number_of(row, "equity") for row in engine}
    found = []
    for row in rows:
        at, equity = instant_of(row.get("barStart")), row.get("equity")
        if at is not None and is_finite(equity):
            found.append(Point(
                at, number_of(row, "close"), float(equity), number_of(row, "holding"), number_of(row, "drawdown") or 0.0,
                again.get(text_of(row, "barStart")),
            ))  # fmt: skip
    return found


def backtest_plot(document: Document) -> Plot | None:
    """The chart of the newest result; None where it has no curve."""
    found = part_of(document, "backtest")
    points = points_of(list_of(found, "points"))
    if len(points) < 2:
        return None
    times = Times.around(points[0].at, points[-1].at)
    trades = list_of(found, "trades")
    prices = [price for trade in trades for name in ("entryPrice", "exitPrice") if (price := number_of(trade, name)) is not None]
    panels = _panels(times, points, prices, "trades as marks")
    held = tuple(_held(trades, times, panels[0].scale)) if panels[0].name == "price" else ()
    total, lacks = int(number_of(found, "ofTrades") or 0), text_of(found, "lacks")
    left_out = [
        *([lacks] if lacks else []),
        *([f"The newest {len(trades)} of {count_words(total, 'closed trade')} are drawn."] if held and total > len(trades) else []),
    ]
    last = points[-1]
    return Plot(
        times, panels, held, (), _rows(points, engine=False), _columns(engine=False), times.marks(), tuple(left_out),
        f"The strategy ended at {figure_words(last.equity)} times its start, buying and holding at {figure_words(last.holding)} times; "
        f"the deepest drawdown drawn is {share_words(max(point.drawdown for point in points))}; {count_words(total, 'closed trade')}.",
        _paper_of(document, times),
    )  # fmt: skip


def session_plot(document: Document, bot_id: str) -> Plot | None:
    """The chart of the newest paper session beside the engine over the same bars; None before its second bar.

    Args:
        document: the answer.
        bot_id: whose.
    """
    found = part_of(document, "session")
    engine = list_of(found, "engine")
    points = points_of(list_of(found, "points"), engine)
    if len(points) < 2:
        return None
    times = Times.around(points[0].at, points[-1].at)
    fills = list_of(found, "fills")
    again = [(at, equity) for row in engine if (at := instant_of(row.get("barStart"))) and (equity := number_of(row, "equity")) is not None]
    again = [(at, equity) for at, equity in again if times.holds(at)]
    panels = _panels(times, points, [price for fill in fills if (price := number_of(fill, "price")) is not None], "fills as marks", again)
    drawn = tuple(_fills(fills, times, panels[0].scale, bot_id)) if panels[0].name == "price" else ()
    every, before, total = (int(number_of(found, name) or 0) for name in ("every", "before", "ofFills"))
    left_out = [
        *([f"Every {ordinal(every)} bar is a point."] if every > 1 else []),
        *([f"{count_words(before, 'earlier bar')} of the session: too many to be drawn."] if before else []),
        *([f"The newest {len(drawn)} of {count_words(total, 'fill')} are drawn."] if total > len(drawn) else []),
    ]
    last = points[-1]
    return Plot(
        times, panels, (), drawn, _rows(points, engine=bool(again)), _columns(engine=bool(again)), times.marks(), tuple(left_out),
        f"The paper account stands at {figure_words(last.equity, 4)} times its start, the symbol at {figure_words(last.holding, 4)} times; "
        f"{count_words(total, 'fill')}.",
    )  # fmt: skip


def _panels(
    times: Times, points: Sequence[Point], prices: Sequence[float], of_price: str, engine: Sequence[tuple[datetime, float]] = ()
) -> tuple[Panel, ...]:
    """The boxes from the top: price where there is one, account, falls."""
    top, panels = HEAD, list[Panel]()
    closes = [(times.x(point.at), point.close) for point in points if point.close is not None]
    if closes or prices:
        scale = scale_of([close for _, close in closes] + list(prices), top, PRICE)
        title = f"close, USD; {of_price}" if closes else f"USD; {of_price}, closes are not known"
        panels.append(Panel("price", _titled(title, scale), scale, (Line("close", steps((x, scale.y(y)) for x, y in closes)),)))
        top += PRICE + HEAD
    holding = [(times.x(point.at), point.holding) for point in points if point.holding is not None]
    values = [point.equity for point in points] + [value for _, value in holding] + [value for _, value in engine]
    scale = scale_of(values, top, ACCOUNT, of_start=True)
    lines = [Line("holding", steps((x, scale.y(value)) for x, value in holding))]
    if engine:
        lines.append(Line("engine", steps((times.x(at), scale.y(value)) for at, value in engine)))
    lines.append(Line("strategy", steps((times.x(point.at), scale.y(point.equity)) for point in points)))
    panels.append(Panel("account", _titled("account, from its start", scale), scale, tuple(lines)))
    top += ACCOUNT + HEAD
    scale = falls_scale(max(point.drawdown for point in points), top, FALLS)
    ground = [(times.x(points[place].at), float(top)) for place in (0, -1)]
    under = steps([ground[0], *((times.x(point.at), scale.y(-point.drawdown)) for point in points), ground[1]])
    panels.append(Panel("falls", "drawdown of the strategy", scale, area=f"{under}z"))
    return tuple(panels)


def _titled(title: str, scale: Scale) -> str:
    return f"{title}; logarithmic" if scale.logarithmic else title


def _held(trades: Iterable[Document], times: Times, scale: Scale) -> Iterable[Held]:
    for trade in trades:
        entered, left = instant_of(trade.get("entryBar")), instant_of(trade.get("exitBar"))
        entry, leave = number_of(trade, "entryPrice"), number_of(trade, "exitPrice")
        units, pnl = number_of(trade, "units") or 0.0, number_of(trade, "pnl")
        if entered is None or left is None or entry is None or leave is None:
            continue
        cells = (
            f"{'long' if units > 0 else 'short'} {abs(units):,.0f}", bar_of(trade.get("entryBar")), price_words(entry),
            bar_of(trade.get("exitBar")), price_words(leave), money_words(pnl, sign=True),
        )  # fmt: skip
        yield Held(times.x(entered), round(scale.y(entry), 1), times.x(left), round(scale.y(leave), 1), units > 0, (pnl or 0) > 0, cells)


def _fills(fills: Sequence[Document], times: Times, scale: Scale, bot_id: str) -> Iterable[Fill]:
    for back, fill in zip(range(len(fills), 0, -1), fills, strict=True):
        at, price = instant_of(fill.get("barStart")), number_of(fill, "price")
        if at is None or price is None:
            continue
        name, kind, bought = text_of(fill, "orderId"), text_of(fill, "kind"), text_of(fill, "side") == "BUY"
        cells = (
            bar_of(fill.get("barStart")), kind, "bought" if bought else "sold", figure_words(number_of(fill, "units")), price_words(price),
            money_words(number_of(fill, "pnl"), sign=True),
        )  # fmt: skip
        href = f"/bots/{bot_id}/trades#o-{name}" if back <= NEWEST else ""
        yield Fill(name, times.x(at), round(scale.y(price), 1), kind, bought, href, cells)


def _columns(*, engine: bool) -> tuple[str, ...]:
    return ("close", "account", *(["engine"] if engine else []), "buy and hold", "drawdown")


def _rows(points: Iterable[Point], *, engine: bool) -> tuple[Row, ...]:
    return tuple(
        Row(bar_of(point.at.isoformat()), (
            price_words(point.close), figure_words(point.equity, 4), *([figure_words(point.engine, 4)] if engine else []),
            figure_words(point.holding, 4), share_words(point.drawdown),
        ))
        for point in points
    )  # fmt: skip


def _paper_of(document: Document, times: Times) -> tuple[int, int] | None:
    """Where the paper session traded, within a stretch of time."""
    session = told_part(part_of(document, "session"), "session")
    first, last = instant_of(session["fromBar"]), instant_of(session["lastBar"])
    if first is None or last is None or last <= first or not (times.from_ms < ms_of(last) and ms_of(first) < times.to_ms):
        return None
    x = times.x(first)
    return x, max(min(times.x(last), UNITS) - x, 1)
