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
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import asyncpg
import psycopg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from autonomy import clock
from autonomy.chain import Chain
from autonomy.envelope import encode
from autonomy.errors import Broken, Retryable
from autonomy.kafka import Outgoing, append_batch, build_producer
from autonomy.log_reader import LogReader
from autonomy.postgres import GONE, NOT_READY, connect, is_refusal, words_of
from autonomy.producer import Producer
from autonomy.read_model import schema_version, version_in
from autonomy.telemetry import is_traced
from autonomy.topics import INPUTS, PULSE, QUARANTINE, RUNS, TOPICS
from autonomy.values import derived_id
from projection.intake import Intake
from projection.settings import ProjectionSettings
from projection.store.batches import Progress, load
from projection.store.writer import Writer
from projection.tracing import RowSpans

log = logging.getLogger(__name__)
POLL_MS = 100
POLL_RECORDS = 5_000
PART = 2_500
"""Records after which the database gets what is done with, while the broker is known to hold more."""
LONGEST_MS = 2_000
"""No record waits longer for its commit, however far ahead the log is."""
SHORTLY_MS = 100
"""Nor longer than this once less than a part is left, as when records keep coming."""
SPINE = TopicPartition(RUNS, 0)
TICKS_AHEAD = 2
"""Accepted ticks that wait for their inputs at once."""
PARTITION_BYTES = 2 << 20
"""Fetched of one partition at once: the inputs of a tick lie in many."""
IN_FLIGHT = 3
"""Parts of batches on their way to the database at once: a tick is applied in one go, and the database shall not wait for it."""
RETRY_S = 0.5
REFUSED_RETRY_S = 5.0
COMMIT_TIMEOUT_S = 30
PULSES_BACK = 200
EVERYTHING = 1 << 62
"""More records than a topic has."""
SWITCH_S = 0.000_5
LOST = (
    psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.IdleInTransactionSessionTimeout, psycopg.errors.TransactionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
)  # fmt: skip
"""The writer's connection, or the server's patience with it."""
PASSING = (*GONE, *LOST, KafkaError)
"""What may be over at the next start; anything else is a fault of this code and stops the process."""
ROWS = Counter("autonomy_projection_records", "Records applied", ["topic"])
HEAD_TICK = Gauge("autonomy_projection_head_tick", "Last accepted tick applied")
QUARANTINED = Gauge("autonomy_quarantined_records", "Records that could not be read")


@dataclass(slots=True)
class Projection:
    """One projection on one schema.

    Attributes:
        uncommitted: records read since the last commit; the first of them at `since_ms`.
        unflushed: those of them since a part of the batch was written.
        last_far_behind_ms: when more than a part of a batch was last left to read.
    """

    settings: ProjectionSettings
    writer: Writer
    reader: LogReader
    producer: Producer
    intake: Intake
    writing: "deque[tuple[asyncio.Future[None], Progress | None]]" = field(default_factory=deque)
    stopping: bool = False
    uncommitted: int = 0
    since_ms: float = 0.0
    last_far_behind_ms: float = 0.0
    unflushed: int = 0
    read_only_log: bool = False

    async def close(self) -> None:
        """Let go of every connection; a batch under way is dropped, it is read again."""
        self.writer.failed = True  # or its thread, coming free between two of these, would commit a batch without a part of it
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
        if self.uncommitted:
            await self._begin_commit()
        await self.settle()

    async def turn(self) -> bool:
        """Read what is there and commit it, or read on while the log is ahead; returns whether there was anything.

        Behind, a batch is large, since many records change the same rows; what is done with is written meanwhile, in the batch's own
        transaction, and the rest once, at its end.

        The next batches are read and decoded during the commit: their rows and offsets still move together and only after those before
        them, and if one fails none that follows is written. When nothing comes, all commits are waited for.
        """
        records = await self.reader.poll(POLL_MS, min(POLL_RECORDS, self.settings.batch - self.uncommitted))
        if not self.uncommitted:
            self.since_ms = self.last_far_behind_ms = clock.monotonic_ms()
        for record in records:
            self.intake.take(record)
        for topic, count in Tally([record.topic for record in records]).items():
            ROWS.labels(topic).inc(count)
        applied = self.intake.apply_ready_ticks()
        self.uncommitted += len(records)
        self.unflushed += len(records)
        self.read_in_order(quiet=not records)
        news = self.look_around()
        if not self.uncommitted and not applied and not news:
            await self.settle()
            return False
        now_ms, left = clock.monotonic_ms(), self.reader.lag() if records else 0
        if left >= PART:
            self.last_far_behind_ms = now_ms
        late = now_ms - self.since_ms > LONGEST_MS or now_ms - self.last_far_behind_ms > SHORTLY_MS
        if late or news or not left or self.uncommitted >= self.settings.batch:
            await self.settle(IN_FLIGHT - 1)
            await self._begin_commit()
        elif self.unflushed >= PART:
            await self.settle(IN_FLIGHT - 1)
            self.writing.append((self.writer.write(self.intake.model.changes.take_done()), None))
            self.unflushed = 0
        return True

    def look_around(self) -> bool:
        """Keep in the rows what of the log cannot be read, as long as that lasts; returns whether that is another thing than before."""
        for partition, offset, why in self.reader.obstacles.take_skipped():
            self.intake.leave_out(partition, offset, why, clock.now())
        return self.intake.model.signs.reading(self.reader.fault, clock.now())

    async def commit(self) -> None:
        """Rows and offsets, in one transaction; what goes to quarantine is said before, at least once."""
        await self._begin_commit()
        await self.settle()

    async def settle(self, left: int = 0) -> None:
        """Wait until at most so many parts of batches are under way to the database, the oldest first."""
        while len(self.writing) > left or (self.writing and self.writing[0][0].done()):
            under_way, progress = self.writing[0]
            # Shielded: a part that is taken back alone would let the end of its batch be committed without it.
            await asyncio.wait_for(asyncio.shield(under_way), COMMIT_TIMEOUT_S)
            self.writing.popleft()
            if progress is not None:
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
        self.writing.append((self.writer.commit(changes, progress, traced), progress))
        self.intake.handed_over(progress)
        self.uncommitted = self.unflushed = 0

    def read_in_order(self, *, quiet: bool = False) -> None:
        """Fetch on only where the next ticks need it.

        What is read far ahead of its tick waits in memory, and the database waits for it.

        Args:
            quiet: nothing came. Then no input is held for a chain that is said to go on: at its end may stand what is never handed out,
                such as the marker of somebody's transaction.
        """
        held = set[TopicPartition]()
        # What was read before has to come in whole, or no tick can be applied that would free it.
        if not self.intake.reads_again:
            ticks = self.intake.ticks
            if len(ticks) >= TICKS_AHEAD:
                held.add(SPINE)
            cut = ticks[-1].seal.cut if ticks else {} if self.reader.is_behind(SPINE) and not quiet else None
            held |= {
                partition
                for partition, position in self.reader.positions.items()
                if partition.topic in INPUTS
                and (self.intake.is_full(*partition) or (cut is not None and position >= end_of(cut, *partition)))
            }
        self.reader.pause_all_but(self.reader.positions.keys() - held)


def end_of(cut: Mapping[str, Sequence[int]], topic: str, number: int) -> int:
    """Where a cut ends in a partition."""
    ends = cut.get(topic, ())
    return ends[number] if number < len(ends) else 0


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
        await same_version(connection, settings.schema_name)
        model, head, offsets = await load(connection)
        known = await connection.fetchrow("SELECT void_records, void_seals, void_steps, quarantined FROM projection_head")
    finally:
        await connection.close()
    starts = {topic.name: [offsets.next_offset.get((topic.name, number), 0) for number in range(topic.partitions)] for topic in TOPICS}
    chain = Chain.anchored(head)
    if head.offset >= 0:
        starts[RUNS] = [head.offset]  # the seal itself: it proves that this is the log that the rows come from
    async with AsyncExitStack() as unless_whole:
        writer = await Writer.open(settings.database_url, settings.schema_name)
        unless_whole.push_async_callback(writer.close)
        # Pulses expire, and only the newest matter; our own words in quarantine are read on, or from their end.
        near_end = {PULSE: PULSES_BACK, QUARANTINE: EVERYTHING}
        reader = await LogReader.open(settings.kafka, starts, PARTITION_BYTES, goes_on=not read_only_log, near_end=near_end)
        unless_whole.push_async_callback(reader.close)
        producer = await Producer.open(lambda: build_producer(settings.kafka))
        unless_whole.pop_all()
    intake = Intake(model, chain, offsets, head, spans=RowSpans() if is_traced() and not read_only_log else None)
    if known is not None:
        chain.void_records, chain.void_seals = known["void_records"], known["void_seals"]
        intake.quarantined, model.fold.void["before this start"] = known["quarantined"], known["void_steps"]
    for (topic, number), offset in offsets.next_offset.items():
        intake.positions[(topic, number)] = offset
    return Projection(settings, writer, reader, producer, intake, read_only_log=read_only_log)


async def same_version(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    """See that the tables are those of this release.

    Raises:
        Broken: they are another release's.
    """
    words = await connection.fetchval("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1", schema)
    found, needed = version_in(words) or "none", schema_version()
    if found != needed:
        raise Broken(
            f"the tables in {schema} are of version {found}, this release needs {needed}: python -m projection.schema as the owner"
        )


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
        except (*NOT_READY, *LOST, KafkaError, Retryable) as refusal:
            if is_refusal(refusal):
                log.critical("PostgreSQL refuses: %s", words_of(refusal))
            else:
                log.warning("waiting for Kafka or PostgreSQL: %r", refusal)
            await asyncio.sleep(REFUSED_RETRY_S if is_refusal(refusal) else RETRY_S)
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
