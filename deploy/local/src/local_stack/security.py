"""SECURE=1: the local Kafka behind TLS, with a user and a password for each principal, and rules that allow what it needs and no more.

Place in the flow: `make up` → **here**: certificates and passwords, once → broker's settings, services' environment. Everything lies in
one folder of the data folder, mode 0700, its files 0600.
"""

import datetime
import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from autonomy import clock
from autonomy.acls import ADMINISTRATOR, RIGHTS
from autonomy.kafka_access import KafkaAccess, Protocol
from autonomy.kafka_clients import java_properties

BROKER: Final = "broker"
PRINCIPALS: Final = (BROKER, ADMINISTRATOR, *RIGHTS)
VALID_DAYS: Final = 3_650
"""A stack on one machine has nobody who would renew them."""
LISTENER: Final = "SASL_SSL"


@dataclass(frozen=True)
class Security:
    """Certificates and passwords of one stack."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate that clients trust."""
        return self.folder / "ca.pem"

    @property
    def identity(self) -> Path:
        """The broker's key and certificate, as Kafka reads them."""
        return self.folder / "broker.pem"

    def password_file(self, principal: str) -> Path:
        """Where a principal's password is."""
        return self.folder / f"{principal}.password"

    def prepare(self) -> None:
        """Draw keys, certificates and passwords, once; safe to call again."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for principal in PRINCIPALS:
            if not self.password_file(principal).exists():
                write_private(self.password_file(principal), secrets.token_urlsafe(24) + "\n")
        if not self.identity.exists():
            authority, identity = certificates()
            write_private(self.authority, authority)
            write_private(self.identity, identity)

    def access(self, servers: str, principal: str, cluster_id: str | None = None) -> KafkaAccess:
        """How a principal reaches the cluster."""
        return KafkaAccess(
            servers=servers, protocol=Protocol.SASL_SSL, ca_file=self.authority, mechanism="SCRAM-SHA-512", username=principal,
            password=None, password_file=self.password_file(principal), cluster_id=cluster_id,
        )  # fmt: skip

    def environment(self, principal: str) -> dict[str, str]:
        """The same as a service reads it."""
        return {
            "KAFKA_SECURITY_PROTOCOL": Protocol.SASL_SSL.value, "KAFKA_SSL_CA_FILE": str(self.authority),
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": principal,
            "KAFKA_SASL_PASSWORD_FILE": str(self.password_file(principal)),
        }  # fmt: skip

    def write_for_people(self, servers: str) -> None:
        """The auditor's environment for a shell, and the auditor's and administrator's properties for Kafka's own programs."""
        # By its port: KAFKA_BOOTSTRAP_SERVERS would make this shell's `make` take the cluster for one of its own.
        told = {"KAFKA_PORT": servers.rpartition(":")[2], **self.environment("auditor")}
        write_private(self.folder / "auditor.env", "".join(f"export {name}='{value}'\n" for name, value in told.items()))
        for principal in ("auditor", ADMINISTRATOR):
            found = java_properties(self.access(servers, principal))
            write_private(self.properties_file(principal), "".join(f"{name}={value}\n" for name, value in found.items()))

    def properties_file(self, principal: str) -> Path:
        """The properties of a principal for Kafka's own programs."""
        return self.folder / f"{principal}.properties"

    def broker_settings(self) -> dict[str, object]:
        """What server.properties says more, and instead."""
        password = self.password_file(BROKER).read_text().strip()
        login = f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{BROKER}" password="{password}";'
        return {
            "listener.security.protocol.map": f"{LISTENER}:SASL_SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": LISTENER,
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            f"listener.name.{LISTENER.lower()}.scram-sha-512.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.identity,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority,
            # Who speaks to the controller shows the broker's own certificate.
            "listener.name.controller.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:CN={BROKER};User:{BROKER};User:{ADMINISTRATOR}",
        }

    def format_words(self) -> list[str]:
        """What the storage is formatted with: every principal with its password."""
        words: list[str] = []
        for principal in PRINCIPALS:
            password = self.password_file(principal).read_text().strip()
            words += ["--add-scram", f"SCRAM-SHA-512=[name={principal},password={password}]"]
        return words


def certificates() -> tuple[str, str]:
    """A new authority's certificate, and a broker's key and certificate signed by it; the authority's key is kept nowhere."""
    key, authority_name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "autonomy local")])
    authority = (
        _certificate(authority_name, authority_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    own = ec.generate_private_key(ec.SECP256R1())
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    broker = (
        _certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, BROKER)]), authority_name, own.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return authority.public_bytes(pem).decode(), (secret + broker.public_bytes(pem)).decode()


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    begins = clock.now() - datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=VALID_DAYS))
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
