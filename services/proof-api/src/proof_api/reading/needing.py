"""What needs a person, counted in one statement over the rows of a snapshot.

Place in the flow: PostgreSQL → **needing** → snapshot → `proof_api.proof.attention`. Who must act on a blocker is told by the gates
themselves; the statement is written from them, so that a filter, a count and a row can't tell it differently.

Source: R-B3, R-A3.3.
"""

from datetime import datetime
from typing import Final

import asyncpg

from autonomy.attention import AttentionKind
from autonomy.gates import BY_THE_CLOCK, GATES, NEVER, Act, Needs, Verdict, act_of
from proof_api.proof.attention import RANKS, Group

NAMED: Final = 5
"""Bots that a group names."""


def _pairs(act: Act) -> str:
    found = sorted(f"'{code}/{verdict.value}'" for code in GATES for verdict in Verdict if act_of(code, verdict) is act)
    return ", ".join(found)


RANK: Final = (
    f"CASE WHEN code || '/' || verdict IN ({_pairs(Act.OPERATOR)}) THEN CASE WHEN clears LIKE '{BY_THE_CLOCK}%' "
    f"THEN {RANKS[Needs.NOBODY]} WHEN clears LIKE '{NEVER}%' THEN {RANKS[Needs.DEVELOPER]} ELSE {RANKS[Needs.OPERATOR]} END "
    f"WHEN code || '/' || verdict IN ({_pairs(Act.DEVELOPER)}) AND clears NOT LIKE '{BY_THE_CLOCK}%' THEN {RANKS[Needs.DEVELOPER]} "
    f"ELSE {RANKS[Needs.NOBODY]} END"
)
"""Of a blocker, whom it waits for, as `autonomy.gates` says it."""
BLOCKERS: Final = (
    "(SELECT b->>'code' AS code, b->>'verdict' AS verdict, coalesce(b->>'clearsWhen', '') AS clears, place "
    "FROM jsonb_array_elements(blockers) WITH ORDINALITY e(b, place)) blocker"
)
NEEDS_OF_ROW: Final = f"(SELECT min({RANK}) FROM {BLOCKERS})"  # noqa: S608 (words of the gates)
"""Of a row of `bot_now`, whom the bot waits for; null without a blocker."""
FIRST_OF_ROW: Final = f"(SELECT code FROM {BLOCKERS} ORDER BY {RANK}, place LIMIT 1)"  # noqa: S608 (words of the gates)
"""Of a row of `bot_now`, the blocker by which it is counted."""
IS_STARTING: Final = "runner_beat_at IS NULL AND since > $1::timestamptz - $3::float8 * interval '1 second'"

SQL: Final = f"""
WITH blocked AS MATERIALIZED (
  SELECT bot_id, decided_at, found.* FROM bot_now CROSS JOIN LATERAL (
    SELECT {RANK} AS rank, code, clears FROM {BLOCKERS} ORDER BY rank, place LIMIT 1) found
  WHERE blockers <> '[]'::jsonb),
live AS (SELECT * FROM bot_runners WHERE NOT stopping AND last_beat_at >= $2 AND last_beat_at > $1::timestamptz - interval '1 hour'),
found AS (
  SELECT CASE rank WHEN {RANKS[Needs.OPERATOR]} THEN 'BLOCKED' WHEN {RANKS[Needs.DEVELOPER]} THEN 'DEVELOPER' END AS kind, code,
         clears AS more, bot_id, decided_at AS since FROM blocked
  UNION ALL
  SELECT 'PAUSE', scope, CASE scope WHEN 'fleet' THEN 'the fleet' ELSE scope || ' ' || target END || ', by ' || actor
         || coalesce(': ' || nullif(reason, ''), ''),
         CASE scope WHEN 'bot' THEN target END, since FROM autonomy_loop
  UNION ALL
  SELECT 'APPROVAL', to_stage, to_stage, bot_id, recommended_at FROM promotions WHERE status IN ('OPEN', 'REQUESTED')
  UNION ALL
  SELECT 'RUNNER_STALE', code, CASE code WHEN 'NOT_TAKEN' THEN 'no job-runner took it yet' ELSE 'its job-runner is silent' END, bot_id,
         since FROM (SELECT bot_id, since, CASE WHEN runner_status = 'QUEUED' THEN 'NOT_TAKEN' ELSE 'SILENT' END AS code FROM bot_now
        WHERE (state = 'RUNNER_STALE' OR (state = 'RUNNER_RUNNING' AND last_beat_at < $2)) AND NOT ({IS_STARTING})) stale
  UNION ALL
  SELECT 'WORKER_SILENT', '', '', NULL, last_beat_at FROM bot_runners gone
  WHERE NOT stopping AND last_beat_at < $2 AND last_beat_at > $1::timestamptz - interval '1 hour'
    AND NOT EXISTS (SELECT FROM live WHERE first_seen_at > gone.last_beat_at)
  UNION ALL
  SELECT 'DRIFT', coalesce(drift, ''), coalesce(drift, ''), bot_id, drift_at FROM bot_now WHERE demote AND session_id IS NOT NULL
  UNION ALL
  SELECT 'SOURCE', '', name || ': ' || reason, NULL, NULL FROM (
    SELECT DISTINCT ON (name) fault->>'name' AS name, fault->>'reason' AS reason FROM live, jsonb_array_elements(source_faults) fault
    ORDER BY name, reason) faults
  UNION ALL
  SELECT 'STRATEGY_FILE', '', file || ': ' || reason, NULL, NULL FROM (
    SELECT DISTINCT ON (file) fault->>'file' AS file, fault->>'reason' AS reason FROM live, jsonb_array_elements(strategy_faults) fault
    ORDER BY file, reason) faults
  UNION ALL
  SELECT 'QUARANTINE', topic, topic, NULL, seen_at FROM quarantine WHERE seen_at > $1::timestamptz - interval '1 day')
SELECT kind, code, count(*)::int AS count, min(since) AS since, (array_agg(more ORDER BY since, bot_id, more))[1] AS more,
       array_remove((array_agg(bot_id ORDER BY since, bot_id, more))[1:{NAMED}], NULL) AS bots
FROM found GROUP BY kind, code ORDER BY kind, count DESC, code
"""  # noqa: S608 (words of the gates)
"""Parameters: now, the last instant of silence, the lease in seconds. A job-runner that another one followed is no longer missed."""


async def counted(
    connection: "asyncpg.Connection[asyncpg.Record]", now: datetime, silent_before: datetime, lease_s: float
) -> tuple[Group, ...]:
    """Everything that needs a person, by kind and cause."""
    return tuple(_group_of(row) for row in await connection.fetch(SQL, now, silent_before, lease_s))


def _group_of(row: "asyncpg.Record") -> Group:
    kind = row["kind"]
    return Group(
        None if kind is None else AttentionKind(kind), row["code"], row["count"], row["since"], row["more"] or "", tuple(row["bots"] or ())
    )
