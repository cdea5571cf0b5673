"""What every Kafka client is given to reach its cluster: aiokafka, FastStream, and Kafka's own programs.

Place in the flow: `kafka_access` (settings) → **options** → clients of `kafka`, of proof-api's voice, of the command line.
"""

import asyncio
import json
import ssl
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import client
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import create_conn
from typing_extensions import override

from autonomy.clock import monotonic_ms
from autonomy.kafka_access import KafkaAccess

CONNECT_S: Final = 3
TOKEN_TIMEOUT_S: Final = 10
TOKEN_SPARE_MS: Final = 30_000
"""A token is asked for anew so long before its end."""


def client_options(kafka: str | KafkaAccess) -> dict[str, Any]:
    """The keyword arguments of an aiokafka client; a string names servers, the rest is the environment's."""
    access = KafkaAccess.of(kafka)
    options: dict[str, Any] = {"bootstrap_servers": access.addresses(), "security_protocol": access.protocol.value}
    if access.protocol.is_encrypted:
        options["ssl_context"] = tls_context(access)
    if access.protocol.asks_who:
        options["sasl_mechanism"] = access.mechanism
        if access.mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = Tokens(access)
        else:
            options |= {"sasl_plain_username": access.username, "sasl_plain_password": access.secret()}
    return options


def tls_context(access: KafkaAccess) -> ssl.SSLContext:
    """TLS with the named authority, the client's own certificate where there is one; names are always checked."""
    context = ssl.create_default_context(cafile=access.ca_file)
    if access.certificate_file is not None:
        password = None if access.key_password is None else access.key_password.get_secret_value()
        context.load_cert_chain(access.certificate_file, access.key_file, password)
    return context


@dataclass(slots=True)
class Tokens(AbstractTokenProvider):  # type: ignore[misc] # aiokafka has no types
    """Bearer tokens: from a file that somebody keeps fresh, or from an OAuth 2 server by client credentials."""

    access: KafkaAccess
    known: str = ""
    until_mono_ms: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @override
    async def token(self) -> str:
        """A token that holds now.

        Raises:
            OSError: the file or the server does not answer.
        """
        if self.access.token_file is not None:
            return self.access.token_file.read_text().strip()
        async with self.asking, asyncio.timeout(2 * TOKEN_TIMEOUT_S):
            if monotonic_ms() >= self.until_mono_ms:
                self.known, lifetime_s = await asyncio.to_thread(self._ask)
                self.until_mono_ms = monotonic_ms() + lifetime_s * 1000 - TOKEN_SPARE_MS
            return self.known

    def _ask(self) -> tuple[str, float]:
        secret = self.access.client_secret
        form = {
            "grant_type": "client_credentials", "client_id": self.access.client_id or "",
            "client_secret": "" if secret is None else secret.get_secret_value(),
        } | ({"scope": self.access.scope} if self.access.scope else {})  # fmt: skip
        request = urllib.request.Request(self.access.token_url or "", urllib.parse.urlencode(form).encode())  # noqa: S310 (http(s) only)
        with urllib.request.urlopen(request, timeout=TOKEN_TIMEOUT_S) as answer:  # noqa: S310 (as above)
            said = json.loads(answer.read())
        return str(said["access_token"]), float(said.get("expires_in", 300))


def java_properties(access: KafkaAccess) -> dict[str, str]:
    """The same access as client properties of Kafka's own programs; whoever writes them keeps the file private."""
    found = {"security.protocol": access.protocol.value}
    if access.protocol.is_encrypted and access.ca_file is not None:
        found |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(access.ca_file)}
    if access.protocol.asks_who and access.mechanism == "SCRAM-SHA-512":
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        words = f"{module} required username={_in_jaas(access.username or '')} password={_in_jaas(access.secret())};"
        found |= {"sasl.mechanism": access.mechanism, "sasl.jaas.config": words}
    return found


def _in_jaas(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def _create_conn(*address: object, **options: object) -> object:
    """Connect to a broker, or give it up sooner than a request.

    A host that is gone refuses nothing. The client asks a random broker for its metadata, one at a time, with everybody waiting: at a
    request's time-out for each try, ticks stood still for 42 s after a leader had been cut off, 32 of them with a new leader elected.
    """
    async with asyncio.timeout(CONNECT_S):
        return await create_conn(*address, **options)


def bound_connecting() -> None:
    """Let every client of this process connect so; safe to call again."""
    client.create_conn = _create_conn
