"""What this process sees of Kafka by itself: the head of the chain, the planners' pulses, and whether Kafka answers.

Place in the flow: Kafka → **watch** → proof. It also says the probe whose age in PostgreSQL is the projection's lag.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from autonomy import clock
from autonomy.chain import Chain, read_record
from autonomy.cluster import check_log
from autonomy.envelope import Undecodable, decode, encode
from autonomy.errors import Broken, Unreadable
from autonomy.events import Head, PlannerPulse, ProbePulse
from autonomy.horizon import anchored_chain, newest_horizon
from autonomy.kafka import LogReader, Record
from autonomy.topics import INPUTS, PULSE, RUNS, TOPICS
from autonomy.values import iso
from proof_api.proof import PULSE_SILENCE_MS, LogFacts
from proof_api.voice import LOST, Voice

log = logging.getLogger(__name__)
POLL_MS = 200
PROBE_EVERY_S = 1.0
ASK_TIMEOUT_S = 2.0
PULSES_BACK = 10
AGAIN_S = 5.0
LOOK_EVERY_MS = 5_000
"""Between two questions whether the beginning of a log of record is still there."""
OF_RECORD = [TopicPartition(topic.name, number) for topic in TOPICS if topic.name in {RUNS, *INPUTS} for number in range(topic.partitions)]
HASHES_KEPT = 5_000
OTHERS_KEPT = 16
"""Planners that do not lead; beyond them the one that has been silent longest is forgotten."""


@dataclass(slots=True)
class Watch:
    """The newest facts of Kafka, each with the monotonic time at which it was learned.

    Attributes:
        hashes: of the newest accepted ticks.
        sealed_mono_ms: since when the log has each of them.
        blind: what this process itself cannot read of the chain, in words.
        lost: what was deleted from the beginning of a log of record, in words.
        others: the newest pulse of each planner that does not lead, and when it was said.
    """

    kafka: str
    process_id: str
    voice: Voice
    chain: Chain = field(default_factory=Chain)
    hashes: dict[int, str] = field(default_factory=dict)
    sealed_mono_ms: dict[int, float] = field(default_factory=dict)
    runs_end: int | None = None
    seen_mono_ms: float | None = None
    pulse_mono_ms: float | None = None
    leader: PlannerPulse | None = None
    others: dict[str, tuple[PlannerPulse, float]] = field(default_factory=dict)
    chain_fault: str = ""
    blind: str = ""
    lost: str = ""
    cluster_fault: str = ""
    sequence: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def facts(self, applied_tick: int, applied_hash: str) -> LogFacts:
        """What is known now; compares the read model's head with this process's own chain."""
        mono_ms = clock.monotonic_ms()
        own = self.hashes.get(applied_tick)
        diverged = self.cluster_fault or self.chain_fault or self.lost
        if own is not None and applied_hash and own != applied_hash:
            diverged = f"at tick {applied_tick} the read models stand on {applied_hash[:12]}, the log on {own[:12]}"
        # What a process said counts as long as it lives: a halt of an hour ago is no halt now. While Kafka is not seen, silence says
        # nothing.
        heard_until_ms = mono_ms if self.seen_mono_ms is None else min(mono_ms, self.seen_mono_ms)
        living = [pulse for pulse, heard_ms in self.others.values() if heard_until_ms - heard_ms <= PULSE_SILENCE_MS]
        halted = next((pulse.problem for pulse in living if pulse.role == "halted"), "")
        return LogFacts(
            head_tick=self.chain.head.tick if self.hashes or self.chain.head.tick else (0 if self.seen_mono_ms else None),
            head_hash=self.chain.head.hash if self.seen_mono_ms is not None else None,
            runs_end=self.runs_end,
            seen_age_ms=None if self.seen_mono_ms is None else mono_ms - self.seen_mono_ms,
            pulse_age_ms=None if self.pulse_mono_ms is None else mono_ms - self.pulse_mono_ms,
            unapplied_ms=self._unapplied_ms(applied_tick, mono_ms),
            last_tick_ms=self.chain.now_ms if self.chain.head.tick else None,
            leader_problem=next((pulse.problem for pulse in living if pulse.problem), ""),
            next_tick_at=iso(self.leader.next_tick_at) if self.leader and self.leader.next_tick_at else None,
            halted="" if self._leads(heard_until_ms) else halted,
            standby_halted=halted if self._leads(heard_until_ms) else "",
            diverged=diverged,
            blind=self.blind,
        )

    def _leads(self, mono_ms: float) -> bool:
        """Whether a planner leads; one that said something else since then does not."""
        if self.leader is None or self.pulse_mono_ms is None or self.leader.process_id in self.others:
            return False
        return mono_ms - self.pulse_mono_ms <= PULSE_SILENCE_MS

    def _unapplied_ms(self, applied_tick: int, mono_ms: float) -> float:
        """Since when the log has a tick above the applied one."""
        if self.chain.head.tick <= applied_tick:
            return 0.0
        # A tick older than all that are kept has been there at least as long as they.
        oldest = next(iter(self.sealed_mono_ms.values()), mono_ms)
        return max(0.0, mono_ms - self.sealed_mono_ms.get(applied_tick + 1, oldest))

    async def run(self) -> None:
        """Follow the log for ever; a lost broker only ages the facts."""
        while True:
            try:
                await self._follow()
            except Unreadable as fault:
                self.blind, self.seen_mono_ms = str(fault), clock.monotonic_ms()
                log.critical("the log cannot be read: %s", fault)
                await asyncio.sleep(AGAIN_S)
            except LOST as refusal:
                log.warning("Kafka does not answer: %r", refusal)
                await asyncio.sleep(0.5)
            except Broken as fault:
                if not self.cluster_fault:
                    self.chain_fault = str(fault)
                log.critical("chain: %s", self.cluster_fault or fault)
                await asyncio.sleep(AGAIN_S)

    async def _check(self) -> None:
        """Refuse a cluster whose topics are not as the log needs them; its fault is told until it is mended.

        Raises:
            Broken: names topic, setting, found and needed.
        """
        try:
            await check_log(self.kafka)
        except Broken as fault:
            self.cluster_fault = str(fault)
            raise
        self.cluster_fault = ""

    async def _follow(self) -> None:
        await self._check()
        horizon = await newest_horizon(self.kafka)
        self.chain, runs_from = await anchored_chain(self.kafka, horizon)
        self.hashes, self.sealed_mono_ms = {}, {}
        if self.chain.head.tick:
            self._keep(self.chain.head, since_ms=self.chain.now_ms)
        async with await LogReader.open(self.kafka, {RUNS: [runs_from], PULSE: [0]}, goes_on=True) as reader:
            await reader.start_near_end(TopicPartition(PULSE, 0), PULSES_BACK)
            (backlog_end,) = (await reader.ends([RUNS]))[RUNS]
            asked = looked = 0.0
            while True:
                for record in await reader.poll(POLL_MS):
                    self.take(record, backlog_end)
                self.blind, mono_ms = reader.fault, clock.monotonic_ms()
                if mono_ms - looked >= LOOK_EVERY_MS:
                    self.lost, looked = await asyncio.wait_for(reader.deleted(OF_RECORD), ASK_TIMEOUT_S), mono_ms
                if mono_ms - asked >= PROBE_EVERY_S * 500:
                    ends = await asyncio.wait_for(reader.ends([RUNS]), ASK_TIMEOUT_S)
                    (self.runs_end,), asked, self.seen_mono_ms = ends[RUNS], mono_ms, clock.monotonic_ms()

    def take(self, record: Record, backlog_end: int) -> None:
        """Take one record of the log; what stands below `backlog_end` was there before this process read it."""
        if record.topic == RUNS:
            self._take_run(record, backlog_end)
        else:
            self._take_pulse(record.value, record.timestamp)

    def _take_run(self, record: Record, backlog_end: int) -> None:
        placed = read_record(record.headers, record.key, record.value, record.offset, record.timestamp)
        if isinstance(placed, Undecodable):
            return
        done = self.chain.feed(placed)
        if done is not None:
            # What comes while this process reads is as old as the reading: the broker's clock has no say in it.
            self._keep(done.head, since_ms=record.timestamp if record.offset < backlog_end else None)
            self.changed.set()

    def _keep(self, head: Head, *, since_ms: int | None) -> None:
        self.hashes[head.tick] = head.hash
        age_ms = 0.0 if since_ms is None else max(0.0, clock.now_ms() - since_ms)
        self.sealed_mono_ms[head.tick] = clock.monotonic_ms() - age_ms
        while len(self.hashes) > HASHES_KEPT:
            oldest = next(iter(self.hashes))
            del self.hashes[oldest], self.sealed_mono_ms[oldest]

    def _take_pulse(self, value: bytes | None, appended_ms: int) -> None:
        received = decode(value, PULSE)
        if isinstance(received, Undecodable) or not isinstance(received.event, PlannerPulse):
            return
        pulse = received.event
        # A pulse read late is as old as the broker says, by the difference to the newest thing it appended.
        age_ms = max(0.0, clock.now_ms() - appended_ms)
        heard = clock.monotonic_ms() - age_ms
        if pulse.role == "leader":
            if self.pulse_mono_ms is None or heard > self.pulse_mono_ms:
                self.leader, self.pulse_mono_ms = pulse, heard
            self.others.pop(pulse.process_id, None)
        else:
            self.others.pop(pulse.process_id, None)
            self.others[pulse.process_id] = (pulse, heard)
            while len(self.others) > OTHERS_KEPT:
                del self.others[next(iter(self.others))]

    async def probe(self) -> None:
        """Say a probe once a second, for ever."""
        while True:
            try:
                await self.voice.ready()
                self.sequence += 1
                said = ProbePulse(process_id=self.process_id, sequence=self.sequence, sent_at=clock.now())
                value = encode(said, source="autonomy/proof-api", subject=self.process_id, time=said.sent_at, event_id=clock.drawn_id())
                await self.voice.say(PULSE, self.process_id.encode(), value, ASK_TIMEOUT_S)
            except LOST as refusal:
                log.warning("no probe: %r", refusal)
            await asyncio.sleep(PROBE_EVERY_S)
