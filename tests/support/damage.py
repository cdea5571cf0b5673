"""Damage on a stopped broker's disk, and one client's odd records: what a log may hold that no reader can be asked to understand."""

import asyncio
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from support.servers import Broker

CODECS = ("gzip", "snappy", "lz4", "zstd")
HEADER_SIZE, CRC_AT, CRC_FROM, ATTRIBUTES_AT = 61, 17, 21, 22
Damage = Callable[[bytearray, int, int], None]


def append_packed(
    bootstrap: str, topic: str, partition: int, values: Sequence[bytes], codec: str | None, headers: Sequence[tuple[str, bytes]] = ()
) -> None:
    """Append values as one batch, packed as a foreign producer may choose."""

    async def run() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, linger_ms=200, acks="all")
        await producer.start()
        try:
            sent = [await producer.send(topic, value, partition=partition, headers=list(headers)) for value in values]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    asyncio.run(run())


def segment(broker: Broker, topic: str, partition: int) -> Path:
    """The only file of a partition's log."""
    return next((broker.server.folder / "log" / f"{topic}-{partition}").glob("*.log"))


def batches(stored: bytes | bytearray) -> list[tuple[int, int]]:
    """Where each batch begins, and how long it is."""
    found, place = [], 0
    while place + HEADER_SIZE <= len(stored):
        (length,) = struct.unpack_from(">i", stored, place + 8)
        if length <= 0:
            break
        found.append((place, 12 + length))
        place += 12 + length
    return found


def damage(broker: Broker, topic: str, partition: int, number: int, how: Damage) -> None:
    """Change the bytes of one batch, counted from 0, of a broker that is stopped."""
    assert broker.process is not None
    assert broker.process.poll() is not None
    file = segment(broker, topic, partition)
    stored = bytearray(file.read_bytes())
    place, size = batches(stored)[number]
    how(stored, place, size)
    file.write_bytes(stored)


def flip(stored: bytearray, place: int, size: int) -> None:
    """A byte of the last record, as a bad disk would; a second time mends it."""
    stored[place + size - 5] ^= 0xFF


def unpackable(stored: bytearray, place: int, size: int) -> None:
    """What no codec unpacks, under a CRC that is right."""
    stored[place + HEADER_SIZE : place + size] = b"Z" * (size - HEADER_SIZE)
    sign(stored, place, size)


def unknown_codec(stored: bytearray, place: int, size: int) -> None:
    """A codec that is not one, under a CRC that is right."""
    stored[place + ATTRIBUTES_AT] = (stored[place + ATTRIBUTES_AT] & 0xF8) | 5
    sign(stored, place, size)


def sign(stored: bytearray, place: int, size: int) -> None:
    struct.pack_into(">I", stored, place + CRC_AT, calc_crc32c(bytes(stored[place + CRC_FROM : place + size])))
