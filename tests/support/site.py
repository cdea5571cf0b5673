"""The page's whole application, asked without a socket, over a proof API with prepared answers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import httpx
import orjson
from fastapi import FastAPI

from autonomy import clock
from bots_ui.api.client import ProofApi
from bots_ui.app import create_app
from bots_ui.context import Shared
from bots_ui.operator.sessions import Session
from bots_ui.settings import UiSettings
from bots_ui.shown.facts import Link

PROOF = {"status": "fresh", "lagRecords": 0, "checks": {}}
HOSTILE = "<img src=x onerror=alert(1)>"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


class Canned:
    """A proof API with prepared answers by path, or functions of the request; what it is not told it refuses with 404."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.get(request.url.path)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return httpx.Response(404, json={"title": "Not found", "code": "NOT_FOUND", "detail": request.url.path})
        status, document = answer if isinstance(answer, tuple) else (200, answer)
        return httpx.Response(status, content=orjson.dumps(document))


def api_of(answers: Mapping[str, Any]) -> tuple[ProofApi, Canned]:
    canned = Canned(answers)
    return ProofApi(httpx.AsyncClient(transport=httpx.MockTransport(canned), base_url="http://api.test")), canned


@dataclass
class Site:
    """The whole application, asked without a socket."""

    app: FastAPI
    http: httpx.AsyncClient

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(path, **more)

    async def post(
        self, path: str, *, data: Mapping[str, str] = MappingProxyType({}), operator: str | None = None, **more: Any
    ) -> httpx.Response:
        """Send a form as the page's own forms are: with the name of whoever it was opened for, else of whoever is signed in."""
        sessions = self.shared.sessions.by_id.values()
        named = next((session.name for session in reversed(sessions)), "") if operator is None else operator
        return await self.http.post(path, data={"operator": named} | dict(data), **more)

    @property
    def shared(self) -> Shared:
        found: Shared = self.app.state.shared
        return found

    def answer(self, answers: Mapping[str, Any]) -> Canned:
        """Let the proof API give these answers from now on."""
        api, canned = api_of(answers)
        object.__setattr__(self.app.state.shared, "api", api)
        self.shared.hub.api = api
        return canned

    def be_fresh(self) -> None:
        """What is shown is current, as far as this process knows."""
        self.shared.hub.link = Link({"proof": PROOF}, clock.now(), None, "")

    def be_lost(self) -> None:
        """The proof API does not answer."""
        self.shared.hub.link = replace(self.shared.hub.link, lost_since=clock.now(), why="no connection")

    def sign_in(self, name: str = "ada", role: str = "approver") -> Session:
        """Sign somebody in; the session."""
        cookie = self.shared.sessions.begin(f"{name}-token", name, role, clock.monotonic_ms() / 1000)
        self.http.cookies.set(self.shared.sessions.cookie, cookie)
        return next(reversed(self.shared.sessions.by_id.values()))


@asynccontextmanager
async def opened(settings: UiSettings) -> AsyncIterator[Site]:
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:
        yield Site(app, http)


async def show(site: Site, answers: Mapping[str, Any], path: str = "/") -> str:
    """A page of the site over canned answers."""
    site.answer(answers)
    return (await site.get(path)).text
