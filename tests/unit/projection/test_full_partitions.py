"""Where as much waits for ticks as may, nothing more is read of a partition until a tick frees it; the end is the same.

Source: docs/architecture.md, "Read models"; S8.
"""

from collections import Counter
from random import Random
from types import ModuleType

import pytest
from aiokafka import TopicPartition

from autonomy import lifecycle
from autonomy.topics import INPUTS, JOBS, RUNNERS
from projection import app, intake
from projection.app import Projection
from projection.intake import Intake
from support.careers import lived
from support.projections import a_projection, rows_of
from support.read_models import Log, compared_rows, read_whole
from support.shell import MemoryKafka


@pytest.fixture(scope="module")
def log() -> Log:
    random = Random(1)
    return lived([(random.randrange(11), random.randrange(2**24)) for _ in range(400)]).written()


@pytest.fixture
def kafka(log: Log, monkeypatch: pytest.MonkeyPatch) -> MemoryKafka:
    """Many ticks are known before their inputs."""
    for name, value in {"POLL_RECORDS": 3, "POLL_MS": 1, "TICKS_AHEAD": 30}.items():
        monkeypatch.setattr(app, name, value)
    kafka = MemoryKafka()
    kafka.take_over(record for records in log.values() for record in records)  # type: ignore[misc] # both are records
    return kafka


async def read_beyond(projection: Projection) -> tuple[Counter[str], Counter[str]]:
    """Read the log; returns by topic how often a partition was full, and how often such a one was read all the same."""
    full, read = Counter[str](), Counter[str]()
    before: dict[TopicPartition, int] = {}
    try:
        while await projection.turn():
            read.update(partition.topic for partition, position in before.items() if projection.reader.positions[partition] > position)
            before = {
                partition: position
                for partition, position in projection.reader.positions.items()
                if partition.topic in INPUTS and is_full(projection.intake, *partition) and not projection.intake.reads_again
            }
            full.update(partition.topic for partition in before)
        return full, read
    finally:
        await projection.writer.close()


is_full = Intake.is_full
BOUNDS = [(JOBS, lifecycle), (RUNNERS, intake)]


@pytest.mark.parametrize(("topic", "bound"), BOUNDS)
async def test_a_full_partition_is_held_until_a_tick_frees_it(
    log: Log, kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch, topic: str, bound: ModuleType
) -> None:
    monkeypatch.setattr(bound, "MAX_PENDING", 2)
    projection = a_projection(kafka, monkeypatch)
    full, read = await read_beyond(projection)
    assert full[topic] > 0
    assert read == {}
    assert projection.reader.lag() == 0
    assert compared_rows(rows_of(projection)) == compared_rows(read_whole(log))


@pytest.mark.parametrize(("topic", "bound"), BOUNDS)
async def test_one_that_is_not_held_is_read_beyond_the_bound(
    kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch, topic: str, bound: ModuleType
) -> None:
    """Negative control."""
    monkeypatch.setattr(bound, "MAX_PENDING", 2)
    monkeypatch.setattr(Intake, "is_full", lambda *_: False)
    _, read = await read_beyond(a_projection(kafka, monkeypatch))
    assert read[topic] > 0
