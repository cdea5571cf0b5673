"""The dead man's switch: a planner that is killed, and a log that does not answer.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

import time
from pathlib import Path

import pytest

from autonomy.clock import drawn_id, now
from autonomy.envelope import encode
from autonomy.events import PlannerPulse
from autonomy.topics import PULSE, RUNS
from support.builders import a_digest, an_id
from support.damage import damage, flip
from support.log import append, runs_end
from support.notices import NO_DATABASE, ChainWriter, Endpoint, Mailbox, Stand, a_revert, write_rules
from support.platform import a_platform, wait_for
from support.servers import a_broker, make_topics, own_folder

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


@pytest.mark.long
def test_a_log_that_does_not_answer_is_told_and_what_comes_after_is_not_lost(endpoint: Endpoint, tmp_path: Path) -> None:
    with own_folder("silent-log") as folder, a_broker(folder) as broker, a_platform(broker, NO_DATABASE, tmp_path) as platform:
        make_topics(broker.bootstrap)
        stand, chain = Stand(platform), ChainWriter(broker)
        chain.tick()
        # Nobody leads here: that is told too, and only once.
        rules = write_rules(tmp_path / "rules.yaml", {"hook": {"url": endpoint.url}}, silence={"log_s": 10})
        stand.notifier(rules)
        chain.tick(a_revert("before"))
        wait_for("the first fact", lambda: "before" in bodies(endpoint))

        broker.kill()
        wait_for("the alarm", lambda: any("the log does not answer since" in notice.title for notice in endpoint.taken))
        assert stand.readiness()["status"] == "unavailable"
        broker.start()
        chain.tick(a_revert("after"))
        wait_for("the fact", lambda: "after" in bodies(endpoint))
        wait_for("that it is over", lambda: any("over: the log does not answer" in notice.title for notice in endpoint.taken))
        assert max(endpoint.keys().values()) == 1
        assert sum("the log does not answer" in notice.title for notice in endpoint.taken) == 2


@pytest.mark.long
def test_what_cannot_be_read_is_told_and_what_stands_beside_and_before_it_too(endpoint: Endpoint, tmp_path: Path) -> None:
    with own_folder("hurt-log") as folder, a_broker(folder) as broker, a_platform(broker, NO_DATABASE, tmp_path) as platform:
        make_topics(broker.bootstrap)
        stand, chain = Stand(platform), ChainWriter(broker)
        chain.tick()
        rules = write_rules(tmp_path / "rules.yaml", {"hook": {"url": endpoint.url}})
        stand.notifier(rules).stop()
        for name in ("before", "damaged", "behind"):
            chain.tick(a_revert(name, name))
        broker.stop()
        damage(broker, RUNS, 0, 2, flip)
        broker.start()
        stand.notifier(rules, until_ready=False)
        wait_for("the alarm", lambda: any("the notifier cannot read the log" in notice.title for notice in endpoint.taken))
        wait_for("what stands before it", lambda: "before" in bodies(endpoint))
        assert "autonomy.runs/0 cannot be read at offset" in stand.readiness()["reason"]

        broker.stop()
        damage(broker, RUNS, 0, 2, flip)
        broker.start()
        wait_for("what was damaged, once it is mended", lambda: "damaged" in bodies(endpoint) and "behind" in bodies(endpoint))
        assert max(endpoint.keys().values()) == 1


def bodies(endpoint: Endpoint) -> str:
    return "".join(notice.body for notice in endpoint.taken)


@pytest.mark.long
def test_a_planner_that_halted_is_told_with_its_reason(stand: Stand, endpoint: Endpoint, tmp_path: Path) -> None:
    stand.notifier(write_rules(tmp_path / "rules.yaml", {"halts": {"url": endpoint.url}}))

    def told() -> bool:
        pulse = PlannerPulse(
            process_id=an_id("planner"), role="halted", head_tick=7, head_hash=a_digest("head"), next_tick_at=None, problem="tick 7 differs"
        )
        value = encode(pulse, source="test", subject="planner", time=now(), event_id=drawn_id())
        append(stand.broker.bootstrap, PULSE, 0, [value])
        return bool(endpoint.taken)

    wait_for("the alarm", told, every_s=0.5)
    assert endpoint.taken[0].title == "Autonomy: planner halted: tick 7 differs"
    assert "follow the runbook ChainHalted" in endpoint.taken[0].body
