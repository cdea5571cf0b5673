"""What this process offers now, and saying it again whenever it changed or nobody acknowledged it.

Place in the flow: bars and strategies → **offer** → `autonomy.runners`. Level-triggered: at no moment is it assumed that an
announcement was heard, and a start is no special one. Beside the loop that beats, so that no look at a source holds up a beat.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from autonomy.envelope import content_hash
from autonomy.errors import BadInput
from autonomy.events import CapabilitiesAnnounced
from job_runner.threads import in_thread

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 1.0
"""A source that changed is announced after two looks that saw it alike: within about two seconds."""


class Source(Protocol):
    """Something that this process offers, and that may change."""

    def look(self) -> bool:
        """Read what changed; returns whether there is something new to say. Blocks."""
        ...


@dataclass(slots=True, eq=False)
class Offer:
    """What one process can do, as announced.

    Attributes:
        made: makes the announcement of now; raises BadInput for one that no record can hold.
        tell: appends it; returns whether that was acknowledged.
        sources: what may change while this process lives: its bars, its strategies.
        said: the last announcement that was acknowledged.
        named: hash of the last one, acknowledged or not: each heartbeat names it, and a planner that does not hold it asks for it again.
    """

    made: Callable[[], CapabilitiesAnnounced]
    tell: Callable[[CapabilitiesAnnounced], Awaitable[bool]]
    sources: tuple[Source, ...] = ()
    every_s: float = LOOK_EVERY_S
    said: CapabilitiesAnnounced | None = None
    named: str | None = None
    refused: str = ""

    async def start(self) -> None:
        """Look at the sources for the first time; twice, since what two looks see alike is taken."""
        for source in (*self.sources, *self.sources):
            await in_thread(source.look)

    async def announce(self) -> bool:
        """Say what this process offers now, also when the same was said before; returns whether it was acknowledged.

        Raises:
            BadInput: no record can hold it.
        """
        offered = self.made()
        heard = await self.tell(offered)
        self.named = content_hash(offered)
        if heard:
            self.said = offered
        return heard

    async def announce_again(self) -> None:
        """Say it once more, because somebody asked or it changed; what no record can hold is logged, and the one before holds."""
        try:
            await self.announce()
            self.refused = ""
        except BadInput as refusal:
            # What would be too much to say must not end what goes on.
            if str(refusal) != self.refused:
                log.error("the offer cannot be announced, the one before holds: %s", refusal)  # noqa: TRY400 (the refusal says it all)
            self.refused = str(refusal)

    async def watch(self) -> None:
        """Look at the source again and again; announce what changed, until it is acknowledged."""
        while True:
            await asyncio.sleep(self.every_s)
            for source in self.sources:
                await in_thread(source.look)
            if self.made() != self.said:
                await self.announce_again()
