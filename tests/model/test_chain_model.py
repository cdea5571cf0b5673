"""Every interleaving of two planners that both lead all the time, on the real chain.

The runs partition is a list of records written by the planner's own codec; the real `autonomy.chain.Chain` reads every prefix of
it. Each planner has its own reading position; the records of a try go out one after the other and others land between them; a
planner may crash anywhere, time out while the rest of its try still lands later, or have a record repeated.

Invariants: an accepted tick is exactly what its planner sent; a reader anchored at any accepted seal accepts what a full reader
accepts; a planner acts on a tick only if everybody accepts it. Liveness: a planner with tries left can still get a tick accepted.

Bounds: see each test. Jobs are checked apart (test_jobs_model.py).

Source: S1 to S5, S7.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import pytest
from typing_extensions import override

from autonomy.chain import GENESIS, Chain, RunRecord, write_records
from autonomy.envelope import Received, decode
from autonomy.events import BotRetired, Head, PlannerRun
from support.builders import NOON_MS, an_id
from support.search import Searched, search
from support.ticks import a_seal

MAX_STATES = 400_000
RECORDS = 1
"""Facts of each try before its seal: enough to tear."""


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """A record of a try, one object for each; the heads that tries built on are named by their own seals.

    Attributes:
        name: of the try id; `turn` tells apart two tries that share one, as they must not.
        seq: RECORDS + 1 is the seal.
        parent: the seal that the try follows, or None at the beginning.
    """

    tick: int
    name: str
    turn: int
    seq: int
    parent: "Sent | None"


@cache
def sent_of(tick: int, name: str, turn: int, seq: int, parent: Sent | None) -> Sent:
    """The one object for a record."""
    return Sent(tick, name, turn, seq, parent)


class Planner(NamedTuple):
    """One process: how far it read, what of its try is still to be sent, which seal's verdict it awaits."""

    read: int
    queue: tuple[Sent, ...]
    awaits: Sent | None
    tries: int


class World(NamedTuple):
    """Everything, as a value."""

    log: tuple[Sent, ...]
    planners: tuple[Planner, ...]
    late: tuple[tuple[Sent, ...], ...]
    acted: tuple[Sent, ...]
    crashes: int
    timeouts: int
    repeats: int
    losses: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the search goes, and which rules it follows."""

    ticks: int = 2
    tries: int = 2
    crashes: int = 0
    timeouts: int = 0
    repeats: int = 0
    losses: int = 0
    solo: bool = False
    reader: type[Chain] = Chain
    one_name_per_process: bool = False
    read_back: bool = True


@cache
def records_of(tick: int, name: str, turn: int, parent: Sent | None) -> tuple[RunRecord, ...]:
    """The real records and seal of a try; two tries differ in their facts, as two folds would."""
    head = GENESIS if parent is None else Head(tick=tick - 1, offset=0, hash=hash_of(parent))
    facts = [BotRetired(bot_id=f"bot-{number}", actor=f"{name}-{turn}") for number in range(RECORDS)]
    written = write_records(facts, [fact.bot_id for fact in facts], tick, an_id(name), NOON_MS)
    return (*written, a_seal(head, written, name))


@cache
def hash_of(seal: Sent) -> str:
    """The own hash of a try's seal."""
    received = decode(records_of(seal.tick, seal.name, seal.turn, seal.parent)[-1].value, "autonomy.runs")
    assert isinstance(received, Received)
    assert isinstance(received.event, PlannerRun)
    return received.event.hash


class View(NamedTuple):
    """What a reader of a prefix knows: the accepted seals, oldest first, with their offsets."""

    accepted: tuple[tuple[Sent, int], ...]
    torn: str


class Model:
    """The moves and the invariants."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.chains: dict[tuple[Sent, ...], tuple[Chain, View]] = {(): (bounds.reader(), View((), ""))}
        self.faults: dict[tuple[Sent, ...], str] = {}

    def read(self, log: tuple[Sent, ...]) -> tuple[Chain, View]:
        """The real reader after a prefix of the partition."""
        known = self.chains.get(log)
        if known is None:
            before, view = self.read(log[:-1])
            chain = copy(before)
            chain.tries = {name: dict(kept) for name, kept in before.tries.items()}
            known = self.chains[log] = (chain, self.step(chain, view, log[-1], len(log) - 1))
        return known

    def step(self, chain: Chain, view: View, sent: Sent, offset: int) -> View:
        """Feed one record."""
        whole = records_of(sent.tick, sent.name, sent.turn, sent.parent)
        done = chain.feed(replace(whole[sent.seq - 1], offset=offset))
        if done is None:
            return view
        torn = "" if tuple(r.value for r in done.records) == tuple(r.value for r in whole[:-1]) else "an accepted tick is torn"
        return View((*view.accepted, (sent, offset)), view.torn or torn)

    def head(self, world: World, planner: Planner) -> Sent | None:
        """The head as this planner has read it."""
        accepted = self.read(world.log[: planner.read])[1].accepted
        return accepted[-1][0] if accepted else None

    def start(self) -> World:
        """Nothing was written."""
        return World((), (Planner(0, (), None, 0), Planner(0, (), None, 0)), (), (), 0, 0, 0, 0)

    def moves(self, world: World) -> Iterable[tuple[str, World]]:
        """Everything that may happen next."""
        for number, planner in enumerate(world.planners):
            yield from self.planner_moves(world, number, planner)
        for number, rest in enumerate(world.late):
            others = world.late[:number] + world.late[number + 1 :]
            left = tuple(sorted((*others, rest[1:]), key=place_of)) if len(rest) > 1 else others
            yield f"{label(rest[0])} lands late", world._replace(log=(*world.log, rest[0]), late=left)
            yield f"FAULT {label(rest[0])} and the rest are lost", world._replace(late=others)
        if world.repeats < self.bounds.repeats:
            for sent in dict.fromkeys(world.log):
                yield f"FAULT {label(sent)} is repeated", world._replace(log=(*world.log, sent), repeats=world.repeats + 1)

    def planner_moves(self, world: World, number: int, planner: Planner) -> Iterable[tuple[str, World]]:
        """Begin a try, send its next record, read, learn the verdict, time out, crash."""
        bounds, name = self.bounds, f"p{number}"
        head = self.head(world, planner)
        if planner.read < len(world.log):
            yield f"{name} reads", self.put(world, number, planner._replace(read=planner.read + 1))
        if planner.queue:
            sent, rest = planner.queue[0], planner.queue[1:]
            waits = planner._replace(queue=rest)
            done = world._replace(log=(*world.log, sent))
            if not rest and not bounds.read_back:
                # As it must not be: an acknowledged seal taken for an accepted one.
                done = done._replace(acted=(*done.acted, sent))
                waits = waits._replace(awaits=None)
            yield f"{name} sends {label(sent)}", self.put(done, number, waits)
        if planner.queue and world.losses < bounds.losses:
            skipped = self.put(world, number, planner._replace(queue=planner.queue[1:]))._replace(losses=world.losses + 1)
            yield f"FAULT {name} loses {label(planner.queue[0])}", skipped
        if planner.awaits is not None and head is not None and head.tick >= planner.awaits.tick:
            won = any(sent == planner.awaits for sent, _ in self.read(world.log[: planner.read])[1].accepted)
            after = self.put(world, number, planner._replace(awaits=None, queue=()))
            yield f"{name} learns its verdict", after._replace(acted=(*after.acted, planner.awaits)) if won else after
        tick = 1 if head is None else head.tick + 1
        if planner.awaits is None and not planner.queue and tick <= bounds.ticks and planner.tries < self.tries_of(number):
            fresh = name if bounds.one_name_per_process else f"{name}-try-{planner.tries}"
            whole = tuple(sent_of(tick, fresh, planner.tries, seq, head) for seq in range(1, RECORDS + 2))
            begun = planner._replace(queue=whole, awaits=whole[-1], tries=planner.tries + 1)
            yield f"{name} begins tick {tick}", self.put(world, number, begun)
        if planner.awaits is not None and world.timeouts < bounds.timeouts:
            late = tuple(sorted((*world.late, planner.queue), key=place_of)) if planner.queue else world.late
            after = self.put(world, number, planner._replace(queue=(), awaits=None))
            yield f"FAULT {name} times out", after._replace(late=late, timeouts=world.timeouts + 1)
        if world.crashes < bounds.crashes:
            after = self.put(world, number, Planner(0, (), None, planner.tries))
            yield f"FAULT {name} crashes", after._replace(crashes=world.crashes + 1)

    def tries_of(self, number: int) -> int:
        """How many tries a planner has; alone, the second has none."""
        return 0 if self.bounds.solo and number == 1 else self.bounds.tries

    def put(self, world: World, number: int, planner: Planner) -> World:
        """Replace a planner."""
        planners = (planner, world.planners[1]) if number == 0 else (world.planners[0], planner)
        return world._replace(planners=planners)

    def fault(self, world: World) -> str:
        """The first promise that does not hold."""
        known = self.faults.get(world.log)
        if known is None:
            known = self.faults[world.log] = self.fault_of(world.log)
        if known:
            return known
        accepted = {sent for sent, _ in self.read(world.log)[1].accepted}
        return "" if accepted.issuperset(world.acted) else "somebody acted on a void tick"

    def fault_of(self, log: tuple[Sent, ...]) -> str:
        """What is wrong with what readers make of the partition."""
        _, full = self.read(log)
        if full.torn:
            return full.torn
        ticks = [sent.tick for sent, _ in full.accepted]
        if ticks != list(range(1, len(ticks) + 1)):
            return "accepted ticks are not one after the other"
        return "an anchored reader differs" if self.anchored_differs(log, full) else ""

    def anchored_differs(self, log: tuple[Sent, ...], full: View) -> bool:
        """Whether a reader that starts at an accepted seal accepts something else; only the newest record is new."""
        for position, (seal, offset) in enumerate(full.accepted):
            chain = self.bounds.reader.anchored(Head(tick=seal.tick, offset=offset, hash=hash_of(seal)))
            view = View((), "")
            for number in range(offset, len(log)):
                view = self.step(chain, view, log[number], number)
            if view.accepted != full.accepted[position + 1 :]:
                return True
        return False

    def is_good(self, world: World) -> bool:
        """All ticks are accepted, or nobody has a try left; alone, tries must suffice."""
        _, full = self.read(world.log)
        tired = not self.bounds.solo and all(planner.tries >= self.bounds.tries for planner in world.planners)
        return len(full.accepted) >= self.bounds.ticks or tired


def place_of(queue: tuple[Sent, ...]) -> tuple[int, str, int]:
    """One order for what lands late; two such queues never begin with the same record."""
    return (queue[0].tick, queue[0].name, queue[0].seq)


def label(sent: Sent) -> str:
    """A record in a trace."""
    what = "seal" if sent.seq == RECORDS + 1 else f"record {sent.seq}"
    return f"{what} of {sent.name}/{sent.tick}"


def checked(max_states: int = MAX_STATES, **bounds: Any) -> Searched[World]:
    """Search within these bounds."""
    model = Model(Bounds(**bounds))
    return search(
        model.start(), model.moves, model.fault, max_states=max_states, is_good=model.is_good,
        is_fair=lambda move: not move.startswith("FAULT"),
    )  # fmt: skip


SCOPES: dict[str, dict[str, Any]] = {
    "two ticks": {"ticks": 2, "tries": 2},
    "crash": {"ticks": 1, "tries": 2, "crashes": 1},
    "timeout, late landing": {"ticks": 1, "tries": 2, "timeouts": 1},
    "repeats": {"ticks": 1, "tries": 2, "repeats": 1},
    "a lost record before its seal": {"ticks": 1, "tries": 2, "losses": 1},
    "alone, one fault": {"ticks": 1, "tries": 2, "timeouts": 1, "solo": True},
}
LONG: dict[str, dict[str, Any]] = {
    "two ticks, crash": {"ticks": 2, "tries": 2, "crashes": 1},
    "two ticks, timeout": {"ticks": 2, "tries": 2, "timeouts": 1},
    "two ticks, repeat": {"ticks": 2, "tries": 2, "repeats": 1},
    "one tick, crash and timeout": {"ticks": 1, "tries": 2, "crashes": 1, "timeouts": 1},
    "one tick, crash and repeat": {"ticks": 1, "tries": 2, "crashes": 1, "repeats": 1},
    "one tick, timeout and repeat": {"ticks": 1, "tries": 2, "timeouts": 1, "repeats": 1},
}
"""All three kinds of fault at once are more than six million states, which do not fit: every pair of them is searched to the end."""


def holds(result: Searched[World]) -> None:
    assert result.violation == "", result.trace
    assert result.exhausted, result.states
    assert result.good_ends > 0
    assert result.stuck == [], result.trace


@pytest.mark.parametrize("scope", SCOPES)
def test_promises_hold_in_every_interleaving(scope: str) -> None:
    holds(checked(**SCOPES[scope]))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scope", LONG)
def test_promises_hold_within_larger_bounds(scope: str) -> None:
    holds(checked(6_000_000, **LONG[scope]))


# ── negative controls ─────────────────────────────────────────────────────────────────────────────────────────────────


class Careless(Chain):
    """A reader that leaves out the conditions whose refusal has these words."""

    blind: tuple[str, ...] = ()

    @override
    def _fault(self, seal: PlannerRun, record: RunRecord, records: tuple[RunRecord, ...], kept: int) -> str | None:
        fault = Chain._fault(self, seal, record, records, kept)
        return None if fault is not None and any(word in fault for word in self.blind) else fault


class NoWholeness(Careless):
    blind = ("sealed", "root")


class NoTickOrder(Careless):
    blind = ("the next tick is", "follow")


def test_reader_that_does_not_count_accepts_a_torn_tick() -> None:
    """A record is lost and its seal is not: what S1 forbids to send, a reader must refuse anyhow."""
    result = checked(ticks=1, tries=1, losses=1, reader=NoWholeness)
    assert result.violation == "an accepted tick is torn", result.states


def test_reader_that_does_not_order_ticks_accepts_two_of_one_number() -> None:
    result = checked(ticks=1, tries=1, reader=NoTickOrder)
    assert result.violation in {"accepted ticks are not one after the other", "an accepted tick is torn"}


def test_planner_that_does_not_read_its_seal_back_acts_on_a_void_tick() -> None:
    result = checked(ticks=1, tries=1, read_back=False)
    assert result.violation == "somebody acted on a void tick"


def test_try_id_per_process_leaves_no_way_to_acceptance() -> None:
    """Source: S2: the left-over records of the first try shadow those of the second."""
    result = checked(ticks=1, tries=2, timeouts=1, solo=True, one_name_per_process=True)
    assert result.violation == ""
    assert result.stuck
