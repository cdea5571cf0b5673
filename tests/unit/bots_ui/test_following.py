"""Lists that are shown are asked for again; a page is told as long as it shows something else; and which bars there are is announced."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autonomy.values import iso
from bots_ui.pages.fleet import view_of, views_of
from bots_ui.pages.lists import shown
from bots_ui.stream.following import is_list, look, token_of
from bots_ui.stream.open_page import Client, Message, View
from support.site import PROOF, Site, api_of

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RELOAD = Message("", "reload")
JOB = {"id": "j", "status": "QUEUED", "lastBeatAt": iso(NOON)}


def a_list(*items: dict[str, Any], as_of: datetime = NOON) -> dict[str, Any]:
    return {"items": list(items), "nextCursor": None, "now": iso(as_of), "proof": {**PROOF, "asOf": iso(as_of)}}


async def told(client: Client, answers: dict[str, Any]) -> list[Message]:
    api, _ = api_of(answers)
    await look(api, [client], RELOAD, lambda at: f"as of {iso(at)}")
    return client.drained()


async def test_page_is_told_when_its_list_says_something_else_and_when_it_does_not() -> None:
    client = Client(View(lists=("/api/jobs?limit=50",), seen=(token_of(a_list(JOB)),)))
    later = NOON + timedelta(seconds=1)
    beat = JOB | {"lastBeatAt": iso(later)}  # a sign of life is no change
    assert await told(client, {"/api/jobs": a_list(beat, as_of=later)}) == [Message(f"as of {iso(later)}")]
    assert await told(client, {"/api/jobs": a_list(JOB | {"status": "RUNNING"})}) == [RELOAD]
    assert await told(client, {"/api/jobs": a_list(JOB | {"status": "RUNNING"}, as_of=later)}) == [Message(f"as of {iso(later)}")]


async def test_page_that_was_rendered_from_something_older_is_told_at_once() -> None:
    """What happened between the rendering and the stream is not lost."""
    client = Client(View(lists=("/api/jobs",), seen=(token_of(a_list(JOB)),)))
    assert await told(client, {"/api/jobs": a_list(JOB | {"status": "SUCCEEDED"})}) == [RELOAD]


async def test_page_that_lost_its_queue_is_compared_with_what_it_was_rendered_from() -> None:
    client = Client(View(lists=("/api/jobs",), seen=(token_of(a_list(JOB)),)))
    running = {"/api/jobs": a_list(JOB | {"status": "RUNNING"})}
    assert await told(client, running) == [RELOAD]
    client.forget()
    assert await told(client, running) == [RELOAD]


@pytest.mark.parametrize("second", [(503, {"title": "Down", "code": "DATABASE_DOWN", "detail": "x"}), None])
async def test_list_that_cannot_be_read_is_not_confirmed_and_stops_no_other(second: Any) -> None:
    both = Client(View(lists=("/api/jobs", "/api/commands"), seen=(token_of(a_list(JOB)), token_of(a_list()))))
    one = Client(View(lists=("/api/jobs",), seen=(token_of(a_list(JOB)),)))
    api, _ = api_of({"/api/jobs": a_list(JOB), "/api/commands": second})
    await look(api, [both, one], RELOAD, lambda at: f"as of {iso(at)}")
    assert both.drained() == []
    assert one.drained() == [Message(f"as of {iso(NOON)}")]


async def test_each_list_is_asked_once_for_all_pages() -> None:
    clients = [Client(View(lists=("/api/jobs",), seen=("x",))) for _ in range(20)]
    api, canned = api_of({"/api/jobs": a_list(JOB)})
    await look(api, clients, RELOAD, str)
    assert len(canned.asked) == 1
    assert all(client.drained() == [RELOAD] for client in clients)


@pytest.mark.parametrize(
    "address",
    [
        "/api/jobs?status=RUNNING&limit=50", "/api/jobs/e39303ef-e302-4875-b19b-357185de971a", "/api/timeline?by=bot&from=2026-11-22T12%3A00%3A00.000Z", "/api/planner/runs", "/api/planner/runs/7/decisions?limit=50", "/api/bots/aapl-sma",
        "/api/bots/aapl-sma/timeline?limit=20", "/api/commands/e39303ef-e302-4875-b19b-357185de971a", "/api/promotions?status=OPEN",
    ],
)  # fmt: skip
def test_lists_of_pages_may_be_followed(address: str) -> None:
    assert is_list(address)


@pytest.mark.parametrize(
    "address",
    ["/api/whoami", "/api/stream", "/metrics", "http://elsewhere.example/api/jobs", "/api/jobs/../whoami", "/api/jobs?q=\x00", "/api/jobs?" + "x" * 900, ""],
)  # fmt: skip
def test_nothing_else_may_be_followed(address: str) -> None:
    assert not is_list(address)


def test_pages_of_one_browser_are_told_apart() -> None:
    found = views_of([("view", "p1.list=%2Fapi%2Fjobs&seen=abc"), ("view", "p2.bots=a,b&rev=7"), ("view", "nonsense")])
    assert found == {"p1": view_of([("list", "/api/jobs"), ("seen", "abc")]), "p2": view_of([("bots", "a,b"), ("rev", "7")])}
    assert len(views_of([("view", f"p{number}.rev=1") for number in range(100)])) == 32


async def test_every_list_says_as_of_when_and_is_followed(site: Site) -> None:
    site.be_fresh()
    for path, api_path in (
        ("/jobs", "/api/jobs"), ("/runs", "/api/planner/runs"), ("/stages", "/api/stage-events"), ("/commands", "/api/commands"),
        ("/quarantine", "/api/quarantine"), ("/promotions", "/api/promotions"), ("/bots/a/timeline", "/api/bots/a/timeline"),
        ("/bots/a/trades", "/api/bots/a/trades"),
    ):  # fmt: skip
        site.answer({api_path: a_list(), "/api/_proof/jobs": a_list()})
        html = (await site.get(path)).text
        assert f'data-as-of="{iso(NOON)}"' in html, path
        assert f"list={api_path.replace('/', '%2F')}" in html, path
        assert html.count('id="as-of"') == 1, path


def test_page_without_an_answer_knows_no_age() -> None:
    api_answer: Any = None
    assert shown(("/api/jobs", (), api_answer))["as_of"] is None
