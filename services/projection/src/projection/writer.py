"""A connection with a thread and an event loop of its own: PostgreSQL works on one batch while the next one is decoded.

Place in the flow: app → **writer** → store → PostgreSQL. On the reader's own loop an answer of the database would wait until the
decoding pauses, and the database would wait for the next statement. Batches are written one at a time, in order; what is handed
over here is not touched any more by the one who hands it over.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import asyncpg
from prometheus_client import Histogram

from autonomy.errors import Retryable
from autonomy.postgres import connect
from projection.rows import Changes
from projection.store import Progress, write
from projection.tracing import Noted, trace_rows

CLOSE_S = 5
BATCH_SECONDS = Histogram("autonomy_projection_commit_seconds", "One batch's transaction")
Found = TypeVar("Found")


@dataclass(slots=True)
class Writer:
    """The one connection that writes.

    Attributes:
        turn: batches are written in the order in which they were handed over.
        failed: one was not written; none that follows may be.
    """

    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    connection: "asyncpg.Connection[asyncpg.Record]"
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    failed: bool = False

    @classmethod
    async def open(cls, url: str, schema: str, statement_s: float) -> "Writer":
        """Connect in a thread of its own.

        Raises:
            OSError, asyncpg.PostgresError: the database does not answer, or refuses.
        """
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="projection-writer", daemon=True)
        thread.start()
        try:
            connection = await _on(loop, _connected(url, schema, statement_s))
        except BaseException:
            _end(loop, thread)
            raise
        return cls(loop, thread, connection)

    def write(self, changes: Changes, progress: Progress, traced: Sequence[Noted] = ()) -> "asyncio.Future[None]":
        """Begin to commit a batch; the answer tells that it is in the database, or raises why it is not."""
        return _on(self.loop, self._write(changes, progress, traced))

    async def _write(self, changes: Changes, progress: Progress, traced: Sequence[Noted]) -> None:
        try:
            async with self.turn:
                if self.failed:
                    raise Retryable("a batch before it was not written")
                with BATCH_SECONDS.time():
                    await write(self.connection, changes, progress)
        except BaseException:
            self.failed = True  # also when it was cancelled before its turn
            raise
        if traced:
            trace_rows(traced)

    async def close(self) -> None:
        """Drop the connection, and whatever it was doing."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_on(self.loop, self._terminate()), CLOSE_S)
        _end(self.loop, self.thread)

    async def _terminate(self) -> None:
        self.connection.terminate()


async def _connected(url: str, schema: str, statement_s: float) -> "asyncpg.Connection[asyncpg.Record]":
    connection = await connect(url, schema, statement_s=statement_s)
    # Rows and their offsets are lost together or kept together: after a crash of the database the log is read again from there.
    await connection.execute("SET synchronous_commit TO off")
    return connection


def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, Found]) -> "asyncio.Future[Found]":
    return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(CLOSE_S)
    if not thread.is_alive():
        loop.close()
