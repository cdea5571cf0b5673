"""Where a process without a snapshot begins to read.

Place in the flow: once, at the start of a job-runner or of proof-api: newest seal → its horizon → the offsets of every other topic.

Source: S7.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from autonomy.chain import GENESIS, SEAL_KIND, Chain, read_record
from autonomy.envelope import Undecodable, decode
from autonomy.errors import Broken
from autonomy.events import Head, PlannerRun
from autonomy.log_reader import LogReader
from autonomy.topics import INPUTS, RUNS, TOPICS

FIRST_LOOK_BACK = 500


@dataclass(frozen=True, slots=True)
class Anchored:
    """A place to begin: a chain that stands on an accepted seal, and per topic the first offset of each partition to read from there."""

    chain: Chain
    starts: Mapping[str, Sequence[int]]


async def newest_horizon(kafka: str) -> Head:
    """The horizon of the newest seal in the log; a void seal's is as good, it was made from an accepted head."""
    async with await LogReader.open(kafka, {RUNS: [0]}) as reader:
        (end,) = (await reader.ends([RUNS]))[RUNS]
        back = FIRST_LOOK_BACK
        while end > 0:
            start = max(0, end - back)
            reader.seek(TopicPartition(RUNS, 0), start)
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


async def anchored(kafka: str, head: Head) -> Anchored:
    """The place behind an accepted seal, where everything above its cut is still to be read.

    Raises:
        Broken: the record at its offset is another one.
    """
    chain = Chain.anchored(head)
    if head.offset >= 0:
        async with await LogReader.open(kafka, {RUNS: [head.offset]}) as reader:
            while chain.anchor is not None:
                for record in await reader.poll(max_records=1):
                    if isinstance(chain.read(record), Undecodable):
                        raise Broken(f"the record at offset {record.offset} of {RUNS} is not the anchor of tick {head.tick}")
    starts = {topic.name: chain.cut.get(topic.name, (0,) * topic.partitions) for topic in TOPICS if topic.name in INPUTS}
    return Anchored(chain, {RUNS: (head.offset + 1,), **starts})
