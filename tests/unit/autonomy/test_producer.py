"""Whoever waits for an answer of a client that was let go hears that it is unknown; nobody waits for ever.

The clients here only lose answers as real ones do; `tests/integration/test_producers.py` has the real ones.

Source: S4; docs/protocol.md.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from autonomy.producer import Producer, Renewed


@dataclass(eq=False)
class Client:
    """Takes batches, and answers those that the test answers."""

    answers: "list[asyncio.Future[Any]]" = field(default_factory=list)

    async def send_batch(self, _builder: object, _topic: str, *, partition: int) -> "asyncio.Future[Any]":
        assert partition == 0
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


async def let_go(_: Any) -> None:
    """As `autonomy.producer.discard` does it: what is on its way to a broker is forgotten."""


def a_producer(*clients: Client) -> Producer:
    others: list[Any] = list(clients[1:])
    first: Any = clients[0]

    async def build() -> Any:
        return others.pop(0)

    return Producer(Renewed(build, let_go, client=first), first)


async def send(producer: Producer) -> "asyncio.Future[Any]":
    batch: Any = object()
    return await producer.send_batch(batch, "autonomy.runs", partition=0)


async def test_an_answer_that_a_lost_client_owes_is_unknown() -> None:
    """A pulse is refused while a tick's records are on their way: the planner waited for their answer for ever."""
    first = Client()
    producer = a_producer(first, Client())
    owed, refused = await send(producer), await send(producer)
    first.answers[1].set_exception(MessageSizeTooLargeError())
    with pytest.raises(MessageSizeTooLargeError):
        await refused
    async with asyncio.timeout(5):
        with pytest.raises(KafkaTimeoutError, match="the producer was replaced"):
            await owed
    await asyncio.sleep(0)
    assert not producer.open_answers


async def test_negative_control_the_clients_own_answer_never_comes() -> None:
    first = Client()
    producer = a_producer(first, Client())
    _ = await send(producer)
    refused = await send(producer)
    first.answers[1].set_exception(MessageSizeTooLargeError())
    with pytest.raises(MessageSizeTooLargeError):
        await refused
    _, waiting = await asyncio.wait({first.answers[0]}, timeout=0.05)
    assert waiting


async def test_a_late_answer_of_a_lost_client_changes_nothing() -> None:
    first, second = Client(), Client()
    producer = a_producer(first, second)
    owed, refused = await send(producer), await send(producer)
    first.answers[1].set_exception(MessageSizeTooLargeError())
    await asyncio.wait({owed, refused})
    first.answers[0].set_result("it landed after all")
    again = await send(producer)
    second.answers[0].set_result("acknowledged")
    assert await again == "acknowledged"
    assert isinstance(owed.exception(), KafkaTimeoutError)
    assert producer.renewed.problem == ""
