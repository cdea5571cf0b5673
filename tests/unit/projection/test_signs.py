"""Signs of life: which claims beat, and that a row that was handed over stays as it was."""

import copy
from datetime import UTC, datetime

from autonomy.events import HeldJob, JobStarted
from autonomy.lifecycle import JobFold
from projection.fold.bot_now import Row
from projection.fold.rows import Changes
from projection.fold.signs import MAX_UNMATCHED, Signs
from support.builders import a_beat, an_id, an_order

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROCESS = an_id("runner-1")


def handed_over(signs: Signs) -> Changes:
    """What the writer's thread has got."""
    changes = Changes()
    signs.finish(changes)
    return changes


def row_of(changes: Changes) -> Row:
    return changes.rows["bot_runners"][(PROCESS,)]


def held(claim: str) -> HeldJob:
    order = an_order(tick=3, seq=2)
    return HeldJob(
        job_id=order.job_id, bot_id=order.bot_id, tick=3, attempt=1, claim_id=an_id(claim), phase="bars", progress=0.0
    )  # fmt: skip


def a_start(claim: str) -> JobStarted:
    order = an_order(tick=3, seq=2)
    return JobStarted(
        job_id=order.job_id, bot_id=order.bot_id, tick=3, attempt=1, claim_id=an_id(claim), process_id=PROCESS,
    )  # fmt: skip


def test_a_beat_before_its_claim_is_remembered_and_never_in_a_row_that_was_handed_over() -> None:
    signs, fold = Signs(), JobFold(head_tick=2)
    assert signs.beat(a_beat("runner-1", held("early")), fold, NOON) == []
    before = handed_over(signs)
    as_it_was = copy.deepcopy(before.rows)
    assert row_of(before)["unmatched"] == {an_id("early"): NOON.isoformat()}
    signs.beat(a_beat("runner-1", held("another")), fold, NOON)
    assert signs.claimed(a_start("early")) == NOON
    assert signs.claimed(a_start("early")) is None  # used up
    assert before.rows == as_it_was
    after = handed_over(signs)
    assert row_of(after)["unmatched"] == {an_id("another"): NOON.isoformat()}
    assert handed_over(signs).rows == {}  # nothing changed since
    assert Signs.of_rows([row_of(after)]) == signs


def test_only_so_many_claims_are_remembered_the_oldest_go() -> None:
    signs, fold = Signs(), JobFold(head_tick=2)
    for number in range(MAX_UNMATCHED + 5):
        signs.beat(a_beat("runner-1", held(f"claim {number}")), fold, NOON)
    kept = row_of(handed_over(signs))["unmatched"]
    assert isinstance(kept, dict)
    assert list(kept) == [an_id(f"claim {number}") for number in range(5, MAX_UNMATCHED + 5)]
