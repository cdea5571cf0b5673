"""What the reader's clock makes of a row: the one state that no event tells, and the same answer from the shelf as without it.

Source: R-B1; docs/architecture.md, "What a bot does now".
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from autonomy.values import BotState, iso
from proof_api.proof.judging import Status
from proof_api.proof.now import Ages, dressed
from proof_api.reading.queries import BotFilter
from proof_api.reading.shelf import row_of, shown

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE_S = 15.0


def ages(status: Status = "fresh") -> Ages:
    return Ages(NOON, LEASE_S, status)


def an_item(state: BotState, beat_age_s: float | None = None, **more: Any) -> dict[str, Any]:
    beat = None if beat_age_s is None else iso(NOON - timedelta(seconds=beat_age_s))
    runner = state in {BotState.RUNNER_RUNNING, BotState.RUNNER_STALE}
    return {
        "botId": "a", "state": state.value, "jobId": "j" if beat or runner else None, "jobStatus": "RUNNING" if beat else None,
        "lastBeatAt": beat, "runnerJobId": "j" if runner else None, "runnerStatus": "RUNNING" if runner else None,
        "runnerBeatAt": beat if runner else None, **more,
    }  # fmt: skip


@pytest.mark.parametrize(("age_s", "status", "state", "basis"), [
    (14.9, "fresh", "RUNNER_RUNNING", "fresh"), (15.1, "fresh", "RUNNER_STALE", "stale"), (15.1, "stale", "RUNNER_RUNNING", "stale"),
    (15.1, "unverified", "RUNNER_RUNNING", "unknown"), (900.0, "unavailable", "RUNNER_RUNNING", "unknown"),
])  # fmt: skip
def test_a_runner_is_stale_one_lease_after_its_last_beat_as_far_as_the_data_can_tell(
    age_s: float, status: Status, state: str, basis: str
) -> None:
    (item,) = dressed([an_item(BotState.RUNNER_RUNNING, age_s)], ages(status))
    assert (item["state"], item["basis"]) == (state, basis)


def test_a_silent_backtest_keeps_its_state_and_says_how_old_it_is() -> None:
    (item,) = dressed([an_item(BotState.BACKTEST_RUNNING, 60)], ages())
    assert (item["state"], item["basis"], item["runnerStale"]) == ("BACKTEST_RUNNING", "stale", False)


@pytest.mark.parametrize(("status", "beat_age_s", "stale"), [
    ("RUNNING", 1.0, False), ("RUNNING", 20.0, True), ("RUNNING", None, True), ("QUEUED", None, True), (None, None, False),
])  # fmt: skip
def test_a_second_mark_says_that_the_runner_beside_a_backtest_is_stale(status: str | None, beat_age_s: float | None, stale: bool) -> None:
    beat = None if beat_age_s is None else iso(NOON - timedelta(seconds=beat_age_s))
    runner = {"runnerJobId": "r" if status else None, "runnerStatus": status, "runnerBeatAt": beat}
    (item,) = dressed([an_item(BotState.BACKTEST_RUNNING, 1.0, **runner)], ages())
    assert (item["state"], item["runnerStale"]) == ("BACKTEST_RUNNING", stale)


@pytest.mark.parametrize("status", ["fresh", "stale", "unverified", "unavailable"])
@pytest.mark.parametrize("state", list(BotState))
@pytest.mark.parametrize("age_s", [None, 1.0, 30.0])
def test_a_row_from_the_shelf_is_the_row_that_the_clock_dresses(state: BotState, age_s: float | None, status: Status) -> None:
    item = an_item(state, age_s)
    (truth,) = dressed([item], ages(status))
    assert orjson.loads(orjson.dumps(shown(row_of(item), ages(status), {}))) == truth


def test_a_filter_means_by_the_clock_what_the_badge_shows() -> None:
    silent = NOON - timedelta(seconds=LEASE_S)
    where = BotFilter(state=("RUNNER_STALE", "IDLE"), silent_before=silent).where()
    assert where.sql == "(state = $1 OR (state = 'RUNNER_STALE' OR (state = 'RUNNER_RUNNING' AND last_beat_at < $2)))"
    assert where.values == ["IDLE", silent]
    running = BotFilter(state=("RUNNER_RUNNING",), silent_before=silent).where()
    assert (running.sql, running.values) == ("(state = 'RUNNER_RUNNING' AND last_beat_at >= $1)", [silent])
    assert BotFilter(state=("RUNNER_RUNNING",)).where().sql == "state = $1", "rows too old to judge are taken as they are"
