"""The planner's shell: reads the log, leads or stands by, appends tries, and learns their verdicts by reading.

Place in the flow: everything with a clock, a connection or a drawn id; no branch on domain data. One loop does it all, and
says its own pulse, so a pulse never outlives the work.

Source: S1 to S6, S11, S12.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from autonomy import clock
from autonomy.chain import AcceptedTick, Chain
from autonomy.envelope import Received, Record, Undecodable, decode, encode, event_id_of
from autonomy.errors import BadInput, Broken
from autonomy.events import PlannerPulse, RunnerHeartbeat, RunnerPulse
from autonomy.kafka import Outgoing, append_batch
from autonomy.log_reader import LogReader
from autonomy.producer import Producer
from autonomy.reasons import REASONS
from autonomy.telemetry import spare_collector
from autonomy.topics import COMMANDS, INPUTS, JOBS, PULSE, RUNS
from autonomy.values import TickCause, instant_of_ms, ms_of
from planner.fold.inputs import input_root, read_input
from planner.fold.slices import repairs
from planner.fold.state import State
from planner.following import follow, gap_to
from planner.shell import metrics
from planner.shell.election import Election
from planner.shell.halt import Halt
from planner.shell.hearing import Hearing, expected, is_unknown
from planner.shell.horizons import Horizons
from planner.shell.inbox import MAX_TICKS_AHEAD, Inbox
from planner.shell.known_heads import KnownHeads, write_head_file
from planner.shell.sending import send
from planner.shell.settings import PlannerSettings
from planner.shell.snapshots import Start
from planner.shell.starting import keep
from planner.shell.tracing import trace_tick
from planner.shell.wake import Wake, next_due_ms
from planner.tick import TickInputs, Try, draft

log = logging.getLogger(__name__)
VERDICT_TIMEOUT_MS = 15_000
UNACKNOWLEDGED_MS = 3_000
"""How long a verdict is waited for whose seal was not acknowledged; dropping it is safe: one that lands later is read as anybody's (S4)."""
PULSE_EVERY_MS = 1_000
ASK_EVERY_MS = 1_000
"""While an accepted tick waits for inputs, how often the broker is asked whether it has them at all."""
POLL_MS = 50


@dataclass(slots=True)
class Candidate:
    """A try whose seal was appended, or may have been; the verdict is read from the log."""

    attempt: Try
    inputs: TickInputs
    sent_mono_ms: float
    drop_mono_ms: float


@dataclass(slots=True)
class Planner:
    """One planner process.

    Attributes:
        old_chain: where `autonomy.runs` ended when it started: up to there an accepted tick is still to come.
        carried: the gap between the sealed and the folded state that an approver accepted, as long as it stays the same.
        known: heads that were accepted once, as pulses and its own file tell; a log without them is not the whole one.
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
    hearing: Hearing = field(default_factory=Hearing)
    accepted: list[AcceptedTick] = field(default_factory=list)
    old_chain: dict[str, tuple[int, ...]] = field(default_factory=dict)
    horizons: Horizons = field(default_factory=Horizons)
    candidate: Candidate | None = None
    seal_read_mono_ms: float = field(default_factory=clock.monotonic_ms)
    pulsed_mono_ms: float = 0.0
    asked_mono_ms: float = field(default_factory=clock.monotonic_ms)
    standing_still: Halt = field(default_factory=Halt)
    carried: int = 0
    known: KnownHeads = field(default_factory=KnownHeads)
    caught_up: bool = False
    stopping: bool = False

    def begin_at(self, start: Start) -> None:
        """Stand on a snapshot; its seal is the first record of the chain that is read."""
        self.state, self.chain, self.horizons = start.state, Chain.anchored(start.head), start.horizons
        self.known.folded = dict(start.snapshot.heads)
        self.standing_still.excused = [(after, given_up.whole()) for after, given_up in start.snapshot.excused]

    async def run(self) -> None:
        """Fold the log, then lead or stand by until told to stop."""
        ends = await self.reader.ends([RUNS, *INPUTS, PULSE])
        self.old_chain = {RUNS: ends[RUNS]}
        while not self.stopping:
            await self.turn(POLL_MS)
            if not self.caught_up and self.reader.reached(ends) and not self.accepted:
                self.caught_up = True
                spare_collector()
                log.info("caught up", extra={"tick": self.chain.head.tick, "bots": len(self.state.bots.rows)})
                if lost := self.standing_still.look_for_lost_ticks(self.chain, self.known, self.state):
                    self.halt(lost)
            if self.caught_up and not self.stuck and self.candidate is None and self.lead():
                await self.tick_if_due()

    @property
    def halted(self) -> str:
        """Why it stands still; empty while it does not."""
        return self.standing_still.why

    @property
    def stuck(self) -> str:
        """Why nothing may be decided: a human must look, or, as long as that lasts, a place of the log that nobody can read."""
        return self.halted or self.reader.fault

    def lead(self) -> bool:
        """Whether this process may append a tick now."""
        leads = self.election.leads(clock.monotonic_ms(), clock.now_ms())
        metrics.ROLE.set(leads)
        return leads

    async def turn(self, timeout_ms: int) -> None:
        """Read what came, fold the ticks whose inputs are here, say a pulse."""
        self.reader.pause_all_but({partition for partition in self.reader.positions if self.is_wanted(partition)})
        records, place = await self.reader.poll(timeout_ms), 0
        if self.reader.lost and not self.halted:
            # For good: what is appended in place of the lost records must not be taken for them. A start compares what is left.
            head = self.chain.head
            self.halt(self.reader.lost + (f"; this planner stands on tick {head.tick} with {head.hash}" if head.tick else ""))
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
        if self.candidate is not None and clock.monotonic_ms() > self.candidate.drop_mono_ms:
            log.warning("no verdict after %.0f ms: unknown, the try is dropped", clock.monotonic_ms() - self.candidate.sent_mono_ms)
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
            done = self.chain.read(record)
            if isinstance(done, Undecodable):
                self.chain.void_records += 1
            elif done is not None:
                self.accepted.append(done)
            return
        if record.topic == PULSE:
            received = decode(record.value, record.topic)
            if not isinstance(received, Undecodable):
                self.hear(received, record.timestamp)
            return
        read = read_input(record.topic, record.partition, record.offset, record.value, record.key, record.headers)
        self.inbox.put(read)
        if not isinstance(read.event, Undecodable):
            self.wake.see(read.event, clock.monotonic_ms())
            if isinstance(read.event, RunnerHeartbeat) and is_unknown(read.event, self.state):
                self.wake.capacity = self.wake.work_waits = True

    def hear(self, received: Received, appended_ms: int) -> None:
        """Take a sign of life: who leads, which head was known to whom, which runners live."""
        pulse, mono_ms = received.event, clock.monotonic_ms()
        if isinstance(pulse, PlannerPulse):
            self.election.see(pulse, appended_ms, ms_of(datetime.fromisoformat(received.time)), mono_ms)
            if pulse.process_id == self.process_id:
                self.hearing.own_mono_ms = mono_ms
        elif isinstance(pulse, RunnerPulse):
            said_mono_ms = mono_ms - max(0, clock.now_ms() - appended_ms)  # one that waited in the log is as old as it is
            self.hearing.hear(pulse, said_mono_ms)
            self.wake.see(pulse, said_mono_ms)
        if not self.caught_up:
            self.known.hear(pulse)

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
            slice_ = self.inbox.slice_to(tick.seal.cut)
            fault = follow(self.state, slice_, tick, self.carried)
        except Broken as broken:
            # No state came of it, so there is none that an approver could let it go on from.
            self.halt(f"tick {tick.seal.tick} cannot be folded: {broken}")
            return False
        if fault is not None:
            self.halt(fault)
            self.standing_still.diverged, self.standing_still.diverged_root = tick, input_root(slice_)
        return fault is None

    def go_on_if_accepted(self) -> None:
        """Go on from a tick that was folded and differs, once an approver accepted just that."""
        if not self.standing_still.is_lifted(self.chain, self.state, self.inbox):
            return
        tick = self.standing_still.lift()
        log.warning("approvers accepted the difference", extra={"tick": self.chain.head.tick if tick is None else tick.seal.tick})
        if tick is not None:
            self.settle(tick, own=False, started_mono_ms=None)

    def settle(self, tick: AcceptedTick, *, own: bool, started_mono_ms: float | None) -> None:
        """Bookkeeping after a tick was folded."""
        seal, mono_ms = tick.seal, clock.monotonic_ms()
        self.state.head_tick = seal.tick
        self.carried = gap_to(seal, self.state)
        self.inbox.drop_to(seal.cut)
        self.horizons.settle(tick.head, self.state)
        self.known.fold(tick.head)
        self.standing_still.excuse(tick)
        self.seal_read_mono_ms = mono_ms
        waits = any(REASONS[reason].frees for reason in seal.reason_counts)
        self.wake.ticked(mono_ms, work_waits=waits)
        for queue in self.inbox.waiting.values():
            for record in queue:
                if not isinstance(record.event, Undecodable):
                    self.wake.see(record.event, mono_ms)
        metrics.count(seal, self.chain, own=own)
        if own and started_mono_ms is not None:
            metrics.TICK_SECONDS.observe((mono_ms - started_mono_ms) / 1000)
            trace_tick(seal, self.state, mono_ms - started_mono_ms)
        if self.caught_up:
            if self.settings.head_file is not None:
                write_head_file(self.settings.head_file, tick.head)
            metrics.log_tick(seal, own=own)
            if self.settings.snapshots is not None and not self.carried:  # a state that differs by a gap has another root
                keep(self.settings.snapshots, tick, self.state, self.horizons, self.known.folded, self.standing_still.excused)

    def due_ms(self) -> int:
        """When the next scheduled tick is due."""
        first = self.chain.head.tick == 0
        return next_due_ms(self.chain.now_ms, clock.now_ms(), self.state.policy.tick_interval_s, first=first)

    async def tick_if_due(self) -> None:
        """Make a try, if something calls for a tick."""
        now_ms, mono_ms = clock.now_ms(), clock.monotonic_ms()
        due_ms = self.due_ms()
        cause = self.wake.cause(now_ms=now_ms, due_ms=due_ms, mono_ms=mono_ms, alive=expected(self.state), policy=self.state.policy)
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
            horizon=self.horizons.now(self.state), cut=cut, cause=cause, due_at_ms=due_ms,
            now_ms=max(clock.now_ms(), self.chain.now_ms), elapsed_ms=round(started - self.seal_read_mono_ms),
            silent=self.hearing.silent(self.state, started),
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
        self.candidate = Candidate(prepared, inputs, started, started + VERDICT_TIMEOUT_MS)
        seal = prepared.records[-1]
        try:
            await append_batch(self.producer, RUNS, 0, [Outgoing(seal.key, seal.value, seal.headers())])
        except KafkaError as refusal:
            log.warning("the seal was not acknowledged, it may be there: %r", refusal)
            self.candidate.drop_mono_ms = clock.monotonic_ms() + UNACKNOWLEDGED_MS

    def drop_candidate(self) -> None:
        """The try is lost or unknown: forget its state and read on."""
        if self.candidate is not None:
            self.candidate = None
            self.state.undo()

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
        self.standing_still.why = why
        log.error("halted: %s", why)

    async def pulse(self) -> None:
        """Say once a second what this process is doing; from the loop that does it."""
        mono_ms = clock.monotonic_ms()
        if mono_ms - self.pulsed_mono_ms < PULSE_EVERY_MS:
            return
        self.pulsed_mono_ms = mono_ms
        now_ms = clock.now_ms()
        self.election.measure(mono_ms, now_ms)
        role = "halted" if self.stuck else "starting" if not self.caught_up else self.election.role(mono_ms, now_ms)
        said = PlannerPulse(
            process_id=self.process_id, role=role, head_tick=self.chain.head.tick, head_hash=self.chain.head.hash,
            next_tick_at=instant_of_ms(self.due_ms()), problem=(self.stuck or self.election.problem)[:500],
        )  # fmt: skip
        value = encode(said, source="autonomy/planner", subject=self.process_id, time=clock.now(), event_id=clock.drawn_id())
        try:
            await self.producer.send(PULSE, value, key=self.process_id.encode(), partition=0)
        except KafkaError as refusal:
            log.warning("no pulse: %r", refusal)
