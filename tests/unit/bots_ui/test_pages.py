"""Addresses, empty pages that say which kind, charts, sessions and the guard at the door."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from autonomy.client import Found, Refused, Unreachable
from autonomy.version import VERSION
from bots_ui.app import POLICY
from bots_ui.operator.sessions import ABSOLUTE_S, IDLE_S, Sessions, build_sessions, is_same_origin
from bots_ui.pages.asked import CHOICES, Asked, asked_of
from bots_ui.pages.fleet import live_address, view_of
from bots_ui.settings import UiSettings
from bots_ui.shown.charts import spark_path
from bots_ui.shown.words import ordinal, price_words, span_words
from bots_ui.stream.open_page import View
from support.site import HOSTILE, PROOF, Site, api_of, opened, show

COMMAND = "e39303ef-e302-4875-b19b-357185de971a"


async def test_empty_fleet_says_how_to_register(site: Site) -> None:
    html = await show(site, {"/api/bots": {"items": [], "total": 0, "matching": 0, "counts": {}, "proof": {**PROOF, "lagRecords": 0}}})
    assert "The projection has not caught up" in html  # nothing is known to be current here
    site.be_fresh()
    html = await show(site, {"/api/bots": {"items": [], "total": 0, "matching": 0, "counts": {}, "proof": PROOF}})
    assert "No bots yet" in html
    assert "autonomy bots register" in html


async def test_projection_behind_is_another_kind_of_empty(site: Site) -> None:
    proof = {**PROOF, "lagRecords": 1204}
    html = await show(site, {"/api/bots": {"items": [], "total": 0, "matching": 0, "counts": {}, "proof": proof}})
    assert "1,204 events behind" in html


async def test_nothing_matches_offers_to_clear(site: Site) -> None:
    html = await show(site, {"/api/bots": {"items": [], "total": 30, "matching": 0, "counts": {}, "proof": PROOF}}, "/?q=zzz")
    assert "Nothing matches" in html
    assert "Clear filters" in html


async def test_unreachable_api_is_another_kind_of_empty(site: Site) -> None:
    html = await show(site, {"/api/bots": httpx.ConnectError("x")})
    assert "the proof API" in html
    assert 'data-lost="1"' in html


@pytest.mark.parametrize("path", ["/", "/bots/aapl-sma", "/bots/aapl-sma/timeline", "/bots/aapl-sma/trades", "/promotions", "/board", "/policy", "/workers", "/palette", "/jobs", f"/jobs/{COMMAND}", f"/events/{COMMAND}?tick=1", "/timeline", "/runs", "/runs/7", "/commands", f"/commands/{COMMAND}", "/stages", "/quarantine", "/act/revert", "/act/pin?bot=aapl-sma", "/sign-in"])  # fmt: skip
async def test_every_page_answers_without_an_api(site: Site, path: str) -> None:
    response = await site.get(path)
    assert response.status_code in {200, 503}
    assert response.headers["content-security-policy"] == POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in response.text
    assert "onclick" not in response.text


async def test_every_page_says_the_version_at_its_foot(site: Site) -> None:
    for path in ("/", "/sign-in", "/no-such-page"):
        assert f"Autonomy {VERSION}." in (await site.get(path)).text.partition("<footer")[2]


LISTS = {
    "/commands": ("/api/commands", {"id": "x" * 36, "command": HOSTILE, "actor": HOSTILE, "role": "r", "reason": HOSTILE, "saidAt": None, "status": "REFUSED", "tick": None, "code": HOSTILE, "field": HOSTILE, "limitText": HOSTILE, "outcomes": []}),
    "/stages": ("/api/stage-events", {"id": "x", "botId": "a", "fromStage": None, "toStage": HOSTILE, "reasonCode": HOSTILE, "actor": HOSTILE, "createdAt": None, "tick": 1}),
    "/jobs": ("/api/jobs", {"id": "x" * 36, "botId": HOSTILE, "jobType": HOSTILE, "status": HOSTILE, "cause": HOSTILE, "detail": HOSTILE, "attempt": 2, "failures": 1, "attempts": [{"cause": HOSTILE}], "createdAt": None, "startedAt": None, "finishedAt": None, "progress": None, "tick": 1}),
}  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
async def test_hostile_text_in_lists_is_escaped(site: Site, path: str) -> None:
    api_path, item = LISTS[path]
    html = await show(site, {api_path: {"items": [item], "nextCursor": None}}, path)
    assert "<img" not in html
    assert "&lt;img" in html


def test_unknown_words_of_an_address_are_left_out() -> None:
    asked = asked_of([("state", "IDLE"), ("state", "NONSENSE"), ("q", f" {HOSTILE} "), ("x", "y")], CHOICES)
    assert asked.chosen["state"] == ("IDLE",)
    assert asked.address() == f"/?{httpx.QueryParams({'state': 'IDLE', 'q': HOSTILE})}"


def test_a_count_switches_its_word_on_and_off() -> None:
    asked = Asked({"state": (), "stage": ("LAB",), "reason": (), "recency": ()}, "sma", "cursor")
    assert asked.toggled("state", "IDLE") == "/?state=IDLE&stage=LAB&q=sma"
    assert asked.toggled("stage", "LAB") == "/?q=sma"


def test_stream_address_carries_the_view() -> None:
    view = View(("a", "b"), 7, {name: () for name in CHOICES} | {"state": ("IDLE",)}, "sma", has_next=True, counts=True)
    query = httpx.QueryParams(live_address(view).partition("?")[2]).multi_items()
    assert view_of(query) == view


async def test_api_that_breaks_is_a_value() -> None:
    api, _ = api_of({"/a": httpx.ReadTimeout("x"), "/b": (503, {"title": "Down", "code": "X", "detail": "why"}), "/c": {"ok": 1}})
    assert await api.get("/a") == Unreachable("no answer in time")
    assert await api.get("/b") == Refused(503, "X", "Down", "why")
    assert await api.get("/c") == Found({"ok": 1})


async def test_command_carries_the_token_and_its_key() -> None:
    api, canned = api_of({"/api/commands": (409, {"commandId": "c", "status": "REJECTED"})})
    assert isinstance(await api.command("secret", {"type": "pause-loop.v1"}, "key-1"), Found)
    assert canned.asked[0].headers["authorization"] == "Bearer secret"
    assert canned.asked[0].headers["idempotency-key"] == "key-1"


async def test_form_from_elsewhere_is_refused(site: Site) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.test"}, {}):
        assert (await site.post("/loop", data={"verb": "pause"}, headers=headers)).status_code == 403
    assert (
        (await site.post("/loop", data={"verb": "pause"}, headers={"sec-fetch-site": "same-origin"}))
        .headers["location"]
        .startswith("/sign-in?back=")
    )


async def test_unknown_host_is_refused(site: Site) -> None:
    assert (await site.get("/", headers={"host": "rebound.example"})).status_code == 400


async def test_ready_only_while_the_api_answers(site: Site) -> None:
    site.be_lost()
    lives = await site.get("/livez")
    assert (lives.status_code, lives.json()) == (200, {"status": "ok", "version": VERSION})
    assert (await site.get("/readyz")).status_code == 503


def test_open_host_without_sign_in_is_refused(key_file: Path) -> None:
    with pytest.raises(ValidationError, match="AUTH_MODE"):
        UiSettings(host="0.0.0.0", session_key_file=key_file)
    assert UiSettings(host="0.0.0.0", session_key_file=key_file, auth_mode="token-everywhere").reading_needs_a_token


async def test_reading_needs_a_sign_in_where_it_is_set_so(key_file: Path) -> None:
    settings = UiSettings(
        session_key_file=key_file, api_url="http://127.0.0.1:1", allowed_hosts=("testserver",), auth_mode="token-everywhere"
    )
    async with opened(settings) as site:
        for path, back in (
            ("/", ""),
            ("/live", ""),
            ("/bots/aapl-sma", "?back=%2Fbots%2Faapl-sma"),
            ("/jobs?bot=a", "?back=%2Fjobs%3Fbot%3Da"),
        ):
            assert (await site.get(path)).headers["location"] == f"/sign-in{back}"
        # A part of a page is no place to go to.
        assert (await site.get("/jobs", headers={"hx-request": "true"})).headers["location"] == "/sign-in"
        assert (await site.get("/sign-in")).status_code == 200


def sessions(key_file: Path) -> Sessions:
    return build_sessions(key_file)


def test_session_ends_when_idle_and_when_old(key_file: Path) -> None:
    known = sessions(key_file)
    cookie = known.begin("t", "ada", "operator", 0)
    assert known.of_cookie(cookie, IDLE_S - 1)
    assert known.of_cookie(cookie, 2 * IDLE_S) is None
    cookie, at = known.begin("t", "ada", "operator", 0), 0.0
    while at < ABSOLUTE_S:
        assert known.of_cookie(cookie, at)
        at += IDLE_S - 1
    assert known.of_cookie(cookie, ABSOLUTE_S + 1) is None


def test_cookie_is_signed_and_holds_no_token(key_file: Path) -> None:
    known = sessions(key_file)
    cookie = known.begin("secret-token", "ada", "operator", 0)
    assert "secret-token" not in cookie
    assert known.of_cookie(("A" if cookie[0] != "A" else "B") + cookie[1:], 1) is None
    assert known.of_cookie(cookie.rpartition(".")[0] + "." + "A" * 27, 1) is None
    assert known.of_cookie("x.y.z", 1) is None
    assert "secret-token" not in repr(known)


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"sec-fetch-site": "same-origin"}, True), ({"sec-fetch-site": "none"}, False), ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://h:1", "host": "h:1"}, True), ({"origin": "http://h:2", "host": "h:1"}, False), ({}, False),
        ({"origin": "null", "host": "h:1"}, False), ({"host": "h:1"}, False),
    ],
)  # fmt: skip
def test_origin_rule(headers: Mapping[str, str], same: bool) -> None:
    assert is_same_origin(headers) is same


@pytest.mark.parametrize("values", [[], [1.0], None, "x", [float("nan"), 1.0], [True, False]])
def test_line_needs_two_numbers(values: Sequence[float] | None) -> None:
    assert spark_path(values) == ""


def test_flat_line_stays_inside_its_box() -> None:
    assert spark_path([2.0, 2.0]) == "M0.0 17.0 L72.0 17.0"


def test_words_of_prices_keep_the_figures_that_count() -> None:
    assert [price_words(value) for value in (1234.567, 1, 0.98765432, 0.0000123456, -0.5, 0, None, True)] == [
        "1234.57", "1.00", "0.98765", "0.000012346", "−0.50000", "0.00", "–", "–",
    ]  # fmt: skip


def test_words_of_time_and_place() -> None:
    assert [span_words(seconds) for seconds in (0.41, 12, 61, 7200, 400_000, -3)] == ["0.4 s", "12 s", "1 min", "2 h", "4 d", "0 s"]
    assert [ordinal(place) for place in (1, 2, 3, 4, 11, 12, 13, 21, 101, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "101st", "111th",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/runs/0", "/runs/-1", "/runs/x", "/runs/99999999999999999", "/commands/1", "/bots/No", "/act/"])
async def test_address_of_nothing_is_a_page_that_says_so(site: Site, path: str) -> None:
    response = await site.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")


async def test_tick_before_the_first_bot_was_accepted_all_the_same(site: Site) -> None:
    accepted = {"items": [{"id": COMMAND, "tick": 2, "cause": "COMMAND", "startedAt": "2026-11-23T04:55:00.000Z", "hash": "h" * 64}]}
    site.answer({"/api/planner/runs": {**accepted, "proof": PROOF}, "/api/planner/runs/2/decisions": {"items": [], "proof": PROOF}})
    found = await site.get("/runs/2")
    assert found.status_code == 200
    assert "No bot was in the fleet yet" in found.text
    # So was one that is no longer among the newest, to which a timeline of any day leads.
    site.answer({"/api/planner/runs": {**accepted, "proof": PROOF}, "/api/planner/runs/1/decisions": {"items": [], "proof": PROOF}})
    old = await site.get("/runs/1")
    assert old.status_code == 200
    assert "No bot was in the fleet yet" in old.text
    # Negative control: a tick that nobody accepted.
    unknown = {"title": "No such tick", "code": "UNKNOWN_TICK", "detail": "tick 9 was not accepted"}
    site.answer({"/api/planner/runs": {**accepted, "proof": PROOF}, "/api/planner/runs/9/decisions": (404, unknown)})
    missing = await site.get("/runs/9")
    assert missing.status_code == 404
    assert "No such tick was accepted" in missing.text
    # An address that the API does not have says nothing about ticks.
    site.answer({"/api/planner/runs": {**accepted, "proof": PROOF}})
    assert (await site.get("/runs/9")).status_code == 503


def test_two_stacks_on_a_host_have_two_cookies_and_https_binds_one_to_its_host(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("a" * 32)
    second.write_text("b" * 32)
    names = [build_sessions(file, secure=secure).cookie for file in (first, second) for secure in (False, True)]
    assert len(set(names)) == 4
    assert [name.startswith("__Host-") for name in names] == [False, True, False, True]
    assert build_sessions(first).cookie == names[0], "a restart keeps it"
