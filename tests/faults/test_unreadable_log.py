"""One record, one topic setting, one admin's command: what each part says, and that nothing exits in a loop. On the real broker.

A place of the log that nobody can read stops those who decide from it, with one sentence that every part says; a topic without
authority is read over. Nobody's own blindness is told as another's death.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from autonomy.topics import COMMANDS, JOBS, PULSE, RUNS
from support.damage import CODECS, append_packed, batches, damage, flip, segment
from support.log import audit, audit_verify, ensure_fresh
from support.measuring import FaultRows
from support.platform import Platform, a_platform, fleet, quick_policy, wait_for
from support.proof import Api
from support.servers import Broker, Database, a_broker, make_topics

pytestmark = pytest.mark.servers
FOREIGN = [b"not of this platform", b"nor this"]


def audited(bootstrap: str) -> tuple[int, str]:
    """The code and all the words of an audit."""
    done = audit_verify(bootstrap)
    return done.returncode, done.stdout + done.stderr


def ticks(platform: Platform) -> int:
    return int(platform.one("SELECT max(tick) FROM autonomy_planner_runs") or 0)


def more_ticks(platform: Platform, count: int = 3) -> None:
    before = ticks(platform)
    wait_for("more ticks", lambda: ticks(platform) >= before + count)


def whole(platform: Platform) -> Api:
    """A platform with a runner that ticks, as its own proof says."""
    platform.planner()
    platform.projection()
    platform.set_policy(quick_policy())
    platform.register(fleet(2))
    platform.runner()
    api = Api.start(platform)
    api.wait_fresh()
    return api


def reason(api: Api, words: str) -> dict[str, Any]:
    """The proof, once its reason has these words."""
    api.seconds_until(lambda _, body: words in (body["proof"]["reason"] or ""))
    return api.autonomy()[1]["proof"]  # type: ignore[no-any-return]


def admin(bootstrap: str, what: Callable[[AIOKafkaAdminClient], Any]) -> None:
    async def run() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await client.start()
        try:
            await what(client)
        finally:
            await client.close()

    asyncio.run(run())


@pytest.fixture
def own_platform(database: Database, tmp_path: Path) -> Iterator[Platform]:
    """A platform on a broker of its own, which a test may stop."""
    with a_broker(tmp_path) as broker:
        make_topics(broker.bootstrap)
        database.empty()
        with a_platform(broker, database, tmp_path / "p") as platform:
            yield platform


@pytest.mark.long
def test_any_codec_of_a_foreign_producer_and_of_the_broker_is_read(platform: Platform) -> None:
    api = whole(platform)
    compress = ConfigResource(ConfigResourceType.TOPIC, PULSE, configs={"compression.type": "zstd"})
    admin(platform.broker.bootstrap, lambda client: client.alter_configs([compress]))
    for codec in CODECS:
        append_packed(platform.broker.bootstrap, COMMANDS, 0, FOREIGN, codec)
        append_packed(platform.broker.bootstrap, JOBS, 3, FOREIGN, codec)
    wait_for("all are in quarantine", lambda: platform.one("SELECT count(*) FROM quarantine") == 2 * len(CODECS) * len(FOREIGN))
    more_ticks(platform)
    api.wait_fresh()
    assert all(service.alive for service in platform.services)
    code, words = audited(platform.broker.bootstrap)
    assert code == 0, words


@pytest.mark.long
def test_a_damaged_batch_halts_with_one_sentence_that_every_part_says_until_it_is_mended(
    own_platform: Platform, fault_row: FaultRows
) -> None:
    platform, broker = own_platform, own_platform.broker
    append_packed(broker.bootstrap, JOBS, 3, FOREIGN, "zstd")
    whole(platform)
    more_ticks(platform)
    hurt(platform, broker)
    sentence = "autonomy.jobs/3 cannot be read at offset 0: the batch of records 0 to 1 is damaged: its CRC is wrong"
    platform.planner()
    platform.runner()  # it begins at the horizon, behind the damage: it can read all that it needs
    platform.database.empty()
    platform.projection()
    row = fault_row(
        "batch damaged", "The log", "a batch of autonomy.jobs is damaged on the stopped broker's disk, and every part starts again",
        "looked at again every 5 s, read on once it is mended",
    )  # fmt: skip
    api = Api.start(platform)
    assert (
        wait_for("a halted planner", lambda: platform.one("SELECT problem FROM pulses WHERE source = 'planner' AND role = 'halted'"))
        == sentence
    )
    assert wait_for("the projection's word", lambda: platform.one("SELECT problem FROM pulses WHERE role = 'stuck'")) == sentence
    proof = reason(api, sentence)
    row.notices(f"503 {proof['status']} {proof['verdict'] or 'null'}; “{proof['reason']}”, by every reader, the audit too")
    assert (proof["status"], proof["verdict"]) == ("unavailable", None)
    assert proof["checks"]["planner"] != "ok"
    assert proof["checks"]["projection"] == "down"
    code, words = audited(broker.bootstrap)
    assert code == 1, words
    assert sentence in words
    living = {service.name: service for service in platform.services if service.alive}
    assert sorted(living) == ["job-runner", "planner", "projection", "proof-api"]
    stopped(broker, lambda: damage(broker, JOBS, 3, 0, flip))
    row.heals()
    api.wait_fresh()
    row.recovers()
    more_ticks(platform)
    code, words = audited(broker.bootstrap)
    assert code == 0, words
    row.keeps(audit(broker.bootstrap))


def hurt(platform: Platform, broker: Broker) -> None:
    """Kill all, and damage the foreign batch while nobody reads."""
    for service in platform.services:
        service.kill()
    stopped(broker, lambda: damage(broker, JOBS, 3, 0, flip))


def stopped(broker: Broker, what: Callable[[], None]) -> None:
    broker.stop()
    assert batches(segment(broker, JOBS, 3).read_bytes())
    what()
    broker.start()


@pytest.mark.long
def test_a_damaged_end_of_the_chain_is_said_by_those_who_cannot_even_begin(own_platform: Platform, fault_row: FaultRows) -> None:
    platform, broker = own_platform, own_platform.broker
    whole(platform)
    more_ticks(platform)
    for service in platform.services:
        service.kill()
    broker.stop()
    damage(broker, RUNS, 0, -1, flip)
    broker.start()
    runner = platform.runner()
    planner, projection = platform.planner(), platform.projection()
    row = fault_row(
        "end of the chain damaged", "The log", "the last batch of autonomy.runs is damaged on disk, and every part starts again",
        "the log is restored, or approvers give the ticks up by name",
    )  # fmt: skip
    api = Api.start(platform)
    words = "autonomy.runs/0 cannot be read at offset "
    proof = reason(api, words)
    row.notices(f"503 {proof['status']} {proof['verdict'] or 'null'}; “{proof['reason']}”, by every reader, the audit too")
    assert proof["checks"]["planner"] != "down", "its own blindness is no planner's death"
    wait_for("the runner's word", lambda: words in runner.log.read_text())
    assert wait_for(
        "a halted planner", lambda: platform.one("SELECT problem FROM pulses WHERE source = 'planner' AND role = 'halted'"), 60
    ).startswith(words)
    assert planner.alive
    assert projection.alive
    code, said = audited(broker.bootstrap)
    assert code == 1, said
    assert words in said
    row.keeps()


@pytest.mark.long
def test_a_truncated_log_is_said_by_every_part_as_the_audit_says_it(platform: Platform, fault_row: FaultRows) -> None:
    append_packed(platform.broker.bootstrap, JOBS, 3, FOREIGN, None)
    api = whole(platform)
    more_ticks(platform)
    gone = {TopicPartition(JOBS, 3): RecordsToDelete(before_offset=2)}
    admin(platform.broker.bootstrap, lambda client: client.delete_records(gone))
    row = fault_row(
        "topic truncated", "The log", "an administrator deletes the beginning of autonomy.jobs/3 while everything runs",
        "the log is restored", api,
    )  # fmt: skip
    sentence = "autonomy.jobs/3 begins at 2: records were deleted"
    code, words = audited(platform.broker.bootstrap)
    assert code == 1
    assert sentence in words
    assert reason(api, sentence)["checks"]["chain"] == "broken"
    row.is_told()
    next(service for service in platform.services if service.name == "planner").stop()
    planner = platform.planner()
    assert (
        wait_for("a halted planner", lambda: platform.one("SELECT problem FROM pulses WHERE source = 'planner' AND role = 'halted'"))
        == sentence
    )
    assert planner.alive
    row.keeps()


@pytest.mark.long
def test_a_topic_of_record_that_is_made_anew_is_said_and_nobody_loops(platform: Platform, fault_row: FaultRows) -> None:
    for _ in range(3):
        append_packed(platform.broker.bootstrap, JOBS, 3, FOREIGN, None)
    api = whole(platform)
    more_ticks(platform)
    row = fault_row(
        "topic made anew", "The log", "autonomy.jobs is deleted and made anew while everything runs", "the log is restored", api
    )
    made_anew(platform.broker.bootstrap, JOBS)
    sentence = "autonomy.jobs/3 ends at 0, it was read up to 6: the log lost records"
    assert wait_for("the projection's word", lambda: platform.one("SELECT problem FROM pulses WHERE role = 'stuck'"))
    assert "the log lost records" in reason(api, "the log lost records")["reason"]
    row.is_told()
    said = str(platform.one("SELECT problem FROM pulses WHERE role = 'stuck'"))
    assert sentence in said.split("; ")
    code, words = audited(platform.broker.bootstrap)
    assert code == 1, words
    for service in platform.services:
        assert service.alive, service.name
        if service.name != "proof-api":  # it reads the chain and the pulses alone
            wait_for(f"the word of the {service.name}", lambda service=service: sentence in service.log.read_text())  # type: ignore[misc]
    row.keeps()


def made_anew(bootstrap: str, *names: str) -> None:
    admin(bootstrap, lambda client: client.delete_topics(list(names)))
    ensure_fresh(bootstrap)


@pytest.mark.long
def test_a_pulse_that_is_made_anew_costs_moments_and_no_restart(platform: Platform, fault_row: FaultRows) -> None:
    api = whole(platform)
    wait_for("pulses", lambda: int(platform.one("SELECT next_offset FROM projection_offsets WHERE topic = %s", PULSE) or 0) > 10)
    made_anew(platform.broker.bootstrap, PULSE)
    row = fault_row(
        "pulse made anew", "The log", "autonomy.pulse, which has no authority, is deleted and made anew", "read on by itself", api
    )
    before = ticks(platform)
    wait_for(
        "the new topic is read",
        lambda: 0 < int(platform.one("SELECT next_offset FROM projection_offsets WHERE topic = %s", PULSE) or 0) < 10_000, 60,
    )  # fmt: skip
    more_ticks(platform)
    row.recovers(60)
    assert ticks(platform) > before
    projection = next(service for service in platform.services if service.name == "projection")
    assert projection.stop() == 0
    made_anew(platform.broker.bootstrap, PULSE)
    platform.projection()
    api.wait_fresh()
    code, words = audited(platform.broker.bootstrap)
    assert code == 0, words
    row.keeps(audit(platform.broker.bootstrap))
