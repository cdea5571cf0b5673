"""Any reader of the same log ends with the same rows: batches, turns of topics, crashes and second readings do not show.

Source: R-B2, R-F9, R-F10; S5, S8; docs/architecture.md, "Read models".
"""

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autonomy import lifecycle
from autonomy.topics import COMMANDS, JOBS, RUNNERS, RUNS
from autonomy.values import BotState, JobStatus
from projection.intake import Intake
from support.histories import Step, live_through, written_history
from support.read_models import Log, MemoryStore, Reading, compared_rows, log_of, read_in_turns, read_whole, rows_hash
from support.ticks import TickDriver

SEEDS = st.integers(0, 2**32)
HISTORIES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 10_000)), min_size=1, max_size=50)
LIVE = {"QUEUED", "RUNNING"}


@pytest.fixture(scope="module")
def written() -> tuple[TickDriver, Log]:
    """One long history; its rows are hashed by every test that only reads in another way."""
    driver = live_through(TickDriver(), written_history())
    return driver, log_of(driver)


def badge_of(jobs: list[dict[str, Any]], reason: str) -> str:
    """R-B1.1 written a second time, as a table, by other code than the projection's."""
    kinds = Counter((job["job_type"].split("_")[0], job["status"]) for job in jobs)
    for state, present in (
        (BotState.BACKTEST_RUNNING, kinds["BACKTEST", "RUNNING"]),
        (BotState.BACKTEST_QUEUED, kinds["BACKTEST", "QUEUED"]),
        (BotState.EVOLVING, kinds["EVOLVE", "QUEUED"] + kinds["EVOLVE", "RUNNING"]),
        (BotState.RUNNER_RUNNING, any(job["job_type"] == "RUNNER_START" and job["status"] == "RUNNING" and job["beats"] for job in jobs)),
        (BotState.RUNNER_STALE, kinds["RUNNER", "QUEUED"] + kinds["RUNNER", "RUNNING"]),
        (BotState.BLOCKED_BY_GATES, reason == "BLOCKED_BY_GATES"),
    ):
        if present:
            return state.value
    return BotState.IDLE.value


def check_badges(store: MemoryStore) -> Counter[str]:
    """Every bot of the fleet has exactly the badge that follows from the job rows and its standing decision."""
    fleet = {str(row["id"]) for row in store.table("bots") if row["retired_at"] is None}
    badges = {str(row["bot_id"]): row for row in store.table("bot_now")}
    assert set(badges) == fleet
    spans = {str(row["bot_id"]): row for row in store.table("decision_spans") if row["to_tick"] is None}
    for bot_id, badge in badges.items():
        jobs: list[dict[str, Any]] = [row for row in store.table("bot_jobs") if row["bot_id"] == bot_id and row["status"] in LIVE]
        span = spans.get(bot_id)
        reason = str(span["would"] if span["reason_code"] == "LOOP_DISABLED" and span["would"] else span["reason_code"]) if span else ""
        assert badge["state"] == badge_of(jobs, reason), bot_id
        assert (badge["job_id"] is not None) == bool(jobs), bot_id
        assert badge["job_id"] in {job["id"] for job in jobs} | {None}
    return Counter(str(badge["state"]) for badge in badges.values())


@settings(max_examples=40)
@given(HISTORIES, SEEDS)
def test_the_badge_is_what_the_job_rows_and_the_last_decision_say_after_every_batch(steps: list[Step], seed: int) -> None:
    """R-B2: for any history, and at any commit on the way."""
    log, random = log_of(live_through(TickDriver(), steps)), Random(seed)
    store = MemoryStore()
    reading = Reading.begin(log, store)
    while reading.unread:
        reading.read(random.choice(reading.unread), random.randint(1, 20))
        reading.apply()
        reading.commit()
        check_badges(store)


def test_the_written_history_shows_working_waiting_blocked_and_idle_bots(written: tuple[TickDriver, Log]) -> None:
    """The property above is not about an empty fleet."""
    seen: Counter[str] = Counter()
    store = MemoryStore()
    reading = Reading.begin(written[1], store)
    while reading.unread:
        reading.read((RUNS, 0), 3) if (RUNS, 0) in reading.unread else None
        for key in [key for key in reading.unread if key[0] != JOBS]:
            reading.read(key, 3)
        reading.apply()
        reading.commit()
        seen += check_badges(store)
        for key in [key for key in reading.unread if key[0] == JOBS]:
            reading.read(key, 1)
    assert {"BACKTEST_RUNNING", "BACKTEST_QUEUED", "BLOCKED_BY_GATES", "IDLE"} <= set(seen)


def test_the_job_rows_are_the_planners_own_jobs(written: tuple[TickDriver, Log]) -> None:
    """Two folds of one log by two services end at the same jobs."""
    driver, log = written
    rows = {row["id"]: row for row in read_whole(log).table("bot_jobs")}
    live = {live.job.job_id: live.job for live in driver.live()}
    assert {name for name, row in rows.items() if row["status"] in LIVE} == set(live)
    for name, job in live.items():
        assert (rows[name]["status"], rows[name]["attempt"], rows[name]["failures"]) == (job.status.value, job.attempt, job.failures)
    assert {row["status"] for row in rows.values()} >= {"SUCCEEDED", "FAILED", "CANCELLED"}


def test_a_changed_row_is_noticed(written: tuple[TickDriver, Log]) -> None:
    """Negative control of the badge check and of the comparison."""
    store = read_whole(written[1])
    whole = rows_hash(store)
    row = next(row for row in store.table("bot_now") if row["state"] == "IDLE")
    row["state"] = "EVOLVING"
    assert rows_hash(store) != whole
    with pytest.raises(AssertionError):
        check_badges(store)


@settings(max_examples=40)
@given(HISTORIES, SEEDS, st.integers(1, 40))
def test_batches_and_turns_do_not_show_in_the_rows(steps: list[Step], seed: int, most: int) -> None:
    log = log_of(live_through(TickDriver(), steps))
    assert compared_rows(read_in_turns(log, Random(seed), most=most)) == compared_rows(read_whole(log))


@settings(max_examples=60)
@given(HISTORIES, SEEDS, st.integers(1, 12))
def test_crashes_at_any_point_do_not_show_in_the_rows(steps: list[Step], seed: int, most: int) -> None:
    """R-F10: whatever was not committed is read again; whatever was is not done twice."""
    log = log_of(live_through(TickDriver(), steps))
    assert compared_rows(read_in_turns(log, Random(seed), most=most, crashes=0.4)) == compared_rows(read_whole(log))


@pytest.mark.parametrize("order", [
    (COMMANDS, JOBS, RUNNERS, RUNS), (RUNS, RUNNERS, JOBS, COMMANDS), (JOBS, RUNS, COMMANDS, RUNNERS), (RUNNERS, COMMANDS, RUNS, JOBS),
])  # fmt: skip
def test_whole_topics_in_any_order_give_the_same_rows(written: tuple[TickDriver, Log], order: tuple[str, ...]) -> None:
    store = MemoryStore()
    Reading.begin(written[1], store).read_all(order)
    assert rows_hash(store) == rows_hash(read_whole(written[1]))


def test_nothing_changes_when_a_process_starts_again_on_finished_rows(written: tuple[TickDriver, Log]) -> None:
    store = read_whole(written[1])
    before, progress = rows_hash(store), store.progress
    for _ in range(3):
        Reading.begin(written[1], store).read_all()
    assert rows_hash(store) == before
    assert store.progress is not None
    assert progress is not None
    assert (store.progress.quarantined, store.progress.head) == (progress.quarantined, progress.head)


def crash_after_every_seal(log: Log, seals: list[int]) -> MemoryStore:
    """All job events are read first, so each waits; then the chain, with a new process at every tick of it.

    The second reading of the job events is cut into pieces of one record, with ticks and commits between them.
    """
    store = MemoryStore()
    reading = Reading.begin(log, store)
    for topic in (JOBS, COMMANDS, RUNNERS):
        for key in [key for key in log if key[0] == topic]:
            reading.read(key, len(log[key]))
        reading.commit()
    assert reading.intake.model.fold.pending_steps > 50
    for number, seal in enumerate(seals):
        reading, random = Reading.begin(log, store), Random(number)
        while reading.positions[(RUNS, 0)] <= seal:
            reading.read((RUNS, 0), 1)
            for _ in range(3):
                jobs = [key for key in reading.unread if key[0] == JOBS]
                if jobs:
                    reading.read(random.choice(jobs), 1)
            reading.apply()
            reading.commit()
    Reading.begin(log, store).read_all()
    return store


def test_job_events_ahead_of_their_tick_survive_a_crash_at_every_tick(written: tuple[TickDriver, Log]) -> None:
    """S8."""
    store = crash_after_every_seal(written[1], [tick.offset for tick in written[0].accepted[:40]])
    assert compared_rows(store) == compared_rows(read_whole(written[1]))


def test_without_waiting_for_the_second_reading_an_event_is_lost(written: tuple[TickDriver, Log], monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a tick applied in the middle of the second reading makes the rest look applied."""
    monkeypatch.setattr(Intake, "reads_again", False)
    store = crash_after_every_seal(written[1], [tick.offset for tick in written[0].accepted[:40]])
    assert compared_rows(store) != compared_rows(read_whole(written[1]))


def test_an_intake_that_resumes_at_its_position_loses_what_waited(written: tuple[TickDriver, Log], monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a plain consumer does that."""

    def at_the_position(self: Intake, key: tuple[str, int], position: int, head_offset: int) -> int:
        return head_offset + 1 if key[0] == RUNS else position

    monkeypatch.setattr(Intake, "_resume", at_the_position)
    log, store = written[1], MemoryStore()
    reading = Reading.begin(log, store)
    for key in [key for key in log if key[0] in {JOBS, COMMANDS}]:
        reading.read(key, len(log[key]))
    reading.commit()
    Reading.begin(log, store).read_all()
    assert compared_rows(store)["bot_jobs"] != compared_rows(read_whole(log))["bot_jobs"]


def test_an_event_that_waited_acts_at_its_own_time_and_a_void_one_leaves_none_behind(written: tuple[TickDriver, Log]) -> None:
    """Times are those of the records, whether they waited or not."""
    log, store = written[1], MemoryStore()
    reading = Reading.begin(log, store)
    for topic in (JOBS, COMMANDS, RUNNERS, RUNS):
        for key in [key for key in log if key[0] == topic]:
            reading.read(key, len(log[key]))
    reading.apply()
    assert reading.intake.model.waiting_at == {}
    reading.commit()
    times = {record.timestamp for key, records in log.items() if key[0] == JOBS for record in records}
    for row in store.table("bot_jobs"):
        if row["finished_at"] is not None:
            assert round(row["finished_at"].timestamp() * 1000) in times  # type: ignore[attr-defined]


def test_undecodable_records_are_kept_with_their_place_and_said_once(written: tuple[TickDriver, Log]) -> None:
    _, log = written
    poison = [record for key, records in log.items() if key[0] != RUNS for record in records if record.value in {b"", b"{}", b"\xff"}]
    assert poison
    store = MemoryStore()
    reading = Reading.begin(log, store)
    reading.read_all()
    rows = {(row["topic"], row["partition"], row["log_offset"]): row for row in store.table("quarantine")}
    assert set(rows) == {(record.topic, record.partition, record.offset) for record in poison}
    assert all(row["reason"] and row["sha256"] for row in rows.values())
    assert store.progress is not None
    assert store.progress.quarantined == len(poison)
    assert reading.intake.said == [], "said before the commit, forgotten after it"


def test_a_record_without_a_place_in_a_tick_is_quarantined_once(written: tuple[TickDriver, Log]) -> None:
    """Also behind the last seal, where every start reads again."""
    log = {key: list(records) for key, records in written[1].items()}
    end = log[(RUNS, 0)][-1]
    log[(RUNS, 0)].append(type(end)(RUNS, 0, end.offset + 1, end.timestamp, b"", b"foreign"))
    store = read_whole(log)
    for _ in range(3):
        Reading.begin(log, store).read_all()
    assert [row["log_offset"] for row in store.table("quarantine") if row["topic"] == RUNS] == [end.offset + 1]
    assert store.progress is not None
    assert store.progress.quarantined == len(store.table("quarantine"))


def test_the_first_claim_in_the_partition_wins_for_rows_too(written: tuple[TickDriver, Log]) -> None:
    """The rows agree with the shared lifecycle, folded here once more by itself."""
    driver, log = written
    fold = lifecycle.JobFold()
    store = read_whole(log)
    from autonomy.envelope import Undecodable, decode
    from autonomy.events import JobEnqueued

    for tick in driver.accepted:
        for seq, event in enumerate(tick.events(), start=1):
            if isinstance(event, JobEnqueued):
                fold.enqueue(lifecycle.enqueued(event, seq))
    fold.head_tick = driver.chain.head.tick
    for key, records in log.items():
        for record in records if key[0] == JOBS else ():
            received = decode(record.value, JOBS)
            if not isinstance(received, Undecodable):
                fold.step(received.event, lambda *_: None)  # type: ignore[arg-type]
    rows = {row["id"]: row for row in store.table("bot_jobs")}
    assert set(rows) == set(fold.jobs)
    for name, job in fold.jobs.items():
        assert (rows[name]["status"], rows[name]["attempt"], rows[name]["claim_id"]) == (job.status.value, job.attempt, job.claim_id)
    assert {job.status for job in fold.jobs.values()} >= {JobStatus.SUCCEEDED, JobStatus.FAILED}
