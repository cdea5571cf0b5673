"""The planner's shell: reads the log, leads or stands by, appends tries, and learns their verdicts by reading.

Place in the flow: everything with a clock, a connection or a drawn id; no branch on domain data. One loop does it all, and
says its own pulse, so a pulse never outlives the work.

Source: S1 to S6, S11, S12.
"""

import asyncio
import logging
import signal
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge, Histogram
from pydantic import ValidationError

from autonomy import clock
from autonomy.chain import GENESIS, AcceptedTick, Chain, read_record
from autonomy.envelope import Undecodable, decode, encode, event_id_of
from autonomy.errors import BadInput, Broken
from autonomy.events import Head, PlannerPulse
from autonomy.kafka import LogReader, Outgoing, Record, append_batch, build_producer
from autonomy.producer import Producer
from autonomy.telemetry import spare_collector
from autonomy.topics import COMMANDS, INPUTS, JOBS, PULSE, RUNS, TOPICS
from autonomy.values import JobStatus, Reason, TickCause, instant_of_ms, ms_of
from planner.election import Election
from planner.fold import read_input, repairs
from planner.inbox import MAX_TICKS_AHEAD, Inbox
from planner.sending import send
from planner.settings import PlannerSettings
from planner.state import State
from planner.tick import TickInputs, Try, draft, follow, gap_to
from planner.tracing import trace_tick
from planner.wake import Wake, next_due_ms

log = logging.getLogger(__name__)
VERDICT_TIMEOUT_MS = 15_000
PULSE_EVERY_MS = 1_000
ASK_EVERY_MS = 1_000
"""While an accepted tick waits for inputs, how often the broker is asked whether it has them at all."""
POLL_MS = 50
TICKS = Counter("autonomy_planner_ticks", "Accepted ticks that this process folded", ["cause", "own"])
TICK_SECONDS = Histogram("autonomy_planner_tick_seconds", "From the cut to the accepted seal, own ticks")
LAST_TICK = Gauge("autonomy_planner_last_tick_timestamp_seconds", "Recorded time of the last accepted tick")
VOID = Gauge("autonomy_planner_void_records", "Records of runs that do not count", ["kind"])
ROLE = Gauge("autonomy_planner_leader", "1 while this process leads")


@dataclass(slots=True)
class Candidate:
    """A try whose seal was appended, or may have been; the verdict is read from the log."""

    attempt: Try
    inputs: TickInputs
    sent_mono_ms: float


@dataclass(slots=True)
class Planner:
    """One planner process.

    Attributes:
        diverged: the tick that it folded and halted at.
        old_chain: where `autonomy.runs` ended when it started: up to there an accepted tick is still to come.
        carried: the gap between the sealed and the folded state that an approver accepted, as long as it stays the same.
    """

    process_id: str
    settings: PlannerSettings
    reader: LogReader
    producer: Producer
    election: Election
    state: State = field(default_factory=State)
    chain: Chain = field(default_factory=Chain)
    inbox: Inbox = field(default_factory=Inbox)
    wake: Wake = field(default_factory=Wake)
    accepted: list[AcceptedTick] = field(default_factory=list)
    old_chain: dict[str, tuple[int, ...]] = field(default_factory=dict)
    heads: dict[int, Head] = field(default_factory=lambda: {0: GENESIS})
    candidate: Candidate | None = None
    seal_read_mono_ms: float = field(default_factory=clock.monotonic_ms)
    pulsed_mono_ms: float = 0.0
    asked_mono_ms: float = field(default_factory=clock.monotonic_ms)
    halted: str = ""
    diverged: AcceptedTick | None = None
    carried: int = 0
    caught_up: bool = False
    stopping: bool = False

    async def run(self) -> None:
        """Fold the log, then lead or stand by until told to stop."""
        ends = await self.reader.ends([RUNS, *INPUTS])
        self.old_chain = {RUNS: ends[RUNS]}
        while not self.stopping:
            await self.turn(POLL_MS)
            if not self.caught_up and self.reader.reached(ends) and not self.accepted:
                self.caught_up = True
                spare_collector()
                log.info("caught up", extra={"tick": self.chain.head.tick, "bots": len(self.state.bots.rows)})
            if self.caught_up and not self.halted and self.candidate is None and self.lead():
                await self.tick_if_due()

    def lead(self) -> bool:
        """Whether this process may append a tick now."""
        leads = self.election.leads(clock.monotonic_ms(), clock.now_ms())
        ROLE.set(leads)
        return leads

    async def turn(self, timeout_ms: int) -> None:
        """Read what came, fold the ticks whose inputs are here, say a pulse."""
        self.reader.pause_all_but({partition for partition in self.reader.positions if self.is_wanted(partition)})
        records, place = await self.reader.poll(timeout_ms), 0
        while place < len(records):
            if own := self.chain.take_own(records, place):
                place += own
                continue
            self.take(records[place])
            place += 1
        self.go_on_if_accepted()
        while self.accepted and self.reader.reached(self.accepted[0].seal.cut) and not self.halted:
            await self.apply(self.accepted.pop(0))
        await self.check_waiting()
        if self.candidate is not None and clock.monotonic_ms() - self.candidate.sent_mono_ms > VERDICT_TIMEOUT_MS:
            log.warning("no verdict within %d ms: unknown, the try is dropped", VERDICT_TIMEOUT_MS)
            self.drop_candidate()
        await self.pulse()

    def is_wanted(self, partition: TopicPartition) -> bool:
        """Whether to read on in a partition: what is far ahead of the chain waits in the log, never what the next tick needs."""
        if partition.topic in {PULSE, RUNS}:
            return partition.topic == PULSE or len(self.accepted) < MAX_TICKS_AHEAD
        if self.halted:
            return partition.topic == COMMANDS or not self.inbox.is_full  # an approver's word is what it waits for
        cut = self.accepted[0].seal.cut if self.accepted else None if self.reader.reached(self.old_chain) else {}
        return self.inbox.wants(partition.topic, partition.partition, self.reader.positions[partition], cut)

    def take(self, record: Record) -> None:
        """Route one record of the log."""
        if record.topic == RUNS:
            placed = read_record(record.headers, record.key, record.value, record.offset, record.timestamp)
            if isinstance(placed, Undecodable):
                self.chain.void_records += 1
                return
            done = self.chain.feed(placed)
            if done is not None:
                self.accepted.append(done)
            return
        if record.topic == PULSE:
            received = decode(record.value, record.topic)
            if not isinstance(received, Undecodable) and isinstance(received.event, PlannerPulse):
                said_ms = ms_of(datetime.fromisoformat(received.time))
                self.election.see(received.event, record.timestamp, said_ms, clock.monotonic_ms())
            return
        read = read_input(record.topic, record.partition, record.offset, record.value)
        self.inbox.put(read)
        if not isinstance(read.event, Undecodable):
            self.wake.see(read.event, clock.monotonic_ms())

    async def apply(self, tick: AcceptedTick) -> None:
        """Fold an accepted tick: our own candidate, or somebody else's."""
        candidate, self.candidate = self.candidate, None
        own = candidate is not None and candidate.attempt.seal.hash == tick.seal.hash
        if own:
            self.state.keep()
        else:
            if candidate is not None:
                self.state.undo()
            if not self.followed(tick):
                return
        self.settle(tick, own=own, started_mono_ms=candidate.sent_mono_ms if candidate else None)
        if own:
            await self.repair()

    def followed(self, tick: AcceptedTick) -> bool:
        """Fold somebody else's tick; whether nothing differs from its seal."""
        try:
            fault = follow(self.state, self.inbox.slice_to(tick.seal.cut), tick, self.carried)
        except Broken as broken:
            # No state came of it, so there is none that an approver could let it go on from.
            self.halt(f"tick {tick.seal.tick} cannot be folded: {broken}")
            return False
        if fault is not None:
            self.halt(fault)
            self.diverged = tick
        return fault is None

    def go_on_if_accepted(self) -> None:
        """Go on from a tick that was folded and differs, once an approver accepted just that."""
        tick = self.diverged
        if tick is None or not self.inbox.is_accepted(tick.seal.tick, tick.seal.state_hash, self.state.hash()):
            return
        log.warning("an approver accepted the difference", extra={"tick": tick.seal.tick})
        self.halted, self.diverged = "", None
        self.settle(tick, own=False, started_mono_ms=None)

    def settle(self, tick: AcceptedTick, *, own: bool, started_mono_ms: float | None) -> None:
        """Bookkeeping after a tick was folded."""
        seal, mono_ms = tick.seal, clock.monotonic_ms()
        self.state.head_tick = seal.tick
        self.carried = gap_to(seal, self.state)
        self.inbox.drop_to(seal.cut)
        self.heads[seal.tick] = tick.head
        oldest = min((live.job.tick for live in self.state.jobs.rows.values()), default=seal.tick + 1) - 1
        for old in [number for number in self.heads if number < oldest]:
            del self.heads[old]
        self.seal_read_mono_ms = mono_ms
        waits = any(reason in seal.reason_counts for reason in (Reason.CONCURRENCY_LIMIT, Reason.BACKPRESSURE))
        self.wake.ticked(mono_ms, work_waits=waits)
        for queue in self.inbox.waiting.values():
            for record in queue:
                if not isinstance(record.event, Undecodable):
                    self.wake.see(record.event, mono_ms)
        TICKS.labels(seal.cause.value, str(own).lower()).inc()
        LAST_TICK.set(seal.now.timestamp())
        VOID.labels("record").set(self.chain.void_records)
        VOID.labels("seal").set(self.chain.void_seals)
        if own and started_mono_ms is not None:
            TICK_SECONDS.observe((mono_ms - started_mono_ms) / 1000)
            trace_tick(seal, self.state, mono_ms - started_mono_ms)
        if self.caught_up:
            log.info("tick", extra={
                "tick": seal.tick, "cause": seal.cause.value, "own": own, "evaluated": seal.evaluated,
                "enqueued": seal.jobs_enqueued, "zeroJobs": seal.zero_jobs,
            })  # fmt: skip

    def alive(self) -> frozenset[str]:
        """Jobs and processes that are expected to beat."""
        jobs = (key for key, live in self.state.jobs.rows.items() if live.job.status is JobStatus.RUNNING)
        return frozenset([*jobs, *self.state.runners.rows])

    def due_ms(self) -> int:
        """When the next scheduled tick is due."""
        first = self.chain.head.tick == 0
        return next_due_ms(self.chain.now_ms, clock.now_ms(), self.state.policy.tick_interval_s, first=first)

    async def tick_if_due(self) -> None:
        """Make a try, if something calls for a tick."""
        now_ms, mono_ms = clock.now_ms(), clock.monotonic_ms()
        due_ms = self.due_ms()
        cause = self.wake.cause(now_ms=now_ms, due_ms=due_ms, mono_ms=mono_ms, alive=self.alive(), policy=self.state.policy)
        if cause is None or self.accepted:
            return
        ends = await self.input_ends()
        if ends is None or self.halted:
            return
        cut = {
            topic: tuple(max(pair) for pair in zip(self.chain.cut.get(topic, ends[topic]), ends[topic], strict=True)) for topic in INPUTS
        }
        head = self.chain.head
        deadline = clock.monotonic_ms() + VERDICT_TIMEOUT_MS
        while not self.reader.reached(cut):
            await self.turn(POLL_MS)
            if clock.monotonic_ms() > deadline:
                return
        if self.chain.head != head or self.accepted or self.halted:
            return
        await self.attempt(cut, cause, min(due_ms, now_ms))

    async def attempt(self, cut: dict[str, tuple[int, ...]], cause: TickCause, due_ms: int) -> None:
        """Prepare a try and append it; the verdict comes by reading."""
        started = clock.monotonic_ms()
        inputs = TickInputs(
            tick=self.chain.head.tick + 1, try_id=clock.drawn_id(), process_id=self.process_id, head=self.chain.head,
            horizon=self.horizon(), cut=cut, cause=cause, due_at_ms=due_ms,
            now_ms=max(clock.now_ms(), self.chain.now_ms), elapsed_ms=round(started - self.seal_read_mono_ms),
        )  # fmt: skip
        self.state.begin()
        try:
            drafted = draft(self.state, self.inbox.slice_to(cut), inputs)
            prepared, self.chain.own = await send(self.producer, drafted)
        except (Broken, BadInput, ValidationError) as fault:
            # A plan that breaks a rule, or that no reader would take, is never sealed; standing still, loudly, beats deciding wrongly.
            self.state.undo()
            self.halt(str(fault))
            return
        except KafkaError as refusal:
            log.warning("the try was not acknowledged: %r", refusal)
            self.state.undo()
            return
        self.candidate = Candidate(prepared, inputs, started)
        seal = prepared.records[-1]
        try:
            await append_batch(self.producer, RUNS, 0, [Outgoing(seal.key, seal.value, seal.headers())])
        except KafkaError as refusal:
            log.warning("the seal was not acknowledged, it may be there: %r", refusal)

    def drop_candidate(self) -> None:
        """The try is lost or unknown: forget its state and read on."""
        if self.candidate is not None:
            self.candidate = None
            self.state.undo()

    def horizon(self) -> Head:
        """Where a process without a snapshot starts.

        Source: S7.
        """
        live = [live.job.tick for live in self.state.jobs.rows.values()]
        return self.heads[min(live) - 1] if live else self.chain.head

    async def repair(self) -> None:
        """Say what makes reality follow the decisions; unacknowledged is fine, the next tick says it again.

        Source: S11.
        """
        time = instant_of_ms(self.chain.now_ms)
        for step in repairs(self.state):
            live = self.state.jobs.rows[step.job_id]
            event_id = event_id_of(step, step.job_id, step.attempt)
            value = encode(step, source="autonomy/planner", subject=step.bot_id, time=time, event_id=event_id)
            try:
                await append_batch(self.producer, JOBS, live.job.partition, [Outgoing(step.bot_id.encode(), value)])
            except KafkaError as refusal:
                log.warning("a repair was not acknowledged: %r", refusal, extra={"job": step.job_id})
            else:
                log.info("repair", extra={"job": step.job_id, "kind": step.wire, "attempt": step.attempt})

    async def check_waiting(self) -> None:
        """Ask whether the log has the inputs that an accepted tick waits for: what it lost would be waited for in silence, for ever."""
        mono_ms = clock.monotonic_ms()
        if not self.accepted or self.halted:
            self.asked_mono_ms = mono_ms
        elif mono_ms - self.asked_mono_ms >= ASK_EVERY_MS:
            self.asked_mono_ms = mono_ms
            await self.input_ends()

    async def input_ends(self) -> dict[str, tuple[int, ...]] | None:
        """Where the inputs end, or None when Kafka does not answer; halts when that is before what accepted ticks folded.

        Source: S6.
        """
        try:
            ends = await self.reader.ends(INPUTS)
        except (KafkaError, TimeoutError) as refusal:
            log.warning("Kafka does not say where the inputs end: %r", refusal)
            return None
        for topic, offsets in self.chain.cut.items():
            for number, (cut, end) in enumerate(zip(offsets, ends[topic], strict=True)):
                if cut > end:
                    self.halt(f"{topic}/{number} ends at {end}, an accepted tick folded up to {cut}: the log lost records")
        return ends

    def halt(self, why: str) -> None:
        """Stop deciding, keep saying why: a human must look."""
        self.halted = why
        log.error("halted: %s", why)

    async def pulse(self) -> None:
        """Say once a second what this process is doing; from the loop that does it."""
        mono_ms = clock.monotonic_ms()
        if mono_ms - self.pulsed_mono_ms < PULSE_EVERY_MS:
            return
        self.pulsed_mono_ms = mono_ms
        now_ms = clock.now_ms()
        self.election.measure(mono_ms, now_ms)
        role = "halted" if self.halted else "starting" if not self.caught_up else self.election.role(mono_ms, now_ms)
        said = PlannerPulse(
            process_id=self.process_id, role=role, head_tick=self.chain.head.tick, head_hash=self.chain.head.hash,
            next_tick_at=instant_of_ms(self.due_ms()), problem=(self.halted or self.election.problem)[:500],
        )  # fmt: skip
        value = encode(said, source="autonomy/planner", subject=self.process_id, time=clock.now(), event_id=clock.drawn_id())
        try:
            await self.producer.send(PULSE, value, key=self.process_id.encode(), partition=0)
        except KafkaError as refusal:
            log.warning("no pulse: %r", refusal)


async def build_planner(settings: PlannerSettings, process_id: str) -> Planner:
    """Connect: the whole log from its beginning, the pulse from its recent end."""
    counts = {topic.name: topic.partitions for topic in TOPICS}
    starts = {topic: [0] * counts[topic] for topic in (RUNS, *INPUTS)}
    reader = await LogReader.open(settings.kafka, {**starts, PULSE: [0]})
    (end,) = (await reader.ends([PULSE]))[PULSE]
    first = next(iter((await reader.consumer.beginning_offsets([p for p in reader.positions if p.topic == PULSE])).values()))
    for partition in list(reader.positions):
        if partition.topic == PULSE:
            reader.seek(partition, max(first, end - 20))
    election = Election(process_id, settings.takeover_s, started_mono_ms=clock.monotonic_ms(), now_ms=clock.now_ms())
    return Planner(process_id, settings, reader, await Producer.open(lambda: build_producer(settings.kafka)), election)


async def run_planner(settings: PlannerSettings) -> int:
    """Run one planner process until SIGTERM; returns the exit code."""
    planner = await build_planner(settings, clock.drawn_id())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(planner, "stopping", True))
    try:
        await planner.run()
    except Broken as fault:
        log.critical("broken: %s", fault)
        return 1
    finally:
        await planner.reader.close()
        await asyncio.wait_for(planner.producer.stop(), timeout=10)
    return 0
