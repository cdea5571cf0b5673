"""A bot's own pages: what now, why, what would change it, how good, how we know, what happened.

Place in the flow: route → **bot page** → template. Reads by HTTP only; draws and words, never judges: verdicts are shown as recorded.
"""

import asyncio
from typing import Final

from autonomy.client import Answer, Document, Found, Refused, Unreachable, bot_path
from bots_ui.api.client import ProofApi
from bots_ui.api.documents import Told, document_of, items_of, list_of, lost_words, number_of, part_of, text_of, told, told_part
from bots_ui.pages.asked import Asked, Query, asked_of, with_query
from bots_ui.pages.fleet import Context
from bots_ui.pages.lists import LIMIT, shown
from bots_ui.shown import words
from bots_ui.shown.career import career_of
from bots_ui.shown.plots import backtest_plot, session_plot
from bots_ui.shown.rows import blockers_of, row_of
from bots_ui.shown.words import TIMELINE_KINDS, bar_of
from bots_ui.stream.following import as_of
from bots_ui.stream.hub import Hub
from bots_ui.stream.open_page import View

EVENTS_SHOWN: Final = 20
FIRST: Final = (("limit", str(EVENTS_SHOWN)),)
FOLLOWED: Final = "/timeline"
"""Whatever happens to a bot stands there: when it says something else, the whole page is fetched again."""
TRADES_SHOWN: Final = 8
DRAWN: Final = frozenset({"points", "trades", "fills", "engine"})
OPEN: Final = frozenset({"OPEN", "REQUESTED"})


async def bot(api: ProofApi, hub: Hub, bot_id: str) -> tuple[Context, int]:
    """One bot, whole, with the HTTP status."""
    whole = await api.get(bot_path(bot_id))
    parts = await _parts(api, bot_id) if isinstance(whole, Found) else {}
    facts = hub.facts()
    document = document_of(whole)
    item: Document | None = told_part(document, "botNow") or None
    known, decision, result = told_part(document, "bot"), told_part(document, "decision"), told_part(document, "latestBacktest")
    if item is not None:
        hub.learn([item])
        item = hub.rows.get(bot_id, item)  # with its place in line, where that is known
    recommendation = told_part(document, "latestPromotion")
    summary = told_part(result, "summary")
    view = View(bots=(bot_id,), rev=int(number_of(item or {}, "rev") or 0), whole=True)
    context: Context = {
        "bot_id": bot_id, "bot": known, "now": facts.now,
        "row": row_of(item, facts.now, fresh=facts.fresh, moments=facts.moments) if item else None,
        "decision": decision, "blockers": blockers_of(decision.get("blockers")), "result": result, "summary": summary,
        "pictures": pictures_of(parts["picture"], bot_id) if parts else {}, "jobs": list_of(document, "jobs"),
        "recommendation": recommendation if recommendation["status"] in OPEN else None, "last_promotion": recommendation,
        "paper_session": told_part(document, "latestSession"),
        "timeframe": timeframe_of(hub, text_of(known, "symbol"), text_of(result, "sourceId")),
        "drift": told_part(document, "latestDrift"), "gate_tree": Told(document_of(parts["gates"])) if parts else Told(),
        "traded": told(document_of(parts["bars"])) if parts else Told(),
        **{name: items_of(answer) for name, answer in parts.items()}, "parts": {name: lost_words(answer) for name, answer in parts.items()},
        **shown((bot_path(bot_id), (), whole), *[(bot_path(bot_id, FOLLOWED), FIRST, parts["timeline"])] if parts else [], view=view),
        "lost": lost_words(whole),
    }  # fmt: skip
    return context, status_of(whole)


async def card(api: ProofApi, hub: Hub, bot_id: str) -> tuple[Context, int]:
    """What stands behind a bot's badge, with the HTTP status; as the open pages know it, else as the API says it."""
    lost, status = "", 200
    if bot_id not in hub.rows:
        answer = await api.get(bot_path(bot_id))
        item = told_part(document_of(answer), "botNow")
        lost, status = lost_words(answer), status_of(answer)
        hub.learn([item] if item else [])
    facts, known = hub.facts(), hub.rows.get(bot_id)
    row = row_of(known, facts.now, fresh=facts.fresh, moments=facts.moments) if known else None
    return {"bot_id": bot_id, "row": row, "now": facts.now, "lost": lost}, status


async def beside(api: ProofApi, bot_id: str, asked: Asked) -> Context:
    """The bots before and after one in the list that this browser showed last."""
    found = document_of(await api.get(bot_path(bot_id, "/neighbours"), asked.of_list))
    return {"before": text_of(found, "previous"), "after": text_of(found, "next"), "last_list": asked}


def timeframe_of(hub: Hub, symbol: str, source_id: str) -> str:
    """How often the source of a result announced to have a bar of this symbol; empty where it is not announced now."""
    for source in hub.link.sources:
        symbols = source.get("symbols")
        if source.get("sourceId") == source_id and isinstance(symbols, list) and symbol in symbols:
            return words.word_of(words.TIMEFRAMES, text_of(source, "timeframe"))
    return ""


async def _parts(api: ProofApi, bot_id: str) -> dict[str, Answer]:
    """The lists that the page shows the beginnings of."""
    asked: dict[str, tuple[str, int]] = {
        "gates": ("/gates", 0), "decisions": ("/decisions", EVENTS_SHOWN), "timeline": ("/timeline", EVENTS_SHOWN),
        "versions": ("/versions", 10), "evolutions": ("/evolutions", 5),
        "trades": ("/trades", TRADES_SHOWN), "picture": ("/picture", 0),
        "bars": ("/bars", 1),  # of the answer only why and the counts are shown here
    }  # fmt: skip
    answers = await asyncio.gather(
        *(api.get(bot_path(bot_id, path), [("limit", str(limit))] if limit else []) for path, limit in asked.values())
    )
    return dict(zip(asked, answers, strict=True))


def status_of(whole: Answer) -> int:
    """The status of a page about one bot."""
    match whole:
        case Found():
            return 200
        case Refused():
            return whole.status if whole.status == 404 else 503
        case Unreachable():
            return 503


def pictures_of(answer: Answer, bot_id: str) -> Context:
    """The charts of a bot, all of one answer, and why there is none where there is none."""
    document = document_of(answer)
    # Of what is large only the drawing is wanted.
    result, paper = (
        {name: value for name, value in part_of(document, part).items() if name not in DRAWN} for part in ("backtest", "session")
    )
    session, lost = told_part(paper, "session"), lost_words(answer)
    no_curve = text_of(result, "lacks") or "Its result has no curve."
    no_bars = f"No second bar of this session yet: it trades bars that start after {bar_of(session['fromBar'])}." if session else ""
    return {
        "result": told(result), "paper": told(paper), "as_of": as_of(document), "backtest": backtest_plot(document),
        "session": session_plot(document, bot_id),
        "career": career_of(document, bot_id), "why_no_backtest": lost or (no_curve if result else "No backtest yet."),
        "why_no_session": lost or no_bars or "No paper session yet.", "lost": lost,
    }  # fmt: skip


async def timeline(api: ProofApi, bot_id: str, query: Query) -> tuple[Context, int]:
    """Everything that ever happened to a bot, newest first, by kind where asked."""
    choices = {"kind": TIMELINE_KINDS}
    asked = asked_of(query, choices)
    path, address, params = bot_path(bot_id, "/timeline"), f"/bots/{bot_id}/timeline", [*asked.params(), LIMIT]
    answer = await api.get(path, params)
    context = {**_paged(bot_id, address, asked, answer), **shown((path, params, answer))}
    return {**context, "items": items_of(answer), "choices": choices, "lost": lost_words(answer)}, status_of(answer)


async def bars(api: ProofApi, bot_id: str, query: Query) -> tuple[Context, int]:
    """What became of every bar of a bot's newest paper session, newest first, and why it has not traded."""
    asked = asked_of(query, {})
    path, params = bot_path(bot_id, "/bars"), [*asked.params(), LIMIT]
    answer = await api.get(path, params)
    context = {**_paged(bot_id, f"/bots/{bot_id}/bars", asked, answer), **shown((path, params, answer))}
    return {**context, "traded": told(document_of(answer)), "items": items_of(answer), "lost": lost_words(answer)}, status_of(answer)


async def trades(api: ProofApi, bot_id: str, query: Query) -> tuple[Context, int]:
    """Every paper fill of a bot, newest first."""
    asked = asked_of(query, {})
    path, params = bot_path(bot_id, "/trades"), [*asked.params(), LIMIT]
    answer = await api.get(path, params)
    context = {**_paged(bot_id, f"/bots/{bot_id}/trades", asked, answer), **shown((path, params, answer))}
    return {**context, "items": items_of(answer), "lost": lost_words(answer)}, status_of(answer)


def _paged(bot_id: str, address: str, asked: Asked, answer: Answer) -> Context:
    following = text_of(document_of(answer), "nextCursor")
    params = asked.params(paged=False)
    return {
        "bot_id": bot_id, "asked": asked, "address": address, "first": with_query(address, params),
        "next": with_query(address, [*params, ("cursor", following)]) if following else "",
    }  # fmt: skip
