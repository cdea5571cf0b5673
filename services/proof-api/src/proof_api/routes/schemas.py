"""The contracts of the log and of HTTP, for readers in other languages.

Both are large, the same for everybody, and made when they are first asked for: beside the loop, on which every proof waits.
"""

import asyncio
from functools import cache
from typing import Annotated

import orjson
from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.responses import JSONResponse, Response
from typing_extensions import override

from autonomy.contract import asyncapi_document, data_schema, record_schema, uri_of
from autonomy.documents.contract import AsyncApi, JsonSchema, SchemaList
from autonomy.events import BY_WIRE, CATALOGUE
from proof_api.http.problems import Problem, declared, giving

router = APIRouter()
JSON = "application/json"


class SchemaResponse(JSONResponse):
    """A JSON Schema, as the bytes that it is sent as."""

    media_type = "application/schema+json"

    @override
    def render(self, content: bytes) -> bytes:
        """The bytes themselves."""
        return content


Wire = Annotated[str, Path(max_length=100, description="a record's `type`, as bot-decision.v1")]


@router.get("/asyncapi.json", tags=["contract"], summary="AsyncAPI 3 of all topics of the log", responses=giving(AsyncApi) | declared(503))
async def asyncapi() -> Response:
    """Which records stand where, who writes them, and the JSON Schema of each whole record."""
    return Response(await asyncio.to_thread(asyncapi_bytes), media_type=JSON)


@cache
def asyncapi_bytes() -> bytes:
    """The document as it is sent."""
    return orjson.dumps(asyncapi_document())


async def openapi(request: Request) -> Response:
    """OpenAPI of this API; whoever asks while it is being made waits for the same one."""
    state = request.app.state
    if not hasattr(state, "openapi"):
        state.openapi = asyncio.create_task(asyncio.to_thread(openapi_bytes, request.app))
    return Response(await asyncio.shield(state.openapi), media_type=JSON)


def openapi_bytes(app: FastAPI) -> bytes:
    """The document as it is sent."""
    return orjson.dumps(app.openapi())


@router.get(
    "/api/schemas",
    tags=["contract"],
    summary="All kinds of records, with where their schemas are",
    responses=giving(SchemaList) | declared(503),
)
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
    responses=giving(JsonSchema) | declared(404, 422, 503),
)  # fmt: skip
async def schema(wire: Wire, *, whole: bool = False) -> Response:
    """Of `data`, whose `$id` is the record's `dataschema`; with `whole` of the record's whole value."""
    kind = BY_WIRE.get(wire)
    if kind is None:
        raise Problem(404, "NOT_FOUND", "There is no such kind of record", "GET /api/schemas lists all")
    return SchemaResponse(orjson.dumps(record_schema(kind) if whole else data_schema(kind)))
