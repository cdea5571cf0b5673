"""What a search is about: the bars, cut into search window, embargo and sealed hold-out, and the space to be searched.

Role: the data phase of `evolution`; pure but for reading the market.

The bars, oldest first: the search window (folds, each beginning with its gap), the embargo, the hold-out. Indicators may
reach back from the hold-out into the search window: that is history, which any trader has; what counts is that nothing
was chosen by what comes after.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import optuna

from autonomy.events import EvolutionPlan
from autonomy.values import ms_of
from job_runner.market.sources import Bars, DataMissing, MarketData
from job_runner.research.backtest import fingerprint_in, read_case
from job_runner.research.validation import Case
from job_runner.search.evaluation import SearchCase
from job_runner.search.evolution_report import EvolutionOrder
from job_runner.search.holdout import SealedHoldOut
from job_runner.search.space import SearchSpace, space_around
from job_runner.strategies.coded import CodedStrategy

# Raised when the same order on the same bars would give other trials.
SEARCH_VERSION: Final = 2
# A look-back may fill this part of a fold; longer ones could not be judged in it.
LOOK_BACK_PART: Final = 3
# Fewer scored bars in a fold measure nothing.
MIN_SCORED_BARS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Arena:
    """What a search is about: made by the data phase, the same in every attempt.

    Args:
        bars: all of them.
        case: the champion on all of them.
        space: what may be tried.
        search: what it is judged on.
        holdout: sealed.
        holdout_first: number of its first bar.
        fingerprint: of the champion.
        identity: hex, of everything the trials follow from.
    """

    bars: Bars
    case: Case
    space: SearchSpace
    search: SearchCase
    holdout: SealedHoldOut
    holdout_first: int
    fingerprint: str
    identity: str


def prepare(order: EvolutionOrder, market: MarketData, strategy: CodedStrategy | None = None) -> Arena:
    """Read the bars, cut them, and bound the space by what the folds can judge.

    Raises:
        BadInput: an order out of limits; names the field.
        DataMissing: no such symbol, or too few bars for the plan's folds.
    """
    plan = order.plan
    bars, case = read_case(order.research, market, 2, strategy)
    held = _held(plan, bars)
    if held < plan.min_holdout_bars:
        raise DataMissing("symbol", f"{order.research.symbol} has {held} bars that no search has read, {plan.min_holdout_bars} needed")
    window = len(bars) - held - plan.embargo_bars
    space = space_around(case.strategy, case.parameters, window // plan.folds // LOOK_BACK_PART)
    gap = space.longest_look_back + plan.embargo_bars
    if window // plan.folds < gap + MIN_SCORED_BARS:
        # The gap shrinks with the fold down to what the champion itself needs.
        searched = plan.folds * (gap + MIN_SCORED_BARS + 1) + plan.embargo_bars
        needed = max(searched / (1.0 - plan.holdout_fraction), searched + held) + 1
        raise DataMissing("symbol", f"{order.research.symbol} has {len(bars)} bars, about {needed:.0f} needed for {plan.folds} folds")
    seams = np.linspace(0, window, plan.folds + 1).astype(int).tolist()
    folds = tuple((first + gap, end) for first, end in itertools.pairwise(seams))
    search = SearchCase(
        strategy=case.strategy,
        axis=case.axis,
        rows=np.ascontiguousarray(case.rows[:window]),
        costs=case.costs,
        cash_usd=case.cash_usd,
        folds=folds,
        compared_from=space.longest_look_back,
        bars_per_year=case.bars_per_year,
    )
    first = len(bars) - held
    fingerprint = fingerprint_in(order.research, bars.source_id, case.strategy)
    identity = _identity(order, fingerprint, bars.sha256)
    return Arena(bars, case, space, search, SealedHoldOut(case, first), first, fingerprint, identity)


def _held(plan: EvolutionPlan, bars: Bars) -> int:
    """How many bars are held out: all after those that a search of the line has read, and the embargo; of a first search a share."""
    if plan.read_until is None:
        return max(plan.min_holdout_bars, round(len(bars) * plan.holdout_fraction), 1)
    read = int(np.searchsorted(bars.time, ms_of(plan.read_until), side="right"))
    return len(bars) - read - plan.embargo_bars


def _identity(order: EvolutionOrder, fingerprint: str, data_sha256: str) -> str:
    """Everything the trials follow from; the fingerprint has strategy code, champion, engine and costs."""
    document = {
        "search": SEARCH_VERSION,
        "optuna": optuna.__version__,
        "numpy": np.__version__,
        "job": order.research.job_id,
        "fingerprint": fingerprint,
        "data": data_sha256,
        "plan": order.plan.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
