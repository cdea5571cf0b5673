"""Small batches for a writer: one row each, and where the offsets move."""

from autonomy import clock
from autonomy.chain import GENESIS
from projection.fold.bot_now import Row
from projection.fold.rows import Changes
from projection.store.batches import Progress
from support.builders import an_id

MOVED = Progress(GENESIS, None, 0, 0, 0, 0, 1, {("autonomy.commands", 0): (5, 5)}, {})


def a_note(number: int, kind: str | None = "HELD") -> Changes:
    """A row of a table; without a kind the database refuses it."""
    changes, event_id = Changes(), an_id(f"note-{number}")
    row: Row = {
        "event_id": event_id,
        "bot_id": "bot-1",
        "tick": number,
        "kind": kind,
        "actor": "x",
        "detail": "x",
        "created_at": clock.now(),
    }
    changes.put("bot_notes", (event_id,), row)
    return changes
