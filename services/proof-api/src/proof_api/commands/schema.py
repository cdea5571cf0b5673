"""What a body of `POST /api/commands` may say, for the OpenAPI document: one form per command, from the catalogue.

Place in the flow: `autonomy.events` → **this** → OpenAPI. The credential gives who says it, the server gives its id: a body with either is
refused.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from autonomy.events import MAX_TEXT, Command, PinBot

FROM_THE_SERVER: Final = ("commandId", "actor", "role")
NEED_A_REASON: Final = frozenset({PinBot.wire})
"""Refused at the door without one; every other command may say why."""


def request_body(kinds: Iterable[type[Command]], without: Collection[str] = ()) -> dict[str, Any]:
    """The request body of the route that takes these commands; `without` are fields that it gives itself."""
    forms = [_form(kind, without) for kind in kinds]
    return {"required": True, "content": {"application/json": {"schema": {"oneOf": forms}}}}


def _form(kind: type[Command], without: Collection[str]) -> dict[str, Any]:
    schema = kind.model_json_schema(by_alias=True)
    fields = {name: _whole(entry, schema.get("$defs", {})) for name, entry in schema["properties"].items() if name not in FROM_THE_SERVER}
    name = kind.wire.rsplit(".", 1)[0]
    said = {"type": "string", "enum": [name, kind.wire], "description": "the command, with or without its version"}
    required = [field for field in schema.get("required", ()) if field not in FROM_THE_SERVER]
    if kind.wire in NEED_A_REASON:
        required.append("reason")
        fields["reason"] = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
    return {
        "type": "object", "title": name, "description": (kind.__doc__ or "").split("\n\n")[0].strip(), "additionalProperties": False,
        "properties": {field: shape for field, shape in {"type": said, **fields}.items() if field not in without},
        "required": [field for field in ("type", *required) if field not in without],
    }  # fmt: skip


def _whole(entry: object, parts: Mapping[str, object]) -> object:
    """A schema with the parts that it refers to written in their places."""
    match entry:
        case {"$ref": str(ref)}:
            return _whole(parts[ref.rsplit("/", 1)[-1]], parts)
        case dict():
            return {name: _whole(inner, parts) for name, inner in entry.items()}
        case list():
            return [_whole(inner, parts) for inner in entry]
        case _:
            return entry
