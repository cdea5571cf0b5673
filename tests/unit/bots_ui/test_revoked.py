"""Who was revoked or signed out reads nothing more: no page, and no stream that was open; wrong tokens lock nobody out."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from bots_ui.operator.sessions import ATTEMPTS, CHECK_EVERY_S
from bots_ui.routes import while_allowed
from bots_ui.settings import UiSettings
from bots_ui.stream.hub import events
from bots_ui.stream.open_page import View
from support.site import SAME_ORIGIN, Site, opened

WHO: dict[str, Any] = {"name": "ada", "role": "operator"}
NOBODY = (401, {"title": "No valid operator's token", "code": "NO_CREDENTIAL"})


@pytest.fixture
async def site(key_file: Path, site: Site) -> AsyncIterator[Site]:
    """A site whose pages are for operators only; its listener does not listen."""
    settings = UiSettings(
        session_key_file=key_file, api_url="http://127.0.0.1:1", allowed_hosts=("testserver",), auth_mode="token-everywhere"
    )
    async with opened(settings) as found:
        yield found


def age(site: Site) -> None:
    """Let the last question about each token be older than it may be."""
    for session in site.shared.sessions.by_id.values():
        session.checked_s -= 2 * CHECK_EVERY_S


async def test_a_revoked_operator_is_asked_to_sign_in_at_the_next_page(site: Site) -> None:
    answers = {"/api/whoami": WHO}
    site.answer(answers)
    site.sign_in("ada", "operator")
    age(site)
    assert (await site.get("/jobs")).status_code == 200
    site.answer({"/api/whoami": NOBODY})
    age(site)
    refused = await site.get("/jobs")
    assert (refused.status_code, refused.headers["location"]) == (303, "/sign-in?back=%2Fjobs")
    assert not site.shared.sessions.by_id


async def test_an_api_that_does_not_answer_revokes_nobody(site: Site) -> None:
    """Negative control."""
    site.answer({"/api/whoami": httpx.ConnectError("gone")})
    site.sign_in("ada", "operator")
    age(site)
    assert (await site.get("/jobs")).status_code == 200


async def test_a_changed_role_counts_at_the_next_page(site: Site) -> None:
    site.answer({"/api/whoami": WHO | {"role": "viewer"}})
    session = site.sign_in("ada", "approver")
    age(site)
    await site.get("/jobs")
    assert session.role == "viewer"


@pytest.mark.parametrize("why", ["revoked", "signed out"])
async def test_an_open_stream_ends(site: Site, why: str) -> None:
    site.answer({"/api/whoami": WHO})
    session = site.sign_in("ada", "operator")
    request = Request({"type": "http", "app": site.app, "state": {"session": session}, "headers": []})
    got: list[bytes] = []
    async for message in while_allowed(request, events(site.shared.hub, {"": View()}), [""]):
        got.append(message)
        if len(got) == 1:
            assert b'"event":"reload"' not in message, "it lived"
        if len(got) == 2:
            if why == "revoked":
                site.answer({"/api/whoami": NOBODY})
                age(site)
            else:
                site.shared.sessions.end(session)
        assert len(got) < 5, "it goes on"
        site.shared.hub.say_head()
    assert b'"event":"reload"' in got[-1]
    assert not site.shared.hub.clients


async def test_wrong_tokens_from_one_address_lock_nobody_out(site: Site) -> None:
    def whoami(request: httpx.Request) -> httpx.Response | tuple[int, Any]:
        return (200, WHO) if request.headers["authorization"] == "Bearer right" else NOBODY

    site.answer({"/api/whoami": whoami})

    async def sign_in(token: str) -> int:
        return (await site.post("/sign-in", data={"token": token}, headers=SAME_ORIGIN)).status_code

    assert [await sign_in("wrong") for _ in range(ATTEMPTS + 1)] == [401] * ATTEMPTS + [429]
    assert await sign_in("right") == 303
