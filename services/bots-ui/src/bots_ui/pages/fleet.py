"""The Bots page and its addresses: what was asked for → what the proof API says → the template's context.

Place in the flow: route → **page** → template. Reads by HTTP only. An API that does not answer gives a page that says so.
"""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from autonomy.client import Answer, Found
from autonomy.values import LanesBy
from bots_ui.api.client import ProofApi
from bots_ui.api.documents import list_of, lost_words, number_of, text_of
from bots_ui.pages.asked import CHOICES, CHOOSABLE, GROUPS, SIZES, SORTS, Asked, Query, fleet_asked, with_query
from bots_ui.shown import words
from bots_ui.shown.columns import LIST_COLUMNS
from bots_ui.shown.facts import part
from bots_ui.shown.picture import picture_of
from bots_ui.shown.rows import row_of
from bots_ui.stream.following import is_list, token_of_answer
from bots_ui.stream.hub import Hub
from bots_ui.stream.open_page import MAX_LISTS, MAX_WATCHED, View

MAX_TOKEN: Final = 16
MAX_NAME: Final = 8
MAX_VIEWS: Final = 32
"""Visible pages of one browser that share a stream; a browser with more opens another."""
Context = dict[str, object]


async def bots(api: ProofApi, hub: Hub, asked: Asked) -> Context:
    """The Bots page: a filtered page of rows with the counts that filter."""
    params = [*asked.params(), *asked.look.asked()]
    answer, hour = await asyncio.gather(api.get("/api/bots", params), hub.hours.told(api, LanesBy.FLEET))
    now, facts = hub.now(), hub.facts()
    document = answer.document if isinstance(answer, Found) else {}
    items = list_of(document, "items")
    hub.learn(items)
    following = text_of(document, "nextCursor")
    view = View(
        bots=tuple(text_of(item, "botId") for item in items), rev=int(number_of(document, "rev") or 0), wanted=asked.wanted,
        text=asked.text, has_next=bool(following), counts=True, timeline=LanesBy.FLEET, is_sorted=asked.look.is_sorted,
    )  # fmt: skip
    counts = part(document, "counts") or hub.counts
    return {
        "asked": asked, "now": now, "only": only_of(asked), "groups": groups_of(document, asked),
        "sorts": SORTS, "sizes": SIZES, "group_names": GROUPS,
        "choosable": [column for column in LIST_COLUMNS if column.key in CHOOSABLE],
        "rows": [row_of(item, now, fresh=facts.fresh, moments=facts.moments) for item in items],
        "counts": {name: part(counts, name) for name in CHOICES}, "choices": CHOICES, "total": number_of(document, "total"),
        "matching": number_of(document, "matching"), "waiting": hub.waiting_words(),
        "csv": urlencode(asked.of_list), "cleared": with_query("/", asked.look.params()),
        "next": asked.address(cursor=following) if following else "",
        "picture": picture_of(hour, small=True), "queue": facts.queue, "live": live_address(view), "lost": lost_words(answer),
        "lag": number_of(part(document, "proof"), "lagRecords"),
    }  # fmt: skip


def only_of(asked: Asked) -> list[tuple[str, str, str]]:
    """What the list is narrowed by that no chip above it shows: filter, value, and the value in words."""
    said = {"needs": words.NEEDS, "reason": words.REASON_WORDS, "recency": words.RECENCIES, "recommended": {"true": "waits for approval"},
            "synthetic": {"true": "on made-up bars", "false": "on recorded bars, or without a result yet"}}  # fmt: skip
    found = [(name, value, words.word_of(said[name], value)) for name in said for value in asked.chosen[name]]
    return found + [(name, value, value) for name, values in asked.named.items() for value in values]


def groups_of(document: Mapping[str, object], asked: Asked) -> dict[str, tuple[int, str]]:
    """How many bots each group has, and the address of that group alone, by its name."""
    return {
        text_of(group, "key"): (int(number_of(group, "bots") or 0), asked.narrowed(text_of(group, "key")))
        for group in list_of(document, "groups")
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
    flags = (("more", view.has_next), ("sorted", view.is_sorted), ("whole", view.whole), ("counts", view.counts), ("waiting", view.waiting))
    return with_query("/live", params + [(name, "1") for name, flag in flags if flag])


def view_of(query: Query) -> View:
    """What an open page shows, read back from `live_address`."""
    asked, last = fleet_asked(query), dict(query)
    watched = tuple(bot for bot in last.get("bots", "").split(",") if bot)[:MAX_WATCHED]
    rev = last.get("rev", "")
    lists = tuple(value for key, value in query if key == "list" and is_list(value))[:MAX_LISTS]
    seen = tuple(value[:MAX_TOKEN] for key, value in query if key == "seen")[:MAX_LISTS]
    timeline = last.get("timeline", "") if last.get("timeline", "") in set(LanesBy) else ""
    return View(
        watched, int(rev) if rev.isdigit() and len(rev) < 19 else 0, asked.wanted, asked.text, "more" in last, "whole" in last,
        "counts" in last, "waiting" in last, lists, seen, timeline, "sorted" in last,
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
