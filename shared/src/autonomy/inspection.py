"""A partition looked at byte by byte, where the client's own reader gives up: what can be read, which batch cannot, and why.

Place in the flow: `autonomy.log_reader`, after an error of the client → **inspection** → records, or a fault with its place. The
client drops every record that it fetched together with a damaged batch, does not say which batch it was, and raises whatever its codec
raises; a header that is not UTF-8, which every broker accepts, stops it too. So the bytes are fetched once more and read here.

A batch is read whole or not at all: what a reader gets must not depend on how much it asks for.
"""

import logging
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError, UnsupportedCodecError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c, decode_varint
from cramjam import DecompressionError

from autonomy import clock
from autonomy.errors import Unreadable
from autonomy.topics import WITHOUT_AUTHORITY
from autonomy.unpacking import UNPACK, TooLarge

log = logging.getLogger(__name__)
OF_THE_LOG: Final = (
    CorruptRecordException, UnsupportedCodecError, OffsetOutOfRangeError, DecompressionError, zlib.error, struct.error,
    EOFError, OSError, ValueError, IndexError, OverflowError, MemoryError,
)  # fmt: skip
"""What the client raises about the bytes that it fetched, or about a position; anything else is about the connection."""
LOOK_AGAIN_MS: Final = 5_000
"""Between two looks at what could not be read: it may be mended, or another replica may lead."""
UNEXPLAINED: Final = 3
"""Errors about the log in a row of which no look at it finds the cause; then the error is the caller's."""
GONE: Final = ("records were deleted", "the log lost records")
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_PREFIX: Final = struct.Struct(">qi")
_CRC_FROM: Final = 21
_CODEC, _APPEND_TIME, _CONTROL = 0x07, 0x08, 0x20


@dataclass(slots=True)
class FoundRecord:
    """A record as the client would have returned it; header names that are not UTF-8 have replacement characters."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one look at a partition found.

    Attributes:
        records: what can be read, in order.
        position: the offset to read on from.
        fault: why nothing can be read at `position`; empty if something can.
        beyond: the first offset after what cannot be read; None when only the log's end is.
    """

    records: Sequence[FoundRecord]
    position: int
    fault: str = ""
    beyond: int | None = None


class Skipped(NamedTuple):
    """What was left out of a topic without authority: from which offset on, and why."""

    partition: TopicPartition
    offset: int
    why: str


@dataclass(frozen=True, slots=True)
class _Batch:
    base: int
    next_offset: int
    attributes: int
    first_ms: int
    last_ms: int
    count: int
    stored: memoryview

    @property
    def words(self) -> str:
        return f"of records {self.base} to {self.next_offset - 1}"


class _Damaged(Exception):
    """A batch that nobody can read, and why."""


def begins_at(partition: TopicPartition, first: int) -> str:
    """What it means that a log of record does not begin at 0."""
    return f"{partition.topic}/{partition.partition} begins at {first}: {GONE[0]}"


def ends_at(partition: TopicPartition, end: int, position: int) -> str:
    """What it means that a log of record ends before what was read of it."""
    return f"{partition.topic}/{partition.partition} ends at {end}, it was read up to {position}: {GONE[1]}"


async def inspect(consumer: AIOKafkaConsumer, partition: TopicPartition, position: int, max_bytes: int) -> Inspection | None:
    """Look at a partition from a position on; None when its broker does not answer now.

    Args:
        consumer: a started client that knows the topic.
        partition: which.
        position: the offset to begin at.
        max_bytes: as many as the client fetches at once, so that this sees whatever it stumbled over.
    """
    try:
        fetched = await _fetch(consumer, partition, position, max_bytes)
        if fetched is None:
            first = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            if first <= position <= end:
                return None
            return Inspection([], position, begins_at(partition, first) if position < first else ends_at(partition, end, position))
    except KafkaError:
        return None
    return read_stored(partition, fetched, position)


async def _fetch(consumer: AIOKafkaConsumer, partition: TopicPartition, position: int, max_bytes: int) -> bytes | None:
    """The stored bytes from a position on, or None when there is no such position.

    Raises:
        KafkaError: the broker does not answer, or does not lead the partition any more.
    """
    client = consumer._client  # noqa: SLF001 (the client offers no way to ask for bytes)
    leader = client.cluster.leader_for_partition(partition)
    request = FetchRequest(0, 0, max_bytes, 0, [(partition.topic, [(partition.partition, position, max_bytes)])])
    answer = await client.send(leader, request)
    _, ((_, code, _, *rest),) = answer.topics[0]
    error = for_code(code)
    if error is OffsetOutOfRangeError:
        return None
    if code:
        raise error
    return bytes(rest[-1] or b"")


def read_stored(partition: TopicPartition, stored: bytes, position: int) -> Inspection:
    """Read stored batches up to the first one that nobody can read."""
    if _is_readable(stored):
        return Inspection([], position)
    found: list[FoundRecord] = []
    for start, end in _bounds(stored):
        try:
            batch = _batch(memoryview(stored)[start:end])
            records = [record for record in _records(partition, batch) if record.offset >= position]
        except _Damaged as why:
            words = f"{partition.topic}/{partition.partition} cannot be read at offset {position}: {why}"
            return Inspection(found, position, words, _offset_behind(stored, end))
        found.extend(records)
        position = batch.next_offset
    return Inspection(found, position)


def _offset_behind(stored: bytes, end: int) -> int | None:
    """Where the next batch begins; a damaged header is not asked. None when nothing more was fetched."""
    return _PREFIX.unpack_from(stored, end)[0] if end + _PREFIX.size <= len(stored) else None


def _is_readable(stored: bytes) -> bool:
    """Whether the client's own reader gets through; it is many times as fast as what follows."""
    try:
        batches = MemoryRecords(stored)
        while batches.has_next():
            batch = batches.next_batch()
            if not batch.validate_crc():
                return False
            if not batch.is_control_batch:
                for _ in batch:
                    pass
    except OF_THE_LOG:
        return False
    return True


def _bounds(stored: bytes) -> Iterator[tuple[int, int]]:
    """Where each whole batch begins and ends; an answer may end within one."""
    start = 0
    while start + _PREFIX.size <= len(stored):
        _, length = _PREFIX.unpack_from(stored, start)
        end = start + _PREFIX.size + max(0, length)
        if end > len(stored):
            return
        yield start, end
        start = end


def _batch(stored: memoryview) -> _Batch:
    """The header of a batch whose bytes are as they were written.

    Raises:
        _Damaged: they are not.
    """
    if len(stored) < _HEADER.size:
        raise _Damaged("a batch shorter than its own header")
    base, _, _, magic, crc, attributes, last_delta, first_ms, last_ms, _, _, _, count = _HEADER.unpack_from(stored)
    if magic != 2:
        raise _Damaged(f"a batch of format {magic}; formats other than 2 are not read")
    if calc_crc32c(bytes(stored[_CRC_FROM:])) != crc:
        raise _Damaged(f"the batch of records {base} to {base + last_delta} is damaged: its CRC is wrong")
    return _Batch(base, base + last_delta + 1, attributes, first_ms, last_ms, count, stored[_HEADER.size :])


def _records(partition: TopicPartition, batch: _Batch) -> list[FoundRecord]:
    """The records of a batch; none of the broker's own markers, and one without a value for a batch that is larger than any of ours.

    Raises:
        _Damaged: it cannot be unpacked, or is not what its header says.
    """
    if batch.attributes & _CONTROL:
        return []
    place, found = 0, list[FoundRecord]()
    try:
        plain = _unpacked(batch)
    except TooLarge:
        return [FoundRecord(partition.topic, partition.partition, batch.next_offset - 1, batch.last_ms, None, None, ())]
    try:
        for _ in range(batch.count):
            size, place = decode_varint(plain, place)
            end = place + size
            if size < 0 or end > len(plain):
                raise _Damaged(f"the batch {batch.words} ends within a record")
            found.append(_record(partition, batch, plain[place:end]))
            place = end
    except (IndexError, ValueError, OverflowError) as fault:
        raise _Damaged(f"the batch {batch.words} has a record that is not whole ({fault})") from fault
    if place != len(plain):
        raise _Damaged(f"the batch {batch.words} says {batch.count} records and holds more")
    return found


def _unpacked(batch: _Batch) -> bytearray:
    codec = batch.attributes & _CODEC
    if not codec:
        return bytearray(batch.stored)
    if codec not in UNPACK:
        raise _Damaged(f"the batch {batch.words} is packed by codec {codec}, which nobody knows")
    name, unpack = UNPACK[codec]
    try:
        return bytearray(unpack(bytes(batch.stored)))
    except TooLarge:
        raise
    except OF_THE_LOG as fault:
        raise _Damaged(f"the batch {batch.words} cannot be unpacked ({name}: {str(fault)[:120]})") from fault


def _record(partition: TopicPartition, batch: _Batch, plain: bytearray) -> FoundRecord:
    place = 1  # its attributes say nothing
    delta_ms, place = decode_varint(plain, place)
    delta, place = decode_varint(plain, place)
    key, place = _bytes(plain, place)
    value, place = _bytes(plain, place)
    count, place = decode_varint(plain, place)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, place = _bytes(plain, place)
        content, place = _bytes(plain, place)
        headers.append(((name or b"").decode("utf-8", "replace"), content))
    timestamp = batch.last_ms if batch.attributes & _APPEND_TIME else batch.first_ms + delta_ms
    return FoundRecord(partition.topic, partition.partition, batch.base + delta, timestamp, key, value, tuple(headers))


def _bytes(plain: bytearray, place: int) -> tuple[bytes | None, int]:
    """A length and as many bytes; a negative length is null.

    Raises:
        ValueError: fewer are there.
    """
    size, place = decode_varint(plain, place)
    if size < 0:
        return None, place
    if place + size > len(plain):
        raise ValueError(f"{size} bytes announced, {len(plain) - place} there")
    return bytes(plain[place : place + size]), place + size


def at_most(look: Inspection, limit: int) -> Inspection:
    """No more records than a reader asked for; what follows is found again from where they end."""
    if len(look.records) <= limit:
        return look
    return Inspection(look.records[:limit], look.records[limit].offset)


@dataclass(slots=True)
class Obstacles:
    """What stands in the way of one reader, and the way around it.

    Attributes:
        consumer, positions: the reader's own.
        faults: why a partition cannot be read on, in words; looked at again every `LOOK_AGAIN_MS`, and gone once it can be.
        skipped: what was left out of topics without authority, until somebody takes it.
        unexplained: errors about the log in a row of which no look found the cause.
    """

    consumer: AIOKafkaConsumer
    positions: dict[TopicPartition, int]
    partition_bytes: int
    goes_on: bool
    faults: dict[TopicPartition, str] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    unexplained: int = 0
    looked_mono_ms: float = 0.0

    @property
    def words(self) -> str:
        """All that cannot be read, in the order of the partitions; empty if everything can."""
        return "; ".join(self.faults[partition] for partition in sorted(self.faults))

    @property
    def lost(self) -> str:
        """Of these faults the one that no mending of bytes undoes: the records are gone."""
        return next((words for _, words in sorted(self.faults.items()) if words.endswith(GONE)), "")

    def take_skipped(self) -> list[Skipped]:
        """What was left out since the last time; each once."""
        skipped, self.skipped = self.skipped, []
        return skipped

    async def read_around(self, refusal: Exception, max_records: int) -> list[FoundRecord]:
        """Find out what the client could not read; returns what stands before it.

        Whatever the client had in hand is dropped with its error, also of other partitions: all are read again from where `poll` is.
        """
        for partition, position in self.positions.items():
            self.consumer.seek(partition, position)
        found: list[FoundRecord] = []
        explained = False
        for partition in self.positions.keys() - self.consumer.paused() - self.faults.keys():
            if len(found) >= max_records:
                return found
            records, is_fault = await self._look_at(partition, max_records - len(found), may_raise=not found)
            found.extend(records)
            explained = explained or is_fault or bool(records)
        self.unexplained = 0 if explained else self.unexplained + 1
        if self.unexplained >= UNEXPLAINED:
            raise refusal
        return found

    async def _look_at(self, partition: TopicPartition, limit: int, *, may_raise: bool = False) -> tuple[Sequence[FoundRecord], bool]:
        """What can be read of a partition where the client gives up, and whether there is what cannot."""
        look = await inspect(self.consumer, partition, self.positions[partition], self.partition_bytes)
        if look is None:
            return (), partition in self.faults
        look = at_most(look, limit)
        if look.position != self.positions[partition]:
            self._go_to(partition, look.position)
        if not look.fault:
            return look.records, False
        if partition.topic in WITHOUT_AUTHORITY:
            await self._skip(partition, look.fault, look.beyond)
        elif self.goes_on:
            self.consumer.pause(partition)
            self.faults[partition] = look.fault
            log.error("the log cannot be read: %s", look.fault)
        elif may_raise and not look.records:
            raise Unreadable(look.fault)
        return look.records, True

    async def _skip(self, partition: TopicPartition, fault: str, beyond: int | None) -> None:
        """Go on behind what cannot be read, or at the end: nothing follows from what is left out here."""
        beyond = (await self.consumer.end_offsets([partition]))[partition] if beyond is None else beyond
        self.skipped.append(Skipped(partition, self.positions[partition], fault))
        log.warning("left out: %s; reading goes on at offset %d", fault, beyond)
        self._go_to(partition, beyond)

    async def look_again(self) -> None:
        """Whether what could not be read can be read now."""
        mono_ms = clock.monotonic_ms()
        if not self.faults or mono_ms - self.looked_mono_ms < LOOK_AGAIN_MS:
            return
        self.looked_mono_ms = mono_ms
        for partition in list(self.faults):
            _, is_fault = await self._look_at(partition, 0)
            if not is_fault:
                log.warning("the log can be read again: %s", self.faults.pop(partition))
                self.consumer.resume(partition)

    def _go_to(self, partition: TopicPartition, offset: int) -> None:
        self.consumer.seek(partition, offset)
        self.positions[partition] = offset
