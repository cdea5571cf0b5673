"""The dead man's switch: what is an alarm, what is none, and that each is told once.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

from typing import Any

import pytest

from autonomy.events import PlannerPulse
from notifier.alarms import ALIVE_MS, CALM_MS, GRACE_MS, Alarm, Limits, Signs, Switch, alarms_of
from notifier.kinds import Kind
from support.builders import NOON_MS, a_digest, an_id

LIMITS = Limits()
BEGAN_MS = 1_000_000.0


def a_pulse(role: str = "leader", tick: int = 7, process: str = "planner-1", problem: str = "") -> PlannerPulse:
    said: dict[str, Any] = {"role": role, "head_tick": tick, "head_hash": a_digest("head"), "next_tick_at": None, "problem": problem}
    return PlannerPulse(process_id=an_id(process), **said)


def heard(*pulses: tuple[float, PlannerPulse], answered_ms: float) -> Signs:
    """Signs of pulses at milliseconds after the start."""
    signs = Signs(BEGAN_MS, answered_ms=BEGAN_MS + answered_ms)
    for at_ms, pulse in pulses:
        signs.hear(pulse, BEGAN_MS + at_ms)
    return signs


def found(signs: Signs, at_ms: float, limits: Limits = LIMITS) -> list[tuple[Kind, str]]:
    return [(alarm.kind, alarm.code) for alarm in alarms_of(signs, BEGAN_MS + at_ms, NOON_MS, limits)]


@pytest.mark.parametrize(("silence_ms", "alarm"), [(5_900, []), (6_100, [(Kind.SILENT, "planner")])])
def test_a_leader_that_says_nothing_is_an_alarm_after_its_limit(silence_ms: float, alarm: list[Any]) -> None:
    signs = heard((30_000, a_pulse()), answered_ms=30_000 + silence_ms)
    assert found(signs, 30_000 + silence_ms) == alarm


def test_at_the_start_a_planner_has_time_to_come() -> None:
    assert found(heard(answered_ms=GRACE_MS - 100), GRACE_MS - 100) == []
    assert found(heard(answered_ms=GRACE_MS + 100), GRACE_MS + 100) == [(Kind.SILENT, "planner")]
    long_ago = heard((-3_000_000, a_pulse()), answered_ms=10_000)
    assert found(long_ago, 10_000) == [], "that of yesterday's run says nothing of today's start"
    assert found(heard((-3_000_000, a_pulse()), answered_ms=GRACE_MS + 100), GRACE_MS + 100) == [(Kind.SILENT, "planner")]
    slow = heard(answered_ms=0)
    slow.answered_ms = None
    for at_ms in (40_000.0, 69_000.0):
        slow.answered(BEGAN_MS + at_ms)
    assert found(slow, 69_000) == [], "the time before Kafka was there does not count"


@pytest.mark.parametrize(("before_ms", "alarm"), [(ALIVE_MS - 100, [(Kind.SILENT, "planner")]), (ALIVE_MS + 100, [])])
def test_a_leader_that_dies_as_the_notifier_comes_is_missed_as_soon_as_any(before_ms: float, alarm: list[Any]) -> None:
    signs = heard((-before_ms, a_pulse()), answered_ms=0)
    signs.answered(BEGAN_MS)
    signs.answered(BEGAN_MS + 6_100)
    assert found(signs, 6_100) == alarm, "its last pulse is the last before the notifier listened"


def test_a_standby_is_no_leader() -> None:
    signs = heard((30_000, a_pulse()), (38_000, a_pulse("standby", process="planner-2")), answered_ms=38_000)
    assert found(signs, 38_000) == [(Kind.SILENT, "planner")]


def test_while_kafka_is_not_seen_nothing_is_known_of_planners_and_then_that_is_the_alarm() -> None:
    signs = heard((30_000, a_pulse()), answered_ms=30_000)
    assert found(signs, 40_000) == []
    assert found(signs, 60_100) == [(Kind.SILENT, "log")]


def test_a_halt_is_told_with_its_problem_and_instead_of_the_silence() -> None:
    signs = heard((30_000, a_pulse()), (39_000, a_pulse("halted", problem="the fold differs")), answered_ms=40_000)
    (alarm,) = alarms_of(signs, BEGAN_MS + 40_000, NOON_MS, LIMITS)
    assert (alarm.kind, alarm.title) == (Kind.HALTED, "planner halted: the fold differs")
    assert "follow the runbook ChainHalted" in alarm.todo
    assert found(heard((30_000, a_pulse()), (30_500, a_pulse("halted")), answered_ms=40_000), 40_000) == [(Kind.SILENT, "planner")]


def test_a_leader_that_seals_nothing_is_late_and_one_that_seals_is_not() -> None:
    stuck = [(second * 1_000.0, a_pulse()) for second in range(200)]
    assert found(heard(*stuck, answered_ms=199_000), 199_000) == [(Kind.SILENT, "late")]
    ticking = [(second * 1_000.0, a_pulse(tick=second // 60)) for second in range(200)]
    assert found(heard(*ticking, answered_ms=199_000), 199_000) == []
    assert found(heard(*stuck, answered_ms=199_000), 199_000, Limits(late_ms=0)) == []


def test_a_log_that_is_not_read_on_is_an_alarm_beside_what_is_known_of_planners() -> None:
    signs = heard((30_000, a_pulse()), answered_ms=31_000)
    signs.unread = "autonomy.runs/0 is not read on from offset 70"
    assert found(signs, 31_000) == [(Kind.SILENT, "unread")]


def test_the_same_silence_has_the_same_key_for_a_notifier_that_starts_anew() -> None:
    keys = {
        alarms_of(heard((30_000, a_pulse()), answered_ms=at_ms), BEGAN_MS + at_ms, NOON_MS + round(at_ms), LIMITS)[0].key
        for at_ms in (37_000.0, 90_000.0)
    }
    assert len(keys) == 1


def an_alarm(code: str = "planner", key: str = "k") -> Alarm:
    return Alarm(Kind.SILENT, code, key, "title", "why", "todo")


def test_an_alarm_is_raised_once_and_over_once_it_was_calm() -> None:
    switch, alarm = Switch(), an_alarm()
    assert switch.turn((alarm,), 0) == ([alarm], [])
    assert switch.turn((alarm,), 500) == ([], [])
    assert switch.turn((), 1_000) == ([], [])
    assert switch.turn((), 500 + CALM_MS) == ([], [alarm])
    assert switch.turn((), 600 + CALM_MS) == ([], [])


def test_a_planner_that_ends_again_and_again_is_one_alarm() -> None:
    switch, raised = Switch(), 0
    for round_ms in range(0, 600_000, 10_000):
        on, _ = switch.turn((an_alarm(key=f"{round_ms}"),), round_ms)
        raised += len(on)
        _, over = switch.turn((), round_ms + 5_000)
        assert over == []
    assert raised == 1
