"""A batch that is dropped is dropped whole: what was handed over of it and not written yet takes its end along.

Source: R-F10; docs/architecture.md, "Read models".
"""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from autonomy.errors import Retryable
from projection import app
from projection.app import Projection
from projection.fold.rows import Changes
from projection.store import writer
from support.projections import Rows, a_projection
from support.shell import MemoryKafka


class Database:
    """Writes a part when it is let, and tells what it wrote."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.written: list[str] = []
        monkeypatch.setattr(writer, "write", self.write)
        monkeypatch.setattr(writer, "commit", self.commit)

    def write(self, rows: Rows, part: Any) -> None:
        self.begun.set()
        assert self.go_on.wait(10)
        if part == "refused":
            raise OSError(part)
        self.written.append(part)

    def commit(self, rows: Rows, rest: Any, progress: Any) -> None:
        self.written.append(rest)


async def a_batch_under_way(database: Database, projection: Projection, *parts: Any) -> None:
    """Parts and an end; the first part is being written."""
    progress: Any = SimpleNamespace()
    projection.writing.extend((projection.writer.write(part), None) for part in parts)
    projection.writing.append((projection.writer.commit("end", progress), progress))  # type: ignore[arg-type] # told apart by name
    assert await asyncio.to_thread(database.begun.wait, 10)


@pytest.fixture
def projection(monkeypatch: pytest.MonkeyPatch) -> Projection:
    projection = a_projection(MemoryKafka(), monkeypatch)

    async def stop() -> None: ...

    monkeypatch.setattr(projection.reader.consumer, "stop", stop, raising=False)
    return projection


async def test_after_a_refused_part_neither_another_nor_the_end_is_written(projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(monkeypatch)
    await a_batch_under_way(database, projection, "refused", "two")
    database.go_on.set()
    found = await asyncio.gather(*[under_way for under_way, _ in projection.writing], return_exceptions=True)
    await projection.close()
    assert [type(each) for each in found] == [OSError, Retryable, Retryable]
    assert database.written == []


async def test_a_batch_that_is_dropped_between_its_parts_is_not_committed(projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread comes free just when a part is taken back and the end is not yet: it must not write the end alone."""
    database, passed = Database(monkeypatch), threading.Event()
    await a_batch_under_way(database, projection, "one", "two")

    def come_free(_: object) -> None:
        projection.writer.thread.submit(passed.set)
        database.go_on.set()
        assert passed.wait(10)

    projection.writing[1][0].add_done_callback(come_free)
    await projection.close()
    assert passed.is_set()
    assert database.written == ["one"]


async def test_closing_ends_the_thread_and_retrieves_what_failed(projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(monkeypatch)
    await a_batch_under_way(database, projection, "one", "two")
    database.go_on.set()
    await asyncio.wait_for(projection.close(), 10)
    with pytest.raises(RuntimeError, match="shutdown"):
        _ = projection.writer.write(Changes())  # refused at once, not by what it would return


async def test_waiting_too_long_takes_no_part_back(projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends is the process's patience; its close drops the batch whole."""
    monkeypatch.setattr(app, "COMMIT_TIMEOUT_S", 0.05)
    database = Database(monkeypatch)
    begun = projection.writer.write("before")  # type: ignore[arg-type] # told apart by name
    await a_batch_under_way(database, projection, "one", "two")
    with pytest.raises(TimeoutError):
        await projection.settle()
    assert not any(under_way.cancelled() for under_way, _ in projection.writing)
    closing = asyncio.ensure_future(projection.close())
    await asyncio.sleep(0)
    database.go_on.set()
    await closing
    assert begun.done()
    assert database.written == ["before"]
