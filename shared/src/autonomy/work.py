"""The kinds of work, each as one object: what a job type is called, what it excludes, and whose places it takes.

Place in the flow: everywhere. Planner and job-runner count places by `Work`, the projection tells backtests from searches by it, the
page takes the words. Pure.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final, NamedTuple

from autonomy.gates import complete
from autonomy.values import JobClass, JobType


@unique
class Work(StrEnum):
    """Kinds of work with places of their own: a full kind never blocks another."""

    BACKTEST = "backtest"
    EVOLVE = "evolve"
    RUNNER = "runner"


@unique
class LimitName(StrEnum):
    """What holds a ready bot back, under the name that its decision says it by."""

    PER_HOUR = "jobs enqueued per hour"
    LIVE_RESEARCH = "live research jobs"
    QUEUED = "queued jobs"
    SEARCHES_PER_HOUR = "searches per hour"
    LIVE_SEARCHES = "live searches"
    QUEUED_SEARCHES = "queued searches"
    LIVE_RUNNERS = "live runners"


class JobKind(NamedTuple):
    """A job type.

    Attributes:
        title: for people.
        job_class: jobs of one class exclude one another for a bot.
        work: whose places it takes.
    """

    code: JobType
    title: str
    job_class: JobClass
    work: Work


JOB_KINDS: Final[Mapping[JobType, JobKind]] = complete(JobType, {kind.code: kind for kind in (
    JobKind(JobType.RUNNER_START, "Paper runner", JobClass.RUNNER, Work.RUNNER),
    JobKind(JobType.BACKTEST_BASELINE, "Baseline backtest", JobClass.RESEARCH, Work.BACKTEST),
    JobKind(JobType.BACKTEST_REFRESH, "Refresh backtest", JobClass.RESEARCH, Work.BACKTEST),
    JobKind(JobType.EVOLVE, "Evolution", JobClass.RESEARCH, Work.EVOLVE),
)})  # fmt: skip
SLOTS_FIELD: Final[Mapping[Work, str]] = {Work.BACKTEST: "research_slots", Work.EVOLVE: "evolve_slots", Work.RUNNER: "runner_slots"}
"""Where an announcement says how many places a runner process has for a kind of work."""


def class_of(job_type: JobType) -> JobClass:
    """The class of a job type."""
    return JOB_KINDS[job_type].job_class


def work_of(job_type: JobType) -> Work:
    """Whose places a job type takes."""
    return JOB_KINDS[job_type].work


def types_of(work: Work) -> frozenset[JobType]:
    """The job types that take the places of a kind of work."""
    return frozenset(job_type for job_type, kind in JOB_KINDS.items() if kind.work is work)
