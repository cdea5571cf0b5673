"""Server-sent events: which bots changed, and how far the read models are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from autonomy import clock
from autonomy.errors import Broken
from autonomy.postgres import GONE
from proof_api.context import CanRead, Context, InContext, may_read
from proof_api.http.problems import PARTS, Problem, declared
from proof_api.proof.judging import proof_of
from proof_api.reading import queries
from proof_api.reading.pool import Pool

router = APIRouter()
Authorization = Annotated[str | None, Header()]
MAX_CLIENTS = 64
MAX_ROWS = 500
PROOF_EVERY_S = 1.0
SAME_MOMENT_MS = 100
"""A tenth of the time between two proofs of one stream."""
READINGS_KEPT = 16
Told = tuple[int, bytes]
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `bots` and `proof`, each with one line of JSON",
        # OpenAPI 3.1 has no word for what stands inside a stream.
        "content": {"text/event-stream": {"x-events": {"bots": {"$ref": f"{PARTS}BotsEvent"}, "proof": {"$ref": f"{PARTS}ProofEvent"}}}},
    }
}


class EventStream(StreamingResponse):
    """Server-sent events; an open stream is counted as long as it is served, however it ends."""

    media_type = "text/event-stream"
    context: Context | None = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it until the client is gone or the process stops."""
        if self.context is None:
            raise Broken("a stream of events belongs to no process")
        self.context.clients += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.context.clients -= 1


@router.get(
    "/api/stream", tags=["bots"], summary="Changed bots as they change, and the proof once a second",
    response_class=EventStream, responses=EVENTS | declared(401, 422, 503),
)  # fmt: skip
async def stream(
    request: Request, context: InContext, _: CanRead, after: Annotated[int, Query(ge=0, le=2**53)] = 0, authorization: Authorization = None
) -> StreamingResponse:
    """Events `bots` (rows changed after a revision; `more` says that there were over 500), and `proof`."""
    if context.clients >= MAX_CLIENTS:
        raise Problem(503, "TOO_MANY_STREAMS", "Too many streams are open", f"at most {MAX_CLIENTS}; poll instead")
    picture = context.snapshots.picture
    start = after or (picture.rev if picture else 0)
    response = EventStream(events(context, request, start, authorization), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.context = context
    return response


async def events(
    context: Context, request: Request, after: int, authorization: str | None = None, max_events: int | None = None
) -> AsyncIterator[bytes]:
    """The stream itself; ends when the client is gone, its credential is no longer valid, or the process stops."""
    sent, told = 0, 0.0
    looked: datetime | None = None
    loop = asyncio.get_running_loop()
    while not context.stopping and not await request.is_disconnected() and (max_events is None or sent < max_events):
        if not may_read(context, authorization):
            return
        # Taken before the rows are read: a picture that comes meanwhile is not waited for again.
        newer = context.snapshots.newer
        # Judged before the rows are read: what it says of their age is never younger than they are.
        proof = proof_event(context) if loop.time() - told >= PROOF_EVERY_S else None
        said = await changed(context, after)
        silent_before = context.ages().silent_before
        if silent_before is not None:
            quiet = await gone_silent(context, looked or silent_before, silent_before)
            if quiet:
                yield event("bots", {"items": context.dressed(quiet), "rev": after, "more": False})
                sent += 1
            looked = silent_before
        if said is not None:
            after, content = said
            yield content
            sent += 1
        if proof is not None:
            told = loop.time()
            yield proof
            sent += 1
        # A wait that shares nothing: it may be cut at any moment, and nobody else notices.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROOF_EVERY_S):
                await newer.wait()


def proof_event(context: Context) -> bytes:
    """The proof as an event; streams that ask within one moment get the same one."""
    now_ms = clock.monotonic_ms()
    if context.told is None or now_ms - context.told[0] >= SAME_MOMENT_MS:
        judged = at_ms, judgement, log, read = context.judged()
        counts = context.snapshots.picture.counts if context.snapshots.picture else {}
        document = {
            "proof": proof_of(judgement, log, read, at_ms), "counts": counts, "summary": read.body.get("lastDecisionSummary"),
            "attention": context.attention(judged),
        }  # fmt: skip
        context.told = (now_ms, event("proof", document))
    return context.told[1]


async def changed(context: Context, after: int) -> Told | None:
    """The newest revision and the event of the rows changed after another one.

    None when there are none, and while the database does not answer: the proof says so. Streams that stand at the same revision get the
    same event: it is read once, by a task that none of them can cut.
    """
    picture = context.snapshots.picture
    if context.pool is None or picture is None or picture.rev <= after:
        return None
    key = (after, picture.rev)
    reading = context.reading.get(key)
    if reading is None:
        if len(context.reading) >= READINGS_KEPT:
            context.reading = {kept: task for kept, task in context.reading.items() if not task.done()}
        reading = context.reading[key] = asyncio.create_task(read_changed(context, context.pool, after))
    try:
        return await asyncio.shield(reading)
    finally:
        # What was not read is asked for again.
        if reading.done() and (reading.cancelled() or reading.exception() is not None or reading.result() is None):
            context.reading.pop(key, None)


async def read_changed(context: Context, pool: Pool, after: int) -> Told | None:
    """Read the rows changed after a revision; whoever waits for them may go."""
    try:
        async with pool.connection() as connection:
            rows = await queries.changed_bots(connection, after, MAX_ROWS)
    except GONE:
        return None
    if not rows:
        return None
    rev = max(int(str(row["rev"])) for row in rows)
    return rev, event("bots", {"items": context.dressed(rows), "rev": rev, "more": len(rows) >= MAX_ROWS})


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
