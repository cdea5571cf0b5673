"""Whatever dies shows in the proof within 5 s, with the code of the table, and heals by itself when it comes back.

Each test kills something of its own platform, on a broker and a database that only this module uses.

Source: R-A1.3; docs/architecture.md, "Honesty".
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from autonomy.clock import now
from support.log import fresh_topics
from support.platform import Platform, Service, a_platform, quick_policy, wait_for
from support.proof import Api
from support.servers import Broker, Database

pytestmark = pytest.mark.servers
TICK_S = 1.0
SHOWN_WITHIN_S = 5.0
ASKING_S = 1.0
"""What asking itself may take on a busy machine: one round and the process that answers it."""
Shows = Callable[[int, dict[str, Any]], bool]


@pytest.fixture(scope="module")
def unticked(own_servers: tuple[Broker, Database], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A projection and the API; no planner was ever there."""
    broker, database = own_servers
    fresh_topics(broker.bootstrap)
    database.empty()
    with a_platform(broker, database, tmp_path_factory.mktemp("honesty")) as platform:
        platform.projection()
        yield Api.start(platform)


@pytest.fixture
def api(unticked: Api) -> Api:
    """With a planner that ticks each second over an empty fleet: a quiet log but for its seals and pulses.

    One platform for all tests: each has to leave it healed, which is what it tests.
    """
    if not any(service.name == "planner" and service.alive for service in unticked.platform.services):
        unticked.platform.planner()
        unticked.platform.set_policy(quick_policy())
        wait_for("the quick policy", lambda: unticked.autonomy()[1]["tickIntervalSec"] == 1.0)
    unticked.wait_fresh()
    return unticked


@contextmanager
def probes_kept_young(database: Database) -> Iterator[None]:
    """A stand-in for a projection that applies probes and nothing else."""
    enough = Event()

    def keep() -> None:
        with psycopg.connect(database.url(), autocommit=True) as connection:
            while not enough.wait(0.2):
                connection.execute("UPDATE pulses SET appended_at = clock_timestamp() WHERE source = 'probe'")

    keeper = Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        enough.set()
        keeper.join()


def service(platform: Platform, name: str) -> Service:
    return next(found for found in reversed(platform.services) if found.name == name)


def check(body: dict[str, Any], name: str) -> str:
    found: str = body["proof"]["checks"][name]
    return found


def keys(body: dict[str, Any]) -> set[str]:
    return set(body) | {f"proof.{name}" for name in body["proof"]}


@contextmanager
def without_projection(api: Api) -> Iterator[None]:
    """While it is dead; it comes back also where the test fails, so that the next ones have a platform."""
    service(api.platform, "projection").kill()
    try:
        yield
    finally:
        api.platform.projection()


def shown_within(api: Api, condition: Shows, limit_s: float = SHOWN_WITHIN_S) -> None:
    took = api.seconds_until(condition, limit_s + 10)
    assert took <= limit_s + ASKING_S, f"shown after {took:.1f} s only"


def test_before_the_first_tick(unticked: Api) -> None:
    """200: that there was no tick yet is known. First in this module: no planner was started so far."""
    unticked.seconds_until(lambda code, body: (code, body["proof"]["status"]) == (200, "fresh"), 40)
    _, body = unticked.autonomy()
    assert body["lastTickAt"] is None
    assert body["lastDecisionSummary"]["zeroJobs"]["reason"] == "NO_TICK_YET"
    assert body["latestPlannerRuns"] == []
    policy = unticked.get("/api/policy").json()
    assert (policy["tick"], policy["actor"], policy["document"]["name"]) == (None, None, "default")
    assert (body["proof"]["verdict"], check(body, "planner")) == ("DOWN", "down")
    assert unticked.get("/api/_proof/autonomy", params={"require": "ticking"}).status_code == 503


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_dead_or_frozen_planner(api: Api, how: str) -> None:
    """200 and fresh: that nothing ticks is the proven truth; `?require=ticking` makes it 503."""
    healthy = keys(api.autonomy()[1])
    planner = service(api.platform, "planner")
    getattr(planner, how)()
    shown_within(api, lambda code, body: code == 200 and check(body, "planner") == "down")
    code, body = api.autonomy()
    assert (code, body["proof"]["status"], body["proof"]["verdict"]) == (200, "fresh", "DOWN")
    assert "no pulse" in body["proof"]["reason"]
    assert body["proof"]["nextTickAt"] is None
    assert body["lastTickAt"] is not None
    assert body["loopEnabled"] is True
    assert keys(body) == healthy
    strict = api.get("/api/_proof/autonomy", params={"require": "ticking"})
    assert (strict.status_code, strict.headers["retry-after"]) == (503, "2")
    assert api.get("/api/_proof/jobs", params={"require": "ticking"}).status_code == 503
    if how == "kill":
        api.platform.planner()
    else:
        planner.thaw()
    api.wait_fresh()
    assert api.get("/api/_proof/autonomy", params={"require": "ticking"}).status_code == 200


@pytest.mark.parametrize("log", ["busy", "quiet"])
def test_a_dead_projection(api: Api, log: str) -> None:
    """A quiet log must not look current: the probe's age tells. Stale at 5 s; old rows never become current."""
    if log == "quiet":
        service(api.platform, "planner").kill()
        api.seconds_until(lambda _, body: body["proof"]["verdict"] == "DOWN")
    before = api.autonomy()[1]["proof"]["applied"]
    with without_projection(api):
        killed = time.monotonic()
        shown_within(api, lambda code, body: (code, body["proof"]["status"]) == (200, "stale"))
        assert time.monotonic() - killed > 2, "rows of a moment ago are current"
        _, body = api.autonomy()
        assert check(body, "projection") == "late"
        assert body["proof"]["projectionLagMs"] > 5_000
        assert "behind" in body["proof"]["reason"]
        if log == "busy":
            assert body["proof"]["lagRecords"] > 0
            assert body["proof"]["head"]["tick"] > before["tick"], "the head comes from Kafka, not from the rows"
        else:
            assert body["proof"]["lagRecords"] == 0, "nothing was missed, and nobody can know it: the age says so"
    if log == "quiet":
        api.platform.planner()
    healed = api.wait_fresh()
    assert healed["proof"]["applied"]["tick"] > before["tick"]


def test_a_projection_that_applies_probes_and_no_tick(api: Api, own_servers: tuple[Broker, Database]) -> None:
    """Probes do not vouch for rows: the log's own head does. A stand-in keeps the probe young; the planner is not blamed."""
    with without_projection(api), probes_kept_young(own_servers[1]):
        # The first tick that nobody applies is sealed up to an interval after the last one that was.
        shown_within(api, lambda code, body: (code, body["proof"]["status"]) == (200, "stale"), SHOWN_WITHIN_S + TICK_S)
        proof = api.autonomy()[1]["proof"]
    assert proof["projectionLagMs"] < 5_000
    assert "is not applied" in proof["reason"]
    assert (proof["verdict"], proof["checks"]["planner"], proof["checks"]["projection"]) == ("TICKING", "ok", "late")
    api.wait_fresh()


def test_a_tick_that_was_just_sealed_does_not_flap(api: Api) -> None:
    """Negative control of the one above: a tick each second, and each is ahead of the rows for a moment."""
    first = api.autonomy()[1]["proof"]["head"]["tick"]
    seen = set()
    while api.autonomy()[1]["proof"]["head"]["tick"] < first + 4:
        code, body = api.autonomy()
        seen.add((code, body["proof"]["status"], body["proof"]["verdict"]))
    assert seen == {(200, "fresh", "TICKING")}


@pytest.mark.long
def test_a_projection_that_stays_dead(api: Api) -> None:
    """Over 30 s behind nothing is answered from its rows any more: 503, the same keys, null."""
    healthy = keys(api.autonomy()[1])
    projection = service(api.platform, "projection")
    projection.freeze()
    frozen = time.monotonic()
    shown_within(api, lambda code, body: code == 503, limit_s=30)
    assert time.monotonic() - frozen > 27
    answer = api.get("/api/_proof/autonomy")
    body = answer.json()
    assert keys(body) == healthy
    assert (body["proof"]["status"], check(body, "projection"), answer.headers["retry-after"]) == ("unavailable", "down", "2")
    assert [body[name] for name in ("loopEnabled", "lastTickAt", "latestPlannerRuns", "lastDecisionSummary")] == [None] * 4
    assert api.get("/readyz").status_code == 503
    projection.thaw()
    api.wait_fresh()


def test_a_dead_broker(api: Api, own_servers: tuple[Broker, Database]) -> None:
    """Unverified, the unknown null; a command is not taken; everything heals with the broker."""
    healthy = keys(api.autonomy()[1])
    broker, _ = own_servers
    broker.kill()
    # Its own probe fails first; that Kafka was not seen is said 5 s after its death.
    shown_within(api, lambda code, body: (code, body["proof"]["status"], check(body, "kafka")) == (200, "unverified", "down"))
    _, body = api.autonomy()
    assert keys(body) == healthy
    assert (check(body, "kafka"), check(body, "planner"), body["proof"]["verdict"]) == ("down", "unknown", None)
    assert body["loopEnabled"] is None, "null, never false"
    assert api.get("/api/_proof/autonomy", params={"require": "ticking"}).status_code == 503, "what is not known is not ticking"
    assert api.get("/api/_proof/jobs", params={"require": "ticking"}).status_code == 503
    assert body["proof"]["head"]["seenAt"] is not None
    assert body["lastTickAt"] is not None
    assert api.get("/readyz").status_code == 503
    begun = time.monotonic()
    refused = api.command({"type": "pause-loop"}, key="while-down")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "KAFKA_DOWN", "2")
    assert api.command({"type": "pause-loop"}, None).status_code == 401
    assert time.monotonic() - begun < 2
    broker.start()
    if not service(api.platform, "planner").alive:
        api.platform.planner()  # it may end when Kafka is away for over 10 s; a process manager starts it again
    api.wait_fresh()
    accepted = wait_for("an operator acts again", lambda: api.command({"type": "pause-loop"}, key="after").status_code in {200, 202})
    assert accepted
    shown_within(api, lambda code, body: (code, body["loopEnabled"], body["proof"]["verdict"]) == (200, False, "PAUSED"), 10)
    _, body = api.autonomy()
    assert "paused by ope-person since" in body["proof"]["reason"]
    assert body["lastDecisionSummary"]["zeroJobs"]["reason"] in {"LOOP_DISABLED", "NO_CANDIDATES_MATCH_POLICY"}
    assert body["pausedBy"][0]["actor"] == "ope-person"
    assert api.command({"type": "resume-loop"}).status_code in {200, 202}


def test_a_dead_database(api: Api, own_servers: tuple[Broker, Database]) -> None:
    """503 at once, rows null, no cache; lists are 503 too; everything heals with the database."""
    healthy = keys(api.autonomy()[1])
    _, database = own_servers
    database.kill()
    shown_within(api, lambda code, body: code == 503 and check(body, "postgres") == "down")
    answer = api.get("/api/_proof/jobs")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["running"]) == (503, "2", None)
    _, body = api.autonomy()
    assert keys(body) == healthy
    assert (body["lastTickAt"], body["loopEnabled"], body["proof"]["tickAgeMs"], body["proof"]["applied"]) == (None,) * 4
    assert body["proof"]["head"]["tick"] > 0, "what Kafka says is still known"
    assert abs((datetime.fromisoformat(body["now"]) - now()).total_seconds()) < 5
    for path in ("/api/bots", "/api/jobs", "/api/bots/a", "/api/commands"):
        lost = api.get(path)
        assert (lost.status_code, lost.json()["code"], lost.headers["retry-after"]) == (503, "DATABASE_DOWN", "2"), path
    assert api.get("/livez").status_code == 200
    database.start()
    api.wait_fresh()
    assert api.get("/api/bots").status_code == 200
