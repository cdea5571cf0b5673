"""The process manager's configuration: Kafka, PostgreSQL and the services as plain processes, restarted when they die.

Place in the flow: `make up` writes it and starts supervisord; `make down` stops supervisord, and with it everything. A supervisord that
was killed leaves its processes behind: each carries the stack's folder in its environment, so that they are found all the same.
"""

import hashlib
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import Any, Final
from xmlrpc.client import Error as XmlError
from xmlrpc.client import ServerProxy, Transport

import psutil
from typing_extensions import override

from autonomy.errors import Broken
from local_stack.settings import ROOT

MAX_SOCKET_PATH = 90
STOP_TIMEOUT_S = 180
"""More than all programs may take, one priority after the other; each is killed after its own time."""
START_TIMEOUT_S = 120
ANSWER_TIMEOUT_S = 30
SETTLE_TIMEOUT_S = 5
"""For processes that end by themselves when their parents have ended."""
MARK: Final = "AUTONOMY_STACK"
"""In the environment of every process of a stack: its folder."""
PROGRAM: Final = "AUTONOMY_PROGRAM"
CHARACTERS: Final = {"AUTONOMY_NEWLINE": "\n", "AUTONOMY_RETURN": "\r", "AUTONOMY_SEMICOLON": ";", "AUTONOMY_NUMBER_SIGN": "#"}
"""What a configuration file cannot hold in a value, by the variable of the process manager that brings it in."""
SERVERS: Final = {"kafka": SIGTERM, "postgres": SIGINT}
"""Asked after the services, PostgreSQL in the way in which it does not wait for its clients."""


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
    start_s: int = 0
    """A process that ends sooner did not start: the process manager waits longer before each next try."""

    def section(self, logs: Path) -> str:
        """Its part of the configuration."""
        command = " ".join(_escaped(shlex.quote(part)) for part in self.command)
        variables = {**self.environment, PROGRAM: self.name}
        environment = ",".join(f"{name}={_escaped(_quoted(name, value))}" for name, value in variables.items())
        log = str(logs / self.name).replace("%", "%%")  # a log's name, and nothing else, is expanded twice
        lines = [
            f"[program:{self.name}]", f"command={command}", f"priority={self.priority}", "autorestart=true",
            f"startsecs={self.start_s}", "startretries=1000000", f"stopsignal={self.stop_signal}", f"stopwaitsecs={self.stop_wait_s}",
            "stopasgroup=false", "killasgroup=true", f"directory={_escaped(self.directory)}", "redirect_stderr=true",
            f"stdout_logfile={_escaped(log)}.log", "stdout_logfile_maxbytes=20MB", "stdout_logfile_backups=2",
            f"environment={environment}",
        ]  # fmt: skip
        if self.user is not None:
            lines.append(f"user={self.user}")
        return "\n".join(lines) + "\n"


def _quoted(name: str, value: str) -> str:
    """A variable's value as the process manager's list of variables takes it: in quotes that it does not hold itself.

    Raises:
        Broken: it holds both kinds of quotes, or has one at an end, where the process manager would take it away.
    """
    if value.strip("\"'") != value or ("'" in value and '"' in value):
        raise Broken(f"{name}: a value must not begin or end with a quote, nor hold both kinds of quotes; got {len(value)} characters")
    return f"'{value}'" if '"' in value else f'"{value}"'


def _escaped(text: str) -> str:
    """Text of the configuration in which every character survives.

    `%` begins an expansion, and what the file's syntax takes for its own (line ends, the marks of comments) comes in by one, from the
    process manager's environment.

    Raises:
        Broken: a character that no process can be given.
    """
    if "\0" in text:
        raise Broken("the character 0 cannot be given to a process")
    text = text.replace("%", "%%")
    for name, character in CHARACTERS.items():
        text = text.replace(character, f"%(ENV_{name})s")
    return text


@dataclass(frozen=True)
class Supervised:
    """A program as the process manager sees it now; pid 0 and age 0 while it does not run."""

    name: str
    state: str
    pid: int
    age_s: float
    problem: str
    log: Path

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""
        return self.state in {"STARTING", "RUNNING"}


class _Socket(HTTPConnection):
    """HTTP over the process manager's own socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT_S)
        self.path = path

    @override
    def connect(self) -> None:
        """Connect to the socket of a file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_TIMEOUT_S)
        self.sock.connect(str(self.path))


class _Wire(Transport):
    """XML-RPC over that socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @override
    def make_connection(self, host: object) -> HTTPConnection:
        """A new one each time: nothing is kept open between two looks."""
        del host
        return _Socket(self.path)


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
        folder, socket = _escaped(str(self.folder)), _escaped(str(self.socket))
        head = (
            f"[supervisord]\n{user}logfile={folder}/logs/supervisord.log\npidfile={folder}/supervisord.pid\n"
            f"childlogdir={folder}/logs\nminfds=1024\numask=077\nnodaemon=false\nsilent=true\n\n"
            f"[unix_http_server]\nfile={socket}\nchmod=0700\n\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n"
            f"[supervisorctl]\nserverurl=unix://{socket}\n\n"
        )
        self.configuration.touch(mode=0o600, exist_ok=True)
        self.configuration.write_text(head + "\n".join(program.section(logs) for program in programs))

    def start(self) -> None:
        """Start supervisord and everything in it."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(self.configuration)],
            check=False, capture_output=True, text=True, cwd=ROOT,
            env={**os.environ, **CHARACTERS, MARK: str(self.folder)},
        )  # fmt: skip
        if done.returncode != 0:
            raise Broken(f"the process manager did not start: {(done.stderr or done.stdout)[-500:]}")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.running():
            # Once its process is there, it is slow and not gone.
            if self.pid() is None and time.monotonic() > deadline:
                raise Broken(f"the process manager was not there within {START_TIMEOUT_S} s; see {self.folder}/logs/supervisord.log")
            time.sleep(0.05)

    def control(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Ask supervisord."""
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", str(self.configuration), *words],
            check=False, capture_output=True, text=True, timeout=STOP_TIMEOUT_S,
            env={**os.environ, **CHARACTERS},
        )  # fmt: skip

    def running(self) -> bool:
        """Whether supervisord answers."""
        return self.pid() is not None and self._ask() is not None

    def processes(self) -> dict[str, Supervised]:
        """Every program by its name, as the process manager sees it.

        Raises:
            Broken: it is gone.
        """
        while (found := self._ask()) is None:
            if self.pid() is None:
                raise Broken(f"the process manager ended; see {self.folder}/logs/supervisord.log")
            time.sleep(0.05)
        return {
            str(each["name"]): Supervised(
                str(each["name"]), str(each["statename"]), int(each["pid"]), each["now"] - each["start"] if each["pid"] else 0,
                str(each["spawnerr"]), Path(str(each["stdout_logfile"])),
            )
            for each in found
        }  # fmt: skip

    def _ask(self) -> list[dict[str, Any]] | None:
        """What supervisord says of its programs; None when it does not answer now."""
        try:
            with ServerProxy("http://localhost/RPC2", transport=_Wire(self.socket)) as server:
                found: list[dict[str, Any]] = server.supervisor.getAllProcessInfo()  # type: ignore[assignment] # XML-RPC has no types
                return found
        except (OSError, HTTPException, XmlError):
            return None

    def pid(self) -> int | None:
        """Its process id while it lives; another process may have got the number since."""
        try:
            pid = int((self.folder / "supervisord.pid").read_text())
            return pid if str(self.configuration) in psutil.Process(pid).cmdline() else None
        except (OSError, ValueError, psutil.Error):
            return None

    def stop(self) -> None:
        """Stop everything, services first, servers last; returns when no process is left."""
        pid = self.pid()
        if pid is not None:
            self.control("shutdown")
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while self.pid() is not None:
                if time.monotonic() > deadline:
                    raise Broken(f"the process manager (pid {pid}) did not stop within {STOP_TIMEOUT_S} s")
                time.sleep(0.1)
            # A child of a child may need a moment longer than its parent, whose end is all that the process manager waits for.
            settled_by = time.monotonic() + SETTLE_TIMEOUT_S
            while self.left_behind() and time.monotonic() < settled_by:
                time.sleep(0.05)
        self._end(self.left_behind())
        # One that was killed leaves its socket; where the folder's name is long it lies among everybody's temporary files, for good.
        self.socket.unlink(missing_ok=True)

    def left_behind(self) -> "list[psutil.Process]":
        """The processes of this stack while no supervisord lives to stop them."""
        if self.pid() is not None:
            return []
        return [found for found in psutil.process_iter() if _environment(found).get(MARK) == str(self.folder)]

    def _end(self, left: "Sequence[psutil.Process]") -> None:
        """End processes that lost their manager: services first, then the servers they lean on.

        Raises:
            Broken: one of them cannot be ended.
        """
        if not left:
            return
        names = ", ".join(sorted({f"{_environment(found).get(PROGRAM, '?')} (pid {found.pid})" for found in left}))
        print(f"Ending what outlived the process manager: {names}.", file=sys.stderr)
        known = {found.pid for found in left}
        heads = [found for found in left if _parent(found) not in known]
        servers = [found for found in heads if _environment(found).get(PROGRAM) in SERVERS]
        _signal(((found, SIGTERM) for found in heads if found not in servers), STOP_TIMEOUT_S / 2)
        _signal(((found, SERVERS[_environment(found)[PROGRAM]]) for found in servers), STOP_TIMEOUT_S / 2)
        _signal(((found, SIGKILL) for found in left if _lives(found)), STOP_TIMEOUT_S / 2)
        if still := self.left_behind():
            raise Broken(f"these processes of the stack cannot be ended: {sorted(found.pid for found in still)}")


def _environment(process: "psutil.Process") -> dict[str, str]:
    """Of a process; nothing of one that is gone, or another user's."""
    try:
        found: dict[str, str] = process.environ()
    except (psutil.Error, OSError):
        return {}
    return found


def _parent(process: "psutil.Process") -> int:
    """Of a process; 0 of one that is gone."""
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return 0


def _signal(asked: "Iterable[tuple[psutil.Process, Signals]]", within_s: float) -> None:
    """Ask each process to end, and wait for those that do."""
    processes = []
    for process, signal in asked:
        try:
            process.send_signal(signal)
        except psutil.NoSuchProcess:
            continue
        processes.append(process)
    deadline = time.monotonic() + within_s
    while any(map(_lives, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)


def _lives(process: "psutil.Process") -> bool:
    """Whether a process is there and not only its entry, which some inits never take away."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
