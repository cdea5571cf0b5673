"""Wait for programs, however slow the machine: for one that ends by itself, and for a server that must answer and must not end."""

import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from autonomy.errors import Broken

SAY_EVERY_S: Final = 5.0
LOOK_EVERY_S: Final = 0.05
READY_TIMEOUT_S: Final = 180.0
LAST_WORDS: Final = 2_000


def until_answers(
    answers: Callable[[], bool],
    what: str,
    *,
    timeout_s: float = READY_TIMEOUT_S,
    process: "subprocess.Popen[bytes] | None" = None,
    said: Path | None = None,
) -> None:
    """Block until a server answers.

    Args:
        answers: whether it does now.
        what: the server and where, as a user would call it.
        timeout_s: how long it may take.
        process: the server; None: it is somebody else's child.
        said: where its output goes.

    Raises:
        Broken: it ended, with the last it said, or did not answer in time.
    """
    deadline = time.monotonic() + timeout_s
    while not answers():
        code = None if process is None else process.poll()
        if code is not None:
            last = said.read_text(errors="replace")[-LAST_WORDS:] if said is not None else ""
            raise Broken(f"{what} ended with {code} before it answered: {last}")
        if time.monotonic() > deadline:
            raise Broken(f"{what} did not answer within {timeout_s:.0f} s")
        time.sleep(LOOK_EVERY_S)


def is_answered(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def run_to_end(
    words: Sequence[str], what: str, *, user: str | None = None, environment: Mapping[str, str] | None = None, folder: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a program that ends by itself; a fixed time would call a busy machine broken.

    Args:
        words: the program and its arguments.
        what: what it does, as a user would call it.
        user: whose process it is; None: this one's.
        environment: its whole environment; None: this process's.
        folder: where it runs.
    """
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, user=user, env=environment, cwd=folder
    ) as process:
        waited_s = 0.0
        while True:
            try:
                out, err = process.communicate(timeout=SAY_EVERY_S)
            except subprocess.TimeoutExpired:
                waited_s += SAY_EVERY_S
                print(f"  {waited_s:.0f} s: {what} (pid {process.pid})", flush=True)
            except BaseException:
                process.kill()
                raise
            else:
                return subprocess.CompletedProcess(process.args, process.returncode, out, err)
