"""Whole careers of bots in the rows: promotions, searches, paper sessions, drift, reverts; for any reader, however often it dies.

Source: R-A3.6, R-A3.7, R-B2, R-C2, R-C3, R-F9, R-F10; docs/architecture.md, "Revert" and "Read models".
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autonomy.bar_outcomes import counts_of
from autonomy.chain import Chain
from autonomy.envelope import Undecodable, decode
from autonomy.events import BotDecision, Event, GateResult, RunnerMarked, SessionClosed, StageChanged
from autonomy.topics import COMMANDS, JOBS, RUNNERS, RUNS
from autonomy.values import BotState, Cause
from projection.app import end_of
from projection.fold import bot_now
from projection.fold.books import Books
from projection.fold.signs import Signs
from projection.intake import Intake
from support.careers import ACTS, FACTS, Careers, Step, lived
from support.read_models import Log, MemoryStore, Reading, compared_rows, plain, read_in_turns, read_whole, rows_hash

SEEDS = st.integers(0, 2**32)
STEPS = st.lists(st.tuples(st.integers(0, len(ACTS) - 1), st.integers(0, 10_000)), min_size=1, max_size=60)
ORDERS = [
    (COMMANDS, JOBS, RUNNERS, RUNS),
    (RUNS, RUNNERS, JOBS, COMMANDS),
    (RUNNERS, RUNS, JOBS, COMMANDS),
    (JOBS, RUNS, COMMANDS, RUNNERS),
]


def written_steps(length: int = 700) -> list[Step]:
    """The same everywhere."""
    digests = (hashlib.sha256(f"career {number}".encode()).digest() for number in range(length))
    return [(digest[0] % len(ACTS), int.from_bytes(digest[1:4])) for digest in digests]


@pytest.fixture(scope="module")
def log() -> Log:
    """One long log of careers."""
    return lived(written_steps()).written()


def events_of(log: Log) -> Iterator[Event]:
    """The facts of all ticks, in order; every tick here is accepted."""
    for record in log[(RUNS, 0)]:
        received = decode(record.value, RUNS)
        assert not isinstance(received, Undecodable)
        yield received.event


def rows_by(store: MemoryStore, table: str, *keys: str) -> dict[Any, dict[str, Any]]:
    rows: list[dict[str, Any]] = store.table(table)
    return {tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]]: row for row in rows}


# ── any reader ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_written_careers_say_every_fact_of_the_catalogue(log: Log) -> None:
    assert {type(event) for event in events_of(log)} >= set(FACTS)


@settings(max_examples=60)
@given(STEPS, SEEDS, st.integers(1, 12))
def test_turns_and_crashes_do_not_show_in_the_rows(steps: list[Step], seed: int, most: int) -> None:
    log = lived(steps).written()
    assert compared_rows(read_in_turns(log, Random(seed), most=most, crashes=0.4)) == compared_rows(read_whole(log))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order[0])
def test_whole_topics_in_any_order_give_the_same_rows(log: Log, order: tuple[str, ...]) -> None:
    store = MemoryStore()
    Reading.begin(log, store).read_all(order)
    assert compared_rows(store) == compared_rows(chain_first(log)) == compared_rows(read_whole(log))


def chain_first(log: Log) -> MemoryStore:
    """The chain and the commands, with a commit, and then everything else."""
    store = MemoryStore()
    reading = Reading.begin(log, store)
    for topics in ((RUNS, COMMANDS), (RUNNERS, JOBS)):
        for key in [key for key in reading.unread if key[0] in topics]:
            reading.read(key, len(log[key]))
        reading.apply()
        reading.commit()
    return store


def tick_by_tick(log: Log) -> MemoryStore:
    """The inputs of a tick, and then the tick, as on the day it was decided."""
    store = MemoryStore()
    reading = Reading.begin(log, store)
    reading.read((RUNS, 0), len(log[(RUNS, 0)]))
    while reading.unread:
        cut = reading.intake.ticks[0].seal.cut if reading.intake.ticks else None
        for topic, number in reading.unread:
            end = len(log[(topic, number)]) if cut is None else end_of(cut, topic, number)
            reading.read((topic, number), max(0, end - reading.positions[(topic, number)]))
        reading.apply()
    reading.commit()
    return store


@pytest.fixture(scope="module")
def long_runners() -> Log:
    """Careers in which research that was ordered later ends before the runner."""
    return lived([(act % ACTS.index(Careers.mark), number) for act, number in written_steps(400)]).written()


def test_the_last_end_of_a_bots_jobs_is_the_same_wherever_they_waited(long_runners: Log) -> None:
    assert compared_rows(tick_by_tick(long_runners)) == compared_rows(read_whole(long_runners))


def test_the_end_that_is_read_last_is_another_one(long_runners: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(bot_now, "last_end", lambda _, at, event_id: {"ended_at": at, "ended_event_id": event_id})
    found, whole = compared_rows(tick_by_tick(long_runners)), compared_rows(read_whole(long_runners))
    assert [name for name, rows in whole.items() if found[name] != rows] == ["bot_now"]


@pytest.mark.parametrize("seed", range(6))
def test_bars_ahead_of_their_tick_survive_crashes(log: Log, seed: int) -> None:
    """On the long log, in larger turns than the property's."""
    assert compared_rows(read_in_turns(log, Random(seed), most=60, crashes=0.5)) == compared_rows(read_whole(log))


@pytest.mark.parametrize(("where", "name", "value"), [
    (MemoryStore, "_settle", lambda *_, **__: None),
    (Books, "waits", lambda *_: False),
    (Intake, "_inputs_read", lambda self, tick: all(
        self.positions.get((COMMANDS, number), 0) >= end for number, end in enumerate(tick.seal.cut[COMMANDS])
    )),
    (Signs, "claimed", lambda *_: None),
], ids=["early bars stay", "bars do not wait", "ticks do not wait for bars", "early beats are lost"])  # fmt: skip
def test_without_each_guard_the_order_of_reading_shows(
    log: Log, monkeypatch: pytest.MonkeyPatch, where: type, name: str, value: object
) -> None:
    """Negative controls."""
    truth = compared_rows(read_whole(log))
    monkeypatch.setattr(where, name, value)
    found = []
    for order in ORDERS:
        store = MemoryStore()
        Reading.begin(log, store).read_all(order)
        found.append(compared_rows(store) == truth)
    assert not all([*found, compared_rows(chain_first(log)) == truth])


# ── what the rows say ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_stage_history_replays_to_the_current_stage(log: Log) -> None:
    store = read_whole(log)
    stages: dict[str, list[Any]] = {}
    for event in events_of(log):
        if isinstance(event, StageChanged):
            stages.setdefault(event.bot_id, []).append(event)
    events, bots = rows_by(store, "bot_stage_events", "id"), rows_by(store, "bots", "id")
    for bot_id, changes in stages.items():
        assert bots[bot_id]["stage"] == changes[-1].to_stage.value
        assert bots[bot_id]["stage_version"] == len(changes)
        for change in changes:
            row = events[change.event_id]
            assert (row["command_id"], row["recommendation_id"], row["evidence_job"]) == (
                change.command_id, change.recommendation_id, change.evidence_job,
            )  # fmt: skip
            assert row["approved_by"] == list(change.approved_by)
    assert any(row["command_id"] for row in events.values())
    assert any(row["approved_by"] for row in events.values())


def test_a_closed_session_has_its_bars_up_to_the_close_and_its_flatten_as_a_trade(log: Log) -> None:
    """What was marked later is void, also when it was read earlier."""
    store = MemoryStore()
    Reading.begin(log, store).read_all(ORDERS[2])
    sessions, equity = rows_by(store, "bot_sessions", "id"), rows_by(store, "bot_equity", "session_id", "bar")
    trades: list[dict[str, Any]] = store.table("bot_trades")
    closes = [event for event in events_of(log) if isinstance(event, SessionClosed)]
    assert len([close for close in closes if close.bar is not None and close.units]) > 2
    for close in closes:
        row, bar = sessions[close.session_id], -1 if close.bar is None else close.bar
        own = [trade for trade in trades if trade["session_id"] == close.session_id]
        assert (row["state"], row["bar"], row["equity"], row["cause"]) == ("CLOSED", close.bar, close.equity_usd, close.cause.value)
        assert all(number <= bar for session, number in equity if session == close.session_id)
        assert all(trade["bar"] <= bar for trade in own)
        flattened = [trade for trade in own if trade["kind"] == "FLATTEN"]
        assert [(trade["units"], trade["price"], trade["pnl"]) for trade in flattened] == (
            [(close.units, close.price_usd, close.pnl_usd)] if close.units else []
        )
        if close.bar is not None:
            mark = equity[close.session_id, bar]
            assert (row["units"], row["trades"], row["sharpe"]) == (0.0, mark["trades"] + bool(close.units), mark["sharpe"])
            outcomes = Counter(entry["outcome"] for (session, _), entry in equity.items() if session == close.session_id)
            assert row["outcomes"] == outcomes
            assert sum(outcomes.values()) == mark["traded_bars"] == row["traded_bars"]


def marks_of(log: Log) -> dict[str, dict[int, RunnerMarked]]:
    """The first mark of each bar, in the order of its partition."""
    found: dict[str, dict[int, RunnerMarked]] = {}
    for key, records in log.items():
        for record in records if key[0] == RUNNERS else ():
            received = decode(record.value, RUNNERS)
            assert not isinstance(received, Undecodable)
            if isinstance(received.event, RunnerMarked):
                found.setdefault(received.event.session_id, {}).setdefault(received.event.bar, received.event)
    return found


def test_an_open_session_shows_its_newest_bar_and_every_bar_once(log: Log) -> None:
    store, marks = read_whole(log), marks_of(log)
    rows = [row for row in store.table("bot_sessions") if row["state"] == "OPEN"]
    assert rows
    for row in rows:
        own = marks.get(str(row["id"]), {})
        bars = sorted(str(entry["bar"]) for entry in store.table("bot_equity") if entry["session_id"] == row["id"])
        assert bars == sorted(map(str, own))
        if own:
            newest = own[max(own)]
            assert (row["bar"], row["equity"], row["pnl"]) == (newest.bar, newest.equity_usd, newest.pnl_usd)
            assert row["outcomes"] == counts_of(newest.snapshot.outcomes)
    assert store.progress is not None
    assert store.progress.void_steps > 5, "bars said twice, or after the close, are counted"


def test_the_badge_row_has_the_open_sessions_figures_and_no_others(log: Log) -> None:
    store = read_whole(log)
    open_of = {row["bot_id"]: row for row in store.table("bot_sessions") if row["state"] == "OPEN"}
    for badge in store.table("bot_now"):
        session: dict[str, Any] = open_of.get(badge["bot_id"], {})
        assert (badge["session_id"], badge["session_equity"], badge["session_pnl"], badge["last_mark_at"]) == (
            session.get("id"), session.get("equity"), session.get("pnl"), session.get("last_mark_at"),
        )  # fmt: skip


def test_gates_are_kept_as_last_said(log: Log) -> None:
    """A decision that says nothing of the gates leaves the last word on them."""
    store = read_whole(log)
    said: dict[str, BotDecision] = {}
    for event in events_of(log):
        if isinstance(event, BotDecision) and event.promotion is not None:
            said[event.bot_id] = event
    spans = rows_by(store, "decision_spans", "bot_id", "from_tick")
    badges = rows_by(store, "bot_now", "bot_id")
    shown = 0
    for bot_id, event in said.items():
        recorded: Any = plain(spans[bot_id, event.tick]["promotion"])
        assert [GateResult.model_validate(gate) for gate in recorded] == list(event.promotion or ())
        if bot_id in badges:
            shown += 1
            lacking = [
                {"code": gate.code, "measured": gate.measured, "required": gate.required, "clearsWhen": gate.clears_when}
                for gate in event.promotion or ()
                if gate.deciding and gate.verdict.value != "PASS"
            ]
            assert badges[bot_id]["promotion_blockers"] == lacking
            assert badges[bot_id]["promotion_gates"] == 3
    assert shown


def test_every_recommendation_keeps_its_evidence_and_its_outcome(log: Log) -> None:
    store = read_whole(log)
    rows: list[dict[str, Any]] = store.table("promotions")
    assert {row["status"] for row in rows} >= {"APPLIED", "REJECTED", "WITHDRAWN"}
    badges = rows_by(store, "bot_now", "bot_id")
    for row in rows:
        assert row["gates"]
        assert row["evidence_job"]
        is_open = row["status"] in {"OPEN", "REQUESTED"}
        assert (row["closed_at"] is None) == is_open
        if is_open and row["bot_id"] in badges:
            assert badges[row["bot_id"]]["recommendation_id"] == row["id"]
    applied = next(row for row in rows if row["status"] == "APPLIED")
    assert (applied["approved_by"], applied["cause"]) == (["ada", "bob"], "PROMOTED")


def test_searches_say_what_they_found_and_who_won(log: Log) -> None:
    rows: list[dict[str, Any]] = read_whole(log).table("bot_evolutions")
    assert {row["verdict"] for row in rows} >= {"WINS", "LOSES", "CANCELLED"}
    for row in rows:
        if row["verdict"] in {"WINS", "LOSES"}:
            assert (row["evaluations"], row["stop_reason"], row["applied"]) == (8, "GENERATIONS_DONE", row["verdict"] == "WINS")


def test_versions_pins_and_pauses_are_kept(log: Log) -> None:
    store = read_whole(log)
    versions, bots = rows_by(store, "bot_versions", "bot_id", "version"), rows_by(store, "bots", "id")
    assert set(versions) == {(bot_id, number) for bot_id, row in bots.items() for number in range(1, row["version"] + 1)}
    assert any(row["evolved_by"] for row in versions.values())
    assert {row["kind"] for row in store.table("bot_notes")} >= {"PINNED", "UNPINNED", "HELD", "RELEASED", "PAUSED", "RESUMED"}


# ── the runner's badge ────────────────────────────────────────────────────────────────────────────────────────────────


def a_trading_bot() -> tuple[Careers, Any]:
    careers = Careers()
    bot = careers.bot(0)
    careers.trade(bot, 0)
    return careers, bot


def badge(careers: Careers, *orders: tuple[str, ...]) -> dict[str, Any]:
    log = careers.written()
    found = []
    for order in orders or ORDERS:
        store = MemoryStore()
        Reading.begin(log, store).read_all(order)
        found.append(rows_by(store, "bot_now", "bot_id")["ada"])
    assert len({(row["state"], row["runner_status"]) for row in found}) == 1, "in any order of reading"
    return found[0]


def test_a_claimed_runner_is_stale_until_it_beats() -> None:
    careers, bot = a_trading_bot()
    assert badge(careers)["state"] == BotState.RUNNER_STALE
    careers.trade(bot, 2)
    row = badge(careers)
    assert (row["state"], row["runner_status"]) == (BotState.RUNNER_RUNNING, "RUNNING")


def test_a_requeued_runner_is_stale_again_until_its_next_claim_beats() -> None:
    careers, bot = a_trading_bot()
    careers.trade(bot, 2)
    careers.trade(bot, 1)
    assert badge(careers)["state"] == BotState.RUNNER_STALE
    careers.trade(bot, 2)
    assert badge(careers)["state"] == BotState.RUNNER_RUNNING


def test_a_research_job_takes_lane_one_and_the_runner_stays_beside_it() -> None:
    careers, bot = a_trading_bot()
    careers.trade(bot, 2)
    careers.evolve(bot, 1)
    row = badge(careers)
    assert (row["state"], row["job_why"], row["runner_status"]) == (BotState.EVOLVING, "WEAK", "RUNNING")
    assert row["runner_beat_at"] is not None
    assert row["job_id"] != row["runner_job_id"]


def test_a_session_that_never_took_a_bar_closes_without_figures() -> None:
    careers, bot = a_trading_bot()
    careers.close(bot, Cause.CANCELLED_BY_GATES)
    store = read_whole(careers.written())
    (row,) = store.table("bot_sessions")
    assert (row["state"], row["equity"], row["bar"], row["trades"]) == ("CLOSED", None, None, None)
    assert store.table("bot_trades") == []


def test_a_changed_mark_is_noticed(log: Log) -> None:
    """Negative control of the comparison."""
    store = read_whole(log)
    before = rows_hash(store)
    store.table("bot_equity")[0]["equity"] = 1.0
    assert rows_hash(store) != before


def test_the_written_log_is_one_chain(log: Log) -> None:
    chain = Chain()
    for record in log[(RUNS, 0)]:
        assert not isinstance(chain.read(record), Undecodable)
    assert (chain.void_records, chain.void_seals) == (0, 0)
