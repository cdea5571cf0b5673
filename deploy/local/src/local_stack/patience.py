"""Run a program to its end, however slow the machine, saying every few seconds that it still runs."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

SAY_EVERY_S: Final = 5.0


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
