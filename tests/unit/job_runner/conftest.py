"""Real bars for the tests of the research engine."""

import os

import pytest

from job_runner.market_data import EmbeddedMarketData
from job_runner.strategies.compiled import FloatArray

# The oracle engine asks a registry for newer versions of itself at import; tests open no sockets.
os.environ["RAPTORBT_NO_VERSION_CHECK"] = "1"


@pytest.fixture(scope="session")
def embedded() -> EmbeddedMarketData:
    """The five real stocks."""
    return EmbeddedMarketData()


@pytest.fixture(scope="session")
def apple(embedded: EmbeddedMarketData) -> FloatArray:
    """All bars of AAPL, float64 (3270, 5)."""
    return embedded.bars("AAPL", "1d", 20_000).rows()
