"""Lane 1 of the page: each state, and which one wins.

Source: R-B1.1, R-B2; docs/architecture.md, "What a bot does now".
"""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest

from autonomy.reasons import Reason
from autonomy.values import BotState, JobStatus, JobType
from projection.fold.bot_now import decided, recency_of, since_of, state_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=3)


def a_job(job_type: JobType, status: JobStatus = JobStatus.RUNNING, *, beats: bool = True) -> dict[str, Any]:
    started = NOON if status is JobStatus.RUNNING else None
    return {
        "id": f"{job_type}/{status}", "job_type": job_type.value, "status": status.value, "queued_at": NOON - timedelta(minutes=1),
        "started_at": started, "last_beat_at": (LATER if beats else started) if started else None, "beats": beats or None,
    }  # fmt: skip


# In the order of precedence; each is what makes one state on its own.
CAUSES: tuple[tuple[BotState, dict[str, Any]], ...] = (
    (BotState.BACKTEST_RUNNING, a_job(JobType.BACKTEST_REFRESH)),
    (BotState.BACKTEST_QUEUED, a_job(JobType.BACKTEST_BASELINE, JobStatus.QUEUED)),
    (BotState.EVOLVING, a_job(JobType.EVOLVE, JobStatus.QUEUED)),
    (BotState.RUNNER_RUNNING, a_job(JobType.RUNNER_START)),
)


@pytest.mark.parametrize(("state", "job"), [
    *CAUSES,
    (BotState.BACKTEST_RUNNING, a_job(JobType.BACKTEST_BASELINE)),
    (BotState.BACKTEST_QUEUED, a_job(JobType.BACKTEST_REFRESH, JobStatus.QUEUED)),
    (BotState.EVOLVING, a_job(JobType.EVOLVE)),
    (BotState.RUNNER_STALE, a_job(JobType.RUNNER_START, beats=False)),
    (BotState.RUNNER_STALE, a_job(JobType.RUNNER_START, JobStatus.QUEUED)),
])  # fmt: skip
def test_a_job_makes_its_state_whatever_was_decided(state: BotState, job: dict[str, Any]) -> None:
    for reason in ("", *(reason.value for reason in Reason)):
        now = state_of([job], reason)
        assert (now.state, now.job) == (state, job)


@pytest.mark.parametrize(("first", "second"), list(combinations(range(len(CAUSES)), 2)))
def test_of_two_jobs_the_earlier_state_wins_in_any_order(first: int, second: int) -> None:
    (state, job), (_, other) = CAUSES[first], CAUSES[second]
    assert state_of([job, other], "").state is state
    assert state_of([other, job], "").state is state


@pytest.mark.parametrize("before", [a_job(JobType.RUNNER_START, beats=False), a_job(JobType.RUNNER_START, JobStatus.QUEUED)])
def test_a_runner_that_trades_is_the_one_that_counts(before: dict[str, Any]) -> None:
    """The end of the one before it may be read later: the bot trades all the same."""
    trades = a_job(JobType.RUNNER_START)
    for jobs in ([before, trades], [trades, before]):
        now = state_of(jobs, "")
        assert (now.state, now.job) == (BotState.RUNNER_RUNNING, trades)


@pytest.mark.parametrize("reason", list(Reason))
def test_without_a_job_only_blocked_by_gates_is_not_idle(reason: Reason) -> None:
    expected = BotState.BLOCKED_BY_GATES if reason is Reason.BLOCKED_BY_GATES else BotState.IDLE
    assert state_of([], reason.value).state is expected


def test_a_bot_that_was_never_decided_is_idle() -> None:
    now = state_of([], "")
    assert (now.state, now.job) == (BotState.IDLE, None)


def test_every_state_has_a_case_here() -> None:
    """A state that nothing produces would be a promise without proof."""
    shown = {state for state, _ in CAUSES} | {BotState.RUNNER_STALE, BotState.BLOCKED_BY_GATES, BotState.IDLE}
    assert shown == set(BotState)


def test_since_is_the_jobs_own_time_while_a_job_makes_the_state() -> None:
    running, queued = a_job(JobType.EVOLVE), a_job(JobType.EVOLVE, JobStatus.QUEUED)
    assert since_of(state_of([running], ""), LATER, LATER) == NOON
    assert since_of(state_of([queued], ""), LATER, LATER) == NOON - timedelta(minutes=1)


@pytest.mark.parametrize(("decided", "ended", "since"), [
    (None, None, None), (NOON, None, NOON), (None, NOON, NOON), (NOON, LATER, LATER), (LATER, NOON, LATER),
])  # fmt: skip
def test_since_is_else_the_later_of_decision_and_end(decided: datetime | None, ended: datetime | None, since: datetime | None) -> None:
    assert since_of(state_of([], ""), decided, ended) == since


BASELINE, REFRESH, SEARCH = JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH, JobType.EVOLVE


@pytest.mark.parametrize(("evidence", "due", "reason", "ordered", "live", "shown"), [
    (None, BASELINE, "SCHEDULED", True, BASELINE, "none"),  # never tested
    ("before", None, "NOTHING_DUE", False, None, "fresh"),
    ("before", SEARCH, "SCHEDULED", True, SEARCH, "fresh"),  # a search says nothing about the evidence
    ("before", REFRESH, "COOLDOWN", False, None, "stale"),
    ("before", REFRESH, "SCHEDULED", True, REFRESH, "stale"),
    ("job", REFRESH, "SCHEDULED", True, None, "fresh"),  # answered; the next tick will say so too
    ("job", REFRESH, "ACTIVE_JOB", True, None, "fresh"),
    ("before", REFRESH, "SCHEDULED", True, None, "stale"),  # the refresh ended without a result
    ("job", REFRESH, "BLOCKED_BY_GATES", False, None, "stale"),
    ("job", REFRESH, "COOLDOWN", True, None, "stale"),
    ("before", BASELINE, "SCHEDULED", True, BASELINE, "none"),  # another version: the evidence is of the one before
    ("before", BASELINE, "ACTIVE_JOB", True, None, "none"),  # and its baseline failed
    ("job", BASELINE, "SCHEDULED", True, None, "fresh"),  # its baseline is there
    ("job", BASELINE, "ACTIVE_JOB", True, None, "fresh"),
    ("job", BASELINE, "SCHEDULED", True, JobType.RUNNER_START, "fresh"),  # a runner is no backtest
    ("job", BASELINE, "SCHEDULED", True, BASELINE, "none"),
    ("job", BASELINE, "COOLDOWN", False, None, "none"),  # wanted anew
    (None, REFRESH, "SCHEDULED", False, None, "none"),
])  # fmt: skip
def test_recency_is_what_is_due_unless_its_own_job_brought_the_evidence(
    evidence: str | None, due: JobType | None, reason: str, ordered: bool, live: JobType | None, shown: str
) -> None:
    row: dict[str, Any] = {
        "evidence_until": None if evidence is None else "2010-01-04", "evidence_job": evidence,
        "job_id": "live" if live else None, "job_type": live.value if live else None,
    }  # fmt: skip
    span: dict[str, Any] = {"job_type": due.value if due else None, "reason_code": reason, "job_id": "job" if ordered else None}
    assert recency_of(row, span) == shown


def test_recency_before_the_first_decision() -> None:
    nothing: dict[str, Any] = {"evidence_until": None, "evidence_job": None, "job_id": None, "job_type": None}
    assert recency_of(nothing, None) == "none"
    assert recency_of(nothing | {"evidence_until": "2010-01-04", "evidence_job": "job"}, None) == "fresh"


@pytest.mark.parametrize(
    ("reason", "would", "state"),
    [
        ("LOOP_DISABLED", "BLOCKED_BY_GATES", BotState.BLOCKED_BY_GATES), ("LOOP_DISABLED", "NOTHING_DUE", BotState.IDLE),
        ("LOOP_DISABLED", None, BotState.IDLE), ("BLOCKED_BY_GATES", None, BotState.BLOCKED_BY_GATES),
        ("NOTHING_DUE", "BLOCKED_BY_GATES", BotState.IDLE),
    ],
)  # fmt: skip
def test_a_pause_clears_no_gate(reason: str, would: str | None, state: BotState) -> None:
    assert state_of([], decided({"reason_code": reason, "would": would})).state is state
