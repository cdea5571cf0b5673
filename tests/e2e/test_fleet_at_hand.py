"""What needs a person is seen first and can be acted on, and a fleet is at hand: order, groups, columns, keys, a file, local time.

Figures on the page are compared with SQL over the same rows. Source: R-B1 to R-B3, R-D4; docs/architecture.md, "The Bots page".
"""

import csv
import io
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Page, expect

from autonomy.read_model import SCHEMA
from e2e.conftest import PATIENT_MS, came_to, check_accessibility, say
from local_stack.supervise import Supervisor
from local_stack.waiting import Waiting
from support.patience import PATIENCE_S

pytestmark = [pytest.mark.browser, pytest.mark.servers]
OpenPage = Callable[..., Page]
MOST_BYTES = 20_000
IMPORTED = 'SELECT count(*) FROM bot_now WHERE blockers @> \'[{"code": "UNVERIFIED_IMPORT"}]\''
MORE = [
    {"id": f"x{number:02d}", "strategy": strategy, "symbol": "FB"}
    for number, strategy in enumerate(["macd", "sma-cross", "ts-momentum"] * 10)
]
"""Of a symbol with too few bars: they fill the page and give nobody work."""


def sql(stack: Any, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.sql_url, options=f"-c search_path={SCHEMA}") as connection:
        return connection.execute(statement).fetchall()


def undecided(stack: Any) -> str | None:
    """None once each of them has a row and a decision."""
    ((found,),) = sql(stack, "SELECT count(*) FROM bot_now WHERE bot_id LIKE 'x%' AND blockers <> '[]'::jsonb")
    return None if found == len(MORE) else f"{found} of {len(MORE)}"


@pytest.fixture(scope="module")
def stack(running_stack: Any) -> Any:
    """Sixty bots."""
    answer = say(running_stack, type="register-bots.v1", reason="many rows", bots=MORE)
    assert (answer["status"], {outcome["outcome"] for outcome in answer["outcomes"]}) == ("ACCEPTED", {"REGISTERED"}), answer
    Waiting(Supervisor(running_stack.folder), PATIENCE_S).until(
        "decisions about all of them", lambda: undecided(running_stack), ["projection"]
    )
    return running_stack


def box_of(page: Page, selector: str) -> dict[str, float]:
    box = page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return {"x": box["x"], "y": box["y"], "height": box["height"]}


# ── the first screen ───────────────────────────────────────────────────────────────────────────────────────────────────
TOLD_FIRST = ("#conn", "#fact-data", "#fact-planner", "#verdict", ".why", "#queue .wait", "#queue li", "svg.picture", "#n-state-BLOCKED_BY_GATES",
              "#n-state-IDLE", "#n-stage-LIVE", "#q", ".echo")  # fmt: skip
"""How many do what, which need me, is the planner alive, how old is what I see; and the way to find one."""


@pytest.mark.parametrize(
    ("width", "height", "most"),
    [(1440, 900, 150), (720, 450, 414), (390, 844, 520), pytest.param(320, 640, 578, marks=pytest.mark.long)],
)
def test_the_first_bot_stands_high_below_all_that_is_told_first(
    open_page: OpenPage, stack: Any, width: int, height: int, most: int
) -> None:
    """By boxes alone: each of these is on the screen above the first row, and the row is on the screen too."""
    page = open_page(width=width, height=height)
    expect(page.locator(".warning:visible")).to_have_count(0, timeout=PATIENT_MS)  # where something is wrong, that stands above
    row = box_of(page, "#rows > tr")
    assert row["y"] <= most, page.locator("body").inner_text()
    assert row["y"] + row["height"] <= height
    for selector in TOLD_FIRST:
        box = box_of(page, selector)
        assert box["height"] > 0, selector
        assert box["y"] + box["height"] <= row["y"], selector
        assert box["x"] < width, selector
    # Negative control: the whole picture is higher than what is left for it.
    page.locator("#fold summary").click()
    expect(page.locator("#fold[open]")).to_have_count(1)
    assert box_of(page, "#picture")["height"] <= 120
    assert box_of(page, "#rows > tr")["y"] > row["y"] + 60


def test_the_hour_stays_as_it_was_folded(open_page: OpenPage, stack: Any) -> None:
    page = open_page()
    with page.expect_response(lambda response: response.url.endswith("/fold")):
        page.locator("#fold summary").click()
    page.wait_for_timeout(1500)  # the stream draws the hour anew, and leaves it open
    expect(page.locator("#fold[open]")).to_have_count(1)
    page.reload()
    expect(page.locator("#fold[open]")).to_have_count(1)
    page = open_page(live=False, java_script_enabled=False)
    expect(page.locator("#picture .said .dim")).to_be_hidden()
    page.locator("#fold summary").click()
    expect(page.locator("#picture .said .dim")).to_contain_text(re.compile(r"(no|\d+) ticks? missing"))
    page.get_by_role("button", name="Begin with it open").click()
    expect(page.locator("#fold[open]")).to_have_count(1)
    page.get_by_role("button", name="Begin with it folded").click()
    expect(page.locator("#fold[open]")).to_have_count(0)


# ── attention ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_needs_a_person_stands_first_and_in_the_title(open_page: OpenPage, stack: Any) -> None:
    page = open_page()
    ((imported,),) = sql(stack, IMPORTED)
    entry = page.locator("#queue li", has_text="UNVERIFIED_IMPORT")
    expect(entry.locator("b.num")).to_have_text(str(imported), timeout=PATIENT_MS)
    expect(entry).to_contain_text("revert the bot to LAB")
    expect(page).to_have_title(re.compile(r"^\(\d+\) Bots · Autonomy$"))
    assert box_of(page, "#queue")["x"] < box_of(page, "#picture")["x"]
    expect(page.locator("#n-needed")).to_have_text(page.locator("#queue .wait").inner_text())
    entry.get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"\?needs=OPERATOR&blocker=UNVERIFIED_IMPORT$"))
    expect(page.locator("#rows > tr")).to_have_count(imported)


def test_bots_that_nobody_here_can_help_are_quiet(open_page: OpenPage, stack: Any) -> None:
    """FB has 196 bars, for good: no operator clears that, so nothing shouts."""
    page = open_page("/?q=fb-sma")
    expect(page.locator("#bot-fb-sma .lane.quieter .s-blocked")).to_be_visible()
    page = open_page("/?q=msft-sma")
    expect(page.locator("#bot-msft-sma .lane:not(.quieter) .s-blocked")).to_be_visible()
    ((never,),) = sql(stack, "SELECT count(*) FROM bot_now WHERE symbol = 'FB' AND blockers <> '[]'::jsonb")
    page = open_page("/attention")
    row = page.locator("tr[data-kind=DEVELOPER][data-code=MARKET_DATA]")
    expect(row.locator("td").first).to_have_text(str(never), timeout=PATIENT_MS)
    expect(page.locator("section:has(#mine)")).not_to_contain_text("MARKET_DATA")


def test_a_pause_is_a_banner_and_needs_somebody(signed_in: Callable[..., Page], stack: Any) -> None:
    page = signed_in("/attention")
    before = page.locator("#n-needed").inner_text()
    say(stack, type="pause-loop.v1", scope="fleet", target="", reason="a look at <i>this</i>")
    try:
        expect(page.locator("#pause-banner")).to_contain_text("The loop is paused by local: a look at <i>this</i>", timeout=PATIENT_MS)
        row = page.locator("tr[data-kind=PAUSE]")
        expect(row).to_contain_text("a look at <i>this</i>", timeout=PATIENT_MS)
        expect(page.locator("#n-needed")).to_have_text(str(int(before) + 1))
        expect(page).to_have_title(f"({int(before) + 1}) Attention · Autonomy")
        row.get_by_role("link", name="Resume loop…").click()
        page.get_by_label("Reason, for the record").last.fill("seen")
        page.locator("#sheet button.primary").click()
        expect(page.locator(".notice.done")).to_contain_text("The loop is resumed by local")
    finally:
        say(stack, type="resume-loop.v1", scope="fleet", target="", reason="the test is over")
    expect(page.locator("#pause-banner")).to_have_count(0)
    expect(page.locator("#n-needed")).to_have_text(before, timeout=PATIENT_MS)


def test_without_a_planner_nothing_can_be_asked_for_and_the_page_says_so(signed_in: Callable[..., Page], stack: Any) -> None:
    page = signed_in("/bots/msft-sma")
    expect(page.get_by_role("button", name="Hold…")).to_be_enabled()
    stack.stop("planner")
    try:
        expect(page.locator("#planner-banner")).to_contain_text("No planner leads", timeout=20_000)
        expect(page.get_by_role("button", name="Hold…")).to_be_disabled()
        expect(page.locator(".acts-row .act-why").first).to_contain_text("no planner leads")
        expect(page.locator("#act-why")).to_contain_text("no planner leads")
        late = signed_in("/attention")
        expect(late.locator("tr[data-kind=CHECK][data-code=planner]")).to_contain_text("runbook PlannerDown", timeout=PATIENT_MS)
    finally:
        stack.start("planner")
    expect(page.locator("#planner-banner")).to_have_count(0)
    expect(page.get_by_role("button", name="Hold…")).to_be_enabled(timeout=PATIENT_MS)


@pytest.mark.parametrize("path", ["/", "/bots/msft-sma", "/stages?stage=LIVE", "/act/revert", "/?stage=LIVE&stage=CANARY&group=stage"])
def test_execution_is_paper_stands_beside_every_canary_and_live(open_page: OpenPage, stack: Any, path: str) -> None:
    page = open_page(path)
    expect(page.locator(".stage-name").first).to_be_visible()
    named = page.locator(".stage-name:is([data-code=LIVE], [data-code=CANARY])")
    assert named.count() > 0
    assert named.evaluate_all("(names) => names.filter((name) => !name.parentElement.querySelector('.paper')).length") == 0
    expect(page.locator(".paper").first).to_have_text("execution: PAPER")


# ── the fleet at hand ──────────────────────────────────────────────────────────────────────────────────────────────────


def shown(page: Page) -> list[str]:
    found: list[str] = page.locator("#rows > tr[id]").evaluate_all("(rows) => rows.map((row) => row.id.slice(4))")
    return found


def every_page(page: Page) -> list[str]:
    found = shown(page)
    while page.locator("a[rel=next]", has_text="Next").count():
        before = shown(page)
        page.locator("a[rel=next]", has_text="Next").click()
        expect(page.locator(f"#bot-{before[0]}")).to_have_count(0)
        found += shown(page)
    return found


def test_order_is_the_databases_over_all_pages(open_page: OpenPage, stack: Any) -> None:
    page = open_page("/?size=25", live=False)
    page.locator("thead th.stage a").click()
    expect(page).to_have_url(re.compile("sort=stage&size=25$"))
    expect(page.locator("th.stage")).to_have_attribute("aria-sort", "ascending")
    page.locator("thead th.stage a").click()
    expect(page).to_have_url(re.compile("sort=stage&order=desc&size=25$"))
    expect(page.locator("th.stage")).to_have_attribute("aria-sort", "descending")
    ladder = "array_position(ARRAY['LAB', 'PAPER', 'SHADOW', 'CANARY', 'LIVE'], stage)"
    assert every_page(page) == [bot for (bot,) in sql(stack, f"SELECT bot_id FROM bot_now ORDER BY {ladder} DESC, bot_id")]


def test_groups_have_their_counts_and_open(open_page: OpenPage, stack: Any) -> None:
    page = open_page("/?symbol=FB")
    page.locator("details.look summary").click()
    page.get_by_label("group by").select_option("strategy")
    page.get_by_role("button", name="Show so").click()
    expect(page).to_have_url(re.compile("symbol=FB&group=strategy$"))
    counts = dict(sql(stack, "SELECT strategy, count(*)::text FROM bot_now WHERE symbol = 'FB' GROUP BY 1"))
    heads = page.locator("#rows tr.group")
    found = {head.locator("a").inner_text(): head.locator("b").inner_text() for head in heads.all()}
    assert found == counts
    heads.locator("a", has_text="macd").click()
    expect(page).to_have_url(re.compile("strategy=macd&symbol=FB$|symbol=FB&strategy=macd$"))
    expect(page.locator("#rows > tr")).to_have_count(int(counts["macd"]))
    page.get_by_role("link", name="without symbol FB").click()
    expect(page).to_have_url(re.compile(r"\?strategy=macd$"))


def test_columns_are_chosen_and_stay_while_rows_change(open_page: OpenPage, stack: Any) -> None:
    page = open_page()
    page.locator("details.look summary").click()
    page.get_by_role("checkbox", name="equity").uncheck()
    page.get_by_role("checkbox", name="version").check()
    page.get_by_role("button", name="Show so").click()
    expect(page.locator("thead th.version")).to_be_visible()
    expect(page.locator("thead th.spark")).to_be_hidden()
    expect(page.locator("#rows td.spark").first).to_be_hidden()
    expect(page.locator("#bot-msft-sma td.version")).to_have_text("1")
    page.locator("details.look summary").click()
    for column in page.get_by_role("checkbox").all():
        column.uncheck()
    page.get_by_role("button", name="Show so").click()
    expect(page).to_have_url(re.compile(r"columns=none$"))
    expect(page.locator("thead th:visible")).to_have_text(["bot", "now"])


def test_keys_move_go_and_say_what_they_are(open_page: OpenPage, stack: Any) -> None:
    page = open_page()
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = shown(page)[1]
    expect(page.locator(f"#bot-{second} th a")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(f"#bot-{shown(page)[0]} th a")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("gaj?")
    expect(page.locator("#q")).to_have_value("gaj?")  # in a field they are letters
    expect(page.locator("#keys")).to_be_hidden()
    page.locator("#q").fill("")
    page.locator("h1").first.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("g")
    page.keyboard.press("a")
    came_to(page, re.compile("/attention$"))
    page.keyboard.press("g")
    page.keyboard.press("b")
    expect(page).to_have_url(re.compile("/$"))


def test_the_palette_goes_anywhere_by_keys_and_gives_the_focus_back(open_page: OpenPage, stack: Any, told: Any) -> None:
    page = open_page()
    before = page.locator("thead th.bot a")
    before.focus()
    page.keyboard.press("Control+k")
    field, options = page.get_by_role("combobox"), page.locator("#palette-list [role=option]")
    expect(field).to_be_focused()
    expect(options.first).to_contain_text("Bots")  # pages and acts, before anything is typed
    check_accessibility(page)
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    expect(before).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("ibm")
    expect(options.first).to_contain_text("ibm-")
    second = options.nth(1).locator("b").inner_text()
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", options.nth(1).get_attribute("id") or "")
    page.keyboard.press("Enter")
    came_to(page, f"{stack.ui_url}/bots/{second}")
    page.keyboard.press("Control+k")
    page.keyboard.type("revert msft")
    expect(options).to_have_text(["Nothing matches"])
    page.keyboard.press("Enter")  # leads nowhere
    page.locator("#palette-text").fill("msft-sma")
    expect(options.nth(1)).to_contain_text("Revert msft-sma to LAB…")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{stack.ui_url}/act/pin?bot=msft-sma")
    assert told.console == []
    plain = open_page("/palette", live=False, java_script_enabled=False)
    plain.locator("#go-text").fill("ibm-rsi")
    plain.get_by_role("button", name="Find", exact=True).click()
    plain.get_by_role("link", name="ibm-rsi", exact=True).click()
    expect(plain).to_have_url(f"{stack.ui_url}/bots/ibm-rsi")


def test_ids_are_links_and_a_press_away_from_the_clipboard(open_page: OpenPage, stack: Any) -> None:
    page = open_page("/?symbol=FB&sort=bot&order=desc", permissions=["clipboard-read", "clipboard-write"])
    page.locator("details.look summary").click()
    page.get_by_role("button", name="copy the ids that match").click()
    expect(page.get_by_role("button", name="copied 36")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert copied == [bot for (bot,) in sql(stack, "SELECT bot_id FROM bot_now WHERE symbol = 'FB' ORDER BY bot_id DESC")]
    page.goto(f"{stack.ui_url}/bots/msft-sma/timeline?kind=decision")
    page.locator(".event-id a").first.click()
    expect(page.locator("#borne-out")).to_have_text("SEALED, AND THE SEAL HOLDS")
    event, offset = page.url.rpartition("/")[2].partition("?")[0], int(page.locator("#offset").inner_text())
    ((tick, hash_, seal),) = sql(
        stack, f"SELECT tick, hash, log_offset FROM autonomy_planner_runs WHERE log_offset > {offset} ORDER BY tick LIMIT 1"
    )
    expect(page.locator("#view")).to_contain_text(f"Tick {tick} said it")
    expect(page.locator("#view")).to_contain_text(hash_)
    expect(page.locator("#view")).to_contain_text(f"offset {seal}")
    page.get_by_role("button", name="copy the id of the event").click()
    assert page.evaluate("navigator.clipboard.readText()") == event
    page.get_by_role("link", name="the API's answer").click()
    expect(page.locator("body")).to_contain_text(f'"eventId":"{event}"')


def test_previous_and_next_bot_are_those_of_the_list_that_was_shown(open_page: OpenPage, stack: Any) -> None:
    page = open_page("/?symbol=FB&order=desc")
    bots = shown(page)
    page.locator(f"#bot-{bots[3]} th a").click()
    came_to(page, re.compile(f"/bots/{bots[3]}$"))
    expect(page.locator("a[rel=prev]")).to_have_text(f"← {bots[2]}")
    page.keyboard.press("]")
    came_to(page, re.compile(f"/bots/{bots[4]}$"))
    page.keyboard.press("[")
    expect(page).to_have_url(re.compile(f"/bots/{bots[3]}$"))
    page.get_by_role("link", name="Bots", exact=True).last.click()
    expect(page).to_have_url(re.compile(r"\?symbol=FB&order=desc$"))


def test_the_file_has_all_that_the_filter_shows(open_page: OpenPage, stack: Any) -> None:
    page = open_page("/?needs=DEVELOPER&size=25")
    page.locator("details.look summary").click()
    with page.expect_download() as coming:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(coming.value.path().read_text(), newline="")))
    assert {row["needs"] for row in rows} == {"DEVELOPER"}
    assert [row["bot_id"] for row in rows] == [
        bot for (bot,) in sql(stack, "SELECT bot_id FROM bot_now WHERE symbol = 'FB' AND blockers <> '[]'::jsonb ORDER BY bot_id")
    ]
    assert len(rows) > 25


@pytest.mark.parametrize("cell", ["what", "next"])
def test_long_words_of_a_row_make_no_page_wider(open_page: OpenPage, cell: str) -> None:
    """What a strategy is called and what comes next is not ours: the columns give way, and the title has the whole."""
    page = open_page("/", width=1440)
    page.evaluate(
        f"for (const one of document.querySelectorAll('.bots td.{cell}')) one.textContent = 'a-strategy-with-parameters '.repeat(9)"
    )
    for width in (1440, 1439, 1400, 1280, 1181):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_board_counts_what_the_list_shows(open_page: OpenPage, stack: Any) -> None:
    page = open_page("/board")
    rungs = dict(sql(stack, "SELECT stage, count(*)::text FROM bot_now GROUP BY 1"))
    for stage, count in rungs.items():
        expect(page.locator(f"[data-stage={stage}] .lead-figure b")).to_have_text(count)
    gate = page.locator("[data-stage=PAPER] [data-gate]").first
    code, held = gate.get_attribute("data-gate"), int(gate.get_attribute("data-count") or 0)
    gate.click()
    expect(page).to_have_url(re.compile(f"stage=PAPER&gate={code}&synthetic=false$"))
    expect(page.locator("#rows > tr")).to_have_count(held)
    missed = f"SELECT count(*) FROM bot_now WHERE stage = 'PAPER' AND promotion_blockers @> '[{{\"code\": \"{code}\"}}]'"
    assert sql(stack, missed) == [(held,)]


def test_times_are_local_where_that_was_chosen(open_page: OpenPage, stack: Any) -> None:
    page = open_page("/runs", timezone_id="Asia/Tokyo")
    page.get_by_role("button", name="Times: UTC").click()
    expect(page.locator("html")).to_have_attribute("data-clock", "local")
    expect(page.locator(".foot .zone")).to_have_text("GMT+9")
    told = page.locator("td time[data-form=clock]").first
    expect(told).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    hours, instant = told.inner_text()[:2], told.get_attribute("datetime") or ""
    assert int(hours) == (int(instant[11:13]) + 9) % 24
    page.get_by_role("button", name="Times: local").click()
    expect(page.locator(".foot .zone")).to_have_text("UTC")


def test_headings_stay_in_sight(open_page: OpenPage, stack: Any) -> None:
    page = open_page(width=1440, height=700)
    page.locator("#rows > tr").nth(30).scroll_into_view_if_needed()
    box = page.locator("thead th.bot").bounding_box()
    assert box is not None
    assert (box["y"], box["height"] <= 40) == (0, True)
    stack.freeze("projection")
    try:
        page.wait_for_selector("#head:not([data-trust=fresh])")
        said = page.locator("thead th.bot").evaluate("(head) => getComputedStyle(head, '::after').content")
        assert "old rows" in said
    finally:
        stack.thaw("projection")


@pytest.fixture
def weight(stack: Any) -> Callable[[str], tuple[int, str]]:
    def weighed(path: str) -> tuple[int, str]:
        request = urllib.request.Request(stack.ui_url + path, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return len(response.read()), response.headers.get("Content-Encoding", "")

    return weighed


def test_the_first_page_is_light(open_page: OpenPage, stack: Any, weight: Callable[[str], tuple[int, str]]) -> None:
    page = open_page()
    expect(page.locator("#rows > tr")).to_have_count(50)
    size, encoding = weight("/")
    assert encoding == "gzip"
    assert size <= MOST_BYTES, size


def test_without_scripts_all_of_it_is_read(open_page: OpenPage, stack: Any) -> None:
    page = open_page("/?q=msft-sma", live=False, java_script_enabled=False)
    page.locator("#rows .badge").first.click()
    page.locator("#rows .tip a").first.click()
    expect(page.locator(".card-page")).to_contain_text("UNVERIFIED_IMPORT")
    page.goto(f"{stack.ui_url}/?symbol=FB")
    page.locator("thead th.bot a").click()
    expect(page).to_have_url(re.compile("order=desc$"))
    page.locator("details.look summary").click()
    page.get_by_label("group by").select_option("strategy")
    page.get_by_role("button", name="Show so").click()
    expect(page.locator("tr.group").first).to_be_visible()
    page.locator("#rows > tr[id] th a").first.click()
    expect(page.locator("a[rel=next]")).to_be_visible()
    page.goto(f"{stack.ui_url}/attention")
    expect(page.locator("tr[data-code=UNVERIFIED_IMPORT]")).to_contain_text("revert the bot to LAB")


@pytest.mark.parametrize(
    "path",
    [
        "/attention",
        "/board",
        "/policy",
        "/workers",
        "/?q=aapl&needs=OPERATOR&gate=DRIFT",
        "/?group=strategy&sort=sharpe&order=desc&size=25",
        "/bots/msft-sma/card",
    ],
)
def test_page_is_sound(open_page: OpenPage, stack: Any, told: Any, path: str) -> None:
    page = open_page(path, color_scheme="light")
    if "group" in path:
        page.locator("details.look summary").click()
    check_accessibility(page)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    check_accessibility(page)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert told.console == []
    assert told.outside == []
