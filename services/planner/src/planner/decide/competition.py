"""Who gets the free places: those that wait longest, within each kind of work's limits.

Place in the flow: wishes → **competition** → plan. Pure. Everybody who gets nothing learns which limit held them back, and their place.

Source: R-A3.5.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from autonomy.reasons import Reason
from autonomy.values import JobType
from autonomy.work import SLOTS_FIELD, LimitName, Work, work_of
from planner.decide.view import View
from planner.decide.wishes import Decision
from planner.fold.facts import within_hour
from planner.fold.state import State


class Limit(NamedTuple):
    """One limit and what is left of it, in jobs; `is_shared` by all kinds of work, else by one."""

    reason: Reason
    name: str
    value: int
    room: int
    is_shared: bool = False


WORK_OF: Final[dict[JobType | None, Work]] = {None: Work.BACKTEST, **{job_type: work_of(job_type) for job_type in JobType}}


def limits_of(state: State, view: View) -> dict[Work, tuple[Limit, ...]]:
    """The limits of each kind of work, in the order in which they are named."""
    research, evolution, now_ms = view.policy.research, view.policy.evolution, view.now_ms
    live = dict.fromkeys(Work, 0)
    queued = dict.fromkeys(Work, 0)
    for job in state.jobs.rows.values():
        if job.cancel is None:
            work = WORK_OF[job.job.job_type]
            live[work] += 1
            queued[work] += job.job.claim_id is None
    slots = {work: sum(getattr(process, field) for process in view.runners) for work, field in SLOTS_FIELD.items()}
    most = research.max_enqueues_per_hour
    hourly = Limit(Reason.RATE_LIMITED, LimitName.PER_HOUR.value, most, most - within_hour(state.single.enqueues, now_ms), is_shared=True)

    def concurrent(work: Work, name: str, value: int) -> Limit:
        return Limit(Reason.CONCURRENCY_LIMIT, name, value, value - live[work])

    def pressed(work: Work, name: str) -> Limit:
        value = research.queued_per_slot * slots[work]
        return Limit(Reason.BACKPRESSURE, name, value, value - queued[work])

    searches = evolution.per_hour - within_hour(state.single.searches, now_ms)
    runners = min(view.policy.runners.max_runners, slots[Work.RUNNER])
    return {
        Work.BACKTEST: (
            hourly,
            concurrent(Work.BACKTEST, LimitName.LIVE_RESEARCH.value, research.concurrency + research.queue_ahead),
            pressed(Work.BACKTEST, LimitName.QUEUED.value),
        ),
        Work.EVOLVE: (
            hourly,
            Limit(Reason.RATE_LIMITED, LimitName.SEARCHES_PER_HOUR.value, evolution.per_hour, searches),
            concurrent(Work.EVOLVE, LimitName.LIVE_SEARCHES.value, evolution.concurrency),
            pressed(Work.EVOLVE, LimitName.QUEUED_SEARCHES.value),
        ),
        Work.RUNNER: (hourly, concurrent(Work.RUNNER, LimitName.LIVE_RUNNERS.value, runners)),
    }


def compete(ready: Iterable[Decision], state: State, view: View) -> list[Decision]:
    """Settle every wish that may compete: the decisions, in the order of the wishes.

    Args:
        ready: longest waiting first; none of them paused.
        state: folded up to this tick's cut.
        view: the tick's surroundings.
    """
    limits = limits_of(state, view)
    full: dict[Work, Limit] = {}
    granted = dict.fromkeys(Work, 0)
    all_granted = 0
    waiting = dict.fromkeys(Work, 0)
    settled: list[Decision] = []
    make, kind_of = tuple.__new__, WORK_OF
    for wish in ready:
        work = kind_of[wish[2]]
        limit = full.get(work)
        if limit is None:  # once something is full, nobody of the kind is granted any more: it stays so
            limit = next((each for each in limits[work] if each.room <= (all_granted if each.is_shared else granted[work])), None)
            if limit is not None:
                full[work] = limit
        if limit is None:
            granted[work] += 1
            all_granted += 1
            settled.append(wish)
            continue
        place = waiting[work] = waiting[work] + 1
        # By position: thousands may wait, and a named replacement costs as much as the rest of a decision.
        settled.append(make(Decision, (wish[0], limit.reason, *wish[2:8], limit.name, limit.value, place, *wish[11:])))
    return settled
