"""Everything that ever happened to one bot, in one order: the timeline, and its versions with their evidence.

Place in the flow: route → **history** → PostgreSQL (role reader). Each entry names who did it and the event that says so.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from autonomy.documents.history import TimelineKind
from proof_api.reading.queries import VERSIONS, Where, decode_cursor, document, encode_cursor

MAX_FINGERPRINTS: Final = 50
"""Shown per version: one per set of data that it was tested on."""


TIMELINE_SQL: Final = """
SELECT at, kind, what, actor, detail, ref, event_id, kind || '/' || ref || '/' || what AS key FROM (
  SELECT created_at AS at, 'stage' AS kind, to_stage || ' (' || reason_code || ')' AS what, actor,
         'from ' || coalesce(from_stage, 'nowhere') || CASE WHEN approved_by <> '[]' THEN ', approved by ' || (
           SELECT string_agg(name, ', ') FROM jsonb_array_elements_text(approved_by) name) ELSE '' END AS detail,
         coalesce(command_id, recommendation_id, id)::text AS ref, id::text AS event_id
  FROM bot_stage_events WHERE bot_id = $1
  UNION ALL
  SELECT r.started_at, 'decision', s.reason_code, 'planner', s.detail, s.from_tick::text, s.event_id::text
  FROM decision_spans s JOIN autonomy_planner_runs r ON r.tick = s.from_tick WHERE s.bot_id = $1
  UNION ALL
  SELECT created_at, 'job', job_type || ' enqueued', 'planner', '', id::text, event_id::text FROM bot_jobs WHERE bot_id = $1
  UNION ALL
  SELECT started_at, 'job', job_type || ' started, attempt ' || attempt, process_id::text, '', id::text, started_event_id::text
  FROM bot_jobs WHERE bot_id = $1 AND started_at IS NOT NULL
  UNION ALL
  SELECT (a->>'endedAt')::timestamptz, 'job', job_type || ' attempt ' || (a->>'attempt') || ' given back',
         coalesce(a->>'processId', 'planner'), a->>'cause', id::text, a->>'eventId'
  FROM bot_jobs CROSS JOIN LATERAL jsonb_array_elements(attempts) a WHERE bot_id = $1
  UNION ALL
  SELECT finished_at, 'job', job_type || ' ' || status,
         CASE WHEN status = 'SUCCEEDED' OR (status = 'FAILED' AND cause <> 'FAILURES_EXHAUSTED') THEN process_id::text ELSE 'planner' END,
         concat_ws(': ', cause, detail), id::text, ended_event_id::text
  FROM bot_jobs WHERE bot_id = $1 AND finished_at IS NOT NULL
  UNION ALL
  SELECT said_at, 'command', command || ' ' || status, actor, concat_ws(': ', code, nullif(reason, '')), id::text, id::text
  FROM commands WHERE bot_id = $1
  UNION ALL
  SELECT recommended_at, 'promotion', 'recommended for ' || to_stage, 'planner', '', id::text, event_id::text
  FROM promotions WHERE bot_id = $1
  UNION ALL
  SELECT requested_at, 'promotion', 'requested for ' || to_stage, requested_by, '', id::text, NULL
  FROM promotions WHERE bot_id = $1 AND requested_at IS NOT NULL
  UNION ALL
  SELECT closed_at, 'promotion', 'to ' || to_stage || ' ' || status, actor, concat_ws(': ', cause, nullif(reason, '')), id::text,
         closed_event_id::text
  FROM promotions WHERE bot_id = $1 AND closed_at IS NOT NULL
  UNION ALL
  SELECT judged_at, 'evolution', 'challenger ' || verdict || CASE WHEN applied THEN ' and takes over' ELSE '' END, 'planner',
         (SELECT coalesce(string_agg(found, '; '), '') FROM jsonb_array_elements_text(findings) found), job_id::text, event_id::text
  FROM bot_evolutions WHERE bot_id = $1 AND judged_at IS NOT NULL
  UNION ALL
  SELECT created_at, 'version', 'version ' || version, actor, coalesce('challenger of job ' || evolved_by, ''), version::text,
         event_id::text
  FROM bot_versions WHERE bot_id = $1 AND version > 1
  UNION ALL
  SELECT judged_at, 'look', 'look ' || number || ' ' || verdict, 'planner',
         'z ' || round(z::numeric, 2) || ' of ' || round(required_z::numeric, 2) || ' on ' || bars || ' bars', job_id::text, event_id::text
  FROM bot_looks WHERE bot_id = $1
  UNION ALL
  SELECT judged_at, 'drift', verdict, 'planner', (
           SELECT coalesce(string_agg(found, '; '), '') FROM jsonb_array_elements_text(findings) found), job_id::text, event_id::text
  FROM bot_drift WHERE bot_id = $1
  UNION ALL
  SELECT opened_at, 'session', 'opened', 'planner', 'after ' || to_char(from_bar AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), id::text, NULL
  FROM bot_sessions WHERE bot_id = $1
  UNION ALL
  SELECT closed_at, 'session', 'closed', actor, cause || coalesce(', PnL ' || round(pnl::numeric, 2) || ' USD', ''), id::text,
         event_id::text
  FROM bot_sessions WHERE bot_id = $1 AND closed_at IS NOT NULL
  UNION ALL
  SELECT created_at, 'note', kind, actor, detail, event_id::text, event_id::text FROM bot_notes WHERE bot_id = $1
) events WHERE kind = ANY($5::text[]) AND ($2::timestamptz IS NULL OR at <= $2 AND (at, kind || '/' || ref || '/' || what) < ($2, $3))
ORDER BY at DESC, key DESC LIMIT $4
"""
EVIDENCE_SQL: Final = """
SELECT v.version, e.* FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS v(version, from_tick, to_tick)
CROSS JOIN LATERAL (
  SELECT b.fingerprint, count(*) AS results, max(b.created_at) AS newest_at,
         (array_agg(b.job_id ORDER BY b.created_at DESC))[1] AS job_id, (array_agg(b.sharpe ORDER BY b.created_at DESC))[1] AS sharpe,
         (array_agg(b.dsr ORDER BY b.created_at DESC))[1] AS dsr, (array_agg(b.trades ORDER BY b.created_at DESC))[1] AS trades,
         (array_agg(b.max_drawdown ORDER BY b.created_at DESC))[1] AS max_drawdown, max(b.last_bar) AS last_bar
  FROM bot_jobs j JOIN bot_backtests b ON b.job_id = j.id
  WHERE j.bot_id = $1 AND j.tick >= v.from_tick AND (v.to_tick IS NULL OR j.tick < v.to_tick)
  GROUP BY b.fingerprint ORDER BY max(b.created_at) DESC LIMIT $5
) e
"""


async def timeline(
    connection: "asyncpg.Connection[asyncpg.Record]", bot_id: str, limit: int, cursor: str | None, kinds: Sequence[TimelineKind] = ()
) -> tuple[list[dict[str, object]], str | None]:
    """A page of what happened, newest first; of some kinds only, where any are named."""
    at, key = decode_cursor(cursor, (datetime, str)) if cursor else (None, None)
    rows = await connection.fetch(TIMELINE_SQL, bot_id, at, key, limit + 1, [kind.value for kind in kinds or TimelineKind])
    following = encode_cursor([rows[limit - 1]["at"], rows[limit - 1]["key"]]) if len(rows) > limit else None
    items = [document({name: value for name, value in row.items() if name != "key"}) for row in rows[:limit]]
    return items, following


async def versions(
    connection: "asyncpg.Connection[asyncpg.Record]", bot_id: str, limit: int, cursor: str | None
) -> tuple[list[dict[str, object]], str | None]:
    """A page of versions, newest first, each with the fingerprints that were tested and their newest evidence."""
    where = Where()
    where.add("bot_id = {}", bot_id)
    items, following = await VERSIONS.page(connection, where, limit, cursor)
    if not items:
        return items, following
    # A version lasts until the tick of the next one; the page's newest may have one before the page.
    newest = int(str(items[0]["version"]))
    upper = await connection.fetchval("SELECT tick FROM bot_versions WHERE bot_id = $1 AND version = $2", bot_id, newest + 1)
    ends = [upper, *(item["tick"] for item in items[:-1])]
    rows = await connection.fetch(
        EVIDENCE_SQL, bot_id, [item["version"] for item in items], [item["tick"] for item in items], ends, MAX_FINGERPRINTS
    )
    found: dict[object, list[Mapping[str, object]]] = {}
    for row in rows:
        found.setdefault(row["version"], []).append(document({name: value for name, value in row.items() if name != "version"}))
    return [{**item, "evidence": found.get(item["version"], [])} for item in items], following
