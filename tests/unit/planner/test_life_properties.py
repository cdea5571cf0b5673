"""Whatever happens to a fleet: nobody goes up without every gate, a revert sticks, and what is remembered never changes a decision.

Source: R-C1, R-C2.2, R-A3.1.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autonomy.events import (
    DriftJudged,
    JobEnqueued,
    PinBot,
    RejectPromotion,
    ResearchSummary,
    SessionClosed,
    SetPromotionMode,
    StageChanged,
    TimingFound,
    UnpinBot,
)
from autonomy.values import FOUR_EYES, Cause, Drift, JobStatus, JobType, Stage
from planner.decide.looking import digest_of
from planner.decide.plan import decide
from planner.decide.view import build_view
from planner.fold.state import Memo
from planner.tick import Try
from support.builders import a_policy, an_id, metrics
from support.lives import (
    STRONG,
    a_document,
    a_fleet,
    a_search,
    approve,
    engine_window,
    mark,
    order_of,
    research,
    revert,
    step,
    until_live,
)
from support.ticks import TickDriver, events_of

BOTS = ("a", "b", "c", "d", "e", "f")
WEAKER: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {"net_t": 0.2}, {"timing": TimingFound(z=2.0, p_value=0.02, markets=1000, seed=7)}, {"net_t": None}, {"look_ahead_ok": False}, {"synthetic": True}, {"metrics": metrics(sharpe=0.1)},
)  # fmt: skip
Step = tuple[int, int]


@dataclass
class Witness:
    """What an outsider knows from the log alone: orders and reverts with their place (tick, seq), results said, moves."""

    orders: dict[str, JobEnqueued] = field(default_factory=dict)
    results: dict[str, ResearchSummary] = field(default_factory=dict)
    ordered_at: dict[str, tuple[int, int]] = field(default_factory=dict)
    reverted_at: dict[str, tuple[int, int]] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    drift: dict[str, Drift] = field(default_factory=dict)
    bars: Counter[str] = field(default_factory=Counter)
    ups: Counter[Stage] = field(default_factory=Counter)

    def watch(self, tick: int, attempt: Try) -> None:
        """Look at an accepted tick."""
        for seq, event in enumerate(events_of(attempt), start=1):
            if isinstance(event, JobEnqueued):
                self.orders[event.job_id], self.ordered_at[event.job_id] = event, (tick, seq)
            elif isinstance(event, StageChanged):
                self._moved((tick, seq), event)
            elif isinstance(event, DriftJudged):
                self.drift[event.bot_id] = event.verdict
            elif isinstance(event, SessionClosed):
                self._begin(event.bot_id)

    def _begin(self, bot_id: str) -> None:
        """What a runner showed before this counts no more."""
        self.drift.pop(bot_id, None)
        self.bars.pop(bot_id, None)

    def _moved(self, place: tuple[int, int], event: StageChanged) -> None:
        assert self.stages.get(event.bot_id) == event.from_stage
        self.stages[event.bot_id] = event.to_stage
        if event.from_stage is None:
            return
        if event.to_stage is Stage.LAB:
            self.reverted_at[event.bot_id] = place
            self._begin(event.bot_id)
            return
        self.ups[event.to_stage] += 1
        if event.to_stage in FOUR_EYES:
            assert len(set(event.approved_by)) == 2, "one pair of eyes"
        if event.from_stage is not Stage.LAB:
            assert self.bars[event.bot_id] >= 20, "too few bars traded in the stage"
            assert self.drift.get(event.bot_id) in {Drift.CONSISTENT, Drift.MINOR}, "drifting, or never compared"
        self._begin(event.bot_id)
        assert event.evidence_job is not None
        order, result = self.orders[event.evidence_job], self.results[event.evidence_job]
        assert order.bot_id == event.bot_id
        # The revert's own tick orders the new baseline, after it.
        assert self.ordered_at[order.job_id] > self.reverted_at.get(event.bot_id, (0, 0)), "promoted on evidence from before the revert"
        assert result.fingerprint == order.fingerprint
        assert passes(result), result


def passes(result: ResearchSummary) -> bool:
    """The default thresholds, by hand; what a look asks for rises from 2.9678 on, and the first that fails stands for 500 bars."""
    whole = result.metrics
    if not result.look_ahead_ok or result.synthetic or result.net_t is None or result.timing.z is None:
        return False
    assert whole.exposure is not None
    assert whole.bars_per_trade is not None
    assert whole.max_drawdown is not None
    return whole.exposure >= 0.02 and whole.bars_per_trade >= 2.0 and whole.trades >= 10 and result.net_t >= 1.64


class History:
    """A fleet that lives through random steps."""

    def __init__(self) -> None:
        self.driver: TickDriver = a_fleet(*BOTS, searches=True)
        self.witness = Witness()
        self.seen = 0
        for bot in BOTS[:3]:  # some bots are at the door from the start, or too few histories would ever go up
            live = next(live for live in self.driver.live() if live.job.bot_id == bot)
            self.driver.claim(live)
            step(self.driver)
            self.driver.succeed(self.driver.state.jobs.rows[live.job.job_id], **STRONG)
        step(self.driver)
        self._to_the_door_of_canary(BOTS[0])

    def _to_the_door_of_canary(self, bot: str) -> None:
        """One bot has gone a long way already: without it hardly any history would leave PAPER."""
        driver = self.driver
        for stage in (Stage.PAPER, Stage.SHADOW):
            approve(driver, bot)
            assert driver.state.bots.rows[bot].stage is stage
            self._look()
            queued = [
                live for live in driver.live(JobStatus.QUEUED) if live.job.bot_id == bot and live.job.job_type is JobType.RUNNER_START
            ]
            for live in queued:
                driver.claim(live)
                step(driver)
            self._take(bot, 30)
            step(driver, after_ms=450_000)
            live = until_live(driver, bot, JobType.BACKTEST_REFRESH, marks=1)
            research(driver, bot, window=engine_window(driver, live))
            self._look()
        assert driver.state.bots.rows[bot].recommendation is not None

    def _take(self, bot: str, bars: int) -> None:
        mark(self.driver, bot, bars)
        self.witness.bars[bot] += bars

    def do(self, act: int, number: int) -> None:
        """One step."""
        bot = BOTS[number % len(BOTS)]
        match act:
            case 0 | 1:
                self._claim(number)
            case 2 | 3 | 4:
                self._succeed(number)
            case 5:
                approve(self.driver, bot, actor=("ada", "ben")[number // len(BOTS) % 2])
            case 6:
                self._mark(bot, number)
            case 7:
                self._operate(bot, number)
            case 8 if number % 4 == 0:
                revert(self.driver)
            case 8:
                revert(self.driver, bot_ids=(bot,))
            case _:
                step(self.driver, after_ms=(0, 1_000, 15_000, 60_000, 300_000)[number % 5])
        self._look()

    def _live(self, status: JobStatus, number: int) -> Any:
        found = [live for live in self.driver.live(status) if live.cancel is None]
        return found[number % len(found)] if found else None

    def _claim(self, number: int) -> None:
        live = self._live(JobStatus.QUEUED, number)
        if live is not None:
            self.driver.claim(live)
            step(self.driver)

    def _succeed(self, number: int) -> None:
        live = self._live(JobStatus.RUNNING, number)
        if live is None:
            return
        driver = self.driver
        match live.job.job_type:
            case JobType.EVOLVE:
                driver.finish(live, evolution=a_search(live, order_of(driver, live), dsr=(0.9, 0.1)[number % 2]))
            case JobType.RUNNER_START:
                if number % 3 == 0:
                    driver.fail(live, Cause.RUNNER_LOST)
            case _:
                # Whoever claims it may be overtaken by a revert; the result is said all the same.
                found = {**STRONG, **WEAKER[number % len(WEAKER)]}
                if live.measure is not None:
                    found["window"] = engine_window(driver, live, trades=live.measure.trades * (1, 1, 1, 3)[number % 4])
                driver.succeed(live, **found)
        step(driver)

    def _mark(self, bot: str, number: int) -> None:
        known = self.driver.state.bots.rows[bot]
        running = [
            live for live in self.driver.live(JobStatus.RUNNING) if live.job.bot_id == bot and live.job.job_type is JobType.RUNNER_START
        ]
        if known.paper is not None and running:
            self._take(bot, 1 + number % 25)
        step(self.driver)

    def _operate(self, bot: str, number: int) -> None:
        driver, known = self.driver, self.driver.state.bots.rows[bot].recommendation
        match number % 5:
            case 0:
                driver.command(SetPromotionMode, mode=("AUTO", "MANUAL")[number // 5 % 2], role="approver")
            case 1:
                driver.command(PinBot, bot_id=bot, reason="kept")
            case 2:
                driver.command(UnpinBot, bot_id=bot)
            case 3 if known is not None:
                driver.command(RejectPromotion, bot_id=bot, recommendation_id=known.id)
            case _:
                pass
        step(driver)

    def _look(self) -> None:
        """Every new tick: what was said is what the witness allows, and a planner without memories decides the same."""
        for attempt in self.driver.tries[self.seen :]:
            for stored in self.driver.log.values():
                for value in stored:
                    self._remember(value)
            self.witness.watch(attempt.seal.tick, attempt)
        self.seen = len(self.driver.tries)
        state = self.driver.state
        view = build_view(state, self.driver.now_ms)
        warm = decide(state, view)
        memo, state.memo = state.memo, Memo()
        cold = decide(state, view)
        state.memo = memo
        assert warm == cold
        assert warm.digest == digest_of(warm.decisions)
        for bot_id, bot in state.bots.rows.items():
            assert self.witness.stages[bot_id] is bot.stage

    def _remember(self, value: bytes) -> None:
        if b"job-succeeded" not in value or value in self._told:
            return
        self._told.add(value)
        from autonomy.envelope import Received, decode

        received = decode(value, "autonomy.jobs")
        assert isinstance(received, Received)
        result = getattr(received.event, "result", None)
        if isinstance(result, ResearchSummary):
            self.witness.results[received.event.job_id] = result  # type: ignore[attr-defined]

    @property
    def _told(self) -> set[bytes]:
        told: set[bytes] = self.__dict__.setdefault("told", set())
        return told


steps = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 10_000)), min_size=5, max_size=45)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_nobody_goes_up_without_every_gate_and_a_revert_sticks(history: list[Step]) -> None:
    lived = History()
    for act, number in history:
        lived.do(act, number)


def test_same_log_is_decided_the_same_by_a_reader_that_starts_cold() -> None:
    lived = History()
    chance = random.Random(11)
    lived.do(5, 0)
    lived.do(5, len(BOTS))  # the second approver
    for _ in range(150):
        lived.do(chance.randrange(12), chance.randrange(10_000))
    assert set(lived.witness.ups) >= {Stage.PAPER, Stage.SHADOW, Stage.CANARY}, "the history promotes too few: it proves little"
    assert lived.witness.reverted_at
    follower, again = lived.driver.reader(), lived.driver.reader()
    for accepted in lived.driver.accepted:
        assert follower.follow(accepted) is None
        assert again.re_decide(accepted) is None
    assert follower.state.hash() == lived.driver.state.hash()


def test_witness_notices_a_promotion_on_old_evidence() -> None:
    """Negative control: the planted fault is a revert that keeps its evidence."""
    lived = History()
    witness = lived.witness
    order = JobEnqueued.model_construct(job_id=an_id("old"), bot_id="a", tick=3, fingerprint="f")  # type: ignore[call-arg] # what the witness reads
    witness.orders[order.job_id], witness.ordered_at[order.job_id], witness.stages["a"] = order, (3, 1), Stage.LAB
    witness.results[order.job_id] = ResearchSummary.model_construct(fingerprint="f")  # type: ignore[call-arg] # as above
    witness.reverted_at["a"] = (5, 1)
    moved = StageChanged(
        event_id=an_id("move"), bot_id="a", from_stage=Stage.LAB, to_stage=Stage.PAPER, reason_code="PROMOTED", actor="ada",
        evidence_job=order.job_id,
    )  # fmt: skip
    with pytest.raises(AssertionError, match="before the revert"):
        witness.watch(6, _try_of(moved))


@pytest.mark.parametrize(("lack", "words"), [("eyes", "one pair of eyes"), ("bars", "too few bars"), ("drift", "drifting")])
def test_witness_notices_a_step_beyond_paper_that_lacks_something(lack: str, words: str) -> None:
    """Negative control: a witness that knows all but one of what the step needs."""
    lived = History()
    witness = lived.witness
    assert witness.stages["a"] is Stage.SHADOW
    evidence = lived.driver.state.bots.rows["a"].evidence
    assert evidence is not None
    if lack == "bars":
        witness.bars["a"] = 3
    if lack == "drift":
        witness.drift["a"] = Drift.MAJOR
    moved = StageChanged(
        event_id=an_id("move"), bot_id="a", from_stage=Stage.SHADOW, to_stage=Stage.CANARY, reason_code="PROMOTED", actor="ben",
        approved_by=("ben",) if lack == "eyes" else ("ada", "ben"), evidence_job=evidence.job_id,
    )  # fmt: skip
    with pytest.raises(AssertionError, match=words):
        witness.watch(99, _try_of(moved))


def _try_of(event: StageChanged) -> Any:
    from autonomy.chain import write_records

    records = write_records([event], ["a"], 6, an_id("try"), 0)
    return type("Attempt", (), {"records": (*records, None)})()


def test_policy_of_these_histories_keeps_the_default_thresholds() -> None:
    assert a_document()["stages"]["LAB"]["gates"] == a_policy().model_dump(mode="json")["stages"]["LAB"]["gates"]
