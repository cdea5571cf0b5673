"""The newest picture of the read models, taken in one transaction, again after every change and at least twice a second.

Place in the flow: PostgreSQL → **snapshot** → proof, metrics, counts. A request never waits for the database: it gets the
picture with its age, and an old picture is no answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from autonomy import clock
from autonomy.documents import tables
from autonomy.events import Head
from autonomy.policy import DEFAULT
from autonomy.postgres import ENDED, NOT_READY, Waits, connect, who_waits, words_of
from autonomy.read_model import CHANNEL, SCHEMA
from autonomy.values import instant_of_ms, iso, ms_of
from autonomy.work import JOB_KINDS, Work
from proof_api.proof.attention import Group, needs_counts
from proof_api.proof.broker_clock import BrokerClock
from proof_api.proof.capacity import capacity_of
from proof_api.proof.judging import FRESH_LAG_MS, ReadFacts, Trouble
from proof_api.proof.now import lease_of
from proof_api.reading.needing import counted
from proof_api.reading.pool import asked_beside, trouble_of
from proof_api.reading.queries import document, word_of

log = logging.getLogger(__name__)
AT_LEAST_EVERY_S = 0.5
AT_MOST_EVERY_S = 0.1
QUERY_TIMEOUT_S = 2.0
HELD_UP_S = 0.8
RUNS_SHOWN = 10
JOBS_SHOWN = 20
STUCK_SHOWN = 50
WORDS = {job_type.value: kind.work.value for job_type, kind in JOB_KINDS.items()}
KINDS = tuple(work.value for work in Work)

COUNTED = ("void_records", "void_seals", "void_steps", "quarantined")
HEAD_SQL = "SELECT * FROM projection_head"
# One from the future was written before the broker's clock was set back: it would vouch for the rows until that time comes again.
PROBE_SQL = "SELECT max(appended_at) FROM pulses WHERE source = 'probe' AND appended_at <= $1::timestamptz + interval '5 seconds'"
STUCK_SQL = "SELECT problem FROM pulses WHERE source = 'projection'"
RUNS_SQL = "SELECT * FROM autonomy_planner_runs ORDER BY tick DESC LIMIT $1"
JOBS_SQL = f"{tables.JOB_TOLD.select} ORDER BY created_at DESC, seq DESC LIMIT $1"
LIVE_SQL = """
SELECT id, bot_id, job_type, status, started_at, last_beat_at, job_class FROM bot_jobs
WHERE status IN ('QUEUED', 'RUNNING')
"""
DONE_SQL = """
SELECT job_type, count(*) AS n FROM bot_jobs WHERE status = 'SUCCEEDED' AND finished_at > $1::timestamptz - interval '1 hour' GROUP BY 1
"""
POLICY_SQL = "SELECT document FROM autonomy_policy ORDER BY tick DESC LIMIT 1"
LOOP_SQL = f"{tables.PAUSE.select} ORDER BY scope, target"
REPAIRS_SQL = f"{tables.REPAIR.select} ORDER BY at_tick"
COUNTS_SQL = """
SELECT CASE WHEN state = 'RUNNER_RUNNING' AND last_beat_at < $1 THEN 'RUNNER_STALE' ELSE state END AS state, stage, reason_code,
       recency, recommendation_id IS NOT NULL AS recommended, count(*) AS n FROM bot_now GROUP BY 1, 2, 3, 4, 5
"""

LOOKS_SQL = "SELECT count(*)::int AS taken, coalesce(sum(alpha), 0)::float8 AS spent FROM bot_looks WHERE NOT synthetic"

RUNNERS_SQL = """
SELECT process_id, last_beat_at, research_slots, evolve_slots, runner_slots, held, stopping, symbols, engine_version
FROM bot_runners WHERE last_beat_at > $1::timestamptz - interval '1 hour'
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything one snapshot read.

    Attributes:
        mono_ms: when it was taken.
        rev: revision of the read models.
        counted: what the projection met on its way and does not count, by column of `projection_head`; empty before its first batch.
        probe_appended_ms: the broker's time of the newest probe that the projection applied.
        needing: what needs a person, by kind and cause.
        looks: how many looks at bots' timing were taken, and what they spent: so many false recommendations are expected.
    """

    mono_ms: float
    rev: int
    read: ReadFacts
    counts: Mapping[str, Mapping[str, int]]
    runners: tuple[Mapping[str, object], ...]
    policy: Mapping[str, object]
    last_run: Mapping[str, object] | None
    counted: Mapping[str, int]
    probe_appended_ms: int | None
    needing: tuple[Group, ...] = ()
    looks: tuple[int, float] = (0, 0.0)


@dataclass(slots=True)
class Snapshots:
    """Keeps the newest picture, and tells those who wait for the next one.

    Attributes:
        problem, trouble, blocked: as `ReadFacts` has them.
        why: problem and trouble of the snapshot that fails just now.
        taken: how many pictures there have been. `turns`: how many looks were begun, also in vain: its sign of life.
        newer: is set when the next picture is there, and replaced by another at that moment. Whoever waits takes it before looking at
            the newest picture: so none is missed. Telling them takes no lock: no client, however it ends, can hold up the pictures.
        started_mono_ms: when this process began to look.
        hours: what time it is by the broker, which stamped every instant in the rows.
    """

    url: str
    stuck_minutes: int
    picture: Picture | None = None
    problem: str = "no snapshot yet"
    trouble: Trouble = "down"
    blocked: str = ""
    why: tuple[str, Trouble] | None = None
    hours: BrokerClock = field(default_factory=BrokerClock)
    taken: int = 0
    turns: int = 0
    started_mono_ms: float = field(default_factory=clock.monotonic_ms)
    newer: asyncio.Event = field(default_factory=asyncio.Event)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def applied_probe_ms(self) -> int | None:
        """The broker's time of the newest probe that the rows have."""
        return self.picture.probe_appended_ms if self.picture else None

    def head(self) -> Head | None:
        """The tick that the rows stand on; None before the first."""
        read = self.picture.read if self.picture else ReadFacts()
        return Head(tick=read.applied_tick, offset=read.applied_offset, hash=read.applied_hash) if read.applied_hash else None

    def now_ms(self) -> int:
        """The time by the broker's clock."""
        return self.hours.now_ms(clock.monotonic_ms(), clock.now_ms())

    def facts(self) -> ReadFacts:
        """The read side of the proof, with today's ages."""
        picture, mono_ms = self.picture, clock.monotonic_ms()
        if picture is None:
            waited_ms = mono_ms - self.started_mono_ms
            return ReadFacts(problem=self.problem, trouble=self.trouble, blocked=self.blocked, waited_ms=waited_ms)
        read = picture.read
        probe_age = None if picture.probe_appended_ms is None else float(max(0, self.now_ms() - picture.probe_appended_ms))
        return ReadFacts(
            age_ms=mono_ms - picture.mono_ms, problem=self.problem, trouble=self.trouble, blocked=self.blocked, capacity=read.capacity,
            probe_age_ms=probe_age, waited_ms=mono_ms - self.started_mono_ms,
            applied_tick=read.applied_tick, applied_hash=read.applied_hash, applied_offset=read.applied_offset,
            last_tick_ms=read.last_tick_ms, tick_interval_s=read.tick_interval_s, loop_enabled=read.loop_enabled,
            paused_by=read.paused_by, stuck=read.stuck, body=read.body,
        )  # fmt: skip

    async def run(self) -> None:
        """Take pictures for ever; a lost database only ages the last one."""
        while True:
            self.turns += 1
            try:
                await self._watch()
            except NOT_READY as refusal:
                (self.problem, self.trouble), self.why = self.why or (words_of(refusal), trouble_of(refusal)), None
                log.warning("no snapshot (%s): %r", self.trouble, refusal)
                await asyncio.sleep(0.2)

    async def _watch(self) -> None:
        connection = await connect(self.url, SCHEMA, timeout_s=QUERY_TIMEOUT_S, statement_s=QUERY_TIMEOUT_S)
        try:
            await connection.add_listener(CHANNEL, lambda *_: self.wake.set())
            while True:
                self.turns += 1
                self.wake.clear()
                self.show(await self._taken(connection))
                await asyncio.sleep(AT_MOST_EVERY_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(AT_LEAST_EVERY_S - AT_MOST_EVERY_S):
                        await self.wake.wait()
        finally:
            connection.terminate()

    async def _taken(self, connection: "asyncpg.Connection[asyncpg.Record]") -> Picture:
        """The next picture; what holds it up, or the projection, is asked of the database itself."""
        own_pid = connection.get_server_pid()
        taking = asyncio.ensure_future(take(connection, self.stuck_minutes, instant_of_ms(self.now_ms()), self.picture))
        try:
            done, _ = await asyncio.wait({taking}, timeout=HELD_UP_S)
            waits = None if done else await asked_beside(self.url)
            picture = await self._judged(taking, own_pid, waits)
        finally:
            taking.cancel()
        said_ms = picture.probe_appended_ms
        late = said_ms is None or self.now_ms() - said_ms > FRESH_LAG_MS
        self.blocked = (await who_waits(connection)).words if late else ""
        return picture

    def show(self, picture: Picture) -> None:
        """Make a picture the newest, and tell everybody who waits for it; waits for nobody."""
        self.picture, self.problem = picture, ""
        self.taken += 1
        told, self.newer = self.newer, asyncio.Event()
        told.set()

    async def _judged(self, taking: "asyncio.Future[Picture]", own_pid: int, waits: Waits | None) -> Picture:
        """The picture, or why there is none, as far as PostgreSQL said so.

        Args:
            taking: the picture, or what was raised instead of it.
            own_pid: the session that takes it.
            waits: who waited for whose lock while it was taken; None when that was not asked, or not answered.
        """
        try:
            return await taking
        except (*ENDED, TimeoutError) as refusal:
            if waits and own_pid in waits.pids:
                self.why, self.blocked = (words_of(refusal), "locked"), waits.words
            elif isinstance(refusal, ENDED):
                self.why = (words_of(refusal), trouble_of(refusal))
            elif waits is not None:  # it answered another question meanwhile, so it does answer
                self.why = (f"a statement took longer than {QUERY_TIMEOUT_S:.0f} s, the limit of this process", "cancelled")
            raise


async def take(
    connection: "asyncpg.Connection[asyncpg.Record]", stuck_minutes: int, now: datetime, before: Picture | None = None
) -> Picture:
    """Read one consistent picture.

    Args:
        connection: of a role that may read.
        stuck_minutes: after how long a running job counts as stuck.
        now: by the broker's clock.
        before: the picture before, if any: what only ticks change is read anew for another tick.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        head = await connection.fetchrow(HEAD_SQL)
        probe = await connection.fetchval(PROBE_SQL, now)
        stuck = await connection.fetchval(STUCK_SQL)
        runs = await connection.fetch(RUNS_SQL, RUNS_SHOWN)
        jobs = await connection.fetch(JOBS_SQL, JOBS_SHOWN)
        live = await connection.fetch(LIVE_SQL)
        done = await connection.fetch(DONE_SQL, now)
        policy = await connection.fetchval(POLICY_SQL)
        loop = await connection.fetch(LOOP_SQL)
        repairs = await connection.fetch(REPAIRS_SQL)
        in_force = policy or DEFAULT.model_dump(mode="json")
        silent_before = silence_of(probe, in_force, now)
        counts = await connection.fetch(COUNTS_SQL, silent_before)
        needing = await counted(connection, now, silent_before, lease_of(in_force))
        runners = await connection.fetch(RUNNERS_SQL, now)
        tick = head["tick"] if head else 0
        looks = before.looks if before is not None and before.read.applied_tick == tick else await looks_of(connection)
    pauses = [dict(row) for row in loop]
    fleet_pause = next((row for row in pauses if row["scope"] == "fleet"), None)
    last = dict(runs[0]) if runs else None
    body = {
        **decision_body(last, in_force, runs, jobs),
        **jobs_body(live, done, in_force, stuck_minutes, now),
        "loopEnabled": fleet_pause is None,
        "pausedBy": [document(row) for row in pauses],
        "chainRepairs": [document(row) for row in repairs],
    }  # fmt: skip
    read = ReadFacts(
        applied_tick=tick, applied_hash=head["hash"] if head and head["tick"] else "",
        applied_offset=head["log_offset"] if head else -1, last_tick_ms=ms_of(last["started_at"]) if last else None,
        tick_interval_s=float(in_force["tick_interval_s"]), loop_enabled=fleet_pause is None,
        paused_by=document(fleet_pause) if fleet_pause else None, stuck=stuck or "", body=body,
        capacity=capacity_of([dict(row) for row in runners], last, None if probe is None else min(probe, now), lease_of(in_force)),
    )  # fmt: skip
    return Picture(
        mono_ms=clock.monotonic_ms(), rev=head["rev"] if head else 0, read=read,
        counts=count_bots(counts) | {"needs": needs_counts(needing)}, needing=needing,
        runners=tuple(dict(row) for row in runners), policy=in_force, last_run=last,
        counted={name: head[name] for name in COUNTED} if head else {}, probe_appended_ms=ms_of(probe) if probe else None,
        looks=looks,
    )  # fmt: skip


async def looks_of(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[int, float]:
    """How many looks at bots' timing were taken on recorded bars, and what they spent: rows of the whole log."""
    (row,) = await connection.fetch(LOOKS_SQL)
    return row["taken"], row["spent"]


def silence_of(probe: datetime | None, policy: Mapping[str, object], now: datetime) -> datetime:
    """Before which last beat a runner is silent; nobody is while the rows are too old to say so."""
    if probe is None or ms_of(now) - ms_of(probe) > FRESH_LAG_MS:
        return datetime.fromtimestamp(0, UTC)
    return now - timedelta(seconds=lease_of(policy))


def decision_body(
    last: Mapping[str, object] | None, policy: Mapping[str, object], runs: list[asyncpg.Record], jobs: list[asyncpg.Record]
) -> dict[str, object]:
    """What `/api/_proof/autonomy` says of the planner.

    Source: R-A1.1, R-A4.
    """
    return {
        "lastTickAt": _iso(last["started_at"]) if last else None,
        "tickIntervalSec": policy["tick_interval_s"],
        "promotionMode": policy["promotion_mode"],
        "marketNow": _market_now(last["market_now"], policy) if last else None,
        "lastDecisionSummary": summary_of(last),
        "latestPlannerRuns": [document(tables.RUN_TOLD.part_of(dict(row))) for row in runs],
        "latestEnqueuedJobs": [document(row) for row in jobs],
    }  # fmt: skip


def summary_of(last: Mapping[str, object] | None) -> dict[str, object]:
    """The last tick's decisions in numbers, and why it enqueued nothing if it did."""
    if last is None:
        zero = {"reason": "NO_TICK_YET", "counts": {}, "blockersTop": []}
        return {
            "tick": None, "botsEvaluated": 0, "jobsEnqueued": 0, "blocked": 0, "reasonsTop": [], "reasonCounts": {}, "blockersTop": [],
            "zeroJobs": zero,
        }  # fmt: skip
    reasons: Mapping[str, int] = last["reason_counts"]  # type: ignore[assignment] # a jsonb object
    blockers: Mapping[str, int] = last["blocker_counts"]  # type: ignore[assignment] # a jsonb object
    top = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    blockers_top = [{"code": code, "count": count} for code, count in sorted(blockers.items(), key=lambda pair: (-pair[1], pair[0]))]
    zero_jobs = last["zero_jobs_reason"]
    return {
        "tick": last["tick"],
        "botsEvaluated": last["bots_evaluated"], "jobsEnqueued": last["jobs_enqueued"], "blocked": last["blocked"],
        "reasonsTop": [{"reasonCode": code, "count": count} for code, count in top],
        "reasonCounts": dict(top), "blockersTop": blockers_top,
        "zeroJobs": None if zero_jobs is None else {"reason": zero_jobs, "counts": dict(top), "blockersTop": blockers_top},
    }  # fmt: skip


def jobs_body(
    live: list[asyncpg.Record], done: list[asyncpg.Record], policy: Mapping[str, object], stuck_minutes: int, now: datetime
) -> dict[str, object]:
    """What `/api/_proof/jobs` says.

    Source: R-A1.2.
    """
    running, queued, silent = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    finished = {"backtest": 0, "evolve": 0}
    stuck = []
    leases: Mapping[str, float] = policy["leases"]  # type: ignore[assignment] # a section of the policy
    for row in live:
        kind = WORDS[row["job_type"]]
        if row["status"] == "QUEUED":
            queued[kind] += 1
            continue
        running[kind] += 1
        beat_age_s = (now - row["last_beat_at"]).total_seconds()
        silent[kind] += beat_age_s > leases["lease_s"]
        age_min = (now - row["started_at"]).total_seconds() / 60
        # A paper runner is meant to run for hours: it is stuck by its beat's age only.
        if (age_min if kind != "runner" else beat_age_s / 60) > stuck_minutes:
            stuck.append({
                "jobId": row["id"], "botId": row["bot_id"], "type": row["job_type"],
                "startedAt": _iso(row["started_at"]), "ageMin": round(age_min, 1),
            })  # fmt: skip
    for row in done:
        if WORDS[row["job_type"]] in finished:
            finished[WORDS[row["job_type"]]] += row["n"]
    return {
        "running": running, "queued": queued, "completedLast1h": finished,
        "stuckRunningOverXmin": sorted(stuck, key=lambda entry: -float(str(entry["ageMin"])))[:STUCK_SHOWN],
        "stuckAfterMin": stuck_minutes, "runningWithoutHeartbeat": silent,
    }  # fmt: skip


def count_bots(rows: list[asyncpg.Record]) -> dict[str, dict[str, int]]:
    """Bots per badge, stage, reason and recency, and how many have a recommendation that waits."""
    found: dict[str, dict[str, int]] = {"state": {}, "stage": {}, "reason": {}, "recency": {}, "recommended": {}}
    for row in rows:
        for name, value in (
            ("state", row["state"]), ("stage", row["stage"]), ("reason", row["reason_code"]), ("recency", row["recency"]),
            ("recommended", word_of(row["recommended"])),
        ):  # fmt: skip
            found[name][value] = found[name].get(value, 0) + row["n"]
    return found


def _market_now(at: object, policy: Mapping[str, object]) -> dict[str, object]:
    """The market's time; a replay that has ended brings no new bars, and nothing becomes due by itself any more."""
    market: Mapping[str, object] = policy["market"]  # type: ignore[assignment] # a section of the policy
    shown, replay = _iso(at), market["mode"] == "REPLAY"
    ended = replay and shown is not None and shown[:10] >= str(market["end"])
    return {"at": shown, "mode": market["mode"], "end": market["end"] if replay else None, "ended": ended}


def _iso(value: object) -> str | None:
    return iso(value) if isinstance(value, datetime) else None
