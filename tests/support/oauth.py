"""A Kafka behind OAUTHBEARER: who signs tokens, and a broker that believes the key set of that issuer and nobody else."""

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from typing_extensions import override

from autonomy import clock
from autonomy.kafka_access import KafkaAccess, Protocol
from local_stack.kafka_server import KafkaServer
from support.servers import Broker, free_port, jars_folder

LISTENER, AUDIENCE = "BEARER", "kafka"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass
class Issuer:
    """Signs bearer tokens (RS256) as an identity provider would."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65_537, 2_048))

    def keys(self) -> str:
        """The public key as a JSON Web Key Set."""
        numbers = self.key.public_key().public_numbers()
        known = {"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": _number(numbers.n), "e": _number(numbers.e)}
        return json.dumps({"keys": [known]})

    def token(self, lives_s: int = 3_600, **claims: Any) -> str:
        """A token that ends `lives_s` from now; claims replace the usual ones."""
        now_s = clock.now_ms() // 1000
        usual = {"sub": "planner", "aud": AUDIENCE, "iat": now_s - 60, "exp": now_s + lives_s}
        said = [_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": "one"}, usual | claims)]
        signed = self.key.sign(".".join(said).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*said, _encoded(signed)])


@dataclass(frozen=True)
class BearerServer(KafkaServer):
    """A broker whose clients say who they are by tokens; it speaks to itself on a listener of its own."""

    keys: Path = Path()
    own_port: int = field(default_factory=free_port)

    @override
    def properties(self) -> str:
        settings = dict(line.split("=", 1) for line in super().properties().splitlines())
        doors = f"{LISTENER}://127.0.0.1:{self.port},OWN://127.0.0.1:{self.own_port}"
        prefix = f"listener.name.{LISTENER.lower()}.oauthbearer."
        handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
        settings |= {
            "listeners": f"{doors},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": doors,
            "listener.security.protocol.map": f"{LISTENER}:SASL_PLAINTEXT,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "OWN",
            "sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{prefix}sasl.jaas.config": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
            f"{prefix}sasl.server.callback.handler.class": handler,
            f"{prefix}sasl.oauthbearer.jwks.endpoint.url": self.keys.as_uri(),
            f"{prefix}sasl.oauthbearer.expected.audience": AUDIENCE,
            f"{prefix}sasl.oauthbearer.clock.skew.seconds": "0",
            # A connection ends with its token.
            f"{prefix}connections.max.reauth.ms": "3600000",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    @override
    def command(self) -> list[str]:
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.keys.as_uri()}"
        java, *rest = super().command()
        return [java, allowed, *rest]


@dataclass
class BearerBroker:
    """A broker with its issuer; `access` is a client's, with a file for its token."""

    broker: Broker
    issuer: Issuer
    folder: Path

    def access(self, name: str, token: str) -> KafkaAccess:
        """Access with this token in a file of this name."""
        file = self.folder / name
        file.write_text(token + "\n")
        return KafkaAccess(
            servers=self.broker.bootstrap, protocol=Protocol.SASL_PLAINTEXT, mechanism="OAUTHBEARER", token_file=file,
        )  # fmt: skip


@contextlib.contextmanager
def a_bearer_broker(folder: Path) -> Iterator[BearerBroker]:
    """One broker behind OAUTHBEARER, of a test's own."""
    issuer, keys = Issuer(), folder / "keys.json"
    keys.write_text(issuer.keys())
    server = BearerServer(folder / "kafka", jars_folder(), free_port(), free_port(), keys=keys)
    server.prepare()
    broker = Broker(server)
    try:
        broker.start()
        yield BearerBroker(broker, issuer, folder)
    finally:
        broker.stop()
