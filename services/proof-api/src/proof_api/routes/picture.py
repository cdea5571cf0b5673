"""What is drawn of one bot, in one document."""

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from autonomy.documents.picture import BotPicture
from proof_api.context import CanRead, Connected, InContext
from proof_api.http.problems import declared, giving, known_parameters
from proof_api.reading import picture
from proof_api.routes.reading import KnownBot, answer

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])


@router.get(
    "/api/bots/{bot_id}/picture", tags=["bots"],
    summary="What is drawn of one bot: its last backtest, its newest paper session beside the engine, its versions and stages",
    responses=giving(BotPicture) | declared(404),
)  # fmt: skip
async def bot_picture(context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot) -> Response:
    """Everything of one moment: rows of one transaction, and the reports that they name by their hash. Long histories are thinned."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await picture.read(connection, bot_id)
    return answer(context, await picture.told(rows, context.settings.artifacts_url))
