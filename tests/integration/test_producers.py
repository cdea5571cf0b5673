"""A producer whose numbers have a hole is refused by a real broker for ever; services hold one that is replaced.

The hole is made as an outage makes it, but each time: the broker refuses a batch for good (a topic takes no record of its size for a
while), and the batch's number is gone.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber

from autonomy import producer as subject
from autonomy.kafka import Outgoing, append_batch, build_producer
from autonomy.log_reader import LogReader
from autonomy.producer import Producer
from autonomy.topics import COMMANDS, RUNNERS
from proof_api.voice import Voice
from support.log import fresh_topics
from support.servers import Broker
from support.squeeze import runners_squeezed

pytestmark = pytest.mark.servers
LARGE = b"x" * 2_000
SOON_S = 20.0
"""A new producer takes a second after the last one; the rest is for a busy machine."""


async def say(producer: Producer | AIOKafkaProducer, value: bytes, topic: str = RUNNERS) -> int:
    return await append_batch(producer, topic, 0, [Outgoing(b"key", value)])


async def values_of(bootstrap: str, topic: str) -> list[bytes | None]:
    """What partition 0 of a topic holds."""
    async with await LogReader.open(bootstrap, {topic: [0]}) as reader:
        return [record.value async for record in reader.to_the_end([topic])]


async def make_a_hole(bootstrap: str, producer: Producer | AIOKafkaProducer) -> None:
    """It works, has a batch refused, and the topic is as it was again."""
    await say(producer, b"before")
    with runners_squeezed(bootstrap), pytest.raises(KafkaError):
        await say(producer, LARGE)


async def until_it_works(producer: Producer, value: bytes) -> float:
    begun = time.monotonic()
    while True:
        try:
            await say(producer, value)
        except KafkaError:
            if time.monotonic() - begun > SOON_S:
                raise
            await asyncio.sleep(0.1)
        else:
            return time.monotonic() - begun


@asynccontextmanager
async def a_producer(bootstrap: str) -> AsyncIterator[Producer]:
    made = await Producer.open(lambda: build_producer(bootstrap))
    try:
        yield made
    finally:
        await made.stop()


async def test_a_client_alone_is_refused_for_ever(broker: Broker) -> None:
    """The trap is still there: this is what every service would hold."""
    await asyncio.to_thread(fresh_topics, broker.bootstrap)
    alone = await build_producer(broker.bootstrap)
    try:
        await make_a_hole(broker.bootstrap, alone)
        for _ in range(20):
            with pytest.raises(OutOfOrderSequenceNumber):
                await say(alone, b"after")
            await asyncio.sleep(0.1)
    finally:
        await alone.stop()


async def test_a_producer_that_lost_a_batch_is_replaced(broker: Broker) -> None:
    await asyncio.to_thread(fresh_topics, broker.bootstrap)
    async with a_producer(broker.bootstrap) as producer:
        first = producer.renewed.client
        await make_a_hole(broker.bootstrap, producer)
        assert await until_it_works(producer, b"after") < SOON_S
        assert producer.renewed.client is not first
        assert producer.renewed.problem == ""
    assert await values_of(broker.bootstrap, RUNNERS) == [b"before", b"after"]


async def test_a_record_that_nobody_waits_for_is_watched_too(broker: Broker) -> None:
    """As a planner's pulse is: nobody hears that it was refused, and it would stay silent."""
    await asyncio.to_thread(fresh_topics, broker.bootstrap)
    async with a_producer(broker.bootstrap) as producer:
        first = producer.renewed.client
        await producer.send(RUNNERS, b"before", key=b"key", partition=0)
        assert first is not None
        await first.flush()
        with runners_squeezed(broker.bootstrap):
            await producer.send(RUNNERS, LARGE, key=b"key", partition=0)
            async with asyncio.timeout(SOON_S):
                while producer.renewed.client is first:
                    await asyncio.sleep(0.05)
        await producer.renewed.ready(SOON_S)
        await producer.send(RUNNERS, b"after", key=b"key", partition=0)
    assert await values_of(broker.bootstrap, RUNNERS) == [b"before", b"after"]


async def test_a_batch_without_an_answer_is_given_up_and_the_next_one_goes_out(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that takes the connection and says nothing (frozen): the caller hears "unknown", nothing waits for ever."""
    await asyncio.to_thread(fresh_topics, broker.bootstrap)
    monkeypatch.setattr(subject, "LOOK_S", 0.5)
    async with a_producer(broker.bootstrap) as producer:
        await say(producer, b"before")
        broker.freeze()
        try:
            with pytest.raises(KafkaError, match="unknown"):
                await say(producer, b"lost or not")
            with pytest.raises(KafkaError, match="no producer within"):
                await producer.send(RUNNERS, b"pulse", key=b"key", partition=0)
        finally:
            broker.thaw()
        assert await until_it_works(producer, b"after") < SOON_S
    found = await values_of(broker.bootstrap, RUNNERS)
    assert {*found} - {b"lost or not"} == {b"after", b"before"}
    assert found.count(b"after") == found.count(b"before") == 1
    assert found.count(b"lost or not") <= 1


async def test_what_is_said_through_faststream_recovers_too(broker: Broker) -> None:
    """The first record after the hole is refused to the lost producer, and said by the next one: nobody has to ask again."""
    await asyncio.to_thread(fresh_topics, broker.bootstrap)
    voice = Voice(broker.bootstrap)
    try:
        landed = await voice.say(RUNNERS, b"key", b"before", SOON_S)
        assert (landed.offset, landed.timestamp_type) == (0, 1)
        with runners_squeezed(broker.bootstrap), pytest.raises(KafkaError):
            await voice.say(RUNNERS, b"key", LARGE, SOON_S)
        assert (await voice.say(RUNNERS, b"key", b"after", SOON_S)).offset == 1
        assert (await voice.say(COMMANDS, b"key", b"elsewhere", SOON_S)).offset == 0
    finally:
        await voice.close()
    assert await values_of(broker.bootstrap, RUNNERS) == [b"before", b"after"]


async def test_without_the_replacement_faststream_is_refused_for_ever(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    await asyncio.to_thread(fresh_topics, broker.bootstrap)
    monkeypatch.setattr(subject.Renewed, "renew", lambda *_: None)
    voice = Voice(broker.bootstrap)
    try:
        await voice.say(RUNNERS, b"key", b"before", SOON_S)
        with runners_squeezed(broker.bootstrap), pytest.raises(KafkaError):
            await voice.say(RUNNERS, b"key", LARGE, SOON_S)
        with pytest.raises(OutOfOrderSequenceNumber):
            await voice.say(RUNNERS, b"key", b"after", SOON_S)
    finally:
        await voice.close()


async def test_a_broker_that_is_away_costs_no_crowd_of_producers(broker: Broker) -> None:
    """One is being built at a time, however many ask for it, and what could not be built leaves nothing behind."""
    producer = Producer(subject.Renewed(lambda: build_producer("127.0.0.1:1"), subject.discard), AIOKafkaProducer(bootstrap_servers="x:1"))
    try:
        refusals = await asyncio.gather(*(say(producer, b"x") for _ in range(20)), return_exceptions=True)
        assert all(isinstance(refusal, KafkaError) for refusal in refusals)
        assert len([task for task in asyncio.all_tasks() if "Renewed._build" in repr(task)]) == 1
    finally:
        await producer.stop()
    assert not [task for task in asyncio.all_tasks() if "Renewed._build" in repr(task)]
