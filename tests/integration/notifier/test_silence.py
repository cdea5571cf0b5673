"""The dead man's switch: a planner that is killed, and a log that does not answer.

Source: docs/adr/0029-the-notifier-commits-what-it-sent.md.
"""

import time
from pathlib import Path

import pytest

from support.log import runs_end
from support.notices import Endpoint, Mailbox, Stand, write_rules
from support.platform import wait_for

pytestmark = pytest.mark.servers
PROMISED_S = 10.0


def test_a_killed_planner_is_told_within_ten_seconds(stand: Stand, endpoint: Endpoint, mailbox: Mailbox, tmp_path: Path) -> None:
    planner = stand.platform.planner()
    rules = write_rules(tmp_path / "rules.yaml", {"hook": {"url": endpoint.url}, "mail": {"url": mailbox.url}})
    stand.notifier(rules)
    planner.wait_until("the first tick", lambda: runs_end(stand.broker.bootstrap) > 0)
    wait_for("a leader was heard", lambda: stand.readiness()["leaderAtTick"])
    assert stand.readiness()["alarms"] == []
    assert endpoint.taken == mailbox.mails == [], "nothing is wrong, and nobody is told anything"

    planner.kill()
    killed_s = time.monotonic()
    stand.until_told(endpoint, 1)
    wait_for("the mail", lambda: mailbox.mails)

    assert endpoint.taken[0].at_s - killed_s <= PROMISED_S
    for notice in (endpoint.taken[0], mailbox.mails[0]):
        assert "no planner leads since" in notice.title
        assert "follow the runbook PlannerDown" in notice.body
        assert "http://127.0.0.1:5001/attention" in notice.body
    assert len(endpoint.taken) == 1, "once"
