"""What a runner says: in order per partition, together while an append is under way, and unknown when it was not acknowledged."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError
from typing_extensions import override

from autonomy.kafka import Outgoing
from job_runner.claims.outbox import Outbox


@dataclass
class Batch:
    values: list[bytes] = field(default_factory=list)

    def append(self, *, key: bytes, value: bytes, timestamp: None, headers: list[Any]) -> object:
        self.values.append(value)
        return object()

    def record_count(self) -> int:
        return len(self.values)


@dataclass
class Broker:
    """A producer whose acks come when the test lets them."""

    appended: list[tuple[str, int, list[bytes]]] = field(default_factory=list)
    acks: "list[asyncio.Future[Any]]" = field(default_factory=list)

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> "asyncio.Future[Any]":
        self.appended.append((topic, partition, batch.values))
        ack: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.acks.append(ack)
        return ack


def an_outbox() -> tuple[Outbox, Broker]:
    broker = Broker()
    return Outbox(cast("AIOKafkaProducer", broker)), broker


def said(*values: bytes) -> list[Outgoing]:
    return [Outgoing(b"bot", value) for value in values]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_comes_while_an_append_is_under_way_goes_out_together_and_in_order() -> None:
    async def scenario() -> None:
        outbox, broker = an_outbox()
        first = asyncio.create_task(outbox.say("jobs", 3, said(b"1")))
        await settle()
        later = [asyncio.create_task(outbox.say("jobs", 3, said(value))) for value in (b"2", b"3", b"4")]
        await settle()
        assert broker.appended == [("jobs", 3, [b"1"])]
        broker.acks[0].set_result(SimpleNamespace(offset=0))
        assert await first
        await settle()
        assert broker.appended[1:] == [("jobs", 3, [b"2", b"3", b"4"])]
        assert not any(task.done() for task in later)
        broker.acks[1].set_result(SimpleNamespace(offset=1))
        assert await asyncio.gather(*later) == [True, True, True]
        assert not outbox.sending
        assert not outbox.waiting

    asyncio.run(scenario())


def test_partitions_do_not_wait_for_one_another() -> None:
    async def scenario() -> None:
        outbox, broker = an_outbox()
        one = asyncio.create_task(outbox.say("jobs", 1, said(b"1")))
        two = asyncio.create_task(outbox.say("jobs", 2, said(b"2")))
        await settle()
        assert len(broker.acks) == 2
        broker.acks[1].set_result(SimpleNamespace(offset=0))
        assert await two
        assert not one.done()
        broker.acks[0].set_result(SimpleNamespace(offset=0))
        assert await one

    asyncio.run(scenario())


def test_unacknowledged_is_unknown_for_each_record_and_the_next_batch_still_goes_out() -> None:
    async def scenario() -> None:
        outbox, broker = an_outbox()
        first = asyncio.create_task(outbox.say("jobs", 3, said(b"1")))
        await settle()
        second = asyncio.create_task(outbox.say("jobs", 3, said(b"2")))
        broker.acks[0].set_exception(KafkaTimeoutError())
        assert not await first
        await settle()
        broker.acks[1].set_result(SimpleNamespace(offset=1))
        assert await second

    asyncio.run(scenario())


def test_who_stopped_waiting_does_not_stop_the_others() -> None:
    async def scenario() -> None:
        outbox, broker = an_outbox()
        gone = asyncio.create_task(outbox.say("jobs", 3, said(b"1")))
        await settle()
        stays = asyncio.create_task(outbox.say("jobs", 3, said(b"2")))
        await settle()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        broker.acks[0].set_result(SimpleNamespace(offset=0))
        await settle()
        broker.acks[1].set_result(SimpleNamespace(offset=1))
        assert await stays

    asyncio.run(scenario())


def test_what_nobody_waits_for_any_more_is_not_said() -> None:
    """A cancelled session must not speak from the queue; what is on its way already cannot be called back."""

    async def scenario() -> None:
        outbox, broker = an_outbox()
        first = asyncio.create_task(outbox.say("jobs", 3, said(b"1")))
        await settle()
        gone, stays = (asyncio.create_task(outbox.say("jobs", 3, said(value))) for value in (b"2", b"3"))
        await settle()
        gone.cancel()
        await settle()
        broker.acks[0].set_result(SimpleNamespace(offset=0))
        assert await first
        await settle()
        assert broker.appended[1:] == [("jobs", 3, [b"3"])]
        broker.acks[1].set_result(SimpleNamespace(offset=1))
        assert await stays
        alone = asyncio.create_task(outbox.say("jobs", 3, said(b"4")))
        await settle()
        nobody = asyncio.create_task(outbox.say("jobs", 3, said(b"5")))
        await settle()
        nobody.cancel()
        broker.acks[2].set_result(SimpleNamespace(offset=2))
        assert await alone
        await settle()
        assert len(broker.appended) == 3
        assert not outbox.sending

    asyncio.run(scenario())


def test_a_record_that_fits_nowhere_is_the_fault_of_who_said_it() -> None:
    class Full(Batch):
        @override
        def append(self, **_: Any) -> None:
            return None

    async def scenario() -> None:
        outbox, broker = an_outbox()
        broker.create_batch = Full  # type: ignore[method-assign]
        with pytest.raises(ValueError, match="does not fit"):
            await outbox.say("jobs", 3, said(b"1"))
        assert broker.acks == [], "nothing was sent"

    asyncio.run(scenario())
