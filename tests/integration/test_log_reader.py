"""Questions about a log's ends, to a real broker."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher

from autonomy.kafka import LogReader
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
