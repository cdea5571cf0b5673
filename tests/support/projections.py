"""A projection's shell over a log and rows in memory: its real loop, intake, model and writer thread."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from autonomy.chain import Chain
from autonomy.log_reader import LogReader
from autonomy.telemetry import is_traced
from projection.app import Projection
from projection.fold.rows import Changes
from projection.intake import Intake
from projection.store import writer
from projection.store.batches import Progress
from projection.store.writer import Writer
from projection.tracing import RowSpans
from support.read_models import MemoryStore
from support.shell import PARTITIONS, MemoryKafka

CHUNK = 5
"""Records of a poll where a test wants many of them."""
FOREVER_MS = 1e9


class Rows(MemoryStore):
    """The database's place behind the writer.

    Attributes:
        written: what came, in order: how many rows of a part, or None of a commit.
    """

    written: list[int | None]

    def __init__(self) -> None:
        super().__init__()
        self.written = []

    def fileno(self) -> int:
        raise OSError("no wire")

    def close(self) -> None: ...


def write_in_memory(rows: Rows, part: Changes) -> None:
    rows.written.append(sum(map(len, part.rows.values())))
    rows.write(part)


def commit_in_memory(rows: Rows, changes: Changes, progress: Progress) -> None:
    rows.written.append(None)
    rows.commit(changes, progress)


def a_projection(kafka: MemoryKafka, monkeypatch: pytest.MonkeyPatch, rows: Rows | None = None, batch: int = 1_000) -> Projection:
    """A process that has read nothing since its rows were committed, on a client of its own."""
    monkeypatch.setattr(writer, "write", write_in_memory)
    monkeypatch.setattr(writer, "commit", commit_in_memory)
    client: Any = MemoryKafka(log=kafka.log, last=kafka.last)
    reader = LogReader(client, dict.fromkeys(PARTITIONS, 0), asker=client)
    held = Rows() if rows is None else rows
    model, head, offsets = held.load()
    intake = Intake(model, Chain.anchored(head), offsets, head, spans=RowSpans() if is_traced() else None)
    settings: Any = SimpleNamespace(batch=batch)
    connection: Any = held
    projection = Projection(settings, Writer(ThreadPoolExecutor(1), connection), reader, client, intake)
    starts = {(partition.topic, partition.partition): 0 for partition in PARTITIONS} | offsets.next_offset
    if head.offset >= 0:
        starts[("autonomy.runs", 0)] = head.offset
    for partition in PARTITIONS:
        client.read[partition] = reader.positions[partition] = starts[(partition.topic, partition.partition)]
    intake.positions.update(offsets.next_offset)
    return projection


def rows_of(projection: Projection) -> Rows:
    """Where a projection in memory writes."""
    connection: Any = projection.writer.connection
    assert isinstance(connection, Rows)
    return connection
