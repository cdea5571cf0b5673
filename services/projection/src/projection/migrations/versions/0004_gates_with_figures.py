"""Badge rows: promotion gates with what was measured and required, the job that brought the evidence, and its equity as curves have it."""

import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from autonomy.events import EquityCurve

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

POINTS = 24
WITH_FIGURES = """
UPDATE bot_now n SET promotion_blockers = coalesce((
    SELECT jsonb_agg(jsonb_build_object('code', g.code, 'measured', g.measured, 'required', g.required, 'clearsWhen', g.clears_when)
                     ORDER BY g.place)
    FROM bot_gates g WHERE g.bot_id = n.bot_id AND g.deciding AND g.verdict <> 'PASS'), '[]'::jsonb)
"""
NEWEST = "SELECT DISTINCT ON (bot_id) bot_id, job_id, summary->'curve' AS curve FROM bot_backtests ORDER BY bot_id, created_at DESC"


def upgrade() -> None:
    """Take everything from the rows that it came from; what a badge says of them is derived anew when the projection starts."""
    op.add_column("bot_now", sa.Column("evidence_job", postgresql.UUID(as_uuid=False), nullable=True, comment="the job that brought it"))
    op.execute(WITH_FIGURES)
    op.execute("COMMENT ON COLUMN bot_now.promotion_blockers IS 'deciding promotion gates that do not pass, as last said'")
    bind = op.get_bind()
    rows = [
        {"bot": bot, "job": job, "spark": json.dumps(EquityCurve.model_validate(curve).strategy_sampled(POINTS) if curve else [])}
        for bot, job, curve in bind.execute(sa.text(NEWEST))
    ]
    if rows:
        bind.execute(sa.text("UPDATE bot_now SET evidence_job = :job, spark = CAST(:spark AS jsonb) WHERE bot_id = :bot"), rows)


def downgrade() -> None:
    """Read models are disposable: drop the schema and rebuild instead."""
    raise NotImplementedError("drop the schema and rebuild from the log")
