"""A bot's pages, promotions, commands, runs and quarantine: as recorded, whole, and with hostile text in every field."""

from datetime import UTC, datetime
from typing import Any

import pytest

from autonomy import clock
from autonomy.values import iso
from bots_ui.shown.matching import matches
from bots_ui.shown.rows import promotion_of, row_of, session_of
from bots_ui.shown.words import FILTERS
from support.site import HOSTILE, SAME_ORIGIN, Site, show

JOB = "e39303ef-e302-4875-b19b-357185de971a"
AT = iso(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
KEPT = {"id", "botId", "status", "state", "kind", "at", "toStage", "sessionId", "nextCursor"}
"""Fields that hold a code or an id by which a page is built."""


def hostile(value: Any, name: str = "") -> Any:
    """The same document with every text that nothing is built by replaced."""
    if isinstance(value, dict):
        return {key: hostile(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner, name) for inner in value]
    return HOSTILE if isinstance(value, str) and name not in KEPT and not name.endswith("At") else value


GATE = {
    "code": "LIMITS", "verdict": "FAIL", "measured": "drawdown 0.5", "required": "at most 0.35", "clearsWhen": "another version",
    "evidenceJob": JOB, "evidenceAgeBars": 3, "fingerprint": "f" * 64, "deciding": True, "expiresAt": AT,
}  # fmt: skip
DRIFT_GATE = {"code": "DRIFT", "measured": "0.4", "required": "at most 0.3", "clearsWhen": "another window"}
PROMOTION = {
    "id": JOB, "botId": "aapl-sma", "fromStage": "SHADOW", "toStage": "CANARY", "status": "OPEN", "evidenceJob": JOB, "gates": [GATE],
    "recommendedAt": AT, "tick": 7, "requestedBy": None, "requestedAt": None, "approvedBy": [], "closedAt": None, "cause": None,
    "actor": None, "reason": None, "failing": [GATE],
}  # fmt: skip
CONTENDER = {"parameters": {"fast": 5, "kind": "long"}, "foldsSharpe": 1.0, "holdoutSharpe": -0.5, "holdoutPsr": 0.9, "holdoutTrades": 4, "holdoutMaxDrawdown": 0.2}  # fmt: skip
NOW = {
    "botId": "aapl-sma", "name": "aapl-sma", "state": "RUNNER_RUNNING", "since": AT, "reasonCode": "ACTIVE_JOB", "recency": "fresh",
    "stage": "SHADOW", "strategy": "sma-cross", "symbol": "AAPL", "rev": 3, "jobId": JOB, "jobType": "RUNNER_START",
    "jobStatus": "RUNNING", "promotionTo": "CANARY", "promotionGates": 9, "promotionBlockers": [DRIFT_GATE], "recommendationId": JOB,
    "recommendationStatus": "OPEN", "sessionId": JOB, "sessionEquity": 99_000.0, "sessionPnl": -1_000.0, "sessionTrades": 3,
    "sessionUnits": 5.0, "sessionReplay": True, "lastMarkAt": AT, "lastMarkBar": "2010-02-03T00:00:00Z", "drift": "MAJOR", "demote": True,
    "pinned": True, "pinReason": "kept", "pinnedBy": "bea", "pinnedUntil": AT, "blockers": [GATE],
}  # fmt: skip
POINTS = [
    {"barStart": f"{day}T00:00:00Z", "close": close, "equity": equity, "holding": holding, "drawdown": fall}
    for day, close, equity, holding, fall in (("2010-01-05", 10.0, 1.0, 1.0, 0.0), ("2010-02-03", 11.0, 0.99, 1.1, 0.01))
]
ANSWERS: dict[str, Any] = {
    "/api/bots": {"items": [NOW], "total": 1, "matching": 1, "counts": {}, "rev": 3},
    "/api/bots/aapl-sma": {
        "botNow": NOW,
        "bot": {"id": "aapl-sma", "name": "aapl-sma", "stage": "SHADOW", "strategy": "sma-cross", "parameters": {"fast": 5}, "symbol": "AAPL",
                "version": 2, "pinned": True, "pinReason": "kept", "pinnedBy": "bea", "holdReason": "a look", "holdActor": "cleo", "fleet": "stocks", "evolve": "propose",
                "proposalJob": JOB},
        "decision": {"reasonCode": "ACTIVE_JOB", "fromTick": 4, "detail": "d", "eventId": JOB, "blockers": [GATE], "limitName": "x"},
        "latestBacktest": {"firstBar": "2000-01-03T00:00:00Z", "lastBar": "2010-01-04T00:00:00Z", "bars": 10, "sharpe": 1.0, "summary": {}, "jobId": JOB,
                           "dataSha256": "d" * 64, "fingerprint": "f" * 64, "sourceId": "s"},
        "jobs": [{"id": JOB, "jobType": "RUNNER_START", "status": "RUNNING", "cause": "LEASE_EXPIRED", "detail": "d", "attempt": 2,
                  "attempts": [{"cause": "RUNNER_LOST", "processId": JOB}], "barsUntil": "2010-01-04"}],
        "latestSession": {"id": JOB, "state": "OPEN", "openedAt": AT, "openedTick": 3, "fromBar": "2010-01-04T00:00:00Z", "replay": True, "pnl": -5.0,
                          "equity": 99_995.0, "units": -2.0, "trades": 1},
        "latestDrift": {"sessionId": JOB, "verdict": "MAJOR", "findings": ["trades 5, engine 2"], "demote": True, "tick": 9, "judgedAt": AT},
        "latestPromotion": PROMOTION,
    },
    "/api/bots/aapl-sma/gates": {"items": [GATE, {**GATE, "code": "DRIFT", "verdict": "INCONCLUSIVE", "deciding": False}],
                                 "promotionTo": "CANARY", "sinceTick": 7, "eventId": JOB},
    "/api/bots/aapl-sma/decisions": {"items": [{"fromTick": 4, "toTick": None, "reasonCode": "ACTIVE_JOB", "blockers": [GATE], "detail": "d"}]},
    "/api/bots/aapl-sma/timeline": {"items": [{"at": AT, "kind": "job", "what": "w", "actor": "planner", "detail": "d", "eventId": JOB}]},
    "/api/bots/aapl-sma/versions": {"items": [{"version": 2, "parameters": {"fast": 5}, "actor": "planner", "evolvedBy": JOB, "tick": 6,
                                    "createdAt": AT, "evidence": [{"fingerprint": "f" * 64, "results": 3, "lastBar": "2010-01-04T00:00:00Z"}]}]},
    "/api/bots/aapl-sma/evolutions": {"items": [{"jobId": JOB, "why": "WEAK", "verdict": "LOSES", "champion": CONTENDER, "applied": False,
                                      "challenger": CONTENDER, "findings": ["hold-out PSR 0.4"], "stopReason": "TIME_SPENT", "enqueuedAt": AT}]},
    "/api/bots/aapl-sma/trades": {"items": [{"orderId": JOB, "sessionId": JOB, "barStart": "2010-01-05T00:00:00Z", "kind": "ENTRY", "side": "BUY",
                                  "units": 2.0, "price": 9.5, "fee": 0.1, "pnl": None}]},
    "/api/bots/aapl-sma/picture": {
        "bot": {"registeredAt": "2026-11-20T12:00:00.000Z", "retiredAt": None}, "now": AT,
        "backtest": {"jobId": JOB, "version": 2, "basis": "REPORT", "lacks": "", "ofTrades": 3, "points": POINTS,
                     "trades": [{"entryBar": "2010-01-05T00:00:00Z", "exitBar": "2010-02-03T00:00:00Z", "units": -4.0, "entryPrice": 10.0,
                                 "exitPrice": 11.0, "pnl": -4.0}]},
        "session": {"session": {"id": JOB, "fromBar": "2010-01-04T00:00:00Z", "lastBar": "2010-02-03T00:00:00Z"}, "every": 2, "before": 7,
                    "points": POINTS, "ofFills": 9, "drift": {"verdict": "MAJOR", "jobId": JOB, "eventId": JOB, "tick": 9},
                    "window": {"bars": 30, "trades": 4, "pnlUsd": -12.0, "untilBar": "2010-02-03T00:00:00Z"},
                    "engine": [{"barStart": "2010-01-05T00:00:00Z", "equity": 1.0}, {"barStart": "2010-02-03T00:00:00Z", "equity": 1.02}],
                    "fills": [{"orderId": JOB, "barStart": "2010-01-05T00:00:00Z", "kind": "STOP", "side": "SELL", "units": 2.0, "price": 9.5, "pnl": -1.0}]},
        "versions": [{"version": 2, "actor": "planner", "evolvedBy": JOB, "tick": 6, "createdAt": "2026-11-21T12:00:00.000Z", "eventId": JOB}],
        "ofVersions": 2, "ofMoves": 1,
        "moves": [{"id": JOB, "fromStage": "LAB", "toStage": "SHADOW", "reasonCode": "PROMOTED", "actor": "ada", "createdAt": "2026-11-20T18:00:00.000Z",
                   "tick": 7, "commandId": None}],
    },
    "/api/promotions": {"items": [PROMOTION], "nextCursor": None},
    "/api/quarantine": {"items": [{"topic": "autonomy.jobs", "partition": 1, "logOffset": 5, "sha256": "a" * 64, "sizeBytes": 9,
                                   "reason": "no JSON", "excerpt": "{", "seenAt": AT}]},
    "/api/planner/runs": {"items": [{"id": JOB, "tick": 7, "cause": "COMMAND", "startedAt": AT, "hash": "h" * 64, "reasonCounts": {"ACTIVE_JOB": 1},
                                     "blockerCounts": {HOSTILE: 1}, "slice": {HOSTILE: [1]}, "errorDetails": ["e"], "errors": 1, "marketNow": AT,
                                     "botsEvaluated": 1, "jobsEnqueued": 0, "blocked": 0, "zeroJobsReason": "MIXED", "decider": "life-1"}]},
    "/api/planner/runs/7/decisions": {"items": [{"botId": "aapl-sma", "reasonCode": "BLOCKED_BY_GATES", "blockers": [GATE], "detail": "d",
                                                 "changed": False, "sinceTick": 4, "eventId": JOB, "would": "SCHEDULED", "limitName": "l"}]},
    f"/api/commands/{JOB}": {"commandId": JOB, "command": "revert-to-lab.v1", "actor": "ada", "role": "approver", "reason": "again",
                             "saidAt": AT, "status": "ACCEPTED", "tick": 7, "counts": {"REVERTED": 1, "PINNED": 1}, "code": "c", "field": "f",
                             "outcomes": [{"botId": "aapl-sma", "outcome": "REVERTED", "fromStage": "LIVE", "toStage": "LAB",
                                           "reasonCode": "BULK_REVERT_REBASELINE", "eventId": JOB}, {"botId": "kept", "outcome": "PINNED"}]},
    "/api/stage-events": {"items": [{"id": JOB, "botId": "aapl-sma", "fromStage": "LAB", "toStage": "PAPER", "reasonCode": "PROMOTED", "actor": "ada",
                                     "createdAt": AT, "tick": 7, "commandId": JOB, "approvedBy": ["ada", "bea"]}]},
}  # fmt: skip
PATHS = {
    "/": ["Running", "−1,000 USD", "9", "waits for approval", "pinned: "],
    "/bots/aapl-sma/card": ["Running", "Pinned", "Paper session"],
    "/bots/aapl-sma": [
        "Execution: PAPER", "REPLAY", "Drift MAJOR", "trades 5, engine 2", "shadow: no say", "drawdown 0.5", "at most 0.35", "another version",
        "challenger of job", "LOSES", "hold-out PSR 0.4", "time spent", "RUNNER_LOST", "First approval", "first of two approvals",
        "Revert to LAB", "Unpin", "Release hold", "pinned by bea", "of the fleet stocks, searches: propose", "The challenger waits for a word",
        "Take over", "Decline", "Only a LAB bot changes", "short 4: 2010-01-05 at 10.00 → 2010-02-03 at 11.00, −4 USD",
        "stopped: sold 2.00 at 9.50 USD in bar 2010-01-05", f"/bots/aapl-sma/trades#o-{JOB}", "The newest 1 of 3 closed trades are drawn",
        "Every 2nd bar is a point", "7 earlier bars", "over 30 bars up to 2010-02-03 the engine came to −12 USD in 4 closed trades",
        "challenger of a search took over", "LAB → SHADOW (PROMOTED) by ada", "The newest 1 of 2 versions are drawn",
    ],
    "/bots/aapl-sma/timeline": ["planner", JOB[:8]],
    "/bots/aapl-sma/trades": ["ENTRY", "9.50"],
    "/promotions": ["aapl-sma", 'data-code="SHADOW">SHADOW</span> → <span class="mono stage-name" data-code="CANARY">CANARY</span> <span class="tag paper">execution: PAPER</span>', "first of two approvals", "LIMITS"],
    "/runs/7": ["BLOCKED_BY_GATES", "Tick 7", "MIXED", "without the pause"],
    f"/commands/{JOB}": ["Revert to LAB", "REVERTED", "PINNED", "BULK_REVERT_REBASELINE", "aapl-sma"],
    "/quarantine": ["no JSON", "autonomy.jobs"],
    "/stages": ["ada, bea", "PROMOTED", f"/commands/{JOB}"],
    f"/act/take?bot=aapl-sma&job={JOB}": ["Take over: aapl-sma", "Code, data and costs must still be those"],
    f"/act/decline?bot=aapl-sma&job={JOB}": ["Decline: aapl-sma", "the bot stays as it is"],
    f"/act/approve?bot=aapl-sma&recommendation={JOB}": ["first of two approvals", "another approver applies it", "drawdown 0.5"],
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_page_shows_what_was_recorded(site: Site, path: str) -> None:
    site.be_fresh()
    site.sign_in()
    html = await show(site, ANSWERS, path)
    assert [words for words in PATHS[path] if words not in html] == []
    assert "style=" not in html


@pytest.mark.parametrize("path", PATHS)
async def test_hostile_text_in_every_field_is_escaped(site: Site, path: str) -> None:
    site.be_fresh()
    site.sign_in(name=HOSTILE)
    html = await show(site, hostile(ANSWERS), path)
    assert "<img" not in html
    assert "&lt;img" in html


@pytest.mark.parametrize("path", PATHS)
async def test_untold_fields_break_no_page(site: Site, path: str) -> None:
    site.be_fresh()
    bare = {
        name: {**document, "items": [{"botId": "aapl-sma", "id": JOB}]} if "items" in document else document
        for name, document in ANSWERS.items()
    }
    site.answer({**bare, "/api/bots/aapl-sma": {"bot": {"id": "aapl-sma"}}, f"/api/commands/{JOB}": {"commandId": JOB}})
    assert (await site.get(path)).status_code == 200


async def test_a_list_that_is_refused_says_so_in_its_place(site: Site) -> None:
    site.be_fresh()
    down = (503, {"title": "PostgreSQL does not answer", "code": "DATABASE_DOWN"})
    html = await show(
        site, {name: document if name == "/api/bots/aapl-sma" else down for name, document in ANSWERS.items()}, "/bots/aapl-sma"
    )
    assert "Execution: PAPER" in html
    assert html.count("PostgreSQL does not answer") == 8


async def test_second_approval_names_the_first_and_is_not_for_the_same_person(site: Site) -> None:
    site.be_fresh()
    requested = {**PROMOTION, "status": "REQUESTED", "requestedBy": "ada", "requestedAt": AT}
    answers = {**ANSWERS, "/api/promotions": {"items": [requested], "nextCursor": None}}
    site.sign_in("ada")
    assert "You gave the first approval" in await show(site, answers, f"/act/approve?bot=aapl-sma&recommendation={JOB}")
    site.http.cookies.clear()
    site.sign_in("bea")
    html = await show(site, answers, f"/act/approve?bot=aapl-sma&recommendation={JOB}")
    assert "ada gave the first approval" in html
    assert "You gave" not in html


async def test_command_that_was_not_read_yet_is_looked_at_again(site: Site) -> None:
    site.answer({})
    response = await site.get(f"/commands/{JOB}")
    assert response.status_code == 404
    assert 'data-open="1"' in response.text


async def test_kinds_of_the_timeline_are_asked_of_the_api(site: Site) -> None:
    canned = site.answer({"/api/bots/aapl-sma/timeline": {"items": [{"at": AT, "kind": "stage", "what": "moved"}], "nextCursor": "c"}})
    html = (await site.get("/bots/aapl-sma/timeline?kind=stage&kind=job&kind=nothing")).text
    assert canned.asked[0].url.params.multi_items() == [("kind", "stage"), ("kind", "job"), ("limit", "50")]
    assert "moved" in html
    assert "/bots/aapl-sma/timeline?kind=stage&amp;kind=job&amp;cursor=c" in html


async def test_waiting_for_approval_filters_the_fleet(site: Site) -> None:
    rows = {"items": [], "counts": {"recommended": {"true": 3, "false": 4}}, "total": 7, "matching": 3}
    canned = site.answer({"/api/bots": rows})
    html = (await site.get("/?recommended=true&recommended=maybe", follow_redirects=True)).text
    assert canned.asked[0].url.params.multi_items() == [("recommended", "true"), ("limit", "50")]
    assert '<b class="num" id="n-recommended-true">3</b>' in html
    assert '<input type="hidden" name="recommended" value="true">' in html
    wanted = {"recommended": ("true",)}
    assert matches({"botId": "a", "recommendationId": JOB}, wanted, "")
    assert not matches({"botId": "a", "recommendationId": None}, wanted, "")


async def test_forms_of_stage_history_reach_the_api(site: Site) -> None:
    canned = site.answer({"/api/stage-events": {"items": []}})
    await site.get(f"/stages?stage=LAB&stage=NOWHERE&bot=aapl-sma&reason=PROMOTED&command={JOB}&bot=")
    assert not [value for _, value in canned.asked[0].url.params.multi_items() if value in {"NOWHERE", ""}]
    await site.get(f"/stages?stage=LAB&bot=aapl-sma&reason=PROMOTED&command={JOB}")
    assert dict(canned.asked[1].url.params) == {"stage": "LAB", "bot": "aapl-sma", "reason": "PROMOTED", "command": JOB, "limit": "50"}


async def test_buttons_are_disabled_with_the_reason_written(site: Site) -> None:
    site.be_fresh()
    html = await show(site, ANSWERS, "/bots/aapl-sma")
    assert html.count("data-sheet") == html.count('data-sheet data-denied="1" disabled>') == 9
    assert "Sign in to act on this bot." in html
    site.sign_in(role="operator")
    html = await show(site, ANSWERS, "/bots/aapl-sma")
    assert "To approve needs the role approver; ada is operator." in html
    site.be_lost()
    html = await show(site, ANSWERS, "/bots/aapl-sma")
    assert html.count("data-sheet") + 2 == html.count(" disabled>")  # and the loop's two buttons
    assert "Not available while the data is out of date." in html


async def test_sign_out_of_one_leaves_the_other(site: Site) -> None:
    site.sign_in("ada")
    other = site.shared.sessions.begin("t", "bea", "operator", 0)
    await site.post("/sign-out", headers=SAME_ORIGIN)
    assert site.shared.sessions.of_cookie(other, 0) is not None


@pytest.mark.parametrize("why", ["WEAK", "AT_THE_DOOR", ""])
def test_a_search_has_one_word_and_its_reason_stands_behind_it(why: str) -> None:
    row = row_of({"botId": "a", "state": "EVOLVING", "jobId": JOB, "jobType": "EVOLVE", "jobStatus": "RUNNING", "jobWhy": why}, clock.now())
    assert (row.badge.code, row.badge.word) == ("EVOLVING", FILTERS["EVOLVING"])
    assert row.why == {"WEAK": "its results are weak", "AT_THE_DOOR": "it meets the gates and is challenged before it leaves"}.get(why, "")


def test_promotion_counts_what_passes() -> None:
    found = promotion_of({"promotionTo": "PAPER", "promotionGates": 7, "promotionBlockers": [DRIFT_GATE, DRIFT_GATE | {"code": "LIMITS"}]})
    assert found is not None
    assert (found.to, found.passed, found.gates, found.waits) == ("PAPER", 5, 7, "")
    assert [(gate.code, gate.measured, gate.required) for gate in found.blockers] == [
        ("DRIFT", "0.4", "at most 0.3"), ("LIMITS", "0.4", "at most 0.3"),
    ]  # fmt: skip
    assert promotion_of({"promotionTo": None, "promotionGates": 0, "promotionBlockers": []}) is None


def test_session_is_shown_only_while_open() -> None:
    assert session_of({"sessionId": None, "sessionPnl": 5.0}) is None
    found = session_of({"sessionId": JOB, "sessionPnl": -1234.5, "sessionEquity": 98_765.5})
    assert found is not None
    assert (found.pnl, found.equity) == ("−1,234", "98,766")
