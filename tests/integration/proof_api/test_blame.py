"""Whatever fails is named as what it is: a reader that is blind never reports another part's death.

On a broker and a database that only this module uses.

Source: R-A1.3, R-A4; docs/architecture.md, "Honesty".
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest

from autonomy.topics import PULSE
from support.builders import an_id
from support.log import fresh_topics
from support.measuring import FaultRows
from support.platform import LEASE_S, a_platform, fleet, quick_policy, wait_for
from support.proof import Api
from support.servers import Broker, Database, free_port
from support.squeeze import squeezed

pytestmark = pytest.mark.servers
SHOWN_S, HEALED_S = 20.0, 40.0
HOURS_MS = 7_200_000


@pytest.fixture(scope="module")
def ticking(own_servers: tuple[Broker, Database], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A planner that ticks each second over an empty fleet."""
    broker, database = own_servers
    fresh_topics(broker.bootstrap)
    database.empty()
    with a_platform(broker, database, tmp_path_factory.mktemp("blame")) as platform:
        platform.projection()
        api = Api.start(platform)
        platform.planner()
        platform.set_policy(quick_policy())
        wait_for("the quick policy", lambda: api.autonomy()[1]["tickIntervalSec"] == 1.0)
        yield api


@pytest.fixture
def api(ticking: Api) -> Api:
    ticking.wait_fresh(HEALED_S)
    return ticking


def proof_of(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.autonomy()[1]["proof"]
    return found


def never_blamed(seen: list[dict[str, Any]], *names: str) -> bool:
    return not [proof for proof in seen if set(names) & set(proof["failing"])]


def watched(api: Api, wanted: Any, limit_s: float = SHOWN_S) -> list[dict[str, Any]]:
    """All proofs until one is as wanted, that one included."""
    seen: list[dict[str, Any]] = []

    def shown(_: int, body: dict[str, Any]) -> bool:
        seen.append(body["proof"])
        return bool(wanted(body["proof"]))

    api.seconds_until(shown, limit_s)
    return seen


def test_a_probe_that_cannot_be_said_is_not_the_projections_fault(api: Api, own_servers: tuple[Broker, Database]) -> None:
    """The rows are current all the time; afterwards everything heals without a restart."""
    with squeezed(own_servers[0].bootstrap, PULSE):
        seen = watched(api, lambda proof: proof["checks"]["probe"] == "down")
        seen += watched(api, lambda proof: proof["projectionLagMs"] is not None and proof["applied"]["tick"] > seen[-1]["applied"]["tick"])
        last = proof_of(api)
        assert (last["status"], last["checks"]["probe"], last["checks"]["projection"]) == ("unverified", "down", "ok")
        assert "no probe of the proof API was acknowledged for" in last["reason"]
        assert "MessageSizeTooLargeError" in last["reason"], "by the broker's own word"
    seen += watched(api, lambda proof: (proof["status"], proof["verdict"]) == ("fresh", "TICKING"), HEALED_S)
    assert never_blamed(seen, "projection", "postgres", "chain")
    assert not any("behind" in (proof["reason"] or "") for proof in seen)


def test_a_lock_that_holds_the_projection_back_is_named(api: Api, own_servers: tuple[Broker, Database], fault_row: FaultRows) -> None:
    with psycopg.connect(own_servers[1].owner_url, application_name="an-admin") as admin:
        admin.execute("SET search_path = autonomy")
        admin.execute("LOCK TABLE pulses IN SHARE MODE")
        row = fault_row(
            "postgresql locked for the writer", "Servers", "an administrator locks a table that the projection writes", "unlocked", api
        )
        seen = watched(api, lambda proof: proof["checks"]["projection"] == "late")
        found = watched(api, lambda proof: proof["checks"]["postgres"] == "locked")[-1]
        assert found["failing"] == ["postgres", "projection"]
        assert "autonomy_projection (pid" in found["reason"]
        assert ", an-admin) holds" in found["reason"]
        assert found["verdict"] == "TICKING", "readers go on, and Kafka shows the ticks"
        admin.rollback()
        row.heals()
    assert never_blamed(seen, "planner", "kafka", "probe")
    row.recovers(HEALED_S)
    row.keeps()
    assert api.wait_fresh(HEALED_S)["proof"]["failing"] == []


def test_a_lock_that_holds_the_reader_back_is_no_database_that_does_not_answer(
    api: Api, own_servers: tuple[Broker, Database], fault_row: FaultRows
) -> None:
    with psycopg.connect(own_servers[1].owner_url, application_name="an-admin") as admin:
        admin.execute("SET search_path = autonomy")
        admin.execute("LOCK TABLE bot_now IN ACCESS EXCLUSIVE MODE")
        row = fault_row(
            "postgresql locked for the reader", "Servers", "an administrator locks a table that the proof API reads", "unlocked", api
        )
        found = watched(api, lambda proof: proof["checks"]["postgres"] == "locked")[-1]
        assert (found["status"], found["verdict"], found["applied"]) == ("unavailable", None, None)
        assert "autonomy_reader (pid" in found["reason"]
        assert ", an-admin) holds" in found["reason"]
        assert "does not answer" not in found["reason"]
        busy = api.get("/api/bots")
        assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "DATABASE_BUSY", "2")
        assert ", an-admin) holds" in busy.json()["detail"]
        admin.rollback()
        row.heals()
    row.recovers(HEALED_S)
    row.keeps()
    assert api.wait_fresh(HEALED_S)["proof"]["failing"] == []


def test_a_probe_from_the_future_vouches_for_nothing(api: Api, own_servers: tuple[Broker, Database]) -> None:
    """As a broker leaves it whose clock was set back: for an hour no row would be old."""
    projection = next(service for service in api.platform.services if service.name == "projection")
    with psycopg.connect(own_servers[1].url(), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO pulses SELECT source, %s, role, head_tick, next_tick_at, problem, said_at, now() + interval '1 hour' FROM pulses "
            "WHERE source = 'probe' LIMIT 1", (an_id("a dead proof-api"),),
        )  # fmt: skip
        projection.freeze()
        try:
            found = watched(api, lambda proof: proof["status"] == "stale")[-1]
            assert "projection" in found["failing"]
        finally:
            projection.thaw()
            connection.execute("DELETE FROM pulses WHERE process_id = %s", (an_id("a dead proof-api"),))
    api.wait_fresh(HEALED_S)


def test_a_statement_that_postgresql_ended_is_told_in_its_words(
    api: Api, own_servers: tuple[Broker, Database], fault_row: FaultRows
) -> None:
    database = own_servers[1]
    with psycopg.connect(database.server.url("postgres"), autocommit=True) as admin, psycopg.connect(database.owner_url) as holder:
        (usual,) = admin.execute(
            "SELECT setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE rolname = 'autonomy_reader'"
        ).fetchone()  # type: ignore[misc] # it has settings
        usual_timeout = next(word.partition("=")[2] for word in usual if word.startswith("statement_timeout"))
        admin.execute("ALTER ROLE autonomy_reader SET statement_timeout = '100ms'")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'autonomy_reader'")
        # Long enough for all that waits for no lock: a limit that strikes just as a statement ends is told as "due to user request".
        holder.execute("LOCK TABLE autonomy.bot_now IN ACCESS EXCLUSIVE MODE")
        row = fault_row(
            "postgresql cancels", "Servers", "PostgreSQL ends the proof API's statements after 100 ms", "the role's limit is set back", api
        )
        try:
            found = watched(api, lambda proof: proof["checks"]["postgres"] == "cancelled")[-1]
            assert found["status"] == "unavailable"
            assert "PostgreSQL ended the proof API's statement" in found["reason"]
            assert "statement timeout" in found["reason"]
        finally:
            holder.rollback()
            admin.execute(f"ALTER ROLE autonomy_reader SET statement_timeout = '{usual_timeout}'")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'autonomy_reader'")
            row.heals()
    row.recovers(HEALED_S)
    row.keeps()
    assert api.wait_fresh(HEALED_S)["proof"]["failing"] == []


@pytest.mark.parametrize("wrong_ms", [HOURS_MS, -HOURS_MS])
@pytest.mark.long
def test_a_wrong_clock_of_the_proof_apis_own_machine(api: Api, wrong_ms: int) -> None:
    """Two hours ahead, or behind: the planner ticks, and only the clock is at fault. The right one beside it sees nothing of it."""
    port = free_port()
    platform = api.platform
    service = platform.start(
        "wrong-clock", "support.wrong_clock", MODULE="proof_api", WRONG_BY_MS=str(wrong_ms), PROOF_API_PORT=str(port),
        DATABASE_URL=platform.database.url("autonomy_reader"), PYTHONPATH=f"tests{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    )  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=15) as http:
        wrong = Api(replace(platform, api_port=port), service, http)
        service.wait_until("the API", wrong.is_up)
        seen = watched(
            wrong, lambda proof: (proof["status"], proof["verdict"], proof["failing"]) == ("fresh", "TICKING", ["clock"]), HEALED_S
        )
        found = seen[-1]
        told = re.search(r"the proof API's clock differs from the broker's by (-?[0-9]+) ms", found["reason"])
        assert told is not None
        assert abs(int(told[1]) - wrong_ms) < 5_000, "the rest is a busy machine's"
        assert found["tickAgeMs"] < 60_000
        assert found["plannerPulseAgeMs"] < 60_000
        assert http.get("/api/_proof/autonomy", params={"require": "ticking"}).status_code == 200
        assert not [proof for proof in seen if "planner" in proof["failing"] and proof["checks"]["clock"] != "unknown"]
        assert proof_of(api)["checks"]["clock"] == "ok"
        assert service.stop() is not None


def test_a_fleet_that_nobody_can_work_for_is_stalled(api: Api) -> None:
    """Ticks go on, nothing can run: that is not fine. Last in this module: it registers bots."""
    api.platform.register(fleet(3))
    found = watched(api, lambda proof: proof["verdict"] == "STALLED")[-1]
    assert (found["status"], found["failing"], found["checks"]["planner"]) == ("fresh", ["runners"], "ok")
    assert "no runner process lives, nothing can run for 3 bots" in found["reason"]
    assert api.get("/api/_proof/autonomy", params={"require": "ticking"}).status_code == 503
    runner = api.platform.runner()
    api.wait_fresh()
    assert api.get("/api/_proof/autonomy", params={"require": "ticking"}).status_code == 200
    wait_for("work", lambda: api.platform.one("SELECT count(*) FROM bot_jobs WHERE status = 'RUNNING'"))
    runner.freeze()
    found = watched(api, lambda proof: proof["verdict"] == "STALLED", LEASE_S + SHOWN_S)[-1]
    assert found["failing"] == ["runners"]
    runner.thaw()
    api.platform.runner()
    api.wait_fresh()
