"""What a running platform answers: the two proofs against SQL, lists and pages, health and metrics.

Source: R-A1, R-A2, R-B1; docs/architecture.md, "Honesty".
"""

import json
import re
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
import schemathesis
from hypothesis import given, settings
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from autonomy.chain import GENESIS, RunRecord
from autonomy.documents.proofs import ProofVerdict
from autonomy.events import HoldBot
from autonomy.gates import Needs
from autonomy.policy import read_policy
from autonomy.reasons import Reason
from autonomy.topics import RUNS
from autonomy.values import BotState, JobStatus, JobType, Recency, Stage
from autonomy.version import VERSION
from support.builders import an_id
from support.log import append
from support.patience import PATIENCE_S
from support.platform import quick_policy, wait_for
from support.proof import Api
from support.ticks import a_seal

pytestmark = pytest.mark.servers

# The requirements' own statements, word for word.
SEED_SQL = {
    "A2.1": """SELECT job_type, status, COUNT(*)
FROM bot_jobs
WHERE status IN ('QUEUED','RUNNING')
GROUP BY 1,2
ORDER BY 1,2;""",
    "A2.2": "SELECT * FROM autonomy_planner_runs ORDER BY started_at DESC LIMIT 10;",
    "D2": "SELECT job_type, status, COUNT(*) FROM bot_jobs WHERE status IN ('QUEUED','RUNNING') GROUP BY 1,2;",
    "D3": "SELECT to_stage, reason_code, COUNT(*) FROM bot_stage_events WHERE reason_code='BULK_REVERT_REBASELINE' GROUP BY 1,2;",
}


# ── the two proofs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_autonomy_proof_has_the_requirements_names_and_the_databases_values(running: Api) -> None:
    """R-A1.1, R-A4."""

    def agreed() -> dict[str, Any] | None:
        code, body = running.autonomy()
        newest = running.platform.sql("SELECT * FROM autonomy_planner_runs ORDER BY tick DESC LIMIT 10")
        assert code == 200
        # A tick between the two questions is no contradiction: ask again.
        return body | {"sql": newest} if [run["id"] for run in body["latestPlannerRuns"]] == [run["id"] for run in newest] else None

    body = wait_for("one picture in both", agreed)
    for name in ("now", "loopEnabled", "lastTickAt", "tickIntervalSec", "lastDecisionSummary", "latestPlannerRuns", "latestEnqueuedJobs"):
        assert name in body
    assert {"botsEvaluated", "jobsEnqueued", "blocked", "reasonsTop"} <= set(body["lastDecisionSummary"])
    assert all(set(entry) == {"reasonCode", "count"} for entry in body["lastDecisionSummary"]["reasonsTop"])
    assert {"id", "startedAt", "finishedAt", "botsEvaluated", "jobsEnqueued", "errors"} <= set(body["latestPlannerRuns"][0])
    assert all(set(job) == {"jobId", "botId", "type", "status", "createdAt"} for job in body["latestEnqueuedJobs"])
    assert (body["loopEnabled"], body["tickIntervalSec"]) == (True, 1.0)
    newest, summary = body["sql"][0], body["lastDecisionSummary"]
    assert [summary[name] for name in ("tick", "botsEvaluated", "jobsEnqueued", "blocked")] == [
        newest[name] for name in ("tick", "bots_evaluated", "jobs_enqueued", "blocked")
    ]
    assert summary["reasonCounts"] == newest["reason_counts"]
    assert sum(summary["reasonCounts"].values()) == summary["botsEvaluated"] == 7
    assert summary["blocked"] == summary["reasonCounts"]["BLOCKED_BY_GATES"] == 1
    assert (summary["zeroJobs"] or {"reason": None})["reason"] == newest["zero_jobs_reason"]
    assert body["lastTickAt"] == body["latestPlannerRuns"][0]["startedAt"]
    assert isinstance(body["latestPlannerRuns"][0]["errors"], int)
    known = {row["id"]: row for row in running.platform.sql("SELECT id, bot_id, job_type FROM bot_jobs")}
    assert body["latestEnqueuedJobs"]
    assert all(
        (known[job["jobId"]]["bot_id"], known[job["jobId"]]["job_type"]) == (job["botId"], job["type"])
        for job in body["latestEnqueuedJobs"]
    )
    assert (body["proof"]["status"], body["proof"]["checks"]["canary"]) == ("fresh", "off")


def test_the_jobs_proof_has_the_requirements_names_and_the_databases_counts(running: Api) -> None:
    """R-A1.2."""
    words = {"backtest": ("BACKTEST_BASELINE", "BACKTEST_REFRESH"), "evolve": ("EVOLVE",), "runner": ("RUNNER_START",)}

    def agreed() -> dict[str, Any] | None:
        body: dict[str, Any] = running.get("/api/_proof/jobs").json()
        counts = {(row["job_type"], row["status"]): row["n"] for row in running.platform.sql(
            "SELECT job_type, status, count(*) AS n FROM bot_jobs GROUP BY 1, 2"
        )}  # fmt: skip
        expected = {
            place: {kind: sum(counts.get((name, status), 0) for name in names) for kind, names in words.items()}
            for place, status in (("running", "RUNNING"), ("queued", "QUEUED"), ("completedLast1h", "SUCCEEDED"))
        }
        del expected["completedLast1h"]["runner"]
        return body if all(body[place] == expected[place] for place in expected) else None

    body = wait_for("the same counts in both", agreed, every_s=0.2)
    assert (body["stuckRunningOverXmin"], body["stuckAfterMin"]) == ([], 15)
    assert set(body["runningWithoutHeartbeat"]) == {"backtest", "evolve", "runner"}
    assert body["completedLast1h"]["backtest"] >= 3


def test_proofs_are_never_cached_and_say_their_tick(running: Api) -> None:
    for path in ("/api/_proof/autonomy", "/api/_proof/jobs"):
        answer = running.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-proof-status"] == answer.json()["proof"]["status"]
        assert int(answer.headers["x-as-of-tick"]) == answer.json()["proof"]["applied"]["tick"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_requirements_sql_runs_word_for_word_as_the_reader(running: Api) -> None:
    """R-A2, R-D2, R-D3."""
    for name, statement in SEED_SQL.items():
        rows = running.platform.sql(statement)
        if name == "A2.2":
            assert [row["tick"] for row in rows] == sorted((row["tick"] for row in rows), reverse=True)
            assert 3 < len(rows) <= 10
        elif name == "D3":
            assert rows == []
    events = running.platform.sql("SELECT to_stage, reason_code, COUNT(*) FROM bot_stage_events GROUP BY 1,2;")
    assert sum(row["count"] for row in events) == 7
    decisions = running.platform.one(
        "SELECT count(*) FROM autonomy_bot_decisions WHERE tick = (SELECT max(tick) FROM autonomy_planner_runs)"
    )
    assert decisions == 7


@pytest.mark.parametrize("statement", [
    "INSERT INTO bots (id) VALUES ('x')", "UPDATE bot_now SET state = 'EVOLVING'", "DELETE FROM bot_jobs", "TRUNCATE quarantine",
    "DROP TABLE bots", "CREATE TABLE autonomy.mine (a int)", "ALTER TABLE bots ADD COLUMN mine int",
])  # fmt: skip
@pytest.mark.parametrize("mode", ["read only", "read write"])
def test_a_write_through_the_reader_is_refused(running: Api, statement: str, mode: str) -> None:
    """Also when it switches its own read-only default off: it has no rights."""
    refusals = (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(running.platform.database.url("autonomy_reader")) as connection:
        connection.execute(f"SET TRANSACTION {mode}")
        with pytest.raises(refusals):
            connection.execute(statement.encode())


def test_the_readers_statements_are_bounded_in_time(running: Api) -> None:
    with psycopg.connect(running.platform.database.url("autonomy_reader"), autocommit=True) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("5s",)
        connection.execute("SET statement_timeout = 50")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(5)")


# ── lists ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pages(api: Api, path: str, limit: int, **params: Any) -> list[dict[str, Any]]:
    """Every row of a list, by its Link headers alone."""
    found: list[dict[str, Any]] = []
    answer = api.get(path, params={**params, "limit": limit})
    while True:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert len(body["items"]) <= limit
        found += body["items"]
        if body["nextCursor"] is None:
            assert "link" not in answer.headers
            return found
        target = re.fullmatch(r'<(\?\S+)>; rel="next"', answer.headers["link"])
        assert target
        answer = api.get(path + target[1])


LISTS = {
    "/api/bots": ("bot_now", ("botId",)), "/api/jobs": ("bot_jobs", ("id",)), "/api/planner/runs": ("autonomy_planner_runs", ("id",)),
    "/api/stage-events": ("bot_stage_events", ("id",)), "/api/commands": ("commands", ("id",)),
    "/api/quarantine": ("quarantine", ("topic", "partition", "logOffset")),
}  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 3])
def test_pages_cover_every_row_exactly_once_while_rows_change(running: Api, path: str, limit: int) -> None:
    """Ticks and beats go on meanwhile; rows from before the first page are all met, none twice."""
    table, keys = LISTS[path]
    if table == "quarantine":
        for partition in range(4):
            append(running.platform.broker.bootstrap, "autonomy.jobs", partition, [b"poison", b"{"])
        wait_for("quarantine", lambda: (running.platform.one("SELECT count(*) FROM quarantine") or 0) >= 8)
    before = {tuple(row.values()) for row in running.platform.sql(f"SELECT {', '.join(snake(key) for key in keys)} FROM {table}")}
    found = [tuple(row[key] for key in keys) for row in pages(running, path, limit if table != "autonomy_planner_runs" else limit * 20)]
    assert len(found) == len(set(found))
    assert before <= set(found)


def snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda letter: "_" + letter[1].lower(), name)


@pytest.mark.parametrize(("name", "column", "values"), [
    ("state", "state", BotState), ("stage", "stage", Stage), ("reason", "reason_code", Reason), ("recency", "recency", Recency),
])  # fmt: skip
def test_each_badge_value_filters_and_counts(running: Api, name: str, column: str, values: type[BotState]) -> None:
    for value in values:

        def agreed(value: str = value.value) -> bool:
            rows = {row["bot_id"] for row in running.platform.sql(f"SELECT bot_id FROM bot_now WHERE {column} = %s", value)}
            body = running.get("/api/bots", params={name: value}).json()
            shown = {bot["botId"] for bot in body["items"]}
            return shown == rows and body["matching"] == len(rows) and body["total"] == 7

        wait_for(f"{name}={value}", agreed, every_s=0.02)
    whole = running.get("/api/bots", params=[(name, value.value) for value in values]).json()
    assert len(whole["items"]) == 7


def test_filters_stay_on_the_next_page(running: Api) -> None:
    assert {bot["stage"] for bot in pages(running, "/api/bots", 2, stage="LAB", q="bot-")} == {"LAB"}
    assert [bot["botId"] for bot in pages(running, "/api/bots", 2, stage="LAB", q="bot-")] == [f"bot-{n:03d}" for n in range(6)]
    assert {job["jobType"] for job in pages(running, "/api/jobs", 2, type="BACKTEST_BASELINE")} == {"BACKTEST_BASELINE"}
    assert pages(running, "/api/bots", 2, stage="LIVE") == []


def test_jobs_are_filtered_by_status_type_and_bot(running: Api) -> None:
    for status in JobStatus:
        assert {job["status"] for job in running.get("/api/jobs", params={"status": status.value}).json()["items"]} <= {status.value}
    for kind in JobType:
        assert {job["jobType"] for job in running.get("/api/jobs", params={"type": kind.value}).json()["items"]} <= {kind.value}
    assert {job["botId"] for job in running.get("/api/jobs", params={"bot": "bot-001"}).json()["items"]} == {"bot-001"}


@pytest.mark.parametrize("query", [
    "limit=1000000000", "limit=0", "limit=-1", "limit=x", "limit=201", "cursor=x", "cursor=" + "A" * 401, "state=FRESH", "stage=MOON",
    "q=" + "x" * 81, "recency=old", "reason=",
])  # fmt: skip
def test_a_value_over_its_limit_is_refused_by_name(running: Api, query: str) -> None:
    answer = running.get(f"/api/bots?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert query.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize("text", ["' OR '1'='1", "%", "_", "\\", "'; DROP TABLE autonomy.bots; --", "\x00", "\U0001f600", "bot-001'"])
def test_a_search_finds_text_and_runs_nothing(running: Api, text: str) -> None:
    answer = running.get("/api/bots", params={"q": text})
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == (7 if text == "\x00" else 0)


@pytest.mark.parametrize(
    "part",
    [
        "",
        "/decisions",
        "/gates",
        "/backtests",
        "/timeline",
        "/versions",
        "/evolutions",
        "/sessions",
        "/trades",
        "/equity",
        "/drift",
    ],
)
def test_an_unknown_bot_is_404_and_an_impossible_id_422(running: Api, part: str) -> None:
    unknown = running.get(f"/api/bots/nobody{part}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "UNKNOWN_BOT")
    assert running.get(f"/api/bots/No%20Body{part}").status_code == 422
    known = running.get(f"/api/bots/bot-001{part}")
    assert known.status_code == 200
    assert known.json()["proof"]["status"] == "fresh"


def test_an_unchanged_list_is_not_sent_again(running: Api) -> None:
    def unchanged() -> bool:
        first = running.get("/api/bots")
        second = running.get("/api/bots", headers={"If-None-Match": first.headers["etag"]})
        assert first.headers["etag"].startswith('W/"')
        assert second.status_code in {200, 304}
        return second.status_code == 304 and second.content == b""

    wait_for("two questions within one revision", unchanged, every_s=0)
    assert running.get("/api/bots", headers={"If-None-Match": 'W/"0-fresh"'}).status_code == 200


def test_a_bots_timeline_is_whole_newest_first_and_pages(running: Api) -> None:
    running.platform.say(HoldBot, bot_id="bot-005", reason="look at it")
    wait_for("the hold", lambda: running.platform.one("SELECT hold_reason FROM bots WHERE id = 'bot-005'"))

    def shown() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = running.get("/api/bots/bot-005/timeline").json()["items"]
        return items if any(item["what"] == "ON_HOLD" for item in items) else None

    wait_for("the decision", shown)
    items = pages(running, "/api/bots/bot-005/timeline", 100)  # on a busy machine a life is longer than a page
    assert [item["at"] for item in items] == sorted((item["at"] for item in items), reverse=True)
    assert {"stage", "decision", "job"} <= {item["kind"] for item in items}
    assert items[-1]["kind"] in {"stage", "decision", "job"}
    assert any(item["kind"] == "stage" and item["what"].startswith("LAB") and item["actor"] == "tester" for item in items)
    paged = pages(running, "/api/bots/bot-005/timeline", max(2, len(items) // 10))
    assert [(item["at"], item["ref"]) for item in paged][-len(items) :] == [(item["at"], item["ref"]) for item in items]


def test_one_decision_per_bot_and_tick_can_be_read(running: Api) -> None:
    tick = running.platform.one("SELECT max(tick) FROM autonomy_planner_runs")
    rows = pages(running, f"/api/planner/runs/{tick}/decisions", 2)
    assert sorted(row["botId"] for row in rows) == sorted(["fb", *(f"bot-{n:03d}" for n in range(6))])
    missing = running.get(f"/api/planner/runs/{tick + 10_000}/decisions")
    assert (missing.status_code, missing.json()["code"]) == (404, "UNKNOWN_TICK")
    gates = running.get("/api/bots/fb/gates").json()["blockers"]
    assert [gate["code"] for gate in gates] == ["MARKET_DATA"]
    assert all(gates[0][name] for name in ("measured", "required", "clearsWhen"))


def test_the_policy_in_force_can_be_read_as_it_was_set(running: Api) -> None:
    found = running.get("/api/policy").json()
    row = running.platform.sql("SELECT * FROM autonomy_policy ORDER BY tick DESC LIMIT 1")[0]
    assert {name: found[name] for name in ("tick", "policyHash", "actor")} == {
        "tick": row["tick"], "policyHash": row["policy_hash"], "actor": "tester",
    }  # fmt: skip
    assert found["document"] == row["document"]
    assert read_policy(found["document"]) == read_policy(quick_policy())
    assert found["proof"]["status"] in {"fresh", "stale"}
    assert (found["since"] is not None, found["approvedBy"], found["fleet"]) == (True, ["tester"], 7)
    assert next(one for one in found["changes"] if one["path"] == "name")["now"] == row["document"]["name"]


def test_the_worker_says_who_it_is_and_what_it_offers(running: Api) -> None:
    found = running.get("/api/workers").json()
    (worker,), (offer,) = found["items"], found["offers"]
    row = running.platform.sql("SELECT * FROM bot_runners")[0]
    assert (worker["processId"], worker["state"], worker["offer"]) == (str(row["process_id"]), "LIVE", offer["id"])
    assert {(one["name"], one["codeHash"]) for one in offer["strategies"]} == {(one["name"], one["codeHash"]) for one in row["strategies"]}
    assert [one["symbol"] for one in offer["bars"]] == sorted(one["symbol"] for one in row["symbols"]) != []
    assert offer["jobTypes"] == sorted(row["job_types"])
    assert {"BACKTEST_BASELINE", "RUNNER_START"} <= set(offer["jobTypes"])
    assert (found["disagreements"], found["words"], worker["disagrees"]) == ([], "", [])


# ── attention, and the fleet's list ──────────────────────────────────────────────────────────────────────────────────────


def test_attention_is_of_the_rows_and_has_its_proof(running: Api) -> None:
    """R-B3: FB has too few bars for good, which no operator changes."""
    never = 'SELECT count(*) FROM bot_now WHERE blockers @> \'[{"code": "MARKET_DATA"}]\''

    def agreed() -> dict[str, Any] | None:
        found: dict[str, Any] = running.get("/api/attention").json()
        counts = running.get("/api/bots?limit=1").json()["counts"]["needs"]
        same = found["blocked"] and {name.lower(): count for name, count in counts.items()} == found["blocked"]
        return found if same and found["blocked"]["developer"] == (running.platform.one(never) or 0) > 0 else None

    found = wait_for("one figure everywhere", agreed)
    assert found["needed"] == sum(item["count"] for item in found["items"] if item["needs"] == Needs.OPERATOR)
    (item,) = [item for item in found["items"] if (item["kind"], item["code"]) == ("DEVELOPER", "MARKET_DATA")]
    assert (item["count"], item["bots"]) == (1, ["fb"])
    assert item["todo"].startswith("never with this data")
    listed = running.get("/api/bots", params={"needs": "DEVELOPER", "blocker": "MARKET_DATA"}).json()
    assert [bot["botId"] for bot in listed["items"]] == ["fb"]
    assert found["proof"]["applied"]["tick"] > 0


def test_the_list_is_a_file_and_has_neighbours(running: Api) -> None:
    answer = running.get("/api/bots.csv", params={"sort": "strategy", "order": "desc"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    bots = [line.partition(",")[0] for line in answer.text.splitlines()[1:]]
    assert sorted(bots) == [row["bot_id"] for row in running.platform.sql("SELECT bot_id FROM bot_now ORDER BY bot_id")]
    beside = running.get(f"/api/bots/{bots[1]}/neighbours", params={"sort": "strategy", "order": "desc"}).json()
    assert (beside["previous"], beside["next"]) == (bots[0], bots[2])
    grouped = running.get("/api/bots", params={"group": "symbol", "limit": 2}).json()
    assert sum(group["bots"] for group in grouped["groups"]) == grouped["matching"] == len(bots)
    assert running.get("/api/bots/nobody/neighbours").status_code == 404
    assert running.get("/api/bots", params={"sort": "luck"}).status_code == 422
    assert running.get("/api/bots", params={"sort": "sharpe", "cursor": "WyJhIl0"}).status_code == 422


# ── health ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


VOID = ("void_records", "void_seals", "void_steps")


def test_health_and_metrics_carry_no_ids(running: Api) -> None:
    assert running.get("/livez").json() == {"status": "ok", "version": VERSION}
    ready = running.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    families = list(text_string_to_metric_families(running.get("/metrics").text))
    names = {family.name for family in families}
    assert {"autonomy_proof_up", "autonomy_check", "autonomy_bots_by_state", "autonomy_jobs_running", "autonomy_applied_tick"} <= names
    labels = {value for family in families for sample in family.samples for value in sample.labels.values()}
    assert labels
    allowed = {str(value) for kind in (BotState, Stage, Reason, Recency, Needs) for value in kind} | {"NOT_EVALUATED_YET"}
    checks = {"kafka", "postgres", "projection", "planner", "runners", "probe", "chain", "clock"}
    at_the_door = {"stranger", "stranger over the rate", "operator over the rate"}
    assert labels <= allowed | checks | at_the_door | set(get_args(ProofVerdict)) | {
        "backtest",
        "evolve",
        "runner",
        "true",
        "false",
        VERSION,
    }
    told = {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}
    assert {told["autonomy_check", name] for name in checks} == {1.0}
    assert [told["autonomy_verdict", word] for word in ("TICKING", "STALLED", "DOWN")] == [1.0, 0.0, 0.0]
    assert told["autonomy_build_info", VERSION] == 1.0
    assert abs(told[("autonomy_clock_skew_seconds",)]) < 1
    samples = {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}
    assert samples["autonomy_proof_up"] == 1.0
    assert {"autonomy_quarantined_records", *(f"autonomy_{name}" for name in VOID)} <= set(samples)


def test_what_is_void_shows_in_the_metrics_as_the_projection_counted_it(running: Api) -> None:
    """A record and a seal that no reader accepts, appended by a stranger."""
    before = counted(running)
    record = RunRecord("bot-decision.v1", 1, an_id("stranger"), 1, b"a", b"{}")
    for said in (record, a_seal(GENESIS, [record], "stranger")):
        append(running.platform.broker.bootstrap, RUNS, 0, [said.value], said.headers())
    wait_for("the record", lambda: counted(running)["autonomy_void_records"] > before["autonomy_void_records"])
    wait_for("the seal", lambda: counted(running)["autonomy_void_seals"] == before["autonomy_void_seals"] + 1)

    def is_that_of_the_head() -> bool:
        head = running.platform.sql("SELECT * FROM projection_head")[0]
        columns = {"applied_tick": "tick", "quarantined_records": "quarantined", **{name: name for name in VOID}}
        found = counted(running)
        return all(found[f"autonomy_{name}"] == head[column] for name, column in columns.items())

    wait_for("a picture of the newest head", is_that_of_the_head)


def test_what_looks_spent_shows_in_the_metrics(running: Api) -> None:
    """Also after ticks that took none: the sum is of the whole log."""
    wait_for("a look", lambda: counted(running)["autonomy_looks_taken"] > 0)
    tick = running.platform.one("SELECT max(tick) FROM autonomy_planner_runs")
    wait_for("another tick", lambda: counted(running)["autonomy_applied_tick"] > tick)

    def is_that_of_the_rows() -> bool:
        (row,) = running.platform.sql("SELECT count(*) AS taken, sum(alpha) AS spent FROM bot_looks WHERE NOT synthetic")
        found = counted(running)
        spent: object = pytest.approx(row["spent"])
        return found["autonomy_looks_taken"] == row["taken"] and found["autonomy_looks_alpha_spent"] == spent

    wait_for("what the rows say", is_that_of_the_rows)


def counted(api: Api) -> dict[str, float]:
    """Metrics without labels."""
    families = text_string_to_metric_families(api.get("/metrics").text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


# ── the whole surface ──────────────────────────────────────────────────────────────────────────────────────────────────


PATHS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text())["paths"]
READING = [path for path, verbs in PATHS.items() if "get" in verbs and path != "/api/stream"]  # the stream has no end
REFUSING = [path for path in READING if any(part["in"] != "header" for part in PATHS[path]["get"].get("parameters", ()))]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def schema(running: Api) -> Any:
    """The document as served."""
    return schemathesis.openapi.from_url(f"{running.http.base_url}/openapi.json", timeout=PATIENCE_S)


@pytest.mark.parametrize("path", READING)
def test_no_question_within_the_document_breaks_an_answer(schema: Any, path: str) -> None:
    """Codes, media types and bodies are those that the document declares, and none is a fault of the server."""

    @settings(max_examples=20)
    @given(case=schema[path]["GET"].as_strategy())
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()


@pytest.mark.parametrize("path", REFUSING)
def test_no_question_outside_the_document_breaks_an_answer(schema: Any, path: str) -> None:
    """Values that the document forbids: still a declared answer."""

    @settings(max_examples=20)
    @given(case=schema[path]["GET"].as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()
