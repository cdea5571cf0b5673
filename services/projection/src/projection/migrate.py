"""Bring a schema to the newest version, as the owner of the database.

Place in the flow: once before the services, by `make up` and by every deployment; also for the side schema of a rebuild.
"""

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from autonomy.read_model import SCHEMA

WRITER, READER = "autonomy_projection", "autonomy_reader"


def migrate(url: str, schema: str = SCHEMA) -> None:
    """Create the schema if it is missing, run the migrations, and grant each role what it needs and no more.

    Args:
        url: of the owner role.
        schema: where the tables live.
    """
    sync = create_engine(sync_url(url), poolclass=NullPool, connect_args={"options": f"-csearch_path={schema}"})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with sync.connect() as connection:
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        connection.commit()
        config.attributes["connection"], config.attributes["schema"] = connection, schema
        command.upgrade(config, "head")
        for statement in (
            f'GRANT USAGE ON SCHEMA "{schema}" TO {WRITER}, {READER}',
            f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO {READER}',
            f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" TO {WRITER}',
            f'REVOKE ALL ON "{schema}".alembic_version FROM {WRITER}',
        ):
            connection.execute(text(statement))
        connection.commit()


def sync_url(url: str) -> str:
    """The URL for the migrations' own driver."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def main() -> int:
    """Migrate the database of DATABASE_URL (owner role)."""
    migrate(os.environ["DATABASE_URL"], os.environ.get("PROJECTION_SCHEMA", SCHEMA))
    return 0


if __name__ == "__main__":
    sys.exit(main())
