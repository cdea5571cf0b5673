"""The last hour of the loop, asked for once for all open pages whose pictures have the same lanes, and drawn once for them.

Place in the flow: `/api/timeline` → **hours** → a swap for each page that shows it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from autonomy import clock
from autonomy.client import Document, Found
from autonomy.values import LanesBy
from bots_ui.api.client import ProofApi
from bots_ui.stream.open_page import Client, Message

DRAWN_EVERY_S: Final = 1.0
SHARED_MS: Final = 900
"""So old an answer is still given to a page that is loaded."""
SMALL: Final = LanesBy.FLEET.value
"""The picture on top of another page, which is drawn every other time."""


@dataclass(slots=True)
class Hours:
    """What was told last, by what the lanes tell apart, with this process's steady clock when it came, ms."""

    known: dict[str, tuple[float, Document]] = field(default_factory=dict)
    turn: int = 0

    async def told(self, api: ProofApi, by: str) -> Document:
        """What the loop did in the last hour; empty where the API does not tell it."""
        known = self.known.get(by)
        if known is not None and clock.monotonic_ms() - known[0] < SHARED_MS:
            return known[1]
        found = await api.get("/api/timeline", [("by", by)])
        document = found.document if isinstance(found, Found) else {}
        self.known[by] = (clock.monotonic_ms(), document)
        return document

    async def draw(self, api: ProofApi, clients: Iterable[Client], render: Callable[[Document], str]) -> None:
        """Send the picture to every page that shows it; where it is not told, what they show stays, and says how old it is."""
        shown: dict[str, list[Client]] = {}
        for client in clients:
            if client.view.timeline:
                shown.setdefault(client.view.timeline, []).append(client)
        self.turn += 1
        for by, pages in sorted(shown.items()):
            if by == SMALL and self.turn % 2:
                continue
            html = render(await self.told(api, by))
            for client in pages if html else ():
                client.offer(Message(html))
