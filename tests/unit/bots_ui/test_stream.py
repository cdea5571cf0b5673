"""One listener, bounded queues, a fresh picture after an overflow or a gap."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson

from autonomy import clock
from autonomy.values import iso
from bots_ui.api.client import ApiEvent, EventReader
from bots_ui.shown.facts import Facts, Link
from bots_ui.stream.hub import RELOAD, Hub, events
from bots_ui.stream.open_page import QUEUE_MESSAGES, Client, Message, View
from bots_ui.stream.renderers import Renderers


class Silent:
    """An API that is never asked."""


def a_hub() -> tuple[Hub, list[str]]:
    """A hub that is connected, and the rows that it rendered."""
    rendered: list[str] = []

    def row(document: Mapping[str, object], facts: Facts, left: bool) -> str:
        rendered.append(str(document["botId"]))
        return f"<row {document['botId']} {document['state']}{' left' if left else ''}{'' if facts.fresh else ' grey'}>"

    api: Any = Silent()
    hub = Hub(
        api,
        Renderers(
            row,
            lambda facts: f"<head {facts.trust}>",
            lambda counts: "<counts>",
            lambda count: f"<outside {count}>",
            str,
            lambda at: f"<as of {iso(at)}>",
            lambda document: f"<timeline {document}>" if document else "",
            lambda facts: f"<queue {facts.queue.needed}>",
        ),
    )
    hub.link = Link({"proof": {"status": "fresh"}}, clock.now(), None, "")
    hub.rev = hub.floor = 5
    return hub, rendered


def a_row(bot: str = "aapl-sma", state: str = "IDLE", rev: int = 6, **more: Any) -> dict[str, Any]:
    return {"botId": bot, "state": state, "stage": "LAB", "reasonCode": "NOTHING_DUE", "recency": "none", "rev": rev} | more


def rows(*items: dict[str, Any], more: bool = False) -> ApiEvent:
    return ApiEvent("bots", {"items": list(items), "rev": max(item["rev"] for item in items), "more": more})


def joined(hub: Hub, view: View) -> Client:
    client = Client(view)
    hub.clients.add(client)
    return client


def read(sent: bytes) -> dict[str, Any]:
    """One server-sent event of one line."""
    assert sent.startswith(b"data: ")
    assert sent.endswith(b"\n\n")
    assert sent.count(b"\n") == 2
    found: dict[str, Any] = orjson.loads(sent.removeprefix(b"data: "))
    return found


def told(client: Client) -> list[Message]:
    return [client.queue.get_nowait() for _ in range(client.queue.qsize())]


def test_each_change_is_rendered_once_for_all_pages() -> None:
    hub, rendered = a_hub()
    clients = [joined(hub, View(bots=("aapl-sma",))) for _ in range(10)]
    hub.take_rows(rows(a_row(state="BACKTEST_RUNNING")))
    assert rendered == ["aapl-sma"]
    assert {message.html for client in clients for message in told(client)} == {"<row aapl-sma BACKTEST_RUNNING>"}


def test_page_hears_only_of_rows_that_it_shows() -> None:
    hub, _ = a_hub()
    client = joined(hub, View(bots=("ibm-rsi",)))
    hub.take_rows(rows(a_row()))
    assert told(client) == []


def test_row_that_no_longer_matches_stays_and_says_so() -> None:
    hub, _ = a_hub()
    client = joined(hub, View(bots=("aapl-sma",), wanted={"state": ("IDLE",)}))
    hub.take_rows(rows(a_row(state="BACKTEST_RUNNING")))
    assert [message.html for message in told(client)] == ["<row aapl-sma BACKTEST_RUNNING left>"]


def test_changes_outside_the_view_are_counted_not_inserted() -> None:
    hub, _ = a_hub()
    client = joined(hub, View(bots=("ibm-rsi",), wanted={"state": ("IDLE",)}, counts=True))
    hub.take_rows(rows(a_row("aapl-sma"), a_row("goog-sma"), a_row("msft-sma", "BACKTEST_RUNNING")))
    hub.take_rows(rows(a_row("aapl-sma", rev=7)))
    assert [message.html for message in told(client)] == ["<outside 1>\n<outside 2>"]


def test_slow_page_loses_its_queue_and_is_told_everything_anew() -> None:
    client = Client(View())
    for number in range(QUEUE_MESSAGES + 1):
        client.offer(Message(str(number)))
    assert client.overflowed
    assert client.queue.empty()


def test_negative_control_a_page_that_keeps_up_loses_nothing() -> None:
    client = Client(View())
    for number in range(QUEUE_MESSAGES):
        client.offer(Message(str(number)))
    assert not client.overflowed
    assert client.queue.qsize() == QUEUE_MESSAGES


def test_gap_in_the_revisions_makes_pages_fetch_themselves() -> None:
    for event in (rows(a_row(rev=9), more=True), rows(a_row(rev=2))):
        hub, _ = a_hub()
        client = joined(hub, View(bots=("aapl-sma",), rev=5))
        hub.take_rows(event)
        assert [message.event for message in told(client)] == [RELOAD]
        assert hub.floor == event.document["rev"]


def test_new_page_gets_what_changed_since_it_was_rendered() -> None:
    hub, _ = a_hub()
    hub.take_rows(rows(a_row("aapl-sma", rev=6), a_row("ibm-rsi", rev=7)))
    picture = hub.picture(View(bots=("aapl-sma", "ibm-rsi"), rev=6))
    assert [message.html for message in picture] == ["<head fresh>", "<row ibm-rsi IDLE>"]


def test_page_older_than_this_process_fetches_itself() -> None:
    hub, _ = a_hub()
    assert hub.picture(View(bots=("aapl-sma",), rev=4))[-1].event == RELOAD
    assert all(message.event != RELOAD for message in hub.picture(View(bots=("aapl-sma",), rev=5)))


def test_place_in_line_survives_a_change_that_does_not_tell_it() -> None:
    hub, _ = a_hub()
    hub.learn([a_row(state="BACKTEST_QUEUED", jobId="j", jobStatus="QUEUED", place=2)])
    hub.take_rows(rows(a_row(state="BACKTEST_QUEUED", jobId="j", jobStatus="QUEUED", rev=7)))
    assert hub.rows["aapl-sma"]["place"] == 2
    hub.take_rows(rows(a_row(state="BACKTEST_RUNNING", jobId="j", jobStatus="RUNNING", rev=8)))
    assert "place" not in hub.rows["aapl-sma"]
    assert hub.places_due


def test_older_fetch_never_replaces_a_newer_change() -> None:
    hub, _ = a_hub()
    hub.take_rows(rows(a_row(state="BACKTEST_RUNNING", rev=9)))
    hub.learn([a_row(state="IDLE", rev=6)])
    assert hub.rows["aapl-sma"]["state"] == "BACKTEST_RUNNING"


def test_silent_heartbeat_is_shown_without_any_event() -> None:
    hub, rendered = a_hub()
    client = joined(hub, View(bots=("aapl-sma",)))
    beat = iso(clock.now() - timedelta(seconds=22))
    hub.remember(a_row(state="BACKTEST_RUNNING", jobId="j", jobStatus="RUNNING", lastBeatAt=beat))
    hub._sweep()
    hub._sweep()
    assert rendered == ["aapl-sma"]
    assert len(told(client)) == 1


def test_lost_api_is_said_at_once_and_greys_the_rows() -> None:
    hub, _ = a_hub()
    client = joined(hub, View(bots=("aapl-sma",)))
    hub._lose("no connection")
    assert [message.html for message in told(client)] == ["<head unreachable>"]
    hub.say_rows([a_row()])
    assert "grey" in told(client)[0].html


async def test_stream_of_a_page_ends_with_the_process() -> None:
    hub, _ = a_hub()
    stream = events(hub, {"p1": View()})
    assert read(await anext(stream))["html"] == "<head fresh>"
    assert len(hub.clients) == 1
    hub.stopping.set()
    assert [part async for part in stream] == []
    assert not hub.clients


def test_message_of_many_lines_is_one_event() -> None:
    assert read(Message("<a>\n\n<b>").encode(7, "p1")) == {"to": "p1", "now": 7, "event": "", "html": "<a>\n\n<b>"}
    assert read(Message("", RELOAD).encode(7)) == {"to": "", "now": 7, "event": "reload", "html": ""}


def test_event_reader_takes_lines_as_they_come() -> None:
    reader = EventReader()
    found = [reader.feed(line) for line in ("event: bots", 'data: {"rev":', "data: 7}", "", ": comment", "")]
    assert [event for event in found if event] == [ApiEvent("bots", {"rev": 7})]


async def test_sign_of_life_alone_does_not_fetch_a_whole_page_again() -> None:
    hub, _ = a_hub()
    client = Client(View(("aapl-sma",), whole=True))
    hub.clients.add(client)
    hub.take_rows(rows(a_row(rev=6, lastBeatAt="a", progress=0.1)))
    assert client.queue.get_nowait().event == RELOAD
    hub.take_rows(rows(a_row(rev=7, lastBeatAt="b", progress=0.1)))
    assert client.queue.empty()
    hub.take_rows(rows(a_row(rev=8, lastBeatAt="c", progress=0.2)))
    assert client.queue.get_nowait().event == RELOAD


def is_due(hub: Hub) -> bool:
    """Asked anew: a type checker remembers what an attribute was."""
    return hub.waiting_due


async def test_waiting_promotions_are_asked_for_when_one_comes_or_goes() -> None:
    hub, _ = a_hub()
    hub.waiting_due = False
    hub.take_rows(rows(a_row(rev=6)))
    hub.waiting_due = False
    hub.take_rows(rows(a_row(rev=7, state="BACKTEST_RUNNING")))
    assert not hub.waiting_due
    hub.take_rows(rows(a_row(rev=8, recommendationId="r")))
    assert is_due(hub)
    assert hub.waiting_words() == ""
    hub.waiting = 3
    assert hub.waiting_words() == "3"
    hub.waiting = 0
    assert hub.waiting_words() == ""


async def test_fault_in_one_task_of_the_hub_silences_no_page() -> None:
    """The first beat fails; the page is told to fetch itself, and hears the beats that follow."""
    hub, _ = a_hub()
    beaten: list[str] = []

    def head(facts: Facts) -> str:
        beaten.append(facts.trust)
        if len(beaten) == 1:
            raise KeyError("a template that breaks once")
        return "<head>"

    hub.render = replace(hub.render, head=head)
    client = joined(hub, View(bots=("aapl-sma",)))
    running = asyncio.create_task(hub.keep(hub.beat))
    async with asyncio.timeout(20):
        heard: list[Message] = []
        while len(heard) < 2:
            await client.wake.wait()
            client.wake.clear()
            heard += client.drained()
    running.cancel()
    assert [message.event for message in heard[:1]] == [RELOAD]
    assert heard[1].html == "<head>"
