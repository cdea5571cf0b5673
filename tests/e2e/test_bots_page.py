"""The Bots page in a real browser, over the whole stack.

Source: R-B1 to R-B3, R-A1.3; docs/architecture.md, "The Bots page".
"""

import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from e2e.conftest import NO_WORKERS, PATIENT_MS
from support.patience import PATIENCE_S
from support.wire import Wire

pytestmark = [pytest.mark.browser, pytest.mark.servers]
OpenPage = Callable[..., Page]
WORDS = re.compile("Backtesting|Queued|Evolving|Running|Starting|Stale|Blocked|Idle")
WATCH_BADGES = """() => {
  window.seen = [];
  new MutationObserver((changes) => {
    for (const change of changes) {
      const row = change.target.closest('tr[id^=bot-]');
      const age = row?.querySelector('td.now .lane > .age time');
      if (age) window.seen.push({bot: row.id, state: row.dataset.state, latency_ms: Date.now() - Date.parse(age.dateTime)});
    }
  }).observe(document.getElementById('rows'), {subtree: true, attributes: true, attributeFilter: ['data-state']});
}"""


def test_live_badges_change_without_a_reload(open_page: OpenPage) -> None:
    """The fleet has just been registered, so its backtests start and end while the page is open."""
    page = open_page()
    page.evaluate("window.kept = true")
    page.evaluate(WATCH_BADGES)
    deadline = time.monotonic() + PATIENCE_S
    seen: list[dict[str, Any]] = []
    # The policy forbids eval, and with it a browser's own waiting for an expression.
    while not {"BACKTEST_RUNNING", "IDLE"} <= {one["state"] for one in seen} and time.monotonic() < deadline:
        page.wait_for_timeout(200)
        seen = page.evaluate("window.seen")
    assert page.evaluate("window.kept") is True
    latencies = sorted(one["latency_ms"] for one in seen if one["state"] == "BACKTEST_RUNNING")
    print("badge latency from the claim's append time to the screen, ms:", latencies)
    assert latencies[0] < 2_000
    running = page.locator("tr[data-state=BACKTEST_RUNNING] .badge").first
    expect(running).to_contain_text(re.compile(r"Backtesting\s*\d+ %"), timeout=PATIENT_MS)


def test_every_bot_has_a_badge_with_a_shape_and_a_word(open_page: OpenPage) -> None:
    page = open_page()
    badges = page.locator("#rows .badge")
    expect(badges).to_have_count(30)
    for index in range(30):
        expect(badges.nth(index)).to_contain_text(WORDS)
    assert page.locator("#rows .badge use[href^='#shape-']").count() == 30
    expect(page.locator("#rows .pill").first).to_contain_text(re.compile("Backtest: fresh|Backtest: stale|No baseline"))
    expect(page.locator("#head")).to_contain_text("replay market")
    expect(page.locator("#head")).to_contain_text("5 symbols, daily, to 2013-03-01")
    expect(page.locator("#head .market abbr")).to_have_attribute("title", re.compile("bokeh-sampledata/stocks.csv.gz"))


def test_counts_filter_and_live_in_the_address(open_page: OpenPage, running_stack: Any) -> None:
    page = open_page()
    page.locator("a.chip.s-blocked").click()
    expect(page).to_have_url(f"{running_stack.ui_url}/?state=BLOCKED_BY_GATES")
    count = int(page.locator("#n-state-BLOCKED_BY_GATES").inner_text())
    expect(page.locator("#rows > tr")).to_have_count(count)
    page.locator("a.chip", has_text="LIVE").click()
    expect(page).to_have_url(re.compile("state=BLOCKED_BY_GATES&stage=LIVE"))
    expect(page.locator("#rows > tr")).to_have_count(2)
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("#rows > tr")).to_have_count(30)
    page.locator(".why a").first.click()
    expect(page).to_have_url(re.compile("reason=[A-Z_]+$"))


def test_search_keeps_the_page_and_its_address(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("ibm-r")
    expect(page.locator("#rows > tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?q=ibm-r$"))
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#conn")).to_have_attribute("data-conn", "live")
    page.locator("#q").fill("no such bot")
    expect(page.locator("#view")).to_contain_text("Nothing matches")


def test_card_by_keyboard_and_escape(open_page: OpenPage) -> None:
    page = open_page("/?q=msft-sma")
    page.locator("#bot-msft-sma th a").focus()
    page.keyboard.press("Tab")
    badge, tip = page.locator("#bot-msft-sma .badge"), page.locator("#tip-msft-sma")
    expect(badge).to_be_focused()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("UNVERIFIED_IMPORT")
    expect(tip).to_contain_text("revert the bot to LAB")
    page.wait_for_timeout(2500)  # it outlives the live updates of two and a half seconds
    expect(tip).to_be_visible()
    page.keyboard.press("Tab")
    expect(tip.get_by_role("link")).to_be_focused()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_card_by_hover_can_be_entered(open_page: OpenPage) -> None:
    page = open_page("/?q=msft-sma")
    tip = page.locator("#tip-msft-sma")
    page.locator("#bot-msft-sma .badge").hover()
    expect(tip).to_be_visible()
    tip.locator("table").hover()
    page.wait_for_timeout(600)
    expect(tip).to_be_visible()
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()


def test_card_by_touch(open_page: OpenPage) -> None:
    page = open_page("/?q=msft-sma", width=390, height=800, has_touch=True)
    page.locator("#bot-msft-sma .badge").tap()
    expect(page.locator("#tip-msft-sma")).to_be_visible()
    page.locator("#bot-msft-sma .badge").tap()
    expect(page.locator("#tip-msft-sma")).to_be_hidden()


@pytest.mark.parametrize(
    "path",
    [
        "/", "/bots/msft-sma", "/bots/aapl-sma/timeline", "/bots/aapl-sma/trades", "/bots/aapl-sma/bars", "/promotions", "/jobs", "/timeline", "/runs", "/runs/2",
        "/commands", "/stages", "/quarantine", "/sign-in", "/bots/aapl-sma",  # the last: its first backtest is over by then
    ],
)  # fmt: skip
def test_page_is_sound(open_page: OpenPage, told: Any, path: str) -> None:
    """No accessibility violation in light or dark, no overflow at 320 pixels, no complaint, no request to elsewhere."""
    page = open_page(path, warm=True, color_scheme="light")
    if path == "/":
        page.locator("#bot-msft-sma .badge").click()
        expect(page.locator("#tip-msft-sma")).to_be_visible()
    if path == "/bots/aapl-sma":
        read_the_chart(page)
    everything = Axe().run(page)
    assert everything.violations_count == 0, everything.generate_report()
    page.emulate_media(color_scheme="dark")
    # Only colours differ in the dark.
    colours = Axe().run(page, options={"runOnly": ["color-contrast"]})
    assert colours.violations_count == 0, colours.generate_report()
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert told.console == []
    assert told.outside == []


def read_the_chart(page: Page) -> None:
    """The cursor says the row of the table where it stands, by keys and by pointer, over all boxes of the chart."""
    chart = page.locator("[data-plot]").last
    slide, said, rows = chart.locator(".slide"), chart.locator("[data-cursor]"), chart.locator("[data-points] tbody tr")
    expect(slide).to_be_visible(timeout=PATIENT_MS)  # the first backtest is over
    slide.focus()
    page.keyboard.press("ArrowLeft")
    row = rows.nth(-2).locator("th, td").all_text_contents()
    expect(said).to_have_text(f"{row[0]} · close {row[1]} · account {row[2]} · buy and hold {row[3]} · drawdown {row[4]}")
    expect(slide).to_have_attribute("aria-valuetext", said.text_content() or "")
    box = chart.locator(".axes .plot").bounding_box()
    assert box is not None
    for height in (0.1, 0.5, 0.8):
        page.mouse.move(box["x"] + 1, box["y"] + height * box["height"])
        expect(said).to_contain_text(f"{rows.first.locator('th').text_content()} · close")
    expect(chart.locator(".at-cursor")).to_have_attribute("visibility", "visible")


WORN_ON_CELLS = (
    *(f"badge s-{shape}" for shape in ("backtesting", "queued", "evolving", "running", "stale", "blocked", "idle", "unknown")),
    "badge s-idle silent", "extra", "age", "second", "pill", "dim", "bad", "warn-text", "waits", "left-note", "mono", "num",
)  # fmt: skip
"""Every look that a text in a table can have."""
CHANGE_EVERY_CELL = """(looks) => {
  const cells = [...document.querySelectorAll('#rows > tr:nth-child(-n+2) > td[data-v]')];
  for (const cell of cells.filter((one) => one.matches('.now, .stage'))) {
    for (const look of looks) {
      const text = document.createElement('span');
      text.className = look;
      text.textContent = 'read me';
      cell.append(text);
    }
  }
  for (const cell of cells) cell.dataset.v += '/changed';
  document.querySelector('#rows > tr').classList.add('left');
}"""
MOMENT = """(ms) => {
  const found = document.getAnimations().filter((one) => one.effect.target.matches('td[data-v]'));
  for (const animation of found) animation.currentTime = ms;
  return new Set(found.map((one) => one.effect.target)).size;
}"""


def contrast_faults(page: Page, ms: int) -> int:
    """Texts of the two first rows that are too weak on a cell that changed so many milliseconds ago; their cells are all warm."""
    assert page.evaluate(MOMENT, ms) >= 8
    return sum(
        len(found["nodes"])
        for found in Axe().run(page, context="#rows > tr:nth-child(-n+2)", options={"runOnly": ["color-contrast"]}).response["violations"]
    )


def test_changed_cell_is_readable_while_it_is_warm(open_page: OpenPage) -> None:
    """At every moment, light and dark, also in a row that no longer matches; with the warmth of before it was not."""
    page = open_page("/", live=False, warm=True, script=NO_WORKERS)  # nothing but this test changes a cell
    page.evaluate(CHANGE_EVERY_CELL, list(WORN_ON_CELLS))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert {ms: contrast_faults(page, ms) for ms in (0, 300)} == {0: 0, 300: 0}, scheme
    # Negative control.
    page.locator("html").evaluate("(root) => root.style.setProperty('--warm', 'light-dark(#fff3c4, #4a4020)')")
    page.evaluate("document.querySelectorAll('td[data-v]').forEach((cell) => { cell.dataset.v += '/again'; })")
    assert contrast_faults(page, 0) > 0


def test_reading_works_without_scripts(open_page: OpenPage) -> None:
    page = open_page("/?state=BLOCKED_BY_GATES", live=False, java_script_enabled=False)
    expect(page.locator("#rows > tr").first).to_be_visible()
    expect(page.locator("noscript p, p.notice").first).to_contain_text("load it again")
    page.locator("#rows .badge").first.click()
    expect(page.locator("#rows .tip").first).to_be_visible()


def test_pause_and_resume_through_sign_in(open_page: OpenPage, running_stack: Any) -> None:
    page = open_page()
    expect(page.get_by_role("button", name="Pause loop")).to_be_disabled()
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").first).to_contain_text("Invalid operator token")
    page.get_by_label("Token").fill(running_stack.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".who")).to_contain_text("local")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert running_stack.token not in cookie["value"]
    page.wait_for_selector("#conn[data-conn=live]")
    page.get_by_role("button", name="Pause loop").click()
    page.locator("#pause-reason").fill("a look at <b>this</b>")
    page.keyboard.press("Enter")
    expect(page.locator(".notice.done")).to_contain_text("The loop is paused by local")
    expect(page.locator("#verdict")).to_have_text("PAUSED")
    expect(page.locator("#head")).to_contain_text("by local: a look at <b>this</b>")
    page.get_by_role("button", name="Resume loop").click()
    page.locator("#resume-reason").fill("seen")
    page.keyboard.press("Enter")
    expect(page.locator(".notice.done")).to_contain_text("The loop is resumed by local")
    expect(page.locator("#verdict")).to_have_text("TICKING")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_a_form_from_elsewhere_is_refused(running_stack: Any) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere.example"}, {}):
        request = urllib.request.Request(f"{running_stack.ui_url}/loop", data=b"verb=pause", headers=headers, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=PATIENCE_S)
        assert refusal.value.code == 403
        refusal.value.close()


def test_silent_planner_is_said_while_rows_stay_current(open_page: OpenPage, running_stack: Any) -> None:
    page = open_page()
    after = "(nodes) => nodes.map((node) => getComputedStyle(node, '::after').content + getComputedStyle(node).fontSize)"
    counting = page.locator("td.next .rel")
    expect(counting.first).to_be_visible(timeout=PATIENT_MS)
    assert set(counting.evaluate_all(after)) == {"none12.5px"}  # the control: it counts down
    running_stack.stop("planner")
    try:
        expect(page.locator("#fact-planner")).to_contain_text("silent for", timeout=10_000)
        expect(page.locator("#verdict")).to_have_text("DOWN")
        expect(page.locator("#head")).to_have_attribute("data-trust", "fresh")
        assert set(counting.evaluate_all(after)) == {'"no planner"0px'}
    finally:
        running_stack.start("planner")
    expect(page.locator("#fact-planner")).to_contain_text("tick")


def test_projection_that_stands_still_takes_the_colour(open_page: OpenPage, running_stack: Any) -> None:
    page = open_page()
    running_stack.freeze("projection")
    try:
        expect(page.locator("#warning")).to_contain_text("These rows are behind", timeout=10_000)
        assert page.locator("#head").get_attribute("data-trust") == "stale"
        assert "grayscale" in page.locator("main").evaluate("(node) => getComputedStyle(node).filter")
    finally:
        running_stack.thaw("projection")
    expect(page.locator("#head")).to_have_attribute("data-trust", "fresh")
    expect(page.locator("#warning")).to_be_hidden()


def test_lost_api_is_said_and_comes_back_by_itself(open_page: OpenPage, running_stack: Any) -> None:
    page = open_page()
    page.evaluate("window.kept = true")
    running_stack.stop("proof-api")
    began = time.monotonic()
    try:
        expect(page.locator("#warning")).to_contain_text("Can't reach the proof API since", timeout=8_000)
        assert time.monotonic() - began < 6
        expect(page.locator("#fact-planner")).to_contain_text("unknown")
        expect(page.locator("#conn")).to_have_attribute("data-conn", "live")
        late = open_page("/?q=ibm", live=False)
        expect(late.locator("#view")).to_contain_text("Nothing can be shown")
    finally:
        running_stack.start("proof-api")
    expect(page.locator("#head")).to_have_attribute("data-trust", "fresh")
    expect(late.locator("#rows > tr").first).to_be_visible()
    assert page.evaluate("window.kept") is True


def test_cut_network_is_another_fact_and_heals(open_page: OpenPage, running_stack: Any) -> None:
    """The page is asked through a wire that a test can freeze and cut; the stack behind it lives on."""
    with Wire(running_stack.ui_url) as wire:
        page = open_page("/sign-in", live=False)
        page.goto(wire.url)
        expect(page.locator("#conn")).to_have_attribute("data-conn", "live")
        page.evaluate("window.kept = true")
        wire.freeze()  # nothing comes and nothing breaks: only silence tells
        expect(page.locator("#conn")).to_contain_text("no word for", timeout=10_000)
        assert "grayscale" in page.locator("main").evaluate("(node) => getComputedStyle(node).filter")
        wire.thaw()
        expect(page.locator("#conn")).to_have_attribute("data-conn", "live")
        page.context.set_offline(True)
        wire.cut()
        expect(page.locator("#conn")).to_contain_text("this computer is offline", timeout=10_000)
        expect(page.locator("#conn")).to_have_attribute("data-conn", "lost")
        page.context.set_offline(False)
        expect(page.locator("#conn")).to_contain_text("connection lost")
        expect(page.locator("#warning")).to_be_hidden()  # the API and the data are not blamed
        wire.mend()
        expect(page.locator("#conn")).to_have_attribute("data-conn", "live")
        expect(page.locator("#head")).to_have_attribute("data-trust", "fresh")
        assert page.evaluate("window.kept") is True


def test_lost_page_connection_is_another_fact(open_page: OpenPage, running_stack: Any) -> None:
    page = open_page()
    page.evaluate("window.kept = true")
    running_stack.stop("bots-ui")
    try:
        expect(page.locator("#conn")).to_have_attribute("data-conn", "lost", timeout=6_000)
        expect(page.locator("#conn")).to_contain_text("connection lost")
        assert "grayscale" in page.locator("main").evaluate("(node) => getComputedStyle(node).filter")
    finally:
        running_stack.start("bots-ui")
    expect(page.locator("#conn")).to_have_attribute("data-conn", "live")
    expect(page.locator("#head")).to_have_attribute("data-trust", "fresh")
    expect(page.locator("#rows > tr")).to_have_count(30)
    assert page.evaluate("window.kept") is True
