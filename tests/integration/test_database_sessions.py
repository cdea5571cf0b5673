"""What a role, a database or a pooler in between makes of a session: what would be stored or read wrong is refused in words.

On a real PostgreSQL, and a real PgBouncer where one is installed; a server that refuses as it does is always there.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest

from autonomy.postgres import Unfit, connect, is_refusal, words_of
from autonomy.read_model import SCHEMA
from local_stack.patience import is_answered, until_answers
from projection.store.writer import Writer
from proof_api.reading.pool import Pool
from support.measuring import FaultRows
from support.patience import PATIENCE_S
from support.platform import Platform, wait_for
from support.proof import Api
from support.servers import Database, free_port, own_folder
from support.writing import MOVED, a_note

pytestmark = pytest.mark.servers
WORDS = "Grüße, 5 € über 前 — „so“"
REFUSAL = "unsupported startup parameter: search_path"


def as_superuser(database: Database, statement: str) -> None:
    with psycopg.connect(database.server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
def latin_role(database: Database) -> Iterator[Database]:
    """A database whose writer and reader speak Latin-1 unless they say otherwise, as an administrator may set it."""
    database.empty()
    for role in ("autonomy_projection", "autonomy_reader"):
        as_superuser(database, f"ALTER ROLE {role} SET client_encoding = 'LATIN1'")
    with psycopg.connect(database.url()) as plain:
        assert plain.info.encoding == "iso8859-1", "a client that says nothing gets what the role says"
    yield database
    for role in ("autonomy_projection", "autonomy_reader"):
        as_superuser(database, f"ALTER ROLE {role} RESET client_encoding")


def test_what_is_stored_is_what_was_said_whatever_the_roles_encoding(latin_role: Database) -> None:
    said = a_note(1)
    for row in said.rows["bot_notes"].values():
        row["detail"] = WORDS

    async def stored() -> list[Any]:
        writer = await Writer.open(latin_role.url(), SCHEMA)
        try:
            await writer.commit(said, MOVED)
        finally:
            await writer.close()
        connection = await connect(latin_role.url("autonomy_reader"), SCHEMA)
        pool = await Pool.open(latin_role.url("autonomy_reader"))
        try:
            async with pool.connection() as lent:
                return [await each.fetchval("SELECT detail FROM bot_notes") for each in (connection, lent)]
        finally:
            await connection.close()
            pool.terminate()

    for found in asyncio.run(stored()):
        assert found == WORDS


def test_a_database_that_is_not_utf8_is_refused_by_reader_and_writer(database: Database) -> None:
    as_superuser(database, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        url = database.server.url("postgres").rsplit("/", 1)[0] + "/latin"
        with pytest.raises(Unfit, match="the database's encoding is LATIN1, needed is UTF8") as refused:
            asyncio.run(connect(url, "public"))
        assert is_refusal(refused.value)
        with pytest.raises(Unfit, match="the database's encoding is LATIN1, needed is UTF8"):
            asyncio.run(Writer.open(url, "public"))
    finally:
        as_superuser(database, "DROP DATABASE latin WITH (FORCE)")


@contextlib.contextmanager
def a_refusing_server() -> Iterator[str]:
    """Answers every session as PgBouncer does when a client names a parameter that it does not know."""
    listening = socket.create_server(("127.0.0.1", 0))
    fields = b"SFATAL\0VFATAL\0C08P01\0M" + REFUSAL.encode() + b"\0\0"

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client:
                    size, code = struct.unpack(">ii", client.recv(8))
                    if code == 80877103:  # whether it speaks TLS: it does not
                        client.sendall(b"N")
                        (size,) = struct.unpack(">i", client.recv(4))
                    client.recv(size)
                    client.sendall(b"E" + struct.pack(">i", len(fields) + 4) + fields)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"postgresql://autonomy_reader:x@127.0.0.1:{listening.getsockname()[1]}/autonomy"
    finally:
        listening.close()


def test_a_refusal_is_told_from_an_outage_with_the_servers_own_words(platform: Platform, fault_row: FaultRows) -> None:
    with a_refusing_server() as url:
        with pytest.raises(asyncpg.ProtocolViolationError) as refused:
            asyncio.run(connect(url, SCHEMA))
        assert is_refusal(refused.value)
        projection = platform.start("projection", "projection", DATABASE_URL=url)
        platform.start("proof-api", "proof_api", DATABASE_URL=url, PROOF_API_PORT=str(platform.api_port))
        api = Api(platform, platform.services[-1], Api.client(platform))
        api.service.wait_until("the API", api.is_up)
        row = fault_row(
            "postgresql refuses",
            "Servers",
            "a pooler before PostgreSQL refuses every session, as PgBouncer does",
            "a human mends the pooler",
        )
        api.seconds_until(lambda code, body: code == 503 and REFUSAL in (body["proof"]["reason"] or ""), 30)
        reason = api.autonomy()[1]["proof"]["reason"]
        row.notices(f"503 unavailable; “{reason}”")
        assert reason.startswith(f"PostgreSQL refuses: {REFUSAL}")
        assert "connection pooler" in reason
        wait_for("the projection's word", lambda: f"PostgreSQL refuses: {REFUSAL}" in projection.log.read_text())
        assert projection.alive
        row.keeps()


def test_nobody_listens_is_an_outage() -> None:
    with pytest.raises(OSError) as outage:
        asyncio.run(connect(f"postgresql://a:b@127.0.0.1:{free_port()}/autonomy", SCHEMA))
    assert not is_refusal(outage.value)
    assert words_of(outage.value) == "nothing listens there"


def test_credentials_and_names_are_refusals(database: Database) -> None:
    address = urlsplit(database.url())
    for url, words in (
        (database.url().replace(str(address.password), "wrong"), "password authentication failed"),
        (database.url().rsplit("/", 1)[0] + "/nowhere", 'database "nowhere" does not exist'),
    ):
        with pytest.raises(asyncpg.PostgresError) as refused:
            asyncio.run(connect(url, SCHEMA))
        assert is_refusal(refused.value)
        assert words in words_of(refused.value)


@contextlib.contextmanager
def a_pooler(database: Database, **settings: str) -> Iterator[str]:
    """A real PgBouncer before the database."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer on this machine")
    user = "nobody" if os.getuid() == 0 else None
    address, port = urlsplit(database.url()), free_port()
    lines = {"listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "", "auth_type": "plain", **settings}
    with own_folder("pooler") as folder:
        (folder / "users").write_text(
            "".join(f'"{role}" "{urlsplit(database.url(role)).password}"\n' for role in ("autonomy_projection", "autonomy_reader"))
        )
        document = f"[databases]\n* = host=127.0.0.1 port={address.port}\n[pgbouncer]\nauth_file = {folder / 'users'}\n"
        (folder / "pgbouncer.ini").write_text(document + "".join(f"{name} = {value}\n" for name, value in lines.items()))
        for path in (folder, *folder.iterdir()):
            if user:
                shutil.chown(path, user)
        with (folder / "out.log").open("wb") as out:
            process = subprocess.Popen([program, str(folder / "pgbouncer.ini")], user=user, stdout=out, stderr=out)
        try:
            until_answers(lambda: is_answered(port), "PgBouncer", timeout_s=PATIENCE_S, process=process, said=folder / "out.log")
            yield database.url("autonomy_reader").replace(f":{address.port}/", f":{port}/")
        finally:
            process.terminate()
            process.wait()


def test_a_pooler_that_knows_no_schema_of_a_session_is_refused(database: Database) -> None:
    database.empty()
    with a_pooler(database, pool_mode="transaction") as url:
        with pytest.raises(asyncpg.ProtocolViolationError, match=REFUSAL) as refused:
            asyncio.run(connect(url, SCHEMA))
        assert is_refusal(refused.value)


def test_a_pooler_that_drops_the_schema_silently_is_refused(database: Database) -> None:
    database.empty()
    ignoring = a_pooler(database, pool_mode="transaction", ignore_startup_parameters="search_path")
    with ignoring as url, pytest.raises(Unfit, match="needed is elsewhere: a connection pooler dropped it"):
        asyncio.run(connect(url, "elsewhere"))
