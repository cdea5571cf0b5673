"""Clients that keep to no rule: `python -m support.hostile KIND PORT` attacks until its standard input ends, then says what it got.

A process of its own: what it costs is not a cost of the test that measures. Each kind keeps a pace of its own, as one machine could.
"""

import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

HOST = "127.0.0.1"
RUDE = struct.pack("ii", 1, 0)
"""SO_LINGER: the connection is reset, not closed."""
VIEWER = "canary-viewer-5f1d"
OPERATOR = "canary-operator-93ab"
STREAMS_A_TURN = 40
EVIL = "https://evil.example"


class Attack:
    """One attack on one port; `got` counts the status codes and the other ends of connections."""

    def __init__(self, port: int) -> None:
        self.port, self.got = port, Counter[str]()
        self.chance = random.Random(port)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self.port)

    async def ask(self, content: bytes, *, read: int = 64) -> None:
        """Send a request, take the beginning of its answer, and go."""
        try:
            reader, writer = await self.connect()
        except OSError:
            self.got["no connection"] += 1
            return
        try:
            writer.write(content)
            async with asyncio.timeout(10):
                await writer.drain()
                self.count(await reader.read(read))
        except (OSError, TimeoutError) as loss:
            self.got[type(loss).__name__] += 1
        finally:
            if self.chance.random() < 0.5:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RUDE)
            writer.close()

    def count(self, answer: bytes) -> None:
        self.got[answer.split(b" ")[1].decode() if answer.startswith(b"HTTP/") else "closed"] += 1

    async def cut_streams(self) -> None:
        """Forty streams at once, opened and cut, with and without everything that changed so far."""
        heads = [f"GET /api/stream{query} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() for query in ("", "?after=1")]
        await asyncio.gather(*(self.ask(self.chance.choice(heads), read=self.chance.choice((1, 400))) for _ in range(STREAMS_A_TURN)))

    async def endless_headers(self) -> None:
        """One header without an end, as fast as it is taken."""
        with contextlib.suppress(OSError):
            reader, writer = await self.connect()
            writer.write(b"GET /api/_proof/autonomy HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
            try:
                for _ in range(1_000):
                    writer.write(b"a" * 65_536)
                    await writer.drain()
                self.got["64 MB taken"] += 1
            finally:
                with contextlib.suppress(OSError):
                    self.count(await reader.read(64))
                writer.close()

    async def half_open(self) -> None:
        """Hundreds of connections whose request never comes to its end; a byte each now and then."""
        opened = []
        with contextlib.suppress(OSError):
            for _ in range(300):
                _, writer = await self.connect()
                writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
                opened.append(writer)
        for _ in range(10):
            await asyncio.sleep(0.2)
            for writer in opened:
                writer.write(b"a")
        self.got["half open"] += len(opened)
        for writer in opened:
            writer.close()

    def post(self, body: bytes, token: str = "", path: str = "/api/commands", **more: str) -> bytes:
        headers = {"Host": HOST, "Content-Type": "application/json", "Content-Length": str(len(body)), **more}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    async def bodies(self) -> None:
        """Wide, deep, many-keyed and too large bodies, of a stranger and of a viewer; an operator's are refused by what is in them."""
        wide, deep = b'{"type":[' + b"1," * 120_000 + b"1]}", b'{"a":' * 40_000 + b"1" + b"}" * 40_000
        keys = json.dumps({f"k{number}": number for number in range(15_000)}).encode()
        large = b'{"a":"' + b"x" * 1_000_000 + b'"}'
        await asyncio.gather(*(self.ask(self.post(body, token)) for body in (wide, deep, keys, large) for token in ("", VIEWER)))
        await self.ask(self.post(self.chance.choice((wide, deep, keys)), OPERATOR))

    async def wrong_tokens(self) -> None:
        """Fifty wrong tokens at once."""
        await asyncio.gather(*(self.ask(self.post(b'{"type":"pause-loop"}', f"wrong-{number}")) for number in range(50)))

    async def other_origin(self) -> None:
        """A web page of another site, in the browser of somebody who may act."""
        cross = {"Origin": EVIL, "Sec_Fetch_Site": "cross-site"}
        await self.ask(self.post(b'{"type":"pause-loop"}', OPERATOR, **cross))
        await self.ask(self.post(b"verb=pause&reason=x", path="/loop", **cross))
        await self.ask(f"GET /api/bots HTTP/1.1\r\nHost: evil.example\r\nOrigin: {EVIL}\r\n\r\n".encode())

    async def unread(self) -> None:
        """Large answers that nobody reads."""
        heads = b"GET /api/bots?limit=200 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20
        opened = []
        with contextlib.suppress(OSError):
            for _ in range(20):
                reader, writer = await self.connect()
                writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream's transport reads
                writer.write(heads)
                opened.append((reader, writer))
        await asyncio.sleep(2)
        self.got["unread"] += len(opened)
        for _, writer in opened:
            writer.close()

    async def tabs(self) -> None:
        """Eighty tabs of the page, opened in the background and closed."""
        head = b"GET /live?bots=bot-000&rev=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        await asyncio.gather(*(self.ask(head, read=400) for _ in range(80)))


KINDS: dict[str, tuple[Callable[[Attack], Awaitable[None]], float]] = {
    "cut streams": (Attack.cut_streams, 0.2), "endless headers": (Attack.endless_headers, 0.1), "half open": (Attack.half_open, 0.1),
    "bodies": (Attack.bodies, 0.5), "wrong tokens": (Attack.wrong_tokens, 0.3), "other origin": (Attack.other_origin, 0.1),
    "unread": (Attack.unread, 0.2), "tabs": (Attack.tabs, 0.4),
}  # fmt: skip
"""What each kind does, and how long it rests between two turns."""


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take something, refuse it, and close."""
    with contextlib.suppress(OSError):
        await reader.read(65_536)
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()


async def attack(kinds: list[str], ports: list[int]) -> dict[str, int]:
    """Attack until standard input ends; port 0 is a decoy of this process's own."""
    decoy = await asyncio.start_server(refuse, HOST, 0)
    attacks = [Attack(port or decoy.sockets[0].getsockname()[1]) for port in ports]
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def repeat(one: Attack, kind: str) -> None:
        turn, pause_s = KINDS[kind]
        while True:
            await turn(one)
            one.got["turns"] += 1
            await asyncio.sleep(pause_s)

    running = [asyncio.create_task(repeat(one, kind)) for one in attacks for kind in kinds]
    print("attacking", flush=True)
    ended = asyncio.create_task(reader.read())
    await asyncio.wait([ended, *running], return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return dict(sum((one.got for one in attacks), Counter[str]()))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(attack(sys.argv[1].split(","), [int(port) for port in sys.argv[2].split(",")]))))
