"""What every answer of this site has in common: the frame around a page, who is signed in, the theme, where to go back to.

Place in the flow: route → **frame** → HTML.
"""

from collections.abc import Mapping
from typing import Annotated, Final, cast
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import Response

from autonomy import clock
from bots_ui.context import Shared
from bots_ui.operator.acts import ACTS, denied
from bots_ui.operator.sessions import Session

THEME_COOKIE: Final = "autonomy_theme"
THEMES: Final = ("auto", "light", "dark")
SEE_OTHER: Final = 303
MAX_BACK: Final = 2_000


def shared_of(request: Request) -> Shared:
    """What this process shares."""
    return cast("Shared", request.app.state.shared)


def session_of(request: Request) -> Session | None:
    """Who is signed in."""
    return cast("Session | None", getattr(request.state, "session", None))


InSession = Annotated[Session | None, Depends(session_of)]


def theme_of(request: Request) -> str:
    """The theme of this browser; auto follows the system."""
    theme = request.cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else THEMES[0]


def safe_back(address: str) -> str:
    """An address of this site, or the first page: a form never sends anybody elsewhere."""
    own = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable() and len(address) <= MAX_BACK
    return address if own else "/"


def is_shown(request: Request) -> bool:
    """Whether a person sees this answer whole: a notice is not for a page that fetches a part of itself again."""
    return "hx-request" not in request.headers and request.headers.get("sec-fetch-dest", "document") == "document"


def render(request: Request, template: str, context: Mapping[str, object], status: int = 200) -> Response:
    """A page with its frame: header, who is signed in, and the address of its stream."""
    shared, session = shared_of(request), session_of(request)
    facts = shared.hub.facts()
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    signed_for = "/" if request.url.path == "/sign-in" else here
    frame = {
        "facts": facts, "session": session, "notice": session.take_notice() if session and is_shown(request) else None,
        "live": "/live", "now": facts.now, "path": request.url.path, "here": here if request.method == "GET" else "/",
        "signed_for": quote(signed_for if request.method == "GET" else "/", safe="/"),
        "key": clock.drawn_id(), "theme": theme_of(request), "themes": THEMES, "waiting": shared.hub.waiting_words(),
        "why_not": {verb: denied(session, act) for verb, act in ACTS.items()},
    }  # fmt: skip
    html = shared.environment.get_template(template).render({**frame, **context})
    return Response(html, status, {"Vary": "HX-Request, Cookie"}, "text/html; charset=utf-8")
