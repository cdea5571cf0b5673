"""The picture of a stretch of time: what is drawn of a document, how it is sent to open pages, and what it says when there is nothing."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from autonomy.values import iso, ms_of
from bots_ui.shown.lanes import MOST_ROWS
from bots_ui.shown.picture import picture_of
from bots_ui.shown.stretch import UNITS
from bots_ui.shown.strip import LEAST, STUB
from bots_ui.shown.window import MARKS, MOST_S, Window
from bots_ui.stream.hours import Hours
from bots_ui.stream.open_page import Client, View
from support.site import HOSTILE, PROOF, Site, api_of, show

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def at(minutes: float) -> str:
    return iso(NOON + timedelta(minutes=minutes))


def a_bar(minute: float, tick: int, enqueued: int, cause: str = "SCHEDULED", paused: int = 0) -> dict[str, Any]:
    causes = [{"cause": cause, "ticks": 1, "enqueued": enqueued}]
    return {"at": at(minute), "firstTick": tick, "lastTick": tick, "ticks": 1, "enqueued": enqueued, "paused": paused, "causes": causes}


def a_block(
    number: int, queued: float, started: float | None, ended: float | None, status: str | None = "SUCCEEDED", **more: Any
) -> dict[str, Any]:
    return {
        "jobId": f"e39303ef-e302-4875-b19b-{number:012d}", "botId": "aapl-sma", "jobType": "BACKTEST_REFRESH", "attempt": 1, "queuedAt": at(queued),
        "startedAt": None if started is None else at(started), "endedAt": None if ended is None else at(ended), "status": status, "cause": None,
    } | more  # fmt: skip


def a_lane(*blocks: dict[str, Any], key: str = "sma-cross", folded: int = 0, told: bool = True) -> dict[str, Any]:
    counts = {"queued": [0] * 240, "running": [1] * 120 + [0] * 120, "failures": [0] * 239 + [2]}
    return {"key": key, "folded": folded, "jobs": len(blocks), "failed": 0, **counts, "blocks": list(blocks) if told else None}


def a_document(**parts: Any) -> dict[str, Any]:
    totals = {"ticks": 2, "enqueued": 4, "missing": 0, "jobs": 1, "succeeded": 1, "failed": 0, "moved": 0}
    return {
        "fromAt": at(0), "toAt": at(60), "knownUntil": at(60), "firstTickAt": at(-600), "by": "strategy", "stepSec": 15, "steps": 240,
        "ticksFolded": False, "bars": [], "silences": [], "moves": [], "lanes": [], "totals": totals, "now": at(60), "proof": {**PROOF, "asOf": at(60)},
    } | parts  # fmt: skip


def drawn(**parts: Any) -> Any:
    picture = picture_of(a_document(**parts), small=False)
    assert picture is not None
    return picture


def test_bar_is_as_high_as_what_its_tick_enqueued_and_one_without_a_job_is_still_seen() -> None:
    picture = drawn(bars=[a_bar(0, 1, 0), a_bar(15, 2, 1), a_bar(30, 3, 5, "COMMAND"), a_bar(45, 4, 10, "LEASE")])
    heights = [bar.pieces[-1].high for bar in picture.bars]
    whole = picture.frame.ground - picture.frame.top
    assert heights == [STUB, max(LEAST, whole / 10), whole / 2, whole]
    assert [bar.x for bar in picture.bars] == [0, 2_500, 5_000, 7_500]
    assert [bar.href for bar in picture.bars] == ["/runs/1", "/runs/2", "/runs/3", "/runs/4"]


def test_bar_of_a_step_has_a_piece_for_each_cause_and_leads_closer() -> None:
    causes = [{"cause": "SCHEDULED", "ticks": 3, "enqueued": 2}, {"cause": "CAPACITY", "ticks": 9, "enqueued": 6}]
    row = {"at": at(10.1), "firstTick": 5, "lastTick": 16, "ticks": 12, "enqueued": 8, "paused": 0, "causes": causes}
    (bar,) = drawn(bars=[row], ticksFolded=True, stepSec=600).bars
    whole = 66
    assert [(piece.cause, piece.low, piece.high) for piece in bar.pieces] == [("SCHEDULED", 0, whole / 4), ("CAPACITY", whole / 4, whole)]
    assert bar.href.startswith("/timeline?from=2026-11-22T12%3A10%3A00.000Z&to=2026-11-22T12%3A20%3A00.000Z")
    assert "12 ticks" not in bar.words
    assert "Ticks 5 to 16" in bar.words


def test_pause_reaches_from_its_first_tick_to_the_next_one_without() -> None:
    bars = [a_bar(0, 1, 1), a_bar(15, 2, 0, paused=1), a_bar(30, 3, 0, paused=1), a_bar(45, 4, 1)]
    assert drawn(bars=bars).pauses == ((2_500, 5_000),)
    assert drawn(bars=bars[:3]).pauses == ((2_500, 7_500),)


def silence(start: float, end: float, missing: int) -> dict[str, Any]:
    return {"afterTick": 1, "fromAt": at(start), "beforeTick": 2, "toAt": at(end), "missing": missing, "intervalSec": 60.0}


def test_names_of_gaps_cover_no_other_and_the_longer_gap_has_its_own() -> None:
    gaps = drawn(silences=[silence(10, 12, 1), silence(12.5, 20, 7), silence(40, 44, 3), silence(58, 60, 1)]).gaps
    assert [(gap.named, gap.anchor) for gap in gaps] == [(False, "middle"), (True, "middle"), (True, "middle"), (True, "end")]
    assert [gap.words for gap in gaps] == ["1 tick missing", "7 ticks missing", "3 ticks missing", "1 tick missing"]


def test_job_waits_in_outline_and_runs_filled_in_a_row_of_its_own_where_others_are() -> None:
    blocks = [
        a_block(1, 0, 15, 30),
        a_block(2, 10, 40, None, "RUNNING"),
        a_block(3, 31, None, None, "QUEUED"),
        a_block(4, 50, 51, 55, "FAILED"),
    ]
    (lane,) = drawn(lanes=[a_lane(*blocks)]).lanes
    places = [(block.wait, block.wait_width, block.run, block.run_width, block.y, block.end) for block in lane.blocks]
    assert places == [
        (0, 2_500, 2_500, 2_500, 0, "done"), (1_667, 5_000, 6_667, 3_333, 9, "live"), (5_167, 4_833, 10_000, 0, 0, "live"),
        (8_333, 167, 8_500, 667, 18, "failed"),
    ]  # fmt: skip
    assert [bool(block.mark) for block in lane.blocks] == [False, False, False, True]
    left = drawn(lanes=[a_lane(a_block(1, 5, 6, 9, None, cause="LEASE_EXPIRED"))]).lanes[0].blocks[0]
    assert left.end == "left"
    assert "given back (LEASE_EXPIRED)" in left.words


def test_lane_folds_where_too_many_overlap_or_are_not_told() -> None:
    many = [a_block(number, 0, 1, 50) for number in range(MOST_ROWS + 1)]
    folded, told, untold = drawn(lanes=[a_lane(*many), a_lane(*many[:-1]), a_lane(told=False, folded=9_976)]).lanes
    assert (folded.blocks, untold.blocks) == (None, None)
    assert len(told.blocks or ()) == MOST_ROWS
    assert untold.label == "9,976 more strategies"
    assert folded.running.startswith("M0 26H0V0")  # at most one ran at once: the whole height
    assert folded.running.endswith(f"H{UNITS}V26Z")
    assert [count for _, count in folded.failures] == [2]


def test_summary_has_the_counts_in_words() -> None:
    totals = {"ticks": 61, "enqueued": 1, "missing": 3, "jobs": 12, "succeeded": 9, "failed": 2, "moved": 1}
    assert drawn(totals=totals).summary == (
        "12:00:00 to 13:00:00 UTC: 61 ticks, 3 ticks missing; 1 job enqueued; 12 jobs waited or ran, 9 succeeded, 2 failed; 1 change of stage."
    )


def test_window_leads_to_bounded_windows_only_and_its_parts_are_the_whole() -> None:
    random = Random(2)
    for _ in range(500):
        start = ms_of(NOON) + random.randint(0, 10**9)
        window = Window(start, start + random.randint(10_000, MOST_S * 1000), "bot")
        for address in (window.zoomed(0.5), window.zoomed(2), window.moved(-0.5), window.around(NOON, NOON + timedelta(days=3))):
            begin, end = (datetime.fromisoformat(part.split("=")[1].replace("%3A", ":")) for part in address.split("?")[1].split("&")[:2])
            assert 60 <= (end - begin).total_seconds() <= MOST_S
        parts = list(window.parts(24))
        assert sum(width for _, width, _, _ in parts) == UNITS
        assert len(window.marks()) <= MARKS + 1


@pytest.mark.parametrize("small", [False, True])
def test_document_that_says_nothing_draws_nothing(small: bool) -> None:
    assert picture_of({}, small=small) is None
    picture = picture_of(a_document(totals={}), small=small)
    assert picture is not None
    assert picture.nothing.startswith("Nothing happened")


async def test_pages_with_the_same_lanes_share_a_question_and_a_drawing() -> None:
    clients = [Client(View(timeline="bot")) for _ in range(5)] + [Client(View(timeline="fleet")), Client(View())]
    api, canned = api_of({"/api/timeline": lambda request: (200, {"by": request.url.params["by"]})})
    hours, rendered = Hours(), list[str]()

    def render(document: Any) -> str:
        rendered.append(document["by"])
        return f"<{document['by']}>"

    for _ in range(2):  # the small one is drawn every other time
        await hours.draw(api, clients, render)
    assert rendered == ["bot", "bot", "fleet"]
    assert [request.url.params["by"] for request in canned.asked] == ["bot", "fleet"]
    assert [[message.html for message in client.drained()] for client in clients] == [["<bot>", "<bot>"]] * 5 + [["<fleet>"], []]


async def test_picture_that_is_not_told_takes_nothing_away() -> None:
    client = Client(View(timeline="bot"))
    api, _ = api_of({"/api/timeline": (503, {"title": "Down", "code": "DATABASE_DOWN", "detail": "x"})})
    await Hours().draw(api, [client], lambda document: "<drawn>" if document else "")
    assert client.drained() == []


async def test_page_is_live_for_the_last_hour_and_follows_any_other(site: Site) -> None:
    site.be_fresh()
    document = a_document(bars=[a_bar(1, 7, 2)], lanes=[a_lane(a_block(1, 0, 1, 2))])
    html = await show(site, {"/api/timeline": document}, "/timeline?by=worker")
    assert 'data-live="/live?timeline=worker"' in html
    assert 'id="tick-7"' in html
    past = await show(site, {"/api/timeline": document}, f"/timeline?from={at(0)}&to=2026-11-22T13:00:00&by=nonsense")
    assert "list=%2Fapi%2Ftimeline%3Fby%3Dstrategy%26from%3D2026-11-22T12" in past
    assert "Back to the last hour" in past


async def test_page_says_why_there_is_no_picture(site: Site) -> None:
    site.be_fresh()
    refusal = {"title": "A value is refused", "code": "BAD_INPUT", "detail": "from: the window has 10 to 86400 s"}
    html = await show(site, {"/api/timeline": (422, refusal)}, "/timeline?from=2026-11-22T12:00:00&to=2026-11-25T12:00:00")
    assert "Nothing can be shown" in html
    assert "10 to 86400 s" in html
    assert "cannot be shown now" in await show(site, {"/api/bots": {"items": [], "proof": PROOF}}, "/")


async def test_names_in_the_picture_are_only_words(site: Site) -> None:
    site.be_fresh()
    moves = [
        {
            "at": at(5),
            "tick": 3,
            "fromStage": None,
            "toStage": HOSTILE,
            "reasonCode": HOSTILE,
            "bots": 1,
            "botId": HOSTILE,
            "commandId": None,
        }
    ]
    hostile = a_document(
        by="bot",
        bars=[a_bar(1, 7, 2, HOSTILE)],
        lanes=[a_lane(a_block(1, 0, 1, 2, cause=HOSTILE, botId=HOSTILE), key=HOSTILE)],
        moves=moves,
    )
    html = await show(site, {"/api/timeline": hostile}, "/timeline?by=bot")
    assert "&lt;img" in html
    assert "<img" not in html
