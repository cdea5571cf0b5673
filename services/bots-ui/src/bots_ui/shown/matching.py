"""Whether a bot that changed still belongs to a filtered view: the page's own answer, so that a stream need not ask the API again.

Place in the flow: a document of the stream, a view's filters → **matching** → hub. Pure; the words are those of the address.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from autonomy.documents.keys import BotListedKey
from bots_ui.api.documents import text_of
from bots_ui.shown.rows import Document, needs_word

SEARCHED: Final[Sequence[BotListedKey]] = ("botId", "name", "symbol", "strategy")
TOLD: Final[Mapping[str, Callable[[Document], str]]] = {
    "state": lambda row: text_of(row, "state"), "stage": lambda row: text_of(row, "stage"),
    "reason": lambda row: text_of(row, "reasonCode"), "recency": lambda row: text_of(row, "recency"),
    "strategy": lambda row: text_of(row, "strategy"), "symbol": lambda row: text_of(row, "symbol"), "needs": needs_word,
    "synthetic": lambda row: "true" if row.get("synthetic") is True else "false",
    "recommended": lambda row: "true" if text_of(row, "recommendationId") else "false",
}  # fmt: skip
"""What a row says to each filter that it can answer by itself; asked only of views that have the filter."""


def matches(document: Document, wanted: Mapping[str, Sequence[str]], text: str) -> bool:
    """Whether a changed bot still belongs to a filtered view."""
    if any(words and name in TOLD and TOLD[name](document) not in words for name, words in wanted.items()):
        return False
    needle = text.lower()
    return not needle or any(needle in text_of(document, key).lower() for key in SEARCHED)
