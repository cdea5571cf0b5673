"""Where a process without a snapshot begins to read.

Place in the flow: once, at the start of a job-runner or of proof-api: newest seal → its horizon → the offsets of every other topic.

Source: S7.
"""

from aiokafka import TopicPartition

from autonomy.chain import GENESIS, SEAL_KIND, Chain, read_record
from autonomy.envelope import Undecodable, decode
from autonomy.errors import Broken
from autonomy.events import Head, PlannerRun
from autonomy.kafka import LogReader
from autonomy.topics import RUNS

FIRST_LOOK_BACK = 500
POLL_MS = 200


async def newest_horizon(kafka: str) -> Head:
    """The horizon of the newest seal in the log; a void seal's is as good, it was made from an accepted head."""
    async with await LogReader.open(kafka, {RUNS: [0]}) as reader:
        (end,) = (await reader.ends([RUNS]))[RUNS]
        back = FIRST_LOOK_BACK
        while end > 0:
            start = max(0, end - back)
            reader.seek(TopicPartition(RUNS, 0), start)
            found = await _last_seal(reader, end)
            if found is not None:
                return found.horizon
            if start == 0:
                break
            back *= 4
    return GENESIS


async def _last_seal(reader: LogReader, end: int) -> PlannerRun | None:
    found: PlannerRun | None = None
    while not reader.reached({RUNS: (end,)}):
        for record in await reader.poll(POLL_MS):
            placed = read_record(record.headers, record.key, record.value, record.offset, record.timestamp)
            if isinstance(placed, Undecodable) or placed.kind != SEAL_KIND:
                continue
            received = decode(placed.value, RUNS)
            if not isinstance(received, Undecodable) and isinstance(received.event, PlannerRun):
                found = received.event
    return found


async def anchored_chain(kafka: str, horizon: Head) -> tuple[Chain, int]:
    """A chain anchored at a horizon, and the offset of `autonomy.runs` to read on from.

    Raises:
        Broken: the record at the horizon's offset is not its seal.
    """
    chain = Chain.anchored(horizon)
    if horizon.offset < 0:
        return chain, 0
    async with await LogReader.open(kafka, {RUNS: [horizon.offset]}) as reader:
        while chain.anchor is not None:
            for record in await reader.poll(POLL_MS, max_records=1):
                placed = read_record(record.headers, record.key, record.value, record.offset, record.timestamp)
                if isinstance(placed, Undecodable):
                    raise Broken(f"the record at offset {record.offset} of {RUNS} is not the anchor of tick {horizon.tick}")
                chain.feed(placed)
    return chain, horizon.offset + 1
