"""The least that Python can do per bot: one loop over frozen slotted records with eight comparisons, and a reason for each."""

from dataclasses import dataclass

NOW_MS = 1_795_348_800_000
KNOWN = frozenset({"sma-cross", "macd", "rsi-reversion", "bollinger-reversion", "donchian-breakout", "ts-momentum"})


@dataclass(frozen=True, slots=True)
class Item:
    """What eight rules look at, with values of the kinds that a bot has: slugs, milliseconds, counts."""

    id: str
    hold: str | None
    strategy: str
    bars: int
    due_ms: int
    rest_until_ms: int
    job_id: str | None
    crashes: int
    beat_ms: int


def items(count: int) -> list[Item]:
    """Records with every outcome among them."""
    names = sorted(KNOWN)
    return [
        Item(
            f"bot-{n:06d}", "held" if n % 20 == 8 else None, names[n % 6], 196 if n % 20 == 4 else 2500 + n % 100,
            NOW_MS + (n % 1_000_003) * (1 if n % 20 > 8 else -1), NOW_MS + (n % 500_009) * (1 if n % 20 == 6 else -1),
            f"job-{n}" if n % 20 == 7 else None, n % 4, NOW_MS - n % 70_001,
        )
        for n in range(count)
    ]  # fmt: skip


def reasons(rows: list[Item], now_ms: int = NOW_MS) -> list[str]:
    """A reason for each record: all eight comparisons each time, as a decision keeps every finding; the first rule wins."""
    found = []
    for row in rows:
        reason = "SCHEDULED"
        if now_ms - row.beat_ms > 60_000:
            reason = "STALE"
        if row.crashes >= 3:
            reason = "QUARANTINED"
        if row.bars < 250:
            reason = "MARKET_DATA"
        if row.strategy not in KNOWN:
            reason = "STRATEGY"
        if row.rest_until_ms > now_ms:
            reason = "COOLDOWN"
        if row.job_id is not None:
            reason = "ACTIVE_JOB"
        if row.due_ms > now_ms:
            reason = "NOTHING_DUE"
        if row.hold is not None:
            reason = "ON_HOLD"
        found.append(reason)
    return found
