"""The platform's database and its three roles, each with no more rights than it needs.

owner runs migrations, projection writes rows, reader (proof-api and people) only reads, within a time limit.
"""

import psycopg
from psycopg import sql

from local_stack.postgres_server import DATABASE, ROLES, PostgresServer

READER_TIMEOUT_MS = 5_000
SEARCH_PATH = "autonomy"


def create_database(server: PostgresServer) -> None:
    """Create roles and database, once; safe to call again."""
    passwords = server.passwords()
    admin = f"postgresql://postgres:{passwords['postgres']}@127.0.0.1:{server.port}/postgres"
    with psycopg.connect(admin, autocommit=True) as connection:
        present = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role in ROLES:
            verb = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if role in present else "CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(verb.format(sql.Identifier(role), sql.Literal(passwords[role])))
            connection.execute(sql.SQL("ALTER ROLE {} SET search_path = {}").format(sql.Identifier(role), sql.Identifier(SEARCH_PATH)))
        reader = sql.Identifier("autonomy_reader")
        timeout = sql.Literal(f"{READER_TIMEOUT_MS}ms")
        connection.execute(sql.SQL("ALTER ROLE {} SET statement_timeout = {}").format(reader, timeout))
        connection.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(reader))
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER autonomy_owner").format(sql.Identifier(DATABASE)))
