"""Jobs: what became of a job (producers: job-runner, planner)."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from autonomy import topics
from autonomy.events.document import Count, Digest, Document, Event, Identifier, Money, Text, Tick
from autonomy.events.evolution import EvolutionSummary
from autonomy.events.paper import PaperSummary, WindowMetrics
from autonomy.values import BotId, Cause


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
    """Results of one backtest; ratios annualised with 252 days; None where they are not defined."""

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


class ResearchSummary(Document):
    """What a finished backtest with its validation suite found; the whole report is the artefact.

    Attributes:
        data_sha256: of the very bars that were read.
        trials: how many evaluations were counted against the deflated Sharpe ratio.
        stress_worst_sharpe: the lowest Sharpe ratio on the cost and slippage grid.
        bootstrap_sharpe_p05: 5 % quantile over the bootstrap.
        pbo: probability of backtest overfitting over the parameter neighbourhood, by CSCV.
        window: the engine's re-run over the live window that the order named, for drift.
        equity: at most 120 points (day, strategy, buy and hold), as multiples of the initial cash.
    """

    fingerprint: Digest
    data_sha256: Digest
    source_id: Text
    synthetic: bool
    bars: Count
    first_day: date
    last_day: date
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
    bootstrap_sharpe_p05: float | None
    pbo: float | None = None
    window: WindowMetrics | None = None
    equity: tuple[tuple[date, float, float], ...] = ()
    artifact: Text | None = None
    elapsed_s: float


class JobSucceeded(ClaimEvent):
    """The job's one accepted result: `result` of a backtest, `evolution` of a search, `paper` of a paper session's job."""

    wire = "job-succeeded.v1"
    result: ResearchSummary | None = None
    evolution: EvolutionSummary | None = None
    paper: PaperSummary | None = None


class JobFailed(ClaimEvent):
    """The job ended without a result; `field` and `limit` when the input was at fault."""

    wire = "job-failed.v1"
    cause: Cause
    detail: Text
    field: Text | None = None
    limit: Text | None = None


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
