"""What the planner knows: bots, live jobs, runner processes, the policy, the pauses.

Place in the flow: **state** ← fold, read by decide. Pure data with one way in (`put_*`, `drop_*`), so that the state hash
stays incremental and a try that loses can be undone. Entities are immutable; a change is a new entity.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Final, Generic, TypeVar

import msgspec

from autonomy.errors import Broken
from autonomy.lifecycle import Job
from autonomy.policy import DEFAULT, Policy
from autonomy.values import Cause, JobClass, JobType, Origin, Stage

HASH_BITS: Final = 256
MAX_COMMANDS_REMEMBERED: Final = 100_000
"""How many command ids are kept to let a command said twice act once; older repeats are long outside any client's retry."""
ENQUEUE_WINDOW_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the last successful research job of a bot found, bound to its fingerprint and bars."""

    job_id: str
    fingerprint: str
    data_sha256: str
    until_day: int
    bars: int
    ended_ms: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure that the same input would meet again."""

    job_id: str
    cause: Cause
    detail: str
    fingerprint: str
    content: str
    """What was announced about the symbol's data when it failed."""


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """What a bot's jobs of one class did.

    Attributes:
        job_id: the live one.
        ended_ms, ended: when and how the last one ended.
        crashes: in a row.
    """

    job_id: str | None = None
    ended_ms: int | None = None
    ended: str = ""
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Bot:
    """One bot.

    Attributes:
        parameters: sorted by name.
        verified: whether its stage was earned here; an imported one was not.
        eligible_ms: since when it could have been scheduled; a later end of a job counts from there.
        phase: spreads refreshes over the grid.
        said: the decision that was last published: reason, job type, blocker codes.
    """

    id: str
    name: str
    strategy: str
    parameters: tuple[tuple[str, int | float | str], ...]
    symbol: str
    timeframe: str
    stage: Stage
    stage_version: int
    origin: Origin
    verified: bool
    pinned: bool
    version: int
    eligible_ms: int
    phase: int
    hold: str | None = None
    evidence: Evidence | None = None
    failure: Failure | None = None
    research: ClassRecord = ClassRecord()
    runner: ClassRecord = ClassRecord()
    said: tuple[str, str, str] = ("", "", "")  # stays last: `saying` relies on it

    def record_of(self, job_class: JobClass) -> ClassRecord:
        """Its record of a class."""
        return self.research if job_class is JobClass.RESEARCH else self.runner

    def saying(self, said: tuple[str, str, str]) -> "Bot":
        """The same bot with another published decision: `replace`, without asking for each field by name."""
        make: Callable[..., Bot] = Bot
        return make(*_all_but_said(self), said)


_all_but_said: Final = attrgetter(*[entry.name for entry in fields(Bot) if entry.name != "said"])


@dataclass(frozen=True, slots=True)
class LiveJob:
    """A job that can still change.

    Attributes:
        silent_ms: accrued silence of its current claim (S11).
        cancel: why it shall end, once that is decided.
    """

    job: Job
    fingerprint: str
    content: str
    until_day: int
    enqueued_ms: int
    failures_limit: int
    silent_ms: int = 0
    cancel: Cause | None = None


@dataclass(frozen=True, slots=True)
class SymbolOffer:
    """The bars that a runner process can read of a symbol."""

    symbol: str
    first: int
    packed_days: str
    bars: int
    content: str
    source_id: str
    synthetic: bool


@dataclass(frozen=True, slots=True)
class RunnerProcess:
    """A process that beats, and what it announced."""

    process_id: str
    silent_ms: int = 0
    research_slots: int = 0
    engine_version: str = ""
    job_types: tuple[JobType, ...] = ()
    strategies: tuple[tuple[str, int, str], ...] = ()
    symbols: tuple[SymbolOffer, ...] = ()
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of one scope."""

    scope: str
    target: str
    actor: str
    since_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Singletons:
    """What exists once.

    Attributes:
        market_epoch_ms: wall time at which the replay began: `now` of the first tick.
        enqueues: (now, count) of the last hour, for the rate limit.
        last_offer: what the last live runner process announced, so that a fingerprint survives a runner's restart.
    """

    policy: Policy = DEFAULT
    market_epoch_ms: int | None = None
    enqueues: tuple[tuple[int, int], ...] = ()
    last_offer: RunnerProcess | None = None
    refused: int = 0


Entity = TypeVar("Entity")
_ENCODER: Final = msgspec.json.Encoder()


def _bytes_of_singletons(value: Singletons) -> bytes:
    shown = (value.policy.hash(), value.market_epoch_ms, value.enqueues, value.last_offer, value.refused)
    return _ENCODER.encode(shown)


class Table(Generic[Entity]):
    """Entities by id with an incremental hash and an undo journal.

    The hash is the sum modulo 2^256 of the entities' SHA-256, so it doesn't depend on the order of changes; entities that
    changed are hashed when the sum is asked for.
    """

    __slots__ = ("_dirty", "_hashes", "_journal", "_name", "_sum", "_to_bytes", "rows", "version")

    def __init__(self, name: str, to_bytes: Callable[[Entity], bytes] = _ENCODER.encode) -> None:
        self._name = name.encode() + b"|"
        self._to_bytes = to_bytes
        self.rows: dict[str, Entity] = {}
        self._hashes: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._sum = 0
        self._journal: list[tuple[str, Entity | None]] | None = None
        self.version = 0

    def get(self, key: str) -> Entity | None:
        """The entity, or None."""
        return self.rows.get(key)

    def put(self, key: str, entity: Entity) -> None:
        """Add or replace an entity."""
        if self._journal is not None:
            self._journal.append((key, self.rows.get(key)))
        self.rows[key] = entity
        self._dirty.add(key)
        self.version += 1

    def drop(self, key: str) -> None:
        """Remove an entity, if it is there."""
        before = self.rows.pop(key, None)
        if before is not None:
            if self._journal is not None:
                self._journal.append((key, before))
            self._dirty.add(key)
            self.version += 1

    def begin(self) -> None:
        """Remember every change from here on."""
        if self._journal is not None:
            raise Broken("a candidate state is already open")
        self._journal = []

    def keep(self) -> None:
        """Make the changes since `begin` final."""
        self._journal = None

    def undo(self) -> None:
        """Take back the changes since `begin`, newest first."""
        journal, self._journal = self._journal or [], None
        for key, before in reversed(journal):
            if before is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = before
            self._dirty.add(key)
            self.version += 1

    def hash_sum(self) -> int:
        """The sum over all entities' hashes."""
        for key in self._dirty:
            self._sum -= self._hashes.pop(key, 0)
            entity = self.rows.get(key)
            if entity is not None:
                content = self._name + key.encode() + b"|" + self._to_bytes(entity)
                number = int.from_bytes(hashlib.sha256(content).digest())
                self._hashes[key] = number
                self._sum += number
        self._dirty.clear()
        self._sum %= 1 << HASH_BITS
        return self._sum


@dataclass(slots=True)
class FingerprintCache:
    """Fingerprints by (bot, version) for one context of code, data and costs; derived, so not part of the state hash."""

    context: object = None
    known: dict[tuple[str, int], str] = field(default_factory=dict)

    def of(self, context: object) -> dict[tuple[str, int], str]:
        """The cache for a context; another context empties it."""
        if context != self.context:
            self.context, self.known = context, {}
        return self.known


def _one() -> Table[Singletons]:
    table: Table[Singletons] = Table("single", _bytes_of_singletons)
    table.put("-", Singletons())
    return table


@dataclass(slots=True)
class State:
    """Everything that a decision may depend on, besides policy, `now` and the market clock.

    Attributes:
        retired: ids that are never used again.
        commands: ids that acted already, oldest first.
        head_tick: the last accepted tick that was folded.
    """

    bots: Table[Bot] = field(default_factory=lambda: Table("bot"))
    jobs: Table[LiveJob] = field(default_factory=lambda: Table("job"))
    runners: Table[RunnerProcess] = field(default_factory=lambda: Table("runner"))
    pauses: Table[Pause] = field(default_factory=lambda: Table("pause"))
    retired: Table[int] = field(default_factory=lambda: Table("retired"))
    commands: Table[int] = field(default_factory=lambda: Table("command"))
    singles: Table[Singletons] = field(default_factory=_one)
    head_tick: int = 0
    fingerprints: FingerprintCache = field(default_factory=FingerprintCache)

    @property
    def single(self) -> Singletons:
        """What exists once."""
        return self.singles.rows["-"]

    @single.setter
    def single(self, value: Singletons) -> None:
        self.singles.put("-", value)

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.single.policy

    def tables(self) -> tuple["Table[object]", ...]:
        """Every table, in a fixed order."""
        return (self.bots, self.jobs, self.runners, self.pauses, self.retired, self.commands, self.singles)  # type: ignore[return-value] # Table is invariant; only entity-free methods are used

    def begin(self) -> None:
        """Open a candidate."""
        for table in self.tables():
            table.begin()

    def keep(self) -> None:
        """The candidate was accepted."""
        for table in self.tables():
            table.keep()

    def undo(self) -> None:
        """The candidate lost."""
        for table in self.tables():
            table.undo()

    def hash(self) -> str:
        """The state hash that a seal records."""
        total = sum(table.hash_sum() for table in self.tables()) % (1 << HASH_BITS)
        return f"{total:064x}"

    def live_job(self, bot: Bot, job_class: JobClass) -> LiveJob | None:
        """The bot's live job of a class; an orphaned reference is no job."""
        job_id = bot.record_of(job_class).job_id
        return None if job_id is None else self.jobs.rows.get(job_id)
