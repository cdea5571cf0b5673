"""A connection in a thread of its own: PostgreSQL works on one batch while the next one is decoded.

Place in the flow: app → **writer** → store → PostgreSQL. On the reader's own loop an answer of the database would wait until the
decoding pauses, and the database would wait for the next statement. Batches are written one at a time, in order; what is handed
over here is not touched any more by the one who hands it over.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import psycopg
from prometheus_client import Histogram

from autonomy.errors import Retryable
from projection.rows import Changes
from projection.store import Connection, Progress, write
from projection.tracing import Noted, trace_rows

CONNECT_TIMEOUT_S: Final = 10
BATCH_SECONDS = Histogram("autonomy_projection_commit_seconds", "One batch's transaction")


@dataclass(slots=True)
class Writer:
    """The one connection that writes, and its thread.

    Attributes:
        failed: a batch was not written; none that follows may be.
    """

    thread: ThreadPoolExecutor
    connection: Connection
    failed: bool = False

    @classmethod
    async def open(cls, url: str, schema: str) -> "Writer":
        """Connect in a thread of its own.

        Raises:
            psycopg.Error: the database does not answer, or refuses.
        """
        thread = ThreadPoolExecutor(1, "projection-writer")
        try:
            connection = await asyncio.wrap_future(thread.submit(_connect, url, schema))
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(thread, connection)

    def write(self, changes: Changes, progress: Progress, traced: Sequence[Noted] = ()) -> "asyncio.Future[None]":
        """Begin to commit a batch; the answer tells that it is in the database, or raises why it is not."""
        return asyncio.wrap_future(self.thread.submit(self._write, changes, progress, traced))

    def _write(self, changes: Changes, progress: Progress, traced: Sequence[Noted]) -> None:
        if self.failed:
            raise Retryable("a batch before it was not written")
        try:
            with BATCH_SECONDS.time():
                write(self.connection, changes, progress)
        except BaseException:
            self.failed = True
            raise
        if traced:
            trace_rows(traced)

    async def close(self) -> None:
        """Drop the connection and whatever it was doing; its thread ends, even where the database does not answer."""
        self.failed = True
        with contextlib.suppress(OSError, psycopg.Error):  # gone already
            with socket.socket(fileno=os.dup(self.connection.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)
        self.thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.thread.shutdown)
        self.connection.close()


def _connect(url: str, schema: str) -> Connection:
    # Rows and their offsets are lost together or kept together: after a crash of the database the log is read again from there.
    options = f"-c search_path={schema} -c synchronous_commit=off"
    return psycopg.connect(url, autocommit=True, options=options, connect_timeout=CONNECT_TIMEOUT_S)
