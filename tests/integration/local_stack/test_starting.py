"""How `make up` waits: as long as what it waits for lives, and only for what is this stack's own.

Source: R-G1, R-G2.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autonomy.errors import Broken
from local_stack.__main__ import psql
from local_stack.database import create_database
from local_stack.kafka_server import KafkaServer
from local_stack.patience import is_answered
from local_stack.postgres_server import PostgresServer, psql_words
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from local_stack.start_cache import cache_of, flags_of
from local_stack.supervise import Program, Supervisor
from local_stack.waiting import SERVICE_RESTARTS_ALLOWED, Waiting, listens
from support.platform import wait_for
from support.servers import Broker, a_broker, a_database, free_port, jars_folder, own_folder

LISTENS = """
import pathlib, socket, sys, time
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.02)
with socket.socket() as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", int(sys.argv[1])))
    server.listen()
    time.sleep(600)
"""
DIES = "import sys; print('the last words'); sys.exit(3)"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    found = Supervisor(tmp_path / "stack")
    yield found
    found.stop()


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach."""
    with own_folder(f"starting-{abs(hash(request.node.name)) % 10_000}") as made:
        yield made


def begin(supervisor: Supervisor, *words: str, name: str = "planner", start_s: int = 0) -> None:
    supervisor.write([Program(name, (sys.executable, "-c", *words), 10, start_s=start_s)])
    supervisor.start()


def test_what_is_slow_is_waited_for_as_long_as_it_lives_and_is_said(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_stack.waiting.SAY_EVERY_S", 0.2)
    port, go, said = free_port(), tmp_path / "go", list[str]()

    def hear(words: str) -> None:
        said.append(words)
        if len(said) == 3:
            go.touch()  # it was waited for, however long the bound of old would have been

    begin(supervisor, LISTENS, str(port), str(go))
    waiting = Waiting(supervisor, say=hear)
    waiting.until_listens("planner", {"PORT": port})
    assert len(said) >= 3
    assert f"waiting for planner: planner (pid {supervisor.processes()['planner'].pid}" in said[-1]
    assert f"does not listen on port {port} yet" in said[-1]


def test_a_bound_is_kept_where_one_is_set(supervisor: Supervisor, tmp_path: Path) -> None:
    begin(supervisor, LISTENS, str(free_port()), str(tmp_path / "never"))
    with pytest.raises(Broken, match=r"planner: not within 1 s \(AUTONOMY_UP_TIMEOUT_S\); planner \(pid"):
        Waiting(supervisor, 1.0, lambda _: None).until_listens("planner", {"PORT": free_port()})


@pytest.mark.parametrize(("name", "start_s"), [("planner", 0), ("kafka", 0), ("kafka", 5)])
def test_what_ends_again_and_again_is_not_waited_for(supervisor: Supervisor, name: str, start_s: int) -> None:
    begin(supervisor, DIES, name=name, start_s=start_s)
    with pytest.raises(Broken) as fault:
        Waiting(supervisor, say=lambda _: None).until("it", lambda: "not there", [name])
    assert f"it: {name} ended" in str(fault.value)
    assert "the last words" in str(fault.value)


def test_a_server_that_cannot_start_is_never_called_running(supervisor: Supervisor) -> None:
    begin(supervisor, DIES, name="kafka", start_s=5)
    seen = set[str]()

    def tried_twice() -> bool:
        found = supervisor.processes()["kafka"]
        seen.add(found.state)
        pids.add(found.pid)
        return len(pids) > 1

    pids = set[int]()
    wait_for("a second try", lambda: tried_twice() or "BACKOFF" in seen)
    assert "RUNNING" not in seen
    assert "RUNNING" not in supervisor.control("status").stdout


def test_a_service_may_be_started_again_a_few_times(supervisor: Supervisor, tmp_path: Path) -> None:
    """Negative control: it comes up at its last try."""
    port, count = free_port(), tmp_path / "count"
    script = (
        "import pathlib, sys, time\n"
        "count = pathlib.Path(sys.argv[3]); tries = len(count.read_text()) if count.exists() else 0\n"
        f"count.write_text('.' * (tries + 1)); time.sleep(1)\nif tries < {SERVICE_RESTARTS_ALLOWED}: sys.exit(1)\n"
    ) + LISTENS
    go = tmp_path / "go"
    go.touch()
    begin(supervisor, script, str(port), str(go), str(count))
    Waiting(supervisor, say=lambda _: None).until_listens("planner", {"PORT": port})


def test_what_answers_in_another_processes_place_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert is_answered(port)
        begin(supervisor, LISTENS, str(port), str(tmp_path / "never"))
        with pytest.raises(Broken) as fault:
            Waiting(supervisor, say=lambda _: None).until_listens("planner", {"PORT": port})
    assert f"port {port} is answered by process {os.getpid()} (" in str(fault.value)
    assert "not by this stack's planner: stop it, or set PORT to another port" in str(fault.value)


# ── two clones started together: each finds its ports free, and then one of them does not get them ─────────────────────


def a_stack(folder: Path, **ports: int) -> Stack:
    numbers = {
        name: str(free_port()) for name in ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "POSTGRES_PORT", "PROOF_API_PORT", "BOTS_UI_PORT")
    }
    settings = StackSettings(AUTONOMY_DATA_DIR=str(folder), **{**numbers, **{name: str(port) for name, port in ports.items()}})  # type: ignore[arg-type]
    found = Stack(settings)
    # As in a race: the other one took the ports after this one had looked.
    object.__setattr__(found, "check_ports", lambda: None)
    return found


@pytest.mark.servers
def test_a_damaged_cache_of_starts_costs_time_and_no_start(folder: Path, tmp_path: Path) -> None:
    jars = tmp_path / "kafka" / "jars"
    jars.parent.mkdir()
    shutil.copytree(jars_folder(), jars, copy_function=os.link)
    assert flags_of(jars) == ()
    cache_of(jars).write_bytes(b"no cache at all" * 1000)
    server = KafkaServer(folder / "kafka", jars, free_port(), free_port())
    server.prepare()
    assert f"-XX:AOTCache={cache_of(jars)}" in server.command()
    broker = Broker(server)
    broker.start()
    broker.stop()


def test_another_stacks_kafka_on_the_port_is_no_start(folder: Path, tmp_path: Path) -> None:
    with a_broker(tmp_path) as other:
        stack = a_stack(folder / "b", KAFKA_PORT=other.server.port)
        with pytest.raises(Broken, match=f"port {other.server.port} is answered by process .*, not by this stack's kafka"):
            stack.up()
        assert other.process is not None
        assert other.process.poll() is None, "the other one is left alone"
        assert stack.supervisor.pid() is None


@pytest.mark.servers
def test_another_stacks_postgres_on_the_port_is_no_start(folder: Path, tmp_path: Path) -> None:
    with a_database(folder) as other:
        stack = a_stack(folder / "b", POSTGRES_PORT=other.server.port)
        with pytest.raises(Broken, match=f"port {other.server.port} is answered by process .*, not by this stack's postgres"):
            stack.up()
        assert stack.supervisor.pid() is None


@pytest.mark.servers
def test_a_server_is_known_by_its_own_data(folder: Path, tmp_path: Path) -> None:
    """Whoever holds the port: the answer must carry the identity that is written beside the data."""
    with a_database(folder) as other:
        own = PostgresServer(folder / "own", other.server.port)
        own.prepare()
        assert own.system_identifier() != other.server.system_identifier()
        create_database(other.server)
        (own.folder / "passwords.json").write_text((other.server.folder / "passwords.json").read_text())
        with pytest.raises(Broken, match=f"has the system identifier {other.server.system_identifier()}, needed {own.system_identifier()}"):
            create_database(own)
    with a_broker(tmp_path) as broker:
        stack = a_stack(folder / "b", KAFKA_PORT=broker.server.port)
        kafka = stack.kafka()
        kafka.prepare()
        with pytest.raises(Broken, match=f"has the id {broker.server.cluster_id()}, needed {kafka.cluster_id()}"):
            asyncio.run(stack.make_topics())
        same = KafkaServer(broker.server.folder, broker.server.jars, broker.server.port, broker.server.controller_port)
        assert same.cluster_id() == broker.server.cluster_id()


@pytest.mark.servers
def test_no_password_stands_in_the_list_of_processes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_database(folder) as database:
        url = database.url("autonomy_reader")
        secret = database.server.passwords()["autonomy_reader"]
        assert secret in url
        words, environment = psql_words(database.server.binaries, url)
        with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("SELECT current_user;\n")
            process.stdin.flush()
            while "autonomy_reader" not in (line := process.stdout.readline()):
                assert line, "it is not let in"
            seen = [" ".join(found.info["cmdline"] or ()) for found in psutil.process_iter(["cmdline"])]
            process.kill()
        assert any("dbname=autonomy" in line for line in seen), "its words are seen"
        assert not any(secret in line for line in seen)
        monkeypatch.setenv("DATABASE_URL", url)
        assert psql(Stack(StackSettings(AUTONOMY_DATA_DIR=str(folder))), ["-c", "SELECT 1"]) == 0


def test_a_stacks_folder_is_nobody_elses(tmp_path: Path) -> None:
    stack = Stack(StackSettings(AUTONOMY_DATA_DIR=str(tmp_path / "data")))
    stack.check_disk()
    # As root, PostgreSQL has a user of its own, who passes through and lists nothing.
    assert stack.folder.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    for name in ("kafka", "logs", "artifacts"):
        assert (stack.folder / name).stat().st_mode & 0o777 == 0o700, name
    begin(stack.supervisor, "import pathlib; pathlib.Path('made').touch(); import time; time.sleep(600)")
    log = stack.folder / "logs" / "planner.log"
    wait_for("its log", log.exists)
    assert log.stat().st_mode & 0o077 == 0
    stack.supervisor.stop()


def test_listening_is_a_processes_own() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert listens(os.getpid(), other.getsockname()[1])
        assert not listens(os.getppid(), other.getsockname()[1])
