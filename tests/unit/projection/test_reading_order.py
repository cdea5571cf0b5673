"""The loop reads in the order of the chain, writes large batches in parts, and never waits for itself.

Source: docs/architecture.md, "Read models"; R-F10.
"""

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from aiokafka import TopicPartition

from autonomy import lifecycle
from autonomy.errors import Broken
from autonomy.topics import INPUTS, JOBS, RUNS
from projection import app, rebuild
from projection.app import SPINE, Projection, end_of
from projection.intake import Intake
from support.projections import CHUNK, Rows, a_projection, rows_of
from support.read_models import Log, Stored, compared_rows, read_whole
from support.shell import MemoryKafka
from support.stored_log import Stored as Returned
from support.ticks import TickDriver


def as_read(record: Returned) -> Stored:
    return Stored(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, record.headers)


def log_of(kafka: MemoryKafka) -> Log:
    return {(place.topic, place.partition): [as_read(record) for record in records] for place, records in kafka.log.items()}


async def read(projection: Projection, after_turn: Callable[[], None] = lambda: None, turns: int = 100_000) -> bool:
    """Read to the end of the log; returns whether it got there within so many turns."""
    try:
        for _ in range(turns):
            if not await projection.turn():
                return not projection.reader.lag()
            after_turn()
        return False
    finally:
        await projection.writer.close()
        await asyncio.gather(*[under_way for under_way, _ in projection.writing], return_exceptions=True)


def farthest(projection: Projection, driver: TickDriver) -> int:
    """How far beyond the cut of the last tick that it knows any partition of inputs was read."""
    known = projection.intake.ticks[-1].head.tick if projection.intake.ticks else projection.intake.applied_head.tick
    cut = driver.accepted[known - 1].seal.cut if known else {}
    if known == len(driver.accepted):
        return 0  # no later tick can be waited for
    return max(position - end_of(cut, *place) for place, position in projection.reader.positions.items() if place.topic in INPUTS)


async def read_and_watch(projection: Projection, driver: TickDriver) -> tuple[int, int]:
    """Read to the end; returns how far ahead any input ever was, and how many ticks ever waited."""
    ahead, waiting = [0], [0]

    def note() -> None:
        ahead.append(farthest(projection, driver))
        waiting.append(len(projection.intake.ticks))

    assert await read(projection, note)
    return max(ahead), max(waiting)


@pytest.mark.parametrize("last", [None, SPINE])
async def test_inputs_are_not_read_ahead_of_the_ticks_that_are_known(
    driver: TickDriver, kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch, last: TopicPartition | None
) -> None:
    """A poll gives what was fetched whole, so one chunk beyond the cut; whether the broker answers for the chain first or last."""
    kafka.last = last
    projection = a_projection(kafka, monkeypatch)
    ahead, waiting = await read_and_watch(projection, driver)
    assert ahead <= CHUNK
    assert 0 < waiting < app.TICKS_AHEAD + CHUNK
    assert compared_rows(rows_of(projection)) == compared_rows(read_whole(log_of(kafka)))


@pytest.mark.parametrize("last", [None, SPINE])
async def test_a_reader_that_holds_nothing_is_far_ahead(
    driver: TickDriver, kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch, last: TopicPartition | None
) -> None:
    """Negative control."""
    kafka.last = last
    monkeypatch.setattr(Projection, "read_in_order", lambda _, **__: None)
    projection = a_projection(kafka, monkeypatch)
    ahead, waiting = await read_and_watch(projection, driver)
    assert ahead > 2 * CHUNK if last else waiting > app.TICKS_AHEAD + CHUNK


async def test_at_the_end_of_the_chain_inputs_are_read_at_once(kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tick comes later; a page shows them before."""
    projection = a_projection(kafka, monkeypatch)
    assert await read(projection)
    assert not projection.reader.is_behind(SPINE)
    assert projection.reader.consumer.paused() == set()


async def test_while_records_are_read_again_nothing_is_held(kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them waited is told only once all of them are in; a tick before that would lose some."""
    kafka.last = SPINE
    monkeypatch.setattr(Projection, "read_in_order", lambda _, **__: None)
    first = a_projection(kafka, monkeypatch)
    while first.reader.is_behind(TopicPartition(JOBS, 0)) or not first.intake.waiting:
        await first.turn()
    await first.commit()
    await first.writer.close()
    monkeypatch.undo()
    monkeypatch.setattr(app, "POLL_MS", 1)
    second = a_projection(kafka, monkeypatch, rows_of(first))
    second.read_in_order()
    assert second.intake.reads_again
    assert second.reader.consumer.paused() == set()
    assert await read(second)
    assert compared_rows(rows_of(second)) == compared_rows(read_whole(log_of(kafka)))


async def test_a_tick_does_not_wait_for_jobs_that_may_not_be_read(kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound of events ahead of their tick a partition is held until ticks come, so those must not wait for it."""
    monkeypatch.setattr(lifecycle, "MAX_PENDING", 1)
    monkeypatch.setattr(app, "TICKS_AHEAD", 50)
    projection = a_projection(kafka, monkeypatch)
    held = [False]
    assert await read(projection, lambda: held.append(TopicPartition(JOBS, 0) in projection.reader.consumer.paused()), 5_000)
    assert any(held)
    assert compared_rows(rows_of(projection)) == compared_rows(read_whole(log_of(kafka)))


async def test_a_tick_that_waits_for_them_is_never_applied(kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(lifecycle, "MAX_PENDING", 1)
    monkeypatch.setattr(app, "TICKS_AHEAD", 50)
    inputs_read = Intake._inputs_read

    def all_read(self: Intake, tick: object) -> bool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lifecycle, "MAX_PENDING", 10**9)
            return inputs_read(self, tick)  # type: ignore[arg-type]

    monkeypatch.setattr(Intake, "_inputs_read", all_read)
    assert not await read(a_projection(kafka, monkeypatch), turns=5_000)


async def test_far_behind_a_batch_is_written_in_parts_and_what_changes_once_at_its_end(
    kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PART", 4 * CHUNK)
    projection = a_projection(kafka, monkeypatch, batch=10**9)
    assert await read(projection)
    rows = rows_of(projection)
    assert rows.written.count(None) == 2, "the log, and then what was said of its poison"
    assert len(rows.written) > 10
    assert sum(part or 0 for part in rows.written) > len(rows.table("bot_backtests")) > 0
    assert rows.parts == []
    assert compared_rows(rows) == compared_rows(read_whole(log_of(kafka)))


@pytest.mark.parametrize(("batch", "part", "bound", "most"), [
    (3 * CHUNK, 10**9, "", 3 * CHUNK),
    (10**9, CHUNK, "LONGEST_MS", CHUNK),
    (10**9, 10**9, "SHORTLY_MS", CHUNK),
])  # fmt: skip
async def test_a_batch_has_its_bounds_in_records_and_in_time(
    kafka: MemoryKafka, taken: list[int], monkeypatch: pytest.MonkeyPatch, batch: int, part: int, bound: str, most: int
) -> None:
    """The shorter time counts while little is left, be it because records keep coming."""
    monkeypatch.setattr(app, "PART", part)
    if bound:
        monkeypatch.setattr(app, bound, -1.0)
    projection = a_projection(kafka, monkeypatch, batch=batch)
    assert await read(projection)
    assert max(taken) == most
    assert sum(taken) == sum(map(len, kafka.log.values()))
    assert set(rows_of(projection).written) == {None}


async def test_after_a_part_that_failed_nothing_is_committed(kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "PART", 4 * CHUNK)
    projection = a_projection(kafka, monkeypatch, batch=10**9)
    rows = rows_of(projection)

    def refuse(part: object) -> None:
        raise OSError("the database is gone")

    monkeypatch.setattr(rows, "write", refuse)
    with pytest.raises(OSError, match="is gone"):
        await read(projection)
    assert (rows.progress, rows.rows) == (None, {})
    again = a_projection(kafka, monkeypatch, Rows())
    assert await read(again)
    assert compared_rows(rows_of(again)) == compared_rows(read_whole(log_of(kafka)))


async def test_a_gap_at_the_end_of_the_chain_holds_no_inputs(kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction's marker counts for the end of a partition, and is never handed out."""
    projection = a_projection(kafka, monkeypatch)
    highwater = MemoryKafka.highwater
    monkeypatch.setattr(MemoryKafka, "highwater", lambda self, place: (highwater(self, place) or 0) + (place == SPINE))
    for _ in range(2):
        while await projection.turn():
            pass
    await projection.writer.close()
    assert projection.reader.is_behind(SPINE)
    assert not [place for place in projection.reader.consumer.paused() if place.topic in INPUTS]
    assert all(projection.reader.positions[place] == len(records) for place, records in kafka.log.items())


@pytest.mark.parametrize("name", ["IdleInTransactionSessionTimeout", "TransactionTimeout", "ReadOnlySqlTransaction", "AdminShutdown"])
def test_what_a_server_says_when_it_ends_an_open_transaction_is_passing(name: str) -> None:
    assert issubclass(getattr(psycopg.errors, name), app.PASSING)


@pytest.mark.parametrize("bound", [1, 10**9])
async def test_a_rebuild_ends_where_a_projection_at_the_bound_of_waiting_events_stood(
    driver: TickDriver, kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    """There a tick was applied, and committed, before its job events were read."""
    monkeypatch.setattr(lifecycle, "MAX_PENDING", bound)
    monkeypatch.setattr(app, "TICKS_AHEAD", 50)
    live = a_projection(kafka, monkeypatch)

    def is_ahead_of_its_jobs() -> bool:
        head = live.intake.applied_head.tick
        cut = driver.accepted[head - 1].seal.cut if head else {}
        return any(live.intake.positions.get((JOBS, number), 0) < end for number, end in enumerate(cut.get(JOBS, ())))

    while await live.turn() and not (bound == 1 and is_ahead_of_its_jobs()):
        pass
    assert is_ahead_of_its_jobs() == (bound == 1)
    await live.commit()
    await live.writer.close()
    offsets = live.intake.offsets
    target = {key: offsets.next_offset[key] if key[0] == RUNS else applied for key, applied in offsets.applied.items()}
    monkeypatch.setattr(lifecycle, "MAX_PENDING", 10**9)
    side = a_projection(kafka, monkeypatch, Rows())

    async def build(_: object, *, read_only_log: bool) -> Projection:
        side.read_only_log = read_only_log
        return side

    monkeypatch.setattr(rebuild, "build_projection", build)
    monkeypatch.setattr(Projection, "close", lambda self: self.writer.close())
    await rebuild.fill(side.settings, target)
    assert compared_rows(rows_of(side)) == compared_rows(rows_of(live))
    with pytest.raises(Broken, match="ends at tick"):
        await rebuild.fill(side.settings, target | {(RUNS, 0): target[(RUNS, 0)] - 1})
