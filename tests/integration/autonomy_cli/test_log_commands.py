"""`audit verify` and `events tail` on a real broker, as the processes that people start.

Source: R-F1.
"""

import json
import subprocess
import sys
import time

import pytest

from autonomy.topics import COMMANDS
from support.builders import a_digest
from support.histories import live_through, written_history
from support.log import fresh_topics, store
from support.patience import PATIENCE_S
from support.servers import Broker
from support.stored_log import Stored, stored_log
from support.ticks import TickDriver

pytestmark = pytest.mark.servers


def autonomy(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "autonomy_cli.main", *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture(scope="module")
def history() -> TickDriver:
    return live_through(TickDriver(), written_history(160))


@pytest.fixture
def empty_log(broker: Broker) -> str:
    fresh_topics(broker.bootstrap)
    return broker.bootstrap


def test_untouched_log_is_clean(empty_log: str, history: TickDriver) -> None:
    store(empty_log, stored_log(history))
    done = autonomy("audit", "verify", "--bootstrap", empty_log, "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["verdict"] == "CLEAN"
    assert verdict["ticks"] == len(history.accepted)
    assert verdict["records"] == len(stored_log(history))
    assert verdict["head"]["hash"] == history.chain.head.hash


def test_audit_follows_a_log_that_grows_past_the_last_cut(empty_log: str, history: TickDriver) -> None:
    """Inputs that no tick folded yet are nobody's business."""
    late = Stored(COMMANDS, 0, 0, b"{}")
    store(empty_log, [*stored_log(history), late, late])
    done = autonomy("audit", "verify", "--bootstrap", empty_log)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("clean")


def test_edited_log_names_its_first_bad_tick(empty_log: str, history: TickDriver) -> None:
    log = stored_log(history)
    victim = next(record for record in log if b"job-enqueued" in (record.value or b""))
    tick = next(int(value or b"") for name, value in victim.headers if name == "tick")
    edited = Stored(
        victim.topic, victim.partition, victim.offset, (victim.value or b"").replace(b'"feeBps":10.0', b'"feeBps":0.0'), victim.key, 0,
        victim.headers,
    )  # fmt: skip
    store(empty_log, [edited if record is victim else record for record in log])
    done = autonomy("audit", "verify", "--bootstrap", empty_log)
    assert done.returncode == 1
    assert f"DIFFERS at tick {tick}:" in done.stdout


def test_head_that_was_written_down_must_be_in_the_chain(empty_log: str, history: TickDriver) -> None:
    store(empty_log, stored_log(history))
    head = history.chain.head
    assert autonomy("audit", "verify", "--bootstrap", empty_log, "--head", f"{head.tick}:{head.hash}").returncode == 0
    assert autonomy("audit", "verify", "--bootstrap", empty_log, "--head", f"{head.tick}:{a_digest('other')}").returncode == 1
    assert autonomy("audit", "verify", "--bootstrap", empty_log, "--head", "nonsense").returncode == 2


def test_without_kafka_it_cannot_run_and_says_so_soon() -> None:
    """Soon is measured from where the program runs: a busy machine starts it slowly, and that is taken from one that asks nobody."""
    begun = time.monotonic()
    refused = autonomy("audit", "verify", "--bootstrap", "127.0.0.1:1", "--head", "nonsense")
    start_s = time.monotonic() - begun
    assert (refused.returncode, "Kafka" in refused.stderr) == (2, False)
    begun = time.monotonic()
    done = autonomy("audit", "verify", "--bootstrap", "127.0.0.1:1")
    took_s = time.monotonic() - begun
    assert done.returncode == 2
    assert "Kafka does not answer" in done.stderr
    assert took_s < 18 + 2 * start_s


def test_tail_hides_void_tries_unless_raw(empty_log: str) -> None:
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0", "bot-1")
    loser = driver.prepare(try_name="loser")
    driver.state.undo()
    for record in loser.records[:-1]:  # its seal never came
        driver.runs.append(record)
    attempt = driver.prepare()
    for record in attempt.records:
        driver.runs.append(record)
    store(empty_log, stored_log(driver))
    counted = autonomy("events", "tail", "--bootstrap", empty_log, "--last", "0")
    raw = autonomy("events", "tail", "--bootstrap", empty_log, "--last", "0", "--raw")
    lines = [json.loads(line) for line in counted.stdout.splitlines()]
    assert [line["event"]["id"] for line in lines] == [json.loads(record.value)["id"] for record in attempt.records]
    assert len(raw.stdout.splitlines()) == len(loser.records) - 1 + len(attempt.records)


def test_tail_of_another_topic_says_what_cannot_be_read(empty_log: str) -> None:
    store(empty_log, [Stored(COMMANDS, 0, 0, b"{}"), Stored(COMMANDS, 0, 1, b"no json")])
    done = autonomy("events", "tail", "--bootstrap", empty_log, "--topic", "commands", "--last", "1")
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (line["topic"], line["offset"]) == (COMMANDS, 1)
    assert "no envelope" in line["undecodable"]
