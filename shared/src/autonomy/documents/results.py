"""One backtest, row by row, as the report has it that the runner kept.

Place in the flow: **results** → proof-api, OpenAPI.
"""

from datetime import datetime
from typing import Final

from autonomy.documents import tables
from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown, made_of


class ClosedTrade(Shown):
    """A closed trade of a backtest, at the close of the last of its parts."""

    entry_bar: datetime
    """start of the bar whose open it was entered at"""
    exit_bar: datetime
    """start of the bar in which it was left"""
    bars: int
    """how many it was held"""
    units: float
    """in shares, negative for a short position"""
    entry_price_usd: float
    """average, slippage included"""
    exit_price_usd: float
    """average, slippage included"""
    fees_usd: float
    """of all its parts"""
    pnl_usd: float
    """after fees"""
    return_fraction: float
    """after costs, of the entry's value"""


class EquityAtClose(Shown):
    """The account of a backtest at one close."""

    bar_start: datetime
    """which bar"""
    close_usd: float | None = None
    """its price; not in a report of before it was kept"""
    strategy_usd: float
    """the strategy's account"""
    buy_and_hold_usd: float
    """bought at the second open and kept"""
    drawdown_fraction: float
    """of the strategy, from its highest close before"""


BacktestResult: Final = made_of(
    "BacktestResult", "One backtest with its trades and its equity, from the report whose hash the result names", Proved,
    backtest=(tables.BACKTEST.model, "its row: the evidence"), trades=(list[ClosedTrade], "closed ones, the oldest first"),
    equity=(list[EquityAtClose], "at most 400 closes, the first and the last among them"),
)  # fmt: skip
