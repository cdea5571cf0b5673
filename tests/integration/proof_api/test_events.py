"""One event by its id: read from the log where its row says that it stands, with the seal counted again.

The rows, the API and a reader of its own over Kafka must agree.
"""

import asyncio
import hashlib
from typing import Any

import pytest

from autonomy.clock import drawn_id
from autonomy.envelope import Received, decode
from autonomy.topics import INPUTS, RUNS
from support.log import records_of
from support.platform import wait_for
from support.proof import Api

pytestmark = pytest.mark.servers


async def stored(running: Api) -> dict[str, Any]:
    """Every record of the log by the id in it."""
    found = {}
    async for record in records_of(running.platform.broker.bootstrap, RUNS, *INPUTS):
        event = decode(record.value, record.topic)
        if isinstance(event, Received):
            found[event.id] = record
    return found


def test_every_entry_of_a_bots_timeline_leads_to_its_record(running: Api) -> None:
    items = running.get("/api/bots/bot-000/timeline", params={"limit": "50"}).json()["items"]
    known = asyncio.run(stored(running))
    kinds = set()
    for item in items:
        answer = running.get(f"/api/events/{item['eventId']}", params={"at": item["at"]})
        assert answer.status_code == 200, (item, answer.text)
        found = answer.json()
        place = found["record"]
        record = known[found["eventId"]]
        assert item["eventId"] in (found["eventId"], found["event"]["data"].get("eventId"))
        assert (place["topic"], place["partition"], place["offset"]) == (record.topic, record.partition, record.offset)
        assert place["sha256"] == hashlib.sha256(record.value).hexdigest()
        assert found["event"]["id"] == found["eventId"]
        kinds.add((item["kind"], place["topic"]))
    assert {("decision", RUNS), ("stage", RUNS), ("job", RUNS), ("job", "autonomy.jobs")} <= kinds


def test_a_ticks_own_record_is_borne_out_and_an_input_by_the_first_cut_behind_it(running: Api) -> None:
    (decision,) = running.platform.sql("SELECT event_id, from_tick FROM decision_spans ORDER BY from_tick LIMIT 1")
    found = running.get(f"/api/events/{decision['event_id']}", params={"tick": str(decision["from_tick"])}).json()
    (run,) = running.platform.sql(f"SELECT * FROM autonomy_planner_runs WHERE tick = {decision['from_tick']}")
    assert found["accepted"]["rootHolds"] is True
    assert (found["accepted"]["hash"], found["accepted"]["sealOffset"]) == (run["hash"], run["log_offset"])
    (job,) = running.platform.sql(
        "SELECT ended_event_id, finished_at, partition FROM bot_jobs WHERE status = 'SUCCEEDED' ORDER BY finished_at LIMIT 1"
    )
    address, when = f"/api/events/{job['ended_event_id']}", {"at": job["finished_at"].isoformat()}
    # The tick that reads it may still be to come.
    found = wait_for("a cut behind the result", lambda: (one := running.get(address, params=when).json())["accepted"] and one)
    offset, tick = found["record"]["offset"], found["accepted"]["tick"]
    cut = f"(slice -> 'autonomy.jobs' ->> {job['partition']})::bigint"
    ((first,),) = (row.values() for row in running.platform.sql(f"SELECT min(tick) FROM autonomy_planner_runs WHERE {cut} > {offset}"))
    assert (found["accepted"]["own"], tick) == (False, first)


def test_what_does_not_stand_there_is_not_found(running: Api) -> None:
    (decision,) = running.platform.sql("SELECT event_id, from_tick FROM decision_spans ORDER BY from_tick LIMIT 1")
    elsewhere = {"tick": str(decision["from_tick"] + 1)}
    for event_id, where in ((decision["event_id"], elsewhere), (decision["event_id"], {"tick": "999999"}), (drawn_id(), {"tick": "1"})):
        answer = running.get(f"/api/events/{event_id}", params=where)
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_EVENT"), where
    at = {"at": "2026-01-01T00:00:00Z"}
    assert running.get(f"/api/events/{decision['event_id']}", params=at).status_code == 404
    for extreme in ("0075-03-31T12:34:05-22:23", "1969-12-31T23:59:59Z", "9999-12-31T00:00:00Z"):
        assert running.get(f"/api/events/{decision['event_id']}", params={"at": extreme}).status_code == 404, extreme
    assert running.get(f"/api/events/{decision['event_id']}").status_code == 422
    assert running.get(f"/api/events/{decision['event_id']}", params=at | elsewhere).status_code == 422
    assert running.get("/api/events/nothing", params=elsewhere).status_code == 422
