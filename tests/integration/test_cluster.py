"""A cluster whose topics somebody else made is refused, with topic, setting, found and needed.

Source: R-G1, R-G2; docs/reliability.md.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from autonomy.cluster import check_log, faults_of, look
from autonomy.errors import Broken
from autonomy.kafka import ensure_topics
from autonomy.kafka_access import KafkaAccess
from autonomy.topics import COMMANDS, JOBS, PULSE, RUNS, TOPICS
from proof_api.voice import Voice
from support.log import audit_verify, fresh_topics
from support.platform import Platform, wait_for
from support.servers import Broker, a_broker, a_cluster, free_port

pytestmark = pytest.mark.servers
WRONG = {
    "retention.ms": "604800000", "retention.bytes": "1000000", "cleanup.policy": "compact", "message.timestamp.type": "CreateTime",
    "max.message.bytes": "1048588", "flush.messages": "9223372036854775807",
}  # fmt: skip


async def alter(bootstrap: str, topic: str, settings: dict[str, str] | None) -> None:
    """Set a topic's settings as they must be, but for these."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    wanted = next(found for found in TOPICS if found.name == topic).settings() | {"min.insync.replicas": "1"} | (settings or {})
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, wanted)])
    await admin.close()


async def refusal(bootstrap: str) -> str:
    with pytest.raises(Broken) as fault:
        await check_log(bootstrap)
    return str(fault.value)


@pytest.fixture
def topics(broker: Broker) -> Iterator[str]:
    fresh_topics(broker.bootstrap)
    asyncio.run(check_log(broker.bootstrap))
    yield broker.bootstrap
    fresh_topics(broker.bootstrap)


@pytest.mark.parametrize("name", sorted(WRONG))
async def test_each_setting_is_looked_at(broker: Broker, name: str) -> None:
    await ensure_topics(broker.bootstrap, TOPICS)
    await check_log(broker.bootstrap)
    await alter(broker.bootstrap, JOBS, {name: WRONG[name]})
    said = await refusal(broker.bootstrap)
    assert f"autonomy.jobs: {name} is {WRONG[name]}, needed" in said
    assert said.count("autonomy.") == 1, "the others are as they must be"
    await alter(broker.bootstrap, JOBS, None)
    await check_log(broker.bootstrap)


async def test_signs_of_life_may_be_kept_longer(broker: Broker) -> None:
    await ensure_topics(broker.bootstrap, TOPICS)
    await alter(broker.bootstrap, PULSE, {"retention.ms": "7200000"})
    await check_log(broker.bootstrap)
    await alter(broker.bootstrap, PULSE, None)


def test_topics_that_somebody_else_made_stop_every_part_that_stands_on_them(topics: str, platform: Platform) -> None:
    """As a cluster's own tools would make them; each part says which setting, and the proofs hold nothing for true."""

    async def made_elsewhere() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=topics)
        await admin.start()
        await admin.delete_topics([JOBS])
        while JOBS in await admin.list_topics():
            await asyncio.sleep(0.1)
        await admin.create_topics([NewTopic(JOBS, 3, 1, topic_configs={"retention.ms": "604800000", "cleanup.policy": "compact"})])
        await admin.close()

    asyncio.run(made_elsewhere())
    words = "autonomy.jobs: partitions is 3, needed 12"
    started = [platform.planner(), platform.runner(), platform.projection()]
    api = platform.proof_api()
    for service in started:
        wait_for(f"the end of {service.name}", lambda: not service.alive)  # noqa: B023
        assert service.process.returncode == 1
        log = service.log.read_text()
        assert words in log, service.name
        assert "retention.ms is 604800000, needed -1" in log
        assert "cleanup.policy is compact, needed delete" in log
        assert "message.timestamp.type is CreateTime, needed LogAppendTime" in log

    def told() -> bool:
        answer = httpx.get(f"http://127.0.0.1:{platform.api_port}/api/_proof/autonomy")
        return answer.status_code == 503 and words in answer.text

    wait_for("the proof says it", lambda: asked(told))
    assert api.alive
    audited = audit_verify(topics)
    assert audited.returncode == 2
    assert words in audited.stderr


def asked(told: Any) -> bool:
    try:
        return bool(told())
    except httpx.TransportError:
        return False


def test_a_service_waits_for_topics_without_a_line_of_error(broker: Broker, platform: Platform) -> None:
    async def gone() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        await admin.delete_topics([topic.name for topic in TOPICS])
        while set(await admin.list_topics()) & {topic.name for topic in TOPICS}:
            await asyncio.sleep(0.1)
        await admin.close()

    asyncio.run(gone())
    planner = platform.planner()
    wait_for("it says what it waits for", lambda: "waiting for topics that do not exist yet" in planner.log.read_text())
    fresh_topics(broker.bootstrap)
    wait_for("it begins", lambda: "leader" in pulses(broker), every_s=0.5)
    assert planner.alive
    assert '"level": "error"' not in planner.log.read_text()


def pulses(broker: Broker) -> str:
    command = [sys.executable, "-m", "autonomy_cli.main", "events", "tail", "--topic", "pulse", "--bootstrap", broker.bootstrap]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_another_cluster_is_refused_by_its_id(topics: str) -> None:
    seen = asyncio.run(look(topics))
    asyncio.run(check_log(KafkaAccess(servers=topics, cluster_id=seen.cluster_id)))
    with pytest.raises(Broken, match=rf"has the id {seen.cluster_id}, needed other \(KAFKA_CLUSTER_ID\): this is another stack's Kafka"):
        asyncio.run(check_log(KafkaAccess(servers=topics, cluster_id="other")))


async def test_of_three_addresses_one_must_answer_for_readers_and_for_the_voice(broker: Broker) -> None:
    await ensure_topics(broker.bootstrap, TOPICS)
    servers = f"127.0.0.1:{free_port()},{broker.bootstrap},127.0.0.1:{free_port()}"
    before = await ends(broker.bootstrap)
    await check_log(servers)
    voice = Voice(servers)
    await voice.ready()
    await voice.say(COMMANDS, b"key", b"{}", 10)
    await voice.close()
    assert await ends(servers) == before + 1


async def ends(kafka: str) -> int:
    from autonomy.log_reader import LogReader

    async with await LogReader.open(kafka, {COMMANDS: [0]}) as reader:
        return (await reader.ends([COMMANDS]))[COMMANDS][0]


@pytest.mark.long
def test_three_brokers_give_three_copies_of_which_two_must_have_a_record(tmp_path: Path) -> None:
    with a_cluster(tmp_path, 3) as brokers:
        servers = ",".join(broker.bootstrap for broker in brokers)

        async def run() -> None:
            while len((await look(servers)).brokers) < 3:
                await asyncio.sleep(0.2)
            await ensure_topics(servers, TOPICS)
            seen = await check_log(servers)
            assert {topic.replication for topic in seen.topics.values()} == {3}
            assert {topic.settings["min.insync.replicas"] for topic in seen.topics.values()} == {"2"}
            # What a stack of one broker left behind is said, and what its owner wants is taken.
            alone = replace(seen, topics={**seen.topics, RUNS: replace(seen.topics[RUNS], replication=1)})
            (fault,) = faults_of(alone, TOPICS)
            assert str(fault).startswith("autonomy.runs: replication factor is 1, needed 3 (there are 3 brokers")
            with pytest.raises(Broken, match="KAFKA_REPLICATION_FACTOR is 4, but the cluster has 3 brokers"):
                await ensure_topics(servers, [replace(TOPICS[0], name="more")], 4)

        asyncio.run(run())


def test_a_broker_of_its_own_is_as_the_log_needs_it(tmp_path: Path) -> None:
    """Negative control: one broker, one copy."""
    with a_broker(tmp_path) as broker:
        environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "STATE_DIR": str(tmp_path / "state")}
        subprocess.run([sys.executable, "-m", "autonomy_cli.prepare"], check=True, env=environment)
        seen = asyncio.run(check_log(broker.bootstrap))
        assert {(topic.replication, topic.settings["min.insync.replicas"]) for topic in seen.topics.values()} == {(1, "1")}
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
