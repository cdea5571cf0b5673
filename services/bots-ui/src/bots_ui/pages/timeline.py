"""The timeline: what the loop did in a stretch of time, live for the last hour, and any other by address.

Place in the flow: route → **timeline** → `fleet_timeline.html`. Reads by HTTP only.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from autonomy.client import Answer
from autonomy.values import LanesBy, iso
from bots_ui.api.client import ProofApi
from bots_ui.api.documents import document_of, list_of, lost_words, number_of, text_of
from bots_ui.pages.asked import Query
from bots_ui.pages.fleet import Context, live_address
from bots_ui.pages.lists import shown
from bots_ui.shown.lanes import Block
from bots_ui.shown.picture import Picture, picture_of
from bots_ui.shown.window import ADDRESS
from bots_ui.shown.words import instant_of
from bots_ui.stream.hub import Hub
from bots_ui.stream.open_page import View

PATH: Final = "/api/timeline"
CHOICES: Final[Mapping[str, str]] = {
    LanesBy.WORKER: "worker", LanesBy.STAGE: "stage", LanesBy.STRATEGY: "strategy", LanesBy.SYMBOL: "symbol", LanesBy.BOT: "bot",
}  # fmt: skip
USUAL: Final = LanesBy.STRATEGY
LENGTHS: Final = ((1, "1 h"), (6, "6 h"), (24, "24 h"))
TOLD: Final = 100
"""Ticks and jobs that are told in words below the picture; all are in their lists."""


def instant_asked(value: str) -> datetime | None:
    """An instant of an address or of a form, UTC where it does not say; None where it is none."""
    found = instant_of(value)
    return found.astimezone(UTC) if found and found.year > 1970 else None


async def timeline(api: ProofApi, hub: Hub, query: Query) -> Context:
    """The picture of the stretch that the address names, or of the last hour, which goes on by itself."""
    last = dict(query)
    by = last.get("by", "") if last.get("by", "") in CHOICES else USUAL.value
    start, end = instant_asked(last.get("from", "")), instant_asked(last.get("to", ""))
    params = [("by", by), *([("from", iso(start))] if start else []), *([("to", iso(end))] if end else [])]
    answer = await api.get(PATH, params)
    live = start is None and end is None
    picture = picture_of(document_of(answer), small=False)
    context: Context = {
        **shown((PATH, params, answer)), "picture": picture, "is_live": live, "by": by, "lost": lost_words(answer),
        "path_live": live_path(by),
        "choices": {word: (word_by, by_address(word_by, start, end)) for word_by, word in CHOICES.items()},
        "lengths": [(words, length_address(hours, by, end, hub.now())) for hours, words in LENGTHS],
        "from_value": form_value(start or window_end(answer, "fromAt")), "to_value": form_value(end or window_end(answer, "toAt")),
        "told": told_of(answer, picture),
    }  # fmt: skip
    if live:
        context["live"] = live_address(View(timeline=by))
    return context


def live_path(by: str) -> str:
    """The address of the last hour."""
    return f"{ADDRESS}?{urlencode({'by': by})}"


def by_address(by: str, start: datetime | None, end: datetime | None) -> str:
    """The same stretch with other lanes."""
    ends = {**({"from": iso(start)} if start else {}), **({"to": iso(end)} if end else {})}
    return f"{ADDRESS}?{urlencode({**ends, 'by': by})}"


def length_address(hours: int, by: str, end: datetime | None, now: datetime) -> str:
    """A stretch of some hours that ends where this one does; the last hour is live."""
    if hours == 1 and end is None:
        return live_path(by)
    until = end or now
    return f"{ADDRESS}?{urlencode({'from': iso(until - timedelta(hours=hours)), 'to': iso(until), 'by': by})}"


def window_end(answer: Answer, name: str) -> datetime | None:
    """An end of the window that was answered."""
    return instant_of(document_of(answer).get(name))


def form_value(instant: datetime | None) -> str:
    """An instant as a field of a form has it, UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") if instant else ""


def told_of(answer: Answer, picture: Picture | None) -> Context:
    """The picture in words, newest first: the ticks, jobs and lanes that it draws, for whoever does not see it or has no pointer."""
    document = document_of(answer)
    blocks: list[Block] = [block for lane in picture.lanes for block in lane.blocks or ()] if picture else []
    return {
        "bars": list(reversed(picture.bars))[:TOLD] if picture else [],
        "blocks": sorted(blocks, key=lambda block: (block.wait, block.name), reverse=True)[:TOLD],
        "jobs": sum(int(number_of(lane, "jobs") or 0) for lane in list_of(document, "lanes")),
        "by": text_of(document, "by"),
    }  # fmt: skip
