"""The words that every process shares: codes, ids, instants.

Place in the flow: everywhere. Pure: no clock, no randomness, no I/O.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum, unique
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import PlainSerializer, StringConstraints

BOT_ID_PATTERN: Final = r"^[a-z0-9-]{1,64}$"
SYMBOL_PATTERN: Final = r"^[A-Z0-9.\-^=/:]{1,64}$"
NAMESPACE: Final = uuid.UUID("6f0c3b52-6a5e-5d0e-9d39-0f5d1a1f7a10")
_NAMESPACE_BYTES: Final = NAMESPACE.bytes
_VARIANT: Final = {f"{digit:x}": "89ab"[digit & 3] for digit in range(16)}
"""The first digit of a uuid's fourth group: two bits are fixed."""
BOT_ID: Final = re.compile(BOT_ID_PATTERN)


BotId = Annotated[str, StringConstraints(pattern=BOT_ID_PATTERN)]
FleetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{0,64}$")]
"""Whose files a bot comes from; empty: nobody's."""
Evolve = Literal["", "never", "propose", "apply"]
"""What may become of a search's winner; empty: as the policy says."""
Symbol = Annotated[str, StringConstraints(pattern=SYMBOL_PATTERN)]


@lru_cache(maxsize=4096)
def iso(instant: datetime) -> str:
    """An instant as every document shows it: UTC, milliseconds, Z."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_of_ms(instant_ms: int) -> str:
    """`iso` of milliseconds since 1970-01-01 UTC, up to 2242; instants of one minute share the costly part."""
    minute, rest_ms = divmod(instant_ms, 60_000)
    second, millisecond = divmod(rest_ms, 1000)
    return f"{_iso_to_the_minute(minute)}{second:02d}.{millisecond:03d}Z"


@lru_cache(maxsize=4096)
def _iso_to_the_minute(minute: int) -> str:
    return iso(datetime.fromtimestamp(minute * 60, UTC))[:-7]


def ms_of(instant: datetime) -> int:
    """Milliseconds since 1970-01-01 UTC of an aware instant."""
    return round(instant.timestamp() * 1000)


def instant_of_ms(instant_ms: int) -> datetime:
    """The aware instant of milliseconds since 1970-01-01 UTC."""
    return datetime.fromtimestamp(instant_ms / 1000, UTC)


Instant = Annotated[datetime, PlainSerializer(iso, return_type=str)]


def derived_id(*cause: object) -> str:
    """An id that a retry derives again: uuid5 of what caused it."""
    # uuid.uuid5 without the object around it: every record of the log needs one.
    name = "/".join([str(part) for part in cause])
    return _as_uuid5(hashlib.sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest())


def derived_ids(count: int, *cause: object) -> Iterator[str]:
    """`derived_id` of a cause and each number from 1 to `count`; what they share is put together once."""
    start = hashlib.sha1(_NAMESPACE_BYTES + "/".join([*[str(part) for part in cause], ""]).encode(), usedforsecurity=False)
    for number in range(1, count + 1):
        one = start.copy()
        one.update(b"%d" % number)
        yield _as_uuid5(one.hexdigest())


def _as_uuid5(digest: str) -> str:
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"


def job_id_of(tick: int, try_id: str, seq: int) -> str:
    """A job's id names the try that enqueued it, so a re-decided tick never reuses one.

    Source: S8.
    """
    return derived_id("job", tick, try_id, seq)


def run_id_of(tick: int, try_id: str) -> str:
    """A planner run's id."""
    return derived_id("run", tick, try_id)


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key; the same in every language and version, unlike a client's default partitioner."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % partitions


@unique
class Stage(StrEnum):
    """How far a bot has graduated."""

    LAB = "LAB"
    PAPER = "PAPER"
    SHADOW = "SHADOW"
    CANARY = "CANARY"
    LIVE = "LIVE"


@unique
class Origin(StrEnum):
    """How a bot came here. An import may name any stage, and carries no evidence."""

    NEW = "NEW"
    IMPORTED = "IMPORTED"


@unique
class JobType(StrEnum):
    """What a job does, in the order in which a bot's wants are looked at."""

    RUNNER_START = "RUNNER_START"
    BACKTEST_BASELINE = "BACKTEST_BASELINE"
    BACKTEST_REFRESH = "BACKTEST_REFRESH"
    EVOLVE = "EVOLVE"


@unique
class JobClass(StrEnum):
    """Jobs of one class exclude one another for a bot; the other class never matters."""

    RESEARCH = "research"
    RUNNER = "runner"


NEXT_STAGE: Final = {Stage.LAB: Stage.PAPER, Stage.PAPER: Stage.SHADOW, Stage.SHADOW: Stage.CANARY, Stage.CANARY: Stage.LIVE}
FOUR_EYES: Final = frozenset({Stage.CANARY, Stage.LIVE})
"""Stages that two approvers must agree on; nobody approves their own request."""


APPROVERS_MISSING: Final = "APPROVERS_MISSING"
"""What the answer to the first of two approvers counts one of."""


@unique
class MoveReason(StrEnum):
    """Why a bot came to its stage."""

    REGISTERED = "REGISTERED"
    IMPORTED_UNVERIFIED = "IMPORTED_UNVERIFIED"
    PROMOTED = "PROMOTED"
    AUTO_PROMOTED = "AUTO_PROMOTED"
    BULK_REVERT_REBASELINE = "BULK_REVERT_REBASELINE"
    REVERT_REBASELINE = "REVERT_REBASELINE"


PROMOTIONS: Final = frozenset({MoveReason.PROMOTED, MoveReason.AUTO_PROMOTED})
REVERTS: Final = frozenset({MoveReason.BULK_REVERT_REBASELINE, MoveReason.REVERT_REBASELINE})


@unique
class JobStatus(StrEnum):
    """QUEUED → RUNNING → one of three ends."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_live(self) -> bool:
        """Whether the job can still change."""
        return self is JobStatus.QUEUED or self is JobStatus.RUNNING  # a set would hash the text each time


@unique
class Cause(StrEnum):
    """Why a job left a state."""

    LEASE_EXPIRED = "LEASE_EXPIRED"
    """No heartbeat for a whole lease."""
    RUNNER_LOST = "RUNNER_LOST"
    """The worker process died."""
    RUNNER_DRAINED = "RUNNER_DRAINED"
    """The runner was asked to stop and gave the job back."""
    CLAIM_GIVEN_UP = "CLAIM_GIVEN_UP"
    """The runner saw its claim win only after its own deadline."""
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    """The worker was killed for its memory, or ran out of it."""
    TIMEOUT = "TIMEOUT"
    """The job took longer than the policy allows."""
    BAD_INPUT = "BAD_INPUT"
    """The order itself is at fault; field and limit say where."""
    STRATEGY_ERROR = "STRATEGY_ERROR"
    """The strategy or the engine produced no number."""
    DATA_MISSING = "DATA_MISSING"
    """No bars, or too few."""
    FAILURES_EXHAUSTED = "FAILURES_EXHAUSTED"
    """The lease ran out once too often."""
    CANCELLED_BY_OPERATOR = "CANCELLED_BY_OPERATOR"
    """CancelJob."""
    CANCELLED_BY_RETIREMENT = "CANCELLED_BY_RETIREMENT"
    """Its bot left the fleet."""
    CANCELLED_BY_CHANGE = "CANCELLED_BY_CHANGE"
    """Its bot became another version."""
    CANCELLED_BY_REVERT = "CANCELLED_BY_REVERT"
    """Its bot was taken back to LAB."""
    CANCELLED_BY_POLICY = "CANCELLED_BY_POLICY"
    """The market clock got another speed: a paper session goes on under a new order."""
    CANCELLED_BY_GATES = "CANCELLED_BY_GATES"
    """The runner's stage gates stopped passing."""


CRASHES: Final = frozenset({Cause.RUNNER_LOST, Cause.OUT_OF_MEMORY, Cause.TIMEOUT, Cause.FAILURES_EXHAUSTED})
"""Ends that say nothing about the input: tried again after a cooldown; three in a row quarantine the bot."""
FINAL_FAILURES: Final = frozenset({Cause.BAD_INPUT, Cause.STRATEGY_ERROR, Cause.DATA_MISSING})
"""Ends that the same input would meet again: the LAST_FAILURE gate blocks until the input changes."""


@unique
class Drift(StrEnum):
    """How far a paper session is from the engine's re-run of it."""

    CONSISTENT = "CONSISTENT"
    MINOR = "MINOR"
    MAJOR = "MAJOR"
    INCONCLUSIVE = "INCONCLUSIVE"


@unique
class TickCause(StrEnum):
    """What woke the planner. `decide` never sees it."""

    SCHEDULED = "SCHEDULED"
    COMMAND = "COMMAND"
    CAPACITY = "CAPACITY"
    LEASE = "LEASE"


@unique
class BotState(StrEnum):
    """Lane 1: what a bot does now, in order of precedence."""

    BACKTEST_RUNNING = "BACKTEST_RUNNING"
    BACKTEST_QUEUED = "BACKTEST_QUEUED"
    EVOLVING = "EVOLVING"
    RUNNER_RUNNING = "RUNNER_RUNNING"
    RUNNER_STALE = "RUNNER_STALE"
    BLOCKED_BY_GATES = "BLOCKED_BY_GATES"
    IDLE = "IDLE"


@unique
class WorkerState(StrEnum):
    """Whether a runner process lives."""

    LIVE = "LIVE"
    STARTING = "STARTING"
    SILENT = "SILENT"
    FOLLOWED = "FOLLOWED"
    STOPPED = "STOPPED"
    UNKNOWN = "UNKNOWN"


@unique
class Recency(StrEnum):
    """Lane 2: how old the backtest evidence is, counted in bars of the market clock."""

    FRESH = "fresh"
    STALE = "stale"
    NONE = "none"


@unique
class LanesBy(StrEnum):
    """What the lanes of a timeline tell apart; of a bot's strategy, symbol and stage those that it had when the job was enqueued."""

    FLEET = "fleet"
    WORKER = "worker"
    STAGE = "stage"
    STRATEGY = "strategy"
    SYMBOL = "symbol"
    BOT = "bot"
