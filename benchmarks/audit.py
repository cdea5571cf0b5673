"""Verify a log: read it, accept its ticks, fold, decide every tick again and compare each byte; against reading and decoding it."""

import asyncio
from collections.abc import Sequence

from autonomy.chain import Chain, read_record
from autonomy.envelope import Undecodable
from autonomy.events import BY_WIRE
from autonomy.kafka import LogReader
from autonomy.topics import COMMANDS, INPUTS, JOBS, RUNNERS, RUNS
from benchmarks.limits import read_decode
from benchmarks.logs import PARTITIONS, busy_log
from benchmarks.measure import Context, Measure, at_least, in_turns, reference
from benchmarks.servers import kafka
from planner.fold import read_input
from planner.inbox import Inbox
from planner.state import State
from planner.tick import re_decide

BOTS = 400
RECORDS = 24_000
FIGURE_PER_S = 106_597


async def verify(bootstrap: str, ends: dict[str, tuple[int, ...]]) -> int:
    """The audit's core: every accepted tick decided again; returns how many ticks.

    Raises:
        RuntimeError: a tick is decided differently.
    """
    state, chain, inbox, ticks = State(), Chain(), Inbox(), 0
    waiting: list[object] = []
    async with await LogReader.open(bootstrap, {topic: [0] * len(offsets) for topic, offsets in ends.items()}) as reader:
        while not reader.reached(ends):
            for record in await reader.poll(200):
                if record.topic == RUNS:
                    placed = read_record(record.headers, record.key, record.value, record.offset, record.timestamp)
                    done = None if isinstance(placed, Undecodable) else chain.feed(placed)
                    if done is not None:
                        waiting.append(done)
                    continue
                inbox.put(read_input(record.topic, record.partition, record.offset, record.value))
    for tick in waiting:
        fault = re_decide(state, inbox.slice_to(tick.seal.cut), tick)
        if fault is not None:
            raise RuntimeError(fault)
        inbox.drop_to(tick.seal.cut)
        state.head_tick = tick.seal.tick
        ticks += 1
    return ticks


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    folder = ctx.folder / "audit"
    folder.mkdir()
    log = busy_log(BOTS, ctx.size(RECORDS))
    topics = (COMMANDS, RUNS, JOBS, RUNNERS)
    count = sum(len(records) for (topic, _), records in log.records.items() if topic in topics)
    with kafka(folder) as bootstrap:
        asyncio.run(log.append(bootstrap, topics))
        ends = {topic: _ends(log.records, topic) for topic in (*INPUTS, RUNS)}
        partitions = {**PARTITIONS, RUNS: 1}
        turns = in_turns(
            lambda: asyncio.run(verify(bootstrap, ends)), lambda: read_decode.run(bootstrap, partitions, count, BY_WIRE), ctx.rounds(5),
        )  # fmt: skip
    spent, limit = turns.medians
    ctx.note(f"audit: {count:,} records, {log.chain.head.tick} ticks of {BOTS} bots, {log.bytes / log.count:,.0f} bytes a record")
    return [
        at_least("audit with re-decision", count / spent, "records/s", ("read + decode", count / limit), 0.3, 1 / turns.ratio),
        reference("read + decode", count / limit, "records/s", FIGURE_PER_S, rate=True),
    ]


def _ends(records: "dict[tuple[str, int], Sequence[object]]", topic: str) -> tuple[int, ...]:
    return tuple(len(records.get((topic, number), ())) for number in range({**PARTITIONS, RUNS: 1}[topic]))


