"""A whole search of the default policy over 3,270 real bars, against the optimiser alone with as many trials.

A search is the limit's asking and telling, and besides: a backtest with walk-forward scores for each new parameter set, a
checkpoint per generation, PBO over 12,870 splits, and the hold-out. CPU time, in turns, in this process, kernels warm.
"""

import numpy as np

from autonomy.events import EvolutionPlan
from autonomy.policy import EvolutionPolicy
from benchmarks.limits import optuna_alone
from benchmarks.measure import Context, Measure, absolute, at_least, in_turns, reference, timed
from job_runner.market.sources import EmbeddedMarketData
from job_runner.pool.worker import warm_up
from job_runner.research.overfitting import block_sums, overfitting_probability
from job_runner.research.report import ResearchOrder
from job_runner.search.arena import prepare
from job_runner.search.checkpoints import FileCheckpoints
from job_runner.search.evaluation import InProcess
from job_runner.search.evolution import run_evolution
from job_runner.search.evolution_report import EvolutionOrder
from job_runner.search.generations import distributions_of

FIGURE_PER_S = 1_672.0
SHARE = 0.3
MANY = 100


def plan_of(rules: EvolutionPolicy) -> EvolutionPlan:
    """The default policy's search."""
    fields = ("population", "generations", "folds", "embargo_bars", "holdout_fraction", "max_evaluations", "max_wall_s")
    return EvolutionPlan(why="WEAK", seed=7, **{name: getattr(rules, name) for name in fields})


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    warm_up()
    market = EmbeddedMarketData()
    plan = plan_of(EvolutionPolicy())
    research = ResearchOrder("bench", "bench", "sma-cross", {}, "AAPL", "1d", 10**14, 10.0, 5.0, "100000")
    order = EvolutionOrder(research, plan)
    store = FileCheckpoints(str(ctx.folder / "checkpoints"))
    trials = plan.population * plan.generations
    arena = prepare(order, market)
    distributions = distributions_of(arena.space)

    def search() -> None:
        run_evolution(order, market, lambda _phase, _share: None, lambda: False, store)

    def alone() -> None:
        optuna_alone.search(distributions, plan.population, plan.generations, plan.seed)

    search()
    alone()
    turns = in_turns(search, alone, ctx.rounds(7), cpu=True)
    subject, limit = (trials / seconds for seconds in turns.medians)
    own = arena.case.parameters
    scored = MANY / timed(lambda: list(InProcess().evaluate(arena.search, [own] * MANY)), cpu=True)
    matrix = np.random.default_rng(7).normal(0.0, 0.01, (200, 2_400))
    overfitting_probability(block_sums(matrix))
    overfitting = timed(lambda: overfitting_probability(block_sums(matrix)), cpu=True)
    return [
        at_least(
            f"evolution, {trials} trials, {len(arena.search.rows):,} bars",
            subject,
            "trials/s",
            ("optuna alone", limit),
            SHARE,
            1 / turns.ratio,
        ),
        absolute("  candidates scored, without the optimiser", scored, "1/s"),
        absolute("  PBO of 200 parameter sets, 12,870 splits", overfitting * 1000, "ms"),
        reference("optuna's NSGA-II alone", limit, "trials/s", FIGURE_PER_S, rate=True),
    ]
