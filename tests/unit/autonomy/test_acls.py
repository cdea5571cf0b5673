"""The table of rules, and the page that tells it to people."""

import re

import pytest

from autonomy.acls import ALL, RIGHTS, Operation, may
from autonomy.events import CATALOGUE, Event
from autonomy.topics import COMMANDS, RUNS
from local_stack.settings import ROOT


def test_only_the_proof_api_commands_and_only_the_planner_seals() -> None:
    assert [name for name in RIGHTS if may(name, Operation.WRITE, COMMANDS)] == ["proof-api"]
    assert [name for name in RIGHTS if may(name, Operation.WRITE, RUNS)] == ["planner"]


@pytest.mark.parametrize("principal", sorted(RIGHTS))
def test_the_page_about_audits_says_the_table(principal: str) -> None:
    text = (ROOT / "docs" / "audit.md").read_text()
    found = re.search(rf"^\| `{principal}`[^|]*\| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert found is not None

    def topics(words: str) -> tuple[str, ...]:
        return {"all": ALL, "nothing": ()}.get(words) or tuple(f"autonomy.{word}" for word in words.split(", ") if word != "nothing")

    assert topics(found.group(1)) == RIGHTS[principal].reads
    assert topics(found.group(2)) == RIGHTS[principal].writes


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.wire)
def test_whoever_says_an_event_may_write_its_topic(event: type[Event]) -> None:
    """The table follows the catalogue: a service that could not say its own events would fail on a secured cluster alone."""
    assert may(event.producer, Operation.WRITE, event.topic)
