"""Addresses that read: pages, their stream, and whether this process is ready.

Place in the flow: request → **route** → page → template. Reading is GET and changes nothing.
"""

import asyncio
import contextlib
import csv
import io
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from autonomy import clock
from autonomy.client import Found, Refused, StreamLost
from autonomy.values import BOT_ID, ms_of
from autonomy.version import VERSION
from bots_ui.frame import SEE_OTHER, keep_list, last_list, render, session_of, shared_of
from bots_ui.operator.acts import is_id
from bots_ui.pages import bot_page, fleet, lists, palette, standing
from bots_ui.pages import timeline as pages_timeline
from bots_ui.pages.asked import fleet_asked, with_query
from bots_ui.stream.hub import MAX_CLIENTS, RELOAD, events
from bots_ui.stream.open_page import Message

router = APIRouter()
MAX_TICK_DIGITS: Final = 15


@router.get("/")
async def bots(request: Request) -> Response:
    """The fleet."""
    query = request.query_params.multi_items()
    asked = fleet_asked(query)
    shared = shared_of(request)
    canonical = with_query("/", asked.whole())
    # An empty field of a form, an unknown word, or the choice of what is usual leaves no trace in the address.
    if Counter(query) != Counter(asked.whole()) and "hx-request" not in request.headers:
        return RedirectResponse(canonical, SEE_OTHER)
    response = render(request, "bots.html", await fleet.bots(shared.api, shared.hub, asked))
    keep_list(request, response, asked)
    if "hx-request" in request.headers:
        response.headers["HX-Push-Url"] = canonical
    return response


@router.get("/bots.csv")
async def bots_as_csv(request: Request) -> Response:
    """Every bot that the list's address shows, as the proof API sends it."""
    asked = fleet_asked(request.query_params.multi_items())
    held = contextlib.AsyncExitStack()
    try:
        parts = await held.enter_async_context(shared_of(request).api.file("/api/bots.csv", asked.of_list))
    except StreamLost as loss:
        return render(request, "error.html", {"status": 503, "words": f"The file cannot be made now: {loss}."}, 503)
    headers = {"Content-Disposition": 'attachment; filename="bots.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(to_the_end(held, parts), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/bots.txt")
async def ids_of_bots(request: Request) -> Response:
    """The id of every bot that the list's address shows, one a line, in the list's order; of one moment, as the file above."""
    asked = fleet_asked(request.query_params.multi_items())
    try:
        async with shared_of(request).api.file("/api/bots.csv", asked.of_list) as parts:
            whole = b"".join([part async for part in parts]).decode()
    except StreamLost as loss:
        return PlainTextResponse(f"The ids cannot be told now: {loss}.", 503)
    rows = csv.DictReader(io.StringIO(whole, newline=""))
    return PlainTextResponse("".join(f"{row['bot_id']}\n" for row in rows))


@router.get("/palette")
async def go_to(request: Request, q: str = "") -> Response:
    """Where one can go: a part for the dialog over any page, a page of its own without scripts."""
    shared = shared_of(request)
    context = await palette.palette(shared.api, q)
    if "hx-request" in request.headers:
        return Response(shared.environment.get_template("palette_list.html").render(context), media_type="text/html; charset=utf-8")
    return render(request, "palette.html", context)


async def to_the_end(held: contextlib.AsyncExitStack, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass a file on; one that breaks breaks here too, so that no part of it is taken for all."""
    async with held:
        async for part in parts:
            yield part


def known_id(bot_id: str) -> str:
    """An id that a bot can have.

    Raises:
        HTTPException: 404.
    """
    if BOT_ID.match(bot_id) is None:
        raise HTTPException(404, "No bot with this name.")
    return bot_id


@router.get("/bots/{bot_id}")
async def bot(request: Request, bot_id: str) -> Response:
    """One bot."""
    shared = shared_of(request)
    (context, status), beside = await asyncio.gather(
        bot_page.bot(shared.api, shared.hub, known_id(bot_id)), bot_page.beside(shared.api, bot_id, last_list(request))
    )
    return render(request, "bot.html", {**context, **beside}, status)


@router.get("/bots/{bot_id}/card")
async def card(request: Request, bot_id: str) -> Response:
    """What stands behind a bot's badge: a part for the page that shows it, a page of its own without scripts."""
    shared = shared_of(request)
    context, status = await bot_page.card(shared.api, shared.hub, known_id(bot_id))
    if "hx-request" in request.headers and context["row"] is not None:
        part = shared.environment.get_template("card_part.html").render(context)
        return Response(part, media_type="text/html; charset=utf-8")
    return render(request, "card.html", context, status)


@router.get("/bots/{bot_id}/timeline")
async def timeline(request: Request, bot_id: str) -> Response:
    """Everything that happened to one bot."""
    context, status = await bot_page.timeline(shared_of(request).api, known_id(bot_id), request.query_params.multi_items())
    return render(request, "timeline.html", context, status)


@router.get("/bots/{bot_id}/bars")
async def bars(request: Request, bot_id: str) -> Response:
    """What became of every bar of one bot on paper, and why it has not traded."""
    context, status = await bot_page.bars(shared_of(request).api, known_id(bot_id), request.query_params.multi_items())
    return render(request, "bars.html", context, status)


@router.get("/bots/{bot_id}/trades")
async def trades(request: Request, bot_id: str) -> Response:
    """Every paper fill of one bot."""
    context, status = await bot_page.trades(shared_of(request).api, known_id(bot_id), request.query_params.multi_items())
    return render(request, "trades.html", context, status)


@router.get("/timeline")
async def fleet_timeline(request: Request) -> Response:
    """What the loop did in a stretch of time."""
    shared = shared_of(request)
    return render(request, "fleet_timeline.html", await pages_timeline.timeline(shared.api, shared.hub, request.query_params.multi_items()))


@router.get("/jobs")
async def jobs(request: Request) -> Response:
    """Jobs."""
    return render(request, "jobs.html", await lists.jobs(shared_of(request).api, request.query_params.multi_items()))


@router.get("/jobs/{job_id}")
async def job(request: Request, job_id: str) -> Response:
    """One job."""
    if not is_id(job_id):
        raise HTTPException(404, "No job with this id.")
    context, status = await lists.job(shared_of(request).api, job_id)
    return render(request, "job.html", context, status)


@router.get("/runs")
async def runs(request: Request) -> Response:
    """Ticks."""
    return render(request, "runs.html", await lists.runs(shared_of(request).api, request.query_params.multi_items()))


@router.get("/runs/{tick}")
async def run(request: Request, tick: str) -> Response:
    """One tick with its decisions."""
    if not (tick.isascii() and tick.isdigit()) or not 1 <= len(tick) <= MAX_TICK_DIGITS or tick.startswith("0"):
        raise HTTPException(404, "No tick with this number.")
    context, status = await lists.run(shared_of(request).api, int(tick), request.query_params.multi_items())
    return render(request, "run.html", context, status)


@router.get("/events/{event_id}.json")
async def event_as_json(request: Request, event_id: str) -> Response:
    """What the proof API answers about one event, as it is."""
    answer = await shared_of(request).api.get(f"/api/events/{known_event(event_id)}", request.query_params.multi_items())
    if isinstance(answer, Found):
        return JSONResponse(answer.document)
    status = answer.status if isinstance(answer, Refused) else 503
    return render(request, "error.html", {"status": status, "words": answer.words}, status)


@router.get("/events/{event_id}")
async def event(request: Request, event_id: str) -> Response:
    """One event of the log."""
    context, status = await lists.event(shared_of(request).api, known_event(event_id), request.query_params.multi_items())
    return render(request, "event.html", context, status)


def known_event(event_id: str) -> str:
    """An id that an event can have.

    Raises:
        HTTPException: 404.
    """
    if not is_id(event_id):
        raise HTTPException(404, "No event with this id.")
    return event_id


@router.get("/stages")
async def stages(request: Request) -> Response:
    """Stage history."""
    query = request.query_params.multi_items()
    return render(request, "stages.html", await lists.stages(shared_of(request).api, query))


@router.get("/attention")
async def attention(request: Request) -> Response:
    """What needs a person."""
    return render(request, "attention.html", await lists.attention(shared_of(request).api))


@router.get("/board")
async def board(request: Request) -> Response:
    """From LAB to LIVE."""
    return render(request, "board.html", await lists.board(shared_of(request).api))


@router.get("/policy")
async def policy(request: Request) -> Response:
    """The policy in force, and how much of what it allows is in use."""
    return render(request, "policy.html", await standing.policy(shared_of(request).api))


@router.get("/workers")
async def workers(request: Request) -> Response:
    """Runner processes."""
    return render(request, "workers.html", await standing.workers(shared_of(request).api))


@router.get("/promotions")
async def promotions(request: Request) -> Response:
    """Recommendations and what became of them."""
    shared = shared_of(request)
    return render(request, "promotions.html", await lists.promotions(shared.api, shared.hub, request.query_params.multi_items()))


@router.get("/commands")
async def commands(request: Request) -> Response:
    """Operators' commands."""
    return render(request, "commands.html", await lists.commands(shared_of(request).api, request.query_params.multi_items()))


@router.get("/commands/{command_id}")
async def command(request: Request, command_id: str) -> Response:
    """One command and the outcome of every bot."""
    if not is_id(command_id):
        raise HTTPException(404, "No command with this id.")
    shared = shared_of(request)
    context, status = await lists.command(shared.api, shared.hub, command_id)
    return render(request, "command.html", context, status)


@router.get("/quarantine")
async def quarantine(request: Request) -> Response:
    """Records that could not be read."""
    return render(request, "quarantine.html", await lists.quarantine(shared_of(request).api, request.query_params.multi_items()))


@router.get("/live")
async def live(request: Request) -> Response:
    """The stream of one open page, or of several of one browser."""
    hub = shared_of(request).hub
    if len(hub.clients) >= MAX_CLIENTS:
        return PlainTextResponse(f"At most {MAX_CLIENTS} pages are open at once; load the page again later.", 503, {"Retry-After": "5"})
    query = request.query_params.multi_items()
    views = fleet.views_of(query) or {"": fleet.view_of(query)}
    content = while_allowed(request, events(hub, views), tuple(views))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(content, media_type="text/event-stream", headers=headers)


async def while_allowed(request: Request, content: AsyncGenerator[bytes], names: Sequence[str]) -> AsyncIterator[bytes]:
    """A stream, for as long as its reader may read; then the page is told to load itself again, which asks for a sign-in.

    Looked at before each message: the header comes once a second. Where reading is open to all, nothing is looked at.
    """
    shared, session = shared_of(request), session_of(request)
    async with contextlib.aclosing(content):
        async for message in content:
            if shared.settings.reading_needs_a_token:
                now_s = clock.monotonic_ms() / 1000
                session = await shared.sessions.confirmed(session, shared.api, now_s)
                if session is None or not shared.sessions.lives(session, now_s):
                    for name in names:
                        yield Message("", RELOAD).encode(ms_of(shared.hub.now()), name)
                    return
            yield message


@router.get("/livez")
async def livez() -> Response:
    """This process runs, and which version; in the form of the proof API's."""
    return JSONResponse({"status": "ok", "version": VERSION})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """503 while the proof API does not answer."""
    hub = shared_of(request).hub
    if hub.link.lost_since is None:
        return PlainTextResponse("ok")
    found = await hub.api.get("/livez")
    ready = isinstance(found, Found)
    return PlainTextResponse("ok" if ready else f"the proof API cannot be reached: {hub.link.why}", 200 if ready else 503)
