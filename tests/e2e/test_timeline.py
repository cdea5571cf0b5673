"""The timeline in a real browser, over the whole stack: live, closer by links, forms and a drag, and true to the rows.

Source: R-B1; docs/architecture.md, "The Bots page".
"""

import re
import urllib.parse
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest
import yaml
from playwright.sync_api import Page, expect

from e2e.conftest import ROOT, PutPolicy, check_accessibility, tab_to
from support.patience import PATIENCE_S
from support.platform import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.servers]
OpenPage = Callable[..., Page]
POLICY = yaml.safe_load((ROOT / "deploy" / "policy.yaml").read_text())
DRAWN = """() => Object.fromEntries([...document.querySelectorAll('[data-block]')].map((one) => [one.dataset.block, one.dataset.end]))"""
SQL_JOBS = """
SELECT id || '/' || attempt, CASE status WHEN 'SUCCEEDED' THEN 'done' WHEN 'FAILED' THEN 'failed' WHEN 'CANCELLED' THEN 'cancelled' ELSE 'live' END
FROM autonomy.bot_jobs WHERE finished_at IS NULL OR finished_at > now() - interval '50 minutes'
"""
TICKED_QUICKLY = """
SELECT 1 FROM autonomy.autonomy_policy p JOIN autonomy.autonomy_planner_runs r ON r.tick > p.tick
WHERE p.tick = (SELECT max(tick) FROM autonomy.autonomy_policy) AND p.document->>'name' = 'quick' LIMIT 1
"""


def rows(stack: Any, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.sql_url) as connection:
        return connection.execute(statement).fetchall()


def query_of(page: Page) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).query))


def length_s(page: Page) -> float:
    query = query_of(page)
    return (datetime.fromisoformat(query["to"]) - datetime.fromisoformat(query["from"])).total_seconds()


def picture_window(page: Page) -> tuple[int, int]:
    picture = page.locator("svg.picture")
    return int(picture.get_attribute("data-from") or 0), int(picture.get_attribute("data-to") or 0)


def test_every_job_and_tick_of_the_rows_is_drawn_and_goes_on_without_a_reload(open_page: OpenPage, running_stack: Any, told: Any) -> None:
    page = open_page("/timeline?by=bot", width=1440)
    page.evaluate("window.kept = true")
    seen = 0

    def same() -> bool:
        nonlocal seen
        page.wait_for_timeout(100)
        drawn, known = page.evaluate(DRAWN), dict(rows(running_stack, SQL_JOBS))
        seen = max(seen, len(known))
        return bool(known) and all(drawn.get(name) == end for name, end in known.items())

    wait_for("what is drawn to be what the rows say", same, 60)
    newest = rows(running_stack, "SELECT max(tick) FROM autonomy.autonomy_planner_runs")[0][0]
    expect(page.locator(f"#tick-{newest + 1}")).to_have_count(1, timeout=90_000)
    wait_for("it to hold after that, too", same, 60)
    assert page.evaluate("window.kept") is True
    assert seen >= 5
    assert told.console == []
    assert told.outside == []
    # Negative control: a job that is not in the rows would be told from them.
    page.evaluate("document.querySelector('[data-block]').dataset.end = 'never'")
    assert page.evaluate(DRAWN) != dict(rows(running_stack, SQL_JOBS))


@pytest.fixture
def a_tick_a_second(running_stack: Any, put_policy: PutPolicy) -> None:
    """A grid on which three ticks are missed in seconds.

    A policy that is accepted rules from the next tick on; a planner stopped before it would be missed on the old grid.
    """
    put_policy({**POLICY, "name": "quick", "tick_interval_s": 1.0}, "ticks that can be missed soon")
    wait_for("ticks on the quick grid", lambda: rows(running_stack, TICKED_QUICKLY), PATIENCE_S)


def test_silence_of_the_planner_is_seen_while_it_lasts_and_after(open_page: OpenPage, running_stack: Any, a_tick_a_second: None) -> None:
    small, large = open_page("/"), open_page("/timeline", width=1440)
    running_stack.stop("planner")
    try:
        for page in (small, large):
            expect(page.locator("#picture .silence", has_text="missing so far").first).to_be_visible(timeout=30_000)
        lasting = re.compile(r"([3-9]|\d\d+) ticks missing so far")
        expect(large.locator("#picture .silence", has_text=lasting).first).to_be_visible(timeout=30_000)
        expect(small.locator("a.gap").last).to_be_attached()
    finally:
        running_stack.start("planner")
    expect(large.locator("#picture .silence", has_text="missing so far")).to_have_count(0, timeout=60_000)
    gap = large.locator("a.gap").last
    missing = int(gap.get_attribute("data-missing") or 0)
    assert missing >= 3
    # Counted by the rows alone: seconds of the grid between the two ticks around it.
    gaps = rows(running_stack, """
      SELECT floor(extract(epoch FROM next)) - floor(extract(epoch FROM started_at)) - 1 FROM (
        SELECT started_at, lead(started_at) OVER (ORDER BY tick) AS next FROM autonomy.autonomy_planner_runs) pairs
      WHERE next > started_at + interval '3 seconds' ORDER BY started_at DESC LIMIT 1""")  # fmt: skip
    assert int(gaps[0][0]) == missing
    expect(large.locator("#picture")).to_contain_text(f"{missing} ticks missing")
    # Its name leads closer, where it is wide enough to be read in the picture itself.
    large.locator("#picture .silence a").first.click()
    expect(large).to_have_url(re.compile("/timeline[?]from="))
    expect(large.locator("a.gap text", has_text=f"{missing} ticks missing")).to_be_visible()


def test_all_of_it_works_without_scripts(open_page: OpenPage, running_stack: Any) -> None:
    wait_for("a job that ended", lambda: rows(running_stack, "SELECT 1 FROM autonomy.bot_jobs WHERE finished_at IS NOT NULL LIMIT 1"), 90)
    page = open_page("/", live=False, java_script_enabled=False)
    page.locator("#picture .said a", has_text="Timeline").click()
    expect(page).to_have_url(re.compile("/timeline$"))
    page.locator(".chip", has_text="by symbol").click()
    expect(page).to_have_url(re.compile("by=symbol"))
    page.locator(".chip", has_text="24 h").click()
    assert abs(length_s(page) - 86_400) < 1
    page.locator("a:has(> rect.zoom)").nth(12).click(position={"x": 3, "y": 2})
    assert abs(length_s(page) - 3_600) < 1
    page.locator(".chip", has_text="closer").click()
    assert abs(length_s(page) - 1_800) < 1
    page.locator(".chip", has_text="earlier").click()
    page.locator(".chip", has_text="by worker").click()
    assert query_of(page)["by"] == "worker"
    # The form takes any time, in UTC.
    first = rows(running_stack, "SELECT min(started_at) FROM autonomy.autonomy_planner_runs")[0][0]
    page.locator("#from").fill(f"{first:%Y-%m-%dT%H:%M:%S}")
    page.locator("#to").fill(f"{first:%Y-%m-%dT%H:%M}:59")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("from=.*&to=.*"))
    page.goto(running_stack.ui_url + "/timeline?by=bot")
    page.locator("details.told summary").click()
    page.locator("details.told li a[href^='/jobs/']").first.click()
    expect(page).to_have_url(re.compile("/jobs/[0-9a-f-]{36}$"))
    expect(page.locator("h1")).to_contain_text("of")
    page.get_by_role("link", name="on the timeline").click()
    page.locator("[data-block]").first.evaluate("(one) => one.href.baseVal")
    page.locator("a.tick").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(re.compile("Tick [0-9,]+"))
    # What cannot be shown says why.
    page.goto(f"{running_stack.ui_url}/timeline?from=2020-01-01T00:00:00&to=2020-02-01T00:00:00")
    expect(page.locator("main")).to_contain_text("Nothing can be shown")
    expect(page.locator("main")).to_contain_text("86400")


def test_drag_looks_at_the_stretch_that_it_covers(open_page: OpenPage) -> None:
    page = open_page("/timeline?by=stage", width=1200)
    box = page.locator("svg.picture").bounding_box()
    assert box is not None
    start, end = picture_window(page)
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=4)
    expect(page.locator(".brush")).to_be_visible()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("from="))
    query = query_of(page)
    assert query["by"] == "stage"
    shares = [(datetime.fromisoformat(query[name]).timestamp() * 1000 - start) / (end - start) for name in ("from", "to")]
    assert abs(shares[0] - 0.5) < 0.02
    assert abs(shares[1] - 0.75) < 0.02
    # Escape lets go, and a short drag is a click.
    before = page.url
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 60, steps=4)
    page.keyboard.press("Escape")
    expect(page.locator(".brush")).to_have_count(0)
    page.mouse.up()
    assert page.url == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_sound_for_everybody(open_page: OpenPage, told: Any, scheme: str) -> None:
    for path in ("/timeline?by=bot", "/timeline?by=worker", "/"):
        page = open_page(path, color_scheme=scheme, reduced_motion="reduce", width=1440)
        check_accessibility(page)
        for width in (1440, 1024, 640, 390, 320):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if path == "/":
                box = page.locator("#picture").bounding_box()
                assert box is not None
                assert box["height"] <= 120
    assert told.console == []
    assert told.outside == []


def test_keys_alone_reach_what_the_picture_shows(open_page: OpenPage) -> None:
    page = open_page("/timeline?by=bot")
    tab_to(page, page.locator("details.told summary"))
    page.keyboard.press("Enter")
    tick = page.locator("details.told li a[href^='/runs/']").first
    tab_to(page, tick)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(re.compile("Tick [0-9,]+"))


def test_forms_tell_what_colours_tell(open_page: OpenPage) -> None:
    """Where the system's few colours replace the page's, what waits is an outline, what runs is filled, what is missing is hatched."""
    page = open_page("/timeline?by=bot", forced_colors="active", width=1440)
    looks = page.evaluate("""() => Object.fromEntries(['.block .pending', '.block .run'].map((name) => {
      const one = document.querySelector(name), style = one && getComputedStyle(one);
      return [name, style && {fill: style.fill, stroke: style.stroke}];
    }))""")  # fmt: skip
    assert looks[".block .run"]["fill"] != "none"
    assert looks[".block .pending"] is None or looks[".block .pending"]["fill"] == "none"
