"""The notifier's settings."""

from pathlib import Path

from pydantic import Field

from autonomy.settings import HttpSettings, Port


class NotifierSettings(HttpSettings):
    """Where its rules are and where it says how it is.

    Environment: NOTIFY_RULES (the rules' file; it names the receivers, so only its reader may read it), NOTIFIER_HOST, NOTIFIER_PORT,
    and what HttpSettings names.
    """

    rules: Path = Field(validation_alias="NOTIFY_RULES")
    host: str = Field(default="127.0.0.1", validation_alias="NOTIFIER_HOST")
    port: Port = Field(default=5002, validation_alias="NOTIFIER_PORT")
