"""The site of each test; its listener does not listen, so that nothing changes but what the test changes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots_ui.settings import UiSettings
from bots_ui.stream.hub import Hub
from support.site import Site, opened


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "session.key"
    path.write_text("k" * 43)
    return path


@pytest.fixture
async def site(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """The application over a proof API that cannot be reached."""

    async def never(_: Hub) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Hub, "listen", never)
    monkeypatch.setattr(Hub, "beat", never)
    settings = UiSettings(session_key_file=key_file, api_url="http://127.0.0.1:1", allowed_hosts=("testserver",))
    async with opened(settings) as found:
        yield found
