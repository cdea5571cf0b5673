"""What is in use, and what runners disagree about, is what the planner itself counts and compares; other corners of both documents.

Source: R-A3.5, R-A5, R-C2.
"""

from datetime import timedelta
from random import Random
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from autonomy.agreement import differ_words
from autonomy.events import Costs
from autonomy.gates import GateCode
from autonomy.identities import PLANNER
from autonomy.policy import DEFAULT, read_policy
from autonomy.policy_values import Difference, differences_of, values_of
from autonomy.values import JobStatus, JobType, Stage, WorkerState
from autonomy.work import Work
from planner.decide import competition, gates, graduation, rules
from planner.decide.view import build_view
from planner.fold.facts import counted
from planner.fold.state import State
from projection.fold.rows import Changes
from projection.fold.signs import Signs
from proof_api.reading.standing import VOTE_HOLDS, approvers_of, limits_of, shares_of
from proof_api.reading.workers import disagreements_of, offers_of, states_of
from support.builders import NOON_MS, a_bot, a_live_job, a_policy, a_state, capabilities
from support.hours import NOON

Row = dict[str, Any]
TYPES = tuple(JobType)


def drawn_state(draw: Random) -> tuple[State, list[Row], list[Row], list[Row]]:
    """A planner's state, and the rows that say the same of it: live jobs, the hour, places."""
    policy = a_policy(
        research={"concurrency": draw.randint(1, 9), "queue_ahead": draw.randint(0, 9), "queued_per_slot": draw.randint(1, 9)},
        evolution={"concurrency": draw.randint(1, 4), "per_hour": draw.randint(0, 50)}, runners={"max_runners": draw.randint(0, 20)},
    )  # fmt: skip
    runners = tuple(
        capabilities(f"runner-{number}", slots=draw.randint(0, 4), evolve_slots=draw.randint(0, 2), runner_slots=draw.randint(0, 9))
        for number in range(draw.randint(1, 3))
    )
    bots = [a_bot(f"bot-{number}") for number in range(draw.randint(0, 30))]
    state = a_state(*bots, policy=policy, runners=runners)
    live = []
    for bot in bots:
        job_type, status = draw.choice(TYPES), draw.choice((JobStatus.RUNNING, JobStatus.QUEUED))
        a_live_job(state, bot.id, f"job of {bot.id}", status=status, job_type=job_type)
        live.append({"job_type": job_type.value, "status": status.value, "n": 1})
    hour, single = [], state.single
    for _ in range(draw.randint(0, 20)):
        job_type = draw.choice(TYPES)
        single = replace(single, enqueues=counted(single.enqueues, NOON_MS))
        if job_type is JobType.EVOLVE:
            single = replace(single, searches=counted(single.searches, NOON_MS))
        hour.append({"job_type": job_type.value, "n": 1})
    state.single = single
    places = [{f"{name}_slots": getattr(said, f"{name}_slots") for name in ("research", "evolve", "runner")} for said in runners]
    return state, live, hour, places


@pytest.mark.parametrize("seed", range(20))
def test_limits_in_use_are_those_that_the_planner_competes_under(seed: int) -> None:
    state, live, hour, places = drawn_state(Random(seed))
    limits = competition.limits_of(state, build_view(state, NOON_MS))
    expected = {limit.name: (limit.value - limit.room, limit.value) for kind in Work for limit in limits[kind]}
    found = {one["name"]: (one["used"], one["limit"]) for one in limits_of(state.policy, live, hour, places)}
    assert found == expected


@pytest.mark.parametrize("seed", range(20))
def test_a_stage_has_room_for_as_many_as_the_planner_lets_in(seed: int) -> None:
    draw = Random(seed)
    most = {stage.value: round(draw.random(), draw.choice((1, 2))) for stage in Stage if draw.random() < 0.7}
    bots = [a_bot(f"bot-{number}", stage=draw.choice(tuple(Stage))) for number in range(draw.randint(1, 40))]
    state = a_state(*bots, policy=a_policy(promotion={"max_share": most}))
    held = graduation.by_stage(state)
    for one in shares_of(state.policy, {stage.value: count for stage, count in held.items()}):
        stage = Stage(str(one["stage"]))
        here = held.copy()
        here[stage] += 0
        let_in = 0
        others = [each for each in here if each is not stage for _ in range(here[each])]
        # A promotion moves a bot: the fleet stays as large as it is.
        while others and graduation.has_room(here, build_view(state, NOON_MS), stage):
            here[others.pop()] -= 1
            here[stage] += 1
            let_in += 1
        assert one["maxShare"] == most.get(stage.value)
        assert let_in == (len(bots) - held[stage] if one["room"] is None else min(int(str(one["room"])), len(bots) - held[stage]))


def test_an_empty_fleet_has_shares_of_nothing() -> None:
    assert {(one["share"], one["bots"], one["room"]) for one in shares_of(DEFAULT, {})} == {(None, 0, None), (None, 0, 0)}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"actor": None}, []), ({"actor": PLANNER}, []), ({"actor": "ada"}, ["ada"]),
        ({"actor": "bob", "before_actor": "ada", "before_document": {}, "first_actor": "ada"}, ["ada", "bob"]),
        ({"actor": "bob", "before_actor": "ada", "before_document": {"rules_approvers": 1}, "first_actor": "ada"}, ["bob"]),
        ({"actor": "ada", "before_actor": PLANNER, "before_document": {"rules_approvers": 2}, "first_actor": None}, ["ada"]),
        ({"actor": "bob", "before_actor": "ada", "before_document": {"rules_approvers": 2}, "first_actor": None}, ["bob"]),
    ],
)  # fmt: skip
def test_who_agreed_to_a_policy(row: Row, expected: list[str]) -> None:
    assert approvers_of({"before_actor": None, "before_document": None, "first_actor": None} | row) == expected


def test_a_voice_waits_as_long_as_the_planner_lets_it() -> None:
    assert (str(VOTE_HOLDS), rules.VOTE_HOLDS_MS) == ("interval '1 day'", 86_400_000)


# ── differences ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_value_of_the_default_is_walked_and_none_differs() -> None:
    assert differences_of(DEFAULT) == []
    assert differences_of(read_policy({})) == []
    paths = dict(values_of(DEFAULT.document()))
    assert {"name", "research.concurrency", "stages.LIVE.wants"} <= set(paths)
    assert not [value for value in paths.values() if isinstance(value, dict) and value]


def test_a_changed_value_a_missing_entry_and_an_added_one_differ() -> None:
    most = DEFAULT.promotion.max_share
    found = differences_of(read_policy({"name": "mine", "promotion": {"max_share": {"LAB": 0.9, "PAPER": 0.5}}}))
    assert found == [
        Difference("name", "default", "mine"), Difference("promotion.max_share.CANARY", most[Stage.CANARY], None),
        Difference("promotion.max_share.LAB", None, 0.9), Difference("promotion.max_share.LIVE", most[Stage.LIVE], None),
        Difference("promotion.max_share.SHADOW", most[Stage.SHADOW], None),
    ]  # fmt: skip
    none = differences_of(read_policy({"promotion": {"max_share": {}}}))
    assert {one.path for one in none} == {f"promotion.max_share.{stage.value}" for stage in most}


# ── workers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def rows_of(signs: Signs) -> list[Row]:
    """Rows as PostgreSQL gives them in JSON."""
    changes = Changes()
    signs.finish(changes)
    found = [orjson.loads(orjson.dumps(row, option=orjson.OPT_UTC_Z)) for row in changes.rows["bot_runners"].values()]
    return sorted(found, key=lambda row: str(row["process_id"]))


@pytest.mark.parametrize("seed", range(20))
def test_workers_disagree_about_what_the_planner_says_they_do(seed: int) -> None:
    draw, signs, said = Random(seed), Signs(), []
    for number in range(draw.randint(1, 4)):
        one = capabilities(
            f"runner-{number}", symbols=tuple(draw.sample(("AAPL", "GOOG", "IBM"), draw.randint(1, 3))), code=draw.choice(("v1", "v1", "v2")),
            content=draw.choice(("", "", "other")), engine=draw.choice(("1", "1", "1", "2")), strategies=tuple(draw.sample(("macd", "sma-cross"), 1)),
        )  # fmt: skip
        if draw.random() < 0.3:
            symbols = (one.symbols[0].model_copy(update={"costs": Costs(fee_bps=1.0, slippage_bps=1.0)}), *one.symbols[1:])
            one = one.model_copy(update={"symbols": symbols})
        said.append(one)
        signs.announced(one, NOON)
    view = build_view(a_state(runners=tuple(said)), NOON_MS)
    rows = rows_of(signs)
    found = disagreements_of(rows)
    assert set(found) == view.disagreements
    for about, sides in found.items():
        speakers = [worker for named in sides.values() for worker in named]
        assert len(sides) > 1, about
        assert len(speakers) == len(set(speakers))
    if found:
        bot = a_bot(strategy="macd", parameters={})
        mine = view.disagreements_about(bot)
        said_by_the_gate = {
            each.measured for each in gates.findings(bot, JobType.BACKTEST_BASELINE, view) if each.code is GateCode.CAPABILITIES_AGREE
        }
        assert said_by_the_gate == ({differ_words(mine)} if mine else set())


def test_workers_that_announce_the_same_share_an_offer() -> None:
    signs = Signs()
    for name in ("a", "b"):
        signs.announced(capabilities(name), NOON)
    signs.announced(capabilities("c", job_types=(JobType.EVOLVE,)), NOON)
    offers = offers_of(rows_of(signs))
    assert sorted(len(named) for named, _ in offers.values()) == [1, 2]
    (alone,) = [document for named, document in offers.values() if len(named) == 1]
    assert alone["jobTypes"] == ["EVOLVE"]
    assert len(alone["bars"]) == len(capabilities().symbols)  # type: ignore[arg-type]


def a_worker(name: str, *, first_s: float = 100, beat_s: float = 1, **changes: Any) -> Row:
    """A row that first beat, and last beat, so many seconds before noon."""
    first, last = (NOON - timedelta(seconds=each) for each in (first_s, beat_s))
    row = {
        "process_id": name,
        "first_seen_at": first.isoformat(),
        "last_beat_at": last.isoformat(),
        "stopping": False,
        "engine_version": "1",
    }
    return row | changes


def test_a_worker_is_told_by_its_last_sign() -> None:
    silent = NOON - timedelta(seconds=15)
    rows = [
        a_worker("live"), a_worker("starting", engine_version=""), a_worker("silent", beat_s=20), a_worker("stopped", stopping=True),
        a_worker("followed", first_s=900, beat_s=300),
    ]  # fmt: skip
    assert states_of(rows, silent) == {name: WorkerState(name.upper()) for name in ("live", "starting", "silent", "stopped", "followed")}
    assert states_of([a_worker("alone", beat_s=300)], silent) == {"alone": WorkerState.SILENT}
    assert states_of(rows, None) == {row["process_id"]: WorkerState.STOPPED if row["stopping"] else WorkerState.UNKNOWN for row in rows}
