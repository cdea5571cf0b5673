"""Look at every bot, but work out only those whose wish may have changed.

Place in the flow: wishes → **looking** → life, decide. Pure. What is remembered lives in the state's memo and can change the cost of
a tick, never a decision: an entry counts for the very same bot, jobs, policy and context, until the instant at which time alone
could make another wish. Unchanged bots are not visited: changed bots come from their table's change log, expiries from a heap.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple, cast

from autonomy.reasons import Reason
from planner.decide import promotion_gates
from planner.decide.view import View
from planner.decide.wishes import NEVER, Decision, wish_of
from planner.fold.entities import Bot, LiveJob
from planner.fold.state import State

Key = tuple[str, str, str, str]
Jobs = tuple[LiveJob, ...]
NO_JOBS: Jobs = ()


class Entry(NamedTuple):
    """One bot as it was looked at last.

    Attributes:
        until_ms: until when its wish holds.
        line: of the digest.
        key: what makes the wish another decision.
        lives: whether its life goes on in some way (a session, a recommendation or the right to one, a pin that ends).
        jobs: its live jobs.
    """

    bot: Bot
    until_ms: int
    wish: Decision
    line: str
    key: Key
    lives: bool
    jobs: Jobs


class Candidate(NamedTuple):
    """A wish that may compete, in the order of competing: longest waiting first, then bot id."""

    since_ms: int
    bot_id: str
    place: int


class WaitingForSlot(NamedTuple):
    """What a full limit made of a wish: the line and the key of that decision, which know no place in line."""

    wish: Decision
    reason: Reason
    key: Key
    line: str


@dataclass(slots=True)
class FleetView:
    """The whole fleet, by bot id, as far as it is known to stand. Places count from 0 in that order.

    Attributes:
        wishes, lines: of the entries, by place, so that a plan starts as a copy.
        ready: the wishes that may compete.
        changed: places of the wishes that differ from what was last published.
        needs_lifecycle_step: places of the bots whose life goes on.
        waiting_for_slot: by place; what was worked out for those that waited at the last look.
        clock: (until, place), a heap; an entry that was made anew meanwhile has another instant, and stands in it again.
        bots_seen, said_seen: how far the change logs were read.
    """

    order: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    wishes: list[Decision] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    ready: list[Candidate] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)
    needs_lifecycle_step: set[int] = field(default_factory=set)
    waiting_for_slot: dict[int, WaitingForSlot] = field(default_factory=dict)
    clock: list[tuple[int, int]] = field(default_factory=list)
    busy: Mapping[str, Jobs] = field(default_factory=dict)
    bots_seen: int = 0
    said_seen: int = 0

    @property
    def bots_needing_lifecycle_step(self) -> list[str]:
        """Ids of the bots whose life goes on, in order."""
        return [self.order[place] for place in sorted(self.needs_lifecycle_step)]


def evaluate_fleet(state: State, view: View) -> FleetView:
    """Every bot's wish, by bot id; worked out again for those that changed, whose jobs changed, or whose time has come."""
    known = cast("FleetView | None", state.memo.of(view.policy, view.context, view.now_ms))
    busy, tails = _jobs_by_bot(state), dict[Key, str]()
    order = state.bot_ids()
    state.memo.sight = None  # half a look is none, should this one not come to its end
    if known is None or known.order is not order:
        sight = _sight_of_all(known, order, state, view, busy, tails)
    else:
        sight = known
        _look_again(sight, sorted(_stale(sight, state, view, busy)), state, view, busy, tails)
        _hear(sight, state)
    sight.busy, sight.bots_seen, sight.said_seen = busy, state.bot_changes.end, state.said_changes.end
    state.memo.sight = sight
    return sight


def _stale(sight: FleetView, state: State, view: View, busy: Mapping[str, Jobs]) -> set[int]:
    """Places that have to be looked at again."""
    entries, places, rows, clock, now_ms = sight.entries, sight.places, state.bots.rows, sight.clock, view.now_ms
    touched = state.bot_changes.since(sight.bots_seen)
    if touched is None:
        found = {place for place, entry in enumerate(entries) if entry.bot is not rows[sight.order[place]]}
    else:
        found = {place for place in map(places.__getitem__, touched) if entries[place].bot is not rows[sight.order[place]]}
    while clock and clock[0][0] <= now_ms:
        until_ms, place = heappop(clock)
        if entries[place].until_ms == until_ms:
            found.add(place)
    for bot_id in {**sight.busy, **busy}:
        place = places.get(bot_id, -1)
        if place >= 0 and not _same(entries[place].jobs, busy.get(bot_id, NO_JOBS)):
            found.add(place)
    return found


def _look_again(sight: FleetView, stale: list[int], state: State, view: View, busy: Mapping[str, Jobs], tails: dict[Key, str]) -> None:
    rows, order, said, scheduled = state.bots.rows, sight.order, state.said.rows, Reason.SCHEDULED
    left: set[int] = set()
    came: list[Candidate] = []
    for place in stale:
        bot_id = order[place]
        if sight.wishes[place].reason is scheduled:
            left.add(place)
        entry = look_at(rows[bot_id], state, view, busy.get(bot_id, NO_JOBS), tails)
        sight.entries[place], sight.wishes[place], sight.lines[place] = entry, entry.wish, entry.line
        if entry.wish.reason is scheduled:
            came.append(Candidate(entry.wish.due_since_ms or 0, bot_id, place))
        _mark(sight.changed, place, is_in=said.get(bot_id) != entry.key)
        _mark(sight.needs_lifecycle_step, place, is_in=entry.lives)
        if entry.until_ms < NEVER:
            heappush(sight.clock, (entry.until_ms, place))
    if left:
        sight.ready = [candidate for candidate in sight.ready if candidate.place not in left]
    if came:
        sight.ready.extend(came)
        sight.ready.sort()
    if len(sight.clock) > 2 * len(order) + 1000:
        sight.clock = _clock_of(sight.entries)


def _hear(sight: FleetView, state: State) -> None:
    """Something else was said about some bots meanwhile."""
    said, heard = state.said.rows.get, state.said_changes.since(sight.said_seen)
    places, entries, add, discard = sight.places.get, sight.entries, sight.changed.add, sight.changed.discard
    for bot_id in sight.order if heard is None else heard:
        place = places(bot_id)  # words about a bot that left may stay
        if place is None:
            continue
        if said(bot_id) != entries[place].key:
            add(place)
        else:
            discard(place)


def _mark(places: set[int], place: int, *, is_in: bool) -> None:
    if is_in:
        places.add(place)
    else:
        places.discard(place)


def _sight_of_all(
    known: FleetView | None, order: list[str], state: State, view: View, busy: Mapping[str, Jobs], tails: dict[Key, str]
) -> FleetView:
    """Everybody in a new order: bots came or left, or nothing is remembered."""
    before = {} if known is None else dict(zip(known.order, known.entries, strict=True))
    rows, said, now_ms = state.bots.rows, state.said.rows, view.now_ms
    sight = FleetView(order=order, places={bot_id: place for place, bot_id in enumerate(order)})
    for place, bot_id in enumerate(order):
        entry = before.get(bot_id)
        jobs = busy.get(bot_id, NO_JOBS)
        if entry is None or entry.bot is not rows[bot_id] or entry.until_ms <= now_ms or not _same(entry.jobs, jobs):
            entry = look_at(rows[bot_id], state, view, jobs, tails)
        sight.entries.append(entry)
        if entry.wish.reason is Reason.SCHEDULED:
            sight.ready.append(Candidate(entry.wish.due_since_ms or 0, bot_id, place))
        if said.get(bot_id) != entry.key:
            sight.changed.add(place)
        if entry.lives:
            sight.needs_lifecycle_step.add(place)
    sight.wishes, sight.lines = [entry.wish for entry in sight.entries], [entry.line for entry in sight.entries]
    sight.ready.sort()
    sight.clock = _clock_of(sight.entries)
    return sight


def _clock_of(entries: Iterable[Entry]) -> list[tuple[int, int]]:
    clock = [(entry.until_ms, place) for place, entry in enumerate(entries) if entry.until_ms < NEVER]
    heapify(clock)
    return clock


def _jobs_by_bot(state: State) -> dict[str, Jobs]:
    found: dict[str, Jobs] = {}
    for live in state.jobs.rows.values():
        found[live.job.bot_id] = (*found.get(live.job.bot_id, NO_JOBS), live)
    return found


def _same(ours: Jobs, theirs: Jobs) -> bool:
    """The very same jobs; they are immutable, so one look at each is enough."""
    return len(ours) == len(theirs) and all(our is their for our, their in zip(ours, theirs, strict=True))


def look_at(bot: Bot, state: State, view: View, jobs: Jobs, tails: dict[Key, str]) -> Entry:
    """One bot, worked out."""
    wish, until_ms = wish_of(bot, state, view)
    key = wish.change_key()
    lives = (
        bot.paper is not None or bot.recommendation is not None or bot.pin_until_ms is not None
        or bot.runner.job_id is not None or promotion_gates.all_pass(bot, view)
    )  # fmt: skip
    return Entry(bot, until_ms, wish, line_of(wish, key, tails), key, lives, jobs)


def line_of(decision: Decision, key: Key, tails: dict[Key, str]) -> str:
    """A decision's line of the digest. Many bots share what follows their id, so it is put together once."""
    tail = tails.get(key)
    if tail is None:
        tail = tails[key] = "|" + "|".join(key)
    return decision[0] + tail


def digest_of(decisions: Iterable[Decision]) -> str:
    """The hash over every decision, changed or not, so that silence about a bot is provably "as before"."""
    tails: dict[Key, str] = {}
    return digest_of_lines([line_of(decision, decision.change_key(), tails) for decision in decisions])


def digest_of_lines(lines: Iterable[str]) -> str:
    """The same, of lines that were put together before."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
