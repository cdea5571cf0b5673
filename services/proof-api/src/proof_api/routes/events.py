"""One event of the log, with its record and what bears it out."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import AwareDatetime

from autonomy.documents.stored import StoredEvent
from autonomy.errors import BadInput, Unreadable
from autonomy.producer import LOST, words_of
from proof_api.context import CanRead, Connected, InContext
from proof_api.http.problems import Problem, declared, giving, known_parameters
from proof_api.routes.reading import answer
from proof_api.routes.timeline import in_utc

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])


@router.get(
    "/api/events/{event_id}", tags=["planner"], summary="One event as it stands in the log, and which accepted tick has it",
    responses=giving(StoredEvent) | declared(404),
)  # fmt: skip
async def event(
    context: InContext, _: CanRead, connection: Connected, event_id: UUID,
    tick: Annotated[int | None, Query(ge=1, le=2**53, description="the tick that said it")] = None,
    at: Annotated[AwareDatetime | None, Query(description="else when its tick was, or when it was appended, as its row says")] = None,
) -> Response:  # fmt: skip
    """Read from the log for this answer; of a tick's own record all others of its tick too, over which its seal's root is counted again."""
    if (tick is None) == (at is None):
        raise BadInput("tick", "say tick or at, one of them: an event is looked for where its row says that it stands")
    if context.records.busy:
        raise Problem(503, "LOG_BUSY", "Others read events of the log just now", "come again in a second")
    try:
        instant = in_utc(at)
        found = await (
            context.records.at(connection, str(event_id), instant)
            if instant is not None
            else context.records.of_tick(connection, str(event_id), int(tick or 0))
        )
    except Unreadable as fault:
        raise Problem(503, "LOG_UNREADABLE", "The log cannot be read there", str(fault)) from fault
    except LOST as refusal:
        raise Problem(503, "LOG_UNREADABLE", "The log does not answer in time", words_of(refusal)) from refusal
    if found is None:
        where = f"tick {tick}" if tick is not None else f"{at}"
        raise Problem(404, "UNKNOWN_EVENT", "No such event there", f"{event_id} does not stand in the log at {where}")
    return answer(context, found.document())
