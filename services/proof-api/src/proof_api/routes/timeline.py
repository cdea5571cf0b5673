"""A stretch of time of the whole fleet, in one document."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import AwareDatetime

from autonomy.documents.timeline import FleetTimeline
from autonomy.values import LanesBy, instant_of_ms
from proof_api.context import CanRead, Connected, Context, InContext
from proof_api.http.problems import declared, giving, known_parameters
from proof_api.reading import stretch
from proof_api.routes.reading import answer

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])


@router.get(
    "/api/timeline",
    tags=["planner"],
    summary="What the loop did in a stretch of time: ticks, silences, jobs in lanes, moves of stages",
    responses=giving(FleetTimeline),
)
async def timeline(
    context: InContext, _: CanRead, connection: Connected,
    from_at: Annotated[AwareDatetime | None, Query(alias="from", description="its beginning; an hour before its end without it")] = None,
    to_at: Annotated[AwareDatetime | None, Query(alias="to", description="its end; now or an hour after its beginning without it")] = None,
    by: Annotated[LanesBy, Query(description="what the lanes tell apart")] = LanesBy.FLEET,
) -> Response:  # fmt: skip
    """Up to a day, at any time in the past. Few ticks and jobs are told one by one, many by their number in equal steps."""
    now = instant_of_ms(context.judged()[0])
    window = stretch.stretch_of(in_utc(from_at), in_utc(to_at), now)
    return answer(context, await stretch.read(connection, window, by, known_until(context)))


def in_utc(instant: datetime | None) -> datetime | None:
    """The same instant in UTC, where it is one."""
    return instant.astimezone(UTC) if instant else None


def known_until(context: Context) -> datetime | None:
    """The instant up to which the rows are complete, as it is known before they are read."""
    now_ms, judgement, _, _ = context.judged()
    return None if judgement.rows_age_ms is None else instant_of_ms(now_ms) - timedelta(milliseconds=judgement.rows_age_ms)
