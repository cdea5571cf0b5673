"""The fill engine: orders decided at a bar's close fill at the next bar's open.

Role: the fills of plain decisions: -1, 0 or 1, the whole equity each, at the market. `fill`, `mark` and `tally_bar` are compiled once
and used by both drivers: `simulate` here, one compiled pass over all bars, and `bar_by_bar`, which the paper runner feeds one bar at a
time. They cannot drift apart, because neither has rules of its own. What plans can want besides (sizes, stops, targets, limits) is filled
by `bar_fills`, three times as slowly, and equal to this to the last bit where a plan wants no more than this.

Rules: the whole equity is put into every position, in fractional units; fee and slippage are paid on each side;
shorts by margin (the proceeds stay in the account); a position is closed before the opposite one is opened, both at
the same open. Equity cannot go below zero: when it is used up the account is closed for good, and what the broker
loses is not ours to count.
"""

import math
from dataclasses import dataclass

import numpy as np

from autonomy.errors import BadInput
from job_runner.engine.account import (
    NO_BAR,
    TRADE_ENTRY_BAR,
    TRADE_ENTRY_FEE,
    TRADE_ENTRY_PRICE,
    TRADE_EXIT_BAR,
    TRADE_EXIT_FEE,
    TRADE_EXIT_PRICE,
    TRADE_PNL,
    TRADE_SIZE,
    TRADE_UNITS,
    Account,
    Costs,
    Tally,
)
from job_runner.engine.compiled import BAR_SIZE, CLOSE, OPEN, FloatArray, SmallIntArray, kernel
from job_runner.engine.programs import StepProgram

ENGINE_VERSION = "1"
USUAL_TRADES = 512
"""Room for trades at first; an array for one trade a bar costs more to get than most backtests take."""


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """What one pass over n bars left behind.

    Args:
        equity: float64 (n), account value at each close, USD.
        targets: int8 (n), -1, 0 or 1: the exposure decided at each close, held from the next open on.
        trades: float64 (closed trades, TRADE_SIZE).
        account: after the last bar.
        tally: running statistics after the last bar.
    """

    equity: FloatArray
    targets: SmallIntArray
    trades: FloatArray
    account: Account
    tally: Tally

    @property
    def is_finite(self) -> bool:
        """Whether every number is one: a price of 1e-310 buys infinitely many shares, and what comes of that is none."""
        return are_finite(self.equity, self.account)


def are_finite(equity: FloatArray, account: Account) -> bool:
    """Whether an equity curve and the account behind it hold numbers only."""
    return all(math.isfinite(number) for number in account) and bool(np.isfinite(equity).all())


@kernel
def fill(account: Account, target: int, bar: int, open_price: float, fee: float, slippage: float, trade: FloatArray) -> Account:
    """Bring the position to the target at this bar's open.

    Args:
        account: before this open.
        target: exposure decided at the close before: -1, 0 or 1.
        bar: number of the bar whose open this is.
        open_price: in USD.
        fee: per side, fraction of the traded value.
        slippage: per side, fraction of the open, always against us.
        trade: float64 (TRADE_SIZE), written when a position is closed: its exit bar is then `bar`.

    Returns:
        The account after this open.
    """
    cash, units, entry_price, entry_fee, entry_bar, ruined, fees, slipped, traded = account
    wanted = 0 if ruined != 0.0 else target
    held = 1 if units > 0.0 else (-1 if units < 0.0 else 0)
    if wanted == held:
        return account
    if held != 0:
        price = open_price * (1.0 - held * slippage)
        proceeds = units * price
        paid = abs(proceeds) * fee
        cash += proceeds - paid
        fees += paid
        slipped += abs(units) * open_price * slippage
        traded += abs(proceeds)
        trade[TRADE_ENTRY_BAR] = entry_bar
        trade[TRADE_EXIT_BAR] = bar
        trade[TRADE_UNITS] = units
        trade[TRADE_ENTRY_PRICE] = entry_price
        trade[TRADE_EXIT_PRICE] = price
        trade[TRADE_ENTRY_FEE] = entry_fee
        trade[TRADE_EXIT_FEE] = paid
        trade[TRADE_PNL] = units * (price - entry_price) - entry_fee - paid
        units = 0.0
        if ruined != 0.0 or cash <= 0.0:
            cash = 0.0
            ruined = 1.0
            wanted = 0
    if wanted != 0:
        price = open_price * (1.0 + wanted * slippage)
        size = cash / (price * (1.0 + fee))
        paid = size * price * fee
        cash -= wanted * size * price + paid
        units = wanted * size
        entry_price = price
        entry_fee = paid
        entry_bar = float(bar)
        fees += paid
        slipped += size * open_price * slippage
        traded += size * price
    return Account(cash, units, entry_price, entry_fee, entry_bar, ruined, fees, slipped, traded)


@kernel
def equity_at(account: Account, close: float) -> float:
    """The account's value at this close, USD, never below zero."""
    if account.ruined != 0.0:
        return 0.0
    return max(account.cash + account.units * close, 0.0)


@kernel
def mark(account: Account, close: float) -> Account:
    """The account after this close: ruined when its value is used up."""
    if account.cash + account.units * close > 0.0:
        return account
    cash, units, entry_price, entry_fee, entry_bar, _, fees, slipped, traded = account
    return Account(cash, units, entry_price, entry_fee, entry_bar, 1.0, fees, slipped, traded)


@kernel
def tally_bar(tally: Tally, equity: float, units: float, bar: int, trade: FloatArray) -> Tally:
    """Count one bar at its close: return, drawdown, exposure, and the trade if one was closed at this bar's open."""
    counted = tally_close(tally, equity, units)
    return tally_trade(counted, trade) if trade[TRADE_EXIT_BAR] == bar else counted


@kernel
def tally_close(tally: Tally, equity: float, units: float) -> Tally:
    """Count one bar at its close: return, drawdown, exposure."""
    (
        bars, last, peak, max_drawdown, return_sum, return_squares, downside_squares,
        exposed_bars, equity_sum, trades, wins, gross_profit, gross_loss, bars_held,
    ) = tally  # fmt: skip
    if last > 0.0:
        change = equity / last - 1.0
        return_sum += change
        return_squares += change * change
        # Without branches on the sign of a return, which no processor can foresee.
        loss = min(change, 0.0)
        downside_squares += loss * loss
    peak = max(peak, equity)
    max_drawdown = max(max_drawdown, 1.0 - equity / peak)
    if units != 0.0:
        exposed_bars += 1.0
    return Tally(
        bars + 1.0, equity, peak, max_drawdown, return_sum, return_squares, downside_squares,
        exposed_bars, equity_sum + equity, trades, wins, gross_profit, gross_loss, bars_held,
    )  # fmt: skip


@kernel
def tally_trade(tally: Tally, trade: FloatArray) -> Tally:
    """Count a closed trade."""
    (
        bars, last, peak, max_drawdown, return_sum, return_squares, downside_squares,
        exposed_bars, equity_sum, trades, wins, gross_profit, gross_loss, bars_held,
    ) = tally  # fmt: skip
    pnl = trade[TRADE_PNL]
    trades += 1.0
    bars_held += trade[TRADE_EXIT_BAR] - trade[TRADE_ENTRY_BAR]
    if pnl > 0.0:
        wins += 1.0
        gross_profit += pnl
    else:
        gross_loss -= pnl
    return Tally(
        bars, last, peak, max_drawdown, return_sum, return_squares, downside_squares,
        exposed_bars, equity_sum, trades, wins, gross_profit, gross_loss, bars_held,
    )  # fmt: skip


@kernel
def follow(
    rows: FloatArray,
    targets: SmallIntArray,
    fee: float,
    slippage: float,
    initial_cash: float,
    equity: FloatArray,
    trade: FloatArray,
    trades: FloatArray,
) -> tuple[Account, Tally]:
    """The money, given the decisions: fill each at the next open, mark and count at each close; the last decision never trades.

    Args:
        rows: float64 (n, BAR_SIZE): open, high, low, close, volume.
        targets: int8 (n), the exposure wanted after each close.
        fee: per side, fraction.
        slippage: per side, fraction.
        initial_cash: USD.
        equity: float64 (n), written: account value at each close, USD.
        trade: float64 (TRADE_SIZE), the trade closed last.
        trades: float64 (rows, TRADE_SIZE), written; closed trades beyond its last row are counted but not kept.

    Returns:
        Account and statistics after the last bar.
    """
    account = Account(initial_cash, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    tally = Tally(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    trade[TRADE_EXIT_BAR] = NO_BAR
    target = 0
    closed = 0
    for i in range(rows.shape[0]):
        place = np.uintp(i)  # never negative, so that no index has to be wrapped around
        account = fill(account, target, i, rows[place, OPEN], fee, slippage, trade)
        if trade[TRADE_EXIT_BAR] == i and closed < trades.shape[0]:
            for field in range(TRADE_SIZE):
                trades[closed, field] = trade[field]
            closed += 1
        close = rows[place, CLOSE]
        account = mark(account, close)
        value = equity_at(account, close)
        tally = tally_bar(tally, value, account.units, i, trade)
        equity[place] = value
        target = targets[place]
    return account, tally


def simulate(program: StepProgram, rows: FloatArray, costs: Costs, initial_cash_usd: float) -> Simulation:
    """Run a strategy over bars: all decisions first, since no strategy sees anything of the account, then the money in one compiled pass.

    Args:
        program: the strategy with its parameters.
        rows: float64 (n, BAR_SIZE), C-contiguous.
        costs: per side.
        initial_cash_usd: above zero.

    Raises:
        BadInput: wrong shape, or cash that is not a positive number.
    """
    checked_bars(rows)
    return simulate_targets(program.decided(rows), rows, costs, initial_cash_usd)


def simulate_targets(targets: SmallIntArray, rows: FloatArray, costs: Costs, initial_cash_usd: float) -> Simulation:
    """Run given decisions: int8 (n), the exposure wanted after each close (buy and hold is a row of ones).

    Raises:
        BadInput: wrong shape, or cash that is not a positive number.
    """
    bars = checked_bars(rows)
    if targets.shape != (bars,) or targets.dtype != np.int8:
        raise BadInput("targets", f"int8 of shape ({bars},)", f"{targets.dtype} {targets.shape}")
    equity = np.empty(bars)
    trades = np.empty((min(bars, USUAL_TRADES), TRADE_SIZE))
    cash = checked_cash(initial_cash_usd)
    account, tally = follow(rows, targets, costs.fee, costs.slippage, cash, equity, np.zeros(TRADE_SIZE), trades)
    return _kept(Tally(*tally), Account(*account), targets, equity, trades, rows, costs, cash)


def _kept(
    tally: Tally,
    account: Account,
    targets: SmallIntArray,
    equity: FloatArray,
    trades: FloatArray,
    rows: FloatArray,
    costs: Costs,
    cash: float,
) -> Simulation:
    closed = int(tally.trades)
    if closed > len(trades):
        # Counted but not kept: the money is followed once more, with room for one trade a bar, the most there can be.
        trades = np.empty((len(rows), TRADE_SIZE))
        follow(rows, targets, costs.fee, costs.slippage, cash, equity, np.zeros(TRADE_SIZE), trades)
    return Simulation(equity, targets, trades[:closed].copy(), account, tally)


def decisions(program: StepProgram, rows: FloatArray) -> SmallIntArray:
    """The exposure wanted after each close: int8 (n), of rows (n, BAR_SIZE)."""
    checked_bars(rows)
    return program.decided(rows)


def checked_cash(initial_cash_usd: float) -> float:
    """The starting cash, if it is a finite number above zero.

    Raises:
        BadInput: it is not.
    """
    if not math.isfinite(initial_cash_usd) or initial_cash_usd <= 0.0:
        raise BadInput("initial_cash_usd", "a finite number above 0", initial_cash_usd)
    return float(initial_cash_usd)


def checked_bars(rows: FloatArray) -> int:
    """How many bars there are.

    Raises:
        BadInput: not contiguous float64 of shape (bars, BAR_SIZE).
    """
    if rows.ndim != 2 or rows.shape[1] != BAR_SIZE or rows.dtype != np.float64 or not rows.flags.c_contiguous:
        raise BadInput("rows", f"contiguous float64 of shape (bars, {BAR_SIZE})", f"{rows.dtype} {rows.shape}")
    return int(rows.shape[0])
