"""Live rows: one listener to the proof API per process, every change rendered once, and fanned out to the open pages.

Place in the flow: `/api/stream` → **hub** → `/live` → browser. Each open page has a bounded queue: when it does not keep up, its
queue is dropped and it gets a fresh picture of what it shows. The hub remembers rows, never decides what they mean. It beats once a
second whatever the API does: no question to the API is waited for there, or a slow API would look like a dead page.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from autonomy import clock
from autonomy.client import Document, Found, StreamLost, Unreachable
from autonomy.telemetry import begin_span, is_traced, root_of
from autonomy.values import ms_of
from bots_ui.api.client import ApiEvent, ProofApi
from bots_ui.api.documents import list_of, number_of, text_of
from bots_ui.shown.facts import Facts, Link, facts_of, part
from bots_ui.shown.matching import matches
from bots_ui.shown.rows import due_of, silent_of
from bots_ui.shown.words import instant_of
from bots_ui.stream.following import EVERY_S, LEAST_S, look
from bots_ui.stream.hours import DRAWN_EVERY_S, Hours
from bots_ui.stream.open_page import Client, Message, View
from bots_ui.stream.renderers import Renderers

log = logging.getLogger(__name__)
RETRY_S: Final = 0.5
BEAT_S: Final = 1.0
SOURCES_EVERY_MS: Final = 5_000
ROWS_KEPT: Final = 20_000
MAX_CLIENTS: Final = 256
WAITING_SHOWN: Final = 200
"""Promotions counted exactly; of more it is said that there are more."""
QUEUED: Final = "QUEUED"
RELOAD: Final = "reload"
BEATS: Final = frozenset({"rev", "lastBeatAt", "runnerBeatAt", "basis", "leaseSec"})


@dataclass(slots=True, eq=False)
class Hub:
    """The one listener of a process.

    Attributes:
        api_time: the API's own time in its newest answer, and this process's steady clock when it came, seconds.
        floor: rows changed after this revision are all in `rows`.
        places_due: places in line are asked for again, since another bot's job moves them.
        waiting: promotions that wait for approval; None while it is not known. `waiting_due`: they are asked for again.
        heard: turns of the listener, also in vain; `beaten`: of the beat: their signs of life.
        hours: pictures of the last hour.
    """

    api: ProofApi
    render: Renderers
    link: Link = field(default_factory=lambda: Link({}, None, clock.now(), "starting"))
    rows: "OrderedDict[str, Document]" = field(default_factory=OrderedDict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    api_time: tuple[datetime, float] | None = None
    rev: int = 0
    floor: int = 0
    clients: set[Client] = field(default_factory=set)
    turned: set[str] = field(default_factory=set)
    places_due: bool = False
    waiting: int | None = None
    waiting_due: bool = True
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    heard: int = 0
    beaten: int = 0
    asked: int = 0
    looked: int = 0
    drew: int = 0
    hours: Hours = field(default_factory=Hours)

    def now(self) -> datetime:
        """The time by which ages are told: the API's, since all instants are its; this process's own before it answered."""
        if self.api_time is None:
            return clock.now()
        at, heard_s = self.api_time
        return at + timedelta(seconds=clock.monotonic_ms() / 1000 - heard_s)

    def facts(self) -> Facts:
        """What the header says now."""
        return facts_of(self.link, self.now())

    async def keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do one of the works below for ever; a fault in it loses no page a change."""
        while True:
            try:
                await work()
            except Exception:  # whatever it was: a page that goes silent for it would be worse
                log.exception("a task of the hub failed and begins anew")
                self.begin_anew()
            await asyncio.sleep(RETRY_S)

    def begin_anew(self) -> None:
        """Forget all rows; every page that shows some fetches itself."""
        self.rows.clear()
        self.floor = self.rev
        self._tell(Message("", RELOAD), lambda client: bool(client.view.bots))

    async def listen(self) -> None:
        """Follow the proof API."""
        while True:
            self.heard += 1
            try:
                await self._follow()
                self._lose("the stream ended")
            except StreamLost as loss:
                self._lose(str(loss))
            except ValueError as fault:  # no JSON in an event
                log.warning("the proof API's stream cannot be read: %r", fault)
                self._lose("its stream cannot be read")
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        if not self.rev:
            found = await self.api.get("/api/bots", [("limit", "1")])
            if isinstance(found, Found):
                self.rev = self.floor = int(number_of(found.document, "rev") or 0)
        async for event in self.api.stream(self.rev):
            self.heard += 1
            match event.name:
                case "bots":
                    self.take_rows(event)
                case "proof":
                    await self._take_proof(event)
                case _:
                    pass  # a newer API may say more

    def _lose(self, why: str) -> None:
        if self.link.lost_since is None:
            log.warning("the proof API is lost: %s", why)
            self.link = replace(self.link, lost_since=self.now(), why=why)
            self.say_head()

    async def _take_proof(self, event: ApiEvent) -> None:
        counts = event.document.get("counts")
        if isinstance(counts, Mapping) and counts != self.counts:
            self.counts = counts
            self._tell(Message(self.render.counts(self.counts)), lambda client: client.view.counts)
        found = await self.api.get("/api/_proof/autonomy")
        if not isinstance(found, Found):
            self._lose(found.why if isinstance(found, Unreachable) else found.words)
            return
        before = self.facts()
        # The rows are as of the stream's own proof; this answer is a little newer, and its rows have not come yet.
        proof = {**part(found.document, "proof"), "asOf": part(event.document, "proof").get("asOf")}
        told_at = instant_of(found.document.get("now"))
        self.api_time = (told_at, clock.monotonic_ms() / 1000) if told_at else None
        self.link = Link({**found.document, "proof": proof}, self.now(), None, "", self.link.sources, part(event.document, "attention"))
        facts = self.facts()
        if facts.trust != before.trust:
            self.say_head()
        if facts.queue != before.queue:
            self._tell(Message(self.render.queue(facts)), lambda client: client.view.counts)

    def take_rows(self, event: ApiEvent) -> None:
        """Take changed rows; a gap in the revisions makes every page fetch itself again."""
        items = event.document.get("items")
        rev = int(number_of(event.document, "rev") or 0)
        changed = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
        gap = rev < self.rev or event.document.get("more") is True
        self.rev = rev
        beats = {text_of(item, "botId") for item in changed if self._only_beats(item)}
        jobs = self._jobs_of(changed) if is_traced() else {}
        for item in changed:
            self.remember(item)
        if gap:
            self.begin_anew()
            return
        self.say_rows([self.rows[text_of(item, "botId")] for item in changed], beats, jobs)

    def _jobs_of(self, changed: Sequence[Document]) -> dict[str, str]:
        """By bot, the job that a change is about: the active one, or the one that was until now."""
        found: dict[str, str] = {}
        for item in changed:
            bot_id = text_of(item, "botId")
            found[bot_id] = text_of(item, "jobId") or text_of(self.rows.get(bot_id, {}), "jobId")
        return found

    def _only_beats(self, item: Document) -> bool:
        """Whether nothing but a sign of life is new: no reason to fetch a whole page again."""
        known = self.rows.get(text_of(item, "botId"))
        return known is not None and all(key in BEATS or known.get(key) == value for key, value in item.items())

    def remember(self, item: Document) -> None:
        """Keep a row; the oldest goes when there are too many."""
        bot_id = text_of(item, "botId")
        known = self.rows.get(bot_id)
        if known is None or any(known.get(key) != item.get(key) for key in ("recommendationId", "recommendationStatus")):
            self.waiting_due = True
        if item.get("jobStatus") == QUEUED or (known is not None and known.get("jobStatus") == QUEUED):
            self.places_due = True
            if known is not None and known.get("jobId") == item.get("jobId") and item.get("jobStatus") == QUEUED:
                item = {"place": known.get("place"), **item}
        # What only a fetched list tells (parameters, a pin) stays until it is told otherwise.
        self.rows[bot_id] = {**{key: value for key, value in (known or {}).items() if key != "place"}, **item}
        self.rows.move_to_end(bot_id)
        while len(self.rows) > ROWS_KEPT:
            _, gone = self.rows.popitem(last=False)
            self.floor = max(self.floor, int(number_of(gone, "rev") or 0))

    def learn(self, items: Sequence[Document]) -> None:
        """Keep rows that a page fetched, unless the stream told something newer meanwhile."""
        for item in items:
            known = self.rows.get(text_of(item, "botId"))
            if known is None or (number_of(known, "rev") or 0) <= (number_of(item, "rev") or 0):
                self.remember(item)

    def say_rows(
        self, documents: Sequence[Document], beats: AbstractSet[str] = frozenset(), jobs: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Send changed rows to the pages that show them, each rendered once.

        Args:
            documents: the rows.
            beats: bots of whom nothing but a sign of life is new.
            jobs: by bot, in whose trace the rendering shows; none while tracing is off.
        """
        rendered: dict[tuple[str, bool], str] = {}
        facts = self.facts()
        for client in self.clients:
            parts: list[str] = []
            for document in documents:
                bot_id, fits = text_of(document, "botId"), matches(document, client.view.wanted, client.view.text)
                if bot_id in client.view.bots:
                    if client.view.whole and bot_id in beats:
                        continue
                    key = (bot_id, fits)
                    if key not in rendered and not client.view.whole:
                        job_id = "" if bot_id in beats else jobs.get(bot_id, "")
                        rendered[key] = self._render_traced(document, job_id, facts, left=not fits)
                    parts.append(rendered.get(key, ""))
                elif client.view.counts and fits and client.view.could_hold(bot_id) and bot_id not in client.outside:
                    client.outside.add(bot_id)
                    parts.append(self.render.outside(len(client.outside)))
            if parts:
                client.offer(Message("", RELOAD) if client.view.whole else Message("\n".join(parts)))

    def _render_traced(self, document: Document, job_id: str, facts: Facts, *, left: bool) -> str:
        root = root_of(job_id) if job_id else None
        if root is None:
            return self.render.row(document, facts, left)
        about = {"autonomy.job": job_id, "autonomy.bot": text_of(document, "botId"), "autonomy.state": text_of(document, "state")}
        with begin_span("badge", root, about):
            return self.render.row(document, facts, left)

    def say_head(self) -> None:
        """Send the header to every page."""
        self._tell(Message(self.render.head(self.facts())), lambda _: True)

    def _tell(self, message: Message, chosen: Callable[[Client], bool]) -> None:
        for client in self.clients:
            if chosen(client):
                client.offer(message)

    async def beat(self) -> None:
        """Tell the open pages once a second."""
        while True:
            self.beaten += 1
            self.say_head()
            self._sweep()
            await asyncio.sleep(BEAT_S)

    async def ask(self) -> None:
        """Ask for what no event tells: places in line, what waits for an operator, the sources of the bars."""
        asked_ms = float(-SOURCES_EVERY_MS)
        while True:
            self.asked += 1
            if self.places_due and self.clients and self.link.lost_since is None:
                self.places_due = False
                await self._ask_places()
            if self.waiting_due and self.link.lost_since is None:
                await self._ask_waiting()
            if self.link.lost_since is None and clock.monotonic_ms() - asked_ms >= SOURCES_EVERY_MS:
                asked_ms = clock.monotonic_ms()
                await self._ask_sources()
            await asyncio.sleep(BEAT_S)

    async def look(self) -> None:
        """Look at the lists that pages show."""
        while True:
            self.looked += 1
            began_ms = clock.monotonic_ms()
            if self.link.lost_since is None:
                await look(self.api, set(self.clients), Message("", RELOAD), self.render.as_of)
            await asyncio.sleep(max(LEAST_S, EVERY_S - (clock.monotonic_ms() - began_ms) / 1000))

    async def draw(self) -> None:
        """Draw the last hour again for the pages that show it."""
        while True:
            self.drew += 1
            if self.link.lost_since is None:
                await self.hours.draw(self.api, set(self.clients), self.render.timeline)
            await asyncio.sleep(DRAWN_EVERY_S)

    def _sweep(self) -> None:
        """Show again the rows that changed without any event: a heartbeat went silent or came back, or something became due."""
        if not self.facts().fresh:
            return
        now = self.now()
        turned = {bot_id for bot_id, document in self.rows.items() if silent_of(document, now) is not None or due_of(document, now)}
        changed = (turned ^ self.turned) & self.rows.keys()
        self.turned = turned
        self.say_rows([self.rows[bot_id] for bot_id in sorted(changed)])

    async def _ask_places(self) -> None:
        found = await self.api.get("/api/bots", [("state", "BACKTEST_QUEUED"), ("limit", "200")])
        items = found.document.get("items") if isinstance(found, Found) else None
        moved: list[Document] = []
        for item in items if isinstance(items, list) else []:
            known = self.rows.get(text_of(item, "botId"))
            if known is not None and known.get("jobId") == item.get("jobId") and known.get("place") != item.get("place"):
                self.rows[text_of(item, "botId")] = {**known, "place": item.get("place")}
                moved.append(self.rows[text_of(item, "botId")])
        self.say_rows(moved)

    async def _ask_sources(self) -> None:
        found = await self.api.get("/api/market-data")
        if isinstance(found, Found):
            self.link = replace(self.link, sources=tuple(list_of(found.document, "items")))

    async def _ask_waiting(self) -> None:
        self.waiting_due = False
        asked = [("status", "OPEN"), ("status", "REQUESTED"), ("limit", str(WAITING_SHOWN))]
        found = await self.api.get("/api/promotions", asked)
        items = found.document.get("items") if isinstance(found, Found) else None
        known = self.waiting
        self.waiting = len(items) if isinstance(items, list) else None
        if known != self.waiting:
            self._tell(Message("", RELOAD), lambda client: client.view.waiting)
        self._tell(Message(self.render.waiting(self.waiting_words())), lambda _: True)

    def waiting_words(self) -> str:
        """How many promotions wait for approval; empty for none, and while it is not known."""
        if not self.waiting:
            return ""
        return f"{self.waiting}+" if self.waiting >= WAITING_SHOWN else str(self.waiting)

    def picture(self, view: View) -> list[Message]:
        """What a page has to be told when it connects, or when it lost its queue."""
        messages = [Message(self.render.head(self.facts()))]
        if view.counts:
            messages.append(Message(f"{self.render.counts(self.counts)}\n{self.render.queue(self.facts())}"))
        if not view.bots:
            return messages
        known = [self.rows[bot_id] for bot_id in view.bots if bot_id in self.rows]
        missed = [row for row in known if (number_of(row, "rev") or 0) > view.rev]
        if view.rev < self.floor or (view.whole and missed):
            return [*messages, Message("", RELOAD)]
        facts = self.facts()
        parts = [self.render.row(row, facts, not matches(row, view.wanted, view.text)) for row in missed]
        return [*messages, Message("\n".join(parts))] if parts else messages


async def events(hub: Hub, views: Mapping[str, View], max_events: int | None = None) -> AsyncGenerator[bytes]:
    """The stream of one browser's open pages; ends when the process stops.

    Args:
        hub: the listener of this process.
        views: what each page shows, by the name that the browser gave it.
        max_events: ends after so many, for tests.
    """
    wake, sent = asyncio.Event(), 0
    clients = {to: Client(view, wake=wake) for to, view in views.items()}
    hub.clients.update(clients.values())
    stopped, woken = asyncio.create_task(hub.stopping.wait()), asyncio.create_task(wake.wait())
    try:
        waiting = [(to, message) for to, view in views.items() for message in hub.picture(view)]
        while max_events is None or sent < max_events:
            for to, message in waiting:
                yield message.encode(ms_of(hub.now()), to)
                sent += 1
            await asyncio.wait({woken, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                return
            wake.clear()
            woken = asyncio.create_task(wake.wait())
            waiting = [(to, message) for to, client in clients.items() for message in told(hub, client)]
    finally:
        hub.clients.difference_update(clients.values())
        stopped.cancel()
        woken.cancel()


def told(hub: Hub, client: Client) -> list[Message]:
    """What waits for a page; everything anew where its queue was lost."""
    if not client.overflowed:
        return client.drained()
    client.overflowed = False
    client.forget()
    return [*hub.picture(client.view), *client.drained()]
