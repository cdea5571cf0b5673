"""The page below a path of a real nginx with TLS, by the example that the documentation gives: every address holds, and acting works.

Source: R-G2; docs/proxy.md.
"""

import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from e2e.conftest import RunningStack
from local_stack.ports import free_ports
from local_stack.security import certificates
from support.platform import wait_for

pytestmark = pytest.mark.servers
ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy" / "nginx" / "autonomy.conf"
UNPACKED = ROOT / ".venv" / "nginx" / "usr" / "sbin" / "nginx"
HOST, BASE = "ops.localhost", "/autonomy"
"""A browser finds every name below localhost on loopback."""
ADDRESS = re.compile(r'\b(?:href|src|action|hx-get|data-live|data-worker)="(/[^"]*)"')


@dataclass(frozen=True)
class Proxied:
    """A page behind a proxy, as `sign_in` and others take a stack."""

    port: int
    token: str

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def ui_url(self) -> str:
        return self.origin + BASE


@pytest.fixture(scope="module")
def nginx() -> str:
    """`make nginx` sees to it where there is Debian's registry."""
    found = shutil.which("nginx") or (str(UNPACKED) if UNPACKED.exists() else None)
    if found is None:
        pytest.skip("there is no nginx on this machine, and none could be had (make nginx)")
    return found


@contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[None]:
    with log.open("w") as lines:
        running = subprocess.Popen(command, stdout=lines, stderr=subprocess.STDOUT, env={**os.environ, **environment}, cwd=ROOT)
    try:
        yield
        assert running.poll() is None, log.read_text()
    finally:
        running.terminate()
        running.wait(20)


@contextmanager
def proxied(nginx: str, stack: RunningStack, folder: Path, *, cut_off: bool = False, base: str = BASE) -> Iterator[Proxied]:
    """The example with this test's ports and certificate; nothing else of it is changed, unless the path is to be cut off."""
    page, port = free_ports(2)
    _, identity = certificates()
    (folder / "ops.example.pem").write_text(identity)
    (folder / "ops.example.key").write_text(identity)
    site = EXAMPLE.read_text().replace("443", str(port)).replace("5001", str(page)).replace("5000", stack.api_url.rpartition(":")[2])
    site = site.replace("ops.example;", f"{HOST};")
    if cut_off:
        site = site.replace(f"http://127.0.0.1:{page};", f"http://127.0.0.1:{page}/;")
    kinds = "".join(f"  {kind}_temp_path {folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder / 'nginx.pid'};\nevents {{}}\nhttp {{\n  access_log off;\n{kinds}{site}}}\n"
    )
    environment = {
        "BOTS_UI_PORT": str(page), "PROOF_API_URL": stack.api_url, "SESSION_KEY_FILE": str(stack.folder / "session.key"),
        "ALLOWED_HOSTS": HOST, "BASE_PATH": base, "COOKIE_SECURE": "1",
    }  # fmt: skip
    serving = process([sys.executable, "-m", "bots_ui"], folder / "bots-ui.log", **environment)
    proxying = process([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"], folder / "nginx.log")
    with serving, proxying:
        found = Proxied(port, stack.token)
        with client(found) as http:
            wait_for("the page behind the proxy", lambda: answers(http, f"{base or BASE}/livez"), every_s=0.1)
        yield found


def client(at: Proxied) -> httpx.Client:
    """Asks nginx by its public name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return httpx.Client(base_url=f"https://127.0.0.1:{at.port}", headers={"Host": f"{HOST}:{at.port}"}, verify=context, timeout=20)


def answers(http: httpx.Client, path: str) -> bool:
    try:
        return http.get(path).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def walked(http: httpx.Client, first: str, most: int = 150) -> dict[str, int]:
    """Every address that is reached from the first page by what the pages name, with its status."""
    found: dict[str, int] = {}
    waiting = [first]
    while waiting and len(found) < most:
        path = waiting.pop(0).replace("&amp;", "&")
        if path in found or "/live" in path:  # the stream has no end; the browser reads it
            continue
        answer = http.get(path, follow_redirects=False)
        found[path] = answer.status_code
        if "html" in answer.headers.get("content-type", ""):
            # One address of a kind is enough: there are hundreds of bots, ticks and filters.
            kinds = {re.sub(r"=[^&]*|/[0-9a-z-]*[0-9][0-9a-z-]*", "", known) for known in (*found, *waiting)}
            for address in ADDRESS.findall(answer.text):
                kind = re.sub(r"=[^&]*|/[0-9a-z-]*[0-9][0-9a-z-]*", "", address)
                if kind not in kinds:
                    kinds.add(kind)
                    waiting.append(address)
    return found


@pytest.mark.parametrize(
    "cut_off", [pytest.param(False, id="the path is kept"), pytest.param(True, id="the path is cut off", marks=pytest.mark.long)]
)
def test_the_page_works_below_a_path(nginx: str, running_stack: RunningStack, browser: Browser, tmp_path: Path, *, cut_off: bool) -> None:
    with proxied(nginx, running_stack, tmp_path, cut_off=cut_off) as at:
        with client(at) as http:
            statuses = walked(http, f"{BASE}/")
            assert len(statuses) > 25, statuses
            assert {path for path in statuses if not path.startswith(f"{BASE}/")} == set()
            # Forms are named by an address, too, and some of those take POST only.
            assert {path: status for path, status in statuses.items() if status not in {200, 303, 405}} == {}
            assert http.get(f"{BASE}/jobs/", follow_redirects=False).headers.get("location", f"{BASE}/jobs") == f"{BASE}/jobs"
            assert http.get("/autonomy-proof/livez").json()["status"] == "ok"
        acts(at, browser)


def acts(at: Proxied, browser: Browser) -> None:
    """Sign in, see it live, set the theme, pause and resume, and sign out: by hand, in a browser."""
    context = browser.new_context(ignore_https_errors=True)
    try:
        page: Page = context.new_page()
        outside: list[str] = []
        page.on("request", lambda request: None if request.url.startswith((at.ui_url, "data:")) else outside.append(request.url))
        page.goto(f"{at.ui_url}/")
        page.wait_for_selector("#conn[data-conn=live]")
        page.click("a:has-text('Sign in')")
        page.fill("input[name=token]", at.token)
        page.click("main button")
        page.wait_for_url(f"{at.ui_url}/")
        cookies: dict[str, Any] = {cookie["name"]: cookie for cookie in context.cookies()}
        (session,) = [cookie for name, cookie in cookies.items() if name.startswith("__Secure-autonomy_session")]
        assert (session["path"], session["secure"], session["httpOnly"], session["sameSite"]) == (BASE, True, True, "Strict")
        page.click("form.theme button")
        page.wait_for_selector("html[data-theme=light]")
        for verb in ("pause", "resume"):
            page.goto(f"{at.ui_url}/loop?verb={verb}")
            page.fill("main [name=reason]", "behind a proxy")
            page.click("main button.primary")
            page.wait_for_url(f"{at.ui_url}/")
            page.wait_for_selector(f"#head[data-loop={'paused' if verb == 'pause' else 'ticking'}]")
        page.click("text=Sign out")
        page.wait_for_url(f"{at.ui_url}/")
        assert [cookie for cookie in context.cookies() if "session" in cookie.get("name", "")] == []
        assert outside == []
    finally:
        context.close()


def test_negative_control_without_its_base_path_the_page_breaks(nginx: str, running_stack: RunningStack, tmp_path: Path) -> None:
    with proxied(nginx, running_stack, tmp_path, cut_off=True, base="") as at, client(at) as http:
        statuses = walked(http, f"{BASE}/")
        outside = {status for path, status in statuses.items() if not path.startswith(BASE)}
        assert outside
        assert min(outside) >= httpx.codes.BAD_REQUEST


def test_a_host_that_is_not_named_is_refused(nginx: str, running_stack: RunningStack, tmp_path: Path) -> None:
    with proxied(nginx, running_stack, tmp_path) as at, client(at) as http:
        assert http.get(f"{BASE}/", headers={"Host": "evil.example"}).status_code == httpx.codes.BAD_REQUEST


def test_a_host_that_the_proxy_rewrote_is_told_what_to_do(nginx: str, running_stack: RunningStack, tmp_path: Path) -> None:
    """An old browser, or one on plain http, says only where the page was from."""
    with proxied(nginx, running_stack, tmp_path) as at, client(at) as http:
        answer = http.post(f"{BASE}/sign-in", data={"token": at.token}, headers={"Origin": "https://elsewhere.example"})
        assert (answer.status_code, "A proxy must keep the Host header" in answer.text) == (403, True)
        answer = http.post(f"{BASE}/sign-in", data={"token": at.token}, headers={"Origin": at.origin}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/")
