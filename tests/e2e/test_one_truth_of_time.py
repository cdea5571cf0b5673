"""Every status on every page is what the database says, within three seconds; and every age is the server's.

Over the whole stack, in a real browser. A cell that shows a status names the column and the row that it is, so that no page is left out
because nobody thought of it. Source: R-B1, R-A1.3; docs/architecture.md, "Honesty".
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import TimeoutError as Timeout
from psycopg import sql

from autonomy.values import BotState, JobStatus, Stage
from bots_ui.shown.words import PROMOTIONS, STARTING, STATES
from e2e.conftest import NO_WORKERS, PATIENT_MS, say
from support.patience import PATIENCE_S

pytestmark = [pytest.mark.browser, pytest.mark.servers]
OpenPage = Callable[..., Page]
MOST_S, AMBER_S = 3.0, 6.0
SLACK = timedelta(seconds=1)
"""Between what the projection has written and what its probe says that it has."""
PAGES = (
    "/", "/?state=IDLE", "/jobs", "/jobs?status=RUNNING&status=QUEUED", "/timeline", "/runs", "/stages", "/commands", "/promotions", "/board", "/policy", "/workers", "/bots/aapl-sma",
    "/bots/ibm-rsi", "/bots/goog-momentum/timeline",
)  # fmt: skip
BOT_STATES: Mapping[str, set[str]] = {state.value: {STATES[state]} for state in BotState} | {
    "RUNNER_STALE": {STATES["RUNNER_STALE"], STARTING}
}
WORDS: Mapping[str, Mapping[str, set[str]]] = {
    "bot_now.state": BOT_STATES, "bots.stage": {stage.value: {stage.value} for stage in Stage},
    "bot_jobs.status": {status.value: {status.value} for status in JobStatus},
    "commands.status": {status: {status} for status in ("OPEN", "ACCEPTED", "REJECTED", "REFUSED")},
    "promotions.status": {status: {word} for status, word in PROMOTIONS.items()},
}  # fmt: skip
"""What a cell may say for what the database says."""
CELLS = """() => ({
  asOf: document.getElementById('as-of')?.dataset.asOf ?? document.querySelector('#fact-data time')?.dateTime ?? '',
  amber: Boolean(document.querySelector('#as-of.warn-text, #fact-data:not(.ok)')),
  cells: [...document.querySelectorAll('[data-of], [data-newest]')].map((node) => ({
  of: node.dataset.of ?? node.dataset.newest, code: node.dataset.code, words: (node.querySelector('.word') ?? node).textContent.trim(),
  })),
})"""
AN_HOUR_OFF = """
const Real = Date, off = 3_600_000;
window.Date = class extends Real {
  constructor(...given) { if (given.length) super(...given); else super(Real.now() + off); }
  static now() { return Real.now() + off; }
};
"""


@dataclass
class Judge:
    """Holds pages against the database.

    A cell may differ for three seconds; for longer only on a page that says that it is older than the change, as on a busy machine.

    Attributes:
        since: by page and cell, since when it has differed without a break, by the database's clock.
        longest: by the same, the longest that it differed, seconds.
        lies: the same, where the page said that it was younger than the change.
        compared: how many cells were compared, by column.
        codes: which codes were seen, by column.
    """

    url: str
    connection: "psycopg.Connection[tuple[Any, ...]]"
    since: dict[tuple[str, str], datetime] = field(default_factory=dict)
    lies: dict[tuple[str, str], float] = field(default_factory=dict)
    longest: dict[tuple[str, str], float] = field(default_factory=dict)
    losses: int = 0
    compared: dict[str, int] = field(default_factory=dict)
    codes: dict[str, set[str]] = field(default_factory=dict)

    def look(self, path: str, page: Page) -> None:
        """Compare every status cell of a page with the database; a look whose own connection broke is no look."""
        try:
            self.compare(path, page)
        except psycopg.OperationalError:
            self.losses += 1
            assert self.losses <= 3
            self.connection = connected(self.url)

    def compare(self, path: str, page: Page) -> None:
        """Compare every status cell of a page, as it is now, with the database right after."""
        shown = page.evaluate(CELLS)
        truth = self.read({cell["of"] for cell in shown["cells"]})
        found = self.connection.execute("SELECT clock_timestamp()").fetchone()
        assert found is not None
        now: datetime = found[0]
        as_of = datetime.fromisoformat(shown["asOf"]) if shown["asOf"] else None
        for cell in shown["cells"]:
            column, known = cell["of"].partition("/")[0], truth[cell["of"]]
            self.compared[column] = self.compared.get(column, 0) + 1
            self.codes.setdefault(column, set()).add(cell["code"])
            words = WORDS.get(column, {}).get(cell["code"])
            right = cell["code"] in known and (words is None or cell["words"] in words)
            key = (path, cell["of"])
            if right:
                self.since.pop(key, None)
                continue
            began = self.since.setdefault(key, now)
            seconds = (now - began).total_seconds()
            self.longest[key] = max(self.longest.get(key, 0.0), seconds)
            if seconds > MOST_S and (as_of is None or as_of > began + SLACK or (seconds > AMBER_S and not shown["amber"])):
                self.lies[key] = round(seconds, 1)

    def read(self, asked: set[str]) -> dict[str, set[str]]:
        """What the database says of each cell; of a runner whose lease ran out, also what a clock makes of it."""
        found: dict[str, set[str]] = {}
        by_column: dict[str, list[str]] = {}
        for one in asked:
            column, _, key = one.partition("/")
            by_column.setdefault(column, []).append(key)
        for column, keys in by_column.items():
            table, name = column.split(".")
            if keys == [""]:
                value = self.connection.execute(
                    sql.SQL("SELECT max({}) FROM {}").format(sql.Identifier(name), sql.Identifier(table))
                ).fetchone()
                assert value is not None
                shown = (
                    value[0].isoformat(timespec="milliseconds").replace("+00:00", "Z") if hasattr(value[0], "isoformat") else str(value[0])
                )
                found[column] = {shown}
                continue
            identity = "bot_id" if table == "bot_now" else "id"
            rows = self.connection.execute(
                sql.SQL("SELECT {}::text, {} FROM {} WHERE {}::text = ANY(%s)").format(
                    sql.Identifier(identity), sql.Identifier(name), sql.Identifier(table), sql.Identifier(identity)
                ),
                [keys],
            ).fetchall()
            known = {key: {value} for key, value in rows}
            for key in keys:
                values = known.get(key, set())
                found[f"{column}/{key}"] = values | ({"RUNNER_STALE"} if "RUNNER_RUNNING" in values else set())
        return found

    def slowest(self) -> dict[str, float]:
        """By page, the longest that a cell differed, seconds."""
        found: dict[str, float] = {}
        for (path, _), seconds in self.longest.items():
            found[path] = max(found.get(path, 0.0), round(seconds, 1))
        return found


def connected(url: str) -> "psycopg.Connection[tuple[Any, ...]]":
    return psycopg.connect(url, autocommit=True, options="-c timezone=UTC")


@pytest.fixture
def judge(running_stack: Any) -> Iterator[Judge]:
    found = Judge(running_stack.sql_url, connected(running_stack.sql_url))
    yield found
    found.connection.close()


def walk(pages: Mapping[str, Page], judge: Judge, seconds: float, done: Callable[[], bool] = lambda: True) -> None:
    """Look at every page in turn for so long, and until `done`, at most three times as long."""
    began = time.monotonic()
    while time.monotonic() - began < seconds or (not done() and time.monotonic() - began < 3 * seconds):
        for path, page in pages.items():
            judge.look(path, page)


def changes_of(judge: Judge) -> int:
    """How many jobs have ended."""
    found = judge.connection.execute("SELECT count(*) FROM bot_jobs WHERE finished_at IS NOT NULL").fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.long
@pytest.mark.parametrize("seconds", [12, pytest.param(600, marks=[pytest.mark.timeout(1_900)])])
def test_every_status_is_what_the_database_says(open_page: OpenPage, running_stack: Any, judge: Judge, seconds: int) -> None:
    pages = {path: open_page(path) for path in PAGES}
    frozen = open_page("/runs", live=False, script=NO_WORKERS)  # a tick comes at least once a minute
    for page in (*pages.values(), frozen):
        page.evaluate("window.kept = true")
    before = changes_of(judge)
    held = say(running_stack, type="hold-bot", botId="aapl-sma", reason="seen on the page")
    pages["/commands/one"] = open_page(f"/commands/{held['commandId']}")
    pages["/commands/one"].evaluate("window.kept = true")
    say(running_stack, type="release-hold", botId="aapl-sma", reason="seen on the page")
    walk({**pages, "frozen": frozen}, judge, seconds, lambda: changes_of(judge) >= before + 4 and judge.slowest().get("frozen", 0) > MOST_S)
    print("compared:", judge.compared, "codes:", judge.codes, "longest difference by page, s:", judge.slowest())
    assert changes_of(judge) > before  # it was looked at during work
    # Negative control: a page that hears nothing is wrong for long.
    assert judge.slowest()["frozen"] > MOST_S
    assert {key: seconds for key, seconds in judge.lies.items() if key[0] != "frozen"} == {}
    assert set(judge.compared) >= {*WORDS} - {"promotions.status"} | {"autonomy_planner_runs.tick", "bot_stage_events.created_at"}
    assert all(page.evaluate("window.kept") for page in pages.values())


def test_list_that_is_not_confirmed_turns_amber(open_page: OpenPage, running_stack: Any) -> None:
    page = open_page("/jobs")
    stamp = page.locator("#as-of")
    expect(stamp).to_contain_text(re.compile(r"As of \d\d:\d\d:\d\d UTC"))
    first = stamp.get_attribute("data-as-of")
    expect(stamp).not_to_have_attribute("data-as-of", str(first))  # it lives
    running_stack.stop("proof-api")
    try:
        expect(stamp).to_contain_text("not confirmed for")
        expect(stamp).to_have_class(re.compile("warn-text"))
    finally:
        running_stack.start("proof-api")
    expect(stamp).not_to_have_class(re.compile("warn-text"))


def test_age_of_the_data_goes_on_while_the_server_of_the_page_is_silent(open_page: OpenPage, running_stack: Any) -> None:
    page = open_page("/jobs")
    data, banner = page.locator("#fact-data"), page.locator("#silence")
    expect(data).to_contain_text(re.compile(r"\b[0-3] s old"))
    expect(banner).to_be_hidden()
    running_stack.freeze("bots-ui")
    try:
        expect(data).to_contain_text(re.compile(r"\b(9|\d\d) s old"))
        expect(data).to_have_class(re.compile("warn"))
        expect(banner).to_contain_text(re.compile(r"everything shown is from \d\d:\d\d:\d\d UTC, \d+ s ago"))
        expect(page.locator("#as-of")).to_contain_text("not confirmed for")
    finally:
        running_stack.thaw("bots-ui")
    expect(banner).to_be_hidden()
    expect(data).to_contain_text(re.compile(r"\b[0-3] s old"))


@pytest.mark.parametrize("path", ["/", "/jobs", "/bots/aapl-sma"])
def test_wrong_wall_clock_of_a_browser_changes_no_age(open_page: OpenPage, path: str) -> None:
    page = open_page(path, script=AN_HOUR_OFF)
    assert page.evaluate("Date.now() - performance.timeOrigin - performance.now()") > 3_000_000  # it is wrong
    page.wait_for_timeout(2_500)  # the page has told its ages twice
    expect(page.locator("#fact-data")).to_contain_text(re.compile(r"\b[0-4] s old"))
    expect(page.locator("#fact-planner")).to_contain_text(re.compile(r"tick [\d,]+ · \d+ s ago · next in \d+ s|due now"))
    planner = page.locator("#fact-planner time").first.inner_text()
    assert "h" not in planner
    # Negative control: by the browser's own clock it would be an hour.
    age_ms = page.evaluate("Date.now() - Date.parse(document.querySelector('#fact-planner time').dateTime)")
    assert age_ms > 3_500_000


@pytest.fixture
def own_browser(browser: Browser) -> Iterator[Callable[[str], BrowserContext]]:
    """Browsers of their own, each with a script that runs before a page's; they close whatever happens."""
    contexts: list[BrowserContext] = []

    def opened(script: str = "") -> BrowserContext:
        context = browser.new_context()
        context.set_default_timeout(PATIENT_MS)
        if script:
            context.add_init_script(script)
        contexts.append(context)
        return context

    yield opened
    for context in contexts:
        context.close()


def test_ten_pages_of_one_browser_share_a_stream(own_browser: Callable[..., BrowserContext], running_stack: Any) -> None:
    """Six connections a host are all that a browser has; a stream for each page left the seventh without an answer."""
    context = own_browser()
    for path in (*PAGES[:8], "/", "/jobs"):
        page = context.new_page()
        page.goto(running_stack.ui_url + path)
        page.wait_for_selector("#conn[data-conn=live]")
    count = "window.told = 0; document.addEventListener('autonomy:told', () => { window.told += 1; })"
    for page in context.pages:
        page.evaluate(f"() => {{ {count} }}")
    deadline = time.monotonic() + PATIENCE_S
    while any(page.evaluate("window.told") < 2 for page in context.pages) and time.monotonic() < deadline:
        context.pages[0].wait_for_timeout(200)
    # All of them hear, also the first ones.
    assert [page.evaluate("window.told") >= 2 for page in context.pages] == [True] * 10


@pytest.mark.long
def test_negative_control_a_stream_for_each_page_leaves_none_for_the_seventh(
    own_browser: Callable[..., BrowserContext], running_stack: Any
) -> None:
    context = own_browser("delete window.SharedWorker;")  # then each page has a worker, and a stream, of its own
    for _ in range(6):
        page = context.new_page()
        page.goto(running_stack.ui_url)
        page.wait_for_selector("#conn[data-conn=live]")
    seventh = context.new_page()
    with pytest.raises(Timeout):
        seventh.goto(running_stack.ui_url, timeout=10_000)
    # A page that nobody sees gives its connection back.
    hide = "() => { Object.defineProperty(document, 'hidden', {value: true}); document.dispatchEvent(new Event('visibilitychange')); }"
    context.pages[0].evaluate(hide)
    seventh.goto(running_stack.ui_url)
    seventh.wait_for_selector("#conn[data-conn=live]")
