"""What fails stands in the queue with its runbook, whatever is known of the rows; every check has a runbook that is there.

Source: R-B3; docs/architecture.md, "The Bots page".
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autonomy.attention import KINDS, RUNBOOKS, AttentionKind
from autonomy.documents.attention import AttentionTold
from autonomy.documents.proofs import Checks
from autonomy.values import iso_of_ms
from proof_api.proof.attention import Group, attention_of
from proof_api.proof.judging import LogFacts, ReadFacts, judge
from unit.proof_api.test_proof import LOG, NOW, READ

BLOCKED = Group(AttentionKind.BLOCKED, "UNVERIFIED_IMPORT", 12, None, "revert the bot to LAB and let it graduate", ("a", "b"))
WAITS = Group(None, "MARKET_DATA", 3, None, "the market clock reaches 2011-01-01", ("c",))
ROOT = Path(__file__).parents[3]


def queue(log: LogFacts = LOG, read: ReadFacts = READ, groups: tuple[Group, ...] | None = (BLOCKED, WAITS)) -> dict[str, Any]:
    found = attention_of(judge(log, read, NOW), log, groups, NOW, 7)
    AttentionTold.model_validate(found)
    return found


def said(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["kind"], item["code"]) for item in document["items"]]


def test_a_gate_says_itself_what_clears_it_and_what_clears_by_itself_needs_nobody() -> None:
    document = queue()
    assert (document["needed"], document["blocked"]) == (12, {"operator": 12, "developer": 0, "nobody": 3})
    (item,) = document["items"]
    assert (item["what"], item["todo"], item["unit"]) == (
        "blocked: stage was imported, not earned (UNVERIFIED_IMPORT)", "revert the bot to LAB and let it graduate", "bots",
    )  # fmt: skip


@pytest.mark.parametrize(("log", "kind", "code", "runbook"), [
    (replace(LOG, pulse_age_ms=4_000), "CHECK", "planner", "PlannerDown"), (replace(LOG, last_tick_ms=NOW - 91_000), "CHECK", "planner", "PlannerLate"),
    (replace(LOG, standby_halted="differs at tick 7"), "HALT", "chain", "ChainHalted"), (replace(LOG, skew_ms=9_000), "CHECK", "clock", "ClockWrong"),
])  # fmt: skip
def test_what_fails_stands_first_and_counts(log: LogFacts, kind: str, code: str, runbook: str) -> None:
    document = queue(log, replace(READ, last_tick_ms=NOW - 91_000))
    assert said(document)[0] == (kind, code)
    assert runbook in document["items"][0]["todo"]
    assert document["needed"] == 12 + len(document["items"]) - 1


def test_a_silent_planner_is_silent_since_its_last_pulse() -> None:
    assert queue(replace(LOG, pulse_age_ms=4_000))["items"][0]["since"] == iso_of_ms(NOW - 4_000)


def test_rows_that_cannot_be_trusted_say_nothing_and_what_fails_is_said() -> None:
    """Unknown is null, never none."""
    for document in (queue(read=replace(READ, problem="no connection", trouble="down")), queue(groups=None)):
        assert (document["needed"], document["blocked"]) == (None, None)
        assert not any(item["kind"] == "BLOCKED" for item in document["items"])
    assert ("CHECK", "postgres") in said(queue(read=replace(READ, problem="no connection", trouble="down")))


def test_every_check_has_a_runbook_and_every_kind_its_words() -> None:
    assert set(RUNBOOKS) == set(Checks.model_fields) - {"canary"}, "which is off"
    for name in (*RUNBOOKS.values(), "PlannerLate"):
        assert (ROOT / "docs" / "runbooks" / f"{name}.md").is_file(), name
    assert all(kind.what and kind.todo and kind.unit for kind in KINDS.values())
