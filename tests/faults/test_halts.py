"""A planner that halts says so, seals nothing, and goes on only by an approver's word. On the real broker.

Source: S6.
"""

import subprocess
import sys
from typing import Any

import pytest

from autonomy.events import AcceptDivergence
from autonomy.topics import COMMANDS
from support.log import audit, store
from support.platform import Platform, wait_for
from support.stored_log import Stored, stored_log
from support.ticks import TickDriver

pytestmark = pytest.mark.servers
LONG_AGO_MS = 1_700_000_000_000
"""Before any machine's clock, so that the next tick is due at once."""


def two_ticks() -> TickDriver:
    driver = TickDriver(now_ms=LONG_AGO_MS)
    driver.runner()
    for name in ("bot-0", "bot-1"):
        driver.register(name)
        driver.tick(after_ms=60_000)
    return driver


def halted(platform: Platform) -> dict[str, Any]:
    """The pulse of a halted planner."""
    rows = wait_for("a halted planner", lambda: platform.sql("SELECT * FROM pulses WHERE source = 'planner' AND role = 'halted'"))
    found: dict[str, Any] = rows[0]
    return found


def test_planner_that_starts_on_a_log_that_lost_records_halts(platform: Platform) -> None:
    log = stored_log(two_ticks())
    store(platform.broker.bootstrap, [record for record in log if (record.topic, record.offset) != (COMMANDS, 1)])
    platform.planner()
    platform.projection()
    assert halted(platform)["problem"] == "autonomy.commands/0 ends at 1, an accepted tick folded up to 2: the log lost records"
    assert len(audit(platform.broker.bootstrap).seals) == 2


def test_planner_goes_on_over_edited_inputs_by_an_approvers_word_and_the_audit_shows_it(platform: Platform) -> None:
    driver = two_ticks()
    log = [
        Stored(record.topic, record.partition, record.offset, (record.value or b"").replace(b'"actor":"ada"', b'"actor":"eve"'))
        if (record.topic, record.offset) == (COMMANDS, 1) else record
        for record in stored_log(driver)
    ]  # fmt: skip
    store(platform.broker.bootstrap, log)
    platform.planner()
    platform.projection()
    assert "inputs are not the" in halted(platform)["problem"]
    state_hash = driver.accepted[1].seal.state_hash
    platform.say(AcceptDivergence, reason="known", tick=2, sealed_state_hash=state_hash, folded_state_hash=state_hash)
    wait_for("the repair in the chain", lambda: platform.one("SELECT count(*) FROM chain_repairs") == 1)
    assert platform.one("SELECT count(*) FROM bots") == 2
    audit(platform.broker.bootstrap).check()
    done = subprocess.run(
        [sys.executable, "-m", "autonomy_cli.main", "audit", "verify", "--bootstrap", platform.broker.bootstrap],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "repaired: tick 2 was accepted by tester" in done.stdout
