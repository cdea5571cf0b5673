"""A start from a snapshot is a start from the beginning, only quicker; and nothing is believed that the log does not bear out.

Source: S7; docs/adr/0022.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from autonomy.chain import AcceptedTick
from autonomy.snapshot_files import RefusedSnapshot, SnapshotFolder
from autonomy.topics import COMMANDS, INPUTS, RUNS
from planner.following import follow, re_decide
from planner.shell.app import Planner
from planner.shell.horizons import Horizons
from planner.shell.known_heads import KnownHeads
from planner.shell.snapshots import Start, bytes_of_snapshot, read_snapshot
from planner.shell.starting import find_start
from support.histories import live_through, written_history
from support.lives import a_whole_life
from support.shell import MemoryKafka, a_planner, client_of, kafka_of, lead_until, turns
from support.stored_log import stored_log
from support.ticks import Follower, TickDriver, as_input

HISTORIES: dict[str, Callable[[], TickDriver]] = {
    "life": a_whole_life, "mishaps": lambda: live_through(TickDriver(), written_history(146)),
}  # fmt: skip


@pytest.fixture(params=HISTORIES, scope="module")
def driver(request: pytest.FixtureRequest) -> TickDriver:
    """A history with a root at every tick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.tick.SNAPSHOT_EVERY", 1)
        return HISTORIES[request.param]()


NEXT = 3
"""Ticks that are decided again after each start; the next start stands on the state after one of them."""


def follower_of(driver: TickDriver) -> Follower:
    follower = Follower()
    for record in stored_log(driver):
        if record.topic in INPUTS:
            follower.inbox.put(as_input(record.topic, record.partition, record.offset, record.value or b""))
    return follower


def each_start(driver: TickDriver) -> list[tuple[AcceptedTick, bytes]]:
    """A snapshot after each tick, by a process that folds what others sealed."""
    follower, horizons, known, found = follower_of(driver), Horizons(), KnownHeads(), []
    for tick in driver.accepted:
        assert follower.follow(tick) is None
        horizons.settle(tick.head, follower.state)
        known.fold(tick.head)
        found.append((tick, bytes_of_snapshot(follower.state, tick.head, tick.seal.cut, horizons, known.folded, ())))
    return found


def seal_of(driver: TickDriver, start: Start) -> Any:
    return next(record for record in driver.runs if record.offset == start.head.offset)


def test_a_snapshot_start_is_a_full_fold_at_every_tick(driver: TickDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same state, same root; and from there the next ticks are decided again, byte for byte."""
    monkeypatch.setattr("planner.tick.SNAPSHOT_EVERY", 1)
    snapshots = each_start(driver)
    assert len(snapshots) > 30
    for tick, content in snapshots:
        start = read_snapshot(content)
        start.check(seal_of(driver, start))
        assert (start.state.hash(), start.head) == (tick.seal.state_hash, tick.head)
        later = follower_of(driver)
        later.state = start.state
        later.inbox.drop_to(tick.seal.cut)
        for following in driver.accepted[tick.seal.tick :][:NEXT]:
            horizon = start.horizons.now(later.state)
            assert horizon == following.seal.horizon
            assert re_decide(later.state, later.inbox.slice_to(following.seal.cut), following, horizon=horizon) is None
            later.state.head_tick = following.seal.tick
            later.inbox.drop_to(following.seal.cut)
            start.horizons.settle(following.head, later.state)


def test_a_flipped_bit_is_refused(driver: TickDriver) -> None:
    _, content = each_start(driver)[-2]
    chance = random.Random(5)
    for _ in range(400):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        with pytest.raises(RefusedSnapshot):
            read_snapshot(bytes(flipped))


def edited(content: bytes, change: Callable[[Any], None]) -> bytes:
    """A file that somebody edited, with the checksum of what it holds now."""
    document = json.loads(content.partition(b"\n")[2])
    change(document)
    whole = json.dumps(document, separators=(",", ":")).encode()
    return hashlib.sha256(whole).hexdigest().encode() + b"\n" + whole


def a_stage(document: Any) -> None:
    document["tables"]["bots"][min(document["tables"]["bots"])]["stage"] = "LIVE"


def a_bot_less(document: Any) -> None:
    del document["tables"]["bots"][min(document["tables"]["bots"])]


def a_policy_of_ones_own(document: Any) -> None:
    document["policy"]["research"]["concurrency"] += 1


def an_older_cut(document: Any) -> None:
    document["cut"][COMMANDS][0] -= 1


def another_head(document: Any) -> None:
    document["head"][2] = "0" * 64


def another_tick(document: Any) -> None:
    document["head"][0] += 1


@pytest.mark.parametrize("change", [a_stage, a_bot_less, a_policy_of_ones_own, an_older_cut, another_head, another_tick])
def test_what_somebody_edited_is_refused(driver: TickDriver, change: Callable[[Any], None]) -> None:
    """Also with a right checksum: the seal in the log has the root."""
    _, content = each_start(driver)[-2]

    def use(changed: bytes) -> None:
        start = read_snapshot(changed)
        start.check(seal_of(driver, start))

    use(edited(content, lambda _: None))
    with pytest.raises(RefusedSnapshot):
        use(edited(content, change))


def test_negative_control_the_sum_alone_can_be_fooled(driver: TickDriver) -> None:
    """ADR 0003's sum does not see which entity has which hash; the root does."""
    _, content = each_start(driver)[-1]
    start = read_snapshot(content)
    table = start.state.bots
    before = (start.state.hash(), start.state.root())
    first, second = sorted(table.rows)[:2]
    start.state.hash()
    hashes = table._hashes
    hashes[first], hashes[second] = hashes[second], hashes[first]
    assert (start.state.hash(), start.state.root() == before[1]) == (before[0], False)


def test_a_root_that_is_not_the_states_halts_whoever_folds(driver: TickDriver) -> None:
    tick = driver.accepted[-1]
    follower = follower_of(driver)
    for earlier in driver.accepted[:-1]:
        assert follower.follow(earlier) is None
    forged = AcceptedTick(tick.seal.model_copy(update={"snapshot_root": "0" * 64}), tick.records, tick.offset, tick.sealed_at_ms)
    fault = follow(follower.state, follower.inbox.slice_to(tick.seal.cut), forged)
    assert fault is not None
    assert "the root over the state is" in fault


# ── the shell ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_log(ticks: int = 45, *bots: str) -> TickDriver:
    driver = TickDriver()
    driver.runner()
    driver.register(*(bots or ("bot-0", "bot-1")))
    for _ in range(ticks):
        driver.beat()
        driver.tick(after_ms=60_000)
    return driver


def restarted(kafka: MemoryKafka, folder: Path) -> Planner:
    """A planner process that begins as one does, at a snapshot if there is a usable one."""
    planner = a_planner(kafka)
    planner.settings.snapshots = folder
    start = asyncio.run(find_start(planner.reader, folder))
    if start is not None:
        planner.begin_at(start)
    return planner


def stood_on(kafka: MemoryKafka, folder: Path) -> tuple[int, Planner]:
    """The tick that a restarted planner began at, 0 for the beginning; and the planner, once it folded the rest."""
    planner = restarted(kafka, folder)
    began = planner.chain.head.tick
    asyncio.run(turns(planner, 60))
    return began, planner


@pytest.fixture
def kept(tmp_path: Path) -> tuple[MemoryKafka, Path, Planner]:
    """A log, and the snapshots of a planner that followed all of it."""
    kafka = kafka_of(a_log())
    planner = restarted(kafka, tmp_path / "snapshots")
    planner.caught_up = True  # snapshots are of the present, not of a past that is folded again
    asyncio.run(turns(planner, 60))
    return kafka, tmp_path / "snapshots", planner


def test_snapshots_are_kept_and_a_restart_begins_at_the_newest(kept: tuple[MemoryKafka, Path, Planner]) -> None:
    kafka, folder, planner = kept
    assert [path.name for path in SnapshotFolder(folder).files()] == ["tick-000000000040.json", "tick-000000000020.json"]
    began, again = stood_on(kafka, folder)
    assert began == 40
    assert client_of(again).read[TopicPartition(RUNS, 0)] == len(kafka.log[TopicPartition(RUNS, 0)])
    assert (again.chain.head, again.state.hash(), again.halted) == (planner.chain.head, planner.state.hash(), "")
    assert (again.horizons.heads, again.chain.cut) == (planner.horizons.heads, planner.chain.cut)


def test_who_begins_at_a_snapshot_leads_on_and_others_follow(kept: tuple[MemoryKafka, Path, Planner]) -> None:
    kafka, folder, _ = kept
    planner = restarted(kafka, folder)
    asyncio.run(lead_until(planner, lambda: planner.state.head_tick > 47))
    cold = a_planner(kafka, "planner-3")
    asyncio.run(turns(cold, 80))
    assert (cold.chain.head, cold.state.hash(), cold.halted) == (planner.chain.head, planner.state.hash(), "")


def damage(path: Path) -> None:
    path.write_bytes(edited(path.read_bytes(), a_stage))


def test_a_damaged_newest_one_costs_time_only(kept: tuple[MemoryKafka, Path, Planner]) -> None:
    kafka, folder, planner = kept
    damage(SnapshotFolder(folder).files()[0])
    began, again = stood_on(kafka, folder)
    assert (began, again.state.hash()) == (20, planner.state.hash())
    for path in SnapshotFolder(folder).files():
        damage(path)
    began, again = stood_on(kafka, folder)
    assert (began, again.state.hash(), again.halted) == (0, planner.state.hash(), "")


def shorter(kafka: MemoryKafka) -> None:
    del kafka.log[TopicPartition(RUNS, 0)][-12:]


def without_inputs(kafka: MemoryKafka) -> None:
    for number in range(4):
        kafka.log.get(TopicPartition(COMMANDS, number), []).clear()


def another(kafka: MemoryKafka) -> None:
    other = kafka_of(a_log(44, "bot-7", "bot-8"))
    kafka.log.clear()
    kafka.log.update(other.log)


@pytest.mark.parametrize("lose", [shorter, without_inputs, another])
def test_a_log_that_does_not_bear_it_out_is_read_from_its_beginning(
    kept: tuple[MemoryKafka, Path, Planner], lose: Callable[[MemoryKafka], None]
) -> None:
    """Where it lost records the planner then finds that out as ever; a snapshot never hides it."""
    kafka, folder, _ = kept
    lose(kafka)
    began = restarted(kafka, folder).chain.head.tick
    assert began == (20 if lose is shorter else 0)


def test_snapshots_of_another_decider_are_refused(kept: tuple[MemoryKafka, Path, Planner], monkeypatch: pytest.MonkeyPatch) -> None:
    kafka, folder, _ = kept
    monkeypatch.setattr("planner.shell.snapshots.DECIDER", "life-99")
    assert restarted(kafka, folder).chain.head.tick == 0


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kafka = kafka_of(a_log(21))
    planner = a_planner(kafka)
    planner.settings.snapshots, planner.caught_up = tmp_path / "file", True
    asyncio.run(turns(planner, 40))
    assert (planner.state.head_tick, planner.halted) == (21, "")
