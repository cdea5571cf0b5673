"""Append a try while it is being written.

Place in the flow: tick (a checked draft) → **sending** → `autonomy.runs`. Thousands of records are written, hashed and sent in turns, so
that the broker does its part meanwhile.

Source: S1, S3.
"""

import asyncio
from typing import Final

from autonomy.chain import OwnTry
from autonomy.kafka import Appending, Sender
from autonomy.topics import RUNS
from planner.tick import Draft, Try

RECORDS_PER_TURN: Final = 100
"""Records after which the client gets a turn to send, and to hear of what was sent."""


async def send(producer: Sender, drafted: Draft) -> tuple[Try, OwnTry]:
    """Append all records of a try but its seal, which may follow them once this returns.

    Raises:
        KafkaError: a record was not acknowledged: without a seal none of them counts.
        Broken, BadInput, ValidationError: no reader would take it; the same holds.
    """
    appending, beside = Appending(producer, RUNS, 0), []
    for record in drafted.records():
        headers = record.headers()
        beside.append(headers)
        # Thousands of records, a handful of batches: the coroutine is only for the record that opens the next one.
        if not appending.put(record.key, record.value, list(headers)):
            await appending.add(record.key, record.value, list(headers))
        if record.seq % RECORDS_PER_TURN == 0:
            await asyncio.sleep(0)
    await appending.flush()
    prepared = drafted.sealed()
    # The seal goes out only once every record before it is acknowledged: a failed send ends the try.
    await appending.acknowledged()
    return prepared, OwnTry(prepared.records[:-1], beside, prepared.seal.root)
