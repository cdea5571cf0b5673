"""Whether anything can run: only what stops everybody counts, and rows that are late make no runner silent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autonomy.gates import GateCode
from autonomy.reasons import Reason
from proof_api.proof.capacity import Capacity, capacity_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE_S = 15.0
AGREE, DATA, UNVERIFIED = GateCode.CAPABILITIES_AGREE.value, GateCode.MARKET_DATA.value, GateCode.UNVERIFIED_IMPORT.value


def a_runner(age_s: float = 1.0, **more: Any) -> dict[str, Any]:
    return {
        "process_id": "p", "last_beat_at": NOON - timedelta(seconds=age_s), "stopping": False, "engine_version": "7", "symbols": {"AAPL": {}},
    } | more  # fmt: skip


def a_run(blockers: dict[str, int] | None = None, bots: int = 10, **reasons: int) -> dict[str, Any]:
    blocked = reasons.get(Reason.BLOCKED_BY_GATES.value, 0)
    reasons = reasons or {Reason.NOTHING_DUE.value: bots}
    return {
        "bots_registered": bots, "bots_evaluated": bots, "blocked": blocked, "reason_counts": reasons, "blocker_counts": blockers or {},
    }  # fmt: skip


def of(runners: list[dict[str, Any]], run: dict[str, Any] | None, seen_at: datetime | None = NOON) -> Capacity:
    return capacity_of(runners, run, seen_at, LEASE_S)


def test_a_live_runner_with_an_offer_is_what_it_takes() -> None:
    assert of([a_runner()], a_run()) == Capacity("ok")
    assert of([a_runner(age_s=LEASE_S)], a_run()) == Capacity("ok")
    assert of([a_runner(age_s=900, stopping=True), a_runner()], a_run()) == Capacity("ok")


@pytest.mark.parametrize("run", [None, a_run(bots=0)], ids=["before the first tick", "no bots"])
def test_without_a_bot_no_runner_is_missing(run: dict[str, Any] | None) -> None:
    assert of([], run) == Capacity("off")


def test_while_it_is_not_known_how_late_the_rows_are_nothing_is_said() -> None:
    assert of([], a_run(), None).check == "unknown"


@pytest.mark.parametrize(
    ("runners", "words"),
    [
        ([], "no runner process lives, nothing can run for 10 bots"),
        ([a_runner(age_s=LEASE_S + 0.1)], "no runner process lives"),
        ([a_runner(stopping=True)], "no runner process lives"),
        ([a_runner(last_beat_at=None)], "no runner process lives"),
        ([a_runner(engine_version="")], "1 runner process lives, none has announced what it offers"),
        ([a_runner(symbols={}), a_runner(symbols={})], "2 runner processes live, none has announced any market data"),
    ],
    ids=["none", "silent", "stopping", "never beat", "no announcement", "no data"],
)  # fmt: skip
def test_without_an_offer_nothing_can_run(runners: list[dict[str, Any]], words: str) -> None:
    found = of(runners, a_run())
    assert found.check == "down"
    assert words in found.words


def test_beats_are_judged_by_the_time_of_the_rows() -> None:
    """A projection that is 100 s behind has the beats of 100 s ago: no runner is silent by that."""
    assert of([a_runner(age_s=100)], a_run(), NOON - timedelta(seconds=99)) == Capacity("ok")
    assert of([a_runner(age_s=100)], a_run(), NOON).check == "down"


@pytest.mark.parametrize("held", [0, 1, 9])
def test_a_planner_that_knows_no_offer_blocks_all_whatever_the_rows_of_runners_say(held: int) -> None:
    """As when it dropped a frozen runner that beats again: one bot on hold hides nothing."""
    run = a_run({AGREE: 10 - held, DATA: 1}, BLOCKED_BY_GATES=10 - held, ON_HOLD=held)
    found = of([a_runner()], run)
    assert found.check == "down"
    assert f"{10 - held} bot" in found.words
    assert "the planner knows no offer" in found.words


def test_engines_that_disagree_are_named() -> None:
    found = of([a_runner(engine_version="7"), a_runner(engine_version="8")], a_run({AGREE: 10}, BLOCKED_BY_GATES=10))
    assert "different engines (7, 8)" in found.words


@pytest.mark.parametrize(
    "run",
    [
        a_run({AGREE: 9}, BLOCKED_BY_GATES=9, NOTHING_DUE=1), a_run({AGREE: 9}, BLOCKED_BY_GATES=9, ACTIVE_JOB=1),
        a_run({DATA: 6, UNVERIFIED: 4}, BLOCKED_BY_GATES=10), a_run({AGREE: 3, DATA: 7}, BLOCKED_BY_GATES=10),
        a_run(ON_HOLD=10), a_run(LOOP_DISABLED=10),
    ],
    ids=["one is idle", "one works", "each for its own reasons", "some of them by the platform", "all on hold", "paused"],
)  # fmt: skip
def test_bots_that_are_blocked_for_their_own_reasons_stop_nobody(run: dict[str, Any]) -> None:
    """Negative control: too few bars of one symbol, imports that are not verified, a pause."""
    assert of([a_runner()], run) == Capacity("ok")
