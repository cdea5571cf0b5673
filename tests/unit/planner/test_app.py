"""The planner's loop on a log in memory: what it reads ahead, when it halts, and how it goes on.

Source: S4, S6.
"""

import asyncio

import pytest
from aiokafka import TopicPartition

from autonomy.topics import COMMANDS, INPUTS, JOBS, RUNS
from planner import app
from planner.app import Planner
from planner.inbox import Inbox
from support.shell import a_planner, kafka_of, turns
from support.ticks import PARTITIONS, TickDriver

LIMIT, EACH, TURNS = 60, 20, 200
NEEDED = TopicPartition(COMMANDS, 0)


def a_history(ticks: int = 3) -> TickDriver:
    """Some bots, a runner, and ticks by somebody else."""
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0", "bot-1", "bot-2")
    for _ in range(ticks):
        driver.tick(after_ms=60_000)
        driver.beat()
    return driver


def test_full_inbox_empties_and_fills_with_room_between() -> None:
    """Pausing throws away what was fetched, so it is not done at every record around the limit."""
    driver = TickDriver()
    driver.inbox = Inbox(limit=4)
    for _ in range(4):
        driver.append(JOBS, 0, b"{}")
    assert driver.inbox.is_full
    driver.inbox.drop_to({JOBS: (1,)})
    assert driver.inbox.is_full
    driver.inbox.drop_to({JOBS: (2,)})
    assert not driver.inbox.is_full


# ── reading ahead ─────────────────────────────────────────────────────────────────────────────────────────────────────


def read_ahead_of(driver: TickDriver) -> Planner:
    """A cold planner on a log with more inputs than it holds at once; what the first tick needs comes last."""
    for topic in INPUTS:
        for number in range(PARTITIONS[topic]):
            for _ in range(EACH):
                driver.append(topic, number, b"{}")
    kafka = kafka_of(driver)
    kafka.last = NEEDED
    planner = a_planner(kafka)
    planner.inbox = Inbox(limit=LIMIT)
    return planner


def test_cold_planner_reads_what_the_next_tick_needs_however_much_it_read_ahead() -> None:
    driver = a_history()
    planner = read_ahead_of(driver)
    asyncio.run(turns(planner, TURNS))
    assert (planner.state.head_tick, planner.halted) == (driver.chain.head.tick, "")
    assert planner.state.hash() == driver.state.hash()


def everything_or_nothing(planner: Planner, _: TopicPartition) -> bool:
    return not planner.inbox.is_full or not planner.accepted


def test_planner_that_stops_reading_altogether_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(Planner, "is_wanted", everything_or_nothing)
    planner = read_ahead_of(a_history())
    asyncio.run(turns(planner, TURNS))
    assert (planner.state.head_tick, planner.halted) == (0, "")


def test_what_is_read_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the next tick does not need waits in the log, the chain too."""
    monkeypatch.setattr(app, "MAX_TICKS_AHEAD", 2)
    planner = read_ahead_of(a_history())
    asyncio.run(turns(planner, 1))
    assert len(planner.accepted) == 3
    asyncio.run(turns(planner, LIMIT // EACH))
    assert planner.inbox.size == LIMIT
    wanted = {partition for partition in planner.reader.positions if planner.is_wanted(partition)}
    read = {partition for partition, position in planner.reader.positions.items() if position >= EACH}
    assert NEEDED in wanted
    assert TopicPartition(RUNS, 0) not in wanted
    assert read
    assert not read & wanted
