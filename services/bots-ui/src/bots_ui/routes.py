"""Addresses of the Bots page.

Place in the flow: request → **route** → page or action → template. Reading is GET and changes nothing; what changes something is
a form that was sent from here, by somebody who is signed in.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, cast

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from autonomy import clock
from autonomy.values import BOT_ID
from bots_ui import actions, pages
from bots_ui.client import Found
from bots_ui.pages import CHOICES, asked_of
from bots_ui.sessions import COOKIE, Session
from bots_ui.stream import MAX_CLIENTS, events

if TYPE_CHECKING:
    from bots_ui.app import Shared

router = APIRouter()
SEE_OTHER: Final = 303
SESSION_COOKIE_S: Final = 8 * 3600


def shared_of(request: Request) -> "Shared":
    """What this process shares."""
    return cast("Shared", request.app.state.shared)


def session_of(request: Request) -> Session | None:
    """Who is signed in."""
    return cast("Session | None", getattr(request.state, "session", None))


InSession = Annotated[Session | None, Depends(session_of)]


def render(request: Request, template: str, context: Mapping[str, object], status: int = 200) -> Response:
    """A page with its frame: header, who is signed in, and the address of its stream."""
    shared, session = shared_of(request), session_of(request)
    frame = {
        "facts": shared.hub.facts(), "session": session, "notice": session.take_notice() if session else "",
        "live": "/live", "now": clock.now(), "path": request.url.path, "key": clock.drawn_id(),
    }  # fmt: skip
    html = shared.environment.get_template(template).render({**frame, **context})
    return Response(html, status, {"Vary": "HX-Request, Cookie"}, "text/html; charset=utf-8")


@router.get("/")
async def bots(request: Request) -> Response:
    """The fleet."""
    query = request.query_params.multi_items()
    asked = asked_of(query, CHOICES)
    shared = shared_of(request)
    canonical = pages.with_query("/", asked.params())
    # An empty field of the form, or an unknown word, leaves no trace in the address.
    if any(not value for _, value in query) and "hx-request" not in request.headers:
        return RedirectResponse(canonical, SEE_OTHER)
    response = render(request, "bots.html", await pages.bots(shared.api, shared.hub, asked))
    if "hx-request" in request.headers:
        response.headers["HX-Push-Url"] = canonical
    return response


@router.get("/bots/{bot_id}")
async def bot(request: Request, bot_id: str) -> Response:
    """One bot."""
    if BOT_ID.match(bot_id) is None:
        raise HTTPException(404, "There is no bot of this name.")
    shared = shared_of(request)
    context, status = await pages.bot(shared.api, shared.hub, bot_id)
    return render(request, "bot.html", context, status)


@router.get("/jobs")
async def jobs(request: Request) -> Response:
    """Jobs."""
    return render(request, "jobs.html", await pages.jobs(shared_of(request).api, request.query_params.multi_items()))


@router.get("/runs")
async def runs(request: Request) -> Response:
    """Ticks."""
    return render(request, "runs.html", await pages.runs(shared_of(request).api, request.query_params.multi_items()))


@router.get("/stages")
async def stages(request: Request) -> Response:
    """Stage history."""
    return render(request, "stages.html", await pages.stages(shared_of(request).api, request.query_params.multi_items()))


@router.get("/commands")
async def commands(request: Request) -> Response:
    """Operators' commands."""
    return render(request, "commands.html", await pages.commands(shared_of(request).api, request.query_params.multi_items()))


@router.get("/live")
async def live(request: Request) -> Response:
    """The stream of one open page."""
    hub = shared_of(request).hub
    if len(hub.clients) >= MAX_CLIENTS:
        return PlainTextResponse(f"At most {MAX_CLIENTS} pages are open at once; load the page again later.", 503, {"Retry-After": "5"})
    view = pages.view_of(request.query_params.multi_items())
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(hub, view), media_type="text/event-stream", headers=headers)


@router.get("/sign-in")
async def sign_in_form(request: Request) -> Response:
    """The form for an operator's token."""
    return render(request, "sign_in.html", {"fault": ""})


@router.post("/sign-in")
async def sign_in(request: Request, token: Annotated[str, Form(max_length=1000)] = "") -> Response:
    """Check the token with the API and begin a session."""
    shared = shared_of(request)
    match await actions.sign_in(shared.api, shared.sessions, token):
        case actions.SignedIn(cookie):
            response = RedirectResponse("/", SEE_OTHER)
            response.set_cookie(
                COOKIE, cookie, max_age=SESSION_COOKIE_S, httponly=True, samesite="strict", secure=shared.settings.cookie_secure
            )
            return response
        case actions.NotSignedIn(status, why):
            return render(request, "sign_in.html", {"fault": why}, status)


@router.post("/sign-out")
async def sign_out(request: Request, session: InSession) -> Response:
    """End the session."""
    if session is not None:
        shared_of(request).sessions.end(session)
    response = RedirectResponse("/", SEE_OTHER)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.post("/loop")
async def switch_loop(
    request: Request, session: InSession, verb: Annotated[str, Form()] = "", reason: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Pause or resume the loop."""
    if session is None:
        return RedirectResponse("/sign-in", SEE_OTHER)
    shared = shared_of(request)
    form = {"verb": verb, "reason": reason, "key": key}
    session.notice = await actions.switch_loop(shared.api, session, shared.hub.facts(), form)
    return RedirectResponse("/", SEE_OTHER)


@router.get("/livez")
async def livez() -> Response:
    """This process runs."""
    return PlainTextResponse("ok")


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """503 while the proof API does not answer."""
    hub = shared_of(request).hub
    if hub.link.lost_since is None:
        return PlainTextResponse("ok")
    found = await hub.api.get("/livez")
    ready = isinstance(found, Found)
    return PlainTextResponse("ok" if ready else f"the proof API is not reached: {hub.link.why}", 200 if ready else 503)
