"""What changes something: sign in, sign out, pause and resume the loop.

Place in the flow: form → **action** → `/api/commands` with the operator's token → notice on the next page. The actor comes from
the token, never from the form. Every form carries an idempotency key, so that sending it twice acts once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autonomy import clock
from bots_ui.client import Found, ProofApi, Refused, Unreachable
from bots_ui.facts import Facts
from bots_ui.rows import text_of
from bots_ui.sessions import Session, Sessions

MAX_TOKEN: Final = 200
MAX_REASON: Final = 200
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


async def sign_in(api: ProofApi, sessions: Sessions, token: str) -> SignedIn | NotSignedIn:
    """Ask the API whose token it is."""
    now_s = clock.monotonic_ms() / 1000
    if not sessions.may_try(now_s):
        return NotSignedIn(429, "Too many wrong tokens; try again in a minute.")
    token = token.strip()
    if not token or len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable():
        return NotSignedIn(422, f"A token has 1 to {MAX_TOKEN} printable characters.")
    match await api.whoami(token):
        case Found(document):
            return SignedIn(sessions.begin(token, text_of(document, "name"), text_of(document, "role"), now_s))
        case Refused(status=401):
            sessions.failed(now_s)
            return NotSignedIn(401, "This is no operator's token.")
        case Refused() | Unreachable() as loss:
            return NotSignedIn(503, f"The token could not be checked: {loss.words}.")


async def switch_loop(api: ProofApi, session: Session, facts: Facts, form: Mapping[str, str]) -> str:
    """Pause or resume; returns what to tell the operator."""
    verb, reason, key = form.get("verb", ""), form.get("reason", "").strip(), form.get("key", "")
    command = LOOP_COMMANDS.get(verb)
    if command is None:
        return "Not sent: the form names neither pause nor resume."
    if not reason or len(reason) > MAX_REASON:
        return f"Not sent: a reason of 1 to {MAX_REASON} characters is needed."
    if not facts.fresh:
        return f"Not sent: what is shown is not current ({facts.warning}). Nothing was changed."
    if not key.isascii() or not 1 <= len(key) <= MAX_TOKEN:
        return "Not sent: the form has no key; load the page again."
    answer = await api.command(session.token, {"type": command, "scope": "fleet", "target": "", "reason": reason}, key)
    match answer:
        case Found(document):
            return outcome_words(verb, document)
        case Refused():
            return f"Refused: {answer.words}"
        case Unreachable():
            return f"It is unknown whether the command landed: {answer.words}. Look at Commands before sending it again."


def outcome_words(verb: str, document: Mapping[str, object]) -> str:
    """What the planner answered."""
    identity = text_of(document, "commandId")
    match text_of(document, "status"):
        case "ACCEPTED":
            return f"{DONE[verb]} by {text_of(document, 'actor')}, tick {text_of(document, 'tick')} (command {identity})."
        case "OPEN":
            return f"The command is in the log, the planner has not answered yet (command {identity})."
        case status:
            why = text_of(document, "code") or text_of(document, "limitText") or status
            return f"The planner rejected it: {why} (command {identity})."
