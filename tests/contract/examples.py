"""One example of every event, with every field filled: the source of the golden files.

`python tests/contract/examples.py` writes those that do not exist yet; an existing one is never changed, since logs hold it.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from autonomy.bar_outcomes import BarOutcome
from autonomy.timeframes import Timeframe
from support.days import utc, utc_ms

sys.path.insert(0, str(Path(__file__).parents[1]))

from autonomy import events as e
from autonomy.bar_times import pack_times
from autonomy.chain import write_seal
from autonomy.envelope import encode
from autonomy.gates import Verdict
from autonomy.reasons import Reason, ZeroJobs
from autonomy.values import Cause, JobClass, JobType, Origin, Stage, TickCause, derived_id, ms_of
from contract.life_examples import GATE, LIVE, PAPER, PLAN, WINDOW, a_paper_result, a_search_result, life_commands, life_facts, life_signs
from support.builders import a_digest, an_id
from support.offers import offer

GOLDEN = Path(__file__).parent / "golden"
NOON = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 12, 1, tzinfo=UTC)
SAID = {"command_id": an_id("command"), "actor": "ada", "role": "approver", "reason": 'as an example: \u00e9, \u4e2d, "quoted"'}
JOB = {"job_id": an_id("job"), "bot_id": "aapl-sma", "tick": 7, "attempt": 2}
CLAIM = {**JOB, "claim_id": an_id("claim"), "process_id": an_id("runner-1")}
METRICS = e.BacktestMetrics(
    sharpe=0.61, sortino=0.9, cagr=0.07, max_drawdown=0.31, exposure=0.55, turnover_per_year=12.5, trades=38, win_rate=0.42,
    profit_factor=1.3, bars_per_trade=21.5, costs_usd="1234.56", final_equity_usd="171000.01",
)  # fmt: skip
NO_METRICS = e.BacktestMetrics(
    sharpe=None, sortino=None, cagr=None, max_drawdown=None, exposure=None, turnover_per_year=None, trades=0, win_rate=None,
    profit_factor=None, bars_per_trade=None, costs_usd=None, final_equity_usd=None,
)  # fmt: skip
BLOCKER = e.Blocker(
    code="MARKET_DATA", verdict=Verdict.FAIL, measured="196 bars", required="250 bars", clears_when="54 more bars",
    evidence_job=an_id("job"), evidence_age_bars=12, fingerprint=a_digest("fingerprint"),
)  # fmt: skip


def examples() -> tuple[e.Event, ...]:
    """One of each, in flow order."""
    return (*commands(), *tick_facts(), a_run(), *job_steps(), *signs_of_life())


def commands() -> tuple[e.Event, ...]:
    """What operators ask for."""
    return (
        e.RegisterBots(**SAID, bots=({"id": "aapl-sma", "strategy": "sma-cross", "symbol": "AAPL", "parameters": {"fast": 20}},)),
        e.ApplyFleet(
            **SAID, fleet="crypto", bots=({"id": "aapl-sma", "strategy": "sma-cross", "symbol": "AAPL", "evolve": "never"},),
            retire=("ibm-macd",), plan_hash=a_digest("plan"),
        ),
        e.ChangeBot(**SAID, bot_id="aapl-sma", strategy="macd", parameters={"fast": 12}, symbol="IBM"),
        e.RetireBot(**SAID, bot_id="aapl-sma"),
        *life_commands(SAID),
        e.PauseLoop(**SAID, scope="stage", target="LAB"),
        e.ResumeLoop(**SAID, scope="bot", target="aapl-sma"),
        e.HoldBot(**SAID, bot_id="aapl-sma"),
        e.ReleaseHold(**SAID, bot_id="aapl-sma"),
        e.SetPromotionMode(**SAID, mode="AUTO"),
        e.SetPolicy(**SAID, document={"research": {"concurrency": 5}}),
        e.CancelJob(**SAID, job_id=an_id("job")),
        e.AcceptDivergence(**SAID, tick=7, sealed_state_hash=a_digest("sealed"), folded_state_hash=a_digest("folded")),
        e.AttemptRefused(
            attempt_id=an_id("attempt"), command="set-policy", actor="anonymous", role="none", code="NO_CREDENTIAL", field="",
            limit="Commands need an operator's token",
        ),
    )  # fmt: skip


def tick_facts() -> tuple[e.Event, ...]:
    """What a tick decided."""
    place = {"bot_id": "aapl-sma", "actor": "ada"}
    return (
        e.CommandAccepted(
            command_id=an_id("command"), command="register-bots.v1",
            outcomes=(
                e.BotOutcome(bot_id="aapl-sma", outcome="REGISTERED"),
                e.BotOutcome(bot_id="b", outcome="REJECTED", field="symbol", limit="must match"),
            ),
            counts={"REVERTED": 12, "PINNED": 2},
        ),
        e.CommandRejected(command_id=an_id("command"), command="hold-bot.v1", code="UNKNOWN_BOT", field="botId", limit="not in the fleet"),
        e.BotRegistered(
            **place, name="AAPL trend", strategy="sma-cross", parameters={"fast": 20, "ratio": 0.5, "direction": "long"}, symbol="AAPL",
            timeframe="1d", stage=Stage.PAPER, origin=Origin.IMPORTED, pinned=True, pin_reason="reviewed",
        ),
        e.BotAmended(**place, name="AAPL by two means", fleet="stocks", evolve="propose"),
        e.BotChanged(**place, version=2, strategy="macd", parameters={"fast": 12}, symbol="IBM", timeframe="1d", evolved_by=an_id("search")),
        e.BotRetired(**place),
        e.StageChanged(
            **place, event_id=an_id("stage"), from_stage=Stage.PAPER, to_stage=Stage.LAB, reason_code="BULK_REVERT_REBASELINE",
            command_id=an_id("command"), recommendation_id=an_id("recommendation"), evidence_job=an_id("job"), approved_by=("ada", "ben"),
        ),
        *life_facts(),
        e.LoopPaused(scope="stage", target="LAB", actor="ada", reason="maintenance"),
        e.LoopResumed(scope="stage", target="LAB", actor="ada"),
        e.PolicyChanged(document={"name": "default", "leases": {"lease_s": 15.0}}, policy_hash=a_digest("policy"), actor="ada"),
        e.HoldPlaced(**place, kind="OPERATOR", reason="looks odd"),
        e.HoldReleased(**place, kind="QUARANTINE"),
        e.CancelRequested(**place, job_id=an_id("job"), cause=Cause.CANCELLED_BY_OPERATOR),
        e.RuleVote(command_id=an_id("command"), command="set-policy.v1", subject=a_digest("policy"), actor="ada", complete=False),
        e.ChainRepaired(
            at_tick=7, sealed_state_hash=a_digest("sealed"), folded_state_hash=a_digest("folded"), actor="ada", reason="known fault",
        ),
        e.AnnouncementRequested(process_id=an_id("runner-1"), announcement=a_digest("announcement")),
        e.BotDecision(
            bot_id="aapl-sma", tick=7, reason=Reason.BLOCKED_BY_GATES, job_type=JobType.BACKTEST_REFRESH, job_id=an_id("job"),
            blockers=(BLOCKER,), promotion=(GATE,), promotion_to=Stage.PAPER, detail="NEXT_REFRESH", until=NOON, next_due_at=LATER, limit="concurrency", limit_value=5, place=3,
            would=Reason.SCHEDULED, due_since=NOON,
        ),
        e.JobEnqueued(
            job_id=an_id("job"), bot_id="aapl-sma", job_type=JobType.BACKTEST_BASELINE, job_class=JobClass.RESEARCH, tick=7, partition=3,
            strategy="sma-cross", parameters={"fast": 20, "slow": 50}, symbol="AAPL", timeframe="1d", bars_until=utc(2010, 1, 4), bars_per_year=252,
            min_bars=250, costs=e.Costs(fee_bps=10.0, slippage_bps=5.0), initial_cash_usd="100000.00", suite=e.SuiteSizes(),
            fingerprint=a_digest("fingerprint"), timeout_s=600, lease_s=15.0, failures_limit=3, prior_trials=192, evolution=PLAN,
            paper=PAPER, window=LIVE,
        ),
    )  # fmt: skip


def a_run() -> e.PlannerRun:
    """A seal, with its own hash right."""
    seal = e.PlannerRun(
        run_id=derived_id("run", 7, an_id("try")), tick=7, prev_hash=a_digest("seal-6"), try_id=an_id("try"),
        process_id=an_id("planner-1"), count=2, root=a_digest("root"),
        cut={"autonomy.commands": (2,), "autonomy.jobs": (0, 5), "autonomy.runners": (9, 0)}, inputs=3, input_root=a_digest("inputs"), cause=TickCause.CAPACITY, due_at=NOON,
        now=NOON, elapsed_ms=60_000, market_now=LATER, state_hash=a_digest("state"),
        horizon=e.Head(tick=6, offset=41, hash=a_digest("seal-6")), policy_hash=a_digest("policy"), decider="lab-1", registered=2,
        evaluated=2, jobs_enqueued=0, blocked=1, reason_counts={Reason.BLOCKED_BY_GATES: 1, Reason.COOLDOWN: 1},
        blocker_counts={"MARKET_DATA": 1}, zero_jobs=ZeroJobs.MIXED, live_jobs=0, loop_enabled=True, errors=("a contradiction",),
        digest=a_digest("decisions"), hash="",
    )  # fmt: skip
    whole, _ = write_seal(seal, ms_of(NOON))
    return whole


def job_steps() -> tuple[e.Event, ...]:
    """What became of a job."""
    result = e.ResearchSummary(
        fingerprint=a_digest("fingerprint"), data_sha256=a_digest("data"), source_id="us-stocks-2013", synthetic=False, bars=2477,
        first_bar=utc(2000, 3, 1), last_bar=utc(2010, 1, 4), metrics=METRICS, in_sample=METRICS, out_of_sample=NO_METRICS,
        buy_and_hold=METRICS, look_ahead_ok=True, look_ahead_cuts=250, psr=0.81, dsr=0.4, trials=9, stress_worst_sharpe=0.2,
        neighbourhood_median_sharpe=0.5, timing=e.TimingFound(z=1.4, p_value=0.08, markets=1000, seed=7), net_t=1.9, window=WINDOW,
        curve=e.EquityCurve.of(utc_ms(2000, 3, 1), [(utc_ms(2000, 3, 1), 1.0, 1.0), (utc_ms(2010, 1, 4), 1.71, 2.5)]),
        artifact="sha256-00/report.json", elapsed_s=4.25, outcomes={BarOutcome.WARMING_UP: 77, BarOutcome.NO_SIGNAL: 2_400},
    )  # fmt: skip
    return (
        e.JobStarted(**CLAIM),
        e.JobReleased(**CLAIM, cause=Cause.RUNNER_DRAINED),
        e.JobSucceeded(**CLAIM, result=result, evolution=a_search_result(), paper=a_paper_result()),
        e.JobFailed(**CLAIM, cause=Cause.BAD_INPUT, detail="slow must exceed fast", field="parameters.slow", limit="above fast"),
        e.JobRequeued(**JOB, cause=Cause.LEASE_EXPIRED),
        e.JobCancelled(**JOB, cause=Cause.CANCELLED_BY_RETIREMENT),
        e.JobDead(**JOB, cause=Cause.FAILURES_EXHAUSTED, failures=3),
    )


def signs_of_life() -> tuple[e.Event, ...]:
    """Beats, abilities, pulses, quarantine."""
    held = e.HeldJob(**{key: CLAIM[key] for key in ("job_id", "bot_id", "tick", "attempt", "claim_id")}, phase="timing", progress=0.5)
    bars = e.SymbolBars(
        symbol="AAPL", timeframe="1d", first=utc(2010, 1, 4), last=utc(2010, 1, 6), bars=3, times=pack_times([utc_ms(2010, 1, day) for day in (4, 5, 6)], "1d"), bars_per_year=252, live=True,
        sha256=a_digest("AAPL"), source_id="us-stocks-2013", synthetic=False,
    )  # fmt: skip
    return (
        e.RunnerHeartbeat(process_id=an_id("runner-1"), sequence=12, jobs=(held,), research_slots=2, evolve_slots=1, runner_slots=50, stopping=True),
        e.RunnerPulse(process_id=an_id("runner-1"), sequence=12, jobs=(held,), research_slots=2, evolve_slots=1, runner_slots=50, stopping=True),
        e.CapabilitiesAnnounced(
            process_id=an_id("runner-1"), engine_version="engine-1", job_types=(JobType.BACKTEST_BASELINE,),
            strategies=(offer("sma-cross", a_digest("code")),), symbols=(bars,), research_slots=2,
            evolve_slots=1, runner_slots=50,
        ),
        *life_signs(),
        e.PlannerPulse(
            process_id=an_id("planner-1"), role="leader", head_tick=7, head_hash=a_digest("seal-7"), next_tick_at=LATER,
            problem="a clock is off",
        ),
        e.ProbePulse(process_id=an_id("proof-api-1"), sequence=3, sent_at=NOON),
        e.RecordQuarantined(
            source_topic="autonomy.jobs", source_partition=3, source_offset=17, sha256=a_digest("bytes"), size_bytes=2,
            reason="no envelope", excerpt="b'{}'",
        ),
    )  # fmt: skip


def later_examples() -> tuple[e.Event, ...]:
    """The events that got fields later, with those set: records without them keep their golden record."""
    lost = e.Head(tick=9, offset=99, hash=a_digest("seal-9"))
    later: dict[type[e.Event], dict[str, object]] = {
        e.AcceptDivergence: {"input_root": a_digest("inputs"), "abandoned": lost},
        e.ChainRepaired: {"input_root": a_digest("inputs"), "abandoned": lost, "approved_by": ("ada", "ben")},
        e.PlannerRun: {"input_marks": "1:AAECAwQF", "snapshot_root": a_digest("root"), "silent": (an_id("job-9"), an_id("runner-9"))},
        e.RunnerPulse: {"announcement": a_digest("announcement")},
        e.RunnerHeartbeat: {"announcement": a_digest("announcement")},
        e.ProbePulse: {"applied": lost},
        e.BotRegistered: {"fleet": "stocks", "evolve": "never"},
        e.JobFailed: {"may_pass": True},
        e.ChangeBot: {"timeframe": Timeframe.H1},
        e.CapabilitiesAnnounced: {
            "faults": (e.SourceFault(name="ES=F", reason="its name is no symbol", in_use=False),),
            "strategy_faults": (e.StrategyFault(file="ema_atr.py", line=12, reason="NameError: name 'k' is not defined", in_use=True),),
        },
    }
    return tuple(event.model_copy(update=later[type(event)]) for event in examples() if type(event) in later)


def encoded(event: e.Event) -> bytes:
    """The record's value, with every part of the envelope."""
    return encode(
        event, source=f"autonomy/{event.producer}", subject="aapl-sma", time=NOON, event_id=derived_id("golden", event.wire), actor="ada",
        causation=an_id("cause"), traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )  # fmt: skip


def main() -> None:
    """Write what is missing."""
    GOLDEN.mkdir(exist_ok=True)
    for event in examples():
        path = GOLDEN / f"{event.wire}.json"
        if not path.exists():
            path.write_bytes(encoded(event))
    for event in later_examples():
        path = GOLDEN / f"{event.wire}.later.json"
        if not path.exists():
            path.write_bytes(encoded(event))


if __name__ == "__main__":
    main()
