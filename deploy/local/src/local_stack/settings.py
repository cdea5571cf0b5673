"""Where the stack keeps its data and which ports it takes; everything can be set by the environment."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[4]


class StackSettings(BaseSettings):
    """One stack; two with other ports and another data folder run side by side.

    Environment: AUTONOMY_DATA_DIR, KAFKA_PORT, KAFKA_CONTROLLER_PORT, POSTGRES_PORT, PROOF_API_PORT, BOTS_UI_PORT, NOTIFIER_PORT,
    NOTIFY_RULES (the notifier's rules; without them it is not started),
    KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL (use those servers instead of starting own ones), AUTONOMY_UP_TIMEOUT_S (the longest that
    `make up` waits; default: as long as its processes live), SECURE (1: the own Kafka with TLS, a user for each service and rules),
    SYNTHETIC (0: without the made-up market in which a whole life can be watched).
    """

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True)

    data_dir: Path = Field(default=ROOT / ".data", validation_alias="AUTONOMY_DATA_DIR")
    cache_dir: Path = Field(default=ROOT / ".venv" / "kafka", validation_alias="AUTONOMY_KAFKA_DIR")
    kafka_port: int = Field(default=9392, ge=1, le=65535, validation_alias="KAFKA_PORT")
    kafka_controller_port: int = Field(default=9393, ge=1, le=65535, validation_alias="KAFKA_CONTROLLER_PORT")
    postgres_port: int = Field(default=5632, ge=1, le=65535, validation_alias="POSTGRES_PORT")
    proof_api_port: int = Field(default=5000, ge=1, le=65535, validation_alias="PROOF_API_PORT")
    bots_ui_port: int = Field(default=5001, ge=1, le=65535, validation_alias="BOTS_UI_PORT")
    external_kafka: str | None = Field(default=None, validation_alias="KAFKA_BOOTSTRAP_SERVERS")
    external_postgres: str | None = Field(default=None, validation_alias="DATABASE_URL")
    fleet: Path = Field(default=ROOT / "deploy" / "fleets" / "demo.yaml", validation_alias="AUTONOMY_FLEET")
    synthetic_fleet: Path = Field(default=ROOT / "deploy" / "fleets" / "synthetic.yaml", validation_alias="AUTONOMY_SYNTHETIC_FLEET")
    synthetic: bool = Field(default=True, validation_alias="SYNTHETIC")
    notify_rules: Path | None = Field(default=None, validation_alias="NOTIFY_RULES")
    notifier_port: int = Field(default=5002, ge=1, le=65535, validation_alias="NOTIFIER_PORT")
    policy: Path = Field(default=ROOT / "deploy" / "policy.yaml", validation_alias="AUTONOMY_POLICY")
    job_runners: int = Field(default=1, ge=1, le=16, validation_alias="AUTONOMY_JOB_RUNNERS")

    secure: bool = Field(default=False, validation_alias="SECURE")
    up_timeout_s: float | None = Field(default=None, gt=0, validation_alias="AUTONOMY_UP_TIMEOUT_S")

    @field_validator("notify_rules", mode="before")
    @classmethod
    def named(cls, said: object) -> object:
        """An empty name is none."""
        return said or None

    @property
    def fleets(self) -> tuple[Path, ...]:
        """The fleets that it begins with."""
        return (self.fleet, self.synthetic_fleet) if self.synthetic else (self.fleet,)

    @property
    def kafka(self) -> str:
        """The bootstrap servers that every service uses."""
        return self.external_kafka or f"127.0.0.1:{self.kafka_port}"

    def ports(self) -> dict[str, int]:
        """The ports that this stack must be able to take, by the name of their setting."""
        taken = {"PROOF_API_PORT": self.proof_api_port, "BOTS_UI_PORT": self.bots_ui_port}
        if self.notify_rules is not None:
            taken |= {"NOTIFIER_PORT": self.notifier_port}
        if self.external_kafka is None:
            taken |= {"KAFKA_PORT": self.kafka_port, "KAFKA_CONTROLLER_PORT": self.kafka_controller_port}
        if self.external_postgres is None:
            taken |= {"POSTGRES_PORT": self.postgres_port}
        return taken
