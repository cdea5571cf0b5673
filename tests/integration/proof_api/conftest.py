"""A running platform for all tests of a module that only read it or add to it."""

from collections.abc import Iterator

import pytest

from support.documented import documented_answers
from support.log import fresh_topics
from support.platform import a_platform, fleet, wait_for
from support.proof import Api
from support.servers import Broker, Database

__all__ = ["documented_answers", "running"]


@pytest.fixture(scope="module")
def running(broker: Broker, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Six bots at work, one blocked, a planner that ticks, and an API that trusts its answers."""
    fresh_topics(broker.bootstrap)
    database.empty()
    with a_platform(broker, database, tmp_path_factory.mktemp("proof")) as platform:
        platform.projection()
        api = Api.start(platform)
        platform.planner()
        platform.runner()
        platform.set_policy()
        platform.register([*fleet(6), {"id": "fb", "strategy": "sma-cross", "symbol": "FB"}])
        wait_for("three baselines", lambda: (platform.one("SELECT count(*) FROM bot_backtests") or 0) >= 3)
        api.wait_fresh()
        yield api
