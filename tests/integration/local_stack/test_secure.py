"""The secured Kafka: every principal on every topic and operation, a forged command, a wrong password, and a stack that comes up on it.

Source: R-G1; docs/audit.md relies on these rules.
"""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError

from autonomy.acls import ADMINISTRATOR, ALL, RIGHTS, Operation, as_commands, may, rules
from autonomy.clock import drawn_id
from autonomy.cluster import check_log, set_rules
from autonomy.envelope import encode
from autonomy.errors import Broken, Retryable
from autonomy.events import PauseLoop
from autonomy.kafka import ensure_topics
from autonomy.kafka_access import KafkaAccess, Protocol
from autonomy.kafka_clients import client_options
from autonomy.log_reader import LogReader
from autonomy.topics import COMMANDS, TOPICS
from autonomy.values import instant_of_ms
from local_stack.kafka_server import KafkaServer
from local_stack.security import PRINCIPALS, Security
from proof_api.voice import Voice
from support.servers import Broker, free_port, jars_folder

pytestmark = pytest.mark.servers
DENIED, ALLOWED = "denied", "allowed"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Security]]:
    folder = tmp_path_factory.mktemp("secure")
    security = Security(folder / "secure")
    server = KafkaServer(folder / "kafka", jars_folder(), free_port(), free_port(), security=security)
    server.prepare()
    broker = Broker(server)
    broker.start()

    async def prepare() -> None:
        access = security.access(server.bootstrap, ADMINISTRATOR)
        await ensure_topics(access, TOPICS)
        await set_rules(access, rules())
        for topic in ALL:
            assert await written(access, topic) == ALLOWED  # so that there is something to read

    try:
        asyncio.run(prepare())
        yield broker, security
    finally:
        broker.stop()


async def written(access: KafkaAccess, topic: str, value: bytes = b"{}") -> str:
    producer = AIOKafkaProducer(**client_options(access), acks="all")  # the plainest writer there is
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=0)
        return ALLOWED
    except TopicAuthorizationFailedError:
        return DENIED
    finally:
        await producer.stop()


@asynccontextmanager
async def a_consumer(access: KafkaAccess, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**client_options(access), enable_auto_commit=False, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read(access: KafkaAccess, topic: str) -> str:
    async with a_consumer(access, topic) as consumer:
        consumer.seek(TopicPartition(topic, 0), 0)
        try:
            while not await consumer.getmany(timeout_ms=500):
                pass
        except TopicAuthorizationFailedError:
            return DENIED
        return ALLOWED


async def altered(access: KafkaAccess, topic: str) -> str:
    admin = AIOKafkaAdminClient(**client_options(access))
    await admin.start()
    settings = next(found for found in TOPICS if found.name == topic).settings() | {"min.insync.replicas": "1"}
    try:
        (answer,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
    finally:
        await admin.close()
    (code,) = [resource[0] for resource in answer.resources]
    assert code in {0, TopicAuthorizationFailedError.errno}, code
    return DENIED if code else ALLOWED


@pytest.mark.parametrize("principal", [*RIGHTS, ADMINISTRATOR])
async def test_every_principal_may_do_what_the_table_says_and_nothing_else(secured: tuple[Broker, Security], principal: str) -> None:
    broker, security = secured
    access = security.access(broker.bootstrap, principal)
    everything = principal == ADMINISTRATOR
    found, expected = {}, {}
    for topic in ALL:
        done = await asyncio.gather(read(access, topic), written(access, topic), altered(access, topic))
        allowed = [may(principal, Operation.READ, topic) or everything, may(principal, Operation.WRITE, topic) or everything, everything]
        found[topic] = list(done)
        expected[topic] = [ALLOWED if each else DENIED for each in allowed]
    assert found == expected
    await check_log(access)  # whoever may read anything may see how it is made


async def test_a_forged_command_fails_at_the_door(secured: tuple[Broker, Security]) -> None:
    """The runner's credential says a command as an approver would; the proof API's own says one."""
    broker, security = secured
    command_id = drawn_id()
    forged = encode(
        PauseLoop(command_id=command_id, actor="cro", role="approver", reason="forged"), source="autonomy/proof-api", subject="cro",
        time=instant_of_ms(0), event_id=command_id,
    )  # fmt: skip
    before = await end_of_commands(security, broker)
    for principal in sorted(set(RIGHTS) - {"proof-api"}):
        assert await written(security.access(broker.bootstrap, principal), COMMANDS, forged) == DENIED, principal
    assert await end_of_commands(security, broker) == before
    voice = Voice(security.access(broker.bootstrap, "proof-api"))
    await voice.ready()
    await voice.say(COMMANDS, b"cro", forged, 20)
    await voice.close()
    assert await end_of_commands(security, broker) == before + 1


async def end_of_commands(security: Security, broker: Broker) -> int:
    async with await LogReader.open(security.access(broker.bootstrap, "auditor"), {COMMANDS: [0]}) as reader:
        return (await reader.ends([COMMANDS]))[COMMANDS][0]


async def test_nobody_comes_in_without_the_right_word(secured: tuple[Broker, Security], monkeypatch: pytest.MonkeyPatch) -> None:
    broker, security = secured
    monkeypatch.setattr("autonomy.kafka.CONNECT_TIMEOUT_S", 0)
    right = security.access(broker.bootstrap, "planner")
    await check_log(right)
    refused, silent = (
        "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE: the broker refuses it",
        "no Kafka broker answered",
    )
    for wrong, words in (
        (right.model_copy(update={"password_file": security.password_file("auditor")}), refused),
        (right.model_copy(update={"username": "stranger"}), refused),
        (KafkaAccess(servers=broker.bootstrap), silent),
        (right.model_copy(update={"protocol": Protocol.SASL_PLAINTEXT}), silent),
        (right.model_copy(update={"ca_file": None}), silent),
    ):
        with pytest.raises(Retryable, match=words):
            await check_log(wrong)


def test_everything_secret_is_its_owners_alone_and_an_open_storage_is_not_taken(secured: tuple[Broker, Security], tmp_path: Path) -> None:
    broker, security = secured
    security.write_for_people(broker.bootstrap)
    assert security.folder.stat().st_mode & 0o777 == 0o700
    files = {file.name: file.stat().st_mode & 0o777 for file in (*security.folder.iterdir(), broker.server.folder / "server.properties")}
    assert files == dict.fromkeys(files, 0o600)
    assert len(files) >= len(PRINCIPALS) + 6
    with pytest.raises(Broken, match=r"was made with SECURE=1 and is started without it"):
        KafkaServer(broker.server.folder, broker.server.jars, broker.server.port, broker.server.controller_port).prepare()
    words = [sys.executable, "-m", "autonomy_cli.main", "kafka", "acls", "--json"]
    printed = json.loads(
        subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(tmp_path)}).stdout
    )
    assert [(rule["principal"], rule["topic"], rule["operation"]) for rule in printed] == [
        (rule.principal, rule.topic, rule.operation.value) for rule in rules()
    ]


def test_kafkas_own_console_reads_as_the_auditor(secured: tuple[Broker, Security]) -> None:
    broker, security = secured
    security.write_for_people(broker.bootstrap)
    words = ["--bootstrap-server", broker.bootstrap, "--topic", COMMANDS, "--from-beginning", "--max-messages", "1"]
    words += ["--command-config", str(security.properties_file("auditor"))]
    command = broker.server.java("org.apache.kafka.tools.consumer.ConsoleConsumer", words)
    assert "{}" in subprocess.run(command, capture_output=True, text=True, check=False, timeout=150).stdout.splitlines()


def test_no_right_is_missing_once_every_topic_is_seen() -> None:
    """A service that waits for its topics begins as soon as it sees them all."""
    for principal, rights in RIGHTS.items():
        set_so_far: set[tuple[str, Operation]] = set()
        for rule in (found for found in rules() if found.principal == principal):
            set_so_far.add((rule.topic, rule.operation))
            seen = {topic for topic, operation in set_so_far if operation is not Operation.DESCRIBE_CONFIGS}
            if seen == set(ALL):
                assert {topic for topic, operation in set_so_far if operation is Operation.DESCRIBE_CONFIGS} == set(ALL)
                assert {topic for topic, operation in set_so_far if operation is Operation.READ} == set(rights.reads)
                assert {topic for topic, operation in set_so_far if operation is Operation.WRITE} == set(rights.writes)


def test_the_rules_as_words_are_the_rules() -> None:
    found = set()
    for line in as_commands("a:1"):
        words = line.split()
        pairs = list(itertools.pairwise(words))
        (principal,) = (value.removeprefix("User:") for name, value in pairs if name == "--allow-principal")
        operations = [value for name, value in pairs if name == "--operation"]
        found |= {(principal, topic, operation) for name, topic in pairs if name == "--topic" for operation in operations}
    assert found == {(rule.principal, rule.topic, rule.operation.value) for rule in rules()}
