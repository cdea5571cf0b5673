"""Who is signed in: a signed cookie with a random id; the token itself never leaves this process.

Place in the flow: sign-in form → **sessions** → actions. Sessions live in memory: a restart signs everybody out. The cookie is
HttpOnly and SameSite=Strict, and every unsafe request must come from this very origin.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from itsdangerous import BadSignature, TimestampSigner

from autonomy.client import Found, Refused, Unreachable
from autonomy.errors import Broken
from autonomy.throttle import Throttle
from bots_ui.api.client import ProofApi
from bots_ui.operator.links import Links

COOKIE: Final = "autonomy_session"
SALT: Final = "autonomy.bots-ui.session"
IDLE_S: Final = 30 * 60.0
ABSOLUTE_S: Final = 8 * 3600.0
MAX_SESSIONS: Final = 1_000
MIN_KEY_LENGTH: Final = 16
ATTEMPTS: Final = 10
"""Wrong tokens a minute from one address; a person needs two."""
CHECK_EVERY_S: Final = 1.0
"""So old an answer of the proof API about a token may be: a crowd of requests within a second asks once."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told once, on the next page."""

    words: str
    good: bool = False


@dataclass(slots=True)
class Session:
    """A signed-in operator.

    Attributes:
        checked_s: when the proof API was last asked whether the token is still valid.
        notice: is shown once, on the next page.
    """

    id: str
    token: str = field(repr=False)
    name: str
    role: str
    began_s: float
    seen_s: float
    checked_s: float = 0.0
    notice: Notice | None = None

    def take_notice(self) -> Notice | None:
        """The notice, once."""
        notice, self.notice = self.notice, None
        return notice


@dataclass(slots=True)
class Sessions:
    """All sessions of the process; times are of a clock that never goes back."""

    signer: TimestampSigner
    by_id: "OrderedDict[str, Session]" = field(default_factory=OrderedDict)
    failures: Throttle = field(default_factory=lambda: Throttle(ATTEMPTS))
    links: Links = field(default_factory=Links)
    cookie: str = COOKIE
    """The cookie's name: a browser sends cookies to every port of a host, so that two stacks need two names."""
    path: str = "/"
    """Below it the browser sends the cookie."""

    def begin(self, token: str, name: str, role: str, now_s: float) -> str:
        """Sign an operator in; returns the cookie's value."""
        session = Session(secrets.token_urlsafe(32), token, name, role, now_s, now_s, now_s)
        self.by_id[session.id] = session
        while len(self.by_id) > MAX_SESSIONS:
            self.by_id.popitem(last=False)
        return self.signer.sign(session.id).decode()

    def of_cookie(self, value: str | None, now_s: float) -> Session | None:
        """The session of a cookie, if it is ours and not too old; seen again from now."""
        if not value:
            return None
        try:
            identity = self.signer.unsign(value, max_age=int(ABSOLUTE_S)).decode()
        except BadSignature:
            return None
        session = self.by_id.get(identity)
        if session is None:
            return None
        if now_s - session.seen_s > IDLE_S or now_s - session.began_s > ABSOLUTE_S:
            del self.by_id[identity]
            return None
        session.seen_s = now_s
        return session

    def end(self, session: Session) -> None:
        """Sign out."""
        self.by_id.pop(session.id, None)

    def lives(self, session: Session, now_s: float) -> bool:
        """Whether it was not ended meanwhile, and is not too old."""
        return self.by_id.get(session.id) is session and now_s - session.began_s <= ABSOLUTE_S

    async def confirmed(self, session: Session | None, api: ProofApi, now_s: float) -> Session | None:
        """The session, if its token is still an operator's; a token that was revoked ends it, and a changed role counts at once.

        While the proof API does not answer, nothing new is known: the session stays, and there is nothing new to read either.
        """
        if session is None or now_s - session.checked_s < CHECK_EVERY_S:
            return session
        session.checked_s = now_s
        match await api.whoami(session.token):
            case Found(document):
                session.name, session.role = str(document.get("name", session.name)), str(document.get("role", session.role))
            case Refused(status=401 | 429):
                self.end(session)
            case Refused() | Unreachable():
                pass
        return session if self.lives(session, now_s) else None


def cookie_name(key: str, path: str, *, secure: bool) -> str:
    """The name that follows from a stack's key; over https a prefix makes the browser check that it is the host's alone.

    A cookie below a path may not have that prefix; the one it may have says https only.
    """
    tag = hashlib.sha256(f"{SALT}.cookie:{key}".encode()).hexdigest()[:8]
    prefix = "" if not secure else "__Secure-" if path else "__Host-"
    return f"{prefix}{COOKIE}_{tag}"


def build_sessions(key_file: Path, *, secure: bool = False, path: str = "") -> Sessions:
    """Sessions signed with the key of a file.

    Raises:
        Broken: the file cannot be read, or its key is too short.
    """
    try:
        key = key_file.read_text().strip()
    except OSError as refusal:
        raise Broken(f"SESSION_KEY_FILE {key_file} cannot be read") from refusal
    if len(key) < MIN_KEY_LENGTH:
        raise Broken(f"SESSION_KEY_FILE {key_file} must hold at least {MIN_KEY_LENGTH} characters")
    return Sessions(TimestampSigner(key, salt=SALT), cookie=cookie_name(key, path, secure=secure), path=path or "/")


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether an unsafe request comes from a page of this origin.

    The browser's own word counts; where it gives none, `Origin` must name this host. Without both: no.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin, host = headers.get("origin"), headers.get("host")
    return bool(origin and host) and urlsplit(origin or "").netloc == host
