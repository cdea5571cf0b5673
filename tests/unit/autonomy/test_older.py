"""Records of versions that nobody writes any more: read as today's event, with the id they had, and refused where they always were."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from autonomy.envelope import Received, Undecodable, decode, event_id_of
from autonomy.events import CATALOGUE, MAX_CURVE_POINTS, EquityCurve, JobSucceeded
from autonomy.events.older import OLDER
from autonomy.topics import JOBS, RUNS
from autonomy.values import derived_id
from contract.examples import GOLDEN

V1 = (GOLDEN / "job-succeeded.v1.json").read_bytes()
DAY = date(2000, 3, 1)


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(V1)
    change(document["data"])
    return json.dumps(document, separators=(",", ":")).encode()


def read(value: bytes) -> JobSucceeded:
    received = decode(value, JOBS)
    assert isinstance(received, Received), received
    assert isinstance(received.event, JobSucceeded)
    return received.event


def refused(value: bytes, topic: str = JOBS) -> str:
    answer = decode(value, topic)
    assert isinstance(answer, Undecodable), answer
    return answer.reason


def test_every_older_version_is_named_by_todays_event() -> None:
    assert set(OLDER) == {event.first_wire for event in CATALOGUE if event.first_wire}
    assert not set(OLDER) & {event.wire for event in CATALOGUE}


def test_an_id_is_that_of_the_first_version() -> None:
    """A result that is said again after an update is the same event."""
    event = read(V1)
    assert event_id_of(event, "job", 1) == derived_id("job-succeeded.v1", "job", 1)


def test_its_own_fields_only() -> None:
    def surprise(data: dict[str, Any]) -> None:
        data["surprise"] = 1

    def with_a_curve(data: dict[str, Any]) -> None:
        data["result"]["curve"] = {"days": "0", "strategy": "1.0000", "buyAndHold": "1.0000"}

    def without_a_tick(data: dict[str, Any]) -> None:
        del data["tick"]

    assert "surprise" in refused(changed(surprise))
    assert "curve" in refused(changed(with_a_curve))
    assert "tick" in refused(changed(without_a_tick))
    assert "does not belong" in refused(V1, RUNS)
    assert "stands twice" in refused(V1.replace(b'"data":{', b'"data":{"tick":1,', 1))
    today = (GOLDEN / "job-succeeded.v2.json").read_bytes()
    assert "equity" in refused(today.replace(b'"curve":', b'"equity":[],"curve":'))


@pytest.mark.parametrize(
    "points",
    [[["2000-02-29", 1.0, 1.0]], [["2000-03-01", 1.0, 1.0]] * (MAX_CURVE_POINTS + 1), [["2000-03-01", 1e300, 1.0]], []],
    ids=["before the first day", "too many", "beyond any scale", "none"],
)
def test_points_that_make_no_curve_cost_the_result_nothing_else(points: list[list[Any]]) -> None:
    def other_points(data: dict[str, Any]) -> None:
        data["result"]["equity"] = points

    event = read(changed(other_points))
    assert event.result is not None
    assert event.result.curve is None
    whole = read(V1)
    assert whole.result is not None
    assert whole.result.curve is not None
    assert event == whole.model_copy(update={"result": whole.result.model_copy(update={"curve": None})})


def test_a_curve_is_what_went_in() -> None:
    curve = EquityCurve.of(DAY, [(date(2000, 3, 1), 1.0, 1.0), (date(2001, 3, 1), 1.23456, -0.5)])
    assert (curve.days, curve.strategy, curve.buy_and_hold) == ("0,365", "1.0000,1.2346", "1.0000,-0.5000")
    assert curve.strategy_sampled(24) == [1.0, 1.2346]
    long = EquityCurve.of(DAY, [(DAY, float(number), 1.0) for number in range(120)])
    assert long.strategy_sampled(24) == [float(number) for number in range(0, 120, 5)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"days": "0,1"}, "same number"), ({"strategy": "1.0000,1.0000"}, "same number"), ({"buy_and_hold": "1.0"}, "buy"),
        ({"strategy": "nan"}, "strategy"), ({"strategy": "1e5"}, "strategy"), ({"days": "-1"}, "days"), ({"days": ""}, "days"),
        ({"strategy": "1.0000\n"}, "strategy"), ({"strategy": "٣.0000"}, "strategy"),
        ({name: ",".join([value] * 121) for name, value in [("days", "1"), ("strategy", "1.0000"), ("buy_and_hold", "1.0000")]}, "at most"),
    ],
)  # fmt: skip
def test_a_curve_that_is_no_table_of_numbers_is_refused(changes: dict[str, str], named: str) -> None:
    plain = {"days": "0", "strategy": "1.0000", "buy_and_hold": "1.0000"}
    EquityCurve(**plain)
    with pytest.raises(ValidationError, match=named):
        EquityCurve(**{**plain, **changes})
