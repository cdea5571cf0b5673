"""The projection's settings."""

from pydantic import Field

from autonomy.read_model import SCHEMA
from autonomy.settings import ServiceSettings


class ProjectionSettings(ServiceSettings):
    """Where the read models live.

    Environment: DATABASE_URL (role autonomy_projection), PROJECTION_SCHEMA, PROJECTION_BATCH (most records per transaction).
    """

    database_url: str = Field(validation_alias="DATABASE_URL")
    schema_name: str = Field(default=SCHEMA, pattern=r"^[a-z_][a-z0-9_]{0,40}$", validation_alias="PROJECTION_SCHEMA")
    batch: int = Field(default=100_000, ge=1, le=1_000_000, validation_alias="PROJECTION_BATCH")
