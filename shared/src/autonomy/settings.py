"""Settings that more than one service reads, each from the environment, each validated at start."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from autonomy.kafka_access import DEFAULT_SERVERS, KafkaAccess

Port = Annotated[int, Field(ge=0, le=65535)]
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
"""As a Host header writes them. They are always allowed: nobody's page elsewhere can have one of these names."""


def split_hosts(said: object) -> object:
    """Names between commas."""
    return tuple(name.strip() for name in said.split(",") if name.strip()) if isinstance(said, str) else said


def check_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Names without a port, a scheme or a path.

    Raises:
        ValueError: names the one that is none.
    """
    for host in hosts:
        if host != "*" and not HOST.fullmatch(host):
            raise ValueError(f"ALLOWED_HOSTS: {host[:100]!r} is no host name (as ops.example or *.example, without port or scheme)")
    return (*LOOPBACK_HOSTS, *(host for host in hosts if host not in LOOPBACK_HOSTS))


HOST: Final = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]")
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_hosts), AfterValidator(check_hosts)]


class ServiceSettings(BaseSettings):
    """What every service needs.

    Environment: what `kafka_access` names (KAFKA_BOOTSTRAP_SERVERS and how its door opens), LOG_LEVEL, METRICS_PORT (0: none),
    METRICS_HOST (where it listens; metrics ask for no token, so elsewhere than on loopback only inside a container whose port is
    not published).
    """

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True)

    kafka: str = Field(default=DEFAULT_SERVERS, validation_alias="KAFKA_BOOTSTRAP_SERVERS")
    log_level: str = Field(default="INFO", validation_alias="LOG_LEVEL")
    metrics_host: Annotated[str, Field(min_length=1, max_length=255)] = Field(default="127.0.0.1", validation_alias="METRICS_HOST")
    metrics_port: Port = Field(default=0, validation_alias="METRICS_PORT")

    @model_validator(mode="after")
    def reaches_kafka(self) -> Self:
        """What opens Kafka's door is checked at the start, not at the first connection."""
        KafkaAccess.of(self.kafka)
        return self


class HttpSettings(ServiceSettings):
    """What a service needs that people and machines ask by HTTP.

    Environment: AUTH_MODE (token: acting needs a token, reading is open on loopback; token-everywhere: reading needs one too),
    ALLOWED_HOSTS (names between commas that a Host header may have beside loopback's; behind a proxy the public one),
    PUBLISHED_ON (loopback: the host is a container's own, and its port is published on the machine's loopback only).
    """

    host: str = "127.0.0.1"
    published_on: Literal["", "loopback"] = Field(default="", validation_alias="PUBLISHED_ON")
    allowed_hosts: Hosts = Field(default=LOOPBACK_HOSTS, validation_alias="ALLOWED_HOSTS")
    auth_mode: Literal["token", "token-everywhere"] = Field(default="token", validation_alias="AUTH_MODE")

    @property
    def reading_needs_a_token(self) -> bool:
        """Whether only operators may read."""
        return self.auth_mode == "token-everywhere"

    @model_validator(mode="after")
    def safe(self) -> Self:
        """Open reading is for loopback only."""
        if self.host not in LOOPBACK and self.published_on != "loopback" and not self.reading_needs_a_token:
            name = type(self).model_fields["host"].validation_alias
            raise ValueError(f"{name}={self.host} is not loopback: set AUTH_MODE=token-everywhere, so that reading needs a token")
        return self
