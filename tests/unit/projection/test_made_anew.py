"""A topic without authority that was made anew begins at lower offsets, and is read; one of record is never read a second time."""

import pytest
from aiokafka import TopicPartition

from autonomy.chain import GENESIS, Chain
from autonomy.clock import now
from autonomy.envelope import encode
from autonomy.events import ProbePulse
from autonomy.topics import PULSE
from projection import intake as intake_module
from projection.fold.apply import Model
from projection.intake import Intake
from projection.store.batches import Offsets
from support.builders import an_id
from support.stored_log import Stored

PLACE = (PULSE, 0)
FAR = 9_000


def after_a_long_life() -> Intake:
    """A projection whose rows say that it has read far."""
    intake = Intake(Model(), Chain(), Offsets({PLACE: FAR}, {PLACE: FAR}), GENESIS)
    intake.positions[PLACE] = FAR
    return intake


def a_probe(offset: int) -> Stored:
    said = ProbePulse(process_id=an_id("probe"), sequence=1, sent_at=now())
    return Stored(PULSE, 0, offset, encode(said, source="test", subject="probe", time=now(), event_id=an_id("probe-1")))


def test_a_pulse_of_the_new_topic_counts_and_the_offset_goes_back() -> None:
    intake = after_a_long_life()
    intake.take(a_probe(2))
    assert len(intake.model.signs.pulses) == 1
    progress = intake.progress()
    assert progress.offsets[PLACE] == (3, 3)
    assert progress.before[PLACE] == FAR


def test_without_the_guard_it_would_be_taken_for_one_read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    monkeypatch.setattr(intake_module, "WITHOUT_AUTHORITY", ())
    intake = after_a_long_life()
    intake.take(a_probe(2))
    assert not intake.model.signs.pulses


def test_what_is_left_out_of_a_pulse_is_kept_with_its_place_and_said() -> None:
    intake = after_a_long_life()
    intake.leave_out(TopicPartition(PULSE, 0), 7, "its CRC is wrong", now())
    (said,) = intake.take_said()
    assert (said.source_topic, said.source_offset, said.reason) == (PULSE, 7, "its CRC is wrong")
    assert (PULSE, 0, 7) in intake.model.changes.rows["quarantine"]
    assert intake.quarantined == 1


def test_what_the_projection_cannot_read_is_in_its_row_until_it_can() -> None:
    signs = Model().signs
    assert not signs.reading("", now()), "that all is well is worth no batch of its own"
    assert signs.reading("autonomy.jobs/3 begins at 2: records were deleted", now())
    assert not signs.reading("autonomy.jobs/3 begins at 2: records were deleted", now())
    assert signs.reading("", now())
