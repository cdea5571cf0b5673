"""How long a person needs for a queue of approvals: 22 of them by keys, each read for a second, on a stack of its own."""

import time
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, expect

from e2e.conftest import PATIENT_MS, RunningStack, a_stack, came_to, sign_in, tab_to
from e2e.test_page_acts import easy_policy

MANY = 22
READ_MS = 1_000
MOST_S = 45.0
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")


@pytest.mark.long
def test_a_queue_of_22_is_approved_by_keys_in_45_s(browser: Browser, tmp_path: Path) -> None:
    bots = [
        {"id": f"bot-{number:02d}", "strategy": "sma-cross", "symbol": SYMBOLS[number % 4], "parameters": {"fast": 5 + number, "slow": 60}}
        for number in range(MANY)
    ]
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump({"bots": bots}))
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(easy_policy()))
    (tmp_path / "stack").mkdir()
    with a_stack(
        tmp_path / "stack", AUTONOMY_FLEET=str(tmp_path / "fleet.yaml"), AUTONOMY_POLICY=str(tmp_path / "policy.yaml")
    ) as stack:  # fmt: skip
        taken_s = approve_all(browser, stack)
    print(f"\n{MANY} approvals by keys: {taken_s:.1f} s, of which {MANY * READ_MS / 1000:.0f} s reading")
    assert taken_s <= MOST_S


def approve_all(browser: Browser, stack: RunningStack) -> float:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENT_MS)
    sign_in(page, stack)
    page.goto(f"{stack.ui_url}/promotions")
    expect(page.locator("[data-queue] [data-row]")).to_have_count(MANY, timeout=4 * PATIENT_MS)
    began_s = time.monotonic()
    page.keyboard.press("j")
    for left in range(MANY - 1, -1, -1):
        page.wait_for_timeout(READ_MS)
        page.keyboard.press("a")
        expect(page.locator("#sheet-title")).to_be_visible()
        if not page.locator("#sheet-reason").evaluate("(node) => node === document.activeElement"):
            tab_to(page, page.locator("#sheet-reason"))
        page.keyboard.press("Enter")
        expect(page.locator(".notice.done")).to_contain_text("Approval accepted by local")
        came_to(page, f"{stack.ui_url}/promotions")
        expect(page.locator("[data-queue] [data-row]")).to_have_count(left)
    taken_s = time.monotonic() - began_s
    context.close()
    return taken_s
