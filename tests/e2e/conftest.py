"""A whole stack of real processes, and a real browser, for the tests of the page.

Ports are free ones and data lies in a temporary folder, so that nothing of a developer's own stack is touched.
"""

import http
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from bots_ui import build_assets
from local_stack.browsers import chromium
from local_stack.ports import free_ports
from local_stack.postgres_server import PostgresServer
from local_stack.supervise import Supervisor
from local_stack.waiting import Waiting
from support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
UP_TIMEOUT_S = 400
"""`make up` itself waits as long as its processes live."""
PATIENT_MS, SHOWN_MS = 1_000 * PATIENCE_S, 30_000
"""Playwright's bounds where a time is no promise, as `support.patience`: until a page is there or work is done, and until
something is shown. What the page promises in seconds has a bound of its own.
"""
RESEARCH_NICE = 10
PORTS = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "POSTGRES_PORT", "PROOF_API_PORT", "BOTS_UI_PORT")


@dataclass(frozen=True)
class RunningStack:
    """A stack that answers. `stop` and `start` take the name of one of its processes."""

    ui_url: str
    api_url: str
    token: str
    folder: Path
    environment: Mapping[str, str]
    sql_url: str

    def stop(self, name: str) -> None:
        Supervisor(self.folder).control("stop", name)

    def start(self, name: str) -> None:
        """Start one again; returns when the stack is whole, so that no other test meets half of it."""
        Supervisor(self.folder).control("start", name)
        self.wait_whole(name)

    def freeze(self, name: str) -> None:
        self.signal(name, "STOP")

    def thaw(self, name: str) -> None:
        """Let one go on; returns when the stack is whole."""
        self.signal(name, "CONT")
        self.wait_whole(name)

    def signal(self, name: str, word: str) -> None:
        Supervisor(self.folder).control("signal", word, name)

    def wait_whole(self, name: str) -> None:
        """Until the page is ready and the proof finds nothing wrong, as long as this process lives."""
        Waiting(Supervisor(self.folder), PATIENCE_S).until(f"a whole stack after {name}", self.look, [name])

    def look(self) -> str | None:
        """None when all is well, else what is seen."""
        try:
            page, answer = httpx.get(f"{self.ui_url}/readyz", timeout=20), httpx.get(f"{self.api_url}/api/_proof/autonomy", timeout=20)
        except httpx.TransportError as fault:
            return f"{type(fault).__name__}: {fault}"
        if page.status_code != 200 or answer.status_code != 200:
            return f"the page {page.status_code}, the proof {answer.status_code}"
        proof = answer.json()["proof"]
        return None if (proof["status"], proof["failing"]) == ("fresh", []) else f"{proof['status']}: {proof['reason']}"


@contextmanager
def a_stack(folder: Path, **more: str) -> Iterator[RunningStack]:
    """The whole stack with the demo fleet, as `make up` starts it, but for what is set otherwise."""
    build_assets.main()
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    # The made-up market has a test of its own; the others count the bots of the demo.
    environment = {**os.environ, **ports, "AUTONOMY_DATA_DIR": str(folder), "SYNTHETIC": "0", **more}
    command = [sys.executable, "-W", "ignore", "-m", "local_stack"]
    subprocess.run([*command, "up"], env=environment, check=True, timeout=UP_TIMEOUT_S, cwd=ROOT)
    try:
        yield RunningStack(
            f"http://127.0.0.1:{ports['BOTS_UI_PORT']}", f"http://127.0.0.1:{ports['PROOF_API_PORT']}",
            (folder / "operator.token").read_text().strip(), folder, environment,
            PostgresServer(folder / "postgres", int(ports["POSTGRES_PORT"])).url("autonomy_reader"),
        )  # fmt: skip
    finally:
        subprocess.run([*command, "reset"], env=environment, check=True, timeout=UP_TIMEOUT_S, cwd=ROOT)


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("stack")
    with a_stack(folder, RUNNER_RESEARCH_SLOTS="1", AUTONOMY_POLICY=str(quick_jobs(folder.with_name("policy.yaml")))) as found:
        yield_to_browsers(found.folder)
        yield found


def quick_jobs(file: Path) -> Path:
    """The demo's policy with the default sample for a verdict: the demo asks for more, so that its jobs last long enough to be watched."""
    policy = yaml.safe_load((ROOT / "deploy" / "policy.yaml").read_text())
    for name in ("permuted_markets", "hopeless_after"):
        del policy["research"]["suite"][name]
    file.write_text(yaml.safe_dump(policy))
    return file


def yield_to_browsers(folder: Path) -> None:
    """Research goes on all the while, by what the browsers leave of the processors: it would take a fifth of the list's time."""
    manager = psutil.Process(Supervisor(folder).pid())
    for process in manager.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "multiprocessing.forkserver" in " ".join(process.cmdline()):
                process.nice(RESEARCH_NICE)  # workers that come later are its children


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's Chromium where there is one, else Playwright's own."""
    expect.set_options(timeout=SHOWN_MS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield opened
        opened.close()


OpenPage = Callable[..., Page]
PutPolicy = Callable[[dict[str, Any], str], None]
STAY_WARM = """
const animate = Element.prototype.animate;
Element.prototype.animate = function (...words) {
  const animation = animate.apply(this, words);
  animation.pause();
  return animation;
};
"""
"""A changed cell stays at its warmest moment, so that what is read there does not depend on when it is read."""


NO_WORKERS = "delete window.SharedWorker; delete window.Worker;"
"""A page that hears nothing: what it shows is what it was rendered from."""


@dataclass
class Told:
    """What a page's browser complained about, and where its requests went."""

    console: list[str]
    outside: list[str]


@pytest.fixture
def told() -> Told:
    return Told([], [])


@pytest.fixture
def open_page(browser: Browser, running_stack: RunningStack, told: Told) -> Iterator[OpenPage]:
    """Open a page of the stack and wait until it is live."""
    contexts: list[BrowserContext] = []

    def opened(
        path: str = "/", *, width: int = 1280, height: int = 900, live: bool = True, warm: bool = False, script: str = "", **more: object
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        if warm:
            page.add_init_script(STAY_WARM)
        if script:
            page.add_init_script(script)
        page.set_default_timeout(PATIENT_MS)
        page.on("console", lambda message: told.console.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda fault: told.console.append(str(fault)))
        page.on(
            "request", lambda request: None if request.url.startswith((running_stack.ui_url, "data:")) else told.outside.append(request.url)
        )
        page.goto(running_stack.ui_url + path)
        if live:
            page.wait_for_selector("#conn[data-conn=live]")
            page.wait_for_selector("#head[data-trust=fresh]")
        return page

    yield opened
    for context in contexts:
        context.close()


def came_to(page: Page, url: "str | re.Pattern[str]") -> None:
    """The browser is at an address, and its page hears keys: one that is pressed before its scripts ran is nobody's."""
    expect(page).to_have_url(url)
    page.wait_for_selector("#conn[data-conn=live]")


def say(stack: Any, **command: object) -> dict[str, Any]:
    """Say a command at the API, as the operator of the stack; its answer, also when it was rejected."""
    request = urllib.request.Request(
        f"{stack.api_url}/api/commands", data=json.dumps(command).encode(), method="POST",
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {stack.token}"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as rejection:
        if rejection.code != http.HTTPStatus.CONFLICT:
            raise
        answer = json.load(rejection)
        rejection.close()
    return answer


@pytest.fixture
def put_policy(running_stack: Any) -> Iterator[PutPolicy]:
    """Set a policy that one approver may change; the stack is many files' own, so the shipped one comes back.

    An accepted policy may still wait for a second approver, and then it is not in force: who acts on it tests something else.
    """

    def put(document: dict[str, Any], reason: str) -> None:
        answer = say(running_stack, type="set-policy", document={**document, "rules_approvers": 1}, reason=reason)
        assert (answer["status"], answer["counts"]) == ("ACCEPTED", {}), answer

    yield put
    put(yaml.safe_load((ROOT / "deploy" / "policy.yaml").read_text()), "as it was")


def sign_in(page: Page, stack: Any, token: str = "") -> None:
    """Sign this page's browser in; the form itself is tested with the loop's buttons.

    On a machine that is busy for seconds the page says that the API did not answer in time: then one tries again.
    """
    for _ in range(5):
        answer = page.context.request.post(
            f"{stack.ui_url}/sign-in", form={"token": token or stack.token}, headers={"Origin": stack.ui_url}, max_redirects=0
        )
        if answer.status != 503:
            break
    else:
        raise AssertionError("the API did not answer in time, five times")
    assert answer.status == 303, answer.text()


@pytest.fixture
def signed_in(open_page: OpenPage, running_stack: Any) -> Callable[..., Page]:
    """Open a page as the operator."""

    def opened(path: str = "/", token: str = "", **more: Any) -> Page:
        page = open_page("/sign-in", live=False, **more)
        sign_in(page, running_stack, token)
        page.goto(running_stack.ui_url + path)
        if more.get("java_script_enabled", True):
            page.wait_for_selector("#conn[data-conn=live]")
            page.wait_for_selector("#head[data-trust=fresh]")
        return page

    return opened


def tab_to(page: Page, target: Locator, most: int = 120) -> None:
    """Reach a control with the Tab key alone."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("(node) => node === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by {most} steps of Tab")


def check_accessibility(page: Page) -> None:
    everything = Axe().run(page)
    assert everything.violations_count == 0, everything.generate_report()
    page.emulate_media(color_scheme="dark")
    colours = Axe().run(page, options={"runOnly": ["color-contrast"]})
    assert colours.violations_count == 0, colours.generate_report()
    page.emulate_media(color_scheme="light")
