"""A cluster and a database of this folder's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import Cluster, a_cluster
from support.servers import Database, a_database, own_folder


@pytest.fixture(scope="session")
def cluster_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = own_folder(tmp_path_factory.mktemp("cluster").name)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(cluster_folder: Path) -> Iterator[Cluster]:
    with a_cluster(cluster_folder) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def database(cluster_folder: Path) -> Iterator[Database]:
    with a_database(cluster_folder) as database:
        yield database
