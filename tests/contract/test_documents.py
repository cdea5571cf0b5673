"""The documents of proof-api: rows follow from their tables, every answer has a form, and a wrong answer is noticed.

Source: R-A1, R-A2, R-B1.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Float, MetaData, Table, Text

from autonomy.documents import answers, commands, contract, problems, proofs, stored, tables
from autonomy.documents.rows import RowForm, row_form, type_of
from autonomy.errors import Broken
from autonomy.events import Document
from autonomy.read_model import METADATA
from autonomy.read_model.columns import ID, INSTANT, column
from autonomy_cli import reading
from autonomy_cli.careers import PROMOTION_COLUMNS
from proof_api.http.problems import AT_THE_DOOR
from support.documented import DOCUMENT, PROBLEM, Undocumented, event_faults, every_answer_looked_at, faults, is_json

FORMS = {name: form for name, form in vars(tables).items() if isinstance(form, RowForm)}
OPEN = {
    "AsyncApi", "AsyncApiParts", "JsonSchema",  # what other standards define
    "CommandAnswered", "CommandFound",  # `body` is the command as it was sent, whatever its kind
    "StoredEvent",  # `event` is a record as it is stored, whatever its kind: the contract of the log says what each holds
}  # fmt: skip
"""Documents with a part whose keys and values are not said."""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation."""
    for path, verbs in DOCUMENT["paths"].items():
        for method, operation in verbs.items():
            yield method.upper(), path, operation


# ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_every_column_says_what_it_holds(table: Table) -> None:
    assert [column.name for column in table.columns if type_of(column) is None] == []


@pytest.mark.parametrize("name", FORMS)
def test_a_row_is_told_in_the_words_of_its_table(name: str) -> None:
    form = FORMS[name]
    assert form.model.__doc__ == form.table.comment
    schema = form.model.model_json_schema(mode="serialization")
    assert set(schema["required"]) == set(schema["properties"]), "a row has all its columns, always"
    for column_name, shown in form.names.items():
        field = form.model.model_fields[shown]
        assert field.description == form.table.columns[column_name].comment


def test_a_new_column_is_in_sql_json_and_schema_at_once() -> None:
    def schema_of(*more: Any) -> tuple[str, dict[str, Any]]:
        table = Table("things", MetaData(), column("id", ID, "which", key=True), column("hash", Text(), "secret"), *more, comment="Things")
        form = row_form("Thing", table, without=("hash",), renamed={"id": "thing_id"})
        return form.select, form.model.model_json_schema(mode="serialization")

    before, after = schema_of(), schema_of(column("worth_usd", Float(), "USD"), column("seen_at", INSTANT, "when", null=False))
    assert (before[0], list(before[1]["properties"])) == ("SELECT id AS thing_id FROM things", ["thingId"])
    assert after[0] == "SELECT id AS thing_id, worth_usd, seen_at FROM things"
    assert {name: (entry["description"], entry.get("format"), "anyOf" in entry) for name, entry in after[1]["properties"].items()} == {
        "thingId": ("which", "uuid", False), "worthUsd": ("USD", None, True), "seenAt": ("when", "date-time", False),
    }  # fmt: skip


def test_a_column_that_is_not_there_and_one_that_says_too_little_are_refused() -> None:
    with pytest.raises(Broken, match="bots has no column colour"):
        row_form("Bot", METADATA.tables["bots"], without=("colour",))
    bare = Table("bare", MetaData(), column("spec", METADATA.tables["bot_jobs"].columns["spec"].type, "the order"), comment="Bare")
    with pytest.raises(Broken, match=r"bare\.spec does not say what it holds"):
        row_form("Bare", bare)


# ── forms ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("method", "path", "operation"), list(operations()))
def test_every_answer_of_an_operation_has_a_form(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["responses"], (method, path)
    for status, answer in operation["responses"].items():
        assert answer.get("content") or status == "304", f"{status} has no form"
        for media, said in answer.get("content", {}).items():
            schema = said.get("schema")
            assert schema, f"{status} {media} has an empty form"
            assert schema["$ref"] if is_json(media) else schema == {"type": "string"}
        if int(status) in AT_THE_DOOR:
            assert list(answer["content"]) == ["text/plain"], f"{status} comes from the server, before any route"
        elif int(status) in range(400, 600) and PROBLEM not in answer["content"]:
            assert path in {"/readyz", "/api/commands"}, f"{status} is a refusal without a problem"


def open_parts(schema: Any) -> bool:
    """Whether a schema has a part that allows anything."""
    if isinstance(schema, dict):
        anything = schema.get("$ref", "").endswith("/JsonValue") or schema.get("additionalProperties") is True
        return anything or any(open_parts(part) for part in schema.values())
    return isinstance(schema, list) and any(open_parts(part) for part in schema)


def test_documents_are_closed_and_told_apart_by_name() -> None:
    parts = DOCUMENT["components"]["schemas"]
    objects = {name: schema for name, schema in parts.items() if schema.get("type") == "object"}
    assert len(objects) > 50
    assert [name for name, schema in objects.items() if schema.get("additionalProperties") is not False] == []
    assert [name for name in parts if "__" in name] == [], "two documents have one name"
    assert {name for name, schema in objects.items() if open_parts(schema)} == OPEN


def test_every_field_of_a_row_and_of_a_document_written_for_an_answer_is_described() -> None:
    """Parts of events and of the policy are described as a whole, in their classes."""
    parts = DOCUMENT["components"]["schemas"]
    written = {
        kind.__name__
        for module in (answers, commands, contract, problems, proofs, stored)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Document) and kind.__module__.startswith("autonomy.documents")
    } - {"GateOfBot", "BlockerOfBot", "PolicyDocument"}
    assert {"Proof", "BotDetail", "BotListed", "ProblemDocument", "RevertPlan", "DecisionAtTick"} <= written
    bare = [
        f"{name}.{field}"
        for name in sorted(written & set(parts))
        for field, entry in parts[name]["properties"].items()
        if "description" not in entry
    ]
    assert bare == []


@pytest.mark.parametrize(("columns", "form"), [
    (reading.BOT_COLUMNS, "BotListed"), (reading.JOB_COLUMNS, "Job"), (reading.RUN_COLUMNS, "PlannerRun"), (PROMOTION_COLUMNS, "Promotion"),
])  # fmt: skip
def test_the_commands_tables_show_fields_that_there_are(columns: Any, form: str) -> None:
    """A field that was renamed would leave its column empty, and nothing else would say so."""
    made_here = {"reasons"}  # of `reasonCounts`
    assert {key for _, key in columns} - made_here <= set(DOCUMENT["components"]["schemas"][form]["properties"])


# ── a wrong answer is noticed ──────────────────────────────────────────────────────────────────────────────────────────

POLICY = {
    "now": "2026-11-23T12:00:00.000Z", "tick": 3, "policyHash": "0" * 64, "actor": "ada", "document": {"name": "mine"},
    "since": "2026-11-23T11:00:00.000Z", "approvedBy": ["ada"], "reason": "", "commandId": None, "limits": [], "slots": [], "shares": [],
    "changes": [{"path": "name", "default": "default", "now": "mine"}], "promotions": {"used": 0, "limit": 2, "applies": False},
    "fleet": 0, "countedAt": "2026-11-23T12:00:00.000Z", "rev": 7,
    "proof": {
        "status": "fresh", "verdict": "TICKING", "reason": None, "asOf": "2026-11-23T12:00:00.000Z", "tickAgeMs": 10,
        "projectionLagMs": 20, "lagRecords": 0, "applied": {"tick": 3, "hash": "x"},
        "head": {"tick": 3, "hash": "x", "runsEnd": 9, "seenAt": "2026-11-23T12:00:00.000Z"}, "plannerPulseAgeMs": 5, "nextTickAt": None,
        "checks": {
            "kafka": "ok", "postgres": "ok", "projection": "ok", "planner": "ok", "runners": "ok", "probe": "ok", "chain": "ok",
            "clock": "ok", "canary": "off",
        },
        "failing": [],
    },
}  # fmt: skip


def found_in(body: Any, *, path: str = "/api/policy", status: int = 200, media: str = "application/json") -> list[str]:
    return faults("GET", path, status, media, json.dumps(body).encode())


def places(body: Any, *before: str) -> Iterator[tuple[str, ...]]:
    """Every key of a document, at any depth, but for the policy's own sections: they have defaults."""
    for key, value in body.items():
        yield (*before, key)
        if isinstance(value, dict) and key != "document":
            yield from places(value, *before, key)


def changed_at(place: tuple[str, ...], change: str) -> Any:
    body = copy.deepcopy(POLICY)
    inside: Any = body
    for key in place[:-1]:
        inside = inside[key]
    match change:
        case "missing":
            del inside[place[-1]]
        case "extra":
            inside["undeclared"] = 1
        case _:
            inside[place[-1]] = {"another": "type"}
    return body


def test_a_right_answer_has_no_fault() -> None:
    assert found_in(POLICY) == []


@pytest.mark.parametrize("change", ["missing", "extra", "of another type"])
@pytest.mark.parametrize("place", list(places(POLICY)), ids="/".join)
def test_a_field_that_is_missing_extra_or_of_another_type_is_noticed(place: tuple[str, ...], change: str) -> None:
    """Negative control."""
    assert found_in(changed_at(place, change)) != []


def test_an_undeclared_status_media_type_and_instant_are_noticed() -> None:
    """Negative control."""
    assert found_in(POLICY, status=418) == ["status 418 is not declared"]
    assert found_in(POLICY, media="application/ld+json") == ["application/ld+json is not declared for status 200"]
    assert found_in(POLICY | {"now": "noon"}) != []
    assert found_in({"status": 404}, path="/api/nowhere", status=404, media=PROBLEM) != [], "also where nothing is"
    attention: dict[str, Any] = {"needed": None, "blocked": None, "items": [], "rev": 0}
    assert event_faults("proof", {"proof": POLICY["proof"], "counts": {}, "summary": None, "attention": attention}) == []
    assert event_faults("proof", {"proof": POLICY["proof"], "counts": {}}) != []
    assert event_faults("rumour", {}) == ["an event rumour is not declared"]


@pytest.mark.parametrize("body", [{"status": "ok"}, {"status": "ok", "version": "1", "uptime": 3}, {"status": "ok", "version": 1}])
async def test_a_client_that_gets_a_wrong_answer_fails(body: Any) -> None:
    """Negative control of what looks at all answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": "ok", "version": "1"} if request.url.query else body)

    transport = httpx.MockTransport(answer)
    with every_answer_looked_at() as kept, httpx.Client(transport=transport, base_url="http://api.test") as http:
        assert (http.get("/livez?right").status_code, kept) == (200, [])
        with pytest.raises(Undocumented, match="GET /livez → 200"):
            http.get("/livez")
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as waiting:
            assert (await waiting.get("/livez?right")).status_code == 200
            with pytest.raises(Undocumented, match="GET /livez → 200"):
                await waiting.get("/livez")
        assert len(kept) == 2, "also where a loop swallows it"
