"""Rows of a fleet's hours with every kind of thing in them: ticks with silences, jobs with given-up attempts, moves and reverts.

Drawn from a seed and written to a real PostgreSQL as the projection writes them; the times are those of this history alone.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg

from autonomy.policy import DEFAULT
from autonomy.read_model import SCHEMA
from autonomy.reasons import ZeroJobs
from autonomy.values import Cause, JobStatus, JobType, Stage, TickCause
from projection.store.batches import UPSERTS
from support.builders import a_digest, an_id
from support.days import utc

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STRATEGIES = ("sma-cross", "macd", "rsi-reversion")
SYMBOLS = ("AAPL", "GOOG", "IBM")
CAUSES = tuple(TickCause)
Row = dict[str, Any]


@dataclass
class Hours:
    """Rows by table."""

    random: Random
    rows: dict[str, list[Row]] = field(default_factory=dict)
    tick: int = 0

    def put(self, table: str, **row: Any) -> Row:
        columns = UPSERTS[table].columns
        self.rows.setdefault(table, []).append({name: row.get(name) for name in columns})
        assert set(row) <= columns, set(row) - columns
        return self.rows[table][-1]

    def add_tick(self, at: datetime, cause: TickCause = TickCause.SCHEDULED, enqueued: int = 0, *, paused: bool = False) -> int:
        self.tick += 1
        self.put(
            "autonomy_planner_runs", id=an_id(f"run {self.tick}"), tick=self.tick, cause=cause.value, due_at=at, started_at=at,
            finished_at=at + timedelta(milliseconds=80), bots_registered=9, bots_evaluated=9, jobs_enqueued=enqueued, blocked=0, errors=0,
            error_details=[], reason_counts={}, blocker_counts={}, zero_jobs_reason=None if enqueued else next(iter(ZeroJobs)).value, live_jobs=0,
            loop_enabled=not paused, market_now=at, policy_hash=a_digest("policy"), decider="life-4", process_id=an_id("planner"),
            prev_hash=a_digest("x"), hash=a_digest("x"), state_hash=a_digest("x"), digest=a_digest("x"), slice={}, log_offset=self.tick,
        )  # fmt: skip
        return self.tick

    def set_interval(self, seconds: float) -> None:
        """A policy that is in force from the last tick on."""
        document = DEFAULT.model_dump(mode="json") | {"tick_interval_s": seconds}
        self.put("autonomy_policy", tick=self.tick, policy_hash=a_digest(f"policy {self.tick}"), document=document, actor="ada")

    def add_job(self, number: int, at: datetime, seq: int, clock_ms: int) -> None:
        """A job with its earlier attempts; the workers' clock is ahead of the planner's by `clock_ms`."""
        draw, skew = self.random, timedelta(milliseconds=clock_ms)
        attempts, queued = [], at
        for attempt in range(1, draw.choice((1, 1, 1, 1, 2, 3))):
            started = queued + timedelta(seconds=draw.randint(0, 200)) + skew if draw.random() < 0.8 else None
            ended = (started or queued) + timedelta(seconds=draw.randint(0, 90))
            attempts.append({
                "attempt": attempt, "processId": an_id(f"worker {draw.randint(1, 3)}") if started else None,
                "cause": draw.choice((Cause.LEASE_EXPIRED, Cause.RUNNER_DRAINED)).value,
                "startedAt": started.isoformat() if started else None, "endedAt": ended.isoformat(), "eventId": an_id(f"left {number}/{attempt}"),
            })  # fmt: skip
            queued = ended
        status = draw.choice((*[JobStatus.SUCCEEDED] * 6, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.RUNNING, JobStatus.QUEUED))
        claimed = status in {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.RUNNING} or (
            status is JobStatus.CANCELLED and draw.random() < 0.5
        )
        began = queued + timedelta(seconds=draw.choice((0, 0, 1, 20, 300)) * draw.random()) + skew if claimed else None
        over = None if status.is_live else (began or queued) + timedelta(seconds=draw.choice((0, 1, 30, 400, 5_000)) * draw.random()) + skew
        job_type = draw.choice(tuple(JobType))
        self.put(
            "bot_jobs", id=an_id(f"job {number}"), bot_id=f"bot-{draw.randint(0, 40):02d}", job_type=job_type.value,
            job_class="runner" if job_type is JobType.RUNNER_START else "research", status=status.value,
            cause=Cause.TIMEOUT.value if status is JobStatus.FAILED else None, stage=draw.choice(tuple(Stage)).value, strategy=draw.choice(STRATEGIES),
            symbol=draw.choice(SYMBOLS), tick=self.tick, seq=seq, partition=0, attempt=len(attempts) + 1, failures=0,
            process_id=an_id(f"worker {draw.randint(1, 3)}") if claimed else None, created_at=at, queued_at=queued, started_at=began,
            finished_at=over, fingerprint=a_digest("f"), bars_until=utc(2012, 1, 2), spec={}, attempts=attempts,
        )  # fmt: skip

    def add_move(self, number: int, at: datetime, *, revert: bool) -> None:
        draw = self.random
        start, end = draw.choice(((None, Stage.LAB), (Stage.LAB, Stage.PAPER), (Stage.PAPER, Stage.SHADOW), (Stage.PAPER, Stage.LAB)))
        if revert:
            start, end = draw.choice((Stage.PAPER, Stage.LIVE)), Stage.LAB
        reason = "BULK_REVERT_REBASELINE" if revert else "REGISTERED" if start is None else "PROMOTED"
        self.put(
            "bot_stage_events", id=an_id(f"move {number}"), bot_id=f"bot-{draw.randint(0, 40):02d}", from_stage=start, to_stage=end.value,
            reason_code=reason, actor="ada", created_at=at, tick=self.tick, command_id=an_id(f"command {self.tick}") if revert else None, approved_by=[],
        )  # fmt: skip

    def write(self, url: str) -> None:
        """Put all rows into the database."""
        with psycopg.connect(url, options=f"-c search_path={SCHEMA}") as connection:
            for table, rows in self.rows.items():
                connection.execute(UPSERTS[table].sql, (UPSERTS[table].document(rows),))
        self.rows.clear()


def drawn_hours(seed: int, *, minutes: int = 240, per_tick: float = 1.5) -> Hours:
    """Some hours from noon on: ticks on a grid that changes, early ones between them, silences, pauses, jobs and moves."""
    draw = Random(seed)
    hours = Hours(draw)
    at, interval_s, paused, jobs, moves = NOON, 60, False, 0, 0
    while at < NOON + timedelta(minutes=minutes):
        at += timedelta(
            seconds=draw.choice((interval_s, interval_s, interval_s, interval_s * 5 if draw.random() < 0.2 else interval_s, 5, 17))
        )
        at += timedelta(milliseconds=draw.randint(0, 900))
        paused = paused != (draw.random() < 0.05)
        enqueued = 0 if paused else min(20, int(draw.expovariate(1 / per_tick)))
        hours.add_tick(at, draw.choice(CAUSES), enqueued, paused=paused)
        for seq in range(enqueued):
            jobs += 1
            hours.add_job(jobs, at, seq, draw.choice((0, 0, 0, -700, 700)))
        if draw.random() < 0.1:
            revert = draw.random() < 0.4
            for _ in range(draw.randint(1, 9)):
                moves += 1
                hours.add_move(moves, at, revert=revert)
        if draw.random() < 0.03:
            interval_s = draw.choice((30, 60, 120))
            hours.set_interval(interval_s)
    return hours
