"""The HTTP contract: the committed OpenAPI document is what the code serves, and the keys that its readers are checked by are its own.

`python tests/contract/test_openapi.py` writes both anew; a removed path or renamed key breaks clients, so read the difference first.
"""

import json
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mypy import api

from autonomy.documents import keys
from autonomy.envelope import data_bytes
from autonomy.events import Event
from autonomy.values import Stage
from contract.examples import examples
from proof_api.app import create_app
from proof_api.commands.desk import KINDS, Desk
from proof_api.http.auth import Operator
from proof_api.http.problems import Problem
from proof_api.settings import ProofSettings

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
KEYS = Path(keys.__file__)
HEAD = "# fmt: off\n"
SEED_PATHS = {"/api/_proof/autonomy", "/api/_proof/jobs"}


@cache
def served() -> dict[str, Any]:
    """The document of an application that connects to nothing; nobody changes it."""
    settings = ProofSettings(database_url="postgresql://reader@127.0.0.1:1/autonomy")
    document: dict[str, Any] = json.loads(json.dumps(create_app(settings).openapi()))
    return document


def test_committed_document_is_what_is_served() -> None:
    assert json.loads(COMMITTED.read_text()) == served(), "run: python tests/contract/test_openapi.py"


def keys_of_documents() -> str:
    """The module `autonomy.documents.keys`."""
    schemas = served()["components"]["schemas"]
    named = {name: sorted(schema["properties"]) for name, schema in sorted(schemas.items()) if schema.get("properties")}
    lines = [f"{name}Key = Literal[" + ", ".join(f'"{key}"' for key in found) + "]" for name, found in named.items()]
    wrapped = [textwrap.fill(line, 136, subsequent_indent="    ", break_on_hyphens=False) for line in lines]
    (head, _) = KEYS.read_text().split(HEAD)
    return head + HEAD + "\n".join(wrapped) + "\n"


def test_keys_of_documents_are_those_of_the_contract() -> None:
    assert KEYS.read_text() == keys_of_documents(), "run: python tests/contract/test_openapi.py"


READING = """
from collections.abc import Mapping
from autonomy.documents.keys import BotListedKey, PlannerRunKey
from bots_ui.api.documents import text_of
def show(row: Mapping[BotListedKey, object], run: Mapping[PlannerRunKey, object]) -> None:
    text_of(row, "botId"), row.get("maxDrawdown"), text_of(run, "tick")
    text_of(row, "botID")
    row.get("drawdown")
    text_of(run, "botId")
"""


def test_a_key_that_no_document_has_is_a_fault_of_types(tmp_path: Path) -> None:
    """What a page or a command reads under a wrong name would show as nothing, for ever."""
    (tmp_path / "reading.py").write_text(READING)
    words, _, _ = api.run([str(tmp_path / "reading.py")])
    assert [int(line) for line in re.findall(r"^\S*reading.py:(\d+): error:", words, re.MULTILINE)] == [7, 8, 9], words


def test_paths_of_the_requirements_are_there() -> None:
    paths = set(served()["paths"])
    wanted = {"/api/bots", "/api/bots/{bot_id}", "/api/jobs", "/api/planner/runs", "/api/stage-events", "/api/commands", "/api/stream"}
    assert paths >= SEED_PATHS | wanted | {"/livez", "/readyz", "/metrics"}


def body_forms() -> dict[str, dict[str, Any]]:
    body = served()["paths"]["/api/commands"]["post"]["requestBody"]
    assert body["required"] is True
    return {form["title"]: form for form in body["content"]["application/json"]["schema"]["oneOf"]}


def test_every_command_has_its_form_in_the_body() -> None:
    forms = body_forms()
    assert set(forms) == {wire.removesuffix(".v1") for wire in KINDS}
    for kind in KINDS.values():
        form = forms[kind.wire.removesuffix(".v1")]
        fields = {field.alias or name for name, field in kind.model_fields.items()} - {"commandId", "actor", "role"}
        assert set(form["properties"]) == fields | {"type"}
        assert form["properties"]["type"]["enum"] == [form["title"], kind.wire]
        assert form["additionalProperties"] is False
        assert "$ref" not in json.dumps(form)
    assert forms["pin-bot"]["required"] == ["type", "botId", "reason"]
    assert forms["hold-bot"]["required"] == ["type", "botId"]
    assert forms["revert-to-lab"]["properties"]["stages"]["items"]["enum"] == [stage.value for stage in Stage]


@pytest.mark.parametrize("event", [event for event in examples() if event.wire in KINDS], ids=lambda event: event.wire)
def test_a_body_of_the_form_is_a_command(event: Event) -> None:
    """The document and the door agree; what the credential says is in no form, and refused at the door."""
    name = event.wire.removesuffix(".v1")
    said = {key: value for key, value in json.loads(data_bytes(event)).items() if key not in {"commandId", "actor", "role"}}
    assert set(said) <= set(body_forms()[name]["properties"])
    desk: Any = None  # reading needs none of its state
    least = {name: said[name] for name in body_forms()[event.wire.removesuffix(".v1")]["required"] if name != "type"}
    assert Desk.read(desk, {"type": name, **least}, Operator("ada", "approver"), None).wire == event.wire
    assert Desk.read(desk, {"type": name, **said}, Operator("ada", "approver"), None).wire == event.wire
    with pytest.raises(Problem) as refusal:
        Desk.read(desk, {"type": name, **said, "actor": "eve"}, Operator("ada", "approver"), None)
    assert refusal.value.detail == "actor: comes from the credential"


@pytest.mark.parametrize("kind", ["GET", "POST"])
def test_every_operation_says_what_it_is_for(kind: str) -> None:
    operations = [(path, verbs[kind.lower()]) for path, verbs in served()["paths"].items() if kind.lower() in verbs]
    assert operations
    assert [path for path, operation in operations if not operation.get("summary") or not operation.get("tags")] == []


if __name__ == "__main__":
    COMMITTED.write_text(json.dumps(served(), indent=1, sort_keys=True) + "\n")
    KEYS.write_text(keys_of_documents())
