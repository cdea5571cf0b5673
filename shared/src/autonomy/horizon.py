"""Where a process without a snapshot begins to read.

Place in the flow: once, at the start of a job-runner or of proof-api: newest seal → its horizon → the offsets of every other topic.

Source: S7.
"""

from aiokafka import TopicPartition

from autonomy.chain import GENESIS, SEAL_KIND, Chain, read_record
from autonomy.envelope import Undecodable, decode
from autonomy.errors import Broken, Unreadable
from autonomy.events import Head, PlannerRun
from autonomy.log_reader import LogReader
from autonomy.topics import INPUTS, RUNS

FIRST_LOOK_BACK = 500
CHAIN = TopicPartition(RUNS, 0)


async def newest_horizon(reader: LogReader) -> Head:
    """The horizon of the newest seal in the log; a void seal's is as good, it was made from an accepted head.

    Args:
        reader: reads `autonomy.runs`, whatever else; until `go_behind` it reads nothing else, and it stands anywhere.

    Raises:
        Unreadable: the end of the chain.
    """
    reader.pause_all_but({CHAIN})
    (end,) = (await reader.ends([RUNS]))[RUNS]
    back = FIRST_LOOK_BACK
    while end > 0:
        start = max(0, end - back)
        reader.seek(CHAIN, start)
        found = await _last_seal(reader)
        if found is not None:
            return found.horizon
        if start == 0:
            break
        back *= 4
    return GENESIS


async def _last_seal(reader: LogReader) -> PlannerRun | None:
    found: PlannerRun | None = None
    async for record in reader.to_the_end([RUNS]):
        placed = read_record(record)
        if isinstance(placed, Undecodable) or placed.kind != SEAL_KIND:
            continue
        received = decode(placed.value, RUNS)
        if not isinstance(received, Undecodable) and isinstance(received.event, PlannerRun):
            found = received.event
    return found


async def go_behind(reader: LogReader, head: Head) -> Chain:
    """A chain that stands on an accepted seal; the reader goes on behind it, and in every input from where its cut is.

    Raises:
        Broken: the record at its offset is another one.
        Unreadable: nobody can read it.
    """
    chain = Chain.anchored(head)
    reader.pause_all_but({CHAIN})
    if head.offset >= 0:
        reader.seek(CHAIN, head.offset)
    while chain.anchor is not None:
        for record in await reader.poll(max_records=1):
            if isinstance(chain.read(record), Undecodable):
                raise Broken(f"the record at offset {record.offset} of {RUNS} is not the anchor of tick {head.tick}")
        if reader.fault:
            raise Unreadable(reader.fault)
    reader.seek(CHAIN, head.offset + 1)
    for place in [place for place in reader.positions if place.topic in INPUTS]:
        reader.seek(place, chain.cut[place.topic][place.partition] if place.topic in chain.cut else 0)
    reader.pause_all_but(reader.positions)
    return chain
