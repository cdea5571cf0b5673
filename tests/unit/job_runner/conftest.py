"""Real bars for the tests of the research engine."""

import multiprocessing
import os
import threading
from collections.abc import Iterator

import pytest

from job_runner.engine.compiled import FloatArray
from job_runner.market.sources import END_OF_TIME_MS, EmbeddedMarketData

# The oracle engine asks a registry for newer versions of itself at import; tests open no sockets.
os.environ["RAPTORBT_NO_VERSION_CHECK"] = "1"


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    """A worker that outlives its pool would fail a test that is not at fault, and hold up the end of the process."""
    yield
    # One that is just being started is no child yet.
    for thread in [one for one in threading.enumerate() if one.name == "research"]:
        thread.join(5)
    assert not [child for child in multiprocessing.active_children() if child.name == "research-worker"]


@pytest.fixture(scope="session")
def embedded() -> EmbeddedMarketData:
    """The five real stocks."""
    return EmbeddedMarketData()


@pytest.fixture(scope="session")
def apple(embedded: EmbeddedMarketData) -> FloatArray:
    """All bars of AAPL, float64 (3270, 5)."""
    return embedded.bars("AAPL", "1d", END_OF_TIME_MS).rows()
