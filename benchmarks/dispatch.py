"""No-op jobs through the whole protocol: command, sealed tick, claim in the log, start, result; two runner processes.

Latency is from the seal's append to the moment at which the worker begins (its claim read back as the winner). The burst is one
tick that enqueues thousands of jobs: from its seal to the last accepted result.
"""

import asyncio
import json
import statistics
import time
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from autonomy import clock
from autonomy.chain import AcceptedTick, Chain
from autonomy.envelope import Undecodable, decode, encode
from autonomy.events import Command, JobEnqueued, JobStarted, JobSucceeded, PauseLoop, RegisterBots, ResumeLoop, RunnerSign, SetPolicy
from autonomy.kafka import Outgoing, append_batch, build_producer, ensure_topics
from autonomy.log_reader import LogReader
from autonomy.topics import COMMANDS, DEFAULT_PARTITIONS, JOBS, RUNNERS, RUNS, Topic
from benchmarks.fleet import STRATEGIES, SYMBOLS, bench_policy, bot_id
from benchmarks.limits import raw_dispatch
from benchmarks.measure import Context, Measure, absolute, percentile, reference
from benchmarks.servers import Platform, platform

SINGLE_JOBS = 60
BURSTS = 3
BURST_JOBS = 3_000
RUNNERS_WANTED = 2
SLOTS = 1_000
FIGURE_MS = 2.34
WAIT_S = 90


@dataclass(slots=True)
class Observer:
    """Reads what the platform says, from outside of it."""

    reader: LogReader
    producer: AIOKafkaProducer
    chain: Chain = field(default_factory=Chain)
    sealed: dict[str, int] = field(default_factory=dict)
    claimed: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    peers: set[str] = field(default_factory=set)
    bots: int = 0

    async def say(self, kind: type[Command], **fields: object) -> None:
        """Say a command as an approver."""
        said = kind(command_id=clock.drawn_id(), actor="ada", role="approver", reason="bench", **fields)
        value = encode(said, source="autonomy/bench", subject="ada", time=clock.now(), event_id=clock.drawn_id())
        await append_batch(self.producer, COMMANDS, 0, [Outgoing(b"ada", value)])

    async def register(self, count: int) -> None:
        """Register bots that nobody registered before."""
        for first in range(self.bots, self.bots + count, 500):
            last = min(first + 500, self.bots + count)
            await self.say(RegisterBots, bots=tuple(
                {"id": bot_id(n), "strategy": STRATEGIES[n % len(STRATEGIES)], "symbol": SYMBOLS[n % len(SYMBOLS)]}
                for n in range(first, last)
            ))  # fmt: skip
        self.bots += count

    async def look(self) -> None:
        """Take what came."""
        for record in await self.reader.poll(50):
            if record.topic == RUNS:
                tick = self.chain.read(record)
                if isinstance(tick, AcceptedTick):
                    self.take(tick)
                continue
            received = decode(record.value, record.topic)
            event = None if isinstance(received, Undecodable) else received.event
            if isinstance(event, JobStarted):
                self.claimed.setdefault(event.job_id, record.timestamp)
            elif isinstance(event, JobSucceeded):
                self.done.setdefault(event.job_id, record.timestamp)
            elif isinstance(event, RunnerSign):
                self.peers.add(event.process_id)

    def take(self, tick: AcceptedTick) -> None:
        """Note when each of its jobs was sealed."""
        for record in tick.records:
            if record.kind == JobEnqueued.wire:
                received = decode(record.value, RUNS)
                assert not isinstance(received, Undecodable)
                self.sealed[received.event.job_id] = tick.sealed_at_ms  # type: ignore[attr-defined]

    async def until(self, what: str, met: "object", servers: Platform) -> None:
        """Look until something is so."""
        deadline = time.monotonic() + WAIT_S
        while not met():  # type: ignore[operator]
            servers.check()
            if time.monotonic() > deadline:
                state = f"sealed {len(self.sealed)}, done {len(self.done)}, tick {self.chain.head.tick}"
                raise RuntimeError(f"not within {WAIT_S} s: {what} ({state})")
            await self.look()


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    with platform(ctx.folder / "dispatch", database=False) as servers:
        servers.service("planner", "-m", "planner")
        files = [servers.folder / f"began-{number}.json" for number in range(RUNNERS_WANTED)]
        runners = [
            servers.service(f"runner-{number}", "-m", "benchmarks.noop_runner", str(file), RUNNER_RESEARCH_SLOTS=str(SLOTS))
            for number, file in enumerate(files)
        ]
        seen, singles, bursts, limits = asyncio.run(measure(ctx, servers))
        for runner in runners:
            runner.terminate()
            runner.wait(30)
            servers.started = {}
        began: dict[str, int] = {}
        for file in files:
            began |= json.loads(file.read_text())
    waits = [began[job] - seen.sealed[job] for job in singles]
    claims = [seen.claimed[job] - seen.sealed[job] for job in singles]
    limit = statistics.median(limits)
    ctx.note(f"dispatch: raw p99 {percentile(limits, 0.99):.1f} ms; bursts {', '.join(f'{rate:,.0f}/s' for rate in bursts)}")
    p50 = statistics.median(waits)
    ctx.note(f"dispatch: sealed → claim in the log p50 {statistics.median(claims):.0f} ms, {len(singles)} single jobs")
    return [
        Measure("sealed → started, p50", p50, "ms", "raw aiokafka, one by one, p50", limit, p50 / limit, "≤ 25 ms", p50 <= 25),
        absolute("  sealed → started, p99", percentile(waits, 0.99), "ms"),
        absolute(f"burst of {ctx.size(BURST_JOBS):,} no-op jobs, 2 runners", statistics.median(bursts), "jobs/s", least=1000),
        reference("raw aiokafka, p50", limit, "ms", FIGURE_MS, rate=False),
    ]


async def measure(ctx: Context, servers: Platform) -> tuple[Observer, list[str], list[float], list[float]]:
    """What was seen, the single jobs, the bursts' rates, the limit's latencies."""
    await ensure_topics(servers.bootstrap, [Topic(raw_dispatch.TOPIC, 1, "the limit's jobs", flush_each=True)])
    starts = {RUNS: [0], JOBS: [0] * DEFAULT_PARTITIONS, RUNNERS: [0] * DEFAULT_PARTITIONS}
    reader, producer = await LogReader.open(servers.bootstrap, starts), await build_producer(servers.bootstrap)
    seen = Observer(reader, producer)
    await seen.until("two runners beat", lambda: len(seen.peers) >= RUNNERS_WANTED, servers)
    policy = bench_policy().model_copy(update={"tick_interval_s": 3600.0})
    await seen.say(SetPolicy, document=policy.model_dump(mode="json"))
    await seen.register(20)
    await seen.until("first jobs are done", lambda: len(seen.done) >= 20, servers)
    limits = await raw_dispatch.latencies(servers.bootstrap, ctx.size(300))
    singles: list[str] = []
    for number in range(ctx.size(SINGLE_JOBS)):
        before = set(seen.done)
        await seen.register(1)
        await seen.until(f"single job {number} is done", lambda before=before: len(seen.done) > len(before), servers)
        singles.extend(set(seen.done) - before)
        await asyncio.sleep(0.11)
    limits += await raw_dispatch.latencies(servers.bootstrap, ctx.size(300))
    bursts = [await burst(seen, servers, ctx.size(BURST_JOBS)) for _ in range(ctx.rounds(BURSTS))]
    await reader.close()
    await producer.stop()
    return seen, singles, bursts, limits


async def burst(seen: Observer, servers: Platform, jobs: int) -> float:
    """Jobs per second from the seal of one tick that enqueues them all to the last result."""
    await seen.say(PauseLoop)
    await seen.register(jobs)
    tick = seen.chain.head.tick
    await seen.until("the bots are registered", lambda: seen.chain.head.tick > tick, servers)
    await asyncio.sleep(3)
    before, enqueued = set(seen.done), set(seen.sealed)
    await seen.say(ResumeLoop)
    await seen.until("the burst is done", lambda: len(seen.done) >= len(before) + jobs, servers)
    sealed = min(seen.sealed[job] for job in seen.sealed if job not in enqueued)
    return jobs / ((max(seen.done[job] for job in seen.done if job not in before) - sealed) / 1000)
