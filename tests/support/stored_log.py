"""A driver's log as stored records, in the order in which some reader gets them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from autonomy.chain import RunRecord
from autonomy.topics import RUNS
from support.ticks import TickDriver


@dataclass(slots=True)
class Stored:
    """A record as a client returns it; not frozen, as `autonomy.envelope.Record` has attributes that can be set."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes | None]] = ()


def stored_log(driver: TickDriver) -> list[Stored]:
    """Every record of a driver's log, partition after partition."""
    inputs = [
        Stored(topic, partition, offset, value)
        for (topic, partition), values in sorted(driver.log.items())
        for offset, value in enumerate(values)
    ]
    return [*map(run_record, driver.runs), *inputs]


def run_record(record: RunRecord) -> Stored:
    """A record of `autonomy.runs`."""
    return Stored(RUNS, 0, record.offset, record.value, record.key, record.timestamp_ms, record.headers())


def interleaved(records: Iterable[Stored], seed: int) -> Iterator[Stored]:
    """The records in a random order that keeps each partition's."""
    queues: dict[tuple[str, int], list[Stored]] = {}
    for record in records:
        queues.setdefault((record.topic, record.partition), []).append(record)
    random = Random(seed)
    places = [place for place, queue in sorted(queues.items()) for _ in queue]
    random.shuffle(places)
    taken = dict.fromkeys(queues, 0)
    for place in places:
        yield queues[place][taken[place]]
        taken[place] += 1


def ends_of(records: Iterable[Stored], counts: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """The end offset of each partition."""
    ends = {topic: [0] * count for topic, count in counts.items()}
    for record in records:
        ends[record.topic][record.partition] = max(ends[record.topic][record.partition], record.offset + 1)
    return {topic: tuple(offsets) for topic, offsets in ends.items()}


def renumbered(records: Iterable[Stored]) -> list[Stored]:
    """The records with dense offsets, as a rewritten log would have them."""
    last: dict[tuple[str, int], int] = {}
    done = []
    for record in records:
        place = (record.topic, record.partition)
        last[place] = last.get(place, -1) + 1
        done.append(replace(record, offset=last[place]))
    return done
