"""What became of a bot's bars, and why it has not traded: the counts of its marks, in words.

Place in the flow: `bot_now`, `bot_sessions`, `bot_backtests` → **bars** → `/api/bots/{bot_id}/bars`; page and command say what it says.
Nothing is worked out anew here: each outcome is the engine's, said by the runner on the log.

Source: R-G5.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from autonomy.bar_outcomes import OUTCOMES, BarOutcome
from autonomy.documents import tables
from autonomy.documents.answers import Trading
from autonomy.reasons import REASONS, Reason
from autonomy.values import Stage
from proof_api.reading.queries import BACKTESTS, EQUITY, SESSIONS, document

if TYPE_CHECKING:
    import asyncpg

Row = Mapping[str, object]
FROM_PAPER: Final = "Bots trade on paper from stage PAPER on; this one is in LAB"
MOST_NAMED: Final = 3
"""Gates that one sentence names; all of them stand at `/api/bots/{bot_id}/gates`."""


async def bars_of(connection: "asyncpg.Connection[asyncpg.Record]", bot_id: str, limit: int, cursor: str | None) -> tuple[
    dict[str, object], str | None
]:  # fmt: skip
    """The bars of a bot's newest paper session, newest first, what became of them, and why it has not traded; and the next page's cursor.

    Args:
        connection: in a transaction that sees one moment.
        bot_id: of a known bot.
        limit: most bars.
        cursor: of the page before.
    """
    now = await connection.fetchrow(f"{tables.BOT_NOW.select} WHERE bot_id = $1", bot_id)
    session, backtest = [await listing.newest_of(connection, bot_id) for listing in (SESSIONS, BACKTESTS)]
    items, following = await EQUITY.of_bot(connection, bot_id, limit, cursor, session["id"]) if session else ([], None)
    newest = await EQUITY.newest_of(connection, bot_id, session["id"]) if session and cursor else next(iter(items), None)
    trading, why = trading_of(document(now) if now else None, session, newest)
    summary = backtest.get("summary") if backtest else None
    return {
        "trading": trading, "why": why, "session": session, "counts": counted(session.get("outcomes") if session else None),
        "backtest": backtest, "backtestCounts": counted(summary.get("outcomes") if isinstance(summary, Mapping) else None),
        "items": items, "nextCursor": following,
    }, following  # fmt: skip


def counted(numbers: object) -> list[dict[str, object]]:
    """Counts by outcome with their words, the most frequent first; nothing where nothing was counted."""
    if not isinstance(numbers, Mapping):
        return []
    known = {BarOutcome(str(name)): int(bars) for name, bars in numbers.items()}
    ordered = sorted((outcome for outcome in BarOutcome if outcome in known), key=lambda outcome: -known[outcome])
    return [
        {
            "outcome": outcome, "bars": known[outcome], "words": OUTCOMES[outcome].words, "meaning": OUTCOMES[outcome].meaning,
            "changes": OUTCOMES[outcome].changes,
        }
        for outcome in ordered
    ]  # fmt: skip


def trading_of(now: Row | None, session: Row | None, newest: Row | None) -> tuple[Trading, str]:
    """Whether a bot trades, and if not, why, in words.

    Args:
        now: its row of `bot_now`, as the API shows it; None once it left the fleet.
        session: its newest paper session; None before the first.
        newest: the newest bar of that session; None before the first.
    """
    if session is None or session.get("state") != "OPEN":
        ended = f"Its last paper session ended: {session.get('cause')}. " if session else ""
        return Trading.NO_SESSION, ended + _no_session(now)
    numbers = session.get("outcomes")
    if newest is None or not isinstance(numbers, Mapping):
        return Trading.NO_BAR_YET, f"Its paper session has taken no bar yet: it trades bars that start after {session.get('fromBar')}."
    last = OUTCOMES[BarOutcome(str(newest.get("outcome")))]
    own = f" ({newest['why']})" if newest.get("why") else ""
    late = f" {session['lateBars']} bars came when a later one had been taken, and were left out." if session.get("lateBars") else ""
    at_last = f"At its last bar, which started at {newest.get('barStart')}: {last.words}{own}.{late}"
    if numbers.get(BarOutcome.ENTERED.value):
        return Trading.TRADED, f"It has traded: {session.get('trades')} closed trades in {session.get('tradedBars')} bars. {at_last}"
    told = ", ".join(f"{one['bars']} {one['words']}" for one in counted(numbers))
    changes = f" What would change that: {last.changes}." if last.changes else ""
    return Trading.NOT_TRADED, f"None of its {session.get('tradedBars')} bars was traded: {told}. {at_last}{changes}"


def _no_session(now: Row | None) -> str:
    if now is None:
        return "It left the fleet, and trades no more."
    code = str(now.get("reasonCode"))
    reason = REASONS[Reason(code)].words if code in set(Reason) else "nothing was decided yet"
    if now.get("stage") != Stage.LAB.value:
        gates = _gates(now.get("blockers"), "scheduling")
        return f"No paper session is open at stage {now.get('stage')}: {reason}{gates}."
    if now.get("recommendationId"):
        return f"{FROM_PAPER}, recommended for {now.get('promotionTo')}, and waits for approval."
    research, gates = _gates(now.get("blockers"), "scheduling"), _gates(now.get("promotionBlockers"), "promotion")
    return f"{FROM_PAPER}{research}{gates or ', without gates judged yet'}."


def _gates(missed: object, kind: str) -> str:
    """The first of some gates that do not pass by name, with what was measured and what they ask for."""
    if not isinstance(missed, Sequence) or not missed:
        return ""
    named = [gate for gate in missed[:MOST_NAMED] if isinstance(gate, Mapping)]
    told = "; ".join(f"{gate.get('code')} measured {gate.get('measured')}, required {gate.get('required')}" for gate in named)
    more = f"; and {len(missed) - MOST_NAMED} more" if len(missed) > MOST_NAMED else ""
    words = "gate does not pass" if len(missed) == 1 else "gates do not pass"
    return f", {len(missed)} {kind} {words}: {told}{more}"
