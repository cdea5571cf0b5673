"""What this process says to the log: declared FastStream publishers, so that the AsyncAPI document comes from running code.

Place in the flow: commands and probes → **voice** → Kafka. FastStream fits here, where a record is said once and acknowledged;
whatever needs positions and cuts reads with `autonomy.kafka`. All its defaults that matter are set here: idempotent, all acks.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLOAuthBearer, SASLScram512
from faststream.specification import AsyncAPI

from autonomy.errors import Retryable
from autonomy.events import CATALOGUE, AttemptRefused, Command, ProbePulse
from autonomy.kafka_access import KafkaAccess
from autonomy.kafka_clients import client_options
from autonomy.topics import COMMANDS, PULSE

log = logging.getLogger(__name__)
REQUEST_TIMEOUT_MS: Final = 5_000
START_TIMEOUT_S: Final = 8.0
LOST: Final = (KafkaError, OSError, TimeoutError, Retryable)
"""Kafka does not answer now; a record that was being sent may land later."""


def build_broker(kafka: str | KafkaAccess) -> KafkaBroker:
    """A broker with this process's publishers declared; it connects when it is started."""
    broker = KafkaBroker(
        **broker_options(kafka), acks="all", enable_idempotence=True, request_timeout_ms=REQUEST_TIMEOUT_MS, retry_backoff_ms=100,
        metadata_max_age_ms=30_000, max_request_size=1_100_000, linger_ms=0, client_id="autonomy-proof-api", logger=None,
    )  # fmt: skip
    for kind in CATALOGUE:
        if issubclass(kind, Command | AttemptRefused):
            broker.publisher(COMMANDS, partition=0, title=kind.wire, description=kind.__doc__, schema=kind)
    broker.publisher(PULSE, partition=0, title=ProbePulse.wire, description=ProbePulse.__doc__, schema=ProbePulse)
    return broker


def broker_options(kafka: str | KafkaAccess) -> dict[str, Any]:
    """The same access as every other client's, in FastStream's words."""
    access = KafkaAccess.of(kafka)
    options = client_options(access)
    found: dict[str, Any] = {"bootstrap_servers": options["bootstrap_servers"]}
    context, encrypted = options.get("ssl_context"), access.protocol.is_encrypted
    if not access.protocol.asks_who:
        return found | {"security": BaseSecurity(ssl_context=context, use_ssl=encrypted)}
    if access.mechanism == "OAUTHBEARER":
        security: BaseSecurity = SASLOAuthBearer(ssl_context=context, use_ssl=encrypted)
        return found | {"security": security, "sasl_oauth_token_provider": options["sasl_oauth_token_provider"]}
    name, secret = options["sasl_plain_username"], options["sasl_plain_password"]
    return found | {"security": SASLScram512(username=name, password=secret, ssl_context=context, use_ssl=encrypted)}


def asyncapi(broker: KafkaBroker) -> str:
    """The AsyncAPI 3 document of what this process says, as JSON."""
    document = AsyncAPI(broker, title="Autonomy proof API", version="1", schema_version="3.0.0")
    return document.to_specification().to_json()


@dataclass(slots=True)
class Voice:
    """One started broker, made when it is first needed."""

    kafka: str | KafkaAccess
    broker: KafkaBroker = field(init=False)
    started: bool = False
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Declare, without connecting."""
        self.broker = build_broker(self.kafka)

    async def ready(self) -> None:
        """Connect, if that was not done yet.

        Raises:
            KafkaError, OSError or TimeoutError: nothing was sent.
        """
        async with self.starting:
            if not self.started:
                await asyncio.wait_for(self.broker.start(), START_TIMEOUT_S)
                self.started = True

    async def say(self, topic: str, key: bytes, value: bytes, timeout_s: float) -> None:
        """Append a record to partition 0 and wait for all acks.

        Raises:
            KafkaError, OSError or TimeoutError: unknown whether it landed.
        """
        await asyncio.wait_for(self.broker.publish(value, topic=topic, key=key, partition=0), timeout_s)

    async def close(self) -> None:
        """Disconnect."""
        if self.started:
            await asyncio.wait_for(self.broker.stop(), START_TIMEOUT_S)
