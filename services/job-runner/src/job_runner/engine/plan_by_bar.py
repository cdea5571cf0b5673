"""A plan one bar at a time, with each decision handed in from outside: what a paper session drives.

Role: holds the book between bars and calls the very function that the whole pass calls. It has no rule of its own; the tests hold it
equal to the pass bit for bit, across snapshots.
"""

import math
from dataclasses import dataclass

import numpy as np

import job_runner.engine.book as at
from autonomy.errors import BadInput
from job_runner.engine.account import TRADE_EXIT_FEE, TRADE_EXIT_PRICE, TRADE_PNL, Account, Tally
from job_runner.engine.bar_by_bar import Flat
from job_runner.engine.bar_fills import equity_of, outcome_at, take_bar, want
from job_runner.engine.compiled import BAR_SIZE, CLOSE, HIGH, LOW, OPEN, VOLUME, Bar, FloatArray, kernel
from job_runner.engine.fills import checked_cash, tally_close, tally_trade
from job_runner.engine.orders import leave
from job_runner.engine.plan_simulation import check_exposures, simulate_plan
from job_runner.engine.plans import OURS, STAYS, Decision, ExitRules, Outcome, Plan, Switches, Terms
from job_runner.engine.statistics import sharpe_of_sums

_EXITED = int(Outcome.EXITED)


@kernel
def take_one(  # noqa: PLR0913 - a kernel takes its arrays one by one
    book: FloatArray,
    contract: FloatArray,
    steps: FloatArray,
    time_ms: float,
    row: FloatArray,
    decision: FloatArray,
    is_warming_up: bool,  # noqa: FBT001 - a kernel has no keywords
    tally: FloatArray,
    done: FloatArray,
    closed: FloatArray,
) -> int:
    """One bar in one call: what the decision before makes of it, counted, and then its own close's decision.

    Args:
        book: see `book`, written.
        contract: see `book`.
        steps: see `book.steps_of`.
        time_ms: start of the bar.
        row: float64 (BAR_SIZE).
        decision: float64 (4): exposure, stop, take profit, limit.
        is_warming_up: the strategy cannot want anything yet.
        tally: float64, a `Tally`, written.
        done: fills of this bar, written.
        closed: trades of this bar, written.

    Returns:
        The outcome.
    """
    bar = Bar(row[OPEN], row[HIGH], row[LOW], row[CLOSE], row[VOLUME])
    outcome = take_bar(book, contract, steps, time_ms, bar, done, closed)
    counted = Tally(
        tally[0], tally[1], tally[2], tally[3], tally[4], tally[5], tally[6], tally[7], tally[8], tally[9], tally[10], tally[11],
        tally[12], tally[13],
    )  # fmt: skip
    counted = tally_close(counted, equity_of(book, bar.close), book[at.UNITS])
    for trade in range(int(book[at.CLOSED])):
        counted = tally_trade(counted, closed[trade])
    (
        tally[0], tally[1], tally[2], tally[3], tally[4], tally[5], tally[6], tally[7], tally[8], tally[9], tally[10], tally[11],
        tally[12], tally[13],
    ) = counted  # fmt: skip
    want(book, decision[0], decision[1], decision[2], decision[3], decision[4])
    return outcome_at(outcome, book[at.WANTED], is_warming_up)


@kernel
def leave_at(book: FloatArray, contract: FloatArray, price: float, done: FloatArray, closed: FloatArray) -> None:
    """Close the position at this price, at the market."""
    book[at.DONE] = 0.0
    book[at.CLOSED] = 0.0
    if book[at.UNITS] != 0.0:
        leave(book, price, contract[at.SLIP], contract[at.TAKER], _EXITED, done, closed)


@dataclass(frozen=True, slots=True)
class PlanFill:
    """One execution.

    Args:
        bar: number of the bar.
        units: positive for a buy, negative for a sell.
        price_usd: with slippage.
        fee_usd: of this fill.
        outcome: ENTERED, EXITED, STOPPED, TARGET or REBALANCED.
    """

    bar: int
    units: float
    price_usd: float
    fee_usd: float
    outcome: Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What one bar gave.

    Args:
        outcome: of the bar.
        fills: in the order in which they happened, at most MOST_FILLS.
        trades: float64 (closed trades, PLAN_TRADE_SIZE), at most MOST_TRADES.
    """

    outcome: Outcome
    fills: tuple[PlanFill, ...]
    trades: FloatArray


@dataclass(frozen=True, slots=True)
class PlanSnapshot:
    """Everything `PlanByBar` needs to go on in another process: plain numbers, exact, the last decision among them.

    Args:
        book: float64 (BOOK_SIZE); prices that do not exist are NaN.
        tally: see `Tally`.
        outcomes: bars by outcome, in the order of the codes.
    """

    book: tuple[float, ...]
    tally: tuple[float, ...]
    outcomes: tuple[int, ...]


class PlanByBar:
    """The plan's fills, one bar at a time.

    Args:
        rules: what hangs on fills.
        terms: costs and limits of the symbol.
        cash_usd: above zero.
        snapshot: where an earlier run stood; its money counts, not `cash_usd`.
        switches: other engines' habits, for comparisons only.

    Raises:
        BadInput: cash out of limits, or a snapshot of another shape.
    """

    def __init__(
        self, rules: ExitRules, terms: Terms, cash_usd: float, snapshot: PlanSnapshot | None = None, switches: Switches = OURS
    ) -> None:
        self.terms = terms
        self._contract, self._steps = at.contract_of(terms, rules, switches), at.steps_of(rules)
        self._book = at.new_book(checked_cash(cash_usd))
        self._tally = np.array(Tally())
        self._outcomes = np.zeros(len(Outcome), dtype=np.int64)
        self._row, self._decision = np.zeros(BAR_SIZE), np.zeros(5)
        self._done = np.zeros((at.MOST_FILLS + 1, at.FILL_SIZE))
        self._closed = np.zeros((at.MOST_TRADES + 1, at.PLAN_TRADE_SIZE))
        if snapshot is not None:
            self._restore(snapshot)

    @property
    def account(self) -> Account:
        """The money now."""
        return at.account_of(self._book)

    @property
    def tally(self) -> Tally:
        """The statistics of the bars that were traded."""
        return Tally(*self._tally.tolist())

    @property
    def bars_seen(self) -> int:
        """So far, observed ones included."""
        return int(self._book[at.BARS])

    @property
    def wanted(self) -> float:
        """The exposure decided at the last close, not yet filled."""
        return float(self._book[at.WANTED])

    @property
    def funding_usd(self) -> float:
        """Paid in all; negative when more was got."""
        return float(self._book[at.FUNDING])

    @property
    def equity_usd(self) -> float:
        """Account value at the last close that was traded; before the first, the cash."""
        return self.tally.equity if self.tally.bars else self.account.cash

    def annualised_sharpe(self, bars_per_year: int) -> float | None:
        """Of the bars that were traded, by the backtest's own formula; None while undefined."""
        tally = self.tally
        return sharpe_of_sums(tally.return_sum, tally.return_squares, int(tally.bars) - 1, bars_per_year=bars_per_year)

    @property
    def counts(self) -> dict[Outcome, int]:
        """Traded bars by outcome, those that occurred; they add up to all bars that were traded."""
        return {outcome: int(self._outcomes[outcome]) for outcome in Outcome if self._outcomes[outcome]}

    @property
    def snapshot(self) -> PlanSnapshot:
        """Everything needed to go on later."""
        return PlanSnapshot(tuple(self._book.tolist()), tuple(self._tally.tolist()), tuple(self._outcomes.tolist()))

    def observe(self, time_ms: int, decision: Decision, bars: int = 1) -> None:
        """Let bars pass without trading them, before the first live one; the decision of the last of them is what the next bar fills.

        Args:
            time_ms: start of the last of these bars.
            decision: of its close.
            bars: how many.
        """
        self._decide(decision)
        self._book[at.LAST_MS] = time_ms
        self._book[at.BARS] += bars
        want(self._book, *self._decision.tolist())

    def on_bar(
        self, time_ms: int, prices_and_volume: tuple[float, float, float, float, float], decision: Decision, warm_up: int = 0
    ) -> Taken:
        """Take one bar that has ended: what the last decision makes of it, and then the decision of its own close.

        Args:
            time_ms: start of the bar, ms UTC, later than the one before.
            prices_and_volume: open, high, low, close in USD, volume.
            decision: of this bar's close, for the next one.
            warm_up: bars at the beginning that cannot want anything.

        Raises:
            BadInput: an exposure or a price out of limits, or a bar that is not later than the last one.
        """
        self._decide(decision)
        if self._book[at.BARS] > 0.0 and not time_ms > self._book[at.LAST_MS]:
            raise BadInput("time_ms", f"later than {self._book[at.LAST_MS]:.0f}", time_ms)
        self._row[:] = prices_and_volume
        is_warming_up = self.bars_seen < warm_up
        code = take_one(
            self._book, self._contract, self._steps, float(time_ms), self._row, self._decision, is_warming_up, self._tally, self._done,
            self._closed,
        )  # fmt: skip
        self._outcomes[code] += 1
        fills = self._done[: int(self._book[at.DONE])].tolist()
        return Taken(
            Outcome(code),
            tuple(PlanFill(int(bar), units, price, fee, Outcome(int(outcome))) for bar, units, price, fee, outcome in fills),
            self._closed[: int(self._book[at.CLOSED])].copy(),
        )

    def flat_at(self, price: float) -> Flat:
        """What closing the position at this price would give, by the engine's own fill; nothing is changed.

        Args:
            price: USD, before slippage.
        """
        book, closed = self._book.copy(), self._closed.copy()
        units = float(book[at.UNITS])
        leave_at(book, self._contract, price, self._done.copy(), closed)
        equity = float(equity_of(book, price))
        if units == 0.0:
            return Flat(0.0, 0.0, 0.0, equity, None)
        trade = closed[0]
        fee = float(trade[TRADE_EXIT_FEE] - self._book[at.LEFT_FEE])
        return Flat(units, float(trade[TRADE_EXIT_PRICE]), fee, equity, float(trade[TRADE_PNL]))

    def _decide(self, decision: Decision) -> None:
        one = (decision.exposure, decision.stop, decision.take_profit, decision.limit)
        if not abs(decision.exposure) <= self.terms.leverage or any(not (math.isnan(price) or 0.0 < price < math.inf) for price in one[1:]):
            # A plan of one row: its limits, in its words.
            exposure, stop, take_profit, limit = (np.array([number], dtype=np.float64) for number in one)
            check_exposures(Plan(exposure, stop, take_profit, limit).exposure, self.terms)
        if decision.stays not in STAYS:
            raise BadInput("plan.stays", "0 to 3, the sides that stay", decision.stays)
        self._decision[:] = (*one, float(decision.stays))

    def _restore(self, snapshot: PlanSnapshot) -> None:
        for name, found, own in (
            ("book", snapshot.book, self._book), ("tally", snapshot.tally, self._tally), ("outcomes", snapshot.outcomes, self._outcomes)
        ):  # fmt: skip
            if len(found) != len(own):
                raise BadInput(f"snapshot.{name}", f"{len(own)} numbers", len(found))
            own[:] = found


def warm_up() -> None:
    """Take a bar by both drivers, so that everything is compiled before a plan is waited for."""
    row = np.array([[100.0, 101.0, 99.0, 100.0, 1e6]])
    simulate_plan(Plan(np.ones(1)), ExitRules(), Terms(), row, 1000.0)
    engine = PlanByBar(ExitRules(), Terms(), 1000.0)
    engine.on_bar(0, (100.0, 101.0, 99.0, 100.0, 1e6), Decision())
    engine.flat_at(100.0)
