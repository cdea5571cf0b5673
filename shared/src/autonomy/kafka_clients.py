"""What every Kafka client is given to reach its cluster: aiokafka, FastStream, and Kafka's own programs.

Place in the flow: `kafka_access` (settings) → **options** → clients of `kafka`, of proof-api's voice, of the command line.
"""

import asyncio
import json
import ssl
import urllib.parse
import urllib.request
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import client, conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import OAuthAuthenticator, create_conn
from aiokafka.errors import SaslAuthenticationFailed
from typing_extensions import override

from autonomy.clock import monotonic_ms
from autonomy.kafka_access import KafkaAccess

CONNECT_S: Final = 3
TOKEN_TIMEOUT_S: Final = 10
TOKEN_SPARE_MS: Final = 30_000
"""A token is asked for anew so long before its end."""
REFUSED: ContextVar[str] = ContextVar("REFUSED", default="")
"""Of the task that connects: why a broker did not let it in, or why it had no token; "" where none did so, or one let it in since."""


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


class NoToken(OSError):
    """There is none to say: its message names the setting. An OSError, since the client tries again after those alone."""


@dataclass(slots=True)
class Tokens(AbstractTokenProvider):  # type: ignore[misc] # aiokafka has no types
    """Bearer tokens: from a file that somebody keeps fresh, or from an OAuth 2 server by client credentials."""

    access: KafkaAccess
    known: str = ""
    until_mono_ms: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def setting(self) -> str:
        """Where the tokens come from, as an operator set it."""
        return "KAFKA_OAUTH_TOKEN_URL" if self.access.token_file is None else "KAFKA_OAUTH_TOKEN_FILE"

    @override
    async def token(self) -> str:
        """A token that holds now.

        Raises:
            NoToken: the file or the server has none, or cannot be read or asked.
        """
        if self.access.token_file is not None:
            try:
                found = self.access.token_file.read_text().strip()
            except (OSError, ValueError) as fault:
                raise NoToken(f"{self.setting}: {fault}") from fault
            if not found:
                raise NoToken(f"{self.setting}: {self.access.token_file} is empty")
            return found
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
        try:
            with urllib.request.urlopen(request, timeout=TOKEN_TIMEOUT_S) as answer:  # noqa: S310 (as above)
                said = json.loads(answer.read())
            return str(said["access_token"]), float(said.get("expires_in", 300))
        except (OSError, ValueError, TypeError, KeyError) as fault:
            raise NoToken(f"{self.setting}: the server gave no token: {fault!r}") from fault


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

    Raises:
        SaslAuthenticationFailed: the broker refuses the credential; names the setting that it is from.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            found: object = await create_conn(*address, **options)
    except NoToken as lack:
        REFUSED.set(str(lack))
        raise
    except SaslAuthenticationFailed as refusal:
        provider, why = options.get("sasl_oauth_token_provider"), " ".join(str(each) for each in refusal.args)
        setting = "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE"
        if isinstance(provider, Tokens):
            setting, provider.until_mono_ms = provider.setting, 0.0  # what was refused is not said again
        REFUSED.set(f"{setting}: the broker refuses it: {why}")
        raise SaslAuthenticationFailed(REFUSED.get()) from refusal
    REFUSED.set("")
    return found


class Bearer(OAuthAuthenticator):  # type: ignore[misc] # aiokafka has no types
    """Hears a broker that refuses a token. The client's own takes the refusal for a welcome; it then waits for ever, and says nothing."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """The token; then nothing, where the broker has nothing to say against it.

        Raises:
            SaslAuthenticationFailed: with the broker's word.
        """
        if self._token_sent and payload:
            raise SaslAuthenticationFailed(payload.decode(errors="replace"))
        said: tuple[bytes, bool] | None = await super().step(payload)
        return said


def why_not(within_s: float) -> str:
    """Why no client could be started in this time, as far as this task was told."""
    words = REFUSED.get()
    return f"Kafka did not let this client in for {within_s} s: {words}" if words else f"no Kafka broker answered within {within_s} s"


def bound_connecting() -> None:
    """Let every client of this process connect so, and forget why one was refused before; safe to call again."""
    REFUSED.set("")
    client.create_conn = _create_conn
    conn.OAuthAuthenticator = Bearer
