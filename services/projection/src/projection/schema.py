"""Make the tables as `autonomy.read_model` says them; tables of another release step aside and are folded anew from the log.

Place in the flow: once before the services, as the owner of the database, by `make up` and by every deployment; also for the side schema of
a rebuild. Nothing is converted: rows are disposable, and the log is what they follow from (ADR 0023).

Source: R-F9.
"""

import os
import sys
from typing import Final

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from autonomy.read_model import METADATA, SCHEMA, VERSION_WORDS, VIEWS, schema_version, version_in

WRITER, READER = "autonomy_projection", "autonomy_reader"
OLD: Final = "autonomy_old"
"""Where the tables of the release before stand, until the next ones step aside."""


def make_schema(url: str, schema: str = SCHEMA) -> None:
    """Make the tables if they are missing or of another version, and grant each role what it needs and no more.

    Args:
        url: of the owner role.
        schema: where the tables live.
    """
    engine = create_engine(sync_url(url), poolclass=NullPool, connect_args={"options": f"-csearch_path={schema}"})
    with engine.begin() as connection:
        found = connection.scalar(text("SELECT oid FROM pg_namespace WHERE nspname = :schema"), {"schema": schema})
        if found is not None and version_of(connection, schema) != schema_version():
            put_aside(connection, schema)
            found = None
        if found is None:
            connection.execute(text(f'CREATE SCHEMA "{schema}"'))
            METADATA.create_all(connection, checkfirst=False)
            for name, (sql, comment) in VIEWS.items():
                connection.exec_driver_sql(sql.replace("%", "%%"))
                connection.exec_driver_sql(f"COMMENT ON VIEW {name} IS '{comment}'")
            connection.exec_driver_sql(f"COMMENT ON SCHEMA \"{schema}\" IS '{VERSION_WORDS.format(schema_version())}'")
        for statement in (
            f'GRANT USAGE ON SCHEMA "{schema}" TO {WRITER}, {READER}',
            f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO {READER}',
            f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" TO {WRITER}',
        ):
            connection.exec_driver_sql(statement)


def version_of(connection: Connection, schema: str) -> str:
    """The version that a schema says it has; empty when it says none."""
    words = connection.scalar(
        text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema"), {"schema": schema}
    )
    return version_in(words)


def put_aside(connection: Connection, schema: str) -> None:
    """Rename a schema to `autonomy_old`; a projection that still writes to it meets the lock first, and then no table."""
    tables = connection.execute(
        text("SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname = :schema"),
        {"schema": schema},
    ).scalars().all()  # fmt: skip
    if tables:
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
    connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{OLD}" CASCADE')
    connection.exec_driver_sql(f'ALTER SCHEMA "{schema}" RENAME TO "{OLD}"')


def sync_url(url: str) -> str:
    """The URL for the driver that makes the tables."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def main() -> int:
    """Make the tables in the database of DATABASE_URL (owner role)."""
    make_schema(os.environ["DATABASE_URL"], os.environ.get("PROJECTION_SCHEMA", SCHEMA))
    return 0


if __name__ == "__main__":
    sys.exit(main())
