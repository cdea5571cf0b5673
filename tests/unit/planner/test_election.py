"""Who leads: a standby waits for silence, a doubtful clock doesn't lead, of two leaders one steps down.

Source: S12.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.events import PlannerPulse
from planner.shell.election import Election
from support.builders import NOON_MS, a_digest

LOW, HIGH = "00000000-0000-0000-0000-00000000000a", "f0000000-0000-0000-0000-00000000000b"


def an_unmeasured_election(process: str = LOW, *, mono_ms: float = 1_000.0, now_ms: int = NOON_MS) -> Election:
    return Election(process, 5.0, started_mono_ms=mono_ms, now_ms=now_ms)


def an_election(process: str = LOW, *, mono_ms: float = 1_000.0, now_ms: int = NOON_MS) -> Election:
    """One that has read its first own pulse back: its clock agrees with the broker's."""
    election = an_unmeasured_election(process, mono_ms=mono_ms, now_ms=now_ms)
    election.see(a_pulse(process, "starting"), now_ms, now_ms, mono_ms)
    return election


def a_pulse(process: str, role: str = "leader") -> PlannerPulse:
    return PlannerPulse.model_validate(
        {"process_id": process, "role": role, "head_tick": 1, "head_hash": a_digest("h"), "next_tick_at": None}
    )


def hear(election: Election, process: str, mono_ms: float, role: str = "leader", *, age_ms: float = 0) -> None:
    """A pulse of another process, appended `age_ms` ago."""
    appended = round(NOON_MS + mono_ms - 1_000.0 - age_ms)
    election.see(a_pulse(process, role), appended, appended, mono_ms)


def leads(election: Election, mono_ms: float) -> bool:
    """Whether it leads when its clock runs right."""
    return election.leads(mono_ms, round(NOON_MS + mono_ms - 1_000.0))


def test_alone_it_leads_at_once() -> None:
    assert leads(an_election(), 1_000)


def test_standby_takes_over_after_silence_and_its_jitter() -> None:
    election = an_election(HIGH)
    hear(election, LOW, 2_000)
    jitter = int(HIGH[:2], 16) % 8 * 100
    assert not leads(election, 2_000 + 5_000 + jitter - 1)
    assert leads(election, 2_000 + 5_000 + jitter)


def test_standbys_do_not_all_take_over_at_once() -> None:
    delays = set()
    for number in range(8):
        election = an_election(f"0{number}000000-0000-0000-0000-000000000000")
        hear(election, HIGH, 2_000)
        delays.add(next(ms for ms in range(0, 9_000, 100) if leads(election, 2_000 + ms)))
    assert len(delays) == 8
    assert min(delays) >= 5_000


def test_living_leader_keeps_the_standby_waiting() -> None:
    election = an_election()
    for mono_ms in range(1_000, 60_000, 1_000):
        hear(election, HIGH, mono_ms)
        assert not leads(election, mono_ms + 900)


@pytest.mark.parametrize("role", ["standby", "halted", "starting"])
def test_only_a_leaders_pulse_counts(role: str) -> None:
    election = an_election()
    hear(election, HIGH, 1_000, role)
    assert leads(election, 1_001)


def test_pulse_from_before_the_start_counts_as_old() -> None:
    election = an_election()
    hear(election, HIGH, 1_000, age_ms=60_000)
    assert leads(election, 1_000)


def test_late_old_pulse_does_not_shorten_a_newer_ones_silence() -> None:
    election = an_election()
    hear(election, HIGH, 3_000)
    hear(election, HIGH, 4_000, age_ms=3_500)
    assert not leads(election, 7_999)


def test_of_two_leaders_the_greater_id_steps_down_and_the_other_goes_on() -> None:
    low, high = an_election(LOW), an_election(HIGH)
    assert leads(low, 1_000)
    assert leads(high, 1_000)
    hear(low, HIGH, 1_500)
    hear(high, LOW, 1_500)
    assert leads(low, 1_600)
    assert not leads(high, 1_600)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3_000)), max_size=40))
def test_two_that_hear_each_other_never_both_lead_for_long(turns: list[tuple[int, int]]) -> None:
    """Each says its pulse when it turns; a second later at most one of them leads."""
    both = (an_election(LOW), an_election(HIGH))
    mono_ms = 1_000.0
    for one in both:
        leads(one, mono_ms)
    for who, pause_ms in turns:
        mono_ms += pause_ms
        if leads(both[who], mono_ms):
            hear(both[1 - who], both[who].process_id, mono_ms)
    for one, other in ((both[0], both[1]), (both[1], both[0])):
        if leads(one, mono_ms):
            hear(other, one.process_id, mono_ms)
    assert not (leads(both[0], mono_ms) and leads(both[1], mono_ms))


@pytest.mark.parametrize(("skew_ms", "refuses"), [(0, False), (1_000, False), (1_001, True), (-1_001, True), (3_600_000, True)])
def test_clock_that_differs_from_the_brokers_does_not_lead(skew_ms: int, *, refuses: bool) -> None:
    election = an_election()
    election.see(a_pulse(LOW), NOON_MS + skew_ms, NOON_MS, 1_000)
    assert leads(election, 1_000) is not refuses
    assert bool(election.problem) is refuses


@pytest.mark.parametrize("ahead_ms", [0, 3_600_000])
def test_clock_that_nobody_compared_does_not_lead(ahead_ms: int) -> None:
    """Only its own pulse tells: the pulses of others say nothing of this clock."""
    election = an_unmeasured_election(now_ms=NOON_MS + ahead_ms)
    hear(election, HIGH, 1_000, age_ms=60_000)
    assert not election.leads(20_000, NOON_MS + ahead_ms + 19_000)
    assert election.role(20_000, NOON_MS + ahead_ms + 19_000) == "standby"
    assert "not compared" in election.problem
    election.see(a_pulse(LOW, "standby"), NOON_MS + 19_000, NOON_MS + ahead_ms + 19_000, 20_000)
    assert election.leads(20_000, NOON_MS + ahead_ms + 19_000) is (ahead_ms == 0)
    assert ("differs" in election.problem) is (ahead_ms > 0)


def test_clock_that_agrees_again_leads_again() -> None:
    election = an_election()
    election.see(a_pulse(LOW), NOON_MS + 9_000, NOON_MS, 1_000)
    assert not leads(election, 1_000)
    assert "broker" in election.problem
    election.see(a_pulse(LOW), NOON_MS + 10, NOON_MS, 2_000)
    assert leads(election, 2_000)


@pytest.mark.parametrize(("leap_ms", "refuses"), [(5_000, False), (5_001, True), (-5_001, True), (3_600_000, True)])
def test_clock_that_leapt_does_not_lead(leap_ms: int, *, refuses: bool) -> None:
    """A wrong future `now`, once accepted, would hold time still for everybody."""
    election = an_election()
    assert leads(election, 1_000)
    assert election.leads(2_000, NOON_MS + 1_000 + leap_ms) is not refuses
    assert bool(election.problem) is refuses


def test_leader_whose_clock_leapt_steps_down_and_says_why() -> None:
    election = an_election()
    assert leads(election, 1_000)
    assert election.role(2_000, NOON_MS + 3_600_000) == "standby"
    assert "leapt by 3599000 ms" in election.problem


# ── a clock that leapt and is right again ─────────────────────────────────────────────────────────────────────────────


def after_a_sleep(*, skew_ms: int = 0, every_ms: int = 1_000, for_ms: int = 30_000) -> list[bool]:
    """A machine slept for an hour: its clock is an hour further on than its steady one; whether it leads, pulse by pulse."""
    election, led = an_election(), []
    assert leads(election, 1_500), "it led before"
    for mono_ms in range(2_000, 2_000 + for_ms, every_ms):
        wall_ms = NOON_MS + 3_600_000 + mono_ms - 1_000
        led.append(election.leads(mono_ms, wall_ms))
        election.see(a_pulse(LOW, "standby"), wall_ms + skew_ms, wall_ms, float(mono_ms))
    return led


def test_clock_that_is_right_again_leads_within_thirty_seconds() -> None:
    """After a machine slept, or somebody put a clock right: the broker's clock is the better witness, and it agrees."""
    led = after_a_sleep()
    assert not led[0], "the leap was noticed"
    assert led[-1]
    assert led.index(True) >= 10, "not at once: one pulse may be chance"


def test_clock_that_leapt_and_is_wrong_never_leads() -> None:
    """Negative control."""
    assert not any(after_a_sleep(skew_ms=-3_600_000))


def test_one_pulse_that_disagrees_begins_the_calm_anew() -> None:
    election = an_election()
    for number in range(20):
        mono_ms = 2_000.0 + number * 1_000
        wall_ms = round(NOON_MS + 3_600_000 + mono_ms)
        assert not election.leads(mono_ms, wall_ms)
        election.see(a_pulse(LOW, "standby"), wall_ms + (5_000 if number % 5 == 4 else 0), wall_ms, mono_ms)
