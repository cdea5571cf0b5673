"""A job-runner's start on the same log: from the snapshot that it kept, and from a horizon held back by jobs that nobody takes.

Each is a process of its own; it ends when that has folded all that stood in the log, and could claim. What is warmed up beside that,
worker processes and compiled code, is the same for any log and not counted.
"""

import asyncio
import hashlib
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from autonomy.snapshot_files import SnapshotFolder
from autonomy.topics import JOBS, RUNNERS, RUNS
from benchmarks.fleet import an_id
from benchmarks.noop_runner import NoOpWorker
from job_runner.app import Runner, build_runner
from job_runner.settings import RunnerSettings
from job_runner.starting import bytes_of_start

READ: Final = (RUNS, JOBS, RUNNERS)


@dataclass(frozen=True, slots=True)
class Started:
    """One start.

    Attributes:
        seconds: from the first connection on.
        records: how many were read.
        stands_on: hash over all that the process then has folded.
        peak_mib: of the process.
    """

    seconds: float
    records: int
    stands_on: str
    peak_mib: float


async def start(bootstrap: str, folder: Path | None, keep_in: Path | None) -> Started:
    """Start a runner, at a snapshot of `folder` if there is one, and keep one in `keep_in` at its end."""
    began = time.monotonic()
    runner = await build_runner(RunnerSettings(kafka=bootstrap, snapshots=folder), NoOpWorker(), an_id("cold-runner"))
    try:
        read = 0
        async for record in runner.reader.to_the_end(READ):
            runner.take(record)
            read += 1
        spent, peak = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if keep_in is not None:
            SnapshotFolder(keep_in).write(runner.chain.head.tick, stand(runner))
        return Started(spent, read, hashlib.sha256(stand(runner)).hexdigest(), peak)
    finally:
        await runner.reader.close()
        await runner.producer.stop()


def stand(runner: Runner) -> bytes:
    """All that it folded."""
    return bytes_of_start(runner.queue, runner.marks, runner.chain, runner.reader.positions)


def started(bootstrap: str, folder: Path | None = None, keep_in: Path | None = None) -> Started:
    """The same in a process of its own."""
    words = [bootstrap, str(folder or ""), str(keep_in or "")]
    done = subprocess.run([sys.executable, "-m", "benchmarks.cold_runner", *words], check=True, stdout=subprocess.PIPE)
    return Started(**json.loads(done.stdout))


def main() -> None:
    """Start one and say how it went."""
    bootstrap, *folders = sys.argv[1:]
    folder, keep_in = (Path(name) if name else None for name in folders)
    print(json.dumps(asdict(asyncio.run(start(bootstrap, folder, keep_in)))))


if __name__ == "__main__":
    main()
