"""What is in force and who works: the policy with what of it is in use, and the runner processes."""

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from autonomy.documents.standing import PolicyInForce
from autonomy.documents.workers import Workers
from proof_api.context import CanRead, Connected, InContext
from proof_api.http.problems import declared, giving, known_parameters
from proof_api.reading import standing
from proof_api.reading import workers as processes
from proof_api.routes.reading import answer

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])
NOBODY: Final = datetime.fromtimestamp(0, UTC)
"""Before this nobody beat: while the rows are too old to say who is silent, nobody is."""


@router.get(
    "/api/policy",
    tags=["planner"],
    summary="The policy in force, and how much of what it allows is in use",
    responses=giving(PolicyInForce),
)
async def policy(context: InContext, _: CanRead, connection: Connected) -> Response:
    """The whole document as `set-policy` takes it, who set it and when, where it differs from the default; limits, slots and shares in use.

    Before anybody set one it is the default.
    """
    ages = context.ages()
    return answer(context, await standing.standing(connection, ages.now, ages.silent_before or NOBODY))


@router.get(
    "/api/workers",
    tags=["jobs"],
    summary="Runner processes: who lives, what they offer, what they disagree about",
    responses=giving(Workers),
)
async def workers(context: InContext, _: CanRead, connection: Connected) -> Response:
    """The processes of the last hour. What live ones announce differently keeps every job that needs it from being scheduled."""
    ages = context.ages()
    return answer(context, await processes.workers(connection, ages.now, ages.silent_before, ages.lease_s))
