"""The planner's loop on a log in memory: what it reads ahead, when it halts, and how it goes on.

Source: S4, S6.
"""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition

from autonomy import envelope
from autonomy.events import AcceptDivergence
from autonomy.topics import COMMANDS, INPUTS, JOBS, RUNS
from planner import app
from planner.app import Planner
from planner.inbox import Inbox
from support.builders import a_bot, a_digest
from support.changes import replace
from support.shell import MemoryKafka, a_planner, client_of, kafka_of, lead_for, lead_until, turns
from support.stored_log import Stored, stored_log
from support.ticks import PARTITIONS, TickDriver

LIMIT, EACH, TURNS = 60, 20, 200
LONG_AGO_MS = 1_700_000_000_000
"""Before any machine's clock: the shell reads the real one, and the next tick is due at once."""
NEEDED = TopicPartition(COMMANDS, 0)


def a_history(ticks: int = 3) -> TickDriver:
    """Some bots, a runner, and ticks by somebody else."""
    driver = TickDriver(now_ms=LONG_AGO_MS)
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


def a_planner_that_gets_the_chain_last() -> Planner:
    planner = read_ahead_of(a_history())
    client_of(planner).last = TopicPartition(RUNS, 0)
    planner.old_chain = asyncio.run(planner.reader.ends([RUNS]))
    return planner


def test_inputs_wait_in_the_log_until_the_chain_is_read() -> None:
    """The client is fair to no partition: a cold planner would hold every input of the log before it sees the first tick."""
    planner = a_planner_that_gets_the_chain_last()
    asyncio.run(turns(planner, LIMIT // EACH))
    assert planner.inbox.size <= LIMIT + EACH
    asyncio.run(turns(planner, TURNS))
    assert planner.state.head_tick == 3


def test_planner_that_does_not_wait_for_the_chain_holds_every_input() -> None:
    """Negative control."""
    planner = a_planner_that_gets_the_chain_last()
    planner.old_chain = {}
    asyncio.run(turns(planner, 2 * LIMIT // EACH))
    assert planner.inbox.size > LIMIT + EACH


# ── a log that lost records ───────────────────────────────────────────────────────────────────────────────────────────


def a_warm_planner() -> tuple[Planner, MemoryKafka]:
    """A planner that folded everything, and its broker."""
    driver = a_history()
    kafka = kafka_of(driver)
    planner = a_planner(kafka)
    asyncio.run(turns(planner, 20))
    assert planner.state.head_tick == driver.chain.head.tick
    return planner, kafka


def truncate(kafka: MemoryKafka, planner: Planner, below: int = 1) -> None:
    """The log loses the last records of a partition that an accepted tick folded."""
    cut = planner.chain.cut[COMMANDS][0]
    del kafka.log[NEEDED][cut - below :]


def test_leader_on_an_intact_log_seals_ticks() -> None:
    """Control of the next test: it would tick if nothing were wrong."""
    planner, kafka = a_warm_planner()
    before = len(kafka.log[TopicPartition(RUNS, 0)])
    asyncio.run(lead_until(planner, lambda: planner.state.head_tick > 3))
    assert planner.halted == ""
    assert len(kafka.log[TopicPartition(RUNS, 0)]) > before


def test_leader_whose_records_no_reader_would_take_halts_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    planner, kafka = a_warm_planner()
    before = len(kafka.log[TopicPartition(RUNS, 0)])
    monkeypatch.setattr(envelope, "MAX_RECORD_BYTES", 500)
    asyncio.run(lead_until(planner, lambda: bool(planner.halted)))
    assert "a record has at most 500 bytes" in planner.halted
    assert (len(kafka.log[TopicPartition(RUNS, 0)]), planner.state.head_tick) == (before, 3)


def test_leader_that_finds_the_log_shorter_than_its_cut_seals_nothing_more() -> None:
    planner, kafka = a_warm_planner()
    truncate(kafka, planner)
    before = len(kafka.log[TopicPartition(RUNS, 0)])
    asyncio.run(lead_until(planner, lambda: bool(planner.halted)))
    assert "the log lost records" in planner.halted
    assert (len(kafka.log[TopicPartition(RUNS, 0)]), planner.state.head_tick) == (before, 3)


@pytest.fixture
def asks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "ASK_EVERY_MS", 0)


@pytest.mark.usefixtures("asks_at_once")
def test_restart_on_a_log_that_lost_records_halts_and_says_so() -> None:
    planner, kafka = a_warm_planner()
    truncate(kafka, planner)
    cold = a_planner(kafka, "planner-3")
    asyncio.run(lead_until(cold, lambda: any(said.role == "halted" for said in kafka.pulses())))
    assert cold.halted == "autonomy.commands/0 ends at 0, an accepted tick folded up to 1: the log lost records"
    said = kafka.pulses()[-1]
    assert (said.process_id, said.role, said.problem) == (cold.process_id, "halted", cold.halted)
    assert cold.state.head_tick == 0


@pytest.mark.usefixtures("asks_at_once")
def test_standby_that_meets_such_a_cut_halts() -> None:
    """The inputs that a rival's tick folded never came: they were lost before this process read them."""
    driver = a_history()
    kafka = kafka_of(driver)
    standby = a_planner(kafka)
    asyncio.run(turns(standby, 20))
    driver.register("bot-3")
    driver.tick(after_ms=60_000)
    kafka.take_over(stored_log(driver))
    kafka.log[NEEDED].pop()
    asyncio.run(turns(standby, 20))
    assert "the log lost records" in standby.halted
    assert standby.state.head_tick == 3


@pytest.mark.usefixtures("asks_at_once")
def test_tick_whose_inputs_come_late_is_waited_for() -> None:
    """Control: they are in the log, this process has only not read them."""
    planner = read_ahead_of(driver := a_history())
    asyncio.run(turns(planner, TURNS))
    assert (planner.state.head_tick, planner.halted) == (driver.chain.head.tick, "")


def test_waiting_is_no_busy_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a planner waits for, it asks the client a few times a second."""
    monkeypatch.setattr(app, "ASK_EVERY_MS", 60_000)  # as if the broker did not answer
    planner, kafka = a_warm_planner()
    truncate(kafka, planner)
    cold = a_planner(kafka, "planner-3")
    asyncio.run(lead_for(cold, 0.5))
    assert len(cold.accepted) > 0
    assert client_of(cold).polls < 60


# ── a difference, and an approver who accepts it ──────────────────────────────────────────────────────────────────────


def edited() -> tuple[TickDriver, MemoryKafka]:
    """Two ticks; an input of the second is another one now than when it was sealed."""
    driver = a_history(1)
    driver.register("bot-3", "bot-4")
    driver.tick(after_ms=60_000)
    kafka = kafka_of(driver)
    commands = kafka.log[NEEDED]
    last = commands[-1]
    commands[-1] = Stored(COMMANDS, 0, last.offset, (last.value or b"").replace(b'"actor":"ada"', b'"actor":"eve"'))
    return driver, kafka


def faulty(ticks: int = 4) -> tuple[TickDriver, MemoryKafka]:
    """A leader whose memory of one bot is wrong from the second tick on, and which goes on leading."""
    driver = a_history(1)
    bot = driver.state.bots.rows["bot-0"]
    driver.state.bots.put("bot-0", replace(bot, eligible_ms=bot.eligible_ms + 1))
    for _ in range(1, ticks):
        driver.register(f"more-{driver.chain.head.tick}")
        driver.tick(after_ms=60_000)
    return driver, kafka_of(driver)


def follow_for(kafka: MemoryKafka, planner: Planner | None = None) -> Planner:
    """A planner that has read what there is."""
    planner = planner or a_planner(kafka)
    asyncio.run(turns(planner, 20))
    return planner


def accept(driver: TickDriver, kafka: MemoryKafka, planner: Planner, **changes: Any) -> None:
    """An approver's word for what a planner halted at; `changes` make it another one."""
    tick = planner.state.head_tick + 1
    named = {"sealed_state_hash": driver.accepted[tick - 1].seal.state_hash, "folded_state_hash": planner.state.hash()}
    driver.command(AcceptDivergence, **{"role": "approver", "tick": tick, **named, **changes})
    word = driver.log[(COMMANDS, 0)][-1]
    kafka.store(COMMANDS, 0, word)


def test_tick_with_other_inputs_is_folded_whole_before_anybody_accepts_it() -> None:
    driver, kafka = edited()
    planner = follow_for(kafka)
    assert planner.halted.endswith("inputs are not the 2 that it sealed")
    accept(driver, kafka, planner)
    follow_for(kafka, planner)
    assert (planner.halted, planner.state.head_tick) == ("", 2)
    assert (len(planner.state.bots.rows), len(planner.state.jobs.rows)) == (5, len(driver.state.jobs.rows))
    assert planner.state.hash() == driver.state.hash()


def test_one_acceptance_covers_the_ticks_that_differ_by_nothing_else() -> None:
    driver, kafka = faulty()
    planner = follow_for(kafka)
    assert (planner.halted[:20], planner.state.head_tick) == ("tick 2: folded state", 1)
    accept(driver, kafka, planner)
    follow_for(kafka, planner)
    assert (planner.halted, planner.state.head_tick) == ("", 4)
    assert planner.state.hash() != driver.state.hash()


def test_difference_that_is_not_carried_on_halts_at_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(app, "gap_to", lambda *_: 0)
    driver, kafka = faulty()
    planner = follow_for(kafka)
    accept(driver, kafka, planner)
    follow_for(kafka, planner)
    assert (planner.halted[:20], planner.state.head_tick) == ("tick 3: folded state", 2)


def test_another_difference_beside_an_accepted_one_halts_again() -> None:
    driver, kafka = faulty(2)
    bot = driver.state.bots.rows["bot-1"]
    driver.state.bots.put("bot-1", replace(bot, eligible_ms=bot.eligible_ms + 1))
    driver.tick(after_ms=60_000)
    kafka.take_over(stored_log(driver))
    planner = follow_for(kafka)
    accept(driver, kafka, planner)
    follow_for(kafka, planner)
    assert (planner.halted[:20], planner.state.head_tick) == ("tick 3: folded state", 2)
    accept(driver, kafka, planner)
    follow_for(kafka, planner)
    assert (planner.halted, planner.state.head_tick) == ("", 3)


def test_who_goes_on_over_a_difference_leads_back_to_what_everybody_folds() -> None:
    """Its own seals hold the folded state: a process that starts later carries the difference to there, and no further."""
    driver, kafka = faulty()
    planner = follow_for(kafka)
    accept(driver, kafka, planner)
    follow_for(kafka, planner)
    assert planner.carried != 0
    asyncio.run(lead_until(planner, lambda: planner.state.head_tick > 4))
    later = follow_for(kafka)
    assert later.state.head_tick == planner.state.head_tick > 4
    assert (later.halted, later.carried, planner.carried) == ("", 0, 0)
    assert later.state.hash() == planner.state.hash()


@pytest.mark.parametrize("changes", [
    {"role": "operator"}, {"tick": 3}, {"sealed_state_hash": a_digest("another")}, {"folded_state_hash": a_digest("another")},
], ids=lambda changes: next(iter(changes)))  # fmt: skip
def test_only_an_approver_who_names_tick_and_states_lets_it_go_on(changes: dict[str, Any]) -> None:
    driver, kafka = faulty()
    planner = follow_for(kafka)
    accept(driver, kafka, planner, **changes)
    follow_for(kafka, planner)
    assert (planner.halted[:20], planner.state.head_tick) == ("tick 2: folded state", 1)


def test_tick_that_cannot_be_folded_is_nothing_to_accept() -> None:
    """A fold that broke half-way is no state: the planner stays where it was."""
    driver = a_history(1)
    driver.state.bots.put("ghost", a_bot("ghost"))
    driver.tick(after_ms=60_000)
    kafka = kafka_of(driver)
    planner = follow_for(kafka)
    assert "cannot be folded" in planner.halted
    before = planner.state.hash()
    assert before == driver.accepted[0].seal.state_hash
    accept(driver, kafka, planner)
    follow_for(kafka, planner)
    assert "cannot be folded" in planner.halted
    assert (planner.state.head_tick, planner.state.hash()) == (1, before)
