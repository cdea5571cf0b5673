"""The notifier on a real log with real receivers: what is told, once, and what is not.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from autonomy.clock import drawn_id, now
from autonomy.envelope import encode
from autonomy.events import RecordQuarantined, SourceFault
from autonomy.topics import QUARANTINE, RUNNERS
from autonomy.values import Stage
from autonomy_cli.doctor import Status, notifier_check
from support import lives
from support.builders import a_digest, capabilities
from support.log import append, store
from support.notices import SECRET, ChainWriter, Endpoint, Mailbox, Stand, a_revert, write_rules
from support.platform import wait_for
from support.stored_log import run_record
from support.ticks import TickDriver

pytestmark = pytest.mark.servers
BOTS = 1_000


def a_fleet_on_paper() -> TickDriver:
    """A thousand bots, imported in PAPER by the planner's own ticks."""
    driver = TickDriver()
    names = [f"bot-{number:04d}" for number in range(BOTS)]
    for first in range(0, BOTS, 500):
        driver.register(*names[first : first + 500], origin="IMPORTED", stage=Stage.PAPER)
    lives.step(driver)
    return driver


@pytest.mark.long
def test_a_thousand_bots_reverted_at_once_are_one_message_and_what_was_before_is_none(
    stand: Stand, endpoint: Endpoint, tmp_path: Path
) -> None:
    driver = a_fleet_on_paper()
    lives.revert(driver, bot_ids=("bot-0000",))
    store(stand.broker.bootstrap, map(run_record, driver.runs))
    before, ticks = len(driver.runs), driver.chain.head.tick
    rules = write_rules(tmp_path / "rules.yaml", {"once": {"url": endpoint.url}})
    service = stand.notifier(rules)
    assert stand.receiver("once")["beganAfterTick"] == ticks
    assert f"it is told what comes after tick {ticks}, and nothing from before" in service.log.read_text()

    lives.revert(driver, stages=(Stage.PAPER,))
    store(stand.broker.bootstrap, map(run_record, driver.runs[before:]))
    stand.until_told(endpoint, 1)
    assert [notice.title for notice in endpoint.taken] == [f"Autonomy: {BOTS - 1:,} bots reverted to LAB"]
    assert f"and {BOTS - 1 - 5:,} more" in endpoint.taken[0].body

    service.stop()
    service = stand.notifier(rules)
    fault = SourceFault(name="IBM", reason="two bars at one time", in_use=True)
    say(stand, RUNNERS, 3, capabilities("runner-1").model_copy(update={"faults": (fault,)}))
    stand.until_told(endpoint, 2)
    say(stand, RUNNERS, 5, capabilities("runner-2").model_copy(update={"faults": (fault,)}))
    say(stand, QUARANTINE, 0, RecordQuarantined(
        source_topic="autonomy.jobs", source_partition=3, source_offset=77, sha256=a_digest("x"), size_bytes=3, reason="no JSON", excerpt="x",
    ))  # fmt: skip
    stand.until_told(endpoint, 3)
    assert [notice.title for notice in endpoint.taken[1:]] == [
        "Autonomy: 1 part of a source of bars cannot be used: IBM: two bars at one time", "Autonomy: 1 record could not be read",
    ]  # fmt: skip
    assert stand.receiver("once")["beganAfterTick"] is None, "the second start reads on"


def say(stand: Stand, topic: str, partition: int, event: "RecordQuarantined | object") -> None:
    value = encode(event, source="test", subject="test", time=now(), event_id=drawn_id())  # type: ignore[arg-type] # an event
    append(stand.broker.bootstrap, topic, partition, [value])


@pytest.mark.long
def test_a_receiver_that_is_down_is_seen_and_told_once_it_is_back_while_the_others_go_on(
    stand: Stand, endpoint: Endpoint, mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_PORT", str(stand.port))
    chain = ChainWriter(stand.broker)
    service = stand.notifier(
        write_rules(tmp_path / "rules.yaml", {"hook": {"url": endpoint.url}, "mail": {"url": mailbox.url}}), LOG_LEVEL="DEBUG"
    )
    assert notifier_check().status is Status.OK

    endpoint.status = 503
    chain.tick(a_revert("no-seal"), sealed=False)
    chain.tick(a_revert("bot-1", "first"))
    wait_for("a refusal", lambda: endpoint.refused >= 1)
    chain.tick(a_revert("bot-2", "second"))
    wait_for("both mails", lambda: len(mailbox.mails) == 2)
    found = stand.receiver("hook")
    assert (found["problem"], found["waiting"] > 0) == ("it answered with HTTP status 503", True)
    check = notifier_check()
    assert (check.status, "hook takes nothing since" in check.found) == (Status.FAILED, True)
    assert 'autonomy_notifier_failed_tries_total{receiver="hook"}' in stand.get("/metrics")

    endpoint.status = 200
    stand.until_told(endpoint, 2)
    assert [notice.title for notice in endpoint.taken] == ["Autonomy: 1 bot reverted to LAB"] * 2
    assert [notice.title for notice in mailbox.mails] == ["Autonomy: 1 bot reverted to LAB"] * 2
    assert set(endpoint.keys().values()) == {1}
    wait_for("all is well", lambda: notifier_check().status is Status.OK)
    assert endpoint.refused >= 1

    words = " ".join(psutil.Process(service.process.pid).cmdline())
    for place in (service.log.read_text(), stand.get("/readyz"), stand.get("/livez"), stand.get("/metrics"), words):
        assert SECRET not in place, "also in DEBUG, and also of a receiver that failed"
    assert "no-seal" not in "".join(notice.body for notice in (*endpoint.taken, *mailbox.mails))


@pytest.mark.long
def test_facts_that_come_soon_after_a_message_wait_for_one_message_together(stand: Stand, endpoint: Endpoint, tmp_path: Path) -> None:
    chain = ChainWriter(stand.broker)
    stand.notifier(write_rules(tmp_path / "rules.yaml", {"spaced": {"url": endpoint.url, "spacing_s": 3}}))
    for number in range(6):
        chain.tick(a_revert(f"bot-{number}", f"command-{number}"))
    wait_for("the last one", lambda: "bot-5" in "".join(notice.body for notice in endpoint.taken))
    assert len(endpoint.taken) <= 3
    gaps = [after.at_s - before.at_s for before, after in zip(endpoint.taken, endpoint.taken[1:], strict=False)]
    assert all(gap >= 2.9 for gap in gaps)


def test_the_command_tries_every_receiver_and_says_what_came_of_each(endpoint: Endpoint, mailbox: Mailbox, tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules.yaml", {"hook": {"url": endpoint.url}, "mail": {"url": mailbox.url}})

    def run() -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, "-m", "autonomy_cli.main", "notify", "test", "--rules", str(rules)]
        return subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})

    done = run()
    assert (done.returncode, [line.partition(":")[0] for line in done.stdout.splitlines()]) == (0, ["ok hook (JSON)", "ok mail (E-Mail)"])
    assert endpoint.taken[0].title == mailbox.mails[0].title == "Autonomy: a test message"
    endpoint.status = 403
    done = run()
    assert done.returncode == 1
    assert "FAILED hook (JSON): it answered with HTTP status 403" in done.stdout
    assert "ok mail (E-Mail): took it" in done.stdout
    assert SECRET not in done.stdout + done.stderr
