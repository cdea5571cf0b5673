"""Links that sign in once: used twice, too late, made up, by somebody who was revoked, from elsewhere; and back to where one was.

Source: docs/architecture.md, "Security".
"""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bots_ui.operator.links import LIVES_S, MAX_LINKS, MAX_OF_ONE, Links, digest_of
from bots_ui.operator.sessions import ATTEMPTS
from bots_ui.settings import UiSettings
from support.site import SAME_ORIGIN, Site, opened

ADA: dict[str, Any] = {"name": "ada", "role": "approver"}
NOBODY = (401, {"title": "No valid operator's token", "code": "BAD_CREDENTIAL"})
BEARER = {"authorization": "Bearer ada-token"}
TYPED = "it trades & wins: <why>?"


async def made(site: Site) -> str:
    """The code of a link, as `autonomy login` gets it: without any word of an origin."""
    answer = await site.http.post("/sign-in/links", json={}, headers=BEARER)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["name"], said["seconds"]) == ("ada", LIVES_S)
    return str(said["path"]).removeprefix("/sign-in/once?code=")


async def follow(site: Site, code: str, **more: Any) -> httpx.Response:
    return await site.http.post(
        "/sign-in/once", data={"code": code, **more.pop("data", {})}, headers=more.pop("headers", SAME_ORIGIN), **more
    )


def names(site: Site) -> list[str]:
    """Who is signed in."""
    return [session.name for session in site.shared.sessions.by_id.values()]


async def test_a_link_signs_in_once(site: Site) -> None:
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    for _ in range(3):  # whatever looks at addresses uses none up
        shown = await site.get(f"/sign-in/once?code={code}")
        assert (shown.status_code, "Sign in as ada" in shown.text) == (200, True)
    assert names(site) == []
    done = await follow(site, code)
    assert (done.status_code, done.headers["location"], names(site)) == (303, "/", ["ada"])
    cookie = done.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    again = await follow(site, code)
    assert (again.status_code, names(site)) == (410, ["ada"])
    assert "followed already" in again.text
    assert (await site.get(f"/sign-in/once?code={code}")).status_code == 410


async def test_of_many_at_the_same_moment_one_gets_in(site: Site) -> None:
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    answers = await asyncio.gather(*(follow(site, code) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [303, *[410] * 7]
    assert names(site) == ["ada"]


async def test_a_link_that_is_too_old_signs_nobody_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from autonomy import clock

    site.answer({"/api/whoami": ADA})
    code, now_ms = await made(site), clock.monotonic_ms()
    monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms + (LIVES_S - 5) * 1000)
    assert (await site.get(f"/sign-in/once?code={code}")).status_code == 200  # negative control
    monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms + (LIVES_S + 5) * 1000)
    assert (await site.get(f"/sign-in/once?code={code}")).status_code == 410
    assert (await follow(site, code)).status_code == 410
    assert names(site) == []


async def test_a_made_up_code_signs_nobody_in(site: Site) -> None:
    site.answer({"/api/whoami": ADA})
    await made(site)
    for code in ("", "x", "x" * 43, "\x00", "..", "é", "ada-token"):
        assert (await site.get("/sign-in/once", params={"code": code})).status_code == 410, code
        assert (await follow(site, code)).status_code == 410, code
    assert names(site) == []


async def test_what_is_kept_of_a_link_does_not_follow_it(site: Site) -> None:
    """Whoever reads this process's table of links, or an address in a log after its use, has nothing."""
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    (digest,) = site.shared.sessions.links.by_digest
    assert digest == digest_of(code) != code
    assert "ada-token" not in repr(site.shared.sessions.links)
    assert (await follow(site, digest)).status_code == 410
    assert (await follow(site, code)).status_code == 303  # negative control


async def test_guesses_are_counted_by_address_and_lock_nobody_out(site: Site) -> None:
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    assert [(await follow(site, f"guess-{n}")).status_code for n in range(ATTEMPTS + 1)] == [410] * ATTEMPTS + [429]
    assert (await follow(site, code)).status_code == 303


async def test_a_link_is_not_followed_from_elsewhere(site: Site) -> None:
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {},
    ):
        assert (await follow(site, code, headers=headers)).status_code == 403
        assert (await follow(site, code, headers=headers | BEARER)).status_code == 403, "a credential opens the making of links alone"
    assert (await follow(site, code)).status_code == 303, "and none of these used it up"


async def test_a_link_is_made_for_a_valid_token_alone_never_for_a_cookie(site: Site) -> None:
    site.answer({"/api/whoami": lambda request: ADA if request.headers.get("authorization") == "Bearer ada-token" else NOBODY})
    site.sign_in("ada")
    assert (await site.http.post("/sign-in/links", json={})).status_code == 403, "from elsewhere, with the browser's cookie"
    assert (await site.http.post("/sign-in/links", json={}, headers=SAME_ORIGIN)).status_code == 422
    for wrong in ("Bearer other", "Basic ada-token", "ada-token"):
        answer = await site.http.post("/sign-in/links", json={}, headers={"authorization": wrong})
        assert answer.status_code in {401, 422}
        assert answer.json()["code"] == "NOT_SIGNED_IN"
    assert not site.shared.sessions.links.by_digest
    assert await made(site)


async def test_an_operator_who_was_revoked_meanwhile_does_not_get_in(site: Site) -> None:
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    site.answer({"/api/whoami": NOBODY})
    refused = await follow(site, code)
    assert (refused.status_code, names(site)) == (401, [])
    site.answer({"/api/whoami": ADA})
    assert (await follow(site, code)).status_code == 410  # it was used up


async def test_the_session_before_ends(site: Site) -> None:
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    site.sign_in("bea")
    assert (await follow(site, code)).status_code == 303
    assert names(site) == ["ada"]


def test_an_operator_has_so_many_links_and_all_have_a_bound() -> None:
    links = Links()
    mine = [links.make("t", "ada", "operator", 0.0) for _ in range(MAX_OF_ONE + 2)]
    assert [links.look(code, 1.0) is not None for code in mine] == [False] * 2 + [True] * MAX_OF_ONE
    others = [links.make("t", f"operator-{number}", "viewer", 1.0) for number in range(MAX_LINKS)]
    assert len(links.by_digest) == MAX_LINKS
    assert links.look(others[-1], 2.0) is not None
    links.make("t", "late", "viewer", LIVES_S + 2)
    assert len(links.by_digest) == 1, "what is over goes"


# ── back to where one was ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def closed(key_file: Path, site: Site) -> AsyncIterator[Site]:
    """A site whose pages are for operators only."""
    settings = UiSettings(
        session_key_file=key_file, api_url="http://127.0.0.1:1", allowed_hosts=("testserver",), auth_mode="token-everywhere"
    )
    async with opened(settings) as found:
        yield found


async def through_the_link(site: Site, asked: httpx.Response) -> str:
    """Where a sign-in by a link that comes from elsewhere leads: the browser has only its cookies."""
    assert asked.status_code == 303
    signing = await site.get(asked.headers["location"])
    site.http.cookies.update(signing.cookies)
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    shown = await site.get(f"/sign-in/once?code={code}")
    back = [html.unescape(found) for found in re.findall(r'name="back" value="([^"]*)"', shown.text)][-1:]
    done = await follow(site, code, data={"back": back[0]} if back else {})
    site.http.cookies.update(done.cookies)
    assert "_back=" in done.headers["set-cookie"] or not back, "and it is forgotten"
    return done.headers["location"]


async def test_a_page_that_asked_for_a_sign_in_is_shown_after_it(closed: Site) -> None:
    assert await through_the_link(closed, await closed.get("/jobs?status=RUNNING&bot=a-b")) == "/jobs?status=RUNNING&bot=a-b"


@pytest.mark.parametrize("reading_is_open", [True, False])
async def test_a_typed_reason_survives_an_expired_session(site: Site, closed: Site, reading_is_open: bool) -> None:
    """Wherever reading is open or not: nothing is sent, and nothing is lost."""
    site = site if reading_is_open else closed
    site.be_fresh()
    canned = site.answer({"/api/whoami": ADA})
    asked = await site.post("/act/hold", data={"bot": "aapl-sma", "reason": TYPED, "key": "k"}, headers=SAME_ORIGIN)
    to = await through_the_link(site, asked)
    assert to.startswith("/act/hold?")
    site.answer(
        {
            "/api/whoami": ADA,
            "/api/bots/aapl-sma": {"bot": {"id": "aapl-sma", "stage": "LAB", "strategy": "s", "parameters": {}, "symbol": "A"}},
        }
    )
    sheet = (await site.get(to)).text
    assert html.escape(TYPED) in sheet
    assert "Nothing was sent yet" in sheet
    assert [each for each in canned.asked if each.url.path == "/api/commands"] == []


async def test_a_forged_place_to_go_back_to_leads_nowhere_else(site: Site) -> None:
    site.answer({"/api/whoami": ADA})
    code = await made(site)
    for kept, shown in (
        ("//evil.test/", False), ("https%3A%2F%2Fevil.test%2F", False), ("%2F%5Cevil.test", False), ("/" + "x" * 3_000, False),
        ("javascript:alert(1)", False), ("/jobs", True),
    ):  # fmt: skip
        site.http.cookies.set(f"{site.shared.sessions.cookie}_back", kept)
        form = (await site.get(f"/sign-in/once?code={code}")).text.partition("<main")[2]
        assert ('name="back" value="' in form) is shown, kept
    assert (await follow(site, code, data={"back": "//evil.test/"})).headers["location"] == "/"
