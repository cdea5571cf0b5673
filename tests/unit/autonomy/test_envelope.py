"""Records: every event survives its wire form, and no bytes from anywhere raise.

Source: R-G2.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy import events as catalogue
from autonomy.envelope import MAX_RECORD_BYTES, Received, Undecodable, data_bytes, decode, encode, keys_in
from autonomy.errors import BadInput
from autonomy.events import BY_WIRE, CATALOGUE, Event, SetPolicy
from autonomy.values import JobClass, instant_of_ms, iso
from contract.examples import examples
from support.builders import NOON_MS, a_command, an_id, an_order, capabilities
from support.days import utc

NOON = instant_of_ms(NOON_MS)
SAID = {"command_id": an_id("command"), "actor": "ada", "role": "operator", "reason": 'Prüfung ✓ " \\ \u2028'}
STEP = {"job_id": an_id("job"), "bot_id": "aapl-sma", "tick": 7, "attempt": 2}

EXAMPLES = examples()


def as_record(event: Event, **extensions: Any) -> bytes:
    """The event as its producer would write it."""
    return encode(event, source="autonomy/test", subject="aapl-sma", time=NOON, event_id=an_id("record"), **extensions)


def refused(value: bytes | None, topic: str = "autonomy.commands") -> str:
    """The stated reason for which a record is not read."""
    received = decode(value, topic)
    assert isinstance(received, Undecodable), received
    assert 0 < len(received.reason) <= 300 + 80
    return received.reason


def test_every_event_of_the_catalogue_has_an_example() -> None:
    assert {type(event).wire for event in EXAMPLES} == {kind.wire for kind in CATALOGUE}
    assert len(EXAMPLES) == len(BY_WIRE) == len(CATALOGUE)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.wire)
def test_event_survives_its_wire_form(event: Event) -> None:
    value = as_record(event, actor="ada", causation=an_id("cause"), traceparent="00-ab-cd-01")
    received = decode(value, event.topic)
    assert isinstance(received, Received), received
    assert received.event == event
    assert (received.id, received.source, received.actor) == (an_id("record"), "autonomy/test", "ada")
    assert (received.causation, received.traceparent) == (an_id("cause"), "00-ab-cd-01")
    assert data_bytes(received.event) == data_bytes(event)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.wire)
def test_record_is_a_cloud_event_that_anybody_can_read(event: Event) -> None:
    document = json.loads(as_record(event))
    assert (document["specversion"], document["type"]) == ("1.0", event.wire)
    assert {"id", "source", "subject", "time", "datacontenttype", "dataschema", "data"} <= set(document)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.wire)
def test_unknown_field_is_refused(event: Event) -> None:
    document = json.loads(as_record(event))
    document["data"]["surprise"] = 1
    assert "surprise" in refused(json.dumps(document).encode(), event.topic)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.wire)
def test_missing_field_is_refused_by_name(event: Event) -> None:
    required = [name for name, field in type(event).model_fields.items() if field.is_required()]
    for name in required:
        document = json.loads(as_record(event))
        alias = type(event).model_fields[name].alias or name
        del document["data"][alias]
        assert alias in refused(json.dumps(document).encode(), event.topic)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.wire)
def test_event_on_a_wrong_topic_is_refused(event: Event) -> None:
    for topic in {kind.topic for kind in CATALOGUE} - {event.topic}:
        assert "does not belong" in refused(as_record(event), topic)


DIVERGENCE = next(event for event in EXAMPLES if isinstance(event, catalogue.AcceptDivergence))
HOLD = json.loads(as_record(catalogue.HoldBot(**SAID, bot_id="aapl-sma")))
REGISTER = as_record(catalogue.RegisterBots(**SAID, bots=({"id": "MARK"},)))


def with_bot_id(text: bytes) -> bytes:
    """A RegisterBots in which a bot's id is this JSON: the one place where any JSON may stand."""
    return REGISTER.replace(b'"MARK"', text)


def changed(**envelope: Any) -> bytes:
    """A HoldBot with parts of the envelope replaced."""
    return json.dumps({**HOLD, **envelope}).encode()


def corpus() -> Iterator[tuple[str, bytes | None, str]]:
    """Poison by name, with a word of its reason."""
    plain = json.dumps(HOLD).encode()
    yield "nothing", None, "empty"
    yield "empty", b"", "empty"
    yield "not JSON", b"hello", "no envelope"
    yield "half a record", plain[:-7], "no envelope"
    yield "two records", plain + plain, "no envelope"
    yield "JSON, no object", b"[1,2,3]", "no envelope"
    yield "null", b"null", "no envelope"
    yield "binary", bytes(range(256)), "no envelope"
    yield "unknown type", changed(type="rob-bank.v1"), "unknown type"
    yield "future version", changed(type="hold-bot.v2"), "unknown type"
    yield "future envelope", changed(specversion="2.0"), "no envelope"
    yield "unknown attribute", changed(surprise="x"), "no envelope"
    yield "attribute of another type", changed(id=7), "no envelope"
    yield "attribute missing", json.dumps({key: HOLD[key] for key in HOLD if key != "source"}).encode(), "no envelope"
    yield "one byte too long", plain + b" " * (MAX_RECORD_BYTES + 1 - len(plain)), "limit is 1048576"
    yield "depth 10,000", with_bot_id(b"[" * 10_000 + b"]" * 10_000), "recursion"
    yield "depth 250", with_bot_id(b"[" * 250 + b"]" * 250), "recursion limit"
    yield "depth 10,000 outside", b'{"specversion":' * 10_000, "no envelope"
    yield "NaN", with_bot_id(b"NaN"), "no envelope"
    yield "Infinity", with_bot_id(b"-Infinity"), "no envelope"
    yield "huge int", with_bot_id(b"9" * 5_000), "number out of range"
    yield "int beyond 2^53", as_record(DIVERGENCE).replace(b'"tick":7', b'"tick":9007199254740992'), "tick"
    yield "lone surrogate in data", with_bot_id(b'"\\ud800"'), "envelope"
    yield "lone surrogate outside", plain.replace(b'"autonomy/test"', b'"\\udfff"'), "no envelope"
    yield "not UTF-8 in data", with_bot_id(b'"\xff\xfe"'), "unicode"
    yield "not UTF-8 outside", plain.replace(b"autonomy/test", b"\xff\xfe"), "no envelope"
    yield "key twice in data", plain.replace(b'"botId"', b'"botId": "ibm-rsi", "botId"'), "stands twice"
    yield "key twice deep inside", with_bot_id(b'{"a": {"b": 1, "b": 1}}'), "stands twice"
    compact, time = json.dumps(HOLD, separators=(",", ":")).encode(), HOLD["time"].encode()
    thrice = compact.replace(b'"botId"', b'"botId":"ibm-rsi","botId":"ibm-sma","botId"')
    yield "key thrice in data", thrice, "stands twice"
    yield "two keys too many for two colons escaped", thrice.replace(time, time.replace(b":", b"\\u003a")), "stands twice"
    yield "key twice outside", plain.replace(b'"subject"', b'"subject": "ibm", "subject"'), "stands twice"
    yield "data twice", plain[:-1] + b', "data": ' + json.dumps(HOLD["data"]).encode() + b"}", "stands twice"
    yield "null for a field", changed(data={**HOLD["data"], "botId": None}), "botId"
    yield "data is a list", changed(data=[]), "hold-bot.v1"
    yield "bot id with a newline", changed(data={**HOLD["data"], "botId": "aapl\n"}), "botId"


@pytest.mark.parametrize(("value", "word"), [pytest.param(value, word, id=name) for name, value, word in corpus()])
def test_poison_is_refused_with_a_reason(value: bytes | None, word: str) -> None:
    assert word in refused(value)


def test_nothing_is_written_that_no_reader_takes() -> None:
    event = a_command(SetPolicy, document={"padding": "x"})
    room = MAX_RECORD_BYTES - len(as_record(event))
    whole = as_record(a_command(SetPolicy, document={"padding": "x" * (room + 1)}))
    assert isinstance(decode(whole, event.topic), Received)
    with pytest.raises(BadInput, match=r"set-policy.v1 about .*: a record has at most 1048576 bytes, got '1048577 bytes'"):
        as_record(a_command(SetPolicy, document={"padding": "x" * (room + 2)}))


def test_record_of_exactly_the_limit_is_read() -> None:
    plain = json.dumps(HOLD).encode()
    assert isinstance(decode(plain + b" " * (MAX_RECORD_BYTES - len(plain)), "autonomy.commands"), Received)


def test_foreign_spacing_and_order_are_read() -> None:
    """Negative control of the search for repeated keys: another form alone is no fault."""
    turned = dict(reversed(list(HOLD.items())))
    assert isinstance(decode(json.dumps(turned, indent=2).encode(), "autonomy.commands"), Received)


def objects_in(value: object) -> Iterator[dict[str, Any]]:
    """Every JSON object of a document, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(inner)


@given(st.integers(0, len(EXAMPLES) - 1), st.data())
def test_key_that_stands_twice_is_found_at_any_depth_in_any_spacing(number: int, data: st.DataObject) -> None:
    event = EXAMPLES[number]
    document = json.loads(as_record(event))
    found = [each for each in objects_in(document) if each]
    chosen = found[data.draw(st.integers(0, len(found) - 1))]
    key = data.draw(st.sampled_from(sorted(chosen)))
    double = "its double \x01"
    chosen[double] = chosen[key]  # written as the same key below
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : "), (",\n", "\t:"), (",", " :")]))
    value = json.dumps(document, separators=separators, ensure_ascii=False).encode()
    twice = value.replace(json.dumps(double, ensure_ascii=False).encode(), json.dumps(key).encode())
    assert twice != value
    assert "stands twice" in refused(twice, event.topic)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.wire)
def test_no_record_of_ours_needs_a_second_look_for_repeated_keys(event: Event) -> None:
    """The count is exact for what the platform writes, also where a text holds what looks like a key."""
    value = as_record(event)
    received = decode(value, event.topic)
    assert isinstance(received, Received)
    assert value.count(b'":') == keys_in(received.event) + len(json.loads(value))


@pytest.mark.parametrize("days", ["!", "A", "AAA=A", "AAAA=", "é"])
def test_bitmap_that_is_no_base64_is_refused(days: str) -> None:
    """It would otherwise stop every planner that folds it."""
    document = json.loads(as_record(capabilities()))
    document["data"]["symbols"][0]["days"] = days
    assert "days" in refused(json.dumps(document).encode(), "autonomy.runners")


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-22T12:00:00", "2026-13-01T00:00:00Z"])
def test_envelope_time_that_is_no_instant_is_refused(time: str) -> None:
    assert "no envelope" in refused(changed(time=time))


NO_INSTANTS = ("%Y-%m-%dT%H:%M:%S,{ms}Z", "%Y-%m-%dT%H:%M:60.{ms}Z", "%Y-%m-%dT24:%M:%S.{ms}Z", "%Y-%m-%dT%H:%M:%S.0{ms}")
FORMS = st.sampled_from([
    "%Y-%m-%dT%H:%M:%S.{ms}Z", "%Y-%m-%dT%H:%M:%S.{ms}z", "%Y-%m-%dt%H:%M:%S.{ms}Z", "%Y-%m-%d %H:%M:%S.{ms}Z", "%Y-%m-%dT%H:%M:%S.{ms}5Z",
    "%Y-%m-%dT%H:%M:%S.{ms}+02:00", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S-00:30", *NO_INSTANTS,
])  # fmt: skip


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1)), FORMS)  # noqa: DTZ001 (the form names the zone)
def test_envelope_time_is_given_back_as_every_document_shows_it_or_refused(moment: datetime, form: str) -> None:
    """In whichever form it came; what is in that form already is not written anew."""
    text = moment.strftime(form).format(ms=f"{moment.microsecond // 1000:03}")
    found = decode(changed(time=text), "autonomy.commands")
    if form in NO_INSTANTS:
        assert isinstance(found, Undecodable)
    else:
        assert isinstance(found, Received)
        assert found.time == iso(datetime.fromisoformat(text.upper()))


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_reason(value: bytes) -> None:
    refused(value)


@given(st.integers(0, len(EXAMPLES) - 1), st.data())
def test_any_flipped_byte_is_an_event_or_a_reason(number: int, data: st.DataObject) -> None:
    event = EXAMPLES[number]
    value = bytearray(as_record(event))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(decode(bytes(value), event.topic), Received | Undecodable)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.integers(0, len(EXAMPLES) - 1))
def test_any_json_as_data_is_an_event_or_a_reason(data: object, number: int) -> None:
    event = EXAMPLES[number]
    document = {**json.loads(as_record(event)), "data": data}
    assert isinstance(decode(json.dumps(document).encode(), event.topic), Received | Undecodable)


def test_a_bars_start_is_written_as_an_instant() -> None:
    data = json.loads(data_bytes(an_order(bars_until=utc(2010, 1, 4, 9, 30))))
    assert (data["barsUntil"], data["jobClass"]) == ("2010-01-04T09:30:00.000Z", JobClass.RESEARCH.value)
