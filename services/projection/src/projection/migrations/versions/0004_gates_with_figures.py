"""Promotion gates that do not pass stand in the badge row with what was measured and what is required, not by their codes alone."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WITH_FIGURES = """
UPDATE bot_now n SET promotion_blockers = coalesce((
    SELECT jsonb_agg(jsonb_build_object('code', g.code, 'measured', g.measured, 'required', g.required, 'clearsWhen', g.clears_when)
                     ORDER BY g.place)
    FROM bot_gates g WHERE g.bot_id = n.bot_id AND g.deciding AND g.verdict <> 'PASS'), '[]'::jsonb)
"""


def upgrade() -> None:
    """Take the figures from the decisions that the codes came from."""
    op.execute(WITH_FIGURES)
    op.execute("COMMENT ON COLUMN bot_now.promotion_blockers IS 'deciding promotion gates that do not pass, as last said'")


def downgrade() -> None:
    """Read models are disposable: drop the schema and rebuild instead."""
    raise NotImplementedError("drop the schema and rebuild from the log")
