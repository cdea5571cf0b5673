"""What was handed over to the writer's thread stays as it was, whatever comes after it.

Source: R-F9, R-F10; docs/architecture.md, "Read models".
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import orjson
import pytest

from autonomy.clock import drawn_id
from autonomy.envelope import Received, Undecodable, decode, encode
from autonomy.events import PlannerPulse, ProbePulse
from autonomy.topics import PULSE
from projection.fold.apply import Model
from projection.fold.bot_now import Row
from projection.fold.rows import Changes
from support.builders import an_id
from support.careers import lived
from support.histories import live_through, written_history
from support.read_models import Log, MemoryStore, Reading, log_of
from support.ticks import TickDriver

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def log() -> Log:
    return log_of(live_through(TickDriver(), written_history()))


@pytest.fixture(scope="module")
def careers() -> Log:
    random = Random(1)
    return lived([(random.randrange(11), random.randrange(2**24)) for _ in range(400)]).written()


def as_written(changes: Changes) -> dict[str, list[bytes]]:
    """The rows as they would go to the database now."""
    return {table: [orjson.dumps(row) for row in rows.values()] for table, rows in changes.rows.items()}


def handed_over(log: Log, random: Random) -> Iterator[Changes]:
    """Parts and ends of batches, in random turns of a few records."""
    reading = Reading.begin(log, MemoryStore())
    while reading.unread:
        reading.read(random.choice(reading.unread), random.randint(1, 12))
        reading.apply()
        if random.random() < 0.5:
            yield reading.intake.model.changes.take_done()
        elif random.random() < 0.3:
            progress = reading.intake.progress()
            yield reading.intake.model.finish()
            reading.intake.handed_over(progress)


def changed_later(log: Log, seed: int) -> int:
    """How many of them look otherwise after everything was read."""
    kept = [(changes, as_written(changes)) for changes in handed_over(log, Random(seed))]
    assert sum(bool(before.get("bot_jobs")) for _, before in kept) > 5
    return sum(as_written(changes) != before for changes, before in kept)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("history", ["log", "careers"])
def test_what_was_handed_over_is_not_changed_any_more(history: str, seed: int, request: pytest.FixtureRequest) -> None:
    assert changed_later(request.getfixturevalue(history), seed) == 0


def test_a_job_whose_row_is_not_copied_changes_an_earlier_batch(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""

    def own_job(self: Model, job_id: str) -> Row:
        self._put_job(self.jobs[job_id])
        return self.jobs[job_id]

    monkeypatch.setattr(Model, "_own_job", own_job)
    assert changed_later(log, 1) > 0


@pytest.mark.parametrize("seed", range(5))
def test_each_row_that_is_done_with_goes_once_and_no_other_goes_early(log: Log, seed: int) -> None:
    """Parts take evidence and what ended; a live job or a standing decision goes with the end of its batch alone."""
    reading, random = Reading.begin(log, MemoryStore()), Random(seed)
    seen: list[tuple[str, tuple[object, ...]]] = []
    while reading.unread:
        reading.read(random.choice(reading.unread), random.randint(1, 12))
        reading.apply()
        part = reading.intake.model.changes.take_done()
        assert set(part.rows) <= {"bot_backtests", "bot_jobs", "decision_spans"}
        assert not [*part.gone, *part.ended, *part.settled]
        assert all(row["finished_at"] is not None for row in part.rows.get("bot_jobs", {}).values())
        assert all(row["to_tick"] is not None for row in part.rows.get("decision_spans", {}).values())
        seen += [(table, key) for table, rows in part.rows.items() for key in rows]
    rest = reading.intake.model.finish()
    assert {table for table, _ in seen} == {"bot_backtests", "bot_jobs", "decision_spans"}
    assert len(seen) == len(set(seen))
    assert not [(table, key) for table, key in seen if key in rest.rows.get(table, {})]
    assert {row["status"] for row in rest.rows["bot_jobs"].values()} <= {"QUEUED", "RUNNING"}


def received(event: PlannerPulse | ProbePulse) -> Received:
    value = encode(event, source="autonomy/test", subject="x", time=NOON, event_id=drawn_id())
    found = decode(value, PULSE)
    assert not isinstance(found, Undecodable)
    return found


def test_of_the_pulses_of_a_batch_the_newest_of_each_process_is_written_once() -> None:
    model = Model()
    pulses: list[PlannerPulse | ProbePulse] = [
        ProbePulse(process_id=an_id(name), sequence=number, sent_at=NOON + timedelta(seconds=number))
        for number, name in enumerate(("one", "two", "one", "one"))
    ]
    pulses.append(PlannerPulse(process_id=an_id("one"), role="leader", head_tick=0, head_hash="0" * 64, next_tick_at=None))
    for number, pulse in enumerate(pulses):
        model.signs.pulse(received(pulse), NOON + timedelta(seconds=number))
    rows = list(model.finish().rows["pulses"].values())
    assert sorted((row["process_id"], row["appended_at"]) for row in rows) == sorted(
        (an_id(name), NOON + timedelta(seconds=number)) for name, number in (("one", 3), ("two", 1), ("one", 4))
    )
    assert "pulses" not in model.finish().rows
