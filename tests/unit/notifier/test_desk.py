"""A desk commits before and after it sends: whatever moment it ends at, the next one says the same, and nothing is left out.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition
from typing_extensions import override

from autonomy.chain import GENESIS, Chain, write_records
from autonomy.errors import Broken
from autonomy.events import DriftJudged, HoldReleased
from autonomy.events.tick import TickRecord
from autonomy.values import Drift
from notifier.alarms import Alarm
from notifier.desk import Desk
from notifier.kinds import Kind
from notifier.messages import Message
from notifier.rules import Listener
from notifier.sending import Receiver
from notifier.state import BESIDE, MAX_TOLD, PLACES, SPINE, State, Told
from support.builders import NOON_MS, an_id
from support.notices import a_revert
from support.stored_log import Stored, run_record
from support.ticks import a_seal, stored


class Killed(Exception):
    """The process ends here."""


@dataclass
class World:
    """A log, a group's offsets and a receiver; each outlives a desk.

    Attributes:
        dies_at: the step (a commit or a send, counted from 1) after which the process is gone; with `before`, before it has an effect.
    """

    log: list[Stored] = field(default_factory=list)
    chain: Chain = field(default_factory=Chain)
    offsets: dict[TopicPartition, tuple[int, str]] = field(default_factory=dict)
    taken: list[Message] = field(default_factory=list)
    refusals: int = 0
    steps: int = 0
    dies_at: int = 0
    before: bool = False

    def tick(self, *facts: TickRecord) -> None:
        head = self.chain.head
        name = f"try/{len(self.log)}"
        records = write_records(facts, [f"fact-{number}" for number in range(len(facts))], head.tick + 1, an_id(name), NOON_MS)
        for record in stored([*records, a_seal(head, records, name)], len(self.log)):
            self.chain.feed(record)
            self.log.append(run_record(record))

    def step(self) -> bool:
        """Whether the process ends at this step."""
        self.steps += 1
        return self.steps == self.dies_at

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        ends = self.step()
        if not (ends and self.before):
            self.offsets.update(offsets)
        if ends:
            raise Killed

    def desk(self, kinds: Sequence[Kind] = tuple(Kind)) -> Desk:
        world = self

        class Target:
            async def async_notify(self, *, title: str, body: str, **_: Any) -> bool:
                ends = world.step()
                if not (ends and world.before):
                    world.taken.append(Message("", title, body))
                if ends:
                    raise Killed
                if world.refusals:
                    world.refusals -= 1
                    world.taken.pop()
                    return False
                return True

        desk = Desk(Listener(_Receiver("one", "JSON", 3_000, Target()), frozenset(kinds), 0.0), "http://page", self.commit)
        state = State.of(self.offsets)
        desk.begin(state or State(GENESIS, (0,) * len(BESIDE)))
        return desk

    async def live(self, desk: Desk, turns: int = 3) -> None:
        """Read everything and send what there is."""
        desk.take([record for record in self.log if record.offset >= desk.read_to[SPINE]])
        for _ in range(turns):
            await desk.tell_alarms()
            await desk.turn()


class _Receiver(Receiver):
    """Lets the end of the process through, which the real one takes for a library's fault."""

    @override
    async def send(self, message: Message) -> str:
        done = await self.target.async_notify(title=message.title, body=message.body)
        return "" if done else "it did not take the message"


def drift(verdict: Drift, demote: bool) -> DriftJudged:
    return DriftJudged(
        bot_id="a", job_id=an_id("job"), session_id=an_id("session"), verdict=verdict, findings=("3 trades, the engine 9",), demote=demote
    )


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("dies_at", range(1, 8))
async def test_an_end_at_any_step_loses_nothing_and_repeats_at_most_one_message(dies_at: int, before: bool) -> None:
    world = World(dies_at=dies_at, before=before)
    world.offsets = dict(State(GENESIS, (0,) * len(BESIDE)).offsets)
    said, ended = 0, 0
    desk = world.desk()
    for _ in range(4):
        said += 1
        world.tick(a_revert(f"bot-{said}", f"command-{said}"))
        try:
            await world.live(desk)
        except Killed:
            ended += 1
            said += 1
            world.tick(a_revert(f"bot-{said}", f"command-{said}"))  # meanwhile the log has grown
            desk = world.desk()
            await world.live(desk)
    bots = [line for message in world.taken for line in message.body.splitlines() if line.startswith("Bots: ")]
    assert ended == 1
    assert {line.removeprefix("Bots: ") for line in bots} == {f"bot-{number}" for number in range(1, said + 1)}
    bodies = [message.body for message in world.taken]
    assert len(bodies) - len(set(bodies)) <= 1, "at most one message twice, and then word by word the same"
    assert len(bots) - len(set(bots)) == len(bodies) - len(set(bodies)), "and no bot in two different ones"


async def test_what_is_said_again_says_the_same_though_it_is_over_meanwhile() -> None:
    world = World(dies_at=2)
    world.offsets = dict(State(GENESIS, (0,) * len(BESIDE)).offsets)
    world.tick(drift(Drift.MAJOR, True))
    with pytest.raises(Killed):
        await world.live(world.desk())
    world.tick(drift(Drift.CONSISTENT, False))
    world.tick(a_revert("b"))
    await world.live(world.desk())
    assert world.taken[0] == world.taken[1]
    assert [message.title for message in world.taken[2:]] == ["Autonomy: 1 bot reverted to LAB"]


async def test_a_thousand_at_once_are_one_message_and_two_commits() -> None:
    world = World()
    world.tick(*[a_revert(f"bot-{number}") for number in range(1_000)])
    await world.live(world.desk())
    assert [message.title for message in world.taken] == ["Autonomy: 1,000 bots reverted to LAB"]
    assert world.steps == 3


async def test_what_lasts_is_told_when_it_begins_and_again_once_it_was_over(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    for event in (drift(Drift.MAJOR, True), drift(Drift.MAJOR, True), drift(Drift.CONSISTENT, False), drift(Drift.MAJOR, True)):
        world.tick(event)
        await world.live(world.desk())  # each time a new process: what was told is remembered beside the position
        # A position that moved without a message is committed some seconds later.
        desk = world.desk()
        await world.live(desk)
        desk.committed_mono_ms = float("-inf")
        await desk.turn()
    assert len(world.taken) == 2


async def test_what_is_over_before_it_was_sent_is_not_told() -> None:
    world = World()
    world.tick(drift(Drift.MAJOR, True))
    world.tick(drift(Drift.CONSISTENT, False))
    await world.live(world.desk())
    assert world.taken == []


async def test_only_what_the_rules_name_is_told() -> None:
    world = World()
    world.tick(a_revert("a"), HoldReleased(bot_id="a", kind="OPERATOR", actor="ada"), drift(Drift.MAJOR, True))
    await world.live(world.desk([Kind.DRIFT]))
    assert [message.title for message in world.taken] == ["Autonomy: 1 paper session not as the engine: MAJOR"]


async def test_a_receiver_that_refuses_is_tried_again_and_its_position_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.desk.FIRST_WAIT_S", 0.001)
    world = World(refusals=3)
    world.tick(a_revert("a"))
    desk = world.desk()
    waits: list[float] = []
    real = asyncio.sleep

    async def counted(delay: float) -> None:
        waits.append(delay)
        await real(0)

    monkeypatch.setattr("notifier.desk.asyncio.sleep", counted)
    await world.live(desk)
    assert waits == [0.001, 0.002, 0.004], "each wait is twice the one before"
    assert len(world.taken) == 1
    assert desk.problem == ""


async def test_an_alarm_is_told_once_also_by_the_next_process_and_says_when_it_is_over() -> None:
    world, alarm = World(), Alarm(Kind.SILENT, "planner", "planner/1/7", "no planner leads", "why", "todo")
    desk = world.desk()
    for _ in range(2):
        desk = world.desk()
        desk.hear([alarm], [])
        await world.live(desk)
    assert [message.title for message in world.taken] == ["Autonomy: no planner leads"]
    desk.hear([], [alarm])
    await world.live(desk)
    assert world.taken[-1].title == "Autonomy: over: no planner leads"
    desk.hear([alarm], [])
    await world.live(desk)
    assert len(world.taken) == 3, "what was over may come again"


async def test_an_alarm_is_sent_while_a_commit_waits_for_kafka() -> None:
    world = World()
    desk = world.desk()
    never = asyncio.Event()

    async def hangs(_: Mapping[TopicPartition, tuple[int, str]]) -> None:
        await never.wait()

    desk.commit = hangs
    world.tick(a_revert("a"))
    desk.take(world.log)
    facts, alarms = asyncio.create_task(desk.run()), asyncio.create_task(desk.run_alarms())
    desk.hear([Alarm(Kind.SILENT, "log", "log/1", "the log does not answer", "why", "todo")], [])
    async with asyncio.timeout(10):
        while not world.taken:
            await asyncio.sleep(0.01)
    assert [message.title for message in world.taken] == ["Autonomy: the log does not answer"]
    for task in (facts, alarms):
        task.cancel()
    await asyncio.gather(facts, alarms, return_exceptions=True)


async def test_alarms_that_nobody_takes_are_bounded() -> None:
    desk = World().desk()
    for number in range(500):
        desk.hear([Alarm(Kind.SILENT, "planner", f"{number}", "t", "w", "d")], [])
    assert len(desk.news) <= 60
    assert desk.news[0][0].key == "0", "the one under way stays"


def test_a_state_is_committed_and_read_back_whole() -> None:
    told = Told()
    for number in range(MAX_TOLD + 50):
        told = told.with_ref(f"ref-{number}", f"owner-{number}", 29_000_000 + number)
    head = StateHead
    state = State(head, tuple(range(len(BESIDE))), told, tuple(range(len(PLACES))))
    offsets = state.offsets
    assert State.of(offsets) == state
    assert len(offsets[SPINE][1].encode()) <= 4_096, "what a broker takes beside an offset"
    assert told.has(f"ref-{MAX_TOLD + 49}", 29_000_100)
    assert not told.has("ref-0", 29_000_100), "the oldest is forgotten"
    assert not told.has(f"ref-{MAX_TOLD + 49}", 29_000_000 + 2 * 24 * 60), "what lasts for days is told again"


def test_a_position_that_somebody_else_committed_is_refused() -> None:
    with pytest.raises(Broken, match="none that a notifier wrote"):
        State.of({place: (3, "somebody's") for place in PLACES})


def test_a_group_without_every_position_has_none() -> None:
    assert State.of({}) is None
    assert State.of({SPINE: (-1, "")} | {place: (0, "") for place in BESIDE}) is None


StateHead = State.of({SPINE: (70, '{"tick": 12, "hash": "' + "ab" * 32 + '", "told": []}')} | {place: (0, "") for place in BESIDE}).head  # type: ignore[union-attr] # it is one
