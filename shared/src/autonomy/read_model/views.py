"""Views over the tables: what people ask for by name.

Place in the flow: tables → **views** → psql, proof-api.
"""

from typing import Final

DECISIONS_VIEW: Final = """
CREATE VIEW autonomy_bot_decisions AS
SELECT r.id AS run_id, r.tick, r.started_at AS decided_at, s.bot_id, s.reason_code, s.job_type, s.job_id,
       (s.from_tick = r.tick) AS changed, s.from_tick AS since_tick, s.blockers, s.detail, s.until_at, s.next_due_at,
       s.limit_name, s.limit_value, s.place, s.would, s.due_since, s.promotion_to, s.event_id
FROM autonomy_planner_runs r
JOIN decision_spans s ON s.from_tick <= r.tick AND (s.to_tick IS NULL OR s.to_tick > r.tick)
"""
GATES_VIEW: Final = """
CREATE VIEW bot_gates AS
SELECT b.id AS bot_id, s.from_tick AS since_tick, s.event_id, s.promotion_to, g.place, g.code, g.verdict, g.measured, g.required,
       g."clearsWhen" AS clears_when, g."evidenceJob" AS evidence_job, g."evidenceAgeBars" AS evidence_age_bars, g.fingerprint,
       g.deciding, g."expiresAt" AS expires_at, coalesce(g.figures, '[]'::json) AS figures
FROM bots b
CROSS JOIN LATERAL (
    SELECT * FROM decision_spans d WHERE d.bot_id = b.id AND d.promotion IS NOT NULL ORDER BY d.from_tick DESC LIMIT 1) s
CROSS JOIN LATERAL ROWS FROM (json_to_recordset(s.promotion) AS (
    code text, verdict text, measured text, required text, "clearsWhen" text, "evidenceJob" uuid, "evidenceAgeBars" integer,
    fingerprint text, deciding boolean, "expiresAt" timestamptz, figures json)) WITH ORDINALITY
    AS g(code, verdict, measured, required, "clearsWhen", "evidenceJob", "evidenceAgeBars", fingerprint, deciding, "expiresAt",
        figures, place)
WHERE b.retired_at IS NULL
"""
BLOCKERS_VIEW: Final = """
CREATE VIEW bot_blockers AS
SELECT s.bot_id, s.from_tick AS since_tick, s.job_type, g.code, g.verdict, g.measured, g.required, g."clearsWhen" AS clears_when,
       g."evidenceJob" AS evidence_job, g."evidenceAgeBars" AS evidence_age_bars, g.fingerprint
FROM decision_spans s
CROSS JOIN LATERAL json_to_recordset(s.blockers) AS g(
    code text, verdict text, measured text, required text, "clearsWhen" text, "evidenceJob" uuid,
    "evidenceAgeBars" integer, fingerprint text)
WHERE s.to_tick IS NULL
"""
BACKTEST_EQUITY_VIEW: Final = """
CREATE VIEW bot_backtest_equity AS
SELECT b.bot_id, b.job_id, b.created_at,
       (b.summary->>'firstBar')::timestamptz + c.minutes::integer * interval '1 minute' AS bar_start,
       c.strategy::float8 AS equity, c.held::float8 AS buy_and_hold
FROM bot_backtests b CROSS JOIN LATERAL unnest(
    string_to_array(b.summary->'curve'->>'minutes', ','), string_to_array(b.summary->'curve'->>'strategy', ','),
    string_to_array(b.summary->'curve'->>'buyAndHold', ',')) AS c(minutes, strategy, held)
"""
VIEWS: Final = {
    "autonomy_bot_decisions": (DECISIONS_VIEW, "One row per bot and planner run: why it was scheduled or skipped"),
    "bot_gates": (GATES_VIEW, "Every promotion gate of each bot as last recorded, passes too"),
    "bot_blockers": (BLOCKERS_VIEW, "Scheduling gates that do not pass now, with what was measured and what clears them"),
    "bot_backtest_equity": (BACKTEST_EQUITY_VIEW, "Equity of each backtest and of buying and holding, as multiples of the initial cash"),
}
