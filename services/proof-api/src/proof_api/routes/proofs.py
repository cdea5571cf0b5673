"""The two proofs, health and metrics."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel

from autonomy import clock
from autonomy.documents.attention import AttentionFound
from autonomy.documents.proofs import Alive, AutonomyProof, JobsProof, Ready
from autonomy.values import iso_of_ms
from autonomy.version import VERSION
from proof_api.context import CanRead, Context, InContext
from proof_api.http.problems import declared, giving
from proof_api.metrics import render
from proof_api.proof.judging import AS_WANTED, AUTONOMY_KEYS, JOBS_KEYS, RETRY_AFTER_S, body_of, proof_of

router = APIRouter()
JSON = "application/json"
UNTRUSTED = "The same keys, unknown ones null: the answer cannot be trusted, or does not meet `require`"


def told(document: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """A proof has one form, whatever its status; a process that is set up wrongly has no proof and gives a problem."""
    (untrusted,) = giving(document, UNTRUSTED, 503).values()
    return giving(document) | declared(401, 422) | {503: untrusted | {"content": declared(503)[503]["content"]}}


Require = Annotated[
    Literal["ticking"] | None, Query(description="answer 503 unless the verdict is TICKING or PAUSED; one that is not known is neither")
]


SAME_MOMENT_MS = 10
"""So long a proof is the same moment's: a three-hundredth of the shortest lag that counts, and below what a reader can tell apart. Its
`now` is the instant at which it was judged."""


def answer(context: Context, keys: tuple[str, ...], require: str | None) -> Response:
    """A proof: judged at this moment, over facts with their ages; a crowd that asks within one moment gets one judgement."""
    mono_ms = clock.monotonic_ms()
    judged = context.proofs.get((keys, require))
    if judged is None or mono_ms - judged[0] >= SAME_MOMENT_MS:
        judged = context.proofs[(keys, require)] = (mono_ms, _judged(context, keys, require))
    return judged[1]  # a response holds no state of a request: the same one may be sent many times


def _judged(context: Context, keys: tuple[str, ...], require: str | None) -> Response:
    now_ms, judgement, log, read = context.judged()
    code = judgement.code
    if require == "ticking" and judgement.verdict not in AS_WANTED:
        code = 503
    key = (keys, judgement.status)
    picture = context.snapshots.picture
    cached = context.snapshots_cache.get(key)
    if cached is None or cached[0] is not picture:
        cached = (picture, orjson.dumps(body_of(keys, judgement, read))[1:-1])
        context.snapshots_cache[key] = cached
    proof = orjson.dumps(proof_of(judgement, log, read, now_ms))
    whole = b'{"now":"' + iso_of_ms(now_ms).encode() + b'",' + cached[1] + b',"proof":' + proof + b"}"
    headers = {
        "Cache-Control": "no-store", "X-Proof-Status": judgement.status, "X-As-Of-Tick": str(read.applied_tick),
    }  # fmt: skip
    if code != 200:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(whole, code, headers, JSON)


@router.get("/api/_proof/autonomy", tags=["proof"], summary="Is the planner really scheduling?", responses=told(AutonomyProof))
async def autonomy(context: InContext, _: CanRead, require: Require = None) -> Response:
    """The planner's last ticks and decisions, with the proof that they are current.

    Source: R-A1.1, R-A1.3.
    """
    return answer(context, AUTONOMY_KEYS, require)


@router.get("/api/_proof/jobs", tags=["proof"], summary="Is work really being done?", responses=told(JobsProof))
async def jobs(context: InContext, _: CanRead, require: Require = None) -> Response:
    """Running, queued, finished and stuck jobs, with the proof that the counts are current.

    Source: R-A1.2, R-A1.3.
    """
    return answer(context, JOBS_KEYS, require)


@router.get("/api/attention", tags=["proof"], summary="What needs a person, by kind and cause", responses=told(AttentionFound))
async def attention(context: InContext, _: CanRead) -> Response:
    """Counts, queue and proof of one snapshot; 503 with what fails, and null for what is not known, while the rows cannot be trusted.

    Source: R-B3.
    """
    judged = now_ms, judgement, log, read = context.judged()
    document = {**context.attention(judged), "now": iso_of_ms(now_ms), "proof": proof_of(judgement, log, read, now_ms)}
    headers = {"Cache-Control": "no-store", "X-Proof-Status": judgement.status}
    if judgement.code != 200:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(orjson.dumps(document), judgement.code, headers, JSON)


@router.get("/livez", tags=["health"], summary="This process runs", responses=giving(Alive))
@router.get("/healthz", tags=["health"], include_in_schema=False)
async def livez() -> Response:
    """The process alone with its version, no dependencies."""
    return Response(orjson.dumps({"status": "ok", "version": VERSION}), media_type=JSON)


@router.get(
    "/readyz", tags=["health"], summary="Everything it needs answers",
    responses=giving(Ready) | giving(Ready, "Names the failing check", 503),
)  # fmt: skip
async def readyz(context: InContext) -> Response:
    """503 with the failing check while an answer could not be trusted."""
    _, judgement, _, _ = context.judged()
    ready = judgement.code == 200 and judgement.checks["kafka"] == "ok"
    body = {"status": "ok" if ready else "unavailable", "checks": judgement.checks, "reason": judgement.reason or None}
    return Response(orjson.dumps(body), 200 if ready else 503, media_type=JSON)


@router.get("/metrics", tags=["health"], summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(context: InContext, request: Request) -> Response:
    """The platform in numbers, without bot or job ids in labels."""
    del request
    body, kind = render(context)
    return Response(body, media_type=kind)
