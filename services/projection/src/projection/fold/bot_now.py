"""The one definition of what a bot does now: lane 1 of the page, derived from job rows and the last decision.

Place in the flow: after every change of a bot's jobs, decision or stage. Pure. Nothing else in the platform derives a badge.

Source: R-B1, R-B2.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from autonomy.events import ResearchSummary
from autonomy.reasons import WITH_JOB, Reason
from autonomy.values import BotState, JobStatus, JobType
from autonomy.work import Work, types_of

Row = dict[str, object]
COPIED = (
    "stage", "name", "strategy", "symbol", "timeframe", "parameters", "origin", "pinned", "pin_reason", "pinned_by", "pinned_until",
    "version",
)  # fmt: skip
"""What a badge row repeats of the bot's own, for filters and search."""
_copied = itemgetter(*COPIED)
BACKTESTS = frozenset(job_type.value for job_type in types_of(Work.BACKTEST))


@dataclass(frozen=True, slots=True)
class Now:
    """Lane 1 with the job that makes it so, if a job does."""

    state: BotState
    job: Mapping[str, object] | None


def state_of(live_jobs: Iterable[Mapping[str, object]], last_reason: str) -> Now:
    """The first that applies, in the order of `BotState`.

    Args:
        live_jobs: the bot's QUEUED and RUNNING rows of `bot_jobs`.
        last_reason: reason code of its standing decision; empty before the first.
    """
    jobs = list(live_jobs)
    backtests = [job for job in jobs if job["job_type"] in BACKTESTS]
    for status, state in (
        (JobStatus.RUNNING.value, BotState.BACKTEST_RUNNING),
        (JobStatus.QUEUED.value, BotState.BACKTEST_QUEUED),
    ):
        for job in backtests:
            if job["status"] == status:
                return Now(state, job)
    for job in jobs:
        if job["job_type"] == JobType.EVOLVE.value:
            return Now(BotState.EVOLVING, job)
    if (runner := runner_of(jobs)) is not None:
        return Now(BotState.RUNNER_RUNNING if _trades(runner) else BotState.RUNNER_STALE, runner)
    if last_reason == Reason.BLOCKED_BY_GATES.value:
        return Now(BotState.BLOCKED_BY_GATES, None)
    return Now(BotState.IDLE, None)


def runner_of(jobs: Iterable[Mapping[str, object]]) -> Mapping[str, object] | None:
    """The bot's paper runner: the one that trades, where the end of the one before it was not read yet, else the first."""
    runners = [job for job in jobs if job["job_type"] == JobType.RUNNER_START.value]
    return next((job for job in runners if _trades(job)), runners[0] if runners else None)


def _trades(runner: Mapping[str, object]) -> bool:
    """A beat of the winner is the only sign that the runner trades; readers age it by their own clock."""
    return runner["status"] == JobStatus.RUNNING.value and bool(runner["beats"])


def decided(span: Row | None) -> str:
    """The standing decision's reason, as far as a badge goes by it; empty before the first.

    A pause stops what would be enqueued and clears no gate: a bot that would be blocked without it is blocked all the same.
    """
    if span is None:
        return ""
    paused = span["reason_code"] == Reason.LOOP_DISABLED.value and span.get("would")
    return str(span["would"] if paused else span["reason_code"])


def since_of(now: Now, decided_at: datetime | None, ended_at: datetime | None) -> object:
    """Since when: the job's own time where a job makes the state, else the later of the decision and the last job's end.

    Derived from rows alone, so that it does not depend on the order in which topics were read.
    """
    if now.job is not None:
        started = now.job["status"] == JobStatus.RUNNING.value
        return now.job["started_at"] if started else now.job["queued_at"]
    times = [time for time in (decided_at, ended_at) if time is not None]
    return max(times) if times else None


def evidence(job_id: str, found: ResearchSummary, at: datetime) -> Row:
    """What a backtest found, as far as the badge row shows it."""
    metrics = found.metrics
    return {
        "evidence_until": found.last_bar, "evidence_at": at, "evidence_job": job_id,
        "synthetic": found.synthetic, "sharpe": metrics.sharpe, "max_drawdown": metrics.max_drawdown, "trades": metrics.trades,
        "spark": found.curve,
    }  # fmt: skip


def last_end(known: Row, at: datetime, event_id: str) -> Row:
    """The columns that tell when the last of a bot's jobs ended, if this end is later than the known one.

    Of two jobs the one that ended first may be read last, if both waited for their ticks.
    """
    before = _time(known.get("ended_at"))
    later = before is None or (at, event_id) > (before, str(known["ended_event_id"]))
    return {"ended_at": at, "ended_event_id": event_id} if later else {}


def badge_row(bot: Row, span: Row | None, live: Iterable[Row], before: Row) -> Row:
    """The row of a bot's badge, but for its session and its recommendation.

    Args:
        bot: its own row.
        span: its standing decision.
        live: its live jobs.
        before: what is kept from batch to batch: evidence, times, promotion gates, drift.
    """
    jobs = sorted(live, key=_place)  # of a class at most one is live; should that ever break, every reader still shows the same one
    now = state_of(jobs, decided(span))
    job: Mapping[str, object] = now.job or {}
    runner: Mapping[str, object] = runner_of(jobs) or {}
    decided_at, ended_at = _time(before["decided_at"]), _time(before["ended_at"])
    ended_last = ended_at is not None and (decided_at is None or ended_at > decided_at)
    decision: Mapping[str, object] = span or {"reason_code": "NOT_EVALUATED_YET", "detail": "", "blockers": []}
    row: Row = before | {
        "bot_id": bot["id"], "state": now.state.value, "since": since_of(now, decided_at, ended_at) or bot["registered_at"],
        "reason_code": decision["reason_code"], "detail": decision["detail"], "would": decision.get("would"),
        "next_due_at": decision.get("next_due_at"), "until_at": decision.get("until_at"), "blockers": decision["blockers"],
        "job_id": job.get("id"), "job_type": job.get("job_type"), "job_status": job.get("status"), "job_tick": job.get("tick"),
        "job_seq": job.get("seq"), "phase": job.get("phase"), "progress": job.get("progress"), "last_beat_at": job.get("last_beat_at"),
        "runner_job_id": runner.get("id"), "runner_status": runner.get("status"),
        "runner_beat_at": runner.get("last_beat_at") if runner.get("beats") else None,
        "because_event_id": before["ended_event_id"] if ended_last else decision.get("event_id"),
    }  # fmt: skip
    row.update(zip(COPIED, _copied(bot), strict=True))
    row["recency"] = recency_of(row, span)
    return row


def _place(job: Row) -> tuple[int, int]:
    return int(str(job["tick"])), int(str(job["seq"]))


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def recency_of(row: Row, span: Row | None) -> str:
    """Lane 2 from the standing decision: what is due says whether the evidence is stale, in bars of the market clock."""
    if row["evidence_until"] is None:
        return "none"
    due = span["job_type"] if span is not None and span["reason_code"] != Reason.NOTHING_DUE.value else None
    job = row["job_type"] if row["job_id"] is not None else None
    wanted = {due, job}
    if span is None or wanted.isdisjoint(BACKTESTS):
        return "fresh"
    # The decision's own job ended: with the newest evidence, or without any.
    answered = job not in BACKTESTS and span["job_id"] is not None and span["job_id"] == row["evidence_job"]
    if answered and span["reason_code"] in WITH_JOB:
        return "fresh"
    return "none" if JobType.BACKTEST_BASELINE.value in wanted else "stale"
