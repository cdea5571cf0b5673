"""What changes something: sign in, pause and resume the loop, and every act on a bot, a job or a promotion.

Place in the flow: form → **action** → `/api/commands` with the operator's token → notice, or the command's own page. The actor
comes from the token, never from the form. Every form carries an idempotency key, so that sending it twice acts once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autonomy import clock
from autonomy.client import Found, Refused, Unreachable
from bots_ui.api.client import ProofApi
from bots_ui.api.documents import text_of
from bots_ui.operator.acts import MAX_REASON, unsent
from bots_ui.operator.sessions import Notice, Session, Sessions
from bots_ui.shown.facts import Facts

MAX_TOKEN: Final = 200
LOOP_COMMANDS: Final[Mapping[str, str]] = {"pause": "pause-loop.v1", "resume": "resume-loop.v1"}
DONE: Final[Mapping[str, str]] = {"pause": "The loop is paused", "resume": "The loop is resumed"}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The cookie of a new session."""

    cookie: str


@dataclass(frozen=True, slots=True)
class NotSignedIn:
    """Why not, and as which HTTP status."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The planner did it."""

    command_id: str
    actor: str
    tick: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """It is in the log; the planner has not answered."""

    command_id: str


@dataclass(frozen=True, slots=True)
class NotDone:
    """Nothing was changed, or it is unknown; `same_key` says that the same form may be sent again."""

    words: str
    status: int
    code: str = ""
    same_key: bool = True


async def sign_in(api: ProofApi, sessions: Sessions, token: str, address: str) -> SignedIn | NotSignedIn:
    """Begin a session of the token's operator."""
    found = await whose(api, sessions, token, address)
    return found if isinstance(found, NotSignedIn) else SignedIn(sessions.begin(*found, clock.monotonic_ms() / 1000))


async def whose(api: ProofApi, sessions: Sessions, token: str, address: str) -> tuple[str, str, str] | NotSignedIn:
    """Ask the API whose token it is; gives the token with its operator's name and role.

    A right token counts at any time; wrong ones are counted by the address they come from, and lock nobody out.
    """
    now_s = clock.monotonic_ms() / 1000
    token = token.strip()
    if not token or len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable():
        return NotSignedIn(422, f"A token has 1 to {MAX_TOKEN} printable characters.")
    match await api.whoami(token):
        case Found(document):
            return token, text_of(document, "name"), text_of(document, "role")
        case Refused(status=401 | 429):
            if sessions.failures.failed(address, now_s):
                return NotSignedIn(429, "Invalid operator token. Too many attempts; wait a minute.")
            return NotSignedIn(401, "Invalid operator token.")
        case Refused() | Unreachable() as loss:
            return NotSignedIn(503, f"The token could not be checked: {loss.words}.")


@dataclass(frozen=True, slots=True)
class LinkMade:
    """A link's code, for whom it is."""

    code: str
    name: str


NO_LINK: Final = (
    "This link was followed already, is older than five minutes, or is none of this page's. The command autonomy login makes another."
)


async def make_link(api: ProofApi, sessions: Sessions, token: str, address: str) -> LinkMade | NotSignedIn:
    """Make a link that signs the token's operator in once."""
    found = await whose(api, sessions, token, address)
    if isinstance(found, NotSignedIn):
        return found
    token, name, role = found
    return LinkMade(sessions.links.make(token, name, role, clock.monotonic_ms() / 1000), name)


async def follow_link(api: ProofApi, sessions: Sessions, code: str, address: str) -> SignedIn | NotSignedIn:
    """Sign in by a link. It is used up before anything is asked, and its operator may have been revoked meanwhile."""
    now_s = clock.monotonic_ms() / 1000
    link = sessions.links.take(code, now_s)
    if link is None:
        crowded = sessions.failures.failed(address, now_s)
        return NotSignedIn(429 if crowded else 410, f"{NO_LINK} Too many attempts; wait a minute." if crowded else NO_LINK)
    return await sign_in(api, sessions, link.token, address)


async def say(api: ProofApi, session: Session, document: Mapping[str, object], key: str) -> Accepted | Waiting | NotDone:
    """Say a command as this operator, once per key."""
    if not key.isascii() or not 1 <= len(key) <= MAX_TOKEN:
        return NotDone("The form has no key; load the page again.", 422)
    match await api.command(session.token, document, key):
        case Found(answer):
            return _answer_of(answer)
        case Refused() as refusal:
            unknown = refusal.code == "OUTCOME_UNKNOWN"
            words = f"It is unknown whether the command arrived. Sending this form again is safe: it acts once. ({refusal.words})"
            return NotDone(words if unknown else f"Refused: {refusal.words}", refusal.status, refusal.code, same_key=unknown)
        case Unreachable() as loss:
            return NotDone(f"It is unknown whether the command arrived: {loss.words}. Sending this form again is safe: it acts once.", 503)


def _answer_of(answer: Mapping[str, object]) -> Accepted | Waiting | NotDone:
    identity = text_of(answer, "commandId")
    match text_of(answer, "status"):
        case "ACCEPTED":
            return Accepted(identity, text_of(answer, "actor"), text_of(answer, "tick"))
        case "OPEN":
            return Waiting(identity)
        case status:
            code = text_of(answer, "code") or status
            limit = text_of(answer, "limitText")
            return NotDone(
                f"The planner rejected it: {code}{f', {limit}' if limit else ''} (command {identity}).", 409, code, same_key=False
            )


async def switch_loop(api: ProofApi, session: Session, facts: Facts, form: Mapping[str, str]) -> Notice:
    """Pause or resume; returns what to tell the operator."""
    verb, reason, key = form.get("verb", ""), form.get("reason", "").strip(), form.get("key", "")
    command = LOOP_COMMANDS.get(verb)
    if command is None:
        return Notice("Not sent: unknown action.")
    if not reason or len(reason) > MAX_REASON:
        return Notice(f"Not sent: a reason of 1 to {MAX_REASON} characters is needed.")
    if why := unsent(facts):
        return Notice(f"Not sent: {why[0].lower()}{why[1:]}")
    match await say(api, session, {"type": command, "scope": "fleet", "target": "", "reason": reason}, key):
        case Accepted(identity, actor, tick):
            return Notice(f"{DONE[verb]} by {actor}, tick {tick} (command {identity}).", good=True)
        case Waiting(identity):
            return Notice(f"The command is in the log, the planner has not answered yet (command {identity}).", good=True)
        case NotDone() as loss:
            return Notice(loss.words)
