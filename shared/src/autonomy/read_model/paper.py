"""Paper trading: sessions, their trades and equity, and how far they are from the engine.

Place in the flow: marks and fills of runners, closed by ticks → **tables** → a bot's equity, trades and drift. A bar that was marked
after its session had closed is in none of them.
"""

from typing import Final, Literal

from sqlalchemy import BigInteger, Boolean, Float, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from autonomy.bar_outcomes import BarOutcome
from autonomy.read_model.columns import ID, INSTANT, METADATA, column
from autonomy.values import Drift

SESSIONS: Final = Table(
    "bot_sessions", METADATA,
    column("id", ID, "session id, constant over restarts and over the jobs that carry it", key=True),
    column("bot_id", Text(), "which bot trades", null=False),
    column("job_id", ID, "job that carries it, or carried it last", null=False),
    column("fingerprint", Text(), "of the version that trades", null=False),
    column("state", Text(), "OPEN or CLOSED", null=False, holds=Literal["OPEN", "CLOSED"]),
    column("from_bar", INSTANT, "bars that start later are traded", null=False),
    column("opened_at", INSTANT, "tick time of its first order", null=False),
    column("opened_tick", BigInteger(), "tick of its first order", null=False),
    column("last_bar", INSTANT, "start of its last bar"),
    column("bar", Integer(), "0-based number of its last bar, those of the warm-up included"),
    column("units", Float(), "open position, signed"),
    column("cash", Float(), "USD"),
    column("equity", Float(), "USD, at the last close; after flattening once closed"),
    column("pnl", Float(), "USD, after costs"),
    column("trades", Integer(), "closed trades, the flattening one included"),
    column("traded_bars", Integer(), "bars traded"),
    column("sharpe", Float(), "annualised; null while undefined"),
    column("max_drawdown", Float(), "fraction"),
    column("replay", Boolean(), "the bars are recorded ones, released by the replay clock"),
    column("outcomes", JSONB(), "traded bars by what became of them; adds up to traded_bars", holds=dict[BarOutcome, int]),
    column("late_bars", Integer(), "bars that came when a later one had been taken; the session never took them"),
    column("last_mark_at", INSTANT, "append time of the last mark that counts"),
    column("closed_at", INSTANT, "tick time of its end"),
    column("closed_tick", BigInteger(), "tick of its end"),
    column("cause", Text(), "why it ended"),
    column("actor", Text(), "who ended it"),
    column("event_id", ID, "record that ended it"),
    Index("bot_sessions_by_bot", "bot_id", "opened_at"),
    Index("bot_sessions_open", "bot_id", postgresql_where=text("state = 'OPEN'")),
    comment="Stretches of paper trading of one bot version; figures are those of the last mark that counts",
)  # fmt: skip

TRADES: Final = Table(
    "bot_trades", METADATA,
    column("order_id", ID, "derived from session, bar and kind", key=True),
    column("bot_id", Text(), "which bot", null=False),
    column("session_id", ID, "in which session", null=False),
    column("bar_start", INSTANT, "of the bar", null=False),
    column("bar", Integer(), "0-based number of the bar", null=False),
    column("kind", Text(), "ENTRY, EXIT, STOP, TARGET, REBALANCE, or FLATTEN when the session closed", null=False,
           holds=Literal["ENTRY", "EXIT", "STOP", "TARGET", "REBALANCE", "FLATTEN"]),
    column("side", Text(), "BUY or SELL", null=False, holds=Literal["BUY", "SELL"]),
    column("units", Float(), "positive", null=False),
    column("price", Float(), "USD, with slippage", null=False),
    column("fee", Float(), "USD", null=False),
    column("pnl", Float(), "USD, of the trade that this closes, after both fees"),
    column("at", INSTANT, "append time; tick time of a FLATTEN", null=False),
    Index("bot_trades_by_bot", "bot_id", "at", "order_id"),
    Index("bot_trades_by_session", "session_id", "bar"),
    comment="Paper fills, each once",
)  # fmt: skip

EQUITY: Final = Table(
    "bot_equity", METADATA,
    column("session_id", ID, "which session", key=True),
    column("bar", Integer(), "0-based number of the bar", key=True),
    column("bot_id", Text(), "which bot", null=False),
    column("bar_start", INSTANT, "of the bar", null=False),
    column("close", Float(), "USD, of the bar", null=False),
    column("equity", Float(), "USD, at the close", null=False),
    column("cash", Float(), "USD", null=False),
    column("units", Float(), "open position, signed", null=False),
    column("pnl", Float(), "USD, of the session so far", null=False),
    column("trades", Integer(), "closed trades of the session so far", null=False),
    column("traded_bars", Integer(), "bars traded so far", null=False),
    column("sharpe", Float(), "of the session so far; null while undefined"),
    column("max_drawdown", Float(), "of the session so far, fraction", null=False),
    column("replay", Boolean(), "a recorded bar", null=False),
    column("outcome", Text(), "what became of the bar", null=False, holds=BarOutcome),
    column("why", Text(), "the strategy's own reason for what it wants after this close, where it gave one"),
    column("wanted", Float(), "share of the equity wanted from the next open on, negative for a short position", null=False),
    column("at", INSTANT, "append time of the mark", null=False),
    Index("bot_equity_by_bot", "bot_id", "at"),
    comment="The account after each bar of a paper session",
)  # fmt: skip

DRIFT: Final = Table(
    "bot_drift", METADATA,
    column("job_id", ID, "job that ran the window again", key=True),
    column("bot_id", Text(), "which bot", null=False),
    column("session_id", ID, "which session", null=False),
    column("verdict", Text(), "CONSISTENT, MINOR, MAJOR or INCONCLUSIVE", null=False, holds=Drift),
    column("findings", JSONB(), "each comparison out of its limit, or what there was too little of", null=False, holds=list[str]),
    column("demote", Boolean(), "taking the bot back to LAB is recommended", null=False),
    column("tick", BigInteger(), "tick that judged it", null=False),
    column("judged_at", INSTANT, "tick time", null=False),
    column("event_id", ID, "record that says it", null=False),
    Index("bot_drift_by_bot", "bot_id", "judged_at"),
    comment="Paper sessions against the engine's re-run of the same bars",
)  # fmt: skip
