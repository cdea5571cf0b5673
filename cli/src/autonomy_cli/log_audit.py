"""Run an audit over a real log, once, with bounded memory.

Place in the flow: Kafka → **this** → `audit`. Everything with a connection or a clock; what differs is decided in `audit`.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from autonomy import clock
from autonomy.cluster import check_log
from autonomy.envelope import Undecodable, decode
from autonomy.errors import Broken, Retryable, Unreadable
from autonomy.inspection import begins_at
from autonomy.log_reader import LogReader
from autonomy.snapshot_files import RefusedSnapshot
from autonomy.topics import INPUTS, PULSE, RUNS, TOPICS
from autonomy_cli.audit import NOT_PROVEN, Audit
from autonomy_cli.findings import Difference, Outcome, outcome_of
from planner.shell.starting import find_start

PROBE_S: Final = 3.0
OPEN_S: Final = 20.0
SILENCE_S: Final = 30.0
"""No record for so long, although the log has more: the broker is gone."""
POLL_MS: Final = 500
PROGRESS_EVERY_MS: Final = 2_000
PULSES_BACK: Final = 4_000
"""Pulses that are looked at: half an hour of one planner and one proof-api."""
MAX_AHEAD_RECORDS: Final = 20_000
"""Per input partition, read ahead of the chain; above it the partition is paused until the chain needs it."""
MAX_TICKS_AHEAD: Final = 256
"""Accepted ticks that wait for inputs; above it `autonomy.runs` is paused."""
GC_THRESHOLDS: Final = (500_000, 50, 100)
"""Net allocations between collections: what waits here holds no cycles, and looking for some every 700 costs a third of the time."""
DESIGN_PARTITIONS: Final = {topic.name: topic.partitions for topic in TOPICS}


class CannotRun(Exception):
    """The audit has no log to read, or does not understand it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit found, and how fast it read."""

    audit: Audit
    seconds: float

    @property
    def outcome(self) -> Outcome:
        """What was proved."""
        return outcome_of(self.audit.unrepaired(), self.audit.repairs, self.audit.folded_only)

    @property
    def is_clean(self) -> bool:
        """Whether every tick is what the log leads to, or was accepted by approvers."""
        return self.outcome is not Outcome.DIFFERS

    def document(self) -> dict[str, object]:
        """The verdict for programs."""
        audit, open_differences = self.audit, self.audit.unrepaired()
        return {
            "verdict": self.outcome.name,
            "firstBadTick": open_differences[0].tick if open_differences else None,
            "differences": [_camel(found) for found in open_differences],
            "consequences": audit.following,
            "repairs": [_camel(repair) for repair in audit.repairs],
            "ticks": audit.ticks, "decidedAgain": audit.again, "olderDeciders": dict(audit.older),
            "records": audit.records, "jobs": audit.jobs, "fromTick": audit.from_tick, "begunAtSnapshotOfTick": audit.begun_at or None,
            "head": audit.chain.head.model_dump(by_alias=True),
            "voidRecords": audit.chain.void_records, "voidSeals": audit.chain.void_seals, "junkSeals": audit.chain.junk_seals,
            "undecodable": audit.undecodable, "notProven": list(NOT_PROVEN),
            "seconds": round(self.seconds, 3),
            "recordsPerSecond": round(audit.records / self.seconds) if self.seconds else None,
        }  # fmt: skip


def _camel(found: object) -> dict[str, object]:
    plain = asdict(found)  # type: ignore[call-overload] # a dataclass, by the callers above
    return {"".join(part if not n else part.capitalize() for n, part in enumerate(name.split("_"))): value for name, value in plain.items()}


@asynccontextmanager
async def opened(bootstrap: str, starts: Mapping[str, list[int]]) -> AsyncIterator[LogReader]:
    """A log reader, or a clear refusal within seconds.

    Raises:
        CannotRun: no broker answers.
    """
    await _probe(bootstrap)
    try:
        reader = await asyncio.wait_for(LogReader.open(bootstrap, starts), OPEN_S)
    except (KafkaError, OSError, TimeoutError, Retryable) as refusal:
        raise CannotRun(f"Kafka at {bootstrap} does not answer: {refusal!r}") from refusal
    try:
        yield reader
    except KafkaError as refusal:
        raise CannotRun(f"Kafka at {bootstrap} failed: {refusal!r}") from refusal
    except Unreadable as fault:
        raise CannotRun(str(fault)) from fault
    finally:
        await reader.close()


async def _probe(bootstrap: str) -> None:
    """Whether anything listens, without the client's own long patience."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), PROBE_S)
        except (OSError, TimeoutError, ValueError):
            continue
        writer.close()
        return
    raise CannotRun(f"Kafka does not answer at {bootstrap} (KAFKA_BOOTSTRAP_SERVERS or --bootstrap)")


async def verify(bootstrap: str, audit: Audit, say: Callable[[str], None], snapshots: Path | None = None) -> Verdict:
    """Read the log once, whole or from a snapshot on, and judge every tick.

    Args:
        bootstrap: Kafka's bootstrap servers.
        audit: fresh; it is filled.
        say: takes progress in words.
        snapshots: a planner's folder of snapshots; the newest that the log bears out is where it begins.

    Raises:
        CannotRun: no usable snapshot, no broker, no topics, an unknown decider, or a broker that went away.
    """
    starts = {topic: [0] * DESIGN_PARTITIONS[topic] for topic in (RUNS, *INPUTS)}
    started = clock.monotonic_ms()
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        async with opened(bootstrap, starts) as reader:
            await _check_topics(reader, bootstrap)
            if not await _check_beginning(reader, audit):
                if snapshots is not None:
                    await _begin(reader, audit, snapshots)
                await _hear_pulses(bootstrap, audit)  # before the ends are asked for: what was known then is in the log by now
                ends = await reader.ends([RUNS, *INPUTS])
                try:
                    await _read(reader, audit, ends, say)
                    while (offset := audit.go_on_behind()) is not None:
                        reader.seek(TopicPartition(RUNS, 0), offset)
                        await _read(reader, audit, ends, say)
                    audit.finish(ends)
                except Unreadable as fault:
                    audit.differences.append(Difference(audit.state.head_tick + 1, str(fault)))
    finally:
        gc.set_threshold(*before)
    if audit.unknown_decider:
        raise CannotRun(audit.unknown_decider)
    return Verdict(audit, (clock.monotonic_ms() - started) / 1000)


async def _begin(reader: LogReader, audit: Audit, snapshots: Path) -> None:
    """Go behind the newest snapshot that holds."""
    start = await find_start(reader, snapshots)
    if start is None:
        raise CannotRun(f"no snapshot in {snapshots} is borne out by this log; without --from-snapshot the whole log is decided again")
    try:
        audit.begin_at(start)
    except RefusedSnapshot as refusal:
        raise CannotRun(str(refusal)) from refusal


async def _hear_pulses(bootstrap: str, audit: Audit) -> None:
    """Which heads planners and proof-api said they stand on; a topic that is not there or empty says nothing."""
    place = TopicPartition(PULSE, 0)
    async with await LogReader.open(bootstrap, {PULSE: [0]}) as reader:
        if PULSE not in await reader.consumer.topics():
            return
        await reader.start_near_end(place, PULSES_BACK)
        async for record in reader.to_the_end([PULSE]):
            received = decode(record.value, PULSE)
            if not isinstance(received, Undecodable):
                audit.said_heads.hear(received.event)


async def _check_topics(reader: LogReader, kafka: str) -> None:
    """A topic that is missing cannot be read; one that forgets, compacts or reorders cannot prove anything.

    Raises:
        CannotRun: names them.
    """
    present = await reader.consumer.topics()
    missing = [topic for topic in (RUNS, *INPUTS) if topic not in present]
    if missing:
        raise CannotRun(f"this Kafka has no topic {', '.join(missing)}")
    try:
        await check_log(kafka, [topic for topic in TOPICS if topic.name in {RUNS, *INPUTS}])
    except Broken as fault:
        raise CannotRun(str(fault)) from fault


async def _check_beginning(reader: LogReader, audit: Audit) -> bool:
    """A log that does not begin at 0 lost what its first ticks folded; returns whether it did."""
    first = await reader.consumer.beginning_offsets(list(reader.positions))
    gone = {partition: offset for partition, offset in first.items() if offset > 0}
    for partition, offset in sorted(gone.items())[:1]:
        audit.differences.append(Difference(1, begins_at(partition, offset)))
    return bool(gone)


async def _read(reader: LogReader, audit: Audit, ends: Mapping[str, tuple[int, ...]], say: Callable[[str], None]) -> None:
    runs_end = ends[RUNS][0]
    started = told = heard = clock.monotonic_ms()
    while not audit.is_over:
        records = await reader.poll(POLL_MS)
        for record in records:
            audit.take(record)
        judged = audit.advance()
        mono_ms = clock.monotonic_ms()
        if records or judged:
            heard = mono_ms
        if audit.positions.get((RUNS, 0), 0) >= runs_end and not _waits(audit, ends):
            return
        if mono_ms - heard > SILENCE_S * 1000:
            raise CannotRun(f"Kafka sent nothing for {SILENCE_S:.0f} s at tick {audit.state.head_tick}")
        _balance(reader, audit)
        if mono_ms - told > PROGRESS_EVERY_MS:
            told = mono_ms
            rate = audit.records / max(0.001, (mono_ms - started) / 1000)
            share = 100 * audit.positions.get((RUNS, 0), 0) / max(1, runs_end)
            say(f"tick {audit.state.head_tick}: {share:.0f} % of the chain, {audit.records} records, {rate:.0f} records/s")


def _waits(audit: Audit, ends: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the next tick waits for inputs that the log has."""
    cut = audit.next_cut()
    short = (
        (audit.positions.get((topic, number), 0), end, ends[topic][number])
        for topic, offsets in cut.items()
        for number, end in enumerate(offsets)
    )
    return any(have < min(end, last) for have, end, last in short)


def _balance(reader: LogReader, audit: Audit) -> None:
    """Pause what is far ahead of the chain; never what the next tick needs, so there is always something to read."""
    reader.pause_all_but({partition for partition in reader.positions if _is_wanted(audit, partition)})


def _is_wanted(audit: Audit, partition: TopicPartition) -> bool:
    if partition.topic == RUNS:
        return len(audit.accepted) < MAX_TICKS_AHEAD
    place = (partition.topic, partition.partition)
    if audit.positions.get(place, 0) < audit.needs(place):
        return True
    return len(audit.waiting.get(place, ())) < MAX_AHEAD_RECORDS


WORDS: Final = {
    Outcome.CLEAN: "clean", Outcome.CLEAN_WITH_REPAIRS: "clean, with accepted repairs", Outcome.CLEAN_IN_PART: "clean in part",
}  # fmt: skip


def words_of(verdict: Verdict) -> list[str]:
    """The verdict for people."""
    audit = verdict.audit
    lines = [
        f"repaired: tick {repair.at_tick} was accepted by {', '.join(repair.approved_by) or repair.actor} in tick "
        f"{repair.recorded_in_tick}: {repair.reason}"
        for repair in audit.repairs
    ]
    if audit.begun_at:
        at = audit.begun_at
        lines.append(f"began at the snapshot of tick {at}, whose root stands in the seal of that tick: nothing before it was looked at")
    found = audit.unrepaired()
    if found:
        standing = [one for one in found if one.follows is None]
        lines += [f"DIFFERS at tick {found[0].tick}: {found[0].what}"]
        lines += [f"         also tick {more.tick}: {more.what}" for more in standing[1:]]
        if audit.following:
            lines += [f"         {audit.following} later differences may only follow from tick {audit.first_taint}"]
    else:
        lines += [f"{WORDS[verdict.outcome]}: {audit.ticks} ticks folded, {audit.again} decided again, every byte equal"]
        lines += [
            f"  {count} ticks of {name}: only folded; the release that decides as {name} decides them again"
            for name, count in sorted(audit.older.items())
        ]
    rate = audit.records / verdict.seconds if verdict.seconds else 0.0
    counts = (
        f"{audit.records} records, {audit.jobs} jobs, {audit.chain.void_records} void records, {audit.undecodable} unreadable, "
        f"{audit.chain.void_seals} seals that do not count, {audit.chain.junk_seals} of them junk that no planner wrote"
    )
    lines += [f"not proven by any audit: {what}" for what in NOT_PROVEN]
    return [*lines, f"{counts}; {verdict.seconds:.1f} s, {rate:.0f} records/s", f"head {audit.chain.head.tick}:{audit.chain.head.hash}"]
