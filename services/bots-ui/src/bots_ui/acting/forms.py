"""Addresses that change something, and the sheets before them: sign in and out, theme, loop, every act, revert to LAB.

Place in the flow: form → **route** → action → redirect. What changes something was sent from a page of this origin (the guard sees to
it), by somebody who is signed in.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from urllib.parse import quote, unquote

from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from autonomy import clock
from bots_ui.acting import actions, sheets
from bots_ui.acting.actions import Accepted, NotDone, Waiting
from bots_ui.acting.reverting import revert_command, wanted_of
from bots_ui.frame import (
    CLOCK_COOKIE,
    CLOCKS,
    FOLD_COOKIE,
    FOLDS,
    MAX_BACK,
    SEE_OTHER,
    THEME_COOKIE,
    THEMES,
    InSession,
    render,
    safe_back,
    session_of,
    shared_of,
)
from bots_ui.operator.acts import ACTS, MAX_REASON, Unfit, command_of, denied, of_another, refused
from bots_ui.operator.links import LIVES_S, MAX_CODE
from bots_ui.operator.sessions import Notice, Session
from bots_ui.pages.asked import with_query

router = APIRouter()
SESSION_COOKIE_S: Final = 8 * 3600
BACK_COOKIE_S: Final = 15 * 60
MAX_KEPT: Final = 3_500
"""A cookie holds 4,096 bytes with its name."""
LOOK_COOKIE_S: Final = 365 * 86_400
ACTING: Final = ("/act/", "/loop?")
DRAWN: Final = frozenset({"key", "operator", "planHash", "expectedCount", "count"})
"""Fields of a form that belong to one rendering of it, not to what somebody typed."""
MAX_FIELDS: Final = 600
"""A revert names at most 500 bots."""


@router.get("/sign-in")
async def sign_in_form(request: Request, back: str = "/") -> Response:
    """The form for an operator's token; afterwards it goes on where it was asked for, also by a link that comes from elsewhere."""
    to = safe_back(back)
    response = render(request, "sign_in.html", {"fault": "", "back": to})
    keep_back(request, response, to)
    return response


def keep_back(request: Request, response: Response, back: str) -> None:
    """Remember for a while where this browser was, with what was typed there; an address, which is looked at again before it is used."""
    shared, kept = shared_of(request), quote(back, safe="/")
    name, path = back_cookie(request), shared.sessions.path
    if back != "/" and len(kept) <= MAX_KEPT:
        secure = shared.settings.cookie_secure
        response.set_cookie(name, kept, max_age=BACK_COOKIE_S, httponly=True, samesite="lax", secure=secure, path=path)
    elif name in request.cookies:
        response.delete_cookie(name, path=path, httponly=True, samesite="lax", secure=shared.settings.cookie_secure)


def back_cookie(request: Request) -> str:
    """The cookie's name: of this stack, as the session's."""
    return f"{shared_of(request).sessions.cookie}_back"


def to_sign_in(address: str, typed: Sequence[tuple[str, str]]) -> Response:
    """Ask for a sign-in first; what was typed travels through it, back into its form, and is not sent by itself."""
    kept = [(name, value) for name, value in typed if name not in DRAWN]
    back = safe_back(with_query(address, kept))
    if back == "/":  # too long for an address, as of a revert of many bots by name: the filter says the same
        back = safe_back(with_query(address, [(name, value) for name, value in kept if name != "bot"]))
    return RedirectResponse(with_query("/sign-in", [("back", back)]), SEE_OTHER)


@router.post("/sign-in")
async def sign_in(
    request: Request, token: Annotated[str, Form(max_length=1000)] = "", back: Annotated[str, Form(max_length=MAX_BACK)] = "/"
) -> Response:
    """Check the token with the API and begin a session."""
    shared = shared_of(request)
    match await actions.sign_in(shared.api, shared.sessions, token, address_of(request)):
        case actions.SignedIn(cookie):
            return signed_in(request, cookie, safe_back(back))
        case actions.NotSignedIn(status, why):
            return render(request, "sign_in.html", {"fault": why, "back": safe_back(back)}, status)


def signed_in(request: Request, cookie: str, to: str) -> Response:
    """Go on where one was, with a new session; the one before ends."""
    shared, before = shared_of(request), session_of(request)
    if before is not None:
        shared.sessions.end(before)
    session = shared.sessions.of_cookie(cookie, clock.monotonic_ms() / 1000)
    if session is not None and to.startswith(ACTING):
        session.notice = Notice(f"Signed in as {session.name}. Nothing was sent yet: look again, and confirm.", good=True)
    response = RedirectResponse(to, SEE_OTHER)
    secure, path = shared.settings.cookie_secure, shared.sessions.path
    response.set_cookie(
        shared.sessions.cookie, cookie, max_age=SESSION_COOKIE_S, httponly=True, samesite="strict", secure=secure, path=path
    )
    keep_back(request, response, "/")
    return response


@router.post("/sign-in/links")
async def make_link(request: Request, authorization: Annotated[str | None, Header(max_length=1000)] = None) -> Response:
    """Make a link that signs in once, for a program that shows a token in its header; no cookie counts here."""
    shared = shared_of(request)
    scheme, _, token = (authorization or "").partition(" ")
    found = await actions.make_link(shared.api, shared.sessions, token if scheme == "Bearer" else "", address_of(request))
    if isinstance(found, actions.NotSignedIn):
        return JSONResponse({"title": "No link", "status": found.status, "code": "NOT_SIGNED_IN", "detail": found.why}, found.status)
    return JSONResponse({"path": with_query("/sign-in/once", [("code", found.code)]), "name": found.name, "seconds": LIVES_S})


@router.get("/sign-in/once")
async def link_form(request: Request, code: str = "") -> Response:
    """Whom a link signs in; changes nothing, so that nothing that only looks at addresses uses it up."""
    link = shared_of(request).sessions.links.look(code, clock.monotonic_ms() / 1000)
    back = safe_back(unquote(request.cookies.get(back_cookie(request), "/")))
    context = {"link": link, "code": code, "fault": "" if link else actions.NO_LINK, "back": back}
    return render(request, "sign_in_once.html", context, 200 if link else 410)


@router.post("/sign-in/once")
async def follow_link(
    request: Request, code: Annotated[str, Form(max_length=MAX_CODE)] = "", back: Annotated[str, Form(max_length=MAX_BACK)] = "/"
) -> Response:
    """Sign in by a link, once."""
    shared = shared_of(request)
    match await actions.follow_link(shared.api, shared.sessions, code, address_of(request)):
        case actions.SignedIn(cookie):
            return signed_in(request, cookie, safe_back(back))
        case actions.NotSignedIn(status, why):
            return render(request, "sign_in_once.html", {"link": None, "code": "", "fault": why, "back": safe_back(back)}, status)


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"


@router.post("/sign-out")
async def sign_out(request: Request, session: InSession) -> Response:
    """End the session."""
    shared = shared_of(request)
    if session is not None:
        shared.sessions.end(session)
    response = RedirectResponse("/", SEE_OTHER)
    secure, path = shared.settings.cookie_secure, shared.sessions.path
    response.delete_cookie(shared.sessions.cookie, path=path, httponly=True, samesite="strict", secure=secure)
    return response


def keep(request: Request, back: str, cookie: str, value: str, known: Sequence[str]) -> Response:
    """Keep a choice of how pages look in this browser, and go back."""
    response = RedirectResponse(safe_back(back), SEE_OTHER)
    if value in known:
        secure, path = shared_of(request).settings.cookie_secure, shared_of(request).sessions.path
        response.set_cookie(cookie, value, max_age=LOOK_COOKIE_S, httponly=True, samesite="lax", secure=secure, path=path)
    return response


@router.post("/theme")
async def set_theme(request: Request, theme: Annotated[str, Form()] = "", back: Annotated[str, Form()] = "/") -> Response:
    """Keep the theme."""
    return keep(request, back, THEME_COOKIE, theme, THEMES)


@router.post("/clock")
async def set_clock(request: Request, chosen: Annotated[str, Form(alias="clock")] = "", back: Annotated[str, Form()] = "/") -> Response:
    """Keep by which clock times are shown."""
    return keep(request, back, CLOCK_COOKIE, chosen, CLOCKS)


@router.post("/fold")
async def set_fold(request: Request, fold: Annotated[str, Form()] = "", back: Annotated[str, Form()] = "/") -> Response:
    """Keep whether the last hour is a strip or the whole picture."""
    return keep(request, back, FOLD_COOKIE, fold, FOLDS)


@router.get("/loop")
async def loop_sheet(request: Request, verb: str = "", reason: str = "") -> Response:
    """The form of a pause or a resume as a page of its own; changes nothing."""
    return show_loop(request, verb, reason)


def show_loop(request: Request, verb: str, reason: str, fault: str = "", status: int = 200) -> Response:
    """The form with what was typed, and why it was not sent.

    Raises:
        HTTPException: 404, where it is neither a pause nor a resume.
    """
    if verb not in actions.LOOP_COMMANDS:
        raise HTTPException(404, "Unknown action.")
    why = denied(session_of(request), ACTS["revert"])
    return render(request, "loop_sheet.html", {"verb": verb, "reason": reason[:MAX_REASON], "fault": fault, "why": why}, status)


@router.post("/loop")
async def switch_loop(request: Request, session: InSession) -> Response:
    """Pause or resume the loop."""
    pairs = await pairs_of(request)
    form = {"verb": "", "reason": "", "key": ""} | dict(pairs)
    if session is None:
        return to_sign_in("/loop", pairs)
    shared = shared_of(request)
    fault = of_another(session, form)
    if fault and form["verb"] in actions.LOOP_COMMANDS:
        return show_loop(request, form["verb"], form["reason"], fault, 409)
    session.notice = await actions.switch_loop(shared.api, session, shared.hub.facts(), form)
    return RedirectResponse("/", SEE_OTHER)


@router.get("/act/revert")
async def revert_sheet(request: Request, session: InSession) -> Response:
    """What a revert to LAB would do; changes nothing."""
    query = request.query_params.multi_items()
    context = await sheets.revert_sheet(shared_of(request).api, session, wanted_of(query), dict(query))
    return render(request, "revert.html", {"fault": "", **context})


@router.post("/act/revert")
async def revert(request: Request, session: InSession) -> Response:
    """Revert exactly what the dry run named, or show the plan as it is by now."""
    pairs = await pairs_of(request)
    if session is None:
        return to_sign_in("/act/revert", pairs)
    form, wanted = dict(pairs), wanted_of(pairs)
    shared = shared_of(request)
    fault = of_another(session, form)
    if fault:
        context = await sheets.revert_sheet(shared.api, session, wanted, form)
        return render(request, "revert.html", {"fault": fault, **context}, 409)
    why = refused(session, shared.hub.facts(), ACTS["revert"])
    command = Unfit(why) if why else revert_command(wanted, form)
    if not isinstance(command, Unfit):
        match await actions.say(shared.api, session, command, form.get("key", "")):
            case Accepted(identity) | Waiting(identity):
                return RedirectResponse(f"/commands/{identity}", SEE_OTHER)
            case NotDone() as loss:
                changed = loss.code == "PLAN_CHANGED"
                words = (
                    f"The fleet changed since the dry run: nothing was reverted. This is the plan now. {loss.words}"
                    if changed
                    else loss.words
                )
                context = await sheets.revert_sheet(shared.api, session, wanted, form)
                return render(request, "revert.html", {"fault": words, **context, **_key_again(loss, form)}, loss.status)
    context = await sheets.revert_sheet(shared.api, session, wanted, form)
    return render(request, "revert.html", {"fault": command.words, **context}, 403 if why else 422)


@router.get("/act/{verb}")
async def act_sheet(request: Request, verb: str, session: InSession) -> Response:
    """What one act would do; changes nothing."""
    form = dict(request.query_params.multi_items())
    context = await sheets.act_sheet(shared_of(request).api, session, known_verb(verb), form)
    return render(request, "act.html", {"fault": "", **context})


@router.post("/act/{verb}")
async def act(request: Request, verb: str, session: InSession) -> Response:
    """Do it, once per key."""
    pairs = await pairs_of(request)
    if session is None:
        return to_sign_in(f"/act/{known_verb(verb)}", pairs)
    form = dict(pairs)
    shared, asked = shared_of(request), ACTS[known_verb(verb)]
    fault = of_another(session, form)
    if fault:
        return await sheet_again(request, verb, form, fault, 409)
    why = refused(session, shared.hub.facts(), asked)
    command = Unfit(why) if why else command_of(verb, form)
    if isinstance(command, Unfit):
        return await sheet_again(request, verb, form, command.words, 403 if why else 422)
    back = safe_back(sheets.back_of(verb, form))
    match await actions.say(shared.api, session, command, form.get("key", "")):
        case Accepted(identity, actor, tick):
            session.notice = Notice(f"{asked.done} by {actor}, tick {tick} (command {identity}).", good=True)
            return RedirectResponse(back, SEE_OTHER)
        case Waiting(identity):
            return RedirectResponse(f"/commands/{identity}", SEE_OTHER)
        case NotDone() as loss:
            return await sheet_again(request, verb, form, loss.words, loss.status, _key_again(loss, form))


async def sheet_again(
    request: Request, verb: str, form: Mapping[str, str], fault: str, status: int, more: Mapping[str, object] | None = None
) -> Response:
    """The sheet with what was typed, and why it was not done."""
    session: Session | None = session_of(request)
    context = await sheets.act_sheet(shared_of(request).api, session, verb, form)
    return render(request, "act.html", {"fault": fault, **context, **(more or {})}, status)


def _key_again(loss: NotDone, form: Mapping[str, str]) -> dict[str, object]:
    """The same key while unknown whether the command arrived, so that sending again acts once."""
    return {"key": form.get("key", "")} if loss.same_key else {}


def known_verb(verb: str) -> str:
    """A verb that there is.

    Raises:
        HTTPException: 404.
    """
    if verb not in ACTS or verb == "revert":
        raise HTTPException(404, "Unknown action.")
    return verb


async def pairs_of(request: Request) -> list[tuple[str, str]]:
    """A form's texts, in order."""
    async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
        return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
