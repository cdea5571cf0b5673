"""Paper sessions under faults on a real broker: one trader a bot, no bar skipped, none said in two ways, nothing after a cancel.

The test plays the planner's part by hand, so that each fault meets the runner at a known moment.

Source: R-A3.7, R-F10.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autonomy.clock import now_ms
from autonomy.events import JobEnqueued, JobReleased, JobStarted, JobSucceeded, RunnerMarked
from autonomy.values import Cause, JobStatus
from local_stack.settings import ROOT
from support.paper import HandPlanner, PaperLog, a_paper_order
from support.platform import BEAT_S, LEASE_S, Platform, Service, a_platform, wait_for
from support.servers import Database, a_broker, make_topics

pytestmark = pytest.mark.servers
PAPER_ONLY = {"RUNNER_RESEARCH_SLOTS": "1", "RUNNER_EVOLVE_SLOTS": "0", "RUNNER_DRAIN_S": "5"}


@pytest.fixture
def planner(platform: Platform) -> HandPlanner:
    return HandPlanner(platform.broker.bootstrap, lease_s=LEASE_S)


def a_runner(platform: Platform, planner: HandPlanner, module: str = "job_runner", **environment: str) -> Service:
    """A runner process that has begun to beat."""
    before = {beat.process_id for beat in planner.log().beats}
    started = platform.start("job-runner", module, **PAPER_ONLY, **environment)
    wait_for("its first beat", lambda: {beat.process_id for beat in planner.log().beats} - before, every_s=0.2)
    return started


def until(planner: HandPlanner, what: str, condition: Callable[[PaperLog], Any]) -> PaperLog:
    """The log as soon as a condition holds of it."""

    def look() -> PaperLog | None:
        log = planner.log()
        return log if condition(log) else None

    found: PaperLog = wait_for(what, look, every_s=0.15)
    return found


def until_bars(planner: HandPlanner, order: JobEnqueued, count: int) -> PaperLog:
    return until(planner, f"{count} bars", lambda log: len(log.marks(order)) >= count)


def until_beats(planner: HandPlanner, count: int) -> PaperLog:
    """The log after some more beats: whatever was under way is over."""
    before = len(planner.log().beats)
    return until(planner, f"{count} more beats", lambda log: len(log.beats) >= before + count)


def process_of(log: PaperLog, order: JobEnqueued, attempt: int) -> str:
    """The process of an attempt's winner."""
    claim = log.winners[order.job_id, attempt]
    return next(step.process_id for step in log.steps if isinstance(step, JobStarted) and step.claim_id == claim)


@pytest.mark.long
def test_a_session_trades_every_bar_once_and_ends_with_its_time(platform: Platform, planner: HandPlanner) -> None:
    a_runner(platform, planner)
    (order,) = planner.say(a_paper_order(session_s=6))
    ended = until(planner, "the session's end", lambda log: log.jobs[order.job_id].status is JobStatus.SUCCEEDED)
    marks = ended.check(order)
    assert len(marks) > 50
    assert len(ended.all_marks(order)) == len(marks), "a bar was said twice without a fault"
    (result,) = (step for step in ended.steps if isinstance(step, JobSucceeded))
    assert result.paper is not None
    assert (result.paper.last_bar, result.paper.traded_bars) == (marks[-1].bar_start, len(marks))
    assert {mark.replay for mark in marks} == {True}


@pytest.mark.long
def test_a_killed_runners_session_goes_on_elsewhere_after_its_last_bar(platform: Platform, planner: HandPlanner) -> None:
    first = a_runner(platform, planner)
    (order,) = planner.say(a_paper_order())
    until_bars(planner, order, 40)
    first.kill()
    stopped = planner.log()
    a_runner(platform, planner)
    planner.requeue(order, 1)
    after = until_bars(planner, order, len(stopped.marks(order)) + 40)
    marks = after.check(order)
    assert {mark.attempt for mark in marks} == {1, 2}
    assert [mark.bar for mark in after.all_marks(order)] == [mark.bar for mark in marks], "a bar was taken twice"


@pytest.mark.long
def test_a_frozen_runner_that_wakes_says_no_bar_that_counts(platform: Platform, planner: HandPlanner) -> None:
    frozen = a_runner(platform, planner)
    (order,) = planner.say(a_paper_order())
    until_bars(planner, order, 40)
    frozen.freeze()
    stopped = planner.log()
    last = stopped.marks(order)[-1]
    a_runner(platform, planner)
    planner.requeue(order, 1)
    until_bars(planner, order, len(stopped.marks(order)) + 40)
    frozen.thaw()
    sleeper = process_of(stopped, order, 1)
    awake = until(
        planner, "the woken one beats without the job", lambda log: any(
            beat.process_id == sleeper and beat.sequence > stopped.beats[-1].sequence and not beat.jobs for beat in log.beats
        )
    )  # fmt: skip
    after = until_bars(planner, order, len(awake.marks(order)) + 20)
    marks = after.check(order)
    by_sleeper = [mark.bar for mark in after.all_marks(order) if mark.process_id == sleeper]
    # The bar in flight when it was frozen may land late; it is one that the other has taken too, in the same words.
    assert by_sleeper[-1] <= last.bar + 1
    assert [mark.bar for mark in marks if mark.process_id == sleeper] == [mark.bar for mark in marks if mark.bar <= last.bar]


@pytest.mark.long
def test_a_runner_frozen_for_less_than_its_lease_goes_on_after_reading_that_it_still_wins(platform: Platform, planner: HandPlanner) -> None:
    """Longer than half a lease, so it is fenced; nobody took the job, so its state is still good."""
    frozen = a_runner(platform, planner)
    (order,) = planner.say(a_paper_order())
    before = until_bars(planner, order, 40)
    frozen.freeze()
    asleep_until = time.monotonic() + LEASE_S * 0.8
    wait_for("most of a lease", lambda: time.monotonic() >= asleep_until)
    frozen.thaw()
    after = until_bars(planner, order, len(before.marks(order)) + 80)
    marks = after.check(order)
    assert {mark.claim_id for mark in marks} == {marks[0].claim_id}
    assert [mark.bar for mark in after.all_marks(order)] == [mark.bar for mark in marks]


@pytest.mark.long
def test_an_outage_of_the_broker_costs_delay_and_not_the_claim(database: Database, tmp_path: Path) -> None:
    with a_broker(tmp_path) as broker:
        make_topics(broker.bootstrap)
        with a_platform(broker, database, tmp_path / "p") as platform:
            planner = HandPlanner(broker.bootstrap, lease_s=LEASE_S)
            a_runner(platform, planner)
            (order,) = planner.say(a_paper_order())
            before = until_bars(planner, order, 40)
            broker.kill()
            down_until = time.monotonic() + LEASE_S
            wait_for("an outage of a lease", lambda: time.monotonic() >= down_until)
            broker.start()
            after = until_bars(planner, order, len(before.marks(order)) + 80)
            marks = after.check(order)
            assert {mark.claim_id for mark in marks} == {marks[0].claim_id}
            assert after.jobs[order.job_id].attempt == 1


@pytest.mark.long
def test_a_cancelled_session_says_nothing_more(platform: Platform, planner: HandPlanner) -> None:
    a_runner(platform, planner)
    cancelled, other = planner.say(a_paper_order("gone"), a_paper_order("stays", seq=2))
    until_bars(planner, cancelled, 40)
    planner.cancel(cancelled)
    stopped = until(planner, "beats without it", lambda log: cancelled.job_id not in {held.job_id for held in log.beats[-1].jobs})
    last = stopped.check(cancelled)[-1]
    after = until_bars(planner, other, len(stopped.marks(other)) + 40)
    assert after.marks(cancelled)[-1] == last
    after.check(other)


@pytest.mark.long
def test_a_drained_runner_gives_its_session_back_after_the_bar_in_flight(platform: Platform, planner: HandPlanner) -> None:
    first = a_runner(platform, planner)
    (order,) = planner.say(a_paper_order())
    until_bars(planner, order, 40)
    assert first.stop() == 0
    stopped = planner.log()
    (released,) = (step for step in stopped.steps if isinstance(step, JobReleased))
    assert released.cause is Cause.RUNNER_DRAINED
    assert (stopped.jobs[order.job_id].status, stopped.jobs[order.job_id].failures) == (JobStatus.QUEUED, 0)
    a_runner(platform, planner)
    after = until_bars(planner, order, len(stopped.marks(order)) + 40)
    marks = after.check(order)
    assert [mark.bar for mark in after.all_marks(order)] == [mark.bar for mark in marks], "a bar was taken twice"


@pytest.mark.long
def test_a_renewed_session_goes_on_from_its_order_in_a_process_that_never_saw_it(platform: Platform, planner: HandPlanner) -> None:
    """The six-hour job's successor: the new process reads from a horizon after the last mark, so only the order can tell it."""
    first = a_runner(platform, planner)
    (order,) = planner.say(a_paper_order(session_s=4))
    ended = until(planner, "the first job's end", lambda log: log.jobs[order.job_id].status is JobStatus.SUCCEEDED)
    first.stop()
    planner.say()
    planner.horizon = planner.chain.head
    last: RunnerMarked = ended.marks(order)[-1]
    assert order.paper is not None
    paper = order.paper.model_copy(update={"snapshot": last.snapshot, "last_bar": last.bar_start})
    renewed = order.model_copy(update={"paper": paper, "job_id": a_paper_order(order.bot_id, seq=9).job_id})
    a_runner(platform, planner)
    planner.say(renewed)
    after = until_bars(planner, order, len(ended.marks(order)) + 40)
    marks = after.check(order)
    assert {mark.job_id for mark in marks} == {order.job_id, renewed.job_id}
    assert [mark.bar for mark in after.all_marks(order)] == [mark.bar for mark in marks], "a bar was taken twice"


@pytest.mark.long
def test_a_hung_session_stops_beating_while_its_neighbour_goes_on(platform: Platform, planner: HandPlanner, tmp_path: Path) -> None:
    flag = tmp_path / "hang"
    environment = {"HANG_SYMBOL": "AAPL", "HANG_FILE": str(flag), "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"}
    a_runner(platform, planner, "support.hanging_runner", **environment)
    hangs, healthy = planner.say(a_paper_order("hangs"), a_paper_order("healthy", seq=2, symbol="IBM"))
    until_bars(planner, hangs, 20)
    both = until_beats(planner, 3)
    assert {held.job_id for held in both.beats[-1].jobs} == {hangs.job_id, healthy.job_id}, "both are listed while both turn"
    flag.touch()
    until_beats(planner, 3)
    beats = until_beats(planner, round(LEASE_S / BEAT_S)).beats[-round(LEASE_S / BEAT_S) :]
    listed = [held.job_id for beat in beats for held in beat.jobs]
    assert hangs.job_id not in listed
    assert listed.count(healthy.job_id) >= len(beats) / 2, "its neighbour, in the same process, beats on"
    stopped = planner.log()
    a_runner(platform, planner)
    planner.requeue(hangs, 1)
    after = until_bars(planner, hangs, len(stopped.marks(hangs)) + 20)
    after.check(hangs)
    assert process_of(after, hangs, 2) != process_of(after, hangs, 1), "the one that hung let the other have it"
    after.check(healthy)
    flag.unlink()


@pytest.mark.long
def test_many_sessions_in_one_process_keep_up_with_their_clock(platform: Platform, planner: HandPlanner) -> None:
    a_runner(platform, planner)
    orders = planner.say(*(a_paper_order(f"bot-{n:02}", seq=n, seconds_per_bar=0.5) for n in range(1, 31)))
    log = until(planner, "20 bars each", lambda log: all(len(log.marks(order)) >= 20 for order in orders))
    for order in orders:
        log.check(order)
    epoch_ms = round(orders[0].paper.market.epoch.timestamp() * 1000) if orders[0].paper else 0
    assert now_ms() - epoch_ms < 60_000
