"""One evolution: search better parameters, then look once at bars that the search never saw.

Role: order and market in, report out, like `backtest`; arena → search → overfitting → hold-out. Everything in the
report but times and resumptions follows from the order and the bars.

The deflated Sharpe ratio counts all evaluations of this search and those before it; the spread of the trials' Sharpe
ratios is that of the distinct parameter sets.

Source: Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio"; `overfitting` for PBO.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from autonomy.errors import Broken
from autonomy.strategies import Value, canonical
from job_runner.engine.compiled import FloatArray
from job_runner.engine.running import run
from job_runner.engine.statistics import (
    deflated_sharpe,
    probabilistic_sharpe,
    returns_of,
    sharpe_annualised,
    sharpe_of_sums,
)
from job_runner.market.sources import MarketData
from job_runner.research.backtest import DATA, Progress, Work, fingerprint_in
from job_runner.research.overfitting import BlockSums, block_edges, overfitting_probability
from job_runner.research.timing import t_of
from job_runner.search.arena import Arena, prepare
from job_runner.search.checkpoints import CheckpointStore
from job_runner.search.evaluation import Evaluator, InProcess, Scores, SearchCase
from job_runner.search.evolution_report import ContenderFound, EvolutionOrder, EvolutionReport, Fold, TrialFound
from job_runner.search.generations import Attempt, Searched, search_from_checkpoint
from job_runner.search.holdout import HoldOutResult
from job_runner.strategies.coded import CodedStrategy

SEARCH: Final = "search"
OVERFITTING: Final = "overfitting"
HOLD_OUT: Final = "hold-out"

# Bounds the artefact; the hash is over all of them.
MAX_TRIALS_KEPT: Final = 50_000


def run_evolution(
    order: EvolutionOrder,
    market: MarketData,
    progress: Progress,
    is_cancelled: Callable[[], bool],
    checkpoints: CheckpointStore | None = None,
    evaluator: Evaluator | None = None,
    clock: Callable[[], float] = time.perf_counter,
    strategy: CodedStrategy | None = None,
) -> EvolutionReport:
    """Search, and judge the best found on the hold-out.

    Args:
        order: what to do.
        market: where bars come from.
        progress: told phase and share of the whole done, 0 to 1, never falling.
        is_cancelled: asked after every evaluation.
        checkpoints: where a killed job goes on from; none, and it starts again.
        evaluator: who works out the scores; this process by default.
        clock: seconds, monotonic; for the wall-clock budget and `elapsed_s`.
        strategy: the one that is ordered, where it is not an installed one.

    Raises:
        BadInput: an order out of limits; names the field.
        DataMissing: no such symbol, or too few bars.
        StrategyError: a result that is no number.
        Cancelled: told to stop; the checkpoint stays, for another attempt or until it is swept.
    """
    work = Work(progress, is_cancelled, clock)
    work.enter(DATA)
    arena = prepare(order, market, strategy)
    plan, window = order.plan, len(arena.search.rows)
    planned = min(plan.population * plan.generations, plan.max_evaluations)
    work.planned = len(arena.bars) + planned * window + 4 * len(arena.bars)
    work.done(len(arena.bars))
    work.enter(SEARCH)
    attempt = Attempt(order, arena, work, evaluator or InProcess(), checkpoints, clock())
    found = search_from_checkpoint(attempt)
    work.passed = len(arena.bars) + planned * window
    work.enter(OVERFITTING)
    overfitting = overfitting_probability(_blocks(arena.search, found.known.values()))
    work.done(2 * len(arena.bars))
    work.enter(HOLD_OUT)
    report = _report(attempt, found, overfitting)
    work.done(2 * len(arena.bars))
    if checkpoints is not None:
        checkpoints.drop(order.research.job_id)
    return dataclasses.replace(report, elapsed_s=work.finish())


def _blocks(case: SearchCase, known: Iterable[Scores]) -> BlockSums:
    counts = np.diff(block_edges(case.compared_bars)).astype(np.float64)
    every = list(known)
    return BlockSums(counts, np.array([scores.sums for scores in every]), np.array([scores.squares for scores in every]))


def _report(attempt: Attempt, found: Searched, overfitting: float | None) -> EvolutionReport:
    arena, bars = attempt.arena, attempt.arena.bars
    own = found.generations[0][0]
    if own != canonical(arena.case.parameters):
        raise Broken(f"the first trial is {own}, not the champion")
    # The first of equals: the champion before all others.
    best = max(found.known, key=lambda name: found.known[name].merit)
    chosen = [own] if best == own else [own, best]
    contenders, paired_t = _contenders(attempt, found, chosen)
    trials_counted = found.evaluations + attempt.order.plan.prior_trials
    challenger = contenders[1] if len(contenders) > 1 else None
    trials = tuple(_trials(found))
    return EvolutionReport(
        order=attempt.order, fingerprint=arena.fingerprint, data_sha256=bars.sha256, source_id=bars.source_id,
        synthetic=bars.synthetic, bars=len(bars), first_ms=int(bars.time[0]), last_ms=int(bars.time[-1]),
        holdout_from=int(bars.time[arena.holdout_first]), holdout_bars=len(bars) - arena.holdout_first, paired_t=paired_t,
        longest_look_back=arena.space.longest_look_back,
        folds=tuple(Fold(int(bars.time[first]), int(bars.time[end - 1]), end - first) for first, end in arena.search.folds),
        generations=len(found.generations), evaluations=found.evaluations, distinct=len(found.known),
        stop_reason=found.stop_reason, champion=contenders[0], challenger=challenger,
        deflated_sharpe=None if challenger is None else deflated_sharpe(
            _returns(arena, challenger.parameters), _trial_sharpes(arena, found), trials_counted),
        trials_counted=trials_counted, overfitting_probability=overfitting, trials_sha256=_hash_of(trials),
        trials=trials[:MAX_TRIALS_KEPT], resumed_generations=found.resumed, checkpoint_refused=found.refused,
        searched_s=found.elapsed_s, elapsed_s=(),
    )  # fmt: skip


def _contenders(attempt: Attempt, found: Searched, names: Sequence[str]) -> tuple[list[ContenderFound], float | None]:
    """The champion, and the challenger if there is one, with the t of what it earned more, bar by bar: the one look at the hold-out.

    Paired, since both are long in the same market most of the time: its drift would make either of them look good.
    """
    tried = attempt.arena.holdout.open([found.documents[name] for name in names])
    paired = t_of(tried[1].returns - tried[0].returns) if len(tried) > 1 else None
    return [_contender(attempt, found, name, result) for name, result in zip(names, tried, strict=True)], paired


def _contender(attempt: Attempt, found: Searched, name: str, result: HoldOutResult) -> ContenderFound:
    document, scores = found.documents[name], found.known[name]
    returns = _returns(attempt.arena, document)
    research = dataclasses.replace(attempt.order.research, parameters=document)
    return ContenderFound(
        parameters=document, fingerprint=fingerprint_in(research, attempt.arena.bars.source_id, attempt.arena.case.strategy),
        folds_sharpe=scores.folds_sharpe, median_sharpe=scores.median_sharpe, dispersion=scores.dispersion,
        search_sharpe=sharpe_annualised(returns, attempt.arena.case.bars_per_year), search_psr=probabilistic_sharpe(returns),
        holdout=result.metrics, holdout_psr=result.probabilistic_sharpe,
    )  # fmt: skip


def _returns(arena: Arena, document: Mapping[str, Value]) -> FloatArray:
    """Of a parameter set over the compared bars; seen before, so no new evaluation."""
    search = arena.search
    simulation = run(search.strategy.program(document, search.axis), search.rows, search.costs, search.cash_usd)
    return returns_of(simulation.equity)[search.compared_from - 1 :]


def _trial_sharpes(arena: Arena, found: Searched) -> FloatArray:
    """Sharpe ratios per bar of the distinct parameter sets over the compared bars."""
    blocks = _blocks(arena.search, found.known.values())
    totals = zip(blocks.sums.sum(axis=1).tolist(), blocks.squares.sum(axis=1).tolist(), strict=True)
    sharpes = (sharpe_of_sums(total, squares, arena.search.compared_bars, bars_per_year=1) for total, squares in totals)
    return np.array([sharpe for sharpe in sharpes if sharpe is not None])


def _trials(found: Searched) -> Iterator[TrialFound]:
    for number, names in enumerate(found.generations):
        for name in names:
            yield TrialFound(number, name, found.known[name].median_sharpe, found.known[name].dispersion)


def _hash_of(trials: Sequence[TrialFound]) -> str:
    digest = hashlib.sha256()
    for trial in trials:
        digest.update(f"{trial.parameters} {trial.median_sharpe!r} {trial.dispersion!r}\n".encode())
    return digest.hexdigest()
