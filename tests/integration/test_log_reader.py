"""Questions about a log's ends, to a real broker."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher

from autonomy.log_reader import LogReader
from autonomy.topics import TOPICS
from support.log import append, fresh_topics
from support.servers import Broker

STARTS = {topic.name: [0] * topic.partitions for topic in TOPICS}


def test_the_first_question_for_ends_needs_one_attempt_and_fetches_nothing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client answers about a topic that it did not know only after a backoff, topic by topic: 0.4 s of every start."""
    fresh_topics(broker.bootstrap)
    append(broker.bootstrap, TOPICS[0].name, 0, [b"one", b"two"])
    attempts = []
    attempt = Fetcher._proc_offset_requests

    async def counted(self: Fetcher, timestamps: object) -> object:
        attempts.append(timestamps)
        return await attempt(self, timestamps)

    monkeypatch.setattr(Fetcher, "_proc_offset_requests", counted)

    async def asked() -> int:
        async with await LogReader.open(broker.bootstrap, STARTS) as reader:
            ends = await reader.ends(STARTS)
            assert ends[TOPICS[0].name][0] == 2
            assert reader.asker is not None
            assert reader.asker.paused() == set(reader.positions)  # what nobody takes is not fetched either
            return len(attempts)

    async def asked_without_telling() -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)
        await consumer.start()
        await consumer.end_offsets([TopicPartition(topic, number) for topic, starts in STARTS.items() for number in range(len(starts))])
        await consumer.stop()
        return len(attempts)

    assert asyncio.run(asked()) == 1
    attempts.clear()
    assert asyncio.run(asked_without_telling()) > 1  # the trap is still there


def test_a_reader_knows_how_far_behind_the_broker_it_is(broker: Broker) -> None:
    """From what its fetches brought along: nothing is asked for it, so before the first one nothing is known."""
    fresh_topics(broker.bootstrap)
    place, other = TopicPartition(TOPICS[0].name, 0), TopicPartition(TOPICS[1].name, 0)
    append(broker.bootstrap, place.topic, 0, [b"value"] * 7)
    append(broker.bootstrap, other.topic, 0, [b"value"])

    async def asked() -> None:
        async with await LogReader.open(broker.bootstrap, STARTS) as reader:
            assert not reader.is_behind(place)
            reader.pause_all_but([place])
            while not reader.positions[place]:
                await reader.poll(1_000, 3)
            assert reader.positions[place] == 3
            assert reader.is_behind(place)
            while reader.is_behind(place):
                await reader.poll(1_000, 3)
            assert reader.positions[place] == 7
            reader.pause_all_but(reader.positions)
            while not reader.positions[other]:
                await reader.poll(1_000)
            assert reader.lag() == 0

    asyncio.run(asked())


def test_of_one_partition_so_many_bytes_are_fetched_at_once(broker: Broker) -> None:
    """The inputs of a tick lie in many partitions: none of them shall fill the whole answer."""
    fresh_topics(broker.bootstrap)
    append(broker.bootstrap, TOPICS[0].name, 0, [b"x" * 10_000] * 20)

    async def first(*limit: int) -> int:
        async with await LogReader.open(broker.bootstrap, STARTS, *limit) as reader:
            while not (records := await reader.poll(1_000)):
                pass
            return len(records)

    assert asyncio.run(first(35_000)) == 3
    assert asyncio.run(first()) == 20
