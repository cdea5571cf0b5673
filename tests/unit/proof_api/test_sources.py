"""What runners announced of their bars, by source; nothing is known here beside it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autonomy.values import iso
from proof_api.proof.now import Ages, dressed
from proof_api.reading.sources import sources_of

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def bars(symbol: str, source: str = "folder:prices@0f", **more: Any) -> dict[str, Any]:
    return {
        "symbol": symbol, "sourceId": source, "timeframe": "1d", "synthetic": False, "first": "2001-01-02", "last": "2026-11-20", "bars": 10,
    } | more  # fmt: skip


def a_runner(name: str, *symbols: dict[str, Any], stopping: bool = False) -> dict[str, Any]:
    return {"process_id": name, "symbols": list(symbols), "stopping": stopping}


def test_symbols_of_one_source_are_one_entry() -> None:
    found = sources_of([a_runner("a", bars("MSFT", first="1999-01-04"), bars("AAPL", last="2026-11-27")), a_runner("b", bars("AAPL"))])
    assert found == [{
        "sourceId": "folder:prices@0f", "timeframe": "1d", "synthetic": False, "symbols": ["AAPL", "MSFT"], "firstBar": "1999-01-04",
        "lastBar": "2026-11-20", "bars": 20, "runners": 2,
    }]  # fmt: skip


def test_sources_are_told_apart() -> None:
    found = sources_of([a_runner("a", bars("X"), bars("Y", "made-up@1", synthetic=True), bars("Z", timeframe="1h"))])
    assert [(one["sourceId"], one["timeframe"], one["synthetic"]) for one in found] == [
        ("folder:prices@0f", "1d", False), ("folder:prices@0f", "1h", False), ("made-up@1", "1d", True),
    ]  # fmt: skip


def test_nobody_who_stops_or_has_said_nothing_offers_anything() -> None:
    assert sources_of([a_runner("a", bars("X"), stopping=True), {"process_id": "b", "symbols": None, "stopping": False}]) == []


@pytest.mark.parametrize(("age_s", "starting"), [(3, True), (14, True), (16, False)])
def test_runner_without_a_beat_is_starting_for_one_lease(age_s: int, starting: bool) -> None:
    row: dict[str, object] = {
        "state": "RUNNER_STALE", "since": iso(NOON - timedelta(seconds=age_s)), "runnerJobId": "j", "runnerStatus": "RUNNING",
        "runnerBeatAt": None, "jobStatus": "RUNNING", "lastBeatAt": iso(NOON),
    }  # fmt: skip
    (found,) = dressed([row], Ages(NOON, 15.0, "fresh"))
    assert found["runnerStarting"] is starting
    assert found["state"] == "RUNNER_STALE"
    (beaten,) = dressed([row | {"runnerBeatAt": iso(NOON - timedelta(seconds=40))}], Ages(NOON, 15.0, "fresh"))
    assert beaten["runnerStarting"] is False
