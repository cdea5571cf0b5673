"""The kinds of work, each as one object: what a job type is called, what it excludes, whose places it takes, and the badge it gives.

Place in the flow: everywhere. Planner and job-runner count places by `Work`, the projection takes the badge from here, the page the
words. Pure.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final, NamedTuple

from autonomy.gates import by_code
from autonomy.values import BotState, JobClass, JobType


@unique
class Work(StrEnum):
    """Kinds of work with places of their own: a full kind never blocks another."""

    BACKTEST = "backtest"
    EVOLVE = "evolve"
    RUNNER = "runner"


class JobKind(NamedTuple):
    """A job type.

    Attributes:
        title: for people.
        job_class: jobs of one class exclude one another for a bot.
        work: whose places it takes.
        running, queued: what a bot with such a job does.
    """

    code: JobType
    title: str
    job_class: JobClass
    work: Work
    running: BotState
    queued: BotState


JOB_KINDS: Final[Mapping[JobType, JobKind]] = by_code(JobType, (
    JobKind(
        JobType.RUNNER_START, "Paper runner", JobClass.RUNNER, Work.RUNNER, BotState.RUNNER_RUNNING, BotState.RUNNER_STALE
    ),
    JobKind(
        JobType.BACKTEST_BASELINE, "Baseline backtest", JobClass.RESEARCH, Work.BACKTEST,
        BotState.BACKTEST_RUNNING, BotState.BACKTEST_QUEUED,
    ),
    JobKind(
        JobType.BACKTEST_REFRESH, "Refresh backtest", JobClass.RESEARCH, Work.BACKTEST,
        BotState.BACKTEST_RUNNING, BotState.BACKTEST_QUEUED,
    ),
    JobKind(JobType.EVOLVE, "Evolution", JobClass.RESEARCH, Work.EVOLVE, BotState.EVOLVING, BotState.EVOLVING),
))  # fmt: skip
SLOTS_FIELD: Final[Mapping[Work, str]] = {Work.BACKTEST: "research_slots", Work.EVOLVE: "evolve_slots", Work.RUNNER: "runner_slots"}
"""Where an announcement says how many places a runner process has for a kind of work."""


def class_of(job_type: JobType) -> JobClass:
    """The class of a job type."""
    return JOB_KINDS[job_type].job_class
