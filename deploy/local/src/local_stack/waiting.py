"""How `make up` waits: as long as the processes that it waits for live, saying every few seconds what it waits for.

A busy machine is slow, and a fixed time would call it broken; a process that ends again and again is broken, however quick the machine.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from autonomy.errors import Broken
from local_stack.patience import is_answered
from local_stack.supervise import Supervised, Supervisor

SAY_EVERY_S: Final = 5.0
LOOK_EVERY_S: Final = 0.1
RESTARTS_ALLOWED: Final = {"kafka": 1, "postgres": 1}
"""A server's second try may meet a port that was being freed; a third one means that it cannot run."""
SERVICE_RESTARTS_ALLOWED: Final = 3
"""A service gives up and is started again when its server needs longer than its own patience."""
LAST_LINES: Final = 5


@dataclass
class Waiting:
    """One start of a stack, from its first wait to its last.

    Args:
        supervisor: the process manager.
        bound_s: the longest that all waits together may take; None: as long as the processes live.
        say: takes progress in words.
    """

    supervisor: Supervisor
    bound_s: float | None = None
    say: Callable[[str], None] = print
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)
    pids: dict[str, set[int]] = field(default_factory=dict)

    def until(self, what: str, look: Callable[[], str | None], needs: Sequence[str]) -> None:
        """Block until `look` has nothing to complain of.

        Args:
            what: what is waited for, as a user would call it.
            look: None when it is there, else what it sees now.
            needs: the programs that must live for it to come.

        Raises:
            Broken: one of them cannot run, or the bound is reached.
        """
        while (seen := look()) is not None:
            self.check(needs, what)
            waited_s = time.monotonic() - self.began
            if self.bound_s is not None and waited_s > self.bound_s:
                raise Broken(f"{what}: not within {self.bound_s:.0f} s (AUTONOMY_UP_TIMEOUT_S); {seen}")
            if time.monotonic() - self.said >= SAY_EVERY_S:
                self.said = time.monotonic()
                self.say(f"  {waited_s:.0f} s: waiting for {what}: {seen}")
            time.sleep(LOOK_EVERY_S)

    def check(self, needs: Sequence[str], what: str) -> None:
        """Refuse to wait for a program that ends again and again.

        Raises:
            Broken: with the program's last words.
        """
        processes = self.supervisor.processes()
        for name in needs:
            found = processes.get(name)
            if found is None:
                raise Broken(f"{what}: the process manager has no program {name}")
            seen = self.pids.setdefault(name, set())
            if found.pid:
                seen.add(found.pid)
            ended = len(seen) - (1 if found.is_up else 0)
            allowed = RESTARTS_ALLOWED.get(name, SERVICE_RESTARTS_ALLOWED)
            if found.state in {"FATAL", "STOPPED", "UNKNOWN"} or ended > allowed:
                raise Broken(f"{what}: {name} {_ending(found, ended)}; its last words, in {found.log}:\n{last_words(found.log)}")

    def until_listens(self, name: str, ports: Mapping[str, int]) -> None:
        """Block until a program of this stack, and nobody else, listens on its ports.

        Raises:
            Broken: another process has one of them: what answers there is not this stack.
        """
        for setting, port in ports.items():
            self.until(name, lambda: self.look_at(name, setting, port), [name])  # noqa: B023 (called before the next port)

    def look_at(self, name: str, setting: str, port: int) -> str | None:
        """None when the program itself listens on the port, else what is seen.

        Raises:
            Broken: another process listens there.
        """
        answers = is_answered(port)
        found = self.supervisor.processes().get(name)
        if found is None or not found.pid:
            state = "not started yet" if found is None else found.state.lower()
            if answers:
                raise Broken(_taken(name, setting, port))
            return f"{name} is {state}"
        if listens(found.pid, port):
            return None
        if answers:
            # It was answered before this process's own sockets were looked at, so it is not a matter of an instant.
            raise Broken(_taken(name, setting, port))
        return f"{name} (pid {found.pid}, {found.age_s:.0f} s old) does not listen on port {port} yet"


def listens(pid: int, port: int) -> bool:
    """Whether a process itself listens on a port."""
    try:
        sockets = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(found.status == psutil.CONN_LISTEN and found.laddr.port == port for found in sockets)


def owner_of(port: int) -> str:
    """Who listens on a port, as far as this user may see it."""
    for process in psutil.process_iter():
        if listens(process.pid, port):
            return f"process {process.pid} ({process.name()})"
    return "a process of somebody else"


def _taken(name: str, setting: str, port: int) -> str:
    return f"port {port} is answered by {owner_of(port)}, not by this stack's {name}: stop it, or set {setting} to another port"


def _ending(found: Supervised, ended: int) -> str:
    return f"ended {ended} times" if ended else f"is {found.state} ({found.problem or 'no reason given'})"


def last_words(log: Path) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4_000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "  (none)"
    return "\n".join(f"  {line[:500]}" for line in lines[-LAST_LINES:]) or "  (none)"
