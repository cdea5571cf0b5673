"""Whole ticks: counted right, followed by others to the same state, re-decided to the byte.

Source: S1, S5, S6, R-A3.1, R-A3.4, R-F1.
"""

from collections.abc import Collection, Sequence
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autonomy.bar_times import pack_times
from autonomy.chain import AcceptedTick
from autonomy.events import BotDecision, HoldBot, JobEnqueued, PauseLoop, PlannerRun, ResumeLoop, SetPolicy
from autonomy.market_clock import ms_of_day
from autonomy.reasons import Reason
from autonomy.timeframes import DAY_MS
from autonomy.values import JobStatus, TickCause, instant_of_ms, job_id_of
from planner import following
from planner import tick as ticks
from planner.decide.view import build_view
from planner.fold.inputs import Input
from planner.fold.slices import Folded, fold_slice
from planner.fold.state import State
from planner.following import follow, re_decide
from support.builders import NOON_MS, a_digest, an_id, capabilities
from support.changes import replace
from support.days import utc
from support.histories import live_through, written_history
from support.ticks import TickDriver, events_of, jobs_of

HISTORIES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 10_000)), max_size=40)


def a_history() -> TickDriver:
    return live_through(TickDriver(), written_history())


@given(HISTORIES)
@settings(max_examples=40)
def test_registered_equals_evaluated_equals_the_sum_of_reasons(steps: list[tuple[int, int]]) -> None:
    """At every tick of any history; and a seal's counts are those of its own records."""
    driver = live_through(TickDriver(), steps)
    for attempt in driver.tries:
        seal = attempt.seal
        assert seal.registered == seal.evaluated == sum(seal.reason_counts.values()) == len(attempt.plan.decisions)
        assert seal.count == len(attempt.records) - 1
        assert seal.jobs_enqueued == len(jobs_of(attempt)) == seal.reason_counts.get(Reason.SCHEDULED, 0)
        assert (seal.zero_jobs is None) == (seal.jobs_enqueued > 0)
        assert seal.blocked == seal.reason_counts.get(Reason.BLOCKED_BY_GATES, 0)


@given(HISTORIES, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_follower_and_auditor_agree_at_every_tick(steps: list[tuple[int, int]], random: object) -> None:
    """Whatever the order in which the partitions arrived."""
    driver = live_through(TickDriver(), steps)
    order = sorted(driver.log)
    random.shuffle(order)  # type: ignore[attr-defined] # hypothesis' Random
    follower, auditor = driver.reader(order), driver.reader(reversed(order))
    for tick in driver.accepted:
        assert follower.follow(tick) is None
        assert auditor.re_decide(tick) is None
        assert follower.state.hash() == auditor.state.hash() == tick.seal.state_hash
    assert follower.state.hash() == driver.state.hash()


@given(HISTORIES, HISTORIES)
@settings(max_examples=25)
def test_lost_try_leaves_no_trace(steps: list[tuple[int, int]], more: list[tuple[int, int]]) -> None:
    """A candidate that loses is undone to the hash, and the next try is what it would have been without it."""
    driver, twin = live_through(TickDriver(), steps), live_through(TickDriver(), steps)
    for one in (driver, twin):
        one.register("late-bot", symbol="IBM")
        one.now_ms += 15_000 + len(more)
    before = driver.state.hash()
    driver.prepare(try_name="lost")
    driver.state.undo()
    assert driver.state.hash() == before
    ours, theirs = driver.prepare(), twin.prepare()
    assert ours.records == theirs.records
    assert ours.seal.state_hash == driver.state.hash()


def test_state_hash_is_the_same_computed_at_once_or_step_by_step() -> None:
    driver = a_history()
    rebuilt = driver.reader().state
    for table, other in zip(driver.state.tables(), rebuilt.tables(), strict=True):
        for key, row in reversed(list(table.rows.items())):
            other.put(key, row)
    assert rebuilt.hash() == driver.state.hash()


def test_state_hash_tells_every_entity_apart() -> None:
    driver = a_history()
    before = driver.state.hash()
    for table in driver.state.tables():
        for key, row in list(table.rows.items()):
            table.drop(key)
            assert driver.state.hash() != before, key
            table.put(key, row)
    assert driver.state.hash() == before


def test_history_that_the_tests_share_is_a_rich_one() -> None:
    """Otherwise the tests above would say little."""
    driver = a_history()
    wires = {event.wire for attempt in driver.tries for event in events_of(attempt)}
    reasons = {reason for attempt in driver.tries for reason in attempt.seal.reason_counts}
    assert len(driver.accepted) > 30
    assert {"job-enqueued.v1", "cancel-requested.v1", "bot-changed.v1", "bot-retired.v1", "command-rejected.v1"} <= wires
    assert len(reasons) >= 6


# ── tampering is named ────────────────────────────────────────────────────────────────────────────────────────────────


def first_with_jobs(driver: TickDriver) -> int:
    return next(number for number, attempt in enumerate(driver.tries) if attempt.jobs)


def auditor_before(driver: TickDriver, number: int) -> tuple[object, AcceptedTick]:
    """An auditor that re-decided everything before a tick, and that tick."""
    auditor = driver.reader()
    for tick in driver.accepted[:number]:
        assert auditor.re_decide(tick) is None
    return auditor, driver.accepted[number]


@pytest.mark.parametrize("name", ["value", "key"])
def test_tampered_record_is_named(name: str) -> None:
    driver = a_history()
    number = first_with_jobs(driver)
    auditor, tick = auditor_before(driver, number)
    seq = next(record.seq for record in tick.records if record.kind == JobEnqueued.wire)
    record = tick.records[seq - 1]
    changed = replace(record, value=record.value.replace(b'"slow":50', b'"slow":51')) if name == "value" else replace(record, key=b"x")
    assert changed != record
    forged = replace(tick, records=tuple(changed if other is record else other for other in tick.records))
    assert auditor.re_decide(forged) == f"tick {tick.seal.tick}: record {seq} (job-enqueued.v1) at offset {seq - 1} is decided differently"  # type: ignore[attr-defined] # Follower


@pytest.mark.parametrize("how", ["dropped", "added", "swapped"])
def test_missing_added_or_moved_record_is_named(how: str) -> None:
    driver = a_history()
    auditor, tick = auditor_before(driver, first_with_jobs(driver))
    first, second, *rest = tick.records
    records = {"dropped": (second, *rest), "added": (*tick.records, first), "swapped": (second, first, *rest)}[how]
    fault = auditor.re_decide(replace(tick, records=records))  # type: ignore[attr-defined] # Follower
    assert fault is not None
    assert "is decided differently" in fault


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("registered", 99), ("state_hash", a_digest("x")), ("digest", a_digest("x")), ("jobs_enqueued", 0),
        ("blocker_counts", {"X": 1}), ("policy_hash", a_digest("x")), ("live_jobs", 77), ("decider", "lab-0"),
    ],
)  # fmt: skip
def test_tampered_seal_is_named_by_field(field: str, value: object) -> None:
    """A planner that sealed something else than it decided; its own hash may well be right."""
    driver = a_history()
    auditor, tick = auditor_before(driver, first_with_jobs(driver))
    seal = tick.seal.model_copy(update={field: value, "hash": a_digest("resealed")})
    fault = auditor.re_decide(replace(tick, seal=seal))  # type: ignore[attr-defined] # Follower
    assert fault is not None
    assert field in fault


def test_changed_input_is_found_by_the_follower() -> None:
    """One beat less, and the fold differs from the seal at its tick; it is whole all the same, and says both state hashes."""
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    driver.tick(after_ms=1000)
    reader = driver.reader([key for key in driver.log if key[0] != "autonomy.runners"])
    fault = reader.follow(driver.accepted[0])
    assert fault is not None
    states = f"folded state {reader.state.hash()}, sealed {driver.accepted[0].seal.state_hash}, inputs "
    assert fault.startswith(f"tick 1: {states}")
    assert fault.endswith("; its 1 inputs are not the 3 that it sealed")
    assert set(reader.state.bots.rows) == {"aapl-sma"}


ORPHANED_TICK = 2


def with_orphans(monkeypatch: pytest.MonkeyPatch, bots: int = 1, **patches: object) -> TickDriver:
    """Four ticks; as if the fold of the second had lost the runners' jobs of some bots, for everybody alike."""
    for name, value in patches.items():
        monkeypatch.setattr(ticks, name, value)
    driver = TickDriver()
    driver.register(*[f"bot-{number:02d}" for number in range(bots)])

    def losing(state: State, slice_: Sequence[Input], now_ms: int, elapsed_ms: int, silent: Collection[str] | None) -> Folded:
        folded = fold_slice(state, slice_, now_ms, elapsed_ms, silent)
        for bot in list(state.bots.rows.values()) if state.head_tick == ORPHANED_TICK - 1 else ():
            state.bots.put(bot.id, replace(bot, runner=replace(bot.runner, job_id=an_id("lost"))))
        return folded

    for module in (ticks, following):
        monkeypatch.setattr(module, "fold_slice", losing)
    for _ in range(4):
        driver.tick(after_ms=60_000)
    return driver


def test_orphan_is_said_once_and_freed_by_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Source: R-A4."""
    driver = with_orphans(monkeypatch)
    said = f"bot-00 refers to job {an_id('lost')}, which is no longer live; bot-00 is treated as idle"
    assert [tick.seal.errors for tick in driver.accepted] == [(), (said,), (), ()]
    follower, auditor = driver.reader(), driver.reader()
    assert [follower.follow(tick) for tick in driver.accepted] == [None] * 4
    assert [auditor.re_decide(tick) for tick in driver.accepted] == [None] * 4
    assert follower.state.bots.rows["bot-00"].runner.job_id is None


def test_orphans_that_a_seal_has_no_room_for_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = with_orphans(monkeypatch, bots=23)
    errors = driver.accepted[ORPHANED_TICK - 1].seal.errors
    assert (len(errors), errors[-1]) == (ticks.MAX_ERRORS_SHOWN, "and 4 more")


def test_live_references_stay() -> None:
    """Control: only what does not live is forgotten."""
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0")
    driver.tick(after_ms=60_000)
    job_id = driver.state.bots.rows["bot-0"].research.job_id
    assert job_id in driver.state.jobs.rows
    driver.tick(after_ms=60_000)
    assert driver.state.bots.rows["bot-0"].research.job_id == job_id


def test_decision_by_other_rules_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the audit: one number of the policy moved by a billionth."""
    driver = a_history()
    auditor = driver.reader()
    real = build_view

    def nudged(state: object, now_ms: int) -> object:
        view = real(state, now_ms)  # type: ignore[arg-type] # passed through
        costs = view.policy.research.costs
        research = view.policy.research.model_copy(update={"costs": costs.model_copy(update={"fee_bps": costs.fee_bps + 1e-9})})
        return replace(view, policy=view.policy.model_copy(update={"research": research}))

    monkeypatch.setattr(ticks, "build_view", nudged)
    faults = [fault for tick in driver.accepted[:2] if (fault := auditor.re_decide(tick))]
    assert faults[0].startswith("tick 1: ")


# ── what a tick writes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_unchanged_decision_is_not_said_again() -> None:
    """No event is provably no change: the digest covers all."""
    driver = TickDriver()
    driver.register("aapl-sma", "ibm-sma")
    driver.runner()
    driver.tick(after_ms=1000)
    driver.tick(after_ms=1000)
    quiet = driver.tick(after_ms=1000)
    assert events_of(quiet) == []
    assert quiet.seal.reason_counts == {Reason.ACTIVE_JOB: 2}
    assert quiet.seal.digest == driver.tries[1].seal.digest


def test_decision_that_changes_is_said_once() -> None:
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    driver.tick(after_ms=1000)
    driver.tick(after_ms=1000)
    driver.command(HoldBot, bot_id="aapl-sma", reason="look")
    said = [event for event in events_of(driver.tick(after_ms=1000)) if isinstance(event, BotDecision)]
    assert [(event.reason, event.detail) for event in said] == [(Reason.ON_HOLD, "look")]


def test_job_names_the_try_that_enqueued_it() -> None:
    """Source: S2, S8: a re-decided tick never reuses an id."""
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    lost = driver.prepare(try_name="lost")
    driver.state.undo()
    won = driver.prepare(try_name="won")
    (one,), (two,) = jobs_of(lost), jobs_of(won)
    assert one.job_id != two.job_id
    seq = next(record.seq for record in won.records if record.kind == JobEnqueued.wire)
    assert two.job_id == job_id_of(1, an_id("won/1"), seq)
    assert (two.tick, two.bars_until, two.failures_limit) == (1, utc(2010, 1, 4), 3)


def test_cause_of_the_tick_changes_no_decision() -> None:
    driver = live_through(TickDriver(), written_history(40))
    plans = []
    for cause in TickCause:
        plans.append(driver.prepare(cause=cause).records[:-1])
        driver.state.undo()
    assert all(plan == plans[0] for plan in plans)


def test_paused_fleet_enqueues_nothing_until_it_is_resumed() -> None:
    """Source: R-A4: a pause enqueues nothing until it is resumed."""
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    driver.command(PauseLoop)
    paused = [driver.tick(after_ms=60_000) for _ in range(3)]
    assert [attempt.jobs for attempt in paused] == [0, 0, 0]
    assert not paused[0].seal.loop_enabled
    driver.beat()
    driver.command(ResumeLoop)
    resumed = driver.tick(after_ms=1000)
    assert (resumed.jobs, resumed.seal.loop_enabled) == (1, True)


def test_policy_in_force_is_sealed() -> None:
    driver = TickDriver()
    before = driver.tick().seal
    driver.command(SetPolicy, role="approver", document={"research": {"concurrency": 1}})
    after = driver.tick(after_ms=1000).seal
    assert before.policy_hash != after.policy_hash == driver.state.policy.hash()


def test_horizon_is_the_tick_before_the_oldest_live_job() -> None:
    """Source: S7."""
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.runner()
    seals: list[PlannerRun] = [driver.tick(after_ms=1000).seal for _ in range(3)]
    assert [seal.horizon.tick for seal in seals] == [0, 0, 0]
    driver.claim(driver.live()[0])
    driver.tick(after_ms=1000)
    driver.succeed(driver.live()[0])
    driver.tick(after_ms=1000)
    assert driver.tick(after_ms=1000).seal.horizon == driver.accepted[4].head


def test_poison_in_the_inputs_is_counted_and_stops_nothing() -> None:
    driver = TickDriver()
    driver.append("autonomy.commands", 0, b"not a command")
    driver.append("autonomy.jobs", 3, b"")
    driver.register("aapl-sma")
    assert driver.tick().seal.registered == 1
    assert driver.state.single.refused == 2


EXTREMES: list[dict[str, object]] = [
    {"market": {"start": "0001-01-01"}}, {"market": {"start": "9999-03-01", "end": "9999-03-01"}},
    {"market": {"start": "2013-01-01", "end": "2010-01-01"}}, {"market": {"mode": "LIVE"}},
    {"market": {"seconds_per_bar": 1e-300}}, {"market": {"seconds_per_bar": 86_400, "end": "9999-03-01"}},
    {"cooldowns": {"after_success_s": 0.0004, "after_cancel_s": 31_536_000}}, {"cooldowns": {"after_crash_s": 0, "max_s": 0}},
    {"stages": {"LAB": {"wants": ["EVOLVE", "RUNNER_START"]}}},
    {"stages": {"LAB": {"wants": ["BACKTEST_REFRESH", "BACKTEST_BASELINE"], "refresh_after_bars": 10_000}}},
]  # fmt: skip


@pytest.mark.parametrize("document", EXTREMES, ids=[str(number) for number in range(len(EXTREMES))])
def test_no_policy_that_is_accepted_stops_the_planner(document: dict[str, object]) -> None:
    """A command in the log is there for ever: a planner that it breaks would never tick again."""
    driver = TickDriver()
    driver.register("fb-sma", symbol="FB")
    driver.register("aapl-sma")
    driver.command(SetPolicy, document=document)
    for after_ms in (0, 15_000, 86_400_000 * 30, 10**12):
        driver.runner()
        driver.tick(after_ms=after_ms)
        for live in driver.live(JobStatus.QUEUED):
            driver.claim(live)
        driver.tick(after_ms=100)
        for live in driver.live(JobStatus.RUNNING):
            driver.succeed(live)
        driver.tick(after_ms=100)
    auditor = driver.reader()
    assert [auditor.re_decide(tick) for tick in driver.accepted] == [None] * 12


@pytest.mark.parametrize("first", ["0001-01-01", "9999-03-01"])
def test_no_announced_history_stops_the_planner(first: str) -> None:
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.command(SetPolicy, document={"market": {"mode": "LIVE"}})
    said = capabilities(symbols=("AAPL",))
    starts = [ms_of_day(date.fromisoformat(first)) + day * DAY_MS for day in range(300)]
    ends = {"first": instant_of_ms(starts[0]), "last": instant_of_ms(starts[-1]), "bars": 300, "times": pack_times(starts, "1d")}
    bars = said.symbols[0].model_copy(update=ends)
    driver.say(said.model_copy(update={"symbols": (bars,)}))
    driver.beat()
    assert driver.tick(after_ms=1_000).seal.evaluated == 1


def test_replay_epoch_is_the_first_ticks_time_for_everybody() -> None:
    driver = TickDriver(now_ms=NOON_MS + 777)
    driver.tick()
    driver.tick(after_ms=15_000)
    reader = driver.reader()
    assert [reader.follow(tick) for tick in driver.accepted] == [None, None]
    assert reader.state.single.market_epoch_ms == NOON_MS + 777
    assert driver.accepted[1].seal.market_now == utc(2010, 1, 6)


def test_follow_and_re_decide_are_what_the_reader_used() -> None:
    """The helpers call the planner's own functions."""
    assert (follow.__module__, re_decide.__module__) == ("planner.following", "planner.following")
