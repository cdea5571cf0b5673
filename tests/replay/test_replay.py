"""Recorded logs are decided again: same facts, same seals, same states, same rows, byte for byte.

The records of a decider's version are never edited: one of a fleet with every mishap, one of a whole life, one of fleets as
files. A change that alters a replay adds a version to `planner.decide.plan.DECIDER` and its records, beside those of the released ones, which have to stay readable:
`python tests/replay/test_replay.py` writes those of the current version, and refuses to write over one. Only the rows may be recorded again, by
`--rows`, when the read models get another shape: they stand in a file of their own, one hash a table, so that the difference names it.

Source: R-A3.1, R-F1; CONTRIBUTING.md, "Style", 9.
"""

import base64
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autonomy.chain import AcceptedTick, Chain
from autonomy.envelope import Undecodable
from autonomy.events import CATALOGUE
from autonomy.topics import JOBS, RUNS
from planner.decide.plan import DECIDER
from projection.fold.rows import instant
from support.fleet_files import two_fleets
from support.histories import live_through, written_history
from support.lives import a_whole_life
from support.read_models import Log, Stored, log_of, read_whole, table_hashes
from support.ticks import Follower, TickDriver, as_input

FOLDER = Path(__file__).parent / "fixtures"
STEPS = 146
MAX_BYTES = 600_000
RECORDS: dict[str, Callable[[], TickDriver]] = {
    "mishaps": lambda: live_through(TickDriver(), written_history(STEPS)), "life": a_whole_life, "fleets": two_fleets,
}  # fmt: skip


class Differs(Exception):
    """A recorded tick does not follow from the recorded log; the message names it."""


@dataclass
class Recorded:
    """A fixture: a log, and what it led to."""

    expected: dict[str, Any]
    log: Log = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Recorded":
        first, *lines = path.read_text().splitlines()
        recorded = cls(json.loads(first))
        for line in lines:
            stored = record_of(json.loads(line))
            recorded.log.setdefault((stored.topic, stored.partition), []).append(stored)
        return recorded


def record_of(row: dict[str, Any]) -> Stored:
    value = base64.b64decode(row["base64"]) if "base64" in row else row["value"].encode()
    headers = tuple((name, text.encode()) for name, text in row["headers"])
    return Stored(row["topic"], row["partition"], row["offset"], row["timestamp"], row["key"].encode(), value, headers)


def row_of(record: Stored) -> dict[str, Any]:
    row: dict[str, Any] = {
        "topic": record.topic, "partition": record.partition, "offset": record.offset, "timestamp": record.timestamp,
        "key": (record.key or b"").decode(), "headers": [(name, (value or b"").decode()) for name, value in record.headers],
    }  # fmt: skip
    try:
        return row | {"value": (record.value or b"").decode()}
    except UnicodeDecodeError:
        return row | {"base64": base64.b64encode(record.value or b"").decode()}


def ticks_of(log: Log) -> Iterator[AcceptedTick]:
    """The accepted ticks of a log.

    Raises:
        Differs: a seal is not accepted; a recorded log has no void ones.
    """
    chain = Chain()
    for record in log[(RUNS, 0)]:
        done = chain.read(record)
        if isinstance(done, Undecodable):
            raise Differs(f"tick {chain.head.tick + 1}: {done.reason}")
        if chain.void_seals:
            raise Differs(f"tick {chain.head.tick + 1}: {chain.last_refusal}")
        if done is not None:
            yield done


def replay(log: Log) -> dict[str, Any]:
    """Decide every tick again; those of an older decider are folded as it folded them, and only compared by their state.

    Raises:
        Differs: names the first tick that is decided or folded in another way.
    """
    follower = Follower()
    for (topic, partition), records in log.items():
        for record in records if topic != RUNS else ():
            follower.inbox.put(as_input(topic, partition, record.offset, record.value or b""))
    seals, states, decider = [], [], DECIDER
    for tick in ticks_of(log):
        decider = tick.seal.decider
        fault = follower.re_decide(tick) if decider == DECIDER else follower.follow(tick)
        if fault is not None:
            raise Differs(fault)
        seals.append(tick.seal.hash)
        states.append(follower.state.hash())
    return {"decider": decider, "ticks": len(seals), "seals": seals, "states": states}


def changed(log: Log, key: tuple[str, int], offset: int, pattern: str) -> Log:
    """The log with the first number after `pattern` in one record raised by one."""
    copy = {place: list(records) for place, records in log.items()}
    record = copy[key][offset]
    value = re.sub(rf"({pattern}\D*?)(\d+)", lambda found: f"{found[1]}{int(found[2]) + 1}", (record.value or b"").decode(), count=1)
    assert value.encode() != record.value
    copy[key][offset] = Stored(*key, offset, record.timestamp, record.key, value.encode(), record.headers)
    return copy


def place_of(log: Log, text: bytes) -> tuple[tuple[str, int], int]:
    """Where the first record with this text stands that counted: a job event only if it ended its job."""
    ends = {row["finished_at"] for row in read_whole(log).table("bot_jobs")}
    found = [(key, record) for key in sorted(log) for record in log[key] if text in (record.value or b"")]
    return next((key, record.offset) for key, record in found if key[0] != JOBS or instant(record.timestamp) in ends)


def path_of(name: str) -> Path:
    """The file with a record of the current decider."""
    return FOLDER / f"{DECIDER}.{name}.jsonl"


def rows_of(path: Path) -> Path:
    """The file with the hash of each table that a fixture's log leads to."""
    return path.with_suffix(".rows.json")


FIXTURES = sorted(FOLDER.glob("*.jsonl"))


@pytest.fixture(params=FIXTURES, ids=lambda path: path.stem)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return Recorded.read(request.param)


@pytest.fixture
def current() -> Recorded:
    return Recorded.read(path_of("mishaps"))


def test_a_recorded_log_leads_to_what_was_recorded(recorded: Recorded) -> None:
    assert replay(recorded.log) == recorded.expected


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_recorded_log_leads_to_the_recorded_rows(path: Path) -> None:
    found = table_hashes(read_whole(Recorded.read(path).log))
    assert found == json.loads(rows_of(path).read_text()), "other rows on purpose? then: python tests/replay/test_replay.py --rows"


NOT_RECORDED = {
    "accept-divergence.v1",
    "chain-repaired.v1",
    "planner-pulse.v1",
    "probe-pulse.v1",
    "record-quarantined.v1",
    "runner-pulse.v1",
    "runner-traded.v1",
}
"""Of a halted chain, of signs of life, and of what no fold reads."""


def test_the_records_cover_every_kind_of_event() -> None:
    """A replay of nothing proves nothing."""
    logs = [Recorded.read(path_of(name)).log for name in RECORDS]
    values = b"".join(record.value or b"" for log in logs for records in log.values() for record in records)
    assert {event.wire for event in CATALOGUE if f'"type":"{event.wire}"'.encode() not in values} == NOT_RECORDED


def test_a_record_is_no_short_one(recorded: Recorded) -> None:
    assert recorded.expected["ticks"] > 20


def test_the_current_decider_has_a_record_of_its_own() -> None:
    missing = [name for name in RECORDS if not path_of(name).exists()]
    assert missing == [], "a new version of the decider needs its records: python tests/replay/test_replay.py"


def test_records_stay_small() -> None:
    assert {path.name: path.stat().st_size for path in FIXTURES if path.stat().st_size > MAX_BYTES} == {}


@pytest.mark.parametrize(("text", "number"), [
    (b"set-policy.v1", '"concurrency":'), (b"job-enqueued.v1", '"initialCashUsd":"'), (b"job-succeeded.", '"bars":'),
    (b"capabilities-announced.v1", '"bars":'), (b"planner-run.v1", '"elapsedMs":'), (b"job-failed.v1", '"tick":'),
], ids=lambda value: value.decode() if isinstance(value, bytes) else "")  # fmt: skip
def test_one_changed_number_fails_at_its_tick(current: Recorded, text: bytes, number: str) -> None:
    """Negative control: of each kind of record one, with one number raised by one."""
    key, offset = place_of(current.log, text)
    first = next(
        tick.seal.tick for tick in ticks_of(current.log)
        if (tick.offset >= offset if key[0] == RUNS else tick.seal.cut[key[0]][key[1]] > offset)
    )  # fmt: skip
    with pytest.raises(Differs, match=r"^tick \d+: ") as found:
        replay(changed(current.log, key, offset, number))
    named = int(re.findall(r"\d+", str(found.value))[0])
    assert named >= first, "no tick before the change can differ"
    if key[0] == RUNS:
        assert named == first


def test_a_changed_result_shows_in_the_rows_too(current: Recorded) -> None:
    key, offset = place_of(current.log, b"job-succeeded.")
    recorded = json.loads(rows_of(path_of("mishaps")).read_text())
    found = table_hashes(read_whole(changed(current.log, key, offset, '"trades":')))
    assert {name for name in recorded if found[name] != recorded[name]} >= {"bot_backtests", "bot_jobs"}


def record() -> None:
    """Write the records of the current version of the decider, or only what rows each log leads to."""
    missing = {name: history for name, history in RECORDS.items() if not path_of(name).exists()}
    if not missing and "--rows" not in sys.argv:
        sys.exit("every history has its record, which is never written over: raise planner.decide.plan.DECIDER first")
    for name, history in missing.items() if "--rows" not in sys.argv else ():
        path = path_of(name)
        log = log_of(history())
        lines = [json.dumps(row_of(record), separators=(",", ":")) for key in sorted(log) for record in log[key]]
        path.write_text("\n".join([json.dumps(replay(log), separators=(",", ":")), *lines]) + "\n")
    for fixture in FOLDER.glob("*.jsonl"):
        hashes = table_hashes(read_whole(Recorded.read(fixture).log))
        rows_of(fixture).write_text(json.dumps(hashes, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    record()
