"""Three brokers in KRaft's combined mode, replication 3, two in sync: each may be killed, or cut off from everybody else.

Where network namespaces can be made (as root on Linux), each broker has a host of its own on a bridge, and a cut takes its wire away:
nobody is refused, nobody is answered. Elsewhere all three are on loopback and a cut freezes the process, which is as silent.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from typing_extensions import override

from autonomy.kafka import ensure_topics
from autonomy.topics import RUNS, TOPICS
from local_stack.kafka_server import KafkaServer
from local_stack.patience import READY_TIMEOUT_S, is_answered, until_answers
from support.servers import Broker, free_port, jars_folder

SIZE = 3


@dataclass(frozen=True)
class Node(KafkaServer):
    """One of three brokers, on a host of its own where there are namespaces."""

    number: int = 1
    host: str = "127.0.0.1"
    namespace: str = ""
    quorum: str = ""
    cluster: str = ""

    @property
    @override
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @override
    def command(self) -> list[str]:
        inside = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        return [*inside, *super().command()]

    @override
    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        properties.write_text(self.properties())
        arguments = ["format", "-t", self.cluster, "-c", str(properties)]
        subprocess.run(self.java("kafka.tools.StorageTool", arguments), check=True, capture_output=True, timeout=120)

    @override
    def properties(self) -> str:
        settings = dict(line.split("=", 1) for line in super().properties().splitlines())
        settings |= {
            "node.id": str(self.number),
            "controller.quorum.voters": self.quorum,
            "listeners": f"PLAINTEXT://{self.host}:{self.port},CONTROLLER://{self.host}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.host}:{self.port}",
            "default.replication.factor": "3",
            "min.insync.replicas": "2",
            "unclean.leader.election.enable": "false",
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "transaction.state.log.min.isr": "2",
            # As docs/containers.md recommends it: a broker that says nothing for 5 s is given up, instead of Kafka's own 9.
            "broker.session.timeout.ms": "5000",
            "broker.heartbeat.interval.ms": "1000",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    @override
    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S, process: "subprocess.Popen[bytes] | None" = None) -> None:
        until_answers(
            lambda: is_answered(self.port, self.host), f"broker {self.number}", timeout_s=timeout_s, process=process,
            said=self.folder / "out.log",
        )  # fmt: skip


@dataclass
class Cluster:
    """Three brokers; `bootstrap` names all of them."""

    brokers: list[Broker] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        return ",".join(broker.bootstrap for broker in self.brokers)

    def node(self, number: int) -> Broker:
        return next(broker for broker in self.brokers if _node(broker).number == number)

    def cut(self, number: int) -> None:
        """From now on nobody hears of this broker, and it of nobody."""
        self._set_link(number, "down", signal.SIGSTOP)

    def mend(self, number: int) -> None:
        """Undo `cut`."""
        self._set_link(number, "up", signal.SIGCONT)

    def _set_link(self, number: int, to: str, otherwise: signal.Signals) -> None:
        """The broker's own network goes up or down; without one, its process gets the signal."""
        broker = self.node(number)
        if namespace := _node(broker).namespace:
            _ip("link", "set", f"{namespace}h", to)
        else:
            assert broker.process is not None
            broker.process.send_signal(otherwise)

    def leader(self, but: int = 0) -> int | None:
        """Who leads `autonomy.runs`, as any broker but this one says; None while nobody does, or nobody answers."""
        others = ",".join(broker.bootstrap for broker in self.brokers if _node(broker).number != but)

        async def run() -> int | None:
            admin = AIOKafkaAdminClient(bootstrap_servers=others, request_timeout_ms=3_000)
            try:
                await asyncio.wait_for(admin.start(), 5)
                (described,) = await asyncio.wait_for(admin.describe_topics([RUNS]), 5)
                leader = described["partitions"][0]["leader"]
                return leader if leader >= 0 else None
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(admin.close(), 5)

        with contextlib.suppress(Exception):
            return asyncio.run(run())
        return None

    def in_sync(self) -> int:
        """How many replicas of `autonomy.runs` are in sync; 0 when nobody answers."""

        async def run() -> int:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=3_000)
            try:
                await asyncio.wait_for(admin.start(), 5)
                (described,) = await asyncio.wait_for(admin.describe_topics([RUNS]), 5)
                return len(described["partitions"][0]["isr"])
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(admin.close(), 5)

        with contextlib.suppress(Exception):
            return asyncio.run(run())
        return 0


def _node(broker: Broker) -> Node:
    assert isinstance(broker.server, Node)
    return broker.server


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def hosts() -> Iterator[list[tuple[str, str]]]:
    """A namespace and an address for each broker, or three times loopback."""
    bridge, net = f"ab{os.getpid() % 100_000}", f"10.231.{os.getpid() % 250}"
    names = [f"an{os.getpid() % 100_000}{number}" for number in range(1, SIZE + 1)]
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, name in enumerate(names, start=2):
            _ip("netns", "add", name)
            _ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}n")
            _ip("link", "set", f"{name}n", "netns", name)
            _ip("link", "set", f"{name}h", "master", bridge, "up")
            _ip("-n", name, "addr", "add", f"{net}.{number}/24", "dev", f"{name}n")
            _ip("-n", name, "link", "set", f"{name}n", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "route", "add", "default", "via", f"{net}.1")
        found = [(name, f"{net}.{number}") for number, name in enumerate(names, start=2)]
    except (OSError, subprocess.CalledProcessError):
        found = [("", "127.0.0.1")] * SIZE
    try:
        yield found
    finally:
        for name in names:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip("netns", "del", name)
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            _ip("link", "del", bridge)


@contextlib.contextmanager
def a_cluster(folder: Path) -> Iterator[Cluster]:
    """Three brokers with the platform's topics on each."""
    with hosts() as places:
        ports = [(free_port(), free_port()) for _ in places]
        voters = ",".join(f"{n}@{host}:{ports[n - 1][1]}" for n, (_, host) in enumerate(places, start=1))
        identity, cluster = str(uuid.uuid5(uuid.NAMESPACE_URL, str(folder))), Cluster()
        for number, (namespace, host) in enumerate(places, start=1):
            port, controller = ports[number - 1]
            cluster.brokers.append(Broker(Node(
                folder / f"kafka-{number}", jars_folder(), port, controller, number=number, host=host, namespace=namespace, quorum=voters,
                cluster=identity,
            )))  # fmt: skip
        try:
            for broker in cluster.brokers:
                _node(broker).prepare()
                broker.begin()
            for broker in cluster.brokers:
                broker.server.wait_ready(process=broker.process)
            asyncio.run(ensure_topics(cluster.bootstrap, TOPICS, replication=SIZE))
            yield cluster
        finally:
            for broker in cluster.brokers:
                if broker.process is not None and broker.process.poll() is None:
                    broker.process.kill()
                    broker.process.wait()
