"""What happens to bots by itself, each tick: verdicts on finished research, ends of pins, stops of runners, promotions.

Place in the flow: fold (slice) → verdicts → commands → **life** → decide. Pure. Everything it does is a fact of the tick.

Source: R-A3.6, R-A3.7, R-C3.2.
"""

from collections import Counter
from collections.abc import Iterable

from autonomy.events import BotChanged, BotUnpinned, ChallengerJudged, DriftJudged, WindowMetrics
from autonomy.identities import PLANNER
from autonomy.judgement import judge_challenger, judge_drift
from autonomy.timeframes import Timeframe
from autonomy.values import Cause, Drift, JobClass, Stage, instant_of_ms
from planner.decide import graduation
from planner.decide.endings import Say, cancel_job, close_session
from planner.decide.gates import failing_runner_gates, fails_again
from planner.decide.line_gates import due_look
from planner.decide.looking import FleetView, evaluate_fleet
from planner.decide.plan import pause_of
from planner.decide.view import View
from planner.fold.entities import Bot, Measure
from planner.fold.facts import within_hour
from planner.fold.slices import Folded, Rerun, Search
from planner.fold.state import State


def give_verdicts(state: State, folded: Folded, say: Say) -> None:
    """Judge what this slice finished: live windows against the engine, challengers against champions."""
    for rerun in folded.reruns:
        _judge_drift(state, rerun, say)
    for search in folded.searches:
        _judge_search(state, search, say)


def take_looks(state: State, bot_ids: Iterable[str], say: Say) -> None:
    """Judge the timing of bots whose evidence makes a look due, and of all when the rules of looking changed."""
    for bot_id in sorted(set(bot_ids)):
        bot = state.bots.get(bot_id)
        if bot is None or bot.evidence is None:
            continue
        look = due_look(bot, state.looks.get(bot.evidence.fingerprint), state.policy.looks)
        if look is not None:
            say(look)


def _judge_drift(state: State, rerun: Rerun, say: Say) -> None:
    found = judge_drift(_metrics(rerun.live), rerun.engine, state.policy.drift)
    say(DriftJudged(
        bot_id=rerun.bot_id, job_id=rerun.job_id, session_id=rerun.live.session_id, verdict=found.verdict,
        findings=tuple(finding[:500] for finding in found.findings), demote=found.verdict is Drift.MAJOR,
    ))  # fmt: skip


def _metrics(live: Measure) -> WindowMetrics:
    return WindowMetrics(
        from_bar=instant_of_ms(live.from_ms), until_bar=instant_of_ms(live.until_ms), bars=live.bars, trades=live.trades,
        pnl_usd=live.pnl_usd, sharpe=live.sharpe, max_drawdown=live.max_drawdown,
    )  # fmt: skip


def _judge_search(state: State, search: Search, say: Say) -> None:
    bot = state.bots.get(search.bot_id)
    if bot is None:
        return
    found = search.found
    opening = None if found.challenger is None else (0 if bot.evolved is None else bot.evolved.openings) + 1
    verdict = judge_challenger(found, opening or 1, state.policy.evolution)
    is_free = bot.stage is Stage.LAB and bot.paper is None and bot.hold is None and bot.recommendation is None
    # What the bot's own file says goes before the policy, which speaks for the bots that say nothing.
    applies = state.policy.evolution.winners == "APPLY" if bot.evolve == "" else bot.evolve == "apply"
    applied = verdict.wins and is_free and applies
    say(ChallengerJudged(
        bot_id=bot.id, job_id=search.job_id, verdict="WINS" if verdict.wins else "LOSES", applied=applied,
        findings=tuple(finding[:500] for finding in verdict.findings), challenger=found.challenger, opening=opening,
        paired_t=found.paired_t, required_t=None if opening is None else verdict.required_t,
    ))  # fmt: skip
    if applied and found.challenger is not None:
        say(BotChanged(
            bot_id=bot.id, version=bot.version + 1, strategy=bot.strategy, parameters=found.challenger.parameters,
            symbol=bot.symbol, timeframe=Timeframe(bot.timeframe), actor=PLANNER, evolved_by=search.job_id,
        ))  # fmt: skip


def live_on(state: State, view: View, tick: int, say: Say) -> FleetView:
    """Let every bot's life go on: pins end, runners whose gates fail are stopped, recommendations come, go and are applied.

    Returns:
        What every bot wanted before that; it still holds when nothing was said.
    """
    sight = evaluate_fleet(state, view)
    needs_lifecycle_step = sight.bots_needing_lifecycle_step
    is_auto = state.policy.promotion_mode == "AUTO"
    held = graduation.by_stage(state) if is_auto and needs_lifecycle_step else Counter()
    for bot_id in needs_lifecycle_step:
        bot = state.bots.rows[bot_id]
        if bot.pin_until_ms is not None and bot.pin_until_ms <= view.now_ms:
            say(BotUnpinned(bot_id=bot_id, actor=PLANNER, cause="EXPIRED"))
        if _stop_runner(state, bot, view, say):
            continue  # what is open is judged at the next tick, without that runner
        graduation.withdraw_failed(state.bots.rows[bot_id], view, say)
        graduation.withdraw_overtaken(state.bots.rows[bot_id], state.policy_hash, say)
        graduation.recommend(state.bots.rows[bot_id], view, tick, say)
        if is_auto:
            _apply(state, state.bots.rows[bot_id], view, held, say)
    return sight


def _stop_runner(state: State, bot: Bot, view: View, say: Say) -> bool:
    """Stop what may no longer trade: its job is cancelled, its position flattened unless the policy holds it; returns whether it did.

    A position without a trader is closed too, whatever became of its runner: when the gates fail, and when the session met a failure that
    it would meet again. A session of another code, data or costs is over, held or not: it would mix two of them.
    """
    if view.disagreements_about(bot):
        # While live runners disagree about its code or data nobody knows which fingerprint, and so which evidence, is the present one:
        # nothing new starts, and what trades goes on until they agree.
        return False
    paper, now = bot.paper, view.fingerprint(bot)
    if paper is not None and now and paper.fingerprint and paper.fingerprint != now:
        cancel_job(state, bot, bot.runner, Cause.CANCELLED_BY_CHANGE, PLANNER, say)
        return close_session(bot, Cause.CANCELLED_BY_CHANGE, PLANNER, say)
    flattens = view.policy.runners.stop == "FLATTEN"
    if failing_runner_gates(bot, view):
        stopped = cancel_job(state, bot, bot.runner, Cause.CANCELLED_BY_GATES, PLANNER, say)
        return (flattens and close_session(bot, Cause.CANCELLED_BY_GATES, PLANNER, say)) or stopped
    failure = bot.failure
    if flattens and failure is not None and state.live_job(bot, JobClass.RUNNER) is None and fails_again(bot, view.data_of(bot), view):
        return close_session(bot, failure.cause, PLANNER, say)
    return False


def _apply(state: State, bot: Bot, view: View, held: Counter[Stage], say: Say) -> None:
    """Promote by itself, within the budget, never beyond where two people must agree, and not while anything covers it with a pause."""
    recommendation, rules = bot.recommendation, view.policy.promotion
    if recommendation is None or graduation.needs_two(recommendation) or recommendation.to_stage not in rules.auto_stages:
        return
    if bot.hold is not None or pause_of(bot, state) is not None:
        return
    if within_hour(state.single.promotions, view.now_ms) >= rules.auto_per_hour:
        return
    if graduation.has_room(held, view, recommendation.to_stage):
        graduation.promote(bot, recommendation, say, actor=PLANNER, approved_by=(), command_id=None)
        held[bot.stage] -= 1
        held[recommendation.to_stage] += 1
