"""Pages that are lists of the proof API, newest first: jobs, runs, stage history, commands, promotions, quarantine.

Place in the flow: route → **list** → template. Reads by HTTP only. Filters stand in the address; an unknown word is left out.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from autonomy.client import Answer, Found, Refused, Unreachable
from autonomy.values import BOT_ID, JobStatus, JobType, LanesBy, MoveReason, Stage
from bots_ui.api.client import ProofApi
from bots_ui.api.documents import Told, document_of, items_of, list_of, lost_words, number_of, text_of, told, told_part
from bots_ui.operator.acts import is_id
from bots_ui.pages.asked import PAGE_SIZE, Asked, Query, asked_of, with_query
from bots_ui.pages.fleet import Context, followed, live_address
from bots_ui.shown.approvals import approvals_of
from bots_ui.shown.attention import queue_of
from bots_ui.shown.window import Window
from bots_ui.shown.words import instant_of
from bots_ui.stream.following import as_of
from bots_ui.stream.hub import Hub
from bots_ui.stream.open_page import MAX_WATCHED, View

OPEN: Final = ("OPEN", "REQUESTED")
CLOSED: Final = ("APPLIED", "REJECTED", "WITHDRAWN")
STAGE_REASONS: Final = tuple(reason.value for reason in MoveReason)
REASON: Final = re.compile("^[A-Z_]{1,64}$")
NOTHING_ELSE: Final = View()
LIMIT: Final = ("limit", str(PAGE_SIZE))


async def listing(api: ProofApi, path: str, address: str, asked: Asked, more: Query = ()) -> Context:
    """A page of one of the API's lists, newest first.

    Args:
        api: what is read.
        path: the API's.
        address: this page's.
        asked: words of the filters, and the cursor.
        more: filters that are no choice among words; they stay in the address.
    """
    params = [*asked.params(), *more, LIMIT]
    answer = await api.get(path, params)
    return {**listed(answer, address, asked, more), **shown((path, params, answer))}


def listed(answer: Answer, address: str, asked: Asked, more: Query = ()) -> Context:
    """A page of a list as its template wants it."""
    following = text_of(document_of(answer), "nextCursor")
    return {
        "asked": asked, "items": items_of(answer), "address": address, "more": dict(more),
        "lost": "" if is_of_nothing(answer) else lost_words(answer),
        "first": with_query(address, [*asked.params(paged=False), *more]),
        "next": with_query(address, [*asked.params(paged=False), *more, ("cursor", following)]) if following else "",
    }  # fmt: skip


def shown(*asked: tuple[str, Query, Answer], view: View = NOTHING_ELSE) -> Context:
    """The stream of a page that shows these lists, and until when what it shows is true."""
    lists, seen = followed(*asked)
    instants = [as_of(document_of(answer)) for _, _, answer in asked]
    known = [instant for instant in instants if instant is not None]
    return {"live": live_address(replace(view, lists=lists, seen=seen)), "as_of": min(known) if len(known) == len(asked) else None}


def is_of_nothing(answer: Answer) -> bool:
    """Whether the API says that there is no such thing: an empty list, and nothing is lost. An address that it does not have is."""
    return isinstance(answer, Refused) and answer.status == HTTPStatus.NOT_FOUND and answer.code.startswith("UNKNOWN_")


async def jobs(api: ProofApi, query: Query) -> Context:
    """Jobs with every attempt and cause; those that run too long stand first."""
    choices = {"status": tuple(JobStatus), "type": tuple(JobType)}
    asked = asked_of(query, choices)
    more = _bot_of(query)
    params = [*asked.params(), *more, LIMIT]
    answer, proof = await asyncio.gather(api.get("/api/jobs", params), api.get("/api/_proof/jobs"))
    first = not (asked.is_filtered or asked.cursor or more)
    both = (("/api/jobs", params, answer), *([("/api/_proof/jobs", (), proof)] if first else []))
    return {**listed(answer, "/jobs", asked, more), **shown(*both), "choices": choices,
            "stuck": list_of(document_of(proof), "stuckRunningOverXmin") if first else [],
            "stuck_after": document_of(proof).get("stuckAfterMin")}  # fmt: skip


async def job(api: ProofApi, job_id: str) -> tuple[Context, int]:
    """One job with its attempts; the status is 404 when no accepted tick enqueued it."""
    path = f"/api/jobs/{job_id}"
    answer = await api.get(path)
    found = told_part(document_of(answer), "job")
    status = 200 if found else 404 if is_of_nothing(answer) else 503
    lost = "" if status == HTTPStatus.NOT_FOUND else lost_words(answer)
    began, ended = instant_of(found["createdAt"]), instant_of(found["finishedAt"]) or instant_of(document_of(answer).get("now"))
    around = Window(0, 0, LanesBy.BOT).around(began, ended) if began and ended else ""
    return {"job": found, "job_id": job_id, "lost": lost, "around": around, **shown((path, (), answer))}, status


async def event(api: ProofApi, event_id: str, query: Query) -> tuple[Context, int]:
    """One event as it stands in the log, with what bears it out; read for this page, so it follows nothing.

    The status is 404 when nothing with this id stands where it is said to.
    """
    asked = [(name, value) for name, value in query if name in {"tick", "at"}][:1]
    answer = await api.get(f"/api/events/{event_id}", asked)
    status = 200 if isinstance(answer, Found) else 503 if isinstance(answer, Unreachable) else answer.status
    whole = json.dumps(document_of(answer).get("event"), indent=2, ensure_ascii=False)
    subject = text_of(told_part(document_of(answer), "event"), "subject")
    return {
        "event_id": event_id, "asked": urlencode(asked), "event": told_part(document_of(answer), "event"), "whole": whole,
        "record": told_part(document_of(answer), "record"), "accepted": told_part(document_of(answer), "accepted"),
        "subject": subject if BOT_ID.match(subject) and not is_id(subject) else "",
        "lost": "" if is_of_nothing(answer) else lost_words(answer),
    }, status  # fmt: skip


def _bot_of(query: Query) -> list[tuple[str, str]]:
    bot = dict(query).get("bot", "")
    return [("bot", bot)] if BOT_ID.match(bot) else []


async def runs(api: ProofApi, query: Query) -> Context:
    """Ticks with their reasons."""
    return await listing(api, "/api/planner/runs", "/runs", asked_of(query, {}))


async def run(api: ProofApi, tick: int, query: Query) -> tuple[Context, int]:
    """One tick with every bot's decision at it; the status is 404 when no such tick was accepted."""
    asked, path = asked_of(query, {}), f"/api/planner/runs/{tick}/decisions"
    params = [*asked.params(), LIMIT]
    # The list has no filter by tick: of an older run only the decisions are shown.
    answer, around = await asyncio.gather(api.get(path, params), api.get("/api/planner/runs", [("limit", "200")]))
    found = next((item for item in items_of(around) if item.get("tick") == tick), None)
    accepted = found is not None or isinstance(answer, Found)
    status = 200 if accepted else 404 if is_of_nothing(answer) else 503
    context = {**listed(answer, f"/runs/{tick}", asked), **shown((path, params, answer))}
    return {**context, "tick": tick, "run": found, "accepted": accepted}, status


async def stages(api: ProofApi, query: Query) -> Context:
    """Who moved which bot, and why."""
    choices = {"stage": tuple(Stage)}
    last, more = dict(query), _bot_of(query)
    if REASON.match(last.get("reason", "")):
        more.append(("reason", last["reason"]))
    if is_id(last.get("command", "")):
        more.append(("command", last["command"]))
    context = await listing(api, "/api/stage-events", "/stages", asked_of(query, choices), more)
    return {**context, "choices": choices, "reasons": STAGE_REASONS}


async def commands(api: ProofApi, query: Query) -> Context:
    """Who asked for what, and what became of it."""
    return await listing(api, "/api/commands", "/commands", asked_of(query, {}))


async def command(api: ProofApi, hub: Hub, command_id: str) -> tuple[Context, int]:
    """One command with the outcome of every bot, and what these bots do now."""
    answer = await api.get(f"/api/commands/{command_id}")
    found = told(document_of(answer))
    outcomes = list_of(document_of(answer), "outcomes")
    bots = tuple(text_of(outcome, "botId") for outcome in outcomes)[:MAX_WATCHED]
    context: Context = {
        "command": found, "command_id": command_id, "outcomes": outcomes, "lost": lost_words(answer),
        "states": {bot: hub.rows[bot] for bot in bots if bot in hub.rows},
        "unread": isinstance(answer, Refused) and answer.status == 404,
        **shown((f"/api/commands/{command_id}", (), answer), view=View(bots=bots, rev=hub.rev, whole=True)),
    }  # fmt: skip
    match answer:
        case Refused(status=404):
            return context, 404
        case Refused() | Unreachable():
            return context, 503
        case Found():
            return context, 200


async def quarantine(api: ProofApi, query: Query) -> Context:
    """Records that could not be read."""
    return await listing(api, "/api/quarantine", "/quarantine", asked_of(query, {}))


async def attention(api: ProofApi) -> Context:
    """What needs a person, by kind and cause."""
    answer = await api.get("/api/attention")
    return {"queue": queue_of(document_of(answer)), "lost": lost_words(answer), **shown(("/api/attention", (), answer))}


async def board(api: ProofApi) -> Context:
    """The ladder from LAB to LIVE: how many stand where, what holds them back, how long they wait."""
    answer = await api.get("/api/board")
    document = document_of(answer)
    luck = {"looks": number_of(document, "looks"), "spent": number_of(document, "alphaSpent")}
    return {"stages": list_of(document, "stages"), **luck, "lost": lost_words(answer), **shown(("/api/board", (), answer))}


async def promotions(api: ProofApi, hub: Hub, query: Query) -> Context:
    """Recommendations: those that wait stand first, with their evidence; then what became of the others."""
    choices = {"status": CLOSED}
    asked, more = asked_of(query, choices), _bot_of(query)
    closed = asked if asked.chosen["status"] else Asked({"status": CLOSED}, cursor=asked.cursor)
    ended, still_open = [*closed.params(), *more, LIMIT], [*(("status", status) for status in OPEN), *more, LIMIT]
    waiting, answer = await asyncio.gather(api.get("/api/promotions", still_open), api.get("/api/promotions", ended))
    context = listed(answer, "/promotions", closed, more)
    columns, open_ones = approvals_of(items_of(waiting), hub.rows)
    return {
        **context, "asked": asked, "choices": choices, "open": open_ones, "columns": columns, "here": with_query("/promotions", more),
        "mode": mode_of(hub.link.document),
        **shown(("/api/promotions", still_open, waiting), ("/api/promotions", ended, answer), view=View(waiting=True)),
        "lost": lost_words(waiting) or context["lost"],
    }  # fmt: skip


def mode_of(document: Mapping[str, object]) -> str:
    """MANUAL or AUTO; empty where the API does not tell it."""
    mode = Told(document)["promotionMode"]
    return str(mode) if mode in {"MANUAL", "AUTO"} else ""
