"""Real servers for a benchmark, each in a folder and on ports of its own, and processes that end with it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from autonomy.kafka import ensure_topics
from autonomy.topics import TOPICS
from local_stack.database import create_database
from local_stack.jars import ensure_jars
from local_stack.kafka_server import KafkaServer
from local_stack.postgres_server import PostgresServer
from local_stack.settings import ROOT, StackSettings
from projection.schema import make_schema

STOP_S = 15


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: Sequence[str], log: Path, user: str | None = None, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in a file; gone afterwards."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            command, stdout=output, stderr=output, cwd="/" if user else ROOT, user=user, env={**os.environ, **environment},
        )  # fmt: skip
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(STOP_S)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def python(*words: str) -> list[str]:
    """A command line of this Python."""
    return [sys.executable, *words]


@contextmanager
def kafka(folder: Path, *, topics: bool = True) -> Iterator[str]:
    """A broker with the platform's topics; gives its address."""
    server = KafkaServer(folder / "kafka", ensure_jars(StackSettings().cache_dir.resolve()), free_port(), free_port())
    server.prepare()
    with process(server.command(), folder / "kafka.log"):
        server.wait_ready()
        if topics:
            asyncio.run(ensure_topics(server.bootstrap, TOPICS))
        yield server.bootstrap


@contextmanager
def postgres(folder: Path, *, schema: bool = True) -> Iterator[PostgresServer]:
    """A cluster with the platform's roles and tables."""
    server = PostgresServer(folder / "postgres", free_port())
    server.prepare()
    with process(server.command(), folder / "postgres.log", user=server.system_user):
        server.wait_ready()
        if schema:
            create_database(server)
            make_schema(server.url("autonomy_owner"))
        yield server


@dataclass(slots=True)
class Platform:
    """Servers and services of one benchmark.

    Attributes:
        stack: closes everything, newest first.
    """

    folder: Path
    bootstrap: str
    stack: ExitStack
    database: PostgresServer | None = None
    started: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def service(self, name: str, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a Python process of the platform or of a benchmark."""
        common = {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap, "LOG_LEVEL": "WARNING"}
        started = self.stack.enter_context(process(python(*words), self.folder / f"{name}.log", **common | environment))
        self.started[name] = started
        return started

    def check(self) -> None:
        """Every service must still run."""
        for name, started in self.started.items():
            if started.poll() is not None:
                log = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} ended with {started.returncode}: {log}")


@contextmanager
def platform(folder: Path, *, database: bool) -> Iterator[Platform]:
    """A broker with topics, a database if wanted, and room for services."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = stack.enter_context(postgres(folder)) if database else None
        bootstrap = stack.enter_context(kafka(folder))
        yield Platform(folder, bootstrap, stack, server)


def write_operators(path: Path) -> None:
    """An operators file without operators: reading is open on loopback."""
    path.write_text(json.dumps([]))
