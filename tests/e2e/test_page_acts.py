"""Acting from the page in a real browser, over the whole stack: revert, approve, pin, and what must not work.

Runs after the tests that read, since it moves bots. Source: R-C2, R-D; docs/architecture.md, "The Bots page".
"""

import hashlib
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from autonomy.gates import EVIDENCE_GATES, LINE_GATES
from autonomy.policy import DEFAULT
from e2e.conftest import PATIENT_MS, PutPolicy, check_accessibility, say, sign_in, tab_to
from support.patience import PATIENCE_S

pytestmark = [pytest.mark.browser, pytest.mark.servers]
OpenPage = Callable[..., Page]
SECOND_TOKEN = "t" * 43
HOSTILE = "<img src=/nowhere onerror=\"document.title='taken'\">"
EASY_GATES = {"min_trades": 1, "min_net_t": -9.0, "shadow": ["TIMING"]}


def test_buttons_say_why_they_are_disabled(open_page: OpenPage) -> None:
    page = open_page("/bots/msft-sma")
    buttons = page.get_by_role("button", name=re.compile("Revert to LAB|Pin|Hold|Pause"))
    expect(buttons).to_have_count(5)
    for index in range(5):
        expect(buttons.nth(index)).to_be_disabled()
    expect(page.locator("#view .act-why").first).to_have_text("Sign in to act on this bot.")
    expect(page.locator("#act-why")).to_have_text("Sign in to pause, resume or revert.")


def test_hostile_reason_does_nothing(signed_in: OpenPage, running_stack: Any, told: Any) -> None:
    page = signed_in("/bots/fb-rsi")
    page.get_by_role("button", name="Pin…").click()
    expect(page.locator("#sheet-reason")).to_be_focused()
    check_accessibility(page)
    page.locator("#sheet-reason").fill(HOSTILE)
    page.keyboard.press("Enter")
    expect(page.locator(".notice.done")).to_contain_text("Pinned by local")
    for path in ("/bots/fb-rsi", "/bots/fb-rsi/timeline", "/commands", "/?q=fb-rsi", "/act/unpin?bot=fb-rsi"):
        page.goto(running_stack.ui_url + path)
        expect(page.locator("body")).to_contain_text("onerror=") if path[1] != "?" else page.locator(".badge").first.click()
        assert page.locator("img").count() == 0
        expect(page).not_to_have_title("taken")
    assert told.console == []
    assert told.outside == []


def test_a_fleet_that_changed_gives_another_plan(signed_in: OpenPage, running_stack: Any) -> None:
    page = signed_in()
    page.get_by_role("button", name="Revert to LAB…").click()
    expect(page.locator("#plan")).to_contain_text("pinned by")
    count = int(page.locator("#plan").get_attribute("data-count") or "0")
    say(running_stack, type="pin-bot", botId="goog-sma", reason="kept meanwhile")
    page.locator("#sheet-reason").fill("too late")
    page.locator("#sheet-count").fill(str(count))
    page.get_by_role("button", name=f"Revert {count} bots to LAB").click()
    expect(page.get_by_role("alert").first).to_contain_text("The fleet changed since the dry run: nothing was reverted")
    expect(page.locator("#plan")).to_have_attribute("data-count", str(count - 1))
    expect(page.locator("#plan")).to_contain_text("kept meanwhile")
    expect(page.locator("#sheet-reason")).to_have_value("too late")


@pytest.fixture
def second_operator(running_stack: Any) -> str:
    """The token of an operator called second."""
    file = running_stack.folder / "operators.json"
    known = [one for one in json.loads(file.read_text()) if one["name"] != "second"]
    file.write_text(
        json.dumps([*known, {"name": "second", "role": "operator", "sha256": hashlib.sha256(SECOND_TOKEN.encode()).hexdigest()}])
    )
    return SECOND_TOKEN


def test_revert_opens_on_what_the_page_shows(signed_in: OpenPage, running_stack: Any) -> None:
    """Also where the page was filtered after it was loaded; the whole fleet is a second choice, and never what is left of no bot."""
    page = signed_in()
    page.get_by_role("button", name="Revert to LAB…").click()
    whole = int(page.locator("#plan").get_attribute("data-count") or "0")
    page.keyboard.press("Escape")
    page.locator("#q").fill("goog")
    expect(page).to_have_url(re.compile(r"\?q=goog$"))
    page.get_by_role("button", name=re.compile("Revert .*to LAB…")).click()
    sheet = page.locator("#sheet-box")
    expect(sheet).to_contain_text("“goog”")
    count = int(page.locator("#plan").get_attribute("data-count") or "0")
    assert 0 < count < whole
    names = page.locator("#sheet-box input[name=bot]").evaluate_all("(nodes) => nodes.map((node) => node.value)")
    assert len(names) >= count
    assert all("goog" in name for name in names)
    check_accessibility(page)
    page.get_by_role("button", name="The whole fleet instead…").click()
    expect(page.locator("#plan")).to_have_attribute("data-count", str(whole))
    page.goto(f"{running_stack.ui_url}/?state=EVOLVING&stage=LIVE")
    page.wait_for_selector("#head[data-trust=fresh]")
    page.get_by_role("button", name="Revert these to LAB…").click()
    expect(page.locator("#plan")).to_have_attribute("data-count", "0")
    expect(page.get_by_role("button", name="Revert 0 bots to LAB")).to_be_disabled()


def test_form_of_one_operator_is_never_anothers(signed_in: OpenPage, running_stack: Any, second_operator: str) -> None:
    """Two tabs of one browser: in the second one somebody else signs in while the first one's form is open."""
    page = signed_in("/act/hold?bot=ibm-sma")
    page.locator("#sheet-reason").fill("typed by local")
    sign_in(page, running_stack, second_operator)  # the same browser
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("opened for local, and second is signed in now. Nothing was sent")
    expect(page.locator("#sheet-reason")).to_have_value("typed by local")
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(page.locator(".notice.done")).to_contain_text("Held by second")
    say(running_stack, type="release-hold", botId="ibm-sma", reason="looked at")


def test_typed_words_come_through_a_sign_in(signed_in: OpenPage, running_stack: Any) -> None:
    page = signed_in("/act/pin?bot=ibm-sma")
    page.locator("#sheet-reason").fill("kept & <not> lost")
    page.locator("#sheet-until").fill("2031-03-01T12:00")
    gone = page.context.request.post(f"{running_stack.ui_url}/sign-out", headers={"Origin": running_stack.ui_url}, max_redirects=0)
    assert gone.status == 303  # the session ends while the form is open
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_label("Token")).to_be_visible()
    # By a link that `autonomy login` prints, opened as from a terminal: only the browser's cookies know where it was.
    environment = {**running_stack.environment, "AUTONOMY_TOKEN": running_stack.token}
    command = [sys.executable, "-m", "autonomy_cli.main", "login", "--ui", running_stack.ui_url]
    link = subprocess.run(command, env=environment, check=True, timeout=PATIENCE_S, capture_output=True, text=True).stdout.strip()
    page.goto(link)
    expect(page.locator("main h1")).to_have_text("Sign in as local")
    check_accessibility(page)
    page.keyboard.press("Enter")
    expect(page.locator(".notice.done")).to_contain_text("Nothing was sent yet")
    assert page.context.request.get(link).status == 410  # it works once
    expect(page.locator("#sheet-reason")).to_have_value("kept & <not> lost")
    expect(page.locator("#sheet-until")).to_have_value("2031-03-01T12:00")
    page.goto(f"{running_stack.ui_url}/bots/ibm-sma")
    expect(page.get_by_role("button", name="Pin…")).to_be_visible()  # it was not


def test_pause_leaves_blocked_bots_blocked(signed_in: OpenPage, running_stack: Any) -> None:
    page = signed_in()
    blocked = page.locator("#n-state-BLOCKED_BY_GATES")
    before = int(blocked.inner_text())
    assert before > 0
    one = page.locator("#rows tr[data-state=BLOCKED_BY_GATES]").first
    bot = (one.get_attribute("id") or "").removeprefix("bot-")
    say(running_stack, type="pause-loop", reason="who is blocked?")
    try:
        expect(page.locator("#head")).to_have_attribute("data-loop", "paused")
        row = page.locator(f"#bot-{bot}")
        expect(row.locator("td.now")).to_have_attribute("data-v", re.compile("LOOP_DISABLED"))
        expect(row.locator(".badge")).to_contain_text("Blocked")
        expect(blocked).to_have_text(str(before))
    finally:
        say(running_stack, type="resume-loop", reason="seen")
    expect(page.locator("#head")).to_have_attribute("data-loop", "ticking")


def test_one_bot_is_reverted_without_scripts(signed_in: OpenPage) -> None:
    page = signed_in("/bots/msft-sma", java_script_enabled=False)
    page.locator("#view").get_by_role("button", name="Revert to LAB…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Revert to LAB: msft-sma")
    page.locator("#sheet").get_by_label("Reason").fill("no scripts")
    page.locator("#sheet").get_by_label("Type 1").fill("1")
    page.get_by_role("button", name="Revert 1 bot to LAB").click()
    expect(page).to_have_url(re.compile("/commands/[0-9a-f-]{36}$"))
    expect(page.locator("#view")).to_contain_text("REVERTED")


def thumb(page: Page, target: Locator, width: int = 390) -> None:
    """Press something that is on the screen and large enough for it."""
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box is not None
    assert box["x"] >= 0, target
    assert box["x"] + box["width"] <= width, target
    assert box["height"] >= 20, (target, box)
    target.tap()


def test_at_three_in_the_morning_by_thumb(signed_in: OpenPage, running_stack: Any) -> None:
    """Alarm, why, revert, proof: all of it on a phone, nothing beside the screen."""
    page = signed_in("/attention", width=390, height=844, has_touch=True, is_mobile=True)

    def fits() -> bool:
        return bool(page.evaluate("document.documentElement.scrollWidth <= 390"))

    alarm = page.locator("tr[data-code=UNVERIFIED_IMPORT]")
    expect(alarm).to_contain_text("revert the bot to LAB")
    assert fits()
    bot = alarm.locator("td a.mono").first.inner_text()
    thumb(page, alarm.locator("td a.mono").first)
    expect(page).to_have_url(f"{running_stack.ui_url}/bots/{bot}")
    why = page.locator("section:has(#change) .blockers td")
    expect(why).to_have_count(3)
    assert why.evaluate_all("(cells) => cells.map((cell) => cell.dataset.label)") == ["measured", "required", "cleared when"]
    for cell in why.all():
        box = cell.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
    assert fits()
    thumb(page, page.locator("#view").get_by_role("button", name="Revert to LAB…"))
    expect(page.locator("#sheet-box #plan")).to_be_visible()
    pressed = page.get_by_role("button", name="Revert 1 bot to LAB")
    box = pressed.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 844  # in reach without a scroll
    page.locator("#sheet-reason").fill("seen at three")
    page.locator("#sheet-count").fill("1")
    thumb(page, pressed)
    expect(page).to_have_url(re.compile("/commands/[0-9a-f-]{36}$"))
    outcome = page.locator("tbody tr", has_text="REVERTED")
    expect(outcome).to_contain_text(bot)
    assert fits()
    thumb(page, outcome.locator("a[href*='/events/']"))
    expect(page.locator("#borne-out")).to_have_text("SEALED, AND THE SEAL HOLDS")
    expect(page.locator("pre.stored")).to_contain_text(f'"botId": "{bot}"')
    assert fits()
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth <= 320")
    check_accessibility(page)


def test_bulk_revert_by_keyboard_only(signed_in: OpenPage, running_stack: Any) -> None:
    page = signed_in()
    opener = page.get_by_role("button", name="Revert to LAB…")
    tab_to(page, opener)
    page.keyboard.press("Enter")
    expect(page.locator("#sheet-box #plan")).to_be_visible()
    check_accessibility(page)
    page.keyboard.press("Escape")
    expect(page.locator("#sheet-box")).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#sheet-reason")).to_be_focused()
    count = page.locator("#plan").get_attribute("data-count") or ""
    page.keyboard.type("start again")
    page.keyboard.press("Tab")
    page.keyboard.type("1000")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet-box #plan")).to_be_visible()  # the wrong number is not sent
    page.keyboard.press("Control+a")
    page.keyboard.type(count)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/commands/[0-9a-f-]{36}$"))
    outcomes = page.locator("tbody tr", has_text="REVERTED")
    expect(outcomes).to_have_count(int(count))
    expect(page.locator("tbody tr", has_text="PINNED").filter(has_text="ibm-macd")).to_have_count(1)
    check_accessibility(page)
    page.goto(f"{running_stack.ui_url}/stages?reason=BULK_REVERT_REBASELINE")
    expect(page.locator("tbody tr")).to_have_count(int(count))


def easy_policy(**gates: int) -> dict[str, Any]:
    """Gates that every bot of the demo passes, and room for all of them; `gates` are more thresholds of each stage."""
    policy = DEFAULT.model_dump(mode="json")
    for stage in policy["stages"].values():
        stage["gates"] |= EASY_GATES | gates
    policy["stages"]["LAB"]["wants"] = ["BACKTEST_BASELINE", "BACKTEST_REFRESH"]
    policy["promotion"]["max_share"] = dict.fromkeys(policy["promotion"]["max_share"], 1.0)
    return policy


def test_approval_stands_beside_its_evidence_by_keyboard(signed_in: OpenPage, running_stack: Any, put_policy: PutPolicy) -> None:
    put_policy(easy_policy(), "gates that pass")
    page = signed_in("/promotions")
    opener = page.get_by_role("button", name="Approve…").first
    expect(opener).to_be_enabled(timeout=PATIENT_MS)
    bot = page.locator(".waiting th a").first.inner_text()
    tab_to(page, opener)
    page.keyboard.press("Enter")
    sheet = page.locator("#sheet-box")
    expect(sheet).to_contain_text(f"{bot} to PAPER")
    expect(sheet.locator(".gates tbody tr")).to_have_count(len(EVIDENCE_GATES) + len(LINE_GATES))
    check_accessibility(page)
    tab_to(page, page.locator("#sheet-reason"))
    page.keyboard.type("evidence read")
    page.keyboard.press("Enter")
    expect(page.locator(".notice.done")).to_contain_text("Approval accepted by local")
    expect(page).to_have_url(f"{running_stack.ui_url}/promotions")
    expect(page.locator(".waiting th a", has_text=re.compile(f"^{bot}$"))).to_have_count(0)
    page.goto(f"{running_stack.ui_url}/bots/{bot}")
    expect(page.locator(".title .sub")).to_contain_text("PAPER")
    page.goto(f"{running_stack.ui_url}/promotions?status=APPLIED")
    expect(page.locator("tbody tr", has_text=bot).first).to_contain_text("applied")


def test_a_queue_is_worked_through_by_keys(signed_in: OpenPage, running_stack: Any, put_policy: PutPolicy) -> None:
    """Each answer leads back into the queue, to the row that took the place of the one before."""
    put_policy(easy_policy(), "gates that pass")
    page = signed_in("/promotions")
    links = page.locator("[data-queue] [data-row] th a")
    expect(links.nth(2)).to_be_visible(timeout=PATIENT_MS)
    page.keyboard.press("j")
    expect(links.first).to_be_focused()
    page.keyboard.press("j")
    for key, reason in (("a", ""), ("r", "another time")):
        row = page.locator("[data-queue] [data-row]", has=page.locator("a:focus"))
        bot = row.locator("th a").inner_text()
        page.keyboard.press(key)
        expect(page.locator("#sheet-title")).to_contain_text(bot)
        if not page.locator("#sheet-reason").evaluate("(node) => node === document.activeElement"):
            tab_to(page, page.locator("#sheet-reason"))
        page.keyboard.type(reason)
        page.keyboard.press("Enter")
        expect(page.locator(".notice.done")).to_contain_text(" by local")
        expect(page).to_have_url(f"{running_stack.ui_url}/promotions")
        expect(page.locator(f"[data-queue] th a[href='/bots/{bot}']")).to_have_count(0)
        expect(page.locator("[data-queue] th a:focus")).to_have_count(1)
    check_accessibility(page)


@pytest.mark.parametrize("scripts", [True, False])
def test_theme_is_kept(open_page: OpenPage, running_stack: Any, scripts: bool) -> None:
    page = open_page("/jobs", live=scripts, java_script_enabled=scripts, color_scheme="light")
    shades = []
    for theme in ("light", "dark"):
        page.get_by_role("button", name="Theme").click()
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        expect(page).to_have_url(f"{running_stack.ui_url}/jobs")
        shades.append(page.locator("html").evaluate("(node) => getComputedStyle(node).backgroundColor") if scripts else theme)
    page.goto(running_stack.ui_url)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert shades[0] != shades[1]


def test_forced_colours_and_twice_the_size(signed_in: OpenPage) -> None:
    page = signed_in("/", width=640, height=450, device_scale_factor=2, forced_colors="active")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    page.get_by_role("button", name="Revert to LAB…").click()
    expect(page.locator("#sheet-box")).to_be_visible()
    box = page.locator("#sheet-box").bounding_box()
    assert box is not None
    assert (box["x"] >= 0, box["x"] + box["width"] <= 640) == (True, True)
    expect(page.locator("#sheet-title")).to_be_focused()  # longer than the screen: what will happen is read first


def test_there_is_no_button_that_starts_a_job(signed_in: OpenPage, running_stack: Any) -> None:
    page = signed_in()
    for path in ("/", "/bots/aapl-sma", "/jobs", "/promotions", "/runs"):
        page.goto(running_stack.ui_url + path)
        assert (
            page.get_by_role("button", name=re.compile("run|start|enqueue|backtest", re.IGNORECASE))
            .locator("visible=true")
            .filter(has_not=page.locator(".word"))
            .count()
            == 0
        )
    for verb in ("run", "start-job"):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"{running_stack.ui_url}/act/{verb}", timeout=PATIENCE_S)
        assert refusal.value.code == 404
        refusal.value.close()
