"""A promotion to CANARY by two approvers, by keyboard only, over the whole stack.

Comes last: the market runs faster from here on. Source: R-C3.2; docs/architecture.md, "Security".
"""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PutPolicy, check_accessibility, tab_to
from e2e.test_page_acts import easy_policy

pytestmark = [pytest.mark.browser, pytest.mark.servers, pytest.mark.long]
OpenPage = Callable[..., Page]
SECOND_TOKEN = "s" * 43
WAIT_MS = 240_000


def quick_policy() -> dict[str, Any]:
    """Gates that pass, quick bars, and promotions up to SHADOW by the planner itself."""
    policy = easy_policy(min_live_bars=2, max_bars_behind=1_000, max_evidence_age_bars=10_000)
    policy["promotion"] = {"max_share": policy["promotion"]["max_share"], "auto_per_hour": 1_000}
    # Two people agree on the same evidence: none newer comes while they look (the session keeps its judgement from PAPER).
    policy["stages"]["SHADOW"]["refresh_after_bars"] = 1_000
    policy["drift"] = {
        "min_bars": 2, "min_trades": 0, "max_trade_count_change": 100, "max_pnl_change": 100, "max_sharpe_change": 100, "max_drawdown_ratio": 100,
    }  # fmt: skip
    policy["market"]["seconds_per_bar"] = 1.0
    return policy | {"tick_interval_s": 2.0, "early_tick_spacing_s": 0.5, "promotion_mode": "AUTO"}


@pytest.fixture
def second_approver(running_stack: Any) -> str:
    """The token of another approver."""
    file = running_stack.folder / "operators.json"
    known = [one for one in json.loads(file.read_text()) if one["name"] != "second"]
    digest = hashlib.sha256(SECOND_TOKEN.encode()).hexdigest()
    file.write_text(json.dumps([*known, {"name": "second", "role": "approver", "sha256": digest}]))
    return SECOND_TOKEN


def approve(page: Page, bot: str, words: str) -> None:
    """Open the form of this bot's promotion and send it, with keys alone."""
    tab_to(
        page,
        page.locator(".waiting", has=page.get_by_role("link", name=bot, exact=True)).get_by_role("button", name=re.compile("approval…")),
    )
    page.keyboard.press("Enter")
    expect(page.locator("#sheet-box")).to_contain_text(f"{bot} to CANARY")
    check_accessibility(page)
    tab_to(page, page.locator("#sheet-reason"))
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    expect(page.locator(".notice.done")).to_contain_text("Approval accepted")


def test_canary_needs_another_approver(signed_in: OpenPage, running_stack: Any, second_approver: str, put_policy: PutPolicy) -> None:
    put_policy(quick_policy(), "gates that pass")
    page = signed_in("/promotions")
    waiting = page.locator(".waiting", has_text="SHADOW → CANARY").first
    expect(waiting).to_be_visible(timeout=WAIT_MS)
    bot = waiting.locator("th a").inner_text()
    page.goto(f"{running_stack.ui_url}/promotions?bot={bot}")
    page.wait_for_selector("#head[data-trust=fresh]")
    expect(page.locator(".waiting")).to_contain_text("the first of two approvals")
    approve(page, bot, "first look")

    # The same person is told why not, before trying.
    page.goto(f"{running_stack.ui_url}/promotions?bot={bot}")
    expect(page.locator(".waiting")).to_contain_text("local gave the first of two approvals")
    expect(page.get_by_role("button", name="Second approval…")).to_be_disabled()
    expect(page.locator(".waiting")).to_contain_text("another approver must give the second")

    other = signed_in(f"/promotions?bot={bot}", token=second_approver)
    expect(other.locator(".who")).to_contain_text("second")
    approve(other, bot, "second look")
    other.goto(f"{running_stack.ui_url}/bots/{bot}")
    expect(other.locator(".title .sub")).to_contain_text("CANARY")
    other.goto(f"{running_stack.ui_url}/stages?bot={bot}&stage=CANARY")
    row = other.locator("tbody tr").first
    expect(row).to_contain_text("local")
    expect(row).to_contain_text("second")
