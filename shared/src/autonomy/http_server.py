"""The HTTP server of a service: uvicorn with its C parser, behind limits that no single client can get round.

Place in the flow: socket → **http_server** → application. uvicorn bounds neither what a head of a request weighs, nor how long it takes,
nor how many connections wait for one (docs/adr/0020). Each limit is of one connection; a client that meets one is told so in plain words
where it can still be told, and its connection ends. May not know what is served.
"""

import asyncio
import functools
import logging
from asyncio.events import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

log = logging.getLogger(__name__)
STOP_WITHIN_S: Final = 2
KEEP_ALIVE_S: Final = 75
"""How long a connection may wait for its next request. Longer than clients and proxies keep one (httpx 5 s, nginx 60 s): the client must be
the one who closes, or a request that was just sent finds its connection closed, and nobody can know whether it landed."""
MAX_BODY_BYTES: Final = 262_144
"""256 KiB: five hundred bots with all that can be said of them weigh less than 200 kB."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take.

    Attributes:
        connections: open at once. Over it the one that has waited longest without a request is closed; where none waits, the new one is.
        head_bytes: of a request's line and headers together.
        head_s: from the connection, or from a request's first byte, to the end of its headers.
        body_bytes: of a request; the application refuses less by itself, and this is the end of reading on.
        body_s: from the end of the headers to the end of the body.
        refusal_s: how long an application may take to refuse a body that is too long; the server does it then.
        unread_s: how long a client may leave an answer unread.
        pipelined: requests sent before the first of them was answered; no browser and no client here sends any.
        linger_bytes: read and thrown away from a client that was answered before it had sent its whole request.
        linger_s: how long that may take.
    """

    connections: int = 512
    head_bytes: int = 32_768
    head_s: float = 10.0
    body_bytes: int = 2 * MAX_BODY_BYTES
    body_s: float = 20.0
    refusal_s: float = 2.0
    unread_s: float = 20.0
    pipelined: int = 8
    linger_bytes: int = 8_388_608
    linger_s: float = 5.0


@dataclass(slots=True)
class Door:
    """What the connections of one server share.

    Attributes:
        waiting: connections without a request, those first that have waited longest.
        refused: by limit, how many connections or requests met it.
    """

    limits: Limits = field(default_factory=Limits)
    waiting: "dict[Guarded, None]" = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def count(self, limit: str) -> None:
        """Count a client that met a limit; a line of the log for each would be one more thing to flood."""
        self.refused[limit] = self.refused.get(limit, 0) + 1


@dataclass(slots=True)
class Outgoing:
    """The transport of one connection, whose end loses no answer.

    A socket that is closed while a client still sends answers with a reset: the client's sending fails, and many a client never looks for
    the answer then, the very one that says why (RFC 9112, 9.6). So the end comes in two steps there: nothing more is sent, and what comes
    is thrown away until the client has read to the end and closes, or meets a limit.
    """

    raw: asyncio.Transport
    still_sends: Callable[[], bool]
    linger: Callable[[], None]
    parting: bool = False

    def __getattr__(self, name: str) -> object:
        """Whatever else a transport has."""
        return getattr(self.raw, name)

    def write(self, data: bytes) -> None:
        """Send, unless the end was said already."""
        if not self.parting:
            self.raw.write(data)

    def is_closing(self) -> bool:
        """Whether the end was said."""
        return self.parting or self.raw.is_closing()

    def close(self) -> None:
        """Send what there is, and end."""
        if self.is_closing():
            return
        if not self.still_sends():
            self.raw.close()
            return
        self.parting = True
        self.raw.write_eof()
        self.raw.resume_reading()
        self.linger()

    def abort(self) -> None:
        """End now."""
        self.parting = True
        self.raw.abort()


class Guarded(HttpToolsProtocol):
    """One connection, within limits."""

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None, *, door: Door,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self.door, self.limits = door, door.limits
        self.in_head, self.in_body, self.over = False, False, False
        self.head_bytes, self.field_bytes, self.body_bytes, self.thrown_away = 0, 0, 0, 0
        self.timer: TimerHandle | None = None
        self.unread: TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        outgoing = Outgoing(transport, lambda: self.in_head or self.in_body or self.newest is None, self.linger)
        super().connection_made(cast("asyncio.Transport", outgoing))
        if len(self.connections) > self.limits.connections:
            self.door.count("connections")
            oldest = next(iter(self.door.waiting), None)
            if oldest is None:
                self.end(503, f"At most {self.limits.connections} connections are open at once; try again later.")
                return
            oldest.leave()
            oldest.transport.abort()
        self.door.waiting[self] = None
        self.within(self.limits.head_s, self.slow_head)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        super().connection_lost(exc)

    @property
    def newest(self) -> RequestResponseCycle | None:
        """The newest request; none before the first, whatever uvicorn's annotation says."""
        return self.cycle

    def over_now(self) -> bool:
        """Whether a limit was met meanwhile."""
        return self.over

    def leave(self) -> None:
        """Wait for nothing any more."""
        self.over = True
        self.door.waiting.pop(self, None)
        self.in_time()
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None

    @override
    def data_received(self, data: bytes) -> None:
        if self.over:
            self.throw_away(len(data))
            return
        was_in_head = self.in_head
        super().data_received(data)
        if self.over_now() or self.transport.is_closing():
            return
        if self.in_head:
            # What came with an earlier request's end is not counted; no chunk is longer than 256 KiB.
            self.head_bytes += len(data) if was_in_head else 0
            if max(self.head_bytes, self.field_bytes) > self.limits.head_bytes:
                self.heavy_head()
            elif self.timer is None:
                self.within(self.limits.head_s, self.slow_head)
        elif self.in_body:
            if self.timer is None:
                self.within(self.limits.body_s, self.slow_body)
        elif self in self.door.waiting and self.timer is None:
            # Line ends before a request are no request, and stop the server's own clock of idle connections.
            self.within(self.limits.head_s, self.slow_head)

    @override
    def on_message_begin(self) -> None:
        self.in_head, self.head_bytes, self.field_bytes, self.body_bytes, self.thrown_away = True, 0, 0, 0, 0
        super().on_message_begin()

    @override
    def on_url(self, url: bytes) -> None:
        self.field_bytes += len(url)
        if self.field_bytes <= self.limits.head_bytes:
            super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self.field_bytes += len(name) + len(value) + 4
        if self.field_bytes <= self.limits.head_bytes:
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self.in_head, self.in_body = False, True
        self.in_time()
        if self.over or self.field_bytes > self.limits.head_bytes:
            if not self.over:
                self.heavy_head()
            return
        if len(self.pipeline) >= self.limits.pipelined:
            self.door.count("pipelined")
            self.leave()
            self.pipeline.clear()
            self.transport.abort()
            return
        self.door.waiting.pop(self, None)
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        if self.over:
            return
        before, self.body_bytes = self.body_bytes, self.body_bytes + len(body)
        if self.body_bytes <= self.limits.body_bytes:
            super().on_body(body)
            return
        if before <= self.limits.body_bytes:
            self.heavy_body()
        self.throw_away(len(body))

    @override
    def on_message_complete(self) -> None:
        self.in_body = False
        if self.body_bytes > self.limits.body_bytes and not self.cycle.response_complete:
            return
        self.in_time()
        if not self.over:
            super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.over and not self.pipeline and not self.transport.is_closing():
            self.door.waiting[self] = None

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        if self.unread is None and not self.over:
            self.unread = self.loop.call_later(self.limits.unread_s, self.not_read)

    @override
    def resume_writing(self) -> None:
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None
        super().resume_writing()

    @override
    def shutdown(self) -> None:
        self.leave()
        if self.newest is None:
            self.transport.abort()
        else:
            super().shutdown()

    def within(self, seconds: float, otherwise: Callable[[], None]) -> None:
        """Begin a time limit; the one before it ends."""
        self.in_time()
        self.timer = self.loop.call_later(seconds, otherwise)

    def in_time(self) -> None:
        """End the time limit."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def heavy_head(self) -> None:
        """The request's line and headers are too many bytes."""
        self.door.count("head bytes")
        self.end(431, f"A request's line and headers have at most {self.limits.head_bytes} bytes.")

    def heavy_body(self) -> None:
        """The body is too long: none of the rest is kept. The application mostly knows by the declared length, and has better words.

        Who was answered before may use the connection again, as the answer said; an answer that is still to come says that it ends.
        """
        self.door.count("body bytes")
        if not self.cycle.response_started:
            self.cycle.keep_alive = False
            self.within(self.limits.refusal_s, self.refuse_body)

    def refuse_body(self) -> None:
        """The application waits for the rest of a body that nobody keeps."""
        if not self.cycle.response_started:
            self.end(413, f"A request's body has at most {self.limits.body_bytes} bytes.")

    def slow_head(self) -> None:
        """The headers did not come in time; who has not begun to send any is not told."""
        self.door.count("head time")
        self.end(408, f"A request's headers come within {self.limits.head_s:g} s." if self.in_head else "")

    def slow_body(self) -> None:
        """The body did not come in time."""
        self.door.count("body time")
        self.end(408, f"A request's body comes within {self.limits.body_s:g} s.")

    def not_read(self) -> None:
        """The client does not read what it asked for."""
        self.door.count("unread answer")
        self.leave()
        self.transport.abort()

    def linger(self) -> None:
        """Nothing more is said; what still comes is thrown away until the client closes, for a while. Whoever needs the place has it."""
        self.leave()
        self.door.waiting[self] = None
        self.within(self.limits.linger_s, self.transport.abort)

    def throw_away(self, size: int) -> None:
        """Count what comes after the end, and end it for good when it is too much."""
        self.thrown_away += size
        if self.thrown_away > self.limits.linger_bytes:
            self.transport.abort()

    def end(self, status: int, words: str) -> None:
        """Say why, where nothing was said yet, and close."""
        self.leave()
        cycle = self.newest
        if words and (cycle is None or cycle.response_complete or not cycle.response_started):
            content = words.encode()
            self.transport.write(
                STATUS_LINE[status] + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: "
                + str(len(content)).encode() + b"\r\n\r\n" + content
            )  # fmt: skip
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


class Server(uvicorn.Server):
    """A server that ends the open streams first: they never end by themselves, and a lifespan's end comes after them."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self.end_streams = end_streams

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Tell the streams, then stop as uvicorn does."""
        self.end_streams()
        super().handle_exit(sig, frame)


def build_server(app: ASGIApp, host: str, port: int, end_streams: Callable[[], None], door: Door | None = None) -> Server:
    """A server for an application.

    Args:
        app: what is served.
        host: where it listens.
        port: where it listens.
        end_streams: lets every open stream end; called once, when the process is asked to stop.
        door: the limits, and how often each was met.
    """
    guarded = cast("type[asyncio.Protocol]", functools.partial(Guarded, door=door or Door()))
    config = uvicorn.Config(
        app, host=host, port=port, http=guarded, ws="none", log_config=None, access_log=False,
        timeout_graceful_shutdown=STOP_WITHIN_S, timeout_keep_alive=KEEP_ALIVE_S, server_header=False,
    )  # fmt: skip
    return Server(config, end_streams)
