"""What the dialogs show before something is done: the subject, its evidence, and why it may not be done.

Place in the flow: route → **sheet** → template. Reads by HTTP only. A sheet is a page of its own, which scripts open as a dialog.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from autonomy.client import Document, Refused, bot_path
from autonomy.values import BOT_ID
from bots_ui.acting.reverting import SHOWN, STAGES, Plan, Wanted, plan_of
from bots_ui.api.client import ProofApi
from bots_ui.api.documents import document_of, items_of, lost_words, text_of, told_part
from bots_ui.operator.acts import ACTS, denied, is_id
from bots_ui.operator.sessions import Session
from bots_ui.pages.fleet import Context
from bots_ui.pages.lists import OPEN

APPROVALS: Final = "/promotions"
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "approve": ("bot", "recommendation", "back"), "reject": ("bot", "recommendation", "back"), "pin": ("bot",), "unpin": ("bot",),
    "hold": ("bot",), "release": ("bot",), "cancel": ("bot", "job"), "mode": (), "take": ("bot", "job"), "decline": ("bot", "job"),
}  # fmt: skip


async def act_sheet(api: ProofApi, session: Session | None, verb: str, form: Mapping[str, str]) -> Context:
    """The sheet of everything but a revert.

    Args:
        api: what is read.
        session: who is signed in.
        verb: which act.
        form: what the address or the refused form holds.
    """
    act = ACTS[verb]
    bot_id = form.get("bot", "")
    bot: Document = {}
    recommendation: Document | None = None
    lost = ""
    if BOT_ID.match(bot_id):
        answer = await api.get(bot_path(bot_id))
        bot, lost = told_part(document_of(answer), "bot"), lost_words(answer)
    if verb in {"approve", "reject"} and bot:
        answer = await api.get("/api/promotions", [("bot", bot_id), *(("status", status) for status in OPEN), ("limit", "5")])
        wanted = form.get("recommendation", "")
        recommendation = next((item for item in items_of(answer) if item.get("id") == wanted), None)
        lost = lost or lost_words(answer)
    to_stage = str(recommendation["toStage"]) if recommendation else ""
    requested_by = str(recommendation["requestedBy"] or "") if recommendation else ""
    return {
        "verb": verb, "act": act, "bot_id": bot_id, "bot": bot, "recommendation": recommendation, "lost": lost,
        "why": denied(session, act, to_stage=to_stage, requested_by=requested_by) or _missing(verb, form, bot, recommendation),
        "fields": [(name, form.get(name, "")) for name in FIELDS[verb]], "reason": form.get("reason", ""), "until": form.get("until", ""),
        "mode": form.get("mode", ""), "back": back_of(verb, form),
    }  # fmt: skip


def back_of(verb: str, form: Mapping[str, str]) -> str:
    """Where one goes on after an act: the list that it was opened from, else the bot's page."""
    asked, bot_id = form.get("back", ""), form.get("bot", "")
    if asked == APPROVALS or asked.startswith(f"{APPROVALS}?"):
        return asked
    return APPROVALS if verb == "mode" or not bot_id else f"/bots/{bot_id}"


def _missing(verb: str, form: Mapping[str, str], bot: Document, recommendation: Document | None) -> str:
    """What there would have to be for this act to mean anything."""
    if verb == "mode":
        return ""
    if not bot:
        return "No such bot is known."
    if verb in {"approve", "reject"} and recommendation is None:
        return "This recommendation is no longer open."
    if verb in {"take", "decline"} and bot.get("proposalJob") != form.get("job", ""):
        return "No winner of this search waits for a word."
    if verb == "cancel" and not is_id(form.get("job", "")):
        return "No job is named."
    return ""


async def revert_sheet(api: ProofApi, session: Session | None, wanted: Wanted, form: Mapping[str, str]) -> Context:
    """The dry run of a revert, with its form."""
    answer = await api.get("/api/revert/plan", wanted.plan_params())
    lost = lost_words(answer)
    plan: Plan | None = None if lost else plan_of(document_of(answer))
    if wanted.shown:
        # Frozen by name: what the filter shows may be others by the time the form is sent.
        wanted = replace(wanted, bot=plan.named if plan is not None else ())
    why = denied(session, ACTS["revert"])
    if not why and plan is not None and not plan.count:
        why = "No bot of these is beyond LAB." if not plan.pinned_count else "All of these are pinned."
    strategies = sorted({*await strategy_names(api), *wanted.strategy})
    return {
        "act": ACTS["revert"], "wanted": wanted, "plan": plan, "lost": lost, "stale": isinstance(answer, Refused) and answer.status == 503,
        "why": why, "stages": STAGES, "strategies": strategies, "shown": SHOWN, "reason": form.get("reason", ""),
        "back": f"/bots/{wanted.bot[0]}" if wanted.is_single else "/",
    }  # fmt: skip


async def strategy_names(api: ProofApi) -> tuple[str, ...]:
    """What the runners offer; empty while that is not known."""
    answer = await api.get("/api/strategies")
    offers = [] if lost_words(answer) else [told_part(item, "offer") for item in items_of(answer)]
    return tuple(text_of(offer, "name") for offer in offers)
