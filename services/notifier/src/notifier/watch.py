"""Listens to the planners' signs of life, and whether the log answers at all; what is wrong goes to every desk.

Place in the flow: `autonomy.pulse`, the broker's answers → **watch** → alarms → desks. It has a reader of its own, without a group: a
silence has no position, and must be noticed also where a desk waits for its receiver.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from autonomy import clock
from autonomy.envelope import Record, Undecodable, decode
from autonomy.errors import Retryable, Unreadable
from autonomy.events import PlannerPulse
from autonomy.log_reader import LogReader
from autonomy.producer import LOST
from autonomy.topics import PULSE
from notifier import metrics
from notifier.alarms import Alarm, Limits, Signs, Switch, alarms_of

log = logging.getLogger(__name__)
POLL_MS: Final = 200
ASK_EVERY_MS: Final = 1_000
ASK_TIMEOUT_S: Final = 2.0
PULSES_BACK: Final = 200
LOOK_EVERY_S: Final = 0.5
AGAIN_S: Final = 0.5
CODES: Final = ("planner", "late", "log", "halted", "unread")


@dataclass(slots=True)
class Watch:
    """What was heard, and which alarms are on.

    Attributes:
        log_is_there: set once the topics are there; a client that asks for one before is refused it for long.
        tell: hands alarms that came on, and that are over, to the desks.
        unread: what of the log the readers cannot read.
        turns, looks: of the reader and of the judge, also in vain: their signs of life.
    """

    kafka: str
    limits: Limits
    tell: Callable[[list[Alarm], list[Alarm]], None]
    log_is_there: asyncio.Event
    unread: Callable[[], str] = lambda: ""
    signs: Signs = field(default_factory=lambda: Signs(clock.monotonic_ms()))
    switch: Switch = field(default_factory=Switch)
    turns: int = 0
    looks: int = 0

    async def listen(self) -> None:
        """Read pulses for ever; a lost broker only lets the facts grow old."""
        while not self.log_is_there.is_set():
            self.turns += 1
            await asyncio.sleep(AGAIN_S)
        while True:
            self.turns += 1
            try:
                await self._follow()
            except (*LOST, Retryable, Unreadable) as refusal:
                log.warning("Kafka does not answer: %r", refusal)
                await asyncio.sleep(AGAIN_S)

    async def _follow(self) -> None:
        async with await LogReader.open(self.kafka, {PULSE: [0]}, goes_on=True, near_end={PULSE: PULSES_BACK}) as reader:
            (backlog_end,) = (await reader.ends([PULSE]))[PULSE]
            asked_ms = float("-inf")
            while True:
                self.turns += 1
                for record in await reader.poll(POLL_MS):
                    self.take(record, is_old=record.offset < backlog_end)
                now_ms = clock.monotonic_ms()
                if now_ms - asked_ms >= ASK_EVERY_MS:
                    await asyncio.wait_for(reader.ends([PULSE]), ASK_TIMEOUT_S)
                    asked_ms = now_ms
                    self.signs.answered(clock.monotonic_ms())

    def take(self, record: Record, *, is_old: bool) -> None:
        """Take a pulse; one that was there before is as old as the broker's time of it."""
        received = decode(record.value, PULSE)
        if not isinstance(received, Undecodable) and isinstance(received.event, PlannerPulse):
            age_ms = max(0, clock.now_ms() - record.timestamp) if is_old else 0
            self.signs.hear(received.event, clock.monotonic_ms() - age_ms)

    async def judge(self) -> None:
        """Look at what was heard twice a second, for ever."""
        while True:
            self.looks += 1
            self.signs.unread = self.unread()
            self.look(clock.monotonic_ms(), clock.now_ms())
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self, mono_ms: float, wall_ms: int) -> None:
        """Tell what came on and what is over."""
        raised, over = self.switch.turn(alarms_of(self.signs, mono_ms, wall_ms, self.limits), mono_ms)
        for alarm in raised:
            log.warning("alarm: %s: %s", alarm.title, alarm.why)
        if raised or over:
            self.tell(raised, over)
        for code in CODES:
            metrics.ALARMS.labels(code).set(code in self.switch.on)
