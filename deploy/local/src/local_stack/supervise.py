"""The process manager's configuration: Kafka, PostgreSQL and the services as plain processes, restarted when they die.

Place in the flow: `make up` writes it and starts supervisord; `make down` stops supervisord, and with it everything.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autonomy.errors import Broken
from local_stack.settings import ROOT

MAX_SOCKET_PATH = 90
STOP_TIMEOUT_S = 40
START_TIMEOUT_S = 15


@dataclass(frozen=True)
class Program:
    """One supervised process; a lower priority starts earlier and stops later."""

    name: str
    command: Sequence[str]
    priority: int
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_wait_s: int = 10
    directory: str = "/"

    def section(self, logs: Path) -> str:
        """Its part of the configuration."""
        command = " ".join(_quoted(part) for part in self.command)
        environment = ",".join(f'{name}="{value.replace("%", "%%")}"' for name, value in self.environment.items())
        lines = [
            f"[program:{self.name}]", f"command={command}", f"priority={self.priority}", "autorestart=true",
            "startsecs=0", "startretries=1000000", f"stopsignal={self.stop_signal}", f"stopwaitsecs={self.stop_wait_s}",
            "stopasgroup=false", "killasgroup=true", f"directory={self.directory}", "redirect_stderr=true",
            f"stdout_logfile={logs / self.name}.log", "stdout_logfile_maxbytes=20MB", "stdout_logfile_backups=2",
        ]  # fmt: skip
        if environment:
            lines.append(f"environment={environment}")
        if self.user is not None:
            lines.append(f"user={self.user}")
        return "\n".join(lines) + "\n"


def _quoted(part: str) -> str:
    escaped = part.replace("%", "%%")
    return f'"{escaped}"' if " " in part or "*" in part else escaped


@dataclass(frozen=True)
class Supervisor:
    """One supervisord in one data folder."""

    folder: Path

    @property
    def configuration(self) -> Path:
        """Where its configuration is written."""
        return self.folder / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """Its control socket; a long folder name would not fit into a socket address."""
        direct = self.folder / "supervisor.sock"
        if len(str(direct)) < MAX_SOCKET_PATH:
            return direct
        short = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"autonomy-{short}.sock"

    def write(self, programs: Sequence[Program]) -> None:
        """Write the configuration."""
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        user = "user=root\n" if os.geteuid() == 0 else ""
        head = (
            f"[supervisord]\n{user}logfile={logs}/supervisord.log\npidfile={self.folder}/supervisord.pid\n"
            f"childlogdir={logs}\nminfds=1024\nnodaemon=false\nsilent=true\n\n"
            f"[unix_http_server]\nfile={self.socket}\nchmod=0700\n\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n"
            f"[supervisorctl]\nserverurl=unix://{self.socket}\n\n"
        )
        self.configuration.touch(mode=0o600, exist_ok=True)
        self.configuration.write_text(head + "\n".join(program.section(logs) for program in programs))

    def start(self) -> None:
        """Start supervisord and everything in it."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(self.configuration)],
            check=False, capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        if done.returncode != 0:
            raise Broken(f"the process manager did not start: {(done.stderr or done.stdout)[-500:]}")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.running():
            if time.monotonic() > deadline:
                raise Broken(f"the process manager did not answer within {START_TIMEOUT_S} s")
            time.sleep(0.05)

    def control(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Ask supervisord."""
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", str(self.configuration), *words],
            check=False, capture_output=True, text=True, timeout=STOP_TIMEOUT_S,
        )  # fmt: skip

    def running(self) -> bool:
        """Whether supervisord answers."""
        return self.configuration.exists() and self.socket.exists() and "pid" not in self.control("pid").stderr and self.pid() is not None

    def pid(self) -> int | None:
        """Its process id while it lives."""
        try:
            pid = int((self.folder / "supervisord.pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def stop(self) -> None:
        """Stop everything, services first, servers last; returns when no process is left."""
        pid = self.pid()
        if pid is None:
            return
        self.control("shutdown")
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.pid() is not None:
            if time.monotonic() > deadline:
                raise Broken(f"the process manager (pid {pid}) did not stop within {STOP_TIMEOUT_S} s")
            time.sleep(0.1)
