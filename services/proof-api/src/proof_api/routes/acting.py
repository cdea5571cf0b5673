"""Commands, and who is asking."""

import contextlib
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import WithJsonSchema

from autonomy.chain import GENESIS_HASH
from autonomy.documents import tables
from autonomy.documents.commands import ApplyPlanned, CommandAnswered, CommandFound, CommandOpen, FleetMembers, Operator
from autonomy.errors import Broken
from autonomy.events import ApplyFleet
from autonomy.http_server import MAX_BODY_BYTES
from autonomy.postgres import GONE
from autonomy.values import BOT_ID_PATTERN, instant_of_ms
from proof_api.commands.applying import dry_run, members
from proof_api.commands.desk import KINDS, answer_of, check_role
from proof_api.commands.revert import with_moved
from proof_api.commands.schema import request_body
from proof_api.context import CanRead, Connected, Context, InContext, stranger
from proof_api.http.auth import Operator as Who
from proof_api.http.gate import let_go
from proof_api.http.problems import Problem, declared, giving, known_parameters
from proof_api.reading.queries import document as camel
from proof_api.routes.reading import answer

router = APIRouter()
JSON = "application/json"
MAX_DEPTH = 20
MAX_VALUES = 20_000
"""Five hundred bots with forty values each. More takes this process longer to look through than all others may wait."""
MAX_FIELDS = 50
"""Of a command itself; the largest has eight."""
MAX_KEY = 200
NOT_OF_A_PLAN = ("type", "planHash", "reason")
# The limits are described here and checked by `check_key`: a refusal before the route would be recorded by nobody.
Key = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_KEY})]
IdempotencyKey = Annotated[Key | None, Header(alias="Idempotency-Key")]
Authorization = Annotated[str | None, Header()]
FleetPath = Annotated[str, Path(pattern=BOT_ID_PATTERN, description="the fleet's name")]
After = Annotated[str, Query(pattern="^[a-z0-9-]{0,64}$", description="ids behind this one")]


def check_origin(request: Request) -> None:
    """A browser's cross-site request never acts; programs send no such header.

    Raises:
        Problem: 403.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        raise Problem(403, "CROSS_SITE", "Not from here", f"Sec-Fetch-Site: {site}")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Problem(403, "CROSS_SITE", "Not from here", "Origin is another site")


def check_key(key: str | None) -> None:
    """A key, where there is one, has a length that can be kept.

    Raises:
        Problem: 422.
    """
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        limit = f"1 to {MAX_KEY} characters"
        raise Problem(422, "BAD_INPUT", "A value is refused", f"Idempotency-Key: {limit}", field="Idempotency-Key", limit=limit)


async def body_of(request: Request) -> dict[str, object]:
    """The JSON object of a request, within size and depth.

    Raises:
        Problem: 413, 415 or 422.
    """
    if request.headers.get("content-type", "").split(";")[0].strip() != JSON:
        raise Problem(415, "NOT_JSON", "The body must be application/json")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise Problem(413, "TOO_LARGE", "The body is too large", f"at most {MAX_BODY_BYTES} bytes")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise Problem(413, "TOO_LARGE", "The body is too large", f"at most {MAX_BODY_BYTES} bytes")
    values = sum(map(content.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        raise Problem(413, "TOO_LARGE", "The body is too large", f"at most {MAX_VALUES} values, counted by commas and brackets")
    try:
        document = orjson.loads(bytes(content))
    except orjson.JSONDecodeError as refusal:
        raise Problem(422, "BAD_INPUT", "The body is no JSON", str(refusal)[:200]) from refusal
    if not isinstance(document, dict):
        raise Problem(422, "BAD_INPUT", "The body must be a JSON object")
    if len(document) > MAX_FIELDS:
        raise Problem(422, "BAD_INPUT", "The body has too many fields", f"at most {MAX_FIELDS} at its top")
    if depth_of(document) > MAX_DEPTH:
        raise Problem(422, "BAD_INPUT", "The body is nested too deeply", f"at most {MAX_DEPTH} levels")
    return document


def depth_of(value: object) -> int:
    """How deep a document is nested, counted level by level and without recursion; one more than `MAX_DEPTH` for all that is deeper."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        branches = [found for found in level if isinstance(found, dict | list)]
        level = [child for found in branches for child in (found.values() if isinstance(found, dict) else found)]
    return depth


async def planning(request: Request, context: InContext, authorization: Authorization = None) -> Who:
    """Who asks what a command would do: whoever may say it, before a byte of the body is read.

    Raises:
        Problem: 401, 403.
    """
    check_origin(request)
    operator = context.operators.of_header(authorization)
    if operator is None:
        raise stranger(context, request, authorization, "A plan needs an operator's token")
    check_role(operator, "operator", "A plan")
    return operator


MayPlan = Annotated[Who, Depends(planning)]


@router.get("/api/whoami", tags=["commands"], summary="The operator of a credential", responses=giving(Operator) | declared(401, 422, 503))
async def whoami(request: Request, context: InContext, authorization: Authorization = None) -> Response:
    """Name and role, or 401."""
    operator = context.operators.of_header(authorization)
    if operator is None:
        raise stranger(context, request, authorization, "No valid operator's token")
    return Response(orjson.dumps({"name": operator.name, "role": operator.role}), media_type=JSON)


@router.post(
    "/api/commands", tags=["commands"], summary="Say a command; waits up to 5 s for the planner's answer",
    responses={
        **giving(CommandAnswered, "Accepted by the planner"), **giving(CommandOpen, "In the log, not answered yet", 202),
        **giving(CommandAnswered, "Rejected by the planner: code, field, limitText", 409),
        **declared(401, 403, 413, 415, 422, 503, 504),
    },
    openapi_extra={"requestBody": request_body(KINDS.values())},
)  # fmt: skip
async def command(
    request: Request, context: InContext, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """200 answered, 202 still open, 4xx refused with the field and the limit, 503 not sent, 504 unknown."""
    operator = context.operators.of_header(authorization)
    document: dict[str, object] = {}
    try:
        check_origin(request)
        if operator is None:
            raise stranger(context, request, authorization, "Commands need an operator's token")
        # Before a byte of the body is read: nobody without the right to say anything makes this process parse.
        check_role(operator, "operator", "A command")
        document = await body_of(request)
        check_key(idempotency_key)
        said = context.desk.read(document, operator, idempotency_key)
        if context.kafka_is_gone:
            raise Problem(503, "KAFKA_DOWN", "Kafka does not answer: the command was not sent")
        let_go(request)
        if idempotency_key:
            await context.desk.say_once(said, context.pool)
        else:
            await context.desk.append(said, said.command_id, operator.name)
    except Problem as problem:
        # A command that was not sent, or may have landed, was not refused.
        if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR and not context.kafka_is_gone:
            await context.desk.refused(document, operator, problem)
        raise
    return await answered(context, said.command_id)


@router.post(
    "/api/apply/plan", tags=["commands"], summary="What a fleet's files would do; nothing is changed",
    responses=giving(ApplyPlanned) | declared(401, 403, 413, 415, 422, 503),
    openapi_extra={"requestBody": request_body([ApplyFleet], without=NOT_OF_A_PLAN)},
)  # fmt: skip
async def apply_plan(request: Request, context: InContext, operator: MayPlan, connection: Connected) -> Response:
    """Plan hash for the command `apply-fleet` with this body, the counts, and every bot that does not stay as it is.

    Refused while the read models are not fresh: a plan over old rows would be rejected as PLAN_CHANGED, or worse, be believed.
    """
    document = await body_of(request)
    if given := set(NOT_OF_A_PLAN) & set(document):
        raise Problem(422, "BAD_INPUT", "A value is refused", f"{min(given)}: of the command, not of its plan", field=min(given))
    wanted = context.desk.read({**document, "type": ApplyFleet.wire, "planHash": GENESIS_HASH}, operator, None)
    if not isinstance(wanted, ApplyFleet):
        raise Broken(f"{wanted.wire} is no plan")
    judgement = context.judged()[1]
    if judgement.status != "fresh":
        raise Problem(503, "STALE_DATA", "A plan needs fresh data", judgement.reason or judgement.status)
    return answer(context, await dry_run(connection, wanted, instant_of_ms(context.judged()[0])))


@router.get(
    "/api/fleets/{fleet}/bots", tags=["bots"], summary="Ids of the bots that a fleet's files own, sorted",
    responses=giving(FleetMembers) | declared(401, 422, 503), dependencies=[Depends(known_parameters)],
)  # fmt: skip
async def fleet_members(context: InContext, _: CanRead, connection: Connected, fleet: FleetPath, after: After = "") -> Response:
    """At most 10,000 at once; `next` is the `after` of the next page."""
    ids, following = await members(connection, fleet, after)
    return answer(context, {"items": ids, "next": following})


async def answered(context: Context, command_id: str) -> Response:
    """The planner's answer, or 202 while it is open."""
    found = None
    if context.pool is not None:
        # The command is in the log, also when its answer cannot be read now.
        with contextlib.suppress(*GONE):
            found = await answer_of(context.pool, command_id)
    if found is None:
        return Response(orjson.dumps({"commandId": command_id, "status": "OPEN"}), HTTPStatus.ACCEPTED, media_type=JSON)
    code = HTTPStatus.OK if found["status"] == "ACCEPTED" else HTTPStatus.CONFLICT
    return Response(orjson.dumps(camel(found)), code, media_type=JSON)


@router.get(
    "/api/commands/{command_id}",
    tags=["commands"],
    summary="One command and what became of it",
    responses=giving(CommandFound) | declared(401, 404, 422, 503),
)
async def one_command(context: InContext, _: CanRead, connection: Connected, command_id: UUID) -> Response:
    """Also while it is open; of a revert with the outcome of every bot."""
    found = await connection.fetchrow(f"{tables.COMMAND_WHOLE.select} WHERE id = $1", str(command_id))
    if found is None:
        raise Problem(404, "UNKNOWN_COMMAND", "No such command", f"{command_id} was never said, or has not been read yet")
    return answer(context, camel(await with_moved(connection, dict(found))))
