"""A topic that takes no record for a while: the broker refuses every batch for good, and each refusal costs a producer its numbers."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from autonomy.topics import RUNNERS, TOPICS
from support.patience import PATIENCE_S

SETTINGS = {topic.name: topic.settings() for topic in TOPICS}
PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}
SMALLEST = {"max.message.bytes": "50"}
"""Less than any batch has."""


@contextmanager
def squeezed(bootstrap: str, *topics: str) -> Iterator[None]:
    """Let these topics take nothing, then be as they were. A broker follows its settings a moment later: wait for what they do."""
    configure(bootstrap, {topic: SETTINGS[topic] | SMALLEST for topic in topics})
    try:
        yield
    finally:
        configure(bootstrap, {topic: SETTINGS[topic] for topic in topics})


@contextmanager
def runners_squeezed(bootstrap: str) -> Iterator[None]:
    """The topic of the runners takes nothing from the first moment inside, and all from the first moment after.

    Its last partition tells: nothing is read there.
    """
    with squeezed(bootstrap, RUNNERS):
        apart(_until(bootstrap, taken=False))
        yield
    apart(_until(bootstrap, taken=True))


def configure(bootstrap: str, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Set all settings of topics."""

    async def run() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(values)) for name, values in wanted.items()])
        finally:
            await admin.close()

    apart(run())


async def _until(bootstrap: str, *, taken: bool) -> None:
    # No numbers: what is refused costs this producer nothing.
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await producer.send_and_wait(RUNNERS, b"taken?", partition=PARTITIONS[RUNNERS] - 1)
                    landed = True
                except MessageSizeTooLargeError:
                    landed = False
                if landed is taken:
                    return
                await asyncio.sleep(0.02)
    finally:
        await producer.stop()


def apart(work: Coroutine[Any, Any, None]) -> None:
    """Run in a thread of its own, so that a test may be inside an event loop; raises what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as fault:  # noqa: BLE001 (raised below)
            raised.append(fault)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
