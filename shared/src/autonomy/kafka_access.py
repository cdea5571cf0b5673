"""Where Kafka is and how its door opens: the one settings object of every client, from the environment.

Place in the flow: plumbing below `kafka_clients`, which makes a client's options of it. No client library is reached from here, so
that a service without Kafka can read settings too.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_SERVERS: Final = "127.0.0.1:9392"
MAX_SERVERS: Final = 64


class Protocol(StrEnum):
    """What a broker's port speaks."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def is_encrypted(self) -> bool:
        """Whether it is TLS."""
        return self in {Protocol.SSL, Protocol.SASL_SSL}

    @property
    def asks_who(self) -> bool:
        """Whether a client says who it is by SASL."""
        return self in {Protocol.SASL_PLAINTEXT, Protocol.SASL_SSL}


class KafkaAccess(BaseSettings):
    """Servers, protocol, certificates and credentials of a cluster.

    Environment: KAFKA_BOOTSTRAP_SERVERS (`host:port`, several between commas), KAFKA_SECURITY_PROTOCOL (PLAINTEXT, SSL,
    SASL_PLAINTEXT, SASL_SSL), KAFKA_SSL_CA_FILE (PEM; default: the machine's authorities), KAFKA_SSL_CERTIFICATE_FILE and
    KAFKA_SSL_KEY_FILE (PEM; the client's own, both or none), KAFKA_SSL_KEY_PASSWORD, KAFKA_SASL_MECHANISM (SCRAM-SHA-512 or
    OAUTHBEARER), KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE, KAFKA_OAUTH_TOKEN_FILE (read again at each
    connection) or KAFKA_OAUTH_TOKEN_URL with KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET and KAFKA_OAUTH_SCOPE;
    KAFKA_REPLICATION_FACTOR (default: as many as there are brokers, at most 3), KAFKA_CLUSTER_ID (when set, another cluster is
    refused).
    """

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, frozen=True, hide_input_in_errors=True)

    servers: str = Field(default=DEFAULT_SERVERS, validation_alias="KAFKA_BOOTSTRAP_SERVERS")
    protocol: Protocol = Field(default=Protocol.PLAINTEXT, validation_alias="KAFKA_SECURITY_PROTOCOL")
    ca_file: Path | None = Field(default=None, validation_alias="KAFKA_SSL_CA_FILE")
    certificate_file: Path | None = Field(default=None, validation_alias="KAFKA_SSL_CERTIFICATE_FILE")
    key_file: Path | None = Field(default=None, validation_alias="KAFKA_SSL_KEY_FILE")
    key_password: SecretStr | None = Field(default=None, validation_alias="KAFKA_SSL_KEY_PASSWORD")
    mechanism: Literal["SCRAM-SHA-512", "OAUTHBEARER"] = Field(default="SCRAM-SHA-512", validation_alias="KAFKA_SASL_MECHANISM")
    username: str | None = Field(default=None, max_length=255, validation_alias="KAFKA_SASL_USERNAME")
    password: SecretStr | None = Field(default=None, validation_alias="KAFKA_SASL_PASSWORD")
    password_file: Path | None = Field(default=None, validation_alias="KAFKA_SASL_PASSWORD_FILE")
    token_file: Path | None = Field(default=None, validation_alias="KAFKA_OAUTH_TOKEN_FILE")
    token_url: str | None = Field(default=None, pattern=r"^https?://", validation_alias="KAFKA_OAUTH_TOKEN_URL")
    client_id: str | None = Field(default=None, validation_alias="KAFKA_OAUTH_CLIENT_ID")
    client_secret: SecretStr | None = Field(default=None, validation_alias="KAFKA_OAUTH_CLIENT_SECRET")
    scope: str | None = Field(default=None, validation_alias="KAFKA_OAUTH_SCOPE")
    replication: int | None = Field(default=None, ge=1, le=32, validation_alias="KAFKA_REPLICATION_FACTOR")
    cluster_id: str | None = Field(default=None, max_length=64, validation_alias="KAFKA_CLUSTER_ID")

    @classmethod
    def of(cls, kafka: "str | KafkaAccess") -> "KafkaAccess":
        """Access to named servers, the rest from the environment; an access stays as it is."""
        return kafka if isinstance(kafka, KafkaAccess) else cls(servers=kafka)

    @field_validator("servers")
    @classmethod
    def are_addresses(cls, servers: str) -> str:
        """Each must be host:port, as written into the normal form without spaces."""
        addresses = [address.strip() for address in servers.split(",")]
        if len(addresses) > MAX_SERVERS:
            raise ValueError(f"KAFKA_BOOTSTRAP_SERVERS: at most {MAX_SERVERS} addresses, got {len(addresses)}")
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
                raise ValueError(f"KAFKA_BOOTSTRAP_SERVERS: each must be host:port with a port of 1 to 65535, got {address[:80]!r}")
        return ",".join(addresses)

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        """What belongs together is there together, and every file can be read."""
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("KAFKA_SSL_CERTIFICATE_FILE and KAFKA_SSL_KEY_FILE: both or none")
        named = {
            "KAFKA_SSL_CA_FILE": self.ca_file, "KAFKA_SSL_CERTIFICATE_FILE": self.certificate_file, "KAFKA_SSL_KEY_FILE": self.key_file
        }  # fmt: skip
        given = [name for name, file in named.items() if file is not None]
        if given and not self.protocol.is_encrypted:
            raise ValueError(f"{given[0]}: needs KAFKA_SECURITY_PROTOCOL SSL or SASL_SSL, it is {self.protocol.value}")
        named |= {"KAFKA_SASL_PASSWORD_FILE": self.password_file, "KAFKA_OAUTH_TOKEN_FILE": self.token_file}
        for name, file in named.items():
            if file is not None and not file.is_file():
                raise ValueError(f"{name}: there is no file {file}")
        if self.protocol.asks_who:
            self._check_credential()
        elif self.username is not None or self.has_password or self.token_file or self.token_url:
            raise ValueError(f"KAFKA_SECURITY_PROTOCOL: credentials need SASL_SSL or SASL_PLAINTEXT, it is {self.protocol.value}")
        return self

    @property
    def has_password(self) -> bool:
        """Whether a password was given in either way."""
        return self.password is not None or self.password_file is not None

    def _check_credential(self) -> None:
        if self.mechanism == "SCRAM-SHA-512":
            if not self.username:
                raise ValueError("KAFKA_SASL_USERNAME: SCRAM-SHA-512 needs one")
            if (self.password is None) == (self.password_file is None):
                raise ValueError("KAFKA_SASL_PASSWORD, KAFKA_SASL_PASSWORD_FILE: SCRAM-SHA-512 needs exactly one of them")
            return
        if (self.token_file is None) == (self.token_url is None):
            raise ValueError("KAFKA_OAUTH_TOKEN_FILE, KAFKA_OAUTH_TOKEN_URL: OAUTHBEARER needs exactly one of them")
        if self.token_url is not None and not (self.client_id and self.client_secret):
            raise ValueError("KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET: KAFKA_OAUTH_TOKEN_URL needs both")

    def addresses(self) -> list[str]:
        """The servers, one by one."""
        return self.servers.split(",")

    def secret(self) -> str:
        """The password of SASL; a file is read now, so that a changed one counts at the next connection."""
        if self.password_file is not None:
            return self.password_file.read_text().strip()
        return "" if self.password is None else self.password.get_secret_value()
