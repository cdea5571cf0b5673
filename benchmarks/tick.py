"""A whole tick with 5,000 changed decisions: from taking the cut to the accepted seal, by the planner's own shell on a real broker.

A pause and its end, said in turns, change every bot's decision; before each tick one bot of a hundred changes. The limit appends the
very same records and reads them back.
"""

import asyncio
import statistics
import time

from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from autonomy import clock
from autonomy.envelope import encode
from autonomy.events import Command, PauseLoop, ResumeLoop
from autonomy.kafka import Outgoing, append_batch, build_producer, ensure_topics
from autonomy.policy import read_policy
from autonomy.telemetry import spare_collector
from autonomy.topics import COMMANDS, Topic
from benchmarks.fleet import mixed_state
from benchmarks.limits.append_read import AppendRead
from benchmarks.measure import Context, Measure, absolute, at_most, reference
from benchmarks.servers import kafka
from planner.shell.app import Planner
from planner.shell.process import build_planner
from planner.shell.settings import PlannerSettings

BOTS = 5_000
CHANGED_EACH = 100
"""One bot of so many changes before each tick."""
FIGURE_PER_S = 19_253
Written = tuple[bytes, bytes, list[tuple[str, bytes]]]
LIMIT_TOPIC = Topic("bench.runs", 1, "the limit's records", flush_each=True)


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    folder = ctx.folder / "tick"
    folder.mkdir()
    with kafka(folder) as bootstrap:
        return asyncio.run(measure(ctx, bootstrap))


async def measure(ctx: Context, bootstrap: str) -> list[Measure]:
    """Ticks and limits in turns."""
    await ensure_topics(bootstrap, [LIMIT_TOPIC])
    limit = AppendRead(bootstrap, LIMIT_TOPIC.name)
    await limit.start()
    planner = await leading(bootstrap, ctx.size(BOTS))
    voice = await build_producer(bootstrap)
    ticks, limits, records = [], [], 0
    for number in range(ctx.rounds(9) + 1):
        kind = PauseLoop if number % 2 == 0 else ResumeLoop
        change_some(planner, number)
        tick_s, said = await one_tick(planner, voice, kind, number)
        started = time.perf_counter()
        await limit.once(said)
        limit_s = time.perf_counter() - started
        if number:  # the first one compiles, connects and fills caches
            ticks.append(tick_s)
            limits.append(limit_s)
            records = len(said)
    await limit.stop()
    await planner.reader.close()
    await planner.producer.stop()
    await voice.stop()
    ratio = statistics.median(ours / bare for ours, bare in zip(ticks, limits, strict=True))
    tick_ms, limit_ms = statistics.median(ticks) * 1000, statistics.median(limits) * 1000
    name = f"whole tick, {records - 2:,} changed decisions"
    return [
        at_most(name, tick_ms, "ms", ("same records appended and read back", limit_ms), 3, ratio),
        absolute("  per decision", tick_ms * 1000 / records, "µs"),
        reference("append and read back", records / (limit_ms / 1000), "records/s", FIGURE_PER_S, rate=True),
    ]


async def leading(bootstrap: str, bots: int) -> Planner:
    """A planner that has read the log and may tick, with a fleet put into its state."""
    planner = await build_planner(PlannerSettings(KAFKA_BOOTSTRAP_SERVERS=bootstrap), clock.drawn_id())
    policy = read_policy({"leases": {"lease_s": 3600.0, "beat_s": 2.0}, "tick_interval_s": 3600.0})
    planner.state = mixed_state(bots, policy)
    planner.state.hash()
    planner.caught_up = True
    spare_collector()  # as every planner that has caught up
    return planner


def change_some(planner: Planner, number: int) -> None:
    """Another hundredth of the fleet changes, as results and commands do: what was remembered of it counts no more."""
    bots = planner.state.bots
    for bot_id in planner.state.bot_ids()[number % CHANGED_EACH :: CHANGED_EACH]:
        bot = bots.rows[bot_id]
        bots.put(bot_id, replace(bot, phase=bot.phase + 1))
    planner.state.hash()


def waits(planner: Planner) -> bool:
    """Whether a try waits for its verdict."""
    return planner.candidate is not None


async def one_tick(planner: Planner, voice: AIOKafkaProducer, kind: type[Command], number: int) -> tuple[float, list[Written]]:
    """Say a command, let it be read, and time the tick that answers it; also gives its records."""
    said = kind(command_id=clock.drawn_id(), actor="ada", role="operator", reason="bench")
    value = encode(said, source="autonomy/bench", subject="ada", time=clock.now(), event_id=clock.drawn_id())
    await append_batch(voice, COMMANDS, 0, [Outgoing(b"ada", value)])
    while not planner.wake.command:
        await planner.turn(50)
    planner.wake.last_tick_mono_ms = -1e9
    head = planner.chain.head.tick
    started = time.perf_counter()
    await planner.tick_if_due()
    if planner.candidate is None:
        raise RuntimeError(f"tick {number} was not made")
    attempt = planner.candidate.attempt
    while planner.state.head_tick == head or waits(planner):
        await planner.turn(50)
    spent = time.perf_counter() - started
    return spent, [(record.key, record.value, list(record.headers())) for record in attempt.records]
