"""Programs run: what decides, with the fills that belong to it, whole and bar by bar.

Role: the one place that knows that plain decisions of -1, 0 and 1 have a faster pass than plans. Whoever judges a strategy asks here. A
step's decisions are int8 (n); a plan's are float64 (n, 5): exposure, stop, take profit, limit, sides that stay. Both are cut and joined
along their first axis.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from autonomy.errors import BadInput
from job_runner.engine.account import TRADE_PNL, TRADE_SIZE, Account, Costs, Tally
from job_runner.engine.bar_by_bar import BarByBar, Fill, FillKind, Flat, Snapshot
from job_runner.engine.compiled import BAR_SIZE, FloatArray, IntArray, SmallIntArray
from job_runner.engine.fills import Simulation, checked_cash, simulate_targets
from job_runner.engine.plain_outcomes import outcomes_of_targets
from job_runner.engine.plan_by_bar import PlanByBar, PlanSnapshot, Taken
from job_runner.engine.plan_simulation import PlanSimulation, simulate_plan
from job_runner.engine.plans import Decision, ExitRules, Outcome, Plan, Terms
from job_runner.engine.programs import Decided, PlannedSteps, PlanProgram, Program, StepProgram, planned_targets
from job_runner.engine.scoring import Scored, score_targets, scored_by_rows

KINDS: Final[Mapping[Outcome, FillKind]] = {
    Outcome.ENTERED: "ENTRY",
    Outcome.STOPPED: "STOP",
    Outcome.TARGET: "TARGET",
    Outcome.REBALANCED: "REBALANCE",
}
"""How a fill is called; every other outcome closes a position at the open."""
CLOSING: Final = ("EXIT", "STOP", "TARGET")


def terms_of(costs: Costs) -> Terms:
    """The same for plans; raises BadInput for what is out of limits, with its field."""
    return Terms(
        taker_bps=costs.fee_bps, maker_bps=costs.maker_bps, slippage_bps=costs.slippage_bps, funding_bps_per_day=costs.funding_bps_per_day,
        borrow_bps_per_day=costs.borrow_bps_per_day, tick=costs.tick, lot=costs.lot, minimum_usd=costs.minimum_usd,
    )  # fmt: skip


def run(program: Program, rows: FloatArray, costs: Costs, initial_cash_usd: float) -> Simulation:
    """Run a strategy over bars: all decisions first, since no strategy sees anything of the account, then the money.

    Args:
        program: the strategy with its parameters.
        rows: float64 (n, BAR_SIZE), C-contiguous; the first of the program's bars.
        costs: per side.
        initial_cash_usd: above zero.

    Raises:
        BadInput: wrong shape, or cash that is not a positive number.
        StrategyFailed: the strategy's own fault.
    """
    return follow(program, program.decided(rows), rows, costs, initial_cash_usd)


def follow(program: Program, decided: Decided, rows: FloatArray, costs: Costs, initial_cash_usd: float, first: int = 0) -> Simulation:
    """The money, given decisions of a program, or several of its kind joined.

    Args:
        program: whose exit rules hold.
        decided: what is wanted after each close.
        rows: float64 (n, BAR_SIZE), C-contiguous.
        costs: per side.
        initial_cash_usd: above zero.
        first: number of the first of these bars among the program's.
    """
    if isinstance(program, StepProgram) and costs.is_plain:
        return simulate_targets(plain(decided), rows, costs, initial_cash_usd)
    found = _by_plan(program, decided, rows, costs, initial_cash_usd, first)
    return Simulation(
        found.equity, np.sign(found.wanted).astype(np.int8), np.ascontiguousarray(found.trades[:, :TRADE_SIZE]), found.account, found.tally
    )


def hold(rows: FloatArray, costs: Costs, initial_cash_usd: float, times: IntArray) -> Simulation:
    """Bought at the second open and kept, under the same costs; `times` int64 (n), start of each bar in ms."""
    always = np.ones(len(rows), dtype=np.int8)
    if costs.is_plain:
        return simulate_targets(always, rows, costs, initial_cash_usd)
    found = simulate_plan(Plan.of_targets(always), ExitRules(), terms_of(costs), rows, initial_cash_usd, times_ms=times)
    return Simulation(found.equity, always, np.ascontiguousarray(found.trades[:, :TRADE_SIZE]), found.account, found.tally)


def _by_plan(program: Program, decided: Decided, rows: FloatArray, costs: Costs, initial_cash_usd: float, first: int = 0) -> PlanSimulation:
    if isinstance(program, StepProgram):
        program, decided = PlannedSteps(program), planned_targets(plain(decided))
    times = np.ascontiguousarray(program.times[first : first + len(rows)])
    return simulate_plan(
        plan_of(planned(decided), max(program.look_back - 1 - first, 0)), program.rules, terms_of(costs), rows, initial_cash_usd,
        times_ms=times if len(times) == len(rows) else None,
    )  # fmt: skip


def outcomes(program: Program, decided: Decided, rows: FloatArray, costs: Costs, initial_cash_usd: float) -> dict[Outcome, int]:
    """Bars by what became of them, those that occurred; they add up to all bars. Arguments as in `follow`."""
    if isinstance(program, StepProgram) and costs.is_plain:
        found = outcomes_of_targets(plain(decided), rows, costs, initial_cash_usd, max(program.look_back - 1, 0))
        counted = np.bincount(found, minlength=len(Outcome))
        return {outcome: int(counted[outcome]) for outcome in Outcome if counted[outcome]}
    return _by_plan(program, decided, rows, costs, initial_cash_usd).counts()


def score(program: Program, rows: FloatArray, costs: Costs, initial_cash_usd: float, edges: IntArray) -> Scored:
    """How a strategy did, for a search; see `scoring.score_targets`. Plans take the full pass."""
    decided = program.decided(rows)
    if isinstance(program, StepProgram) and costs.is_plain:
        return score_targets(plain(decided), rows, costs, initial_cash_usd, edges)
    return scored_by_rows(follow(program, decided, rows, costs, initial_cash_usd), edges)


def plain(decided: Decided) -> SmallIntArray:
    """Decisions of a step, contiguous; raises BadInput for others."""
    if decided.ndim != 1 or decided.dtype != np.int8:
        raise BadInput("decided", "int8 of one dimension", f"{decided.dtype} {decided.shape}")
    found: SmallIntArray = np.ascontiguousarray(decided, dtype=np.int8)
    return found


def planned(decided: Decided) -> FloatArray:
    """Decisions of a plan; raises BadInput for others."""
    if decided.ndim != 2 or decided.dtype != np.float64:
        raise BadInput("decided", "float64 of shape (bars, 5)", f"{decided.dtype} {decided.shape}")
    found: FloatArray = np.asarray(decided, dtype=np.float64)
    return found


def flat_like(decided: Decided) -> Decided:
    """As many decisions of the same kind that want nothing."""
    if decided.ndim == 1:
        return np.zeros_like(decided)
    nothing = np.full_like(decided, np.nan)
    nothing[:, [0, 4]] = 0.0
    return nothing


def same(one: Decided, other: Decided) -> bool:
    """Whether two stretches decide alike."""
    return np.array_equal(one, other, equal_nan=one.ndim > 1)


def plan_of(decided: FloatArray, warm_up: int = 0) -> Plan:
    """The plan of decisions float64 (n, 5)."""
    exposure, *prices, stays = (np.ascontiguousarray(decided[:, place]) for place in range(5))
    stop, take_profit, limit = (None if np.isnan(column).all() else column for column in prices)
    return Plan(exposure, stop, take_profit, limit, warm_up=min(warm_up, len(decided)), stays=stays if stays.any() else None)


def begin(program: Program, costs: Costs, initial_cash_usd: float, snapshot: Snapshot | None = None) -> "BarByBar | PlannedBars":
    """A program one bar at a time, at its beginning or where a snapshot stands.

    Raises:
        BadInput: cash out of limits, or a snapshot of another program.
    """
    if isinstance(program, StepProgram):
        if costs.is_plain:
            return BarByBar(program, costs, initial_cash_usd, snapshot)
        program = PlannedSteps(program)
    return PlannedBars(program, costs, initial_cash_usd, snapshot)


class PlannedBars:
    """A strategy that gives plans, one bar at a time: the same surface as `BarByBar`.

    Args:
        program: the strategy with its parameters.
        costs: per side.
        initial_cash_usd: above zero.
        snapshot: where an earlier run of the same program ended; its money counts, not `initial_cash_usd`.

    Raises:
        BadInput: cash out of limits, or a snapshot of another program.
    """

    def __init__(self, program: PlanProgram, costs: Costs, initial_cash_usd: float, snapshot: Snapshot | None = None) -> None:
        self.program, self.costs = program, costs
        self._decider = program.begin()
        self._trade = np.zeros(TRADE_SIZE)
        self.outcome: Outcome | None = None
        self.why: int | None = None
        held = None
        if snapshot is not None:
            if snapshot.state or not snapshot.book:
                raise BadInput("snapshot.book", "the book of a plan", len(snapshot.book))
            book = tuple(math.nan if number is None else number for number in snapshot.book)
            held = PlanSnapshot(book, snapshot.tally, snapshot.outcomes)
            self._trade[:] = snapshot.trade
        self._fills = PlanByBar(program.rules, terms_of(costs), checked_cash(initial_cash_usd), held)

    @property
    def account(self) -> Account:
        """The money now."""
        return self._fills.account

    @property
    def tally(self) -> Tally:
        """The statistics of the bars that were traded."""
        return self._fills.tally

    @property
    def target(self) -> int:
        """The side wanted after the last close: -1, 0 or 1."""
        return int(np.sign(self._fills.wanted))

    @property
    def wanted(self) -> float:
        """The exposure wanted after the last close, not yet filled."""
        return self._fills.wanted

    @property
    def bars_seen(self) -> int:
        """So far, observed ones included."""
        return self._fills.bars_seen

    @property
    def equity_usd(self) -> float:
        """Account value at the last close that was traded; before the first, the cash."""
        return self._fills.equity_usd

    def annualised_sharpe(self, bars_per_year: int) -> float | None:
        """Of the bars that were traded, by the backtest's own formula; None while undefined."""
        return self._fills.annualised_sharpe(bars_per_year)

    @property
    def last_trade(self) -> FloatArray:
        """The trade closed last, float64 (TRADE_SIZE), a copy; zeros before the first."""
        return self._trade.copy()

    @property
    def snapshot(self) -> Snapshot:
        """Everything needed to go on later, beside the bars."""
        held = self._fills.snapshot
        return Snapshot(
            state=(), account=tuple(self.account), tally=held.tally, trade=tuple(self._trade.tolist()), target=self.target,
            bars_seen=self.bars_seen, book=tuple(None if math.isnan(number) else number for number in held.book), outcomes=held.outcomes,
        )  # fmt: skip

    def observe(self, open_: float, high: float, low: float, close: float, volume: float, time_ms: int = 0) -> None:
        """See `BarByBar.observe`."""
        self.observe_all(np.array([[open_, high, low, close, volume]]), np.array([time_ms]))

    def observe_all(self, rows: FloatArray, times: IntArray | None = None) -> None:
        """See `BarByBar.observe_all`."""
        if rows.ndim != 2 or rows.shape[1] != BAR_SIZE:
            raise BadInput("rows", f"float64 of shape (bars, {BAR_SIZE})", rows.shape)
        if len(rows):
            known = np.arange(len(rows), dtype=np.int64) if times is None else times
            self._fills.observe(int(known[-1]), self._decider.observe(rows, known), len(rows))

    def recall(self, rows: FloatArray, times: IntArray | None = None) -> None:
        """See `BarByBar.recall`."""
        self._decider.recall(rows, np.arange(len(rows), dtype=np.int64) if times is None else times)

    def flat_at(self, price: float) -> Flat:
        """See `BarByBar.flat_at`."""
        return self._fills.flat_at(price)

    def on_bar(self, open_: float, high: float, low: float, close: float, volume: float, time_ms: int = 0) -> tuple[Fill, ...]:
        """See `BarByBar.on_bar`; inside the bar there may be stops and targets too."""
        decision: Decision = self._decider.observe(np.array([[open_, high, low, close, volume]]), np.array([time_ms]))
        taken = self._fills.on_bar(time_ms, (open_, high, low, close, volume), decision, max(self.program.look_back - 1, 0))
        self.outcome, self.why = taken.outcome, decision.why
        if len(taken.trades):
            self._trade[:] = taken.trades[-1, :TRADE_SIZE]
        return tuple(self._named(taken))

    def _named(self, taken: Taken) -> Sequence[Fill]:
        closed = [float(trade[TRADE_PNL]) for trade in taken.trades]
        found = []
        for fill in taken.fills:
            kind = KINDS.get(fill.outcome, "EXIT")
            gain = closed.pop(0) if kind in CLOSING and closed else None
            found.append(Fill(fill.bar, fill.units, fill.price_usd, fill.fee_usd, kind, gain))
        return found


def simulate_plain(program: Program, rows: FloatArray, costs: Costs, initial_cash_usd: float, times: IntArray | None = None) -> Simulation:
    """`run` by a plain Python loop: what a paper runner would have done on the same bars.

    Args:
        program: the strategy with its parameters.
        rows: float64 (n, BAR_SIZE).
        costs: per side.
        initial_cash_usd: above zero.
        times: int64 (n), start of each bar, milliseconds since 1970-01-01 UTC.
    """
    runner = begin(program, costs, initial_cash_usd)
    equity: list[float] = []
    targets: list[int] = []
    trades: list[FloatArray] = []
    for bar, row in enumerate(rows.tolist()):
        before = runner.tally.trades
        runner.on_bar(row[0], row[1], row[2], row[3], row[4], bar if times is None else int(times[bar]))
        if runner.tally.trades > before:
            trades.append(runner.last_trade)
        equity.append(runner.equity_usd)
        targets.append(runner.target)
    kept = np.array(trades) if trades else np.zeros((0, TRADE_SIZE))
    return Simulation(np.array(equity), np.array(targets, dtype=np.int8), kept, runner.account, runner.tally)
