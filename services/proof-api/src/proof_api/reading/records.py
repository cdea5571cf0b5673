"""One event in the log by its id: read from where its rows say that it must stand, never by a search through everything.

Place in the flow: route → **records** → Kafka, and the accepted runs of PostgreSQL (role reader). A tick's own records stand between the
seal before and its own, so all of them are read, and the seal's root is counted again. An input stands at its time of append.

Source: S1, S3, S6.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
import orjson
from aiokafka import TopicPartition

from autonomy.chain import RunRecord, read_record, root_of, seal_hash
from autonomy.envelope import Received, Record, decode
from autonomy.events import PlannerRun
from autonomy.kafka_access import KafkaAccess
from autonomy.log_reader import LogReader
from autonomy.topics import INPUTS, RUNS, TOPICS
from autonomy.values import instant_of_ms, iso, ms_of, run_id_of

MAX_RECORDS: Final = 100_000
"""Of one tick, or of one instant: more are not read for one answer."""
WITHIN_S: Final = 8.0
AT_ONCE: Final = 2
PARTITIONS: Final[Mapping[str, int]] = {topic.name: topic.partitions for topic in TOPICS}
RUN_SQL: Final = """
SELECT tick, id, hash, log_offset, coalesce((SELECT p.log_offset FROM autonomy_planner_runs p WHERE p.tick = r.tick - 1), -1) AS before
FROM autonomy_planner_runs r WHERE {} LIMIT 1
"""
FOLDED_SQL: Final = """
SELECT tick, hash, log_offset FROM autonomy_planner_runs WHERE started_at >= $1::timestamptz - interval '5 minutes'
AND (slice -> $2 ->> $3::int)::bigint > $4 ORDER BY tick LIMIT 1
"""
"""The first tick whose cut is behind an offset; a cut is never before the append, but clocks may differ by minutes."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record, and what the chain says of it; `accepted` as `documents.stored.AcceptedBy`."""

    record: Record
    event: Mapping[str, object]
    accepted: dict[str, object] | None

    def document(self) -> dict[str, object]:
        """As it is answered."""
        value = self.record.value or b""
        return {
            "eventId": self.event["id"], "event": self.event, "accepted": self.accepted,
            "record": {
                "topic": self.record.topic, "partition": self.record.partition, "offset": self.record.offset,
                "appendedAt": iso(instant_of_ms(self.record.timestamp)), "key": _text(self.record.key),
                "headers": {name: _text(content) for name, content in self.record.headers},
                "sizeBytes": len(value), "sha256": hashlib.sha256(value).hexdigest(),
            },
        }  # fmt: skip


def _text(content: bytes | None) -> str:
    return (content or b"").decode(errors="replace").replace("\x00", "�")


@dataclass(slots=True)
class Records:
    """Reads single events; few at once, since each reads a stretch of the log."""

    kafka: str | KafkaAccess
    turn: asyncio.Semaphore

    @classmethod
    def of(cls, kafka: str | KafkaAccess) -> "Records":
        """For a cluster."""
        return cls(kafka, asyncio.Semaphore(AT_ONCE))

    @property
    def busy(self) -> bool:
        """Whether others read so much that one more is asked to come again: whoever waits holds a connection of the database."""
        return self.turn.locked()

    async def of_tick(self, connection: "asyncpg.Connection[asyncpg.Record]", event_id: str, tick: int) -> Found | None:
        """An event that a tick said; None where that tick is not accepted or has none of this id.

        Raises:
            KafkaError, OSError or TimeoutError: the log does not answer in time, or there is too much of it.
            Unreadable: a record on the way there cannot be read, or was deleted.
        """
        run = await connection.fetchrow(RUN_SQL.format("tick = $1"), tick)
        return await self._of_run(event_id, run) if run else None

    async def at(self, connection: "asyncpg.Connection[asyncpg.Record]", event_id: str, instant: datetime) -> Found | None:
        """An event of the tick that has this time, or an input that was appended then; likewise."""
        run = await connection.fetchrow(RUN_SQL.format("started_at = $1"), instant)
        found = await self._of_run(event_id, run) if run else None
        if found is not None:
            return found
        record = await self._of_inputs(event_id, ms_of(instant))
        if record is None:
            return None
        folded = await connection.fetchrow(FOLDED_SQL, instant, record.topic, record.partition, record.offset)
        accepted = folded and {
            "tick": folded["tick"], "hash": folded["hash"], "sealOffset": folded["log_offset"], "own": False,
            "records": None, "root": None, "rootHolds": None,
        }  # fmt: skip
        return Found(record, orjson.loads(record.value or b"{}"), dict(accepted) if accepted else None)

    async def _of_run(self, event_id: str, run: "asyncpg.Record") -> Found | None:
        end = int(run["log_offset"])
        stored = await self._read({RUNS: [int(run["before"]) + 1]}, lambda record: record.offset <= end)
        record = next((one for one in stored if _is(one, event_id)), None)
        if record is None:
            return None
        placed = read_record(record)
        own = isinstance(placed, RunRecord) and run_id_of(placed.tick, placed.try_id) == str(run["id"])
        return Found(record, orjson.loads(record.value or b"{}"), await asyncio.to_thread(accepted_of, dict(run), stored) if own else None)

    async def _of_inputs(self, event_id: str, at_ms: int) -> Record | None:
        if at_ms < 0:
            return None  # no record is older than Kafka's clock, which refuses the question
        starts = {topic: [0] * PARTITIONS[topic] for topic in INPUTS}
        stored = await self._read(starts, lambda record: record.timestamp <= at_ms, from_ms=at_ms)
        return next((one for one in stored if _is(one, event_id)), None)

    async def _read(
        self, starts: Mapping[str, Sequence[int]], within: Callable[[Record], bool], from_ms: int | None = None
    ) -> list[Record]:
        """Everything of these partitions from where it begins for as long as it is within; each partition ends at its first that is not."""
        found: list[Record] = []
        async with asyncio.timeout(WITHIN_S), self.turn, await LogReader.open(self.kafka, starts) as reader:
            wanted = set(reader.positions)
            if from_ms is not None:
                places = await reader.consumer.offsets_for_times(dict.fromkeys(wanted, from_ms))
                wanted = {partition for partition, place in places.items() if place is not None}
                for partition in wanted:
                    reader.seek(partition, places[partition].offset)
            ends = await reader.ends(starts)
            while wanted:
                reader.pause_all_but(wanted)
                for record in await reader.poll():
                    partition = TopicPartition(record.topic, record.partition)
                    if partition not in wanted:
                        continue
                    if within(record):
                        found.append(record)
                    else:
                        wanted.discard(partition)
                wanted = {one for one in wanted if reader.positions[one] < ends[one.topic][one.partition]}
                if len(found) > MAX_RECORDS:  # a part of a tick would look like a tick that does not hold
                    raise TimeoutError(f"over {MAX_RECORDS:,} records stand there, more than are read for one answer")
        return found


def _is(record: Record, event_id: str) -> bool:
    """Whether it has this id: its own, or that of a change of a stage, which has one in its data since rows go by it."""
    value = record.value or b""
    if event_id.encode() not in value:
        return False
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(document, dict):
        return False
    data = document.get("data")
    return event_id in {document.get("id"), data.get("eventId") if isinstance(data, dict) else None}


def accepted_of(run: Mapping[str, object], stored: Sequence[Record]) -> dict[str, object]:
    """What bears out the records of a try: its root, counted again over the bytes that were read, and its seal's own hash.

    Args:
        run: `tick`, `id`, `hash` and `log_offset` of the accepted run.
        stored: what stands from behind the seal before up to its seal, other tries' records among them.
    """
    placed = [one for record in stored if isinstance(one := read_record(record), RunRecord)]
    own = {one.seq: one for one in reversed(placed) if run_id_of(one.tick, one.try_id) == str(run["id"]) and one.kind != PlannerRun.wire}
    sealed = next((decode(record.value, RUNS) for record in stored if record.offset == run["log_offset"]), None)
    seal = sealed.event if isinstance(sealed, Received) and isinstance(sealed.event, PlannerRun) else None
    records = [own[number] for number in sorted(own)]
    holds = seal is not None and root_of(records) == seal.root and len(records) == seal.count and seal_hash(seal) == run["hash"]
    return {
        "tick": run["tick"], "hash": run["hash"], "sealOffset": run["log_offset"], "own": True,
        "records": len(records), "root": seal.root if seal else None, "rootHolds": holds,
    }  # fmt: skip
