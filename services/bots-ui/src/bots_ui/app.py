"""Wire the Bots page together.

Place in the flow: browser ↔ **app** ↔ proof-api. Serves pages, the live stream, its own static files and the few forms that act.
No request of a page leaves the origin; the policy that says so is sent with every answer.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

from autonomy import clock
from autonomy.supervision import Supervisor, Work
from bots_ui import routes
from bots_ui.acting import forms
from bots_ui.api.client import build_client
from bots_ui.assets import STATIC, build_environment, find_assets
from bots_ui.base_path import AtBasePath
from bots_ui.context import Shared
from bots_ui.frame import is_shown, render, safe_back
from bots_ui.operator.sessions import Session, build_sessions, is_same_origin
from bots_ui.pages.asked import with_query
from bots_ui.pages.rendering import build_renderers
from bots_ui.settings import UiSettings
from bots_ui.stream.hub import Hub

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS: Final = ("/static/", "/sign-in", "/theme", "/clock", "/fold", "/livez", "/readyz")
LINKS: Final = "/sign-in/links"
"""Where programs make links that sign in once."""
ACTS: Final = ("/act/", "/loop")
STREAM: Final = "/live"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SMALL: Final = 1_000
"""Bytes below which an answer is sent as it is."""
MAX_FORM_BYTES: Final = 65_536
"""A revert names up to 500 bots of up to 64 characters."""
Next = Callable[[Request], Awaitable[Response]]


def create_app(settings: UiSettings) -> FastAPI:
    """The application; nothing connects before its lifespan begins."""
    environment = build_environment(find_assets(), settings.base_path)
    sessions = build_sessions(settings.session_key_file, secure=settings.cookie_secure, path=settings.base_path)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        api = build_client(settings.api_url, settings.api_token_file)
        hub = Hub(api, build_renderers(environment))
        app.state.shared = Shared(settings, api, hub, sessions, environment)
        supervisor = Supervisor((
            Work("the listener to the proof API", partial(hub.keep, hub.listen), lambda: hub.heard),
            Work("the beat of the open pages", partial(hub.keep, hub.beat), lambda: hub.beaten),
            Work("the questions to the proof API", partial(hub.keep, hub.ask), lambda: hub.asked),
            Work("the look at open lists", partial(hub.keep, hub.look), lambda: hub.looked),
            Work("the picture of the last hour", partial(hub.keep, hub.draw), lambda: hub.drew),
        ))  # fmt: skip
        supervisor.start()
        try:
            yield
        finally:
            hub.stopping.set()
            await supervisor.stop()
            await api.close()

    app = FastAPI(title="Bots", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/static", Immutable(directory=STATIC), name="static")
    app.include_router(routes.router)
    app.include_router(forms.router)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(ClientDisconnect, on_cut)
    guard(app)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts))
    app.add_middleware(AtBasePath, base=settings.base_path)
    # A page has no secret beside what a stranger can put into it, and no stream goes through here.
    app.add_middleware(GZipMiddleware, minimum_size=SMALL, compresslevel=5)
    return app


class Immutable(StaticFiles):
    """Static files; an address with the content's hash or a version in it never changes its content."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, to be kept by the browser where its address says what is in it."""
        response = await super().get_response(path, scope)
        named = b"v=" in scope.get("query_string", b"") or path.startswith("vendor/")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if named else "no-cache"
        return response


def guard(app: FastAPI) -> None:
    """Refuse cross-site and oversized forms, ask for a sign-in where reading needs one, and send the policy."""

    @app.middleware("http")
    async def check(request: Request, call_next: Next) -> Response:
        shared: Shared = request.app.state.shared
        now_s = clock.monotonic_ms() / 1000
        session = shared.sessions.of_cookie(request.cookies.get(shared.sessions.cookie), now_s)
        if not request.url.path.startswith("/static/"):
            session = await shared.sessions.confirmed(session, shared.api, now_s)
        request.state.session = session
        refusal = refusal_of(request, session, shared.settings)
        response = refusal or await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def refusal_of(request: Request, session: Session | None, settings: UiSettings) -> Response | None:
    """Why a request is not let in; None when it is."""
    if request.method not in SAFE:
        # A page of elsewhere cannot put a credential into its header, and no cookie counts there.
        by_header = request.url.path == LINKS and "authorization" in request.headers
        if not by_header and not is_same_origin(request.headers):
            origin, host = (request.headers.get(name, "none")[:200] for name in ("origin", "host"))
            return PlainTextResponse(
                f"This form was not sent from a page of this origin (Origin: {origin}, Host: {host}). A proxy must keep the Host header.",
                403,
            )
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MAX_FORM_BYTES:
            return PlainTextResponse(f"A form has at most {MAX_FORM_BYTES} bytes and says its length.", 413)
    if settings.reading_needs_a_token and session is None and not request.url.path.startswith(OPEN_PATHS):
        return None if keeps_what_was_typed(request) else RedirectResponse(sign_in_for(request), 303)
    return None


def keeps_what_was_typed(request: Request) -> bool:
    """Whether a form without a session goes to its route, which reads it, sends nothing, and asks for a sign-in that leads back into it."""
    return request.method == "POST" and request.url.path.startswith(ACTS)


def sign_in_for(request: Request) -> str:
    """The sign-in that leads back to the page that was asked for; a part of a page, or a stream, is no place to go to."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    is_page = request.method == "GET" and is_shown(request) and request.url.path != STREAM
    return with_query("/sign-in", [("back", here)] if is_page and safe_back(here) == here != "/" else [])


async def on_cut(_: Request, _cut: Exception) -> Response:
    """A form whose sender went away."""
    return PlainTextResponse("The form was cut off before its end.", 400)


async def on_http_error(request: Request, refusal: Exception) -> Response:
    """An error as a page of this site."""
    status = refusal.status_code if isinstance(refusal, HTTPException) else 500
    words = str(refusal.detail) if isinstance(refusal, HTTPException) else "Something went wrong here."
    return render(request, "error.html", {"status": status, "words": words}, status)
