"""A bot's whole career over HTTP: timeline, promotions, gates, versions, paper trading, and what a revert would do.

The log is written by hand, so that everything occurs; projection and API are the real processes.

Source: R-B1, R-C2, R-C3, R-F8; docs/architecture.md, "Read models" and "Honesty".
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from autonomy.bar_outcomes import OUTCOMES
from autonomy.documents.history import TimelineKind
from autonomy.events import HeldJob, RevertToLab
from autonomy.kafka import Outgoing, append_batch, build_producer
from autonomy.revert_plan import Standing, revert_plan
from autonomy.topics import COMMANDS, JOBS, RUNNERS, RUNS
from autonomy.values import BotState, Stage
from support.builders import a_beat, an_id
from support.careers import Careers, claim_of
from support.log import fresh_topics
from support.platform import a_platform, wait_for
from support.proof import Api
from support.servers import Broker, Database

pytestmark = pytest.mark.servers
TRADER, PINNED, EVOLVER = "bob", "ada", "cyd"


def a_story() -> Careers:
    """`bob` trades on PAPER with a position, `ada` is pinned there, `cyd` evolved into a second version with evidence for both."""
    story = Careers()
    bob, ada, cyd = story.bot(1), story.bot(0), story.bot(2)
    for bot in (bob, ada):
        story.evidence(bot, 1)
        story.recommend(bot, 1)
        story.recommend(bot, 0)
        story.recommend(bot, 2)
        story.seal()
    story.decide(bob, 1)
    for number in (3, 3, 3, 3, 2):
        story.trade(bob, number)
    story.drift(bob, 2)
    story.mark(bob, 2)
    story.mark(bob, 3)
    story.evidence(cyd, 1)
    story.evolve(cyd, 1)
    story.evolve(cyd, 1)
    story.evidence(cyd, 2)
    story.trade(cyd, 3)
    story.trade(cyd, 3)
    story.trade(cyd, 3)
    story.revert(cyd, 1)
    story.late(2)
    story.seal()
    return story


def append(bootstrap: str, story: Careers, done: dict[tuple[str, int], int]) -> None:
    """Put what is new on the broker, inputs before the ticks that fold them."""

    async def run() -> None:
        producer = await build_producer(bootstrap)
        for topic in (COMMANDS, JOBS, RUNNERS, RUNS):
            for key in [key for key in story.log if key[0] == topic]:
                new = story.log[key][done.get(key, 0) :]
                if new:
                    records = [
                        Outgoing(record.key or b"", record.value or b"", [(name, value or b"") for name, value in record.headers])
                        for record in new
                    ]
                    await append_batch(producer, *key, records)
                done[key] = len(story.log[key])
        await producer.stop()

    asyncio.run(run())


@pytest.fixture(scope="module")
def told(broker: Broker, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Careers, dict[Any, int]]]:
    """The story in the read models, and an API that trusts them; nobody plans."""
    fresh_topics(broker.bootstrap)
    database.empty()
    story, done = a_story(), dict[tuple[str, int], int]()
    append(broker.bootstrap, story, done)
    with a_platform(broker, database, tmp_path_factory.mktemp("careers")) as platform:
        platform.projection()
        api = Api.start(platform)
        wait_for("the story", lambda: platform.one("SELECT tick FROM projection_head") == story.chain.head.tick)
        api.seconds_until(lambda code, body: code == 200 and body["proof"]["status"] == "fresh", 40)
        yield api, story, done


def items(api: Api, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def paged(api: Api, path: str, limit: int, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        body = api.get(path, params={**params, "limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        found += body["items"]
        cursor = body["nextCursor"]
    return found


def test_kinds_narrow_the_timeline_and_together_are_all_of_it(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    for bot in (TRADER, PINNED, EVOLVER):
        path = f"/api/bots/{bot}/timeline"
        whole = paged(api, path, 200)
        parts = {kind.value: paged(api, path, 3, kind=kind.value) for kind in TimelineKind}
        assert {one["kind"] for one in whole} <= set(parts)
        assert parts == {kind: [one for one in whole if one["kind"] == kind] for kind in parts}
        two = paged(api, path, 2, kind=["stage", "job"])
        assert two == [one for one in whole if one["kind"] in {"stage", "job"}]
    assert api.get(f"/api/bots/{TRADER}/timeline", params={"kind": "gossip"}).status_code == 422


def test_the_timeline_holds_everything_once_with_who_and_which_event(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    for bot in (TRADER, PINNED, EVOLVER):
        whole = items(api, f"/api/bots/{bot}/timeline", limit=200)
        assert paged(api, f"/api/bots/{bot}/timeline", 3) == whole
        assert [entry["at"] for entry in whole] == sorted((entry["at"] for entry in whole), reverse=True)
        assert all(entry["actor"] for entry in whole)
        assert all(entry["eventId"] for entry in whole if entry["what"] != "opened" and not entry["what"].startswith("requested"))
    kinds = {entry["kind"] for bot in (TRADER, EVOLVER) for entry in items(api, f"/api/bots/{bot}/timeline", limit=200)}
    assert kinds == {"stage", "decision", "job", "command", "promotion", "evolution", "version", "drift", "session", "note"}
    words = {entry["what"]: entry for entry in items(api, f"/api/bots/{TRADER}/timeline", limit=200)}
    assert "ada, bob" in words["PAPER (PROMOTED)"]["detail"]
    assert words["requested for PAPER"]["actor"] == "ada"


def test_promotions_keep_evidence_and_outcome_and_are_filtered(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    rows = items(api, "/api/promotions")
    assert {row["botId"] for row in rows} == {TRADER, PINNED}
    assert all(row["status"] == "APPLIED" and row["approvedBy"] == ["ada", "bob"] and row["gates"] for row in rows)
    assert items(api, "/api/promotions", status="OPEN") == []
    assert [row["botId"] for row in items(api, "/api/promotions", status=["APPLIED", "OPEN"], bot=TRADER)] == [TRADER]
    assert api.get("/api/promotions", params={"status": "MAYBE"}).status_code == 422


def test_every_bar_is_told_with_its_outcome_and_they_add_up(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    body = api.get(f"/api/bots/{TRADER}/bars", params={"limit": 200}).json()
    (session,) = api.platform.sql("SELECT * FROM bot_sessions WHERE bot_id = %s ORDER BY opened_at DESC LIMIT 1", TRADER)
    rows = api.platform.sql("SELECT outcome, count(*) AS bars FROM bot_equity WHERE session_id = %s GROUP BY 1", session["id"])
    assert {one["outcome"]: one["bars"] for one in body["counts"]} == {row["outcome"]: row["bars"] for row in rows}
    assert sum(one["bars"] for one in body["counts"]) == body["session"]["tradedBars"] == len(body["items"]) >= 3
    assert {one["words"] for one in body["counts"]} <= {outcome.words for outcome in OUTCOMES.values()}
    assert paged(api, f"/api/bots/{TRADER}/bars", 2) == body["items"]
    assert {one["why"] for one in body["items"]} == {"the fast mean is above", None}
    assert body["trading"] == ("NOT_TRADED" if session["state"] == "OPEN" else "NO_SESSION")
    assert sum(one["bars"] for one in body["backtestCounts"]) == (body["backtest"]["bars"] if body["backtest"] else 0)
    ended = api.get(f"/api/bots/{EVOLVER}/bars").json()
    assert (ended["trading"], ended["session"]["state"]) == ("NO_SESSION", "CLOSED")
    assert sum(one["bars"] for one in ended["counts"]) == ended["session"]["tradedBars"] == len(ended["items"])
    assert ended["why"].startswith("Its last paper session ended: CANCELLED_BY_REVERT. Bots trade on paper from stage PAPER on")
    assert api.get("/api/bots/nobody/bars").status_code == 404


def test_gates_are_the_recorded_tree(told: tuple[Api, Careers, Any]) -> None:
    body = told[0].get(f"/api/bots/{TRADER}/gates").json()
    assert [gate["code"] for gate in body["items"]] == ["MIN_TRADES", "LIMITS", "REALISM"]
    assert all(gate[name] is not None for gate in body["items"] for name in ("verdict", "measured", "required", "clearsWhen", "deciding"))
    assert (body["promotionTo"], body["decision"]["reasonCode"]) == ("PAPER", "NOTHING_DUE")
    assert told[0].get(f"/api/bots/{EVOLVER}/gates").json()["items"] == []


def test_versions_carry_the_evidence_of_their_own_time_only(told: tuple[Api, Careers, Any]) -> None:
    second, first = items(told[0], f"/api/bots/{EVOLVER}/versions")
    assert (first["version"], second["version"], second["strategy"]) == (1, 2, "macd")
    (search,) = items(told[0], f"/api/bots/{EVOLVER}/evolutions")
    assert (second["evolvedBy"], search["verdict"], search["applied"]) == (search["jobId"], "WINS", True)
    assert len(first["evidence"]) == len(second["evidence"]) == 1
    assert first["evidence"][0]["jobId"] != second["evidence"][0]["jobId"]
    assert paged(told[0], f"/api/bots/{EVOLVER}/versions", 1) == [second, first]


def test_trades_and_equity_of_a_closed_session_end_at_its_close(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    (session,) = items(api, f"/api/bots/{EVOLVER}/sessions")
    bars = items(api, f"/api/bots/{EVOLVER}/equity", session=session["id"])
    assert (session["state"], session["cause"]) == ("CLOSED", "CANCELLED_BY_REVERT")
    assert [bar["bar"] for bar in bars] == [session["bar"], session["bar"] - 1]
    trades = items(api, f"/api/bots/{EVOLVER}/trades")
    assert [trade["kind"] for trade in trades if trade["bar"] > session["bar"]] == []
    assert paged(api, f"/api/bots/{EVOLVER}/equity", 1) == bars
    assert items(api, f"/api/bots/{EVOLVER}/equity", session=an_id("another")) == []


def test_what_is_drawn_of_a_bot_is_what_the_other_answers_say(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    for bot in (TRADER, PINNED, EVOLVER):
        drawn, whole = api.get(f"/api/bots/{bot}/picture").json(), api.get(f"/api/bots/{bot}").json()
        assert (drawn["bot"], drawn["ofVersions"]) == (whole["bot"], len(drawn["versions"]))
        assert drawn["moves"] == items(api, "/api/stage-events", bot=bot)[::-1]
        assert [one["version"] for one in drawn["versions"]] == [one["version"] for one in items(api, f"/api/bots/{bot}/versions")[::-1]]
        result = whole["latestBacktest"]
        assert (drawn["backtest"] or {}).get("jobId") == (result or {}).get("jobId")
        if result:  # written by hand: no report was ever kept
            assert "Prices and trades are not known" in drawn["backtest"]["lacks"]
            assert drawn["backtest"]["version"] in {one["version"] for one in drawn["versions"]}
        if whole["latestSession"] is None:
            assert drawn["session"] is None
            continue
        found, session = drawn["session"], whole["latestSession"]["id"]
        bars = items(api, f"/api/bots/{bot}/equity", session=session, limit=200)[::-1]
        fills = items(api, f"/api/bots/{bot}/trades", session=session, limit=200)[::-1]
        assert found["session"] == whole["latestSession"]
        assert [(one["barStart"], one["close"]) for one in found["points"]] == [(bar["barStart"], bar["close"]) for bar in bars]
        assert sorted(one["orderId"] for one in found["fills"]) == sorted(one["orderId"] for one in fills)
        assert found["ofFills"] == len(fills)
        assert found["drift"] == next(iter(one for one in items(api, f"/api/bots/{bot}/drift") if one["sessionId"] == session), None)
    assert api.get("/api/bots/nobody/picture").status_code == 404


def test_stage_events_are_filtered_by_what_moved_the_bot(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    (reverted,) = items(api, "/api/stage-events", reason="REVERT_REBASELINE")
    assert items(api, "/api/stage-events", command=reverted["commandId"]) == [reverted]
    assert {row["toStage"] for row in items(api, "/api/stage-events", stage="PAPER")} == {"PAPER"}
    assert {row["botId"] for row in items(api, "/api/stage-events", bot=PINNED)} == {PINNED}


def standings(api: Api) -> list[Standing]:
    rows = api.platform.sql("SELECT id, stage, stage_version, pinned, strategy, symbol FROM bots WHERE retired_at IS NULL")
    return [Standing(row["id"], Stage(row["stage"]), row["stage_version"], row["pinned"], row["strategy"], row["symbol"]) for row in rows]


def test_a_dry_run_names_the_planners_own_plan_and_what_stops(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    plan = api.get("/api/revert/plan").json()
    asked = RevertToLab(command_id=an_id("x"), actor="x", role="operator", plan_hash="0" * 64, expected_count=0)
    truth = revert_plan(asked, standings(api))
    assert (plan["planHash"], plan["expectedCount"], plan["botIds"]) == (truth.hash, len(truth.moved), list(truth.moved)) == (
        truth.hash, 1, [TRADER]
    )  # fmt: skip
    assert plan["byStage"] == {"PAPER": 1}
    (pinned,) = plan["pinned"]["bots"]
    assert (pinned["botId"], pinned["pinnedBy"], pinned["pinReason"]) == (PINNED, "ada", "kept")
    assert plan["stops"]["jobs"] == {"RUNNER_START": {"running": 1}}
    assert (plan["stops"]["openSessions"], plan["stops"]["withPosition"]) == (1, 1)
    (position,) = plan["stops"]["positions"]
    assert (position["botId"], position["units"]) == (TRADER, 3.0)
    assert (plan["loopPaused"], plan["baselines"]) == (False, "SAME_TICK")
    command = plan["command"]
    said = RevertToLab.model_validate({
        **{name: value for name, value in command.items() if name != "type"}, "commandId": an_id("y"), "actor": "x", "role": "operator",
    })  # fmt: skip
    assert (said.plan_hash, said.expected_count) == (truth.hash, 1)


def test_filters_narrow_a_dry_run_and_one_bot_alone_counts_though_pinned(told: tuple[Api, Careers, Any]) -> None:
    api = told[0]
    assert api.get("/api/revert/plan", params={"bot": PINNED}).json()["expectedCount"] == 1
    assert api.get("/api/revert/plan", params={"bot": PINNED, "stage": "PAPER"}).json()["expectedCount"] == 0
    assert api.get("/api/revert/plan", params={"strategy": "macd"}).json()["expectedCount"] == 0
    assert api.get("/api/revert/plan", params={"symbol": "AAPL", "stage": ["PAPER", "LIVE"]}).json()["expectedCount"] == 1
    assert api.get("/api/revert/plan", params={"stage": "MOON"}).status_code == 422
    assert api.get("/api/revert/plan", params={"bot": "No Body"}).status_code == 422


def test_a_filter_of_the_list_is_a_dry_run_of_the_bots_that_it_shows(told: tuple[Api, Careers, Any]) -> None:
    """Frozen by name; a pinned bot stays, also where it is the only one; and a filter that shows nobody is no revert of everybody."""
    api = told[0]
    everybody = api.get("/api/revert/plan").json()
    assert everybody["expectedCount"] == 1
    state = api.get(f"/api/bots/{TRADER}").json()["botNow"]["state"]
    for params in ({"q": TRADER}, {"state": state, "q": TRADER}, {"state": list(BotState), "stage": "PAPER"}):
        plan = api.get("/api/revert/plan", params=params).json()
        assert (plan["expectedCount"], plan["botIds"]) == (1, [TRADER]), params
        command = {name: value for name, value in plan["command"].items() if name != "type"}
        said = RevertToLab.model_validate({**command, "commandId": an_id("y"), "actor": "x", "role": "operator"})
        assert revert_plan(said, standings(api)).hash == plan["planHash"]
        assert TRADER in said.bot_ids
    pinned = api.get("/api/revert/plan", params={"q": PINNED}).json()
    assert (pinned["expectedCount"], pinned["pinned"]["count"], pinned["command"]["botIds"]) == (0, 1, [PINNED])
    nobody = api.get("/api/revert/plan", params={"q": "no such bot"}).json()
    assert (nobody["expectedCount"], nobody["command"]["botIds"]) == (0, [])


def test_a_runner_whose_beats_stop_is_stale_by_the_readers_clock_and_well_again_with_the_next(
    told: tuple[Api, Careers, dict[Any, int]],
) -> None:
    """No event says that a runner fell silent: the list, the filter and the counts all say so by themselves."""
    api, story, done = told
    session = story.bots[TRADER].session
    assert session is not None

    def shown(state: str) -> bool:
        body = api.get("/api/bots", params={"state": state}).json()
        one = api.get(f"/api/bots/{TRADER}").json()["botNow"]
        found = {bot["botId"] for bot in body["items"]}
        counted = body["counts"]["state"].get(state) == body["matching"] == len(found)
        return TRADER in found and counted and one["state"] == state and one["runnerStale"] == (state == "RUNNER_STALE")

    def beat() -> None:
        held = {name: value for name, value in claim_of(session).items() if name != "process_id"}
        story.say(a_beat("runner-1", HeldJob(**held, phase="trading", progress=0.2)), an_id("runner-1"))
        append(api.platform.broker.bootstrap, story, done)

    beat()
    wait_for("a running runner", lambda: shown("RUNNER_RUNNING"), 10, every_s=0.2)
    wait_for("a stale runner, without any event", lambda: shown("RUNNER_STALE"), 25, every_s=0.2)
    assert api.platform.one("SELECT state FROM bot_now WHERE bot_id = %s", TRADER) == "RUNNER_RUNNING"
    assert api.get("/api/bots", params={"state": "RUNNER_RUNNING"}).json()["items"] == []
    beat()
    wait_for("a running runner again", lambda: shown("RUNNER_RUNNING"), 10, every_s=0.2)


def test_waiting_recommendations_filter_and_count_the_fleet(told: tuple[Api, Careers, Any]) -> None:
    api, story, done = told
    dan = story.bot(3)
    story.evidence(dan, 1)
    story.recommend(dan, 1)
    story.seal()
    append(api.platform.broker.bootstrap, story, done)
    wait_for("a bot that waits", lambda: api.shown("/api/bots").get("counts", {}).get("recommended") == {"true": 1, "false": 3})
    waiting = {one["botId"] for status in ("OPEN", "REQUESTED") for one in items(api, "/api/promotions", status=status)}
    for word, wanted in (("true", True), ("false", False)):
        body = api.get("/api/bots", params={"recommended": word}).json()
        assert all((one["botId"] in waiting) is wanted for one in body["items"])
        assert body["matching"] == len(body["items"]) == body["counts"]["recommended"].get(word, 0)
    both = api.get("/api/bots", params={"recommended": "true", "stage": "PAPER"}).json()
    assert both["matching"] == len([one for one in both["items"] if one["stage"] == "PAPER"])
    assert waiting == {dan.bot_id}


def test_a_dry_run_over_old_rows_is_refused(told: tuple[Api, Careers, Any]) -> None:
    """Last of the module: the projection stands still from here on."""
    api = told[0]
    projection = next(service for service in api.platform.services if service.name == "projection")
    projection.freeze()
    answer = wait_for(
        "a refusal", lambda: next((found for found in [api.get("/api/revert/plan")] if found.status_code != 200), None), 30, every_s=0.3
    )
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "STALE_DATA", "2")
    projection.thaw()
    wait_for("a plan again", lambda: api.get("/api/revert/plan").status_code == 200, every_s=0.3)
