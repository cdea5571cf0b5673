"""The columns of the list of bots: one entry each, for the heading, the cell and its place.

Place in the flow: document → **columns** → row, bots.html (headings), row.html (cells). Pure. A plain column says here how its text is
made of the API's document; one with marks and links has a macro of its name in `cells.html`.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from autonomy.documents.keys import BotListedKey
from bots_ui.api.documents import number_of
from bots_ui.shown.words import MISSING, figure_words, money_words

Document = Mapping[BotListedKey, object]


class ListColumn(NamedTuple):
    """One column.

    Attributes:
        key: its macro in `cells.html`, or the class of its cell.
        heading: above it.
        title: what the heading means, where it does not say so itself.
        text: the text of a plain cell, set as a number; None: a macro makes the cell.
        warms: whether a change of the cell is shown by a short warmth.
        sort: what the list is sorted by from its heading; empty where it is not.
        usual: whether it is shown where nobody chose columns.
    """

    key: str
    heading: str
    title: str = ""
    text: Callable[[Document], str] | None = None
    warms: bool = False
    sort: str = ""
    usual: bool = True

    @property
    def name(self) -> str:
        """What it is called where it is chosen."""
        return self.title or self.heading


def of_evidence(key: BotListedKey, words: Callable[[float], str]) -> Callable[[Document], str]:
    """The words of a number of the newest evidence; none before the first."""

    def text(document: Document) -> str:
        value = number_of(document, key)
        return MISSING if value is None or document.get("evidenceAt") is None else words(value)

    return text


def of_session(document: Document) -> str:
    """The gain of the open paper session."""
    return money_words(document.get("sessionPnl"), sign=True)


def of_version(document: Document) -> str:
    """The bot's version."""
    return str(document.get("version") or MISSING)


LIST_COLUMNS: Final = (
    ListColumn("bot", "bot", sort="bot"),
    ListColumn("now", "now", sort="state"),
    ListColumn("data", "data"),
    ListColumn("stage", "stage", sort="stage"),
    ListColumn("to", "to", "next stage, and how many of its gates pass"),
    ListColumn("what", "strategy · symbol", sort="strategy"),
    ListColumn(
        "sharpe", "Sharpe", "annualised Sharpe ratio of the last backtest", of_evidence("sharpe", figure_words), warms=True, sort="sharpe"
    ),
    ListColumn(
        "drawdown", "DD %", "largest drawdown of the last backtest, percent",
        of_evidence("maxDrawdown", lambda value: f"{value * 100:.0f}"), sort="drawdown",
    ),
    ListColumn("trades", "trades", text=of_evidence("trades", lambda value: f"{value:,.0f}"), sort="trades"),
    ListColumn("pnl", "PnL", "gain of the open paper session, USD", of_session, usual=False),
    ListColumn("version", "version", text=of_version, usual=False),
    ListColumn("spark", "equity"),
    ListColumn("next", "next", sort="next"),
)  # fmt: skip


def cells_of(document: Document) -> dict[str, str]:
    """The texts of the plain cells, by column."""
    return {column.key: column.text(document) for column in LIST_COLUMNS if column.text is not None}
