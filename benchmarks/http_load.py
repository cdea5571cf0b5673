"""A small keep-alive HTTP client under load, in a process of its own: the same for a limit and its subject.

`python -m benchmarks.http_load PORT PATH CONNECTIONS SECONDS` prints JSON: requests, failed, and percentiles in milliseconds.
"""

import asyncio
import json
import subprocess
import sys
import time

import uvloop
from typing_extensions import override


class Connection(asyncio.Protocol):
    """One connection: the next request goes out when the answer before is whole."""

    def __init__(self, request: bytes, spent: list[float], failed: list[bytes]) -> None:
        self.request, self.spent, self.failed = request, spent, failed
        self.buffer = b""
        self.wanted = 0
        self.started = 0.0
        self.stopping = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.send()

    def send(self) -> None:
        """Send a request."""
        self.buffer, self.wanted = b"", 0
        self.started = time.perf_counter()
        self.transport.write(self.request)

    @override
    def data_received(self, data: bytes) -> None:
        """Collect an answer."""
        self.buffer += data
        if not self.wanted:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            place = head.index(b"content-length:") + 15
            self.wanted = end + 4 + int(head[place:].split(b"\r\n", 1)[0])
        if len(self.buffer) < self.wanted:
            return
        self.spent.append(time.perf_counter() - self.started)
        if b" 200 " not in self.buffer[:20]:
            self.failed.append(self.buffer[:300])
        if self.stopping:
            self.transport.close()
        else:
            self.send()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """A lost connection is a failure."""
        if not self.stopping:
            self.failed.append(repr(exc).encode())


async def load(port: int, path: str, connections: int, seconds: float) -> dict[str, object]:
    """Load a route for a while."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()
    spent: list[float] = []
    failed: list[bytes] = []
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(lambda: Connection(request, spent, failed), "127.0.0.1", port) for _ in range(connections)]
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    rate = len(spent) / (time.perf_counter() - started)
    for _, connection in pairs:
        connection.stopping = True
    await asyncio.sleep(0.3)
    ordered = sorted(spent)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 for share in (0.5, 0.99)] if ordered else [0.0, 0.0]
    return {
        "rate": rate, "requests": len(spent), "failed": len(failed), "p50": at[0], "p99": at[1],
        "example": failed[0].decode(errors="replace") if failed else "",
    }  # fmt: skip


def measured(port: int, path: str, connections: int, seconds: float) -> dict[str, float]:
    """Load a route from another process.

    Raises:
        RuntimeError: an answer was not 200.
    """
    command = [sys.executable, "-m", "benchmarks.http_load", str(port), path, str(connections), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30)
    found: dict[str, float] = json.loads(done.stdout)
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"{path}: {found}")
    return found


if __name__ == "__main__":
    uvloop.install()
    print(json.dumps(asyncio.run(load(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
