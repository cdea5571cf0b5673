"""A long history as a log in memory, for whoever reads it with the projection's own loop."""

import pytest

from projection import app
from projection.app import Projection
from support.histories import live_through, written_history
from support.projections import CHUNK, FOREVER_MS
from support.shell import MemoryKafka, kafka_of
from support.ticks import TickDriver


@pytest.fixture(scope="module")
def driver() -> TickDriver:
    return live_through(TickDriver(), written_history())


@pytest.fixture
def kafka(driver: TickDriver, monkeypatch: pytest.MonkeyPatch) -> MemoryKafka:
    """A log that is all there from the beginning, of which a poll gives a few records; no batch ends by time."""
    for name, value in {"POLL_RECORDS": CHUNK, "POLL_MS": 1, "LONGEST_MS": FOREVER_MS, "SHORTLY_MS": FOREVER_MS}.items():
        monkeypatch.setattr(app, name, value)
    return kafka_of(driver)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each batch had."""
    counts: list[int] = []
    begin = Projection._begin_commit

    async def begin_commit(self: Projection) -> None:
        counts.append(self.uncommitted)
        await begin(self)

    monkeypatch.setattr(Projection, "_begin_commit", begin_commit)
    return counts
