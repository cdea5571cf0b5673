"""The large documents are made beside the loop: whoever asks for one first holds up no proof.

Source: R-F2; docs/architecture.md, "Honesty".
"""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from proof_api.app import create_app
from proof_api.routes.schemas import asyncapi_bytes
from proof_api.settings import ProofSettings

TURNS = 200
"""Far more than an answer takes by itself, far fewer than the loop has while a document is made."""


def an_app() -> FastAPI:
    return create_app(ProofSettings(database_url="postgresql://reader@127.0.0.1:1/autonomy"))


async def turns_while(asking: Callable[[], Awaitable[object]]) -> int:
    """How often the loop comes round until an answer is there."""
    task, turns = asyncio.ensure_future(asking()), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1")


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json"])
async def test_the_loop_goes_on_while_a_document_is_made(path: str) -> None:
    asyncapi_bytes.cache_clear()
    async with client(an_app()) as http:
        assert await turns_while(lambda: http.get(path)) > TURNS


async def test_negative_control_a_document_that_is_made_on_the_loop_stops_it() -> None:
    app = an_app()

    @app.get("/plain.json", include_in_schema=False)
    async def plain() -> Response:
        return JSONResponse(app.openapi())

    async with client(app) as http:
        assert await turns_while(lambda: http.get("/plain.json")) < TURNS


async def test_who_asks_while_it_is_made_gets_the_same_one() -> None:
    app, made = an_app(), 0
    document = app.openapi

    def counted() -> dict[str, object]:
        nonlocal made
        made += 1
        return document()

    app.openapi = counted  # type: ignore[method-assign] # to count
    async with client(app) as http:
        answers = await asyncio.gather(*(http.get("/openapi.json") for _ in range(5)))
        answers.append(await http.get("/openapi.json"))
    assert (made, {answer.status_code for answer in answers}, len({answer.content for answer in answers})) == (1, {200}, 1)
    assert answers[0].json() == document()
