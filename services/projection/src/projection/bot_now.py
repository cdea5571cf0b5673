"""The one definition of what a bot does now: lane 1 of the page, derived from job rows and the last decision.

Place in the flow: after every change of a bot's jobs, decision or stage. Pure. Nothing else in the platform derives a badge.

Source: R-B1, R-B2.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from autonomy.values import BotState, JobStatus, JobType, Reason

Row = dict[str, object]
BACKTESTS = frozenset({JobType.BACKTEST_BASELINE.value, JobType.BACKTEST_REFRESH.value})


@dataclass(frozen=True, slots=True)
class Now:
    """Lane 1 with the job that makes it so, if a job does."""

    state: BotState
    job: Mapping[str, object] | None


def state_of(live_jobs: Iterable[Mapping[str, object]], last_reason: str) -> Now:
    """The first that applies, in the order of `BotState`.

    Args:
        live_jobs: the bot's QUEUED and RUNNING rows of `bot_jobs`.
        last_reason: reason code of its standing decision; empty before the first.
    """
    jobs = list(live_jobs)
    backtests = [job for job in jobs if job["job_type"] in BACKTESTS]
    for status, state in (
        (JobStatus.RUNNING.value, BotState.BACKTEST_RUNNING),
        (JobStatus.QUEUED.value, BotState.BACKTEST_QUEUED),
    ):
        for job in backtests:
            if job["status"] == status:
                return Now(state, job)
    for job in jobs:
        if job["job_type"] == JobType.EVOLVE.value:
            return Now(BotState.EVOLVING, job)
    for job in jobs:
        if job["job_type"] == JobType.RUNNER_START.value:
            # A beat later than the claim is the only sign that the runner trades; readers age it by their own clock.
            beats = job["status"] == JobStatus.RUNNING.value and job["last_beat_at"] != job["started_at"]
            return Now(BotState.RUNNER_RUNNING if beats else BotState.RUNNER_STALE, job)
    if last_reason == Reason.BLOCKED_BY_GATES.value:
        return Now(BotState.BLOCKED_BY_GATES, None)
    return Now(BotState.IDLE, None)


def since_of(now: Now, decided_at: datetime | None, ended_at: datetime | None) -> object:
    """Since when: the job's own time where a job makes the state, else the later of the decision and the last job's end.

    Derived from rows alone, so that it does not depend on the order in which topics were read.
    """
    if now.job is not None:
        started = now.job["status"] == JobStatus.RUNNING.value
        return now.job["started_at"] if started else now.job["queued_at"]
    times = [time for time in (decided_at, ended_at) if time is not None]
    return max(times) if times else None
