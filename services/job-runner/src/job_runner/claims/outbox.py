"""What a runner says, in order per partition: while one batch waits for its ack, whatever comes meanwhile becomes the next one.

Place in the flow: app → **outbox** → `autonomy.jobs`, `autonomy.runners`. Hundreds of results at once cost a few appends, a single
one leaves at once. Unacknowledged means unknown, for each record of the batch: the log tells.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from aiokafka.errors import KafkaError

from autonomy.kafka import Outgoing, Sender, append_batch

log = logging.getLogger(__name__)
MAX_RECORDS_AT_ONCE: Final = 5_000
"""Records of one append; what is left goes with the next."""

Place = tuple[str, int]


@dataclass(slots=True)
class Outbox:
    """Records on their way to the log, and who waits for their acks."""

    producer: Sender
    waiting: dict[Place, list[tuple[list[Outgoing], "asyncio.Future[bool]"]]] = field(default_factory=dict)
    sending: dict[Place, "asyncio.Task[None]"] = field(default_factory=dict)

    async def say(self, topic: str, partition: int, records: list[Outgoing]) -> bool:
        """Append, after what was said before to this partition; returns whether it was acknowledged."""
        place = (topic, partition)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(place, []).append((records, done))
        if place not in self.sending:
            self.sending[place] = asyncio.create_task(self._send(place))
        return await done

    async def _send(self, place: Place) -> None:
        try:
            while waiting := self._wanted(place):
                taken, count = 0, 0
                while taken < len(waiting) and (taken == 0 or count + len(waiting[taken][0]) <= MAX_RECORDS_AT_ONCE):
                    count += len(waiting[taken][0])
                    taken += 1
                batch, rest = waiting[:taken], waiting[taken:]
                if rest:
                    self.waiting[place] = rest
                await self._append(place, batch)
        finally:
            del self.sending[place]

    def _wanted(self, place: Place) -> "list[tuple[list[Outgoing], asyncio.Future[bool]]]":
        """What waits, without the records of those who stopped waiting: these must not be said any more."""
        return [entry for entry in self.waiting.pop(place, []) if not entry[1].done()]

    async def _append(self, place: Place, batch: "list[tuple[list[Outgoing], asyncio.Future[bool]]]") -> None:
        topic, partition = place
        acknowledged = False
        try:
            await append_batch(self.producer, topic, partition, [record for records, _ in batch for record in records])
            acknowledged = True
        except KafkaError as refusal:
            log.warning("not acknowledged: %r", refusal, extra={"topic": topic, "partition": partition})
        except Exception as fault:  # noqa: BLE001 (handed to whoever waits)
            for _, done in batch:
                if not done.done():
                    done.set_exception(fault)
        for _, done in batch:
            if not done.done():
                done.set_result(acknowledged)
