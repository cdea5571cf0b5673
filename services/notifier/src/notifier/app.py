"""Wire the notifier together: rules, desks, readers, the watch, and the few addresses that say how it is.

Place in the flow: settings → **app** → works that are kept going. Nothing connects before its lifespan begins.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse

from autonomy import clock
from autonomy.supervision import Supervisor, Work
from autonomy.values import iso_of_ms
from autonomy.version import VERSION
from notifier.desk import Desk
from notifier.reading import Reading
from notifier.rules import Rules
from notifier.settings import NotifierSettings
from notifier.watch import Watch

SETTLE_S: Final = 8.0
UNSEEN_MS: Final = 5_000


def create_app(settings: NotifierSettings, rules: Rules) -> FastAPI:
    """The application."""
    desks = [Desk(listener, rules.page) for listener in rules.listeners]
    reading = Reading(settings.kafka, desks)

    def tell(raised: Sequence[object], over: Sequence[object]) -> None:
        for desk in desks:
            desk.hear(raised, over)  # type: ignore[arg-type] # alarms

    watch = Watch(settings.kafka, rules.limits, tell, reading.log_is_there, reading.unread)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        supervisor = Supervisor(works_of(desks, reading, watch))
        supervisor.start()
        try:
            yield
        finally:
            await asyncio.gather(*(desk.settled(SETTLE_S) for desk in desks))
            await supervisor.stop()
            await reading.close()

    app = FastAPI(title="Autonomy notifier", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts))

    @app.get("/livez")
    async def livez() -> Response:
        """This process runs, and which version."""
        return JSONResponse({"status": "ok", "version": VERSION})

    @app.get("/readyz")
    async def readyz() -> Response:
        """503 while the log is not read; what waits for a receiver that fails is told, and is no reason to be unready."""
        document = readiness(desks, reading, watch)
        return JSONResponse(document, 200 if document["status"] == "ok" else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def works_of(desks: Sequence[Desk], reading: Reading, watch: Watch) -> tuple[Work, ...]:
    """What this process does for as long as it lives, each with its sign of progress."""
    return (
        Work("the connection to the log", reading.run, partial(reading.turns.__getitem__, "")),
        *(
            Work(f"the reader for {desk.name}", partial(reading.read, desk), partial(reading.turns.__getitem__, desk.name))
            for desk in desks
        ),
        Work("the ear for signs of life", watch.listen, lambda: watch.turns),
        Work("the dead man's switch", watch.judge, lambda: watch.looks),
        *(Work(f"the facts for {desk.name}", desk.run, partial(desk.turns.__getitem__, "facts")) for desk in desks),
        *(Work(f"the alarms for {desk.name}", desk.run_alarms, partial(desk.turns.__getitem__, "alarms")) for desk in desks),
    )


def readiness(desks: Sequence[Desk], reading: Reading, watch: Watch) -> dict[str, object]:
    """How it is: whether it reads, and of each receiver what waits and why."""
    answered_ms = watch.signs.answered_ms
    quiet = answered_ms is None or clock.monotonic_ms() - answered_ms > UNSEEN_MS
    reason = reading.problem or ("Kafka does not answer" if quiet else "") or reading.unread()
    return {
        "status": "unavailable" if reason else "ok", "reason": reason or None,
        "leaderAtTick": watch.signs.leader.head_tick if watch.signs.leader else None,
        "alarms": [alarm.title for alarm, _ in watch.switch.on.values()],
        "receivers": [
            {
                "name": desk.name, "service": desk.listener.receiver.service, "kinds": sorted(desk.listener.kinds), "waiting": desk.waiting,
                "problem": desk.problem or None, "failingSince": _iso(desk.failing_since_ms), "lastSentAt": _iso(desk.sent_at_ms),
                "toldUpToTick": desk.state.head.tick if desk.state else None, "beganAfterTick": reading.began.get(desk.name),
            }
            for desk in desks
        ],
    }  # fmt: skip


def _iso(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else iso_of_ms(instant_ms)
