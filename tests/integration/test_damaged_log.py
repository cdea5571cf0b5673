"""What a reader does with batches that it cannot read, on a real broker whose disk was damaged while it was stopped.

Every reader stops at the same record, names it, and returns everything before it and all other partitions.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import CorruptRecordException

from autonomy import inspection
from autonomy.envelope import Record
from autonomy.errors import Unreadable
from autonomy.inspection import FoundRecord
from autonomy.log_reader import LogReader
from autonomy.topics import COMMANDS, JOBS, PULSE, RUNNERS, TOPICS
from support.damage import CODECS, append_packed, damage, flip, sign, unknown_codec, unpackable
from support.log import append, fresh_topics
from support.measuring import FaultRows
from support.servers import Broker, a_broker, make_topics

pytestmark = [pytest.mark.servers, pytest.mark.long]
PARTS = {topic.name: topic.partitions for topic in TOPICS}
THREE = [b"one" * 20, b"two" * 20, b"three" * 20]
HURT = {
    0: (None, flip, "the batch of records 3 to 5 is damaged: its CRC is wrong"),
    1: ("zstd", flip, "the batch of records 3 to 5 is damaged: its CRC is wrong"),
    2: (None, unknown_codec, "the batch of records 3 to 5 is packed by codec 5, which nobody knows"),
    3: ("gzip", unpackable, "the batch of records 3 to 5 cannot be unpacked (gzip: "),
    4: ("snappy", unpackable, "the batch of records 3 to 5 cannot be unpacked (snappy: "),
    5: ("lz4", unpackable, "the batch of records 3 to 5 cannot be unpacked (lz4: "),
    6: ("zstd", unpackable, "the batch of records 3 to 5 cannot be unpacked (zstd: "),
}  # fmt: skip
WHOLE = 7


@pytest.fixture(scope="module")
def hurt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker whose partitions of `autonomy.jobs` have three batches each, the second one damaged in all but one; and two of the pulse's."""
    with a_broker(tmp_path_factory.mktemp("hurt")) as broker:
        make_topics(broker.bootstrap)
        for number, codec in [(number, codec) for number, (codec, *_) in HURT.items()] + [(WHOLE, "lz4")]:
            for _ in range(3):
                append_packed(broker.bootstrap, JOBS, number, THREE, codec)
        for number in (0, 0, 0):
            append_packed(broker.bootstrap, PULSE, number, THREE, "zstd")
        assert len(read(broker, {JOBS: [0] * PARTS[JOBS]})[0]) == 9 * 8, "everything could be read before"
        broker.stop()
        for number, (_, how, _) in HURT.items():
            damage(broker, JOBS, number, 1, how)
        damage(broker, PULSE, 0, 1, flip)
        broker.start()
        yield broker


def read(
    broker: Broker, starts: dict[str, list[int]], *, chunk: int = 5_000, until: Callable[[LogReader, list[Record]], bool] | None = None
) -> tuple[list[Record], LogReader]:
    """Everything that a reader which goes on returns until it has said all that it can."""

    async def run() -> tuple[list[Record], LogReader]:
        found: list[Record] = []
        async with await LogReader.open(broker.bootstrap, starts, goes_on=True) as reader:
            ends = await reader.ends(starts)
            quiet = 0
            while quiet < 3 and not (until and until(reader, found)):
                came = await reader.poll(300, chunk)
                found.extend(came)
                quiet = 0 if came or not (reader.reached(ends) or reader.fault) else quiet + 1
            return found, reader

    return asyncio.run(run())


@pytest.mark.parametrize("chunk", [5_000, 2])
def test_a_batch_that_nobody_can_read_stops_its_partition_alone_and_is_named(hurt: Broker, chunk: int) -> None:
    found, reader = read(hurt, {JOBS: [0] * PARTS[JOBS]}, chunk=chunk)
    of = {number: [record.offset for record in found if record.partition == number] for number in (*HURT, WHOLE)}
    assert of == {key: list(range(9 if key == WHOLE else 3)) for key in (*HURT, WHOLE)}
    assert {record.value for record in found} == set(THREE)
    said = {partition.partition: words for partition, words in reader.obstacles.faults.items()}
    assert said.keys() == HURT.keys()
    for number, (_, _, why) in HURT.items():
        assert said[number].startswith(f"autonomy.jobs/{number} cannot be read at offset 3: {why}"), said[number]
    assert all(reader.positions[TopicPartition(JOBS, number)] == 3 for number in HURT)
    assert reader.lag() == 0


async def first_of(consumer: AIOKafkaConsumer) -> object:
    """What comes first, whenever it comes."""
    while not (found := await consumer.getmany(timeout_ms=500)):
        pass
    return found


async def read_on(reader: LogReader, into: list[Record]) -> None:
    """Read until it raises."""
    while True:
        into.extend(await reader.poll(500))


def test_the_client_alone_would_drop_what_it_fetched_with_a_damaged_batch(hurt: Broker) -> None:
    """The trap that the reader works around; if this fails, the client has learnt better."""

    async def run() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=hurt.bootstrap, enable_auto_commit=False, auto_offset_reset="none")
        await consumer.start()
        consumer.assign([TopicPartition(JOBS, 0)])
        consumer.seek(TopicPartition(JOBS, 0), 0)
        try:
            with pytest.raises(CorruptRecordException):
                await first_of(consumer)
        finally:
            await consumer.stop()

    asyncio.run(run())


def test_a_reader_that_does_not_go_on_first_returns_what_stands_before(hurt: Broker) -> None:
    async def run() -> None:
        async with await LogReader.open(hurt.bootstrap, {JOBS: [0]}) as reader:
            found: list[Record] = []
            with pytest.raises(Unreadable, match=r"^autonomy.jobs/0 cannot be read at offset 3: the batch of records 3 to 5"):
                await read_on(reader, found)
            assert [record.offset for record in found] == [0, 1, 2]

    asyncio.run(run())


def test_a_topic_without_authority_is_read_on_behind_the_damage(hurt: Broker) -> None:
    found, reader = read(hurt, {PULSE: [0]}, until=lambda _, found: len(found) == 6)
    assert [record.offset for record in found] == [0, 1, 2, 6, 7, 8]
    assert not reader.fault
    (skipped,) = reader.obstacles.take_skipped()
    assert (skipped.partition, skipped.offset) == (TopicPartition(PULSE, 0), 3)
    assert "its CRC is wrong" in skipped.why


def test_what_is_mended_is_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_row: FaultRows) -> None:
    monkeypatch.setattr(inspection, "LOOK_AGAIN_MS", 300)
    with a_broker(tmp_path) as broker:
        make_topics(broker.bootstrap)
        for _ in range(3):
            append_packed(broker.bootstrap, JOBS, 0, THREE, "lz4")
        broker.stop()
        damage(broker, JOBS, 0, 1, flip)
        broker.start()

        async def run() -> list[int]:
            found: list[int] = []
            async with await LogReader.open(broker.bootstrap, {JOBS: [0], RUNNERS: [0]}, goes_on=True) as reader:
                row = fault_row(
                    "batch damaged, one reader", "The log", "the second of three batches is damaged on disk",
                    "read on once it is mended (looked at again every 0.3 s here)",
                )  # fmt: skip
                while not reader.fault:
                    found.extend(record.offset for record in await reader.poll(300))
                row.notices(f"the reader: “{reader.fault}”")
                assert found == [0, 1, 2]
                await asyncio.to_thread(broker.stop)
                damage(broker, JOBS, 0, 1, flip)
                await asyncio.to_thread(broker.start)
                row.heals()
                append_in = asyncio.to_thread(append_packed, broker.bootstrap, RUNNERS, 0, THREE, None)
                await append_in
                while len(found) < 12:
                    found.extend(record.offset for record in await reader.poll(300))
                assert not reader.fault
                row.recovers()
                row.keeps()
            return found

        assert sorted(asyncio.run(run())) == sorted([*range(9), *range(3)])


def test_a_header_name_that_is_not_utf8_is_no_damage(broker: Broker) -> None:
    """Any broker takes it, and clients in other languages send it; the client's reader raises at it and would stop everything."""
    fresh_topics(broker.bootstrap)
    append(broker.bootstrap, COMMANDS, 0, [b"before"])

    append_latin(broker, b"between")
    append(broker.bootstrap, COMMANDS, 0, [b"after"])
    found, reader = read(broker, {COMMANDS: [0]}, until=lambda _, found: len(found) == 3)
    assert [(record.offset, record.value) for record in found] == [(0, b"before"), (1, b"between"), (2, b"after")]
    assert found[1].headers == (("stra\ufffde", b"x"),)
    assert not reader.fault


def append_latin(broker: Broker, value: bytes) -> None:
    """One record whose header has a name in Latin-1: a batch put together by hand, since this client cannot."""

    async def run() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
        await producer.start()
        try:
            batch = producer.create_batch()
            batch.append(key=None, value=value, timestamp=None, headers=[("straXe", b"x")])
            builder = batch._builder
            whole = builder.build
            assert callable(whole)

            class Renamed:
                """The same builder; its bytes have the name in Latin-1 and a CRC over them."""

                def __getattr__(self, name: str) -> object:
                    return getattr(builder, name)

                def build(self) -> bytearray:
                    stored = bytearray(bytes(whole()).replace(b"straXe", b"stra\xdfe"))
                    sign(stored, 0, len(stored))
                    return stored

            batch._builder = Renamed()
            await (await producer.send_batch(batch, COMMANDS, partition=0))
        finally:
            await producer.stop()

    asyncio.run(run())


@pytest.mark.parametrize("codec", CODECS)
def test_a_foreign_producers_codec_is_read(broker: Broker, codec: str) -> None:
    fresh_topics(broker.bootstrap)
    append_packed(broker.bootstrap, COMMANDS, 0, THREE, codec)
    found, reader = read(broker, {COMMANDS: [0]})
    assert [record.value for record in found] == THREE
    assert not any(isinstance(record, FoundRecord) for record in found), "by the client itself"
    assert not reader.fault


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_that_unpacks_to_more_than_any_of_ours_is_one_record_without_a_value(broker: Broker, codec: str) -> None:
    """A megabyte may unpack to thirty gigabytes: the bound is the same for every reader, so each sees the same record."""
    fresh_topics(broker.bootstrap)
    append(broker.bootstrap, COMMANDS, 0, [b"before"])
    append_huge(broker.bootstrap, codec)
    append(broker.bootstrap, COMMANDS, 0, [b"after"])
    found, reader = read(broker, {COMMANDS: [0]}, until=lambda _, found: len(found) == 3)
    assert [(record.offset, record.value) for record in found] == [(0, b"before"), (1, None), (2, b"after")]
    assert not reader.fault


def append_huge(bootstrap: str, codec: str) -> None:
    """70 MB of one letter: more than the bound, and less than a megabyte on the wire."""

    async def run() -> None:
        most = 80_000_000
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, max_request_size=most, max_batch_size=most)
        await producer.start()
        try:
            await producer.send_and_wait(COMMANDS, b"x" * 70_000_000, partition=0)
        finally:
            await producer.stop()

    asyncio.run(run())


def delete_records(broker: Broker, topic: str, partition: int, before: int) -> None:
    """As an admin may, with one command."""

    async def run() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=before)})
        finally:
            await admin.close()

    asyncio.run(run())


def test_a_beginning_that_was_deleted_is_said_as_the_audit_says_it(broker: Broker, fault_row: FaultRows) -> None:
    fresh_topics(broker.bootstrap)
    append(broker.bootstrap, JOBS, 3, [b"x"] * 5)
    append(broker.bootstrap, JOBS, 4, [b"x"] * 5)
    delete_records(broker, JOBS, 3, 2)
    row = fault_row("beginning deleted, one reader", "The log", "the beginning of a partition is deleted before it is read", "restored")
    found, reader = read(broker, {JOBS: [0] * PARTS[JOBS]})
    assert reader.fault == "autonomy.jobs/3 begins at 2: records were deleted"
    row.said = f"the reader: “{reader.fault}”"
    row.keeps()
    assert [record.partition for record in found] == [4] * 5

    async def asked() -> str:
        async with await LogReader.open(broker.bootstrap, {JOBS: [0] * 3 + [2] + [0] * 8}) as later:
            return await later.deleted(later.positions)

    assert asyncio.run(asked()) == "autonomy.jobs/3 begins at 2: records were deleted"


def test_a_log_that_ends_before_what_was_read_of_it_is_said(broker: Broker, fault_row: FaultRows) -> None:
    """A topic that was deleted and made anew."""
    fresh_topics(broker.bootstrap)
    append(broker.bootstrap, JOBS, 3, [b"x"] * 2)
    row = fault_row("end lost, one reader", "The log", "a partition ends before what was read of it", "restored")
    _, reader = read(broker, {JOBS: [0] * 3 + [7] + [0] * 8}, until=lambda reader, _: bool(reader.fault))
    assert reader.fault == "autonomy.jobs/3 ends at 2, it was read up to 7: the log lost records"
    row.notices(f"the reader: “{reader.fault}”")
    row.keeps()


def test_a_pulse_that_was_made_anew_is_read_on_from_its_end(broker: Broker) -> None:
    fresh_topics(broker.bootstrap)
    append(broker.bootstrap, PULSE, 0, [b"x"] * 2)

    async def run() -> list[int]:
        async with await LogReader.open(broker.bootstrap, {PULSE: [9_000]}) as reader:
            while not reader.obstacles.skipped:
                await reader.poll(300)
            assert reader.positions[TopicPartition(PULSE, 0)] == 2
            await asyncio.to_thread(append, broker.bootstrap, PULSE, 0, [b"new"])
            while not (found := await reader.poll(300)):
                pass
            return [record.offset for record in found]

    assert asyncio.run(run()) == [2]
