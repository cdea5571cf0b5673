"""A broker, and a notifier's surroundings on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.log import fresh_topics
from support.notices import NO_DATABASE, Endpoint, Mailbox, Stand, a_mailbox, an_endpoint
from support.platform import a_platform
from support.servers import Broker


@pytest.fixture
def stand(broker: Broker, tmp_path: Path) -> Iterator[Stand]:
    fresh_topics(broker.bootstrap)
    with a_platform(broker, NO_DATABASE, tmp_path) as platform:
        yield Stand(platform)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with an_endpoint() as found:
        yield found


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with a_mailbox() as found:
        yield found
