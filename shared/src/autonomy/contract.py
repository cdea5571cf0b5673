"""What stands on the log, for readers in any language: JSON Schema of each record, and one AsyncAPI document over all topics.

Place in the flow: catalogue of events → **contract** → proof-api, docs and tests. Derived from the classes that read and write, so it
cannot say anything else than they do. Pure.
"""

from functools import cache
from typing import Any, Final

from autonomy.envelope import MEDIA_TYPE, SCHEMA_PREFIX
from autonomy.events import CATALOGUE, Event
from autonomy.topics import TOPICS

Schema = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
EXTENSIONS: Final = {
    "traceparent": "W3C trace context of what led to it", "causationid": "id of the record that led to it",
    "actor": "who asked for it, as the platform knows them",
}  # fmt: skip


def uri_of(wire: str) -> str:
    """The `dataschema` of records of a kind."""
    return f"{SCHEMA_PREFIX}{wire}"


@cache
def data_schema(kind: type[Event]) -> Schema:
    """JSON Schema of a record's `data`.

    A field that is not required may be missing; then it has the default that stands there. Nothing else than these fields may be there.
    """
    return {"$schema": DIALECT, "$id": uri_of(kind.wire), **kind.model_json_schema(by_alias=True)}


@cache
def record_schema(kind: type[Event]) -> Schema:
    """JSON Schema of a whole record's value: a structured CloudEvent 1.0 of one kind."""
    text = {"type": "string"}
    properties: Schema = {
        "specversion": {"const": "1.0"}, "id": {"type": "string", "format": "uuid"}, "source": text, "type": {"const": kind.wire},
        "subject": text | {"description": "the record's key"}, "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"}, "dataschema": {"const": uri_of(kind.wire)}, "data": data_schema(kind),
    }  # fmt: skip
    required = [name for name in properties if name != "subject"]
    properties |= {name: text | {"description": words} for name, words in EXTENSIONS.items()}
    return {
        "type": "object", "title": f"{kind.wire} as a CloudEvent", "properties": properties, "required": required,
        "additionalProperties": False,
    }  # fmt: skip


def asyncapi_document() -> Schema:
    """AsyncAPI 3.0 of all topics: which records stand there, and who writes them."""
    channels: Schema = {}
    operations: Schema = {}
    messages: Schema = {}
    for topic in TOPICS:
        kinds = [kind for kind in CATALOGUE if kind.topic == topic.name]
        channels[topic.name] = {
            "address": topic.name, "messages": {kind.wire: {"$ref": f"#/components/messages/{kind.wire}"} for kind in kinds},
            "bindings": {"kafka": {"topic": topic.name, "partitions": topic.partitions, "bindingVersion": "0.5.0"}},
        }  # fmt: skip
        for producer in sorted({kind.producer for kind in kinds}):
            named = [kind.wire for kind in kinds if kind.producer == producer]
            operations[f"{producer}:{topic.name}"] = {
                "action": "send", "channel": {"$ref": f"#/channels/{topic.name}"}, "summary": f"What {producer} writes to {topic.name}.",
                "messages": [{"$ref": f"#/channels/{topic.name}/messages/{wire}"} for wire in named],
            }  # fmt: skip
        for kind in kinds:
            schema = {"schemaFormat": f"application/schema+json;version={DIALECT}", "schema": record_schema(kind)}
            messages[kind.wire] = {
                "name": kind.wire, "title": kind.__name__, "summary": (kind.__doc__ or "").strip().split("\n")[0],
                "contentType": MEDIA_TYPE, "payload": schema,
                "headers": {"type": "object", "properties": {"content-type": {"const": MEDIA_TYPE}}, "required": ["content-type"]},
                "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
            }  # fmt: skip
    return {
        "asyncapi": "3.0.0", "info": {"title": "Autonomy: the log", "version": "1", "description": INTRODUCTION},
        "defaultContentType": MEDIA_TYPE, "channels": channels, "operations": operations, "components": {"messages": messages},
    }  # fmt: skip


INTRODUCTION: Final = (
    "Every record is a structured CloudEvent. On autonomy.runs a record counts only once the seal of its tick was accepted: see "
    "docs/consumers.md."
)
