"""Silence: no claim expires before a whole lease of it, no clock jump kills anybody, and what expired is repaired.

Source: S11.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.events import JobCancelled, JobDead, JobRequeued
from autonomy.values import Cause, JobStatus
from planner.fold import slices as fold
from planner.fold.entities import LiveJob
from planner.fold.inputs import Input
from planner.fold.slices import fold_slice, repairs
from planner.fold.state import State
from support.builders import NOON_MS, a_beat, a_bot, a_live_job, a_policy, a_state, an_id
from support.changes import replace
from support.ticks import TickDriver

LEASE_MS = 15_000


def a_running(silent_ms: int = 0, **changes: object) -> State:
    """One bot whose claimed job was silent for a while."""
    state = a_state(a_bot())
    a_live_job(state, "aapl-sma", status=JobStatus.RUNNING, silent_ms=silent_ms, **changes)  # type: ignore[arg-type] # by name
    return state


def silence(state: State) -> int:
    return state.jobs.rows[an_id("job-1")].silent_ms


def let_pass(state: State, elapsed_ms: int, *inputs: object) -> None:
    """One slice with these events in it."""
    records = [Input("autonomy.runners", 0, number, event) for number, event in enumerate(inputs)]  # type: ignore[arg-type] # events
    fold_slice(state, records, NOON_MS, elapsed_ms)


def beat_of(state: State) -> object:
    driver = TickDriver(state=state)
    job = state.jobs.rows[an_id("job-1")].job
    driver.beat("runner-1")
    assert job.claim_id is not None
    return driver.inbox.slice_to(driver.ends())[-1].event


@pytest.mark.parametrize(("elapsed_ms", "accrued"), [(0, 0), (1, 1), (3_749, 3_749), (3_750, 3_750), (3_751, 3_750), (10**9, 3_750)])
def test_silence_accrues_by_elapsed_time_and_at_most_a_quarter_lease(elapsed_ms: int, accrued: int) -> None:
    state = a_running()
    let_pass(state, elapsed_ms)
    assert silence(state) == accrued


def test_beat_in_the_slice_counts_instead_of_the_time() -> None:
    """Not "and then": a claim that beat has silence 0 after the slice, however long the slice was."""
    state = a_running(14_000)
    let_pass(state, 10**9, beat_of(state))
    assert silence(state) == 0


def test_beat_of_another_claim_does_not_count() -> None:
    state = a_running(14_000)
    old = beat_of(state)
    live = state.jobs.rows[an_id("job-1")]
    state.jobs.put(live.job.job_id, replace(live, job=replace(live.job, claim_id=an_id("another"))))
    let_pass(state, 1_000, old)
    assert silence(state) == 15_000


def test_beat_of_a_process_that_holds_nothing_keeps_no_claim_alive() -> None:
    state = a_running(14_000)
    let_pass(state, 1_000, a_beat("runner-1"))
    assert silence(state) == 15_000


@given(st.lists(st.integers(0, 100_000), max_size=30))
def test_nobody_expires_before_a_lease_of_silence(elapsed: list[int]) -> None:
    state = a_running()
    for number, elapsed_ms in enumerate(elapsed):
        let_pass(state, elapsed_ms)
        expired = bool(repairs(state))
        assert expired == (silence(state) >= LEASE_MS)
        if expired:
            assert sum(elapsed[: number + 1]) >= LEASE_MS
            assert number >= 3


@pytest.mark.parametrize("jump_ms", [3_600_000, 86_400_000])
def test_jump_of_the_clock_expires_nobody(jump_ms: int) -> None:
    """Wall time never counts, only the leader's monotonic time."""
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    driver.tick(after_ms=1_000)
    driver.claim(driver.live()[0])
    driver.tick(after_ms=1_000)
    driver.tick(after_ms=jump_ms, elapsed_ms=1_000)
    assert driver.live()[0].silent_ms == 1_000
    assert driver.repair() == []


def test_long_pause_of_the_planner_expires_nobody_at_once() -> None:
    """Everybody looks silent after it; each has three quarters of a lease left to beat."""
    state = a_running()
    let_pass(state, 600_000)
    assert repairs(state) == []
    assert silence(state) == LEASE_MS // 4


def test_beats_then_time_for_all_would_expire_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with "and then" instead of "instead of", 11.25 s of silence suffice."""
    state = a_running()
    real = fold.accrue_silence
    monkeypatch.setattr(fold, "accrue_silence", lambda state, beats, elapsed, silent: real(state, set(), elapsed, silent))
    let_pass(state, 60_000, beat_of(state))
    for _ in range(3):
        let_pass(state, 3_750)
    assert repairs(state) != []


def test_queued_job_never_expires() -> None:
    state = a_state(a_bot())
    a_live_job(state, "aapl-sma")
    for _ in range(20):
        let_pass(state, LEASE_MS)
    assert repairs(state) == []
    assert silence(state) == 0


def test_new_claim_starts_without_silence() -> None:
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    driver.tick(after_ms=1_000)
    driver.claim(driver.live()[0])
    driver.tick(after_ms=60_000)
    assert [live.silent_ms for live in driver.live(JobStatus.RUNNING)] == [0]


@pytest.mark.parametrize(("failures", "kind"), [(0, JobRequeued), (1, JobRequeued), (2, JobDead), (7, JobDead)])
def test_expired_claim_is_requeued_until_its_failures_are_used_up(failures: int, kind: type) -> None:
    state = a_running(LEASE_MS, failures=failures, attempt=failures + 1)
    (step,) = repairs(state)
    assert type(step) is kind
    assert step.attempt == failures + 1
    assert step.cause is (Cause.LEASE_EXPIRED if kind is JobRequeued else Cause.FAILURES_EXHAUSTED)


def test_released_attempts_are_no_failures() -> None:
    (step,) = repairs(a_running(LEASE_MS, failures=0, attempt=9))
    assert isinstance(step, JobRequeued)


def test_decided_cancel_is_said_instead_of_an_expiry() -> None:
    (step,) = repairs(a_running(LEASE_MS, cancel=Cause.CANCELLED_BY_OPERATOR))
    assert isinstance(step, JobCancelled)


def test_repair_is_said_again_until_it_is_effective() -> None:
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    driver.tick(after_ms=1_000)
    driver.claim(driver.live()[0])
    driver.tick(after_ms=1_000)
    for _ in range(4):
        driver.tick(after_ms=3_750)
    first, again = repairs(driver.state), repairs(driver.state)
    assert first == again != []
    driver.repair()
    driver.repair()
    driver.tick(after_ms=1_000)
    (live,) = driver.live()
    assert (live.job.status, live.job.attempt, live.job.failures) == (JobStatus.QUEUED, 2, 1)
    assert repairs(driver.state) == []


def test_job_whose_runners_all_die_is_dead_in_the_end() -> None:
    """Three expiries; then the bot rests, and the crash counts against it."""
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    driver.tick(after_ms=1_000)
    for number in range(3):
        live: LiveJob = driver.live()[0]
        driver.claim(live, f"runner-{number + 2}")
        for _ in range(5):
            driver.beat()
            driver.tick(after_ms=3_750)
        driver.repair()
        driver.beat()
        driver.tick(after_ms=100)
    assert driver.live() == []
    bot = driver.state.bots.rows["aapl-sma"]
    assert (bot.research.ended, bot.research.crashes, bot.research.job_id) == ("CRASH", 1, None)


def test_silent_process_is_forgotten_after_a_lease() -> None:
    state = a_state(a_bot())
    for _ in range(3):
        let_pass(state, 3_750)
        assert an_id("runner-1") in state.runners.rows
    let_pass(state, 3_750)
    assert state.runners.rows == {}


@given(st.integers(1, 60_000), st.integers(0, 60_000))
def test_beating_claim_lives_for_ever_at_any_rate_of_ticks(every_ms: int, offset: int) -> None:
    state = a_running()
    beat = beat_of(state)
    now = next_beat = offset % 2_000
    for _ in range(40):
        now += every_ms
        beats = [beat] if next_beat <= now else []
        while next_beat <= now:
            next_beat += 2_000
        let_pass(state, every_ms, *beats)
        assert repairs(state) == []


def test_shorter_lease_in_the_policy_holds_from_its_tick_on() -> None:
    state = a_running(4_999)
    state.single = replace(state.single, policy=a_policy(leases={"lease_s": 5, "beat_s": 1, "claim_deadline_s": 2}))
    assert repairs(state) == []
    let_pass(state, 1)
    assert len(repairs(state)) == 1
