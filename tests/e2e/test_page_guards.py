"""What must do nothing on the page: hostile words in every field, forms from elsewhere, foreign scripts; and looks that must hold.

Over the whole stack, in a real browser. Source: R-B1, R-C2.1; docs/architecture.md, "Security".
"""

import http.server
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect
from typing_extensions import override

from bots_ui.acting.forms import router
from e2e.conftest import NO_WORKERS, ROOT, check_accessibility, say
from support.patience import PATIENCE_S
from support.platform import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.servers]
OpenPage = Callable[..., Page]
HOSTILE = "<img src=/nowhere onerror=\"document.title='taken'\">"
BOT = "zz-hostile"
SHIPPED_POLICY = ROOT / "deploy" / "policy.yaml"
PLACES = (
    "/", f"/?q={BOT}", f"/bots/{BOT}", f"/bots/{BOT}/timeline", f"/bots/{BOT}/trades", "/commands", "/stages", "/timeline", "/runs", "/jobs", "/promotions", "/board", "/policy", "/workers", "/palette",
    "/quarantine", f"/act/release?bot={BOT}", f"/act/unpin?bot={BOT}", f"/act/revert?bot={BOT}", "/act/revert",
)  # fmt: skip
LOOKS = """() => Object.fromEntries([...document.querySelectorAll('#rows .badge')].map((badge) => {
  const style = getComputedStyle(badge);
  return [[...badge.classList].find((name) => name.startsWith('s-')), {
    border: `${style.borderTopStyle} ${style.borderTopWidth === '0px' ? 'none' : 'drawn'}`,
    filled: style.backgroundColor !== 'rgba(0, 0, 0, 0)',
    word: badge.querySelector('.word').textContent, shape: badge.querySelector('use').getAttribute('href'),
    drawn: badge.querySelector('.shape').getBoundingClientRect().width > 0,
  }];
}))"""
EVERY_LOOK = """(shapes) => document.querySelectorAll('#rows > tr').forEach((row, number) => {
  const shape = shapes[number % shapes.length], badge = row.querySelector('.badge');
  badge.className = `badge s-${shape}`;
  row.classList.toggle('quieter', number % 2 === 0);  // a block that nobody here can help is quiet, and a block all the same
  badge.querySelector('use').setAttribute('href', `#shape-${shape}`);
  badge.querySelector('.word').textContent = shape;
})"""
SHAPES = ("backtesting", "queued", "evolving", "running", "stale", "blocked", "idle")


@pytest.fixture
def hostile_fleet(running_stack: Any) -> Iterator[list[str]]:
    """A bot, a hold, a pin, a pause and a policy, each with markup for its words; gives the commands' ids."""
    bot = {"id": BOT, "name": HOSTILE, "strategy": "sma-cross", "symbol": "IBM", "pinned": True, "pin_reason": HOSTILE}
    policy = yaml.safe_load(SHIPPED_POLICY.read_text())
    told = [
        say(running_stack, type="register-bots", bots=[bot], reason=HOSTILE),
        say(running_stack, type="hold-bot", botId=BOT, reason=HOSTILE),
        say(running_stack, type="pin-bot", botId=BOT, reason=HOSTILE),
        say(running_stack, type="cancel-job", jobId="00000000-0000-5000-8000-000000000000", reason=HOSTILE),
        say(running_stack, type="set-policy", document={**policy, "name": HOSTILE}, reason=HOSTILE),
        say(running_stack, type="pause-loop", reason=HOSTILE),
    ]
    yield [one["commandId"] for one in told]
    for command in ({"type": "resume-loop"}, {"type": "retire-bot", "botId": BOT}, {"type": "set-policy", "document": policy}):
        say(running_stack, reason="cleaned", **command)


def test_markup_in_any_field_is_only_words(signed_in: OpenPage, running_stack: Any, told: Any, hostile_fleet: list[str]) -> None:
    page = signed_in(f"/bots/{BOT}")
    expect(page.locator("h1")).to_have_text(HOSTILE)
    expect(page.locator("#head")).to_contain_text(f"by local: {HOSTILE}")
    shown = 0
    for path in (*PLACES, *(f"/commands/{one}" for one in hostile_fleet), f"/?q={urllib.parse.quote(HOSTILE)}"):
        page.goto(running_stack.ui_url + path)
        if path.startswith("/?q"):
            page.locator("#rows .badge, #view .empty").first.click()
        shown += page.locator("#view").inner_text().count("onerror=") > 0
        assert page.locator("img").count() == 0, path
        expect(page).not_to_have_title("taken")
    assert shown >= 10  # the words are there, and harmless
    # They come by the stream too.
    page.goto(f"{running_stack.ui_url}/?q={BOT}")
    page.wait_for_selector("#conn[data-conn=live]")
    say(running_stack, type="release-hold", botId=BOT, reason=HOSTILE)
    expect(page.locator(f"#bot-{BOT} td.now")).not_to_have_attribute("data-v", re.compile("ON_HOLD"))
    expect(page.locator(f"#bot-{BOT} th.bot")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert told.console == []
    assert told.outside == []


def test_policy_of_the_page_refuses_scripts_styles_and_other_origins(open_page: OpenPage, told: Any) -> None:
    """Negative control of every other test that finds no complaint and no request to elsewhere: here there are some."""
    page = open_page()
    assert told.console == []
    page.evaluate(r"""() => {
      const put = (tag, more) => document.body.append(Object.assign(document.createElement(tag), more));
      put('script', {textContent: "document.title = 'taken'"});
      put('div', {innerHTML: "<img src=/nowhere onerror=\"document.title='taken'\"><p style='position:fixed'>"});
      put('img', {src: 'http://elsewhere.example/pixel'});
      fetch('http://elsewhere.example/').catch(() => null);
    }""")

    def refused(word: str) -> bool:
        page.wait_for_timeout(50)
        return any(word in one for one in told.console)

    for word in ("script-src", "style-src", "img-src", "connect-src"):
        wait_for(word, partial(refused, word))
    expect(page).not_to_have_title("taken")


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A page of another origin that sends forms to the stack as soon as it is opened."""

    target = ""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        form = f'<form id="f" method="post" action="{self.target}{path}"><input name="verb" value="pause"><input name="reason" value="taken"></form>'
        body = f"<!doctype html><title>elsewhere</title>{form}<script>document.getElementById('f').submit()</script>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *words: object) -> None:
        """Silence."""


@pytest.fixture
def elsewhere(running_stack: Any) -> Iterator[int]:
    """The port of the other origin; its host is that of the stack, or another name of it."""
    handler = type("Handler", (Elsewhere,), {"target": running_stack.ui_url})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_form_of_another_page_is_refused_though_signed_in(signed_in: OpenPage, elsewhere: int, running_stack: Any, host: str) -> None:
    """From the same host and another port the browser sends the cookie all the same: the origin tells."""
    page = signed_in()
    with page.expect_response(
        lambda response: response.url == f"{running_stack.ui_url}/loop" and response.request.method == "POST"
    ) as told:
        page.goto(f"http://{host}:{elsewhere}/loop")
    assert told.value.status == 403
    # The session was there, and the loop was not touched.
    page.goto(running_stack.ui_url)
    expect(page.locator(".who")).to_contain_text("local")
    expect(page.locator("#verdict")).not_to_have_text("PAUSED")


def test_every_form_is_refused_from_elsewhere(running_stack: Any) -> None:
    paths = [route.path.replace("{verb}", "hold") for route in router.routes if "POST" in getattr(route, "methods", ())]  # type: ignore[attr-defined]
    assert {"/loop", "/sign-in", "/sign-out", "/theme", "/act/revert", "/act/hold"} <= set(paths)
    for path in paths:
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {},
        ):
            request = urllib.request.Request(running_stack.ui_url + path, data=b"verb=pause", headers=headers, method="POST")
            with pytest.raises(urllib.error.HTTPError) as refusal:
                urllib.request.urlopen(request, timeout=PATIENCE_S)
            assert refusal.value.code == 403, (path, headers)
            refusal.value.close()


def test_states_differ_by_word_shape_and_border_in_forced_colours(open_page: OpenPage) -> None:
    """Where the system's few colours replace the page's, seven states are still seven."""
    page = open_page("/", live=False, forced_colors="active", script=NO_WORKERS)  # nothing but this test changes a badge
    page.evaluate(EVERY_LOOK, list(SHAPES))
    looks = page.evaluate(LOOKS)
    assert set(looks) == {f"s-{shape}" for shape in SHAPES}
    assert all(look["drawn"] for look in looks.values())
    assert len({look["shape"] for look in looks.values()}) == len({look["word"] for look in looks.values()}) == len(SHAPES)
    borders = {name: look["border"] for name, look in looks.items()}
    assert (borders["s-blocked"], borders["s-stale"], borders["s-idle"]) == ("double drawn", "dashed drawn", "none none")
    assert {borders[f"s-{name}"] for name in ("backtesting", "queued", "evolving", "running")} == {"solid drawn"}


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [
        "/act/revert", "/act/revert?bot=msft-sma", "/act/pin?bot=aapl-sma", "/act/unpin?bot=ibm-macd", "/act/hold?bot=aapl-sma",
        "/act/release?bot=aapl-sma", "/act/mode?mode=AUTO", "/nowhere", "/bots/no-such-bot", "/?q=no+such+bot",
    ],
)  # fmt: skip
def test_sheet_is_sound(signed_in: OpenPage, told: Any, path: str) -> None:
    """Every form as a page of its own, and the pages that say no."""
    page = signed_in()
    told.console.clear()
    page.goto(page.url.rstrip("/") + path)
    check_accessibility(page)
    for width in (640, 320):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [one for one in told.console if "404" not in one] == []
    assert told.outside == []


@pytest.mark.long
def test_pause_box_is_sound_and_by_keyboard(signed_in: OpenPage) -> None:
    page = signed_in()
    page.get_by_role("button", name="Pause loop").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#pause-reason")).to_be_focused()
    check_accessibility(page)
    page.keyboard.press("Escape")
    expect(page.locator("#pause-box")).to_be_hidden()
