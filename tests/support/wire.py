"""A wire between a browser and a server, which a test can freeze, cut and mend."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK = 65_536


class Wire:
    """Forwards TCP connections on a port of its own.

    Frozen, it takes what is sent and passes nothing on; cut, it ends what is open and refuses what is new.
    """

    def __init__(self, url: str) -> None:
        self.target = urlsplit(url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._flowing, self._cut = threading.Event(), threading.Event()
        self._open: set[socket.socket] = set()
        self._flowing.set()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.close()
        self.thaw()
        self.cut()

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        self._cut.set()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._cut.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._cut.is_set():
                    near.close()
                    continue
                far = socket.create_connection((self.target.hostname or "", self.target.port or 80))
                self._open |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                self._flowing.wait()
                sink.sendall(chunk)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._open.discard(one)
