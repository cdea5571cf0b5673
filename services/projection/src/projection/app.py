"""The projection's shell: reads every topic, and commits rows with their offsets in one transaction.

Place in the flow: log → apply → PostgreSQL → NOTIFY. A batch that fails is not retried in place: the process drops all it
has in memory and starts again from the offsets in the database, which are always those of the rows.
"""

import asyncio
import gc
import logging
import signal
import sys
from collections import Counter as Tally
from collections import deque
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from autonomy import clock
from autonomy.chain import Chain
from autonomy.envelope import encode
from autonomy.errors import Broken, Retryable
from autonomy.kafka import LogReader, Outgoing, append_batch, build_producer
from autonomy.lifecycle import MAX_PENDING
from autonomy.postgres import GONE, NOT_READY, connect
from autonomy.telemetry import is_traced
from autonomy.topics import JOBS, PULSE, QUARANTINE, RUNNERS, RUNS, TOPICS
from autonomy.values import derived_id
from projection.intake import Intake
from projection.settings import ProjectionSettings
from projection.store import Progress, load
from projection.tracing import RowSpans
from projection.writer import Writer

log = logging.getLogger(__name__)
POLL_MS = 100
POLL_RECORDS = 5_000
BEHIND = 1_000
"""Records in one poll that tell that the log is ahead: more are read before they are committed, since many change the same rows."""
IN_FLIGHT = 3
"""Batches on their way to the database at once: a tick is applied in one go, and the database shall not wait for it."""
RETRY_S = 0.5
COMMIT_TIMEOUT_S = 30
PULSES_BACK = 50
SWITCH_S = 0.000_5
PASSING = (*GONE, KafkaError)
"""What may be over at the next start; anything else is a fault of this code and stops the process."""
ROWS = Counter("autonomy_projection_records", "Records applied", ["topic"])
HEAD_TICK = Gauge("autonomy_projection_head_tick", "Last accepted tick applied")
QUARANTINED = Gauge("autonomy_quarantined_records", "Records that could not be read")


@dataclass(slots=True)
class Projection:
    """One projection on one schema."""

    settings: ProjectionSettings
    writer: Writer
    reader: LogReader
    producer: AIOKafkaProducer
    intake: Intake
    writing: "deque[tuple[asyncio.Future[None], Progress]]" = field(default_factory=deque)
    stopping: bool = False
    taken: int = 0
    paused: frozenset[TopicPartition] = frozenset()
    read_only_log: bool = False

    async def close(self) -> None:
        """Let go of every connection; a batch under way is dropped, it is read again."""
        for under_way, _ in self.writing:
            under_way.cancel()
        await asyncio.gather(*[under_way for under_way, _ in self.writing], return_exceptions=True)
        try:
            await self.reader.close()
            await asyncio.wait_for(self.producer.stop(), timeout=10)
        finally:
            await self.writer.close()  # its thread must not outlive a broker that does not answer

    async def run(self) -> None:
        """Project until told to stop."""
        while not self.stopping:
            await self.turn()
        if self.taken:
            await self._begin_commit()
        await self.settle()

    async def turn(self) -> bool:
        """Read what is there and commit it, or read on while the log is far ahead; returns whether there was anything.

        The next batches are read and decoded during the commit: their rows and offsets still move together and only after those before
        them, and if one fails none that follows is written. When nothing comes, all commits are waited for.
        """
        records = await self.reader.poll(POLL_MS, min(POLL_RECORDS, self.settings.batch))
        for record in records:
            self.intake.take(record)
        for topic, count in Tally([record.topic for record in records]).items():
            ROWS.labels(topic).inc(count)
        applied = self.intake.apply_ready_ticks()
        self.taken += len(records)
        if not self.taken and not applied:
            await self.settle()
            return False
        self.watch_pending()
        if len(records) < BEHIND or self.taken >= self.settings.batch:
            await self.settle(IN_FLIGHT - 1)
            await self._begin_commit()
        return True

    async def commit(self) -> None:
        """Rows and offsets, in one transaction; what goes to quarantine is said before, at least once."""
        await self._begin_commit()
        await self.settle()

    async def settle(self, left: int = 0) -> None:
        """Wait until at most so many batches are under way to the database, the oldest first."""
        while len(self.writing) > left or (self.writing and self.writing[0][0].done()):
            under_way, progress = self.writing[0]
            await under_way
            self.writing.popleft()
            HEAD_TICK.set(progress.head.tick)
            QUARANTINED.set(progress.quarantined)

    async def _begin_commit(self) -> None:
        for said in self.intake.take_said():
            if self.read_only_log:
                break
            key = f"{said.source_topic}/{said.source_partition}/{said.source_offset}"
            value = encode(said, source="autonomy/projection", subject=key, time=clock.now(), event_id=derived_id("quarantine", key))
            await append_batch(self.producer, QUARANTINE, 0, [Outgoing(key.encode(), value)])
            log.warning("quarantined", extra={"record": key, "reason": said.reason})
        changes, progress = self.intake.model.finish(), self.intake.progress()
        traced = self.intake.spans.take(progress.head.tick) if self.intake.spans else ()
        self.writing.append((self.writer.write(changes, progress, traced), progress))
        self.intake.handed_over(progress)
        self.taken = 0

    def watch_pending(self) -> None:
        """Stop fetching job events and bars while too many wait for their tick."""
        # What was read before has to come in whole, or no tick can be applied that would free it.
        model, full = self.intake.model, frozenset[TopicPartition]()
        if not self.intake.reads_again:
            if model.fold.must_wait:
                full |= {partition for partition in self.reader.positions if partition.topic == JOBS}
            if model.books.pending_bars >= MAX_PENDING:
                # A partition where a bar waits was read beyond the next tick's cut, so that tick does not need more of it.
                full |= {TopicPartition(*key) for key, queue in self.intake.waiting.items() if key[0] == RUNNERS and queue}
        if full == self.paused:
            return
        self.reader.consumer.resume(*(self.paused - full))
        self.reader.consumer.pause(*full)
        self.paused = full


async def build_projection(settings: ProjectionSettings, *, read_only_log: bool = False) -> Projection:
    """Connect, and read on where the rows are.

    Args:
        settings: where.
        read_only_log: a rebuild says nothing; what it quarantines was said when it was live.
    """
    # Rows and open events live long; looking through them for cycles every few hundred objects would cost a quarter of the time.
    gc.set_threshold(200_000, 20, 100)
    # The writing thread needs the interpreter for moments between statements; at the usual 5 ms the database waits longer than it works.
    sys.setswitchinterval(SWITCH_S)
    connection = await connect(settings.database_url, settings.schema_name, statement_s=COMMIT_TIMEOUT_S)
    try:
        model, head, offsets = await load(connection)
        known = await connection.fetchrow("SELECT void_records, void_seals, void_steps, quarantined FROM projection_head")
    finally:
        await connection.close()
    starts = {topic.name: [offsets.next_offset.get((topic.name, number), 0) for number in range(topic.partitions)] for topic in TOPICS}
    chain = Chain.anchored(head)
    if head.offset >= 0:
        starts[RUNS] = [head.offset]  # the seal itself: it proves that this is the log that the rows come from
    writer = await Writer.open(settings.database_url, settings.schema_name, COMMIT_TIMEOUT_S)
    try:
        reader = await LogReader.open(settings.kafka, starts)
        await skip_expired_pulses(reader)
        producer = await build_producer(settings.kafka)
    except BaseException:
        await writer.close()
        raise
    intake = Intake(model, chain, offsets, head, spans=RowSpans() if is_traced() and not read_only_log else None)
    if known is not None:
        chain.void_records, chain.void_seals = known["void_records"], known["void_seals"]
        intake.quarantined, model.fold.void["before this start"] = known["quarantined"], known["void_steps"]
    for (topic, number), offset in offsets.next_offset.items():
        intake.positions[(topic, number)] = offset
    return Projection(settings, writer, reader, producer, intake, read_only_log=read_only_log)


async def skip_expired_pulses(reader: LogReader) -> None:
    """Pulses expire, and only the newest matter: start near their end."""
    partition = TopicPartition(PULSE, 0)
    (end,) = (await reader.ends([PULSE]))[PULSE]
    first = (await reader.consumer.beginning_offsets([partition]))[partition]
    reader.seek(partition, max(first, reader.positions[partition], end - PULSES_BACK))


async def run_projection(settings: ProjectionSettings) -> int:
    """Run until SIGTERM; a lost database or broker costs a new start, never a row."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    current: list[Projection] = []

    def stop() -> None:
        stopping.set()
        for projection in current:
            projection.stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    while not stopping.is_set():
        try:
            projection = await build_projection(settings)
        except (*NOT_READY, KafkaError, Retryable) as refusal:
            log.warning("waiting for Kafka or PostgreSQL: %r", refusal)
            await asyncio.sleep(RETRY_S)
            continue
        current[:] = [projection]
        try:
            await projection.run()
        except PASSING as refusal:
            log.warning("the batch is dropped, starting again from the committed offsets: %r", refusal)
            await asyncio.sleep(RETRY_S)
        except Broken as fault:
            log.critical("broken: %s", fault)
            return 1
        finally:
            await projection.close()
    return 0
