"""What a cluster is, compared with what the log needs: which cluster, how many brokers, and how the topics are made.

Place in the flow: at the start of everything that reads or writes the log, before its first record. A topic that somebody else made
differently would forget, compact or reorder what everything stands on, without a word.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.protocol.admin import CreateAclsRequest
from typing_extensions import override

from autonomy import clock
from autonomy.acls import GROUPS, Operation, Rule
from autonomy.errors import Broken, Retryable
from autonomy.kafka import start_client
from autonomy.kafka_access import KafkaAccess, minimum_in_sync, replication_of
from autonomy.kafka_clients import client_options
from autonomy.topics import PULSE, TOPICS, Topic

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 0.25
AGAIN_S: Final = 5
SAY_EVERY_MS: Final = 10_000
TOPIC, GROUP, LITERAL, PREFIXED, ALLOW = 2, 3, 3, 4, 3
"""Of Kafka's protocol: kinds of a resource, of its name, and of a permission."""
OPERATIONS: Final = {Operation.READ: 3, Operation.WRITE: 4, Operation.DESCRIBE: 8, Operation.DESCRIBE_CONFIGS: 10}
AT_LEAST: Final = frozenset({"max.message.bytes", "min.insync.replicas"})
"""Settings that may be larger than needed."""
WITHOUT_AUTHORITY: Final = frozenset({"retention.ms", "retention.bytes"})
"""Settings that may be anything where nothing stands on the topic's past: signs of life."""


@dataclass(frozen=True, slots=True)
class TopicSeen:
    """A topic as the broker describes it; `replication` is that of its least replicated partition."""

    partitions: int
    replication: int
    settings: Mapping[str, str | None]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """A cluster as a broker describes it."""

    cluster_id: str
    brokers: tuple[str, ...]
    topics: Mapping[str, TopicSeen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A setting of a topic that is not as it must be."""

    topic: str
    setting: str
    found: str
    needed: str

    @override
    def __str__(self) -> str:
        """For people."""
        return f"{self.topic}: {self.setting} is {self.found}, needed {self.needed}"


async def look(kafka: str | KafkaAccess, wanted: Iterable[Topic] = TOPICS, timeout_ms: int = 30_000) -> ClusterSeen:
    """Ask the cluster what it is and how these topics are made; those that it does not have are left out.

    Raises:
        Retryable: no broker answers.
        KafkaError: it refuses.
    """
    admin = AIOKafkaAdminClient(**client_options(kafka), request_timeout_ms=timeout_ms)
    await start_client(admin)
    try:
        cluster = await admin.describe_cluster()
        # Asked for all: a broker that makes topics by itself would make each that is asked for by name.
        described = {found["topic"]: found for found in await admin.describe_topics() if not found["error_code"]}
        names = [topic.name for topic in wanted if topic.name in described]
        settings = await _settings(admin, names) if names else {}
    finally:
        await admin.close()
    topics = {name: _seen(described[name], *settings[name]) for name in names if name in settings}
    brokers = tuple(f"{broker['host']}:{broker['port']}" for broker in cluster["brokers"])
    return ClusterSeen(str(cluster["cluster_id"]), brokers, topics)


async def _settings(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, tuple[dict[str, str | None], str]]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found: dict[str, tuple[dict[str, str | None], str]] = {}
    for answer in answers:
        for code, message, _, name, entries in answer.resources:
            if code == UnknownTopicOrPartitionError.errno:
                continue  # made a moment ago: the broker that was asked does not know it yet
            refusal = f"refused to this principal ({message or f'error {code}'})" if code else ""
            found[name] = {entry[0]: entry[1] for entry in entries}, refusal
    return found


def _seen(described: Mapping[str, Any], settings: dict[str, str | None], refusal: str) -> TopicSeen:
    partitions = described["partitions"]
    return TopicSeen(len(partitions), min(len(found["replicas"]) for found in partitions), settings, refusal)


async def set_rules(kafka: str | KafkaAccess, wanted: Iterable[Rule], groups: Mapping[str, str] = GROUPS) -> None:
    """Allow what the rules say, and the groups whose names begin so; setting one again changes nothing.

    Raises:
        Broken: the cluster refuses, naming the rule.
    """
    admin = AIOKafkaAdminClient(**client_options(kafka), request_timeout_ms=30_000)
    await start_client(admin)
    try:
        asked = [(GROUP, name, PREFIXED, who, Operation.READ) for who, name in groups.items()]
        asked += [(TOPIC, rule.topic, LITERAL, rule.principal, rule.operation) for rule in wanted]
        for kind, name, pattern, who, operation in asked:
            # The client has the request and no method for it.
            request = CreateAclsRequest(kind, name, pattern, f"User:{who}", "*", OPERATIONS[operation], ALLOW)
            answer = await admin._send_request(request)  # noqa: SLF001
            for code, message in answer.creation_responses:
                if code:
                    raise Broken(f"{who}: {operation.value} on {name} was not allowed: {message or f'error {code}'}")
    finally:
        await admin.close()


def faults_of(seen: ClusterSeen, wanted: Iterable[Topic], replication: int | None = None) -> list[Fault]:
    """Everything in which the topics differ from what is needed; pure.

    Args:
        seen: what the cluster said.
        wanted: the topics as they must be.
        replication: the least number of copies; None: as many as there are brokers, at most 3.
    """
    copies = replication_of(len(seen.brokers), replication)
    faults: list[Fault] = []
    for topic in wanted:
        found = seen.topics.get(topic.name)
        if found is None:
            faults.append(Fault(topic.name, "existence", "missing, or hidden from this principal", "there"))
            continue
        if found.partitions != topic.partitions:
            faults.append(Fault(topic.name, "partitions", str(found.partitions), str(topic.partitions)))
        if found.replication < copies:
            why = "KAFKA_REPLICATION_FACTOR" if replication else f"there are {len(seen.brokers)} brokers; KAFKA_REPLICATION_FACTOR sets it"
            faults.append(Fault(topic.name, "replication factor", str(found.replication), f"{copies} ({why})"))
        if found.refusal:
            faults.append(Fault(topic.name, "the right DescribeConfigs", found.refusal, "allowed: without it the settings cannot be seen"))
            continue
        needed = topic.settings() | {"min.insync.replicas": str(minimum_in_sync(max(copies, found.replication)))}
        faults += [
            Fault(topic.name, name, str(found.settings.get(name)), _needed(name, value))
            for name, value in needed.items()
            if not _fits(topic, name, found.settings.get(name), value)
        ]
    return faults


def _fits(topic: Topic, name: str, found: str | None, needed: str) -> bool:
    if topic.name == PULSE and name in WITHOUT_AUTHORITY:
        return True
    if name in AT_LEAST:
        return found is not None and found.isdecimal() and int(found) >= int(needed)
    return found == needed


def _needed(name: str, value: str) -> str:
    return f"{value} or more" if name in AT_LEAST else value


def check_identity(seen: ClusterSeen, expected: str | None) -> None:
    """Whether this is the cluster that was meant.

    Raises:
        Broken: it is another one.
    """
    if expected and seen.cluster_id != expected:
        raise Broken(
            f"the cluster at {', '.join(seen.brokers)} has the id {seen.cluster_id}, needed {expected} (KAFKA_CLUSTER_ID): "
            "this is another stack's Kafka"
        )


async def run_on_log(kafka: str | KafkaAccess, run: Callable[[], Awaitable[int]]) -> int:
    """Run a service once the log is as it needs it; returns the exit code."""
    try:
        await check_log(kafka)
    except (Broken, Retryable, KafkaError) as fault:
        log.critical("this process cannot start: %s", fault or repr(fault))
        await asyncio.sleep(AGAIN_S)  # whoever starts it again at once would only say so faster
        return 1
    return await run()


async def check_log(kafka: str | KafkaAccess, wanted: Iterable[Topic] = TOPICS) -> ClusterSeen:
    """Wait until the topics exist, then refuse a cluster or topic that is not what the log needs.

    Raises:
        Broken: names each topic with setting, found and needed.
        Retryable: no broker answers.
        KafkaError: it refuses.
    """
    access, topics, said_ms = KafkaAccess.of(kafka), tuple(wanted), float("-inf")
    while True:
        seen = await look(access, topics)
        check_identity(seen, access.cluster_id)
        missing = [topic.name for topic in topics if topic.name not in seen.topics]
        if not missing:
            break
        if clock.monotonic_ms() - said_ms > SAY_EVERY_MS:
            said_ms = clock.monotonic_ms()
            log.info("waiting for topics that do not exist yet, or that this principal may not see: %s", ", ".join(missing))
        await asyncio.sleep(LOOK_EVERY_S)
    if faults := faults_of(seen, topics, access.replication):
        raise Broken("the topics are not as the log needs them: " + "; ".join(map(str, faults)))
    return seen
