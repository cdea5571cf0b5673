"""Silence is what the leader did not hear: by claim, by two beats, and never while it is deaf itself.

Source: S11; docs/adr/0024-beats-are-heard-and-silence-is-sealed.md.
"""

import pytest

from autonomy.events import HeldJob, RunnerPulse
from autonomy.values import JobStatus
from planner.fold.slices import accrue_silence
from planner.fold.state import State
from planner.shell.hearing import DEAF_MS, Hearing, expected
from support.builders import a_bot, a_live_job, a_state, an_id
from support.changes import replace
from support.ticks import TickDriver

LEASE_MS, BEAT_MS, NOW = 15_000, 2_000.0, 100_000.0
JOB, RUNNER = an_id("job-1"), an_id("runner-1")


def running(silent_ms: int = 0) -> State:
    """One bot with a claimed job."""
    state = a_state(a_bot())
    a_live_job(state, "aapl-sma", status=JobStatus.RUNNING, silent_ms=silent_ms)
    return state


def a_pulse(state: State, *, claim_id: str | None = None, attempt: int | None = None) -> RunnerPulse:
    """The pulse of the process that holds the job, or says that it holds it by another claim or attempt."""
    job = state.jobs.rows[JOB].job
    held = HeldJob(
        job_id=JOB, bot_id="aapl-sma", tick=job.tick, attempt=attempt or job.attempt, claim_id=claim_id or str(job.claim_id),
        phase="timing", progress=0.5,
    )  # fmt: skip
    return RunnerPulse(process_id=RUNNER, sequence=1, jobs=(held,), research_slots=2)


def hearing_of(state: State, heard_ms: float | None, **claim: object) -> Hearing:
    """A planner that hears itself, and heard the pulse then."""
    hearing = Hearing(own_mono_ms=NOW)
    if heard_ms is not None:
        hearing.hear(a_pulse(state, **claim), heard_ms)  # type: ignore[arg-type] # by name
    return hearing


@pytest.mark.parametrize(("ago_ms", "silent"), [(0, False), (2 * BEAT_MS, False), (2 * BEAT_MS + 1, True)])
def test_two_beats_without_a_pulse_are_silence(ago_ms: float, silent: bool) -> None:
    state = running()
    assert (JOB in hearing_of(state, NOW - ago_ms).silent(state, NOW)) == silent


def test_who_was_never_heard_is_silent() -> None:
    state = running()
    assert JOB in hearing_of(state, None).silent(state, NOW)
    assert expected(state) >= set(hearing_of(state, None).silent(state, NOW))


@pytest.mark.parametrize("claim", [{"claim_id": an_id("another claim")}, {"attempt": 7}])
def test_a_pulse_counts_for_the_claim_that_wins_alone(claim: dict[str, object]) -> None:
    state = running()
    assert JOB not in hearing_of(state, NOW).silent(state, NOW)
    assert JOB in hearing_of(state, NOW, **claim).silent(state, NOW)


def test_a_deaf_planner_calls_nobody_silent() -> None:
    """Its own pulse, which it says once a second, does not come back: others' would not either."""
    state = running()
    hearing = hearing_of(state, None)
    assert hearing.silent(state, NOW + DEAF_MS)
    assert hearing.silent(state, NOW + DEAF_MS + 1) == ()


def test_silence_accrues_for_the_silent_and_ends_for_the_heard() -> None:
    state = running(9_000)
    accrue_silence(state, set(), 1_000, (JOB,))
    assert state.jobs.rows[JOB].silent_ms == 10_000
    accrue_silence(state, set(), 1_000, ())
    assert state.jobs.rows[JOB].silent_ms == 0


def test_a_claim_in_the_slice_is_no_silence_whatever_was_heard() -> None:
    state = running(9_000)
    accrue_silence(state, {JOB}, 1_000, (JOB,))
    assert state.jobs.rows[JOB].silent_ms == 9_000, "its record in the slice sets it, not the time"


def test_processes_are_forgotten_after_a_lease_of_silence_and_kept_while_heard() -> None:
    state = running()
    driver = TickDriver(state=state)
    driver.beat("runner-1")
    driver.tick(after_ms=1_000)
    assert RUNNER in state.runners.rows
    for _ in range(5):
        accrue_silence(state, set(), 10**9, ())
    assert RUNNER in state.runners.rows
    for _ in range(4):
        accrue_silence(state, set(), 10**9, (RUNNER,))
    assert RUNNER not in state.runners.rows


def test_without_a_word_about_silence_the_inputs_alone_decide() -> None:
    """As ticks that were sealed before say nothing of it."""
    state = running()
    accrue_silence(state, set(), 1_000, None)
    assert state.jobs.rows[JOB].silent_ms == 1_000
    live = state.jobs.rows[JOB]
    state.jobs.put(JOB, replace(live, silent_ms=0))
    accrue_silence(state, {JOB}, 1_000, None)
    assert state.jobs.rows[JOB].silent_ms == 0


def test_what_is_not_expected_any_more_is_forgotten() -> None:
    state = running()
    hearing = hearing_of(state, NOW)
    state.jobs.drop(JOB)
    hearing.silent(state, NOW)
    assert JOB not in hearing.signs
