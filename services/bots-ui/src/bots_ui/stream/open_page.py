"""What one open page shows, and the bounded queue of what it is told.

Place in the flow: page's address → **view** → hub → queue → stream. Pure but for the queue. Pages of one browser share a stream, so
that a message says for which page it is, and the server's own time: a browser's wall clock is never asked.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

QUEUE_MESSAGES: Final = 32
"""About half a minute of messages for one page."""
MAX_WATCHED: Final = 200
MAX_LISTS: Final = 6
"""Lists of the API that one page shows parts of."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a page is sent: swaps, or an event by name without content."""

    html: str
    event: str = ""

    def encode(self, now_ms: int, to: str = "") -> bytes:
        """As a server-sent event.

        Args:
            now_ms: the server's time when it is sent, milliseconds since 1970, UTC.
            to: for which of the pages that share the stream.
        """
        return b"data: " + orjson.dumps({"to": to, "now": now_ms, "event": self.event, "html": self.html}) + b"\n\n"


@dataclass(frozen=True, slots=True)
class View:
    """What one open page shows.

    Attributes:
        bots: rows on the page, in order; at most `MAX_WATCHED`.
        rev: revision of the read models that the page was rendered from.
        wanted: filter by name, as in the URL.
        text: search text.
        has_next: whether more rows follow the last one.
        whole: the page is not a table of rows: it is fetched again when one of `bots` changes.
        counts: the page shows the counts that filter.
        waiting: the page lists promotions that wait; it is fetched again when there are others.
        lists: addresses of the API's lists that the page shows; it is fetched again when one of them says something else.
        seen: of each list, a token of what the page was rendered from.
        timeline: what the lanes of the last hour's picture tell apart, which the page shows and which goes on; empty: it shows none.
        is_sorted: rows come in another order than by their bot.
    """

    bots: tuple[str, ...] = ()
    rev: int = 0
    wanted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    text: str = ""
    has_next: bool = False
    whole: bool = False
    counts: bool = False
    waiting: bool = False
    lists: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    timeline: str = ""
    is_sorted: bool = False

    def could_hold(self, bot_id: str) -> bool:
        """Whether a bot that is not shown would stand between the rows that are."""
        return not self.has_next or not self.bots or (not self.is_sorted and bot_id < self.bots[-1])


@dataclass(slots=True, eq=False)
class Client:
    """One open page.

    Attributes:
        wake: set with every message; pages of one browser share it.
        told: of each list, what the page was last told that it is, beginning with what it was rendered from.
    """

    view: View
    queue: "asyncio.Queue[Message]" = field(default_factory=lambda: asyncio.Queue(QUEUE_MESSAGES))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    overflowed: bool = False
    outside: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """It knows of its lists what it was rendered from."""
        self.forget()

    def forget(self) -> None:
        """Whatever it was told since it was rendered may be lost."""
        self.told.clear()
        self.told.update(zip(self.view.lists, self.view.seen, strict=False))

    def offer(self, message: Message) -> None:
        """Queue a message; a page that does not keep up loses its queue and is told everything anew."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            while not self.queue.empty():
                self.queue.get_nowait()
            self.overflowed = True
        self.wake.set()

    def drained(self) -> list[Message]:
        """Everything that waits for it, in order."""
        return [self.queue.get_nowait() for _ in range(self.queue.qsize())]
