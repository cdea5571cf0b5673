"""Whole careers of bots written straight into a log: promotions, searches, paper sessions, drift, reverts.

The facts are said by hand instead of by the planner, so that every one of them occurs in every order that the protocol allows; the
chain, the cuts and the rule by which a session's last bar is known are the real ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from autonomy import chain as chains
from autonomy.bar_outcomes import BarOutcome
from autonomy.chain import Chain, RunRecord
from autonomy.envelope import encode
from autonomy.events import (
    BotChanged,
    BotDecision,
    BotPinned,
    BotRegistered,
    BotRetired,
    BotUnpinned,
    ChallengerJudged,
    CommandAccepted,
    Contender,
    DriftJudged,
    Event,
    EvolutionPlan,
    EvolutionSummary,
    FlatValue,
    GateFigure,
    GateResult,
    HeldJob,
    HoldPlaced,
    HoldReleased,
    JobCancelled,
    JobEnqueued,
    JobRequeued,
    JobStarted,
    JobSucceeded,
    LookTaken,
    LoopPaused,
    LoopResumed,
    MarketTime,
    PaperOrder,
    PaperSnapshot,
    PaperSummary,
    PromotionRecommended,
    PromotionRequested,
    PromotionWithdrawn,
    RevertToLab,
    RunnerMarked,
    RunnerTraded,
    SessionClosed,
    StageChanged,
)
from autonomy.gates import Verdict
from autonomy.reasons import Reason
from autonomy.topics import COMMANDS, DEFAULT_PARTITIONS, INPUTS, JOBS, RUNNERS, RUNS
from autonomy.values import Cause, Drift, JobType, Origin, Stage, instant_of_ms, partition_of
from support.builders import NOON_MS, a_beat, a_command, a_digest, a_summary, an_id, an_order
from support.days import utc
from support.read_models import Log, Stored
from support.ticks import a_seal

PARTITIONS = {COMMANDS: 1, JOBS: DEFAULT_PARTITIONS, RUNNERS: DEFAULT_PARTITIONS}
FIRST_BAR = utc(2010, 1, 4)
BOTS = ("ada", "bob", "cyd", "dan", "eve")
Step = tuple[int, int]
FACTS = (
    BotChanged, BotDecision, BotPinned, BotRegistered, BotRetired, BotUnpinned, ChallengerJudged, CommandAccepted, DriftJudged, HoldPlaced,
    HoldReleased, JobEnqueued, LoopPaused, LoopResumed, PromotionRecommended, PromotionRequested, PromotionWithdrawn, SessionClosed,
    StageChanged,
)  # fmt: skip
"""What a whole enough set of careers says in its ticks."""
MARKET = MarketTime(mode="REPLAY", start=FIRST_BAR.date(), end=date(2013, 3, 1), seconds_per_bar=1.0, epoch=instant_of_ms(NOON_MS))


@dataclass
class Session:
    """A paper session as the log knows it."""

    session_id: str
    order: JobEnqueued
    attempt: int = 1
    bar: int | None = None
    last: RunnerMarked | None = None
    marks: dict[int, RunnerMarked] = field(default_factory=dict)


@dataclass
class Bot:
    """A bot as the log knows it."""

    bot_id: str
    stage: Stage = Stage.LAB
    version: int = 1
    stage_version: int = 1
    recommended: PromotionRecommended | None = None
    session: Session | None = None
    search: JobEnqueued | None = None
    looks: int = 0
    retired: bool = False


@dataclass
class Careers:
    """A log in the making."""

    log: dict[tuple[str, int], list[Stored]] = field(default_factory=dict)
    chain: Chain = field(default_factory=Chain)
    bots: dict[str, Bot] = field(default_factory=dict)
    open_facts: list[tuple[Any, str]] = field(default_factory=list)
    closed: list[Session] = field(default_factory=list)
    number: int = 0
    now_ms: int = NOON_MS

    # ── the log ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def tick(self) -> int:
        """The tick that is being decided."""
        return self.chain.head.tick + 1

    def drawn(self) -> str:
        """An id that nobody had before."""
        self.number += 1
        return an_id(f"careers/{self.number}")

    def fact(self, event: Any) -> None:
        """Say a fact of the open tick."""
        self.open_facts.append((event, str(getattr(event, "bot_id", "fleet"))))

    def say(self, event: Event, key: str, partition: int | None = None) -> None:
        """Append an input."""
        number = partition_of(key, PARTITIONS[event.topic]) if partition is None else partition
        stored = self.log.setdefault((event.topic, number), [])
        value = encode(event, source="test", subject=key, time=instant_of_ms(self.now_ms), event_id=self.drawn())
        stored.append(Stored(event.topic, number, len(stored), NOON_MS + 1_000 * len(stored) + number, None, value))

    def seal(self) -> None:
        """Close the tick: its cut is everything said so far."""
        self.now_ms += 1_000
        tick, try_id = self.tick, an_id(f"try-{self.tick}")
        records = chains.write_records(
            [event for event, _ in self.open_facts], [key for _, key in self.open_facts], tick, try_id, self.now_ms
        )
        cut = {topic: tuple(len(self.log.get((topic, number), ())) for number in range(PARTITIONS[topic])) for topic in INPUTS}
        seal = a_seal(self.chain.head, records, f"try-{tick}", now_ms=self.now_ms, cut=cut)
        stored = self.log.setdefault((RUNS, 0), [])
        for record in (*records, seal):
            placed = RunRecord(record.kind, record.tick, record.try_id, record.seq, record.key, record.value, len(stored), self.now_ms)
            stored.append(Stored(RUNS, 0, len(stored), self.now_ms, record.key, record.value, tuple(record.headers())))
            self.chain.feed(placed)
        assert self.chain.head.tick == tick, self.chain.last_refusal
        self.open_facts.clear()

    def written(self) -> Log:
        """The log, ended by a tick that has folded everything."""
        self.seal()
        return {key: list(records) for key, records in self.log.items()}

    # ── what happens to a bot ─────────────────────────────────────────────────────────────────────────────────────

    def bot(self, number: int) -> Bot:
        """A bot of the fleet; registered when it is new."""
        bot_id = BOTS[number % len(BOTS)]
        known = self.bots.get(bot_id)
        if known is None:
            known = self.bots[bot_id] = Bot(bot_id)
            self.fact(BotRegistered(
                bot_id=bot_id, name=bot_id, strategy="sma-cross", parameters={"fast": 20, "slow": 50}, symbol="AAPL", timeframe="1d",
                stage=Stage.LAB, origin=Origin.NEW, pinned=number % 2 == 0, pin_reason="kept", actor="ada",
            ))  # fmt: skip
            self.move(known, None, Stage.LAB, "REGISTERED")
        return known

    def move(self, bot: Bot, from_stage: Stage | None, to_stage: Stage, reason: str, **more: Any) -> None:
        """A row of the stage history."""
        self.fact(StageChanged(
            event_id=self.drawn(), bot_id=bot.bot_id, from_stage=from_stage, to_stage=to_stage, reason_code=reason, actor="ada", **more
        ))  # fmt: skip
        bot.stage = to_stage
        bot.stage_version += from_stage is not None

    def decide(self, bot: Bot, number: int) -> None:
        """A decision, with its promotion gates when they changed."""
        codes = ("MIN_TRADES", "LIMITS", "REALISM")
        gates = tuple(a_gate(code, number >> place) for place, code in enumerate(codes)) if number % 3 else None
        self.fact(BotDecision(
            bot_id=bot.bot_id, tick=self.tick, reason=Reason.NOTHING_DUE if number % 2 else Reason.BLOCKED_BY_GATES,
            job_type=JobType.EVOLVE, promotion=gates, promotion_to=Stage.PAPER if gates else None,
        ))  # fmt: skip

    def recommend(self, bot: Bot, number: int) -> None:
        """A recommendation, an approval, a promotion, or none."""
        said = bot.recommended
        if said is None:
            bot.recommended = PromotionRecommended(
                recommendation_id=self.drawn(), bot_id=bot.bot_id, from_stage=bot.stage, to_stage=Stage.PAPER,
                stage_version=bot.stage_version, version=bot.version, fingerprint=a_digest("f"), evidence_job=an_id("evidence"),
                gates=(a_gate("MIN_TRADES", 1),),
            )  # fmt: skip
            self.fact(bot.recommended)
            return
        match number % 3:
            case 0:
                self.fact(PromotionRequested(recommendation_id=said.recommendation_id, bot_id=bot.bot_id, actor="ada"))
                return
            case 1:
                self.fact(PromotionWithdrawn(
                    recommendation_id=said.recommendation_id, bot_id=bot.bot_id, outcome="REJECTED" if number % 2 else "WITHDRAWN",
                    cause="REJECTED", actor="bob", reason="no", gates=(a_gate("MIN_TRADES", 0),),
                ))  # fmt: skip
            case _:
                self.move(
                    bot, bot.stage, Stage.PAPER, "PROMOTED", recommendation_id=said.recommendation_id, evidence_job=said.evidence_job,
                    approved_by=("ada", "bob"),
                )  # fmt: skip
        bot.recommended = None

    def look(self, bot: Bot, number: int) -> None:
        """A judgement of its timing."""
        bot.looks += 1
        self.fact(LookTaken(
            bot_id=bot.bot_id, job_id=an_id("evidence"), fingerprint=a_digest("f"), number=bot.looks, bars=500 + number, trades=12,
            z=number / 5, p_value=0.02, markets=1000, alpha=0.003 / (bot.looks * (bot.looks + 1)), required_z=2.9, synthetic=number % 5 == 0,
            verdict=Verdict.PASS if number % 2 else Verdict.FAIL,
        ))  # fmt: skip
        self.seal()

    def evolve(self, bot: Bot, number: int) -> None:
        """A search: ordered, then found or lost, then judged."""
        if bot.search is None:
            plan = EvolutionPlan(
                why="WEAK" if number % 2 else "AT_THE_DOOR", seed=number, population=4, generations=2, folds=2, embargo_bars=1,
                holdout_fraction=0.25, read_until=None, min_holdout_bars=10, max_evaluations=8, max_wall_s=1.0,
            )  # fmt: skip
            bot.search = an_order(bot.bot_id, tick=self.tick, seq=900, job_type=JobType.EVOLVE, evolution=plan, job_id=self.drawn())
            self.fact(bot.search)
            self.seal()
            return
        order, bot.search = bot.search, None
        place = {"job_id": order.job_id, "bot_id": bot.bot_id, "tick": order.tick, "attempt": 1}
        if number % 3 == 0:
            self.say(JobCancelled(**place, cause=Cause.CANCELLED_BY_OPERATOR), bot.bot_id, order.partition)
            return
        claim = {**place, "claim_id": self.drawn(), "process_id": an_id("runner-1")}
        self.say(JobStarted(**claim), bot.bot_id, order.partition)
        self.say(JobSucceeded(**claim, evolution=an_evolution(number)), bot.bot_id, order.partition)
        self.fact(ChallengerJudged(
            bot_id=bot.bot_id, job_id=order.job_id, verdict="WINS" if number % 2 else "LOSES", applied=bool(number % 2),
            findings=() if number % 2 else ("too weak",), challenger=None, opening=number % 3 + 1 if number % 2 else None,
            paired_t=number / 7 if number % 2 else None, required_t=1.96 if number % 2 else None,
        ))  # fmt: skip
        if number % 2:
            self.close(bot, Cause.CANCELLED_BY_CHANGE)
            bot.version += 1
            self.fact(BotChanged(
                bot_id=bot.bot_id, version=bot.version, strategy="macd", parameters={"fast": number % 9 + 2}, timeframe="1d", symbol="IBM", actor="planner",
                evolved_by=order.job_id,
            ))  # fmt: skip

    def revert(self, bot: Bot, number: int) -> None:
        """Back to LAB by a command; some leave the fleet in the same tick."""
        command_id = self.drawn()
        said = a_command(RevertToLab, bot_ids=(bot.bot_id,), plan_hash=a_digest("plan"), expected_count=1)
        self.say(said.model_copy(update={"command_id": command_id}), "ada", 0)
        self.fact(CommandAccepted(command_id=command_id, command=RevertToLab.wire, counts={"REVERTED": 1}))
        if bot.session is not None:
            self.fact(closing(bot.session, Cause.CANCELLED_BY_REVERT))
            self.closed.append(bot.session)
            bot.session = None
        if bot.recommended is not None:
            self.fact(PromotionWithdrawn(
                recommendation_id=bot.recommended.recommendation_id, bot_id=bot.bot_id, outcome="WITHDRAWN", cause="REVERTED", actor="ada",
            ))  # fmt: skip
            bot.recommended = None
        self.move(bot, bot.stage, Stage.LAB, "REVERT_REBASELINE", command_id=command_id)
        if number % 37 == 0:
            self.fact(BotRetired(bot_id=bot.bot_id, actor="ada"))
            bot.retired = True
        self.seal()

    def mark(self, bot: Bot, number: int) -> None:
        """Pins, holds, pauses."""
        bot_id = bot.bot_id
        facts: tuple[Event, ...] = (
            BotPinned(bot_id=bot_id, actor="ada", reason="mine", until=instant_of_ms(self.now_ms + 60_000) if number % 4 else None),
            BotUnpinned(bot_id=bot_id, actor="ada", cause="OPERATOR" if number % 4 else "EXPIRED"),
            HoldPlaced(bot_id=bot_id, kind="OPERATOR", actor="ada", reason="look"),
            HoldReleased(bot_id=bot_id, kind="OPERATOR", actor="ada"),
            LoopPaused(scope="bot", target=bot_id, actor="ada", reason="calm"), LoopResumed(scope="bot", target=bot_id, actor="ada"),
        )  # fmt: skip
        self.fact(facts[number % len(facts)])

    def evidence(self, bot: Bot, number: int) -> None:
        """A backtest from order to result."""
        order = an_order(bot.bot_id, tick=self.tick, seq=902, job_id=self.drawn())
        self.fact(order)
        self.seal()
        claim = {
            "job_id": order.job_id, "bot_id": bot.bot_id, "tick": order.tick, "attempt": 1, "claim_id": self.drawn(),
            "process_id": an_id("runner-1"),
        }  # fmt: skip
        self.say(JobStarted(**claim), bot.bot_id, order.partition)
        if number % 5:
            self.say(JobSucceeded(**claim, result=a_summary(order.fingerprint)), bot.bot_id, order.partition)

    # ── paper trading ─────────────────────────────────────────────────────────────────────────────────────────────

    def trade(self, bot: Bot, number: int) -> None:
        """A bar of the bot's session; the first one orders the session, some are taken twice, or by a process that lost its claim."""
        session = bot.session
        if session is None:
            paper = PaperOrder(session_id=self.drawn(), from_bar=FIRST_BAR, market=MARKET, session_s=60, stop="FLATTEN")
            order = an_order(bot.bot_id, tick=self.tick, seq=901, job_type=JobType.RUNNER_START, paper=paper, job_id=self.drawn())
            bot.session = Session(paper.session_id, order)
            self.fact(order)
            self.seal()
            self.say(JobStarted(**claim_of(bot.session)), bot.bot_id, order.partition)
            return
        match number % 6:
            case 0 if session.marks:
                again = session.marks[sorted(session.marks)[number % len(session.marks)]]
                self.take(session, again.bar, again=True)
            case 1:
                place = {name: value for name, value in claim_of(session).items() if name not in {"claim_id", "process_id"}}
                self.say(JobRequeued(**place, cause=Cause.LEASE_EXPIRED), bot.bot_id, session.order.partition)
                session.attempt += 1
                self.say(JobStarted(**claim_of(session)), bot.bot_id, session.order.partition)
            case 2:
                named = {name: value for name, value in claim_of(session).items() if name != "process_id"}
                self.say(a_beat("runner-1", HeldJob(**named, phase="trading", progress=0.1)), an_id("runner-1"))
            case _:
                self.take(session, 100 if session.bar is None else session.bar + 1)

    def take(self, session: Session, bar: int, *, again: bool = False) -> None:
        """What a runner says of one bar, the same whoever says it."""
        where = {**claim_of(session), "session_id": session.session_id, "bar_start": FIRST_BAR + timedelta(days=bar - 90), "bar": bar}
        key = session.order.bot_id
        if bar % 2:
            self.say(RunnerTraded(
                **where, order_id=an_id(f"{session.session_id}/{bar}"), kind="ENTRY" if bar % 4 == 1 else "EXIT", side="BUY", units=3.0,
                price_usd=10.0 + bar, fee_usd=0.1, pnl_usd=None if bar % 4 == 1 else 7.5,
            ), key)  # fmt: skip
        mark = a_mark(where, bar)
        self.say(mark, key)
        if not again:
            session.bar, session.last = bar, mark
            session.marks[bar] = mark

    def close(self, bot: Bot, cause: Cause = Cause.CANCELLED_BY_GATES) -> None:
        """The session ends at the last bar of the tick's cut."""
        session, bot.session = bot.session, None
        if session is not None:
            self.fact(closing(session, cause))
            self.closed.append(session)
            self.seal()

    def late(self, number: int) -> None:
        """Bars of a session whose runner does not know yet that it has closed."""
        if self.closed:
            session = self.closed[number % len(self.closed)]
            bar = 100 if session.bar is None else session.bar + 1
            for following in range(bar, bar + 1 + number % 3):
                self.take(session, following, again=True)
                session.bar = following

    def drift(self, bot: Bot, number: int) -> None:
        """A judgement of the live window."""
        if bot.session is not None:
            verdict = tuple(Drift)[number % len(Drift)]
            self.fact(DriftJudged(
                bot_id=bot.bot_id, job_id=self.drawn(), session_id=bot.session.session_id, verdict=verdict, findings=("PnL",),
                demote=verdict is Drift.MAJOR,
            ))  # fmt: skip

    def finish(self, bot: Bot, number: int) -> None:
        """The six hours are over: the session goes on as a new job."""
        session = bot.session
        if session is None or session.last is None:
            return
        summary = PaperSummary(
            session_id=session.session_id, last_bar=session.last.bar_start, traded_bars=1, trades=0, equity_usd=1.0, ended="SESSION_TIME"
        )
        self.say(JobSucceeded(**claim_of(session), paper=summary), bot.bot_id, session.order.partition)
        paper = session.order.paper
        assert paper is not None
        session.order = an_order(
            bot.bot_id, tick=self.tick, seq=901, job_type=JobType.RUNNER_START, job_id=self.drawn(),
            paper=paper.model_copy(update={"snapshot": session.last.snapshot, "last_bar": session.last.bar_start}),
        )  # fmt: skip
        session.attempt = 1
        self.fact(session.order)
        self.seal()
        if number % 2:
            self.say(JobStarted(**claim_of(session)), bot.bot_id, session.order.partition)


def claim_of(session: Session) -> dict[str, Any]:
    """The claim under which a session is traded now."""
    order = session.order
    return {
        "job_id": order.job_id, "bot_id": order.bot_id, "tick": order.tick, "attempt": session.attempt,
        "claim_id": an_id(f"claim/{order.job_id}/{session.attempt}"), "process_id": an_id("runner-1"),
    }  # fmt: skip


def a_mark(where: dict[str, Any], bar: int) -> RunnerMarked:
    """The account after a bar; every number follows from the bar."""
    units = 3.0 if bar % 4 in {1, 2} else 0.0
    held = sum(number % 4 in {1, 2} for number in range(100, bar + 1))
    outcomes = (0, bar - 99 - held, 0, held)
    snapshot = PaperSnapshot(state=(1.0,), account=(2.0,), tally=(3.0,), trade=(), target=0, bars_seen=bar, outcomes=outcomes)
    flat = FlatValue(units=units, price_usd=9.0 + bar, fee_usd=0.1, equity_usd=100_000.0 + bar / 7, pnl_usd=3.0 if units else None)
    return RunnerMarked(
        **where, close_usd=9.5 + bar, equity_usd=100_000.5 + bar / 7, cash_usd=99_000.0, units=units, trades=bar // 4,
        traded_bars=bar - 99, pnl_usd=0.5 + bar / 7, max_drawdown=0.01 * (bar % 5), sharpe=None if bar < 103 else 0.1 * bar,
        replay=True, outcome=BarOutcome.HELD if units else BarOutcome.NO_SIGNAL, why="the fast mean is above" if units else None,
        wanted=1.0 if units else 0.0, late_bars=0, snapshot=snapshot, flat=flat,
    )  # fmt: skip


def closing(session: Session, cause: Cause) -> SessionClosed:
    """What the planner says when it ends a session: the flatten of the last mark that it knows."""
    flat = session.last.flat if session.last else FlatValue(units=0.0, price_usd=0.0, fee_usd=0.0, equity_usd=0.0)
    return SessionClosed(
        session_id=session.session_id, bot_id=session.order.bot_id, cause=cause, actor="ada",
        last_bar=session.last.bar_start if session.last else None, bar=session.bar, units=flat.units, price_usd=flat.price_usd,
        fee_usd=flat.fee_usd, equity_usd=flat.equity_usd if session.last else None, pnl_usd=flat.pnl_usd,
    )  # fmt: skip


def a_gate(code: str, number: int) -> GateResult:
    """A promotion gate."""
    return GateResult(
        code=code, verdict=(Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)[number % 3], measured=str(number), required="30",
        clears_when="more trades", evidence_job=an_id("evidence"), evidence_age_bars=number % 9, fingerprint=a_digest("f"),
        deciding=number % 4 != 3, expires_at=instant_of_ms(NOON_MS) if number % 2 else None,
        figures=(GateFigure(name="trades", value=float(number), at_least=30.0),) if number % 2 else (),
    )  # fmt: skip


def an_evolution(number: int) -> EvolutionSummary:
    """What a search found."""
    contender = Contender(
        parameters={"fast": number % 9 + 2}, fingerprint=a_digest("c"), folds_sharpe=0.5, holdout_sharpe=0.4, holdout_psr=0.9,
        holdout_trades=5, holdout_max_drawdown=0.1,
    )  # fmt: skip
    return EvolutionSummary(
        fingerprint=a_digest("f"), data_sha256=a_digest("d"), source_id="us", synthetic=False, bars=900, first_bar=FIRST_BAR,
        last_bar=utc(2012, 1, 1), holdout_from=utc(2011, 6, 1), holdout_bars=150, paired_t=1.1 if number % 2 else None, seed=number, generations=2, evaluations=8,
        stop_reason="GENERATIONS_DONE", champion=contender, challenger=contender if number % 2 else None, dsr=0.6, pbo=0.2,
        trials_sha256=a_digest("t"), elapsed_s=1.0,
    )  # fmt: skip


ACTS: tuple[Callable[[Careers, Bot, int], None], ...] = (
    Careers.trade, Careers.trade, Careers.trade, Careers.trade, Careers.decide, Careers.recommend, Careers.recommend, Careers.evolve,
    Careers.evidence, Careers.look, Careers.drift, Careers.finish, Careers.revert, Careers.mark, lambda careers, bot, _: careers.close(bot),
    lambda careers, _, number: careers.late(number), lambda careers, _, __: careers.seal(),
)  # fmt: skip


def lived(steps: Sequence[Step]) -> Careers:
    """Live through steps: (what happens, to whom and how)."""
    careers = Careers()
    for act, number in steps:
        bot = careers.bot(number)
        if not bot.retired:
            ACTS[act % len(ACTS)](careers, bot, number // len(BOTS))
    return careers
