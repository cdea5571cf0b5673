"""A connection in a thread of its own: PostgreSQL works on one batch while the next one is decoded.

Place in the flow: app → **writer** → store → PostgreSQL. On the reader's own loop an answer of the database would wait until the
decoding pauses, and the database would wait for the next statement. Batches are written one at a time, in order; what is handed
over here is not touched any more by the one who hands it over.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Concatenate, Final, ParamSpec

import psycopg
from prometheus_client import Histogram

from autonomy.errors import Retryable
from autonomy.postgres import ENCODING, check_session
from projection.fold.rows import Changes
from projection.store.batches import Connection, Progress, commit, write
from projection.tracing import Noted, trace_rows

CONNECT_TIMEOUT_S: Final = 10
STATEMENT_S: Final = 30
TRANSACTION_S: Final = 60
"""No batch stays open for longer: a process that stands still must not keep its rows locked. The server's bound on a transaction that
idles is not enough: behind a pipeline it does not start to count (PostgreSQL 18.4, measured)."""
KEEPALIVE: Final = {"tcp_keepalives_idle": "10s", "tcp_keepalives_interval": "10s", "tcp_keepalives_count": "3"}
WRITE_SECONDS = Histogram("autonomy_projection_commit_seconds", "Writing a batch, or a part of a large one")
Arguments = ParamSpec("Arguments")


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
            Unfit: its text would not be what was said.
        """
        thread = ThreadPoolExecutor(1, "projection-writer")
        try:
            connection = await asyncio.wrap_future(thread.submit(_connect, url, schema))
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(thread, connection)

    def write(self, changes: Changes) -> "asyncio.Future[None]":
        """Begin to write a part of the open batch; nobody sees it before the batch is committed."""
        return asyncio.wrap_future(self.thread.submit(self._do, write, changes))

    def commit(self, changes: Changes, progress: Progress, traced: Sequence[Noted] = ()) -> "asyncio.Future[None]":
        """Begin to write the rest of a batch and commit it; the answer tells that all of it is in the database, or raises why not."""
        return asyncio.wrap_future(self.thread.submit(self._commit, changes, progress, traced))

    def _commit(self, changes: Changes, progress: Progress, traced: Sequence[Noted]) -> None:
        self._do(commit, changes, progress)
        if traced:
            trace_rows(traced)

    def _do(self, what: Callable[Concatenate[Connection, Arguments], None], *given: Arguments.args, **named: Arguments.kwargs) -> None:
        if self.failed:
            raise Retryable("what was to be written before it was not")
        try:
            with WRITE_SECONDS.time():
                what(self.connection, *given, **named)
        except BaseException:
            self.failed = True
            raise

    async def close(self) -> None:
        """Drop the connection and whatever it was doing; its thread ends, even where the database does not answer."""
        self.failed = True
        # Shut down, not closed: its thread may be waiting for an answer on it. It may also be gone already.
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
        self.thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.thread.shutdown)
        self.connection.close()


def _connect(url: str, schema: str) -> Connection:
    settings = {
        "search_path": schema, "statement_timeout": f"{STATEMENT_S}s", "transaction_timeout": f"{TRANSACTION_S}s",
        # Rows and their offsets are lost together or kept together: after a crash of the database the log is read again from there.
        "synchronous_commit": "off",
    }  # fmt: skip
    options = " ".join(f"-c {name}={value}" for name, value in (settings | KEEPALIVE).items())
    # Rows go as UTF-8 bytes: what a role or PGCLIENTENCODING says of the encoding would turn them into other letters, without an error.
    connection = psycopg.connect(url, options=options, connect_timeout=CONNECT_TIMEOUT_S, client_encoding=ENCODING)
    try:
        check_session(*(str(connection.info.parameter_status(f"{side}_encoding")) for side in ("server", "client")))
    except BaseException:
        connection.close()
        raise
    return connection
