"""Paper trading: what a runner is told, what it did bar by bar, and how a session ended.

A session is one stretch of paper trading of one bot version: it outlives restarts of its runner and the six-hour jobs that
carry it, and ends once, with SessionClosed. Every bar gives the same trades to whoever takes it, so a bar said twice is one bar.
"""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from autonomy import topics
from autonomy.bar_outcomes import BarOutcome, counts_of
from autonomy.events.document import Count, Document, Event, Identifier, Text, Tick, later
from autonomy.values import BotId, Instant

Numbers = Annotated[tuple[float, ...], Field(max_length=4096)]


class MarketTime(Document):
    """Which time the market is at, for a process that waits for bars; the meaning is that of the policy's section."""

    mode: Literal["LIVE", "REPLAY"]
    start: date
    end: date
    seconds_per_bar: Annotated[float, Field(gt=0, le=86_400)]
    epoch: Instant


class PaperSnapshot(Document):
    """Everything the bar-by-bar engine needs to go on in another process, exact to the bit.

    Attributes:
        target: exposure decided at the last close and not yet filled: -1, 0 or 1.
        bars_seen: bars taken so far, those of the warm-up included.
        book: of a strategy with plans: its account with orders and levels (null where there is none).
        outcomes: traded bars by outcome, in the order of `autonomy.bar_outcomes`; they add up to all traded bars.
    """

    state: Numbers
    account: Numbers
    tally: Numbers
    trade: Numbers
    target: Annotated[int, Field(ge=-1, le=1)]
    bars_seen: Count
    outcomes: Annotated[tuple[Count, ...], Field(max_length=64)]
    book: Annotated[tuple[float | None, ...], Field(max_length=256)] = later(())


class PaperOrder(Document):
    """What a RUNNER_START job trades.

    Attributes:
        from_bar: bars that start later are traded; this one and earlier ones only warm the strategy up.
        snapshot, last_bar: where the session stood when the job was enqueued, after the bar that starts at `last_bar`; a newer
            RunnerMarked of the same session replaces it.
        session_s: after this long the job ends SUCCEEDED and the session goes on as a new job.
        stop: what becomes of an open position when the runner is stopped by its gates.
    """

    session_id: Identifier
    from_bar: Instant
    snapshot: PaperSnapshot | None = None
    last_bar: Instant | None = None
    market: MarketTime
    session_s: Annotated[int, Field(ge=1, le=604_800)]
    stop: Literal["FLATTEN", "HOLD"]


class RunnerBar(Event):
    """Something a runner did with one bar; counts only while its session is open and the bar is new to it.

    Attributes:
        attempt, claim_id: of the claim under which the bar was taken.
        bar_start: of the bar.
        bar: 0-based number of the bar, those of the warm-up included.
    """

    topic = topics.RUNNERS
    producer = "job-runner"
    session_id: Identifier
    bot_id: BotId
    job_id: Identifier
    tick: Tick
    attempt: Annotated[int, Field(ge=1)]
    claim_id: Identifier
    process_id: Identifier
    bar_start: Instant
    bar: Count


class RunnerTraded(RunnerBar):
    """One paper fill: an entry or exit at a bar's open, a stop or target where it was reached, a change of size.

    Attributes:
        order_id: derived from session, bar, kind and which of its kind: the same fill said twice is one fill.
        units: positive; the side says which way.
        price_usd: with slippage.
        pnl_usd: of the trade that it closes, after both fees.
    """

    wire = "runner-traded.v1"
    order_id: Identifier
    kind: Literal["ENTRY", "EXIT", "STOP", "TARGET", "REBALANCE"]
    side: Literal["BUY", "SELL"]
    units: Annotated[float, Field(ge=0)]
    price_usd: float
    fee_usd: float
    pnl_usd: float | None = None


class FlatValue(Document):
    """What closing the open position at this bar's close would give, priced by the same fill: the flatten of a stopped runner.

    Attributes:
        units: signed, of the position; 0 when there is none.
        price_usd, fee_usd: of the closing fill; 0 when there is none.
        equity_usd: afterwards.
    """

    units: float
    price_usd: float
    fee_usd: float
    equity_usd: float
    pnl_usd: float | None = None


class RunnerMarked(RunnerBar):
    """The account after one bar, with everything needed to go on from it; closes the bar.

    Attributes:
        units: signed.
        trades: closed trades of the session.
        max_drawdown: of the session, fraction.
        sharpe: of the session's traded bars, annualised; None while undefined.
        replay: the bars are recorded ones, released by the replay clock.
        outcome: what became of the bar.
        why: the strategy's own reason for what it wants after this close, where it gave one.
        late_bars: bars of the source up to this one that the session never took: they came when a later one had been taken.
        wanted: the order of this close: the share of the equity to hold from the next open on, negative for a short position.
    """

    wire = "runner-marked.v1"
    close_usd: float
    equity_usd: float
    cash_usd: float
    units: float
    trades: Count
    traded_bars: Count
    pnl_usd: float
    max_drawdown: float
    sharpe: float | None
    replay: bool
    outcome: BarOutcome
    why: Text | None = None
    wanted: float
    late_bars: Count
    snapshot: PaperSnapshot
    flat: FlatValue

    @model_validator(mode="after")
    def _all_bars_have_an_outcome(self) -> Self:
        counted = counts_of(self.snapshot.outcomes)
        if sum(counted.values()) != self.traded_bars or self.outcome not in counted:
            raise ValueError(f"snapshot.outcomes: must add up to the {self.traded_bars} traded bars, with {self.outcome} among them")
        return self


class PaperSummary(Document):
    """What a RUNNER_START job that reached its session time had done."""

    session_id: Identifier
    last_bar: Instant | None
    traded_bars: Count
    trades: Count
    equity_usd: float | None
    ended: Literal["SESSION_TIME"]


class LiveWindow(Document):
    """The bars over which a paper session is compared with the engine: those that start after `from_bar`, up to `until_bar`."""

    session_id: Identifier
    from_bar: Instant
    until_bar: Instant


class WindowMetrics(Document):
    """One account over a live window; measured by the runner and by the engine in the same units.

    Attributes:
        pnl_usd: after costs.
        sharpe: annualised; None while undefined.
        max_drawdown: fraction.
    """

    from_bar: Instant
    until_bar: Instant
    bars: Count
    trades: Count
    pnl_usd: float
    sharpe: float | None
    max_drawdown: float
