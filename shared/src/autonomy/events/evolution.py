"""Evolution: what a search is told, and what it found."""

from typing import Annotated, Literal

from pydantic import Field

from autonomy.events.document import Count, Digest, Document, Text
from autonomy.values import Instant


class EvolutionPlan(Document):
    """One search over a strategy's parameters, complete: the same plan on the same bars gives the same trials.

    Attributes:
        why: WEAK: the champion performs poorly; AT_THE_DOOR: it meets the promotion gates and is challenged before it leaves.
        population, generations: of NSGA-II.
        folds: walk-forward folds inside the search window, purged by the look-back and then by `embargo_bars`.
        holdout_fraction: the last share of the bars of a line's first search, sealed, looked at once at the very end.
        read_until: the last bar that any search of the line has read; the hold-out is what comes after it and the embargo. None: the first.
        min_holdout_bars: with fewer the search is refused.
        max_evaluations, max_wall_s: the budget; whichever ends it is recorded.
        prior_trials: evaluations counted for this bot before, which deflate its Sharpe ratio too.
    """

    why: Literal["WEAK", "AT_THE_DOOR"]
    seed: Count
    population: Annotated[int, Field(ge=4, le=1000)]
    generations: Annotated[int, Field(ge=1, le=1000)]
    folds: Annotated[int, Field(ge=2, le=50)]
    embargo_bars: Annotated[int, Field(ge=0, le=1000)]
    holdout_fraction: Annotated[float, Field(ge=0.05, le=0.5)]
    read_until: Instant | None
    min_holdout_bars: Count
    max_evaluations: Annotated[int, Field(ge=4, le=1_000_000)]
    max_wall_s: Annotated[float, Field(gt=0, le=86_400)]
    prior_trials: Count = 0


class Contender(Document):
    """One parameter set of a search; Sharpe ratios annualised, None where undefined.

    Attributes:
        fingerprint: of the bot with these parameters.
        folds_sharpe: median over the test folds of the search window.
        holdout_psr: probability that the true hold-out Sharpe ratio is above 0.
    """

    parameters: dict[str, int | float | str]
    fingerprint: Digest
    folds_sharpe: float | None
    holdout_sharpe: float | None
    holdout_psr: float | None
    holdout_trades: Count
    holdout_max_drawdown: float | None


class EvolutionSummary(Document):
    """What a finished search found; whether the challenger wins is the policy's to say.

    Attributes:
        challenger: the best of the last front, None when it is the champion itself.
        holdout_bars: bars from `holdout_from` on.
        paired_t: Student's t of the challenger's returns less the champion's on them; None without a challenger, or without a difference.
        dsr: of the challenger over the search window, every evaluation counted (prior ones too).
        pbo: probability of backtest overfitting over the distinct contenders, by CSCV.
        trials_sha256: over the sequence of all trials: parameters and objective values, in order.
    """

    fingerprint: Digest
    data_sha256: Digest
    source_id: Text
    synthetic: bool
    bars: Count
    first_bar: Instant
    last_bar: Instant
    holdout_from: Instant
    holdout_bars: Count
    paired_t: float | None
    seed: Count
    generations: Count
    evaluations: Count
    stop_reason: Literal["GENERATIONS_DONE", "EVALUATIONS_SPENT", "TIME_SPENT"]
    champion: Contender
    challenger: Contender | None
    dsr: float | None
    pbo: float | None
    trials_sha256: Digest
    artifact: Text | None = None
    elapsed_s: float
