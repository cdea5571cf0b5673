"""`make proof-pack`: one folder with the proofs of a running stack, taken together, arranged by nobody.

It issues no command. It waits for a moment that shows everything, takes both curls, the SQL and the screenshots of the Bots page and of the
timeline within five seconds of each other, each with its tick, and fails naming what never appeared.

Source: R-D1 to R-D4.
"""

import html
import json
import os
import platform
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as NotInTime

from autonomy import clock
from autonomy.errors import Broken
from local_stack.browsers import chromium
from local_stack.postgres_server import psql_words
from local_stack.settings import ROOT
from local_stack.stack import Stack

WAIT_S = 600.0
LOOK_EVERY_S = 0.5
SAY_EVERY_S = 10.0
TOGETHER_S = 5.0
HTTP_S = 10.0
QUERIES = {
    "a2-1-queued-or-running": (
        "SELECT job_type, status, COUNT(*)\nFROM bot_jobs\nWHERE status IN ('QUEUED','RUNNING')\nGROUP BY 1,2\nORDER BY 1,2;"
    ),
    "a2-2-planner-runs": "SELECT * FROM autonomy_planner_runs ORDER BY started_at DESC LIMIT 10;",
    "a2-3-decisions": (
        "SELECT reason_code, COUNT(*)\nFROM autonomy_bot_decisions\nWHERE tick = (SELECT max(tick) FROM autonomy_planner_runs)\n"
        "GROUP BY 1\nORDER BY 2 DESC;"
    ),
    "d3-stage-reverts": (
        "SELECT to_stage, reason_code, COUNT(*) FROM bot_stage_events WHERE reason_code='BULK_REVERT_REBASELINE' GROUP BY 1,2;"
    ),
}
BOTS_PAGE, TIMELINE = "bots-page.png", "timeline.png"
PAGES = {BOTS_PAGE: "/", TIMELINE: "/timeline"}
LAST_TICK = "SELECT max(tick) FROM autonomy_planner_runs"
FRAME = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Proof pack</title>
<style>
body {{ font: 15px/1.5 system-ui; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color-scheme: light dark }}
pre {{ overflow: auto; max-height: 28rem; padding: 1rem; border: 1px solid #8884; border-radius: 6px; font-size: 13px }}
img {{ max-width: 100%; border: 1px solid #8884; border-radius: 6px }}
</style>
<h1>Proof pack</h1>
<p>{when}: {ticks}. Nothing was commanded for it.</p>
<h2>The last hour, {ui}/timeline</h2>
<img src="timeline.png" alt="The timeline of the last hour at that moment">
<h2>The Bots page, {ui}</h2>
<img src="bots-page.png" alt="The Bots page at that moment">
{sections}
</html>
"""
PACKAGES = ("aiokafka", "fastapi", "pydantic", "numba", "sqlalchemy")


@dataclass(slots=True)
class Pack:
    """What was taken, by file name, with the tick that each part shows.

    Attributes:
        seconds: between the first part and the last.
    """

    started_at: datetime
    files: dict[str, str] = field(default_factory=dict)
    ticks: dict[str, int] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0


def make_pack(stack: Stack, folder: Path, wait_s: float = WAIT_S) -> int:
    """Wait for the moment, take everything, write the folder; returns the exit code.

    Raises:
        Broken: the moment never came; names what was missing.
    """
    stack.check_running()
    ui = f"http://127.0.0.1:{stack.settings.bots_ui_port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        pages: dict[str, Page] = {}
        for name, path in PAGES.items():
            pages[name] = browser.new_page(viewport={"width": 1440, "height": 1000}, device_scale_factor=2)
            pages[name].goto(ui + path)
        pack = wait_for_moment(stack, pages, wait_s)
        browser.close()
    code, audit = verify(stack)
    pack.files["audit.txt"] = audit
    pack.files["versions.json"] = json.dumps(versions(stack), indent=1) + "\n"
    write(folder, pack, stack, ui)
    print(f"Proof pack: {folder / 'index.html'}  (tick {max(pack.ticks.values())}, all parts within {pack.seconds:.1f} s)")
    if code != 0:
        what = "verified only in part, or with accepted repairs" if code in {3, 4} else "did not verify"
        print(f"The audit {what}: see audit.txt", file=sys.stderr)
    return code


def wait_for_moment(stack: Stack, pages: Mapping[str, Page], wait_s: float) -> Pack:
    """Look until everything shows at once.

    Raises:
        Broken: it never did.
    """
    deadline, missing = time.monotonic() + wait_s, ["the stack did not answer"]
    said = time.monotonic()
    while time.monotonic() < deadline:
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            print(f"waiting, at most {deadline - said:.0f} s more, for: {'; '.join(missing)}", file=sys.stderr, flush=True)
        try:
            missing = missing_of(stack, pages)
            if not missing:
                pack = take(stack, pages)
                missing = lacking(pack)
                if not missing:
                    return pack
        except (urllib.error.URLError, OSError, NotInTime, Broken) as lost:
            missing = [str(lost).splitlines()[0]]
        time.sleep(LOOK_EVERY_S)
    raise Broken(f"no moment within {wait_s:.0f} s showed everything; at the end there was missing: {'; '.join(missing)}")


def missing_of(stack: Stack, pages: Mapping[str, Page]) -> list[str]:
    """What the running system does not show now, in words."""
    bots, jobs = get(stack, "/api/bots?limit=1"), get(stack, "/api/_proof/jobs")
    missing: list[str] = []
    if part(bots, "proof").get("status") != "fresh":
        missing.append(f"fresh data (it is {part(bots, 'proof').get('status')})")
    missing += [f"a {name} backtest" for name in ("running", "queued") if not part(jobs, name).get("backtest")]
    counts = part(bots, "counts")
    beyond = {stage: count for stage, count in part(counts, "stage").items() if stage != "LAB" and count}
    if beyond:
        missing.append("every bot in LAB (" + ", ".join(f"{count} in {stage}" for stage, count in beyond.items()) + ")")
    if not part(counts, "recency").get("fresh"):
        missing.append("a fresh recency pill")
    if not sql(stack, QUERIES["d3-stage-reverts"], plain=True).strip():
        missing.append("a bulk revert (D3 has 0 rows)")
    for state in ("BACKTEST_RUNNING", "BACKTEST_QUEUED"):
        if pages[BOTS_PAGE].locator(f"tr[data-state={state}]").count() == 0:
            missing.append(f"{state} on the page")
    if pages[TIMELINE].locator(".tick").count() == 0:
        missing.append("a tick on the timeline")
    return missing


def take(stack: Stack, pages: Mapping[str, Page]) -> Pack:
    """Both curls, the SQL and the screenshots, at once."""
    pack = Pack(started_at=clock.now())
    started = time.monotonic()
    page = pages[BOTS_PAGE]
    for name, shown in pages.items():
        pack.pictures[name] = shown.screenshot(full_page=shown is page)
    running = page.locator("tr[data-state=BACKTEST_RUNNING]").count()
    queued = page.locator("tr[data-state=BACKTEST_QUEUED]").count()
    pack.files["page.txt"] = f"{running} Backtesting, {queued} Queued\n" + page.locator("main").inner_text() + "\n"
    pack.ticks["page"] = int(page.locator("[data-tick]").first.get_attribute("data-tick") or 0)
    for name in ("autonomy", "jobs"):
        document = get(stack, f"/api/_proof/{name}")
        pack.files[f"{name}.json"] = json.dumps(document, indent=1) + "\n"
        pack.ticks[name] = int(str(part(part(document, "proof"), "applied").get("tick") or 0))
    for name, statement in QUERIES.items():
        pack.files[f"{name}.txt"] = f"{statement}\n\n{sql(stack, statement)}"
    pack.ticks["sql"] = int(sql(stack, LAST_TICK, plain=True).strip() or 0)
    pack.seconds = time.monotonic() - started
    pack.files["seen.json"] = json.dumps({"running": running, "queued": queued}) + "\n"
    return pack


def lacking(pack: Pack) -> list[str]:
    """What is wrong with what was just taken: the moment may have passed meanwhile."""
    seen = json.loads(pack.files["seen.json"])
    missing = [f"{name} in the screenshot" for name in ("running", "queued") if not seen[name]]
    if pack.seconds > TOGETHER_S:
        missing.append(f"everything within {TOGETHER_S:.0f} s (it took {pack.seconds:.1f} s)")
    if not all(pack.ticks.values()):
        missing.append(f"a tick of each part ({pack.ticks})")
    return missing


def get(stack: Stack, path: str) -> Mapping[str, object]:
    """A document of the proof API."""
    with urllib.request.urlopen(stack.api + path, timeout=HTTP_S) as answer:  # noqa: S310 (our own loopback address)
        document: Mapping[str, object] = json.loads(answer.read())
    return document


def part(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    """An object inside a document; an empty one where it is missing."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def sql(stack: Stack, statement: str, *, plain: bool = False) -> str:
    """What psql prints for a statement, as the role that people use.

    Raises:
        Broken: psql's own words.
    """
    words, environment = psql_words(stack.postgres.binaries, stack.database("autonomy_reader"))
    plainly = ["-At"] if plain else []
    done = subprocess.run([*words, *plainly, "-c", statement], check=False, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise Broken(done.stderr.strip() or "psql failed")
    return done.stdout


def verify(stack: Stack) -> tuple[int, str]:
    """The audit of the whole log: its exit code and its words."""
    words = [sys.executable, "-m", "autonomy_cli.main", "audit", "verify", "--bootstrap", stack.settings.kafka]
    environment = {**os.environ, **stack.kafka_environment()}
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
    return done.returncode, f"$ autonomy audit verify\n{done.stdout}{done.stderr}exit {done.returncode}\n"


def versions(stack: Stack) -> dict[str, str]:
    """What ran."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, check=False, capture_output=True, text=True
    ).stdout.strip()
    return {
        "commit": commit or "no git", "python": platform.python_version(), "system": platform.platform(),
        "postgres": sql(stack, "SHOW server_version", plain=True).strip(), **{name: version(name) for name in PACKAGES},
    }  # fmt: skip


def write(folder: Path, pack: Pack, stack: Stack, ui: str) -> None:
    """The folder: every part as a file, and a page that shows them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pack.pictures.items():
        (folder / name).write_bytes(picture)
    for name, text in pack.files.items():
        (folder / name).write_text(text)
    ticks = ", ".join(f"{name} at tick {tick}" for name, tick in pack.ticks.items())
    shown = (
        (f"curl -s {stack.api}/api/_proof/autonomy | jq", "autonomy.json"), (f"curl -s {stack.api}/api/_proof/jobs | jq", "jobs.json"),
        *((query, f"{query}.txt") for query in QUERIES), ("The audit", "audit.txt"), ("Versions", "versions.json"),
    )  # fmt: skip
    sections = [f"<h2>{html.escape(title)}</h2>\n<pre>{html.escape(pack.files[name])}</pre>" for title, name in shown]
    when = f"Taken {pack.started_at.isoformat(timespec='milliseconds')} within {pack.seconds:.2f} s"
    content = FRAME.format(when=when, ticks=html.escape(ticks), ui=html.escape(ui), sections="\n".join(sections))
    (folder / "index.html").write_text(content)
