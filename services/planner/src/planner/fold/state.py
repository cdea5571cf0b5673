"""What the planner knows: bots, live jobs, runner processes, the policy, the pauses.

Place in the flow: **state** ← fold, read by decide. Pure data with one way in (`put_*`, `drop_*`), so that the state hash
stays incremental and a try that loses can be undone. Entities are immutable; a change is a new entity.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from autonomy.errors import Broken
from autonomy.policy import Policy
from autonomy.values import JobClass
from planner.fold.entities import Bot, Evolved, LiveJob, Look, Opening, Pause, Singletons, Vote
from planner.fold.hashing import bytes_of
from planner.fold.offers import RunnerProcess

HASH_BITS: Final = 256
MAX_COMMANDS_REMEMBERED: Final = 100_000
"""How many command ids are kept to let a command said twice act once; older repeats are long outside any client's retry."""
ENQUEUE_WINDOW_MS: Final = 3_600_000
Said = tuple[str, str, str, str]
"""A decision as it was last published: reason, job type, blocker codes, promotion verdicts with their evidence."""
Kind = tuple[str, tuple[tuple[str, int | float | str], ...], str, str]
"""What a bot is: strategy, parameters, symbol, timeframe. Never its id and version: a try that is undone may have given them to another."""
NOTHING_SAID: Final[Said] = ("", "", "", "")


MAX_CHANGES_KEPT: Final = 1_000_000
"""Keys that a change log keeps; a reader that comes later than that has to look at everything."""


Entity = TypeVar("Entity")


class ChangeLog:
    """The keys of a table in the order of their changes, each undone one too, for readers that come by now and then."""

    __slots__ = ("_first", "_keys")

    def __init__(self) -> None:
        self._first = 0
        self._keys: list[str] = []

    def add(self, key: str) -> None:
        """The entity of this key changed, came or left."""
        if len(self._keys) >= MAX_CHANGES_KEPT:
            self._first += len(self._keys)
            self._keys.clear()
        self._keys.append(key)

    @property
    def end(self) -> int:
        """Where a reader that knows everything so far goes on."""
        return self._first + len(self._keys)

    def since(self, position: int) -> set[str] | None:
        """What changed from a position on; None when that is not known any more."""
        return None if position < self._first else set(self._keys[position - self._first :])


class Table(Generic[Entity]):
    """Entities by id with an incremental hash and an undo journal.

    The hash is the sum modulo 2^256 of the entities' SHA-256, so it doesn't depend on the order of changes; entities that
    changed are hashed when the sum is asked for. `members` rises whenever an entity comes or leaves; `changes` is kept where somebody
    reads it, and None elsewhere.
    """

    __slots__ = ("_dirty", "_hashes", "_journal", "_name", "_sum", "changes", "members", "rows")

    def __init__(self, name: str, changes: ChangeLog | None = None) -> None:
        self._name = name.encode() + b"|"
        self.rows: dict[str, Entity] = {}
        self._hashes: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._sum = 0
        self._journal: list[tuple[str, Entity | None]] | None = None
        self.members = 0
        self.changes = changes

    def get(self, key: str) -> Entity | None:
        """The entity, or None."""
        return self.rows.get(key)

    def put(self, key: str, entity: Entity) -> None:
        """Add or replace an entity."""
        before = self.rows.get(key)
        if before is None:
            self.members += 1
        if self._journal is not None:
            self._journal.append((key, before))
        self.rows[key] = entity
        self._dirty.add(key)  # as `_changed` does, without the call: a tick may put every bot
        if self.changes is not None:
            self.changes.add(key)

    def _changed(self, key: str) -> None:
        self._dirty.add(key)
        if self.changes is not None:
            self.changes.add(key)

    def drop(self, key: str) -> None:
        """Remove an entity, if it is there."""
        before = self.rows.pop(key, None)
        if before is not None:
            if self._journal is not None:
                self._journal.append((key, before))
            self._changed(key)
            self.members += 1

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
                self.members += 1
            else:
                self.members += key not in self.rows
                self.rows[key] = before
            self._changed(key)

    def add_to(self, whole: "hashlib._Hash") -> None:
        """Put the hash of every entity under a root, in the order of the keys; each stands in its place with its own length."""
        self.hash_sum()
        whole.update(b"%b%d|" % (self._name, len(self._hashes)))
        for key, number in sorted(self._hashes.items()):
            whole.update(number.to_bytes(HASH_BITS // 8))
            whole.update(b"%d|%b" % (len(key.encode()), key.encode()))

    def hash_sum(self) -> int:
        """The sum over all entities' hashes."""
        for key in self._dirty:
            self._sum -= self._hashes.pop(key, 0)
            entity = self.rows.get(key)
            if entity is not None:
                content = self._name + key.encode() + b"|" + bytes_of(entity)
                number = int.from_bytes(hashlib.sha256(content).digest())
                self._hashes[key] = number
                self._sum += number
        self._dirty.clear()
        self._sum %= 1 << HASH_BITS
        return self._sum


@dataclass(slots=True)
class FingerprintCache:
    """Fingerprints by what a bot is, for one context of code, data and costs; derived, so not part of the state hash."""

    context: object = None
    known: dict[Kind, str] = field(default_factory=dict)

    def of(self, context: object) -> dict[Kind, str]:
        """The cache for a context; another context empties it."""
        if context != self.context:
            self.context, self.known = context, {}
        return self.known


@dataclass(slots=True)
class Memo:
    """What was decided about bots that did not change since, for one policy and context; derived, so not part of the state hash.

    It may never change a decision, only its cost: an entry counts for the very same bot (entities are immutable), from the instant
    it was made to the one at which time alone could make another decision of it; a try with an earlier `now` begins anew. The
    records of a tick are worked out afresh, and compared.

    Attributes:
        sight: what `planner.decide.looking` remembers.
    """

    policy: Policy | None = None
    context: object = None
    at_ms: int = 0
    sight: object = None
    members: int = -1
    order: list[str] = field(default_factory=list)

    def of(self, policy: Policy, context: object, now_ms: int) -> object:
        """What is remembered for a policy, a context and a time not before the last one; None when nothing is."""
        if policy is not self.policy or context != self.context or now_ms < self.at_ms:
            self.policy, self.context, self.sight = policy, context, None
        self.at_ms = now_ms
        return self.sight


def _one() -> Table[Singletons]:
    table: Table[Singletons] = Table("single")
    table.put("-", Singletons())
    return table


@dataclass(slots=True)
class State:
    """Everything that a decision may depend on, besides policy, `now` and the market clock.

    Attributes:
        said: what was last published about a bot; beside the bots, so that saying something makes no other bot of one.
        retired: ids that are never used again.
        commands: ids that acted already, oldest first.
        votes: changes of the rules that wait for a second approver, by subject.
        looks: the last look at each fingerprint, whoever's bot it was.
        openings: what each challenger's fingerprint showed on its hold-out.
        read: what searches of each champion's fingerprint have read.
        head_tick: the last accepted tick that was folded.
    """

    bots: Table[Bot] = field(init=False)
    said: Table[Said] = field(init=False)
    jobs: Table[LiveJob] = field(default_factory=lambda: Table("job"))
    runners: Table[RunnerProcess] = field(default_factory=lambda: Table("runner"))
    pauses: Table[Pause] = field(default_factory=lambda: Table("pause"))
    retired: Table[int] = field(default_factory=lambda: Table("retired"))
    commands: Table[int] = field(default_factory=lambda: Table("command"))
    votes: Table[Vote] = field(default_factory=lambda: Table("vote"))
    looks: Table[Look] = field(default_factory=lambda: Table("look"))
    openings: Table[Opening] = field(default_factory=lambda: Table("opening"))
    read: Table[Evolved] = field(default_factory=lambda: Table("read"))
    singles: Table[Singletons] = field(default_factory=_one)
    head_tick: int = 0
    bot_changes: ChangeLog = field(default_factory=ChangeLog)
    said_changes: ChangeLog = field(default_factory=ChangeLog)
    fingerprints: FingerprintCache = field(default_factory=FingerprintCache)
    memo: Memo = field(default_factory=Memo)

    def __post_init__(self) -> None:
        """The tables that somebody reads the changes of."""
        self.bots = Table("bot", changes=self.bot_changes)
        self.said = Table("said", changes=self.said_changes)

    def bot_ids(self) -> list[str]:
        """Ids of all bots, sorted; sorted again only when one came or left."""
        memo, bots = self.memo, self.bots
        if memo.members != bots.members:
            memo.order, memo.members = sorted(bots.rows), bots.members
        return memo.order

    def said_of(self, bot_id: str) -> Said:
        """What was last published about a bot."""
        return self.said.rows.get(bot_id, NOTHING_SAID)

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

    @property
    def policy_hash(self) -> str:
        """The hash of its document, as it was said."""
        return self.single.policy_hash

    def tables(self) -> tuple["Table[object]", ...]:
        """Every table, in a fixed order."""
        return (  # type: ignore[return-value] # Table is invariant; only entity-free methods are used
            self.bots, self.said, self.jobs, self.runners, self.pauses, self.retired, self.commands, self.votes,
            self.looks, self.openings, self.read, self.singles,
        )  # fmt: skip

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

    def root(self) -> str:
        """A hash over all entities that nobody can find another state for, as a seal records it now and then."""
        whole = hashlib.sha256()
        for table in self.tables():
            table.add_to(whole)
        return whole.hexdigest()

    def live_job(self, bot: Bot, job_class: JobClass) -> LiveJob | None:
        """The bot's live job of a class; an orphaned reference is no job."""
        job_id = bot.record_of(job_class).job_id
        return None if job_id is None else self.jobs.rows.get(job_id)
