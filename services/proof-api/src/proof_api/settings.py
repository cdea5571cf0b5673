"""The proof API's settings."""

from pathlib import Path

from pydantic import Field

from autonomy.settings import HttpSettings, Port


class ProofSettings(HttpSettings):
    """Where it listens, reads and finds operators.

    Environment: PROOF_API_HOST, PROOF_API_PORT, DATABASE_URL (role autonomy_reader), OPERATORS_FILE, ARTIFACTS_URL (the
    runners' store of reports, to read), STUCK_MINUTES, and what
    HttpSettings names.
    """

    host: str = Field(default="127.0.0.1", validation_alias="PROOF_API_HOST")
    port: Port = Field(default=5000, validation_alias="PROOF_API_PORT")
    database_url: str = Field(validation_alias="DATABASE_URL")
    operators_file: Path = Field(default=Path(".data/operators.json"), validation_alias="OPERATORS_FILE")
    artifacts_url: str = Field(default=".data/artifacts", validation_alias="ARTIFACTS_URL")
    stuck_minutes: int = Field(default=15, ge=1, le=10_080, validation_alias="STUCK_MINUTES")
