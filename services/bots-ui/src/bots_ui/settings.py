"""The Bots page's settings, from the environment, validated at start."""

from pathlib import Path

from pydantic import Field

from autonomy.settings import HttpSettings, Port


class UiSettings(HttpSettings):
    """Where it listens, which proof API it reads, and how sessions are signed.

    Environment: BOTS_UI_HOST, BOTS_UI_PORT, PROOF_API_URL, SESSION_KEY_FILE, COOKIE_SECURE (set it behind https), BASE_PATH (where a
    proxy serves the page, as /autonomy), PROOF_API_TOKEN_FILE (an operator's token for this process's own reading, where the proof
    API asks for one), and what HttpSettings names.
    """

    host: str = Field(default="127.0.0.1", validation_alias="BOTS_UI_HOST")
    port: Port = Field(default=5001, validation_alias="BOTS_UI_PORT")
    api_url: str = Field(default="http://127.0.0.1:5000", validation_alias="PROOF_API_URL")
    session_key_file: Path = Field(default=Path(".data/session.key"), validation_alias="SESSION_KEY_FILE")
    api_token_file: Path | None = Field(default=None, validation_alias="PROOF_API_TOKEN_FILE")
    base_path: str = Field(default="", validation_alias="BASE_PATH", pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=100)
    cookie_secure: bool = Field(default=False, validation_alias="COOKIE_SECURE")
