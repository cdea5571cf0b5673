"""What the routes of one process share: snapshots, the watch, a database pool, operators."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, cast

import asyncpg
from fastapi import Depends, Header, Request, Response

from autonomy import clock
from autonomy.policy import DEFAULT
from autonomy.postgres import ENDED, GONE, words_of
from autonomy.values import instant_of_ms
from proof_api.auth import Operator, Operators
from proof_api.commands import Desk
from proof_api.now import Ages, dressed, lease_of
from proof_api.pool import Pool
from proof_api.problems import Problem
from proof_api.proof import HEAD_SEEN_MS, Judgement, LogFacts, ReadFacts, judge
from proof_api.settings import ProofSettings
from proof_api.shelf import Shelf
from proof_api.snapshot import Snapshots
from proof_api.watch import Watch


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
    shelf: Shelf = field(default_factory=Shelf)
    proofs: dict[tuple[tuple[str, ...], str | None], tuple[float, Response]] = field(default_factory=dict)
    snapshots_cache: dict[tuple[tuple[str, ...], str], tuple[object, bytes]] = field(default_factory=dict)

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

    def judged(self) -> tuple[int, Judgement, LogFacts, ReadFacts]:
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


async def reader(context: InContext, authorization: Annotated[str | None, Header()] = None) -> Operator | None:
    """Whoever reads; nobody in particular on loopback, a named operator elsewhere."""
    operator = context.operators.of_header(authorization)
    if context.settings.auth_mode == "token-everywhere" and operator is None:
        raise Problem(401, "NO_CREDENTIAL", "Reading needs an operator's token here", "Authorization: Bearer <token>")
    return operator


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
