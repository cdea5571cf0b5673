"""A planner that halts says so, seals nothing, and goes on only by an approver's word. On the real broker.

Source: S6.
"""

from typing import Any

import pytest

from autonomy import clock
from autonomy.chain import RunRecord, read_record, sealed_record
from autonomy.envelope import encode
from autonomy.events import AcceptDivergence, PlannerPulse, PlannerRun
from autonomy.topics import COMMANDS, PULSE, RUNS
from autonomy_cli.acting import HALTED
from autonomy_cli.findings import Outcome
from support.builders import an_id
from support.log import append, audit, audit_verify, runs_end, store
from support.measuring import FaultRows
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


def test_planner_that_starts_on_a_log_that_lost_records_halts(platform: Platform, fault_row: FaultRows) -> None:
    log = stored_log(two_ticks())
    store(platform.broker.bootstrap, [record for record in log if (record.topic, record.offset) != (COMMANDS, 1)])
    platform.planner()
    row = fault_row("inputs lost", "The log", "a planner starts on a log whose newest inputs are gone", "the log is restored")
    platform.projection()
    row.notices(f"planner halted: “{halted(platform)['problem']}”")
    assert halted(platform)["problem"] == "autonomy.commands/0 ends at 1, an accepted tick folded up to 2: the log lost records"
    assert len(audit(platform.broker.bootstrap).seals) == 2
    row.keeps()


def test_planner_goes_on_over_edited_inputs_by_an_approvers_word_and_the_audit_shows_it(platform: Platform, fault_row: FaultRows) -> None:
    driver = two_ticks()
    log = [
        Stored(record.topic, record.partition, record.offset, (record.value or b"").replace(b'"actor":"ada"', b'"actor":"eve"'))
        if (record.topic, record.offset) == (COMMANDS, 1) else record
        for record in stored_log(driver)
    ]  # fmt: skip
    store(platform.broker.bootstrap, log)
    platform.planner()
    row = fault_row(
        "inputs edited", "The log", "an input is edited after it was folded, and a planner starts",
        "approvers accept just these inputs, and the repair is in the chain",
    )  # fmt: skip
    platform.projection()
    problem = halted(platform)["problem"]
    row.notices(f"planner halted: “{problem}”")
    assert "the first that differs is autonomy.commands/0 at offset 1" in problem
    words = HALTED.search(problem)
    assert words is not None
    _, folded, sealed, root = words.groups()
    row.heals()
    platform.say(AcceptDivergence, reason="known", tick=2, sealed_state_hash=sealed, folded_state_hash=folded, input_root=root)
    wait_for("the repair in the chain", lambda: platform.one("SELECT count(*) FROM chain_repairs") == 1)
    row.recovers()
    assert platform.one("SELECT count(*) FROM bots") == 2
    found = audit(platform.broker.bootstrap)
    found.check()
    done = audit_verify(platform.broker.bootstrap)
    assert done.returncode == Outcome.CLEAN_WITH_REPAIRS, done.stdout + done.stderr
    assert "repaired: tick 2 was accepted by tester" in done.stdout
    row.keeps(found)


def lost_ticks() -> list[tuple[str, list[Stored]]]:
    """Logs that hold less than was accepted once: a record of the second tick without its headers, and no end."""
    driver = two_ticks()
    driver.register("bot-2")
    driver.tick(after_ms=60_000)
    log, victim = stored_log(driver), driver.accepted[1].records[0].offset
    damaged = [
        Stored(RUNS, 0, record.offset, record.value, record.key) if (record.topic, record.offset) == (RUNS, victim) else record
        for record in log
    ]  # fmt: skip
    return [("damaged", damaged), ("whole", log)]


def test_planner_that_starts_on_a_damaged_log_seals_nothing_and_the_audit_names_the_record(
    platform: Platform, fault_row: FaultRows
) -> None:
    """A restart must never launder an edit: other ticks in place of those behind the damage would look whole."""
    (_, damaged), (_, whole) = lost_ticks()
    assert len(damaged) == len(whole)
    store(platform.broker.bootstrap, damaged)
    before = sum(record.topic == RUNS for record in damaged)
    platform.planner()
    row = fault_row(
        "sealed record damaged", "The log", "a record of a sealed tick is damaged, and a planner starts",
        "the log is restored, or approvers give the ticks up by name",
    )  # fmt: skip
    platform.projection()
    problem = halted(platform)["problem"]
    row.notices(f"planner halted: “{problem}”; the audit differs and names the record")
    assert "the chain ends at tick 1, but autonomy.runs/0 has a seal of tick 2 at offset " in problem
    done = audit_verify(platform.broker.bootstrap)
    assert done.returncode == Outcome.DIFFERS, done.stdout + done.stderr
    assert "DIFFERS at tick 2: record 1 (" in done.stdout
    assert "is missing: it stood" in done.stdout
    assert runs_end(platform.broker.bootstrap) == before, "nothing was sealed on"
    row.keeps()


def test_planner_that_starts_without_the_tail_that_pulses_know_halts(platform: Platform, fault_row: FaultRows) -> None:
    _, (_, whole) = lost_ticks()
    seals = [record for record in whole if record.topic == RUNS and b"planner-run.v1" in (record.value or b"")]
    third = read_record(seals[2])
    assert isinstance(third, RunRecord)
    seal = sealed_record(third).event
    assert isinstance(seal, PlannerRun)
    store(platform.broker.bootstrap, [record for record in whole if record.topic != RUNS or record.offset <= seals[1].offset])
    pulse = PlannerPulse(process_id=an_id("planner-1"), role="leader", head_tick=3, head_hash=seal.hash, next_tick_at=None)
    append(platform.broker.bootstrap, PULSE, 0, [
        encode(pulse, source="test", subject="planner-1", time=clock.now(), event_id=an_id("pulse")),
    ])  # fmt: skip
    platform.planner()
    row = fault_row(
        "tail lost", "The log", "the newest ticks are lost (unclean death of a broker), and a planner starts",
        "the log is restored, or approvers give the ticks up by name",
    )  # fmt: skip
    platform.projection()
    problem = halted(platform)["problem"]
    row.notices(f"planner halted: “{problem}”")
    assert "the log ends at tick 2 with " in problem
    assert seal.hash in problem
    done = audit_verify(platform.broker.bootstrap)
    assert done.returncode == Outcome.DIFFERS, done.stdout + done.stderr
    assert seal.hash in done.stdout
    row.keeps()
