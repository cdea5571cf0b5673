"""The ladder from LAB to LIVE in one document."""

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from autonomy.documents.board import Board
from proof_api.context import CanRead, Connected, InContext
from proof_api.http.problems import declared, giving, known_parameters
from proof_api.reading.board import board as counted
from proof_api.routes.reading import answer, revision

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])


@router.get("/api/board", tags=["bots"], summary="Stages with their bots, and what keeps these from the next one", responses=giving(Board))
async def board(context: InContext, _: CanRead, connection: Connected) -> Response:
    """Every promotion gate that does not pass, with how many bots it holds back; the list of bots takes `stage` and `gate`."""
    return answer(context, await counted(connection, revision(context)))
