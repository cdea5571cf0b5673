"""What this process sees of Kafka by itself: the head of the chain, the planners' pulses, and whether Kafka answers.

Place in the flow: Kafka → **watch** → proof. It also says the probe whose age in PostgreSQL is the projection's lag.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from autonomy import clock
from autonomy.chain import GENESIS_HASH, AcceptedTick, Chain
from autonomy.cluster import check_log
from autonomy.envelope import Record, Undecodable, decode, encode
from autonomy.errors import Broken, Unreadable
from autonomy.events import Head, PlannerPulse, ProbePulse
from autonomy.horizon import go_behind, newest_horizon
from autonomy.log_reader import LogReader
from autonomy.producer import LOST, words_of
from autonomy.topics import INPUTS, PULSE, RUNS, TOPICS
from autonomy.values import iso
from proof_api.proof.broker_clock import BrokerClock
from proof_api.proof.judging import PULSE_SILENCE_MS, LogFacts
from proof_api.voice import Voice

log = logging.getLogger(__name__)
POLL_MS = 200
PROBE_EVERY_S = 1.0
ASK_TIMEOUT_S = 2.0
COMPARE_WITHIN_S = 2.0
PULSES_BACK = 100
AGAIN_S = 5.0
AHEAD_MS = 3_000
"""For so long rows may stand on a tick that this process has not read; beyond it the log does not hold that tick."""
LOOK_EVERY_MS = 5_000
"""Between two questions whether the beginning of a log of record is still there."""
OF_RECORD = [TopicPartition(topic.name, number) for topic in TOPICS if topic.name in {RUNS, *INPUTS} for number in range(topic.partitions)]
HASHES_KEPT = 5_000
PROBES_KEPT = 4_000
"""Acknowledged and not applied: over an hour of them; the oldest of more is forgotten."""
OTHERS_KEPT = 16
"""Planners that do not lead; beyond them the one that has been silent longest is forgotten."""
BROKERS_TIME = 1
"""Kafka's word for a record that carries its time of append."""


@dataclass(slots=True)
class Watch:
    """The newest facts of Kafka, each with the monotonic time at which it was learned.

    Attributes:
        hashes: of the newest accepted ticks.
        sealed_mono_ms: since when the log has each of them.
        blind: what this process itself cannot read of the chain, in words.
        lost: what was deleted from the beginning of a log of record, in words.
        others: the newest pulse of each planner that does not lead, and when it was said.
        hours: what time it is by the broker.
        probes: own probes that may not be applied yet: the broker's time of each, and when its ack came.
        probe_mono_ms: when the newest ack of a probe came.
        probe_problem: why the last probe was not acknowledged.
        applied: the head that the read models stand on, for the probes to tell.
        read_to: the offset of `autonomy.runs` up to which this process has read.
        ahead_mono_ms: since when the rows stand on a tick that this process has not read.
        turns, probe_turns: of the follower and of the probe, also in vain: their signs of life.
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
    turns: int = 0
    probe_turns: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    hours: BrokerClock = field(default_factory=BrokerClock)
    compared: asyncio.Event = field(default_factory=asyncio.Event)
    probes: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT))
    probe_mono_ms: float | None = None
    probe_problem: str = ""
    applied: Callable[[], Head | None] = lambda: None
    read_to: int = 0
    ahead_mono_ms: float | None = None

    def now_ms(self) -> int:
        """The time by the broker's clock."""
        return self.hours.now_ms(clock.monotonic_ms(), clock.now_ms())

    def facts(self, applied_tick: int, applied_hash: str, applied_probe_ms: int | None = None, applied_offset: int = -1) -> LogFacts:
        """What is known now; compares the read model's head with this process's own chain.

        Args:
            applied_tick: the read models' head.
            applied_hash: its hash.
            applied_probe_ms: the broker's time of the newest probe that they have.
            applied_offset: where their head's seal stood in `autonomy.runs`; -1 before the first.
        """
        mono_ms = clock.monotonic_ms()
        own = self.hashes.get(applied_tick)
        missing = self._missing(Head(tick=applied_tick, offset=applied_offset, hash=applied_hash or GENESIS_HASH), mono_ms)
        diverged = self.cluster_fault or self.chain_fault or self.lost or self.chain.forked() or missing
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
            probe_age_ms=None if self.probe_mono_ms is None else mono_ms - self.probe_mono_ms,
            probe_problem=self.probe_problem,
            unapplied_probe_ms=self._unapplied_probe_ms(applied_probe_ms, mono_ms),
            skew_ms=self.hours.skew_ms(mono_ms, clock.now_ms()),
            unapplied_ms=self._unapplied_ms(applied_tick, mono_ms),
            last_tick_ms=self.chain.now_ms if self.chain.head.tick else None,
            leader_problem=next((pulse.problem for pulse in living if pulse.problem), ""),
            next_tick_at=iso(self.leader.next_tick_at) if self.leader and self.leader.next_tick_at else None,
            halted="" if self._leads(heard_until_ms) else halted,
            standby_halted=halted if self._leads(heard_until_ms) else "",
            diverged=diverged,
            blind=self.blind,
        )

    def _missing(self, applied: Head, mono_ms: float) -> str:
        """Why the read models' head is not in the log, in words: the log lost ticks, or history was written anew below it."""
        head = self.chain.head
        if applied.offset < 0 or applied.tick <= head.tick or self.runs_end is None:
            self.ahead_mono_ms = None
            return ""
        words = (
            f"the read models stand on tick {applied.tick} with {applied.hash[:12]}, the log ends at tick {head.tick} with {head.hash[:12]}"
        )
        if applied.offset < self.read_to:
            return words
        # Rows may be a moment ahead of what this process has read: only an end of the log that stays below them proves a loss. An end that
        # nobody has asked for since then proves nothing: with a leader cut off, this process may hear of the new one after the projection.
        seen_mono_ms = self.seen_mono_ms or 0.0
        if self.ahead_mono_ms is None or applied.offset < self.runs_end or mono_ms - seen_mono_ms > AHEAD_MS:
            self.ahead_mono_ms = mono_ms
        return words if seen_mono_ms - self.ahead_mono_ms > AHEAD_MS else ""

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

    def _unapplied_probe_ms(self, applied_ms: int | None, mono_ms: float) -> float:
        """Since when the log has an own probe that the rows do not have."""
        while applied_ms is not None and self.probes and self.probes[0][0] <= applied_ms:
            self.probes.popleft()
        return mono_ms - self.probes[0][1] if self.probes else 0.0

    async def run(self) -> None:
        """Follow the log for ever; a lost broker only ages the facts."""
        # What is there already is as old as the broker's clock says: without a first answer of it, as this machine's.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.compared.wait(), COMPARE_WITHIN_S)
        while True:
            self.turns += 1
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
        async with await LogReader.open(self.kafka, {RUNS: [0], PULSE: [0]}, goes_on=True, near_end={PULSE: PULSES_BACK}) as reader:
            self.chain = await go_behind(reader, await newest_horizon(reader))
            self.hashes, self.sealed_mono_ms, self.read_to = {}, {}, self.chain.head.offset + 1
            if self.chain.head.tick:
                self._keep(self.chain.head, since_ms=self.chain.now_ms)
            (backlog_end,) = (await reader.ends([RUNS]))[RUNS]
            asked = looked = 0.0
            while True:
                self.turns += 1
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
        self.read_to = record.offset + 1
        done = self.chain.read(record)
        if isinstance(done, AcceptedTick):
            # What comes while this process reads is as old as the reading: the broker's clock has no say in it.
            self._keep(done.head, since_ms=record.timestamp if record.offset < backlog_end else None)
            self.changed.set()

    def _keep(self, head: Head, *, since_ms: int | None) -> None:
        self.hashes[head.tick] = head.hash
        age_ms = 0.0 if since_ms is None else max(0.0, self.now_ms() - since_ms)
        self.sealed_mono_ms[head.tick] = clock.monotonic_ms() - age_ms
        while len(self.hashes) > HASHES_KEPT:
            oldest = next(iter(self.hashes))
            del self.hashes[oldest], self.sealed_mono_ms[oldest]

    def _take_pulse(self, value: bytes | None, appended_ms: int) -> None:
        received = decode(value, PULSE)
        if isinstance(received, Undecodable) or not isinstance(received.event, PlannerPulse):
            return
        pulse = received.event
        # A pulse read late is as old as the broker says, by its own clock.
        age_ms = max(0.0, self.now_ms() - appended_ms)
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

    def acknowledged(self, appended_ms: int, said_mono_ms: float, *, by_broker: bool = True) -> None:
        """Take the ack of a probe, with its time of append; a topic that keeps its writers' times tells nothing of clocks."""
        mono_ms = clock.monotonic_ms()
        self.probe_mono_ms, self.probe_problem = mono_ms, ""
        if self.probes and appended_ms < self.probes[-1][0]:
            self.probes.clear()  # the broker's clock was set back: the times before it compare with nothing any more
        self.probes.append((appended_ms, mono_ms))
        if by_broker:
            self.hours.see(appended_ms, said_mono_ms, mono_ms)
        self.compared.set()

    async def probe(self) -> None:
        """Say a probe once a second, for ever."""
        while True:
            self.probe_turns += 1
            try:
                await self.voice.ready()
                self.sequence += 1
                said = ProbePulse(process_id=self.process_id, sequence=self.sequence, sent_at=clock.now(), applied=self.applied())
                value = encode(said, source="autonomy/proof-api", subject=self.process_id, time=said.sent_at, event_id=clock.drawn_id())
                said_mono_ms = clock.monotonic_ms()
                landed = await self.voice.say(PULSE, self.process_id.encode(), value, ASK_TIMEOUT_S)
                self.acknowledged(landed.timestamp, said_mono_ms, by_broker=landed.timestamp_type == BROKERS_TIME)
            except LOST as refusal:
                self.probe_problem = f"no ack in {ASK_TIMEOUT_S:.0f} s" if isinstance(refusal, TimeoutError) else words_of(refusal)
                log.warning("no probe: %r", refusal)
            await asyncio.sleep(PROBE_EVERY_S)
