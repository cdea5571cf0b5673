"""What stands in logs can be read for ever: the bytes of every event version, and the words about them."""

import json
from pathlib import Path

import pytest

from autonomy.envelope import Received, decode
from autonomy.events import BY_WIRE, CATALOGUE, Event, GateFigure, JobSucceeded, PromotionRecommended
from autonomy_cli.event_docs import render
from contract.examples import GOLDEN, encoded, examples, later_examples

ROOT = Path(__file__).parents[2]
EXAMPLES = {event.wire: event for event in examples()}
LATER = {f"{event.wire}.later": event for event in later_examples()}


def test_every_event_of_the_catalogue_has_an_example_and_a_golden_record() -> None:
    assert list(EXAMPLES) == [event.wire for event in CATALOGUE]
    assert {path.stem for path in GOLDEN.glob("*.json")} >= set(BY_WIRE)


def test_examples_fill_every_field() -> None:
    """A golden record pins only what it shows; what came later has a record of its own."""
    for event in EXAMPLES.values():
        later = LATER.get(f"{event.wire}.later", event).model_fields_set
        unset = [name for name in type(event).model_fields if name not in event.model_fields_set | later]
        assert not unset, f"{event.wire}: {unset}"


@pytest.mark.parametrize("name", LATER)
def test_fields_that_came_later_are_left_out_while_unset(name: str) -> None:
    event, before = LATER[name], EXAMPLES[LATER[name].wire]
    assert encoded(event) == (GOLDEN / f"{name}.json").read_bytes(), "a wire form never changes: add a version"
    assert encoded(before) == (GOLDEN / f"{before.wire}.json").read_bytes()
    later = [field for field in type(event).model_fields if getattr(event, field) != getattr(before, field)]
    assert later
    assert all(type(event).model_fields[field].exclude_if is not None for field in later)


@pytest.mark.parametrize("wire", EXAMPLES)
def test_event_is_written_as_the_golden_record(wire: str) -> None:
    assert encoded(EXAMPLES[wire]) == (GOLDEN / f"{wire}.json").read_bytes(), "a wire form never changes: add a version"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_golden_record_is_read_as_the_event(path: Path) -> None:
    value = path.read_bytes()
    kind = json.loads(value)["type"]
    today = BY_WIRE[kind]
    received = decode(value, today.topic)
    assert isinstance(received, Received), received
    assert received.event == (LATER if path.stem in LATER else EXAMPLES)[path.stem if path.stem in LATER else today.wire]
    assert (received.actor, received.time) == ("ada", "2026-11-22T12:00:00.250Z")


def test_the_numbers_of_a_gate_stand_in_a_record_only_where_it_compares_some() -> None:
    """A later field of a part of an event: without it the record is, byte for byte, what it was."""
    before = EXAMPLES[PromotionRecommended.wire]
    assert isinstance(before, PromotionRecommended)
    figures = (GateFigure(name="trades", value=72.0, at_least=10.0), GateFigure(name="exposure", value=None, at_most=0.5))
    after = before.model_copy(update={"gates": (before.gates[0].model_copy(update={"figures": figures}),)})
    assert b"figures" not in encoded(before)
    assert (
        b'"figures":[{"name":"trades","value":72.0,"atLeast":10.0,"atMost":null},'
        b'{"name":"exposure","value":null,"atLeast":null,"atMost":0.5}]' in encoded(after)
    )
    received = decode(encoded(after), after.topic)
    assert isinstance(received, Received), received
    assert received.event == after


def test_what_is_odd_about_bars_stands_in_a_result_only_when_there_is_something() -> None:
    """A later field of a part of an event: without it the record is, byte for byte, what it was."""
    before = EXAMPLES[JobSucceeded.wire]
    assert isinstance(before, JobSucceeded)
    assert before.result is not None
    odd = before.result.model_copy(update={"data_findings": ("no bars for 520 days, from 2012-01-05 to 2013-06-08",)})
    event = before.model_copy(update={"result": odd})
    received = decode(encoded(event), event.topic)
    assert isinstance(received, Received), received
    assert received.event == event
    assert encoded(event) != encoded(before) == (GOLDEN / f"{before.wire}.json").read_bytes()


def test_another_meaning_of_a_byte_is_noticed() -> None:
    """Negative control: a golden record with one other value is another event."""
    value = (GOLDEN / "bot-retired.v1.json").read_bytes().replace(b"aapl-sma", b"aapl-smb")
    received = decode(value, "autonomy.runs")
    assert isinstance(received, Received)
    assert received.event != EXAMPLES["bot-retired.v1"]


def test_events_document_is_up_to_date() -> None:
    assert (ROOT / "docs" / "events.md").read_text() == render(), "run: python -m autonomy_cli.event_docs docs/events.md"


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.__name__)
def test_event_stands_in_the_document_with_every_field(event: type[Event]) -> None:
    _, _, part = render().partition(f"## {event.__name__}\n\n`{event.wire}` on `{event.topic}`, written by {event.producer}.")
    section = part.split("\n## ")[0]
    assert event.__doc__ is not None
    assert event.__doc__.strip().splitlines()[0][:60] in section
    assert all(f"`{field.alias or name}`" in section for name, field in event.model_fields.items())
