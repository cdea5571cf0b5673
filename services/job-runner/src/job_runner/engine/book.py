"""The two rows of numbers that a bar is traded by: the book, which changes, and the contract, which does not.

Role: what the compiled functions read and write. Rows of float64 with named places, because a row crosses into compiled code for
nothing, is a snapshot as it stands, and can be handed from the whole pass to the bar by bar one at any bar.
"""

import math
from typing import Final

import numpy as np

from job_runner.engine.account import TRADE_SIZE, Account
from job_runner.engine.compiled import FloatArray
from job_runner.engine.plans import BPS, ENDS, GAP_STOPS, GAP_TARGETS, NO_PRICE, ExitRules, ReEntry, Switches, Terms

# The book. It begins with the fields of `Account`, in their order.
CASH: Final = 0
UNITS: Final = 1
ENTRY_PRICE: Final = 2  # mean of the open position
ENTRY_FEE: Final = 3  # of all entries of the open position
ENTRY_BAR: Final = 4
RUINED: Final = 5
FEES: Final = 6
SLIPPAGE: Final = 7
TRADED: Final = 8
FUNDING: Final = 9  # paid so far, USD
ASKED: Final = 10  # exposure that the position was last brought to
BEST: Final = 11  # highest high (lowest low) of the bars before, since the entry
ENTRY_MS: Final = 12  # start of the entry's bar
ENTERED: Final = 13  # units of all entries of the trade
ENTERED_VALUE: Final = 14
LEFT: Final = 15  # units of its reductions
LEFT_VALUE: Final = 16
LEFT_FEE: Final = 17
REALISED: Final = 18  # of its reductions, before fees, USD
TRADE_FUNDED: Final = 19  # paid in this trade, USD
CLOSED_SIDE: Final = 20  # 1 or -1: no entry on this side; 0 for none
CLOSED_UNTIL: Final = 21  # bar number, or AFTER_FLAT: until a close wants something else
LAST_MS: Final = 22  # start of the bar before
WANTED: Final = 23  # the decision of the last close: exposure
STOP: Final = 24
TAKE_PROFIT: Final = 25
LIMIT: Final = 26
BARS: Final = 27
DONE: Final = 28  # fills of this bar
CLOSED: Final = 29  # trades closed in this bar
BOOK_SIZE: Final = 30

# The contract: terms and rules as fractions, switches as numbers.
TAKER: Final = 0
MAKER: Final = 1
SLIP: Final = 2
FUNDING_PER_DAY: Final = 3
BORROW_PER_DAY: Final = 4
TICK: Final = 5
TICKS_PER_USD: Final = 6  # whole, or 0 when the tick is no part of 1
LOT: Final = 7
LOTS_PER_UNIT: Final = 8
MINIMUM: Final = 9
STOP_LOSS: Final = 10  # 0 for none
TRAILING: Final = 11  # 0 for none
TRAILING_OFFSET: Final = 12
REENTRY: Final = 13  # -1: after flat; else bars
REBALANCE: Final = 14  # -1 for none
TOUCH: Final = 15
GAP_STOP: Final = 16
GAP_TARGET: Final = 17
NET_OF_FEES: Final = 18
TRAIL_OWN_BAR: Final = 19
FEE_ON_TOP: Final = 20
SPARE_ENTRY_BAR: Final = 21
STOP_BEFORE_OPEN: Final = 22
END: Final = 23
CONTRACT_SIZE: Final = 24

AFTER_FLAT: Final = -1.0
NO_REBALANCE: Final = -1.0

# One fill, a row of float64.
FILL_BAR: Final = 0
FILL_UNITS: Final = 1  # positive for a buy
FILL_PRICE: Final = 2
FILL_FEE: Final = 3
FILL_OUTCOME: Final = 4
FILL_SIZE: Final = 5
MOST_FILLS: Final = 3
"""In one bar: the old side out, the new one in, and out again at its stop."""

# A closed trade has two numbers more than one of plain decisions.
TRADE_FUNDING: Final = TRADE_SIZE
TRADE_OUTCOME: Final = TRADE_SIZE + 1
PLAN_TRADE_SIZE: Final = TRADE_SIZE + 2
MOST_TRADES: Final = 2
"""Closed in one bar."""


def new_book(cash_usd: float) -> FloatArray:
    """A book before its first bar: nothing held, nothing wanted."""
    book = np.zeros(BOOK_SIZE)
    book[: len(Account._fields)] = Account(cash_usd)
    book[[STOP, TAKE_PROFIT, LIMIT]] = NO_PRICE
    return book


def account_of(book: FloatArray) -> Account:
    """The money in a book."""
    return Account(*book[: len(Account._fields)].tolist())


def contract_of(terms: Terms, rules: ExitRules, switches: Switches) -> FloatArray:
    """Terms, rules and switches as the compiled functions read them: float64 (CONTRACT_SIZE)."""
    row = np.zeros(CONTRACT_SIZE)
    maker_bps = terms.taker_bps if terms.maker_bps is None else terms.maker_bps
    row[[TAKER, MAKER, SLIP]] = terms.taker_bps / BPS, maker_bps / BPS, terms.slippage_bps / BPS
    row[[FUNDING_PER_DAY, BORROW_PER_DAY]] = terms.funding_bps_per_day / BPS, terms.borrow_bps_per_day / BPS
    row[[TICK, TICKS_PER_USD]] = terms.tick, _whole_part(terms.tick)
    row[[LOT, LOTS_PER_UNIT, MINIMUM]] = terms.lot, _whole_part(terms.lot), terms.minimum_usd
    row[[STOP_LOSS, TRAILING, TRAILING_OFFSET]] = rules.stop_loss or 0.0, rules.trailing or 0.0, rules.trailing_offset
    row[REENTRY] = _bars(rules.reentry if switches.reentry is None else switches.reentry)
    row[REBALANCE] = NO_REBALANCE if rules.rebalance is None else rules.rebalance
    row[[TOUCH, NET_OF_FEES, TRAIL_OWN_BAR]] = switches.touch, switches.target_net_of_fees, switches.trail_own_bar
    row[[GAP_STOP, GAP_TARGET]] = GAP_STOPS.index(switches.gap_stop), GAP_TARGETS.index(switches.gap_target)
    row[[FEE_ON_TOP, SPARE_ENTRY_BAR, STOP_BEFORE_OPEN]] = (
        not switches.fee_reserved, not switches.stop_on_entry_bar, not switches.open_before_stop,
    )  # fmt: skip
    row[END] = ENDS.index(switches.end)
    return row


def steps_of(rules: ExitRules) -> FloatArray:
    """`take_profit_after` by rising minutes: float64 (2, rows), minutes and fractions."""
    rows = sorted(rules.take_profit_after.items())
    return np.array([[minutes for minutes, _ in rows], [fraction for _, fraction in rows]], dtype=np.float64).reshape(2, len(rows))


def _bars(reentry: ReEntry) -> float:
    match reentry:
        case "after_flat":
            return AFTER_FLAT
        case "at_once":
            return 0.0
        case _:
            return float(reentry)


def _whole_part(step: float) -> float:
    """How many steps make 1, where that is a whole number: dividing by it gives the decimal that the venue means."""
    if not step:
        return 0.0
    per_one = round(1.0 / step)
    return float(per_one) if per_one and math.isclose(per_one * step, 1.0, rel_tol=1e-12) else 0.0
