"""Check a plan with other code than that which made it.

Place in the flow: decide → **check** → seal. Pure. It recounts from the rows instead of trusting any reference or total of
`decide`; a violation stops the planner before the seal, so a wrong plan is never published.

Source: R-A3.3, R-A3.4, R-A4.
"""

from collections.abc import Iterator

from autonomy.values import JobClass, JobStatus, JobType, Reason, Stage, ZeroJobs, class_of
from planner.decide import Decision, Plan
from planner.state import ENQUEUE_WINDOW_MS, Bot, ClassRecord, State
from planner.view import View

LIMITS = (Reason.RATE_LIMITED, Reason.CONCURRENCY_LIMIT, Reason.BACKPRESSURE)


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
    for bot_id in sorted(state.bots.rows):
        bot = state.bots.rows[bot_id]
        found.extend(
            f"{bot_id} points at job {record.job_id}, which does not live: treated as free"
            for record in (bot.research, bot.runner)
            if record.job_id is not None and record.job_id not in state.jobs.rows
        )
    return found


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
    for reason in Reason:
        counted = sum(1 for decision in plan.decisions if decision.reason is reason)
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
    counted = sum(1 for live in state.jobs.rows.values() if live.cancel is None and live.job.job_class is JobClass.RESEARCH)
    limit = view.policy.research.concurrency + view.policy.research.queue_ahead
    if plan.granted and counted + len(plan.granted) > limit:
        yield f"{counted} live and {len(plan.granted)} granted research jobs, the limit is {limit}"
    hour = sum(number for at_ms, number in state.single.enqueues if view.now_ms - at_ms < ENQUEUE_WINDOW_MS)
    if plan.granted and hour + len(plan.granted) > view.policy.research.max_enqueues_per_hour:
        yield f"{hour} jobs in this hour and {len(plan.granted)} granted, the limit is {view.policy.research.max_enqueues_per_hour}"
    queued = sum(1 for live in state.jobs.rows.values() if live.cancel is None and live.job.status is JobStatus.QUEUED)
    room = view.policy.research.queued_per_slot * sum(process.research_slots for process in view.runners)
    if plan.granted and queued + len(plan.granted) > room:
        yield f"{queued} queued and {len(plan.granted)} granted jobs, the runners take {room}"


def _grant_of(decision: Decision, bot: Bot, state: State, view: View) -> Iterator[str]:
    if bot.hold is not None:
        yield f"{bot.id}: scheduled while on hold"
    for scope in ("fleet/", f"stage/{Stage(bot.stage).value}", f"bot/{bot.id}"):
        if scope in state.pauses.rows:
            yield f"{bot.id}: scheduled while {scope} is paused"
    record = bot.runner if decision.job_type is JobType.RUNNER_START else bot.research
    if record.ended_ms is not None and view.now_ms - record.ended_ms < round(_rest_s(record, view) * 1000):
        yield f"{bot.id}: scheduled in its cooldown"
    if record.crashes >= view.policy.quarantine_after_crashes:
        yield f"{bot.id}: scheduled in quarantine"
    data = view.data.get(bot.symbol)
    if data is None or data.bars < view.policy.research.min_bars:
        yield f"{bot.id}: scheduled without enough bars"
    if decision.job_type is JobType.RUNNER_START and not bot.verified:
        yield f"{bot.id}: its stage is an unverified import"
    if bot.failure is not None and data is not None:
        same = (bot.failure.fingerprint, bot.failure.content) == (view.fingerprint(bot), data.offer.content)
        if same:
            yield f"{bot.id}: scheduled on the input that failed"
    if decision.job_type not in view.job_types:
        yield f"{bot.id}: scheduled although no live runner offers {decision.job_type}"


def _rest_s(record: ClassRecord, view: View) -> float:
    rules = view.policy.cooldowns
    match record.ended:
        case "SUCCEEDED":
            return rules.after_success_s
        case "CANCELLED":
            return rules.after_cancel_s
        case "CRASH":
            rest_s = rules.after_crash_s
            for _ in range(1, record.crashes):
                rest_s = min(rules.max_s, rest_s * 2)
            return min(rules.max_s, rest_s)
        case _:
            return 0.0


def _fairness(plan: Plan) -> Iterator[str]:
    waiting = [d for d in plan.decisions if d.reason in LIMITS and d.detail != "CANCEL_UNDER_WAY"]
    if not plan.granted or not waiting:
        return
    last = max((decision.due_since_ms or 0, decision.bot_id) for decision in plan.granted)
    first = min((decision.due_since_ms or 0, decision.bot_id) for decision in waiting)
    if first < last:
        yield f"{first[1]} waits longer than {last[1]}, which was scheduled"
