"""The Bots page in a real Chromium over 10,000 bots: from the projection's commit to the screen, server time, a storm of live rows.

The commit is the moment at which its NOTIFY reaches a listener of the benchmark's own; the screen is the first frame after the change
of the DOM. Run as a module of its own it is the job-runner of the benchmark: some bots' jobs take a while, some never end, the
others' end at once.
"""

import asyncio
import http.client
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from playwright.sync_api import Page, sync_playwright
from typing_extensions import override

from autonomy import clock
from autonomy.envelope import encode
from autonomy.events import Command, JobEnqueued, RegisterBots, SetPolicy
from autonomy.kafka import Outgoing, append_batch, build_producer
from autonomy.read_model import CHANNEL
from autonomy.telemetry import set_up
from autonomy.topics import COMMANDS
from benchmarks.fleet import SHORT, STRATEGIES, SYMBOLS, bench_policy, bot_id
from benchmarks.measure import Context, Measure, absolute, percentile
from benchmarks.noop_runner import NoOpWorker
from benchmarks.proof import wait, wait_200
from benchmarks.servers import Platform, free_port, platform, write_operators
from bots_ui import build_assets
from job_runner.app import run_runner
from job_runner.claims.outcome import Outcome
from job_runner.settings import RunnerSettings
from local_stack.browsers import chromium

BOTS = 10_000
CHANGING = 50
"""Their jobs take `WORK_S`, two at a time; each bot goes from idle to queued, running and idle again."""
BEATING = 50
"""Their jobs never end and beat five times a second: over 200 rows a second on one page."""
WORK_S = 0.8
BEAT_S = 0.2
STORM_S = 8.0
REQUESTS = 200
FLICKER_MS = 300
WAIT_S = 90
ENDED = "SELECT count(*) FROM autonomy.bot_jobs WHERE bot_id LIKE 'aaa-%' AND status = 'SUCCEEDED'"
WATCH = """() => {
  window.seen = [];
  window.before = [...document.querySelectorAll('#rows > tr')].map((row) => [row.id.slice(4), row.dataset.state]);
  const note = (row) => {
    const bot = row.id.slice(4), state = row.dataset.state;
    requestAnimationFrame(() => window.seen.push([Date.now(), bot, state]));
  };
  new MutationObserver((changes) => { for (const change of changes) note(change.target.closest('tr')); })
    .observe(document.getElementById('rows'), {subtree: true, attributes: true, attributeFilter: ['data-state']});
}"""
STORM = """() => {
  window.storm = {rows: 0, lost: 0, long: 0, shown: 0};
  const badge = document.activeElement, tip = badge.closest('.tipped').querySelector('.tip');
  new PerformanceObserver((list) => { for (const task of list.getEntries()) window.storm.long += task.duration; })
    .observe({type: 'longtask'});
  document.addEventListener('autonomy:told', () => {
    if (document.activeElement !== badge || !badge.isConnected || !tip.matches(':popover-open')) window.storm.lost += 1;
    window.storm.shown += 1;
  });
  new MutationObserver((changes) => {
    window.storm.rows += new Set(changes.map((change) => (change.target.closest || (() => null)).call(change.target, 'tr'))).size;
  }).observe(document.getElementById('rows'), {subtree: true, attributes: true, attributeFilter: ['width']});
}"""
"""Every beat moves a job's progress by itself, so each row that came changes the width of its bar once."""


class PatientWorker(NoOpWorker):
    """Works for a while on `aaa-` bots, for ever on `aab-` bots, and not at all on the others."""

    @override
    async def run(self, order: JobEnqueued, on_progress: Callable[[str, float], None]) -> Outcome:
        """Progress moves at every beat."""
        last = {"aaa": int(WORK_S / 0.1), "aab": 1_000_000}.get(order.bot_id[:3], 0)
        for step in range(last):
            on_progress("working", (step * 7 % 100) / 100)
            await asyncio.sleep(0.1)
        return await super().run(order, on_progress)


@dataclass
class Commits:
    """What the projection committed, and when."""

    url: str
    found: list[tuple[int, str, str]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    ready: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        """Note every row that each commit wrote, until told to stop."""
        with psycopg.connect(self.url, autocommit=True) as listening, psycopg.connect(self.url, autocommit=True) as reading:
            listening.execute(f"LISTEN {CHANNEL}")
            row = reading.execute("SELECT max(rev) FROM autonomy.bot_now").fetchone()
            rev = row[0] if row and row[0] else 0
            self.ready.set()
            while not self.stopping.is_set():
                for _ in listening.notifies(timeout=0.2, stop_after=1):
                    at = clock.now_ms()
                    for bot, state, written in reading.execute("SELECT bot_id, state, rev FROM autonomy.bot_now WHERE rev > %s", (rev,)):
                        self.found.append((at, bot, state))
                        rev = max(rev, written)


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    build_assets.main()
    with platform(ctx.folder / "page", database=True) as servers, sync_playwright() as playwright:
        api_port, ui_port = up(servers)
        bots = ctx.size(BOTS)
        say(servers.bootstrap, (SetPolicy, {"document": policy_of(100_000)}), *registrations("", bots))
        wait(servers, api_port, bots)
        url = f"http://127.0.0.1:{ui_port}"
        wait_200(ui_port, "/readyz")
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        latencies = changes(ctx, servers, page, url, api_port)
        first = server_times(ui_port, "/", ctx.size(REQUESTS))
        filtered = server_times(ui_port, "/?state=IDLE&q=s", ctx.size(REQUESTS))
        storm = stormed(ctx, servers, page, url, api_port)
        browser.close()
        servers.check()
    seconds = ctx.size(int(STORM_S * 20)) / 20
    ctx.note(
        f"page: badge on screen p50 {percentile(latencies, 0.5):.0f} ms, max {max(latencies):.0f} ms of {len(latencies)} changes; "
        f"a filtered first page p95 {percentile(filtered, 0.95):.0f} ms; in the storm {storm['shown']} messages, "
        f"{storm['long']:.0f} ms of long tasks in {seconds:g} s"
    )
    return [
        absolute("badge on screen after the commit, p95", percentile(latencies, 0.95), "ms", most=300),
        absolute("  changes of a badge", len(latencies), "changes", least=1 if ctx.quick else 100),
        absolute(f"first page of {bots:,} bots, server time, p95", percentile(first, 0.95), "ms", most=200),
        absolute("live rows on one page", storm["rows"] / seconds, "rows/s", least=200),
        absolute("  tooltip or focus lost meanwhile", storm["lost"], "times", most=0),
    ]


def up(servers: Platform) -> tuple[int, int]:
    """Start the services; gives the ports of the proof API and the page."""
    api_port, ui_port = free_port(), free_port()
    operators, key = servers.folder / "operators.json", servers.folder / "session.key"
    write_operators(operators)
    key.write_text("k" * 43)
    assert servers.database is not None
    servers.service("planner", "-m", "planner")
    servers.service("runner", "-m", "benchmarks.page", str(servers.folder), RUNNER_RESEARCH_SLOTS="1000", RUNNER_BEAT_S=str(BEAT_S))
    servers.service("projection", "-m", "projection", DATABASE_URL=servers.database.url("autonomy_projection"))
    servers.service(
        "proof-api", "-m", "proof_api", DATABASE_URL=servers.database.url("autonomy_reader"), PROOF_API_PORT=str(api_port),
        OPERATORS_FILE=str(operators),
    )  # fmt: skip
    servers.service(
        "bots-ui", "-m", "bots_ui", BOTS_UI_PORT=str(ui_port), PROOF_API_URL=f"http://127.0.0.1:{api_port}", SESSION_KEY_FILE=str(key)
    )
    time.sleep(4)  # the runner has announced itself
    return api_port, ui_port


def policy_of(concurrency: int) -> dict[str, Any]:
    """Ticks by cause only; so many jobs at once."""
    return bench_policy(concurrency=concurrency).model_copy(update={"tick_interval_s": 3600.0}).model_dump(mode="json")


def registrations(prefix: str, count: int) -> list[tuple[type[Command], dict[str, Any]]]:
    """A fleet; without a prefix a fifth of it waits for bars."""
    bots = [
        {
            "id": f"{prefix}{bot_id(number)}", "strategy": STRATEGIES[number % len(STRATEGIES)],
            "symbol": SHORT if not prefix and number % 5 == 0 else SYMBOLS[number % len(SYMBOLS)],
        }
        for number in range(count)
    ]  # fmt: skip
    return [(RegisterBots, {"bots": tuple(bots[first : first + 500])}) for first in range(0, count, 500)]


def say(bootstrap: str, *commands: tuple[type[Command], dict[str, Any]]) -> None:
    """Say commands as an approver."""

    async def run() -> None:
        producer = await build_producer(bootstrap)
        for kind, fields in commands:
            said = kind(command_id=clock.drawn_id(), actor="ada", role="approver", reason="bench", **fields)
            value = encode(said, source="autonomy/bench", subject="ada", time=clock.now(), event_id=clock.drawn_id())
            await append_batch(producer, COMMANDS, 0, [Outgoing(b"ada", value)])
        await producer.stop()

    # Playwright's own loop runs in this thread.
    worker = threading.Thread(target=lambda: asyncio.run(run()))
    worker.start()
    worker.join(WAIT_S)


def prepared(servers: Platform, page: Page, url: str, api_port: int, prefix: str, count: int, concurrency: int) -> None:
    """A live page that shows exactly these new bots; so many of their jobs run at once, from now on."""
    say(servers.bootstrap, (SetPolicy, {"document": policy_of(concurrency)}), *registrations(prefix, count))
    deadline = time.monotonic() + WAIT_S
    address = f"/api/bots?q={prefix}&limit=1"
    while json_of(api_port, address)["matching"] != count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the {count} bots {prefix}… do not appear")
        time.sleep(0.2)
    page.goto(f"{url}/?q={prefix}")
    page.wait_for_selector("#conn[data-conn=live]")
    page.wait_for_selector("#head[data-trust=fresh]")


def json_of(port: int, path: str) -> dict[str, Any]:
    """A document of the proof API."""
    import orjson

    from benchmarks.proof import get

    found: dict[str, Any] = orjson.loads(get(port, path))
    return found


def changes(ctx: Context, servers: Platform, page: Page, url: str, api_port: int) -> list[float]:
    """Milliseconds from the commit of each changed badge to the first frame that shows it, or a later one of the same bot."""
    count = ctx.size(CHANGING * 2) // 2 or 1
    assert servers.database is not None
    commits = Commits(servers.database.url("autonomy_owner"))
    listening = threading.Thread(target=commits.listen, daemon=True)
    listening.start()
    commits.ready.wait(10)
    prepared(servers, page, url, api_port, "aaa-", count, 2)
    page.evaluate(WATCH)
    began_ms, deadline = clock.now_ms(), time.monotonic() + WAIT_S
    with psycopg.connect(commits.url, autocommit=True) as connection:
        while (ended := connection.execute(ENDED).fetchone()) != (count,):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{ended} of {count} jobs ended within {WAIT_S} s")
            page.wait_for_timeout(300)
    page.wait_for_timeout(1_000)
    seen, before = page.evaluate("window.seen"), dict(page.evaluate("window.before"))
    commits.stopping.set()
    listening.join(10)
    return matched([one for one in commits.found if one[1] in before and one[0] >= began_ms], seen, before)


def matched(commits: Sequence[tuple[int, str, str]], seen: Sequence[Sequence[Any]], before: Mapping[str, str]) -> list[float]:
    """Latencies of the commits that changed a badge; one that was overtaken is shown by the frame that shows a later one.

    A badge that was as before within `FLICKER_MS` had nothing to show.

    Raises:
        RuntimeError: a change never came to the screen.
    """
    latencies: list[float] = []
    for bot in {bot for _, bot, _ in commits}:
        open_ones: list[tuple[int, str]] = []
        known = shown_last = before[bot]
        for at, name, state in commits:
            if name == bot and state != known:
                open_ones.append((at, state))
                known = state
        for at, name, state in seen:
            if name != bot:
                continue
            shown = max((place for place, one in enumerate(open_ones) if one[1] == state and one[0] <= at + 5), default=-1)
            shown_last = state
            latencies += [max(0.0, at - one[0]) for one in open_ones[: shown + 1]]
            del open_ones[: shown + 1]
        undone = bool(open_ones) and open_ones[-1][1] == shown_last and open_ones[-1][0] - open_ones[0][0] <= FLICKER_MS
        if open_ones and not undone:
            raise RuntimeError(f"{bot}: {open_ones} never came to the screen, which shows {shown_last}")
    return latencies


def server_times(port: int, path: str, count: int) -> list[float]:
    """Milliseconds of one request after the other on one connection, the whole page read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    spent: list[float] = []
    for number in range(count + 5):
        started = time.perf_counter()
        connection.request("GET", path, headers={"Accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK or b'id="rows"' not in body:
            raise RuntimeError(f"{path}: {answer.status}")
        if number >= 5:
            spent.append((time.perf_counter() - started) * 1000)
    connection.close()
    return spent


def stormed(ctx: Context, servers: Platform, page: Page, url: str, api_port: int) -> dict[str, float]:
    """What an open card and the focus go through while every row of a page changes five times a second."""
    prepared(servers, page, url, api_port, "aab-", BEATING, 1_000)
    running = page.locator("tr[data-state=BACKTEST_RUNNING]")
    running.nth(BEATING - 1).wait_for(timeout=WAIT_S * 1000)
    page.locator("#rows th a").nth(2).focus()
    page.keyboard.press("Tab")
    page.locator(".tip:popover-open").wait_for()
    page.evaluate(STORM)
    page.wait_for_timeout(ctx.size(int(STORM_S * 20)) * 50)
    found: dict[str, float] = page.evaluate("window.storm")
    return found


def main() -> int:
    """The benchmark's own job-runner, until SIGTERM."""
    set_up("bench-runner", "WARNING")
    return asyncio.run(run_runner(RunnerSettings(), PatientWorker()))


if __name__ == "__main__":
    sys.exit(main())
