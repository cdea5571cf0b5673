"""The engine one bar at a time: what a paper runner drives.

Role: holds the state between bars and calls the very functions the backtest's compiled loop calls. It has no rule of
its own; the tests hold it equal to the loop bit for bit, for every strategy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autonomy.errors import BadInput
from job_runner.engine.account import (
    NO_BAR,
    TRADE_EXIT_BAR,
    TRADE_EXIT_FEE,
    TRADE_EXIT_PRICE,
    TRADE_PNL,
    TRADE_SIZE,
    Account,
    Costs,
    Tally,
)
from job_runner.engine.compiled import BAR_SIZE, CLOSE, HIGH, LOW, OPEN, VOLUME, Bar, FloatArray, IntArray, kernel
from job_runner.engine.fills import checked_cash, equity_at, fill, mark, tally_bar
from job_runner.engine.plain_outcomes import outcome_of_bar
from job_runner.engine.plans import Outcome
from job_runner.engine.programs import StepProgram
from job_runner.engine.statistics import sharpe_of_sums

FillKind = Literal["ENTRY", "EXIT", "STOP", "TARGET", "REBALANCE"]
UNITS, RUINED = Account._fields.index("units"), Account._fields.index("ruined")


@kernel
def take_bar(
    row: FloatArray,
    fee: float,
    slippage: float,
    number: int,
    target: int,
    account: FloatArray,
    tally: FloatArray,
    trade: FloatArray,
) -> None:
    """One bar in one call: fill, mark, count, as the loop over all bars does.

    The way from Python into a kernel costs more than the work, and a named tuple costs most of it: so what lasts from bar to bar
    stands in arrays.

    Args:
        row: float64 (BAR_SIZE), the bar that has ended.
        fee: per side, fraction.
        slippage: per side, fraction.
        number: of the bar.
        target: exposure decided at the close before.
        account: float64, an `Account`, written.
        tally: float64, a `Tally`, written.
        trade: float64 (TRADE_SIZE), the trade closed last, written when one is closed.
    """
    bar = Bar(row[OPEN], row[HIGH], row[LOW], row[CLOSE], row[VOLUME])
    before = Account(
        account[0], account[1], account[2], account[3], account[4], account[5], account[6], account[7], account[8]
    )  # fmt: skip
    counted = Tally(
        tally[0], tally[1], tally[2], tally[3], tally[4], tally[5], tally[6], tally[7], tally[8], tally[9], tally[10], tally[11],
        tally[12], tally[13],
    )  # fmt: skip
    after = mark(fill(before, target, number, bar.open, fee, slippage, trade), bar.close)
    counted = tally_bar(counted, equity_at(after, bar.close), after.units, number, trade)
    (
        account[0], account[1], account[2], account[3], account[4], account[5], account[6], account[7], account[8],
    ) = after  # fmt: skip
    (
        tally[0], tally[1], tally[2], tally[3], tally[4], tally[5], tally[6], tally[7], tally[8], tally[9], tally[10], tally[11],
        tally[12], tally[13],
    ) = counted  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution.

    Args:
        bar: number of the bar.
        units: positive for a buy, negative for a sell.
        price_usd: with slippage.
        fee_usd: of this fill.
        kind: ENTRY, EXIT, STOP, TARGET or REBALANCE.
        pnl_usd: after costs, of the trade that it closes; None where it closes none.
    """

    bar: int
    units: float
    price_usd: float
    fee_usd: float
    kind: FillKind = "ENTRY"
    pnl_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Flat:
    """What closing the open position would give: signed units and their fill in USD, zeros without a position; `pnl_usd` after costs."""

    units: float
    price_usd: float
    fee_usd: float
    equity_usd: float
    pnl_usd: float | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything `BarByBar` needs to go on in another process: plain numbers, exact.

    Args:
        state: of the strategy, beside the bars.
        account: see `Account`.
        tally: see `Tally`.
        trade: the trade closed last.
        target: exposure decided at the last close, not yet filled.
        bars_seen: so far, observed ones included.
        outcomes: traded bars by outcome, in the order of the codes.
        book: of a plan, see `plan_by_bar.PlanSnapshot`; None for a number that is none. Empty for plain decisions.
    """

    state: tuple[float, ...]
    account: tuple[float, ...]
    tally: tuple[float, ...]
    trade: tuple[float, ...]
    target: int
    bars_seen: int
    outcomes: tuple[int, ...]
    book: tuple[float | None, ...] = ()


class BarByBar:
    """The same engine, one bar at a time.

    Args:
        program: the strategy with its parameters.
        costs: per side.
        initial_cash_usd: above zero.
        snapshot: where an earlier run of the same program ended; its money counts, not `initial_cash_usd`.

    Raises:
        BadInput: cash out of limits, or a snapshot of another program.
    """

    def __init__(self, program: StepProgram, costs: Costs, initial_cash_usd: float, snapshot: Snapshot | None = None) -> None:
        self.program = program
        self.costs = costs
        self._fee, self._slippage = costs.fee, costs.slippage
        self._account = np.array(Account(checked_cash(initial_cash_usd)))
        self._tally = np.array(Tally())
        self._row = np.zeros(BAR_SIZE)
        self._outcomes = np.zeros(len(Outcome), dtype=np.int64)
        self.target = 0
        self.bars_seen = 0
        self.outcome: Outcome | None = None
        self._decider = program.begin()
        self._trade = np.zeros(TRADE_SIZE)
        self._trade[TRADE_EXIT_BAR] = NO_BAR
        if snapshot is not None:
            self._restore(snapshot)

    @property
    def account(self) -> Account:
        """The money now."""
        return Account(*self._account.tolist())

    @property
    def tally(self) -> Tally:
        """The statistics of the bars that were traded."""
        return Tally(*self._tally.tolist())

    @property
    def equity_usd(self) -> float:
        """Account value at the last close that was traded; before the first, the cash."""
        return self.tally.equity if self.tally.bars else self.account.cash

    def annualised_sharpe(self, bars_per_year: int) -> float | None:
        """Of the bars that were traded, by the backtest's own formula; None while undefined."""
        return sharpe_of_sums(self.tally.return_sum, self.tally.return_squares, int(self.tally.bars) - 1, bars_per_year=bars_per_year)

    @property
    def last_trade(self) -> FloatArray:
        """The trade closed last, float64 (TRADE_SIZE), a copy; its exit bar is NO_BAR before the first."""
        return self._trade.copy()

    @property
    def wanted(self) -> float:
        """The exposure wanted after the last close, not yet filled."""
        return float(self.target)

    @property
    def why(self) -> int | None:
        """The strategy's own reason for it; a step gives none."""
        return None

    @property
    def snapshot(self) -> Snapshot:
        """Everything needed to go on later."""
        return Snapshot(
            state=self._decider.state,
            account=tuple(self._account.tolist()),
            tally=tuple(self._tally.tolist()),
            trade=tuple(self._trade.tolist()),
            target=self.target,
            bars_seen=self.bars_seen,
            outcomes=tuple(self._outcomes.tolist()),
        )

    def observe(self, open_: float, high: float, low: float, close: float, volume: float, time_ms: int = 0) -> None:
        """Let the strategy see a bar without trading it: warm-up before the first live bar.

        Args:
            open_: USD.
            high: USD.
            low: USD.
            close: USD.
            volume: shares.
            time_ms: start of the bar, milliseconds since 1970-01-01 UTC.
        """
        self.observe_all(np.array([[open_, high, low, close, volume]]), np.array([time_ms]))

    def observe_all(self, rows: FloatArray, times: IntArray | None = None) -> None:  # noqa: ARG002 (steps know no time)
        """`observe` many bars in one compiled pass, with the same outcome.

        Args:
            rows: float64 (n, BAR_SIZE): open, high, low, close, volume.
            times: int64 (n), start of each bar, milliseconds since 1970-01-01 UTC.
        """
        if rows.ndim != 2 or rows.shape[1] != BAR_SIZE:
            raise BadInput("rows", f"float64 of shape (bars, {BAR_SIZE})", rows.shape)
        if len(rows):
            self.target = self._decider.observe(rows)
            self.bars_seen += len(rows)

    def recall(self, rows: FloatArray, times: IntArray | None = None) -> None:
        """Give back the bars that were seen before a snapshot; a step needs none, its state says it all.

        Args:
            rows: float64 (bars_seen, BAR_SIZE).
            times: int64 (bars_seen), as in `observe_all`.
        """

    def flat_at(self, price: float) -> Flat:
        """What closing the position at this price would give, by the engine's own fill; nothing is changed.

        Args:
            price: USD, before slippage.
        """
        trade, account = self._trade.copy(), self.account
        after = fill(account, 0, self.bars_seen, price, self._fee, self._slippage, trade)
        equity = float(equity_at(after, price))
        if account.units == 0.0:
            return Flat(0.0, 0.0, 0.0, equity, None)
        return Flat(account.units, float(trade[TRADE_EXIT_PRICE]), float(trade[TRADE_EXIT_FEE]), equity, float(trade[TRADE_PNL]))

    def on_bar(self, open_: float, high: float, low: float, close: float, volume: float, time_ms: int = 0) -> tuple[Fill, ...]:  # noqa: ARG002
        """Take one bar that has ended: fill the last decision at its open, mark at its close, decide anew.

        Args:
            open_: USD.
            high: USD.
            low: USD.
            close: USD.
            volume: shares.
            time_ms: start of the bar, milliseconds since 1970-01-01 UTC.

        Returns:
            What was executed at this bar's open: nothing, an exit, an entry, or an exit and an entry.
        """
        account, row = self._account, self._row
        row[:] = open_, high, low, close, volume
        units, was_ruined = float(account[UNITS]), float(account[RUINED])
        take_bar(row, self._fee, self._slippage, self.bars_seen, self.target, account, self._tally, self._trade)
        self.target = self._decider.observe(row[np.newaxis])
        is_warming_up = self.bars_seen < self.program.look_back - 1
        self.outcome = Outcome(outcome_of_bar(units, float(account[UNITS]), was_ruined, self.target, is_warming_up))
        self._outcomes[self.outcome] += 1
        fills = () if units == account[UNITS] else tuple(self._fills(units, self.account))
        self.bars_seen += 1
        return fills

    def _fills(self, units: float, after: Account) -> Iterator[Fill]:
        bar = self.bars_seen
        if units != 0.0:
            trade = self._trade
            yield Fill(bar, -units, float(trade[TRADE_EXIT_PRICE]), float(trade[TRADE_EXIT_FEE]), "EXIT", float(trade[TRADE_PNL]))
        if after.units != 0.0:
            yield Fill(bar, after.units, after.entry_price, after.entry_fee)

    def _restore(self, snapshot: Snapshot) -> None:
        if len(snapshot.trade) != TRADE_SIZE:
            raise BadInput("snapshot.trade", f"{TRADE_SIZE} numbers", len(snapshot.trade))
        if len(snapshot.account) != len(self._account) or len(snapshot.tally) != len(self._tally):
            raise BadInput("snapshot.account", f"{len(self._account)} numbers, and {len(self._tally)} of the tally", len(snapshot.account))
        self._decider.restore(snapshot.state)
        self._trade[:] = snapshot.trade
        if len(snapshot.outcomes) != len(self._outcomes):
            raise BadInput("snapshot.outcomes", f"{len(self._outcomes)} numbers", len(snapshot.outcomes))
        self._account[:] = snapshot.account
        self._outcomes[:] = snapshot.outcomes
        self._tally[:] = snapshot.tally
        self.target = snapshot.target
        self.bars_seen = snapshot.bars_seen
