"""The policy in use and the workers are what the rows say, for rows drawn at random; asked by other statements than those that answer.

Source: R-A3.5, R-B3, R-C2; docs/architecture.md, "The Bots page".
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from autonomy.events import SetPolicy
from autonomy.identities import PLANNER
from autonomy.policy import DEFAULT, read_policy
from autonomy.policy_values import differences_of
from autonomy.read_model import SCHEMA
from autonomy.values import JobStatus, Stage, instant_of_ms, iso
from autonomy.work import JOB_KINDS, Work
from planner.decide import competition
from planner.decide.view import build_view
from projection.store.batches import UPSERTS
from proof_api.reading.standing import standing
from proof_api.reading.workers import SHOWN, workers
from support.builders import a_digest, an_id
from support.drawn_fleet import LEASE_S, asked, drawn_fleet
from support.hours import NOON, Hours
from support.lives import a_document, a_fleet, research, step
from support.read_models import MemoryStore, log_of, read_whole
from support.servers import Database

pytestmark = pytest.mark.servers
SILENT = NOON - timedelta(seconds=LEASE_S)
TYPES = {work: [kind.code.value for kind in JOB_KINDS.values() if kind.work is work] for work in Work}


def a_policy_of(draw: Random) -> dict[str, Any]:
    """A policy's document with other limits than usual."""
    return read_policy({
        "research": {"concurrency": draw.randint(1, 9), "max_enqueues_per_hour": draw.randint(50, 99)}, "runners": {"max_runners": 4},
        "promotion": {"max_share": {"PAPER": 0.3, "LIVE": 0.05}},
    }).document()  # fmt: skip


def add_policy(hours: Hours, document: Mapping[str, Any], actor: str) -> None:
    hours.put("autonomy_policy", tick=hours.tick, policy_hash=a_digest(f"policy {hours.tick}"), document=document, actor=actor)


def add_command(hours: Hours, number: int, actor: str, document: Mapping[str, Any], *, missing: int = 0, status: str = "ACCEPTED") -> str:
    """A `set-policy` that was answered at the last tick."""
    said = SetPolicy(command_id=an_id(f"command {number}"), actor=actor, role="approver", reason=f"because {number}", document=document)
    hours.put(
        "commands", id=said.command_id, command=said.wire, actor=actor, role="approver", reason=said.reason,
        body=said.model_dump(mode="json", by_alias=True), said_at=NOON - timedelta(minutes=60 - number), status=status, tick=hours.tick, outcomes=[],
        counts={"APPROVERS_MISSING": missing} if missing else {},
    )  # fmt: skip
    return said.command_id


@pytest.fixture(scope="module", params=[0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 5))])
def written(request: pytest.FixtureRequest, database: Database) -> Database:
    """A fleet, two hours of ticks with jobs and moves, and three policies: the planner's, one person's, two people's."""
    database.empty()
    draw = Random(request.param)
    drawn_fleet(request.param, 150).write(database.url())
    hours, first, second = Hours(draw), a_policy_of(draw), a_policy_of(draw)
    for minute in range(-120, 0, 2):
        hours.add_tick(NOON + timedelta(minutes=minute))
        for seq in range(draw.randint(0, 4)):
            hours.add_job(hours.tick * 10 + seq, NOON + timedelta(minutes=minute), seq, 0)
        if draw.random() < 0.4:
            hours.add_move(hours.tick, NOON + timedelta(minutes=minute), revert=False)
            hours.rows["bot_stage_events"][-1]["reason_code"] = draw.choice(("AUTO_PROMOTED", "PROMOTED"))
        if hours.tick == 1:
            add_policy(hours, DEFAULT.document(), PLANNER)
        if hours.tick == 20:
            add_policy(hours, first, "ada")
            add_command(hours, 1, "ada", first)
        if hours.tick in {30, 31, 32, 33}:
            # The word of one who asks for something else, of one who asks in vain, and of him who is the first of two.
            add_command(
                hours,
                hours.tick,
                "eve",
                first if hours.tick == 30 else second,
                missing=1 if hours.tick != 31 else 0,
                status="REJECTED" if hours.tick == 31 else "ACCEPTED",
            )
        if hours.tick == 34:
            add_command(hours, 34, "bob", first, missing=1)
            add_policy(hours, second, "ada")
            add_command(hours, 35, "ada", second)
    for row in hours.rows["bot_jobs"]:
        if row["status"] == JobStatus.RUNNING and draw.random() < 0.5:
            row["process_id"] = an_id(f"worker {draw.randint(0, 2)}")
    hours.write(database.url())
    return database


def sql(database: Database, statement: str, **values: Any) -> list[dict[str, Any]]:
    options = f"-c search_path={SCHEMA} -c timezone=UTC"
    with psycopg.connect(database.url("autonomy_reader"), row_factory=dict_row, options=options) as connection:
        return connection.execute(statement, {"now": NOON, "silent": SILENT, **values}).fetchall()


def count(database: Database, statement: str, **values: Any) -> int:
    return int(sql(database, f"SELECT count(*) AS n FROM {statement}", **values)[0]["n"])


def in_force(database: Database, now: datetime = NOON, silent_before: datetime = SILENT) -> dict[str, Any]:
    found: dict[str, Any] = asked(database, partial(standing, now=now, silent_before=silent_before))
    return found


def test_the_policy_in_force_has_its_origin(written: Database) -> None:
    found, row = in_force(written), sql(written, "SELECT * FROM autonomy_policy WHERE tick = (SELECT max(tick) FROM autonomy_policy)")[0]
    (run,) = sql(written, "SELECT * FROM autonomy_planner_runs WHERE tick = %(tick)s", tick=row["tick"])
    assert {name: found[name] for name in ("tick", "since", "policyHash", "actor", "document", "approvedBy", "reason", "commandId")} == {
        "tick": 34, "since": iso(run["started_at"]), "policyHash": row["policy_hash"], "actor": "ada", "document": row["document"],
        "approvedBy": ["eve", "ada"], "reason": "because 35", "commandId": an_id("command 35"),
    }  # fmt: skip
    assert found["changes"] == [change._asdict() for change in differences_of(read_policy(row["document"]))] != []
    assert found["rev"] == sql(written, "SELECT coalesce((SELECT rev FROM projection_head), 0) AS rev")[0]["rev"]


def test_limits_slots_and_shares_are_those_of_the_rows(written: Database) -> None:
    found, hour = in_force(written), "bot_jobs WHERE created_at > %(now)s - interval '60 minutes'"
    live = "bot_jobs WHERE job_type = ANY(%(types)s) AND status = ANY(ARRAY['QUEUED', 'RUNNING'])"
    policy, used = read_policy(found["document"]), {one["name"]: one["used"] for one in found["limits"]}
    assert used == {
        "jobs enqueued per hour": count(written, hour), "searches per hour": count(written, f"{hour} AND job_type = 'EVOLVE'"),
        "live research jobs": count(written, live, types=TYPES[Work.BACKTEST]), "live searches": count(written, live, types=TYPES[Work.EVOLVE]),
        "live runners": count(written, live, types=TYPES[Work.RUNNER]),
        "queued jobs": count(written, f"{live} AND status <> 'RUNNING'", types=TYPES[Work.BACKTEST]),
        "queued searches": count(written, f"{live} AND status <> 'RUNNING'", types=TYPES[Work.EVOLVE]),
    }  # fmt: skip
    assert used["jobs enqueued per hour"] > used["live research jobs"] > 0
    limit = {one["name"]: one["limit"] for one in found["limits"]}
    assert limit["live research jobs"] == policy.research.concurrency + policy.research.queue_ahead
    assert limit["jobs enqueued per hour"] == policy.research.max_enqueues_per_hour
    alive = "bot_runners WHERE NOT stopping AND last_beat_at >= %(silent)s"
    processes = count(written, alive)  # each has one place of every kind
    assert limit["live runners"] == min(4, processes)
    assert [(one["work"], one["running"], one["queued"], one["slots"], one["processes"]) for one in found["slots"]] == [
        (work.value, count(written, f"{live} AND status = 'RUNNING'", types=TYPES[work]),
         count(written, f"{live} AND status = 'QUEUED'", types=TYPES[work]), processes, processes)
        for work in Work
    ]  # fmt: skip
    stages = {row["stage"]: row["n"] for row in sql(written, "SELECT stage, count(*) AS n FROM bots WHERE retired_at IS NULL GROUP BY 1")}
    assert {one["stage"]: one["bots"] for one in found["shares"]} == {stage.value: stages.get(stage.value, 0) for stage in Stage}
    assert found["fleet"] == sum(stages.values()) == 150
    moves = "bot_stage_events WHERE reason_code = 'AUTO_PROMOTED' AND created_at > %(now)s - interval '1 hour'"
    assert found["promotions"] == {"used": count(written, moves), "limit": policy.promotion.auto_per_hour, "applies": False}


def test_workers_are_those_of_the_rows(written: Database) -> None:
    found = asked(written, partial(workers, now=NOON, silent_before=SILENT, lease_s=LEASE_S))
    rows = {str(row["process_id"]): row for row in sql(written, "SELECT * FROM bot_runners")}
    assert {one["processId"] for one in found["items"]} == set(rows)
    assert found["older"] == 0
    silent = count(
        written,
        "bot_runners w WHERE NOT stopping AND last_beat_at < %(silent)s AND NOT EXISTS (SELECT 1 FROM bot_runners l "
        "WHERE NOT l.stopping AND l.last_beat_at >= %(silent)s AND l.first_seen_at > w.last_beat_at)",
    )
    states = [one["state"] for one in found["items"]]
    assert states.count("SILENT") == silent, "as many as the queue of attention counts"
    assert states.count("STOPPED") == count(written, "bot_runners WHERE stopping")
    for one in found["items"]:
        held = {
            row["job_type"]: row["n"] for row in sql(
                written, "SELECT job_type, count(*) AS n FROM bot_jobs WHERE status = 'RUNNING' AND process_id = %(id)s GROUP BY 1", id=one["processId"])
        }  # fmt: skip
        assert {slot["work"]: slot["inUse"] for slot in one["slots"]} == {
            work.value: sum(held.get(word, 0) for word in TYPES[work]) for work in Work
        }
        (offer,) = [each for each in found["offers"] if one["processId"] in each["workers"]]
        assert one["offer"] == offer["id"]
        assert offer["live"] == sum(each["state"] == "LIVE" for each in found["items"] if each["offer"] == offer["id"])
        assert (offer["sourceFaults"], offer["strategyFaults"]) == (
            rows[one["processId"]]["source_faults"],
            rows[one["processId"]]["strategy_faults"],
        )
    assert [one for one in found["items"] if one["state"] == "LIVE"] == found["items"][: states.count("LIVE")]


def test_rows_of_a_planners_log_say_what_its_state_says(database: Database) -> None:
    """A real log, folded by both: who agreed to the policy in force, and what of each limit is in use."""
    driver = a_fleet(*(f"bot-{number}" for number in range(5)))
    driver.command(SetPolicy, "strict", document=a_document() | {"rules_approvers": 2, "name": "strict"}, role="approver")
    step(driver)
    for name, actor in (("first", "ada"), ("other", "eve"), ("second", "ben")):
        driver.command(
            SetPolicy, name, document=a_document() | {"name": "other" if name == "other" else "both"}, role="approver", actor=actor
        )
        step(driver)
    since = driver.state.head_tick
    research(driver, "bot-1")
    driver.claim(next(live for live in driver.live() if live.job.status is JobStatus.QUEUED))
    step(driver)
    write(database, read_whole(log_of(driver)))
    found = in_force(database, now=instant_of_ms(driver.now_ms), silent_before=datetime.fromtimestamp(0, UTC))
    state = driver.state
    assert (found["policyHash"], found["document"]["name"], found["tick"]) == (state.policy_hash, "both", since)
    assert (found["approvedBy"], found["actor"], found["commandId"]) == (["ada", "ben"], "ben", an_id("second"))
    limits = competition.limits_of(state, build_view(state, driver.now_ms))
    expected = {limit.name: (limit.value - limit.room, limit.value) for kind in Work for limit in limits[kind]}
    assert {one["name"]: (one["used"], one["limit"]) for one in found["limits"]} == expected
    assert expected["live research jobs"][0] > 1
    assert {one["stage"]: one["bots"] for one in found["shares"] if one["bots"]} == {"LAB": 5}
    assert next(one["running"] for one in found["slots"]) == 1


def write(database: Database, store: MemoryStore) -> None:
    """Put the rows of a projection in memory into a database."""
    database.empty()
    with psycopg.connect(database.url(), options=f"-c search_path={SCHEMA}") as connection:
        for table in ("autonomy_policy", "autonomy_planner_runs", "commands", "bots", "bot_jobs", "bot_runners"):
            connection.execute(UPSERTS[table].sql, (UPSERTS[table].document(store.table(table)),))


def test_old_workers_are_counted_and_no_more_than_so_many_are_listed(database: Database) -> None:
    database.empty()
    fleet = drawn_fleet(0, 0)
    fleet.rows.clear()
    for number in range(SHOWN + 3):
        fleet.add_runner(number)
    for row in fleet.rows["bot_runners"][:2]:
        row["last_beat_at"] = NOON - timedelta(hours=2)
    fleet.write(database.url())
    found = asked(database, partial(workers, now=NOON, silent_before=None, lease_s=LEASE_S))
    assert (len(found["items"]), found["older"]) == (SHOWN, 3)
    assert {one["state"] for one in found["items"]} == {"UNKNOWN", "STOPPED"}


def test_before_anything_was_said_the_default_is_in_force_and_nobody_works(database: Database) -> None:
    database.empty()
    found = in_force(database)
    assert (found["tick"], found["actor"], found["approvedBy"], found["changes"]) == (None, None, [], [])
    assert found["policyHash"] == DEFAULT.hash()
    assert {one["used"] for one in found["limits"]} == {0}
    nobody = asked(database, partial(workers, now=NOON, silent_before=SILENT, lease_s=LEASE_S))
    assert (nobody["items"], nobody["offers"], nobody["disagreements"], nobody["words"], nobody["older"]) == ([], [], [], "", 0)
