"""Errors as RFC 9457 problems: every answer that is not a success says which field and which limit."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from autonomy.documents.answers import BotsEvent, ProofEvent
from autonomy.documents.problems import PROBLEM_MEDIA, ProblemDocument

PARTS: Final = "#/components/schemas/"

MEANINGS: Final = {
    401: "No valid operator's token", 403: "The role does not allow it, or another site asks", 404: "No such thing",
    413: "The body is too large", 415: "The body is no JSON", 422: "A value is refused: field and limit are named",
    429: "Too many attempts without a valid token; Retry-After says when to try again",
    503: "It cannot be answered now; Retry-After says when to ask again", 504: "It is unknown whether the command landed",
}  # fmt: skip
AT_THE_DOOR: Final = {
    408: "The request did not come to its end in time",
    431: "The request's line and headers are too many bytes",
}
"""What the server itself answers, in plain words, before any route is asked (`autonomy.http_server`)."""
RETRY_AFTER_S: Final = {429: "60", 503: "2"}


def giving(document: type[BaseModel], words: str = "The document", status: int = HTTPStatus.OK) -> dict[int | str, dict[str, Any]]:
    """A document that a route answers, for the OpenAPI document; the answer itself is built without it, which is faster."""
    return {status: {"model": document, "description": words}}


def declared(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer, for the OpenAPI document; who is refused for want of a token may be told to wait, too."""
    codes = (*codes, 429) if 401 in codes else codes
    return {
        code: {"description": MEANINGS[code], "content": {PROBLEM_MEDIA: {"schema": {"$ref": f"{PARTS}ProblemDocument"}}}} for code in codes
    }


class Problem(Exception):
    """An answer that is not a success.

    Args:
        status: HTTP code.
        code: of this API, for programs.
        title: for people.
        detail: what is at fault here.
    """

    def __init__(self, status: int, code: str, title: str, detail: str = "", **more: object) -> None:
        super().__init__(title)
        self.status, self.code, self.title, self.detail, self.more = status, code, title, detail, more


def problem_response(status: int, code: str, title: str, detail: str, more: Mapping[str, object] | None = None) -> Response:
    """The answer."""
    body = {"type": f"urn:autonomy:problem:{code.lower()}", "title": title, "status": status, "code": code, "detail": detail}
    headers = {"Retry-After": RETRY_AFTER_S[status]} if status in RETRY_AFTER_S else {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(body | dict(more or {})), status, headers, PROBLEM_MEDIA)


def schemas_of(*documents: type[BaseModel]) -> dict[str, Any]:
    """Documents that OpenAPI refers to and no route has as its model, with all their parts, by name."""
    _, schema = models_json_schema([(document, "serialization") for document in documents], ref_template=PARTS + "{model}")
    found: dict[str, Any] = schema["$defs"]
    return found


_KNOWN: Final[dict[object, frozenset[str]]] = {}
"""Query parameters by endpoint, as they are asked for."""


async def known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have: a filter that is misspelt would show everything.

    Raises:
        Problem: 422, naming it and those that there are.
    """
    if not request.scope["query_string"]:
        return
    route: APIRoute = request.scope["route"]
    known = _KNOWN.get(route.endpoint)
    if known is None:
        known = _KNOWN[route.endpoint] = _parameters(route.dependant)
    for name in request.query_params:
        if name not in known:
            allowed = f"one of {', '.join(sorted(known))}" if known else "no parameter at all"
            raise Problem(422, "BAD_INPUT", "A value is refused", f"{name}: {allowed}", field=name[:100], limit=allowed)


def _parameters(needs: Dependant) -> frozenset[str]:
    return frozenset(found.alias for found in needs.query_params).union(*map(_parameters, needs.dependencies))


def install(app: FastAPI) -> None:
    """Turn every refusal into a problem, and say in the OpenAPI document what a problem is."""
    plain = app.openapi

    def with_parts() -> dict[str, Any]:
        document = plain()
        parts = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in schemas_of(ProblemDocument, BotsEvent, ProofEvent).items():
            parts.setdefault(name, schema)  # what a route's model has brought already
        for operations in document["paths"].values():
            for operation in operations.values():
                for code, words in AT_THE_DOOR.items():
                    plain_words = {"description": words, "content": {"text/plain": {"schema": {"type": "string"}}}}
                    operation["responses"].setdefault(str(code), plain_words)
        return document

    app.openapi = with_parts  # type: ignore[method-assign] # FastAPI's own way to extend the document

    @app.exception_handler(Problem)
    async def on_problem(_: Request, problem: Problem) -> Response:
        return problem_response(problem.status, problem.code, problem.title, problem.detail, problem.more)

    @app.exception_handler(RequestValidationError)
    async def on_validation(_: Request, refusal: RequestValidationError) -> Response:
        errors = [{"field": ".".join(str(part) for part in fault["loc"][1:]), "limit": fault["msg"]} for fault in refusal.errors()]
        first = errors[0] if errors else {"field": "", "limit": ""}
        return problem_response(422, "BAD_INPUT", "A value is refused", f"{first['field']}: {first['limit']}", {"errors": errors})

    @app.exception_handler(ClientDisconnect)
    async def on_cut(_: Request, _cut: ClientDisconnect) -> Response:
        return problem_response(400, "BODY_CUT", "The body did not come to its end", "nobody reads this")

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, refusal: HTTPException) -> Response:
        title = HTTPStatus(refusal.status_code).phrase
        return problem_response(refusal.status_code, title.upper().replace(" ", "_"), title, str(refusal.detail))
