"""A paper session: the engine bar by bar, and what is said about each bar.

Place in the flow: feed → **session** → `autonomy.runners`. Pure: a bar in, events out; the loop around it reads, waits and appends.
The engine is the backtest's own, so the same bars give the same trades and equity to the last bit, in whatever process and after
however many restarts.

Source: R-A3.7; docs/architecture.md, "Research and paper trading".
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from autonomy.bar_outcomes import BarOutcome
from autonomy.errors import BadInput, Broken
from autonomy.events import (
    MAX_TEXT,
    FlatValue,
    JobEnqueued,
    PaperOrder,
    PaperSnapshot,
    PaperSummary,
    RunnerMarked,
    RunnerTraded,
)
from autonomy.timeframes import bar_words
from autonomy.values import derived_id, instant_of_ms, ms_of
from job_runner.claims.outcome import named
from job_runner.claims.queue import Claim
from job_runner.engine.account import Costs
from job_runner.engine.bar_by_bar import BarByBar, Snapshot
from job_runner.engine.programs import Axis
from job_runner.engine.running import PlannedBars, begin
from job_runner.market.sources import Bars
from job_runner.research.report import StrategyError
from job_runner.strategies.coded import CodedStrategy, by_name

MAX_SESSIONS: Final = 10_000
"""Sessions whose newest mark a process remembers. A forgotten one costs bars taken again, with the same trades."""

MARKED: Final = RunnerMarked.wire.encode()
Said = tuple[RunnerTraded | RunnerMarked, ...]


@dataclass(frozen=True, slots=True)
class TimedBar:
    """One bar that has ended: its start in ms since 1970-01-01 UTC, prices in USD, volume in shares, its 0-based number in its source."""

    time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    place: int = 0

    @classmethod
    def at(cls, bars: Bars, number: int) -> "TimedBar":
        """One of a source's bars."""
        columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        open_, high, low, close, volume = (float(column[number]) for column in columns)
        return cls(int(bars.time[number]), open_, high, low, close, volume, number)

    @property
    def prices_and_volume(self) -> tuple[float, float, float, float, float]:
        """In the order of the engine's arguments."""
        return self.open, self.high, self.low, self.close, self.volume


def may_be_marked(value: bytes) -> bool:
    """Whether a record may be a mark: whoever only wants those need not read the rest, of which a quiet log has most.

    A wire name stands in the bytes as it is, unless something in them is escaped.
    """
    return MARKED in value or b"\\" in value


@dataclass(slots=True)
class Marks:
    """The newest mark of each session, as this process has read them.

    Newest is the highest bar, whatever the attempt: attempts begin at 1 again with each job of a session, and a bar has one
    outcome, whoever took it.

    Attributes:
        newest: by session, the one marked longest ago first.
    """

    newest: OrderedDict[str, RunnerMarked] = field(default_factory=OrderedDict)

    def take(self, mark: RunnerMarked) -> None:
        """Take a mark of any runner."""
        known = self.newest.get(mark.session_id)
        if known is None or mark.bar > known.bar:
            self.newest[mark.session_id] = mark
        self.newest.move_to_end(mark.session_id)
        while len(self.newest) > MAX_SESSIONS:
            self.newest.popitem(last=False)

    def of(self, session_id: str) -> RunnerMarked | None:
        """The newest mark of a session, if one was read."""
        return self.newest.get(session_id)


@dataclass(slots=True)
class PaperSession:
    """One bot version's paper trading, from where it stands.

    Attributes:
        order: of the job that carries it.
        paper: the order's own section.
        engine: holds strategy, account and statistics.
        last_ms: start of the bar taken last; None before the first.
        reasons: the strategy's words for its own reasons.
    """

    order: JobEnqueued
    paper: PaperOrder
    engine: BarByBar | PlannedBars
    last_ms: int | None = None
    reasons: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def resumed(cls, order: JobEnqueued, mark: RunnerMarked | None, strategy: CodedStrategy | None = None) -> "PaperSession":
        """The session where it stands: after the newest mark, else after the order's snapshot, else at its beginning.

        Raises:
            BadInput: an order without a session, parameters out of their limits, or a snapshot of another program.
        """
        paper = order.paper
        if paper is None:
            raise BadInput("paper", "what to trade, for a RUNNER_START job")
        snapshot, last_bar = paper.snapshot, paper.last_bar
        if mark is not None and (snapshot is None or mark.snapshot.bars_seen > snapshot.bars_seen):
            snapshot, last_bar = mark.snapshot, mark.bar_start
        if snapshot is not None and last_bar is None:
            raise BadInput("paper.last_bar", "the start of the snapshot's last bar")
        coded = strategy or by_name(order.strategy)
        reasons = {reason.code: reason.words for reason in coded.offer.reasons}
        return cls(order, paper, an_engine(order, snapshot, coded), None if last_bar is None else ms_of(last_bar), reasons)

    def warm_up(self, bars: Bars) -> None:
        """Let the strategy see the bars up to `from_bar` that it has not seen; nothing is traded, nothing is said.

        After a snapshot it gets back those that it had seen.
        """
        until = ms_of(self.paper.from_bar) if self.last_ms is None else self.last_ms
        count = int(bars.time.searchsorted(until, side="right"))
        rows, times = bars.rows()[:count], bars.time[:count]
        if self.last_ms is not None:
            self.engine.recall(rows, times)
        elif count:
            self.engine.observe_all(rows, times)
            self.last_ms = int(bars.time[count - 1])

    def take(self, bar: TimedBar, claim: Claim, process_id: str) -> Said:
        """Take the next bar: fill the last decision at its open, mark at its close, decide anew.

        Returns:
            Its fills and then its mark; nothing for a bar of the warm-up.

        Raises:
            BadInput: a bar that is not later than the last one.
            StrategyError: a result that is no number.
        """
        if self.last_ms is not None and bar.time_ms <= self.last_ms:
            raise BadInput("bars", f"starts after {bar_words(self.last_ms)}", bar_words(bar.time_ms))
        self.last_ms = bar.time_ms
        if bar.time_ms <= ms_of(self.paper.from_bar):
            self.engine.observe(*bar.prices_and_volume, bar.time_ms)
            return ()
        number = self.engine.bars_seen
        try:
            return self._traded(bar, claim, process_id)
        except (ValidationError, ArithmeticError) as refusal:
            fault = _fault(refusal) if isinstance(refusal, ValidationError) else repr(refusal)
            raise StrategyError(f"{self.order.strategy} on {self.order.symbol}, bar {number}: {fault}") from refusal

    def _traded(self, bar: TimedBar, claim: Claim, process_id: str) -> Said:
        number = self.engine.bars_seen
        fills = self.engine.on_bar(*bar.prices_and_volume, bar.time_ms)
        place = {**named(claim, process_id), "session_id": self.paper.session_id, "bar_start": instant_of_ms(bar.time_ms), "bar": number}
        said: list[RunnerTraded | RunnerMarked] = []
        kinds: Counter[str] = Counter()
        for fill in fills:
            # A bar may enter and be stopped, and enter again: the second of a kind is told apart.
            again = f"/{kinds[fill.kind]}" if kinds[fill.kind] else ""
            kinds[fill.kind] += 1
            traded = RunnerTraded(
                **place, order_id=derived_id("paper-order", self.paper.session_id, number, f"{fill.kind}{again}"), kind=fill.kind,
                side="BUY" if fill.units > 0.0 else "SELL", units=abs(fill.units), price_usd=fill.price_usd,
                fee_usd=fill.fee_usd, pnl_usd=fill.pnl_usd,
            )  # fmt: skip
            said.append(traded)
        # What stands before this bar in the source and was not seen came when a later one had been taken.
        return (*said, self._mark(place, bar.close, max(0, bar.place - number)))

    def _mark(self, place: dict[str, Any], close: float, late_bars: int) -> RunnerMarked:
        engine, flat = self.engine, self.engine.flat_at(close)
        tally, account = engine.tally, engine.account
        if engine.outcome is None:
            raise Broken("a mark before the first traded bar")
        return RunnerMarked(
            **place, close_usd=close, equity_usd=tally.equity, cash_usd=account.cash, units=account.units,
            trades=int(tally.trades), traded_bars=int(tally.bars), pnl_usd=tally.equity - _cash(self.order),
            max_drawdown=tally.max_drawdown, sharpe=engine.annualised_sharpe(self.order.bars_per_year),
            replay=self.paper.market.mode == "REPLAY", outcome=BarOutcome[engine.outcome.name], why=self._why(), wanted=engine.wanted,
            late_bars=late_bars,
            snapshot=snapshot_of(engine),
            flat=FlatValue(
                units=flat.units, price_usd=flat.price_usd, fee_usd=flat.fee_usd, equity_usd=flat.equity_usd, pnl_usd=flat.pnl_usd
            ),
        )  # fmt: skip

    def _why(self) -> str | None:
        why = self.engine.why
        return None if why is None else self.reasons.get(why, f"reason {why}")[:MAX_TEXT]

    def summary(self) -> PaperSummary:
        """What the session's job had done when its time was over."""
        tally = self.engine.tally
        return PaperSummary(
            session_id=self.paper.session_id, last_bar=None if self.last_ms is None else instant_of_ms(self.last_ms),
            traded_bars=int(tally.bars), trades=int(tally.trades),
            equity_usd=self.engine.equity_usd if tally.bars else None, ended="SESSION_TIME",
        )  # fmt: skip


def an_engine(order: JobEnqueued, snapshot: PaperSnapshot | None, strategy: CodedStrategy | None = None) -> BarByBar | PlannedBars:
    """The engine of an order, at its beginning or where a snapshot stands.

    Raises:
        BadInput: parameters, costs or cash out of limits, or a snapshot of another program.
    """
    costs = Costs(**order.costs.model_dump())
    held = None
    if snapshot is not None:
        held = Snapshot(
            snapshot.state, snapshot.account, snapshot.tally, snapshot.trade, snapshot.target, snapshot.bars_seen, snapshot.outcomes,
            snapshot.book,
        )  # fmt: skip
    program = (strategy or by_name(order.strategy)).program(
        order.parameters, Axis(order.symbol, order.timeframe, np.zeros(0, dtype=np.int64))
    )
    return begin(program, costs, _cash(order), held)


def snapshot_of(engine: BarByBar | PlannedBars) -> PaperSnapshot:
    """The engine's whole state on the wire, exact to the bit."""
    held = engine.snapshot
    return PaperSnapshot(
        state=held.state, account=held.account, tally=held.tally, trade=held.trade, target=held.target, bars_seen=held.bars_seen,
        book=held.book, outcomes=held.outcomes,
    )  # fmt: skip


def _cash(order: JobEnqueued) -> float:
    return float(order.initial_cash_usd)


def _fault(refusal: ValidationError) -> str:
    fault = refusal.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"[:300]
