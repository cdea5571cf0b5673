"""Results hold their equity as a curve of three texts, those of older records too."""

import sqlalchemy as sa
from alembic import op

from autonomy.envelope import data_bytes
from autonomy.events.older import raised_summary

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROWS = 500
NAME = "bot_backtest_equity"
COMMENT = "Equity of each backtest and of buying and holding, as multiples of the initial cash"
VIEW = """
CREATE VIEW bot_backtest_equity AS
SELECT b.bot_id, b.job_id, b.created_at, (b.summary->>'firstDay')::date + c.days::integer AS day, c.strategy::float8 AS equity,
       c.held::float8 AS buy_and_hold
FROM bot_backtests b CROSS JOIN LATERAL unnest(
    string_to_array(b.summary->'curve'->>'days', ','), string_to_array(b.summary->'curve'->>'strategy', ','),
    string_to_array(b.summary->'curve'->>'buyAndHold', ',')) AS c(days, strategy, held)
"""


def upgrade() -> None:
    """Make the view anew, and the rows."""
    op.execute(f"DROP VIEW {NAME}")
    jobs = [job for (job,) in op.get_bind().execute(sa.text("SELECT job_id FROM bot_backtests WHERE summary->'equity' IS NOT NULL"))]
    for first in range(0, len(jobs), ROWS):
        _raise_rows(jobs[first : first + ROWS])
    op.execute(VIEW)
    op.execute(f"COMMENT ON VIEW {NAME} IS '{COMMENT}'")
    op.execute(f"GRANT SELECT ON {NAME} TO autonomy_projection, autonomy_reader")  # in the same moment: readers may be there


def _raise_rows(jobs: list[object]) -> None:
    bind = op.get_bind()
    found = bind.execute(sa.text("SELECT job_id, summary::text FROM bot_backtests WHERE job_id = ANY(:jobs)"), {"jobs": jobs})
    rows = [{"job": job, "summary": data_bytes(raised_summary(text)).decode()} for job, text in found]
    bind.execute(sa.text("UPDATE bot_backtests SET summary = CAST(:summary AS json) WHERE job_id = :job"), rows)


def downgrade() -> None:
    """Read models are disposable: drop the schema and rebuild instead."""
    raise NotImplementedError("drop the schema and rebuild from the log")
