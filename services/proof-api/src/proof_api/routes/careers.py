"""A bot's career: promotions, gates, revert plans, searches, versions, paper sessions, and all of it in one timeline."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError

from autonomy.chain import GENESIS_HASH
from autonomy.documents import tables
from autonomy.documents.answers import (
    BarPage,
    DriftPage,
    EquityPage,
    EvolutionPage,
    Gates,
    LookPage,
    Neighbours,
    PromotionPage,
    SessionPage,
    TradePage,
)
from autonomy.documents.commands import RevertPlanned
from autonomy.documents.history import TimelineKind, TimelinePage, VersionPage
from autonomy.events import MAX_BOTS_PER_COMMAND, Document, RevertToLab
from autonomy.read_model.parts import PromotionStatus
from autonomy.values import BOT_ID_PATTERN, Stage, derived_id
from proof_api.commands.revert import dry_run, shown_by
from proof_api.context import CanRead, Connected, InContext
from proof_api.http.problems import Problem, declared, giving, known_parameters
from proof_api.reading import history, queries
from proof_api.reading.bars import bars_of
from proof_api.reading.ordering import SortBy, order_of
from proof_api.reading.queries import Where, document
from proof_api.reading.shelf import neighbours
from proof_api.routes.reading import Cursor, Falls, FleetFilter, Grouped, KnownBot, Limit, Sorted, answer, link, page

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])
UNKNOWN = declared(404)
BEYOND_LAB = tuple(stage for stage in Stage if stage is not Stage.LAB)


@router.get(
    "/api/promotions",
    tags=["bots"],
    summary="Recommendations with their evidence and outcome, newest first",
    responses=giving(PromotionPage),
)
async def promotions(
    request: Request, context: InContext, _: CanRead, connection: Connected,
    status: Annotated[list[PromotionStatus] | None, Query(max_length=5)] = None,
    bot: Annotated[str | None, Query(pattern=BOT_ID_PATTERN)] = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Each keeps every gate as measured when it was recommended."""
    where = Where()
    where.add_words("status", status)
    if bot:
        where.add("bot_id = {}", bot)
    return page(context, request, *await queries.PROMOTIONS.page(connection, where, limit, cursor))


@router.get(
    "/api/bots/{bot_id}/neighbours", tags=["bots"], summary="The bots before and after one in the fleet's list",
    responses=giving(Neighbours) | UNKNOWN,
)  # fmt: skip
async def bot_neighbours(
    context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, wanted: FleetFilter, sort: Sorted = SortBy.BOT,
    order: Falls = "asc", group: Grouped = None,
) -> Response:  # fmt: skip
    """In the order and by the filter of `/api/bots`; also of a bot that the filter does not show."""
    ordered = order_of(sort, group, falls=order == "desc", silent_before=wanted.silent_before)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await neighbours(connection, wanted, ordered, bot_id)
    return answer(context, found or {"previous": None, "next": None})


@router.get(
    "/api/revert/plan", tags=["commands"], summary="What a revert to LAB would do; changes nothing", responses=giving(RevertPlanned)
)
async def revert_plan(
    context: InContext, _: CanRead, connection: Connected, shown: FleetFilter,
    bot: Annotated[list[Annotated[str, Query(pattern=BOT_ID_PATTERN)]] | None, Query(max_length=MAX_BOTS_PER_COMMAND)] = None,
) -> Response:  # fmt: skip
    """Plan hash and expected count for the command, what stops, who stays, and whether baselines wait for a resume.

    Filters of the fleet's list that a command has no words for are resolved now: the plan, and its command, name the bots that they show,
    at most 500.

    Refused while the read models are not fresh: a plan over old rows would be rejected as PLAN_CHANGED, or worse, be believed.
    """
    judgement = context.judged()[1]
    if judgement.status != "fresh":
        raise Problem(503, "STALE_DATA", "A plan needs fresh data", judgement.reason or judgement.status)
    unsaid = shown.state or shown.reason or shown.recency or shown.needs or shown.blocker or shown.gate or shown.text
    filtered = bool(unsaid) or shown.recommended is not None or shown.synthetic is not None
    bots, stages = tuple(bot or ()), tuple(Stage(word) for word in shown.stage)
    if filtered:
        stages = stages or BEYOND_LAB  # a filter is a bulk revert, also where it shows one bot: a pinned one stays
        found = await shown_by(connection, shown)
        if len(found) > MAX_BOTS_PER_COMMAND:
            limit = f"a revert names at most {MAX_BOTS_PER_COMMAND} bots: narrow the filter, or revert the whole fleet"
            raise Problem(422, "TOO_MANY_BOTS", "This filter shows too many bots", limit, field="q")
        bots = tuple(one for one in found if not bots or one in bots)
    try:
        wanted = RevertToLab(
            command_id=derived_id("dry run"), actor="dry-run", role="viewer", stages=stages, bot_ids=bots,
            strategies=shown.strategy, symbols=shown.symbol, plan_hash=GENESIS_HASH, expected_count=0,
        )  # fmt: skip
    except ValidationError as refusal:
        fault = refusal.errors(include_url=False)[0]
        raise Problem(422, "BAD_INPUT", "A value is refused", str(fault["msg"]), field=str(fault["loc"][0])) from refusal
    return answer(context, await dry_run(connection, wanted, of_nobody=filtered and not bots))


@router.get(
    "/api/bots/{bot_id}/gates", tags=["bots"], summary="Every promotion gate, and what blocks scheduling", responses=giving(Gates) | UNKNOWN
)
async def gates(context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot) -> Response:
    """The whole tree as recorded in decisions, in its fixed order; never recomputed."""
    rows = await connection.fetch("SELECT * FROM bot_gates WHERE bot_id = $1 ORDER BY place", bot_id)
    blockers = await connection.fetch("SELECT * FROM bot_blockers WHERE bot_id = $1", bot_id)
    decision = await connection.fetchrow(f"{tables.DECISION_TOLD.select} WHERE bot_id = $1 AND to_tick IS NULL", bot_id)
    first = document(rows[0]) if rows else {}
    return answer(context, {
        "items": [document(row) for row in rows], "blockers": [document(row) for row in blockers],
        "promotionTo": first.get("promotionTo"), "sinceTick": first.get("sinceTick"), "eventId": first.get("eventId"),
        "decision": document(decision) if decision else None,
    })  # fmt: skip


@router.get(
    "/api/bots/{bot_id}/timeline",
    tags=["bots"],
    summary="Everything that happened to a bot, newest first",
    responses=giving(TimelinePage) | UNKNOWN,
)
async def timeline(
    request: Request, context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot,
    kind: Annotated[list[TimelineKind] | None, Query(max_length=len(TimelineKind), description="of these kinds only")] = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Stages, decisions, jobs with their attempts, commands, promotions, searches, versions, drift, sessions, notes; with actors."""
    return page(context, request, *await history.timeline(connection, bot_id, limit, cursor, kind or ()))


@router.get(
    "/api/bots/{bot_id}/versions",
    tags=["bots"],
    summary="Versions with their fingerprints and evidence",
    responses=giving(VersionPage) | UNKNOWN,
)
async def versions(
    request: Request, context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """Evidence of one version never counts for another."""
    return page(context, request, *await history.versions(connection, bot_id, limit, cursor))


def _rows_of_bot(name: str, listing: queries.Listing, form: type[Document], summary: str, words: str) -> None:
    """A route that gives one kind of a bot's rows, page by page."""

    async def rows(
        request: Request, context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, limit: Limit = 20, cursor: Cursor = None
    ) -> Response:
        return page(context, request, *await listing.of_bot(connection, bot_id, limit, cursor))

    rows.__name__, rows.__doc__ = name, words
    router.get(f"/api/bots/{{bot_id}}/{name}", tags=["bots"], summary=summary, responses=giving(form) | UNKNOWN)(rows)


_rows_of_bot(
    "evolutions", queries.EVOLUTIONS, EvolutionPage, "Searches and their challengers, newest first",
    "Why each was made, what it found, and what its challenger lacked.",
)  # fmt: skip
_rows_of_bot(
    "looks", queries.LOOKS, LookPage, "Looks at its timing, newest first",
    "What each saw, what it spent of the line's level, and what it asked for.",
)  # fmt: skip
_rows_of_bot(
    "drift", queries.DRIFT, DriftPage, "Judgements of its paper sessions, newest first",
    "The live window against the engine's re-run of the same bars.",
)  # fmt: skip
_rows_of_bot(
    "sessions", queries.SESSIONS, SessionPage, "Paper sessions, newest first",
    "Execution is PAPER at every stage; `replay` says whether the bars are recorded ones.",
)  # fmt: skip


Session = Annotated[str | None, Query(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description="of this session only")]


@router.get("/api/bots/{bot_id}/trades", tags=["bots"], summary="Paper fills, newest first", responses=giving(TradePage) | UNKNOWN)
async def trades(
    request: Request, context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, session: Session = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Each fill once; FLATTEN is the close of a session."""
    return page(context, request, *await queries.TRADES.of_bot(connection, bot_id, limit, cursor, session))


@router.get(
    "/api/bots/{bot_id}/bars",
    tags=["bots"],
    summary="What became of its bars on paper, and why it has not traded",
    responses=giving(BarPage) | UNKNOWN,
)
async def bars(
    request: Request, context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Every bar of the newest paper session with its one outcome, as the runner said it on the log; the answer is of one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found, following = await bars_of(connection, bot_id, limit, cursor)
    response = answer(context, found)
    link(response, request, following)
    return response


@router.get(
    "/api/bots/{bot_id}/equity",
    tags=["bots"],
    summary="The paper account after each bar, newest first",
    responses=giving(EquityPage) | UNKNOWN,
)
async def equity(
    request: Request, context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, session: Session = None,
    limit: Limit = 200, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Marks that count, each bar once."""
    return page(context, request, *await queries.EQUITY.of_bot(connection, bot_id, limit, cursor, session))
