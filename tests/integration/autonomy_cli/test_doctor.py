"""`autonomy doctor`: well on a stack that is well, and each thing that is not as it must be is named.

Source: R-F10.
"""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from autonomy.topics import JOBS, TOPICS
from autonomy_cli.doctor import CLOCK_LIMIT_MS, Status, judged
from support.platform import Platform, quick_policy, wait_for
from support.servers import free_port

pytestmark = pytest.mark.servers


def doctor(platform: Platform, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    words = [sys.executable, "-m", "autonomy_cli.main", "doctor", "--json", "--api", f"http://127.0.0.1:{platform.api_port}"]
    known = {"KAFKA_BOOTSTRAP_SERVERS": platform.broker.bootstrap, "DATABASE_URL": platform.database.url("autonomy_reader")}
    known |= {"NOTIFIER_PORT": "0", "NOTIFY_RULES": ""}  # whatever another stack has there
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **known, **environment})
    assert done.stdout, done.stderr
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def failed(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: check["found"] for name, check in found.items() if check["status"] not in {"ok", "warning"}}


async def alter(bootstrap: str, retention_ms: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    settings = next(topic for topic in TOPICS if topic.name == JOBS).settings() | {"retention.ms": retention_ms, "min.insync.replicas": "1"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, JOBS, settings)])
    await admin.close()


@pytest.mark.long
def test_a_stack_that_is_well_and_everything_that_is_not(platform: Platform) -> None:
    platform.planner()
    platform.projection()
    platform.proof_api()
    platform.set_policy(quick_policy())
    code, found = wait_for("all is well", lambda: (now := doctor(platform))[0] == 0 and now, every_s=1)
    assert {name: check["status"] for name, check in found.items()} == dict.fromkeys(found, "ok") | {"notifier": "warning"}
    assert found["notifier"]["found"] == "off: nobody is told what happens", "an idle notifier does not look like a working one"
    assert set(found) == {
        "kafka", "credentials", "identity", "topics", "copies", "clock", "postgres", "clock (db)", "tables", "roles", "proof-api",
        "notifier", "disk", "versions",
    }  # fmt: skip
    assert "s against the broker's" in found["clock"]["found"]

    asyncio.run(alter(platform.broker.bootstrap, "1000000000"))
    code, found = doctor(platform)
    assert (code, failed(found)) == (1, {"topics": "autonomy.jobs: retention.ms is 1000000000, needed -1"})
    asyncio.run(alter(platform.broker.bootstrap, "-1"))

    with psycopg.connect(platform.database.owner_url, autocommit=True) as owner:
        owner.execute("GRANT INSERT ON autonomy.projection_offsets TO autonomy_reader")
        owner.execute("COMMENT ON SCHEMA autonomy IS 'Read models of Autonomy, version 0001'")
        code, found = doctor(platform, KAFKA_CLUSTER_ID="another")
        assert code == 1
        wrong = failed(found)
        assert set(wrong) == {"identity", "tables", "roles"}
        assert "needed another (KAFKA_CLUSTER_ID)" in wrong["identity"]
        assert wrong["roles"] == "autonomy_reader: may write"
        assert wrong["tables"].startswith("of version 0001, this release needs ")
        owner.execute("REVOKE INSERT ON autonomy.projection_offsets FROM autonomy_reader")

    code, found = doctor(
        platform, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}", DATABASE_URL=f"postgresql://x@127.0.0.1:{free_port()}/x"
    )
    assert code == 2
    assert {name for name, check in found.items() if check["status"] == "unreachable"} == {"kafka", "postgres"}
    code, found = doctor(platform, KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT")
    assert code == 1
    assert "KAFKA_SASL_USERNAME: SCRAM-SHA-512 needs one" in failed(found)["kafka"]


@pytest.mark.parametrize(("difference_ms", "status"), [
    (0, Status.OK), (CLOCK_LIMIT_MS, Status.OK), (-CLOCK_LIMIT_MS - 1, Status.FAILED), (7_200_000, Status.FAILED),
])  # fmt: skip
def test_a_clock_that_is_off_is_named_whichever_way(difference_ms: float, status: Status) -> None:
    assert judged(difference_ms).status is status
