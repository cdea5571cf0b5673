"""The books of paper trading: which bars count, and what they leave behind.

Place in the flow: tick facts and runners' bars → **books** → rows of sessions, trades and equity. Pure. A bar counts while its
session is open and when it is new to it; the first to say a bar counts, whoever it was, because every process takes it alike.
What was read early, before its session closed at a lower bar, is taken back when the close is read.

Source: R-A3.7; docs/architecture.md, "Research and paper trading"; the planner folds marks by the same rule.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from autonomy.bar_outcomes import counts_of
from autonomy.errors import Broken
from autonomy.events import JobEnqueued, RunnerBar, RunnerMarked, RunnerTraded, SessionClosed
from autonomy.values import derived_id
from projection.fold.bot_now import Row
from projection.fold.rows import Changes, Said

FIGURES = ("units", "cash", "equity", "pnl", "trades", "traded_bars", "sharpe", "max_drawdown", "replay", "outcomes", "late_bars")


@dataclass(slots=True)
class Books:
    """Open sessions, and bars that are ahead of the tick that ordered them.

    Attributes:
        rows: open sessions by id.
        by_bot: a bot's open session.
        pending: bars by session, in the order of their partition; once one waits, all later ones of its session do.
        void: bars that count for nothing: too late, not new, or of no session.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    by_bot: dict[str, str] = field(default_factory=dict)
    pending: dict[str, deque[tuple[RunnerBar, datetime]]] = field(default_factory=dict)
    pending_bars: int = 0
    void: int = 0

    def opened(self, event: JobEnqueued, at: datetime, changes: Changes) -> None:
        """An order to trade: the first of its session opens it, a later one carries it on."""
        order = event.paper
        if order is None:
            return
        known = self.rows.get(order.session_id)
        row: Row = (known or _new_session(event, order.session_id, order.from_bar, at)) | {"job_id": event.job_id}
        self._put(row, changes)
        self.by_bot[event.bot_id] = order.session_id

    def closed(self, event: SessionClosed, said: Said, changes: Changes) -> None:
        """The session ended at a bar: its position is flattened there, and what was marked later never was."""
        row = self.rows.pop(event.session_id, None)
        if row is None:
            return
        self.by_bot.pop(str(row["bot_id"]), None)
        changes.put("bot_sessions", (event.session_id,), row | {
            "state": "CLOSED", "closed_at": said.at, "closed_tick": said.tick, "cause": event.cause.value, "actor": event.actor,
            "event_id": said.event_id, "units": None if event.bar is None else 0.0, "cash": event.equity_usd,
            "equity": event.equity_usd, "bar": event.bar, "last_bar": event.last_bar,
        })  # fmt: skip
        changes.settled[event.session_id] = (-1 if event.bar is None else event.bar, bool(event.units))
        if event.bar is not None and event.units:
            order_id = derived_id("flatten", event.session_id)
            changes.put("bot_trades", (order_id,), {
                "order_id": order_id, "bot_id": event.bot_id, "session_id": event.session_id,
                "bar_start": event.last_bar, "bar": event.bar, "kind": "FLATTEN",
                "side": "SELL" if event.units > 0 else "BUY", "units": abs(event.units), "price": event.price_usd,
                "fee": event.fee_usd, "pnl": event.pnl_usd, "at": said.at,
            })  # fmt: skip

    # ── bars ───────────────────────────────────────────────────────────────────────────────────────────────────

    def waits(self, bar: RunnerBar, head_tick: int) -> bool:
        """Whether a bar has to wait for its tick, or behind one that does."""
        return bar.tick > head_tick or bar.session_id in self.pending

    def take(self, bar: RunnerBar, at: datetime, head_tick: int, changes: Changes) -> bool:
        """Apply a bar, or let it wait; returns whether a row changed."""
        if self.waits(bar, head_tick):
            self.pending.setdefault(bar.session_id, deque()).append((bar, at))
            self.pending_bars += 1
            return False
        return self._apply(bar, at, changes)

    def reach(self, tick: int, changes: Changes) -> set[str]:
        """The tick is applied whole: bars that waited for it act, in their order; returns the bots that changed."""
        touched = set()
        for session_id, bars in list(self.pending.items()):
            while bars and bars[0][0].tick <= tick:
                bar, at = bars.popleft()
                self.pending_bars -= 1
                if self._apply(bar, at, changes):
                    touched.add(bar.bot_id)
            if not bars:
                del self.pending[session_id]
        return touched

    def _apply(self, bar: RunnerBar, at: datetime, changes: Changes) -> bool:
        row = self.rows.get(bar.session_id)
        if row is None or row["bot_id"] != bar.bot_id or not _is_new(row, bar):
            self.void += 1
            return False
        match bar:
            case RunnerTraded():
                changes.put("bot_trades", (bar.order_id,), {
                    "order_id": bar.order_id, "bot_id": bar.bot_id, "session_id": bar.session_id, "bar_start": bar.bar_start,
                    "bar": bar.bar, "kind": bar.kind, "side": bar.side, "units": bar.units, "price": bar.price_usd,
                    "fee": bar.fee_usd, "pnl": bar.pnl_usd, "at": at,
                })  # fmt: skip
            case RunnerMarked():
                self._marked(row, bar, at, changes)
            case _:
                raise Broken(f"{bar.wire} is no bar that a runner takes")
        return True

    def _marked(self, row: Row, mark: RunnerMarked, at: datetime, changes: Changes) -> None:
        figures: Row = {
            "units": mark.units, "cash": mark.cash_usd, "equity": mark.equity_usd, "pnl": mark.pnl_usd, "trades": mark.trades,
            "traded_bars": mark.traded_bars, "sharpe": mark.sharpe, "max_drawdown": mark.max_drawdown, "replay": mark.replay,
        }  # fmt: skip
        changes.put("bot_equity", (mark.session_id, mark.bar), figures | {
            "session_id": mark.session_id, "bar": mark.bar, "bot_id": mark.bot_id, "bar_start": mark.bar_start,
            "close": mark.close_usd, "at": at, "outcome": mark.outcome.value, "why": mark.why, "wanted": mark.wanted,
        })  # fmt: skip
        counted = {
            "late_bars": mark.late_bars,
            "outcomes": {outcome.value: bars for outcome, bars in counts_of(mark.snapshot.outcomes).items()},
        }
        self._put(row | figures | counted | {"last_bar": mark.bar_start, "bar": mark.bar, "last_mark_at": at}, changes)

    def _put(self, row: Row, changes: Changes) -> None:
        self.rows[str(row["id"])] = row
        changes.put("bot_sessions", (row["id"],), row)

    def now_of(self, bot_id: str) -> Row:
        """The columns of a bot's badge row that its open session makes."""
        row = self.rows.get(self.by_bot.get(bot_id, ""))
        if row is None:
            return dict.fromkeys((
                "session_id", "session_equity", "session_pnl", "session_trades", "session_units", "session_replay",
                "last_mark_at", "last_mark_bar",
            ))  # fmt: skip
        return {
            "session_id": row["id"], "session_equity": row["equity"], "session_pnl": row["pnl"], "session_trades": row["trades"],
            "session_units": row["units"], "session_replay": row["replay"], "last_mark_at": row["last_mark_at"],
            "last_mark_bar": row["last_bar"],
        }  # fmt: skip


def _new_session(event: JobEnqueued, session_id: str, from_bar: datetime, at: datetime) -> Row:
    empty = dict.fromkeys((*FIGURES, "last_bar", "bar", "last_mark_at", "closed_at", "closed_tick", "cause", "actor", "event_id"))
    return empty | {
        "id": session_id, "bot_id": event.bot_id, "fingerprint": event.fingerprint, "state": "OPEN", "from_bar": from_bar,
        "opened_at": at, "opened_tick": event.tick,
    }  # fmt: skip


def _is_new(row: Row, bar: RunnerBar) -> bool:
    """A traded bar after the last one; times only rise with bars."""
    last, from_bar, last_bar = row["bar"], row["from_bar"], row["last_bar"]
    if isinstance(from_bar, datetime) and bar.bar_start <= from_bar:
        return False
    return not isinstance(last, int) or (bar.bar > last and isinstance(last_bar, datetime) and bar.bar_start > last_bar)
