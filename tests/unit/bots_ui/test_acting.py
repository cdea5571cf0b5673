"""Who may do what, what each form becomes, and what the operator is told of it; nothing is sent that must not be.

Source: R-C2, R-D; docs/architecture.md, "Security".
"""

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import orjson
import pytest

from bots_ui.acting.reverting import revert_command, wanted_of
from bots_ui.operator.acts import ACTS, Unfit, command_of, denied
from bots_ui.operator.sessions import Notice, Session
from support.site import HOSTILE, SAME_ORIGIN, Site

COMMAND = "e39303ef-e302-4875-b19b-357185de971a"
RECOMMENDATION = "0f2b7c1e-1111-5222-8333-444455556666"
HASH, NEW_HASH = "a" * 64, "b" * 64


def someone(role: str, name: str = "ada") -> Session:
    return Session("id", "token", name, role, 0, 0)


@pytest.mark.parametrize("verb", ACTS)
def test_nobody_and_viewers_act_on_nothing(verb: str) -> None:
    assert denied(None, ACTS[verb]).startswith("Sign in to")
    assert "needs the role" in denied(someone("viewer"), ACTS[verb])
    assert denied(someone("approver"), ACTS[verb]) == ""
    assert (denied(someone("operator"), ACTS[verb]) == "") is (verb != "mode")


@pytest.mark.parametrize(("stage", "operator_may"), [("PAPER", True), ("SHADOW", True), ("CANARY", False), ("LIVE", False)])
def test_canary_and_live_need_approvers(stage: str, operator_may: bool) -> None:
    assert (denied(someone("operator"), ACTS["approve"], to_stage=stage) == "") is operator_may
    assert denied(someone("approver"), ACTS["approve"], to_stage=stage) == ""


def test_nobody_approves_their_own_request() -> None:
    assert "another approver" in denied(someone("approver", "ada"), ACTS["approve"], to_stage="LIVE", requested_by="ada")
    assert denied(someone("approver", "bob"), ACTS["approve"], to_stage="LIVE", requested_by="ada") == ""
    assert denied(someone("approver", "ada"), ACTS["reject"], to_stage="LIVE", requested_by="ada") == ""


FORMS: list[tuple[str, dict[str, str], dict[str, object]]] = [
    ("approve", {"bot": "a", "recommendation": RECOMMENDATION}, {"type": "approve-promotion.v1", "reason": "", "botId": "a", "recommendationId": RECOMMENDATION}),
    ("reject", {"bot": "a", "recommendation": RECOMMENDATION, "reason": "no"}, {"type": "reject-promotion.v1", "reason": "no", "botId": "a", "recommendationId": RECOMMENDATION}),
    ("pin", {"bot": "a", "reason": "r", "until": "2027-03-01T12:00"}, {"type": "pin-bot.v1", "reason": "r", "botId": "a", "until": "2027-03-01T12:00:00.000Z"}),
    ("pin", {"bot": "a", "reason": "r", "until": ""}, {"type": "pin-bot.v1", "reason": "r", "botId": "a", "until": None}),
    ("unpin", {"bot": "a", "reason": "r"}, {"type": "unpin-bot.v1", "reason": "r", "botId": "a"}),
    ("hold", {"bot": "a", "reason": "r"}, {"type": "hold-bot.v1", "reason": "r", "botId": "a"}),
    ("release", {"bot": "a", "reason": "r"}, {"type": "release-hold.v1", "reason": "r", "botId": "a"}),
    ("cancel", {"job": COMMAND, "reason": "r"}, {"type": "cancel-job.v1", "reason": "r", "jobId": COMMAND}),
    ("take", {"bot": "a", "job": COMMAND}, {"type": "approve-challenger.v1", "reason": "", "botId": "a", "jobId": COMMAND}),
    ("decline", {"bot": "a", "job": COMMAND, "reason": "r"}, {"type": "reject-challenger.v1", "reason": "r", "botId": "a", "jobId": COMMAND}),
    ("mode", {"mode": "AUTO", "reason": "r"}, {"type": "set-promotion-mode.v1", "reason": "r", "mode": "AUTO"}),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "form", "command"), FORMS)
def test_form_becomes_its_command(verb: str, form: Mapping[str, str], command: Mapping[str, object]) -> None:
    assert command_of(verb, form) == command


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("pin", {"bot": "a"}), ("pin", {"bot": "a", "reason": "x" * 201}), ("pin", {"bot": "No Bot", "reason": "r"}),
        ("pin", {"bot": "a", "reason": "r", "until": "soon"}), ("hold", {"reason": "r"}), ("cancel", {"reason": "r", "job": "1"}),
        ("mode", {"reason": "r", "mode": "SOMETIMES"}), ("approve", {"bot": "a", "recommendation": "that one"}),
        ("take", {"bot": "a", "job": "that one"}), ("decline", {"bot": "a", "job": COMMAND}),
    ],
)  # fmt: skip
def test_unfit_form_is_no_command(verb: str, form: Mapping[str, str]) -> None:
    assert isinstance(command_of(verb, form), Unfit)


def a_form(**more: str) -> dict[str, str]:
    return {"planHash": HASH, "expectedCount": "10", "reason": "again", "count": "10", "key": "k1"} | more


@pytest.mark.parametrize("wrong", [{"count": "9"}, {"count": ""}, {"reason": " "}, {"planHash": "x"}, {"expectedCount": "ten"}])
def test_revert_is_confirmed_by_its_number_and_says_why(wrong: Mapping[str, str]) -> None:
    assert isinstance(revert_command(wanted_of([]), a_form(**wrong)), Unfit)
    assert not isinstance(revert_command(wanted_of([]), a_form()), Unfit)


def a_plan(count: int = 10, digest: str = HASH, **more: Any) -> dict[str, Any]:
    return {
        "planHash": digest, "expectedCount": count, "botIds": [f"bot-{index}" for index in range(count)], "byStage": {"PAPER": count},
        "pinned": {"count": 1, "bots": [{"botId": "kept", "stage": "LIVE", "pinnedBy": "bea", "pinReason": HOSTILE, "pinnedUntil": None}]},
        "stops": {
            "jobs": {"RUNNER_START": {"running": 2}}, "openSessions": 2, "withPosition": 1,
            "positions": [{"sessionId": "s", "botId": "bot-1", "units": 5.0, "equity": 101_000.0, "pnl": 1_000.0}],
        },
        "loopPaused": False, "pausedBy": [], "baselines": "SAME_TICK",
    } | more  # fmt: skip


async def test_dialog_says_what_will_happen(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    site.answer({"/api/revert/plan": a_plan(loopPaused=True, pausedBy=[{"scope": "fleet", "actor": "cleo"}])})
    sheet = (await site.get("/act/revert?stage=PAPER")).text
    for words in (
        "Revert 10 bots to LAB",
        "Paper runner: 2 running",
        "bot-1",
        "pinned by bea",
        "paused by cleo",
        'checked> <span class="mono">PAPER',
    ):
        assert words in sheet
    assert "<img" not in sheet


async def test_revert_sends_exactly_the_plan(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    canned = site.answer({"/api/commands": {"commandId": COMMAND, "status": "ACCEPTED", "actor": "ada", "tick": 5}})
    response = await site.post("/act/revert", data=a_form(stage="PAPER"), headers=SAME_ORIGIN)
    assert (response.status_code, response.headers["location"]) == (303, f"/commands/{COMMAND}")
    (sent,) = canned.asked
    assert sent.headers["authorization"] == "Bearer ada-token"
    assert sent.headers["idempotency-key"] == "k1"
    assert orjson.loads(sent.content) == {
        "type": "revert-to-lab.v1", "reason": "again", "planHash": HASH, "expectedCount": 10, "stages": ["PAPER"], "botIds": [],
        "strategies": [], "symbols": [],
    }  # fmt: skip


async def test_changed_fleet_gives_a_fresh_plan_and_reverts_nothing(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    rejected = {"commandId": COMMAND, "status": "REJECTED", "code": "PLAN_CHANGED", "limitText": "by now 11"}
    site.answer({"/api/commands": (409, rejected), "/api/revert/plan": a_plan(11, NEW_HASH)})
    response = await site.post("/act/revert", data=a_form(), headers=SAME_ORIGIN)
    assert response.status_code == 409
    assert "The fleet changed since the dry run" in response.text
    assert NEW_HASH in response.text
    assert f'value="{HASH}"' not in response.text
    assert 'value="k1"' not in response.text  # another plan is another command
    assert 'value="again"' in response.text


async def test_unknown_outcome_may_be_sent_again_with_the_same_key(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    site.answer({"/api/commands": httpx.ReadTimeout("x"), "/api/revert/plan": a_plan()})
    response = await site.post("/act/revert", data=a_form(), headers=SAME_ORIGIN)
    assert response.status_code == 503
    assert "It is unknown whether the command arrived" in response.text
    assert 'value="k1"' in response.text


def lose(site: Site) -> None:
    site.sign_in()
    site.be_lost()


def be_viewer(site: Site) -> None:
    site.sign_in(role="viewer")


@pytest.mark.parametrize(("unfit", "says"), [(lose, "not current"), (be_viewer, "needs the role operator")])
@pytest.mark.parametrize(
    ("path", "form"), [("/act/revert", a_form()), ("/act/pin", {"bot": "aapl-sma", "reason": "r", "key": "k"})]
)  # fmt: skip
async def test_nothing_is_sent_by_the_wrong_role_or_over_old_data(
    site: Site, unfit: Callable[[Site], None], says: str, path: str, form: dict[str, str]
) -> None:
    site.be_fresh()
    canned = site.answer({"/api/revert/plan": a_plan(), "/api/commands": {"commandId": COMMAND, "status": "ACCEPTED"}})
    unfit(site)
    response = await site.post(path, data=form, headers=SAME_ORIGIN)
    assert response.status_code == 403
    assert says in response.text
    assert [request for request in canned.asked if request.method == "POST"] == []


@pytest.mark.parametrize("path", ["/act/revert", "/act/pin", "/act/approve", "/act/mode", "/loop", "/theme", "/sign-in"])
async def test_every_form_from_elsewhere_is_refused(site: Site, path: str) -> None:
    site.be_fresh()
    site.sign_in()
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.test"}, {}):
        assert (await site.post(path, data=a_form(), headers=headers)).status_code == 403


async def test_acting_needs_a_sign_in(site: Site) -> None:
    site.be_fresh()
    for path in ("/act/revert", "/act/pin", "/loop"):
        assert (await site.post(path, data=a_form(), headers=SAME_ORIGIN)).headers["location"].startswith("/sign-in?back=")


TYPED = "it trades & wins: <why>?"


@pytest.mark.parametrize(
    ("path", "form", "fields"),
    [
        ("/act/pin", {"bot": "aapl-sma", "reason": TYPED, "until": "2027-03-01T12:00"}, {"reason": TYPED, "until": "2027-03-01T12:00"}),
        ("/act/revert", a_form(stage="PAPER", reason=TYPED), {"reason": TYPED}),
        ("/loop", {"verb": "pause", "reason": TYPED}, {"reason": TYPED}),
    ],
)  # fmt: skip
async def test_what_was_typed_travels_through_the_sign_in(site: Site, path: str, form: dict[str, str], fields: Mapping[str, str]) -> None:
    """A session that ended meanwhile loses no word, and nothing is sent by itself."""
    site.be_fresh()
    canned = site.answer({
        "/api/revert/plan": a_plan(), "/api/whoami": {"name": "ada", "role": "operator"},
        "/api/bots/aapl-sma": {"bot": {"id": "aapl-sma", "stage": "LAB", "strategy": "sma-cross", "parameters": {}, "symbol": "AAPL"}},
    })  # fmt: skip
    asked = await site.post(path, data={**form, "key": "k"}, headers=SAME_ORIGIN)
    signing = await site.get(asked.headers["location"])
    *_, back = re.findall(r'name="back" value="([^"]*)"', signing.text)
    token = {"token": "ada-token", "back": html.unescape(back)}
    signed = await site.post("/sign-in", data=token, headers=SAME_ORIGIN)
    site.http.cookies.update(signed.cookies)
    sheet = (await site.get(signed.headers["location"])).text
    assert "Signed in as ada. Nothing was sent yet: look again, and confirm." in sheet
    for name, value in fields.items():
        assert re.search(rf'name="{name}"[^>]*value="{re.escape(html.escape(value))}"', sheet), name
    assert 'name="operator" value="ada"' in sheet
    assert [request.url.path for request in canned.asked if request.method == "POST"] == []


async def test_sign_in_leads_back_and_nowhere_else(site: Site) -> None:
    site.answer({"/api/whoami": {"name": "ada", "role": "operator"}})
    for back, to in (("/?state=IDLE", "/?state=IDLE"), ("//evil.test/", "/"), ("https://evil.test/", "/"), ("/" + "x" * 3_000, None)):
        response = await site.post("/sign-in", data={"token": "t", "back": back}, headers=SAME_ORIGIN)
        assert response.headers.get("location") == to, back


@pytest.mark.parametrize("operator", ["local", "", "Ada"])
@pytest.mark.parametrize(
    ("path", "form"),
    [("/act/revert", a_form()), ("/act/pin", {"bot": "aapl-sma", "reason": "mine", "key": "k"}), ("/loop", {"verb": "pause", "reason": "mine"})],
)  # fmt: skip
async def test_form_of_another_operator_is_not_sent_and_keeps_its_text(site: Site, path: str, form: dict[str, str], operator: str) -> None:
    site.be_fresh()
    site.sign_in("ada")
    canned = site.answer({"/api/revert/plan": a_plan(), "/api/commands": {"commandId": COMMAND, "status": "ACCEPTED"}})
    response = await site.post(path, data=form, operator=operator, headers=SAME_ORIGIN)
    assert response.status_code == 409
    assert "and ada is signed in now. Nothing was sent" in html.unescape(response.text)
    assert f'value="{form["reason"]}"' in response.text
    assert 'name="operator" value="ada"' in response.text  # the next time it is ada's
    assert [request for request in canned.asked if request.method == "POST"] == []
    # Negative control: the same form for the operator who is signed in is sent.
    assert (await site.post(path, data=form | {"key": "k2"}, headers=SAME_ORIGIN)).status_code == 303


async def test_revert_opens_on_what_the_page_shows(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    bots = {"items": [], "total": 2_000, "matching": 281, "counts": {}, "proof": {"status": "fresh"}}
    named = ["desk3-a", "desk3-b", "desk3-c"]
    canned = site.answer({"/api/bots": bots, "/api/revert/plan": a_plan(2, command={"botIds": named})})
    page = (await site.get("/?stage=PAPER&state=IDLE&q=desk3")).text
    shown = "state=IDLE&amp;stage=PAPER&amp;q=desk3"
    assert f'name="shown" value="{shown}"' in page
    sheet = (await site.get("/act/revert", params={"shown": html.unescape(shown)})).text
    (asked,) = [request.url.params.multi_items() for request in canned.asked if request.url.path == "/api/revert/plan"]
    assert sorted(asked) == [("q", "desk3"), ("stage", "PAPER"), ("state", "IDLE")]
    assert "Only the bots that the page’s filter shows" in sheet.replace("'", "’").replace("&#39;", "’")
    assert "The whole fleet instead" in sheet
    assert [f'name="bot" value="{bot}"' in sheet for bot in named] == [True] * 3


async def test_revert_can_be_for_any_strategy_that_a_runner_offers(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    offered = {"items": [{"offer": {"name": name}, "runners": 1, "codeHashes": []} for name in ("macd", "their-own")], "faults": []}
    site.answer({"/api/strategies": offered, "/api/revert/plan": a_plan(2)})
    assert strategies_in((await site.get("/act/revert")).text) == ["", "macd", "their-own"]
    # Nobody says which there are: the sheet is there all the same, for all of them.
    site.answer({"/api/strategies": (503, {"title": "Lost", "code": "LOST", "detail": ""}), "/api/revert/plan": a_plan(2)})
    assert strategies_in((await site.get("/act/revert")).text) == [""]


def strategies_in(sheet: str) -> list[str]:
    """What may be chosen as the strategy."""
    (select,) = re.findall(r'<select id="revert-strategy".*?</select>', sheet, re.DOTALL)
    return re.findall(r'<option value="([^"]*)"', select)


async def test_revert_of_a_filter_sends_the_bots_that_it_showed_then(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    canned = site.answer({"/api/commands": {"commandId": COMMAND, "status": "ACCEPTED", "actor": "ada", "tick": 5}})
    form = a_form(shown="state=IDLE", bot="desk3-a")
    assert (await site.post("/act/revert", data=form, headers=SAME_ORIGIN)).status_code == 303
    (sent,) = canned.asked
    assert orjson.loads(sent.content)["botIds"] == ["desk3-a"]
    assert orjson.loads(sent.content)["planHash"] == HASH


def test_revert_of_a_filter_that_shows_nobody_is_never_one_of_everybody() -> None:
    """An empty list of bots restricts nothing: it must not be what a filter became."""
    assert isinstance(revert_command(wanted_of([("shown", "state=IDLE")]), a_form()), Unfit)
    assert not isinstance(revert_command(wanted_of([]), a_form()), Unfit)
    assert wanted_of([("shown", "stage=LAB")]).plan_params() == [("stage", "LAB")]
    assert wanted_of([("shown", "stage=LIVE"), ("stage", "PAPER")]).plan_params() == [("stage", "LAB")]


def test_revert_of_what_a_command_says_itself_names_the_words_and_not_the_bots() -> None:
    """Of stages, strategies and symbols the plan has no list of bots: the form that lacks one is whole, and its hash guards it."""
    said = revert_command(wanted_of([("shown", "stage=PAPER&stage=LIVE&strategy=macd")]), a_form())
    assert not isinstance(said, Unfit)
    assert (said["stages"], said["botIds"], said["strategies"], said["symbols"]) == (["PAPER", "LIVE"], [], ["macd"], [])
    frozen = wanted_of([("shown", "q=desk3&strategy=macd"), ("bot", "desk3-a")])
    assert frozen.plan_params() == [("strategy", "macd"), ("q", "desk3")]
    named = revert_command(frozen, a_form())
    assert not isinstance(named, Unfit)
    assert (named["botIds"], named["strategies"]) == (["desk3-a"], ["macd"])


def test_two_filters_that_exclude_each_other_mean_nobody() -> None:
    """Negative control: an empty list would be everybody."""
    wanted = wanted_of([("shown", "strategy=macd"), ("strategy", "sma-cross")])
    assert wanted.plan_params() == [("strategy", "-")]


async def test_accepted_act_is_told_once_with_its_command(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    site.answer({"/api/commands": {"commandId": COMMAND, "status": "ACCEPTED", "actor": "ada", "tick": 9}})
    form = {"bot": "aapl-sma", "reason": "r", "key": "k"}
    assert (await site.post("/act/pin", data=form, headers=SAME_ORIGIN)).headers["location"] == "/bots/aapl-sma"
    assert f"Pinned by ada, tick 9 (command {COMMAND})." in (await site.get("/")).text
    assert COMMAND not in (await site.get("/")).text


async def test_page_that_fetches_itself_again_takes_no_notice_away(site: Site) -> None:
    site.be_fresh()
    site.sign_in().notice = Notice("Pinned by ada")
    for headers in ({"hx-request": "true"}, {"sec-fetch-dest": "empty"}):
        assert "Pinned by ada" not in (await site.get("/", headers=headers)).text
    assert "Pinned by ada" in (await site.get("/", headers={"sec-fetch-dest": "document"})).text


async def test_rejection_is_shown_where_it_was_asked(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    site.answer({
        "/api/commands": (409, {"commandId": COMMAND, "status": "REJECTED", "code": "ALREADY_HELD", "limitText": "held since noon"}),
        "/api/bots/aapl-sma": {"bot": {"id": "aapl-sma", "stage": "LAB", "strategy": "sma-cross", "parameters": {}, "symbol": "AAPL"}},
    })  # fmt: skip
    response = await site.post("/act/hold", data={"bot": "aapl-sma", "reason": "mine", "key": "k"}, headers=SAME_ORIGIN)
    assert response.status_code == 409
    assert "ALREADY_HELD, held since noon" in response.text
    assert 'value="mine"' in response.text


async def test_there_is_no_way_to_start_a_job(site: Site) -> None:
    site.be_fresh()
    site.sign_in()
    for verb in ("run", "run-now", "start", "backtest", "enqueue"):
        assert (await site.get(f"/act/{verb}")).status_code == 404
        assert (await site.post(f"/act/{verb}", data=a_form(), headers=SAME_ORIGIN)).status_code == 404


@pytest.mark.parametrize(
    ("theme", "back", "to"),
    [("dark", "/jobs?status=RUNNING", "/jobs?status=RUNNING"), ("light", "//evil.test/", "/"), ("auto", "https://evil.test/", "/"), ("auto", "/\\evil", "/")],
)  # fmt: skip
async def test_theme_is_kept_and_leads_back_here(site: Site, theme: str, back: str, to: str) -> None:
    response = await site.post("/theme", data={"theme": theme, "back": back}, headers=SAME_ORIGIN)
    assert response.headers["location"] == to
    assert f'data-theme="{theme}"' in (await site.get("/")).text


async def test_unknown_theme_changes_nothing(site: Site) -> None:
    await site.post("/theme", data={"theme": HOSTILE, "back": "/"}, headers=SAME_ORIGIN)
    assert 'data-theme="auto"' in (await site.get("/")).text
