"""A topic that takes no record for a while: the broker refuses every batch for good, and each refusal costs a producer its numbers."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from autonomy.topics import TOPICS

SETTINGS = {topic.name: topic.settings() for topic in TOPICS}
SMALLEST = {"max.message.bytes": "50"}


@contextmanager
def squeezed(bootstrap: str, *topics: str) -> Iterator[None]:
    """Let these topics take nothing larger than 50 bytes, then be as they were."""
    configure(bootstrap, {topic: SETTINGS[topic] | SMALLEST for topic in topics})
    try:
        yield
    finally:
        configure(bootstrap, {topic: SETTINGS[topic] for topic in topics})


def configure(bootstrap: str, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Set all settings of topics; in a thread of its own, so that a test may be inside an event loop."""

    async def run() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(values)) for name, values in wanted.items()])
        finally:
            await admin.close()

    thread = Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join()
