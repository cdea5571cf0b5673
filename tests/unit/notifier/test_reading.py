"""A reader that cannot read on is seen; one at the end, one that moves and one that waits for its receiver are not."""

from autonomy.clock import monotonic_ms
from notifier.desk import Desk
from notifier.kinds import Kind
from notifier.reading import STUCK_MS, Reading
from notifier.rules import Listener
from notifier.sending import Receiver


def a_desk(name: str) -> Desk:
    return Desk(Listener(Receiver(name, "JSON", 3_000, None), frozenset(Kind), 0.0), "http://page")


def test_a_reader_that_stands_still_before_the_end_is_named_after_half_a_minute() -> None:
    stuck, moving, at_end = a_desk("stuck"), a_desk("moving"), a_desk("at-end")
    reading = Reading("127.0.0.1:1", [stuck, moving, at_end], runs_end=lambda: 100)
    began_ms = monotonic_ms() - STUCK_MS - 1_000
    for step in range(4):
        at_ms = began_ms + step * STUCK_MS / 3
        reading.note_progress(stuck, 70, at_ms)
        reading.note_progress(moving, 70 + step, at_ms)
        reading.note_progress(at_end, 100, at_ms)
    assert reading.unread() == "autonomy.runs/0 is not read on from offset 70, for stuck"
    reading.note_progress(stuck, 71, monotonic_ms())
    assert reading.unread() == ""
