"""Orders that are filled: into a position, larger or smaller, and out of it, with what each costs and the trade that it closes.

Role: compiled functions of the bar's fills; they write the book and the list of fills, and know nothing of when they are called.

Source: docs/fills.md, rules 3, 4, 6 and 7.
"""

import math
from typing import Final

import numpy as np

import job_runner.engine.book as at
from job_runner.engine.account import (
    TRADE_ENTRY_BAR,
    TRADE_ENTRY_FEE,
    TRADE_ENTRY_PRICE,
    TRADE_EXIT_BAR,
    TRADE_EXIT_FEE,
    TRADE_EXIT_PRICE,
    TRADE_PNL,
    TRADE_UNITS,
)
from job_runner.engine.compiled import Bar, FloatArray, kernel, kernel_apart
from job_runner.engine.levels import in_lots, rounded, stop_of, target_of
from job_runner.engine.plans import Outcome

AS_ASKED: Final = -1
"""No outcome: the order was made, or there was none to make."""
AT_LIMIT: Final = -2
"""No outcome either: it was made at its limit, somewhere inside the bar."""

_ENTERED: Final = int(Outcome.ENTERED)
_EXITED: Final = int(Outcome.EXITED)
_REBALANCED: Final = int(Outcome.REBALANCED)
_BELOW_MINIMUM: Final = int(Outcome.BELOW_MINIMUM)
_BEYOND_STOP: Final = int(Outcome.BEYOND_STOP)
_LIMIT_NOT_REACHED: Final = int(Outcome.LIMIT_NOT_REACHED)


@kernel_apart
def fill(book: FloatArray, units: float, price: float, level: float, slip: float, fee: float, outcome: int, done: FloatArray) -> float:
    """Trade: signed units at a price, of which `slip` came on top of the level.

    Returns:
        The fee in USD. Cash, costs and the list of fills are written; the position is the caller's.
    """
    value = units * price
    paid = abs(value) * fee
    book[at.CASH] -= value + paid
    book[at.UNITS] += units
    book[at.FEES] += paid
    book[at.SLIPPAGE] += abs(units) * level * slip
    book[at.TRADED] += abs(value)
    row = int(book[at.DONE])
    done[row, at.FILL_BAR] = book[at.BARS]
    done[row, at.FILL_UNITS] = units
    done[row, at.FILL_PRICE] = price
    done[row, at.FILL_FEE] = paid
    done[row, at.FILL_OUTCOME] = outcome
    book[at.DONE] += 1.0
    return paid


@kernel_apart
def leave(book: FloatArray, level: float, slip: float, fee: float, outcome: int, done: FloatArray, closed: FloatArray) -> None:
    """Rule 7: the whole position goes, and the trade is closed: mean entry, mean exit, all fees and funding of its time."""
    units, entry = book[at.UNITS], book[at.ENTRY_PRICE]
    price = level * (1.0 - slip) if units > 0.0 else level * (1.0 + slip)
    paid = fill(book, -units, price, level, slip, fee, outcome, done)
    row = int(book[at.CLOSED])
    is_whole = book[at.LEFT] == 0.0
    closed[row, TRADE_ENTRY_BAR] = book[at.ENTRY_BAR]
    closed[row, TRADE_EXIT_BAR] = book[at.BARS]
    closed[row, TRADE_UNITS] = book[at.ENTERED]
    closed[row, TRADE_ENTRY_PRICE] = entry if is_whole else book[at.ENTERED_VALUE] / book[at.ENTERED]
    closed[row, TRADE_EXIT_PRICE] = price if is_whole else (book[at.LEFT_VALUE] + units * price) / book[at.ENTERED]
    closed[row, TRADE_ENTRY_FEE] = book[at.ENTRY_FEE]
    closed[row, TRADE_EXIT_FEE] = paid + book[at.LEFT_FEE]
    closed[row, TRADE_PNL] = (
        units * (price - entry) - book[at.ENTRY_FEE] - paid + book[at.REALISED] - book[at.LEFT_FEE] - book[at.TRADE_FUNDED]
    )
    closed[row, at.TRADE_FUNDING] = book[at.TRADE_FUNDED]
    closed[row, at.TRADE_OUTCOME] = outcome
    book[at.CLOSED] += 1.0
    book[at.UNITS] = 0.0
    book[at.ASKED] = 0.0
    if book[at.RUINED] != 0.0 or book[at.CASH] <= 0.0:
        book[at.CASH] = 0.0
        book[at.RUINED] = 1.0


@kernel
def at_market(direction: float, bar: Bar, contract: FloatArray) -> tuple[float, float, float, float]:
    """Price, level, slippage and fee of an order at the open: direction 1 buys, -1 sells."""
    slip = contract[at.SLIP]
    return bar.open * (1.0 + direction * slip), bar.open, slip, contract[at.TAKER]


@kernel
def at_limit(direction: float, limit: float, bar: Bar, contract: FloatArray) -> tuple[float, float, float, float]:
    """Rule 4: price, level, slippage and fee of an order with a limit; the price is NaN where it is not reached.

    An open that is better takes at the open, never at worse than the limit; else the bar must trade through it.
    """
    asked = rounded(limit, -direction, contract)
    if takes_at_open(direction, limit, bar, contract):
        price, level, slip, fee = at_market(direction, bar, contract)
        if (price - asked) * direction > 0.0:
            return asked, level, abs(asked - level) / level, fee
        return price, level, slip, fee
    through = (asked - (bar.low if direction > 0.0 else bar.high)) * direction
    if through > 0.0 or (through == 0.0 and contract[at.TOUCH] != 0.0):
        return asked, asked, 0.0, contract[at.MAKER]
    return np.nan, asked, 0.0, contract[at.MAKER]


@kernel
def takes_at_open(direction: float, limit: float, bar: Bar, contract: FloatArray) -> bool:
    """Whether the open is better than the limit; else the bar has to come to it."""
    return (rounded(limit, -direction, contract) - bar.open) * direction > 0.0


@kernel
def is_sent(size: float, price: float, contract: FloatArray) -> bool:
    """Rule 6: whether an order of this size is large enough for the venue."""
    return size > 0.0 and size * price >= contract[at.MINIMUM]


@kernel_apart
def enter(book: FloatArray, contract: FloatArray, steps: FloatArray, time_ms: float, bar: Bar, wanted: float, done: FloatArray) -> int:
    """From flat to the wanted exposure; an outcome when it is refused."""
    side = 1.0 if wanted > 0.0 else -1.0
    has_limit = not math.isnan(book[at.LIMIT])
    price, level, slip, fee = at_limit(side, book[at.LIMIT], bar, contract) if has_limit else at_market(side, bar, contract)
    if math.isnan(price):
        return _LIMIT_NOT_REACHED
    # A limit inside the bar is the first price of the position; all others begin at the open.
    inside = has_limit and not takes_at_open(side, book[at.LIMIT], bar, contract)
    begin = price if inside else bar.open
    stop = stop_of(side, price, price, book[at.STOP], contract)
    target = target_of(side, price, 0.0, book[at.TAKE_PROFIT], contract, steps)
    if (begin - stop) * side <= 0.0 or (target - begin) * side <= 0.0:
        return _BEYOND_STOP
    share, cash = abs(wanted), book[at.CASH]
    taken = 0.0 if contract[at.FEE_ON_TOP] != 0.0 else share * fee
    size = in_lots(share * cash / (price * (1.0 + taken)), contract)
    if not is_sent(size, price, contract):
        return _BELOW_MINIMUM
    units = side * size
    paid = fill(book, units, price, level, slip, fee, _ENTERED, done)
    book[at.UNITS] = units
    book[at.ENTRY_PRICE] = price
    book[at.ENTRY_FEE] = paid
    book[at.ENTRY_BAR] = book[at.BARS]
    book[at.ENTRY_MS] = time_ms
    book[at.ASKED] = wanted
    book[at.BEST] = price
    book[at.ENTERED] = units
    book[at.ENTERED_VALUE] = units * price
    for field in range(at.LEFT, at.CLOSED_SIDE):
        book[field] = 0.0
    return AT_LIMIT if inside else AS_ASKED


@kernel
def order_of(book: FloatArray, wanted: float, price: float, fee: float, direction: float, contract: FloatArray) -> float:
    """Rule 3: signed units that bring the position to the wanted share of the equity that is left after this order's fee."""
    value: float = book[at.UNITS] * price
    equity: float = book[at.CASH] + value
    taken = 0.0 if contract[at.FEE_ON_TOP] != 0.0 else direction * wanted * fee
    return (wanted * equity - value) / (price * (1.0 + taken))


@kernel_apart
def adjust(book: FloatArray, contract: FloatArray, bar: Bar, wanted: float, done: FloatArray, closed: FloatArray) -> int:
    """A held position to another exposure of its own side; an outcome when it is refused.

    Between the price to buy at and the price to sell at lies a zone in which neither is called for.
    """
    side = 1.0 if book[at.UNITS] > 0.0 else -1.0
    if book[at.CASH] + book[at.UNITS] * bar.open <= 0.0:
        leave(book, bar.open, contract[at.SLIP], contract[at.TAKER], _EXITED, done, closed)
        return AS_ASKED
    price, level, slip, fee = at_market(1.0, bar, contract)
    units = order_of(book, wanted, price, fee, 1.0, contract)
    if not units > 0.0:
        price, level, slip, fee = at_market(-1.0, bar, contract)
        units = min(order_of(book, wanted, price, fee, -1.0, contract), 0.0)
    inside = False
    if units * side > 0.0 and not math.isnan(book[at.LIMIT]):
        price, level, slip, fee = at_limit(side, book[at.LIMIT], bar, contract)
        if math.isnan(price):
            return _LIMIT_NOT_REACHED
        inside = not takes_at_open(side, book[at.LIMIT], bar, contract)
        units = order_of(book, wanted, price, fee, side, contract)
        units = units if units * side > 0.0 else 0.0
    if units == 0.0:
        book[at.ASKED] = wanted
        return AS_ASKED
    size = in_lots(abs(units), contract)
    if not is_sent(size, price, contract):
        return _BELOW_MINIMUM
    resize(book, math.copysign(size, units), price, fill_fee(size, price, fee))
    fill(book, math.copysign(size, units), price, level, slip, fee, _REBALANCED, done)
    book[at.ASKED] = wanted
    return AT_LIMIT if inside else AS_ASKED


@kernel
def fill_fee(size: float, price: float, fee: float) -> float:
    """The fee of a fill, as `fill` counts it."""
    return abs(size * price) * fee


@kernel
def resize(book: FloatArray, units: float, price: float, paid: float) -> None:
    """Rule 7: what is added moves the mean entry; what is taken off realises at it."""
    held, entry = book[at.UNITS], book[at.ENTRY_PRICE]
    if units * held > 0.0:
        book[at.ENTRY_PRICE] = (held * entry + units * price) / (held + units)
        book[at.ENTRY_FEE] += paid
        book[at.ENTERED] += units
        book[at.ENTERED_VALUE] += units * price
    else:
        book[at.REALISED] -= units * (price - entry)
        book[at.LEFT] -= units
        book[at.LEFT_VALUE] -= units * price
        book[at.LEFT_FEE] += paid
