"""The proof API's settings."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from autonomy.settings import Port, ServiceSettings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class ProofSettings(ServiceSettings):
    """Where it listens, reads and finds operators.

    Environment: PROOF_API_HOST, PROOF_API_PORT, DATABASE_URL (role autonomy_reader), OPERATORS_FILE, AUTH_MODE (token:
    commands need a token, reading is open on loopback; token-everywhere: reading needs one too), ALLOWED_HOSTS, STUCK_MINUTES,
    PUBLISHED_ON (loopback: the host is a container's own, and its port is published on the machine's loopback only).
    """

    host: str = Field(default="127.0.0.1", validation_alias="PROOF_API_HOST")
    published_on: Literal["", "loopback"] = Field(default="", validation_alias="PUBLISHED_ON")
    port: Port = Field(default=5000, validation_alias="PROOF_API_PORT")
    database_url: str = Field(validation_alias="DATABASE_URL")
    operators_file: Path = Field(default=Path(".data/operators.json"), validation_alias="OPERATORS_FILE")
    auth_mode: Literal["token", "token-everywhere"] = Field(default="token", validation_alias="AUTH_MODE")
    allowed_hosts: tuple[str, ...] = Field(default=("127.0.0.1", "localhost", "[::1]"), validation_alias="ALLOWED_HOSTS")
    stuck_minutes: int = Field(default=15, ge=1, le=10_080, validation_alias="STUCK_MINUTES")

    @model_validator(mode="after")
    def safe(self) -> Self:
        """Open reading is for loopback only."""
        if self.host not in LOOPBACK and self.published_on != "loopback" and self.auth_mode == "token":
            raise ValueError(f"PROOF_API_HOST={self.host} is not loopback: set AUTH_MODE=token-everywhere, so that reading needs a token")
        return self
