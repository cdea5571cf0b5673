"""A planner's and a job-runner's start on the log of a quiet fleet: from a snapshot, and without one; each until it could go on.

Most of a quiet log are beats that say nothing new. AUTONOMY_COLD_RECORDS sets its length.
"""

import asyncio
import os
import resource
import time
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition

from autonomy.events import RunnerHeartbeat
from autonomy.kafka import Outgoing, Sender, append_batch, build_producer
from autonomy.snapshot_files import SnapshotFolder
from autonomy.topics import DEFAULT_PARTITIONS, RUNNERS, RUNS
from autonomy.values import partition_of
from benchmarks.cold_runner import Started, started
from benchmarks.fleet import an_id
from benchmarks.logs import Log
from benchmarks.measure import Context, Measure, absolute
from benchmarks.servers import kafka
from job_runner.starting import AGAIN_RECORDS
from planner.shell import process
from planner.shell.horizons import Horizons
from planner.shell.settings import PlannerSettings
from planner.shell.snapshots import bytes_of_snapshot
from planner.tick import SNAPSHOT_EVERY

BOTS: Final = 30
RECORDS: Final = 150_000
BEATS_PER_TICK: Final = 300
AFTER_SNAPSHOT: Final = SNAPSHOT_EVERY - 1
"""Ticks that come after the last snapshot: as many as there may be."""
PART: Final = 20_000
GONE: Final = Outgoing(b"", b"")


class QuietLog(Log):
    """A log that goes to the broker while it is made: only its lengths are kept."""

    def beats(self, count: int) -> None:
        """A runner that has nothing to do says so."""
        runner = an_id("runner")
        for _ in range(count):
            self.say(
                RunnerHeartbeat(process_id=runner, sequence=self.said, jobs=(), research_slots=1000), runner,
                partition_of(runner, DEFAULT_PARTITIONS),
            )  # fmt: skip

    async def flush(self, producer: Sender, sent: dict[tuple[str, int], int]) -> None:
        """Append what is new."""
        for place, records in self.records.items():
            first = sent.get(place, 0)
            for begin in range(first, len(records), PART):
                await append_batch(producer, *place, records[begin : begin + PART])
            records[first:] = [GONE] * (len(records) - first)
            sent[place] = len(records)


async def write(bootstrap: str, wanted: int, folder: Path) -> QuietLog:
    """Make the log, and snapshots as its planner and a runner would have kept them, as old as they may be."""
    log, horizons = QuietLog(), Horizons()
    sent: dict[Any, Any] = {}
    producer = await build_producer(bootstrap)
    log.open(BOTS)
    last, snapshot = 0, 0
    kept: Started | None = None
    while True:
        done = log.tick()
        horizons.settle(done.head, log.state)
        if done.seal.tick == 1:
            log.work(done)
        if done.seal.snapshot_root is not None and log.count >= wanted - AFTER_SNAPSHOT * BEATS_PER_TICK and not snapshot:
            heads = {done.seal.tick: done.seal.hash}
            content = bytes_of_snapshot(log.state, done.head, done.seal.cut, horizons, heads, ())
            SnapshotFolder(folder).write(done.seal.tick, content)
            snapshot = done.seal.tick
        if snapshot and done.seal.tick == snapshot + AFTER_SNAPSHOT:
            break
        log.beats(BEATS_PER_TICK)
        if not kept and log.count >= wanted - AGAIN_RECORDS:
            await log.flush(producer, sent)
            kept = await asyncio.to_thread(started, bootstrap, keep_in=folder / "runner")
        if log.count - last > PART:
            await log.flush(producer, sent)
            last = log.count
    await log.flush(producer, sent)
    await producer.stop()
    return log


async def start(bootstrap: str, folder: Path | None, head: int) -> float:
    """Seconds from the first connection of a planner process to the moment at which it has folded everything.

    Raises:
        RuntimeError: it stands elsewhere.
    """
    began = time.monotonic()
    settings = PlannerSettings(kafka=bootstrap, snapshots=folder)
    planner = await process.build_planner(settings, an_id("cold"))
    try:
        ends = await planner.reader.ends([RUNS, RUNNERS])
        planner.old_chain = {RUNS: ends[RUNS]}
        while planner.chain.head.tick < head or planner.accepted or not planner.reader.reached({RUNNERS: ends[RUNNERS]}):
            await planner.turn(50)
            if planner.stuck:
                raise RuntimeError(planner.stuck)
        spent = time.monotonic() - began
        if (planner.state.head_tick, planner.reader.is_behind(TopicPartition(RUNS, 0))) != (head, False):
            raise RuntimeError(f"it stands on tick {planner.state.head_tick}, not on {head}")
        return spent
    finally:
        await planner.reader.close()
        await planner.producer.stop()


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    folder = ctx.folder / "cold"
    folder.mkdir()
    wanted = int(os.environ.get("AUTONOMY_COLD_RECORDS", str(ctx.size(RECORDS))))
    with kafka(folder) as bootstrap:
        log = asyncio.run(write(bootstrap, wanted, folder / "snapshots"))
        head = log.chain.head.tick
        quick = min(asyncio.run(start(bootstrap, folder / "snapshots", head)) for _ in range(ctx.rounds(3)))
        whole = asyncio.run(start(bootstrap, None, head))
        runner_whole = started(bootstrap)
        runner_starts = [started(bootstrap, folder / "snapshots" / "runner") for _ in range(ctx.rounds(3))]
    if {one.stands_on for one in runner_starts} != {runner_whole.stands_on}:
        raise RuntimeError("a runner's start from its snapshot gave another queue than reading the whole log")
    runner_quick = min(runner_starts, key=lambda one: one.seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ctx.note(
        f"cold: {log.count:,} records, {head} ticks of {BOTS} bots, {AFTER_SNAPSHOT} of them after the snapshot; peak {memory:.0f} MiB"
    )
    ctx.note(
        f"cold: a runner's start read {runner_quick.records:,} records at {runner_quick.peak_mib:.0f} MiB, "
        f"without a snapshot {runner_whole.records:,} at {runner_whole.peak_mib:.0f} MiB"
    )
    return [
        absolute(f"planner's start from a snapshot, {log.count:,} records", quick, "s", most=10),
        absolute("  the same without one: the whole log folded", whole, "s"),
        absolute(f"runner's start from a snapshot, {log.count:,} records", runner_quick.seconds, "s", most=3),
        absolute("  the same without one: read from a horizon that old jobs hold back", runner_whole.seconds, "s"),
    ]
