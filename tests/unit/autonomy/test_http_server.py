"""What one client may take of a server: a real server on a real socket, and clients that keep to no rule."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from autonomy.http_server import Door, Limits, Server, build_server
from bots_ui.api.client import KEPT_S, build_client

LIMITS = Limits(
    connections=8,
    head_bytes=4096,
    head_s=0.5,
    body_bytes=10_000,
    body_s=1.0,
    refusal_s=0.5,
    unread_s=0.5,
    linger_bytes=4_000_000,
    linger_s=2.0,
)
UNLIMITED = Limits(connections=10**6, head_bytes=10**9, head_s=3600, body_bytes=10**9, body_s=3600, unread_s=3600, pipelined=10**6)
GOOD = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Served:
    """A server that runs, and what it was asked."""

    server: Server
    door: Door
    port: int
    paths: list[str] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, sent: bytes = GOOD) -> bytes:
        """All that comes back until the connection ends, or the answer of a good request."""
        reader, writer = await self.connect()
        with contextlib.suppress(ConnectionError):
            writer.write(sent)
            await writer.drain()
        try:
            return await whole(reader) if sent != GOOD else await reader.readuntil(b"served")
        finally:
            writer.close()


async def whole(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end, also when the end is rude."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            found += piece
    return found


@asynccontextmanager
async def serving(limits: Limits) -> AsyncIterator[Served]:
    door = Door(limits)
    paths: list[str] = []
    bodies: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        stopping = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            paths.append(scope["path"])
            if scope["path"] == "/body":
                size, more = 0, True
                while more:
                    message = await receive()
                    size, more = size + len(message.get("body", b"")), message.get("more_body", False)
                bodies.append(size)
            if scope["path"] == "/slow":
                await asyncio.sleep(LIMITS.refusal_s / 2)
            headers: list[tuple[bytes, bytes]] = [(b"content-type", b"text/plain")]
            if scope["path"] == "/early/close":
                headers.append((b"connection", b"close"))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if scope["path"] == "/stream":
                while not stopping.is_set():
                    await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
                    await asyncio.sleep(0.005)
            await send({"type": "http.response.body", "body": b"served"})

        server = build_server(app, "127.0.0.1", port, stopping.set, door)
        server.config.lifespan = "off"
        served = Served(server, door, port, paths, bodies)
        running = asyncio.create_task(server.serve([listening]))
        try:
            await until(lambda: server.started)
            yield served
        finally:
            stopping.set()
            server.should_exit = True
            await running


async def until(condition: Callable[[], Any], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(LIMITS) as found:
        assert (await found.ask()).startswith(b"HTTP/1.1 200")
        yield found


HEAVY = {
    "one header": b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 5000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-a: b\r\n" * 600 + b"\r\n",
    "its address": b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "without an end": b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 400_000,
}


@pytest.mark.parametrize("sent", HEAVY.values(), ids=HEAVY)
async def test_a_heavy_head_is_refused_with_the_limit(served: Served, sent: bytes) -> None:
    before = len(served.paths)
    answer = await served.ask(sent)
    assert answer.startswith(b"HTTP/1.1 431")
    assert b"at most 4096 bytes" in answer
    assert len(served.paths) == before, "the application never saw it"
    assert served.door.refused == {"head bytes": 1}


async def test_negative_control_without_a_limit_the_heavy_head_is_served() -> None:
    async with serving(UNLIMITED) as served:
        reader, writer = await served.connect()
        writer.write(HEAVY["many headers"])
        assert (await reader.readuntil(b"served")).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.mark.parametrize(("sent", "told"), [(b"", b""), (b"GET / HTTP/1.1\r\nhost: x\r\n", b"HTTP/1.1 408"), (b"\r\n\r\n", b"")])
async def test_who_does_not_send_a_whole_head_in_time_is_cut(served: Served, sent: bytes, told: bytes) -> None:
    async with asyncio.timeout(20):
        assert (await served.ask(sent)).startswith(told)
    assert served.door.refused == {"head time": 1}


async def test_a_head_that_comes_byte_by_byte_is_cut_too(served: Served) -> None:
    reader, writer = await served.connect()
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\nx-a: ")
        while not reader.at_eof():
            writer.write(b"a")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await reader.read(1000)
    writer.close()
    await until(lambda: served.door.refused == {"head time": 1})


async def test_line_ends_between_requests_keep_no_connection(served: Served) -> None:
    """They stop the server's own clock of idle connections."""
    reader, writer = await served.connect()
    writer.write(GOOD)
    await reader.readuntil(b"served")
    writer.write(b"\r\n")
    async with asyncio.timeout(20):
        await whole(reader)
    writer.close()
    assert served.door.refused == {"head time": 1}


async def test_a_slow_body_is_cut_and_a_quick_one_is_read(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab")
    async with asyncio.timeout(20):
        assert (await whole(reader)).startswith(b"HTTP/1.1 408")
    writer.close()
    assert served.door.refused == {"body time": 1}
    reader, writer = await served.connect()
    writer.write(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde")
    assert (await reader.readuntil(b"served")).startswith(b"HTTP/1.1 200")
    writer.close()
    assert served.bodies[-1] == 5


async def test_a_body_over_the_limit_is_read_no_further(served: Served) -> None:
    answer = await served.ask(post("/body"))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"at most 10000 bytes" in answer
    assert served.door.refused == {"body bytes": 1}
    assert max(served.bodies, default=0) <= LIMITS.body_bytes


def post(path: str) -> bytes:
    """A request with a body of a megabyte."""
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n".encode() + b"a" * 1_000_000


async def late(served: Served, path: str) -> tuple[bool, bytes]:
    """Whether a client could send all it has, and what it reads then; many a client reads nothing when it could not."""
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.settimeout(20)
        sent_all, found = True, b""
        try:
            for piece in range(0, len(post(path)), 50_000):
                await loop.run_in_executor(None, client.sendall, post(path)[piece : piece + 50_000])
        except ConnectionError:
            sent_all = False
        with contextlib.suppress(ConnectionError):
            while b"served" not in found and (piece_found := await loop.run_in_executor(None, client.recv, 65_536)):
                found += piece_found
        return sent_all, found


EARLY = {"/body": b"HTTP/1.1 413", "/early": b"HTTP/1.1 200", "/early/close": b"HTTP/1.1 200"}
"""The server's own refusal, an application that answers before it has read, and one that ends the connection with it."""


@pytest.mark.parametrize(("path", "answer"), EARLY.items(), ids=EARLY)
async def test_an_answer_is_not_lost_to_a_client_that_is_still_sending(served: Served, path: str, answer: bytes) -> None:
    for _ in range(3):
        sent_all, found = await late(served, path)
        assert sent_all
        assert found.startswith(answer)


@pytest.mark.parametrize("path", EARLY)
async def test_negative_control_who_closes_at_once_makes_the_sending_fail(path: str) -> None:
    async with serving(replace(LIMITS, linger_bytes=0)) as served:
        assert not all([(await late(served, path))[0] for _ in range(3)])


async def test_a_connection_that_was_not_ended_serves_the_next_request(served: Served) -> None:
    """A pool of clients sends the next request on it, and is not to find it closed."""
    reader, writer = await served.connect()
    for _ in range(3):
        head, body = post("/early").split(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert b"connection: close" not in await reader.readuntil(b"served")
        writer.write(body)
    writer.write(GOOD)
    assert (await reader.readuntil(b"served")).endswith(b"served")
    writer.close()


async def test_a_refusal_of_the_application_is_waited_for(served: Served) -> None:
    """It may come after more was sent than is ever kept: nobody is cut off without a word."""
    sent_all, found = await late(served, "/slow")
    assert sent_all
    assert b"served" in found


async def test_nobody_is_read_on_for_ever(served: Served) -> None:
    """Who sends without end, and who sends nothing more and stays."""
    sent = 0
    _, writer = await served.connect()
    with contextlib.suppress(ConnectionError):
        writer.write(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
        while sent < 50 * LIMITS.linger_bytes:
            writer.write(b"a" * 65_536)
            sent += 65_536
            await writer.drain()
    assert LIMITS.linger_bytes < sent < 10 * LIMITS.linger_bytes, "the sockets' own buffers and what is thrown away"
    await until(lambda: not served.server.server_state.connections)
    begun = asyncio.get_running_loop().time()
    with socket.create_connection(("127.0.0.1", served.port)) as silent:
        silent.sendall(post("/body")[:100_000])
        await until(lambda: len(served.server.server_state.connections) == 1)
        await until(lambda: not served.server.server_state.connections)
    assert asyncio.get_running_loop().time() - begun >= LIMITS.linger_s


async def test_half_open_connections_make_room_for_whoever_asks(served: Served) -> None:
    half = []
    for _ in range(5 * LIMITS.connections):
        _, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\n")
        half.append(writer)
        assert (await served.ask()).startswith(b"HTTP/1.1 200")
        assert len(served.server.server_state.connections) <= LIMITS.connections + 1
    assert served.door.refused["connections"] > LIMITS.connections, "they were more than there is room for"
    for writer in half:
        writer.close()


async def test_requests_that_wait_behind_one_another_are_few(served: Served) -> None:
    before = len(served.paths)
    await served.ask(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n" + GOOD * 100)
    assert served.door.refused == {"pipelined": 1}
    assert len(served.paths) - before <= 1


async def test_a_few_requests_at_once_are_answered_in_turn(served: Served) -> None:
    """Negative control."""
    reader, writer = await served.connect()
    writer.write(GOOD * 4)
    for _ in range(4):
        await reader.readuntil(b"served")
    writer.close()


async def test_where_all_are_busy_the_newest_is_told_to_come_again(served: Served) -> None:
    busy = []
    for _ in range(LIMITS.connections):
        reader, writer = await served.connect()
        writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        busy.append((reader, writer))
        await reader.readexactly(1)
    reader, writer = await served.connect()
    async with asyncio.timeout(20):
        assert (await whole(reader)).startswith(b"HTTP/1.1 503")
    for _, open_one in [*busy, (reader, writer)]:
        open_one.close()


async def test_who_does_not_read_is_cut_and_who_reads_is_not(served: Served) -> None:
    silent = socket.create_connection(("127.0.0.1", served.port))
    silent.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
    reader, writer = await served.connect()
    writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
    await until(lambda: served.paths.count("/stream") == 2)
    async with asyncio.timeout(60):
        while served.door.refused != {"unread answer": 1}:
            await reader.readexactly(65_536)
    assert len(await reader.readexactly(65_536)) == 65_536, "the other one goes on"
    silent.close()
    writer.close()


async def test_streams_end_first_when_the_server_stops() -> None:
    async with serving(UNLIMITED) as served:
        reader, writer = await served.connect()
        writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readexactly(65_536)
        served.server.handle_exit(15, None)
        served.server._captured_signals.clear()  # else the signal is raised again once the server has stopped, in this very process
        async with asyncio.timeout(20):
            assert (await whole(reader)).endswith(b"0\r\n\r\n"), "ended, not cut"
        writer.close()


def test_an_idle_connection_is_closed_by_the_client() -> None:
    """With the same time on both sides, a request now and then meets the server's end: the page said "the connection broke"."""

    async def app(_: Scope, _receive: Receive, _send: Send) -> None:
        return

    assert build_server(app, "127.0.0.1", 0, lambda: None).config.timeout_keep_alive >= 10 * KEPT_S
    transport = build_client("http://127.0.0.1:1", None).http._transport
    assert isinstance(transport, httpx.AsyncHTTPTransport)
    assert transport._pool._keepalive_expiry == KEPT_S


def test_the_servers_own_class_is_still_what_is_guarded() -> None:
    """What is overridden here is the server's own: a new version of it must be looked at."""
    assert uvicorn.__version__ == "0.54.0"
