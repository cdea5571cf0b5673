"""One broker and one database for the tests of a folder; every test gets an empty log and empty read models.

A folder's conftest imports these fixtures by name, and so has servers of its own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.log import fresh_topics
from support.platform import Platform, a_platform
from support.servers import Broker, Database, a_broker, a_database, own_folder


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_folder(tmp_path_factory.mktemp("servers").name) as folder:
        yield folder


@pytest.fixture(scope="session")
def broker(servers_folder: Path) -> Iterator[Broker]:
    with a_broker(servers_folder) as broker:
        yield broker


@pytest.fixture(scope="session")
def database(servers_folder: Path) -> Iterator[Database]:
    with a_database(servers_folder) as database:
        yield database


@pytest.fixture(scope="module")
def own_servers(request: pytest.FixtureRequest) -> Iterator[tuple[Broker, Database]]:
    """For a module that stops or hurts its servers."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    with own_folder(name) as folder, a_broker(folder) as broker, a_database(folder) as database:
        yield broker, database


@pytest.fixture
def platform(broker: Broker, database: Database, tmp_path: Path) -> Iterator[Platform]:
    fresh_topics(broker.bootstrap)
    database.empty()
    with a_platform(broker, database, tmp_path) as platform:
        yield platform
