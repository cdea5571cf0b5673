"""Errors as RFC 9457 problems: every answer that is not a success says which field and which limit."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

MEDIA = "application/problem+json"


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
    headers = {"Retry-After": "2"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(orjson.dumps(body | dict(more or {})), status, headers, MEDIA)


def install(app: FastAPI) -> None:
    """Turn every refusal into a problem."""

    @app.exception_handler(Problem)
    async def on_problem(_: Request, problem: Problem) -> Response:
        return problem_response(problem.status, problem.code, problem.title, problem.detail, problem.more)

    @app.exception_handler(RequestValidationError)
    async def on_validation(_: Request, refusal: RequestValidationError) -> Response:
        errors = [{"field": ".".join(str(part) for part in fault["loc"][1:]), "limit": fault["msg"]} for fault in refusal.errors()]
        first = errors[0] if errors else {"field": "", "limit": ""}
        return problem_response(422, "BAD_INPUT", "A value is refused", f"{first['field']}: {first['limit']}", {"errors": errors})

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, refusal: HTTPException) -> Response:
        title = HTTPStatus(refusal.status_code).phrase
        return problem_response(refusal.status_code, title.upper().replace(" ", "_"), title, str(refusal.detail))
