"""A plan over all bars in one compiled pass.

Role: the driver for backtests and searches of plans; `plan_by_bar` is the other one. Decisions are rows that exist already, so the pass
knows nothing of strategies.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

import job_runner.engine.book as at
from autonomy.errors import BadInput
from autonomy.timeframes import DAY_MS
from job_runner.engine.account import Account, Tally
from job_runner.engine.bar_fills import equity_of, outcome_at, take_bar, want
from job_runner.engine.compiled import Bar, FloatArray, IntArray, SmallIntArray, bar_at, kernel, kernel_apart
from job_runner.engine.fills import USUAL_TRADES, are_finite, checked_bars, checked_cash, tally_close, tally_trade
from job_runner.engine.orders import leave
from job_runner.engine.plans import ENDS, OURS, ExitRules, Outcome, Plan, Switches, Terms

USUAL_FILLS: Final = 2 * USUAL_TRADES
_LAST_OPEN: Final = float(ENDS.index("last_open"))
_MARK: Final = float(ENDS.index("mark"))
_EXITED: Final = int(Outcome.EXITED)


@dataclass(frozen=True, slots=True, eq=False)
class PlanSimulation:
    """What one pass over n bars left behind.

    Args:
        equity: float64 (n), account value at each close, USD.
        outcomes: int8 (n), an `Outcome` each.
        fills: float64 (fills, FILL_SIZE), see `book`.
        trades: float64 (closed trades, PLAN_TRADE_SIZE); the first columns are those of `account`.
        account: after the last bar.
        tally: running statistics after the last bar.
        funding_usd: paid in all; negative when more was got.
        book: float64 (BOOK_SIZE), all that the pass knows after the last bar.
        wanted: float64 (n), the exposure wanted after each close, by what is held then where the plan has sides that stay.
    """

    equity: FloatArray
    outcomes: SmallIntArray
    fills: FloatArray
    trades: FloatArray
    account: Account
    tally: Tally
    funding_usd: float
    book: FloatArray
    wanted: FloatArray

    @property
    def is_finite(self) -> bool:
        """Whether every number is one, as of `fills.Simulation`."""
        return are_finite(self.equity, self.account)

    def counts(self) -> dict[Outcome, int]:
        """Bars by outcome, those that occurred; they add up to all bars."""
        found = np.bincount(self.outcomes, minlength=len(Outcome))
        return {outcome: int(found[outcome]) for outcome in Outcome if found[outcome]}


@kernel
def price_at(prices: FloatArray, place: int) -> float:
    """One price of a row of a plan; NaN where the plan has no such row."""
    return prices[place] if prices.shape[0] > 0 else np.nan


@kernel
def keep(rows: FloatArray, kept: int, found: FloatArray, count: float) -> int:
    """Copy what one bar gave behind what is kept; what finds no room is counted only."""
    for row in range(int(count)):
        if kept < rows.shape[0]:
            for field in range(rows.shape[1]):
                rows[kept, field] = found[row, field]
        kept += 1
    return kept


@kernel_apart
def end(book: FloatArray, contract: FloatArray, steps: FloatArray, time_ms: float, bar: Bar, done: FloatArray, closed: FloatArray) -> int:
    """The last bar where the switch closes what is left: nothing is opened in it, and what is held after it goes at its open or close."""
    if book[at.WANTED] * book[at.UNITS] <= 0.0:
        book[at.WANTED] = 0.0
    outcome = take_bar(book, contract, steps, time_ms, bar, done, closed)
    if book[at.UNITS] == 0.0:
        return outcome
    # The bar is over already: what is done in the end still belongs to it.
    book[at.BARS] -= 1.0
    level = bar.open if contract[at.END] == _LAST_OPEN else bar.close
    leave(book, level, contract[at.SLIP], contract[at.TAKER], _EXITED, done, closed)
    book[at.BARS] += 1.0
    return _EXITED


@kernel
def follow_plan(  # noqa: PLR0913 - a kernel takes its arrays one by one
    rows: FloatArray, times: IntArray, exposure: FloatArray, stop: FloatArray, take_profit: FloatArray, limit: FloatArray,
    stays: FloatArray, warm_up: int, contract: FloatArray, steps: FloatArray, book: FloatArray, equity: FloatArray, wanted: FloatArray,
    outcomes: SmallIntArray, done: FloatArray, closed: FloatArray, fills: FloatArray, trades: FloatArray,
) -> tuple[Tally, int]:  # fmt: skip
    """The money of a plan: every bar by `take_bar`, then its close's decision.

    Args:
        rows: float64 (n, BAR_SIZE).
        times: int64 (n), starts of the bars, ms UTC; or (0): a day each.
        exposure: float64 (n).
        stop: float64 (n), or (0) for none; so are the next two.
        take_profit: see `stop`.
        limit: see `stop`.
        stays: see `stop`; sides that stay, as numbers.
        warm_up: bars at the beginning that cannot want anything.
        contract: see `book`.
        steps: see `book.steps_of`.
        book: of `new_book`, written.
        equity: float64 (n), written.
        wanted: float64 (n), written.
        outcomes: int8 (n), written.
        done: scratch for the fills of a bar.
        closed: scratch for the trades of a bar.
        fills: float64 (room, FILL_SIZE), written.
        trades: float64 (room, PLAN_TRADE_SIZE), written.

    Returns:
        Statistics, and how many fills there were; those beyond the room are counted but not kept, as are trades.
    """
    tally = Tally(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    filled = 0
    traded = 0
    bars = rows.shape[0]
    for i in range(bars):
        place = np.uintp(i)
        bar = bar_at(rows, i)
        time_ms = float(times[place]) if times.shape[0] > 0 else float(i) * DAY_MS
        if i == bars - 1 and contract[at.END] != _MARK:
            outcome = end(book, contract, steps, time_ms, bar, done, closed)
        else:
            outcome = take_bar(book, contract, steps, time_ms, bar, done, closed)
        value = equity_of(book, bar.close)
        tally = tally_close(tally, value, book[at.UNITS])
        if book[at.DONE] > 0.0:
            for row in range(int(book[at.CLOSED])):
                tally = tally_trade(tally, closed[row])
            traded = keep(trades, traded, closed, book[at.CLOSED])
            filled = keep(fills, filled, done, book[at.DONE])
        equity[place] = value
        want(book, exposure[place], price_at(stop, i), price_at(take_profit, i), price_at(limit, i), price_at(stays, i))
        wanted[place] = book[at.WANTED]
        outcomes[place] = outcome_at(outcome, wanted[place], i < warm_up)
    return tally, filled


def simulate_plan(
    plan: Plan,
    rules: ExitRules,
    terms: Terms,
    rows: FloatArray,
    cash_usd: float,
    *,
    times_ms: IntArray | None = None,
    switches: Switches = OURS,
) -> PlanSimulation:
    """Run a plan over bars in one compiled pass.

    Args:
        plan: what is wanted after each close; the last one never trades.
        rules: what hangs on fills.
        terms: costs and limits of the symbol.
        rows: float64 (n, BAR_SIZE), C-contiguous.
        cash_usd: above zero.
        times_ms: int64 (n), starts of the bars, ms UTC, rising; None: a day each. Funding and `take_profit_after` count by it.
        switches: other engines' habits, for comparisons only.

    Raises:
        BadInput: wrong shape, an exposure beyond the terms' leverage, times that do not rise, or cash that is not a positive number.
    """
    bars = checked_bars(rows)
    if len(plan) != bars:
        raise BadInput("plan.exposure", f"float64 of shape ({bars},), one for each bar", plan.exposure.shape)
    check_exposures(plan.exposure, terms)
    times = _checked_times(times_ms, bars)
    cash = checked_cash(cash_usd)
    contract, steps = at.contract_of(terms, rules, switches), at.steps_of(rules)
    rooms = (min(at.MOST_FILLS * bars, USUAL_FILLS), min(at.MOST_TRADES * bars, USUAL_TRADES))
    while True:
        book, equity, wanted, outcomes = at.new_book(cash), np.empty(bars), np.empty(bars), np.empty(bars, dtype=np.int8)
        fills, trades = np.empty((rooms[0], at.FILL_SIZE)), np.empty((rooms[1], at.PLAN_TRADE_SIZE))
        done, closed = np.zeros((at.MOST_FILLS + 1, at.FILL_SIZE)), np.zeros((at.MOST_TRADES + 1, at.PLAN_TRADE_SIZE))
        tally, filled = follow_plan(
            rows, times, plan.exposure, _prices(plan.stop), _prices(plan.take_profit), _prices(plan.limit), _prices(plan.stays),
            plan.warm_up, contract, steps, book, equity, wanted, outcomes, done, closed, fills, trades,
        )  # fmt: skip
        counted = Tally(*tally)
        traded = int(counted.trades)
        if filled <= rooms[0] and traded <= rooms[1]:
            break
        # Counted but not kept: the money is followed once more, with room for all.
        rooms = (filled, traded)
    return PlanSimulation(
        equity,
        outcomes,
        fills[:filled].copy(),
        trades[:traded].copy(),
        at.account_of(book),
        counted,
        float(book[at.FUNDING]),
        book,
        wanted,
    )


def check_exposures(exposure: FloatArray, terms: Terms) -> None:
    """Nothing, if all are within the terms' leverage.

    Raises:
        BadInput: one is not; names its bar.
    """
    if len(exposure) and np.abs(exposure).max() > terms.leverage:
        bar = int(np.argmax(np.abs(exposure) > terms.leverage))
        raise BadInput(f"plan.exposure[{bar}]", f"-{terms.leverage:g} to {terms.leverage:g}, the leverage allowed", float(exposure[bar]))


def _prices(row: FloatArray | None) -> FloatArray:
    return np.empty(0) if row is None else row


def _checked_times(times_ms: IntArray | None, bars: int) -> IntArray:
    if times_ms is None:
        return np.empty(0, dtype=np.int64)
    if times_ms.shape != (bars,) or times_ms.dtype != np.int64 or not times_ms.flags.c_contiguous:
        raise BadInput("times_ms", f"contiguous int64 of shape ({bars},)", f"{times_ms.dtype} {times_ms.shape}")
    if bars > 1 and not (times_ms[1:] > times_ms[:-1]).all():
        bar = int(np.argmax(times_ms[1:] <= times_ms[:-1])) + 1
        raise BadInput(f"times_ms[{bar}]", "later than the bar before", int(times_ms[bar]))
    return times_ms
