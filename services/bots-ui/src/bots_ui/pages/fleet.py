"""The Bots page and its addresses: what was asked for → what the proof API says → the template's context.

Place in the flow: route → **page** → template. Reads by HTTP only. An API that does not answer gives a page that says so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlencode

from autonomy.client import Answer, Found
from autonomy.gates import Needs
from autonomy.reasons import Reason
from autonomy.values import BotState, LanesBy, Recency, Stage
from bots_ui.api.client import ProofApi
from bots_ui.api.documents import list_of, lost_words, number_of, text_of
from bots_ui.shown.facts import part
from bots_ui.shown.picture import picture_of
from bots_ui.shown.rows import row_of
from bots_ui.stream.following import is_list, token_of_answer
from bots_ui.stream.hub import Hub
from bots_ui.stream.open_page import MAX_LISTS, MAX_WATCHED, View

PAGE_SIZE: Final = 50
MAX_TEXT: Final = 80
MAX_CURSOR: Final = 400
MAX_TOKEN: Final = 16
MAX_NAME: Final = 8
MAX_VIEWS: Final = 32
"""Visible pages of one browser that share a stream; a browser with more opens another."""
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "state": tuple(BotState), "stage": tuple(Stage), "reason": tuple(Reason), "recency": tuple(Recency),
    "recommended": ("true",), "needs": tuple(Needs),
}  # fmt: skip
Context = dict[str, object]
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list's address asks for; unknown words are left out, so that an address never breaks the page."""

    chosen: Mapping[str, tuple[str, ...]]
    text: str = ""
    cursor: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether anything is filtered out."""
        return bool(self.text) or any(self.chosen.values())

    def params(self, *, paged: bool = True) -> list[tuple[str, str]]:
        """As the API and the address say it."""
        found = [(name, value) for name, values in self.chosen.items() for value in values]
        found += [("q", self.text)] if self.text else []
        return found + ([("cursor", self.cursor)] if self.cursor and paged else [])

    @property
    def shown(self) -> str:
        """The filter alone, as an address says it; empty for none."""
        return urlencode(self.params(paged=False))

    def address(self, path: str = "/", **changed: str) -> str:
        """The canonical address, without a page's cursor unless it is given."""
        return with_query(path, [*self.params(paged=False), *changed.items()])

    def toggled(self, name: str, value: str, path: str = "/") -> str:
        """The address with one word of the filter switched."""
        values = self.chosen.get(name, ())
        after = tuple(known for known in values if known != value) if value in values else (*values, value)
        return replace(self, chosen={**self.chosen, name: after}).address(path)


def asked_of(query: Query, choices: Mapping[str, tuple[str, ...]]) -> Asked:
    """Read a list's address."""
    chosen = {
        name: tuple(dict.fromkeys(value for key, value in query if key == name and value in allowed)) for name, allowed in choices.items()
    }
    last = dict(query)
    return Asked(chosen, last.get("q", "").replace("\x00", "").strip()[:MAX_TEXT], last.get("cursor", "")[:MAX_CURSOR])


def with_query(path: str, params: Query) -> str:
    """An address with its query."""
    return f"{path}?{urlencode(list(params))}" if params else path


async def bots(api: ProofApi, hub: Hub, asked: Asked) -> Context:
    """The Bots page: a filtered page of rows with the counts that filter."""
    params = [*asked.params(), ("limit", str(PAGE_SIZE))]
    answer, hour = await asyncio.gather(api.get("/api/bots", params), hub.hours.told(api, LanesBy.FLEET))
    now, facts = hub.now(), hub.facts()
    document = answer.document if isinstance(answer, Found) else {}
    items = list_of(document, "items")
    hub.learn(items)
    following = text_of(document, "nextCursor")
    view = View(
        bots=tuple(text_of(item, "botId") for item in items), rev=int(number_of(document, "rev") or 0), wanted=asked.chosen,
        text=asked.text, has_next=bool(following), counts=True, timeline=LanesBy.FLEET,
    )  # fmt: skip
    counts = part(document, "counts") or hub.counts
    return {
        "asked": asked, "now": now, "rows": [row_of(item, now, fresh=facts.fresh, moments=facts.moments) for item in items],
        "counts": {name: part(counts, name) for name in CHOICES}, "choices": CHOICES, "total": number_of(document, "total"),
        "matching": number_of(document, "matching"), "waiting": hub.waiting_words(),
        "next": asked.address(cursor=following) if following else "",
        "picture": picture_of(hour, small=True), "queue": facts.queue, "live": live_address(view), "lost": lost_words(answer),
        "lag": number_of(part(document, "proof"), "lagRecords"),
    }  # fmt: skip


def live_address(view: View) -> str:
    """The address of a page's stream: what it shows, and from which revision."""
    params: list[tuple[str, str]] = [(name, value) for name, values in view.wanted.items() for value in values]
    params += [("q", view.text)] if view.text else []
    params += [("rev", str(view.rev))] if view.rev else []
    params += [("bots", ",".join(view.bots))] if view.bots else []
    params += [("list", address) for address in view.lists]
    params += [("seen", token) for token in view.seen]
    params += [("timeline", view.timeline)] if view.timeline else []
    flags = (("more", view.has_next), ("whole", view.whole), ("counts", view.counts), ("waiting", view.waiting))
    return with_query("/live", params + [(name, "1") for name, flag in flags if flag])


def view_of(query: Query) -> View:
    """What an open page shows, read back from `live_address`."""
    asked, last = asked_of(query, CHOICES), dict(query)
    watched = tuple(bot for bot in last.get("bots", "").split(",") if bot)[:MAX_WATCHED]
    rev = last.get("rev", "")
    lists = tuple(value for key, value in query if key == "list" and is_list(value))[:MAX_LISTS]
    seen = tuple(value[:MAX_TOKEN] for key, value in query if key == "seen")[:MAX_LISTS]
    timeline = last.get("timeline", "") if last.get("timeline", "") in set(LanesBy) else ""
    return View(
        watched, int(rev) if rev.isdigit() and len(rev) < 19 else 0, asked.chosen, asked.text, "more" in last, "whole" in last,
        "counts" in last, "waiting" in last, lists, seen, timeline,
    )  # fmt: skip


def views_of(query: Query) -> dict[str, View]:
    """What the pages show that share a stream, by the names that their browser gave them: `view=name.query`, once for each."""
    found: dict[str, View] = {}
    for key, value in query:
        name, dot, shown = value.partition(".")
        if key == "view" and dot and len(name) <= MAX_NAME and len(found) < MAX_VIEWS:
            found[name] = view_of(parse_qsl(shown))
    return found


def followed(*asked: tuple[str, Query, Answer]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lists that a page shows, as a view names them, and a token of what each answered."""
    return tuple(with_query(path, params) for path, params, _ in asked), tuple(token_of_answer(answer) for _, _, answer in asked)
