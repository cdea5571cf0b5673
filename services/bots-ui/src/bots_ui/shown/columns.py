"""The columns of the list of bots: one entry each, for the heading, the cell and its place.

Place in the flow: document → **columns** → row, bots.html (headings), row.html (cells). Pure. A plain column says here how its text is
made of the API's document; one with marks and links has a macro of its name in `cells.html`.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from autonomy.documents.keys import BotListedKey
from bots_ui.api.documents import number_of
from bots_ui.shown.words import MISSING, figure_words

Document = Mapping[BotListedKey, object]


class ListColumn(NamedTuple):
    """One column.

    Attributes:
        key: its macro in `cells.html`, or the class of its cell.
        heading: above it.
        title: what the heading means, where it does not say so itself.
        text: the text of a plain cell, set as a number; None: a macro makes the cell.
        warms: whether a change of the cell is shown by a short warmth.
    """

    key: str
    heading: str
    title: str = ""
    text: Callable[[Document], str] | None = None
    warms: bool = False


def of_evidence(key: BotListedKey, words: Callable[[float], str]) -> Callable[[Document], str]:
    """The words of a number of the newest evidence; none before the first."""

    def text(document: Document) -> str:
        value = number_of(document, key)
        return MISSING if value is None or document.get("evidenceAt") is None else words(value)

    return text


LIST_COLUMNS: Final = (
    ListColumn("bot", "bot"),
    ListColumn("now", "now"),
    ListColumn("data", "data"),
    ListColumn("stage", "stage"),
    ListColumn("to", "to", "next stage, and how many of its gates pass"),
    ListColumn("what", "strategy · symbol"),
    ListColumn("sharpe", "Sharpe", "annualised Sharpe ratio of the last backtest", of_evidence("sharpe", figure_words), warms=True),
    ListColumn(
        "drawdown", "DD %", "largest drawdown of the last backtest, percent", of_evidence("maxDrawdown", lambda value: f"{value * 100:.0f}")
    ),
    ListColumn("trades", "trades", text=of_evidence("trades", lambda value: f"{value:,.0f}")),
    ListColumn("spark", "equity"),
    ListColumn("next", "next"),
)  # fmt: skip


def cells_of(document: Document) -> dict[str, str]:
    """The texts of the plain cells, by column."""
    return {column.key: column.text(document) for column in LIST_COLUMNS if column.text is not None}
