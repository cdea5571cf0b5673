"""Server-sent events: which bots changed, and how far the read models are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from autonomy.postgres import GONE
from proof_api import queries
from proof_api.context import CanRead, Context, InContext
from proof_api.problems import Problem, declared
from proof_api.proof import proof_of

router = APIRouter()
MAX_CLIENTS = 64
MAX_ROWS = 500
PROOF_EVERY_S = 1.0


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@router.get(
    "/api/stream", tags=["bots"], summary="Changed bots as they change, and the proof once a second",
    response_class=EventStream, responses=declared(401, 422, 503),
)  # fmt: skip
async def stream(request: Request, context: InContext, _: CanRead, after: Annotated[int, Query(ge=0, le=2**53)] = 0) -> StreamingResponse:
    """Events `bots` (rows changed after a revision; `more` says that there were over 500), and `proof`."""
    if context.clients >= MAX_CLIENTS:
        raise Problem(503, "TOO_MANY_STREAMS", "Too many streams are open", f"at most {MAX_CLIENTS}; poll instead")
    picture = context.snapshots.picture
    start = after or (picture.rev if picture else 0)
    return EventStream(events(context, request, start), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def events(context: Context, request: Request, after: int, max_events: int | None = None) -> AsyncIterator[bytes]:
    """The stream itself; ends when the client is gone or the process stops."""
    context.clients += 1
    sent, told = 0, 0.0
    looked: datetime | None = None
    loop = asyncio.get_running_loop()
    try:
        while not context.stopping and not await request.is_disconnected() and (max_events is None or sent < max_events):
            seen = context.snapshots.taken
            # Judged before the rows are read: what it says of their age is never younger than they are.
            now_ms, judgement, log, read = context.judged()
            rows = await changed(context, after)
            silent_before = context.ages().silent_before
            if silent_before is not None:
                quiet = await gone_silent(context, looked or silent_before, silent_before)
                if quiet:
                    yield event("bots", {"items": context.dressed(quiet), "rev": after, "more": False})
                    sent += 1
                looked = silent_before
            if rows:
                after = max(int(str(row["rev"])) for row in rows)
                yield event("bots", {"items": context.dressed(rows), "rev": after, "more": len(rows) >= MAX_ROWS})
                sent += 1
            if loop.time() - told >= PROOF_EVERY_S:
                told = loop.time()
                counts = context.snapshots.picture.counts if context.snapshots.picture else {}
                proof = proof_of(judgement, log, read, now_ms)
                yield event("proof", {"proof": proof, "counts": counts, "summary": read.body.get("lastDecisionSummary")})
                sent += 1
            with contextlib.suppress(TimeoutError):
                async with context.snapshots.changed:
                    # One that was taken while the rows were read is not waited for again.
                    newer = context.snapshots.changed.wait_for(lambda: context.snapshots.taken != seen)  # noqa: B023 (awaited at once)
                    await asyncio.wait_for(newer, PROOF_EVERY_S)
    finally:
        context.clients -= 1


async def changed(context: Context, after: int) -> list[dict[str, object]]:
    """Changed rows, or nothing while the database does not answer: the proof says so."""
    picture = context.snapshots.picture
    if context.pool is None or picture is None or picture.rev <= after:
        return []
    try:
        async with context.pool.connection() as connection:
            return await queries.changed_bots(connection, after, MAX_ROWS)
    except GONE:
        return []


async def gone_silent(context: Context, since: datetime, before: datetime) -> list[dict[str, object]]:
    """Bots whose runner's lease ran out since the last look."""
    if context.pool is None or before <= since:
        return []
    try:
        async with context.pool.connection() as connection:
            return await queries.newly_silent(connection, since, before, MAX_ROWS)
    except GONE:
        return []


def event(name: str, document: dict[str, object]) -> bytes:
    """One server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(document) + b"\n\n"
