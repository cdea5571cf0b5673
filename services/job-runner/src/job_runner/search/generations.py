"""The search: an optimiser draws generations, an evaluator works them out, a checkpoint keeps them.

Role: the middle phase of `evolution`. One seeded NSGA-II in this process asks for a generation, the evaluator answers
from wherever, and the answers are told in order: neither the number of evaluating processes nor a kill in between
changes one trial.

Every trial counts as an evaluation, against the budget and the deflated Sharpe ratio. A parameter set drawn again is
answered from what is known and counts again: too many trials only deflate more.

Source: optuna's ask-and-tell interface; Deb et al. (2002), "A Fast and Elitist Multiobjective Genetic Algorithm".
"""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from autonomy.strategies import Value, canonical
from job_runner.research.backtest import Work
from job_runner.search.arena import Arena
from job_runner.search.checkpoints import Checkpoint, CheckpointRefused, CheckpointStore, pack, unpack
from job_runner.search.evaluation import Evaluator, Scores
from job_runner.search.evolution_report import EvolutionOrder, StopReason
from job_runner.search.space import SearchSpace

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Searched:
    """What a search has done so far; grows by whole generations.

    Args:
        generations: canonical parameters of the trials.
        documents: parameter documents by canonical parameters, in order of appearance.
        known: scores by canonical parameters.
        evaluations: trials told.
        stop_reason: what ended it.
        resumed: generations that came from a checkpoint.
        refused: why a checkpoint was not used.
        elapsed_s: in all attempts.
    """

    generations: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    documents: dict[str, dict[str, Value]] = dataclasses.field(default_factory=dict)
    known: dict[str, Scores] = dataclasses.field(default_factory=dict)
    evaluations: int = 0
    stop_reason: StopReason = "GENERATIONS_DONE"
    resumed: int = 0
    refused: str = ""
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """The hands of one attempt: who evaluates, who keeps checkpoints, who counts the work, and since when."""

    order: EvolutionOrder
    arena: Arena
    work: Work
    evaluator: Evaluator
    checkpoints: CheckpointStore | None
    started_s: float

    def elapsed_s(self, before: Checkpoint | None) -> float:
        """Seconds of searching in all attempts; those between them don't count."""
        return self.work.clock() - self.started_s + (before.elapsed_s if before else 0.0)


def search_from_checkpoint(attempt: Attempt) -> Searched:
    """Go on from the checkpoint if there is a right one, else from the start, and say so."""
    stored = None if attempt.checkpoints is None else attempt.checkpoints.load(attempt.order.research.job_id)
    if stored is None:
        return _search(attempt, None)
    try:
        return _search(attempt, unpack(stored, attempt.arena.identity))
    except CheckpointRefused as refusal:
        log.warning("search starts again", extra={"job": attempt.order.research.job_id, "why": str(refusal)})
        found = _search(attempt, None)
        found.refused = str(refusal)
        return found


def _search(attempt: Attempt, before: Checkpoint | None) -> Searched:
    """Generation by generation, until the plan is done or the budget spent."""
    plan = attempt.order.plan
    space, window = attempt.arena.space, len(attempt.arena.search.rows)
    # It tells of every trial otherwise.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=plan.population, seed=plan.seed % 2**32)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.enqueue_trial(space.champion())
    distributions = distributions_of(space)
    found = Searched()
    for number in range(plan.generations):
        replayed = before is not None and number < len(before.generations)
        size = min(plan.population, plan.max_evaluations - found.evaluations)
        if size == 0:
            found.stop_reason = "EVALUATIONS_SPENT"
            break
        # The champion's generation is always worked out. What was done before is done again without asking the clock: it is
        # the very same search.
        if number > 0 and not replayed and attempt.elapsed_s(before) >= plan.max_wall_s:
            found.stop_reason = "TIME_SPENT"
            break
        asked = [study.ask(distributions) for _ in range(size)]
        documents = [space.document(trial.params) for trial in asked]
        names = tuple(canonical(document) for document in documents)
        worked_out = _learn(attempt, found, dict(zip(names, documents, strict=True)), _kept(before, number, names))
        for trial, name in zip(asked, names, strict=True):
            scores = found.known[name]
            study.tell(trial, (scores.median_sharpe, scores.dispersion))
        # Repeated ones cost nothing, but are as much of the plan.
        attempt.work.done(window * (size - worked_out))
        found.generations.append(names)
        found.evaluations += size
        found.resumed += replayed
        found.elapsed_s = attempt.elapsed_s(before)
        if attempt.checkpoints is not None and not replayed:
            kept = Checkpoint(attempt.arena.identity, found.elapsed_s, tuple(found.generations), found.known)
            attempt.checkpoints.save(attempt.order.research.job_id, pack(kept))
    return found


def distributions_of(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space as the optimiser draws from it."""
    return {
        dimension.name: IntDistribution(int(dimension.low), int(dimension.high), log=dimension.logarithmic)
        if dimension.whole
        else FloatDistribution(dimension.low, dimension.high, log=dimension.logarithmic)
        for dimension in space.dimensions
    }


def _kept(before: Checkpoint | None, number: int, names: tuple[str, ...]) -> Mapping[str, Scores]:
    """What the checkpoint knows of this generation, if it has it."""
    if before is None or number >= len(before.generations):
        return {}
    if before.generations[number] != names:
        raise CheckpointRefused(f"the checkpoint's generation {number + 1} is not the one that this seed draws")
    return before.known


def _learn(attempt: Attempt, found: Searched, drawn: Mapping[str, dict[str, Value]], kept: Mapping[str, Scores]) -> int:
    """Have every new parameter set of a generation worked out, each once; how many that was."""
    fresh = {name: document for name, document in drawn.items() if name not in found.known}
    found.documents.update(fresh)
    asked = {name: document for name, document in fresh.items() if name not in kept}
    answers = {name: kept[name] for name in fresh if name in kept}
    for name, scores in zip(asked, attempt.evaluator.evaluate(attempt.arena.search, list(asked.values())), strict=True):
        answers[name] = scores
        attempt.work.done(len(attempt.arena.search.rows))
    found.known.update({name: answers[name] for name in fresh})
    return len(asked)
