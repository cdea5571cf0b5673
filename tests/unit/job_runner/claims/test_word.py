"""A runner says of itself on the audited log what changed, and says it again: never once only, never with each beat.

Source: S11; docs/adr/0024-beats-are-heard-and-silence-is-sealed.md.
"""

import pytest

from autonomy.events import RunnerPulse
from job_runner.claims.word import AGAIN_MS, Word
from support.builders import an_id

BEAT_MS = 2_000.0


def a_pulse(**changes: object) -> RunnerPulse:
    return RunnerPulse(process_id=an_id("runner-1"), sequence=1, jobs=(), research_slots=2, **changes)


def beats(word: Word, count: int, start_ms: float = 0.0, pulse: RunnerPulse | None = None) -> int:
    """How many heartbeats go with so many acknowledged pulses."""
    said = 0
    for number in range(count):
        at_ms = start_ms + number * BEAT_MS
        word.pulsed(at_ms, BEAT_MS)
        if word.is_wanted(pulse or a_pulse(), at_ms):
            word.was_said(pulse or a_pulse(), at_ms)
            said += 1
    return said


def test_the_first_beat_is_said_and_then_one_in_five_minutes() -> None:
    day = round(86_400_000 / BEAT_MS)
    assert beats(Word(), day) == 86_400_000 / AGAIN_MS == 288


@pytest.mark.parametrize("change", [{"stopping": True}, {"runner_slots": 1}, {"evolve_slots": 1}, {"announcement": "0" * 64}])
def test_what_changed_is_said_at_once_and_once(change: dict[str, object]) -> None:
    word = Word()
    beats(word, 3)
    assert beats(word, 3, 6_000.0, a_pulse(**change)) == 1


def test_what_was_not_acknowledged_is_said_again() -> None:
    word = Word()
    word.pulsed(0.0, BEAT_MS)
    assert word.is_wanted(a_pulse(), 0.0)
    word.pulsed(BEAT_MS, BEAT_MS)
    assert word.is_wanted(a_pulse(), BEAT_MS)


def test_while_pulses_are_not_acknowledged_each_beat_is_said() -> None:
    """Whatever ails the pulse topic, nobody is taken for dead whom the audited log hears."""
    word = Word()
    beats(word, 3)
    for number in range(3, 6):
        assert word.is_wanted(a_pulse(), number * BEAT_MS)
        word.was_said(a_pulse(), number * BEAT_MS)


def test_after_a_silence_of_its_own_it_is_said_again() -> None:
    """A frozen process does not know that it was forgotten."""
    word = Word()
    beats(word, 3)
    assert beats(word, 3, 60_000.0) == 1


def test_a_tick_that_calls_it_silent_makes_it_speak() -> None:
    word = Word()
    beats(word, 3)
    word.is_due = True
    assert beats(word, 3, 6_000.0) == 1
