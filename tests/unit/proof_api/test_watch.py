"""What the watch makes of the log by itself: how long a tick waits to be applied, who leads, and who halted.

Source: R-A1.3; docs/architecture.md, "Honesty".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from autonomy import clock
from autonomy.chain import GENESIS
from autonomy.envelope import Record, encode
from autonomy.events import PlannerPulse
from autonomy.topics import PULSE, RUNS
from autonomy.values import instant_of_ms
from proof_api.proof import watch as watching
from proof_api.proof.capacity import Capacity
from proof_api.proof.judging import Judgement, LogFacts, ReadFacts, judge
from proof_api.proof.watch import Watch
from proof_api.voice import Voice
from support.builders import NOON_MS, a_digest, an_id
from support.ticks import a_seal

NOBODY = "127.0.0.1:1"


@dataclass
class Stored:
    """A record as the reader hands it out."""

    topic: str
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    partition: int = 0


@dataclass
class Clocks:
    """This process's clocks, which the test moves together."""

    now_ms: int = NOON_MS
    mono_ms: float = 1_000_000.0

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms
        self.mono_ms += ms


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(clock, "now_ms", lambda: clocks.now_ms)
    monkeypatch.setattr(clock, "monotonic_ms", lambda: clocks.mono_ms)
    return clocks


@pytest.fixture
def watch(clocks: Clocks) -> Watch:
    return Watch(NOBODY, an_id("proof-api"), Voice(NOBODY))


def seal_next(watch: Watch, *, appended_ms: int, backlog_end: int = 0) -> None:
    """The next tick, empty, at the offset of its number."""
    head = watch.chain.head
    record = a_seal(head, [], f"t{head.tick + 1}", now_ms=NOON_MS)
    taken: Record = Stored(RUNS, head.tick, appended_ms, record.key, record.value, list(record.headers()))
    watch.take(taken, backlog_end)


def facts(watch: Watch, applied_tick: int) -> LogFacts:
    return watch.facts(applied_tick, "")


def test_a_tick_waits_from_its_seal_on_until_it_is_applied(watch: Watch, clocks: Clocks) -> None:
    assert facts(watch, 0).unapplied_ms == 0.0
    for _ in range(3):
        seal_next(watch, appended_ms=clocks.now_ms)
        clocks.pass_ms(1_000)
    assert [facts(watch, applied).unapplied_ms for applied in range(4)] == [3_000.0, 2_000.0, 1_000.0, 0.0]
    assert facts(watch, 9).unapplied_ms == 0.0, "the rows may have read what this process has not"
    assert (facts(watch, 0).head_tick, facts(watch, 0).last_tick_ms) == (3, NOON_MS)


def test_what_was_there_before_is_as_old_as_the_broker_says(watch: Watch, clocks: Clocks) -> None:
    """A process that has just started must not take rows of three hours ago for current."""
    for _ in range(2):
        seal_next(watch, appended_ms=clocks.now_ms - 10_800_000, backlog_end=2)
    assert facts(watch, 1).unapplied_ms == 10_800_000.0


def test_what_comes_while_it_reads_is_new_whatever_the_brokers_clock_says(watch: Watch, clocks: Clocks) -> None:
    """Negative control of the one above: a tick that was just sealed must not flap."""
    seal_next(watch, appended_ms=clocks.now_ms - 10_800_000)
    assert facts(watch, 0).unapplied_ms == 0.0


def test_rows_older_than_everything_that_is_kept_are_at_least_that_old(
    watch: Watch, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HASHES_KEPT", 3)
    seal_next(watch, appended_ms=clocks.now_ms)
    for _ in range(3):
        clocks.pass_ms(1_000)
        seal_next(watch, appended_ms=clocks.now_ms)
    assert len(watch.hashes) == len(watch.sealed_mono_ms) == 3
    assert [facts(watch, applied).unapplied_ms for applied in range(3)] == [2_000.0, 2_000.0, 1_000.0]


def test_rows_beyond_an_end_of_the_log_that_is_old_break_nothing(watch: Watch, clocks: Clocks) -> None:
    """As it was seen with a broker cut off: the projection reached the new leader first, and the proof called the chain broken."""
    seal_next(watch, appended_ms=NOON_MS)
    watch.runs_end, watch.seen_mono_ms = watch.read_to, clock.monotonic_ms()

    def said() -> str:
        return watch.facts(watch.chain.head.tick + 2, a_digest("ahead"), applied_offset=watch.read_to + 5).diverged

    assert said() == ""
    clocks.pass_ms(10 * watching.AHEAD_MS)
    assert said() == "", "Kafka does not answer: nobody knows where the log ends"
    watch.seen_mono_ms = clock.monotonic_ms()
    assert said() == "", "a new leader may not say at once all that it has"
    clocks.pass_ms(watching.AHEAD_MS + 1)
    watch.seen_mono_ms = clock.monotonic_ms()
    assert said().startswith("the read models stand on tick "), "it answers, and the log still ends below the rows"
    watch.runs_end = watch.read_to + 6
    assert said() == "", "it ends above them, and will be read"


def test_before_the_first_tick_nothing_waits(watch: Watch) -> None:
    assert watch.chain.head == GENESIS
    assert (facts(watch, 0).unapplied_ms, facts(watch, 0).last_tick_ms) == (0.0, None)


# ── who leads, who halted ──────────────────────────────────────────────────────────────────────────────────────────────

READ = ReadFacts(age_ms=100, probe_age_ms=900, last_tick_ms=NOON_MS, capacity=Capacity("ok"))
TROUBLE = "tick 7: folded state differs"


def pulse(watch: Watch, process: str, role: str, problem: str = "", *, age_ms: int = 0) -> None:
    said = PlannerPulse.model_validate({
        "process_id": an_id(process), "role": role, "head_tick": 0, "head_hash": a_digest("h"), "next_tick_at": None, "problem": problem,
    })  # fmt: skip
    value = encode(said, source="test", subject="test", time=instant_of_ms(NOON_MS), event_id=an_id(process))
    watch.take(Stored(PULSE, 0, clock.now_ms() - age_ms, None, value, []), 0)


def judged(watch: Watch) -> Judgement:
    """With Kafka and PostgreSQL well."""
    watch.seen_mono_ms = clock.monotonic_ms()
    return judge(facts(watch, 0), READ, NOON_MS)


def test_a_halted_standby_shows_while_another_leads(watch: Watch, clocks: Clocks) -> None:
    pulse(watch, "leader", "leader")
    assert (judged(watch).checks["chain"], judged(watch).reason) == ("ok", "")
    pulse(watch, "standby", "halted", TROUBLE)
    found = judged(watch)
    assert (found.code, found.verdict, found.checks["chain"]) == (200, "TICKING", "broken")
    assert TROUBLE in found.reason


def test_a_halt_is_shown_as_long_as_its_planner_lives(watch: Watch, clocks: Clocks) -> None:
    """An hour after it, a dead leader is a dead leader: the old trouble explains nothing."""
    pulse(watch, "standby", "halted", TROUBLE)
    clocks.pass_ms(3_000)
    pulse(watch, "leader", "leader")
    assert judged(watch).checks["chain"] == "broken"
    clocks.pass_ms(1)
    assert judged(watch).checks["chain"] == "ok"
    clocks.pass_ms(3_600_000)
    found = judged(watch)
    assert (found.code, found.verdict, found.checks["chain"], found.checks["planner"]) == (200, "DOWN", "ok", "down")
    assert TROUBLE not in found.reason


def test_a_halt_without_a_leader_breaks_the_proof(watch: Watch, clocks: Clocks) -> None:
    """Negative control of the one above: the same halt, said a moment ago."""
    pulse(watch, "leader", "leader")
    clocks.pass_ms(3_600_000)
    pulse(watch, "standby", "halted", TROUBLE)
    found = judged(watch)
    assert (found.code, found.reason) == (503, f"the chain is broken: {TROUBLE}")


def test_a_leader_that_halts_leads_no_more_from_that_moment(watch: Watch, clocks: Clocks) -> None:
    pulse(watch, "leader", "leader")
    clocks.pass_ms(500)
    pulse(watch, "leader", "halted", TROUBLE)
    assert judged(watch).code == 503
    pulse(watch, "leader", "leader")
    assert (judged(watch).code, judged(watch).checks["chain"]) == (200, "ok")


def test_why_nobody_leads_is_said_by_the_living_only(watch: Watch, clocks: Clocks) -> None:
    pulse(watch, "standby", "standby", "its clock differs")
    assert "its clock differs" in judged(watch).reason
    clocks.pass_ms(3_001)
    assert judged(watch).reason == "no planner leads"


def test_a_pulse_that_is_read_late_is_as_old_as_the_broker_says(watch: Watch, clocks: Clocks) -> None:
    pulse(watch, "standby", "halted", TROUBLE, age_ms=3_001)
    assert judged(watch).checks["chain"] == "ok"


def test_of_many_planners_the_longest_silent_are_forgotten(watch: Watch, clocks: Clocks) -> None:
    pulse(watch, "standby-0", "halted", TROUBLE)
    for number in range(1, watching.OTHERS_KEPT):
        pulse(watch, f"standby-{number}", "standby")
    pulse(watch, "standby-0", "halted", TROUBLE)
    pulse(watch, "one more", "standby")
    assert len(watch.others) == watching.OTHERS_KEPT
    assert judged(watch).code == 503, "it spoke again, so it is not the one to forget"


# ── by whose clock ─────────────────────────────────────────────────────────────────────────────────────────────────────

HOURS_MS = 7_200_000


def acknowledged(watch: Watch, clocks: Clocks, *, by_broker: bool = True) -> None:
    """A probe, appended at the broker's noon and the time that passed since."""
    watch.acknowledged(NOON_MS + round(clocks.mono_ms - 1_000_000), clocks.mono_ms, by_broker=by_broker)


@pytest.mark.parametrize("wrong_ms", [HOURS_MS, -HOURS_MS])
def test_a_wrong_own_clock_is_told_as_such_and_nobody_else_is_blamed(watch: Watch, clocks: Clocks, wrong_ms: int) -> None:
    clocks.now_ms += wrong_ms
    acknowledged(watch, clocks)
    pulse_at = NOON_MS
    said = PlannerPulse.model_validate({
        "process_id": an_id("leader"), "role": "leader", "head_tick": 0, "head_hash": a_digest("h"), "next_tick_at": None, "problem": "",
    })  # fmt: skip
    value = encode(said, source="test", subject="test", time=instant_of_ms(pulse_at), event_id=an_id("leader"))
    watch.take(Stored(PULSE, 0, pulse_at, None, value, []), 0)
    clocks.pass_ms(1_000)
    watch.seen_mono_ms = clock.monotonic_ms()
    assert watch.now_ms() == NOON_MS + 1_000
    found = judge(facts(watch, 0), READ, watch.now_ms())
    assert (found.status, found.verdict, found.failing) == ("fresh", "TICKING", ("clock",))
    assert f"by {wrong_ms} ms" in found.reason
    assert facts(watch, 0).pulse_age_ms == 1_000


def test_without_the_comparison_the_planner_would_be_called_dead(watch: Watch, clocks: Clocks) -> None:
    """Negative control: a topic that keeps its writers' times tells nothing, and the own clock is all there is."""
    clocks.now_ms += HOURS_MS
    acknowledged(watch, clocks, by_broker=False)
    pulse(watch, "leader", "leader", age_ms=HOURS_MS)
    assert judged(watch).verdict == "DOWN"
    assert judged(watch).checks["clock"] == "unknown"


def test_a_probe_waits_from_its_ack_on_until_it_is_applied(watch: Watch, clocks: Clocks) -> None:
    assert watch.facts(0, "").unapplied_probe_ms == 0.0
    for _ in range(3):
        acknowledged(watch, clocks)
        clocks.pass_ms(1_000)
    assert watch.facts(0, "", None).unapplied_probe_ms == 3_000.0
    assert watch.facts(0, "", NOON_MS).unapplied_probe_ms == 2_000.0
    assert watch.facts(0, "", NOON_MS + 1_999).unapplied_probe_ms == 1_000.0
    assert watch.facts(0, "", NOON_MS + 2_000).unapplied_probe_ms == 0.0
    assert watch.facts(0, "").probe_age_ms == 1_000.0


def test_a_broker_whose_clock_is_set_back_leaves_no_probe_behind(watch: Watch, clocks: Clocks) -> None:
    """Its new times compare with nothing said before."""
    acknowledged(watch, clocks)
    clocks.pass_ms(1_000)
    watch.acknowledged(NOON_MS - HOURS_MS, clocks.mono_ms)
    clocks.pass_ms(500)
    assert watch.facts(0, "", None).unapplied_probe_ms == 500.0
    assert watch.facts(0, "", NOON_MS - HOURS_MS).unapplied_probe_ms == 0.0
