"""The Bots page's settings, from the environment, validated at start."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from autonomy.settings import Port, ServiceSettings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class UiSettings(ServiceSettings):
    """Where it listens, which proof API it reads, and how sessions are signed.

    Environment: BOTS_UI_HOST, BOTS_UI_PORT, PROOF_API_URL, SESSION_KEY_FILE, ALLOWED_HOSTS, COOKIE_SECURE (set it behind
    https), AUTH_MODE (token: acting needs a sign-in, reading is open on loopback; token-everywhere: reading needs one too),
    PROOF_API_TOKEN_FILE (an operator's token for this process's own reading, where the proof API asks for one),
    PUBLISHED_ON (loopback: the host is a container's own, and its port is published on the machine's loopback only).
    """

    host: str = Field(default="127.0.0.1", validation_alias="BOTS_UI_HOST")
    published_on: Literal["", "loopback"] = Field(default="", validation_alias="PUBLISHED_ON")
    port: Port = Field(default=5001, validation_alias="BOTS_UI_PORT")
    api_url: str = Field(default="http://127.0.0.1:5000", validation_alias="PROOF_API_URL")
    session_key_file: Path = Field(default=Path(".data/session.key"), validation_alias="SESSION_KEY_FILE")
    api_token_file: Path | None = Field(default=None, validation_alias="PROOF_API_TOKEN_FILE")
    allowed_hosts: tuple[str, ...] = Field(default=("127.0.0.1", "localhost", "[::1]"), validation_alias="ALLOWED_HOSTS")
    auth_mode: Literal["token", "token-everywhere"] = Field(default="token", validation_alias="AUTH_MODE")
    cookie_secure: bool = Field(default=False, validation_alias="COOKIE_SECURE")

    @property
    def reading_needs_sign_in(self) -> bool:
        """Whether pages are shown to operators only."""
        return self.auth_mode == "token-everywhere"

    @model_validator(mode="after")
    def safe(self) -> Self:
        """Open reading is for loopback only."""
        if self.host not in LOOPBACK and self.published_on != "loopback" and not self.reading_needs_sign_in:
            raise ValueError(f"BOTS_UI_HOST={self.host} is not loopback: set AUTH_MODE=token-everywhere, so that reading needs a sign-in")
        return self
