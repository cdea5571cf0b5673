"""What one bot wants, looked at alone: its wants in order, the gates, the rest after the last job.

Place in the flow: decide asks for every bot that changed; **wishes** compete afterwards. Pure. At the end stands until when the
answer holds: before that instant time alone cannot make another wish of the same bot.

Source: R-A3.2, R-A3.3, R-A3.5 to R-A3.7.
"""

from typing import Final, Literal, NamedTuple, assert_never

from autonomy.gates import GateCode
from autonomy.policy import EvolutionPolicy, StagePolicy
from autonomy.reasons import Detail, Ended, Reason
from autonomy.values import JobClass, JobType, Stage
from autonomy.work import class_of
from planner.decide import promotion_gates
from planner.decide.gates import NOTHING, Code, blockers
from planner.decide.view import View
from planner.fold.entities import Bot, ClassRecord, Evolved, LiveJob
from planner.fold.state import State

NEVER: Final = 2**62
RUNNER_START, BASELINE, REFRESH, EVOLVE = JobType.RUNNER_START, JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH, JobType.EVOLVE
RUNNER_ONLY: Final = (RUNNER_START,)


class Decision(NamedTuple):
    """Why one bot was scheduled or skipped; `blockers` keeps every code, `reason` names the first that applies.

    Attributes:
        blocked_type: the want that the blockers are about; another one may be scheduled meanwhile.
        due_since_ms: since when the bot waits.
        place: 1-based, among those that wait for the same limit.
        promotion: the verdicts of the promotion gates, as `promotion_gates.said_verdicts`.
    """

    bot_id: str
    reason: Reason
    job_type: JobType | None = None
    blockers: tuple[Code, ...] = NOTHING
    detail: str = ""
    job_id: str | None = None
    until_ms: int | None = None
    next_due_ms: int | None = None
    limit: str | None = None
    limit_value: int | None = None
    place: int | None = None
    would: Reason | None = None
    due_since_ms: int | None = None
    blocked_type: JobType | None = None
    promotion: str = ""

    def change_key(self) -> tuple[str, str, str, str]:
        """Two decisions with equal keys are published once; values that drift each tick (times, places) are left out."""
        # A code is the text that it is: no `.value` on the way of every bot.
        return (self[1], self[2] or "", ",".join(self[3]) if self[3] else "", self[14])


def wish_of(bot: Bot, state: State, view: View) -> tuple[Decision, int]:
    """What one bot wants (SCHEDULED means that it is ready to compete), and until when time alone makes no other wish of it."""
    wish, next_due_ms = _wish_of(bot, state, view)
    wish = wish._replace(promotion=promotion_gates.said_verdicts(bot, view))
    return wish, holds_until_ms(bot, wish, next_due_ms, view)


def _wish_of(bot: Bot, state: State, view: View) -> tuple[Decision, int]:
    """The wish, and when the first want that was passed over as not due becomes due."""
    if bot.hold is not None:
        return Decision(bot.id, Reason.ON_HOLD, None, NOTHING, bot.hold), NEVER
    stage = view.policy.stages.get(bot.stage)
    if stage is None or not stage.wants:
        return Decision(bot.id, Reason.NOTHING_DUE, None, NOTHING, Detail.NO_POLICY_FOR_STAGE), NEVER
    next_due = NEVER
    active: LiveJob | None = None
    blocked: Decision | None = None
    for want in wants_of(bot, stage):
        due_ms = due_ms_of(want, bot, stage, view)
        if due_ms > view.now_ms:
            next_due = min(next_due, due_ms)
            continue
        if blocked is not None and class_of(want) is class_of(RUNNER_START):
            continue
        record = bot.runner if want is RUNNER_START else bot.research
        live = None if record.job_id is None else state.jobs.rows.get(record.job_id)
        if live is not None and live.cancel is None:
            active = active or live
            continue
        found = judge(bot, want, record, live, view)
        if found.reason is not Reason.BLOCKED_BY_GATES or want is not RUNNER_START:
            # Beside a blocked runner also a rest that ends makes another wish.
            upcoming_ms = next_due if found.until_ms is None else min(next_due, found.until_ms)
            return (found, next_due) if blocked is None else (_beside(blocked, found), upcoming_ms)
        # What keeps a runner from starting is often what only research can renew.
        blocked = found
    upcoming = None if next_due == NEVER else next_due
    if blocked is not None:
        return blocked._replace(next_due_ms=upcoming), next_due
    if active is None and bot.research.job_id is not None:
        active = state.live_job(bot, JobClass.RESEARCH)
    if active is not None:
        return Decision(bot.id, Reason.ACTIVE_JOB, active.job.job_type, NOTHING, "", active.job.job_id, next_due_ms=upcoming), next_due
    ended = Detail.AWAITS_BARS if view.is_live(bot) else Detail.REPLAY_ENDED
    detail = ended if upcoming is None else Detail.NEXT_REFRESH
    return Decision(bot.id, Reason.NOTHING_DUE, None, NOTHING, detail, next_due_ms=upcoming), next_due


def _beside(blocked: Decision, found: Decision) -> Decision:
    """A want of the other class beside a blocked runner: scheduled, it keeps the runner's blockers; else the block is the reason."""
    if found.reason is not Reason.SCHEDULED:
        return blocked
    return found._replace(blockers=blocked.blockers, blocked_type=blocked.job_type)


def wants_of(bot: Bot, stage: StagePolicy) -> tuple[JobType, ...]:
    """The bot's wants, in the order of looking; an unverified import has none but the runner that its gates block."""
    if bot.verified or bot.stage is Stage.LAB:
        return stage.wants
    return RUNNER_ONLY if RUNNER_START in stage.wants else ()


def due_ms_of(want: JobType, bot: Bot, stage: StagePolicy, view: View) -> int:
    """Since when a want is due, or from when it will be; NEVER when that cannot be foreseen."""
    if want is RUNNER_START:
        return 0
    proven = promotion_gates.valid_evidence(bot, view) is not None
    if want is BASELINE:
        return NEVER if proven else other_bytes_ms(bot, view)  # once per fingerprint
    if not proven:
        return NEVER
    if want is REFRESH:
        return max(refresh_due_ms(bot, stage, view), other_bytes_ms(bot, view))
    return 0 if evolution_reason(bot, view) is not None else NEVER


def other_bytes_ms(bot: Bot, view: View) -> int:
    """From when research of the bot may read other bytes than its evidence was ordered on: with another program, offer or bar.

    A runner may have read more or fewer bars than were announced when the evidence was ordered. Then the evidence may not stand, and yet
    the same order would only find the same again: the next announcement or bar decides.

    Source: R-A5.
    """
    evidence, data = bot.evidence, view.data_of(bot)
    if evidence is None or data is None or not evidence.offered:
        return 0
    before = (evidence.fingerprint, evidence.offered, data.times.count_until(evidence.until_ms))
    if before != (view.fingerprint(bot), data.offer.content, data.bars):
        return 0
    next_bar_ms = view.shown_ms(bot, data.bars)
    return NEVER if next_bar_ms is None else next_bar_ms


def evolution_reason(bot: Bot, view: View) -> Literal["WEAK", "AT_THE_DOOR"] | None:
    """Why a bot with standing evidence should be searched for something better, if it should.

    Never a bot that says so, never one with an open paper session, never twice on the same bytes, and never before there are bars enough
    that no search of its line has read, with as many trades as the bot makes in that time: what a search found could not be told from luck.

    Source: R-A3.7.
    """
    evidence, last, rules = bot.evidence, bot.evolved, view.policy.evolution
    if evidence is None or bot.paper is not None or bot.evolve == "never":
        return None
    if last is not None and last.bars:
        same = (last.fingerprint, last.data_sha256) == (evidence.fingerprint, evidence.data_sha256)
        if same:
            return None
    held = holdout_bars(evidence.bars, last, rules)
    if held < rules.min_holdout_bars or evidence.figures.trades * held < rules.min_holdout_trades * evidence.bars:
        return None
    sharpe = evidence.figures.sharpe
    if sharpe is None or sharpe < rules.weak_below_sharpe:
        return "WEAK"
    return "AT_THE_DOOR" if promotion_gates.all_pass(bot, view) else None


def holdout_bars(bars: int, last: Evolved | None, rules: EvolutionPolicy) -> int:
    """How many bars a search on so many may hold out: of a line's first search a share, later those that none has read.

    Never more than half of a first search's: what is left would be too little to search on, and the job would fail for good.
    """
    if last is None or not last.bars:
        held = max(rules.min_holdout_bars, round(bars * rules.holdout_fraction))
        return held if 2 * held <= bars else 0
    return bars - last.bars - rules.embargo_bars


def judge(bot: Bot, want: JobType, record: ClassRecord, live: LiveJob | None, view: View) -> Decision:
    """A due want without a live job that counts: gates first, then the cooldown of its class."""
    ended_ms = record.ended_ms
    since_ms = bot.eligible_ms if ended_ms is None or ended_ms < bot.eligible_ms else ended_ms
    found = blockers(bot, want, view)
    if found:
        return Decision(bot.id, Reason.BLOCKED_BY_GATES, want, found, due_since_ms=since_ms, blocked_type=want)
    if ended_ms is not None:
        until_ms = cooldown_until_ms(bot, class_of(want), view)
        if until_ms > view.now_ms:
            return Decision(bot.id, Reason.COOLDOWN, want, until_ms=until_ms, detail=record.ended, due_since_ms=since_ms)
    if live is not None:
        # Its old job is being cancelled: the bot waits, first in line, without taking a second place.
        return Decision(
            bot.id, Reason.CONCURRENCY_LIMIT, want, detail=Detail.CANCEL_UNDER_WAY, job_id=live.job.job_id,
            limit="live jobs of the bot", limit_value=1, place=1, due_since_ms=since_ms,
        )  # fmt: skip
    return Decision(bot.id, Reason.SCHEDULED, want, due_since_ms=since_ms)


def refresh_due_ms(bot: Bot, stage: StagePolicy, view: View) -> int:
    """When evidence about the very bot is stale: its slot on the grid of bars has passed, or it is too old, and a new bar exists.

    Never on the same bytes: without a new bar nothing is due, whatever the age. Many bots on one symbol are spread by their phases.
    """
    evidence = bot.evidence
    new_bar_ms = None if evidence is None else view.shown_ms(bot, evidence.bars)
    if evidence is None or new_bar_ms is None:
        return NEVER
    grid, phase = stage.refresh_after_bars, bot.phase % stage.refresh_after_bars
    next_slot = ((evidence.bars + phase) // grid + 1) * grid - phase
    by_grid_ms = view.shown_ms(bot, next_slot - 1)
    by_age_ms = max(new_bar_ms, evidence.ended_ms + round(stage.refresh_after_hours * 3_600_000))
    return by_age_ms if by_grid_ms is None else min(by_grid_ms, by_age_ms)


def cooldown_until_ms(bot: Bot, job_class: JobClass, view: View) -> int:
    """Until when a bot's class rests; 0 when it does not.

    Source: docs/architecture.md, "Ticks": crashes double the rest, up to the maximum.
    """
    record, rules = bot.record_of(job_class), view.policy.cooldowns
    if record.ended_ms is None:
        return 0
    match record.ended:
        case Ended.SUCCEEDED:
            rest_s = rules.after_success_s
        case Ended.CANCELLED:
            rest_s = rules.after_cancel_s
        case Ended.CRASH:
            rest_s = min(rules.max_s, rules.after_crash_s * 2.0 ** min(max(0, record.crashes - 1), 30))
        case Ended.COULD_NOT_RUN:
            rest_s = rules.after_crash_s
        case Ended.NEVER | Ended.FAILED | Ended.SUPERSEDED:
            rest_s = 0.0  # after a final failure the LAST_FAILURE gate blocks until the input changes
        case _:
            assert_never(record.ended)
    return record.ended_ms + round(rest_s * 1000)


def holds_until_ms(bot: Bot, wish: Decision, next_due_ms: int, view: View) -> int:
    """Before this instant time alone makes no other wish of the same bot; 0 when that cannot be said.

    What time changes: a want becomes due, a rest ends, enough bars exist, evidence expires. A paper session is looked at anew
    each time.

    Args:
        bot: whose wish it is.
        wish: as it is now.
        next_due_ms: when the first of its wants that are not due yet becomes due.
        view: the tick's surroundings.
    """
    if bot.paper is not None:
        return 0
    until_ms = next_due_ms if wish.until_ms is None else min(next_due_ms, wish.until_ms)
    data = view.data_of(bot)
    if GateCode.MARKET_DATA in wish.blockers:
        enough_ms = view.shown_ms(bot, view.policy.research.min_bars - 1)
        until_ms = until_ms if enough_ms is None else min(until_ms, enough_ms)
    evidence, limits = bot.evidence, promotion_gates.thresholds_of(bot, view)
    if evidence is not None and data is not None and data.bars < evidence.bars:
        shown_ms = view.shown_ms(bot, evidence.bars - 1)  # from then on the market shows all that the evidence knows
        until_ms = until_ms if shown_ms is None else min(until_ms, shown_ms)
    if evidence is not None and limits is not None and data is not None and not promotion_gates.is_expired(bot, evidence, view, limits):
        expiry_ms = promotion_gates.expires_ms(bot, evidence, view, limits)
        until_ms = until_ms if expiry_ms is None else min(until_ms, expiry_ms)
    return until_ms
