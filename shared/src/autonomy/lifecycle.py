"""The life of a job, the same for everybody: planner, job-runner, projection and audit fold with this one function.

Place in the flow: between `autonomy.jobs` and any state about jobs. Pure. Events of one job are applied in the order of
its partition; each acts at its own offset, never at the moment somebody decided it.

Source: S8, S9.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from autonomy.events import (
    JobCancelled,
    JobDead,
    JobEnqueued,
    JobFailed,
    JobReleased,
    JobRequeued,
    JobStarted,
    JobSucceeded,
)
from autonomy.values import Cause, JobClass, JobStatus, JobType

JobStep = JobStarted | JobReleased | JobSucceeded | JobFailed | JobRequeued | JobCancelled | JobDead
MAX_PENDING: Final = 100_000
"""Events ahead of their tick; at the bound a reader stops fetching, it never evicts."""


class Job(Struct, frozen=True):
    """A job at one point of its partition.

    Attributes:
        tick, seq: of its JobEnqueued; their order is the order of the queue.
        attempt: 1-based; rises with each release and requeue.
        failures: requeues so far.
        claim_id, process_id: of the winner of the current attempt, while RUNNING.
        cause: why it left its last state.
    """

    job_id: str
    bot_id: str
    job_type: JobType
    job_class: JobClass
    tick: int
    seq: int
    partition: int
    status: JobStatus = JobStatus.QUEUED
    attempt: int = 1
    failures: int = 0
    claim_id: str | None = None
    process_id: str | None = None
    cause: Cause | None = None


def enqueued(event: JobEnqueued, seq: int) -> Job:
    """The job that a JobEnqueued makes."""
    return Job(event.job_id, event.bot_id, event.job_type, event.job_class, event.tick, seq, event.partition)


def apply(job: Job, step: JobStep) -> Job | None:
    """The job after a step, or None when the step is void: too late, from a loser, or about another attempt or tick."""
    # A reader ahead of the step's tick and one behind it must agree, so the tick that a step names counts for both.
    if not job.status.is_live or step.tick != job.tick:
        return None
    match step:
        case JobStarted():
            return _start(job, step)
        case JobReleased():
            return _requeue(job, step.cause, failures=0) if _is_winner(job, step) else None
        case JobSucceeded():
            return _end(job, JobStatus.SUCCEEDED, None) if _is_winner(job, step) else None
        case JobFailed():
            return _end(job, JobStatus.FAILED, step.cause) if _is_winner(job, step) else None
        case JobRequeued():
            return _requeue(job, step.cause, failures=1) if step.attempt == job.attempt else None
        case JobCancelled():
            return _end(job, JobStatus.CANCELLED, step.cause)
        case JobDead():
            return _end(job, JobStatus.FAILED, step.cause) if step.attempt == job.attempt else None
        case _:
            assert_never(step)


def is_current_claim(job: Job, attempt: int, claim_id: str) -> bool:
    """Whether this claim is the winner of the job's current attempt (beats and results count only then)."""
    return job.status is JobStatus.RUNNING and job.attempt == attempt and job.claim_id == claim_id


def _start(job: Job, step: JobStarted) -> Job | None:
    if job.status is not JobStatus.QUEUED or step.attempt != job.attempt:
        return None
    return replace(job, status=JobStatus.RUNNING, claim_id=step.claim_id, process_id=step.process_id, cause=None)


def _is_winner(job: Job, step: JobReleased | JobSucceeded | JobFailed) -> bool:
    return is_current_claim(job, step.attempt, step.claim_id)


def _requeue(job: Job, cause: Cause, failures: int) -> Job:
    return replace(
        job, status=JobStatus.QUEUED, attempt=job.attempt + 1, failures=job.failures + failures,
        claim_id=None, process_id=None, cause=cause,
    )  # fmt: skip


def _end(job: Job, status: JobStatus, cause: Cause | None) -> Job:
    return replace(job, status=status, cause=cause)


@dataclass(slots=True)
class JobFold:
    """Jobs by id as a reader sees them, with the steps that are ahead of their tick.

    Attributes:
        pending: steps by job, in the order of their partition.
        jobs_of_tick: which jobs have steps that wait for a tick: a reader may be far ahead of the chain.
        head_tick: the last accepted tick that was applied.
        void: how many steps changed nothing, by reason; never an error.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    pending: dict[str, list[JobStep]] = field(default_factory=dict)
    jobs_of_tick: dict[int, dict[str, None]] = field(default_factory=dict)
    pending_steps: int = 0
    head_tick: int = 0
    void: dict[str, int] = field(default_factory=dict)

    def enqueue(self, job: Job) -> None:
        """Add the job of an accepted tick."""
        self.jobs[job.job_id] = job

    def reach(self, tick: int, on_change: Callable[[Job, Job, JobStep], None]) -> None:
        """The tick is applied whole: let the steps that waited for it act, in their order."""
        self.head_tick = tick
        for reached in [waited for waited in self.jobs_of_tick if waited <= tick]:
            for job_id in self.jobs_of_tick.pop(reached):
                self._resume(job_id, tick, on_change)

    def _resume(self, job_id: str, tick: int, on_change: Callable[[Job, Job, JobStep], None]) -> None:
        steps = self.pending.pop(job_id, [])
        later = [step for step in steps if step.tick > tick]
        if later:
            self.pending[job_id] = later
        self.pending_steps -= len(steps) - len(later)
        for step in steps:
            if step.tick <= tick:
                self.step(step, on_change)

    def step(self, step: JobStep, on_change: Callable[[Job, Job, JobStep], None]) -> bool:
        """Apply one step; returns whether it changed its job."""
        job = self.jobs.get(step.job_id)
        if job is None:
            if step.tick > self.head_tick:
                self.pending.setdefault(step.job_id, []).append(step)
                self.jobs_of_tick.setdefault(step.tick, {})[step.job_id] = None
                self.pending_steps += 1
            else:
                self._count("unknown job")
            return False
        after = apply(job, step)
        if after is None:
            self._count(type(step).__name__)
            return False
        self.jobs[step.job_id] = after
        on_change(job, after, step)
        return True

    def forget(self, job_id: str) -> None:
        """Drop an ended job; its later steps are void by S8."""
        self.jobs.pop(job_id, None)

    @property
    def must_wait(self) -> bool:
        """Whether the reader has to pause fetching job events until the chain catches up."""
        return self.pending_steps >= MAX_PENDING

    def _count(self, reason: str) -> None:
        self.void[reason] = self.void.get(reason, 0) + 1
