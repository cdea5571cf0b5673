"""Reading to now: wait until everything that stands in the log at this moment has been folded.

Place in the flow: a task that must not act on an old picture asks here; the loop that reads says how far it is. Asks that come
together cost one question to the broker.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka.errors import KafkaError

log = logging.getLogger(__name__)
RETRY_S = 0.25

Ends = Mapping[str, Sequence[int]]


class Reading(Protocol):
    """What a barrier needs of the reader."""

    async def ends(self, topics: Sequence[str]) -> Ends:
        """The end offset of each partition, now."""
        ...

    def reached(self, cut: Ends) -> bool:
        """Whether everything below the cut was handed out."""
        ...


@dataclass(slots=True)
class Barrier:
    """Who waits for the log to be read up to the end offsets taken after they asked."""

    reader: Reading
    topics: Sequence[str]
    asking: "list[asyncio.Future[None]]" = field(default_factory=list)
    waiting: "list[tuple[Ends, list[asyncio.Future[None]]]]" = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None

    def read_to_now(self) -> "asyncio.Future[None]":
        """Done once everything that stood in the log when this was called has been folded."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asking.append(asked)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._ask())
        return asked

    def folded(self) -> None:
        """Said by the loop that reads, after each step: whoever waited for what is folded now may go on."""
        for entry in [entry for entry in self.waiting if self.reader.reached(entry[0])]:
            self.waiting.remove(entry)
            for asked in entry[1]:
                if not asked.done():
                    asked.set_result(None)

    async def _ask(self) -> None:
        while self.asking:
            # Those who ask while the broker answers must wait for the next answer: this one may be older than their question.
            asked, self.asking = self.asking, []
            self.waiting.append((await self._ends(), asked))

    async def _ends(self) -> Ends:
        while True:
            try:
                return await self.reader.ends(self.topics)
            except KafkaError as refusal:
                log.warning("the log's end is not known: %r", refusal)
                await asyncio.sleep(RETRY_S)
