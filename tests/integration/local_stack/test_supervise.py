"""A stack whose process manager was killed: found, said, and ended all the same.

Source: issue "the loop runs for real": `make down` leaves nothing behind.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local_stack.__main__ import status
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from local_stack.supervise import Program, Supervisor

CHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"
ORDER = """
import pathlib, signal, sys, time
def end(number, frame):
    with open({log!r}, "a") as log:
        log.write("{name} " + signal.Signals(number).name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end); signal.signal(signal.SIGINT, end)
pathlib.Path({log!r} + ".{name}").touch()
time.sleep(600)
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def until(what: str, is_so: Callable[[], bool], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Processes under the names of a stack's, and one with a child of its own."""
    monkeypatch.setattr("local_stack.supervise.STOP_TIMEOUT_S", 8)
    settings = StackSettings(AUTONOMY_DATA_DIR=str(tmp_path / "data"))  # type: ignore[call-arg] # by its name in the environment
    found, log = Stack(settings), str(tmp_path / "order")
    found.folder.mkdir()
    scripts = {"planner": ORDER, "postgres": ORDER, "kafka": ORDER, "job-runner": CHILD}
    programs = []
    for name, script in scripts.items():
        file = tmp_path / f"{name}.py"
        file.write_text(script.format(name=name, log=log) if script is ORDER else script)
        programs.append(Program(name, (sys.executable, str(file)), 10))
    found.supervisor.write(programs)
    found.supervisor.start()
    until("all are ready", lambda: all(Path(f"{log}.{name}").exists() for name in ("planner", "postgres", "kafka")))
    yield found
    found.supervisor.stop()
    assert processes_of(found) == []


def processes_of(stack: Stack) -> list[int]:
    """By another way than the code's: the command lines that name the folder."""
    folder = str(stack.folder.parent)
    return [found.pid for found in psutil.process_iter(["cmdline"]) if folder in " ".join(found.info["cmdline"] or ())]


def kill_manager(stack: Stack) -> None:
    pid = stack.supervisor.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until("the manager is gone", lambda: stack.supervisor.pid() is None)


def test_while_the_manager_lives_nothing_is_left_behind(stack: Stack) -> None:
    assert stack.supervisor.left_behind() == []
    stack.supervisor.stop()
    assert processes_of(stack) == []


def test_what_a_killed_manager_leaves_is_said_and_ended_servers_last(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manager = stack.supervisor.pid()
    assert manager is not None
    until("the child runs", lambda: len(psutil.Process(manager).children(recursive=True)) == 5)
    kill_manager(stack)
    assert len(stack.supervisor.left_behind()) == 5, "four programs and a child"
    assert status(stack) == 1
    assert "5 of its processes still run: `make down` ends them" in capsys.readouterr().out
    stack.down()
    assert processes_of(stack) == []
    assert stack.supervisor.left_behind() == []
    said = (tmp_path / "order").read_text().splitlines()
    assert said[0] == "planner SIGTERM"
    assert sorted(said[1:]) == ["kafka SIGTERM", "postgres SIGINT"]
    assert status(stack) == 1
    assert "Not running" in capsys.readouterr().out


def test_a_process_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.write([Program("planner", (sys.executable, "-c", f'"{STUBBORN}"'), 10)])
    supervisor.start()
    manager = supervisor.pid()
    assert manager is not None
    until("it runs", lambda: bool(psutil.Process(manager).children()))
    (stubborn,) = psutil.Process(manager).children()
    os.kill(manager, signal.SIGKILL)
    until("the manager is gone", lambda: supervisor.pid() is None)
    monkeypatch.setattr("local_stack.supervise.STOP_TIMEOUT_S", 1)
    supervisor.stop()
    assert not stubborn.is_running() or stubborn.status() == psutil.STATUS_ZOMBIE
    assert supervisor.left_behind() == []


def test_another_stack_is_left_alone(stack: Stack, tmp_path: Path) -> None:
    """Negative control."""
    kill_manager(stack)
    other = Supervisor(tmp_path / "other")
    assert other.left_behind() == []
    other.stop()
    assert len(stack.supervisor.left_behind()) >= 4


def test_a_number_that_another_process_got_since_is_no_manager(tmp_path: Path) -> None:
    (tmp_path / "supervisord.pid").write_text(str(os.getpid()))
    assert Supervisor(tmp_path).pid() is None
