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
    """Records with every outcome among them."""
    return [
        Item(n % 97 == 0, n % 89 == 0, n % 1000, int(n % 53 == 0), n % 41, n % 1100, n % 5000, n % 300) for n in range(count)
    ]  # fmt: skip


def reasons(rows: list[Item], now: int = 990) -> list[str]:
    """A reason for each record: all eight comparisons each time, as a decision keeps every finding; the first one wins."""
    found = []
    for row in rows:
        reason = "SCHEDULED"
        if now - row.seen < 700:
            reason = "STALE"
        if row.place > 4900:
            reason = "LIMIT"
        if row.rest_until > now + 100:
            reason = "COOLDOWN"
        if row.gate == 3:
            reason = "BLOCKED"
        if row.live > 0:
            reason = "ACTIVE"
        if row.due_at > now:
            reason = "NOT_DUE"
        if row.held:
            reason = "ON_HOLD"
        if row.paused:
            reason = "PAUSED"
        found.append(reason)
    return found
