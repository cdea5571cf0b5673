"""What is drawn of one bot: its last backtest, its newest paper session beside the engine, its versions and stages; all of one moment.

Place in the flow: rows, and the report that a row names by its hash → **picture** → proof-api, OpenAPI → the pictures of a bot's page.

Source: R-B1; docs/architecture.md, "The Bots page".
"""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from autonomy.documents import tables
from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown, made_of, many, maybe
from autonomy.events import WindowMetrics


class PicturePoint(Shown):
    """An account at the close of one bar."""

    bar_start: datetime
    """which bar"""
    close: float | None
    """its close, USD; null where only the log's curve of the result is known, which has no prices"""
    equity: float
    """the strategy's account, as a multiple of its start"""
    holding: float | None
    """the same for buying and holding: of a backtest as the engine ran it with costs, of a session the closes alone, without costs"""
    drawdown: float
    """of the strategy from its highest close before, fraction"""


class PictureTrade(Shown):
    """A closed trade of a backtest."""

    entry_bar: datetime
    """start of the bar whose open it was entered at"""
    exit_bar: datetime
    """start of the bar in which it was left"""
    units: float
    """in shares, negative for a short position"""
    entry_price: float
    """USD, average, slippage included"""
    exit_price: float
    """USD, average, slippage included"""
    pnl: float
    """USD, after fees"""


class BacktestPicture(Shown):
    """The newest result of a bot."""

    job_id: UUID
    """the job that found it"""
    version: int | None
    """the bot's version that it was ordered for; null where that is not recorded"""
    first_bar: datetime
    """start of the first bar"""
    last_bar: datetime
    """start of the last bar"""
    bars: int
    """bars read"""
    synthetic: bool
    """made-up bars"""
    created_at: datetime
    """when it came in"""
    basis: Literal["REPORT", "CURVE", "NONE"]
    """what the points are of: the report that the runner kept, the shorter curve on the log, or nothing"""
    lacks: str
    """what is not known of it and why, in words; empty where nothing is missing"""
    points: list[PicturePoint]
    """by time; the first, the last and the deepest fall of those that were kept are always among them"""
    trades: list[PictureTrade]
    """the newest closed ones, by time"""
    of_trades: int
    """how many closed trades there are in all"""


class PictureFill(Shown):
    """A paper fill."""

    order_id: UUID
    """which"""
    bar_start: datetime
    """of the bar"""
    kind: Literal["ENTRY", "EXIT", "STOP", "TARGET", "REBALANCE", "FLATTEN"]
    """why it was filled"""
    side: Literal["BUY", "SELL"]
    """which way"""
    units: float
    """positive"""
    price: float
    """USD, with slippage"""
    pnl: float | None
    """USD, of the trade that it closes"""


class EngineClose(Shown):
    """The engine's account at one close of a session's bars."""

    bar_start: datetime
    """which bar"""
    equity: float
    """as a multiple of its start"""


SessionPicture: Final = made_of(
    "SessionPicture", "A paper session, and the engine over the same bars", Shown,
    session=(tables.SESSION.model, "its row"),
    every=(int, "of how many bars one is a point; 1: each"),
    before=(int, "bars of the session before the first point, which are too many to be drawn"),
    points=(list[PicturePoint], "by time; the newest bar is always among them"),
    fills=(list[PictureFill], "the newest from the first point on, by time"),
    of_fills=(int, "how many fills the session has in all"),
    drift=(maybe(tables.DRIFT.model), "the newest judgement of this session; null before the first"),
    window=(WindowMetrics | None, "what the engine came to over the bars that were judged; null where it gave no result"),
    engine=(list[EngineClose], "its account over them, by time; empty where its report does not have it"),
)  # fmt: skip
BotPicture: Final = made_of(
    "BotPicture", "What is drawn of one bot: everything of one moment", Proved,
    bot=(tables.BOT.model, "its row"),
    backtest=(BacktestPicture | None, "its newest result; null before the first"),
    session=(maybe(SessionPicture), "its newest paper session; null before the first"),
    versions=(many(tables.VERSION.model), "its newest versions, by number"),
    of_versions=(int, "how many there are in all"),
    moves=(many(tables.STAGE_EVENT.model), "its newest changes of stage, by time"),
    of_moves=(int, "how many there are in all"),
)  # fmt: skip
