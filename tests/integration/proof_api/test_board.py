"""The board from LAB to LIVE is what the rows say, for fleets drawn at random; a click on a gate shows whom it counts.

What is expected is worked out row by row, by other code than the one statement that counts. Source: docs/architecture.md, "The Bots page".
"""

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from autonomy.read_model import SCHEMA
from autonomy.values import NEXT_STAGE, Stage, iso
from proof_api.reading import queries
from proof_api.reading.board import board
from proof_api.reading.queries import BotFilter
from support.drawn_fleet import LEASE_S, asked, drawn_fleet
from support.hours import NOON
from support.proof import Api
from support.servers import Database

pytestmark = pytest.mark.servers
BOTS = 200


@pytest.fixture(scope="module", params=[0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 5))])
def written(request: pytest.FixtureRequest, database: Database) -> Database:
    database.empty()
    drawn_fleet(request.param, BOTS).write(database.url())
    return database


def rows(database: Database, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(
        database.url("autonomy_reader"), row_factory=dict_row, options=f"-c search_path={SCHEMA} -c timezone=UTC"
    ) as connection:
        return connection.execute(statement).fetchall()


def middle(instants: list[Any]) -> str | None:
    """The later of the earlier half."""
    return iso(sorted(instants)[(len(instants) - 1) // 2]) if instants else None


def test_every_number_is_that_of_the_rows(written: Database) -> None:
    whole = asked(written, lambda connection: board(connection, 0))
    found, looks = whole["stages"], [row for row in rows(written, "SELECT alpha, synthetic FROM bot_looks") if not row["synthetic"]]
    assert (whole["looks"], whole["alphaSpent"]) == (len(looks), pytest.approx(sum(row["alpha"] for row in looks)))
    assert looks
    bots = {row["id"]: row for row in rows(written, "SELECT * FROM bots")}
    waiting = {row["id"]: row["recommended_at"] for row in rows(written, "SELECT * FROM promotions")}
    now = rows(written, "SELECT * FROM bot_now")
    assert [one["stage"] for one in found] == list(Stage)
    for one in found:
        here = [row for row in now if row["stage"] == one["stage"]]
        mine, apart = [row for row in here if row["synthetic"] is not True], [row for row in here if row["synthetic"] is True]
        gates = Counter(code for row in mine for code in {missed["code"] for missed in row["promotion_blockers"]})
        recommended = [waiting[row["recommendation_id"]] for row in mine if row["recommendation_id"]]
        assert one == {
            "stage": one["stage"], "to": NEXT_STAGE.get(one["stage"]), "bots": len(mine), "recommended": len(recommended),
            "held": sum(bool(row["promotion_blockers"]) and not row["recommendation_id"] for row in mine),
            "medianSince": middle([bots[row["bot_id"]]["stage_updated_at"] for row in mine]), "medianRecommendedAt": middle(recommended),
            "synthetic": len(apart), "syntheticRecommended": sum(row["recommendation_id"] is not None for row in apart),
            "gates": [{"code": code, "bots": count} for code, count in sorted(gates.items(), key=lambda pair: (-pair[1], pair[0]))],
        }  # fmt: skip
    assert sum(one["bots"] + one["synthetic"] for one in found) == BOTS
    assert any(one["synthetic"] for one in found)
    assert any(one["recommended"] for one in found)
    assert all(one["gates"] for one in found)


def test_a_gate_shows_the_bots_that_it_holds_back(written: Database) -> None:
    silent = NOON - timedelta(seconds=LEASE_S)
    for one in asked(written, lambda connection: board(connection, 0))["stages"]:
        for synthetic, count in ((False, one["bots"]), (True, one["synthetic"])):
            wanted = BotFilter(stage=(one["stage"],), synthetic=synthetic, silent_before=silent)
            assert asked(written, partial(queries.count_matching, wanted=wanted)) == count
        for gate in one["gates"]:
            wanted = BotFilter(stage=(one["stage"],), gate=(gate["code"],), synthetic=False, silent_before=silent)
            assert asked(written, partial(queries.count_matching, wanted=wanted)) == gate["bots"]
    for wanted in (BotFilter(gate=("DRIFT",)), BotFilter(synthetic=False)):
        assert wanted.counted({"state": {"IDLE": 9}}) is None  # counts by badge alone do not tell it


def test_an_empty_fleet_has_all_stages(database: Database) -> None:
    database.empty()
    found = asked(database, lambda connection: board(connection, 7))
    assert [(one["stage"], one["bots"], one["gates"]) for one in found["stages"]] == [(stage, 0, []) for stage in Stage]
    assert (found["rev"], found["looks"], found["alphaSpent"]) == (7, 0, 0.0)


def test_what_looks_spent_is_told_also_when_no_bot_is_left(database: Database) -> None:
    database.empty()
    drawn_fleet(0, 20).write(database.url())
    before = asked(database, lambda connection: board(connection, 0))
    with psycopg.connect(database.owner_url, autocommit=True, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute("DELETE FROM bot_now")
    after = asked(database, lambda connection: board(connection, 0))
    assert before["looks"] > 0
    assert (after["looks"], after["alphaSpent"], after["rev"]) == (before["looks"], before["alphaSpent"], before["rev"])
    assert sum(one["bots"] for one in after["stages"]) == 0


def test_it_is_answered_with_its_proof(running: Api) -> None:
    answer = running.get("/api/board").json()
    assert answer["proof"]["status"] == "fresh"
    assert {one["stage"]: one["bots"] for one in answer["stages"]}["LAB"] == running.platform.one("SELECT count(*) FROM bot_now")
    gate = answer["stages"][0]["gates"][0] if answer["stages"][0]["gates"] else None
    if gate:
        assert (
            running.get("/api/bots", params={"stage": "LAB", "gate": gate["code"], "synthetic": "false"}).json()["matching"] == gate["bots"]
        )
