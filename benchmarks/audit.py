"""Verify a log: read it, accept its ticks, fold, decide every tick again and compare each byte; against reading and decoding it."""

import asyncio

from autonomy.events import BY_WIRE
from autonomy.topics import COMMANDS, JOBS, PULSE, RUNNERS, RUNS
from autonomy_cli import log_audit
from autonomy_cli.audit import Audit
from benchmarks.limits import read_decode
from benchmarks.logs import PARTITIONS, busy_log
from benchmarks.measure import Context, Measure, at_least, in_turns, reference
from benchmarks.servers import kafka

BOTS = 400
RECORDS = 24_000
FIGURE_MB_PER_S = 106_597 * 401 / 1e6
"""The peers' events have 401 bytes, these are three times as large: bytes are what can be compared."""


def verify(bootstrap: str, ticks: int) -> None:
    """The core of `autonomy audit verify`.

    Raises:
        RuntimeError: a tick is decided differently, or one is missing.
    """
    verdict = asyncio.run(log_audit.verify(bootstrap, Audit(), lambda _words: None))
    if not verdict.is_clean or verdict.audit.ticks != ticks:
        raise RuntimeError(str(verdict.document()))


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    folder = ctx.folder / "audit"
    folder.mkdir()
    log = busy_log(BOTS, ctx.size(RECORDS))
    topics = (COMMANDS, RUNS, JOBS, RUNNERS)
    count = sum(len(records) for (topic, _), records in log.records.items() if topic in topics)
    size = sum(len(record.value) for (topic, _), records in log.records.items() if topic in topics for record in records)
    with kafka(folder) as bootstrap:
        asyncio.run(log.append(bootstrap, (*topics, PULSE)))  # a cluster has it, and the audit listens to it
        partitions = {**PARTITIONS, RUNS: 1}
        turns = in_turns(
            lambda: verify(bootstrap, log.chain.head.tick), lambda: read_decode.run(bootstrap, partitions, count, BY_WIRE), ctx.rounds(5),
        )  # fmt: skip
    spent, limit = turns.medians
    ctx.note(f"audit: {count:,} records, {log.chain.head.tick} ticks of {BOTS} bots, {log.bytes / log.count:,.0f} bytes a record")
    return [
        at_least("audit with re-decision", count / spent, "records/s", ("read + decode", count / limit), 0.3, 1 / turns.ratio),
        reference("read + decode", size / limit / 1e6, "MB/s", FIGURE_MB_PER_S, rate=True),
    ]
