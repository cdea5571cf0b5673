"""The read models: tables with their comments, views, and what each role may do."""

from alembic import op

from autonomy.read_model import METADATA, VIEWS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything in the schema on the connection's search path."""
    connection = op.get_bind()
    METADATA.create_all(connection, checkfirst=False)
    for name, (sql, comment) in VIEWS.items():
        op.execute(sql)
        op.execute(f"COMMENT ON VIEW {name} IS '{comment}'")


def downgrade() -> None:
    """Read models are disposable: drop the schema and rebuild instead."""
    raise NotImplementedError("drop the schema and rebuild from the log")
