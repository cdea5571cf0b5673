"""Research on the very bytes that it was done on before is not ordered again, whatever a runner read meanwhile.

Source: R-A5, R-A3.3.
"""

from datetime import date, timedelta

import pytest

from autonomy.bar_times import pack_times
from autonomy.events import (
    CapabilitiesAnnounced,
    CommandRejected,
    HoldReleased,
    JobFailed,
    JobSucceeded,
    ReleaseHold,
    SourceFault,
    TickRecord,
)
from autonomy.gates import GateCode
from autonomy.reasons import Reason
from autonomy.timeframes import DAY_MS
from autonomy.values import Cause, JobStatus, JobType, instant_of_ms
from planner.check.plans import check
from planner.decide import wishes
from planner.decide.commands import apply_command
from planner.decide.gates import findings
from planner.decide.plan import decide
from planner.decide.view import View, build_view
from planner.decide.wishes import Decision, wish_of
from planner.fold.entities import Bot
from planner.fold.facts import fold_fact
from planner.fold.slices import Folded, fold_capabilities, fold_job_step
from planner.fold.state import State
from support.builders import (
    FIRST_DAYS,
    NOON_MS,
    SECOND_MS,
    a_bot,
    a_command,
    a_live_job,
    a_policy,
    a_state,
    a_summary,
    a_symbol,
    an_id,
    bar_starts,
    capabilities,
)
from support.changes import replace

REPLAY = {"mode": "REPLAY", "start": "2010-01-04", "end": "2013-03-01", "seconds_per_bar": 10.0}
LIVE = {"mode": "LIVE"}
TODAY = date(2026, 11, 22)  # NOON_MS
HERE = capabilities("runner-1")


def offered(last: date, content: str = "AAPL") -> CapabilitiesAnnounced:
    """A runner that offers AAPL up to a day."""
    starts = bar_starts(FIRST_DAYS["AAPL"], last)
    bars = a_symbol("AAPL", content).model_copy(
        update={"bars": len(starts), "times": pack_times(starts, "1d"), "last": instant_of_ms(starts[-1])}
    )
    return HERE.model_copy(update={"symbols": (bars,)})


def wish(state: State, now_ms: int = NOON_MS) -> Decision:
    view = build_view(state, now_ms)
    return wish_of(state.bots.rows["aapl-sma"], state, view)[0]


def order(state: State, view: View, name: str, job_type: JobType = JobType.BACKTEST_BASELINE) -> None:
    """A job of the bot as the planner orders it now, claimed."""
    bot = state.bots.rows["aapl-sma"]
    live = a_live_job(state, bot.id, name, status=JobStatus.RUNNING, job_type=job_type)
    state.jobs.put(live.job.job_id, replace(
        live, fingerprint=view.fingerprint(bot), content=view.data["AAPL", "1d"].offer.content, until_ms=view.market_ms - DAY_MS,
    ))  # fmt: skip


def claim(name: str) -> dict[str, object]:
    return {
        "job_id": an_id(name), "bot_id": "aapl-sma", "tick": 1, "attempt": 1, "claim_id": an_id(f"claim/{name}"),
        "process_id": an_id("runner-1"),
    }  # fmt: skip


def finish(state: State, view: View, name: str, bars: int) -> None:
    """The job ends on so many bars."""
    bot = state.bots.rows["aapl-sma"]
    result = a_summary(view.fingerprint(bot), bars=bars)
    fold_job_step(state, JobSucceeded(**claim(name), result=result), view.now_ms, Folded([], set()))
    assert state.bots.rows["aapl-sma"].evidence is not None


def researched(state: State, now_ms: int, name: str, more_bars: int, job_type: JobType = JobType.BACKTEST_BASELINE) -> None:
    """A job ordered and done now, by a runner that read more bars than were announced, or fewer."""
    view = build_view(state, now_ms)
    order(state, view, name, job_type)
    finish(state, view, name, view.data["AAPL", "1d"].bars + more_bars)


@pytest.mark.parametrize("market", [LIVE, REPLAY], ids=["live", "replay"])
def test_evidence_on_bars_that_are_not_announced_yet_is_not_asked_for_again(market: dict[str, object]) -> None:
    last, at_ms = (TODAY - timedelta(days=3), NOON_MS) if market is LIVE else (date(2010, 1, 4), NOON_MS + 100 * SECOND_MS)
    state = a_state(a_bot(), policy=a_policy(market=market), runners=(offered(last),))
    assert wish(state, at_ms).reason is Reason.SCHEDULED
    researched(state, at_ms, "first", more_bars=1)
    asked = wish(state, at_ms + 1_000)
    assert asked.reason is Reason.NOTHING_DUE, "the same order would find the same"
    # The announcement comes: the evidence stands, and nothing is due.
    fold_capabilities(state, offered(last + timedelta(days=1), "new"), set())
    assert wish(state, at_ms + 2_000).reason is Reason.NOTHING_DUE


def test_negative_control_without_the_guard_the_same_baseline_is_ordered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    state = a_state(a_bot(), policy=a_policy(market=LIVE), runners=(offered(TODAY - timedelta(days=3)),))
    researched(state, NOON_MS, "first", more_bars=1)
    monkeypatch.setattr(wishes, "other_bytes_ms", lambda *_: 0)
    assert wish(state, NOON_MS + 1_000).reason is Reason.SCHEDULED
    view = build_view(state, NOON_MS + 1_000)
    found = check(decide(state, view), state, view)
    assert any("ordered for already" in line for line in found), found


def test_a_mended_file_with_fewer_bars_is_researched_once_more() -> None:
    last = TODAY - timedelta(days=3)
    state = a_state(a_bot(), policy=a_policy(market=LIVE), runners=(offered(last),))
    researched(state, NOON_MS, "first", more_bars=0)
    assert wish(state, NOON_MS + 1_000).reason is Reason.NOTHING_DUE
    fold_capabilities(state, offered(last - timedelta(days=30), "mended"), set())
    assert wish(state, NOON_MS + 2_000).reason is Reason.SCHEDULED


def test_a_refresh_that_found_fewer_bars_than_announced_waits_for_the_next_bar() -> None:
    state = a_state(a_bot(), policy=a_policy(market=REPLAY), runners=(offered(date(2013, 3, 1)),))
    researched(state, NOON_MS, "first", more_bars=0)
    later_ms = NOON_MS + 400 * 10 * SECOND_MS
    asked = wish(state, later_ms)
    assert (asked.reason, asked.job_type) == (Reason.SCHEDULED, JobType.BACKTEST_REFRESH)
    researched(state, later_ms, "second", more_bars=-300, job_type=JobType.BACKTEST_REFRESH)
    asked = wish(state, later_ms + 1)
    assert asked.reason is Reason.NOTHING_DUE
    assert asked.next_due_ms is not None
    assert later_ms < asked.next_due_ms <= later_ms + 20 * 10 * SECOND_MS
    assert wish(state, asked.next_due_ms).reason is Reason.SCHEDULED


def test_a_replay_clock_that_was_set_back_asks_for_a_baseline_on_the_bars_of_then() -> None:
    state = a_state(a_bot(), policy=a_policy(market=REPLAY), runners=(offered(date(2013, 3, 1)),))
    later_ms = NOON_MS + 400 * 10 * SECOND_MS
    researched(state, later_ms, "first", more_bars=0)
    assert wish(state, later_ms + 1_000).reason is Reason.NOTHING_DUE
    state.single = replace(state.single, market_epoch_ms=later_ms)
    assert wish(state, later_ms + 1_000).reason is Reason.SCHEDULED


def failed(state: State, cause: Cause, *, may_pass: bool) -> Bot:
    view = build_view(state, NOON_MS)
    order(state, view, "failed")
    step = JobFailed(**claim("failed"), cause=cause, detail="half a line", may_pass=may_pass)
    fold_job_step(state, step, NOON_MS, Folded([], set()))
    return state.bots.rows["aapl-sma"]


@pytest.mark.parametrize("cause", [Cause.DATA_MISSING, Cause.BAD_INPUT])
def test_a_failure_that_may_pass_blocks_nobody_and_is_tried_again_after_a_rest(cause: Cause) -> None:
    state = a_state(a_bot(), policy=a_policy(market=LIVE), runners=(offered(TODAY - timedelta(days=3)),))
    bot = failed(state, cause, may_pass=True)
    assert (bot.failure, bot.research.crashes) == (None, 0)
    assert wish(state, NOON_MS + 1_000).reason is Reason.COOLDOWN
    view = build_view(state, NOON_MS + 1_000)
    planted = decide(state, view)
    planted = replace(planted, granted=(planted.decisions[0]._replace(reason=Reason.SCHEDULED, job_type=JobType.BACKTEST_BASELINE),))
    assert any("in its cooldown" in line for line in check(planted, state, view))
    assert wish(state, NOON_MS + 60_000).reason is Reason.SCHEDULED


@pytest.mark.parametrize("cause", [Cause.DATA_MISSING, Cause.BAD_INPUT])
def test_a_failure_of_the_very_input_blocks_until_that_changes(cause: Cause) -> None:
    """Negative control: the same failure, said to be one that the same input meets again."""
    last = TODAY - timedelta(days=3)
    state = a_state(a_bot(), policy=a_policy(market=LIVE), runners=(offered(last),))
    bot = failed(state, cause, may_pass=False)
    assert bot.failure is not None
    assert wish(state, NOON_MS + 10**9).blockers == (GateCode.LAST_FAILURE,)
    fold_capabilities(state, offered(last, "mended"), set())
    assert wish(state, NOON_MS + 10**9).reason is Reason.SCHEDULED


def test_an_operator_frees_a_bot_of_a_failure_that_was_of_another_input() -> None:
    """Also of one that an older runner met on a file that was half written, and that was remembered against the announced one."""
    state = a_state(a_bot(), policy=a_policy(market=LIVE), runners=(offered(TODAY - timedelta(days=3)),))
    failed(state, Cause.BAD_INPUT, may_pass=False)
    asked = wish(state, NOON_MS + 10**9)
    assert asked.blockers == (GateCode.LAST_FAILURE,)
    (finding,) = findings(state.bots.rows["aapl-sma"], JobType.BACKTEST_BASELINE, build_view(state, NOON_MS + 10**9))
    assert "ReleaseHold" in finding.clears_when
    said: list[TickRecord] = []

    def say(fact: TickRecord) -> None:
        said.append(fact)
        fold_fact(state, fact, 1, len(said), NOON_MS)

    apply_command(state, a_command(ReleaseHold, bot_id="aapl-sma"), NOON_MS, say)
    assert [fact.kind for fact in said if isinstance(fact, HoldReleased)] == ["FAILURE"]
    assert wish(state, NOON_MS + 10**9).reason is Reason.SCHEDULED
    apply_command(state, a_command(ReleaseHold, "again", bot_id="aapl-sma"), NOON_MS, say)
    assert isinstance(said[-1], CommandRejected)
    assert said[-1].code == "NOT_HELD"


def test_a_symbol_that_cannot_be_read_says_why() -> None:
    fault = SourceFault(name="AAPL 1d", reason="AAPL/1d.csv row 3: 6 cells, got '3'", in_use=False)
    said = HERE.model_copy(update={"symbols": tuple(bars for bars in HERE.symbols if bars.symbol != "AAPL"), "faults": (fault,)})
    state = a_state(a_bot(), runners=(said,))
    listed = findings(state.bots.rows["aapl-sma"], JobType.BACKTEST_BASELINE, build_view(state, NOON_MS))
    found = next(finding for finding in listed if finding.code is GateCode.MARKET_DATA)
    assert found.measured == "the bars of AAPL 1d cannot be read: AAPL/1d.csv row 3: 6 cells, got '3'"


def test_days_of_these_tests() -> None:
    assert instant_of_ms(build_view(a_state(policy=a_policy(market=LIVE)), NOON_MS).market_ms).date() == TODAY
