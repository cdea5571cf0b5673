"""What an operator may ask for here: each act with its words, its role, and the command that its form becomes.

Place in the flow: form → **acts** → actions → `/api/commands`. Pure. A reason why not is words for people; the proof API and
the planner decide again, and their word counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

from autonomy.values import BOT_ID, iso
from bots_ui.operator.sessions import Session
from bots_ui.shown.facts import Facts
from bots_ui.shown.words import needs_two

MAX_REASON: Final = 200
Role = Literal["operator", "approver"]
RANK: Final[Mapping[str, int]] = {"viewer": 0, "operator": 1, "approver": 2}


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be asked for.

    Attributes:
        title: on the button that does it.
        says: what will happen, in one or two sentences.
        done: what is told when the planner accepted it.
        needs_reason: whether an empty reason is refused.
    """

    command: str
    title: str
    says: str
    done: str
    role: Role = "operator"
    needs_reason: bool = True


ACTS: Final[Mapping[str, Act]] = {
    "revert": Act(
        "revert-to-lab.v1", "Revert to LAB", "All of these bots go back to LAB in one tick, or none does. Their jobs are cancelled, "
        "their paper sessions are closed flat, and evidence from before is void for promotion.", "reverted",
    ),
    "approve": Act(
        "approve-promotion.v1", "Approve", "The planner looks at every gate again; if one no longer passes, nothing changes.",
        "Approval accepted", needs_reason=False,
    ),
    "reject": Act(
        "reject-promotion.v1", "Reject", "The recommendation is closed. The same evidence is not recommended again.", "Rejected",
    ),
    "take": Act(
        "approve-challenger.v1", "Take over", "The winner of the search becomes the bot's next version, whose evidence starts at nothing. "
        "Code, data and costs must still be those of the search; only a LAB bot changes.", "Taken over", needs_reason=False,
    ),
    "decline": Act("reject-challenger.v1", "Decline", "The proposal is closed, and the bot stays as it is.", "Declined"),
    "pin": Act(
        "pin-bot.v1", "Pin", "A pinned bot is left out of bulk reverts. It stays subject to every gate, and can be reverted by itself.",
        "Pinned",
    ),
    "unpin": Act("unpin-bot.v1", "Unpin", "Bulk reverts count for the bot again.", "Unpinned"),
    "hold": Act("hold-bot.v1", "Hold", "Nothing is scheduled for the bot until the hold is released. Jobs that run go on.", "Held"),
    "release": Act(
        "release-hold.v1", "Release",
        "The hold, the quarantine after crashes, or the block by the last failure ends; the bot is decided about as any other.",
        "Released",
    ),
    "cancel": Act(
        "cancel-job.v1", "Cancel job", "The job ends without a result. The planner decides what comes next.", "Cancellation accepted",
    ),
    "mode": Act(
        "set-promotion-mode.v1", "Set promotion mode", "MANUAL: a person approves each promotion. AUTO: the planner applies "
        "promotions to PAPER and SHADOW by itself within the policy's budget; CANARY and LIVE always need two approvers.",
        "Promotion mode set", role="approver",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a form is no command."""

    words: str


def denied(session: Session | None, act: Act, *, to_stage: str = "", requested_by: str = "") -> str:
    """Why this reader may not do this; empty when there is no reason.

    Args:
        session: who is signed in.
        act: what is asked for.
        to_stage: of the recommendation that is to be approved.
        requested_by: who gave the first of two approvals.
    """
    title = act.title.lower().replace("lab", "LAB")
    if session is None:
        return f"Sign in to {title}."
    role: Role = "approver" if act is ACTS["approve"] and needs_two(to_stage) else act.role
    if RANK.get(session.role, 0) < RANK[role]:
        return f"To {title} needs the role {role}; {session.name} is {session.role}."
    if act is ACTS["approve"] and requested_by and requested_by == session.name:
        return "You gave the first approval; another approver must give the second."
    return ""


def of_another(session: Session, form: Mapping[str, str]) -> str:
    """Why a form is not this operator's; empty when it is. Two tabs may have two operators, one after the other."""
    named = form.get("operator")
    if named == session.name:
        return ""
    by = f"for {named}" if named else "before anybody was signed in" if named == "" else "for nobody in particular"
    return f"This form was opened {by}, and {session.name} is signed in now. Nothing was sent: look again, and confirm as {session.name}."


def refused(session: Session | None, facts: Facts, act: Act) -> str:
    """Why it is not even sent; empty when it is."""
    return denied(session, act) or unsent(facts)


def unsent(facts: Facts) -> str:
    """Why nothing is sent now, whoever asks; empty when it is."""
    if not facts.fresh:
        return f"What is shown is not current ({facts.warning}). Nothing was changed."
    return f"{facts.cannot} Nothing was changed." if facts.cannot else ""


def command_of(verb: str, form: Mapping[str, str]) -> dict[str, object] | Unfit:
    """The command's document that a form becomes; all but of a revert, which has a plan."""
    act = ACTS[verb]
    reason = form.get("reason", "").strip()
    if len(reason) > MAX_REASON or (act.needs_reason and not reason):
        return Unfit(f"A reason of 1 to {MAX_REASON} characters is needed.")
    fields = fields_of(verb, form)
    if isinstance(fields, Unfit):
        return fields
    return {"type": act.command, "reason": reason, **fields}


def fields_of(verb: str, form: Mapping[str, str]) -> dict[str, object] | Unfit:
    """The fields that one kind of command has beside its reason."""
    match verb:
        case "cancel":
            return {"jobId": form["job"]} if is_id(form.get("job", "")) else Unfit("The form does not name a job.")
        case "mode":
            mode = form.get("mode", "")
            return {"mode": mode} if mode in {"MANUAL", "AUTO"} else Unfit("Choose MANUAL or AUTO.")
        case _:
            return bot_fields_of(verb, form)


def bot_fields_of(verb: str, form: Mapping[str, str]) -> dict[str, object] | Unfit:
    """The fields of an act on one bot."""
    bot = form.get("bot", "")
    if BOT_ID.match(bot) is None:
        return Unfit("The form does not name a bot.")
    match verb:
        case "approve" | "reject":
            recommendation = form.get("recommendation", "")
            return (
                {"botId": bot, "recommendationId": recommendation}
                if is_id(recommendation)
                else Unfit("The form does not name a recommendation.")
            )
        case "take" | "decline":
            job = form.get("job", "")
            return {"botId": bot, "jobId": job} if is_id(job) else Unfit("The form does not name a search.")
        case "pin":
            until = until_of(form.get("until", ""))
            return until if isinstance(until, Unfit) else {"botId": bot, "until": iso(until) if until else None}
        case _:
            return {"botId": bot}


def until_of(text: str) -> datetime | Unfit | None:
    """The UTC instant of a date-and-time field; None when it was left empty."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return Unfit("Until: not a date and time, as in 2027-03-01T12:00 (UTC).")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def is_id(text: str) -> bool:
    """Whether a text is an id as the log writes them."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
