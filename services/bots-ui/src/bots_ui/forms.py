"""Addresses that change something, and the sheets before them: sign in and out, theme, loop, every act, revert to LAB.

Place in the flow: form → **route** → action → redirect. What changes something was sent from a page of this origin (the guard sees to
it), by somebody who is signed in.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from bots_ui import actions, sheets
from bots_ui.acting import ACTS, Unfit, command_of, refused
from bots_ui.actions import Accepted, NotDone, Waiting
from bots_ui.frame import SEE_OTHER, THEME_COOKIE, THEMES, InSession, render, safe_back, session_of, shared_of
from bots_ui.reverting import revert_command, wanted_of
from bots_ui.sessions import Notice, Session

router = APIRouter()
SESSION_COOKIE_S: Final = 8 * 3600
THEME_COOKIE_S: Final = 365 * 86_400
MAX_FIELDS: Final = 600
"""A revert names at most 500 bots."""


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
                shared.sessions.cookie,
                cookie,
                max_age=SESSION_COOKIE_S,
                httponly=True,
                samesite="strict",
                secure=shared.settings.cookie_secure,
            )
            return response
        case actions.NotSignedIn(status, why):
            return render(request, "sign_in.html", {"fault": why}, status)


@router.post("/sign-out")
async def sign_out(request: Request, session: InSession) -> Response:
    """End the session."""
    shared = shared_of(request)
    if session is not None:
        shared.sessions.end(session)
    response = RedirectResponse("/", SEE_OTHER)
    response.delete_cookie(shared.sessions.cookie, httponly=True, samesite="strict", secure=shared.settings.cookie_secure)
    return response


@router.post("/theme")
async def set_theme(request: Request, theme: Annotated[str, Form()] = "", back: Annotated[str, Form()] = "/") -> Response:
    """Keep the theme in this browser."""
    response = RedirectResponse(safe_back(back), SEE_OTHER)
    if theme in THEMES:
        secure = shared_of(request).settings.cookie_secure
        response.set_cookie(THEME_COOKIE, theme, max_age=THEME_COOKIE_S, httponly=True, samesite="lax", secure=secure)
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


@router.get("/act/revert")
async def revert_sheet(request: Request, session: InSession) -> Response:
    """What a revert to LAB would do; changes nothing."""
    query = request.query_params.multi_items()
    context = await sheets.revert_sheet(shared_of(request).api, session, wanted_of(query), {})
    return render(request, "revert.html", {"fault": "", **context})


@router.post("/act/revert")
async def revert(request: Request, session: InSession) -> Response:
    """Revert exactly what the dry run named, or show the plan as it is by now."""
    if session is None:
        return RedirectResponse("/sign-in", SEE_OTHER)
    pairs = await pairs_of(request)
    form, wanted = dict(pairs), wanted_of(pairs)
    shared = shared_of(request)
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
    if session is None:
        return RedirectResponse("/sign-in", SEE_OTHER)
    form = dict(await pairs_of(request))
    shared, asked = shared_of(request), ACTS[known_verb(verb)]
    why = refused(session, shared.hub.facts(), asked)
    command = Unfit(why) if why else command_of(verb, form)
    if isinstance(command, Unfit):
        return await sheet_again(request, verb, form, command.words, 403 if why else 422)
    back = "/promotions" if verb == "mode" else f"/bots/{form['bot']}"
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
    """The same key while it is unknown whether the command landed, so that sending again acts once."""
    return {"key": form.get("key", "")} if loss.same_key else {}


def known_verb(verb: str) -> str:
    """A verb that there is.

    Raises:
        HTTPException: 404.
    """
    if verb not in ACTS or verb == "revert":
        raise HTTPException(404, "There is no such act.")
    return verb


async def pairs_of(request: Request) -> list[tuple[str, str]]:
    """A form's texts, in order."""
    async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
        return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
