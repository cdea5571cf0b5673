"""The topics of the log: names, partitions, keys, retention. Names never change."""

from dataclasses import dataclass
from typing import Final

COMMANDS: Final = "autonomy.commands"
RUNS: Final = "autonomy.runs"
JOBS: Final = "autonomy.jobs"
RUNNERS: Final = "autonomy.runners"
PULSE: Final = "autonomy.pulse"
QUARANTINE: Final = "autonomy.quarantine"

DEFAULT_PARTITIONS: Final = 12
PULSE_RETENTION_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Topic:
    """How a topic is made. Partitions are fixed at creation: adding some would move keys."""

    name: str
    partitions: int
    meaning: str
    flush_each: bool = False
    retention_ms: int = -1

    def settings(self) -> dict[str, str]:
        """Its broker settings: never compacted, never expired (but the pulse), time of append."""
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": "1100000",
        }
        # A broker that loses power after an acknowledged seal would otherwise forget a tick that others acted on.
        return settings | ({"flush.messages": "1"} if self.flush_each else {})


TOPICS: Final = (
    Topic(COMMANDS, 1, "operators' words, in one order", flush_each=True),
    Topic(RUNS, 1, "the chain: what each tick decided, closed by its seal", flush_each=True),
    Topic(JOBS, DEFAULT_PARTITIONS, "job lifecycles; the order inside a partition arbitrates claims", flush_each=True),
    Topic(RUNNERS, DEFAULT_PARTITIONS, "heartbeats and capabilities of runner processes"),
    Topic(PULSE, 1, "signs of life, once a second, without authority", retention_ms=PULSE_RETENTION_MS),
    Topic(QUARANTINE, 1, "records that could not be read, with the reason"),
)
INPUTS: Final = (COMMANDS, JOBS, RUNNERS)
"""What a tick's cut covers, in the order in which a slice is sorted."""
WITHOUT_AUTHORITY: Final = (PULSE, QUARANTINE)
"""Nothing is decided from these: a gap in them is noted and read over, where one in any other topic stops its readers."""
