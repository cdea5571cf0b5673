"""Where the chain stops, forks or lost its end: named by record, gone on behind, and never laundered by whoever seals on.

Source: R-F2, R-G1.
"""

from collections.abc import Callable
from functools import cache
from random import Random

import pytest

from autonomy.chain import SEAL_KIND, Chain, RunRecord
from autonomy.events import AcceptDivergence, Head, PlannerPulse, ProbePulse
from autonomy.topics import COMMANDS, RUNS
from autonomy_cli import audit as audits
from autonomy_cli.audit import Audit
from autonomy_cli.findings import Kind, Outcome
from autonomy_cli.log_audit import Verdict
from planner.fold.state import State
from support.builders import a_digest, an_id
from support.changes import replace
from support.histories import live_through, written_history
from support.stored_log import Stored, run_record, stored_log
from support.ticks import TickDriver, a_seal
from unit.autonomy_cli.test_audit import audited, changed

VICTIM = 6


def a_life() -> TickDriver:
    """Twelve ticks, each with a bot registered."""
    driver = TickDriver()
    driver.runner()
    for number in range(12):
        driver.register(f"bot-{number:02d}")
        driver.beat()
        driver.tick(after_ms=60_000)
    return driver


@pytest.fixture(scope="module")
def life() -> TickDriver:
    return a_life()


def outcome(audit: Audit) -> Outcome:
    return Verdict(audit, 1.0).outcome


def decision_of(driver: TickDriver, tick: int) -> RunRecord:
    """A record of a tick that is not its seal."""
    return next(record for record in driver.accepted[tick - 1].records if record.kind == "bot-decision.v1")


def without_decision(driver: TickDriver, log: list[Stored], tick: int = VICTIM) -> list[Stored]:
    gone = decision_of(driver, tick)
    return [record for record in log if (record.topic, record.offset) != (RUNS, gone.offset)]


def test_missing_record_is_named_and_the_ticks_behind_it_are_judged(life: TickDriver) -> None:
    gone = decision_of(life, VICTIM)
    audit = audited(without_decision(life, stored_log(life)))
    (found,) = audit.unrepaired()
    assert (found.tick, found.kind) == (VICTIM, Kind.RECORD)
    assert found.what == f"record {gone.seq} (bot-decision.v1) is missing: it stood at offset {gone.offset}"
    assert (audit.ticks, audit.again, audit.chain.head) == (12, 12, life.chain.head)
    assert outcome(audit) is Outcome.DIFFERS


@pytest.mark.parametrize(
    ("gone", "where"),
    [
        ({1}, "before offset {1}"), ({2}, "at offset {1}"), ({2, 3}, "between offsets {0} and {3}"), ({6}, "at offset {5}"),
        ({5, 6}, "between offsets {3} and {6}"), (set(range(1, 7)), "before offset {6}"),
    ],
)  # fmt: skip
def test_missing_record_is_placed_by_its_neighbours(life: TickDriver, gone: set[int], where: str) -> None:
    victim = life.accepted[VICTIM - 1]
    offsets = [*(record.offset for record in victim.records), victim.offset]
    lost = {record.offset for record in victim.records if record.seq in gone}
    log = [record for record in stored_log(life) if record.topic != RUNS or record.offset not in lost]
    (found,) = audited(log).unrepaired()
    assert found.what.endswith(f" is missing: it stood {where.format(*offsets)}")


@pytest.mark.parametrize("tick", [1, VICTIM])
def test_audit_goes_on_right_behind_the_seal_of_a_damaged_tick(life: TickDriver, tick: int) -> None:
    audit = Audit()
    for record in without_decision(life, stored_log(life), tick):
        audit.take(record)
        audit.advance()
    seal = life.accepted[tick - 1]
    assert audit.go_on_behind() == audit.positions[RUNS, 0] == seal.offset + 1
    assert audit.chain.head == seal.head


def test_edited_record_is_named_and_the_ticks_behind_it_are_judged(life: TickDriver) -> None:
    victim = decision_of(life, VICTIM)
    log = [
        replace(record, value=(record.value or b"").replace(b'"reason":', b'"reason" :'))
        if (record.topic, record.offset) == (RUNS, victim.offset) else record
        for record in stored_log(life)
    ]  # fmt: skip
    audit = audited(log)
    assert [found.what for found in audit.unrepaired()] == [
        f"record {victim.seq} (bot-decision.v1) at offset {victim.offset} is not the one that was sealed"
    ]
    assert audit.ticks == 12


def test_two_damaged_ticks_are_both_named(life: TickDriver) -> None:
    log = without_decision(life, without_decision(life, stored_log(life), 3), 9)
    assert [found.tick for found in audited(log).unrepaired()] == [3, 9]


def test_edited_input_is_named_by_its_place_and_later_ticks_are_not_called_different(life: TickDriver) -> None:
    """Its tick registers another bot now: every later state differs, and nothing else does."""
    log = changed(
        stored_log(life),
        lambda record: record.topic == COMMANDS and record.offset == 4,
        b'"strategy":"sma-cross"',
        b'"strategy":"ma-cross"',
    )
    audit = audited(log)
    standing = [found for found in audit.unrepaired() if found.follows is None]
    assert [(found.tick, found.kind) for found in standing] == [(5, Kind.INPUT)]
    assert "autonomy.commands/0 at offset 4" in standing[0].what
    assert audit.ticks == 12


@pytest.mark.parametrize("part", ["key", "headers"])
def test_key_and_headers_of_inputs_are_under_the_hash(life: TickDriver, part: str) -> None:
    other = {"key": b"another", "headers": (("x", b"1"),)}[part]
    log = [replace(record, **{part: other}) if (record.topic, record.offset) == (COMMANDS, 4) else record for record in stored_log(life)]
    (found,) = audited(log).unrepaired()
    assert (found.tick, found.inputs_differ) == (5, True)


def test_lost_seal_is_told_with_how_far_others_go(life: TickDriver) -> None:
    log = [record for record in stored_log(life) if (record.topic, record.offset) != (RUNS, life.accepted[VICTIM - 1].offset)]
    (found,) = audited(log).unrepaired()
    assert found.tick == VICTIM
    assert found.what == f"the chain stops: no seal of tick {VICTIM} is there; seals up to tick 12 stand behind it and are not judged"


def test_edited_last_seal_is_no_junk(life: TickDriver) -> None:
    last = life.accepted[-1].offset
    log = [
        replace(record, value=(record.value or b"").replace(b'"evaluated":12', b'"evaluated":13'))
        if (record.topic, record.offset) == (RUNS, last) else record
        for record in stored_log(life)
    ]  # fmt: skip
    (found,) = audited(log).unrepaired()
    assert found.tick == 12
    assert "its own hash is wrong" in found.what


@pytest.mark.parametrize("follows", [True, False])
def test_damaged_seal_without_its_records_is_a_difference_where_it_names_the_head(life: TickDriver, *, follows: bool) -> None:
    """Whoever names the head knew it; what names another one and has no records is junk like any other."""
    head = life.chain.head if follows else Head(tick=12, offset=0, hash=a_digest("elsewhere"))
    seal = a_seal(head, [], "damaged")
    damaged = replace(seal, offset=len(life.runs), value=seal.value.replace(b'"evaluated":0', b'"evaluated":1'))
    found = audited([*stored_log(life), run_record(damaged)]).unrepaired()
    assert [(one.tick, "the chain stops" in one.what) for one in found] == ([(13, True)] if follows else [])


def test_junk_behind_a_damaged_seal_hides_nothing(life: TickDriver) -> None:
    """The first refusal of a tick is the one that is told."""
    end, seal = len(life.runs), a_seal(life.chain.head, [], "damaged")
    damaged = replace(seal, offset=end, value=seal.value.replace(b'"evaluated":0', b'"evaluated":1'))
    junk = Stored(RUNS, 0, end + 1, b"{}", b"k", 0, junk_seal(13))
    (found,) = audited([*stored_log(life), run_record(damaged), junk]).unrepaired()
    assert found.tick == 13
    assert "its own hash is wrong" in found.what


# ── junk ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def junk_seal(tick: int) -> tuple[tuple[str, bytes], ...]:
    return (("kind", SEAL_KIND.encode()), ("tick", b"%d" % tick), ("try", an_id("junk").encode()), ("seq", b"1"))


def inserted(log: list[Stored], at: int, record: Stored) -> list[Stored]:
    """The log with a record of runs put in at an offset, the later ones moved on."""
    moved = [replace(one, offset=one.offset + 1) if one.topic == RUNS and one.offset >= at else one for one in log]
    return sorted([*moved, record], key=lambda one: (one.topic, one.partition, one.offset))


@pytest.mark.parametrize("tick", [VICTIM, 99_999_999])
def test_junk_is_counted_and_is_no_difference(life: TickDriver, tick: int) -> None:
    at = life.accepted[VICTIM - 2].offset + 1
    log = inserted(stored_log(life), at, Stored(RUNS, 0, at, b"{}", b"k", 0, junk_seal(tick)))
    audit = audited(log)
    assert [found for found in audit.unrepaired() if "horizon" not in found.what] == []
    assert (audit.chain.junk_seals, audit.chain.void_seals) == (1, 1)


def test_junk_before_a_good_tick_hides_no_later_damage(life: TickDriver) -> None:
    """The first refusal must not be the only one that is remembered."""
    at = life.accepted[1].offset + 1
    log = inserted(without_decision(life, stored_log(life)), at, Stored(RUNS, 0, at, b"{}", b"k", 0, junk_seal(3)))
    found = audited(log).unrepaired()
    assert VICTIM in [one.tick for one in found]


def test_well_formed_seal_above_the_head_is_a_difference(life: TickDriver) -> None:
    """Somebody sealed ticks that are not there, or forged one: nobody can call this log whole."""
    end = len(life.runs)
    forged = replace(a_seal(Head(tick=40, offset=0, hash=a_digest("40")), [], "forged"), offset=end)
    (found,) = audited([*stored_log(life), run_record(forged)]).unrepaired()
    assert found.tick == 13
    assert "seals up to tick 41" in found.what


# ── whoever seals on over lost ticks ──────────────────────────────────────────────────────────────────────────────────


def forked(life: TickDriver, ticks: int) -> list[Stored]:
    """A record of a tick was lost, and a planner that did not halt sealed other ticks in their place."""
    log = without_decision(life, stored_log(life))
    other = TickDriver()
    other.runner()
    for number in range(VICTIM - 1):
        other.register(f"bot-{number:02d}")
        other.beat()
        other.tick(after_ms=60_000)
    assert other.chain.head.hash == life.accepted[VICTIM - 2].seal.hash, "the same first ticks"
    first = len(other.runs)
    for _ in range(ticks):
        other.tick(after_ms=60_000, try_name="fork")
    sealed_on = [replace(run_record(record), offset=len(life.runs) + number) for number, record in enumerate(other.runs[first:])]
    return [*log, *sealed_on]


@pytest.mark.parametrize("ticks", [3, 20], ids=["shorter than what was lost", "longer"])
def test_fork_is_never_clean(life: TickDriver, ticks: int) -> None:
    found = audited(forked(life, ticks)).unrepaired()
    assert found, "laundered"
    assert min(one.tick for one in found) <= VICTIM + ticks
    assert any("history was forked" in one.what or "the chain stops" in one.what or "is missing" in one.what for one in found)


def test_fork_is_clean_for_an_audit_that_forgets_refused_seals(life: TickDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the memory of seals above the head the longer history hides the lost one."""
    monkeypatch.setattr(Chain, "_note_beyond", lambda *_: None)
    log = forked(life, 20)
    audit = Audit()
    for record in log:
        audit.take(record)
        audit.advance()
    assert audit.chain.head.tick == VICTIM - 1 + 20
    assert not [one for one in audit.unrepaired() if "fork" in one.what or "missing" in one.what]


# ── a tail that is gone ───────────────────────────────────────────────────────────────────────────────────────────────


def cut_behind(life: TickDriver, tick: int) -> list[Stored]:
    offset = life.accepted[tick - 1].offset
    return [record for record in stored_log(life) if record.topic != RUNS or record.offset <= offset]


@pytest.mark.parametrize("who", ["planner", "read models"])
def test_cut_tail_shows_by_what_was_said_in_pulses(life: TickDriver, who: str) -> None:
    head = life.chain.head
    audit = Audit()
    if who == "planner":
        audit.said_heads.hear(PlannerPulse(process_id=an_id("p"), role="leader", head_tick=12, head_hash=head.hash, next_tick_at=None))
    else:
        audit.said_heads.hear(ProbePulse(process_id=an_id("p"), sequence=1, sent_at=life.accepted[0].seal.now, applied=head))
    for record in cut_behind(life, 10):
        audit.take(record)
        audit.advance()
    audit.finish({})
    (found,) = audit.unrepaired()
    assert found.tick == 12
    assert who in found.what
    assert head.hash in found.what
    assert life.accepted[9].seal.hash in found.what


def test_whole_log_passes_with_the_same_pulse(life: TickDriver) -> None:
    audit = Audit()
    audit.said_heads.hear(
        PlannerPulse(process_id=an_id("p"), role="leader", head_tick=12, head_hash=life.chain.head.hash, next_tick_at=None)
    )
    for record in stored_log(life):
        audit.take(record)
        audit.advance()
    audit.finish({})
    assert outcome(audit) is Outcome.CLEAN


# ── exit codes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ticks_that_were_only_folded_are_not_called_proven(life: TickDriver) -> None:
    assert outcome(audited(stored_log(life), from_tick=5)) is Outcome.CLEAN_IN_PART
    assert outcome(audited(stored_log(life))) is Outcome.CLEAN


def test_decider_that_goes_back_is_refused(life: TickDriver) -> None:
    """Otherwise whoever relabels a tick has it folded only, and never decided again."""
    driver = a_life()
    chain = Chain()
    for record in driver.runs:
        chain.feed(record)
    seal = a_seal(chain.head, [], "older", decider="life-2", now_ms=driver.now_ms, cut=dict(driver.accepted[-1].seal.cut))
    assert chain.feed(replace(seal, offset=len(driver.runs))) is None
    assert "a decider never goes back" in chain.last_refusal
    assert chain.forked()


def test_horizon_is_derived(life: TickDriver) -> None:
    """A seal that names another horizon differs, also when everything else fits it."""
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0")
    driver.tick(after_ms=60_000)
    driver.tick(after_ms=60_000, horizon=driver.accepted[0].head)
    assert driver.heads[0] != driver.accepted[0].head
    found = audited(stored_log(driver)).unrepaired()
    assert [(one.tick, "horizon" in one.what) for one in found] == [(2, True)]


# ── anything, anywhere ────────────────────────────────────────────────────────────────────────────────────────────────

Tampering = Callable[[list[Stored], int], list[Stored]]
TAMPERINGS: dict[str, Tampering] = {
    "a byte more": lambda log, at: [*log[:at], replace(log[at], value=(log[at].value or b"") + b" "), *log[at + 1 :]],
    "emptied": lambda log, at: [*log[:at], replace(log[at], value=b""), *log[at + 1 :]],
    "another key": lambda log, at: [*log[:at], replace(log[at], key=b"somebody"), *log[at + 1 :]],
    "gone": lambda log, at: [*log[:at], *log[at + 1 :]],
    "a digit": lambda log, at: [*log[:at], replace(log[at], value=_other_digit(log[at].value or b"")), *log[at + 1 :]],
}


def _other_digit(value: bytes) -> bytes:
    place = max(value.rfind(b"%d" % digit) for digit in range(10))
    if place < 0:
        return value + b"0"
    return value[:place] + b"%d" % ((value[place] - ord("0") + 1) % 10) + value[place + 1 :]


@cache
def a_whole_life() -> TickDriver:
    """Made once: it takes as long as a dozen audits of it."""
    return live_through(TickDriver(), written_history(160))


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_any_record_below_the_last_cut_is_protected(kind: str) -> None:
    """Fifty places of a life. A log without its very last seal is one that ends a tick earlier: only pulses and heads tell."""
    driver = a_whole_life()
    log = stored_log(driver)
    cut = driver.accepted[-1].seal.cut
    last = max((record for record in log if record.topic == RUNS), key=lambda record: record.offset)
    sealed = [
        at for at, record in enumerate(log)
        if record.value and record is not last and (record.topic == RUNS or record.offset < cut[record.topic][record.partition])
    ]  # fmt: skip
    places = Random(7).sample(sealed, 50)
    missed = [log[at] for at in places if not audited(TAMPERINGS[kind](log, at)).unrepaired()]
    assert missed == []


def test_untouched_life_passes_and_says_what_no_audit_proves() -> None:
    audit = audited(stored_log(a_whole_life()))
    assert outcome(audit) is Outcome.CLEAN
    document = Verdict(audit, 1.0).document()
    assert document["verdict"] == "CLEAN"
    assert document["notProven"] == list(audits.NOT_PROVEN)
    assert isinstance(audit.state, State)


def test_lost_ticks_can_be_given_up_by_name(life: TickDriver) -> None:
    log = without_decision(life, stored_log(life))
    other = TickDriver()
    other.runner()
    for number in range(VICTIM - 1):
        other.register(f"bot-{number:02d}")
        other.beat()
        other.tick(after_ms=60_000)
    first, state_hash = len(other.runs), other.state.hash()
    for place, values in life.log.items():
        for value in values[len(other.log.get(place, ())) :]:
            other.append(*place, value)
    other.command(
        AcceptDivergence, "give up", role="approver", tick=VICTIM - 1, sealed_state_hash=state_hash, folded_state_hash=state_hash,
        abandoned=life.chain.head,
    )  # fmt: skip
    for _ in range(10):
        other.tick(after_ms=60_000, try_name="fork")
    sealed_on = [replace(run_record(record), offset=len(life.runs) + number) for number, record in enumerate(other.runs[first:])]
    inputs = [record for record in stored_log(other) if record.topic != RUNS]
    whole = [*(record for record in log if record.topic == RUNS), *sealed_on, *inputs]
    audit = audited(whole)
    assert audit.unrepaired() == []
    assert outcome(audit) is Outcome.CLEAN_WITH_REPAIRS
