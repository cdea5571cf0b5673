"""Where one can go, by a few letters: bots, pages and acts in one list.

Place in the flow: route → **palette** → its page, and the dialog that Ctrl-K opens over any page. Acts lead to their sheets, which say what
would happen and who may; nothing is done from the list.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import quote

from bots_ui.api.client import ProofApi
from bots_ui.api.documents import items_of, lost_words, text_of
from bots_ui.operator.acts import is_id
from bots_ui.pages.asked import MAX_TEXT
from bots_ui.pages.fleet import Context
from bots_ui.shown import words

BOTS: Final = 8
ACTS: Final = (
    ("/loop?verb=pause", "Pause loop…"), ("/loop?verb=resume", "Resume loop…"), ("/act/revert", "Revert to LAB…"),
    ("/act/mode", "Change promotion mode…"),
)  # fmt: skip
OF_A_BOT: Final = (("revert", "Revert {} to LAB…"), ("hold", "Hold {}…"), ("pin", "Pin {}…"))


class Choice(NamedTuple):
    """One place to go.

    Attributes:
        kind: bot, page, act or record.
        words: as it is found and read.
        more: beside it.
    """

    kind: str
    words: str
    href: str
    more: str = ""


async def palette(api: ProofApi, text: str) -> Context:
    """What matches some letters; without any, all pages and acts."""
    text = text.replace("\x00", "").strip()[:MAX_TEXT]
    bots: list[Choice] = []
    lost = ""
    if text and not is_id(text):
        answer = await api.get("/api/bots", [("q", text), ("limit", str(BOTS))])
        lost = lost_words(answer)
        bots = [
            Choice(
                "bot", text_of(item, "botId"), f"/bots/{text_of(item, 'botId')}",
                f"{words.word_of(words.STATES, text_of(item, 'state'))} · {text_of(item, 'stage')}",
            )
            for item in items_of(answer)
        ]  # fmt: skip
    return {"text": text, "choices": [*bots, *_others(text, [bot.words for bot in bots])], "lost": lost}


def _others(text: str, bots: list[str]) -> Iterator[Choice]:
    wanted = text.lower()
    if is_id(text):
        yield Choice("record", f"Job {text}", f"/jobs/{text}")
        yield Choice("record", f"Command {text}", f"/commands/{text}")
        return
    for href, name, _ in words.PAGES:
        if wanted in name.lower():
            yield Choice("page", name, href)
    for href, name in ACTS:
        if wanted in name.lower():
            yield Choice("act", name, href)
    if len(bots) == 1:
        for verb, name in OF_A_BOT:
            yield Choice("act", name.format(bots[0]), f"/act/{verb}?bot={quote(bots[0])}")
