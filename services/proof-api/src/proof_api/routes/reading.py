"""Bots, jobs, runs, decisions, stage events, commands, quarantine: lists and details."""

from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response

from autonomy.documents import tables
from autonomy.documents.answers import (
    BacktestPage,
    BotDetail,
    BotPage,
    CommandPage,
    DecisionAtTickPage,
    DecisionPage,
    JobDetail,
    JobPage,
    MarketData,
    QuarantinePage,
    RunPage,
    StageEventPage,
    StrategyCatalogue,
)
from autonomy.gates import Needs
from autonomy.reasons import Reason
from autonomy.values import BOT_ID_PATTERN, SYMBOL_PATTERN, BotState, JobStatus, JobType, Recency, Stage, instant_of_ms, iso_of_ms
from proof_api.context import CanRead, Connected, Context, InContext
from proof_api.http.problems import Problem, declared, giving, known_parameters
from proof_api.proof.judging import proof_of
from proof_api.reading import queries
from proof_api.reading.ordering import COLUMNS, GroupBy, SortBy, order_of
from proof_api.reading.queries import BotFilter, Where
from proof_api.reading.sources import sources_of, strategies_of

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])
JSON = "application/json"
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "As the ETag of If-None-Match says; without a body"}}
Limit = Annotated[int, Query(ge=1, le=queries.MAX_LIMIT)]
Cursor = Annotated[str | None, Query(max_length=400)]
BotPath = Annotated[str, Path(pattern=BOT_ID_PATTERN)]
NoneMatch = Annotated[str | None, Header(alias="If-None-Match", max_length=200)]


def answer(context: Context, document: dict[str, object], none_match: str | None = None, rev: int | None = None) -> Response:
    """A document with its proof, and an ETag of the read models' revision: the one known before the rows were read."""
    now_ms, judgement, log, read = context.judged()
    etag = f'W/"{revision(context) if rev is None else rev}-{judgement.status}"'
    headers = {"Cache-Control": "no-cache", "ETag": etag, "X-Proof-Status": judgement.status}
    if none_match == etag:
        return Response(status_code=304, headers=headers)
    whole = {**document, "now": iso_of_ms(now_ms), "proof": proof_of(judgement, log, read, now_ms)}
    return Response(orjson.dumps(whole), headers=headers, media_type=JSON)


def revision(context: Context) -> int:
    """The newest revision that a snapshot saw."""
    picture = context.snapshots.picture
    return picture.rev if picture else 0


def page(context: Context, request: Request, items: Sequence[object], following: str | None) -> Response:
    """A page of a list."""
    response = answer(context, {"items": items, "nextCursor": following})
    link(response, request, following)
    return response


def link(response: Response, request: Request, following: str | None) -> None:
    """Name the next page with the filters of this one."""
    if following is not None and response.status_code == HTTPStatus.OK:
        query = request.url.include_query_params(cursor=following).query
        response.headers["Link"] = f'<?{query}>; rel="next"'


async def known_bot(connection: Connected, bot_id: BotPath) -> str:
    """The id of a bot that was registered once; 404 of any other."""
    if await connection.fetchval("SELECT 1 FROM bots WHERE id = $1", bot_id) is None:
        raise Problem(404, "UNKNOWN_BOT", "No such bot", f"{bot_id} was never registered")
    return bot_id


KnownBot = Annotated[str, Depends(known_bot)]


def words_of(values: Sequence[StrEnum] | None) -> tuple[str, ...]:
    """The words of a filter, none when it was not given."""
    return tuple(value.value for value in values or ())


async def fleet_filter(  # noqa: PLR0913 (one argument per filter)
    context: InContext,
    state: Annotated[list[BotState] | None, Query(max_length=7)] = None,
    stage: Annotated[list[Stage] | None, Query(max_length=5)] = None,
    reason: Annotated[list[Reason] | None, Query(max_length=12)] = None,
    recency: Annotated[list[Recency] | None, Query(max_length=3)] = None,
    recommended: Annotated[bool | None, Query(description="whether a recommendation of the bot waits for approval")] = None,
    needs: Annotated[list[Needs] | None, Query(max_length=3, description="whom bots with a blocker wait for")] = None,
    blocker: Annotated[
        list[Annotated[str, Query(pattern="^[A-Z_]{1,64}$")]] | None,
        Query(max_length=20, description="the gate by which a bot is counted in `/api/attention`"),
    ] = None,
    gate: Annotated[
        list[Annotated[str, Query(pattern="^[A-Z_]{1,64}$")]] | None,
        Query(max_length=20, description="a promotion gate that does not pass"),
    ] = None,
    synthetic: Annotated[bool | None, Query(description="whether its newest evidence is on made-up bars; no: or it has none")] = None,
    strategy: Annotated[list[Annotated[str, Query(pattern="^[a-z0-9-]{1,64}$")]] | None, Query(max_length=100)] = None,
    symbol: Annotated[list[Annotated[str, Query(pattern=SYMBOL_PATTERN)]] | None, Query(max_length=1000)] = None,
    q: Annotated[str, Query(max_length=queries.MAX_TEXT, description="text in a bot's id, name, symbol or strategy")] = "",
) -> BotFilter:  # fmt: skip
    """What the fleet's list is narrowed by, wherever it is."""
    return BotFilter(
        words_of(state), words_of(stage), words_of(reason), words_of(recency), q.replace("\x00", ""), context.ages().silent_before,
        recommended, words_of(needs), tuple(strategy or ()), tuple(symbol or ()), tuple(blocker or ()), tuple(gate or ()), synthetic,
    )  # fmt: skip


FleetFilter = Annotated[BotFilter, Depends(fleet_filter)]
Sorted = Annotated[SortBy, Query(description="rows without a value come last, those of one value by id")]
Falls = Annotated[Literal["asc", "desc"], Query(description="rising or falling")]
Grouped = Annotated[GroupBy | None, Query(description="rows of one group together, and how many bots each group has")]


@router.get("/api/bots", tags=["bots"], summary="The fleet, filtered by what the badges show", responses=giving(BotPage) | UNCHANGED)
async def bots(  # noqa: PLR0913 (one argument per part of the address)
    request: Request, context: InContext, _: CanRead, connection: Connected, wanted: FleetFilter,
    sort: Sorted = SortBy.BOT, order: Falls = "asc", group: Grouped = None,
    limit: Limit = queries.DEFAULT_LIMIT, cursor: Cursor = None, if_none_match: NoneMatch = None,
) -> Response:  # fmt: skip
    """One page, by bot id where no other order is asked for, with the counts of every badge, stage and reason over the whole fleet."""
    ages = context.ages()
    rev = revision(context)
    ordered = order_of(sort, group, falls=order == "desc", silent_before=wanted.silent_before)
    items, following = await context.shelf.page(connection, wanted, ordered, ages, limit, cursor)
    groups = await queries.groups_of(connection, wanted, group.value, COLUMNS[group.value].sql) if group else None
    picture = context.snapshots.picture
    counts = picture.counts if picture else {}
    total = sum(counts.get("state", {}).values())
    matching = wanted.counted(counts)
    if matching is None:
        matching = await queries.count_matching(connection, wanted)
    body: dict[str, object] = {
        "items": items, "nextCursor": following, "counts": counts, "total": total, "matching": matching, "groups": groups,
        "rev": rev,
    }  # fmt: skip
    response = answer(context, body, if_none_match, rev)
    link(response, request, following)
    return response


@router.get("/api/bots/{bot_id}", tags=["bots"], summary="One bot: now, why, evidence, jobs", responses=giving(BotDetail) | declared(404))
async def bot(context: InContext, _: CanRead, connection: Connected, bot_id: BotPath) -> Response:
    """Everything that stands about one bot."""
    found = await queries.one_bot(connection, bot_id)
    if found is None:
        raise Problem(404, "UNKNOWN_BOT", "No such bot", f"{bot_id} was never registered")
    now = found["botNow"]
    if isinstance(now, dict):
        (found["botNow"],) = context.dressed([now])
    return answer(context, found)


@router.get(
    "/api/bots/{bot_id}/decisions",
    tags=["bots"],
    summary="What was decided for a bot, newest first",
    responses=giving(DecisionPage) | declared(404),
)
async def bot_decisions(
    request: Request, context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Spans of ticks with one decision each, as recorded."""
    where = Where()
    where.add("bot_id = {}", bot_id)
    return page(context, request, *await queries.DECISIONS.page(connection, where, limit, cursor))


@router.get("/api/bots/{bot_id}/backtests", tags=["bots"], summary="Evidence, newest first", responses=giving(BacktestPage) | declared(404))
async def bot_backtests(
    request: Request, context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """Accepted research results with their fingerprints."""
    where = Where()
    where.add("bot_id = {}", bot_id)
    return page(context, request, *await queries.BACKTESTS.page(connection, where, limit, cursor))


@router.get("/api/jobs", tags=["jobs"], summary="Jobs, newest first", responses=giving(JobPage))
async def jobs(
    request: Request, context: InContext, _: CanRead, connection: Connected,
    status: Annotated[list[JobStatus] | None, Query(max_length=5)] = None,
    type: Annotated[list[JobType] | None, Query(max_length=4)] = None,  # noqa: A002 (the word of the API)
    bot: Annotated[str | None, Query(pattern=BOT_ID_PATTERN)] = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Every attempt with its cause."""
    where = Where()
    where.add_words("status", status)
    where.add_words("job_type", type)
    if bot:
        where.add("bot_id = {}", bot)
    return page(context, request, *await queries.JOBS.page(connection, where, limit, cursor))


@router.get("/api/jobs/{job_id}", tags=["jobs"], summary="One job", responses=giving(JobDetail) | declared(404))
async def job(context: InContext, _: CanRead, connection: Connected, job_id: UUID) -> Response:
    """What it is about, who works on it, each attempt, and how it ended."""
    found = await connection.fetchrow(f"{tables.JOB.select} WHERE id = $1", str(job_id))
    if found is None:
        raise Problem(404, "UNKNOWN_JOB", "No such job", f"{job_id} was not enqueued by an accepted tick, or has not been read yet")
    return answer(context, {"job": queries.document(found)})


@router.get("/api/market-data", tags=["planner"], summary="Which bars the live runners announced, by source", responses=giving(MarketData))
async def market_data(context: InContext, _: CanRead) -> Response:
    """Symbols, timeframe, first and last bar of each source; empty while no runner has said what it can read."""
    picture = context.snapshots.picture
    return answer(context, {"items": sources_of(picture.runners) if picture else []})


@router.get(
    "/api/strategies", tags=["planner"], summary="Which strategies the live runners announced, with their parameters",
    responses=giving(StrategyCatalogue),
)  # fmt: skip
async def strategies(context: InContext, _: CanRead, connection: Connected) -> Response:
    """What a bot's `strategy` and `parameters` may be, and which files of strategies cannot be used, with the line."""
    runners = await connection.fetch(queries.STRATEGIES_SQL, instant_of_ms(context.judged()[0]))
    return answer(context, strategies_of([dict(row) for row in runners]))


@router.get("/api/planner/runs", tags=["planner"], summary="Ticks, newest first", responses=giving(RunPage))
async def runs(
    request: Request, context: InContext, _: CanRead, connection: Connected, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Each with its reasons, blockers, slice and hash."""
    return page(context, request, *await queries.RUNS.page(connection, Where(), limit, cursor))


@router.get(
    "/api/planner/runs/{tick}/decisions",
    tags=["planner"],
    summary="Every bot's decision at one tick",
    responses=giving(DecisionAtTickPage) | declared(404),
)
async def run_decisions(
    request: Request, context: InContext, _: CanRead, connection: Connected,
    tick: Annotated[int, Path(ge=1, le=2**53)], limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """One row per bot, changed or not."""
    after = queries.decode_cursor(cursor, (str,))[0] if cursor else ""
    rows = await connection.fetch(
        "SELECT * FROM autonomy_bot_decisions WHERE tick = $1 AND bot_id > $2 ORDER BY bot_id LIMIT $3", tick, after, limit + 1
    )
    if not rows and not await connection.fetchval("SELECT true FROM autonomy_planner_runs WHERE tick = $1", tick):
        raise Problem(404, "UNKNOWN_TICK", "No such tick", f"tick {tick} was not accepted, or has not been read yet")
    following = queries.encode_cursor([rows[limit - 1]["bot_id"]]) if len(rows) > limit else None
    return page(context, request, [queries.document(dict(row)) for row in rows[:limit]], following)


@router.get("/api/stage-events", tags=["bots"], summary="Stage history of the fleet, newest first", responses=giving(StageEventPage))
async def stage_events(  # noqa: PLR0913 (one argument per filter)
    request: Request, context: InContext, _: CanRead, connection: Connected,
    bot: Annotated[str | None, Query(pattern=BOT_ID_PATTERN)] = None,
    stage: Annotated[list[Stage] | None, Query(max_length=5, description="the stage that was reached")] = None,
    reason: Annotated[str | None, Query(pattern="^[A-Z_]{1,64}$")] = None,
    command: Annotated[UUID | None, Query(description="the command that moved them")] = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Who moved which bot, why, on which evidence, and approved by whom."""
    where = Where()
    if bot:
        where.add("bot_id = {}", bot)
    where.add_words("to_stage", stage)
    if reason:
        where.add("reason_code = {}", reason)
    if command:
        where.add("command_id = {}", str(command))
    return page(context, request, *await queries.STAGE_EVENTS.page(connection, where, limit, cursor))


@router.get("/api/quarantine", tags=["planner"], summary="Records that could not be read, newest first", responses=giving(QuarantinePage))
async def quarantine(
    request: Request, context: InContext, _: CanRead, connection: Connected, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Each with its place, hash and reason."""
    return page(context, request, *await queries.QUARANTINE.page(connection, Where(), limit, cursor))


@router.get("/api/commands", tags=["commands"], summary="Commands and refused attempts, newest first", responses=giving(CommandPage))
async def commands(
    request: Request, context: InContext, _: CanRead, connection: Connected, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Who asked for what, and what became of it."""
    return page(context, request, *await queries.COMMANDS.page(connection, Where(), limit, cursor))
