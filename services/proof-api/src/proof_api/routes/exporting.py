"""The fleet's list as a file: all pages of it, of one moment."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from autonomy.postgres import GONE
from proof_api.context import CanRead, Context, InContext, unanswered
from proof_api.http.problems import Problem, declared, known_parameters
from proof_api.reading import export
from proof_api.reading.ordering import SortBy, order_of
from proof_api.routes.reading import Falls, FleetFilter, Grouped, Sorted

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])
MAX_EXPORTS: Final = 2
"""At once: each holds one of the connections for as long as its reader takes."""


class CsvFile(StreamingResponse):
    """A file that is counted as long as it is sent, and let go however that ends."""

    media_type = export.MEDIA

    def __init__(self, context: Context, parts: AsyncGenerator[bytes], first: bytes, status_code: int = 200) -> None:
        self.context, self.parts = context, parts
        named = {"Content-Disposition": 'attachment; filename="bots.csv"', "Cache-Control": "no-store"}
        super().__init__(self._all(first), status_code, named, self.media_type)

    async def _all(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        async for part in self.parts:
            yield part

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, in a bounded time; one that takes longer is cut off, which its reader sees."""
        try:
            async with contextlib.aclosing(self.parts), asyncio.timeout(export.LONGEST_S):
                await super().__call__(scope, receive, send)
        finally:
            self.context.exports -= 1


@router.get(
    "/api/bots.csv", tags=["bots"], summary="Every bot that the filter shows, in the list's order, as CSV", response_class=CsvFile,
    responses={200: {"description": "A line with the names, and one for each bot"}},
)  # fmt: skip
async def bots_as_csv(
    context: InContext, _: CanRead, wanted: FleetFilter, sort: Sorted = SortBy.BOT, order: Falls = "asc", group: Grouped = None
) -> StreamingResponse:
    """All pages, sent as they are read; refused while two others are under way."""
    if context.exports >= MAX_EXPORTS:
        raise Problem(503, "TOO_MANY_EXPORTS", "Too many files are being sent", f"at most {MAX_EXPORTS} at once")
    if context.pool is None:
        raise Problem(503, "DATABASE_DOWN", "PostgreSQL does not answer", context.snapshots.problem)
    ordered = order_of(sort, group, falls=order == "desc", silent_before=wanted.silent_before)
    parts = export.lines(context.pool.connection, wanted, ordered)
    context.exports += 1
    try:
        return CsvFile(context, parts, await anext(parts))
    except BaseException as fault:
        context.exports -= 1
        await parts.aclose()
        if isinstance(fault, GONE):
            raise unanswered(context, fault) from fault
        raise
