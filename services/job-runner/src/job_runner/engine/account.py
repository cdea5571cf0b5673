"""The money as values: account, costs, closed trades and running statistics.

Role: what the engine's compiled functions take and give. Named tuples, because the compiler keeps those in registers.
"""

from dataclasses import dataclass
from typing import NamedTuple

# One closed trade, a row of float64.
TRADE_ENTRY_BAR = 0
TRADE_EXIT_BAR = 1
TRADE_UNITS = 2
TRADE_ENTRY_PRICE = 3
TRADE_EXIT_PRICE = 4
TRADE_ENTRY_FEE = 5
TRADE_EXIT_FEE = 6
TRADE_PNL = 7
TRADE_SIZE = 8

# The exit bar of a trade row before the first trade.
NO_BAR = -1.0


class Account(NamedTuple):
    """The money: a value, replaced by every fill. A named tuple, because the compiler keeps those in registers.

    Args:
        cash: USD, proceeds of shorts included.
        units: shares held, negative when short.
        entry_price: USD, of the open position.
        entry_fee: USD, of the open position.
        entry_bar: number of the bar the open position was entered at.
        ruined: 1.0 once the equity was used up; nothing trades after that.
        fees: USD, all so far.
        slippage: USD, all so far.
        traded: USD, value of all fills so far, both sides.
    """

    cash: float
    units: float = 0.0
    entry_price: float = 0.0
    entry_fee: float = 0.0
    entry_bar: float = 0.0
    ruined: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0
    traded: float = 0.0


class Tally(NamedTuple):
    """Running statistics of one pass. Returns are per bar, from close to close; the first bar has none.

    Args:
        bars: seen so far.
        equity: USD at the last close.
        peak: highest equity so far, USD.
        max_drawdown: deepest fall below the peak so far, fraction of it.
        return_sum: sum of returns.
        return_squares: sum of their squares.
        downside_squares: sum of the squares of the negative ones.
        exposed_bars: bars that ended with a position.
        equity_sum: sum of equity over bars, USD.
        trades: closed so far.
        wins: of these, with a gain after costs.
        gross_profit: sum of gains, USD.
        gross_loss: sum of losses, USD, not negative.
        bars_held: sum over closed trades.
    """

    bars: float = 0.0
    equity: float = 0.0
    peak: float = 0.0
    max_drawdown: float = 0.0
    return_sum: float = 0.0
    return_squares: float = 0.0
    downside_squares: float = 0.0
    exposed_bars: float = 0.0
    equity_sum: float = 0.0
    trades: float = 0.0
    wins: float = 0.0
    gross_profit: float = 0.0
    gross_loss: float = 0.0
    bars_held: float = 0.0


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading costs and allows.

    Args:
        fee_bps: of orders at the market and of stops, per side, basis points of the traded value.
        slippage_bps: how much worse than the price such an order is filled, likewise.
        maker_bps: fee of limits and targets; None: as `fee_bps`.
        funding_bps_per_day: what a long pays, and a short gets, of the position's value.
        borrow_bps_per_day: what a short pays of it.
        tick: smallest step of a price in USD; 0 for none.
        lot: smallest step of units; 0 for none.
        minimum_usd: smallest value of an order, USD.
    """

    fee_bps: float
    slippage_bps: float
    maker_bps: float | None = None
    funding_bps_per_day: float = 0.0
    borrow_bps_per_day: float = 0.0
    tick: float = 0.0
    lot: float = 0.0
    minimum_usd: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether plain decisions need no more than fee and slippage: they have no limits and targets, so a maker's fee is never theirs."""
        return not (self.funding_bps_per_day or self.borrow_bps_per_day or self.tick or self.lot or self.minimum_usd)

    @property
    def fee(self) -> float:
        """Fee per side as a fraction of the traded value."""
        return self.fee_bps / 10_000.0

    @property
    def slippage(self) -> float:
        """How much worse than the open a fill is, as a fraction of the open."""
        return self.slippage_bps / 10_000.0
