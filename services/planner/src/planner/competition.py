"""Who gets the free places: those that wait longest, within each kind of work's limits.

Place in the flow: wishes → **competition** → plan. Pure. Everybody who gets nothing learns which limit held them back, and their place.

Source: R-A3.5.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from autonomy.values import JobType, Reason
from planner.facts import within_hour
from planner.state import State
from planner.view import View
from planner.wishes import Decision


class Work(StrEnum):
    """Kinds of work with places of their own: a full kind never blocks another."""

    BACKTEST = "research"
    SEARCH = "search"
    RUNNER = "runner"


class Limit(NamedTuple):
    """One limit and what is left of it, in jobs; `is_shared` by all kinds of work, else by one."""

    reason: Reason
    name: str
    value: int
    room: int
    is_shared: bool = False


def work_of(job_type: JobType | None) -> Work:
    """The kind of work that a job type is."""
    if job_type is JobType.RUNNER_START:
        return Work.RUNNER
    return Work.SEARCH if job_type is JobType.EVOLVE else Work.BACKTEST


_KINDS: Final = {job_type: work_of(job_type) for job_type in (None, *JobType)}


def limits_of(state: State, view: View) -> dict[Work, tuple[Limit, ...]]:
    """The limits of each kind of work, in the order in which they are named."""
    research, evolution, now_ms = view.policy.research, view.policy.evolution, view.now_ms
    live = dict.fromkeys(Work, 0)
    queued = dict.fromkeys(Work, 0)
    for job in state.jobs.rows.values():
        if job.cancel is None:
            work = work_of(job.job.job_type)
            live[work] += 1
            queued[work] += job.job.claim_id is None
    slots = {
        Work.BACKTEST: sum(process.research_slots for process in view.runners),
        Work.SEARCH: sum(process.evolve_slots for process in view.runners),
        Work.RUNNER: sum(process.runner_slots for process in view.runners),
    }

    most = research.max_enqueues_per_hour
    hourly = Limit(Reason.RATE_LIMITED, "jobs enqueued per hour", most, most - within_hour(state.single.enqueues, now_ms), is_shared=True)

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
            concurrent(Work.BACKTEST, "live research jobs", research.concurrency + research.queue_ahead),
            pressed(Work.BACKTEST, "queued jobs"),
        ),
        Work.SEARCH: (
            hourly,
            Limit(Reason.RATE_LIMITED, "searches per hour", evolution.per_hour, searches),
            concurrent(Work.SEARCH, "live searches", evolution.concurrency),
            pressed(Work.SEARCH, "queued searches"),
        ),
        Work.RUNNER: (hourly, concurrent(Work.RUNNER, "live runners", runners)),
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
    make, kind_of = tuple.__new__, _KINDS
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
