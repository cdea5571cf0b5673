"""Somebody's code at arm's length: asked over a socket, never trusted, ended when it is late.

Place in the flow: program → **guest** → process of `host`. Whatever the code does is a named fault of that strategy: it raises, ends
itself, loops, prints or takes memory without end. Blocks; in an event loop call it in a thread.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from autonomy.errors import Poison
from job_runner.strategies import frames
from job_runner.strategies.frames import Array, Closed, Garbled, Late
from job_runner.strategies.jail import Limits

LOAD_S: Final = 30.0
LOAD_BESIDE_S: Final = 150.0
"""Where a file brings another program with it: freqtrade is 2,400 modules, seconds of processor time on a machine that is busy already."""
DECIDE_S: Final = 60.0
SPAWN_S: Final = 60.0
"""On a busy machine a first start imports numpy for a while."""


class StrategyFailed(Poison):
    """A strategy's own fault: what it did, and where.

    Args:
        words: what it did.
        file, line: where in its own files; empty and None where it has no line.
    """

    def __init__(self, words: str, file: str = "", line: int | None = None) -> None:
        self.words, self.file, self.line = words, file, line
        super().__init__(f"{file}:{line}: {words}" if file and line is not None else words)


class Spawner:
    """The clean process that children are forked from: one for each process that needs it, started when it is first needed.

    Args:
        seed: of the order of sets and of hashes in it.
    """

    def __init__(self, seed: str = "0") -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def fork(self, asked: Mapping[str, object]) -> tuple[int, socket.socket]:
        """A new child: its process id, and our end of its channel.

        Raises:
            OSError: no process can be started.
        """
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            try:
                answer = self._ask({"fork": asked}, theirs)
            except OSError:
                # The clean process may have been killed: one new one.
                self._close()
                answer = self._ask({"fork": asked}, theirs)
            return int(answer["pid"]), ours

    def end(self, pid: int) -> int:
        """Kill a child if it still runs; its exit code, negative for a signal."""
        with self._lock:
            try:
                return int(self._ask({"end": pid})["code"])
            except OSError:
                self._close()  # with it went its children
                return -signal.SIGKILL

    def _ask(self, message: Mapping[str, object], descriptor: socket.socket | None = None) -> dict[str, Any]:
        if self._owner != os.getpid():
            self._control = self._process = None  # a forked process has no children of its own
        control = self._control or self._start()
        control.settimeout(SPAWN_S)
        socket.send_fds(control, [json.dumps(message).encode()], [] if descriptor is None else [descriptor.fileno()])
        answer = control.recv(65_536)
        if not answer:
            raise ConnectionResetError("the process that strategies are forked from has ended")
        found: dict[str, Any] = json.loads(answer)
        return found

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        # Nothing of ours is in its environment; one thread, so that no library counts on more; one seed, so that sets have one order.
        clean = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONHASHSEED": self._seed, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
                 "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", "job_runner.strategies.host"],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=clean, cwd="/", close_fds=True,
            )  # fmt: skip
        self._control, self._owner = ours, os.getpid()
        return ours

    def stop(self) -> None:
        """End the clean process, and with it its children."""
        with self._lock:
            if self._owner == os.getpid():
                self._close()

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


SPAWNER: Final = Spawner()


@dataclass(slots=True, eq=False)
class Guest:
    """One process with one file's strategies.

    Args:
        folder: with a copy of all their code.
        module: of the strategies, in that folder.
        limits: of the process.
        decide_s: longest time of one decision over all bars, seconds.
        load_s: longest time of loading the file, seconds.
        spawner: forks its process.
        open_to: what this system does not keep it from, in words.
    """

    folder: str
    module: str
    limits: Limits = field(default_factory=Limits)
    decide_s: float = DECIDE_S
    load_s: float = LOAD_S
    spawner: Spawner = SPAWNER
    open_to: tuple[str, ...] = ()
    _pid: int = 0
    _channel: socket.socket | None = None
    _bars: object = None

    def declared(self) -> dict[str, dict[str, Any]]:
        """What each strategy of the file says of itself, by its class's name; starts the process.

        Raises:
            StrategyFailed: the file cannot be loaded.
        """
        self.close()
        limits = {"memory_bytes": self.limits.memory_bytes, "cpu_s": self.limits.cpu_s, "output_bytes": self.limits.output_bytes}
        self._pid, self._channel = self.spawner.fork({"folder": self.folder, "module": self.module, "limits": limits})
        said, _ = self._answer(time.monotonic() + self.load_s, "loading it")
        self.open_to = tuple(str(what) for what in said.get("openTo", ()))
        found: dict[str, dict[str, Any]] = said["declared"]
        return found

    def decide(self, class_name: str, parameters: Mapping[str, object], bars: "SentBars", until: int) -> dict[str, Array]:
        """What a strategy wants after each of the first `until` bars: arrays by the names of a plan, checked.

        Args:
            class_name: of the strategy.
            parameters: checked document.
            bars: sent once for as long as the same are asked about.
            until: how many of them it may see.

        Raises:
            StrategyFailed: whatever it did instead.
        """
        if self._channel is None:
            self.declared()
        channel = self._channel
        if channel is None:
            raise StrategyFailed("its process could not be started")
        arrays = None if self._bars is bars else bars.arrays
        asked = {"class": class_name, "parameters": dict(parameters), "symbol": bars.symbol, "timeframe": bars.timeframe, "until": until}
        deadline_s = time.monotonic() + self.decide_s
        try:
            channel.settimeout(self.decide_s)
            frames.send(channel, asked, arrays)
        except Closed:
            self._fail("deciding")
        self._bars = bars
        _, found = self._answer(deadline_s, "deciding")
        for name, array in found.items():
            if len(array) != until:
                self.close()
                raise StrategyFailed(f"{name} has {len(array)} numbers for {until} bars")
        return found

    def close(self) -> int:
        """End the process; its exit code."""
        self._bars = None
        if self._channel is None:
            return 0
        self._channel.close()
        self._channel = None
        return self.spawner.end(self._pid)

    def _answer(self, deadline_s: float, doing: str) -> tuple[dict[str, Any], dict[str, Array]]:
        channel = self._channel
        if channel is None:
            raise StrategyFailed("its process could not be started")
        try:
            said, arrays = frames.receive(channel, deadline_s)
        except Late:
            self.close()
            limit_s = self.load_s if doing == "loading it" else self.decide_s
            raise StrategyFailed(f"{doing} took longer than {limit_s:g} s") from None
        except Closed:
            self._fail(doing)
        except Garbled as fault:
            self.close()
            raise StrategyFailed(f"it answered what is no answer: {fault}") from None
        found = said.get("fault")
        if isinstance(found, dict):
            line = found.get("line")
            raise StrategyFailed(str(found.get("words"))[:400], str(found.get("file"))[:200], line if isinstance(line, int) else None)
        return said, arrays

    def _fail(self, doing: str) -> NoReturn:
        code = self.close()
        raise StrategyFailed(_words_of(code, doing, self.limits)) from None


def _words_of(code: int, doing: str, limits: Limits) -> str:
    if code == -signal.SIGXCPU:
        return f"{doing} used more than {limits.cpu_s} s of processor time"
    if code < 0:
        name = str(-code)
        with suppress(ValueError):
            name = signal.Signals(-code).name
        return f"its process was ended by {name} while {doing}"
    return f"it ended its process with exit code {code} while {doing}"


@dataclass(frozen=True, slots=True, eq=False)
class SentBars:
    """Bars as they are sent, once."""

    symbol: str
    timeframe: str
    arrays: Mapping[str, Array]
