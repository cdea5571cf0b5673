"""Two hundred changed rows a second on one page: an open card, the focus and the pointer are not disturbed.

The page is the real process's application over a proof API that says what the test wants; `make bench` does the same over the whole stack.
Source: R-B3; docs/architecture.md, "The Bots page".
"""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from playwright.sync_api import Browser, Page, expect

from autonomy import clock
from autonomy.values import iso
from bots_ui import build_assets
from bots_ui.app import create_app
from bots_ui.settings import UiSettings
from e2e.conftest import PATIENT_MS

pytestmark = pytest.mark.browser
ROWS, EVERY_S, AT_ONCE = 50, 0.1, 20
STORM_MS = 4_000
PROOF = {"proof": {"status": "fresh", "verdict": "TICKING", "checks": {"planner": "ok"}, "lagRecords": 0}}
WATCH = """() => {
  window.storm = {rows: 0, lost: 0, shown: 0};
  const badge = document.activeElement, tip = badge.closest('.tipped').querySelector('.tip');
  document.addEventListener('autonomy:told', () => {
    window.storm.shown += 1;
    if (document.activeElement !== badge || !badge.isConnected || !tip.matches(':popover-open')) window.storm.lost += 1;
  });
  new MutationObserver((changes) => { window.storm.rows += changes.length; })
    .observe(document.getElementById('rows'), {subtree: true, attributes: true, attributeFilter: ['width']});
}"""


class Storm:
    """A proof API whose rows change all the time once it is told to."""

    def __init__(self) -> None:
        self.rev = 1
        self.blowing = threading.Event()
        began = iso(clock.now())
        self.rows: list[dict[str, Any]] = [
            {
                "botId": f"bot-{number:02d}", "name": f"bot-{number:02d}", "state": "BACKTEST_RUNNING", "since": began, "reasonCode": "ACTIVE_JOB",
                "jobId": f"00000000-0000-5000-8000-0000000000{number:02d}", "jobType": "BACKTEST_BASELINE", "jobStatus": "RUNNING",
                "progress": 0.0, "lastBeatAt": began, "stage": "LAB", "strategy": "sma-cross", "symbol": "IBM", "recency": "none", "rev": 1,
            }
            for number in range(ROWS)
        ]  # fmt: skip

    def app(self) -> FastAPI:
        """Its routes."""
        app = FastAPI()

        @app.get("/api/stream")
        async def stream() -> Response:
            return StreamingResponse(self.events(), media_type="text/event-stream")

        @app.get("/api/bots")
        async def bots() -> Response:
            counts = {"state": {"BACKTEST_RUNNING": ROWS}, "stage": {"LAB": ROWS}, "reason": {}, "recency": {}}
            return answer({"items": self.rows, "rev": self.rev, "counts": counts, "total": ROWS, "matching": ROWS, **PROOF})

        @app.get("/api/_proof/autonomy")
        async def proof() -> Response:
            return answer(PROOF)

        @app.get("/api/promotions")
        async def promotions() -> Response:
            return answer({"items": []})

        return app

    async def events(self) -> AsyncIterator[bytes]:
        """Changed rows in turns, and the proof once a second."""
        turn = 0
        while True:
            if turn % 10 == 0:
                yield b"event: proof\ndata: " + orjson.dumps(PROOF) + b"\n\n"
            if self.blowing.is_set():
                self.rev += 1
                changed = [self.rows[(turn * AT_ONCE + place) % ROWS] for place in range(AT_ONCE)]
                for row in changed:
                    row |= {"progress": (row["progress"] + 0.03) % 1, "lastBeatAt": iso(clock.now()), "rev": self.rev}
                yield b"event: bots\ndata: " + orjson.dumps({"items": changed, "rev": self.rev, "more": False}) + b"\n\n"
            turn += 1
            await asyncio.sleep(EVERY_S)


def answer(document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")


def serve(app: FastAPI) -> tuple[uvicorn.Server, int]:
    """An application on a port of its own, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return server, int(listening.getsockname()[1])


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[tuple[Storm, str]]:
    """The page over such an API; gives its address."""
    build_assets.main()
    key = tmp_path / "session.key"
    key.write_text("k" * 43)
    found = Storm()
    api, api_port = serve(found.app())
    ui, ui_port = serve(create_app(UiSettings(api_url=f"http://127.0.0.1:{api_port}", session_key_file=key)))
    yield found, f"http://127.0.0.1:{ui_port}"
    for server in (ui, api):
        server.should_exit = True


@pytest.fixture
def page(browser: Browser, storm: tuple[Storm, str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENT_MS)
    opened = context.new_page()
    opened.goto(storm[1])
    opened.wait_for_selector("#conn[data-conn=live]")
    opened.wait_for_selector("#head[data-trust=fresh]")
    yield opened
    context.close()


def test_open_card_and_focus_outlive_a_storm_of_rows(page: Page, storm: tuple[Storm, str]) -> None:
    page.locator("#bot-bot-03 th a").focus()
    page.keyboard.press("Tab")
    tip = page.locator("#tip-bot-03")
    expect(tip).to_be_visible()
    page.evaluate(WATCH)
    storm[0].blowing.set()
    page.wait_for_timeout(STORM_MS)
    found = page.evaluate("window.storm")
    print(found)
    assert found["lost"] == 0
    assert found["rows"] >= 150 * STORM_MS / 1000
    # What is open is not yesterday's: the card goes on with the row.
    storm[0].blowing.clear()
    expect(tip).to_contain_text(f"{int(storm[0].rows[3]['progress'] * 100)} %")
    expect(page.locator("#bot-bot-03 .badge")).to_be_focused()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_pointer_in_a_card_is_not_disturbed_by_a_storm(page: Page, storm: tuple[Storm, str]) -> None:
    page.locator("#bot-bot-05 .badge").hover()
    tip = page.locator("#tip-bot-05")
    expect(tip).to_be_visible()
    tip.locator(".lead").hover()
    storm[0].blowing.set()
    page.wait_for_timeout(1_500)
    expect(tip).to_be_visible()
    box = page.locator("#bot-bot-06").bounding_box()
    page.wait_for_timeout(500)
    assert page.locator("#bot-bot-06").bounding_box() == box  # rows do not jump


def test_negative_control_a_row_that_is_put_there_anew_loses_both(page: Page) -> None:
    page.locator("#bot-bot-03 th a").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#tip-bot-03")).to_be_visible()
    page.evaluate(WATCH)
    page.locator("#bot-bot-03").evaluate("(row) => row.replaceWith(row.cloneNode(true))")
    page.wait_for_timeout(2_500)
    assert page.evaluate("window.storm.lost") > 0
