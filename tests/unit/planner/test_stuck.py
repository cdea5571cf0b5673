"""A planner decides nothing while a place of the log cannot be read, says which, and goes on once it can."""

import pytest
from aiokafka import TopicPartition

from autonomy import inspection
from autonomy.topics import JOBS
from planner.shell.app import Planner
from support.shell import MemoryKafka, a_planner, client_of, kafka_of, lead_for, lead_until
from support.ticks import TickDriver

PLACE = TopicPartition(JOBS, 3)
WORDS = "autonomy.jobs/3 cannot be read at offset 17: the batch of records 17 to 23 is damaged: its CRC is wrong"


def a_log() -> MemoryKafka:
    driver = TickDriver(now_ms=1_700_000_000_000)
    driver.runner()
    driver.register("bot-0")
    driver.tick(after_ms=60_000)
    return kafka_of(driver)


async def test_a_place_that_cannot_be_read_halts_as_long_as_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "LOOK_AGAIN_MS", 1e12)  # nothing is there to be looked at again
    planner = a_planner(kafka := a_log())
    planner.reader.obstacles.faults[PLACE] = WORDS
    await lead_for(planner, 1.5)
    assert planner.chain.head.tick == 1
    assert {pulse.role for pulse in kafka.pulses()} == {"halted"}
    assert {pulse.problem for pulse in kafka.pulses()} == {WORDS}
    assert PLACE not in client_of(planner).stopped, "a fault put in by hand; the reader pauses what it finds"
    planner.reader.obstacles.faults.clear()
    planner.stopping = False
    await lead_until(planner, lambda: planner.chain.head.tick > 1)


async def test_without_the_guard_it_would_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    monkeypatch.setattr(inspection, "LOOK_AGAIN_MS", 1e12)
    monkeypatch.setattr(Planner, "stuck", property(lambda planner: planner.halted))
    planner = a_planner(a_log())
    planner.reader.obstacles.faults[PLACE] = WORDS
    await lead_until(planner, lambda: planner.chain.head.tick > 1)
