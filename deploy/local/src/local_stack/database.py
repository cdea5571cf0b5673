"""The platform's database and its three roles, each with no more rights than it needs.

owner makes the tables, projection writes rows, reader (proof-api and people) only reads, within a time limit.
"""

import psycopg
from psycopg import sql

from autonomy.errors import Broken
from local_stack.postgres_server import DATABASE, ROLES, PostgresServer

READER_TIMEOUT_MS = 5_000
SEARCH_PATH = "autonomy"


def check_identity(connection: "psycopg.Connection[tuple[object, ...]]", server: PostgresServer) -> None:
    """Whether the server that answers is the one of this folder.

    Raises:
        Broken: it is another one.
    """
    (found,) = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or ("none",)
    if found != (own := server.system_identifier()):
        raise Broken(f"the PostgreSQL on port {server.port} has the system identifier {found}, needed {own}: it is another stack's")


def create_database(server: PostgresServer) -> None:
    """Create roles and database, once; safe to call again.

    Raises:
        Broken: another server answers, or does not let this stack in.
    """
    passwords = server.passwords()
    admin = f"postgresql://postgres:{passwords['postgres']}@127.0.0.1:{server.port}/postgres"
    try:
        opened = psycopg.connect(admin, autocommit=True)
    except psycopg.Error as refusal:
        raise Broken(f"the PostgreSQL on port {server.port} does not let this stack in: {refusal}") from refusal
    with opened as connection:
        check_identity(connection, server)
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
