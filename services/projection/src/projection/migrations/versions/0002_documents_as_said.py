"""Documents that nobody searches are kept as the text that they came as, and big ones are not compressed.

Taking 280 numbers apart, compressing and storing them cost the database more than all other columns of a result together.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DOCUMENTS = {"bot_backtests": ("summary",), "bot_jobs": ("spec",), "decision_spans": ("blockers", "promotion")}
BIG = ("bot_backtests", "summary")
VIEWS = {
    "autonomy_bot_decisions": (
        """
CREATE VIEW autonomy_bot_decisions AS
SELECT r.id AS run_id, r.tick, r.started_at AS decided_at, s.bot_id, s.reason_code, s.job_type, s.job_id,
       (s.from_tick = r.tick) AS changed, s.from_tick AS since_tick, s.blockers, s.detail, s.until_at, s.next_due_at,
       s.limit_name, s.limit_value, s.place, s.would, s.due_since, s.promotion_to, s.event_id
FROM autonomy_planner_runs r
JOIN decision_spans s ON s.from_tick <= r.tick AND (s.to_tick IS NULL OR s.to_tick > r.tick)
""",
        "One row per bot and planner run: why it was scheduled or skipped",
    ),
    "bot_gates": (
        """
CREATE VIEW bot_gates AS
SELECT b.id AS bot_id, s.from_tick AS since_tick, s.event_id, s.promotion_to, g.place, g.code, g.verdict, g.measured, g.required,
       g."clearsWhen" AS clears_when, g."evidenceJob" AS evidence_job, g."evidenceAgeBars" AS evidence_age_bars, g.fingerprint,
       g.deciding, g."expiresAt" AS expires_at
FROM bots b
CROSS JOIN LATERAL (
    SELECT * FROM decision_spans d WHERE d.bot_id = b.id AND d.promotion IS NOT NULL ORDER BY d.from_tick DESC LIMIT 1) s
CROSS JOIN LATERAL ROWS FROM (json_to_recordset(s.promotion) AS (
    code text, verdict text, measured text, required text, "clearsWhen" text, "evidenceJob" uuid, "evidenceAgeBars" integer,
    fingerprint text, deciding boolean, "expiresAt" timestamptz)) WITH ORDINALITY
    AS g(code, verdict, measured, required, "clearsWhen", "evidenceJob", "evidenceAgeBars", fingerprint, deciding, "expiresAt", place)
WHERE b.retired_at IS NULL
""",
        "Every promotion gate of each bot as last recorded, passes too",
    ),
    "bot_blockers": (
        """
CREATE VIEW bot_blockers AS
SELECT s.bot_id, s.from_tick AS since_tick, s.job_type, g.code, g.verdict, g.measured, g.required, g."clearsWhen" AS clears_when,
       g."evidenceJob" AS evidence_job, g."evidenceAgeBars" AS evidence_age_bars, g.fingerprint
FROM decision_spans s
CROSS JOIN LATERAL json_to_recordset(s.blockers) AS g(
    code text, verdict text, measured text, required text, "clearsWhen" text, "evidenceJob" uuid,
    "evidenceAgeBars" integer, fingerprint text)
WHERE s.to_tick IS NULL
""",
        "Scheduling gates that do not pass now, with what was measured and what clears them",
    ),
    "bot_backtest_equity": (
        """
CREATE VIEW bot_backtest_equity AS
SELECT b.bot_id, b.job_id, b.created_at, (p.point->>0)::date AS day, (p.point->>1)::float8 AS equity,
       (p.point->>2)::float8 AS buy_and_hold
FROM bot_backtests b CROSS JOIN LATERAL json_array_elements(b.summary->'equity') AS p(point)
""",
        "Equity of each backtest and of buying and holding, as multiples of the initial cash",
    ),
}


def upgrade() -> None:
    """Change the columns, and make the views over them anew."""
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
    for table, columns in DOCUMENTS.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"ALTER COLUMN {name} TYPE json USING {name}::json" for name in columns))
    table, column = BIG
    op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
    for name, (sql, comment) in VIEWS.items():
        op.execute(sql)
        op.execute(f"COMMENT ON VIEW {name} IS '{comment}'")
        op.execute(f"GRANT SELECT ON {name} TO autonomy_projection, autonomy_reader")  # in the same moment: readers may be there


def downgrade() -> None:
    """Read models are disposable: drop the schema and rebuild instead."""
    raise NotImplementedError("drop the schema and rebuild from the log")
