"""Every answer of proof-api is as docs/openapi.json says: path, status, media type and the whole body, with nothing else in it.

Place in the flow: what a test gets from proof-api → **document** → a fault in words.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import jsonschema_rs
import pytest

DOCUMENT: Final[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BEFORE_THE_API: Final = frozenset({400, 408, 413, 431, 503})
"""What the server itself says in plain text: a wrong Host, a request that is none, too late or too large, or one too many."""
PROBLEM: Final = "application/problem+json"
SERVED_ITSELF: Final = frozenset({"/openapi.json"})
"""The document does not describe itself."""
ALIASES: Final = {"/healthz": "/livez"}


def is_json(media: str) -> bool:
    """Whether a media type is JSON."""
    return media == "application/json" or media.endswith("+json")


@cache
def templates() -> list[tuple[re.Pattern[str], str]]:
    """The paths of the document as patterns, those without parameters first."""
    paths = sorted(DOCUMENT["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in paths]


def path_of(path: str) -> str | None:
    """The document's path for one that was asked; None of an unknown one."""
    path = ALIASES.get(path, path)
    return next((named for pattern, named in templates() if pattern.fullmatch(path)), None)


@cache
def validator(ref: str) -> jsonschema_rs.Draft202012Validator:
    """A validator of one part of the document; formats count."""
    schema = {"$schema": DIALECT, "$ref": ref, "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def faults_of(schema: dict[str, Any], body: object) -> list[str]:
    """Where a body is not as its schema says, in words."""
    found = validator(schema["$ref"]).iter_errors(body)
    return [f"{'/'.join(str(part) for part in fault.instance_path)}: {fault.message[:300]}" for fault in found]


def faults(method: str, path: str, status: int, media: str, content: bytes) -> list[str]:
    """Where an answer is not as the document says.

    Args:
        method: as it was asked.
        path: without the query.
        status: of the answer.
        media: its media type, without parameters.
        content: its body.
    """
    named = path_of(path)
    if path in SERVED_ITSELF or not content:
        return []
    if status in BEFORE_THE_API and not is_json(media):
        return []
    operation = None if named is None else DOCUMENT["paths"][named].get(method.lower())
    if operation is None:
        # No operation: the routing itself refuses, in the form of every refusal.
        return faults_of({"$ref": "#/components/schemas/ProblemDocument"}, json.loads(content)) if media == PROBLEM else []
    declared = operation["responses"].get(str(status))
    if declared is None:
        return [f"status {status} is not declared"]
    if media not in declared.get("content", {}):
        return [f"{media} is not declared for status {status}"]
    return faults_of(declared["content"][media]["schema"], json.loads(content)) if is_json(media) else []


def event_faults(name: str, body: object) -> list[str]:
    """Where the data of an event of the stream is not as the document says."""
    events = DOCUMENT["paths"]["/api/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"]["x-events"]
    return faults_of(events[name], body) if name in events else [f"an event {name} is not declared"]


class Undocumented(AssertionError):
    """An answer is not as the document says."""


@contextlib.contextmanager
def every_answer_looked_at() -> Iterator[list[str]]:
    """Look at every answer that a client of httpx gets meanwhile; gives the list of all faults so far.

    Raises:
        Undocumented: where a wrong answer was asked for.
    """
    kept: list[str] = []

    def look(response: httpx.Response) -> None:
        request, media = response.request, response.headers.get("content-type", "").partition(";")[0]
        found = faults(request.method, request.url.path, response.status_code, media, response.content)
        if found:
            kept.append(f"{request.method} {request.url.path} → {response.status_code}: {'; '.join(found[:5])}")
            raise Undocumented(kept[-1])

    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def sent(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        response = send(self, request, **more)
        if not more.get("stream"):
            look(response)
        return response

    async def sent_async(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        response = await send_async(self, request, **more)
        if not more.get("stream"):
            look(response)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", sent)
        patch.setattr(httpx.AsyncClient, "send", sent_async)
        yield kept


@pytest.fixture(scope="module", autouse=True)
def documented_answers() -> Iterator[None]:
    """Every answer that this module gets is as the document says; a conftest imports it for its folder."""
    with every_answer_looked_at() as kept:
        yield
    assert kept == [], "wrong answers, which a thread or a loop may have swallowed"
