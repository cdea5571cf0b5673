"""When the leader makes its next tick, and with which cause.

Source: docs/architecture.md, "Ticks"; S11.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.events import AttemptRefused, HeldJob, HoldBot, JobReleased, JobStarted, JobSucceeded
from autonomy.values import Cause, TickCause
from planner.shell.wake import COMMAND_SPACING_MS, Wake, next_due_ms
from support.builders import NOON_MS, a_beat, a_command, a_policy, an_id, capabilities

POLICY = a_policy()
JOB: dict[str, Any] = {
    "job_id": an_id("job"), "bot_id": "aapl-sma", "tick": 1, "attempt": 1, "claim_id": an_id("claim"), "process_id": an_id("r"),
}  # fmt: skip
HELD = HeldJob(job_id=an_id("job"), bot_id="aapl-sma", tick=1, attempt=1, claim_id=an_id("claim"), phase="backtest", progress=0.1)


def quiet(work_waits: bool = True) -> Wake:
    """Just after a tick at monotonic time 0."""
    wake = Wake()
    wake.ticked(0.0, work_waits=work_waits)
    return wake


def cause(
    wake: Wake, mono_ms: float, *, now_ms: int = NOON_MS, due_ms: int = NOON_MS + 60_000, alive: tuple[str, ...] = ()
) -> TickCause | None:
    return wake.cause(now_ms=now_ms, due_ms=due_ms, mono_ms=mono_ms, alive=frozenset(alive), policy=POLICY)


def test_nothing_happened_nothing_to_do() -> None:
    assert cause(quiet(), 59_999) is None


def test_scheduled_tick_comes_when_it_is_due() -> None:
    assert cause(quiet(), 0, now_ms=NOON_MS + 60_000) is TickCause.SCHEDULED


def test_operator_waits_no_longer_than_the_spacing() -> None:
    wake = quiet()
    wake.see(a_command(HoldBot, bot_id="aapl-sma"), 5.0)
    assert cause(wake, COMMAND_SPACING_MS - 1) is None
    assert cause(wake, COMMAND_SPACING_MS) is TickCause.COMMAND
    wake.ticked(COMMAND_SPACING_MS, work_waits=True)
    assert cause(wake, 10_000) is None


def test_refused_attempt_wakes_nobody() -> None:
    wake = quiet()
    refused = AttemptRefused(attempt_id=an_id("a"), command="x", actor="anonymous", role="viewer", code="FORBIDDEN", field="f", limit="l")
    wake.see(refused, 5.0)
    assert cause(wake, 10_000) is None


def test_finished_job_wakes_a_tick_when_work_waits_after_the_spacing() -> None:
    wake = quiet()
    wake.see(JobSucceeded(**JOB), 10.0)
    assert cause(wake, 4_999) is None
    assert cause(wake, 5_000) is TickCause.CAPACITY


def test_finished_job_wakes_nobody_when_no_work_waits() -> None:
    wake = quiet(work_waits=False)
    wake.see(JobSucceeded(**JOB), 10.0)
    assert cause(wake, 50_000) is None


def test_new_abilities_wake_a_tick_even_when_nobody_waited() -> None:
    wake = quiet(work_waits=False)
    wake.see(capabilities(), 10.0)
    assert cause(wake, 5_000) is TickCause.CAPACITY


def test_release_alone_wakes_nobody() -> None:
    wake = quiet()
    wake.see(JobReleased(**JOB, cause=Cause.RUNNER_DRAINED), 10.0)
    assert cause(wake, 30_000) is None


def test_two_overdue_beats_wake_a_lease_tick_every_quarter_lease() -> None:
    wake = quiet()
    wake.see(JobStarted(**JOB), 0.0)
    job = an_id("job")
    assert cause(wake, 3_999, alive=(job,)) is None
    assert cause(wake, 4_000, alive=(job,)) is None
    assert cause(wake, 4_001, alive=(job,)) is TickCause.LEASE
    wake.ticked(4_001, work_waits=True)
    assert cause(wake, 4_001 + 3_749, alive=(job,)) is None
    assert cause(wake, 4_001 + 3_750, alive=(job,)) is TickCause.LEASE


def test_beat_of_its_holder_keeps_a_job_from_waking_anybody() -> None:
    wake = quiet()
    for mono_ms in range(0, 60_000, 2_000):
        wake.see(a_beat("runner-1", HELD), float(mono_ms))
        assert cause(wake, mono_ms + 1_999.0, alive=(an_id("job"), an_id("runner-1"))) is None


def test_silent_process_wakes_a_lease_tick_too() -> None:
    wake = quiet()
    wake.see(a_beat("runner-1"), 0.0)
    assert cause(wake, 4_001, alive=(an_id("runner-1"),)) is TickCause.LEASE


def test_dead_that_nobody_expects_wakes_nobody() -> None:
    wake = quiet()
    wake.see(a_beat("runner-1", HELD), 0.0)
    assert cause(wake, 59_000) is None


def test_job_first_seen_alive_is_given_its_two_beats() -> None:
    """A new leader has heard nothing yet: it must not cry at once."""
    wake = quiet()
    assert cause(wake, 10_000, alive=(an_id("job"),)) is None
    assert cause(wake, 14_001, alive=(an_id("job"),)) is TickCause.LEASE


def test_operator_comes_before_capacity_before_lease() -> None:
    wake = quiet()
    wake.see(JobStarted(**JOB), 0.0)
    assert cause(wake, 6_000, alive=(an_id("job"),)) is TickCause.LEASE
    wake.see(JobSucceeded(**{**JOB, "job_id": an_id("other")}), 6_000)
    assert cause(wake, 6_000, alive=(an_id("job"),)) is TickCause.CAPACITY
    wake.see(a_command(HoldBot, bot_id="aapl-sma"), 6_000)
    assert cause(wake, 6_000, alive=(an_id("job"),)) is TickCause.COMMAND
    assert cause(wake, 6_000, alive=(an_id("job"),), due_ms=NOON_MS) is TickCause.SCHEDULED


def test_first_tick_is_due_at_once() -> None:
    assert next_due_ms(0, NOON_MS, 60.0, first=True) == NOON_MS


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.sampled_from([0.2, 1.0, 15.0, 60.0]))
def test_ticks_lie_on_a_fixed_grid_and_missed_ones_are_not_made_up(head: int, later: int, interval_s: float) -> None:
    head_ms, now_ms, interval_ms = NOON_MS + head, NOON_MS + head + later, round(interval_s * 1000)
    due = next_due_ms(head_ms, now_ms, interval_s, first=False)
    assert due % interval_ms == 0
    assert due > head_ms
    assert now_ms - interval_ms < due
    if due <= now_ms:
        assert next_due_ms(now_ms, now_ms, interval_s, first=False) > now_ms


@pytest.mark.parametrize("back_ms", [1, 60_000, 3_600_000])
def test_clock_that_went_back_waits_for_the_heads_time(back_ms: int) -> None:
    """Accepted time never goes back, so no tick is due before it."""
    assert next_due_ms(NOON_MS, NOON_MS - back_ms, 60.0, first=False) == NOON_MS + 60_000
