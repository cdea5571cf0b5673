"""One receiver's desk: collects what it is to be told, sends it as one message, and only then commits how far it has come.

Place in the flow: readers, watch → **desk** → receiver, and then the group's position. Everything up to a place of the log (a cut) goes
into one message. The cut is committed before the message is sent, the position after it: a process that is killed in between sends the
same message with the same key once more, and never leaves one out. A receiver that fails is tried again, more and more slowly, while its
position waits; other receivers have desks of their own.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from autonomy import clock
from autonomy.chain import AcceptedTick, Chain
from autonomy.envelope import Record
from autonomy.events import Head
from autonomy.topics import RUNS
from notifier import metrics
from notifier.alarms import Alarm
from notifier.facts import Item, Over, items_of_record, items_of_tick
from notifier.messages import Message, compose, key_of, plain
from notifier.pending import Pending, Placed
from notifier.rules import Listener
from notifier.state import ALARM, BESIDE, PLACES, SPINE, State, Told

log = logging.getLogger(__name__)
MAX_PENDING: Final = 20_000
"""Facts that wait in memory; beyond them nothing more is read until some were sent."""
MAX_ALARMS: Final = 50
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
"""Between two tries of a receiver that fails; each wait is twice the one before."""
COMMIT_S: Final = 10.0
"""A commit that Kafka does not answer is said again."""
KEEP_S: Final = 20.0
"""A position that moved without a message is committed so often."""
REFRESH_S: Final = 3_600.0
"""And one that did not move so often: a broker forgets the position of a group that is silent for a week."""
ALARM_COMMIT_S: Final = 2.0
"""An alarm may be that Kafka does not answer: its commit is not waited for longer."""
Line = Literal["facts", "alarms"]
Commit = Callable[[Mapping[TopicPartition, tuple[int, str]]], Awaitable[None]]


@dataclass(slots=True)
class Desk:
    """One receiver's.

    Attributes:
        commit: moves the group's position; None while there is no connection.
        state: as committed; None until it was read.
        told: what lasts and was told, as of what was read; what was sent is in `state`.
        read_to: the next offset of each partition.
        again_to: where the message ends that a process before this one may have sent; None once it was said again. What stands beyond it
            waits in `later`, or that message would not say the same.
        cut_head: the seal at which the message under way ends, once it was read.
        news: alarms that were raised and are over, in order.
        problem: why the receiver did not take the newest try; empty once it did.
        busy: each held while a message is sent and what follows from it is committed: of facts, and of alarms. They go side by side, since
            an alarm may be that Kafka does not answer, which a commit would wait for.
        line: held for one try: a receiver gets one message at a time.
        turns: signs of life, of facts and of alarms.
    """

    listener: Listener
    page: str
    commit: Commit | None = None
    state: State | None = None
    chain: Chain = field(default_factory=Chain)
    told: Told = field(default_factory=Told)
    read_to: dict[TopicPartition, int] = field(default_factory=dict)
    again_to: Mapping[TopicPartition, int] | None = None
    later: list[tuple[Item, TopicPartition, int, int]] = field(default_factory=list)
    cut_head: Head | None = None
    pending: Pending = field(default_factory=Pending)
    news: list[tuple[Alarm, bool]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    alarmed: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    busy: dict[Line, asyncio.Lock] = field(default_factory=lambda: {"facts": asyncio.Lock(), "alarms": asyncio.Lock()})
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    problem: str = ""
    failing_since_ms: int | None = None
    sent_mono_ms: float = float("-inf")
    sent_at_ms: int | None = None
    committed_mono_ms: float = 0.0
    turns: "Counter[Line]" = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Every series is there before anything happens, so that an alert sees it change."""
        metrics.SENT.labels(self.name)
        metrics.FAILED.labels(self.name)
        metrics.FAILING.labels(self.name).set(0)

    @property
    def name(self) -> str:
        """The receiver's."""
        return self.listener.receiver.name

    @property
    def waiting(self) -> int:
        """What waits to be sent."""
        return len(self.pending.waits) + len(self.news)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that no more is read; never before everything was read that is to be said again."""
        return len(self.pending.waits) >= MAX_PENDING and self.again_to is None

    def begin(self, state: State) -> None:
        """Read on from a committed position: whatever was in memory is dropped."""
        self.state, self.told, self.pending = state, state.told, Pending()
        self.cut_head = state.head if state.cut is not None and state.cut[0] == state.head.offset else None
        self.again_to, self.later = None if state.cut is None else ends_of(state.cut), []
        self.chain = Chain.anchored(state.head)
        self.read_to = dict(zip(BESIDE, state.beside, strict=True)) | {SPINE: max(0, state.head.offset)}
        self.changed.set()

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def has_room(self, within_s: float) -> bool:
        """Wait until not too much waits to be sent; whether that is so."""
        if self.is_full:
            self.room.clear()
            await until(self.room, within_s)
        return not self.is_full

    def take(self, records: Sequence[Record]) -> None:
        """Take what was read, each partition in order.

        Raises:
            Broken: the log is not the one that the position is from, or an accepted tick cannot be read.
        """
        for record in records:
            self.take_one(record)
        if records:
            self.changed.set()

    def take_one(self, record: Record) -> None:
        """Take one record; one that was read before says nothing."""
        place = TopicPartition(record.topic, record.partition)
        if record.offset < self.read_to.get(place, 0):
            return
        self.read_to[place] = record.offset + 1
        minute = record.timestamp // 60_000
        if record.topic != RUNS:
            for item in items_of_record(record):
                self.note(item, place, record.offset, minute)
            return
        done = self.chain.read(record)
        if isinstance(done, AcceptedTick):
            if self.state is not None and self.state.cut is not None and self.state.cut[0] == done.offset:
                self.cut_head = done.head
            for item in items_of_tick(done):
                self.note(item, place, done.offset, minute)

    def note(self, item: Item, place: TopicPartition, offset: int, minute: int) -> None:
        """Keep a fact until it is sent, or forget what is over."""
        if self.again_to is not None and offset >= self.again_to[place]:
            self.later.append((item, place, offset, minute))
            return
        if isinstance(item, Over):
            self.told = self.told.without(item.owner, item.still)
            self.pending.drop(item.owner, item.still)
            return
        if item.kind not in self.listener.kinds:
            return
        if item.lasts:
            if self.told.has(item.ref, minute):
                return
            self.told = self.told.with_ref(item.ref, item.owner, minute)
        self.pending.add(Placed(item, place, offset))

    def hear(self, raised: Sequence[Alarm], over: Sequence[Alarm]) -> None:
        """Alarms that came on and that are over."""
        self.news += [(alarm, False) for alarm in raised] + [(alarm, True) for alarm in over]
        del self.news[1 : max(1, len(self.news) - MAX_ALARMS)]  # the first one may be under way
        self.alarmed.set()

    # ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Send the facts that are there, for ever."""
        while True:
            self.turns["facts"] += 1
            self.changed.clear()
            await self.turn()
            metrics.WAITING.labels(self.name).set(self.waiting)
            await until(self.changed, self.rest_s())

    async def run_alarms(self) -> None:
        """Send the alarms that are there, for ever."""
        while True:
            self.turns["alarms"] += 1
            self.alarmed.clear()
            await self.tell_alarms()
            metrics.WAITING.labels(self.name).set(self.waiting)
            await until(self.alarmed, 1.0)

    async def tell_alarms(self) -> None:
        """Send what there is; before the position is known, only that the log does not answer."""
        while self.news and (self.state is not None or self.news[0][0].code == "log"):
            async with self.busy["alarms"]:
                await self.say_alarm(*self.news[0])
                del self.news[0]

    def rest_s(self) -> float:
        """How long there is nothing to do, as far as is known."""
        return (
            max(0.05, min(1.0, self.listener.spacing_s - (clock.monotonic_ms() - self.sent_mono_ms) / 1000)) if self.pending.waits else 1.0
        )

    async def turn(self) -> None:
        """Send facts as one message, unless the last one was a moment ago."""
        if self.state is None or self.commit is None:
            return
        if self.state.cut is not None:
            if self.cut_head is not None and self.has_read(self.state.cut):
                async with self.busy["facts"]:
                    await self.say_facts(self.state, self.state.cut, self.cut_head)
        elif self.pending.waits:
            if clock.monotonic_ms() - self.sent_mono_ms >= self.listener.spacing_s * 1000:
                async with self.busy["facts"]:
                    await self.say_facts(self.state, self.cut_now(), self.chain.head)
        else:
            await self.keep(self.state)

    def cut_now(self) -> tuple[int, ...]:
        """Everything that was read; of the chain up to its head."""
        return (self.chain.head.offset, *(self.read_to[place] for place in BESIDE))

    def has_read(self, cut: tuple[int, ...]) -> bool:
        """Whether everything up to a cut was read."""
        return all(self.read_to[place] >= end for place, end in ends_of(cut).items())

    async def say_facts(self, state: State, cut: tuple[int, ...], head: Head) -> None:
        """Send everything up to the cut as one message, between two commits.

        Args:
            state: as committed.
            cut: everything below it was read.
            head: the seal at which it ends.
        """
        chosen = self.pending.up_to(ends_of(cut))
        if state.cut is None:
            self.state, self.cut_head = state.sending(cut), head
            await self.committed()
        if chosen:
            facts = [placed.fact for placed in chosen.values()]
            await self.until_taken(compose(facts, self.page, key_of(self.name, *cut), self.listener.receiver.most), "facts")
        self.pending.remove(chosen)
        self.room.set()
        later, self.later, self.again_to = self.later, [], None
        for item, place, offset, minute in later:
            self.note(item, place, offset, minute)
        self.state, self.cut_head = state.sent(head, cut, self.told.less(self.pending.lasting())), None
        await self.committed()

    async def committed(self) -> None:
        """Commit the state as it is now, as often as it takes."""
        while self.state is not None and self.commit is not None:
            self.turns["facts"] += 1
            try:
                async with asyncio.timeout(COMMIT_S):
                    await self.commit(self.state.offsets)
            except (KafkaError, TimeoutError) as refusal:
                log.warning("the position of %s is not committed yet: %r", self.name, refusal)
                await asyncio.sleep(FIRST_WAIT_S)
            else:
                self.committed_mono_ms = clock.monotonic_ms()
                return

    async def keep(self, state: State) -> None:
        """Commit a position that moved without a message, now and then."""
        passed_s = (clock.monotonic_ms() - self.committed_mono_ms) / 1000
        moved = self.cut_now() != (state.head.offset, *state.beside) or self.told != state.told
        if passed_s >= REFRESH_S or (moved and passed_s >= KEEP_S):
            self.state = State(self.chain.head, self.cut_now()[1:], self.told)
            await self.committed()

    async def say_alarm(self, alarm: Alarm, is_over: bool) -> None:  # noqa: FBT001 (as it stands in the queue)
        """Send an alarm, or that it is over; what was told before a new start is not told again."""
        if alarm.kind not in self.listener.kinds:
            return
        minute, ref = clock.now_ms() // 60_000, f"{ALARM}/{alarm.key}"
        if not is_over and self.told.has(ref, minute):
            return
        key = key_of(self.name, alarm.key, "over" if is_over else "on")
        look = f"Look: {self.page}/attention"
        if is_over:
            message = plain(
                f"Autonomy: over: {alarm.title}", ["It is over.", f"It was: {alarm.why}", "To do: nothing", look], key, "success"
            )
        else:
            lines = [alarm.title, f"Why: {alarm.why}", f"To do: {alarm.todo}", look]
            message = plain(f"Autonomy: {alarm.title}", lines, key, "failure")
        await self.until_taken(message, "alarms")
        self.told = self.told.without(f"{ALARM}/{alarm.code}")
        if not is_over:
            self.told = self.told.with_ref(ref, f"{ALARM}/{alarm.code}", minute)
        await self.remember_alarm()

    async def remember_alarm(self) -> None:
        """Commit what was told of alarms, if Kafka answers."""
        if self.state is None or self.commit is None:
            return
        self.state = replace(self.state, told=self.told.less(self.pending.lasting()))
        try:
            async with asyncio.timeout(ALARM_COMMIT_S):
                await self.commit(self.state.offsets)
        except (KafkaError, TimeoutError):
            log.warning("that %s was told of an alarm is not committed: a new start may tell it again", self.name)

    async def one_try(self, message: Message) -> str:
        """Send once; returns why the receiver did not take it, or nothing."""
        async with self.line:
            return await self.listener.receiver.send(message)

    async def until_taken(self, message: Message, line: Line) -> None:
        """Send until the receiver takes it, waiting longer and longer."""
        wait_s = FIRST_WAIT_S
        while problem := await self.one_try(message):
            if self.failing_since_ms is None:
                self.failing_since_ms = clock.now_ms()
                metrics.FAILING.labels(self.name).set(self.failing_since_ms / 1000)
            self.problem = problem
            metrics.FAILED.labels(self.name).inc()
            metrics.WAITING.labels(self.name).set(self.waiting)
            log.warning("%s was not told: %s", self.name, problem, extra={"key": message.key, "waiting": self.waiting, "againInS": wait_s})
            self.turns[line] += 1
            await asyncio.sleep(wait_s)
            self.turns[line] += 1
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        self.problem, self.failing_since_ms = "", None
        self.sent_at_ms = clock.now_ms()
        if line == "facts":
            self.sent_mono_ms = clock.monotonic_ms()
        metrics.FAILING.labels(self.name).set(0)
        metrics.SENT.labels(self.name).inc()
        log.info("%s was told: %s", self.name, message.title, extra={"key": message.key})

    async def settled(self, within_s: float) -> None:
        """Wait until no message is under way, so that one that is sent is committed too; not for a receiver that takes nothing."""
        if self.problem:
            return
        try:
            async with asyncio.timeout(within_s):
                for lock in self.busy.values():
                    await lock.acquire()
        except TimeoutError:
            log.warning("%s has a message under way that may be sent once more", self.name)


def ends_of(cut: tuple[int, ...]) -> dict[TopicPartition, int]:
    """A cut as the first offset of each partition that is not below it; the seal that it names is."""
    return dict(zip(PLACES, (cut[0] + 1, *cut[1:]), strict=True))


async def until(event: asyncio.Event, within_s: float) -> None:
    """Wait for an event, no longer than this."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
