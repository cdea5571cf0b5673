"""Check a plan with other code than that which made it.

Place in the flow: decide → **check** → seal. Pure. It recounts from the rows instead of trusting any reference or total of
`decide`; a violation stops the planner before the seal, so a wrong plan is never published.

Source: R-A3.3, R-A3.4, R-A4.
"""

from collections import Counter
from collections.abc import Iterator
from typing import assert_never

from autonomy.reasons import REASONS, Detail, Ended, Reason, ZeroJobs
from autonomy.values import JobStatus, JobType, Stage
from autonomy.work import JOB_KINDS, Work, class_of
from planner.decide.plan import Plan
from planner.decide.view import Data, View
from planner.decide.wishes import Decision
from planner.fold.entities import Bot, ClassRecord
from planner.fold.state import ENQUEUE_WINDOW_MS, NOTHING_SAID, State

LIMITS = frozenset(code for code, reason in REASONS.items() if reason.is_limit)


def check(plan: Plan, state: State, view: View) -> list[str]:
    """Every rule that the plan breaks, in words; empty when it is sound.

    Args:
        plan: as decided, not yet folded.
        state: what it was decided on.
        view: the tick's surroundings.
    """
    return [*_every_bot_once(plan, state), *_counts(plan, state), *_grants(plan, state, view), *_fairness(plan)]


def contradictions(plan: Plan, state: State) -> list[str]:
    """What cannot be true of a sound system although the plan follows its rules; recorded as errors of the run.

    Source: R-A4 (all bots busy while nothing runs).
    """
    live = sum(1 for job in state.jobs.rows.values() if job.job.status in {JobStatus.QUEUED, JobStatus.RUNNING})
    found = [] if live or plan.zero_jobs is not ZeroJobs.ALL_BOTS_HAVE_ACTIVE_JOBS else ["ALL_BOTS_HAVE_ACTIVE_JOBS without a live job"]
    jobs = state.jobs.rows
    orphans = [
        (bot.id, job_id)
        for bot in state.bots.rows.values()
        for job_id in (bot.research.job_id, bot.runner.job_id)
        if job_id is not None and job_id not in jobs
    ]
    return [
        *found,
        *[f"{bot_id} refers to job {job_id}, which is no longer live; {bot_id} is treated as idle" for bot_id, job_id in sorted(orphans)],
    ]


def _every_bot_once(plan: Plan, state: State) -> Iterator[str]:
    decided = [decision.bot_id for decision in plan.decisions]
    if len(decided) != len(set(decided)):
        yield "a bot is decided twice"
    if set(decided) != set(state.bots.rows):
        yield f"registered {len(state.bots.rows)} bots, decided {len(set(decided))}"
    if decided != sorted(decided):
        yield "decisions are not in order of bot id"


def _counts(plan: Plan, state: State) -> Iterator[str]:
    total = sum(plan.reason_counts.values())
    if total != len(state.bots.rows):
        yield f"registered {len(state.bots.rows)}, the reasons sum to {total}"
    found = Counter([decision.reason for decision in plan.decisions])
    for reason in Reason:
        counted = found[reason]
        if counted != plan.reason_counts.get(reason, 0):
            yield f"{reason.value}: counted {counted}, said {plan.reason_counts.get(reason, 0)}"
    scheduled = {decision.bot_id for decision in plan.decisions if decision.reason is Reason.SCHEDULED}
    if scheduled != {decision.bot_id for decision in plan.granted}:
        yield "SCHEDULED decisions and granted jobs differ"
    if (plan.zero_jobs is None) != bool(plan.granted):
        yield f"{len(plan.granted)} jobs with zero-job reason {plan.zero_jobs}"
    for decision in plan.decisions:
        if decision.reason is Reason.BLOCKED_BY_GATES and not decision.blockers:
            yield f"{decision.bot_id} is blocked without a blocker"
    bots, said = state.bots.rows, state.said.rows
    changed = {each.bot_id for each in plan.decisions if each.bot_id in bots and each.change_key() != said.get(each.bot_id, NOTHING_SAID)}
    if changed != {decision.bot_id for decision in plan.changed}:
        yield "a decision that differs from what was published is not told of, or one that does not is"


def _grants(plan: Plan, state: State, view: View) -> Iterator[str]:
    busy = {
        (live.job.bot_id, live.job.job_class)
        for live in state.jobs.rows.values()
        if live.job.status in {JobStatus.QUEUED, JobStatus.RUNNING}
    }
    for decision in plan.granted:
        bot = state.bots.rows[decision.bot_id]
        if decision.job_type is None:
            yield f"{bot.id}: granted without a job type"
            continue
        if (bot.id, class_of(decision.job_type)) in busy:
            yield f"{bot.id}: already has a live job of its class"
        yield from _grant_of(decision, bot, state, view)
    yield from _places(plan, state, view)
    hour = sum(number for at_ms, number in state.single.enqueues if view.now_ms - at_ms < ENQUEUE_WINDOW_MS)
    if plan.granted and hour + len(plan.granted) > view.policy.research.max_enqueues_per_hour:
        yield f"{hour} jobs in this hour and {len(plan.granted)} granted, the limit is {view.policy.research.max_enqueues_per_hour}"


def _places(plan: Plan, state: State, view: View) -> Iterator[str]:
    """Each kind of work within its own places."""
    rules, live = view.policy, [job for job in state.jobs.rows.values() if job.cancel is None]
    offered = {
        Work.BACKTEST: sum(process.research_slots for process in view.runners),
        Work.EVOLVE: sum(process.evolve_slots for process in view.runners),
        Work.RUNNER: sum(process.runner_slots for process in view.runners),
    }
    limits = {
        Work.BACKTEST: rules.research.concurrency + rules.research.queue_ahead,
        Work.EVOLVE: rules.evolution.concurrency,
        Work.RUNNER: min(rules.runners.max_runners, offered[Work.RUNNER]),
    }
    for kind, limit in limits.items():
        granted = sum(1 for decision in plan.granted if _kind(decision.job_type) == kind)
        if not granted:
            continue
        counted = sum(1 for job in live if _kind(job.job.job_type) == kind)
        if counted + granted > limit:
            yield f"{counted} live and {granted} granted {kind} jobs, the limit is {limit}"
        queued = sum(1 for job in live if _kind(job.job.job_type) == kind and job.job.status is JobStatus.QUEUED)
        room = rules.research.queued_per_slot * offered[kind]
        if queued + granted > room:
            yield f"{queued} queued and {granted} granted {kind} jobs, the runners take {room}"
    searched = sum(number for at_ms, number in state.single.searches if view.now_ms - at_ms < ENQUEUE_WINDOW_MS)
    searching = sum(1 for decision in plan.granted if decision.job_type is JobType.EVOLVE)
    if searching and searched + searching > rules.evolution.per_hour:
        yield f"{searched} searches in this hour and {searching} granted, the limit is {rules.evolution.per_hour}"


def _kind(job_type: JobType | None) -> Work | None:
    return None if job_type is None else JOB_KINDS[job_type].work


def _grant_of(decision: Decision, bot: Bot, state: State, view: View) -> Iterator[str]:
    if bot.hold is not None:
        yield f"{bot.id}: scheduled while on hold"
    carried_on = decision.job_type is JobType.RUNNER_START and bot.paper is not None and bot.runner.ended in {Ended.SUCCEEDED, Ended.CRASH}
    for scope in ("fleet/", f"stage/{Stage(bot.stage).value}", f"bot/{bot.id}"):
        if scope in state.pauses.rows and not carried_on:
            yield f"{bot.id}: scheduled while {scope} is paused"
    record = bot.runner if decision.job_type is JobType.RUNNER_START else bot.research
    if record.ended_ms is not None and view.now_ms - record.ended_ms < round(_rest_s(record, view) * 1000):
        yield f"{bot.id}: scheduled in its cooldown"
    if record.crashes >= view.policy.quarantine_after_crashes:
        yield f"{bot.id}: scheduled in quarantine"
    data = view.data_of(bot)
    if data is None or data.bars < view.policy.research.min_bars:
        yield f"{bot.id}: scheduled without enough bars"
    if decision.job_type is JobType.RUNNER_START and not bot.verified:
        yield f"{bot.id}: its stage is an unverified import"
    if decision.job_type is JobType.EVOLVE and bot.paper is not None:
        yield f"{bot.id}: a search over a bot that runs"
    yield from _same_input(decision, bot, data, view)
    if decision.job_type not in view.job_types:
        yield f"{bot.id}: scheduled although no live runner offers {decision.job_type}"


def _same_input(decision: Decision, bot: Bot, data: Data | None, view: View) -> Iterator[str]:
    if data is None:
        return
    now, done = (view.fingerprint(bot), data.offer.content), bot.evidence
    if bot.failure is not None and (bot.failure.fingerprint, bot.failure.content) == now:
        yield f"{bot.id}: scheduled on the input that failed"
    if done is not None and done.offered and decision.job_type in {JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH}:
        shown = data.times.count_until(done.until_ms)
        if (done.fingerprint, done.offered, shown) == (*now, data.bars):
            yield f"{bot.id}: research that its evidence was ordered for already, on the same program and data"


def _rest_s(record: ClassRecord, view: View) -> float:
    rules = view.policy.cooldowns
    match record.ended:
        case Ended.SUCCEEDED:
            return rules.after_success_s
        case Ended.CANCELLED:
            return rules.after_cancel_s
        case Ended.CRASH:
            rest_s = rules.after_crash_s
            for _ in range(1, record.crashes):
                rest_s = min(rules.max_s, rest_s * 2)
            return min(rules.max_s, rest_s)
        case Ended.COULD_NOT_RUN:
            return rules.after_crash_s
        case Ended.NEVER | Ended.FAILED | Ended.SUPERSEDED:
            return 0.0
        case _:
            assert_never(record.ended)


def _fairness(plan: Plan) -> Iterator[str]:
    if not plan.granted:
        return
    waiting = [d for d in plan.decisions if d.reason in LIMITS and d.detail != Detail.CANCEL_UNDER_WAY]
    for kind in Work:
        granted = [(d.due_since_ms or 0, d.bot_id) for d in plan.granted if _kind(d.job_type) == kind]
        if not granted:
            continue
        waiting_for_slot = [(d.due_since_ms or 0, d.bot_id) for d in waiting if _kind(d.job_type) == kind]
        if waiting_for_slot and min(waiting_for_slot) < max(granted):
            yield f"{min(waiting_for_slot)[1]} waits longer than {max(granted)[1]}, which was scheduled"
