"""A stack whose process manager was killed: found, said, and ended all the same.

Source: docs/architecture.md, "Running it": `make down` leaves nothing behind.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from autonomy.errors import Broken
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
STUBBORN = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({ready!r}).write_text(str(os.getpid()))
time.sleep(600)
"""
SLOW = """
import subprocess, sys, time
child = "import os, pathlib, signal, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\\n"
child += "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.02)"
subprocess.Popen([sys.executable, "-c", child, {ready!r}, {go!r}], start_new_session=True)
time.sleep(600)
"""
SAYS = """
import json, os, pathlib, sys, time
made = pathlib.Path({said!r} + ".made")
made.write_text(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))
made.rename({said!r})
time.sleep(600)
"""


def until(what: str, is_so: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Processes under the names of a stack's, and one with a child of its own."""
    monkeypatch.setattr("local_stack.supervise.STOP_TIMEOUT_S", 8)
    settings = StackSettings(AUTONOMY_DATA_DIR=str(tmp_path / "data"))
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
    assert stack.supervisor.socket.exists()
    assert status(stack) == 1
    assert "5 of its processes still run: `make down` ends them" in capsys.readouterr().out
    stack.down()
    assert processes_of(stack) == []
    assert not stack.supervisor.socket.exists()
    assert stack.supervisor.left_behind() == []
    said = (tmp_path / "order").read_text().splitlines()
    assert said[0] == "planner SIGTERM"
    assert sorted(said[1:]) == ["kafka SIGTERM", "postgres SIGINT"]
    assert status(stack) == 1
    assert "Not running" in capsys.readouterr().out


def test_a_process_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = tmp_path / "ready"
    supervisor = Supervisor(tmp_path / "stack")
    supervisor.write([Program("planner", (sys.executable, "-c", STUBBORN.format(ready=str(ready))), 10)])
    supervisor.start()
    manager = supervisor.pid()
    assert manager is not None
    until("it does not listen any more", lambda: ready.exists() and ready.read_text() != "")
    stubborn = psutil.Process(int(ready.read_text()))
    os.kill(manager, signal.SIGKILL)
    until("the manager is gone", lambda: supervisor.pid() is None)
    stubborn.terminate()
    assert [found.pid for found in supervisor.left_behind()] == [stubborn.pid], "the very process that said so lives, and hears nothing"
    monkeypatch.setattr("local_stack.supervise.STOP_TIMEOUT_S", 1)
    sent: list[tuple[int, signal.Signals]] = []
    note_signals(monkeypatch, sent)
    supervisor.stop()
    assert not stubborn.is_running() or stubborn.status() == psutil.STATUS_ZOMBIE
    assert sent == [(stubborn.pid, signal.SIGTERM), (stubborn.pid, signal.SIGKILL)]
    assert supervisor.left_behind() == []


def test_what_only_ends_later_than_its_parent_is_not_said_to_be_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its own child ends by itself, a moment after the process manager."""
    ready, go = tmp_path / "ready", tmp_path / "go"
    supervisor = Supervisor(tmp_path / "stack")
    supervisor.write([Program("planner", (sys.executable, "-c", SLOW.format(ready=str(ready), go=str(go))), 10)])
    supervisor.start()
    until("its child runs", lambda: ready.exists() and ready.read_text() != "")
    child = psutil.Process(int(ready.read_text()))
    manager = supervisor.pid()
    assert manager is not None
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(supervisor.stop)
        until("the manager is gone", lambda: supervisor.pid() is None)
        assert child.is_running(), "it outlives its parent"
        go.touch()
        stopping.result()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert "outlived" not in capfd.readouterr().err


PARTS = (
    "plain", "with space", 'double "quotes"', "single 'quotes'", "both ' and \"", "100 %", "%(here)s", "a ; b", ";", " # no comment",
    "two\nlines", "a\r\nb", "\ttab", "back\\slash", "$HOME", "*", "", "ü 日本", " ends ", "a,b=c", '"', "'",
)  # fmt: skip
VALUES = (
    "plain", "with space", 'in "the" middle', "it's", "100 %", "%(here)s", "a ; b", " # no comment", "two\nlines", "back\\slash", "a,b=c",
    "", "ü 日本",
)  # fmt: skip


def test_every_character_of_words_variables_and_folders_arrives(tmp_path: Path) -> None:
    folder, said = tmp_path / 'semi ; colon, 50 %, it\'s "b" # sign', tmp_path / "said"
    variables = {f"SAID_{number}": value for number, value in enumerate(VALUES)}
    supervisor = Supervisor(folder)
    supervisor.write(
        [Program("planner", (sys.executable, "-c", SAYS.format(said=str(said)), *PARTS), 10, variables, directory=str(folder))]
    )
    supervisor.start()
    try:
        until("it says what it was given", said.exists)
        words, environment, directory = json.loads(said.read_text())
    finally:
        supervisor.stop()
    assert words == list(PARTS)
    assert {name: environment[name] for name in variables} == variables
    assert directory == str(folder)
    assert (folder / "logs" / "planner.log").exists()


@pytest.mark.parametrize("value", ["'begins", 'ends"', "both ' and \" in it"])
def test_a_variable_that_cannot_be_handed_on_is_refused_by_its_name(tmp_path: Path, value: str) -> None:
    with pytest.raises(Broken, match=r"BARS_FOLDER: a value must not begin or end with a quote"):
        Supervisor(tmp_path).write([Program("planner", ("true",), 10, {"BARS_FOLDER": value})])


def note_signals(monkeypatch: pytest.MonkeyPatch, sent: list[tuple[int, signal.Signals]]) -> None:
    """Note every signal that is sent, and send it."""
    send = psutil.Process.send_signal

    def noting(process: psutil.Process, number: signal.Signals) -> None:
        sent.append((process.pid, signal.Signals(number)))
        send(process, number)

    monkeypatch.setattr(psutil.Process, "send_signal", noting)


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
