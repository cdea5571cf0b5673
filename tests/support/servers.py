"""Real servers for the tests: the environment's, testcontainers' where a Docker engine answers, else local processes."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from autonomy.kafka import ensure_topics
from autonomy.topics import TOPICS
from local_stack.database import create_database
from local_stack.jars import ensure_jars
from local_stack.kafka_server import KafkaServer
from local_stack.ports import free_ports
from local_stack.postgres_server import PostgresServer
from local_stack.settings import ROOT, StackSettings
from projection.schema import make_schema


def free_port() -> int:
    """A port that nothing listens on, and that nobody else gets while these tests run."""
    (port,) = free_ports(1)
    return port


@dataclass
class Broker:
    """A Kafka process that a test may kill and start again."""

    server: KafkaServer
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def bootstrap(self) -> str:
        return self.server.bootstrap

    def start(self) -> None:
        self.begin()
        self.server.wait_ready(process=self.process)

    def begin(self) -> None:
        """Start it without waiting: the nodes of a cluster wait for one another."""
        with (self.server.folder / "out.log").open("ab") as out:
            self.process = subprocess.Popen(self.server.command(), stdout=out, stderr=out, start_new_session=True)

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"the broker had ended by itself with {self.process.returncode}"
        self.server.wait_ready()
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL

    def freeze(self) -> None:
        """Stop every thread; returns once none runs any more, which takes a busy machine a while."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 20
        while not all(state == "T" for state in _thread_states(self.process.pid)):
            assert time.monotonic() < deadline, "the broker does not stop"
            time.sleep(0.01)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
            self.process.kill()
            self.process.wait()


def _thread_states(pid: int) -> list[str]:
    """The kernel's letter for each thread of a process."""
    found = []
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append(stat.read_text().rpartition(")")[2].split()[0])
    return found


@dataclass
class Database:
    """A PostgreSQL process that a test may kill and start again."""

    server: PostgresServer
    process: "subprocess.Popen[bytes] | None" = None

    def url(self, role: str = "autonomy_projection") -> str:
        return self.server.url(role)

    @property
    def owner_url(self) -> str:
        return self.server.url("autonomy_owner")

    def start(self) -> None:
        with (self.server.folder / "out.log").open("ab") as out:
            self.process = subprocess.Popen(
                self.server.command(), stdout=out, stderr=out, user=self.server.system_user, cwd="/", start_new_session=True
            )
        self.server.wait_ready(process=self.process)

    def kill(self) -> None:
        """The whole process group at once, as a crash of the machine's software would."""
        assert self.process is not None
        assert self.process.poll() is None, f"PostgreSQL had ended by itself with {self.process.returncode}"
        self.server.wait_ready()
        os.killpg(self.process.pid, 9)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
            self.process.kill()
            self.process.wait()

    def empty(self) -> None:
        """Fresh read models."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            for schema in ("autonomy", "autonomy_rebuild", "autonomy_old"):
                connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        make_schema(self.owner_url)


def jars_folder() -> Path:
    return ensure_jars(Path(os.environ.get("AUTONOMY_KAFKA_DIR", StackSettings().cache_dir)).resolve())


@contextlib.contextmanager
def a_broker(folder: Path) -> Iterator[Broker]:
    """One broker of a test's own."""
    server = KafkaServer(folder / "kafka", jars_folder(), free_port(), free_port())
    server.prepare()
    broker = Broker(server)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def a_cluster(folder: Path, nodes: int) -> Iterator[list[Broker]]:
    """Brokers of one cluster."""
    ports = {number: free_port() for number in range(1, nodes + 1)}
    servers = [KafkaServer(folder / f"kafka-{number}", jars_folder(), free_port(), port, number, ports) for number, port in ports.items()]
    with contextlib.ExitStack() as stack:
        brokers = []
        for server in servers:
            server.prepare()
            broker = Broker(server)
            stack.callback(broker.stop)
            broker.begin()
            brokers.append(broker)
        for broker in brokers:
            broker.server.wait_ready(process=broker.process)
        yield brokers


@contextlib.contextmanager
def a_database(folder: Path) -> Iterator[Database]:
    """One PostgreSQL of a test's own, with roles and database."""
    server = PostgresServer(folder / "postgres", free_port())
    server.prepare()
    database = Database(server)
    database.start()
    try:
        create_database(server)
        yield database
    finally:
        database.stop()


def make_topics(bootstrap: str) -> None:
    asyncio.run(ensure_topics(bootstrap, TOPICS))


@contextlib.contextmanager
def own_folder(name: str) -> Iterator[Path]:
    """A folder of this run, short enough for sockets, that PostgreSQL's own user can reach; it goes with its block."""
    base = ROOT / ".data" / "tests" / f"{name}-{os.getpid()}"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)
