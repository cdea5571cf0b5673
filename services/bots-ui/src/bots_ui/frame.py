"""What every answer of this site has in common: the frame around a page, who is signed in, the theme, where to go back to.

Place in the flow: route → **frame** → HTML.
"""

from collections.abc import Mapping
from typing import Annotated, Final, cast
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Depends, Request
from fastapi.responses import Response

from autonomy import clock
from bots_ui.context import Shared
from bots_ui.operator.acts import ACTS, denied
from bots_ui.operator.sessions import Session
from bots_ui.pages.asked import Asked, fleet_asked

THEME_COOKIE: Final = "autonomy_theme"
THEMES: Final = ("auto", "light", "dark")
CLOCK_COOKIE: Final = "autonomy_clock"
CLOCKS: Final = ("UTC", "local")
FOLD_COOKIE: Final = "autonomy_hour"
FOLDS: Final = ("shut", "open")
"""Of the last hour on the Bots page: a strip, so that the first bot stands high, or the whole picture."""
LIST_COOKIE: Final = "autonomy_list"
MAX_LIST: Final = 1_500
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


def clock_of(request: Request) -> str:
    """By which clock this browser shows times; the local one is put there by its scripts, since only they know where it is."""
    chosen = request.cookies.get(CLOCK_COOKIE, "")
    return chosen if chosen in CLOCKS else CLOCKS[0]


def fold_of(request: Request) -> str:
    """Whether this browser shows the last hour folded."""
    chosen = request.cookies.get(FOLD_COOKIE, "")
    return chosen if chosen in FOLDS else FOLDS[0]


def last_list(request: Request) -> Asked:
    """The fleet's list that this browser showed last."""
    return fleet_asked(parse_qsl(request.cookies.get(LIST_COOKIE, "")[:MAX_LIST]))


def keep_list(request: Request, response: Response, asked: Asked) -> None:
    """Remember the fleet's list, so that a bot's page knows what is before and after it; until the browser is closed."""
    said = urlencode(asked.of_list)
    if said == request.cookies.get(LIST_COOKIE, ""):
        return
    shared = shared_of(request)
    kept = {"httponly": True, "samesite": "lax", "secure": shared.settings.cookie_secure, "path": shared.sessions.path}
    if said and len(said) <= MAX_LIST:
        response.set_cookie(LIST_COOKIE, said, **kept)  # type: ignore[arg-type] # one word of each type
    else:
        response.delete_cookie(LIST_COOKIE, **kept)  # type: ignore[arg-type] # as above


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
    signed_for = "/" if request.url.path.startswith("/sign-in") else here
    frame = {
        "facts": facts, "session": session, "notice": session.take_notice() if session and is_shown(request) else None,
        "live": "/live", "now": facts.now, "path": request.url.path, "here": here if request.method == "GET" else "/",
        "signed_for": quote(signed_for if request.method == "GET" else "/", safe="/"),
        "key": clock.drawn_id(), "theme": theme_of(request), "themes": THEMES, "clock": clock_of(request),
        "fold": fold_of(request),
        "waiting": shared.hub.waiting_words(),
        "why_not": {verb: denied(session, act) for verb, act in ACTS.items()},
    }  # fmt: skip
    html = shared.environment.get_template(template).render({**frame, **context})
    return Response(html, status, {"Vary": "HX-Request, Cookie"}, "text/html; charset=utf-8")
