"""Kafka and PostgreSQL alone, from empty folders to the first answer, one after the other."""

import time
from pathlib import Path

from benchmarks.servers import kafka, postgres


def start_s(folder: Path) -> float:
    """Seconds until both answer."""
    folder.mkdir()
    started = time.perf_counter()
    with postgres(folder, schema=False), kafka(folder, topics=False):
        return time.perf_counter() - started
