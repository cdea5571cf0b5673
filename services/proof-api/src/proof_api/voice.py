"""What this process says to the log: declared FastStream publishers, so that the AsyncAPI document comes from running code.

Place in the flow: commands and probes → **voice** → Kafka. FastStream fits here, where a record is said once and acknowledged;
whatever needs positions and cuts reads with `autonomy.log_reader`. All its defaults that matter are set here: idempotent, all acks. Its
producer recovers no better than the client's own, so a broker of its that failed is replaced whole, as `autonomy.producer` does it.
"""

import asyncio
import contextlib
import functools
from dataclasses import dataclass, field
from typing import Final, cast

from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError
from aiokafka.structs import RecordMetadata
from faststream.kafka import KafkaBroker
from faststream.kafka.publisher.producer import AioKafkaFastProducerImpl

from autonomy import clock
from autonomy.broker_access import broker_options
from autonomy.envelope import MEDIA_TYPE
from autonomy.kafka_access import KafkaAccess
from autonomy.kafka_clients import REFUSED, bound_connecting
from autonomy.producer import LOST, UNRESOLVED_S, Renewed, discard

REQUEST_TIMEOUT_MS: Final = 5_000
START_TIMEOUT_S: Final = 8.0
HEADERS: Final = {"content-type": MEDIA_TYPE}
TRIES: Final = 2
"""Of one record: what a lost producer was refused is said once more, by the next one. A command said twice acts once."""


def build_broker(kafka: str | KafkaAccess) -> KafkaBroker:
    """A broker that connects when it is started."""
    return KafkaBroker(
        **broker_options(kafka), acks="all", enable_idempotence=True, request_timeout_ms=REQUEST_TIMEOUT_MS, retry_backoff_ms=100,
        metadata_max_age_ms=30_000, max_request_size=1_100_000, linger_ms=0, client_id="autonomy-proof-api", logger=None,
    )  # fmt: skip


async def start_broker(kafka: str | KafkaAccess) -> KafkaBroker:
    """A broker that is connected.

    Raises:
        KafkaError, OSError or TimeoutError: Kafka does not answer.
    """
    bound_connecting()
    broker = build_broker(kafka)
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await broker.start()
    except BaseException as fault:
        words = REFUSED.get()
        with contextlib.suppress(*LOST):
            await stop_broker(broker)
        if words and isinstance(fault, KafkaError):
            raise KafkaConnectionError(words) from fault
        raise
    return broker


async def stop_broker(broker: KafkaBroker) -> None:
    """Let go of a broker at once: its own stop waits for what its producer has under way."""
    inner = cast("AioKafkaFastProducerImpl", broker.config.producer)
    if not inner.closed:
        await discard(inner._producer.producer)  # noqa: SLF001 (FastStream shows its client nowhere)
    async with asyncio.timeout(START_TIMEOUT_S):
        await broker.stop()


@dataclass(slots=True)
class Voice:
    """One started broker, made when it is first needed, and again when it failed.

    Attributes:
        unresolved: per topic, when the oldest record was said that has no answer.
    """

    kafka: str | KafkaAccess
    renewed: Renewed[KafkaBroker] = field(init=False)
    unresolved: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Connect to nothing yet."""
        self.renewed = Renewed(functools.partial(start_broker, self.kafka), stop_broker)

    async def ready(self) -> None:
        """Connect, if that was not done yet.

        Raises:
            KafkaError: nothing was sent.
        """
        await self.renewed.ready(START_TIMEOUT_S)

    async def say(self, topic: str, key: bytes, value: bytes, timeout_s: float) -> RecordMetadata:
        """Append a record to partition 0 and wait for all acks; returns where it is, and the broker's time of it.

        Raises:
            KafkaError, OSError or TimeoutError: unknown whether it landed.
        """
        self.unresolved.setdefault(topic, clock.monotonic_ms())
        async with asyncio.timeout(timeout_s):
            for tries_left in reversed(range(TRIES)):
                broker = await self.renewed.ready(timeout_s)
                try:
                    landed = await broker.publish(value, topic=topic, key=key, partition=0, headers=HEADERS)
                except KafkaTimeoutError:
                    raise  # not taken, or given up: no number was lost by it
                except KafkaError as refusal:
                    self.renewed.renew(broker, refusal)
                    if not tries_left:
                        raise
                except asyncio.CancelledError:
                    self._renew_if_stuck(topic, broker)
                    raise
                else:
                    self.unresolved.pop(topic, None)
                    self.renewed.problem = ""
                    return landed
        raise AssertionError("the last try returns or raises")

    def _renew_if_stuck(self, topic: str, broker: KafkaBroker) -> None:
        """Replace a broker that has answered nothing of this topic for long; whoever asked gave up before."""
        if clock.monotonic_ms() - self.unresolved.get(topic, clock.monotonic_ms()) >= UNRESOLVED_S * 1000:
            self.renewed.renew(broker, KafkaTimeoutError(f"no answer to a record of {topic} for {UNRESOLVED_S:.0f} s"))

    async def close(self) -> None:
        """Disconnect."""
        await self.renewed.close()
