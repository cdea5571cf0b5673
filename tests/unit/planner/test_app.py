"""The planner's loop on a log in memory: what it reads ahead, when it halts, and how it goes on.

Source: S4, S6.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from autonomy import clock, envelope
from autonomy.chain import SEAL_KIND
from autonomy.errors import BadInput
from autonomy.events import AcceptDivergence, Event, Head, PlannerPulse, ProbePulse
from autonomy.topics import COMMANDS, INPUTS, JOBS, PULSE, RUNS
from autonomy.values import TickCause
from planner.shell import app
from planner.shell.app import Planner
from planner.shell.halt import Halt
from planner.shell.inbox import Inbox
from planner.shell.known_heads import read_head_file, write_head_file
from planner.shell.wake import Wake
from support.builders import a_bot, a_digest, an_id
from support.changes import replace
from support.shell import Batch, MemoryKafka, a_planner, client_of, kafka_of, lead_for, lead_until, turns
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


@dataclass
class LosesASeal:
    """The first seal is handed over and never acknowledged; whether it is in the log is decided later."""

    kafka: MemoryKafka
    client: MemoryKafka
    held: list[tuple[bytes, bytes, Any]] = field(default_factory=list)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        if not self.held and topic == RUNS and dict(batch.records[-1][2])["kind"] == SEAL_KIND.encode():
            self.held = batch.records
            raise KafkaTimeoutError
        return await MemoryKafka.send_batch(self.client, batch, topic, partition=partition)

    def land(self) -> None:
        for key, value, headers in self.held:
            self.kafka.store(RUNS, 0, value, key, headers)


def losing_a_seal(monkeypatch: pytest.MonkeyPatch) -> tuple[Planner, LosesASeal]:
    planner, kafka = a_warm_planner()
    losing = LosesASeal(kafka, client_of(planner))
    monkeypatch.setattr(losing.client, "send_batch", losing.send_batch)
    return planner, losing


def tries_at(kafka: MemoryKafka, tick: int) -> set[bytes | None]:
    return {headers["try"] for record in kafka.log[TopicPartition(RUNS, 0)] if (headers := dict(record.headers))["tick"] == b"%d" % tick}


def reads_the_same(kafka: MemoryKafka, planner: Planner) -> None:
    """Whoever starts on this log comes to the same head and state."""
    cold = a_planner(kafka, "planner-3")
    asyncio.run(turns(cold, 30))
    assert (cold.chain.head, cold.state.hash(), cold.halted) == (planner.chain.head, planner.state.hash(), "")


@pytest.mark.parametrize("lands", [False, True], ids=["never", "after the next try"])
def test_seal_that_is_not_acknowledged_holds_nothing_up(monkeypatch: pytest.MonkeyPatch, *, lands: bool) -> None:
    monkeypatch.setattr(app, "UNACKNOWLEDGED_MS", 200)
    planner, losing = losing_a_seal(monkeypatch)
    began = clock.monotonic_ms()
    asyncio.run(lead_until(planner, lambda: planner.state.head_tick == 4))
    assert clock.monotonic_ms() - began < app.VERDICT_TIMEOUT_MS / 2
    assert tries_at(losing.kafka, 4) - {dict(losing.held[-1][2])["try"]}, "another try was accepted"
    if lands:
        losing.land()
    asyncio.run(turns(planner, 20))
    assert (planner.state.head_tick, planner.halted) == (4, "")
    reads_the_same(losing.kafka, planner)


def test_seal_that_lands_before_the_next_try_is_read_as_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the first one, so it is accepted, although nobody waits for it any more."""
    planner, losing = losing_a_seal(monkeypatch)
    monkeypatch.setattr(app, "UNACKNOWLEDGED_MS", 0)
    monkeypatch.setattr(Wake, "cause", lambda *_, **__: None if losing.held else TickCause.SCHEDULED)
    asyncio.run(lead_until(planner, lambda: bool(losing.held) and planner.candidate is None))
    assert planner.state.head_tick == 3
    losing.land()
    asyncio.run(turns(planner, 20))
    assert (planner.state.head_tick, planner.halted, len(tries_at(losing.kafka, 4))) == (4, "", 1)
    reads_the_same(losing.kafka, planner)


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
    named = {
        "sealed_state_hash": driver.accepted[tick - 1].seal.state_hash, "folded_state_hash": planner.state.hash(),
        "input_root": planner.standing_still.diverged_root or None,
    }  # fmt: skip
    driver.command(AcceptDivergence, **{"role": "approver", "tick": tick, **named, **changes})
    word = driver.log[(COMMANDS, 0)][-1]
    kafka.store(COMMANDS, 0, word)


def test_tick_with_other_inputs_is_folded_whole_before_anybody_accepts_it() -> None:
    driver, kafka = edited()
    planner = follow_for(kafka)
    assert planner.halted.endswith("inputs are not the 2 that it sealed: the first that differs is autonomy.commands/0 at offset 1")
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
    {"input_root": a_digest("another")}, {"input_root": None}, {"abandoned": Head(tick=9, offset=9, hash=a_digest("another"))},
], ids=["role", "tick", "sealed", "folded", "inputs", "no inputs", "abandoned"])  # fmt: skip
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


# ── a log that holds less than was accepted once ──────────────────────────────────────────────────────────────────────


def without_a_record(driver: TickDriver, tick: int = 2) -> MemoryKafka:
    """The log with one record of a tick damaged: its headers are gone, so that nobody can place it."""
    kafka = kafka_of(driver)
    gone = driver.accepted[tick - 1].records[0].offset
    runs = kafka.log[TopicPartition(RUNS, 0)]
    runs[gone] = Stored(RUNS, 0, gone, runs[gone].value, runs[gone].key)
    return kafka


def without_a_tail(driver: TickDriver, tick: int = 2) -> MemoryKafka:
    """The log as a broker leaves it that lost everything behind a tick."""
    kafka = kafka_of(driver)
    del kafka.log[TopicPartition(RUNS, 0)][driver.accepted[tick - 1].offset + 1 :]
    return kafka


def a_longer_history() -> TickDriver:
    driver = a_history(1)
    for number in range(3):
        driver.register(f"more-{number}")
        driver.tick(after_ms=60_000)
    return driver


def known(driver: TickDriver, kafka: MemoryKafka, by: str, tmp_path: Path) -> Planner:
    """A planner on a log, and somebody who knows the head that was there."""
    head = driver.chain.head
    if by == "a planner's pulse":
        said: Event = PlannerPulse(
            process_id=an_id("planner-1"), role="leader", head_tick=head.tick, head_hash=head.hash, next_tick_at=None
        )
    else:
        said = ProbePulse(process_id=an_id("proof-api"), sequence=1, sent_at=clock.now(), applied=head if by == "the rows" else None)
    kafka.store(PULSE, 0, envelope.encode(said, source="test", subject="x", time=clock.now(), event_id=an_id("pulse")))
    planner = a_planner(kafka)
    if by == "its own file":
        file = tmp_path / "planner.head"
        write_head_file(file, head)
        for tick, digest in read_head_file(file).items():
            planner.known.note(tick, digest, "its own file")
    return planner


def test_planner_that_starts_below_well_formed_seals_halts_and_seals_nothing() -> None:
    driver = a_longer_history()
    kafka = without_a_record(driver)
    planner, ends = a_planner(kafka), len(kafka.log[TopicPartition(RUNS, 0)])
    asyncio.run(lead_until(planner, lambda: "halted" in {pulse.role for pulse in kafka.pulses()}))
    assert "the chain ends at tick 1, but autonomy.runs/0 has a seal of tick 2 at offset " in planner.halted
    assert "(and 2 more, up to tick 4)" in planner.halted
    assert len(kafka.log[TopicPartition(RUNS, 0)]) == ends


def test_planner_without_that_look_leads_on_and_forks_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(Halt, "look_for_lost_ticks", lambda *_: "")
    driver = a_longer_history()
    kafka = without_a_record(driver)
    planner, ends = a_planner(kafka), len(kafka.log[TopicPartition(RUNS, 0)])
    asyncio.run(lead_until(planner, lambda: planner.state.head_tick > 1))
    assert len(kafka.log[TopicPartition(RUNS, 0)]) > ends


@pytest.mark.parametrize("by", ["a planner's pulse", "the rows", "its own file"])
def test_planner_that_starts_on_a_log_without_its_tail_halts_and_names_both_heads(by: str, tmp_path: Path) -> None:
    driver = a_longer_history()
    kafka = without_a_tail(driver)
    planner, ends = known(driver, kafka, by, tmp_path), len(kafka.log[TopicPartition(RUNS, 0)])
    asyncio.run(lead_until(planner, lambda: bool(planner.halted)))
    assert driver.chain.head.hash in planner.halted
    assert driver.accepted[1].seal.hash in planner.halted
    assert len(kafka.log[TopicPartition(RUNS, 0)]) == ends


def test_planner_on_the_whole_log_leads_although_somebody_knows_its_head(tmp_path: Path) -> None:
    """Control: what is known is there."""
    driver = a_longer_history()
    planner = known(driver, kafka_of(driver), "a planner's pulse", tmp_path)
    asyncio.run(lead_until(planner, lambda: planner.state.head_tick > 4))
    assert planner.halted == ""


@pytest.mark.parametrize("lost", [without_a_record, without_a_tail])
def test_approvers_who_name_both_heads_let_it_go_on_also_after_its_next_start(
    lost: Callable[[TickDriver], MemoryKafka], tmp_path: Path
) -> None:
    driver = a_longer_history()
    kafka = lost(driver)
    planner = known(driver, kafka, "a planner's pulse", tmp_path)
    asyncio.run(lead_until(planner, lambda: bool(planner.halted)))
    tick, state_hash, abandons = planner.state.head_tick, planner.state.hash(), planner.standing_still.abandons
    assert abandons is not None
    said = {"role": "approver", "tick": tick, "sealed_state_hash": state_hash, "folded_state_hash": state_hash}
    for name, head in (("another", Head(tick=9, offset=-1, hash=a_digest("x"))), ("this", abandons)):
        driver.command(AcceptDivergence, name, **said, abandoned=head)
        kafka.store(COMMANDS, 0, driver.log[(COMMANDS, 0)][-1])
        follow_for(kafka, planner)
        assert bool(planner.halted) == (name == "another")
    planner.stopping = False
    asyncio.run(lead_until(planner, lambda: planner.state.head_tick > tick))
    again = a_planner(kafka)
    asyncio.run(lead_until(again, lambda: again.state.head_tick > planner.state.head_tick))
    assert again.halted == ""


def test_head_file_is_whole_or_refused(tmp_path: Path) -> None:
    file, head = tmp_path / "planner.head", Head(tick=7, offset=70, hash=a_digest("seven"))
    assert read_head_file(file) == {}
    write_head_file(file, head)
    assert read_head_file(file) == {7: head.hash}
    file.write_text("7:short")
    with pytest.raises(BadInput, match="PLANNER_HEAD_FILE"):
        read_head_file(file)
