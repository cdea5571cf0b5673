"""The seal is counted again over what was read: a record that is changed, missing or another's does not hold."""

from dataclasses import replace

import pytest

from autonomy.chain import GENESIS, RunRecord, write_records
from autonomy.envelope import Received, decode
from autonomy.events import BotRetired, PlannerRun
from autonomy.topics import RUNS
from autonomy.values import run_id_of
from proof_api.reading.records import accepted_of
from support.builders import NOON_MS, an_id
from support.stored_log import Stored, run_record
from support.ticks import a_seal, stored


def as_log(records: list[RunRecord]) -> list[Stored]:
    """The records as a reader gets them."""
    return [run_record(record) for record in stored(records)]


def a_tick() -> tuple[dict[str, object], list[RunRecord]]:
    """The row of an accepted tick, and its records with the seal."""
    events = [BotRetired(bot_id=f"bot-{number}", actor="ada") for number in range(3)]
    records = write_records(events, [event.bot_id for event in events], 1, an_id("a"), NOON_MS)
    whole = [*records, a_seal(GENESIS, records, "a")]
    sealed = decode(whole[-1].value, RUNS)
    assert isinstance(sealed, Received)
    assert isinstance(sealed.event, PlannerRun)
    return {"tick": 1, "id": run_id_of(1, an_id("a")), "hash": sealed.event.hash, "log_offset": 3}, whole


def test_a_whole_tick_holds_also_among_records_of_a_try_that_lost() -> None:
    run, whole = a_tick()
    assert (found := accepted_of(run, as_log(whole)))["rootHolds"] is True
    assert found["records"] == 3
    lost = write_records([BotRetired(bot_id="other", actor="ada")], ["other"], 1, an_id("b"), NOON_MS)
    log = as_log([*whole[:2], *lost, *whole[2:]])
    assert accepted_of({**run, "log_offset": 4}, log)["rootHolds"] is True


@pytest.mark.parametrize("change", ["altered", "missing", "other hash", "no seal"])
def test_anything_else_does_not(change: str) -> None:
    run, whole = a_tick()
    if change == "altered":
        whole[1] = replace(whole[1], value=whole[1].value.replace(b"ada", b"eve"))
    elif change == "missing":
        del whole[1]
        run["log_offset"] = 2
    elif change == "other hash":
        run["hash"] = "0" * 64
    else:
        del whole[-1]
    assert accepted_of(run, as_log(whole))["rootHolds"] is False
