"""A job's life: who wins, what counts, what is void, the same for every reader.

Source: S8, S9.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from autonomy import lifecycle
from autonomy.events import JobCancelled, JobDead, JobFailed, JobReleased, JobRequeued, JobStarted, JobSucceeded
from autonomy.lifecycle import Job, JobFold, JobStep, apply, enqueued, is_current_claim
from autonomy.values import Cause, JobStatus
from support.builders import a_summary, an_id, an_order

ORDER = an_order(tick=3, seq=2)
TICK = ORDER.tick


def place(attempt: int = 1, tick: int = TICK) -> dict[str, Any]:
    return {"job_id": ORDER.job_id, "bot_id": ORDER.bot_id, "tick": tick, "attempt": attempt}


def claimed(claim: str, attempt: int = 1) -> dict[str, Any]:
    return {**place(attempt), "claim_id": an_id(claim), "process_id": an_id(f"process of {claim}")}


def started(claim: str = "a", attempt: int = 1, **changes: Any) -> JobStarted:
    return JobStarted(**{**claimed(claim, attempt), **changes})


def released(claim: str = "a", attempt: int = 1) -> JobReleased:
    return JobReleased(**claimed(claim, attempt), cause=Cause.CLAIM_GIVEN_UP)


def succeeded(claim: str = "a", attempt: int = 1) -> JobSucceeded:
    return JobSucceeded(**claimed(claim, attempt), result=a_summary(ORDER.fingerprint))


def failed(claim: str = "a", attempt: int = 1) -> JobFailed:
    return JobFailed(**claimed(claim, attempt), cause=Cause.TIMEOUT, detail="600 s")


def requeued(attempt: int = 1) -> JobRequeued:
    return JobRequeued(**place(attempt), cause=Cause.LEASE_EXPIRED)


def cancelled(attempt: int = 1) -> JobCancelled:
    return JobCancelled(**place(attempt), cause=Cause.CANCELLED_BY_OPERATOR)


def dead(attempt: int = 1) -> JobDead:
    return JobDead(**place(attempt), cause=Cause.FAILURES_EXHAUSTED, failures=3)


def life(*steps: JobStep) -> Job:
    """The job after these steps; void ones change nothing."""
    job = enqueued(ORDER, 2)
    for step in steps:
        job = apply(job, step) or job
    return job


def is_void(step: JobStep, *before: JobStep) -> bool:
    return apply(life(*before), step) is None


def test_first_claim_in_the_partition_wins() -> None:
    job = life(started("a"), started("b"))
    assert (job.status, job.claim_id) == (JobStatus.RUNNING, an_id("a"))
    assert is_void(started("b"), started("a"))


def test_claim_of_another_attempt_is_void() -> None:
    assert is_void(started("a", attempt=2))
    assert is_void(started("b", attempt=1), started("a"), released("a"))


def test_result_of_the_winner_ends_the_job() -> None:
    assert life(started("a"), succeeded("a")).status is JobStatus.SUCCEEDED
    job = life(started("a"), failed("a"))
    assert (job.status, job.cause) == (JobStatus.FAILED, Cause.TIMEOUT)


@pytest.mark.parametrize("step", [succeeded, failed, released])
def test_word_of_a_loser_is_void(step: Callable[..., JobStep]) -> None:
    assert is_void(step("b"), started("a"))
    assert is_void(step("a"))
    assert not is_void(step("a"), started("a"))


@pytest.mark.parametrize("step", [succeeded, failed, released])
def test_word_of_an_earlier_attempt_is_void(step: Callable[..., JobStep]) -> None:
    assert is_void(step("a", 1), started("a"), requeued(1), started("b", 2))


def test_release_counts_no_failure() -> None:
    job = life(started("a"), released("a"))
    assert (job.status, job.attempt, job.failures, job.claim_id) == (JobStatus.QUEUED, 2, 0, None)


def test_requeue_counts_a_failure() -> None:
    job = life(started("a"), requeued(1))
    assert (job.status, job.attempt, job.failures, job.process_id) == (JobStatus.QUEUED, 2, 1, None)


def test_failures_add_up_over_releases() -> None:
    job = life(started("a"), requeued(1), started("b", 2), released("b", 2), started("c", 3), requeued(3))
    assert (job.attempt, job.failures) == (4, 2)


@pytest.mark.parametrize("step", [requeued, dead])
def test_planners_word_acts_only_at_its_attempt(step: Callable[..., JobStep]) -> None:
    assert is_void(step(1), started("a"), released("a"), started("b", 2))
    assert is_void(step(2), started("a"))
    assert not is_void(step(2), started("a"), released("a"), started("b", 2))


def test_cancel_acts_on_a_live_job_at_any_attempt() -> None:
    assert life(cancelled()).status is JobStatus.CANCELLED
    assert life(started("a"), requeued(1), cancelled(1)).status is JobStatus.CANCELLED


@pytest.mark.parametrize("end", [[started(), succeeded()], [started(), failed()], [cancelled()], [started(), dead()]])
@pytest.mark.parametrize("step", [started("z"), released(), succeeded(), failed(), requeued(), cancelled(), dead()])
def test_terminal_is_final(end: list[JobStep], step: JobStep) -> None:
    assert is_void(step, *end)


def test_step_that_names_another_tick_is_void() -> None:
    """Readers ahead of that tick and behind it would otherwise differ."""
    assert is_void(started("a", tick=TICK + 1))
    assert is_void(started("a", tick=TICK - 1))


def test_beat_counts_only_for_the_current_claim() -> None:
    job = life(started("a"))
    assert is_current_claim(job, 1, an_id("a"))
    assert not is_current_claim(job, 1, an_id("b"))
    assert not is_current_claim(job, 2, an_id("a"))
    assert not is_current_claim(life(), 1, an_id("a"))


# ── the fold: pending and void ────────────────────────────────────────────────────────────────────────────────────────


def no_change(_before: Job, _after: Job, _step: JobStep) -> None:
    return None


def a_fold(head: int) -> JobFold:
    fold = JobFold(head_tick=head)
    if head >= TICK:
        fold.enqueue(enqueued(ORDER, 2))
    return fold


def test_step_above_the_head_waits_for_its_tick() -> None:
    fold = a_fold(TICK - 1)
    assert not fold.step(started("a"), no_change)
    assert fold.pending_steps == 1
    fold.enqueue(enqueued(ORDER, 2))
    fold.reach(TICK, no_change)
    assert (fold.pending_steps, fold.jobs[ORDER.job_id].claim_id) == (0, an_id("a"))


def test_fold_says_whether_a_step_changed_its_job() -> None:
    fold = a_fold(TICK)
    assert [fold.step(step, no_change) for step in (started("a"), started("b"), succeeded("a"), cancelled())] == [True, False, True, False]


def test_step_of_an_unknown_job_at_or_below_the_head_is_void_and_counted() -> None:
    fold = JobFold(head_tick=TICK)
    assert not fold.step(started("a"), no_change)
    assert (fold.pending_steps, fold.void) == (0, {"unknown job": 1})


def test_waiting_step_of_a_tick_without_its_job_becomes_void() -> None:
    """Its try was void: the job never was."""
    fold = a_fold(TICK - 1)
    fold.step(started("a"), no_change)
    fold.reach(TICK, no_change)
    assert (fold.pending, fold.pending_steps, fold.void) == ({}, 0, {"unknown job": 1})


def test_each_waiting_step_is_looked_at_when_its_own_tick_comes() -> None:
    """A foreign step may name any tick of a job's; it waits for that one, and then changes nothing."""
    fold = a_fold(TICK - 1)
    fold.step(started("a"), no_change)
    fold.step(JobStarted(**{**claimed("b"), "tick": TICK + 2}), no_change)
    fold.enqueue(enqueued(ORDER, 2))
    fold.reach(TICK, no_change)
    assert (fold.pending_steps, fold.jobs[ORDER.job_id].claim_id) == (1, an_id("a"))
    fold.reach(TICK + 1, no_change)
    assert fold.pending_steps == 1
    fold.reach(TICK + 2, no_change)
    assert (fold.pending, fold.pending_steps, fold.void) == ({}, 0, {"JobStarted": 1})


def test_waiting_steps_act_in_their_order() -> None:
    fold = a_fold(TICK - 1)
    for step in (started("a"), started("b"), succeeded("b"), succeeded("a")):
        fold.step(step, no_change)
    fold.enqueue(enqueued(ORDER, 2))
    seen: list[str] = []
    fold.reach(TICK, lambda _before, after, _step: seen.append(after.status.value))
    assert seen == ["RUNNING", "SUCCEEDED"]
    assert fold.void == {"JobStarted": 1, "JobSucceeded": 1}


def test_step_of_an_ended_and_forgotten_job_is_void() -> None:
    fold = a_fold(TICK)
    fold.step(started("a"), no_change)
    fold.step(succeeded("a"), no_change)
    fold.forget(ORDER.job_id)
    fold.step(started("b"), no_change)
    assert fold.void == {"unknown job": 1}


def test_reader_must_wait_at_the_bound_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "MAX_PENDING", 2)
    fold = a_fold(TICK - 1)
    waits = []
    for step in (started("a"), started("b"), succeeded("a")):
        fold.step(step, no_change)
        waits.append(fold.must_wait)
    assert waits == [False, True, True]
    assert fold.pending_steps == 3


WORDS = st.sampled_from(
    [make(claim, attempt) for make in (started, succeeded, failed, released) for claim in "ab" for attempt in (1, 2, 3)]
    + [make(attempt) for make in (requeued, dead, cancelled) for attempt in (1, 2, 3)]
    + [started("a", tick=TICK + 1), started("b", tick=TICK - 1)]
)


@given(st.lists(WORDS, max_size=14), st.integers(0, 14), st.integers(0, 2))
def test_readers_agree_whenever_they_learn_of_the_tick(steps: list[JobStep], when: int, later: int) -> None:
    """A reader that saw the chain first and one that read any number of steps before it end alike."""
    early = a_fold(TICK)
    for step in steps:
        early.step(step, no_change)
    early.reach(TICK + 2, no_change)
    late = a_fold(TICK - 1)
    for number, step in enumerate(steps):
        if number == min(when, len(steps) - 1):
            late.enqueue(enqueued(ORDER, 2))
            late.reach(TICK, no_change)
        late.step(step, no_change)
    if ORDER.job_id not in late.jobs:
        late.enqueue(enqueued(ORDER, 2))
    late.reach(TICK + 2 if later else TICK, no_change)
    late.reach(TICK + 2, no_change)
    assert early.jobs == late.jobs
    assert early.pending_steps == late.pending_steps == 0


# ── the machine ───────────────────────────────────────────────────────────────────────────────────────────────────────


class OneJob(RuleBasedStateMachine):
    """Anybody says anything about one job in any order; the promises hold."""

    @initialize()
    def begin(self) -> None:
        """A queued job."""
        self.job = enqueued(ORDER, 2)
        self.winners: dict[int, str] = {}
        self.results = self.requeues = self.releases = 0

    @rule(step=WORDS)
    def say(self, step: JobStep) -> None:
        """One more record in the partition."""
        before, after = self.job, apply(self.job, step)
        if after is None:
            return
        assert before.status.is_live
        match step:
            case JobStarted():
                assert before.attempt not in self.winners
                assert after.claim_id is not None
                self.winners[before.attempt] = after.claim_id
            case JobReleased():
                self.releases += 1
            case JobRequeued():
                self.requeues += 1
            case JobSucceeded() | JobFailed():
                assert step.claim_id == self.winners[before.attempt]
                self.results += 1
            case JobCancelled() | JobDead():
                pass
        self.job = after

    @rule(attempt=st.integers(0, 1), claim=st.sampled_from("abc"))
    def work(self, attempt: int, claim: str) -> None:
        """A well-meant claim, so that the interesting states are reached often."""
        self.say(started(claim, max(1, self.job.attempt - attempt)))

    @invariant()
    def promises(self) -> None:
        """At most one result; failures are requeues; an attempt is used up by each return to the queue."""
        assert self.results <= 1
        assert self.job.failures == self.requeues
        assert self.job.attempt == 1 + self.requeues + self.releases
        assert (self.job.status is JobStatus.QUEUED) <= (self.job.claim_id is None)


TestOneJob = OneJob.TestCase
TestOneJob.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
