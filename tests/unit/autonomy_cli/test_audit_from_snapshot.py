"""An audit that begins at a snapshot decides everything behind it again, and says that it looked at nothing before.

Source: R-F1; docs/adr/0022-snapshots-under-a-root-in-the-seal.md.
"""

from dataclasses import replace

import pytest

from autonomy.snapshot_files import RefusedSnapshot
from autonomy.topics import INPUTS, RUNS
from autonomy_cli.audit import Audit
from autonomy_cli.findings import Outcome
from autonomy_cli.log_audit import Verdict, words_of
from planner.shell.horizons import Horizons
from planner.shell.known_heads import KnownHeads
from planner.shell.snapshots import Start, bytes_of_snapshot, read_snapshot
from support.lives import a_whole_life
from support.stored_log import Stored, ends_of, stored_log
from support.ticks import Follower, TickDriver, as_input


@pytest.fixture(scope="module")
def driver() -> TickDriver:
    """A whole life with a root at every tick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.tick.SNAPSHOT_EVERY", 1)
        return a_whole_life()


@pytest.fixture(autouse=True)
def _roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.tick.SNAPSHOT_EVERY", 1)


def start_at(driver: TickDriver, tick: int) -> Start:
    """As a planner's file of that tick says it."""
    follower, horizons, known = Follower(), Horizons(), KnownHeads()
    for record in stored_log(driver):
        if record.topic in INPUTS:
            follower.inbox.put(as_input(record.topic, record.partition, record.offset, record.value or b""))
    for accepted in driver.accepted[:tick]:
        assert follower.follow(accepted) is None
        horizons.settle(accepted.head, follower.state)
        known.fold(accepted.head)
    last = driver.accepted[tick - 1]
    return read_snapshot(bytes_of_snapshot(follower.state, last.head, last.seal.cut, horizons, known.folded, ()))


def audited(log: list[Stored], start: Start | None, **known: dict[int, str]) -> Verdict:
    """Audit a log, as a reader that was sought behind the snapshot."""
    audit = Audit(**known)  # type: ignore[arg-type] # by name
    if start is not None:
        audit.begin_at(start)
    begin = dict(audit.positions)
    for record in log:
        if record.offset >= begin.get((record.topic, record.partition), 0):
            audit.take(record)
            audit.advance()
    audit.finish(ends_of(log, {topic: 12 for topic in (RUNS, *INPUTS)}))
    return Verdict(audit, 1.0)


def test_everything_behind_the_snapshot_is_decided_again_and_that_is_said(driver: TickDriver) -> None:
    log, tick = stored_log(driver), len(driver.accepted) // 2
    found = audited(log, start_at(driver, tick))
    assert found.outcome is Outcome.CLEAN_IN_PART
    assert (found.audit.begun_at, found.audit.again) == (tick, len(driver.accepted) - tick)
    assert found.document()["begunAtSnapshotOfTick"] == tick
    (said, *_) = words_of(found)
    assert said == f"began at the snapshot of tick {tick}, whose root stands in the seal of that tick: nothing before it was looked at"
    whole = audited(log, None)
    assert (whole.outcome, whole.audit.begun_at) == (Outcome.CLEAN, 0)
    assert whole.audit.chain.head == found.audit.chain.head


@pytest.mark.parametrize("before", [True, False])
def test_what_is_damaged_behind_the_snapshot_is_found_and_what_is_before_is_not(driver: TickDriver, before: bool) -> None:
    """The limit of such an audit, shown: the whole one finds both."""
    log, tick = stored_log(driver), len(driver.accepted) // 2
    start = start_at(driver, tick)
    wanted = tick - 1 if before else tick + 2
    place = next(
        number for number, record in enumerate(log)
        if record.topic == RUNS and record.offset > driver.accepted[wanted - 2].head.offset and record.value
    )  # fmt: skip
    damaged = [*log[:place], replace(log[place], value=(log[place].value or b"").replace(b"0", b"1", 1)), *log[place + 1 :]]
    assert damaged[place].value != log[place].value
    assert audited(damaged, None).outcome is Outcome.DIFFERS
    assert audited(damaged, start).outcome is (Outcome.CLEAN_IN_PART if before else Outcome.DIFFERS)


def test_a_head_that_was_written_down_is_compared_or_refused(driver: TickDriver) -> None:
    log, tick = stored_log(driver), len(driver.accepted) // 2
    right = driver.accepted[tick - 2].seal.hash
    assert audited(log, start_at(driver, tick), known_heads={tick - 1: right}).outcome is Outcome.CLEAN_IN_PART
    wrong = audited(log, start_at(driver, tick), known_heads={tick - 1: "0" * 64})
    assert wrong.outcome is Outcome.DIFFERS
    start = start_at(driver, tick)
    start.snapshot.heads.pop(tick - 1)
    with pytest.raises(RefusedSnapshot, match=f"the head of tick {tick - 1} that was written down is before the snapshot of tick {tick}"):
        audited(log, start, known_heads={tick - 1: right})
