"""The audit decides every tick again; what was changed in the log shows, and names the first tick.

Source: R-F1, R-F2.
"""

from collections.abc import Callable

import pytest

from autonomy.chain import seal_hash
from autonomy.events import AcceptDivergence, Head
from autonomy.topics import COMMANDS, DEFAULT_PARTITIONS, JOBS, RUNNERS, RUNS
from autonomy_cli.audit import MAX_DIFFERENCES, Audit
from autonomy_cli.findings import Difference, Outcome, Repair, outcome_of, unrepaired
from autonomy_cli.log_audit import Verdict, words_of
from planner.decide.plan import DECIDER
from support.builders import a_bot, a_digest
from support.changes import replace
from support.histories import live_through, written_history
from support.lives import on_paper, step
from support.stored_log import Stored, ends_of, interleaved, renumbered, stored_log
from support.ticks import TickDriver

COUNTS = {RUNS: 1, COMMANDS: 1, JOBS: DEFAULT_PARTITIONS, RUNNERS: DEFAULT_PARTITIONS}
LENGTH = 160


def audited(records: list[Stored], seed: int = 0, **settings: object) -> Audit:
    """Everything read in a random order, judged as soon as it can be."""
    audit = Audit(**settings)  # type: ignore[arg-type]
    for record in interleaved(records, seed):
        audit.take(record)
        audit.advance()
    read_on(audit, records)
    audit.finish(ends_of(records, COUNTS))
    return audit


def read_on(audit: Audit, records: list[Stored]) -> None:
    """As the reader of a real log does where the chain stops."""
    while (offset := audit.go_on_behind()) is not None:
        for record in records:
            if record.topic == RUNS and record.offset >= offset:
                audit.take(record)
                audit.advance()


@pytest.fixture(scope="module")
def history() -> TickDriver:
    """A log with registrations, claims, results, crashes, holds, pauses and poison."""
    return live_through(TickDriver(), written_history(LENGTH))


@pytest.mark.parametrize("seed", range(5))
def test_untouched_log_is_clean_in_any_order_of_arrival(history: TickDriver, seed: int) -> None:
    audit = audited(stored_log(history), seed)
    assert audit.unrepaired() == []
    assert audit.ticks == len(history.accepted) > 30
    assert audit.jobs == sum(tick.seal.jobs_enqueued for tick in history.accepted)
    assert audit.chain.head == history.chain.head
    assert audit.state.hash() == history.state.hash()


def test_ticks_below_the_first_wanted_one_are_folded_only(history: TickDriver) -> None:
    audit = audited(stored_log(history), from_tick=20)
    assert audit.unrepaired() == []
    assert audit.ticks == len(history.accepted)


def test_nothing_waits_in_memory_after_the_last_cut(history: TickDriver) -> None:
    audit = audited(stored_log(history))
    cut = history.accepted[-1].seal.cut
    assert all(one.offset >= cut[topic][number] for (topic, number), queue in audit.waiting.items() for one in queue)


def without(records: list[Stored], wanted: Callable[[Stored], bool]) -> list[Stored]:
    """The log without the first record of a kind, offsets closed up."""
    gone = next(record for record in records if wanted(record))
    return renumbered(record for record in records if record is not gone)


def changed(records: list[Stored], wanted: Callable[[Stored], bool], old: bytes, new: bytes) -> list[Stored]:
    """The log with other bytes in the first record of a kind."""
    victim = next(record for record in records if wanted(record) and old in (record.value or b""))
    return [replace(record, value=(record.value or b"").replace(old, new)) if record is victim else record for record in records]


TAMPERINGS: dict[str, Callable[[list[Stored]], list[Stored]]] = {
    "a command edited": lambda log: changed(log, lambda record: record.topic == COMMANDS, b'"actor":"ada"', b'"actor":"eve"'),
    "a command dropped": lambda log: without(log, lambda record: record.topic == COMMANDS and record.offset == 3),
    "a result dropped": lambda log: without(log, lambda record: b"job-succeeded" in (record.value or b"")),
    "a claim edited": lambda log: changed(log, lambda record: b"job-started" in (record.value or b""), b'"attempt":1', b'"attempt":2'),
    "a decision edited": lambda log: changed(log, lambda record: b"bot-decision" in (record.value or b""), b"NOTHING_DUE", b"ON_HOLD"),
    "a job edited": lambda log: changed(log, lambda record: b"job-enqueued" in (record.value or b""), b'"feeBps":10.0', b'"feeBps":0.0'),
    "a decision dropped": lambda log: without(log, lambda record: b"bot-decision" in (record.value or b"")),
    "a seal dropped": lambda log: without(log, lambda record: record.offset > 40 and b"planner-run" in (record.value or b"")),
    "a seal edited": lambda log: changed(log, lambda record: b"planner-run" in (record.value or b""), b'"evaluated":2', b'"evaluated":3'),
    "the tail of the inputs cut": lambda log: [record for record in log if record.topic != JOBS or record.offset < 2],
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_shows_and_names_a_tick(history: TickDriver, tampering: str) -> None:
    log = stored_log(history)
    audit = audited(TAMPERINGS[tampering](log))
    found = audit.unrepaired()
    assert found, f"{tampering}: not noticed"
    assert 1 <= found[0].tick <= history.chain.head.tick
    assert found[0].what


def test_first_bad_tick_is_the_one_that_was_changed(history: TickDriver) -> None:
    log = stored_log(history)
    victim = next(
        tick for tick in history.accepted if tick.seal.tick > 9 and any(record.kind == "bot-decision.v1" for record in tick.records)
    )
    offset = next(record.offset for record in victim.records if record.kind == "bot-decision.v1")
    edited = [
        replace(record, value=(record.value or b"") + b" ") if (record.topic, record.offset) == (RUNS, offset) else record for record in log
    ]
    assert audited(edited).unrepaired()[0].tick == victim.seal.tick


def test_cut_tail_shows_only_to_who_wrote_a_head_down(history: TickDriver) -> None:
    """The limit of any log without an outside witness, and the way over it."""
    head = history.chain.head
    last_but_one = history.accepted[-2]
    log = [record for record in stored_log(history) if record.topic != RUNS or record.offset <= last_but_one.offset]
    assert audited(log).unrepaired() == []
    assert audited(log, known_heads={head.tick: head.hash}).unrepaired()[0].tick == head.tick
    assert audited(stored_log(history), known_heads={head.tick: head.hash}).unrepaired() == []
    assert audited(stored_log(history), known_heads={3: a_digest("other")}).unrepaired()[0].tick == 3


def test_lost_race_is_counted_and_clean() -> None:
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0", "bot-1")
    loser = driver.prepare(try_name="loser")
    driver.state.undo()
    driver.tick(after_ms=1_000)
    for record in loser.records:
        driver.runs.append(replace(record, offset=len(driver.runs)))
    driver.tick(after_ms=60_000)
    audit = audited(stored_log(driver))
    assert audit.unrepaired() == []
    assert (audit.chain.void_seals, audit.ticks) == (1, 2)


def faulty_then_repaired(*, right_hash: bool) -> TickDriver:
    """A planner seals a state that the log does not lead to; a follower halts, an approver lets it go on."""
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0", "bot-1")
    driver.tick(after_ms=1_000)
    follower = driver.reader()
    assert follower.follow(driver.accepted[0]) is None
    bot = driver.state.bots.rows["bot-0"]
    driver.state.bots.put("bot-0", replace(bot, eligible_ms=bot.eligible_ms + 1))
    driver.tick(after_ms=60_000)
    assert follower.follow(driver.accepted[1]) is not None
    driver.state = follower.state
    driver.command(
        AcceptDivergence, role="approver", tick=2, sealed_state_hash=driver.accepted[1].seal.state_hash,
        folded_state_hash=follower.state.hash() if right_hash else a_digest("another"), input_root=driver.accepted[1].seal.input_root,
    )  # fmt: skip
    driver.tick(after_ms=1_000)
    driver.tick(after_ms=60_000)
    return driver


def test_accepted_difference_is_shown_for_ever_and_clean() -> None:
    audit = audited(stored_log(faulty_then_repaired(right_hash=True)))
    assert [found.tick for found in audit.differences] == [2]
    assert audit.unrepaired() == []
    assert [(repair.at_tick, repair.recorded_in_tick, repair.actor) for repair in audit.repairs] == [(2, 3, "ada")]


def test_repair_covers_only_the_difference_that_it_names() -> None:
    audit = audited(stored_log(faulty_then_repaired(right_hash=False)))
    assert [found.tick for found in audit.unrepaired()] == [2]
    assert "state_hash" in audit.unrepaired()[0].what


def faulty_and_leading_on(*, again: bool = False) -> TickDriver:
    """A planner whose memory of one bot is wrong leads on, and folds the approver's word itself; with `again` of another bot too."""
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0", "bot-1")
    driver.tick(after_ms=1_000)
    follower = driver.reader()
    assert follower.follow(driver.accepted[0]) is None
    for bot_id in ("bot-0", "bot-1") if again else ("bot-0",):
        bot = driver.state.bots.rows[bot_id]
        driver.state.bots.put(bot_id, replace(bot, eligible_ms=bot.eligible_ms + 1))
        driver.beat()
        driver.tick(after_ms=2_000)
    follower = driver.reader()
    faults = [follower.follow(tick) for tick in driver.accepted[:2]]
    assert faults[1] is not None
    driver.command(
        AcceptDivergence, role="approver", tick=2, sealed_state_hash=driver.accepted[1].seal.state_hash,
        folded_state_hash=follower.state.hash(), input_root=driver.accepted[1].seal.input_root,
    )  # fmt: skip
    driver.tick(after_ms=1_000)
    driver.beat()
    driver.tick(after_ms=2_000)
    return driver


@pytest.mark.parametrize("from_tick", [1, 100], ids=["decided again", "folded"])
def test_accepted_difference_covers_the_ticks_that_differ_by_nothing_else(from_tick: int) -> None:
    audit = audited(stored_log(faulty_and_leading_on()), from_tick=from_tick)
    assert (audit.ticks, [found.tick for found in audit.differences], audit.unrepaired()) == (4, [2], [])


@pytest.mark.parametrize("from_tick", [1, 100], ids=["decided again", "folded"])
def test_another_difference_beside_an_accepted_one_is_one_more(from_tick: int) -> None:
    audit = audited(stored_log(faulty_and_leading_on(again=True)), from_tick=from_tick)
    assert [found.tick for found in audit.differences] == [2, 3]
    assert [found.tick for found in audit.unrepaired()] == [3]


def test_consequences_of_a_difference_are_counted_and_only_the_first_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autonomy_cli.audit.MAX_FOLLOWING", 2)
    driver = TickDriver()
    driver.runner()
    bots = [f"bot-{number}" for number in range(5)]
    driver.register(*bots)
    driver.tick(after_ms=1_000)
    for bot_id in bots:
        bot = driver.state.bots.rows[bot_id]
        driver.state.bots.put(bot_id, replace(bot, eligible_ms=bot.eligible_ms + 1))
        driver.beat()
        driver.tick(after_ms=2_000)
    audit = audited(stored_log(driver))
    assert [(found.tick, found.follows) for found in audit.differences] == [(2, None), (3, 2), (4, 2)]
    assert (audit.following, audit.first_taint, audit.ticks, audit.is_over) == (4, 2, 6, False)


def test_decision_forged_beside_an_accepted_difference_is_found() -> None:
    """The carried gap excuses the state hash of a seal, and no other byte."""
    audit = Audit()
    for record in stored_log(faulty_and_leading_on()):
        audit.take(record)
    victim = audit.accepted[3]
    forged = victim.seal.model_copy(update={"evaluated": 7})
    audit.accepted[3] = replace(victim, seal=forged.model_copy(update={"hash": seal_hash(forged)}))
    audit.advance()
    assert [found.tick for found in audit.unrepaired()] == [4]
    assert "evaluated" in audit.unrepaired()[0].what


def with_an_edited_command(driver: TickDriver) -> list[Stored]:
    """The log with another actor in its first command, which leads to the same state."""
    return changed(stored_log(driver), lambda record: record.topic == COMMANDS, b'"actor":"ada"', b'"actor":"eve"')


@pytest.mark.parametrize("names_them", [True, False])
def test_edited_inputs_can_be_accepted_by_their_root_only(*, names_them: bool) -> None:
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0")
    sealed = driver.tick(after_ms=1_000).seal
    (found,) = audited(with_an_edited_command(driver)).unrepaired()
    assert found.inputs_differ
    assert "autonomy.commands/0 at offset 0" in found.what
    root = found.input_root if names_them else sealed.input_root
    driver.command(
        AcceptDivergence, role="approver", tick=1, sealed_state_hash=sealed.state_hash, folded_state_hash=sealed.state_hash, input_root=root
    )
    driver.tick(after_ms=1_000)
    audit = audited(with_an_edited_command(driver))
    assert [found.tick for found in audit.unrepaired()] == ([] if names_them else [1])
    assert Verdict(audit, 1.0).outcome is (Outcome.CLEAN_WITH_REPAIRS if names_them else Outcome.DIFFERS)


def test_tick_that_cannot_be_folded_is_nothing_to_accept() -> None:
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0")
    driver.tick(after_ms=1_000)
    driver.state.bots.put("ghost", a_bot("ghost"))
    driver.tick(after_ms=1_000)
    (found,) = audited(stored_log(driver)).unrepaired()
    assert "it cannot be folded: BotDecision of ghost" in found.what or "ghost, which is not in the fleet" in found.what
    assert not found.is_covered_by(Repair(found.tick, 3, "ada", "a test", found.sealed or a_digest("s"), found.folded or a_digest("f")))


def test_difference_that_nobody_accepted_fails_at_its_tick() -> None:
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0")
    driver.tick(after_ms=1_000)
    bot = driver.state.bots.rows["bot-0"]
    driver.state.bots.put("bot-0", replace(bot, hold="nobody said so"))
    driver.tick(after_ms=60_000)
    found = audited(stored_log(driver)).unrepaired()
    assert found[0].tick == 2


def test_decisions_of_another_version_are_not_judged(history: TickDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autonomy_cli.audit.DECIDERS", ("lab-0",))
    audit = audited(stored_log(history))
    assert DECIDER in audit.unknown_decider
    assert audit.is_over
    assert audit.ticks == 0


def test_ticks_of_an_older_decider_are_folded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A released decider before this one: its ticks are compared by their state, and nobody says that they were decided again."""
    for module in ("planner.following", "autonomy_cli.audit"):
        monkeypatch.setattr(f"{module}.DECIDERS", ("life-before", DECIDER))
    with monkeypatch.context() as before:
        before.setattr("planner.tick.DECIDER", "life-before")
        driver = on_paper("aapl-sma")
    step(driver)  # and today's planner goes on
    audit = audited(stored_log(driver))
    verdict = Verdict(audit, 1.0)
    assert audit.unrepaired() == []
    assert verdict.is_clean
    assert (audit.again, audit.older) == (1, {"life-before": audit.ticks - 1})
    assert any(f"{audit.ticks - 1} ticks of life-before: only folded" in line for line in words_of(verdict))


def test_audit_of_a_hopeless_log_ends_early() -> None:
    driver = TickDriver()
    driver.runner()
    for number in range(MAX_DIFFERENCES + 5):
        driver.register(f"bot-{number}")
        driver.tick(after_ms=1_000)
    log = [
        replace(record, value=(record.value or b"").replace(b'"actor":"ada"', b'"actor":"eve"')) if record.topic == COMMANDS else record
        for record in stored_log(driver)
    ]
    audit = audited(log)
    assert (len(audit.differences), audit.is_over) == (MAX_DIFFERENCES, True)
    assert audit.ticks < len(driver.accepted)
    assert [found.tick for found in audit.unrepaired()[:3]] == [1, 2, 3]


# ── what approvers accepted, and nothing beside it ────────────────────────────────────────────────────────────────────

SEALED, FOLDED, ROOT = a_digest("sealed"), a_digest("folded"), a_digest("inputs")
ACCEPTED = Repair(5, 6, "ada", "a test", SEALED, FOLDED, ROOT)
FOUND = Difference(5, "differs", SEALED, FOLDED, input_root=ROOT)
GIVEN_UP = replace(ACCEPTED, at_tick=5, abandoned=Head(tick=9, offset=90, hash=a_digest("9")))


@pytest.mark.parametrize(
    ("found", "repair", "covered"),
    [
        (FOUND, ACCEPTED, True),
        (replace(FOUND, tick=4), ACCEPTED, False),
        (replace(FOUND, sealed=a_digest("other")), ACCEPTED, False),
        (replace(FOUND, folded=a_digest("other")), ACCEPTED, False),
        (replace(FOUND, input_root=a_digest("other")), ACCEPTED, False),
        (FOUND, GIVEN_UP, False),
        (replace(FOUND, folded=SEALED), replace(ACCEPTED, folded_state_hash=SEALED), False),
        (replace(FOUND, folded=SEALED, inputs_differ=True), replace(ACCEPTED, folded_state_hash=SEALED), True),
        (replace(FOUND, abandoned=5), GIVEN_UP, False),
        (replace(FOUND, abandoned=6), GIVEN_UP, True),
        (replace(FOUND, abandoned=9), GIVEN_UP, True),
        (replace(FOUND, abandoned=10), GIVEN_UP, False),
        (replace(FOUND, abandoned=6), ACCEPTED, False),
    ],
    ids=[
        "the very one", "another tick", "another seal", "another fold", "other inputs", "a head was given up", "nothing to accept", "inputs alone",
        "a head below what was given up", "the first tick that was given up", "the last", "one above it", "no head was given up",
    ],
)  # fmt: skip
def test_repair_covers_what_it_names(found: Difference, repair: Repair, *, covered: bool) -> None:
    assert found.is_covered_by(repair) is covered
    assert unrepaired([found], [repair]) == ([] if covered else [found])


def test_what_stands_for_itself_comes_first_and_so_does_what_follows_from_an_accepted_one() -> None:
    first, after, alone = replace(FOUND, tick=5), replace(FOUND, tick=6, follows=5), replace(FOUND, tick=7)
    assert unrepaired([after, alone, first], []) == [first, alone, after]
    assert unrepaired([alone, after, first], [ACCEPTED]) == [after, alone]


def test_verdict_is_the_worst_of_what_is_true() -> None:
    assert [outcome_of([FOUND], [ACCEPTED], 1), outcome_of([], [ACCEPTED], 1), outcome_of([], [], 1), outcome_of([], [], 0)] == [1, 3, 4, 0]
