"""The contract of the log, for readers in other languages."""

from functools import cache
from typing import Annotated

import orjson
from fastapi import APIRouter, Path
from fastapi.responses import Response

from autonomy.contract import asyncapi_document, data_schema, record_schema, uri_of
from autonomy.events import BY_WIRE, CATALOGUE
from proof_api.http.problems import Problem, declared

router = APIRouter()
JSON = "application/json"


class SchemaResponse(Response):
    """A JSON Schema."""

    media_type = "application/schema+json"


Wire = Annotated[str, Path(max_length=100, description="a record's `type`, as bot-decision.v1")]


@router.get("/asyncapi.json", tags=["contract"], summary="AsyncAPI 3 of all topics of the log")
async def asyncapi() -> Response:
    """Which records stand where, who writes them, and the JSON Schema of each whole record."""
    return Response(asyncapi_bytes(), media_type=JSON)


@cache
def asyncapi_bytes() -> bytes:
    """The document as it is sent: large, and the same for everybody."""
    return orjson.dumps(asyncapi_document())


@router.get("/api/schemas", tags=["contract"], summary="All kinds of records, with where their schemas are")
async def schemas() -> Response:
    """One entry a kind: its `type`, topic, `dataschema`, and the address of that schema here."""
    items = [
        {
            "type": kind.wire,
            "topic": kind.topic,
            "producer": kind.producer,
            "dataschema": uri_of(kind.wire),
            "href": f"/api/schemas/{kind.wire}",
        }
        for kind in CATALOGUE
    ]
    return Response(orjson.dumps({"items": items}), media_type=JSON)


@router.get(
    "/api/schemas/{wire}", tags=["contract"], summary="JSON Schema of a record's data", response_class=SchemaResponse,
    responses=declared(404, 422),
)  # fmt: skip
async def schema(wire: Wire, *, whole: bool = False) -> Response:
    """Of `data`, whose `$id` is the record's `dataschema`; with `whole` of the record's whole value."""
    kind = BY_WIRE.get(wire)
    if kind is None:
        raise Problem(404, "NOT_FOUND", "There is no such kind of record", "GET /api/schemas lists all")
    return SchemaResponse(orjson.dumps(record_schema(kind) if whole else data_schema(kind)))
