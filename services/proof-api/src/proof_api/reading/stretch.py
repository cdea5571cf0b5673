"""A stretch of time out of the read models: which steps it has, and the one statement that reads all of it.

Place in the flow: route → **stretch** → PostgreSQL → documents. One statement sees one moment, so that bars, lanes and flags never
contradict one another. What is counted is counted there; here counts become levels.

Source: docs/architecture.md, "Ticks".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final

import asyncpg

from autonomy.errors import BadInput
from autonomy.policy import DEFAULT
from autonomy.read_model.work import LIFE
from autonomy.values import LanesBy, TickCause, iso, ms_of

LEAST_S: Final = 10
MOST_S: Final = 86_400
USUAL_S: Final = 3_600
STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900)
MAX_STEPS: Final = 241
"""One more than a length has: a window rarely begins where a step does."""
MAX_BARS: Final = 400
"""Ticks that are shown one by one."""
MAX_BLOCKS: Final = 800
"""Attempts that are shown one by one."""
MAX_LANES: Final = 24
FAILED: Final = 2
"""The outcome of failed jobs, as the statement numbers them."""
KEYS: Final[Mapping[LanesBy, str]] = {
    LanesBy.FLEET: "NULL::text", LanesBy.WORKER: "process_id", LanesBy.STAGE: "stage", LanesBy.STRATEGY: "strategy",
    LanesBy.SYMBOL: "symbol", LanesBy.BOT: "bot_id",
}  # fmt: skip

RUNS_PART: Final = """
interval_of AS MATERIALIZED (
  SELECT tick AS from_tick, lead(tick) OVER (ORDER BY tick) AS to_tick, (document->>'tick_interval_s')::float8 AS interval_s
  FROM autonomy_policy),
ticks AS MATERIALIZED (
  (SELECT tick, started_at, cause, jobs_enqueued, loop_enabled FROM autonomy_planner_runs WHERE started_at < $1
   ORDER BY started_at DESC LIMIT 1)
  UNION ALL
  SELECT tick, started_at, cause, jobs_enqueued, loop_enabled FROM autonomy_planner_runs WHERE started_at >= $1 AND started_at < $2
  UNION ALL
  (SELECT tick, started_at, cause, jobs_enqueued, loop_enabled FROM autonomy_planner_runs WHERE started_at >= $2
   ORDER BY started_at LIMIT 1)),
inside AS MATERIALIZED (SELECT *, count(*) OVER () > $5 AS folded FROM ticks WHERE started_at >= $1 AND started_at < $2),
bars AS (
  SELECT CASE WHEN folded THEN NULL ELSE tick END AS one, date_bin($3, started_at, 'epoch') AS step, cause, min(started_at) AS at,
         min(tick) AS first, max(tick) AS last, count(*) AS ticks, sum(jobs_enqueued) AS enqueued,
         count(*) FILTER (WHERE NOT loop_enabled) AS paused
  FROM inside GROUP BY 1, 2, 3),
pairs AS (
  SELECT after_tick, from_at, before_tick, to_at FROM (
    SELECT tick AS after_tick, started_at AS from_at, lead(tick) OVER w AS before_tick, lead(started_at, 1, $4) OVER w AS to_at
    FROM ticks WINDOW w AS (ORDER BY started_at, tick)) p
  WHERE to_at - from_at > (SELECT least(min(interval_s), $6::float8) FROM interval_of) * interval '1 second'),
silences AS (
  SELECT after_tick, from_at, before_tick, to_at, interval_s,
         floor(extract(epoch FROM to_at) / interval_s) - floor(extract(epoch FROM from_at) / interval_s) - 1 AS missing
  FROM pairs CROSS JOIN LATERAL (
    SELECT coalesce((SELECT interval_s FROM interval_of WHERE from_tick <= after_tick AND (to_tick IS NULL OR to_tick > after_tick)),
                    $6::float8)::numeric AS interval_s) in_force),
"""
"""Ticks of the window with their neighbours; how many times of the grid passed between two (`planner.shell.wake.next_due_ms`)."""
JOBS_PART: Final = """
alive AS MATERIALIZED (
  SELECT id, bot_id, job_type, stage, strategy, symbol, process_id, attempt, queued_at, started_at, finished_at, status, cause
  FROM bot_jobs WHERE {life} @> $1::timestamptz AND created_at < $1),
earlier AS MATERIALIZED (
  SELECT j.id, j.bot_id, j.job_type, j.stage, j.strategy, j.symbol, a."processId" AS process_id, a.attempt,
         coalesce(lag(a."endedAt") OVER (PARTITION BY j.id ORDER BY a.attempt), j.created_at) AS queued_at,
         a."startedAt" AS started_at, a."endedAt" AS finished_at, NULL::text AS status, a.cause
  FROM bot_jobs j CROSS JOIN LATERAL jsonb_to_recordset(j.attempts)
    AS a(attempt integer, "processId" uuid, cause text, "startedAt" timestamptz, "endedAt" timestamptz)
  WHERE j.attempt > 1 AND j.created_at < $2 AND (j.finished_at IS NULL OR j.finished_at >= $1)),
seen AS NOT MATERIALIZED (
  SELECT * FROM (
    SELECT {key} AS key, queued_at, started_at, finished_at, status FROM bot_jobs WHERE created_at >= $1 AND created_at < $2
    UNION ALL
    SELECT {key}, queued_at, started_at, finished_at, status FROM alive
    UNION ALL
    SELECT {key}, queued_at, started_at, finished_at, status FROM earlier) attempts
  WHERE queued_at < $2 AND (finished_at IS NULL OR finished_at >= $1)),
{counting},
few AS MATERIALIZED (SELECT id FROM bot_jobs WHERE created_at >= $1 AND created_at < $2 LIMIT $8),
blocks AS MATERIALIZED (
  SELECT * FROM (
    SELECT {key} AS key, id, bot_id, job_type, attempt, queued_at, started_at, finished_at, status, cause FROM bot_jobs
    WHERE id IN (SELECT id FROM few)
    UNION ALL
    SELECT {key}, id, bot_id, job_type, attempt, queued_at, started_at, finished_at, status, cause FROM alive
    UNION ALL
    SELECT {key}, id, bot_id, job_type, attempt, queued_at, started_at, finished_at, status, cause FROM earlier) attempts
  WHERE queued_at < $2 AND (finished_at IS NULL OR finished_at >= $1) AND (SELECT count(*) FROM few) < $8 LIMIT $8)
"""
"""Attempts that waited or ran in the window. `$1` and `$2` are its ends, `$3` the step, `$4` until when the rows are complete."""
GROUPED: Final = """
         CASE WHEN started_at < $1 THEN NULL ELSE date_bin($3, greatest(queued_at, $1), 'epoch') END AS queued,
         CASE WHEN started_at < $2 THEN date_bin($3, greatest(started_at, $1), 'epoch') END AS started,
         CASE WHEN finished_at < $2 THEN date_bin($3, finished_at, 'epoch') END AS ended,
         CASE status WHEN 'SUCCEEDED' THEN 1 WHEN 'FAILED' THEN 2 ELSE 0 END AS outcome, count(*) AS n
"""
"""Steps in which attempts waited first, began and ended; null for what was before the window, or comes after it."""
FEW_KEYS: Final = """
grouped AS MATERIALIZED (SELECT key, {grouped} FROM seen GROUP BY 1, 2, 3, 4, 5),
tops AS MATERIALIZED (
  SELECT key, count(*) OVER () AS lanes FROM (SELECT key, sum(n) AS n FROM grouped GROUP BY key) k
  ORDER BY key IS NULL DESC, n DESC, key LIMIT $7),
levels AS (
  SELECT CASE WHEN t.lanes IS NULL THEN NULL ELSE g.key END AS key, t.lanes IS NULL AS rest, queued, started, ended, outcome, sum(n) AS n
  FROM grouped g LEFT JOIN tops t ON t.key IS NOT DISTINCT FROM g.key GROUP BY 1, 2, 3, 4, 5, 6)
"""
MANY_KEYS: Final = """
tops AS MATERIALIZED (
  SELECT key, count(*) OVER () AS lanes FROM (SELECT key, count(*) AS n FROM seen GROUP BY key) k
  ORDER BY key IS NULL DESC, n DESC, key LIMIT $7),
levels AS (
  SELECT CASE WHEN t.lanes IS NULL THEN NULL ELSE s.key END AS key, t.lanes IS NULL AS rest, {grouped}
  FROM seen s LEFT JOIN tops t ON t.key = s.key GROUP BY 1, 2, 3, 4, 5, 6)
"""
"""Where there may be as many lanes as bots, going through the index twice costs less than a group for each of their jobs."""
MANY: Final = frozenset({LanesBy.SYMBOL, LanesBy.BOT})
MOVES_PART: Final = """
moves AS (
  SELECT CASE WHEN (SELECT folded FROM inside LIMIT 1) THEN NULL ELSE tick END AS one, date_bin($3, created_at, 'epoch') AS step,
         from_stage, to_stage, reason_code, min(created_at) AS at, min(tick) AS tick, count(*) AS bots, min(bot_id) AS bot_id,
         CASE WHEN count(command_id) = count(*) AND min(command_id::text) = max(command_id::text)
              THEN min(command_id::text) END AS command_id
  FROM bot_stage_events WHERE created_at >= $1 AND created_at < $2 GROUP BY 1, 2, 3, 4, 5),
"""
WHOLE: Final = """
SELECT (SELECT min(started_at) FROM autonomy_planner_runs) AS first_tick_at,
  coalesce((SELECT folded FROM inside LIMIT 1), false) AS ticks_folded,
  (SELECT coalesce(json_agg(b ORDER BY at, first), '[]') FROM bars b) AS bars,
  (SELECT coalesce(json_agg(s ORDER BY from_at), '[]') FROM silences s WHERE missing > 0 AND from_at < $2 AND to_at > $1) AS silences,
  (SELECT coalesce(json_agg(m ORDER BY at, to_stage, reason_code, from_stage), '[]') FROM moves m) AS moves,
  (SELECT coalesce(max(lanes), 0) FROM tops) AS lanes,
  (SELECT coalesce(json_agg(json_build_array(key::text, rest, extract(epoch FROM queued)::bigint, extract(epoch FROM started)::bigint,
     extract(epoch FROM ended)::bigint, outcome, n)), '[]') FROM levels) AS levels,
  (SELECT coalesce(json_agg(k ORDER BY queued_at, id, attempt), '[]') FROM blocks k) AS blocks
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A window and its steps.

    Attributes:
        step_s: a divisor of an hour, so that the steps of neighbouring windows are the same.
    """

    from_at: datetime
    to_at: datetime
    step_s: int

    @property
    def first_s(self) -> int:
        """Begin of the first step, seconds since 1970."""
        return ms_of(self.from_at) // 1000 // self.step_s * self.step_s

    @property
    def steps(self) -> int:
        """How many steps; the last one holds the last moment before the end."""
        return (ms_of(self.to_at) - 1) // 1000 // self.step_s - self.first_s // self.step_s + 1


def stretch_of(from_at: datetime | None, to_at: datetime | None, now: datetime) -> Stretch:
    """The window that is asked for: without ends the last hour, with one end an hour.

    Raises:
        BadInput: it is too short, too long, or not begun.
    """
    end = min(to_at, now) if to_at else now if from_at is None else min(from_at + timedelta(seconds=USUAL_S), now)
    begin = from_at or end - timedelta(seconds=USUAL_S)
    length_s = (end - begin).total_seconds()
    if not LEAST_S <= length_s <= MOST_S:
        raise BadInput(
            "from" if from_at else "to", f"the window ends now or before, and has {LEAST_S} to {MOST_S} s; this one has {length_s:g}"
        )
    return Stretch(begin, end, next(step for step in STEPS_S if length_s / step <= MAX_STEPS - 1))


async def read(
    connection: "asyncpg.Connection[asyncpg.Record]", stretch: Stretch, by: LanesBy, known_until: datetime | None
) -> dict[str, object]:
    """Everything about a window but its proof."""
    row = await connection.fetchrow(
        SQL[by], stretch.from_at, stretch.to_at, timedelta(seconds=stretch.step_s), known_until, MAX_BARS,
        float(DEFAULT.tick_interval_s), MAX_LANES, MAX_BLOCKS + 1,
    )  # fmt: skip
    if row is None:
        raise RuntimeError("a SELECT without FROM gives one row")
    lanes = lanes_of(stretch, row["levels"], row["lanes"], row["blocks"])
    bars, silences = bars_of(row["bars"]), [silence_of(one) for one in row["silences"]]
    moves = [move_of(one) for one in row["moves"]]
    ended = {outcome: sum(level[6] for level in row["levels"] if level[5] == outcome and level[4] is not None) for outcome in (1, FAILED)}
    return {
        "fromAt": iso(stretch.from_at), "toAt": iso(stretch.to_at), "knownUntil": iso(known_until) if known_until else None,
        "firstTickAt": iso(row["first_tick_at"]) if row["first_tick_at"] else None, "by": by.value, "stepSec": stretch.step_s,
        "steps": stretch.steps, "ticksFolded": row["ticks_folded"], "bars": bars, "silences": silences, "moves": moves, "lanes": lanes,
        "totals": {
            "ticks": total(bars, "ticks"), "enqueued": total(bars, "enqueued"), "missing": total(silences, "missing"),
            "jobs": total(lanes, "jobs"), "succeeded": ended[1], "failed": ended[FAILED], "moved": total(moves, "bots"),
        },
    }  # fmt: skip


def total(parts: Iterable[Mapping[str, object]], name: str) -> int:
    """The sum of a number that each part has."""
    return sum(int(str(part[name])) for part in parts)


def instant(value: object) -> str | None:
    """An instant of PostgreSQL's JSON, as every document shows it."""
    return iso(datetime.fromisoformat(value)) if isinstance(value, str) else None


def bars_of(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Bars out of rows that have one cause each, by time."""
    found: dict[object, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["one"], row["step"]), []).append(row)
    order = list(TickCause)
    return [
        {
            "at": instant(parts[0]["at"]),
            "firstTick": min(part["first"] for part in parts), "lastTick": max(part["last"] for part in parts),
            "ticks": total(parts, "ticks"), "enqueued": total(parts, "enqueued"), "paused": total(parts, "paused"),
            "causes": [
                {"cause": part["cause"], "ticks": part["ticks"], "enqueued": part["enqueued"]}
                for part in sorted(parts, key=lambda part: order.index(TickCause(part["cause"])))
            ],
        }
        for parts in found.values()
    ]  # fmt: skip


def silence_of(row: Mapping[str, Any]) -> dict[str, object]:
    """A silence as it goes out."""
    return {
        "afterTick": row["after_tick"], "fromAt": instant(row["from_at"]), "beforeTick": row["before_tick"], "toAt": instant(row["to_at"]),
        "missing": int(row["missing"]), "intervalSec": float(row["interval_s"]),
    }  # fmt: skip


def move_of(row: Mapping[str, Any]) -> dict[str, object]:
    """Bots that moved together, as they go out."""
    return {
        "at": instant(row["at"]), "tick": row["tick"], "fromStage": row["from_stage"], "toStage": row["to_stage"],
        "reasonCode": row["reason_code"], "bots": row["bots"], "botId": row["bot_id"], "commandId": row["command_id"],
    }  # fmt: skip


def block_of(row: Mapping[str, Any]) -> dict[str, object]:
    """An attempt as it goes out."""
    return {
        "jobId": row["id"], "botId": row["bot_id"], "jobType": row["job_type"], "attempt": row["attempt"],
        "queuedAt": instant(row["queued_at"]), "startedAt": instant(row["started_at"]), "endedAt": instant(row["finished_at"]),
        "status": row["status"], "cause": row["cause"],
    }  # fmt: skip


@dataclass(slots=True)
class Counts:
    """One lane while it is counted: at each step how many more wait or run from there on, and at the one after the last how many fewer.

    Attributes:
        steps: how many the window has; the lists have one more.
    """

    steps: int
    jobs: int = 0
    failed: int = 0
    queued: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """All zero."""
        self.queued, self.running, self.failures = ([0] * (self.steps + 1) for _ in range(3))

    def add(self, queued: int | None, started: int | None, ended: int | None, outcome: int, count: int) -> None:
        """Count attempts that waited first, began and ended in the same steps, numbered from the window's first.

        Args:
            queued: None where they waited before the window only.
            started: None where that is not before the window's end.
            ended: likewise.
            outcome: as the statement says it.
            count: how many.
        """
        last = self.steps - 1
        if queued is not None:
            self._stretch(self.queued, queued, started if started is not None else last if ended is None else ended, count)
        if started is not None:
            self._stretch(self.running, started, last if ended is None else ended, count)
        if ended is not None and outcome == FAILED:
            self.failures[min(max(ended, 0), last)] += count
            self.failed += count
        self.jobs += count

    def _stretch(self, changes: list[int], first: int, until: int, count: int) -> None:
        # Two clocks say when a job waited and when it ran: an end before the beginning is the beginning.
        changes[first] += count
        changes[max(first, until) + 1] -= count


def lanes_of(stretch: Stretch, levels: Iterable[Sequence[Any]], lanes: int, blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Lanes by key, with the attempts one by one where there are not too many.

    Args:
        stretch: the window.
        levels: counted attempts, as the statement gives them.
        lanes: how many lanes there would be.
        blocks: attempts; whatever of them, where there are too many.
    """
    counted: dict[tuple[bool, str | None], Counts] = {}

    first_s, step_s = stretch.first_s, stretch.step_s
    for key, rest, queued, started, ended, outcome, count in levels:
        lane = counted.get((rest, key))
        if lane is None:
            lane = counted[rest, key] = Counts(stretch.steps)
        lane.add(
            None if queued is None else (queued - first_s) // step_s, None if started is None else (started - first_s) // step_s,
            None if ended is None else (ended - first_s) // step_s, outcome, count,
        )  # fmt: skip
    shown: dict[tuple[bool, str | None], list[dict[str, object]]] | None = (
        None if sum(lane.jobs for lane in counted.values()) > MAX_BLOCKS else {}
    )
    if shown is not None:
        for row in blocks:
            place = (False, row["key"])
            shown.setdefault(place if place in counted else (True, None), []).append(block_of(row))
    own = sum(not rest for rest, _ in counted)
    return [
        {
            "key": key, "folded": lanes - own if rest else 0, "jobs": lane.jobs, "failed": lane.failed,
            "queued": list(accumulate(lane.queued[:-1])), "running": list(accumulate(lane.running[:-1])), "failures": lane.failures[:-1],
            "blocks": None if shown is None else shown.get((rest, key), []),
        }
        for (rest, key), lane in sorted(counted.items(), key=lambda item: (item[0][0], item[0][1] is None, item[0][1] or ""))
    ]  # fmt: skip


def _statement(by: LanesBy) -> str:
    counting = (MANY_KEYS if by in MANY else FEW_KEYS).format(grouped=GROUPED)
    return f"WITH {RUNS_PART}{MOVES_PART}{JOBS_PART.format(key=KEYS[by], life=LIFE, counting=counting)}{WHOLE}"


SQL: Final = {by: _statement(by) for by in LanesBy}
"""By what the lanes tell apart."""
