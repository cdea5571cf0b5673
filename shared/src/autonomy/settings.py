"""Settings that more than one service reads, each from the environment, each validated at start."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from autonomy.kafka_access import DEFAULT_SERVERS, KafkaAccess

Port = Annotated[int, Field(ge=0, le=65535)]


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
