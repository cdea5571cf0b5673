"""Look at every bot, but work out only those whose wish may have changed.

Place in the flow: wishes → **looking** → life, decide. Pure. What is remembered lives in the state's memo and can change the cost of
a tick, never a decision: an entry counts for the very same bot, policy and context, until the instant at which time alone could
make another wish.
"""

import hashlib
from collections.abc import Iterable
from typing import cast

from planner import promotion_gates
from planner.entities import Bot
from planner.state import State
from planner.view import View
from planner.wishes import Decision, wish_of

Entry = tuple[Bot, int, Decision, str, bool, bool]
"""A bot, until when its wish holds, the wish, its line of the digest, whether it differs from what was last published, and whether
its life goes on in some way (a session, a recommendation or the right to one, a pin that ends)."""


def looked_at(state: State, view: View) -> list[Entry]:
    """Every bot's wish, by bot id; worked out again for those that changed, that have a live job, or whose time has come."""
    known = cast("dict[str, Entry]", state.memo.of(view.policy, view.context, view.now_ms))
    order, rows, now_ms = state.bot_ids(), state.bots.rows, view.now_ms
    busy = {live.job.bot_id for live in state.jobs.rows.values()}
    tails: dict[tuple[str, str, str, str], str] = {}
    entries: list[Entry] = []
    append, remembered = entries.append, known.get
    for bot_id in order:
        bot = rows[bot_id]
        entry = remembered(bot_id)
        if entry is None or entry[0] is not bot or entry[1] <= now_ms or bot_id in busy:
            entry = look_at(bot, state, view, tails)
            if bot_id not in busy:
                known[bot_id] = entry
        append(entry)
    return entries


def look_at(bot: Bot, state: State, view: View, tails: dict[tuple[str, str, str, str], str]) -> Entry:
    """One bot, worked out."""
    wish, until_ms = wish_of(bot, state, view)
    key = wish.key()
    lives = (
        bot.paper is not None or bot.recommendation is not None or bot.pin_until_ms is not None
        or bot.runner.job_id is not None or promotion_gates.all_pass(bot, view)
    )  # fmt: skip
    return (bot, until_ms, wish, line_of(wish, key, tails), key != bot.said, lives)


def line_of(decision: Decision, key: tuple[str, str, str, str], tails: dict[tuple[str, str, str, str], str]) -> str:
    """A decision's line of the digest. Most bots share what follows their id, so it is put together once."""
    tail = tails.get(key)
    if tail is None:
        tail = tails[key] = "|" + "|".join(key)
    return decision.bot_id + tail


def digest_of(decisions: Iterable[Decision]) -> str:
    """The hash over every decision, changed or not, so that silence about a bot is provably "as before"."""
    tails: dict[tuple[str, str, str, str], str] = {}
    return digest_of_lines([line_of(decision, decision.key(), tails) for decision in decisions])


def digest_of_lines(lines: Iterable[str]) -> str:
    """The same, of lines that were put together before."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
