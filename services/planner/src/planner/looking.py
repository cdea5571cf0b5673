"""Look at every bot, but work out only those whose wish may have changed.

Place in the flow: wishes → **looking** → life, decide. Pure. What is remembered lives in the state's memo and can change the cost of
a tick, never a decision: an entry counts for the very same bot, jobs, policy and context, until the instant at which time alone
could make another wish.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from autonomy.values import Reason
from planner import promotion_gates
from planner.entities import Bot, LiveJob
from planner.state import State
from planner.view import View
from planner.wishes import Decision, wish_of

Key = tuple[str, str, str, str]
Jobs = tuple[LiveJob, ...]
Entry = tuple[Bot, int, Decision, str, Key, bool, Jobs]
"""A bot, until when its wish holds, the wish, its line of the digest, what makes it another decision, whether the bot's life goes on in
some way (a session, a recommendation or the right to one, a pin that ends), and its live jobs."""
NO_JOBS: Jobs = ()


@dataclass(slots=True)
class Looked:
    """The whole fleet, by bot id, each list as long as the fleet but the last two.

    Attributes:
        ready: places of the wishes that may compete.
        news: places of the wishes that differ from what was last published.
        lively: ids of the bots whose life goes on.
    """

    entries: list[Entry] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    news: list[int] = field(default_factory=list)
    lively: list[str] = field(default_factory=list)


def looked_at(state: State, view: View) -> Looked:
    """Every bot's wish, by bot id; worked out again for those that changed, whose jobs changed, or whose time has come."""
    known = cast("dict[str, Entry]", state.memo.of(view.policy, view.context, view.now_ms))
    rows, now_ms = state.bots.rows, view.now_ms
    busy = _jobs_by_bot(state)
    tails: dict[Key, str] = {}
    looked = Looked()
    entries, ready, news, lively = looked.entries, looked.ready, looked.news, looked.lively
    remembered, append, told, said, scheduled = known.get, entries.append, news.append, state.said.rows.get, Reason.SCHEDULED
    for place, bot_id in enumerate(state.bot_ids()):
        entry = remembered(bot_id)
        if entry is None or entry[0] is not rows[bot_id] or entry[1] <= now_ms or (bot_id in busy and not _same(entry[6], busy[bot_id])):
            entry = known[bot_id] = look_at(rows[bot_id], state, view, busy.get(bot_id, NO_JOBS), tails)
        append(entry)
        if entry[2][1] is scheduled:
            ready.append(place)
        if said(bot_id) != entry[4]:
            told(place)
        if entry[5]:
            lively.append(bot_id)
    return looked


def _jobs_by_bot(state: State) -> dict[str, Jobs]:
    found: dict[str, Jobs] = {}
    for live in state.jobs.rows.values():
        found[live.job.bot_id] = (*found.get(live.job.bot_id, NO_JOBS), live)
    return found


def _same(ours: Jobs, theirs: Jobs) -> bool:
    """The very same jobs; they are immutable, so one look at each is enough."""
    return len(ours) == len(theirs) and all(our is their for our, their in zip(ours, theirs, strict=True))


def look_at(bot: Bot, state: State, view: View, jobs: Jobs, tails: dict[Key, str]) -> Entry:
    """One bot, worked out. A bot whose last job ended changed with it, so no entry outlives its jobs."""
    wish, until_ms = wish_of(bot, state, view)
    key = wish.key()
    lives = (
        bot.paper is not None or bot.recommendation is not None or bot.pin_until_ms is not None
        or bot.runner.job_id is not None or promotion_gates.all_pass(bot, view)
    )  # fmt: skip
    return (bot, until_ms, wish, line_of(wish, key, tails), key, lives, jobs)


def line_of(decision: Decision, key: Key, tails: dict[Key, str]) -> str:
    """A decision's line of the digest. Many bots share what follows their id, so it is put together once."""
    tail = tails.get(key)
    if tail is None:
        tail = tails[key] = "|" + "|".join(key)
    return decision[0] + tail


def digest_of(decisions: Iterable[Decision]) -> str:
    """The hash over every decision, changed or not, so that silence about a bot is provably "as before"."""
    tails: dict[Key, str] = {}
    return digest_of_lines([line_of(decision, decision.key(), tails) for decision in decisions])


def digest_of_lines(lines: Iterable[str]) -> str:
    """The same, of lines that were put together before."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
