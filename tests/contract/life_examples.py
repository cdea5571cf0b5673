"""Examples of what is said about a bot's life: searches, paper sessions, promotions. See `examples`."""

from datetime import UTC, datetime
from typing import Any

from autonomy import events as e
from autonomy.bar_outcomes import BarOutcome
from autonomy.gates import Verdict
from autonomy.values import Cause, Drift, Stage
from support.builders import a_digest, an_id
from support.days import utc

NOON = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 12, 1, tzinfo=UTC)
GATE = e.GateResult(
    code="MIN_TRADES", verdict=Verdict.PASS, measured="72 trades", required="at least 10 closed trades",
    clears_when="a refresh with more bars reaches it", evidence_job=an_id("job"), evidence_age_bars=3,
    fingerprint=a_digest("fingerprint"), deciding=True, expires_at=LATER,
)  # fmt: skip
PLAN = e.EvolutionPlan(
    why="WEAK", seed=4_026_531_841, population=24, generations=8, folds=4, embargo_bars=5, holdout_fraction=0.25, read_until=LATER, min_holdout_bars=250,
    max_evaluations=400, max_wall_s=120.0, prior_trials=192,
)  # fmt: skip
CONTENDER = e.Contender(
    parameters={"fast": 12, "slow": 50}, fingerprint=a_digest("challenger"), folds_sharpe=0.7, holdout_sharpe=0.6, holdout_psr=0.96,
    holdout_trades=9, holdout_max_drawdown=0.11,
)  # fmt: skip
SNAPSHOT = e.PaperSnapshot(
    state=(0.5, 1.25), account=(100.0, 2.5), tally=(3.0,), trade=(-1.0, 0.1), target=-1, bars_seen=2_478, outcomes=(0, 30, 2, 6, 4)
)
PAPER = e.PaperOrder(
    session_id=an_id("session"), from_bar=utc(2010, 1, 4), snapshot=SNAPSHOT, last_bar=utc(2010, 1, 5),
    market=e.MarketTime(mode="REPLAY", start=utc(2010, 1, 4), end=utc(2013, 3, 1), seconds_per_bar=15.0, epoch=NOON),
    session_s=21_600, stop="FLATTEN",
)  # fmt: skip
LIVE = e.LiveWindow(session_id=an_id("session"), from_bar=utc(2010, 1, 4), until_bar=utc(2010, 3, 5))
WINDOW = e.WindowMetrics(
    from_bar=utc(2010, 1, 4), until_bar=utc(2010, 3, 5), bars=42, trades=11, pnl_usd=812.5, sharpe=None, max_drawdown=0.03
)
BAR: dict[str, Any] = {
    "session_id": an_id("session"), "bot_id": "aapl-sma", "job_id": an_id("job"), "tick": 7, "attempt": 2, "claim_id": an_id("claim"),
    "process_id": an_id("runner-1"), "bar_start": utc(2010, 1, 5), "bar": 2_477,
}  # fmt: skip


def life_commands(said: dict[str, Any]) -> tuple[e.Event, ...]:
    """What operators ask for about stages."""
    one = {**said, "bot_id": "aapl-sma"}
    return (
        e.RevertToLab(
            **said, stages=(Stage.PAPER, Stage.LIVE), bot_ids=("aapl-sma",), strategies=("sma-cross",), symbols=("AAPL",),
            plan_hash=a_digest("plan"), expected_count=1,
        ),
        e.ApprovePromotion(**one, recommendation_id=an_id("recommendation")),
        e.RejectPromotion(**one, recommendation_id=an_id("recommendation")),
        e.ApproveChallenger(**one, job_id=an_id("job")),
        e.RejectChallenger(**one, job_id=an_id("job")),
        e.PinBot(**one, until=LATER),
        e.UnpinBot(**one),
    )  # fmt: skip


def life_facts() -> tuple[e.Event, ...]:
    """What a tick says about lives."""
    about = {"recommendation_id": an_id("recommendation"), "bot_id": "aapl-sma"}
    return (
        e.PromotionRecommended(
            **about, from_stage=Stage.LAB, to_stage=Stage.PAPER, stage_version=1, version=2, fingerprint=a_digest("fingerprint"),
            evidence_job=an_id("job"), gates=(GATE,),
        ),
        e.PromotionRequested(**about, actor="ada"),
        e.PromotionWithdrawn(**about, outcome="REJECTED", cause="REJECTED", actor="ada", reason="not yet", gates=(GATE,)),
        e.DriftJudged(
            bot_id="aapl-sma", job_id=an_id("job"), session_id=an_id("session"), verdict=Drift.MAJOR,
            findings=("trades 11 against 20, at most 30% apart",), demote=True,
        ),
        e.ChallengerJudged(
            bot_id="aapl-sma", job_id=an_id("job"), verdict="LOSES", applied=False, findings=("hold-out trades 9, at least 10",),
            challenger=CONTENDER, opening=2, paired_t=1.7, required_t=2.394,
        ),
        e.ChallengerDeclined(bot_id="aapl-sma", job_id=an_id("job"), actor="ada", reason="too few trades"),
        e.LookTaken(
            bot_id="aapl-sma", job_id=an_id("job"), fingerprint=a_digest("fingerprint"), number=2, bars=2_477, trades=72, z=1.4,
            p_value=0.08, markets=1000, alpha=0.0005, required_z=3.2906, synthetic=False, verdict=Verdict.FAIL,
        ),
        e.SessionClosed(
            session_id=an_id("session"), bot_id="aapl-sma", cause=Cause.CANCELLED_BY_REVERT, actor="ada", last_bar=utc(2010, 1, 5),
            bar=2_477, units=-1.5, price_usd=31.2, fee_usd=0.05, equity_usd=100_012.25, pnl_usd=12.25,
        ),
        e.BotPinned(bot_id="aapl-sma", actor="ada", reason="quarter end", until=LATER),
        e.BotUnpinned(bot_id="aapl-sma", actor="planner", cause="EXPIRED"),
    )  # fmt: skip


def life_signs() -> tuple[e.Event, ...]:
    """What a paper runner says bar by bar."""
    return (
        e.RunnerTraded(
            **BAR, order_id=an_id("order"), kind="EXIT", side="SELL", units=1.5, price_usd=31.2, fee_usd=0.05, pnl_usd=12.25,
        ),
        e.RunnerMarked(
            **BAR, close_usd=31.3, equity_usd=100_012.25, cash_usd=99_000.0, units=-1.5, trades=11, traded_bars=42, pnl_usd=12.25,
            max_drawdown=0.03, sharpe=0.4, replay=True, outcome=BarOutcome.ENTERED, why="the fast mean is below", wanted=-1.0, late_bars=1, snapshot=SNAPSHOT,
            flat=e.FlatValue(units=-1.5, price_usd=31.2, fee_usd=0.05, equity_usd=100_010.0, pnl_usd=10.0),
        ),
    )  # fmt: skip


def a_search_result() -> e.EvolutionSummary:
    """What a search found."""
    return e.EvolutionSummary(
        fingerprint=a_digest("fingerprint"), data_sha256=a_digest("data"), source_id="us-stocks-2013", synthetic=False, bars=2_477,
        first_bar=utc(2000, 3, 1), last_bar=utc(2010, 1, 4), holdout_from=utc(2007, 7, 2), holdout_bars=619, paired_t=1.7, seed=4_026_531_841, generations=8,
        evaluations=192, stop_reason="GENERATIONS_DONE", champion=CONTENDER, challenger=CONTENDER, dsr=0.6, pbo=0.3,
        trials_sha256=a_digest("trials"), artifact="sha256-00/search.json", elapsed_s=2.5,
    )  # fmt: skip


def a_paper_result() -> e.PaperSummary:
    """What a session's job had done."""
    return e.PaperSummary(
        session_id=an_id("session"), last_bar=utc(2010, 1, 5), traded_bars=42, trades=11, equity_usd=100_012.25, ended="SESSION_TIME"
    )
