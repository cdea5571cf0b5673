"""The least that Python can do per bot: one loop over frozen slotted records with eight comparisons, a reason each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """What eight rules look at."""

    paused: bool
    held: bool
    due_at: int
    live: int
    gate: int
    rest_until: int
    place: int
    seen: int


def items(count: int) -> list[Item]:
    """Records with every outcome among them; most need all eight comparisons, as a fleet at rest does."""
    return [
        Item(n % 97 == 0, n % 89 == 0, n % 1000, int(n % 53 == 0), n % 41, n % 1100, n % 5000, n % 300) for n in range(count)
    ]  # fmt: skip


def reasons(rows: list[Item], now: int = 990) -> list[str]:
    """A reason for each record, after at most eight comparisons."""
    found = []
    for row in rows:
        if row.paused:
            found.append("PAUSED")
        elif row.held:
            found.append("ON_HOLD")
        elif row.due_at > now:
            found.append("NOT_DUE")
        elif row.live > 0:
            found.append("ACTIVE")
        elif row.gate == 3:
            found.append("BLOCKED")
        elif row.rest_until > now + 100:
            found.append("COOLDOWN")
        elif row.place > 4900:
            found.append("LIMIT")
        elif row.seen > 290:
            found.append("STALE")
        else:
            found.append("SCHEDULED")
    return found
