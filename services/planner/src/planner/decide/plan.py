"""Decide what every bot should do next.

Place in the flow: fold → **decide** → check → seal. Reads nothing but its arguments: no clock, no randomness, and never
the cause of the tick.

Source: R-A3.3 to R-A3.5, R-A4.
"""

from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from autonomy.reasons import REASONS, Ended, Reason, ZeroJobs
from autonomy.values import JobType
from planner.decide.competition import compete
from planner.decide.looking import FleetView, Key, WaitingForSlot, digest_of_lines, evaluate_fleet, line_of
from planner.decide.view import View
from planner.decide.wishes import Decision
from planner.fold.entities import Bot
from planner.fold.state import State

DECIDER = "life-9"
"""The version of this logic; a change that alters a replay is a new one."""
DECIDERS = (DECIDER,)
"""The versions whose logs are folded; those before this one are not decided again. A released one stays for ever, with a recorded log."""
SCHEDULED = Reason.SCHEDULED
_reason_of, _blockers_of = itemgetter(1), itemgetter(3)


@dataclass(frozen=True, slots=True)
class Plan:
    """One tick's decisions, one per bot, by bot id, and the wishes that are granted, in queue order.

    Attributes:
        changed: the decisions that differ from what was last published about their bot, by bot id.
    """

    decisions: tuple[Decision, ...]
    granted: tuple[Decision, ...]
    changed: tuple[Decision, ...]
    zero_jobs: ZeroJobs | None
    reason_counts: dict[Reason, int]
    blocker_counts: dict[str, int]
    digest: str


def decide(state: State, view: View, sight: FleetView | None = None) -> Plan:
    """Plan one tick for the whole fleet.

    Args:
        state: folded up to this tick's cut, its commands applied.
        view: the tick's surroundings.
        sight: every bot's wish, when the state did not change since.

    Returns:
        One decision per registered bot, by bot id.
    """
    sight = sight or evaluate_fleet(state, view)
    decisions, lines, changed = sight.wishes.copy(), sight.lines.copy(), set(sight.changed)
    ready = sight.ready
    if state.pauses.rows:
        rows, wishes = state.bots.rows, sight.wishes
        ready = [each for each in ready if pause_of(rows[each.bot_id], state) is None or goes_on(rows[each.bot_id], wishes[each.place])]
    places = [candidate.place for candidate in ready]
    settled = compete([decisions[place] for place in places], state, view)
    granted = tuple([decision for decision in settled if decision[1] is SCHEDULED])
    said, remembered, tails = state.said.rows.get, sight.waiting_for_slot, dict[Key, str]()
    waiting_for_slot: dict[int, WaitingForSlot] = {}
    keys: dict[int, Key] = {}
    for place, decision in zip(places, settled, strict=True):
        if decision[1] is SCHEDULED:
            continue
        known = remembered.get(place)
        if known is None or known[0] is not decisions[place] or known[1] is not decision[1]:
            key = decision.change_key()
            known = WaitingForSlot(decisions[place], decision[1], key, line_of(decision, key, tails))
        waiting_for_slot[place] = known
        decisions[place], lines[place], keys[place] = decision, known[3], known[2]
    sight.waiting_for_slot = waiting_for_slot
    if state.pauses.rows:
        for place, decision in _pauses(decisions, state).items():
            key = keys[place] = decision.change_key()
            decisions[place], lines[place] = decision, line_of(decision, key, tails)
    for place, key in keys.items():
        if said(decisions[place][0]) != key:
            changed.add(place)
        else:
            changed.discard(place)
    return plan_of(decisions, granted, tuple([decisions[place] for place in sorted(changed)]), lines, state)


def _pauses(decisions: list[Decision], state: State) -> dict[int, Decision]:
    """What pauses make of the decisions that they cover, by place."""
    rows, found = state.bots.rows, dict[int, Decision]()
    words = {key: f"{pause.scope} paused by {pause.actor}" for key, pause in state.pauses.rows.items()}
    for place, before in enumerate(decisions):
        bot = rows[before[0]]
        key = pause_of(bot, state)
        if key is not None and not goes_on(bot, before):
            found[place] = paused(before, words[key])
    return found


def pause_of(bot: Bot, state: State) -> str | None:
    """The widest pause that covers a bot."""
    pauses = state.pauses.rows
    if "fleet/" in pauses:
        return "fleet/"
    return next((key for key in (f"stage/{bot.stage.value}", f"bot/{bot.id}") if key in pauses), None)


CARRIED_ON: Final = (Ended.SUCCEEDED, Ended.CRASH)
"""Ends of a runner's job after which its session goes on."""


def goes_on(bot: Bot, decision: Decision) -> bool:
    """Whether an open paper session only needs a runner again: a pause stops new work, not a trader, and no position is left alone."""
    return decision.job_type is JobType.RUNNER_START and bot.paper is not None and bot.runner.ended in CARRIED_ON


def paused(decision: Decision, detail: str) -> Decision:
    """What a pause makes of a decision: nothing is enqueued, and what would have been is kept."""
    return tuple.__new__(
        Decision, (decision[0], Reason.LOOP_DISABLED, decision[2], decision[3], detail, *decision[5:10], None, decision[1], *decision[12:])
    )


def plan_of(
    decisions: list[Decision], granted: tuple[Decision, ...], changed: tuple[Decision, ...], lines: list[str], state: State
) -> Plan:
    """Count and digest all decisions."""
    reasons: Counter[Reason] = Counter(map(_reason_of, decisions))
    blockers: Counter[str] = Counter()
    for codes, count in Counter(filter(None, map(_blockers_of, decisions))).items():
        for code in codes:
            blockers[code.value] += count
    return Plan(
        decisions=tuple(decisions),
        granted=granted,
        changed=changed,
        zero_jobs=None if granted else zero_jobs(reasons, fleet_paused="fleet/" in state.pauses.rows),
        reason_counts={reason: reasons[reason] for reason in Reason if reason in reasons},
        blocker_counts=dict(sorted(blockers.items())),
        digest=digest_of_lines(lines),
    )


def zero_jobs(reasons: Counter[Reason], *, fleet_paused: bool) -> ZeroJobs:
    """Why nothing was enqueued: the first that applies.

    Source: R-A4.
    """
    if fleet_paused:
        return ZeroJobs.LOOP_DISABLED
    rest = {REASONS[reason].alone for reason, count in reasons.items() if count and reason is not Reason.NOTHING_DUE}
    if not rest:
        return REASONS[Reason.NOTHING_DUE].alone
    return rest.pop() if len(rest) == 1 else ZeroJobs.MIXED


def with_job(decision: Decision, job_id: str) -> Decision:
    """A granted decision with the id of its job."""
    return decision._replace(job_id=job_id)
