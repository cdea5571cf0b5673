"""What happens in one bar to an account with a plan: funding, exits at the open, orders, stops and targets.

Role: the one place where a plan's money moves. `take_bar` is compiled once and used by both drivers, `plan_simulation` over all bars and
`plan_by_bar` one at a time; neither has rules of its own. At exposures of -1, 0 and 1 without exit rules it is equal to `fills.fill` to the
last bit.

Source: docs/fills.md, whose rules are numbered as here.
"""

from typing import Final

import job_runner.engine.book as at
from job_runner.engine.compiled import Bar, FloatArray, kernel, kernel_apart
from job_runner.engine.levels import has_trailed, is_new, rounded, stop_between_ticks, stop_of, target_between_ticks, target_of
from job_runner.engine.orders import AS_ASKED, AT_LIMIT, adjust, enter, leave
from job_runner.engine.plans import GAP_STOPS, GAP_TARGETS, Outcome

_NO_SIGNAL: Final = int(Outcome.NO_SIGNAL)
_SIGNAL: Final = int(Outcome.SIGNAL)
_WARMING_UP: Final = int(Outcome.WARMING_UP)
_HELD: Final = int(Outcome.HELD)
_EXITED: Final = int(Outcome.EXITED)
_STOPPED: Final = int(Outcome.STOPPED)
_TARGET: Final = int(Outcome.TARGET)
_STOPPED_OUT: Final = int(Outcome.STOPPED_OUT)
_RUINED: Final = int(Outcome.RUINED)

_STOP_AT_OPEN: Final = float(GAP_STOPS.index("open"))
_TARGET_AT_OPEN: Final = float(GAP_TARGETS.index("open"))
_TARGET_AT_PRICE: Final = float(GAP_TARGETS.index("price"))
_TARGET_CLAMPED: Final = float(GAP_TARGETS.index("clamp"))

_MS_PER_MINUTE: Final = 60_000.0
_MS_PER_DAY: Final = 86_400_000.0


@kernel
def side_of(units: float) -> float:
    """1 for long, -1 for short."""
    return 1.0 if units > 0.0 else -1.0


@kernel
def fund(book: FloatArray, contract: FloatArray, time_ms: float, open_price: float) -> None:
    """Rule 1: what is due for the time since the bar before, on the units held before this open."""
    if contract[at.FUNDING_PER_DAY] == 0.0 and contract[at.BORROW_PER_DAY] == 0.0:
        return
    days = (time_ms - book[at.LAST_MS]) / _MS_PER_DAY
    value = book[at.UNITS] * open_price
    due = value * (contract[at.FUNDING_PER_DAY] * days)
    if value < 0.0:
        due -= value * (contract[at.BORROW_PER_DAY] * days)
    book[at.CASH] -= due
    book[at.FUNDING] += due
    book[at.TRADE_FUNDED] += due


@kernel
def stays_closed(book: FloatArray, wanted: float) -> bool:
    """Whether the wish is for a side that a stop or target closed; opens the side when its time has come."""
    side = book[at.CLOSED_SIDE]
    if book[at.CLOSED_UNTIL] == at.AFTER_FLAT:
        if wanted * side <= 0.0:
            book[at.CLOSED_SIDE] = 0.0
    elif book[at.BARS] > book[at.CLOSED_UNTIL]:
        book[at.CLOSED_SIDE] = 0.0
    return bool(book[at.CLOSED_SIDE] != 0.0 and wanted * side > 0.0)


@kernel_apart
def out_by_itself(
    book: FloatArray, contract: FloatArray, level: float, slip: float, fee: float, outcome: int, done: FloatArray, closed: FloatArray
) -> None:
    """A stop or target: all of it goes, and its side is closed until `reentry` opens it."""
    side = side_of(book[at.UNITS])
    leave(book, level, slip, fee, outcome, done, closed)
    again = contract[at.REENTRY]
    if again != 0.0:
        book[at.CLOSED_SIDE] = side
        # A number even without an end: a log holds no infinity.
        book[at.CLOSED_UNTIL] = at.AFTER_FLAT if again == at.AFTER_FLAT else book[at.BARS] + again


@kernel
def stop_now(book: FloatArray, contract: FloatArray) -> float:
    """The stop in force, USD."""
    return stop_of(side_of(book[at.UNITS]), book[at.ENTRY_PRICE], book[at.BEST], book[at.STOP], contract)


@kernel
def target_now(book: FloatArray, contract: FloatArray, steps: FloatArray, time_ms: float) -> float:
    """The target in force, USD."""
    age_minutes = (time_ms - book[at.ENTRY_MS]) / _MS_PER_MINUTE
    return target_of(side_of(book[at.UNITS]), book[at.ENTRY_PRICE], age_minutes, book[at.TAKE_PROFIT], contract, steps)


@kernel_apart
def out_at_open(
    book: FloatArray, contract: FloatArray, steps: FloatArray, time_ms: float, bar: Bar, done: FloatArray, closed: FloatArray
) -> bool:
    """Rule 2: a position whose open is at or beyond its stop or target goes whole at the open."""
    side = side_of(book[at.UNITS])
    if contract[at.GAP_STOP] == _STOP_AT_OPEN and (bar.open - stop_now(book, contract)) * side <= 0.0:
        out_by_itself(book, contract, bar.open, contract[at.SLIP], contract[at.TAKER], _STOPPED, done, closed)
        return True
    if contract[at.GAP_TARGET] == _TARGET_AT_OPEN and (bar.open - target_now(book, contract, steps, time_ms)) * side >= 0.0:
        out_by_itself(book, contract, bar.open, 0.0, contract[at.MAKER], _TARGET, done, closed)
        return True
    return False


@kernel_apart
def out_inside(
    book: FloatArray,
    contract: FloatArray,
    steps: FloatArray,
    time_ms: float,
    bar: Bar,
    may_gain: bool,  # noqa: FBT001 - a kernel has no keywords
    done: FloatArray,
    closed: FloatArray,
) -> bool:
    """Rule 5: inside the bar the stop, when it is touched, and then the target, when it is traded through.

    Args:
        book: see `book`.
        contract: see `book`.
        steps: of `take_profit_after`.
        time_ms: start of the bar.
        bar: this one.
        may_gain: whether the target counts; not in a bar whose fall filled a limit.
        done: fills, written.
        closed: trades, written.
    """
    side = side_of(book[at.UNITS])
    near, far = (bar.low, bar.high) if side > 0.0 else (bar.high, bar.low)
    stop = stop_now(book, contract)
    target = target_now(book, contract, steps, time_ms)
    beyond = (far - target) * side
    gap = contract[at.GAP_TARGET]
    opened_beyond = (bar.open - target) * side >= 0.0
    reached = beyond > 0.0 or (beyond == 0.0 and contract[at.TOUCH] != 0.0) or (opened_beyond and gap < _TARGET_AT_PRICE)
    gains = may_gain and reached
    if (near - stop) * side <= 0.0 and not (gains and has_trailed(side, book[at.ENTRY_PRICE], book[at.STOP], stop, contract)):
        level = stop
        whole = contract[at.GAP_STOP] == _STOP_AT_OPEN or (far - stop) * side < 0.0
        if whole and (bar.open - stop) * side < 0.0:
            level = bar.open
        out_by_itself(book, contract, level, contract[at.SLIP], contract[at.TAKER], _STOPPED, done, closed)
        return True
    if not gains:
        return False
    level = rounded(target, 0.0, contract) if contract[at.NET_OF_FEES] != 0.0 else target
    age_minutes = (time_ms - book[at.ENTRY_MS]) / _MS_PER_MINUTE
    if opened_beyond and (gap < _TARGET_AT_PRICE or (gap == _TARGET_CLAMPED and is_new(age_minutes, steps))):
        level = bar.open
    elif gap == _TARGET_CLAMPED:
        level = min(max(level, bar.low), bar.high)
    out_by_itself(book, contract, level, 0.0, contract[at.MAKER], _TARGET, done, closed)
    return True


@kernel_apart
def trail(
    book: FloatArray,
    contract: FloatArray,
    bar: Bar,
    by_limit: bool,  # noqa: FBT001 - a kernel has no keywords
    spared: bool,  # noqa: FBT001
    done: FloatArray,
    closed: FloatArray,
) -> None:
    """Carry the best price of the position on, at the bar's close; with the switch, also the stop that its own bar raised.

    A limit was filled somewhere inside the bar, so of an entry's bar only the close is known to have come after it.
    """
    if contract[at.TRAILING] == 0.0:
        return
    side = side_of(book[at.UNITS])
    entered_now = book[at.ENTRY_BAR] == book[at.BARS]
    follow_best(book, bar.close if by_limit and entered_now else (bar.high if side > 0.0 else bar.low))
    if contract[at.TRAIL_OWN_BAR] == 0.0 or spared:
        return
    near = bar.low if side > 0.0 else bar.high
    stop = stop_now(book, contract)
    if (near - stop) * side > 0.0:
        return
    if entered_now:
        # The worst that such a stop can give in its first bar: a tick of gain at the open, then the fall.
        worst = rounded(bar.open * (1.0 + side * (contract[at.TRAILING_OFFSET] - contract[at.TRAILING])), 0.0, contract)
        stop = max(worst, near) if side > 0.0 else min(worst, near)
    out_by_itself(book, contract, stop, contract[at.SLIP], contract[at.TAKER], _STOPPED, done, closed)


@kernel
def wants_order(book: FloatArray, contract: FloatArray, wanted: float, open_price: float) -> bool:
    """Whether a held position is to be changed: what is wanted has changed, or the position has drifted too far from it."""
    if wanted != book[at.ASKED]:
        return True
    if contract[at.REBALANCE] < 0.0:
        return False
    value = book[at.UNITS] * open_price
    equity = book[at.CASH] + value
    return bool(equity > 0.0 and abs(wanted - value / equity) > contract[at.REBALANCE])


@kernel
def order_at_open(
    book: FloatArray,
    contract: FloatArray,
    steps: FloatArray,
    time_ms: float,
    bar: Bar,
    wanted: float,
    done: FloatArray,
    closed: FloatArray,
) -> int:
    """Rules 2 to 4: the exit or reversal, else what is at or beyond its levels, else the order to the wanted exposure.

    Returns:
        An outcome that refuses the order, or AS_ASKED, or AT_LIMIT when a limit was filled inside the bar.
    """
    if book[at.UNITS] != 0.0:
        if wanted * book[at.UNITS] <= 0.0:
            leave(book, bar.open, contract[at.SLIP], contract[at.TAKER], _EXITED, done, closed)
            if book[at.RUINED] != 0.0:
                return AS_ASKED
        elif out_at_open(book, contract, steps, time_ms, bar, done, closed):
            return AS_ASKED
        elif wants_order(book, contract, wanted, bar.open):
            return adjust(book, contract, bar, wanted, done, closed)
        else:
            return AS_ASKED
    if wanted == 0.0:
        return AS_ASKED
    return enter(book, contract, steps, time_ms, bar, wanted, done)


@kernel
def take_bar(
    book: FloatArray, contract: FloatArray, steps: FloatArray, time_ms: float, bar: Bar, done: FloatArray, closed: FloatArray
) -> int:
    """One bar: what the decision of the close before makes of it.

    Args:
        book: float64 (BOOK_SIZE), written.
        contract: float64 (CONTRACT_SIZE).
        steps: float64 (2, rows), of `take_profit_after`.
        time_ms: start of the bar, ms UTC.
        bar: the one that has ended.
        done: float64 (MOST_FILLS, FILL_SIZE), written: the fills of this bar, as many as the book says.
        closed: float64 (MOST_TRADES, PLAN_TRADE_SIZE), written: the trades closed in it, likewise.

    Returns:
        The outcome; NO_SIGNAL also where the decision of this close has yet to say what it is, see `outcome_at`.
    """
    book[at.DONE] = 0.0
    book[at.CLOSED] = 0.0
    outcome = _NO_SIGNAL
    if book[at.UNITS] != 0.0:
        fund(book, contract, time_ms, bar.open)
        if is_quiet(book, contract, steps, time_ms, bar):
            outcome = _HELD
            if contract[at.TRAILING] > 0.0:
                follow_best(book, bar.high if book[at.UNITS] > 0.0 else bar.low)
        else:
            outcome = act(book, contract, steps, time_ms, bar, done, closed)
    elif book[at.WANTED] != 0.0 or book[at.CLOSED_SIDE] != 0.0 or book[at.RUINED] != 0.0:
        outcome = act(book, contract, steps, time_ms, bar, done, closed)
    if not book[at.CASH] + book[at.UNITS] * bar.close > 0.0:
        book[at.RUINED] = 1.0
    book[at.LAST_MS] = time_ms
    book[at.BARS] += 1.0
    return outcome


@kernel
def is_quiet(book: FloatArray, contract: FloatArray, steps: FloatArray, time_ms: float, bar: Bar) -> bool:
    """Whether nothing can happen to a held position in this bar: no order, and the bar lies between stop and target.

    Most bars are, and this is all that they cost; every other goes through all the rules.
    """
    if book[at.WANTED] != book[at.ASKED] or book[at.RUINED] != 0.0 or book[at.CLOSED_SIDE] != 0.0:
        return False
    if contract[at.REBALANCE] >= 0.0 or contract[at.TRAIL_OWN_BAR] != 0.0:
        return False
    side, entry = side_of(book[at.UNITS]), book[at.ENTRY_PRICE]
    stop = stop_between_ticks(side, entry, book[at.BEST], book[at.STOP], contract)
    age_minutes = (time_ms - book[at.ENTRY_MS]) / _MS_PER_MINUTE
    target = target_between_ticks(side, entry, age_minutes, book[at.TAKE_PROFIT], contract, steps)
    low, high = min(bar.low, bar.open), max(bar.high, bar.open)
    # Rounding moves a level by less than a tick; where that could count, the bar is not quiet.
    tick = contract[at.TICK]
    if side > 0.0:
        return bool(low > stop + tick and high < target - tick)
    return bool(high < stop - tick and low > target + tick)


@kernel_apart
def act(book: FloatArray, contract: FloatArray, steps: FloatArray, time_ms: float, bar: Bar, done: FloatArray, closed: FloatArray) -> int:
    """A bar in which something may happen: all the rules in their order. See `take_bar`."""
    wanted = 0.0 if book[at.RUINED] != 0.0 else book[at.WANTED]
    code = AS_ASKED
    if book[at.CLOSED_SIDE] != 0.0 and stays_closed(book, wanted):
        wanted = 0.0
        code = _STOPPED_OUT
    is_out = False
    if book[at.UNITS] != 0.0 and contract[at.STOP_BEFORE_OPEN] != 0.0:
        is_out = out_at_open(book, contract, steps, time_ms, bar, done, closed)
        is_out = is_out or out_inside(book, contract, steps, time_ms, bar, True, done, closed)  # noqa: FBT003
    if not is_out:
        refused = order_at_open(book, contract, steps, time_ms, bar, wanted, done, closed)
        code = code if refused == AS_ASKED else refused
    by_limit = code == AT_LIMIT
    spared = contract[at.SPARE_ENTRY_BAR] != 0.0 and book[at.ENTRY_BAR] == book[at.BARS]
    if book[at.UNITS] != 0.0 and (spared or not out_inside(book, contract, steps, time_ms, bar, not by_limit, done, closed)):
        trail(book, contract, bar, by_limit, spared, done, closed)
    return what_became(book, code, done)


@kernel
def follow_best(book: FloatArray, price: float) -> None:
    """The best price of the position so far, for its trailing stop."""
    if (price - book[at.BEST]) * book[at.UNITS] > 0.0:
        book[at.BEST] = price


@kernel
def what_became(book: FloatArray, code: int, done: FloatArray) -> int:
    """The last fill, else the refusal, else what is held."""
    if book[at.DONE] > 0.0:
        return int(done[int(book[at.DONE]) - 1, at.FILL_OUTCOME])
    if code >= 0:
        return code
    if book[at.UNITS] != 0.0:
        return _HELD
    return _RUINED if book[at.RUINED] != 0.0 else _NO_SIGNAL


@kernel
def want(book: FloatArray, exposure: float, stop: float, take_profit: float, limit: float, stays: float) -> None:
    """Write the decision of this close into the book; a side that stays is wanted as it was last asked for."""
    units = book[at.UNITS]
    if (units > 0.0 and (stays == 1.0 or stays == 3.0)) or (units < 0.0 and stays >= 2.0):  # noqa: PLR1714 (compiled: no sets)
        exposure = book[at.ASKED]
    book[at.WANTED] = exposure
    book[at.STOP] = stop
    book[at.TAKE_PROFIT] = take_profit
    book[at.LIMIT] = limit


@kernel
def outcome_at(outcome: int, exposure: float, is_warming_up: bool) -> int:  # noqa: FBT001 - a kernel has no keywords
    """The outcome of a bar in which nothing was held or refused: what its own close wants."""
    if outcome != _NO_SIGNAL:
        return outcome
    if exposure != 0.0:
        return _SIGNAL
    return _WARMING_UP if is_warming_up else _NO_SIGNAL


@kernel
def equity_of(book: FloatArray, close: float) -> float:
    """The account's value at this close, USD, never below zero."""
    if book[at.RUINED] != 0.0:
        return 0.0
    value: float = book[at.CASH] + book[at.UNITS] * close
    return max(value, 0.0)
