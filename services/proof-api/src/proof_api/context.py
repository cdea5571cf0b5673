"""What the routes of one process share: snapshots, the watch, a database pool, operators."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Final, cast

import asyncpg
from fastapi import Depends, Header, Request, Response

from autonomy import clock
from autonomy.http_server import Door
from autonomy.policy import DEFAULT
from autonomy.postgres import ENDED, GONE, words_of
from autonomy.supervision import Supervisor
from autonomy.throttle import Throttle
from autonomy.values import instant_of_ms
from proof_api.commands.desk import Desk
from proof_api.http.auth import Operator, Operators
from proof_api.http.problems import Problem
from proof_api.proof.attention import attention_of
from proof_api.proof.judging import HEAD_SEEN_MS, Judgement, LogFacts, ReadFacts, judge
from proof_api.proof.now import Ages, dressed, lease_of
from proof_api.proof.watch import Watch
from proof_api.reading.pool import Pool
from proof_api.reading.records import Records
from proof_api.reading.shelf import Shelf
from proof_api.reading.snapshot import Snapshots
from proof_api.settings import ProofSettings

WRONG_PER_MINUTE: Final = 60
"""Attempts without a valid token, of one address; the page asks for all its readers from one."""


Judged = tuple[int, Judgement, LogFacts, ReadFacts]
"""A moment, ms by the broker's clock, with what can be said then."""


@dataclass(slots=True)
class Context:
    """Built once per process, in the lifespan."""

    settings: ProofSettings
    snapshots: Snapshots
    watch: Watch
    pool: Pool | None
    operators: Operators
    desk: Desk
    stopping: bool = False
    clients: int = 0
    exports: int = 0
    supervisor: Supervisor | None = None
    door: Door = field(default_factory=Door)
    strangers: Throttle = field(default_factory=lambda: Throttle(WRONG_PER_MINUTE))
    told: tuple[float, bytes] | None = None
    reading: "dict[tuple[int, int], asyncio.Task[tuple[int, bytes] | None]]" = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)
    proofs: dict[tuple[tuple[str, ...], str | None], tuple[float, Response]] = field(default_factory=dict)
    snapshots_cache: dict[tuple[tuple[str, ...], str], tuple[object, bytes]] = field(default_factory=dict)

    records: Records = field(init=False)

    def __post_init__(self) -> None:
        """Single events are read from the same log."""
        self.records = Records.of(self.settings.kafka)

    def end_streams(self) -> None:
        """Let every open stream end now: the process stops."""
        self.stopping = True
        self.snapshots.newer.set()

    @property
    def kafka_is_gone(self) -> bool:
        """Whether Kafka answered once, and does not now."""
        seen = self.watch.seen_mono_ms
        return seen is not None and clock.monotonic_ms() - seen > HEAD_SEEN_MS

    def dressed(self, items: list[dict[str, object]]) -> list[dict[str, object]]:
        """Badge rows with what this process's clock says of them."""
        return dressed(items, self.ages())

    def ages(self) -> Ages:
        """By which clock, lease and trust rows are judged now."""
        picture = self.snapshots.picture
        policy = picture.policy if picture else DEFAULT.model_dump(mode="json")
        now_ms, judgement, _, _ = self.judged()
        return Ages(instant_of_ms(now_ms), lease_of(policy), judgement.status)

    def attention(self, judged: Judged) -> dict[str, object]:
        """What needs a person, out of the snapshot that was judged."""
        now_ms, judgement, log, _ = judged
        picture = self.snapshots.picture
        return attention_of(judgement, log, picture.needing if picture else None, now_ms, picture.rev if picture else 0)

    def judged(self) -> Judged:
        """Now, by the broker's clock, and what can be said now."""
        read = self.snapshots.facts()
        log = self.watch.facts(read.applied_tick, read.applied_hash, self.snapshots.applied_probe_ms, read.applied_offset)
        now_ms = self.watch.now_ms()
        return now_ms, judge(log, read, now_ms), log, read


# Dependencies are coroutines although they wait for nothing: FastAPI hands plain functions to a thread, each time.
async def context_of(request: Request) -> Context:
    """The context of the process."""
    return cast("Context", request.app.state.context)


InContext = Annotated[Context, Depends(context_of)]


def may_read(context: Context, authorization: str | None) -> bool:
    """Whether a credential may read now; on loopback anybody may."""
    return not context.settings.reading_needs_a_token or context.operators.of_header(authorization) is not None


def stranger(context: Context, request: Request, authorization: str | None, title: str) -> Problem:
    """What is said to somebody without a valid token. Attempts are counted by address, and leave no trace on the log.

    A right token is let in from any address at any time: who tries wrong ones locks nobody out.
    """
    address = request.client.host if request.client else "unknown"
    if context.strangers.failed(address, clock.monotonic_ms() / 1000):
        limit = f"at most {WRONG_PER_MINUTE} a minute from one address"
        return Problem(429, "TOO_MANY_ATTEMPTS", "Too many attempts without a valid operator's token", limit, limit=limit)
    code = "NO_CREDENTIAL" if authorization is None else "BAD_CREDENTIAL"
    return Problem(401, code, title, "Authorization: Bearer <token>")


async def reader(request: Request, context: InContext, authorization: Annotated[str | None, Header()] = None) -> Operator | None:
    """Whoever reads; nobody in particular on loopback, a named operator elsewhere.

    Raises:
        Problem: 401, or 429 after too many of them.
    """
    if not may_read(context, authorization):
        raise stranger(context, request, authorization, "Reading needs an operator's token here")
    return context.operators.of_header(authorization)


CanRead = Annotated[Operator | None, Depends(reader)]


async def connection_of(context: InContext) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the pool for one request; a database that does not answer is 503."""
    if context.pool is None:
        raise Problem(503, "DATABASE_DOWN", "PostgreSQL does not answer", context.snapshots.problem)
    try:
        async with context.pool.connection() as connection:
            yield connection
    except GONE as refusal:
        raise unanswered(context, refusal) from refusal


def unanswered(context: Context, refusal: BaseException) -> Problem:
    """What a request is told that got no rows: by the database's own word, and by whether it answers others."""
    snapshots = context.snapshots
    answers = context.judged()[1].has_rows or (snapshots.problem != "" and snapshots.trouble != "down")
    if isinstance(refusal, ENDED) or (isinstance(refusal, TimeoutError) and answers):
        why = f"{words_of(refusal)}; {snapshots.blocked}" if snapshots.blocked else words_of(refusal)
        return Problem(503, "DATABASE_BUSY", "PostgreSQL answers, but not this in time", why)
    return Problem(503, "DATABASE_DOWN", "PostgreSQL does not answer", words_of(refusal))


Connected = Annotated[asyncpg.Connection, Depends(connection_of)]
