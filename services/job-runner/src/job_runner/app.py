"""The job-runner's shell: reads the log, claims, works, and says what came out.

Place in the flow: claim → run → result. One loop reads, claims, beats and watches the work, so a beat never outlives it.

Source: S7 to S10.
"""

import asyncio
import logging
import signal
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from autonomy import clock
from autonomy.chain import AcceptedTick, Chain
from autonomy.envelope import Record, Undecodable, decode, encode, event_id_of
from autonomy.errors import BadInput, Unreadable
from autonomy.events import (
    CapabilitiesAnnounced,
    JobFailed,
    JobReleased,
    JobStarted,
    JobSucceeded,
    RunnerHeartbeat,
    RunnerMarked,
    RunnerPulse,
    RunnerSign,
)
from autonomy.kafka import Outgoing, build_producer
from autonomy.log_reader import LogReader
from autonomy.producer import Producer
from autonomy.snapshot_files import RefusedSnapshot
from autonomy.topics import JOBS, PULSE, RUNNERS, RUNS, TOPICS
from autonomy.values import Cause, JobType, partition_of
from autonomy.work import SLOTS_FIELD, Work
from job_runner.claims.barrier import Barrier
from job_runner.claims.offer import Offer, Source
from job_runner.claims.outbox import Outbox
from job_runner.claims.outcome import Outcome
from job_runner.claims.queue import Claim, Queue, Rules, slots_of
from job_runner.claims.word import Word
from job_runner.claims.work import Worker
from job_runner.market.editions import Editions
from job_runner.market.sources import MarketData
from job_runner.paper.session import Marks, may_be_marked
from job_runner.paper.trader import PaperTrader
from job_runner.settings import RunnerSettings
from job_runner.starting import Keeper, find_start
from job_runner.strategies.folder import StrategyFolders
from job_runner.tracing import JobSpans

log = logging.getLogger(__name__)
SOURCE = "autonomy/job-runner"
POLL_MS = 20
IDLE_POLL_MS = 100
PULSES_BACK = 100
RELEASE_EVERY_MS = 250
RELEASES_ALARM = 3
AGAIN_S = 5.0
PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}
JOBS_DONE = Counter("autonomy_runner_jobs", "Jobs that ended here", ["type", "outcome"])
CLAIMS = Counter("autonomy_runner_claims", "Claims by outcome", ["outcome"])
HELD = Gauge("autonomy_runner_held_jobs", "Jobs that this process works on")


@dataclass(slots=True)
class Runner:
    """One job-runner process."""

    process_id: str
    settings: RunnerSettings
    reader: LogReader
    producer: Producer
    chain: Chain
    queue: Queue
    worker: Worker
    outbox: Outbox
    barrier: Barrier
    marks: Marks
    trader: PaperTrader | None = None
    sources: tuple[Source, ...] = ()
    keeper: Keeper = field(default_factory=Keeper)
    offer: Offer = field(init=False)
    watching: "asyncio.Task[None] | None" = None
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    spans: JobSpans = field(default_factory=JobSpans)
    beat_mono_ms: float = 0.0
    beat_sequence: int = 0
    beats_sent: dict[int, float] = field(default_factory=dict)
    word: Word = field(default_factory=Word)
    released_mono_ms: dict[str, float] = field(default_factory=dict)
    releases: dict[str, int] = field(default_factory=dict)
    caught_up: bool = False
    stopping: bool = False
    paused: bool = False

    def __post_init__(self) -> None:
        """What it offers is said through its own voice."""
        self.offer = Offer(self.capabilities, self.tell_runners, self.sources)

    async def run(self) -> None:
        """Fold to the end offsets of the start, then claim and work until told to stop."""
        ends = await self.reader.ends([RUNS, JOBS, RUNNERS])
        await asyncio.gather(self.worker.start(), self.offer.start(), *([self.trader.start()] if self.trader else []))
        await self.offer.announce()
        self.watching = asyncio.create_task(self.offer.watch())
        while not self.stopping:
            await self.turn()
            if not self.caught_up and self.reader.reached(ends):
                self.keeper.check(self.chain)
                self.caught_up = True
                log.info("caught up", extra={"tick": self.chain.head.tick, "queued": len(self.queue.fold.jobs)})
            if self.caught_up and not self.reader.fault:  # what cannot be read may say that a job is taken, or over
                await self.claim()
        await self.drain()

    async def turn(self) -> None:
        """Read what came, settle claims, start and stop work, give back, beat."""
        busy = any(True for _ in self.queue.claims)
        records = await self.reader.poll(POLL_MS if busy else IDLE_POLL_MS)
        for record in records:
            self.take(record)
        self.keeper.records += len(records)
        if self.caught_up:
            self.keeper.keep(self.queue, self.marks, self.chain, self.reader.positions)
        self.barrier.folded()
        self.watch_pending()
        self.reap()
        mono_ms = clock.monotonic_ms()
        for claim in self.queue.settle(mono_ms):
            CLAIMS.labels("started").inc()
            self.begin(claim, mono_ms)
        for claim in self.queue.overtaken():
            if not claim.works_since(mono_ms - claim.order.lease_s * 1000 / 2):
                self.queue.yield_to_others(claim, mono_ms)
            self.end(claim)
        await self.release(mono_ms)
        self.queue.forget_settled()
        HELD.set(len(self.queue.held()))
        if self.queue.asked_again:
            self.queue.asked_again = False
            await self.offer.announce_again()
        if mono_ms - self.beat_mono_ms >= self.settings.beat_s * 1000:
            await self.beat(mono_ms)

    def take(self, record: Record) -> None:
        """Route one record of the log."""
        mono_ms = clock.monotonic_ms()
        if record.topic == RUNS:
            done = self.chain.read(record)
            if isinstance(done, AcceptedTick):
                self.queue.apply(done, mono_ms)
                self.word.is_due = self.word.is_due or self.process_id in (done.seal.silent or ())
            return
        if record.topic == RUNNERS and not may_be_marked(record.value or b""):
            return
        received = decode(record.value, record.topic)
        if isinstance(received, Undecodable):
            return  # the projection quarantines it; here it can change nothing
        event = received.event
        if record.topic == JOBS:
            self.queue.step(event, mono_ms)  # type: ignore[arg-type] # the codec refuses any other type on this topic
        elif isinstance(event, RunnerPulse):
            self.queue.beat(event, mono_ms)
            if event.process_id == self.process_id:
                sent = self.beats_sent.pop(event.sequence, None)
                self.queue.lag_ms = mono_ms - sent if sent is not None else self.queue.lag_ms
        elif isinstance(event, RunnerMarked):
            self.marks.take(event)

    def watch_pending(self) -> None:
        """Stop fetching job events while too many wait for their tick; nothing is evicted."""
        if self.queue.fold.must_wait == self.paused:
            return
        partitions = [partition for partition in self.reader.positions if partition.topic == JOBS]
        if self.queue.fold.must_wait:
            self.reader.consumer.pause(*partitions)
        else:
            self.reader.consumer.resume(*partitions)
        self.paused = self.queue.fold.must_wait

    async def claim(self) -> None:
        """Append claims for what may be claimed now, one batch per partition."""
        mono_ms = clock.monotonic_ms()
        by_partition: dict[int, list[Outgoing]] = {}
        for order in self.queue.claimable(mono_ms):
            claim = self.queue.claimed(order, clock.drawn_id(), mono_ms)
            started = JobStarted(
                job_id=order.job_id, bot_id=order.bot_id, tick=order.tick, attempt=claim.attempt,
                claim_id=claim.claim_id, process_id=self.process_id,
            )  # fmt: skip
            by_partition.setdefault(order.partition, []).append(self.outgoing(started))
        await asyncio.gather(*(self.say(JOBS, number, records) for number, records in by_partition.items()))

    def outgoing(self, event: JobStarted | JobReleased | JobSucceeded | JobFailed) -> Outgoing:
        """A job event as a record."""
        event_id = event_id_of(event, event.job_id, event.attempt, event.claim_id)
        parent = self.spans.parent_of(event)
        value = encode(event, source=SOURCE, subject=event.bot_id, time=clock.now(), event_id=event_id, traceparent=parent)
        return Outgoing(event.bot_id.encode(), value)

    async def say(self, topic: str, partition: int, records: list[Outgoing]) -> bool:
        """Append; unacknowledged means unknown, the log tells."""
        return await self.outbox.say(topic, partition, records)

    async def release(self, mono_ms: float) -> None:
        """Give back claims that won too late, until that is effective."""
        for claim in self.queue.to_release():
            if mono_ms - self.released_mono_ms.get(claim.claim_id, -1e15) < RELEASE_EVERY_MS:
                continue
            self.released_mono_ms[claim.claim_id] = mono_ms
            await self.give_back(claim, Cause.CLAIM_GIVEN_UP)

    async def give_back(self, claim: Claim, cause: Cause) -> bool:
        """Append one JobReleased; returns whether it was acknowledged."""
        order = claim.order
        count = self.releases[order.job_id] = self.releases.get(order.job_id, 0) + 1
        if count >= RELEASES_ALARM:
            log.error("a job is released again and again", extra={"job": order.job_id, "releases": count})
        CLAIMS.labels("released").inc()
        event = JobReleased(
            job_id=order.job_id, bot_id=order.bot_id, tick=order.tick, attempt=claim.attempt,
            claim_id=claim.claim_id, process_id=self.process_id, cause=cause,
        )  # fmt: skip
        return await self.say(JOBS, order.partition, [self.outgoing(event)])

    def begin(self, claim: Claim, mono_ms: float) -> None:
        """Start the work of a claim that won: a task of this loop that trades, or one that waits for the pool."""
        if self.trader is not None and claim.work is Work.RUNNER:
            claim.turned_mono_ms = mono_ms
            work = self.trade(self.trader, claim)
        else:
            work = self.work(claim)
        task = self.tasks[claim.claim_id] = asyncio.create_task(work)
        self.spans.begin(claim, task)

    def end(self, claim: Claim) -> None:
        """Stop the work of a claim that no longer wins."""
        if claim.work is not Work.RUNNER:
            self.worker.cancel(claim.order.job_id)
        elif claim.claim_id in self.tasks:
            # At once, in the middle of whatever it waits for: nothing more may be said under this claim.
            self.tasks[claim.claim_id].cancel()
        else:
            self.queue.done(claim)  # cancelled before its first step, so that it could not say so itself

    async def trade(self, trader: PaperTrader, claim: Claim) -> None:
        """Trade a session under a started claim, say how it ended, or give the claim back when this process stops."""
        try:
            outcome = await trader.run(claim)
            if outcome is not None:
                await self.conclude(claim, outcome)
            while outcome is None and self.queue.wins(claim) and not await self.give_back(claim, Cause.RUNNER_DRAINED):  # noqa: ASYNC110
                await asyncio.sleep(self.settings.beat_s / 4)
        finally:
            self.queue.done(claim)

    async def work(self, claim: Claim) -> None:
        """Do the work of a started claim and say what came out, until that is acknowledged or no longer wanted."""

        def on_progress(phase: str, progress: float) -> None:
            claim.phase, claim.progress = phase, progress

        await self.conclude(claim, await self.worker.run(claim.order, on_progress))
        self.queue.done(claim)

    async def conclude(self, claim: Claim, outcome: Outcome) -> None:
        """Say what came of a claim's work."""
        JOBS_DONE.labels(claim.order.job_type.value, outcome.label).inc()
        self.spans.label(claim, outcome.label)
        if outcome.make is not None:
            record = self.outgoing(outcome.make(claim, self.process_id))
            while self.queue.wins(claim) and not await self.say(JOBS, claim.order.partition, [record]):  # noqa: ASYNC110 (a retry)
                await asyncio.sleep(self.settings.beat_s / 4)

    def reap(self) -> None:
        """Forget finished work; a fault in it is a fault of this process."""
        if self.watching is not None and self.watching.done() and not self.watching.cancelled():
            self.watching.result()
        for claim_id, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[claim_id]
                if not task.cancelled():
                    task.result()

    async def beat(self, mono_ms: float, *, stopping: bool = False) -> None:
        """Say that this process lives, with the jobs it works on and how far they are.

        A session whose task has not turned since the last beat is left out: it hangs, and its lease shall run out.
        """
        last_mono_ms, self.beat_mono_ms = self.beat_mono_ms, mono_ms
        self.beat_sequence += 1
        listed = [claim for claim in self.queue.held() if self.queue.wins(claim) and claim.works_since(last_mono_ms)]
        beat = RunnerPulse(
            process_id=self.process_id, sequence=self.beat_sequence, stopping=stopping, announcement=self.offer.named,
            jobs=tuple(claim.held() for claim in listed), **self.slots(),
        )  # fmt: skip
        self.beats_sent[self.beat_sequence] = mono_ms
        while len(self.beats_sent) > 100:
            self.beats_sent.pop(next(iter(self.beats_sent)))
        heard = await self.say(PULSE, 0, [self.sign_of(beat)])
        if heard:
            self.word.pulsed(mono_ms, self.settings.beat_s * 1000)
        if self.word.is_wanted(beat, mono_ms):
            said = await self.tell_runners(RunnerHeartbeat(**{name: getattr(beat, name) for name in RunnerSign.model_fields}))
            if said:
                self.word.was_said(beat, mono_ms)
            heard = heard or said
        for claim in listed if heard else ():
            claim.confirm(mono_ms)

    def slots(self) -> dict[str, int]:
        """How many jobs of each kind of work this process takes on at once, as beats and announcement say it."""
        return {field: self.queue.rules.slots.get(work, 0) for work, field in SLOTS_FIELD.items()}

    def capabilities(self) -> CapabilitiesAnnounced:
        """What this process can do now, as it is announced."""
        said = self.worker.capabilities(self.process_id, self.settings.research_slots)
        types = tuple(sorted(self.queue.rules.job_types))
        return said.model_copy(update={"job_types": types, **self.slots()})

    async def tell_runners(self, event: RunnerHeartbeat | CapabilitiesAnnounced) -> bool:
        """Append to `autonomy.runners`."""
        return await self.say(RUNNERS, partition_of(self.process_id, PARTITIONS[RUNNERS]), [self.sign_of(event)])

    def sign_of(self, event: RunnerSign | CapabilitiesAnnounced) -> Outgoing:
        """A word of this process about itself as a record."""
        value = encode(event, source=SOURCE, subject=self.process_id, time=clock.now(), event_id=clock.drawn_id())
        return Outgoing(self.process_id.encode(), value)

    async def drain(self) -> None:
        """Claim nothing more, let running work finish for a while, give the rest back at once, say goodbye."""
        log.info("draining", extra={"jobs": len(self.tasks)})
        if self.watching is not None:
            self.watching.cancel()
        if self.trader is not None:
            self.trader.stopping = True
        mono_ms = clock.monotonic_ms()
        deadline = mono_ms + self.settings.drain_s * 1000
        while self.tasks and clock.monotonic_ms() < deadline:
            await self.turn()
        for claim in [claim for claim in self.queue.held() if self.queue.wins(claim)]:
            self.end(claim)
            await self.give_back(claim, Cause.RUNNER_DRAINED)
        for task in self.tasks.values():
            task.cancel()
        await self.beat(clock.monotonic_ms(), stopping=True)
        await self.worker.stop(drain_s=0)


async def build_runner(settings: RunnerSettings, worker: Worker, process_id: str, market: MarketData | None = None) -> Runner:
    """Connect, from a snapshot or the horizon on; with a market this process trades on paper too."""
    starts = {topic: [0] * PARTITIONS[topic] for topic in (RUNS, JOBS, RUNNERS, PULSE)}
    reader = await LogReader.open(settings.kafka, starts, goes_on=True, near_end={PULSE: PULSES_BACK})
    try:
        start = await find_start(reader, settings.snapshots)
        producer = await Producer.open(lambda: build_producer(settings.kafka))
    except BaseException:
        await reader.close()
        raise
    job_types = worker.job_types | ({JobType.RUNNER_START} if market is not None and settings.runner_slots else frozenset())
    rules = Rules(
        process_id=process_id, slots=slots_of(settings.slots, job_types), deadline_ms=settings.claim_deadline_s * 1000,
        beat_ms=settings.beat_s * 1000, job_types=job_types,
    )  # fmt: skip
    own = worker.strategies or StrategyFolders()
    queue, marks = Queue(rules, can_run=lambda order: worker.strategies is None or order.strategy in own.found.strategies), Marks()
    start.restore(queue, marks, clock.monotonic_ms())
    outbox, barrier = Outbox(producer), Barrier(reader, (RUNS, JOBS, RUNNERS))
    trader = None
    if market is not None and settings.runner_slots:
        trader = PaperTrader(process_id, market, queue, outbox, barrier, marks, settings.beat_s, own)
    sources = tuple(source for source in (market, worker.strategies) if isinstance(source, Editions | StrategyFolders))
    keeper = Keeper(settings.snapshots, start.at_snapshot)
    return Runner(process_id, settings, reader, producer, start.chain, queue, worker, outbox, barrier, marks, trader, sources, keeper)


async def run_runner(settings: RunnerSettings, worker: Worker, market: MarketData | None = None) -> int:
    """Run one job-runner process until SIGTERM; returns the exit code."""
    try:
        runner = await build_runner(settings, worker, clock.drawn_id(), market)
    except Unreadable as fault:
        log.critical("the log cannot be read: %s", fault)
        await asyncio.sleep(AGAIN_S)  # as below
        return 1
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(runner, "stopping", True))
    try:
        await runner.run()
    except (BadInput, RefusedSnapshot) as refusal:
        log.critical("this process can do no job: %s", refusal)
        await asyncio.sleep(AGAIN_S)  # whoever starts it again at once would only say so faster
        return 1
    finally:
        await worker.stop(drain_s=0)  # also when it never came so far: its processes must not outlive this one
        await runner.reader.close()
        await asyncio.wait_for(runner.producer.stop(), timeout=10)
    return 0
