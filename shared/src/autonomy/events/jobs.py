"""Jobs: what became of a job (producers: job-runner, planner)."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Final, Self, cast

import orjson
from pydantic import Field, model_validator

from autonomy import topics
from autonomy.bar_outcomes import BarOutcome
from autonomy.events.document import Count, Digest, Document, Event, Identifier, Money, Text, Tick, later
from autonomy.events.evolution import EvolutionSummary
from autonomy.events.paper import PaperSummary, WindowMetrics
from autonomy.timeframes import MINUTE_MS
from autonomy.values import BotId, Cause, Instant

MAX_CURVE_POINTS: Final = 120
MINUTES_PATTERN: Final = r"^[0-9]{1,9}(,[0-9]{1,9})*$"
MULTIPLES_PATTERN: Final = r"^-?[0-9]{1,15}\.[0-9]{4}(,-?[0-9]{1,15}\.[0-9]{4})*$"


class JobEvent(Event):
    """A step of one job's life, in the job's own partition.

    Attributes:
        tick: of the job's JobEnqueued; tells a job not known yet from one long gone (S8).
        attempt: 1-based; an event of another attempt changes nothing.
    """

    topic = topics.JOBS
    job_id: Identifier
    bot_id: BotId
    tick: Tick
    attempt: Annotated[int, Field(ge=1)]


class ClaimEvent(JobEvent):
    """A step that counts only when said by the winner of the attempt."""

    producer = "job-runner"
    claim_id: Identifier
    process_id: Identifier


class JobStarted(ClaimEvent):
    """A claim. The first in the partition for a queued job's current attempt wins."""

    wire = "job-started.v1"


class JobReleased(ClaimEvent):
    """The winner gives the job back unstarted or unfinished: attempt + 1, no failure counted."""

    wire = "job-released.v1"
    cause: Cause


class BacktestMetrics(Document):
    """Results of one backtest; ratios annualised with the order's `bars_per_year`; None where they are not defined."""

    sharpe: float | None
    sortino: float | None
    cagr: float | None
    max_drawdown: float | None
    exposure: float | None
    turnover_per_year: float | None
    trades: Count
    win_rate: float | None
    profit_factor: float | None
    bars_per_trade: float | None
    costs_usd: Money | None
    final_equity_usd: Money | None


class EquityCurve(Document):
    """Equity over time as three columns of equal length, each one text with commas between its numbers.

    A result has 120 points: as lists they cost every reader more than all the rest of the result.

    Attributes:
        minutes: since the summary's `first_bar`.
        strategy, buy_and_hold: multiples of the initial cash, four decimals.
    """

    minutes: Annotated[str, Field(max_length=1300, pattern=MINUTES_PATTERN)]
    strategy: Annotated[str, Field(max_length=3000, pattern=MULTIPLES_PATTERN)]
    buy_and_hold: Annotated[str, Field(max_length=3000, pattern=MULTIPLES_PATTERN)]

    @model_validator(mode="after")
    def is_a_table(self) -> "EquityCurve":
        """A column that is shorter than another would shift the curve."""
        points = self.minutes.count(",") + 1
        if points > MAX_CURVE_POINTS or {self.strategy.count(","), self.buy_and_hold.count(",")} != {points - 1}:
            raise ValueError(f"minutes, strategy and buyAndHold must have the same number of values, at most {MAX_CURVE_POINTS}")
        return self

    def strategy_sampled(self, points: int) -> list[float]:
        """The strategy's column as numbers, about so many of them, evenly taken from the first on."""
        try:
            values = orjson.loads(f"[{self.strategy}]")
        except orjson.JSONDecodeError:  # zeros in front
            values = [float(value) for value in self.strategy.split(",")]
        return cast("list[float]", values[:: max(1, len(values) // points)])

    @classmethod
    def of(cls, first_ms: int, points: Iterable[tuple[int, float, float]]) -> "EquityCurve":
        """The curve through points of a bar's start (ms), strategy and buy and hold.

        Raises:
            pydantic.ValidationError: no points, too many, or a number that is none.
        """
        starts, strategy, held = zip(*points, strict=True)
        return cls(
            minutes=",".join(str((start - first_ms) // MINUTE_MS) for start in starts),
            strategy=",".join(f"{value:.4f}" for value in strategy), buy_and_hold=",".join(f"{value:.4f}" for value in held),
        )  # fmt: skip


class TimingFound(Document):
    """A bot on its own market among markets of the same bars, permuted without replacement.

    Attributes:
        z: of its Sharpe ratio per bar among theirs; None where either does not vary.
        p_value: share of all markets, the real one among them, on which it did at least as well.
        markets: how many were tried: fewer than ordered where the first hundred showed nothing.
        seed: of the permutations.
    """

    z: float | None
    p_value: Annotated[float, Field(gt=0, le=1)]
    markets: Count
    seed: Count


class ResearchSummary(Document):
    """What a finished backtest with its validation suite found; the whole report is the artefact.

    Attributes:
        data_sha256: of the very bars that were read.
        trials: how many evaluations were counted against the deflated Sharpe ratio.
        stress_worst_sharpe: the lowest Sharpe ratio on the cost and slippage grid.
        timing: the bot among markets of its own bars in random order; what a look judges by.
        net_t: t of the returns at double costs.
        window: the engine's re-run over the live window that the order named, for drift.
        curve: None of a result without.
        data_findings: what is odd about the bars that were read: jumps, gaps, columns that were not used.
        outcomes: bars by what became of them, those that occurred; they add up to `bars`.
    """

    fingerprint: Digest
    data_sha256: Digest
    source_id: Text
    synthetic: bool
    bars: Count
    first_bar: Instant
    last_bar: Instant
    metrics: BacktestMetrics
    in_sample: BacktestMetrics
    out_of_sample: BacktestMetrics
    buy_and_hold: BacktestMetrics
    look_ahead_ok: bool
    look_ahead_cuts: Count
    psr: float | None
    dsr: float | None
    trials: Count
    stress_worst_sharpe: float | None
    neighbourhood_median_sharpe: float | None
    timing: TimingFound
    net_t: float | None
    window: WindowMetrics | None = None
    curve: EquityCurve | None = None
    artifact: Text | None = None
    elapsed_s: float
    data_findings: Annotated[tuple[Text, ...], Field(max_length=20)] = later(())
    outcomes: dict[BarOutcome, Count]

    @model_validator(mode="after")
    def _all_bars_have_an_outcome(self) -> Self:
        if sum(self.outcomes.values()) != self.bars:
            raise ValueError(f"outcomes: must add up to the {self.bars} bars, not to {sum(self.outcomes.values())}")
        return self


class JobSucceeded(ClaimEvent):
    """The job's one accepted result: `result` of a backtest, `evolution` of a search, `paper` of a paper session's job."""

    wire = "job-succeeded.v1"
    result: ResearchSummary | None = None
    evolution: EvolutionSummary | None = None
    paper: PaperSummary | None = None


class JobFailed(ClaimEvent):
    """The job ended without a result; `field` and `limit` when the input was at fault.

    Attributes:
        may_pass: whether the same order on the data that was announced may go well: the runner could not read that data, or has
            another program than was ordered. Such a failure blocks nobody; the bot rests and is tried again.
    """

    wire = "job-failed.v1"
    cause: Cause
    detail: Text
    field: Text | None = None
    limit: Text | None = None
    may_pass: bool = later(default=False)


class JobRequeued(JobEvent):
    """The lease of this attempt ran out: attempt + 1, one failure counted."""

    wire = "job-requeued.v1"
    producer = "planner"
    cause: Cause


class JobCancelled(JobEvent):
    """The planner ends a live job, at whatever attempt it is."""

    wire = "job-cancelled.v1"
    producer = "planner"
    cause: Cause


class JobDead(JobEvent):
    """The lease ran out once too often."""

    wire = "job-dead.v1"
    producer = "planner"
    cause: Cause
    failures: Count


def usd(amount: float) -> str:
    """Money on the wire: a decimal string with cents, never a float."""
    return str(Decimal(repr(amount)).quantize(Decimal("0.01")))
