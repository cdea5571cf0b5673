"""What a job of each kind needs to know besides its bot: a search its plan, a runner its session, a refresh its live window.

Place in the flow: decide → **orders** → JobEnqueued. Pure.
"""

import math
from typing import TypedDict, assert_never

from autonomy.errors import Broken
from autonomy.events import EvolutionPlan, LiveWindow, MarketTime, PaperOrder
from autonomy.timeframes import MS, YEAR_DAYS
from autonomy.values import JobType, derived_id, instant_of_ms
from planner.decide.view import View
from planner.decide.wishes import evolution_reason
from planner.fold.entities import Bot


class Extras(TypedDict, total=False):
    """The optional parts of an order."""

    evolution: EvolutionPlan
    paper: PaperOrder
    window: LiveWindow


SPARE_S = 60
"""Beyond a search's own budget, which is looked at between generations only."""


def timeout_s_of(job_type: JobType, view: View) -> int:
    """How long a job may take; a search always longer than its own budget, so that it ends by its own word."""
    timeout_s = view.policy.research.timeout_s
    return max(timeout_s, math.ceil(view.policy.evolution.max_wall_s) + SPARE_S) if job_type is JobType.EVOLVE else timeout_s


def extras_of(bot: Bot, job_type: JobType, job_id: str, view: View) -> Extras:
    """The parts of an order that only this kind of job has."""
    match job_type:
        case JobType.EVOLVE:
            return Extras(evolution=_plan(bot, job_id, view))
        case JobType.RUNNER_START:
            return Extras(paper=_session(bot, job_id, view))
        case JobType.BACKTEST_BASELINE | JobType.BACKTEST_REFRESH:
            paper = bot.paper
            if paper is None or paper.last_ms is None:
                return Extras()
            return Extras(window=LiveWindow(
                session_id=paper.session_id, from_bar=instant_of_ms(paper.from_ms), until_bar=instant_of_ms(paper.last_ms),
            ))  # fmt: skip
        case _:
            assert_never(job_type)


def _plan(bot: Bot, job_id: str, view: View) -> EvolutionPlan:
    rules, why = view.policy.evolution, evolution_reason(bot, view)
    if why is None:
        raise Broken(f"{bot.id}: a search without a reason")
    return EvolutionPlan(
        why=why, seed=int(derived_id("seed", job_id)[:8], 16), population=rules.population, generations=rules.generations,
        folds=rules.folds, embargo_bars=rules.embargo_bars, holdout_fraction=rules.holdout_fraction,
        read_until=None if bot.evolved is None or not bot.evolved.bars else instant_of_ms(bot.evolved.until_ms),
        min_holdout_bars=rules.min_holdout_bars,
        max_evaluations=rules.max_evaluations, max_wall_s=rules.max_wall_s, prior_trials=bot.trials,
    )  # fmt: skip


def _session(bot: Bot, job_id: str, view: View) -> PaperOrder:
    """The bot's open session goes on; without one a new session begins, flat, with the first bar that is not shown yet."""
    rules, market, paper = view.policy.runners, view.policy.market, bot.paper
    snapshot = None
    if paper is not None and paper.snapshot is not None:
        snapshot = paper.snapshot.said()
    return PaperOrder(
        session_id=derived_id("session", job_id) if paper is None else paper.session_id,
        from_bar=instant_of_ms(last_shown_ms(bot, view) if paper is None else paper.from_ms), snapshot=snapshot,
        last_bar=None if paper is None or paper.last_ms is None else instant_of_ms(paper.last_ms),
        market=MarketTime(
            mode="LIVE" if view.is_live(bot) else market.mode,
            start=market.start, end=market.end, seconds_per_bar=market.seconds_per_bar,
            epoch=instant_of_ms(view.epoch_ms),
        ),
        session_s=rules.session_s, stop=rules.stop,
    )  # fmt: skip


def last_shown_ms(bot: Bot, view: View) -> int:
    """The start of the last bar that the market shows of a bot's symbol; without any, of the last that it could have shown."""
    data = view.data_of(bot)
    last_ms = None if data is None else data.last_ms
    return view.market_ms - MS[bot.timeframe] if last_ms is None else last_ms


def bars_per_year(bot: Bot, view: View) -> int:
    """What the bot's ratios are annualised with, as announced with its bars."""
    data = view.data_of(bot)
    return YEAR_DAYS[False] if data is None else data.offer.bars_per_year
