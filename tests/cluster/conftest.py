"""A cluster and a database of this folder's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import Cluster, a_cluster
from support.fixtures import database, servers_folder
from support.measuring import fault_row

__all__ = ["cluster", "database", "fault_row", "servers_folder"]


@pytest.fixture(scope="session")
def cluster(servers_folder: Path) -> Iterator[Cluster]:
    with a_cluster(servers_folder) as cluster:
        yield cluster
