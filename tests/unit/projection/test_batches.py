"""When a batch ends, and how often a part of it is written before.

Source: docs/architecture.md, "Read models"; R-F10.
"""

import pytest

from autonomy import clock
from projection import app
from support.projections import CHUNK, a_projection, rows_of
from support.shell import MemoryKafka


@pytest.mark.parametrize(("part", "bound"), [(1, "LONGEST_MS"), (10**9, "SHORTLY_MS")], ids=["far behind", "near the end"])
async def test_the_time_of_a_batch_is_counted_from_its_first_record(
    kafka: MemoryKafka, taken: list[int], monkeypatch: pytest.MonkeyPatch, part: int, bound: str
) -> None:
    now_ms = [0.0]
    monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms[0])
    monkeypatch.setattr(app, "PART", part)
    monkeypatch.setattr(app, bound, 3.5)
    projection = a_projection(kafka, monkeypatch, batch=10**9)
    while await projection.turn():
        now_ms[0] += 1.0
    await projection.writer.close()
    assert max(taken) == 5 * CHUNK
    assert len(taken) > 10


async def test_the_last_record_of_the_log_is_committed_at_once(kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after a poll that finds nothing: on a quiet log a page would wait for it each time."""
    projection = a_projection(kafka, monkeypatch, batch=10**9)
    while projection.reader.lag() or not projection.intake.read:
        await projection.turn()
    assert projection.uncommitted == 0
    await projection.settle()
    await projection.writer.close()
    assert rows_of(projection).progress is not None


async def test_a_part_is_written_after_so_many_records_and_not_after_each_of_the_next(
    kafka: MemoryKafka, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PART", 8 * CHUNK)
    projection = a_projection(kafka, monkeypatch, batch=10**9)
    while await projection.turn():
        pass
    await projection.writer.close()
    parts = len(rows_of(projection).written) - len(taken)
    assert 5 < parts <= sum(taken) // (8 * CHUNK)


async def test_a_long_batch_is_not_ended_the_moment_that_little_is_left(
    kafka: MemoryKafka, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the log may be near: a commit just before it would write all badges twice."""
    now_ms = [0.0]
    monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms[0])
    total = sum(map(len, kafka.log.values()))
    monkeypatch.setattr(app, "PART", total // 2)
    monkeypatch.setattr(app, "SHORTLY_MS", 3.5)
    projection = a_projection(kafka, monkeypatch, batch=10**9)
    while await projection.turn():
        now_ms[0] += 1.0
    await projection.writer.close()
    assert total // 2 + 3 * CHUNK <= taken[0] <= total // 2 + 6 * CHUNK
    assert max(taken[1:]) <= 5 * CHUNK
