"""The projection over a log in memory: the real intake and model, a store that keeps rows and offsets like the real one.

A `Reading` can be dropped at any point and built again from the store, as a killed process would be.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import orjson

from autonomy.chain import GENESIS, Chain
from autonomy.errors import Broken
from autonomy.events import Head
from autonomy.read_model import METADATA, NOT_COMPARED, NOT_REBUILT
from autonomy.topics import COMMANDS, JOBS, RUNNERS, RUNS
from projection.fold.apply import Model
from projection.fold.bot_now import Row
from projection.fold.rows import Changes
from projection.fold.signs import Signs
from projection.intake import Intake
from projection.store.batches import Offsets, Progress, job_of_row
from support.builders import NOON_MS
from support.ticks import TickDriver

Key = tuple[str, int]
PARTS = 0.4
"""How often a part of a batch is written after a turn."""


@dataclass(slots=True)
class Stored:
    """A record as a reader gets it from the broker; not frozen, as `autonomy.envelope.Record` has attributes that can be set."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


Log = dict[Key, list[Stored]]


def log_of(driver: TickDriver) -> Log:
    """Everything that the driver wrote; times of append follow from the place, so that every reader sees the same."""
    log: Log = {
        (topic, number): [
            Stored(topic, number, offset, NOON_MS + 1_000 * offset + number, None, value) for offset, value in enumerate(values)
        ]
        for (topic, number), values in driver.log.items()
    }
    log[(RUNS, 0)] = [
        Stored(RUNS, 0, record.offset, record.timestamp_ms, record.key, record.value, tuple(record.headers())) for record in driver.runs
    ]
    return log


@dataclass(slots=True)
class MemoryStore:
    """Rows and offsets of the last commit; a commit is whole or nothing.

    Attributes:
        parts: of a batch that is not committed; copies, as what has gone to the database is.
    """

    rows: dict[str, dict[tuple[object, ...], Row]] = field(default_factory=dict)
    parts: list[Changes] = field(default_factory=list)
    offsets: Offsets = field(default_factory=Offsets)
    progress: Progress | None = None

    def write(self, part: Changes) -> None:
        """Write a part of the open batch."""
        self.parts.append(Changes({table: {key: dict(row) for key, row in rows.items()} for table, rows in part.rows.items()}))
        assert not [*part.gone, *part.ended, *part.settled], "only rows are done with before a batch is"

    def commit(self, changes: Changes, progress: Progress) -> None:
        """Move the offsets by compare and set, and write the rows of all parts."""
        if any(self.offsets.next_offset.get(key) != progress.before.get(key) for key in progress.offsets):
            raise Broken("offsets moved by somebody else")
        for (topic, number), (following, applied) in progress.offsets.items():
            self.offsets.next_offset[(topic, number)], self.offsets.applied[(topic, number)] = following, applied
        for part in self.parts:
            for table, rows in part.rows.items():
                self.rows.setdefault(table, {}).update(rows)
        self.parts = []
        for table, keys in changes.gone.items():
            for key in keys:
                self.rows.get(table, {}).pop(key, None)
        for table, rows in changes.rows.items():
            self.rows.setdefault(table, {}).update({key: dict(row) for key, row in rows.items()})
        for key, tick in changes.ended.items():
            self.rows["decision_spans"][key]["to_tick"] = tick
        for session_id, (bar, flattened) in changes.settled.items():
            self._settle(session_id, bar, flattened=flattened)
        self.progress = progress

    def _settle(self, session_id: str, bar: int, *, flattened: bool) -> None:
        """What the real store's statements do with a closed session."""
        for table in ("bot_equity", "bot_trades"):
            late = [key for key, row in self.rows.get(table, {}).items() if row["session_id"] == session_id and int(str(row["bar"])) > bar]
            for key in late:
                del self.rows[table][key]
        row: Row = self.rows["bot_sessions"][(session_id,)]
        mark: dict[str, Any] = self.rows.get("bot_equity", {}).get((session_id, bar), {})
        for name in ("traded_bars", "sharpe", "max_drawdown", "replay"):
            row[name] = mark.get(name)
        bars = self.rows.get("bot_equity", {}).values()
        row["outcomes"] = dict(Counter(str(one["outcome"]) for one in bars if one["session_id"] == session_id)) or None
        row["last_mark_at"] = mark.get("at")
        row["trades"] = mark["trades"] + flattened if mark else None
        row["pnl"] = mark["pnl"] + (row["equity"] - mark["equity"]) if mark else None

    def table(self, name: str) -> list[Row]:
        """The rows of a table."""
        return list(self.rows.get(name, {}).values())

    def load(self) -> tuple[Model, Head, Offsets]:
        """The working rows, as the real store loads them; a batch that was not committed is gone."""
        self.parts = []
        model, head = Model(), GENESIS
        if self.progress is not None:
            head = self.progress.head
            model.market_now, model.rev = self.progress.market_now, self.progress.rev + 1
        model.fold.head_tick = head.tick
        model.bots = {str(row["id"]): dict(row) for row in self.table("bots") if row["retired_at"] is None}
        model.now = {str(row["bot_id"]): dict(row) for row in self.table("bot_now")}
        model.spans = {str(row["bot_id"]): dict(row) for row in self.table("decision_spans") if row["to_tick"] is None}
        model.signs = Signs.of_rows(self.table("bot_runners"))
        model.books.rows = {str(row["id"]): dict(row) for row in self.table("bot_sessions") if row["state"] == "OPEN"}
        model.books.by_bot = {str(row["bot_id"]): session_id for session_id, row in model.books.rows.items()}
        for row in self.table("promotions"):
            if row["status"] in {"OPEN", "REQUESTED"}:
                model.careers.promotions[str(row["id"])] = dict(row)
                model.careers.by_bot[str(row["bot_id"])] = str(row["id"])
        for row in self.table("bot_evolutions"):
            if row["verdict"] is None or row["finished_at"] is None:
                model.careers.searches[str(row["job_id"])] = dict(row)
        model.commands = {str(row["id"]): dict(row) for row in self.table("commands") if row["status"] == "OPEN"}
        model.seen_commands = {str(row["id"]) for row in self.table("commands")}
        for row in self.table("bot_jobs"):
            if row["status"] in {"QUEUED", "RUNNING"}:
                model.jobs[str(row["id"])] = dict(row)
                model.by_bot.setdefault(str(row["bot_id"]), set()).add(str(row["id"]))
                model.fold.enqueue(job_of_row(row))
        offsets = Offsets(dict(self.offsets.next_offset), dict(self.offsets.applied))
        return model, head, offsets


@dataclass(slots=True)
class Reading:
    """One life of the projection's process."""

    log: Log
    store: MemoryStore
    intake: Intake
    positions: dict[Key, int]

    @classmethod
    def begin(cls, log: Log, store: MemoryStore) -> "Reading":
        """Read on where the rows are."""
        return cls.resumed(log, store, *store.load())

    @classmethod
    def resumed(cls, log: Log, store: MemoryStore, model: Model, head: Head, offsets: Offsets) -> "Reading":
        """A process that has loaded its rows."""
        intake = Intake(model, Chain.anchored(head), offsets, head)
        if store.progress is not None:
            intake.quarantined = store.progress.quarantined
        intake.positions.update(offsets.next_offset)
        starts = {key: offsets.next_offset.get(key, 0) for key in log}
        if head.offset >= 0:
            starts[(RUNS, 0)] = head.offset
        return cls(log, store, intake, starts)

    @property
    def unread(self) -> list[Key]:
        """Partitions with something left to read."""
        return sorted(key for key, records in self.log.items() if self.positions[key] < len(records))

    def read(self, key: Key, count: int) -> None:
        """Take the next records of one partition."""
        start = self.positions[key]
        for record in self.log[key][start : start + count]:
            self.intake.take(record)
        self.positions[key] = min(len(self.log[key]), start + count)

    def apply(self) -> int:
        """Apply what can be applied."""
        return self.intake.apply_ready_ticks()

    def part(self) -> None:
        """Write what is done with, in the open batch."""
        self.store.write(self.intake.model.changes.take_done())

    def commit(self) -> None:
        """Rows and offsets at once."""
        self.intake.take_said()
        changes, progress = self.intake.model.finish(), self.intake.progress()
        self.store.commit(changes, progress)
        self.intake.handed_over(progress)

    def read_all(self, order: Sequence[str] = (COMMANDS, JOBS, RUNNERS, RUNS)) -> None:
        """Everything, topic by topic, in one batch."""
        for topic in order:
            for key in [key for key in self.unread if key[0] == topic]:
                self.read(key, len(self.log[key]))
        self.apply()
        self.commit()


def read_whole(log: Log) -> MemoryStore:
    """The rows that one undisturbed reader makes of a log."""
    store = MemoryStore()
    Reading.begin(log, store).read_all()
    return store


def read_in_turns(log: Log, random: Random, *, most: int, commits: float = 0.5, crashes: float = 0.0) -> MemoryStore:
    """Read in random turns of at most `most` records; commit and crash with these chances after each, and write parts in between."""
    store = MemoryStore()
    reading = Reading.begin(log, store)
    while reading.unread:
        reading.read(random.choice(reading.unread), random.randint(1, most))
        reading.apply()
        if random.random() < PARTS:
            reading.part()
        if random.random() < commits:
            reading.commit()
        if random.random() < crashes:
            reading = Reading.begin(log, store)
            crashes *= 0.9  # so that it ends
    reading.apply()
    reading.commit()
    return store


def compared_rows(store: MemoryStore) -> dict[str, list[Any]]:
    """What has to be equal for any reader of the same log: rows as JSON, without the columns that depend on interleaving."""
    found: dict[str, list[Any]] = {}
    for table in METADATA.sorted_tables:
        if table.name in NOT_REBUILT:
            continue
        names = [column.name for column in table.columns if column.name not in NOT_COMPARED]
        rows = [{name: plain(row[name]) for name in names} for row in store.table(table.name)]
        keys = [column.name for column in table.primary_key]
        found[table.name] = sorted(rows, key=lambda row: [str(row[key]) for key in keys])
    return found


def plain(value: object) -> object:
    """A value as it stands in the database's JSON or text."""
    if isinstance(value, datetime):
        return value.isoformat()
    return json.loads(orjson.dumps(value)) if isinstance(value, list | tuple | Mapping | orjson.Fragment) else value


def table_hashes(store: MemoryStore) -> dict[str, str]:
    """A hash over the compared rows of each table."""
    return {name: hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest() for name, rows in compared_rows(store).items()}


def rows_hash(store: MemoryStore) -> str:
    """One hash over all compared rows."""
    return hashlib.sha256(json.dumps(compared_rows(store), sort_keys=True).encode()).hexdigest()
