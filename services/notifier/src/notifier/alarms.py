"""The dead man's switch: what the planners' signs of life say, and what it means that they, or the log itself, say nothing.

Place in the flow: pulses, the broker's answers → **alarms** → desks. Pure: times are monotonic milliseconds, handed in. A planner is alive
by its pulses, once a second, so its silence shows in seconds whatever the ticks' interval is; whether it seals is told by their head.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

from dataclasses import dataclass, field
from typing import Final

from autonomy.attention import KINDS, RUNBOOKS, AttentionKind
from autonomy.events import PlannerPulse
from autonomy.values import iso_of_ms
from notifier.kinds import Kind

GRACE_MS: Final = 30_000
"""After Kafka's first answer the notifier waits so long for a first sign of a leading planner, which may be starting too."""
ALIVE_MS: Final = 2_000
"""Two pulses: a leader that was heard so shortly before the notifier came was alive then, so its silence is no slow start."""
SEEN_MS: Final = 5_000
"""An older answer of Kafka says nothing about planners."""
CALM_MS: Final = 30_000
"""What is over is told when it stayed so for this long: a planner that ends again and again is one alarm."""
OTHERS_KEPT: Final = 16
LATE_RUNBOOK: Final = "PlannerLate"
UNREAD_RUNBOOK: Final = "NotifierFailing"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a silence may be, in milliseconds; `late_ms` 0: no alarm for a planner that lives and seals nothing."""

    planner_ms: int = 6_000
    log_ms: int = 30_000
    late_ms: int = 180_000


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that should be and is not.

    Attributes:
        code: what it is about; one alarm of each at a time.
        key: of this very occurrence, the same also for a notifier that starts anew during it.
    """

    kind: Kind
    code: str
    key: str
    title: str
    why: str
    todo: str


@dataclass(slots=True)
class Signs:
    """What was heard, each with when.

    Attributes:
        started_ms: since when this process listens.
        answered_ms: when Kafka answered last.
        first_ms: when it answered first.
        leader, leader_ms: the newest pulse of a leading planner.
        sealed_ms: when the leader's head was last another than before.
        halted: by process, the pulse of a planner that halted.
        unread: what of the log this notifier cannot read, in words; empty while it can.
    """

    started_ms: float
    answered_ms: float | None = None
    first_ms: float | None = None
    leader: PlannerPulse | None = None
    leader_ms: float = 0.0
    sealed_ms: float = 0.0
    halted: dict[str, tuple[PlannerPulse, float]] = field(default_factory=dict)
    unread: str = ""

    def answered(self, at_ms: float) -> None:
        """Kafka answered."""
        self.answered_ms = at_ms
        if self.first_ms is None:
            self.first_ms = at_ms

    def hear(self, pulse: PlannerPulse, heard_ms: float) -> None:
        """Take a planner's pulse that was said at `heard_ms`."""
        self.halted.pop(pulse.process_id, None)
        if pulse.role == "halted":
            self.halted[pulse.process_id] = pulse, heard_ms
            while len(self.halted) > OTHERS_KEPT:
                del self.halted[next(iter(self.halted))]
        elif pulse.role == "leader" and heard_ms >= self.leader_ms:
            if self.leader is None or self.leader.head_tick != pulse.head_tick:
                self.sealed_ms = heard_ms
            self.leader, self.leader_ms = pulse, heard_ms


def alarms_of(signs: Signs, now_ms: float, wall_ms: int, limits: Limits) -> tuple[Alarm, ...]:
    """What is wrong now.

    Args:
        signs: what was heard.
        now_ms: monotonic.
        wall_ms: the same moment by the clock, for words.
        limits: the longest silences.
    """
    answered_ms = signs.answered_ms if signs.answered_ms is not None else signs.started_ms
    quiet_ms = now_ms - answered_ms
    if quiet_ms > limits.log_ms:
        since = iso_of_ms(round(wall_ms - quiet_ms))
        return (Alarm(
            Kind.SILENT, "log", f"log/{since}", f"the log does not answer since {since}",
            f"Kafka has not answered this notifier for {quiet_ms / 1000:.0f} s; what happens meanwhile is told once it does",
            f"follow the runbook {RUNBOOKS['kafka']}",
        ),)  # fmt: skip
    if quiet_ms > SEEN_MS:
        return ()
    unread = (_unread(signs.unread),) if signs.unread else ()
    halted = next((pulse for pulse, heard_ms in signs.halted.values() if now_ms - heard_ms <= limits.planner_ms), None)
    if halted is not None:
        kind = KINDS[AttentionKind.HALT]
        return (Alarm(
            Kind.HALTED, "halted", f"halted/{halted.problem}", f"{kind.unit} {kind.what.format(halted.problem)}",
            f"process {halted.process_id} at tick {halted.head_tick}: {halted.problem}", kind.todo,
        ), *unread)  # fmt: skip
    told = (_silent(signs, now_ms, wall_ms, limits), _late(signs, now_ms, limits))
    return (*(alarm for alarm in told if alarm is not None), *unread)


def _unread(words: str) -> Alarm:
    return Alarm(
        Kind.SILENT, "unread", f"unread/{words}", "the notifier cannot read the log: what happens is not told", words,
        f"follow the runbook {UNREAD_RUNBOOK}",
    )  # fmt: skip


def _silent(signs: Signs, now_ms: float, wall_ms: int, limits: Limits) -> Alarm | None:
    leader = signs.leader
    began_ms = signs.started_ms if signs.first_ms is None else signs.first_ms
    last_ms = signs.leader_ms if leader is not None else began_ms
    begun = leader is not None and last_ms >= began_ms - ALIVE_MS
    if now_ms - last_ms <= limits.planner_ms or (not begun and now_ms - began_ms <= GRACE_MS):
        return None
    known = f"the last one, {leader.process_id}, was at tick {leader.head_tick}" if leader else "none has led since this notifier began"
    since = iso_of_ms(round(wall_ms - (now_ms - last_ms)))
    key = f"planner/{leader.process_id}/{leader.head_tick}" if leader else "planner/none"
    return Alarm(
        Kind.SILENT, "planner", key, f"no planner leads since {since}: nothing is decided",
        f"no sign of life of a leading planner for {(now_ms - last_ms) / 1000:.0f} s; {known}", f"follow the runbook {RUNBOOKS['planner']}",
    )  # fmt: skip


def _late(signs: Signs, now_ms: float, limits: Limits) -> Alarm | None:
    leader = signs.leader
    if leader is None or not limits.late_ms or now_ms - signs.leader_ms > limits.planner_ms:
        return None
    late_ms = now_ms - max(signs.sealed_ms, signs.started_ms)
    if late_ms <= limits.late_ms:
        return None
    why = f"planner {leader.process_id} lives, and sealed no tick for {late_ms / 1000:.0f} s" + (
        f": {leader.problem}" if leader.problem else ""
    )
    return Alarm(
        Kind.SILENT, "late", f"late/{leader.head_tick}", f"the planner seals nothing after tick {leader.head_tick}", why,
        f"follow the runbook {LATE_RUNBOOK}",
    )  # fmt: skip


@dataclass(slots=True)
class Switch:
    """Which alarms are on: one is raised once, and over once it was calm for a while.

    Attributes:
        on: by code, the alarm and when it was last so.
    """

    on: dict[str, tuple[Alarm, float]] = field(default_factory=dict)

    def turn(self, found: tuple[Alarm, ...], now_ms: float) -> tuple[list[Alarm], list[Alarm]]:
        """What is raised now, and what is over now."""
        raised = [alarm for alarm in found if alarm.code not in self.on]
        for alarm in found:
            self.on[alarm.code] = (self.on[alarm.code][0] if alarm.code in self.on else alarm), now_ms
        over = [alarm for alarm, seen_ms in self.on.values() if now_ms - seen_ms >= CALM_MS]
        for alarm in over:
            del self.on[alarm.code]
        return raised, over
