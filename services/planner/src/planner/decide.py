"""Decide what every bot should do next.

Place in the flow: fold → **decide** → check → seal. Reads nothing but its arguments: no clock, no randomness, and never
the cause of the tick.

Source: R-A3.3 to R-A3.5, R-A4.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from autonomy.market_clock import day_of_weekday_index, weekday_index
from autonomy.policy import StagePolicy
from autonomy.values import JobClass, JobType, Reason, ZeroJobs, class_of
from planner.gates import NOTHING, Finding, findings
from planner.state import ENQUEUE_WINDOW_MS, Bot, ClassRecord, LiveJob, State
from planner.view import View

DECIDER = "lab-1"
"""The version of this logic; a change that alters a replay is a new one."""
NEVER = 2**62
RUNNER_START, BASELINE, REFRESH, EVOLVE = JobType.RUNNER_START, JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH, JobType.EVOLVE
# The fleet passes through here at every tick: members are bound once, decisions are made by position, an enum is used as the text it is.
NOTHING_DUE, ACTIVE_JOB, SCHEDULED = Reason.NOTHING_DUE, Reason.ACTIVE_JOB, Reason.SCHEDULED
_reason_of = itemgetter(1)
_decision = tuple.__new__  # of all fields, in order: the named constructor costs as much as the rest of a decision


class Decision(NamedTuple):
    """Why one bot was scheduled or skipped; `blockers` keeps every finding, `reason` names the first that applies.

    Attributes:
        due_since_ms: since when the bot waits.
        place: 1-based, among those that wait for the same limit.
    """

    bot_id: str
    reason: Reason
    job_type: JobType | None = None
    blockers: tuple[Finding, ...] = NOTHING
    detail: str = ""
    job_id: str | None = None
    until_ms: int | None = None
    next_due_ms: int | None = None
    limit: str | None = None
    limit_value: int | None = None
    place: int | None = None
    would: Reason | None = None
    due_since_ms: int | None = None

    def key(self) -> tuple[str, str, str]:
        """What makes a decision another one: no number that drifts."""
        return (self.reason.value, self.job_type.value if self.job_type else "", codes_of(self.blockers))


def codes_of(blockers: tuple[Finding, ...]) -> str:
    """The codes of blockers as one text."""
    return ",".join([finding.code for finding in blockers]) if blockers else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One tick's decisions, one per bot, by bot id, and the wishes that are granted, in queue order."""

    decisions: tuple[Decision, ...]
    granted: tuple[Decision, ...]
    zero_jobs: ZeroJobs | None
    reason_counts: dict[Reason, int]
    blocker_counts: dict[str, int]
    digest: str


def decide(state: State, view: View) -> Plan:
    """Plan one tick for the whole fleet.

    Args:
        state: folded up to this tick's cut, its commands applied.
        view: the tick's surroundings.

    Returns:
        One decision per registered bot, by bot id.
    """
    bots = state.bots.rows
    first = [wish_of(bots[bot_id], state, view) for bot_id in sorted(bots)]
    ready = longest_waiting_first([wish for wish in first if wish.reason is SCHEDULED])
    settled = compete(ready, state, view)
    decisions = [settled.get(wish.bot_id, wish) for wish in first] if ready else first
    if state.pauses.rows:
        decisions = [paused(decision, state) for decision in decisions]
    granted = [decision for decision in settled.values() if decision.reason is SCHEDULED and not _is_paused(decision, state)]
    return plan_of(decisions, tuple(granted), state)


def wish_of(bot: Bot, state: State, view: View) -> Decision:
    """What one bot wants, looked at alone; SCHEDULED means that it is ready to compete."""
    if bot.hold is not None:
        return Decision(bot.id, Reason.ON_HOLD, None, NOTHING, bot.hold)
    stage = view.policy.stages.get(bot.stage)
    if stage is None or not stage.wants:
        return Decision(bot.id, NOTHING_DUE, None, NOTHING, "NO_POLICY_FOR_STAGE")
    evidence = bot.evidence
    proven = evidence is not None and evidence.fingerprint == view.fingerprint(bot)
    next_due = NEVER
    active: LiveJob | None = None
    for want in stage.wants:
        if want is REFRESH:
            due_ms = refresh_due_ms(bot, stage, view) if proven else NEVER
            if due_ms > view.now_ms:
                next_due = min(next_due, due_ms)
                continue
        elif want is EVOLVE or (want is BASELINE and proven):
            continue  # nothing qualifies a bot for evolution before promotion gates exist; a baseline is due once per fingerprint
        record = bot.runner if want is RUNNER_START else bot.research
        live = None if record.job_id is None else state.jobs.rows.get(record.job_id)
        if live is None or live.cancel is not None:
            return judge(bot, want, record, live, view)
        active = active or live
    if active is None and bot.research.job_id is not None:
        active = state.live_job(bot, JobClass.RESEARCH)
    if active is not None:
        return Decision(bot.id, ACTIVE_JOB, active.job.job_type, NOTHING, "", active.job.job_id)
    if next_due == NEVER:
        return Decision(bot.id, NOTHING_DUE, None, NOTHING, "REPLAY_ENDED")
    return _decision(Decision, (bot.id, NOTHING_DUE, None, NOTHING, "NEXT_REFRESH", None, None, next_due, None, None, None, None, None))


def judge(bot: Bot, want: JobType, record: ClassRecord, live: LiveJob | None, view: View) -> Decision:
    """A due want without a live job that counts: gates first, then the cooldown of its class."""
    ended_ms = record.ended_ms
    since_ms = bot.eligible_ms if ended_ms is None or ended_ms < bot.eligible_ms else ended_ms
    blockers = findings(bot, want, view)
    if blockers:
        return Decision(bot.id, Reason.BLOCKED_BY_GATES, want, blockers, due_since_ms=since_ms)
    if ended_ms is not None:
        until_ms = cooldown_until_ms(bot, class_of(want), view)
        if until_ms > view.now_ms:
            return Decision(bot.id, Reason.COOLDOWN, want, until_ms=until_ms, detail=record.ended, due_since_ms=since_ms)
    if live is not None:
        # Its old job is being cancelled: the bot waits, first in line, without taking a second place.
        return Decision(
            bot.id, Reason.CONCURRENCY_LIMIT, want, detail="CANCEL_UNDER_WAY", job_id=live.job.job_id,
            limit="live jobs of the bot", limit_value=1, place=1, due_since_ms=since_ms,
        )  # fmt: skip
    return _decision(Decision, (bot.id, SCHEDULED, want, NOTHING, "", None, None, None, None, None, None, None, since_ms))


def refresh_due_ms(bot: Bot, stage: StagePolicy, view: View) -> int:
    """When evidence about the very bot is stale: its slot on the grid has passed, or it is too old, and a new bar exists.

    Never on the same bytes: without a new bar nothing is due, whatever the age.
    """
    evidence, data = bot.evidence, view.data.get(bot.symbol)
    if evidence is None or data is None:
        return NEVER
    grid = stage.refresh_after_bars
    by_bars_day = day_after_slot(evidence.until_day, bot.phase % grid, grid)
    if data.bars > evidence.bars:
        if view.market_day >= by_bars_day:
            return 0
        return min(evidence.ended_ms + round(stage.refresh_after_hours * 3_600_000), view.wall_ms(by_bars_day) or NEVER)
    if evidence.bars >= len(data.days):
        return NEVER
    new_bar_day = data.days[evidence.bars]
    return view.wall_ms(max(new_bar_day, by_bars_day)) or NEVER


@lru_cache(maxsize=65_536)
def day_after_slot(until_day: int, phase: int, grid: int) -> int:
    """The first day of the slot after that of a day, on a grid of so many bars shifted by a phase; few days are ever asked for."""
    slot = (weekday_index(until_day) + phase) // grid
    return day_of_weekday_index((slot + 1) * grid - phase)


def cooldown_until_ms(bot: Bot, job_class: JobClass, view: View) -> int:
    """Until when a bot's class rests; 0 when it does not.

    Source: design, reason 6: crashes double the rest, up to the maximum.
    """
    record, rules = bot.record_of(job_class), view.policy.cooldowns
    if record.ended_ms is None:
        return 0
    match record.ended:
        case "SUCCEEDED":
            rest_s = rules.after_success_s
        case "CANCELLED":
            rest_s = rules.after_cancel_s
        case "CRASH":
            rest_s = min(rules.max_s, rules.after_crash_s * 2.0 ** min(record.crashes - 1, 30))
        case _:
            rest_s = 0.0  # a final failure: the LAST_FAILURE gate blocks until the input changes
    return record.ended_ms + round(rest_s * 1000)


def longest_waiting_first(wishes: Iterable[Decision]) -> list[Decision]:
    """The order in which candidates get what there is."""
    return sorted(wishes, key=lambda wish: (wish.due_since_ms or 0, wish.bot_id))


def compete(ready: list[Decision], state: State, view: View) -> dict[str, Decision]:
    """Give the free places to those that wait longest; everybody else learns which limit held them back, and their place."""
    rules = view.policy.research
    counted = [live for live in state.jobs.rows.values() if live.cancel is None and live.job.job_class is JobClass.RESEARCH]
    queued = sum(1 for live in counted if live.job.claim_id is None)
    slots = sum(process.research_slots for process in view.runners)
    recent = sum(count for at_ms, count in state.single.enqueues if at_ms > view.now_ms - ENQUEUE_WINDOW_MS)
    free = {
        Reason.RATE_LIMITED: ("jobs enqueued per hour", rules.max_enqueues_per_hour, rules.max_enqueues_per_hour - recent),
        Reason.CONCURRENCY_LIMIT: (
            "live research jobs", rules.concurrency + rules.queue_ahead, rules.concurrency + rules.queue_ahead - len(counted),
        ),
        Reason.BACKPRESSURE: ("queued jobs", rules.queued_per_slot * slots, rules.queued_per_slot * slots - queued),
    }  # fmt: skip
    settled: dict[str, Decision] = {}
    granted = 0
    full: Reason | None = None
    for wish in ready:
        if _is_paused(wish, state):
            continue
        if full is None:  # once something is full, nobody is granted any more: it stays so
            full = next((reason for reason, (_, _, room) in free.items() if room <= granted), None)
        if full is None:
            granted += 1
            settled[wish.bot_id] = wish
            continue
        limit, value, _ = free[full]
        place = len(settled) - granted + 1
        due_ms = wish.due_since_ms
        settled[wish.bot_id] = _decision(
            Decision, (wish.bot_id, full, wish.job_type, NOTHING, "", None, None, None, limit, value, place, None, due_ms)
        )
    for wish in ready:
        settled.setdefault(wish.bot_id, wish)
    return settled


def _is_paused(wish: Decision, state: State) -> bool:
    return bool(state.pauses.rows) and pause_of(state.bots.rows[wish.bot_id], state) is not None


def pause_of(bot: Bot, state: State) -> str | None:
    """The widest pause that covers a bot."""
    for key in ("fleet/", f"stage/{bot.stage.value}", f"bot/{bot.id}"):
        if key in state.pauses.rows:
            return key
    return None


def paused(decision: Decision, state: State) -> Decision:
    """What a pause makes of a decision: nothing is enqueued, and what would have been is kept."""
    key = pause_of(state.bots.rows[decision.bot_id], state)
    if key is None:
        return decision
    pause = state.pauses.rows[key]
    detail = f"{pause.scope} paused by {pause.actor}"
    return decision._replace(reason=Reason.LOOP_DISABLED, would=decision.reason, detail=detail, place=None)


def plan_of(decisions: list[Decision], granted: tuple[Decision, ...], state: State) -> Plan:
    """Count and digest all decisions."""
    reasons: Counter[Reason] = Counter(map(_reason_of, decisions))
    found = Counter([finding.code for decision in decisions if decision.blockers for finding in decision.blockers])
    blockers = {code.value: count for code, count in found.items()}
    return Plan(
        decisions=tuple(decisions),
        granted=granted,
        zero_jobs=None if granted else zero_jobs(reasons, fleet_paused="fleet/" in state.pauses.rows),
        reason_counts={reason: reasons[reason] for reason in Reason if reason in reasons},
        blocker_counts=dict(sorted(blockers.items())),
        digest=digest_of(decisions),
    )


def digest_of(decisions: Iterable[Decision]) -> str:
    """The hash over every decision, changed or not."""
    # Most bots share what follows their id, so it is put together once; a reason is its own text.
    tails: dict[tuple[str, str, str], str] = {}
    lines = []
    for decision in decisions:
        blockers = decision.blockers
        key = (decision.reason, decision.job_type or "", codes_of(blockers) if blockers else "")
        try:
            lines.append(decision.bot_id + tails[key])
        except KeyError:
            tails[key] = "|" + "|".join(key)
            lines.append(decision.bot_id + tails[key])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def zero_jobs(reasons: Counter[Reason], *, fleet_paused: bool) -> ZeroJobs:
    """Why nothing was enqueued: the first that applies.

    Source: R-A4.
    """
    if fleet_paused:
        return ZeroJobs.LOOP_DISABLED
    rest = {reason for reason, count in reasons.items() if count and reason is not Reason.NOTHING_DUE}
    if not rest:
        return ZeroJobs.NO_CANDIDATES_MATCH_POLICY
    if rest == {Reason.ACTIVE_JOB}:
        return ZeroJobs.ALL_BOTS_HAVE_ACTIVE_JOBS
    if rest == {Reason.COOLDOWN}:
        return ZeroJobs.ALL_BOTS_COOLDOWN
    if rest <= {Reason.BLOCKED_BY_GATES, Reason.ON_HOLD}:
        return ZeroJobs.ALL_BOTS_BLOCKED_BY_GATES
    if rest == {Reason.LOOP_DISABLED}:
        return ZeroJobs.LOOP_DISABLED
    return ZeroJobs.MIXED


def with_job(decision: Decision, job_id: str) -> Decision:
    """A granted decision with the id of its job."""
    return decision._replace(job_id=job_id)
