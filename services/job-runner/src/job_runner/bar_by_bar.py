"""The engine one bar at a time: what a paper runner drives.

Role: holds the state between bars and calls the very functions the backtest's compiled loop calls. It has no rule of
its own; the tests hold it equal to the loop bit for bit, for every strategy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from autonomy.errors import BadInput
from job_runner.account import (
    NO_BAR,
    TRADE_EXIT_BAR,
    TRADE_EXIT_FEE,
    TRADE_EXIT_PRICE,
    TRADE_SIZE,
    Account,
    Costs,
    Tally,
)
from job_runner.engine import Simulation, checked_cash, equity_at, fill, mark, tally_bar
from job_runner.strategies.compiled import Bar, FloatArray
from job_runner.strategies.dispatch import Program, step


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution: `units` positive for a buy, negative for a sell; price in USD with slippage; fee in USD."""

    bar: int
    units: float
    price_usd: float
    fee_usd: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything `BarByBar` needs to go on in another process: plain numbers, exact.

    Args:
        state: of the strategy's step.
        account: see `Account`.
        tally: see `Tally`.
        trade: the trade closed last.
        target: exposure decided at the last close, not yet filled.
        bars_seen: so far, observed ones included.
    """

    state: tuple[float, ...]
    account: tuple[float, ...]
    tally: tuple[float, ...]
    trade: tuple[float, ...]
    target: int
    bars_seen: int


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

    def __init__(self, program: Program, costs: Costs, initial_cash_usd: float, snapshot: Snapshot | None = None) -> None:
        self.program = program
        self.costs = costs
        self.account = Account(checked_cash(initial_cash_usd))
        self.tally = Tally()
        self.target = 0
        self.bars_seen = 0
        self._state = np.zeros(program.state_size)
        self._trade = np.zeros(TRADE_SIZE)
        self._trade[TRADE_EXIT_BAR] = NO_BAR
        if snapshot is not None:
            self._restore(snapshot)

    @property
    def equity_usd(self) -> float:
        """Account value at the last close that was traded; before the first, the cash."""
        return self.tally.equity if self.tally.bars else self.account.cash

    @property
    def last_trade(self) -> FloatArray:
        """The trade closed last, float64 (TRADE_SIZE), a copy; its exit bar is NO_BAR before the first."""
        return self._trade.copy()

    @property
    def snapshot(self) -> Snapshot:
        """Everything needed to go on later."""
        return Snapshot(
            state=tuple(self._state.tolist()),
            account=tuple(self.account),
            tally=tuple(self.tally),
            trade=tuple(self._trade.tolist()),
            target=self.target,
            bars_seen=self.bars_seen,
        )

    def observe(self, open_: float, high: float, low: float, close: float, volume: float) -> None:
        """Let the strategy see a bar without trading it: warm-up before the first live bar.

        Args:
            open_: USD.
            high: USD.
            low: USD.
            close: USD.
            volume: shares.
        """
        bar = Bar(float(open_), float(high), float(low), float(close), float(volume))
        self.target = int(step(self.program.kind, self._state, bar, self.program.params))
        self.bars_seen += 1

    def on_bar(self, open_: float, high: float, low: float, close: float, volume: float) -> tuple[Fill, ...]:
        """Take one bar that has ended: fill the last decision at its open, mark at its close, decide anew.

        Args:
            open_: USD.
            high: USD.
            low: USD.
            close: USD.
            volume: shares.

        Returns:
            What was executed at this bar's open: nothing, an exit, an entry, or an exit and an entry.
        """
        before = self.account
        costs = self.costs
        filled = fill(before, self.target, self.bars_seen, open_, costs.fee, costs.slippage, self._trade)
        fills = tuple(self._fills(before, Account(*filled)))
        self.account = Account(*mark(filled, close))
        equity = equity_at(self.account, close)
        self.tally = Tally(*tally_bar(self.tally, equity, self.account.units, self.bars_seen, self._trade))
        self.observe(open_, high, low, close, volume)
        return fills

    def _fills(self, before: Account, after: Account) -> Iterator[Fill]:
        if before.units == after.units:
            return
        bar = self.bars_seen
        if before.units != 0.0:
            yield Fill(bar, -before.units, float(self._trade[TRADE_EXIT_PRICE]), float(self._trade[TRADE_EXIT_FEE]))
        if after.units != 0.0:
            yield Fill(bar, after.units, after.entry_price, after.entry_fee)

    def _restore(self, snapshot: Snapshot) -> None:
        if len(snapshot.state) != self.program.state_size or len(snapshot.trade) != TRADE_SIZE:
            raise BadInput("snapshot.state", f"{self.program.state_size} numbers", len(snapshot.state))
        self._state[:] = snapshot.state
        self._trade[:] = snapshot.trade
        self.account = Account(*snapshot.account)
        self.tally = Tally(*snapshot.tally)
        self.target = snapshot.target
        self.bars_seen = snapshot.bars_seen


def simulate_plain(program: Program, rows: FloatArray, costs: Costs, initial_cash_usd: float) -> Simulation:
    """`engine.simulate` by a plain Python loop: what a paper runner would have done on the same bars.

    Args:
        program: the strategy with its parameters.
        rows: float64 (n, BAR_SIZE).
        costs: per side.
        initial_cash_usd: above zero.
    """
    runner = BarByBar(program, costs, initial_cash_usd)
    equity: list[float] = []
    targets: list[int] = []
    trades: list[FloatArray] = []
    for bar, row in enumerate(rows.tolist()):
        runner.on_bar(*row)
        if runner.last_trade[TRADE_EXIT_BAR] == bar:
            trades.append(runner.last_trade)
        equity.append(runner.equity_usd)
        targets.append(runner.target)
    kept = np.array(trades) if trades else np.zeros((0, TRADE_SIZE))
    return Simulation(np.array(equity), np.array(targets, dtype=np.int8), kept, runner.account, runner.tally)
