"""Wire the proof API together.

Place in the flow: HTTP in, read models and log head out; commands to the log. Nothing is answered from memory without its age.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autonomy import clock
from autonomy.errors import BadInput, Broken
from autonomy.http_server import Door
from autonomy.postgres import NOT_READY, is_refusal, words_of
from autonomy.producer import LOST
from autonomy.supervision import Supervisor, Work
from proof_api.commands.desk import Desk
from proof_api.context import Context
from proof_api.http import problems
from proof_api.http.auth import Operators
from proof_api.http.gate import Gate
from proof_api.proof.broker_clock import BrokerClock
from proof_api.proof.watch import Watch
from proof_api.reading.pool import Pool
from proof_api.reading.snapshot import Snapshots
from proof_api.routes import (
    acting,
    board,
    careers,
    events,
    exporting,
    picture,
    proofs,
    reading,
    results,
    schemas,
    standing,
    stream,
    timeline,
)
from proof_api.settings import ProofSettings
from proof_api.voice import Voice

log = logging.getLogger(__name__)
RETRY_S = 0.5
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def create_app(settings: ProofSettings, door: Door | None = None) -> FastAPI:
    """The application; nothing connects before its lifespan begins. `door` has the limits of the server that serves it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        voice = Voice(settings.kafka)
        hours = BrokerClock()
        context = Context(
            settings=settings, snapshots=Snapshots(settings.database_url, settings.stuck_minutes, hours=hours),
            watch=Watch(settings.kafka, clock.drawn_id(), voice, hours=hours), pool=None, operators=Operators(settings.operators_file),
            desk=Desk(voice), door=door or Door(),
        )  # fmt: skip
        context.watch.applied = context.snapshots.head
        app.state.context = context
        supervisor = context.supervisor = Supervisor(works_of(context))
        supervisor.start()
        try:
            yield
        finally:
            context.end_streams()
            await supervisor.stop()
            with contextlib.suppress(*LOST):
                await voice.close()
            if context.pool is not None:
                context.pool.terminate()

    app = FastAPI(
        title="Autonomy proof API", version="1", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None,
        description="Answers whether the platform is really working, and takes operators' commands.",
    )  # fmt: skip
    app.add_middleware(Gate)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts))
    app.add_middleware(Hardened)
    problems.install(app)

    @app.exception_handler(BadInput)
    async def on_bad_input(_: Request, refusal: BadInput) -> Response:
        more = {"field": refusal.field, "limit": refusal.limit}
        return problems.problem_response(422, "BAD_INPUT", "A value is refused", str(refusal), more)

    @app.exception_handler(Broken)
    async def on_broken(_: Request, fault: Broken) -> Response:
        log.critical("broken: %s", fault)
        return problems.problem_response(503, "BROKEN_SETUP", "This process cannot answer until an operator looks", "see its log")

    for module in (proofs, reading, results, careers, picture, timeline, board, standing, events, exporting, acting, stream, schemas):
        app.include_router(module.router)
    # FastAPI's own makes the document on the loop: 0.6 s in which no proof is answered.
    app.add_route("/openapi.json", schemas.openapi, include_in_schema=False)
    return app


class Hardened:
    """Adds the security headers to every answer, as it passes: no task and no stream per request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self.app(scope, receive, hardened)


def works_of(context: Context) -> tuple[Work, ...]:
    """What this process does for as long as it lives, each with its sign of progress."""
    snapshots, watch = context.snapshots, context.watch
    return (
        Work("the snapshots of the read models", snapshots.run, lambda: snapshots.turns),
        Work("the watch over Kafka", watch.run, lambda: watch.turns),
        Work("the probe", watch.probe, lambda: watch.probe_turns),
        Work("the connection pool", lambda: keep_pool(context), may_end=True),
    )


async def keep_pool(context: Context) -> None:
    """Make the connection pool once the database answers; it reconnects by itself from then on."""
    while context.pool is None:
        try:
            context.pool = await Pool.open(context.settings.database_url)
        except NOT_READY as refusal:
            log.log(logging.ERROR if is_refusal(refusal) else logging.WARNING, "waiting for PostgreSQL: %s", words_of(refusal))
            await asyncio.sleep(RETRY_S)
