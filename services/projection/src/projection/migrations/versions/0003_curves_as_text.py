"""The view over equity reads curves of three texts; rows of before them belong to logs that ended before the first release."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

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
    """Make the view anew."""
    op.execute(f"DROP VIEW {NAME}")
    op.execute(VIEW)
    op.execute(f"COMMENT ON VIEW {NAME} IS '{COMMENT}'")
    op.execute(f"GRANT SELECT ON {NAME} TO autonomy_projection, autonomy_reader")  # in the same moment: readers may be there


def downgrade() -> None:
    """Read models are disposable: drop the schema and rebuild instead."""
    raise NotImplementedError("drop the schema and rebuild from the log")
