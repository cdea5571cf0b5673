"""A running platform with its page, for clients that keep to no rule."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bots_ui import build_assets
from support.fixtures import broker, database, servers_folder
from support.log import fresh_topics
from support.measuring import fault_row
from support.platform import Platform, Service, a_platform, fleet, quick_policy, wait_for
from support.proof import Api
from support.servers import Broker, Database, free_port

__all__ = ["broker", "database", "fault_row", "servers_folder"]


@dataclass
class Attacked:
    """What is attacked, and how it is asked meanwhile."""

    platform: Platform
    api: Api
    page: Service
    page_url: str

    @property
    def api_url(self) -> str:
        return str(self.api.http.base_url)

    def is_ready(self) -> bool:
        """Whether both say that all is well."""
        return self.api.get("/readyz").status_code == 200 and httpx.get(f"{self.page_url}/readyz").status_code == 200


@pytest.fixture(scope="module")
def attacked(broker: Broker, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A planner that ticks, a fleet, an API that trusts its answers, and the page."""
    build_assets.main()
    fresh_topics(broker.bootstrap)
    database.empty()
    folder = tmp_path_factory.mktemp("hostile")
    with a_platform(broker, database, folder) as platform:
        platform.projection()
        api = Api.start(platform)
        page, url = start_page(platform, folder)
        platform.planner()
        platform.set_policy(quick_policy())
        platform.register(fleet(50))
        wait_for("the fleet", lambda: platform.one("SELECT count(*) FROM bot_now") == 50)
        api.wait_fresh(verdict="STALLED")  # a fleet without a runner, on purpose
        attacked = Attacked(platform, api, page, url)
        wait_for("both ready", attacked.is_ready)
        yield attacked


def start_page(platform: Platform, folder: Path) -> tuple[Service, str]:
    key = folder / "session.key"
    key.write_text("k" * 43)
    port = free_port()
    page = platform.start(
        "bots-ui", "bots_ui", BOTS_UI_PORT=str(port), PROOF_API_URL=f"http://127.0.0.1:{platform.api_port}", SESSION_KEY_FILE=str(key),
        PYTHONPATH=os.environ.get("PYTHONPATH", ""),
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/livez").status_code == 200
        except httpx.HTTPError:
            return False

    page.wait_until("the page", is_up)
    return page, url
