"""The log as a test sees it: append anything, read everything, and an auditor's fold that shares no state with any service."""

import asyncio
import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from autonomy import lifecycle
from autonomy.chain import AcceptedTick, Chain
from autonomy.envelope import Record, Undecodable, decode
from autonomy.events import AnnouncementRequested, JobEnqueued, JobStarted, JobSucceeded, PlannerRun
from autonomy.kafka import Outgoing, append_batch, build_producer, ensure_topics
from autonomy.kafka_clients import client_options
from autonomy.lifecycle import Job, JobFold, JobStep
from autonomy.log_reader import LogReader
from autonomy.topics import JOBS, RUNS, TOPICS
from support.patience import PATIENCE_S
from support.stored_log import Stored

BATCH = 500
PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}


def append(bootstrap: str, topic: str, partition: int, values: Sequence[bytes], headers: Sequence[tuple[str, bytes | None]] = ()) -> None:
    """Append raw values."""

    async def run() -> None:
        producer = AIOKafkaProducer(**client_options(bootstrap), acks="all", max_request_size=5_000_000)
        await producer.start()
        try:
            for value in values:
                await producer.send_and_wait(topic, value, partition=partition, headers=list(headers))
        finally:
            await producer.stop()

    asyncio.run(run())


def audit_verify(bootstrap: str, *words: str, timeout_s: float = PATIENCE_S) -> "subprocess.CompletedProcess[str]":
    """The command, as an auditor gives it."""
    return subprocess.run(
        [sys.executable, "-m", "autonomy_cli.main", "audit", "verify", "--bootstrap", bootstrap, *words],
        capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip


async def records_of(bootstrap: str, *topics: str) -> AsyncIterator[Record]:
    """All that stands in these topics now."""
    async with await LogReader.open(bootstrap, {topic: [0] * PARTITIONS[topic] for topic in topics}) as reader:
        async for record in reader.to_the_end(topics):
            yield record


def runs_end(bootstrap: str) -> int:
    """Where `autonomy.runs` ends."""

    async def run() -> int:
        async with await LogReader.open(bootstrap, {RUNS: [0]}) as reader:
            return (await reader.ends([RUNS]))[RUNS][0]

    return asyncio.run(run())


def announcement_requests(bootstrap: str) -> list[int]:
    """The ticks in which a planner asked a runner to announce again."""

    async def run() -> list[int]:
        chain, found = Chain(), list[int]()
        async for record in records_of(bootstrap, RUNS):
            done = chain.read(record)
            if isinstance(done, AcceptedTick):
                found += [done.seal.tick] * any(one.kind == AnnouncementRequested.wire for one in done.records)
        return found

    return asyncio.run(run())


def store(bootstrap: str, log: Iterable[Stored]) -> None:
    """Append a log as it is, partition by partition."""

    async def run() -> None:
        producer = await build_producer(bootstrap)
        places: dict[tuple[str, int], list[Outgoing]] = {}
        for record in log:
            outgoing = Outgoing(record.key or b"", record.value or b"", [(name, value or b"") for name, value in record.headers])
            places.setdefault((record.topic, record.partition), []).append(outgoing)
        for (topic, partition), records in places.items():
            for first in range(0, len(records), BATCH):
                await append_batch(producer, topic, partition, records[first : first + BATCH])
        await producer.stop()

    asyncio.run(run())


def fresh_topics(bootstrap: str) -> None:
    """Delete the platform's topics and make them again, empty."""

    async def run() -> None:
        admin = AIOKafkaAdminClient(**client_options(bootstrap))
        await admin.start()
        try:
            names = [topic.name for topic in TOPICS]
            present = [name for name in await admin.list_topics() if name in names]
            if present:
                with contextlib.suppress(UnknownTopicOrPartitionError):
                    await admin.delete_topics(present)
            for _ in range(200):
                if not set(await admin.list_topics()) & set(names):
                    break
                await asyncio.sleep(0.05)
        finally:
            await admin.close()

    asyncio.run(run())
    ensure_fresh(bootstrap)


def ensure_fresh(bootstrap: str) -> None:
    """Make the topics that are not there; a topic that was deleted a moment ago may still be in the way."""

    async def run() -> None:
        for attempt in range(50):
            try:
                await ensure_topics(bootstrap, TOPICS)
                break
            except KafkaError:
                if attempt == 49:
                    raise
                await asyncio.sleep(0.1)

    asyncio.run(run())


@dataclass
class Audit:
    """What an auditor finds in the log from its beginning."""

    seals: list[PlannerRun] = field(default_factory=list)
    enqueued: dict[str, JobEnqueued] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    wins: Counter[tuple[str, int]] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    said_results: Counter[str] = field(default_factory=Counter)
    void_seals: int = 0
    void_steps: int = 0

    def check(self) -> None:
        """The invariants of the protocol: dense ticks, whole chain, one winner per attempt, one result per job, nothing lost."""
        assert [seal.tick for seal in self.seals] == list(range(1, len(self.seals) + 1))
        previous = "0" * 64
        for seal in self.seals:
            assert seal.prev_hash == previous
            assert seal.registered == seal.evaluated == sum(seal.reason_counts.values())
            previous = seal.hash
        assert all(count == 1 for count in self.wins.values()), self.wins
        assert all(count <= 1 for count in self.results.values()), self.results
        assert set(self.jobs) == set(self.enqueued)

    def unfinished(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.status.is_live]


def audit(bootstrap: str) -> Audit:
    """Read runs and jobs whole, and fold them with nothing but the shared rules."""

    async def run() -> Audit:
        found, chain, fold = Audit(), Chain(), JobFold()
        steps: list[JobStep] = []
        async for record in records_of(bootstrap, RUNS, JOBS):
            if record.topic == JOBS:
                received = decode(record.value, JOBS)
                if not isinstance(received, Undecodable):
                    steps.append(received.event)  # type: ignore[arg-type]
                continue
            done = chain.read(record)
            if not isinstance(done, AcceptedTick):
                continue
            found.seals.append(done.seal)
            for seq, event in enumerate(done.events(), start=1):
                if isinstance(event, JobEnqueued):
                    found.enqueued[event.job_id] = event
                    fold.enqueue(lifecycle.enqueued(event, seq))
            fold.head_tick = done.seal.tick

        def changed(_: Job, after: Job, step: JobStep) -> None:
            if isinstance(step, JobStarted):
                found.wins[(after.job_id, after.attempt)] += 1
            if not after.status.is_live:
                found.results[after.job_id] += 1

        for step in steps:
            if isinstance(step, JobSucceeded):
                found.said_results[step.job_id] += 1
            fold.step(step, changed)
        found.jobs, found.void_seals = fold.jobs, chain.void_seals
        found.void_steps = sum(fold.void.values())
        return found

    return asyncio.run(run())
